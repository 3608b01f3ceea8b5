"""Is this the account's password? One answer for every way in, within the limits on guessing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from ..database.engine import Database
from ..errors import Unauthenticated, Unavailable
from .limits import FailureLimits
from .passwords import Passwords
from .service import Account, as_account
from .tables import accounts

# One word for an unknown account, a wrong password, a disabled account and one that has no password.
WRONG = "WRONG_EMAIL_OR_PASSWORD_DETECTED"


class PasswordVerifier:
    """Verifies passwords for the sign-in page, and for whatever else takes a name and a password."""

    def __init__(self, database: Database, passwords: Passwords, limits: FailureLimits) -> None:
        """The three are shared with everything else that knows passwords."""
        self._database = database
        self._passwords = passwords
        self._limits = limits

    async def verify_password(self, email: str, password: str, address: str) -> Account:
        """Return the active account with this e-mail address and password.

        ``Unauthenticated`` if there is none, in one text and in the same time whatever the reason; ``TooManyAttempts``
        while the account or the network of ``address`` is blocked; ``Unavailable`` if too many wait already.
        """
        attempt = await self._limits.begin(email, address)
        try:
            row = await self._database.read(lambda connection: _find(connection, email))
            is_right, renewed = await self._passwords.verify(None if row is None else row.password_hash, password)
        except Unavailable:
            await self._limits.take_back(attempt)
            raise
        if row is None or not is_right or not row.is_active:
            raise Unauthenticated(WRONG)
        await self._limits.succeed(attempt)
        if renewed is not None:
            await self._database.write(lambda connection: _renew(connection, row, renewed))
        return as_account(row)


def _find(connection: Connection, email: str) -> Any:
    return connection.execute(select(accounts).where(accounts.c.email == email)).one_or_none()


def _renew(connection: Connection, row: Any, renewed: str) -> None:
    # Not if the password was changed in the meantime.
    is_same = (accounts.c.id == row.id) & (accounts.c.password_hash == row.password_hash)
    connection.execute(update(accounts).where(is_same).values(password_hash=renewed))
