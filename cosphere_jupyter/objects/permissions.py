"""Who may do what with an object: the workspace's one rule, changed one subject at a time.

Levels of an object say which endpoints a subject may use: READ all that shows it, WRITE all that adds to it, GRANT its
permissions. Somebody always keeps GRANT, so that no object is left that nobody can share any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from ..accounts.service import Account, Group, group_ids, read_account
from ..database.engine import Database
from ..errors import NotFound
from ..json_values import LARGEST_ID
from ..permissions.service import EVERYONE, Level, Permission, Subject, permissions_on, replace_permissions
from .records import RESOURCE, Refused
from .service import demand

LAST_GRANT = "somebody must keep GRANT permissions for this object"
EVERYONE_READS = "everyone can be given READ permissions at most"

Given = dict[Subject, Level]


class ObjectPermissions:
    """Reads and changes the permissions on objects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, object_id: int, caller: Account) -> Given:
        """Return what is given on an object directly; needs READ."""

        def work(connection: Connection) -> Given:
            demand(connection, object_id, caller, Level.READ)
            return _given(connection, object_id)

        return await self._database.read(work)

    async def of(self, object_id: int, subject: Subject, caller: Account) -> Level:
        """Return what is given to one subject directly; ``NotFound`` if there is no such subject. Needs READ."""

        def work(connection: Connection) -> Level:
            demand(connection, object_id, caller, Level.READ)
            check_subject(connection, subject)
            return _given(connection, object_id).get(subject, Level.NONE)

        return await self._database.read(work)

    async def change(self, object_id: int, changes: Mapping[Subject, Level], caller: Account) -> Given:
        """Give subjects these levels and leave the others as they are; returns all that is given. Needs GRANT.

        ``NotFound`` names a subject that there is none of; ``Refused`` if nobody would be left with GRANT.
        """
        return await self._database.write(lambda connection: _change(connection, object_id, changes, caller, False))

    async def replace(self, object_id: int, wanted: Mapping[Subject, Level], caller: Account) -> Given:
        """Make ``wanted`` all that is given; as `change`."""
        return await self._database.write(lambda connection: _change(connection, object_id, wanted, caller, True))

    async def copy(self, pairs: Sequence[tuple[int, int]], caller: Account) -> list[Given]:
        """Give on the second object of each pair what is given on the first, and nothing else; all of it or nothing.

        Needs READ for the first and GRANT for the second. Returns what is given then, pair by pair.
        """

        def work(connection: Connection) -> list[Given]:
            return [_copy(connection, *pair, caller) for pair in pairs]

        return await self._database.write(work)


def including(given: Given, groups: Sequence[Group], admins: Sequence[Account]) -> Given:
    """Return what accounts may do with an object also through groups, and as ADMINs."""
    found = dict(given)
    through = [(account_id, given.get(Subject("group", each.id))) for each in groups for account_id in each.member_ids]
    for account_id, level in [*through, *((each.id, Level.GRANT) for each in admins)]:
        subject = Subject("account", account_id)
        if level is not None:
            found[subject] = max(level, found.get(subject, Level.NONE))
    return found


def check_subject(connection: Connection, subject: Subject) -> None:
    """Raise ``NotFound`` in the API's words unless the account or the group exists."""
    if subject.type == "account":
        try:
            read_account(connection, subject.id)
        except NotFound:
            raise NotFound(f"user {subject.id}") from None
    elif subject.type == "group" and (subject.id > LARGEST_ID or not group_ids(connection, {subject.id})):
        raise NotFound(f"group {subject.id}")


def _given(connection: Connection, object_id: int) -> Given:
    return {each.subject: each.level for each in permissions_on(connection, RESOURCE, object_id)}


def _copy(connection: Connection, source_id: int, target_id: int, caller: Account) -> Given:
    demand(connection, source_id, caller, Level.READ)
    return _change(connection, target_id, _given(connection, source_id), caller, is_all=True)


def _change(
    connection: Connection, object_id: int, changes: Mapping[Subject, Level], caller: Account, is_all: bool
) -> Given:
    demand(connection, object_id, caller, Level.GRANT)
    for subject in changes:
        check_subject(connection, subject)
    if changes.get(EVERYONE, Level.NONE) > Level.READ:
        raise Refused(EVERYONE_READS)
    given = dict(changes) if is_all else {**_given(connection, object_id), **changes}
    if Level.GRANT not in given.values():
        raise Refused(LAST_GRANT)
    kept: Given = {subject: level for subject, level in given.items() if level is not Level.NONE}
    replace_permissions(connection, RESOURCE, object_id, [Permission(*each) for each in kept.items()])
    return kept
