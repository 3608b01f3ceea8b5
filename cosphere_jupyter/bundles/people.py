"""Users as the CodaLab API knows them: an account, what it tells of itself, and what its bundles use.

Source: the CodaLab REST API's semantics, section 5. Its root is whoever is of type ADMIN here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ..accounts.profiles import ROOT_ACCOUNT, Profile, account_named, change_profile, is_name, read_profiles
from ..accounts.service import Account, Accounts, accounts_by_id
from ..database.engine import Database
from ..errors import AccessDenied
from .problems import Missing, Refused
from .tables import bundle_usage, bundles, worksheets
from .usage import Usage

# Clients divide by quotas: where there is no limit, one that nobody reaches stands for it.
# 512 t: the command line shows nothing of a thousand and more.
ENDLESS_DISK = 2**49
ENDLESS_TIME = 100 * 365 * 86400
ENDLESS_RUNS = 1000
LARGEST_NUMBER = 2**53 - 1

TEXTS = {"first_name": 256, "last_name": 256, "affiliation": 256, "url": 1024}
NUMBERS = ("time_quota", "parallel_run_quota", "disk_quota")
# What nobody changes, in the order in which it is told; quotas are an ADMIN's to change.
FIXED = (
    "email",
    "date_joined",
    "has_access",
    "time_used",
    "disk_used",
    "last_login",
    "is_root_user",
    "protected_mode",
    "avatar_id",
)


@dataclass(frozen=True)
class User:
    """All that is known of a user. Quotas and what is used: bytes, seconds, and runs at once."""

    account: Account
    profile: Profile
    usage: Usage

    @property
    def disk_quota(self) -> int:
        """How many bytes the user may store; never 0."""
        return ENDLESS_DISK if self.account.disk_quota is None else max(1, self.account.disk_quota)

    @property
    def time_quota(self) -> int:
        """How many seconds the user's runs may take; never 0."""
        return ENDLESS_TIME if self.usage.time_quota is None else max(1, math.ceil(self.usage.time_quota))

    @property
    def parallel_run_quota(self) -> int:
        """How many runs the user may have at once; never 0."""
        quota = self.usage.parallel_run_quota
        return ENDLESS_RUNS if quota is None else max(1, quota)


class Users:
    """All that is done with users."""

    def __init__(self, database: Database, accounts: Accounts) -> None:
        """``accounts`` are what users are in every other face."""
        self._database = database
        self._accounts = accounts

    async def read(self, account_id: int) -> User:
        """Return the user of an account."""
        return await self._database.read(lambda connection: _read(connection, [account_id])[0])

    async def find(self, spec: str, caller: Account | None) -> User:
        """Return the user of a user name or id, or raise ``Missing``; who is disabled is there for ADMINs only."""

        def work(connection: Connection) -> User:
            found = _read(connection, [_account_id(connection, spec)])[0]
            if not found.account.is_active and not (caller and caller.is_admin):
                raise Missing(f"User {spec} not found")
            return found

        return await self._database.read(work)

    async def search(self, keywords: Sequence[str]) -> list[User] | float | str:
        """Return the users that keywords find, or the number that they ask for."""
        from .user_search import search

        return await self._database.read(lambda connection: search(_read(connection, None), keywords))

    async def update(self, changes: Sequence[tuple[str, Mapping[str, Any]]], *, by_admin: bool) -> list[User]:
        """Change users, each named by its id or name, all or none; an ADMIN may change quotas, too."""
        checked = [(spec, _checked(attributes, by_admin)) for spec, attributes in changes]

        def work(connection: Connection) -> list[int]:
            ids = [_account_id(connection, spec) for spec, _ in checked]
            for account_id, (_, values) in zip(ids, checked, strict=True):
                _change(connection, account_id, values)
            return ids

        ids = await self._database.write(work)
        for account_id, (_, values) in zip(ids, checked, strict=True):
            if "disk_quota" in values:
                await self._accounts.update(account_id, {"disk_quota": values["disk_quota"]})
        return await self._database.read(lambda connection: _read(connection, ids))

    async def delete(self, caller: Account, specs: Sequence[str]) -> None:
        """Disable the accounts of users who own nothing here: what they did elsewhere keeps its author.

        Others than ADMINs can only go themselves.
        """

        def work(connection: Connection) -> list[int]:
            ids = [_account_id(connection, spec) for spec in specs]
            if not caller.is_admin and set(ids) != {caller.id}:
                raise AccessDenied("As a non-root user, you can only delete your own account.")
            for account_id in ids:
                _demand_deletable(connection, account_id)
            return ids

        for account_id in await self._database.read(work):
            await self._accounts.update(account_id, {"is_active": False})


