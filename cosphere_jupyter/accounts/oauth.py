"""OAuth 2.0 (RFC 6749, RFC 7009): pairs of an access and a refresh token for a name and a password.

Tokens are 30 letters and digits at random; the database holds digests only. A refresh uses its token up and gives
the next pair. That pair is a function of the old refresh token under a key of the server: whoever lost the reply, or
asked many times at once, gets the very same pair for half a minute, as long as nobody has refreshed that pair in turn.
Anything later is a token that somebody else holds, too: then the whole family of pairs since the sign-in ends.

Pairs also end with the epoch of their account (a new password or type), and when it is disabled.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from ..database.engine import Database
from ..errors import CosphereError, Unauthenticated
from .known import KnownCallers
from .service import Account, as_account
from .tables import accounts, oauth_tokens, profiles

CLIENTS = ("codalab_cli_client", "codalab_worker_client")
SCOPE = "default"
ACCESS_SECONDS = 3600
# How long a refresh token that nobody uses is good, and how long one sign-in lasts at all.
IDLE = timedelta(days=14)
SIGNED_IN = timedelta(days=30)
REPLAY_SECONDS = 30

_LETTERS = string.ascii_letters + string.digits
_LENGTH = 30
_TOKEN = re.compile(r"[A-Za-z0-9]{30}")


class GrantRefused(CosphereError):
    """A token cannot be had; ``error`` is the word of RFC 6749 for it, ``description`` may say more."""

    def __init__(self, error: str, description: str | None = None) -> None:
        super().__init__(description or error)
        self.error = error
        self.description = description


@dataclass(frozen=True)
class TokenPair:
    """What a grant gives; ``expires_in`` is how many seconds the access token is good."""

    access: str
    refresh: str
    expires_in: int

    def __repr__(self) -> str:
        return "TokenPair(…)"


@dataclass(frozen=True)
class _New:
    """A pair to be stored."""

    account_id: int
    client_id: str
    epoch: int
    family: str
    access: str
    refresh: str


def is_token(credential: str) -> bool:
    """Whether a Bearer credential has the shape of an access token."""
    return _TOKEN.fullmatch(credential) is not None


class OAuthTokens:
    """Gives, refreshes, verifies and ends tokens."""

    def __init__(self, database: Database, key: bytes, clock: Callable[[], datetime]) -> None:
        """``key`` is the server's secret behind refreshed pairs; ``clock`` tells the present instant."""
        self._database = database
        self._key = key
        self._clock = clock
        self._known: KnownCallers[Account] = KnownCallers()

    async def issue(self, account: Account, client_id: str) -> TokenPair:
        """Return the first pair of a sign-in for an account that has proved who it is."""
        moment = self._clock()
        # The family tells when it began, also once the first pair is forgotten.
        family = f"{int(moment.timestamp()):010x}{secrets.token_hex(12)}"
        new = _New(account.id, client_id, account.epoch, family, _random(), _random())
        return await self._database.write(lambda connection: _sign_in(connection, new, moment))

    async def refresh(self, refresh_token: str, client_id: str) -> TokenPair:
        """Return the next pair for a refresh token; ``GrantRefused`` (``invalid_grant``) if it is not good."""
        moment = self._clock()
        pair = None
        # Guesses don't get as far as the one thread that writes.
        if await self._database.read(lambda connection: _is_known(connection, refresh_token)):
            pair = await self._database.write(
                lambda connection: self._refresh(connection, refresh_token, client_id, moment)
            )
            self._known.forget()  # a whole family may have ended
        if pair is None:
            raise GrantRefused("invalid_grant")
        return pair

    async def revoke(self, token: str, client_id: str) -> None:
        """End the sign-in that an access or a refresh token comes from; one that is not good is none to end."""
        moment = self._clock()
        if await self._database.read(lambda connection: _is_known(connection, token)):
            await self._database.write(lambda connection: _revoke(connection, token, client_id, moment))
            self._known.forget()

    async def verify(self, access_token: str) -> Account:
        """Return the account that an access token speaks for, or raise ``Unauthenticated``. It writes nothing."""
        if remembered := self._known.find(access_token):
            return remembered
        generation, moment = self._known.generation, self._clock()
        row = await self._database.read(lambda connection: _find_access(connection, access_token))
        if row is None or row.revoked_at is not None:
            raise Unauthenticated("AUTH_TOKEN_WAS_BROKEN")
        if row.access_expires_at <= moment:
            raise Unauthenticated("AUTH_TOKEN_EXPIRED")
        account = as_account(row)
        if not account.is_active or account.epoch != row.token_epoch:
            raise Unauthenticated("AUTH_TOKEN_MISSING_ACCOUNT")
        self._known.remember(access_token, account, generation)
        return account

    def forget(self) -> None:
        """Look at accounts anew: one has changed."""
        self._known.forget()

    # -- refreshing ------------------------------------------------------------------------------------------------

    def _refresh(self, connection: Connection, token: str, client_id: str, moment: datetime) -> TokenPair | None:
        """Return the next pair, None if there is none: what is written then has to stay written."""
        table = oauth_tokens.c
        row = connection.execute(select(oauth_tokens).where(table.refresh_digest == _digest(token))).one_or_none()
        if row is None or row.client_id != client_id or row.revoked_at is not None or row.refresh_expires_at <= moment:
            return None
        account = connection.execute(select(accounts).where(accounts.c.id == row.account_id)).one()
        if not account.is_active or account.epoch != row.epoch:
            return None
        access, refresh = self._successor(row, token, "access"), self._successor(row, token, "refresh")
        if row.refreshed_at is None:
            connection.execute(update(oauth_tokens).where(table.id == row.id).values(refreshed_at=moment))
            return _store(connection, _New(account.id, client_id, row.epoch, row.family, access, refresh), moment)
        next_row = connection.execute(
            select(oauth_tokens).where(table.refresh_digest == _digest(refresh), table.refreshed_at.is_(None))
        ).one_or_none()
        if next_row is None or moment - row.refreshed_at > timedelta(seconds=REPLAY_SECONDS):
            _end_family(connection, row.family, moment)
            return None
        return TokenPair(access, refresh, _seconds(next_row.access_expires_at, moment))

    def _successor(self, row: Any, token: str, kind: str) -> str:
        text = f"{kind}|{row.family}|{row.id}|{token}"
        number = int.from_bytes(hmac.digest(self._key, text.encode(), "sha256"), "big")
        letters = []
        for _ in range(_LENGTH):
            number, place = divmod(number, len(_LETTERS))
            letters.append(_LETTERS[place])
        return "".join(letters)


