"""Objects: what they are made of, who may see and change them, and one number for each version.

Checking data against a schema takes a while and happens in a reading thread. The transaction that writes looks whether
what was checked is still so, and checks anew if it is not: of two writers with one number one is refused, always.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    bindparam,
    insert,
    literal,
    or_,
    select,
    true,
    type_coerce,
    update,
)

from ..accounts.service import Account
from ..database.changes import Version as State
from ..database.changes import tables_of
from ..database.engine import Database
from ..database.schema import now
from ..errors import AccessDenied, NotFound
from ..json_values import LARGEST_ID
from ..permissions.service import Level, Permission, Subject, give, held_by, holds, resources_of
from .actions import Actions as Actions
from .actions import entity_of as entity_of
from .bodies import Checked, Current, check_new, check_next
from .index import index, references_of, referencing
from .log import CREATED, EDITED, note
from .query import SearchInvalid
from .records import RESOURCE, TYPE_IDS, TYPE_NAMES, ObjectVersion, Refused
from .records import Action as Action
from .records import NotCurrent as NotCurrent
from .search import search
from .tables import actions, object_files, object_properties, object_versions, objects

__all__ = ["RESOURCE", "TYPE_IDS", "TYPE_NAMES", "Made", "ObjectVersion", "Objects", "Refused", "Wanted"]

MOST_AT_ONCE = 1000


class Made(NamedTuple):
    """The version that a write has made."""

    object_id: int
    version_id: int


@dataclass(frozen=True)
class Wanted:
    """Which objects a list shows: newest first, from ``offset`` on, at most ``limit``."""

    action_id: int | None = None
    action_type: str | None = None
    # A search, in the grammar or, if it ``is_simple``, a text that is looked for anywhere.
    query: str | None = None
    is_simple: bool = False
    limit: int | None = None
    offset: int = 0
    is_hidden: bool = False


class Objects:
    """All that is done with objects and their versions, for every face."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def state(self) -> State | None:
        """Return what stays the same while the answer of `bulk_read` does; None while nobody can tell."""
        return self._database.changes.of(SEEN)

    def state_of_versions(self) -> State | None:
        """Return what stays the same while whoever may read a version still may: a version itself never changes."""
        return self._database.changes.of(GIVEN)

    async def current(self, object_id: int, caller: Account) -> int:
        """Return the number of the current version; ``NotFound`` or ``AccessDenied`` without READ."""
        return await self._database.read(
            lambda connection: demand(connection, object_id, caller, Level.READ).version_id
        )

    async def read(self, object_id: int, version_id: int, caller: Account) -> ObjectVersion:
        """Return a version; ``NotFound`` if there is none, ``AccessDenied`` without READ."""
        return await self._database.read(lambda connection: _read(connection, object_id, version_id, caller))

    async def versions(self, object_id: int, caller: Account) -> list[ObjectVersion]:
        """Return all versions of an object, the first one first."""
        return await self._database.read(lambda connection: _versions(connection, object_id, caller))

    async def bulk_read(self, wanted: Wanted, caller: Account) -> list[ObjectVersion]:
        """Return the current versions of the objects that are wanted and that the caller may read.

        ``Refused`` if ``action_id`` is no action's, or ``query`` no search.
        """
        # In a thread: the first search with units loads their definitions.
        found = await asyncio.to_thread(_condition, wanted, caller)
        return await self._database.read(lambda connection: _bulk_read(connection, wanted, found, caller))

    async def create(self, bodies: Sequence[Any], caller: Account) -> list[Made]:
        """Make an object of each body, or none of any; ``Refused`` names the rule that one breaks."""
        if len(bodies) > MOST_AT_ONCE:
            raise Refused(f"at most {MOST_AT_ONCE} objects can be created at once")
        checked = await self._database.read(lambda connection: _check_all(connection, bodies))
        return await self._database.write(lambda connection: _create(connection, bodies, checked, caller))

    async def update(self, object_id: int, body: Any, caller: Account, expected: int | None = None) -> Made:
        """Make the next version of an object.

        Raises:
            NotFound: no such object.
            AccessDenied: no WRITE permissions.
            NotCurrent: ``expected`` is not the current version.
            Refused: the body breaks a rule, or says another number than the next.
        """

        def check(connection: Connection) -> tuple[Current, Checked]:
            current = _demand_current(connection, object_id, caller)
            return current, check_next(connection, current, body, expected)

        seen = await self._database.read(check)
        return await self._database.write(lambda connection: _update(connection, seen, check, caller))

    async def related(self, object_id: int, caller: Account) -> tuple[list[int], list[int]]:
        """Return the readable objects that refer to an object, and those that it refers to; needs READ."""

        def work(connection: Connection) -> tuple[list[int], list[int]]:
            demand(connection, object_id, caller, Level.READ)
            referencing, referenced = references_of(connection, object_id)
            among = objects.c.id.in_({*referencing, *referenced}) & may_read(caller)
            readable = set(connection.execute(select(objects.c.id).where(among)).scalars())
            return [each for each in referencing if each in readable], [each for each in referenced if each in readable]

        return await self._database.read(work)

    async def referencing(self, object_ids: Sequence[int], caller: Account) -> dict[int, list[int]]:
        """Return which readable objects refer to each of some objects."""
        return await self._database.read(lambda connection: referencing(connection, object_ids, may_read(caller)))

    async def demand(self, object_id: int, caller: Account, level: Level) -> None:
        """Raise ``NotFound`` or ``AccessDenied`` unless the caller has a level on an object."""
        await self._database.read(lambda connection: demand(connection, object_id, caller, level))

    async def is_hidden(self, object_id: int, caller: Account) -> bool:
        """Return whether an object stands in no list."""
        found = await self._database.read(lambda connection: demand(connection, object_id, caller, Level.READ))
        return bool(found.is_hidden)

    async def hide(self, object_id: int, is_hidden: bool, caller: Account) -> None:
        """Take an object out of all lists, or back into them; needs GRANT, for it concerns everybody."""

        def work(connection: Connection) -> None:
            demand(connection, object_id, caller, Level.GRANT)
            connection.execute(update(objects).where(objects.c.id == object_id).values(is_hidden=is_hidden))

        await self._database.write(work)


