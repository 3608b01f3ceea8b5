"""Group permissions of bundles and worksheets as resources: ``bundle-permissions`` and ``worksheet-permissions``."""

from __future__ import annotations

from typing import Any

from ...bundles.group_permissions import GroupPermission
from .base import Resource

BUNDLE_PERMISSIONS = "bundle-permissions"
WORKSHEET_PERMISSIONS = "worksheet-permissions"


def permission_resource(given: GroupPermission, type_name: str, **relationships: tuple[str, str]) -> Resource:
    """Return a row as a resource; more ``relationships`` as ``bundle=("bundles", uuid)``."""
    related: dict[str, Any] = {"group": {"data": {"type": "groups", "id": given.group_uuid}}}
    for name, (of_type, uuid) in relationships.items():
        related[name] = {"data": {"type": of_type, "id": uuid}}
    return {
        "type": type_name,
        "id": given.id,
        "attributes": {
            "permission": given.permission,
            "permission_spec": given.permission_spec,
            "group_name": given.group_name,
        },
        "relationships": related,
    }


def permission_linkage(given: GroupPermission, type_name: str) -> Resource:
    """Return what a relationship ``group_permissions`` names a row by."""
    return {"type": type_name, "id": given.id}
