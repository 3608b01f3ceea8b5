"""What an account tells of itself in the CodaLab API: a name of few letters, first and last name, where it works.

Every account has a profile: it is made in the transaction that makes the account. Its user name is one word, unique,
and may stand wherever the API takes a user (``user:…``, the password grant, Basic authentication).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from ..database.engine import Database
from ..json_values import LARGEST_ID
from .tables import accounts, profiles

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.\-]*")
LONGEST_NAME = 256
# The first account of a workspace, which is its owner's: the API calls it root.
ROOT_ACCOUNT = 1
ROOT_USER_ID = "0"
_USER_ID = re.compile(r"0x[0-9a-f]{32}")
_MOST_IN_ONE_QUERY = 5000


@dataclass(frozen=True)
class Profile:
    """What is told of an account; ``joined_at`` and ``last_login_at`` in UTC."""

    account_id: int
    user_name: str
    first_name: str | None
    last_name: str | None
    affiliation: str | None
    url: str | None
    notifications: int
    last_login_at: datetime | None
    joined_at: datetime

    @property
    def user_id(self) -> str:
        """The id of the account in the CodaLab API."""
        return user_id_of(self.account_id)


def user_id_of(account_id: int) -> str:
    """Return the id that the CodaLab API has for an account: ``"0"`` for the first, else ``0x`` and 32 digits."""
    return ROOT_USER_ID if account_id == ROOT_ACCOUNT else f"0x{account_id:032x}"


def account_id_of(user_id: str) -> int | None:
    """Return the id of the account that a user id stands for, be there such an account or not; None if it is none."""
    if user_id == ROOT_USER_ID:
        return ROOT_ACCOUNT
    number = int(user_id, 16) if _USER_ID.fullmatch(user_id) else 0
    return number if ROOT_ACCOUNT < number <= LARGEST_ID else None


def is_name(text: str) -> bool:
    """Whether ``text`` may be the name of a user, a group, a worksheet or a bundle."""
    return len(text) <= LONGEST_NAME and NAME.fullmatch(text) is not None


def read_profiles(connection: Connection, account_ids: Iterable[int] | None) -> dict[int, Profile]:
    """Return the profiles of those of the accounts that exist, by account; of all accounts, if none are given."""
    if account_ids is None:
        return {row.id: _as_profile(row) for row in connection.execute(_query())}
    wanted = sorted(set(account_ids))
    found: dict[int, Profile] = {}
    for start in range(0, len(wanted), _MOST_IN_ONE_QUERY):
        part = wanted[start : start + _MOST_IN_ONE_QUERY]
        found |= {row.id: _as_profile(row) for row in connection.execute(_query().where(accounts.c.id.in_(part)))}
    return found


def change_profile(connection: Connection, account_id: int, values: Mapping[str, Any]) -> None:
    """Change columns of a profile inside the caller's transaction."""
    connection.execute(update(profiles).where(profiles.c.account_id == account_id).values(**values))


def account_named(connection: Connection, name_or_user_id: str) -> int | None:
    """Return the id of the account with this user name or user id, None if there is none."""
    account_id = account_id_of(name_or_user_id)
    column = profiles.c.user_name == name_or_user_id if account_id is None else accounts.c.id == account_id
    found = select(accounts.c.id).outerjoin(profiles, profiles.c.account_id == accounts.c.id).where(column)
    return connection.execute(found).scalar_one_or_none()


def _query() -> Select[Any]:
    """Return the query of all profiles, with ``id`` of the account."""
    return select(accounts.c.id, accounts.c.email, accounts.c.created_at, *(column for column in profiles.c)).outerjoin(
        profiles, profiles.c.account_id == accounts.c.id
    )


def _as_profile(row: Row[Any]) -> Profile:
    """Return a row of `_query` as a profile."""
    return Profile(
        row.id,
        # An account that something else than the rules has made has none.
        row.user_name or f"user-{row.id}",
        row.first_name,
        row.last_name,
        row.affiliation,
        row.url,
        row.notifications or 0,
        row.last_login_at,
        row.created_at,
    )


def insert_profile(connection: Connection, account_id: int, name: str, email: str) -> None:
    """Make the profile of a new account inside the transaction that makes the account."""
    user_name = _free_name(connection, account_id, name, email)
    connection.execute(insert(profiles).values(account_id=account_id, user_name=user_name, notifications=0))


async def make_missing_profiles(database: Database) -> None:
    """Make the profiles of accounts that are older than profiles."""
    if await database.read(lambda connection: connection.execute(_without_profile().limit(1)).first()):
        await database.write(_make_missing)


def _make_missing(connection: Connection) -> None:
    for row in connection.execute(_without_profile()).all():
        insert_profile(connection, row.id, row.name, row.email)


def _without_profile() -> Select[Any]:
    has_none = ~select(profiles.c.account_id).where(profiles.c.account_id == accounts.c.id).exists()
    return select(accounts.c.id, accounts.c.name, accounts.c.email).where(has_none).order_by(accounts.c.id)


def _free_name(connection: Connection, account_id: int, name: str, email: str) -> str:
    """Return the account's name if it is one word, else the e-mail's part before the @; with a number if taken."""
    local = re.sub(r"[^a-zA-Z0-9_.\-]+", "-", email.partition("@")[0])[: LONGEST_NAME - 32]
    local = local if is_name(local) else f"_{local}"
    first = name if is_name(name) else local
    number = account_id
    for candidate in (first, local, f"{local}-{account_id}"):
        if not _is_taken(connection, candidate):
            return candidate
    while _is_taken(connection, f"{local}-{account_id}-{number}"):
        number += 1
    return f"{local}-{account_id}-{number}"


def _is_taken(connection: Connection, user_name: str) -> bool:
    return (
        connection.execute(select(profiles.c.account_id).where(profiles.c.user_name == user_name)).first() is not None
    )