def demand(connection: Connection, object_id: int, caller: Account, level: Level) -> Row[Any]:
    """Return an object's row; ``NotFound`` if there is none, ``AccessDenied`` if the caller's level is lower."""
    found = None
    if 0 < object_id <= LARGEST_ID:
        ids = {"object_id": object_id, "account_id": caller.id}
        found = connection.execute(_object(level), ids).one_or_none()
    if found is None:
        raise NotFound(f"object {object_id}")
    if not (caller.is_admin or found.is_held):
        raise AccessDenied(f"you do not have {level.name} permissions for object {object_id}")
    return found


def may_read(caller: Account) -> ColumnElement[bool]:
    """Return the condition that the caller may read the object of a row of the objects table."""
    return holds(RESOURCE, objects.c.id, caller, Level.READ)


def current_versions() -> Select[Any]:
    """Return the query of the current versions of all objects; its rows are for `as_version`."""
    is_current = (object_versions.c.object_id == objects.c.id) & (object_versions.c.version_id == objects.c.version_id)
    return _columns().join_from(objects, object_versions, is_current)


def all_versions() -> Select[Any]:
    """Return the query of all versions of all objects; its rows are for `as_version`."""
    return _columns().join_from(objects, object_versions, object_versions.c.object_id == objects.c.id)


def as_version(row: Row[Any]) -> ObjectVersion:
    """Return a row of `current_versions` or `all_versions`."""
    return ObjectVersion(
        row.object_id, row.version_id, row.action_id, row.schema, row.data, row.user_id, row.created_at
    )


