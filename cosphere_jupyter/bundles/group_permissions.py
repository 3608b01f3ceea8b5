"""What groups may do with a bundle or a worksheet: reading and changing it, as the CodaLab API has it.

Everyone is the group ``public``. What single accounts were given (the owner's GRANT) is no row of this API.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from ..accounts.groups import find_group, group_of_subject, groups_of_subjects, subject_of_group
from ..accounts.service import Account
from ..permissions.service import EVERYONE, Permission, Subject, change_level, permissions_on_many
from .access import ALL, NONE, PERMISSION_NAMES, READ, as_level, as_permission
from .problems import Missing, Refused
from .records import RESOURCE

NOT_GIVEN = "One of either permission or permission_spec must be provided."
_SPECS = {"n": NONE, "none": NONE, "r": READ, "read": READ, "a": ALL, "all": ALL}


@dataclass(frozen=True)
class GroupPermission:
    """What a group may do with a bundle or a worksheet; ``id`` is that of the row, also of one that is taken away."""

    id: str
    group_uuid: str
    group_name: str
    permission: int

    @property
    def permission_spec(self) -> str:
        """Return none, read or all."""
        return PERMISSION_NAMES[self.permission]


def group_permissions_of(
    connection: Connection, resource_ids: Sequence[int], resource: str = RESOURCE
) -> dict[int, list[GroupPermission]]:
    """Return what groups may do with each of many bundles or worksheets, ``public`` first."""
    given = permissions_on_many(connection, resource, resource_ids)
    groups = groups_of_subjects(connection, [each.subject for some in given.values() for each in some])
    return {
        resource_id: [
            GroupPermission(_row_id(resource_id, each.subject), group.uuid, group.name, as_permission(each.level))
            for each in given.get(resource_id, [])
            if (group := groups.get(each.subject)) is not None and each.level
        ]
        for resource_id in resource_ids
    }


def set_group_permission(
    connection: Connection,
    resource_id: int,
    group_uuid: str,
    permission: int,
    caller: Account,
    resource: str = RESOURCE,
) -> GroupPermission:
    """Give a group a permission instead of the one it has; 0 takes it away.

    ``Missing`` if there is no such group, or none that the caller knows of: the answer tells its name.
    """
    subject = subject_of_group(connection, group_uuid)
    group = None if subject is None else group_of_subject(connection, subject)
    if subject is None or group is None:
        raise Missing(f"Found no group with name {group_uuid!r}")
    given = permissions_on_many(connection, resource, [resource_id]).get(resource_id, [])
    if all(each.subject != subject for each in given):
        find_group(connection, group_uuid, caller)
    change_level(connection, resource, resource_id, Permission(subject, as_level(permission)))
    return GroupPermission(_row_id(resource_id, subject), group.uuid, group.name, permission)


def copy_group_permissions(
    connection: Connection, source: str, source_id: int, target_id: int, target: str = RESOURCE
) -> None:
    """Give what groups may do with one thing for another, too: a bundle inherits its worksheet's."""
    for each in permissions_on_many(connection, source, [source_id]).get(source_id, []):
        if each.subject.type != "account":
            change_level(connection, target, target_id, each)


def permission_from(attributes: Mapping[str, Any]) -> int:
    """Return the permission that attributes of a request name, or raise ``Refused``."""
    given = attributes.get("permission")
    if given is None:
        given = attributes.get("permission_spec")
    if given is None:
        raise Refused(NOT_GIVEN)
    if isinstance(given, str):
        given = int(given) if given in ("0", "1", "2") else _SPECS.get(given, given)
    if type(given) is not int or given not in PERMISSION_NAMES:
        raise Refused(f"Invalid permission flag specified ({given})")
    return given


def _row_id(resource_id: int, subject: Subject) -> str:
    """Return a number of its own for each pair of a thing and a group (Cantor's pairing); ``public`` counts as 0."""
    other = 0 if subject == EVERYONE else subject.id
    total = resource_id + other
    return str(total * (total + 1) // 2 + other)
