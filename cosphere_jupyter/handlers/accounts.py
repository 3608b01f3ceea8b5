"""Accounts over HTTP: who am I, and for ADMINs what ``jupyter cosphere account`` does.

These commands are ours, in the CoSphere API's envelope; the API's own four sign-in commands come beside them.
"""

from __future__ import annotations

from typing import Any

from ..accounts.service import TYPES, Account
from .cosphere import CosphereHandler, account_entity
from .fields import Boolean, Choice, Email, Field, Integer, Password, Text

LARGEST_QUOTA = 2**62

_CHANGEABLE: dict[str, Field] = {
    "name": Text(256, blank=True, required=False),
    "type": Choice(TYPES, required=False),
    "password": Password(1024, required=False),
    "disk_quota": Integer(0, LARGEST_QUOTA, required=False, null=True),
}
CREATE_FIELDS: dict[str, Field] = {"email": Email(254), **_CHANGEABLE}
UPDATE_FIELDS: dict[str, Field] = {**_CHANGEABLE, "is_active": Boolean(required=False)}
PAGE_FIELDS: dict[str, Field] = {
    "limit": Integer(1, 10_000, default=None),
    "offset": Integer(0, 2**53, default=0),
}


def full_account_entity(account: Account) -> dict[str, Any]:
    """Return an account as its own commands show it."""
    entity = account_entity(account) or {}
    return {
        **entity,
        "name": account.name,
        "is_active": account.is_active,
        "disk_quota": account.disk_quota,
    }


class MeHandler(CosphereHandler):
    """``/accounts/me``: who the caller is."""

    async def get(self) -> None:
        """READ_ACCOUNT of the caller."""
        self.send_event("ACCOUNT_READ", "account", **_untyped(self.account))


class AccountsHandler(CosphereHandler):
    """``/accounts/``: all accounts."""

    async def get(self) -> None:
        """BULK_READ_ACCOUNTS."""
        accounts = await self.services.accounts.bulk_read(**self.query(PAGE_FIELDS))
        entities = [full_account_entity(account) for account in accounts]
        self.send_event("ACCOUNTS_BULK_READ", "accounts_list", accounts=entities)

    async def post(self) -> None:
        """CREATE_ACCOUNT."""
        account = await self.services.accounts.create(**await self.body(CREATE_FIELDS))
        self.send_event("ACCOUNT_CREATED", "account", 201, **_untyped(account))


class AccountHandler(CosphereHandler):
    """``/accounts/{id}``: one account."""

    async def get(self, account_id: str) -> None:
        """READ_ACCOUNT."""
        account = await self.services.accounts.read(self.path_id(account_id))
        self.send_event("ACCOUNT_READ", "account", **_untyped(account))

    async def put(self, account_id: str) -> None:
        """UPDATE_ACCOUNT: only what is given changes."""
        changes = await self.body(UPDATE_FIELDS)
        account = await self.services.accounts.update(self.path_id(account_id), changes)
        self.send_event("ACCOUNT_UPDATED", "account", **_untyped(account))


class AccountTokensHandler(CosphereHandler):
    """``/accounts/{id}/auth_tokens/``: tokens for an account."""

    async def post(self, account_id: str) -> None:
        """CREATE_AUTH_TOKEN on behalf of an account."""
        token = await self.services.accounts.issue_token(self.path_id(account_id))
        self.send_event("AUTH_TOKEN_CREATED", "auth_token", 201, token=token)


def _untyped(account: Account) -> dict[str, Any]:
    entity = full_account_entity(account)
    del entity["@type"]
    return entity