def read_versions_after(connection: Connection, caller: Account, after: tuple[int, int], count: int) -> list[Row[Any]]:
    """Return the next versions that the caller may read, by object and number, also those of hidden objects.

    The rows are those of `as_version` with the action's ``name`` and ``type``, and the object's ``is_hidden`` and
    ``current_id``.
    """
    object_id, version_id = after
    is_next = or_(objects.c.id > object_id, object_versions.c.version_id > version_id)
    query = (
        all_versions()
        .join(actions, actions.c.id == objects.c.action_id)
        .add_columns(actions.c.name, actions.c.type, objects.c.is_hidden, objects.c.version_id.label("current_id"))
        .where(objects.c.id >= object_id, is_next, may_read(caller))
        .order_by(objects.c.id, object_versions.c.version_id)
    )
    return list(connection.execute(query.limit(count)))


# What decides who may read an object, and what about the answers of `bulk_read`.
GIVEN = tables_of(resources_of(literal(0), RESOURCE, Level.READ))
SEEN = (*tables_of(*map(select, (actions, objects, object_versions, object_properties, object_files))), *GIVEN)


def _columns() -> Select[Any]:
    # The text as it is stored: what is only passed on need not be parsed.
    table = object_versions.c
    schema, data = (type_coerce(column, Text).label(column.name) for column in (table.schema, table.data))
    return select(table.object_id, table.version_id, objects.c.action_id, schema, data, table.user_id, table.created_at)


# What is asked most is put together once.
@cache
def _object(level: Level) -> Select[Any]:
    is_held = held_by(bindparam("account_id"), RESOURCE, objects.c.id, level)
    return select(objects, is_held.label("is_held")).where(objects.c.id == bindparam("object_id"))


@cache
def _version() -> Select[Any]:
    is_it = (objects.c.id == bindparam("object_id")) & (object_versions.c.version_id == bindparam("version_id"))
    is_readable = held_by(bindparam("account_id"), RESOURCE, objects.c.id, Level.READ)
    return all_versions().add_columns(is_readable.label("is_readable")).where(is_it)


@cache
def _list(is_admin: bool, is_hidden: bool) -> Select[Any]:
    query = current_versions().where(objects.c.is_hidden.is_(is_hidden)).order_by(objects.c.id.desc())
    return query if is_admin else query.where(held_by(bindparam("account_id"), RESOURCE, objects.c.id, Level.READ))


@cache
def _contents() -> Select[Any]:
    is_it = object_versions.c.object_id == bindparam("object_id")
    is_it &= object_versions.c.version_id == bindparam("version_id")
    return select(object_versions.c.schema, type_coerce(object_versions.c.data, Text)).where(is_it)


@cache
def _schema() -> Select[Any]:
    return select(actions.c.schema).where(actions.c.id == bindparam("action_id"))


@cache
def _new_object() -> Any:
    return insert(objects).returning(objects.c.id)


@cache
def _new_version() -> Any:
    # JSON that is written already.
    texts = {name: bindparam(name, type_=Text) for name in ("schema", "data")}
    return insert(object_versions).values(texts)


@cache
def _next_version() -> Any:
    return update(objects).where(objects.c.id == bindparam("of_id")).values(version_id=bindparam("version_id"))


def _read(connection: Connection, object_id: int, version_id: int, caller: Account) -> ObjectVersion:
    ids = {"object_id": object_id, "version_id": version_id, "account_id": caller.id}
    is_possible = 0 < object_id <= LARGEST_ID and 0 <= version_id <= LARGEST_ID
    row = connection.execute(_version(), ids).one_or_none() if is_possible else None
    if row is None:
        raise NotFound(f"version {version_id} of object {object_id}")
    if not (caller.is_admin or row.is_readable):
        raise AccessDenied(f"you do not have READ permissions for object {object_id}")
    return as_version(row)


def _versions(connection: Connection, object_id: int, caller: Account) -> list[ObjectVersion]:
    demand(connection, object_id, caller, Level.READ)
    query = all_versions().where(objects.c.id == object_id).order_by(object_versions.c.version_id)
    return [as_version(row) for row in connection.execute(query)]


