"""The one rule: a subject (an account, a group, everyone signed in) has a level on a resource.

none < read < write < grant. An account has the highest level that it holds itself, through a group or as everyone;
an ADMIN has grant on everything. Computed in SQL, so that "what may I see" is part of the query that lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, literal, or_, select, true

from ..accounts.service import EVERYONE as EVERYONE
from ..accounts.service import Account, accounts_by_id, group_ids, groups_of
from ..accounts.service import Subject as Subject
from ..errors import ModelInvalid
from .tables import permissions

SUBJECT_TYPES = ("account", "group", "everyone")
# Ids in one statement, of which databases take only so many.
_AT_ONCE = 500


class Level(IntEnum):
    """What a subject may do with a resource; each level holds the ones below it."""

    NONE = 0
    READ = 1
    WRITE = 2
    GRANT = 3


@dataclass(frozen=True)
class Permission:
    """A level of a subject."""

    subject: Subject
    level: Level


def holds(resource_type: str, resource_id: ColumnElement[int], account: Account, level: Level) -> ColumnElement[bool]:
    """Return the condition that ``account`` has at least ``level`` on the resource whose id stands in a column."""
    return true() if account.is_admin else held_by(literal(account.id), resource_type, resource_id, level)


def held_by(
    account_id: ColumnElement[int], resource_type: str, resource_id: ColumnElement[int], level: Level
) -> ColumnElement[bool]:
    """Return the condition that an account which is no ADMIN has at least ``level`` on a resource."""
    return (
        select(permissions.c.level)
        .where(
            permissions.c.resource_type == resource_type,
            permissions.c.resource_id == resource_id,
            permissions.c.level >= int(level),
            _subjects_of(account_id),
        )
        .exists()
    )


def resources_of(account_id: ColumnElement[int], resource_type: str, level: Level) -> Select[tuple[int]]:
    """Return the query of what `held_by` holds for: the ids of the resources, each once, in order.

    Of very many it gives a page several times as fast as asking for each of them.
    """
    return (
        select(permissions.c.resource_id)
        .distinct()
        .where(
            permissions.c.resource_type == resource_type,
            permissions.c.level >= int(level),
            _subjects_of(account_id),
        )
        .order_by(permissions.c.resource_id)
    )


def resources_given_to(resource_type: str, subject: Subject, level: Level) -> Select[tuple[int]]:
    """Return the query of the ids of the resources on which a subject itself was given at least ``level``."""
    return select(permissions.c.resource_id).where(
        permissions.c.resource_type == resource_type,
        permissions.c.level >= int(level),
        permissions.c.subject_type == subject.type,
        permissions.c.subject_id == subject.id,
    )


def resources_of_groups(account_id: ColumnElement[int], resource_type: str, level: Level) -> Select[tuple[int]]:
    """Return the query of the ids of the resources that an account has through a group of its own, not as everyone."""
    return select(permissions.c.resource_id).where(
        permissions.c.resource_type == resource_type,
        permissions.c.level >= int(level),
        permissions.c.subject_type == "group",
        permissions.c.subject_id.in_(groups_of(account_id)),
    )


def resources_given_anything(account_id: ColumnElement[int], resource_type: str) -> Select[tuple[int]]:
    """Return the query of what an account was given anything on, found in an index alone; some ids come several times.

    Of types on which NONE is never stored (only `decide` does) this is what `resources_of` gives for READ, much faster.
    """
    return select(permissions.c.resource_id).where(
        permissions.c.resource_type == resource_type, _subjects_of(account_id)
    )


def was_given_anything(
    account_id: ColumnElement[int], resource_type: str, resource_id: ColumnElement[int]
) -> ColumnElement[bool]:
    """Return the condition that a resource is one of `resources_given_anything`."""
    return (
        select(permissions.c.resource_id)
        .where(
            permissions.c.resource_type == resource_type,
            permissions.c.resource_id == resource_id,
            _subjects_of(account_id),
        )
        .exists()
    )


def level_of(connection: Connection, resource_type: str, resource_id: int, account: Account) -> Level:
    """Return the level of an account on a resource."""
    if account.is_admin:
        return Level.GRANT
    highest = select(func.max(permissions.c.level)).where(
        permissions.c.resource_type == resource_type,
        permissions.c.resource_id == resource_id,
        _subjects_of(literal(account.id)),
    )
    return Level(connection.execute(highest).scalar() or 0)


def permissions_on(connection: Connection, resource_type: str, resource_id: int) -> list[Permission]:
    """Return what is given on a resource: everyone first, then groups, then accounts, by id."""
    given = select(permissions).where(
        permissions.c.resource_type == resource_type, permissions.c.resource_id == resource_id
    )
    rows = connection.execute(given.order_by(permissions.c.subject_type.desc(), permissions.c.subject_id))
    return [Permission(Subject(row.subject_type, row.subject_id), Level(row.level)) for row in rows]


def held_by_everyone(resource_type: str, resource_id: ColumnElement[int], level: Level) -> ColumnElement[bool]:
    """Return the condition that everyone has at least ``level`` on a resource, whoever they are."""
    return (
        select(permissions.c.level)
        .where(
            permissions.c.resource_type == resource_type,
            permissions.c.resource_id == resource_id,
            permissions.c.level >= int(level),
            permissions.c.subject_type == EVERYONE.type,
        )
        .exists()
    )


def levels_of(
    connection: Connection, resource_type: str, resource_ids: Sequence[int], account: Account | None
) -> dict[int, Level]:
    """Return the levels of an account, or of a caller whom nobody knows, on many resources; NONE is left out."""
    if account is not None and account.is_admin:
        return dict.fromkeys(resource_ids, Level.GRANT)
    if not resource_ids:
        return {}
    is_for = permissions.c.subject_type == EVERYONE.type if account is None else _subjects_of(literal(account.id))
    found: dict[int, Level] = {}
    for start in range(0, len(resource_ids), _AT_ONCE):
        among = permissions.c.resource_id.in_(resource_ids[start : start + _AT_ONCE])
        highest = select(permissions.c.resource_id, func.max(permissions.c.level)).where(
            permissions.c.resource_type == resource_type, among, is_for
        )
        rows = connection.execute(highest.group_by(permissions.c.resource_id))
        found.update((resource_id, Level(level)) for resource_id, level in rows if level)
    return found


def permissions_on_many(
    connection: Connection, resource_type: str, resource_ids: Sequence[int]
) -> dict[int, list[Permission]]:
    """Return what is given on each of many resources (those on which anything is), in the order of `permissions_on`."""
    found: dict[int, list[Permission]] = {}
    for start in range(0, len(resource_ids), _AT_ONCE):
        among = permissions.c.resource_id.in_(resource_ids[start : start + _AT_ONCE])
        given = select(permissions).where(permissions.c.resource_type == resource_type, among)
        for row in connection.execute(given.order_by(permissions.c.subject_type.desc(), permissions.c.subject_id)):
            each = Permission(Subject(row.subject_type, row.subject_id), Level(row.level))
            found.setdefault(row.resource_id, []).append(each)
    return found


def check_subjects(connection: Connection, given: Sequence[Permission]) -> None:
    """Raise ``ModelInvalid`` for the first subject that does not exist."""
    wanted = {each.subject.id for each in given if each.subject.type == "account"}
    if unknown := sorted(wanted - accounts_by_id(connection, set(wanted)).keys()):
        raise ModelInvalid({"permissions": [f"account instance with id {unknown[0]} does not exist."]})
    wanted = {each.subject.id for each in given if each.subject.type == "group"}
    if unknown := sorted(wanted - group_ids(connection, wanted)):
        raise ModelInvalid({"permissions": [f"group instance with id {unknown[0]} does not exist."]})


def replace_permissions(
    connection: Connection, resource_type: str, resource_id: int, given: Sequence[Permission]
) -> None:
    """Make ``given`` all that is given on a resource."""
    forget(connection, resource_type, resource_id)
    for each in given:
        give(connection, resource_type, resource_id, each)


def decide(connection: Connection, resource_type: str, resource_id: int, given: Sequence[Permission]) -> None:
    """Replace permissions on a resource that has a default, and remember that somebody has decided about it.

    What is left for everyone is always stored, also that it is nothing: no row at all means that nobody has decided.
    """
    replace_permissions(connection, resource_type, resource_id, given)
    if all(each.subject != EVERYONE for each in given if each.level is not Level.NONE):
        row = {"resource_type": resource_type, "resource_id": resource_id, "level": int(Level.NONE)}
        connection.execute(insert(permissions).values(**row, subject_type=EVERYONE.type, subject_id=EVERYONE.id))


def give(connection: Connection, resource_type: str, resource_id: int, given: Permission) -> None:
    """Give a level to a subject that has none of its own yet; NONE stores nothing."""
    if given.level is Level.NONE:
        return
    row = {
        "resource_type": resource_type,
        "resource_id": resource_id,
        "subject_type": given.subject.type,
        "subject_id": given.subject.id,
        "level": int(given.level),
    }
    connection.execute(insert(permissions).values(row))


def forget(connection: Connection, resource_type: str, resource_id: int) -> None:
    """Take all permissions on a resource back: it is gone, or they are about to be replaced."""
    connection.execute(
        delete(permissions).where(
            permissions.c.resource_type == resource_type, permissions.c.resource_id == resource_id
        )
    )


def change_level(connection: Connection, resource_type: str, resource_id: int, given: Permission) -> None:
    """Give a subject a level instead of the one it has; NONE takes it away."""
    connection.execute(
        delete(permissions).where(
            permissions.c.resource_type == resource_type,
            permissions.c.resource_id == resource_id,
            permissions.c.subject_type == given.subject.type,
            permissions.c.subject_id == given.subject.id,
        )
    )
    give(connection, resource_type, resource_id, given)


def forget_all(connection: Connection, resource_type: str, resource_ids: Sequence[int]) -> None:
    """Take all permissions on many resources back: they are gone."""
    for start in range(0, len(resource_ids), _AT_ONCE):
        among = permissions.c.resource_id.in_(resource_ids[start : start + _AT_ONCE])
        connection.execute(delete(permissions).where(permissions.c.resource_type == resource_type, among))


def forget_subject(connection: Connection, subject: Subject, heir: Subject | None) -> None:
    """Take all permissions of a subject back, as it is gone; what nobody else has GRANT on is then the heir's."""
    is_subject = (permissions.c.subject_type == subject.type) & (permissions.c.subject_id == subject.id)
    other = permissions.alias()
    has_another = (
        select(other.c.level)
        .where(
            other.c.resource_type == permissions.c.resource_type,
            other.c.resource_id == permissions.c.resource_id,
            other.c.level == int(Level.GRANT),
            or_(other.c.subject_type != subject.type, other.c.subject_id != subject.id),
        )
        .exists()
    )
    alone = select(permissions.c.resource_type, permissions.c.resource_id).where(
        is_subject, permissions.c.level == int(Level.GRANT), ~has_another
    )
    left = connection.execute(alone).all() if heir else []
    connection.execute(delete(permissions).where(is_subject))
    for row in left:
        if heir:
            change_level(connection, row.resource_type, row.resource_id, Permission(heir, Level.GRANT))


def _subjects_of(account_id: ColumnElement[int]) -> ColumnElement[bool]:
    return or_(
        permissions.c.subject_type == "everyone",
        and_(permissions.c.subject_type == "account", permissions.c.subject_id == account_id),
        and_(permissions.c.subject_type == "group", permissions.c.subject_id.in_(groups_of(account_id))),
    )