def read_user(connection: Connection, account_id: int) -> User:
    """Return the user of an account that exists."""
    return _read(connection, [account_id])[0]


def _account_id(connection: Connection, spec: str) -> int:
    account_id = account_named(connection, spec)
    if account_id is None:
        raise Missing(f"User {spec} not found")
    return account_id


def _read(connection: Connection, ids: Sequence[int] | None) -> list[User]:
    """Return users in the order of the accounts' ids as given; of all accounts, if none are."""
    used = select(bundle_usage) if ids is None else select(bundle_usage).where(bundle_usage.c.account_id.in_(ids))
    usages = {
        row.account_id: Usage(row.disk_used, row.time_used, row.time_quota, row.parallel_run_quota)
        for row in connection.execute(used)
    }
    profiles = read_profiles(connection, ids)
    accounts = accounts_by_id(connection, None if ids is None else set(ids))
    wanted = sorted(accounts) if ids is None else ids
    return [User(accounts[each], profiles[each], usages.get(each, Usage())) for each in wanted]


def _checked(attributes: Mapping[str, Any], by_admin: bool) -> dict[str, Any]:
    """Return the changes that attributes ask for; what there is no such attribute of is left out."""
    fixed = [name for name in (*FIXED, *(() if by_admin else NUMBERS)) if name in attributes]
    if fixed:
        raise AccessDenied(f"These fields are read-only: {', '.join(fixed)}")
    checked: dict[str, Any] = {}
    for name, longest in TEXTS.items():
        if name in attributes:
            checked[name] = _text(name, attributes[name], longest)
    url = checked.get("url")
    if url and not url.lower().startswith(("http://", "https://")):
        raise Refused("url: Not a valid URL.")
    if "user_name" in attributes:
        if not isinstance(attributes["user_name"], str) or not is_name(attributes["user_name"]):
            raise Refused("User name characters must be alphanumeric, underscores, periods, or dashes.")
        checked["user_name"] = attributes["user_name"]
    for name in ("notifications", *NUMBERS):
        if name in attributes:
            checked[name] = _number(name, attributes[name], least=0 if name == "notifications" else 1)
    return checked


def _text(name: str, value: Any, longest: int) -> str | None:
    if value is not None and (not isinstance(value, str) or len(value) > longest):
        raise Refused(f"{name}: Not a valid string of at most {longest} characters.")
    return value


def _number(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= LARGEST_NUMBER:
        raise Refused(f"{name}: Not a valid number.")
    return int(value)


def _change(connection: Connection, account_id: int, values: Mapping[str, Any]) -> None:
    told = {name: value for name, value in values.items() if name not in NUMBERS}
    if "user_name" in told and account_named(connection, told["user_name"]) not in (None, account_id):
        raise Refused(f"User name {told['user_name']} is already taken.")
    if told:
        change_profile(connection, account_id, told)
    quotas = {name: values[name] for name in ("time_quota", "parallel_run_quota") if name in values}
    is_it = bundle_usage.c.account_id == account_id
    if quotas and not connection.execute(update(bundle_usage).where(is_it).values(quotas)).rowcount:
        connection.execute(insert(bundle_usage).values(account_id=account_id, disk_used=0, time_used=0.0, **quotas))


def _demand_deletable(connection: Connection, account_id: int) -> None:
    if account_id == ROOT_ACCOUNT:
        raise AccessDenied("Cannot delete root user.")
    name = read_profiles(connection, [account_id])[account_id].user_name
    owned = [
        f"User {name} owns {what}, can't delete user."
        for what, table in (("bundles", bundles), ("worksheets", worksheets))
        if connection.execute(select(table.c.id).where(table.c.owner_id == account_id).limit(1)).first()
    ]
    if owned:
        raise Missing("\n".join(owned))
