"""What blocks tell of bundles and worksheets: one flat object each, masked where the reader may not read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select

from ..accounts.profiles import user_id_of
from ..accounts.service import Account
from ..errors import AccessDenied, Invalid, NotFound
from .access import ALL, NONE, PERMISSION_NAMES
from .description import arguments_of, state_details
from .tables import bundles
from .views import HOST_WORKSHEETS, BundleView, view_bundles
from .worksheet_service import Shown
from .worksheets import Worksheet

_AT_ONCE = 500
# What a search in a worksheet may say instead of finding something.
shown_by = (Invalid, NotFound, AccessDenied)


def views_of(connection: Connection, uuids: Iterable[str], reader: Account | None) -> dict[str, BundleView]:
    """Return those of the bundles that exist, as ``reader`` may see them, by uuid."""
    wanted = list(dict.fromkeys(uuids))
    there: set[str] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        among = bundles.c.uuid.in_(wanted[start : start + _AT_ONCE])
        there.update(connection.execute(select(bundles.c.uuid).where(among)).scalars())
    found = view_bundles(connection, [uuid for uuid in wanted if uuid in there], reader, (HOST_WORKSHEETS,))
    return {view.bundle.uuid: view for view in found}


def bundle_info(view: BundleView) -> dict[str, Any]:
    """Return what is told of a bundle."""
    bundle = view.bundle
    if view.is_masked:
        told = {"uuid": bundle.uuid, "bundle_type": "private", "command": None, "state": None, "owner": None}
        named = {"metadata": {"name": "<private>"}, "dependencies": []}
        return {**told, **named, "permission": NONE, "permission_spec": PERMISSION_NAMES[NONE]}
    return {
        "id": bundle.uuid,
        "uuid": bundle.uuid,
        "bundle_type": bundle.bundle_type,
        "command": bundle.command,
        "args": arguments_of(bundle),
        "state": bundle.state,
        "state_details": state_details(bundle),
        "frozen": None if bundle.frozen_at is None else bundle.frozen_at.isoformat(),
        "is_anonymous": bundle.is_anonymous,
        "metadata": dict(bundle.metadata),
        "dependencies": [
            {
                "child_uuid": bundle.uuid,
                "child_path": each.child_path,
                "parent_uuid": each.parent_uuid,
                "parent_path": each.parent_path,
                "parent_name": parent.name if (parent := view.parents.get(each.parent_uuid)) else None,
                "parent_state": parent.state if parent else None,
            }
            for each in bundle.dependencies
        ],
        "owner": view.owner and {"id": view.owner.user_id, "user_name": view.owner.user_name},
        "host_worksheets": [{"uuid": uuid, "name": name} for uuid, name in view.host_worksheets],
        "permission": view.permission,
        "permission_spec": PERMISSION_NAMES[view.permission],
    }


def missing_info(uuid: str) -> dict[str, Any]:
    """Return what stands for a bundle that is not there: no more than its uuid, by which clients know it."""
    return {"uuid": uuid, "name": "<missing>"}


def worksheet_info(worksheet: Worksheet, shown: Shown) -> dict[str, Any]:
    """Return what is told of a worksheet."""
    permission = shown.permissions.get(worksheet.id, NONE)
    if permission == NONE:
        return {"uuid": worksheet.uuid, "name": "<private>", "title": None}
    is_named = not worksheet.is_anonymous or permission == ALL
    owner = shown.profiles.get(worksheet.owner_id) if is_named else None
    return {
        "uuid": worksheet.uuid,
        "name": worksheet.name,
        "title": worksheet.title,
        "frozen": worksheet.frozen_at and worksheet.frozen_at.isoformat(),
        "is_anonymous": worksheet.is_anonymous,
        "tags": list(worksheet.tags),
        "owner_id": user_id_of(worksheet.owner_id) if is_named else None,
        "owner_name": owner.user_name if owner else None,
        "date_created": worksheet.created_at.isoformat(),
        "date_last_modified": worksheet.updated_at.isoformat(),
        "permission": permission,
        "permission_spec": PERMISSION_NAMES[permission],
    }
