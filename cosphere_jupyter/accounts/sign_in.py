"""Sign-in requests: a program asks, a person proves who they are on a page, the program fetches a token once.

States: *pending* (nobody attached) -> *attached* -> *redeemed* (the row is gone); pending and attached requests
*expire* by age. Each edge is one conditional statement in one write transaction: of fifty callers at once one wins.
Whoever knows the request's UUID may fetch its token, so it is random (version 4); a program that sends a
``code_challenge`` (RFC 7636, S256) must also know the secret behind it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from ..database.engine import Database
from ..errors import Conflict, NotFound, TooManyAttempts
from .limits import PollLimit
from .service import Accounts, read_account
from .tables import auth_requests

PENDING_SECONDS = 600
ATTACHED_SECONDS = 120
PER_MINUTE = 20
PENDING_LIMIT = 1000
# How long it can still be told that a request has expired.
KEPT_FOR = timedelta(hours=1)

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@dataclass(frozen=True)
class SignInRequest:
    """Who asks, for the person who decides. ``expires_at`` is when nobody can be attached any more."""

    uuid: str
    address: str
    agent: str
    created_at: datetime
    expires_at: datetime

    @property
    def check_code(self) -> str:
        """What the program and the page both show, so that a person can compare them."""
        return self.uuid[:8]


class SignIn:
    """The life of sign-in requests."""

    def __init__(self, database: Database, accounts: Accounts, clock: Callable[[], datetime]) -> None:
        """``clock`` tells the present instant."""
        self._database = database
        self._accounts = accounts
        self._clock = clock
        self._polls = PollLimit(clock)

    async def create(self, address: str, agent: str, code_challenge: str | None = None) -> SignInRequest:
        """Make a pending request; ``TooManyAttempts`` beyond 20 a minute from an address, or 1,000 pending."""
        moment = self._clock()
        request = SignInRequest(
            str(uuid.uuid4()), address, readable(agent, 256), moment, moment + timedelta(seconds=PENDING_SECONDS)
        )
        await self._database.write(lambda connection: _create(connection, request, code_challenge, moment))
        return request

    async def read(self, request_uuid: str) -> SignInRequest:
        """Return a request to which somebody may be attached now.

        ``NotFound`` if there is none, ``Conflict`` if it has expired.
        """
        moment = self._clock()
        return await self._database.read(lambda connection: read_open(connection, request_uuid, moment))

    async def attach(self, request_uuid: str, account_id: int) -> None:
        """Bind an account to a pending request, or another one to an attached request."""
        moment = self._clock()
        await self._database.write(lambda connection: attach(connection, request_uuid, account_id, moment))

    async def redeem(self, request_uuid: str, code_verifier: str | None = None) -> str:
        """Return a token for the attached account, once.

        ``NotFound`` while nobody is attached (however old it is), after the token was fetched, and to whoever does not
        know the secret behind the request's challenge; ``Conflict`` if it has expired since; ``TooManyAttempts`` for
        whoever asks more often than once a second.
        """
        moment = self._clock()
        row = await self._database.read(lambda connection: _find(connection, request_uuid))
        if row is None:
            raise NotFound("auth request")
        knows_secret = _knows_secret(row.code_challenge, code_verifier)
        # Counted apart: strangers who have seen the link cannot use up what the program may ask.
        self._polls.take((request_uuid, knows_secret))
        # Also when it is too old: as in the API, only a request with an account expires.
        if not knows_secret or row.account_id is None:
            raise NotFound("auth request")
        if not _is_alive(row, moment):
            raise Conflict("EXPIRED_AUTH_REQUEST_DETECTED")
        account_id = await self._database.write(lambda connection: _redeem(connection, request_uuid, moment))
        return await self._accounts.issue_token(account_id)


def code_challenge_of(value: Any) -> str | None:
    """Return what may be a code challenge, or None."""
    return value if isinstance(value, str) and _CHALLENGE.fullmatch(value) else None


def readable(text: str, longest: int) -> str:
    """Return text of a stranger for a page: printable ASCII, so that nothing in it can reorder or hide the rest."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text[:longest])


