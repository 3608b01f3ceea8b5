"""HTTP Basic authentication (RFC 7617): an account's e-mail address or its user name, and its password.

Programs send both with every request, and a password hash costs thirty milliseconds. What was right once is therefore
remembered for five minutes, as an HMAC of account, epoch and password under a key that only this process has: whoever
changes the password raises the epoch, and nothing that is remembered fits any more. Everything else goes the way of the
sign-in page, with its limits on guessing.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import ipaddress
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from ..database.engine import Database
from ..errors import AccessDenied, Unauthenticated
from .known import KnownCallers
from .limits import network_of
from .profiles import account_named, is_name
from .service import Account, as_account
from .tables import accounts
from .verification import WRONG, PasswordVerifier

MOST_REMEMBERED = 1024
REMEMBERED_SECONDS = 300.0
MALFORMED = "COULD_NOT_FIND_AUTH_TOKEN"
NOT_SAFE = "a password may be sent over HTTPS only, or from this machine"
# Longer than any name and password that could be right.
_LONGEST = 8192
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Peer:
    """Where a request comes from; ``is_encrypted`` if it came over TLS."""

    address: str
    is_encrypted: bool = False

    @property
    def may_send_passwords(self) -> bool:
        """Whether nobody in between can read what it sends."""
        try:
            address = ipaddress.ip_address(self.address.partition("%")[0])
        except ValueError:
            return self.is_encrypted
        mapped = getattr(address, "ipv4_mapped", None)
        # A Unix socket has no address, which is told as 0.0.0.0.
        return self.is_encrypted or (mapped or address).is_loopback or self.address == "0.0.0.0"  # noqa: S104


class BasicAuthentication:
    """Finds the account of a name and a password."""

    def __init__(
        self,
        database: Database,
        verifier: PasswordVerifier,
        is_offered: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``is_offered=False`` where people may not sign in with passwords; ``clock`` tells seconds."""
        self._database = database
        self._verifier = verifier
        self.is_offered = is_offered
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._known: KnownCallers[Account] = KnownCallers()
        # What was right, and until when that counts; the oldest first.
        self._right: OrderedDict[str, float] = OrderedDict()
        # Verifications under way: what comes many times at once is looked at once.
        self._running: dict[str, asyncio.Future[Account]] = {}

    async def authenticate(self, credential: str, peer: Peer) -> Account:
        """Return the active account that a header's credential speaks for.

        Raises:
            AccessDenied: the password came where others can read it; it was not looked at.
            Unauthenticated: no name and password, or not an account's, in one text whatever the reason.
            TooManyAttempts: the account or the network is blocked.
            Unavailable: too many passwords wait to be looked at.
        """
        if not self.is_offered:
            raise Unauthenticated(MALFORMED)
        if not peer.may_send_passwords:
            raise AccessDenied(NOT_SAFE)
        return await self.account_of(*decode(credential), peer)

    async def account_of(self, name: str, password: str, peer: Peer) -> Account:
        """Return the active account of a name and a password that came some other way; errors as above."""
        if not peer.may_send_passwords:
            raise AccessDenied(NOT_SAFE)
        if "\0" in name:
            raise Unauthenticated(WRONG)
        sent = self._digest(name, password)
        if remembered := self._known.find(sent):
            return remembered
        generation = self._known.generation
        account = await self._database.read(lambda connection: account_of_name(connection, name))
        if account is None or not self._was_right(account, password):
            email = name if account is None else account.email
            account = await self._verify(f"{network_of(peer.address)} {sent}", email, password, peer.address)
            self._remember(account, password)
        elif not account.is_active:
            raise Unauthenticated(WRONG)
        self._known.remember(sent, account, generation)
        return account

    def forget(self) -> None:
        """Look at accounts anew: one has changed."""
        self._known.forget()

    async def _verify(self, key: str, email: str, password: str, address: str) -> Account:
        running = self._running.get(key)
        if running is None:
            running = asyncio.ensure_future(self._verifier.verify_password(email, password, address))
            self._running[key] = running
            running.add_done_callback(lambda done: self._end(key, done))
        # One caller that goes away must not end it for the others.
        return await asyncio.shield(running)

    def _end(self, key: str, done: asyncio.Future[Account]) -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # so that asyncio does not report it where nobody waits any more

    def _was_right(self, account: Account, password: str) -> bool:
        return self._right.get(self._secret(account, password), 0.0) > self._clock()

    def _remember(self, account: Account, password: str) -> None:
        key = self._secret(account, password)
        self._right.pop(key, None)
        self._right[key] = self._clock() + REMEMBERED_SECONDS
        if len(self._right) > MOST_REMEMBERED:
            self._right.popitem(last=False)

    def _secret(self, account: Account, password: str) -> str:
        return self._digest(str(account.id), str(account.epoch), password)

    def _digest(self, *parts: str) -> str:
        # No part but the last can hold a NUL: see `decode` and `account_of`.
        return hmac.digest(self._key, "\0".join(parts).encode(), "sha256").hex()


def decode(credential: str) -> tuple[str, str]:
    """Return name and password of a Basic credential, or raise ``Unauthenticated``.

    Strict base64, strict UTF-8, a colon after the name, no control characters; spaces around the name do not count.
    """
    try:
        text = base64.b64decode(credential.encode(), validate=True).decode() if len(credential) <= _LONGEST else ""
    except ValueError:
        raise Unauthenticated(MALFORMED) from None
    name, colon, password = text.partition(":")
    if not colon or _CONTROL.search(text):
        raise Unauthenticated(MALFORMED)
    return name.strip(), password


def account_of_name(connection: Connection, name: str) -> Account | None:
    """Return the account of a name: its e-mail address or its user name, which holds no @.

    An address counts letter by letter, or else as the only one that is the same in small letters.
    """
    if "@" not in name:
        named = accounts.c.id == account_named(connection, name)
        row = connection.execute(select(accounts).where(named)).one_or_none() if is_name(name) else None
        return None if row is None else as_account(row)
    exact = connection.execute(select(accounts).where(accounts.c.email == name)).one_or_none()
    if exact is not None:
        return as_account(exact)
    rows = connection.execute(select(accounts).where(func.lower(accounts.c.email) == name.lower()).limit(2)).all()
    return as_account(rows[0]) if len(rows) == 1 else None