def _condition(wanted: Wanted, caller: Account) -> ColumnElement[bool]:
    if wanted.query is None:
        return true()
    try:
        return search(wanted.query, caller, is_simple=wanted.is_simple)
    except SearchInvalid as error:
        raise Refused(f"Error: {error}") from None


def _bulk_read(
    connection: Connection, wanted: Wanted, found: ColumnElement[bool], caller: Account
) -> list[ObjectVersion]:
    query = _list(caller.is_admin, wanted.is_hidden)
    if wanted.query is not None:
        query = query.where(found)
    if wanted.action_id is not None:
        has_id = actions.c.id == wanted.action_id
        if abs(wanted.action_id) > LARGEST_ID or not connection.execute(select(actions.c.id).where(has_id)).first():
            raise Refused("No action with the given action_id exists.")
        query = query.where(objects.c.action_id == wanted.action_id)
    if wanted.action_type is not None:
        of_type = select(actions.c.id).where(actions.c.type == wanted.action_type)
        query = query.where(objects.c.action_id.in_(of_type))
    page = query.limit(wanted.limit).offset(wanted.offset)
    return [as_version(row) for row in connection.execute(page, {"account_id": caller.id})]


def _check_all(connection: Connection, bodies: Sequence[Any]) -> list[Checked]:
    checked = []
    for number, body in enumerate(bodies):
        try:
            checked.append(check_new(connection, body))
        except Refused as refused:
            if len(bodies) == 1:
                raise
            paths = refused.paths and [[number, *path] for path in refused.paths]
            raise Refused(f"object {number}: {refused.message}", paths) from None
    return checked


def _create(connection: Connection, bodies: Sequence[Any], checked: list[Checked], caller: Account) -> list[Made]:
    if any(not _is_still_so(connection, each) for each in checked):
        checked = _check_all(connection, bodies)
    return [_create_one(connection, each, caller) for each in checked]


def _create_one(connection: Connection, checked: Checked, caller: Account) -> Made:
    values = {"action_id": checked.action_id, "version_id": 0, "is_hidden": False, "created_at": now()}
    object_id = connection.execute(_new_object(), values).scalar_one()
    give(connection, RESOURCE, object_id, Permission(Subject("account", caller.id), Level.GRANT))
    _store(connection, object_id, 0, checked, caller)
    note(connection, CREATED, object_id, caller, {})
    return Made(object_id, 0)


def _update(connection: Connection, seen: tuple[Current, Checked], check: Any, caller: Account) -> Made:
    current, checked = seen
    found = demand(connection, current.object_id, caller, Level.WRITE)
    # What a version holds never changes.
    if found.version_id != current.version_id or not _is_still_so(connection, checked):
        current, checked = check(connection)
    version_id = current.version_id + 1
    _store(connection, current.object_id, version_id, checked, caller)
    connection.execute(_next_version(), {"of_id": current.object_id, "version_id": version_id})
    note(connection, EDITED, current.object_id, caller, {"version_id": version_id})
    return Made(current.object_id, version_id)


def _demand_current(connection: Connection, object_id: int, caller: Account) -> Current:
    found = demand(connection, object_id, caller, Level.WRITE)
    schema, data = connection.execute(_contents(), {"object_id": object_id, "version_id": found.version_id}).one()
    return Current(object_id, found.version_id, found.action_id, schema, data)


def _is_still_so(connection: Connection, checked: Checked) -> bool:
    schema = connection.execute(_schema(), {"action_id": checked.action_id}).scalar_one()
    return bool(schema == checked.action_schema)


def _store(connection: Connection, object_id: int, version_id: int, checked: Checked, caller: Account) -> None:
    values = {
        "object_id": object_id,
        "version_id": version_id,
        "schema": checked.schema,
        "data": checked.data,
        "user_id": caller.id,
        "created_at": now(),
    }
    connection.execute(_new_version(), values)
    index(connection, object_id, checked.properties, is_new=version_id == 0)