def read_open(connection: Connection, request_uuid: str, moment: datetime) -> SignInRequest:
    """Return a request to which somebody may be attached now, inside the caller's transaction."""
    row = _find(connection, request_uuid)
    if row is None:
        raise NotFound("auth request")
    ends = row.created_at + timedelta(seconds=PENDING_SECONDS)
    if ends <= moment or not _is_alive(row, moment):
        raise Conflict("EXPIRED_AUTH_REQUEST_DETECTED")
    return SignInRequest(row.uuid, _shown_address(row.requester_ip), row.requester_agent, row.created_at, ends)


def attach(connection: Connection, request_uuid: str, account_id: int, moment: datetime) -> None:
    """Bind an account to a request inside the caller's transaction."""
    is_young = auth_requests.c.created_at > moment - timedelta(seconds=PENDING_SECONDS)
    statement = (
        update(auth_requests)
        .where(auth_requests.c.uuid == request_uuid, is_young, _alive(moment))
        .values(account_id=account_id, attached_at=moment)
    )
    if connection.execute(statement).rowcount != 1:
        # Says which of the two it is; what it may not do is return.
        read_open(connection, request_uuid, moment)
        raise NotFound("auth request")


def _alive(moment: datetime) -> ColumnElement[bool]:
    table = auth_requests.c
    pending = and_(table.attached_at.is_(None), table.created_at > moment - timedelta(seconds=PENDING_SECONDS))
    return or_(pending, table.attached_at > moment - timedelta(seconds=ATTACHED_SECONDS))


def _is_alive(row: Any, moment: datetime) -> bool:
    if row.attached_at is None:
        return bool(row.created_at > moment - timedelta(seconds=PENDING_SECONDS))
    return bool(row.attached_at > moment - timedelta(seconds=ATTACHED_SECONDS))


def _find(connection: Connection, request_uuid: str) -> Any:
    return connection.execute(select(auth_requests).where(auth_requests.c.uuid == request_uuid)).one_or_none()


def _create(connection: Connection, request: SignInRequest, code_challenge: str | None, moment: datetime) -> None:
    table = auth_requests.c
    connection.execute(delete(auth_requests).where(table.created_at < moment - KEPT_FOR))
    _limit_address(connection, request.address, moment)
    pending = select(func.count(), func.min(table.created_at)).where(table.attached_at.is_(None), _alive(moment))
    count, oldest = connection.execute(pending).one()
    if count >= PENDING_LIMIT:
        raise TooManyAttempts(_seconds_until(oldest + timedelta(seconds=PENDING_SECONDS), moment))
    connection.execute(
        insert(auth_requests).values(
            uuid=request.uuid,
            created_at=moment,
            requester_ip=_stored_address(request.address),
            requester_agent=request.agent,
            code_challenge=code_challenge,
        )
    )


def _limit_address(connection: Connection, address: str, moment: datetime) -> None:
    """Count by IPv4 address, or IPv6 /64; of those whose token was fetched nothing is left to count."""
    table = auth_requests.c
    stored = _stored_address(address)
    # The first four groups of an IPv6 address written in full.
    is_mine = table.requester_ip.startswith(stored[:20]) if ":" in stored else table.requester_ip == stored
    recent = select(table.created_at).where(table.created_at > moment - timedelta(minutes=1), is_mine)
    times = sorted(connection.execute(recent).scalars())
    if len(times) >= PER_MINUTE:
        raise TooManyAttempts(_seconds_until(times[-PER_MINUTE] + timedelta(minutes=1), moment))


def _stored_address(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    return str(getattr(parsed, "ipv4_mapped", None) or parsed.exploded)


def _shown_address(stored: str) -> str:
    return stored if stored == "unknown" else str(ipaddress.ip_address(stored))


def _seconds_until(then: datetime, moment: datetime) -> int:
    return max(1, int((then - moment).total_seconds()) + 1)


def _redeem(connection: Connection, request_uuid: str, moment: datetime) -> int:
    statement = (
        delete(auth_requests)
        .where(auth_requests.c.uuid == request_uuid, auth_requests.c.account_id.is_not(None), _alive(moment))
        .returning(auth_requests.c.account_id)
    )
    account_id = connection.execute(statement).scalar_one_or_none()
    if account_id is None:
        # Another caller was faster, or it expired this instant.
        raise NotFound("auth request")
    if not read_account(connection, account_id).is_active:
        raise Conflict("ACCOUNT_IS_DISABLED")
    return int(account_id)


def _knows_secret(challenge: str | None, verifier: str | None) -> bool:
    if challenge is None:
        return True
    if verifier is None or not _VERIFIER.fullmatch(verifier):
        return False
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)
