"""Who may read a bundle or a worksheet (1), and who may do all with it (2).

The one rule of the workspace decides: READ and WRITE are 1, GRANT is 2. Owners hold GRANT, an ADMIN has it everywhere,
and what is given to everyone (the group ``public``) holds for callers whom nobody knows, too. A thing that is not
there is refused in the same words as one that may not be seen. Source: the CodaLab REST API's semantics, section 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection

from ..accounts.profiles import read_profiles, user_id_of
from ..accounts.service import Account
from ..errors import AccessDenied
from ..permissions.service import Level, held_by_everyone, holds
from ..permissions.service import levels_of as _levels_of
from .records import RESOURCE as RESOURCE
from .records import Bundle, read_bundle

NONE, READ, ALL = 0, 1, 2
WORKSHEET = "worksheet"
PERMISSION_NAMES = {NONE: "none", READ: "read", ALL: "all"}


def as_permission(level: Level) -> int:
    """Return a level of the workspace as this API has it."""
    return NONE if level is Level.NONE else ALL if level is Level.GRANT else READ


def as_level(permission: int) -> Level:
    """Return a permission of this API as the workspace has it."""
    return {NONE: Level.NONE, READ: Level.READ, ALL: Level.GRANT}[permission]


def level_of(connection: Connection, resource_id: int, account: Account | None, resource: str = RESOURCE) -> int:
    """Return what an account, or a caller whom nobody knows, may do with a bundle or worksheet: 0, 1 or 2."""
    return permissions_of(connection, [resource_id], account, resource)[resource_id]


def permissions_of(
    connection: Connection, resource_ids: Sequence[int], account: Account | None, resource: str = RESOURCE
) -> dict[int, int]:
    """Return what an account may do with each of many bundles or worksheets."""
    levels = _levels_of(connection, resource, resource_ids, account)
    return {each: as_permission(levels.get(each, Level.NONE)) for each in resource_ids}


def may_read(resource_id: ColumnElement[int], account: Account | None, resource: str = RESOURCE) -> ColumnElement[bool]:
    """Return the condition that an account may read the bundle or worksheet whose id stands in a column."""
    if account is None:
        return held_by_everyone(resource, resource_id, Level.READ)
    return holds(resource, resource_id, account, Level.READ)


def denied(
    connection: Connection, uuid: str, account: Account | None, have: int, need: int, resource: str = RESOURCE
) -> AccessDenied:
    """Return the error that says what an account may not do."""
    who = f"{user_name_of(connection, account)}({_user_id_of(account)})"
    levels = f"(have {PERMISSION_NAMES[have]}, need {PERMISSION_NAMES[need]})"
    return AccessDenied(f"User {who} does not have sufficient permissions on {resource} {uuid} {levels}.")


def demand(connection: Connection, uuid: str, account: Account | None, level: int) -> Bundle:
    """Return a bundle, or raise ``AccessDenied`` if it is not there or the caller may not do that much with it."""
    bundle = read_bundle(connection, uuid)
    have = NONE if bundle is None else level_of(connection, bundle.id, account)
    if bundle is None or have < level:
        raise denied(connection, uuid, account, have, level)
    return bundle


def demand_level(
    connection: Connection,
    uuid: str,
    resource_id: int | None,
    account: Account | None,
    level: int,
    resource: str = RESOURCE,
) -> None:
    """Raise ``AccessDenied`` unless an account may do that much; ``resource_id`` is None if there is no such thing."""
    have = NONE if resource_id is None else level_of(connection, resource_id, account, resource)
    if have < level:
        raise denied(connection, uuid, account, have, level, resource)


def user_name_of(connection: Connection, account: Account | None) -> str:
    """Return the name by which messages call a caller."""
    if account is None:
        return "public"
    return read_profiles(connection, [account.id])[account.id].user_name


def _user_id_of(account: Account | None) -> str | None:
    return None if account is None else user_id_of(account.id)
