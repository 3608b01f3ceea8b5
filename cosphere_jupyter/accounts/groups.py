"""Groups: accounts that are given permissions together. Who made one owns it, and it has admins and members.

They are the same groups for every face. The group ``public`` is everyone, also who is not known: it is not stored, and
nobody can change it. The owner of a group is one of its admins for ever.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from ..database.engine import Database
from ..database.schema import now
from ..errors import AccessDenied
from .problems import Missing, NameTaken, Refused
from .profiles import Profile, account_named, is_name, read_profiles
from .service import EVERYONE, Account, Subject
from .tables import group_members, groups

PUBLIC_GROUP_UUID = f"0x{hashlib.sha256(b'cosphere: everyone').hexdigest()[:32]}"
NAMES = "Names must match ^[a-zA-Z_][a-zA-Z0-9_.\\-]*$, was {}"
_UUID_OR_PREFIX = re.compile(r"0x[0-9a-f]{1,32}")


@dataclass(frozen=True)
class Group:
    """A group; ``admin_ids`` and ``member_ids`` are accounts, the owner in neither."""

    id: int
    uuid: str
    name: str
    owner_id: int | None = None
    admin_ids: tuple[int, ...] = ()
    member_ids: tuple[int, ...] = ()

    @property
    def is_user_defined(self) -> bool:
        """Whether somebody has made it: all are but ``public``."""
        return self.uuid != PUBLIC_GROUP_UUID

    @property
    def people(self) -> set[int]:
        """Every account that belongs to it."""
        return {*self.admin_ids, *self.member_ids, *([] if self.owner_id is None else [self.owner_id])}


PUBLIC = Group(0, PUBLIC_GROUP_UUID, "public")

Found = tuple[list[Group], dict[int, Profile]]


# -- for other features, inside their transactions -------------------------------------------------------------------


def find_group(connection: Connection, spec: str, account: Account | None) -> Group:
    """Return the group of a name, a uuid or the beginning of one, among those that the caller knows of.

    These are the caller's own and ``public``, for an ADMIN all. ``Missing`` if there is none, ``Refused`` if
    there are several.
    """
    by_uuid = _UUID_OR_PREFIX.fullmatch(spec) is not None
    fits = groups.c.uuid.startswith(spec) if by_uuid else groups.c.name == spec
    found = _read(connection, fits & _known_to(account))
    if PUBLIC.uuid.startswith(spec) if by_uuid else spec == PUBLIC.name:
        found.append(PUBLIC)
    how = f"uuid starting with '{spec}'" if by_uuid else f"name '{spec}'"
    if not found:
        raise Missing("group", f"Found no group with {how}")
    if len(found) > 1:
        raise Refused(f"Found multiple groups with {how}")
    return found[0]


def read_group(connection: Connection, uuid: str) -> Group | None:
    """Return the group of a uuid, whoever asks."""
    if uuid == PUBLIC.uuid:
        return PUBLIC
    return next(iter(_read(connection, groups.c.uuid == uuid)), None)


def subject_of_group(connection: Connection, uuid: str) -> Subject | None:
    """Return whom a permission of the group with this uuid is given to; None if there is no such group."""
    if uuid == PUBLIC.uuid:
        return EVERYONE
    found = connection.execute(select(groups.c.id).where(groups.c.uuid == uuid)).scalar_one_or_none()
    return None if found is None else Subject("group", found)


def group_of_subject(connection: Connection, subject: Subject) -> Group | None:
    """Return the group that a permission is given to; None if it is given to an account."""
    if subject == EVERYONE:
        return PUBLIC
    if subject.type != "group":
        return None
    return next(iter(_read(connection, groups.c.id == subject.id)), None)


def groups_of_subjects(connection: Connection, subjects: Sequence[Subject]) -> dict[Subject, Group]:
    """Return the groups of those of the subjects that are groups, in one query."""
    ids = {each.id for each in subjects if each.type == "group"}
    read = _read(connection, groups.c.id.in_(ids)) if ids else []
    found = {Subject("group", group.id): group for group in read}
    return {**found, EVERYONE: PUBLIC} if EVERYONE in subjects else found


# -- for the face ----------------------------------------------------------------------------------------------------


class Groups:
    """All that is done with groups."""

    def __init__(self, database: Database, forget: Callable[[Connection, Subject, Subject | None], None]) -> None:
        """``forget`` takes all permissions of a subject back, in the transaction that deletes it.

        What nobody else could share any more it gives to a second subject.
        """
        self._database = database
        self._forget = forget

    async def bulk_read(self, account: Account) -> Found:
        """Return the groups that the caller knows of, ``public`` first, and the profiles of who belongs to them."""
        return await self._database.read(
            lambda connection: _with_people(connection, [PUBLIC, *_mine(connection, account)])
        )

    async def read(self, account: Account, spec: str) -> Found:
        """Return the one group of a spec."""
        return await self._database.read(
            lambda connection: _with_people(connection, [find_group(connection, spec, account)])
        )

    async def create(self, account: Account, names: Sequence[str]) -> Found:
        """Make groups that the caller owns; ``NameTaken`` if there is one of a name already."""
        return await self._database.write(
            lambda connection: _with_people(connection, [_create(connection, account, name) for name in names])
        )

    async def delete(self, account: Account, specs: Sequence[str]) -> None:
        """Delete groups, and what was given to them."""
        await self._database.write(lambda connection: self._delete(connection, account, specs))

    async def add(self, account: Account, spec: str, users: Sequence[str], *, is_admin: bool) -> list[Profile]:
        """Make users members or admins of a group, whatever they were before; return them."""
        return await self._database.write(lambda connection: _add(connection, account, spec, users, is_admin))

    async def remove(self, account: Account, spec: str, users: Sequence[str]) -> None:
        """Let users no longer belong to a group."""
        await self._database.write(lambda connection: _remove(connection, account, spec, users))

    def _delete(self, connection: Connection, account: Account, specs: Sequence[str]) -> None:
        for spec in specs:
            group = _find_to_change(connection, spec, account)
            heir = None if group.owner_id is None else Subject("account", group.owner_id)
            self._forget(connection, Subject("group", group.id), heir)
            connection.execute(delete(groups).where(groups.c.id == group.id))


def _known_to(account: Account | None) -> ColumnElement[bool]:
    if account is None:
        return groups.c.id.is_(None)
    if account.is_admin:
        return groups.c.id.is_not(None)
    is_in = select(group_members.c.group_id).where(group_members.c.account_id == account.id)
    return or_(groups.c.owner_id == account.id, groups.c.id.in_(is_in))


def _read(connection: Connection, condition: ColumnElement[bool]) -> list[Group]:
    """Return the stored groups for which a condition holds, by id, with two queries."""
    rows = connection.execute(select(groups).where(condition).order_by(groups.c.id)).all()
    if not rows:
        return []
    # Not by the list of ids, which may be longer than a query can be.
    belongs = select(group_members).join(groups, groups.c.id == group_members.c.group_id).where(condition)
    members: dict[tuple[int, bool], list[int]] = {}
    owners = {row.id: row.owner_id for row in rows}
    for row in connection.execute(belongs.order_by(group_members.c.account_id)):
        if row.account_id != owners.get(row.group_id):
            members.setdefault((row.group_id, row.is_admin), []).append(row.account_id)
    return [
        Group(
            row.id,
            row.uuid,
            row.name,
            row.owner_id,
            tuple(members.get((row.id, True), ())),
            tuple(members.get((row.id, False), ())),
        )
        for row in rows
    ]


def _mine(connection: Connection, account: Account) -> list[Group]:
    return _read(connection, _known_to(account))


def _with_people(connection: Connection, found: list[Group]) -> Found:
    return found, read_profiles(connection, {each for group in found for each in group.people})


def _create(connection: Connection, account: Account, name: str) -> Group:
    if not is_name(name):
        raise Refused(NAMES.format(name))
    if name == PUBLIC.name or connection.execute(select(groups.c.id).where(groups.c.name == name)).first():
        raise NameTaken(f"Group with name {name} already exists")
    made = insert(groups).values(name=name, owner_id=account.id, created_at=now()).returning(groups.c.id)
    group_id = connection.execute(made).scalar_one()
    # Also a member: what is given to the group is given to its owner.
    connection.execute(insert(group_members).values(group_id=group_id, account_id=account.id, is_admin=True))
    return _read(connection, groups.c.id == group_id)[0]


def _find_to_change(connection: Connection, spec: str, account: Account) -> Group:
    group = find_group(connection, spec, account)
    if not group.is_user_defined:
        raise AccessDenied(f"Cannot modify the public group {group.name}.")
    if not account.is_admin and account.id != group.owner_id and account.id not in group.admin_ids:
        raise AccessDenied(f"You are not the admin of group {group.name}.")
    return group


def _users(connection: Connection, users: Sequence[str]) -> list[int]:
    found = []
    for user in users:
        account_id = account_named(connection, user)
        if account_id is None:
            raise Missing("user", f"User {user} not found")
        found.append(account_id)
    return found


def _add(connection: Connection, account: Account, spec: str, users: Sequence[str], is_admin: bool) -> list[Profile]:
    group = _find_to_change(connection, spec, account)
    found = _users(connection, users)
    for account_id in found:
        if account_id == group.owner_id:
            _refuse_owner(is_admin)
            continue
        is_row = (group_members.c.group_id == group.id) & (group_members.c.account_id == account_id)
        if not connection.execute(update(group_members).where(is_row).values(is_admin=is_admin)).rowcount:
            values = {"group_id": group.id, "account_id": account_id, "is_admin": is_admin}
            connection.execute(insert(group_members).values(values))
    profiles = read_profiles(connection, found)
    return [profiles[each] for each in found]


def _remove(connection: Connection, account: Account, spec: str, users: Sequence[str]) -> None:
    group = _find_to_change(connection, spec, account)
    found = _users(connection, users)
    if group.owner_id in found:
        _refuse_owner(False)
    is_row = (group_members.c.group_id == group.id) & group_members.c.account_id.in_(found)
    connection.execute(delete(group_members).where(is_row))


def _refuse_owner(stays_admin: bool) -> None:
    if not stays_admin:
        raise Refused("Cannot relegate the group owner into non-admin status")
