"""Worksheets and their items as resources of the CodaLab API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...accounts.profiles import user_id_of
from ...bundles.access import ALL, PERMISSION_NAMES
from ...bundles.worksheet_service import Shown
from ...bundles.worksheets import Item, Worksheet
from .base import Resource, unique
from .permission_documents import WORKSHEET_PERMISSIONS, permission_linkage, permission_resource
from .user_documents import user_resource

TYPE = "worksheets"
ITEM_TYPE = "worksheet-items"
OWNER, ITEMS, GROUP_PERMISSIONS = "owner", "items", "group_permissions"
ITEM_BUNDLES, ITEM_BUNDLE_OWNERS, ITEM_WORKSHEETS = "items.bundle", "items.bundle.owner", "items.subworksheet"
INCLUDES = (OWNER, GROUP_PERMISSIONS, ITEMS, ITEM_BUNDLES, ITEM_BUNDLE_OWNERS, ITEM_WORKSHEETS)


def worksheet_resource(worksheet: Worksheet, shown: Shown) -> Resource:
    """Return a worksheet as a resource; items and group permissions are named where they were read."""
    permission = shown.permissions[worksheet.id]
    items = shown.items.get(worksheet.id)
    relationships: dict[str, Any] = {"owner": {"data": _owner(worksheet, permission)}}
    if items is not None:
        relationships[ITEMS] = {"data": [{"type": ITEM_TYPE, "id": str(item.id)} for item in items]}
    if (given := shown.group_permissions.get(worksheet.id)) is not None:
        named = [permission_linkage(each, WORKSHEET_PERMISSIONS) for each in given]
        relationships[GROUP_PERMISSIONS] = {"data": named}
    attributes = {
        "uuid": worksheet.uuid,
        "name": worksheet.name,
        "title": worksheet.title,
        "frozen": worksheet.frozen_at and worksheet.frozen_at.isoformat(),
        "is_anonymous": worksheet.is_anonymous,
        "date_created": worksheet.created_at.isoformat(),
        "date_last_modified": worksheet.updated_at.isoformat(),
        "tags": list(worksheet.tags),
        "last_item_id": None if items is None else max((item.id for item in items), default=-1),
        "permission": permission,
        "permission_spec": PERMISSION_NAMES[permission],
    }
    return {"type": TYPE, "id": worksheet.uuid, "attributes": attributes, "relationships": relationships}


def item_resource(item: Item, worksheet_uuid: str) -> Resource:
    """Return an item as a resource; what it names need not exist."""
    return {
        "type": ITEM_TYPE,
        "id": str(item.id),
        "attributes": {"type": item.type, "value": item.value, "sort_key": item.sort_key},
        "relationships": {
            "worksheet": {"data": {"type": TYPE, "id": worksheet_uuid}},
            "bundle": {"data": _named("bundles", item.bundle_uuid)},
            "subworksheet": {"data": _named(TYPE, item.subworksheet_uuid)},
        },
    }


def included_with(shown: Shown, asked: set[str]) -> list[Resource]:
    """Return what is asked to be included, besides bundles."""
    found: list[Resource] = []
    if OWNER in asked:
        found += [user_resource(shown.profiles[each.owner_id]) for each in shown.worksheets if is_named(each, shown)]
    for worksheet in shown.worksheets:
        if GROUP_PERMISSIONS in asked:
            given = shown.group_permissions[worksheet.id]
            found += [permission_resource(each, WORKSHEET_PERMISSIONS) for each in given]
        if wants_items(asked):
            found += [item_resource(item, worksheet.uuid) for item in shown.items[worksheet.id]]
    if ITEM_WORKSHEETS in asked:
        found += [
            worksheet_resource(shown.subworksheets[uuid], shown)
            if uuid in shown.subworksheets
            else _stub(TYPE, uuid, name="<private>" if uuid in shown.hidden else "<missing>", title=None)
            for uuid in subworksheets_of(shown)
        ]
    return unique(found)


def missing_bundle(uuid: str) -> Resource:
    """Return what stands for a bundle that is not there: programs know it by having no metadata."""
    return _stub("bundles", uuid)


def subworksheets_of(shown: Shown) -> list[str]:
    """Return the uuids of the worksheets that items name, each once."""
    named = (item.subworksheet_uuid for items in shown.items.values() for item in items if item.subworksheet_uuid)
    return list(dict.fromkeys(named))


def bundles_of(shown: Shown) -> list[str]:
    """Return the uuids of the bundles that items name, each once."""
    named = (item.bundle_uuid for items in shown.items.values() for item in items if item.bundle_uuid)
    return list(dict.fromkeys(named))


def wants_items(asked: Iterable[str]) -> bool:
    """Whether items, or what belongs to them, are asked for."""
    return any(each == ITEMS or each.startswith(f"{ITEMS}.") for each in asked)


def is_named(worksheet: Worksheet, shown: Shown) -> bool:
    """Whether the caller is told who owns a worksheet: of anonymous ones only whoever may do all with them."""
    return not worksheet.is_anonymous or shown.permissions[worksheet.id] == ALL


def _owner(worksheet: Worksheet, permission: int) -> Resource | None:
    is_hidden = worksheet.is_anonymous and permission < ALL
    return None if is_hidden else {"type": "users", "id": user_id_of(worksheet.owner_id)}


def _stub(type_name: str, uuid: str, **attributes: Any) -> Resource:
    """Return what is included of a thing that is not there, or not the caller's to see: programs expect its uuid."""
    return {
        "type": type_name,
        "id": uuid,
        "attributes": {"uuid": uuid, **attributes},
        "relationships": {OWNER: {"data": None}},
    }


def _named(type_name: str, uuid: str | None) -> Resource | None:
    return None if uuid is None else {"type": type_name, "id": uuid}
