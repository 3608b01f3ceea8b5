"""Bundles as resources of JSON:API.

Without ``include`` a document is that of API 0.2.0: owner, group permissions, children and worksheets always belong to
it. With ``include`` it holds what was asked for, as later versions have it. Source: the CodaLab REST API and its
semantics, section 3.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ...bundles.access import PERMISSION_NAMES
from ...bundles.description import arguments_of, state_details
from ...bundles.metadata import display_metadata, written_keys
from ...bundles.service import BundleView
from ...bundles.views import CHILDREN, GROUP_PERMISSIONS, HOST_WORKSHEETS, INCLUDES, OWNER
from .base import Resource, unique
from .permission_documents import BUNDLE_PERMISSIONS, permission_linkage, permission_resource
from .user_documents import user_resource

TYPE = "bundles"
EVERYTHING = frozenset(INCLUDES)


def bundle_resource(view: BundleView, asked: Collection[str] | None, display: bool = False) -> Resource:
    """Return a bundle as a resource; ``asked`` is what is to be included, None the document of API 0.2.0.

    ``display`` adds what programs need to show and edit the metadata.
    """
    bundle = view.bundle
    attributes = _masked(view) if view.is_masked else _shown(view)
    relationships: dict[str, Any] = {
        OWNER: {"data": None if view.owner is None else {"type": "users", "id": view.owner.user_id}}
    }
    wanted = EVERYTHING if asked is None else asked
    if GROUP_PERMISSIONS in wanted:
        rows = [permission_linkage(each, BUNDLE_PERMISSIONS) for each in view.group_permissions]
        relationships[GROUP_PERMISSIONS] = {"data": rows}
    if CHILDREN in wanted:
        relationships[CHILDREN] = {"data": [{"type": TYPE, "id": each.bundle.uuid} for each in view.children]}
    if asked is None:
        attributes[HOST_WORKSHEETS] = [{"uuid": uuid, "name": name} for uuid, name in view.host_worksheets]
    elif HOST_WORKSHEETS in asked:
        relationships[HOST_WORKSHEETS] = {
            "data": [{"type": "worksheets", "id": uuid} for uuid, _ in view.host_worksheets]
        }
    resource = {"type": TYPE, "id": bundle.uuid, "attributes": attributes, "relationships": relationships}
    if display and not view.is_masked:
        resource["meta"] = display_metadata(bundle)
    elif asked is None:
        # By the type alone, as API 0.2.0 has it; what can be changed now is said to whoever asks for the display.
        resource["meta"] = {"editable_metadata_keys": [] if view.is_masked else written_keys(bundle)}
    return resource


def included_of(views: Sequence[BundleView], asked: Collection[str] | None) -> list[Resource] | None:
    """Return what is included with bundles; None if nothing was asked for."""
    wanted = EVERYTHING if asked is None else asked
    if not wanted:
        return None
    found: list[Resource] = []
    for view in views:
        if OWNER in wanted and view.owner is not None:
            found.append(user_resource(view.owner))
        if GROUP_PERMISSIONS in wanted:
            found += [permission_resource(each, BUNDLE_PERMISSIONS) for each in view.group_permissions]
        if CHILDREN in wanted:
            found += [bundle_resource(each, ()) for each in view.children]
        if asked is not None and HOST_WORKSHEETS in wanted:
            found += [
                {"type": "worksheets", "id": uuid, "attributes": {"uuid": uuid, "name": name}}
                for uuid, name in view.host_worksheets
            ]
    return unique(found)


def _shown(view: BundleView) -> dict[str, Any]:
    bundle = view.bundle
    return {
        "uuid": bundle.uuid,
        "bundle_type": bundle.bundle_type,
        "command": bundle.command,
        "args": arguments_of(bundle),
        "state": bundle.state,
        "state_details": state_details(bundle),
        "frozen": None if bundle.frozen_at is None else bundle.frozen_at.isoformat(),
        "is_anonymous": bundle.is_anonymous,
        "data_hash": bundle.data_hash,
        # Ours: of a frozen download, where its rows come from.
        **({"origin": bundle.origin} if bundle.origin else {}),
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
        "permission": view.permission,
        "permission_spec": PERMISSION_NAMES[view.permission],
    }


def _masked(view: BundleView) -> dict[str, Any]:
    """Return what is told of a bundle that the caller may not read: that it is there."""
    return {
        "uuid": view.bundle.uuid,
        "bundle_type": "private",
        "command": None,
        "args": None,
        "state": None,
        "state_details": None,
        "frozen": None,
        "is_anonymous": False,
        "data_hash": None,
        "metadata": {"name": "<private>"},
        "dependencies": [],
        "permission": view.permission,
        "permission_spec": PERMISSION_NAMES[view.permission],
    }