def _random() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _seconds(then: datetime, moment: datetime) -> int:
    return max(0, int((then - moment).total_seconds()))


def _sign_in(connection: Connection, new: _New, moment: datetime) -> TokenPair:
    connection.execute(delete(oauth_tokens).where(oauth_tokens.c.refresh_expires_at < moment - timedelta(days=1)))
    connection.execute(update(profiles).where(profiles.c.account_id == new.account_id).values(last_login_at=moment))
    return _store(connection, new, moment)


def _store(connection: Connection, new: _New, moment: datetime) -> TokenPair:
    began = datetime.fromtimestamp(int(new.family[:10], 16), tz=moment.tzinfo)
    access_expires = moment + timedelta(seconds=ACCESS_SECONDS)
    connection.execute(
        insert(oauth_tokens).values(
            account_id=new.account_id,
            client_id=new.client_id,
            epoch=new.epoch,
            family=new.family,
            access_digest=_digest(new.access),
            refresh_digest=_digest(new.refresh),
            access_expires_at=access_expires,
            refresh_expires_at=min(moment + IDLE, began + SIGNED_IN),
            created_at=moment,
        )
    )
    return TokenPair(new.access, new.refresh, ACCESS_SECONDS)


def _is_token(token: str) -> ColumnElement[bool]:
    digest = _digest(token)
    return or_(oauth_tokens.c.access_digest == digest, oauth_tokens.c.refresh_digest == digest)


def _is_known(connection: Connection, token: str) -> bool:
    return connection.execute(select(oauth_tokens.c.id).where(_is_token(token))).first() is not None


def _end_family(connection: Connection, family: str, moment: datetime) -> None:
    is_alive = (oauth_tokens.c.family == family) & oauth_tokens.c.revoked_at.is_(None)
    connection.execute(update(oauth_tokens).where(is_alive).values(revoked_at=moment))


def _revoke(connection: Connection, token: str, client_id: str, moment: datetime) -> None:
    found = select(oauth_tokens.c.family).where(_is_token(token), oauth_tokens.c.client_id == client_id)
    family = connection.execute(found).scalar_one_or_none()
    if family is not None:
        _end_family(connection, family, moment)


def _find_access(connection: Connection, token: str) -> Any:
    table = oauth_tokens.c
    query = (
        select(accounts, table.revoked_at, table.access_expires_at, table.epoch.label("token_epoch"))
        .join(oauth_tokens, table.account_id == accounts.c.id)
        .where(table.access_digest == _digest(token))
    )
    return connection.execute(query).one_or_none()
