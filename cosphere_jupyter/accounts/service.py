"""The rules of accounts: who there is, what they may be changed to, and whom a token speaks for."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..database.engine import Database
from ..database.schema import now
from ..errors import Conflict, FieldsInvalid, NotFound, Unauthenticated
from ..json_values import LARGEST_ID
from .known import KnownCallers
from .passwords import Passwords
from .profiles import insert_profile
from .tables import accounts, auth_requests, group_members, groups, identities
from .tokens import Claims, TokenSigner

TYPES = ("RESEARCHER", "ADMIN")
OWNER = ("jupyter", "owner")
_THE_OWNER = "\0owner"
EMAIL_TAKEN = "account with this email already exists."
_EMAIL = re.compile(r"[^\s@\"(),:;<>\[\\\]\x00-\x1f]+@(localhost|[\w-]+(\.[\w-]+)+)")


@dataclass(frozen=True)
class Account:
    """Somebody who may use the workspace. ``disk_quota`` in bytes (None: no limit of their own)."""

    id: int
    email: str
    name: str
    type: str
    disk_quota: int | None
    is_active: bool
    epoch: int

    @property
    def is_admin(self) -> bool:
        """Whether the account is of type ADMIN."""
        return self.type == "ADMIN"


@dataclass(frozen=True)
class Subject:
    """Whom a permission is given to: an account, a group or everyone; ``id`` is 0 for everyone."""

    type: str
    id: int = 0


EVERYONE = Subject("everyone")


@dataclass(frozen=True)
class Group:
    """Accounts that are given permissions together."""

    id: int
    name: str
    member_ids: tuple[int, ...]


def is_email(text: str) -> bool:
    """Whether ``text`` looks like an e-mail address of at most 254 characters."""
    return len(text) <= 254 and _EMAIL.fullmatch(text) is not None


def as_account(row: Row[Any]) -> Account:
    """Return a row of the accounts table as what the other rooms know."""
    return Account(row.id, row.email, row.name, row.type, row.disk_quota, row.is_active, row.epoch)


class Accounts:
    """All that is done with accounts, for every face and the command line."""

    def __init__(
        self,
        database: Database,
        signer: TokenSigner,
        passwords: Passwords,
        on_change: Callable[[Account], Awaitable[None]],
    ) -> None:
        """``on_change`` is awaited after an account was changed."""
        self._database = database
        self._signer = signer
        self._passwords = passwords
        self._on_change = on_change
        self._known: KnownCallers[Account] = KnownCallers()

    async def create(
        self,
        email: str,
        name: str = "",
        type: str = "RESEARCHER",
        password: str | None = None,
        disk_quota: int | None = None,
    ) -> Account:
        """Make an account; ``FieldsInvalid`` if the e-mail address is taken or wrong, or the password too weak."""
        if not is_email(email):
            raise FieldsInvalid({"email": ["Enter a valid email address."]})
        values = {
            "email": email,
            "name": name,
            "type": type,
            "password_hash": None if password is None else await self._passwords.hash(password),
            "disk_quota": disk_quota,
        }
        try:
            return await self._database.write(lambda connection: insert_account(connection, **values))
        except IntegrityError:
            raise FieldsInvalid({"email": [EMAIL_TAKEN]}) from None

    async def bulk_read(self, limit: int | None = None, offset: int = 0) -> list[Account]:
        """Return the accounts by id."""
        query = select(accounts).order_by(accounts.c.id).limit(limit).offset(offset)
        return await self._database.read(lambda connection: [as_account(row) for row in connection.execute(query)])

    async def read(self, account_id: int) -> Account:
        """Return one account or raise ``NotFound``."""
        return await self._database.read(lambda connection: read_account(connection, account_id))

    async def find(self, email: str) -> Account:
        """Return the account with exactly this e-mail address or raise ``NotFound``."""
        row = await self._database.read(
            lambda connection: connection.execute(select(accounts).where(accounts.c.email == email)).one_or_none()
        )
        if row is None:
            raise NotFound("account")
        return as_account(row)

    async def update(self, account_id: int, changes: dict[str, Any]) -> Account:
        """Change name, type, password, disk_quota or is_active.

        What the old rights were proved with ends at once: a new password or type raises the epoch, and with it
        every token made before is void. The last active ADMIN stays one (``Conflict``).
        """
        values = dict(changes)
        if (password := values.pop("password", None)) is not None:
            values["password_hash"] = await self._passwords.hash(password)
        account = await self._database.write(lambda connection: _update_account(connection, account_id, values))
        self._known.forget()
        await self._on_change(account)
        return account

    async def issue_token(self, account_id: int) -> str:
        """Return a new JWT for an active account."""
        account = await self.read(account_id)
        if not account.is_active:
            raise Conflict("ACCOUNT_IS_DISABLED")
        return self._signer.sign(Claims(account.id, account.email, account.type, account.epoch))

    async def authenticate(self, token: str) -> Account:
        """Return the account that a JWT speaks for, or raise ``Unauthenticated``.

        As in the CoSphere API the account must still have the very id, e-mail address and type of the token.
        """
        if remembered := self._known.find(token):
            return remembered
        generation = self._known.generation
        claims = self._signer.verify(token)
        try:
            account = await self.read(claims.account_id)
        except NotFound:
            raise Unauthenticated("AUTH_TOKEN_MISSING_ACCOUNT") from None
        known = Claims(account.id, account.email, account.type, account.epoch)
        if claims != known or not account.is_active:
            raise Unauthenticated("AUTH_TOKEN_MISSING_ACCOUNT")
        self._known.remember(token, account, generation)
        return account

    async def owner(self) -> Account:
        """Return the ADMIN account of a personal server's owner, made the first time it is asked for."""
        if remembered := self._known.find(_THE_OWNER):
            return remembered
        generation = self._known.generation
        found = await self._database.read(_find_owner)
        owner = await self._database.write(_create_owner) if found is None else found
        self._known.remember(_THE_OWNER, owner, generation)
        return owner

    async def groups(self) -> list[Group]:
        """Return the groups by id."""
        return await self._database.read(_groups)

    def close(self) -> None:
        """Let the password thread go."""
        self._passwords.close()


def read_account(connection: Connection, account_id: int) -> Account:
    """Return one account or raise ``NotFound``."""
    query = select(accounts).where(accounts.c.id == account_id)
    row = connection.execute(query).one_or_none() if abs(account_id) <= LARGEST_ID else None
    if row is None:
        raise NotFound("account")
    return as_account(row)


def accounts_by_id(connection: Connection, ids: set[int | None] | set[int] | None) -> dict[int, Account]:
    """Return the accounts with these ids (those that exist), for what refers to them; all accounts, if it is None."""
    query = select(accounts)
    if ids is not None:
        wanted = [account_id for account_id in ids if account_id is not None]
        if not wanted:
            return {}
        query = query.where(accounts.c.id.in_(wanted))
    return {row.id: as_account(row) for row in connection.execute(query)}


def group_ids(connection: Connection, ids: set[int]) -> set[int]:
    """Return those of the ids that a group has."""
    return set(connection.execute(select(groups.c.id).where(groups.c.id.in_(ids))).scalars()) if ids else set()


def groups_of(account_id: ColumnElement[int]) -> Select[tuple[int]]:
    """Return the query of the ids of the groups that an account is a member of."""
    return select(group_members.c.group_id).where(group_members.c.account_id == account_id)


def insert_account(connection: Connection, **values: Any) -> Account:
    """Insert an account and its profile inside the caller's transaction."""
    moment = now()
    defaults = {"name": "", "is_active": True, "epoch": 0, "created_at": moment, "updated_at": moment}
    statement = insert(accounts).values({**defaults, **values}).returning(accounts.c.id)
    account = read_account(connection, connection.execute(statement).scalar_one())
    insert_profile(connection, account.id, account.name, account.email)
    return account


def _update_account(connection: Connection, account_id: int, values: dict[str, Any]) -> Account:
    before = read_account(connection, account_id)
    kind, active = values.get("type", before.type), values.get("is_active", before.is_active)
    if before.is_admin and before.is_active and (kind != "ADMIN" or not active):
        others = select(func.count()).where(
            accounts.c.type == "ADMIN", accounts.c.is_active.is_(True), accounts.c.id != account_id
        )
        if not connection.execute(others).scalar_one():
            raise Conflict("LAST_ADMIN_DETECTED")
    voids = kind != before.type or active != before.is_active or "password_hash" in values
    if voids:
        # Also a sign-in that has not fetched its token yet.
        connection.execute(delete(auth_requests).where(auth_requests.c.account_id == account_id))
    changed = {**values, "epoch": before.epoch + voids, "updated_at": now()}
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(changed))
    return read_account(connection, account_id)


def _groups(connection: Connection) -> list[Group]:
    members: dict[int, list[int]] = {}
    for row in connection.execute(select(group_members).order_by(group_members.c.account_id)):
        members.setdefault(row.group_id, []).append(row.account_id)
    found = connection.execute(select(groups).order_by(groups.c.id))
    return [Group(row.id, row.name, tuple(members.get(row.id, ()))) for row in found]


def _find_owner(connection: Connection) -> Account | None:
    issuer, subject = OWNER
    query = (
        select(accounts)
        .join(identities, identities.c.account_id == accounts.c.id)
        .where(identities.c.issuer == issuer, identities.c.subject == subject)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else as_account(row)


def _create_owner(connection: Connection) -> Account:
    if found := _find_owner(connection):
        return found
    account = None
    for email in _owner_emails():
        if not connection.execute(select(accounts.c.id).where(accounts.c.email == email)).first():
            account = insert_account(connection, email=email, name=email.split("@")[0], type="ADMIN")
            break
    if account is None:
        raise Conflict("OWNER_EMAIL_IS_TAKEN")
    issuer, subject = OWNER
    connection.execute(
        insert(identities).values(issuer=issuer, subject=subject, account_id=account.id, created_at=now())
    )
    return account


def _owner_emails() -> list[str]:
    """Addresses for the owner's account: somebody may have made an account with the first by hand."""
    try:
        user = re.sub(r"[^\w.+-]", "-", getpass.getuser()) or "owner"
    except (KeyError, OSError, ImportError):
        user = "owner"
    host = re.sub(r"[^\w.-]", "-", socket.gethostname())
    return [f"{user}@localhost", f"{user}@{host}.localhost", "owner@jupyter.localhost"]
