"""How often a password may be guessed, and how often a program may ask whether somebody has signed in.

Wrong passwords are counted by account, by network and by both. Five failures are free; each further one blocks its
bucket, for 1 s, 2 s, 4 s, … up to 15 minutes. An attempt is counted *before* the password is looked at and taken back
when it was right, so that attempts made at the same instant cannot slip through together. Every way in (the sign-in
page, HTTP Basic, the password grant) shares these buckets. They are kept in the database, so that a restart forgives
nothing; a bucket that stays quiet for an hour is forgotten.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from sqlalchemy import Connection, case, delete, insert, null, select, update

from ..database.engine import Database
from ..errors import TooManyAttempts
from .tables import login_failures

FREE_FAILURES = 5
LONGEST_BLOCK = 15 * 60
# What may come at once: clients that know nothing of a limit poll ten times a second while somebody types a password,
# and fifty that redeem one request at the same moment learn that one of them was first.
POLLS_AT_ONCE = 60
POLL_SECONDS = 1.0
# Beyond so many keys, those are forgotten that have not asked for some seconds.
MOST_POLLED = 1000
FORGET_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class _Count:
    """What one attempt did to one bucket."""

    bucket: str
    block_before: datetime | None
    block_after: datetime | None


@dataclass(frozen=True)
class Attempt:
    """A counted attempt: a failure, unless it is taken back or succeeds."""

    counts: tuple[_Count, ...]
    # The bucket of this account from this network: the one that a success resets.
    own_bucket: str


def network_of(address: str) -> str:
    """Return the network that an address counts for: an IPv4 address's /24, an IPv6 address's /64."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((parsed, 64), strict=False))
        parsed = parsed.ipv4_mapped
    return str(ipaddress.ip_network((parsed, 24), strict=False))


class PollLimit:
    """One poll a second of each key, and ``POLLS_AT_ONCE`` at once after a pause (a token bucket).

    It is kept in memory, and of a key only for as long as it is not full again.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        """``clock`` tells the present instant."""
        self._clock = clock
        # When the bucket of a key is full again.
        self._full_at: dict[Hashable, float] = {}

    def take(self, key: Hashable) -> None:
        """Count a poll, or raise ``TooManyAttempts``: then it does not count."""
        moment = self._clock().timestamp()
        full_at = max(self._full_at.get(key, moment), moment)
        wait = full_at - moment - (POLLS_AT_ONCE - 1) * POLL_SECONDS
        # More than a second is a clock that was put back.
        if 0 < wait <= POLL_SECONDS:
            raise TooManyAttempts(max(1, ceil(wait)))
        if len(self._full_at) >= MOST_POLLED:
            self._full_at = {each: full for each, full in self._full_at.items() if full > moment}
        self._full_at[key] = min(full_at, moment + (POLLS_AT_ONCE - 1) * POLL_SECONDS) + POLL_SECONDS


class FailureLimits:
    """Counts attempts and refuses those that come too early."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        """``clock`` tells the present instant."""
        self._database = database
        self._clock = clock

    async def begin(self, name: str, address: str) -> Attempt:
        """Count an attempt to be ``name`` from ``address``, or raise ``TooManyAttempts``."""
        buckets = _buckets(name, address)
        moment = self._clock()
        return await self._database.write(lambda connection: _begin(connection, buckets, moment))

    async def succeed(self, attempt: Attempt) -> None:
        """The attempt was right: it does not count, and this account starts anew from this network."""
        await self._database.write(lambda connection: _take_back(connection, attempt, attempt.own_bucket))

    async def take_back(self, attempt: Attempt) -> None:
        """The attempt was not looked at: it does not count."""
        await self._database.write(lambda connection: _take_back(connection, attempt, None))


def _buckets(name: str, address: str) -> tuple[str, ...]:
    # Not the name itself: people type passwords into the wrong field.
    account = hashlib.sha256(name.casefold().encode(errors="replace")).hexdigest()[:32]
    network = network_of(address)
    return f"account:{account}", f"network:{network}", f"both:{account}:{network}"


def _begin(connection: Connection, buckets: tuple[str, ...], moment: datetime) -> Attempt:
    connection.execute(delete(login_failures).where(login_failures.c.updated_at < moment - FORGET_AFTER))
    rows = connection.execute(select(login_failures).where(login_failures.c.bucket.in_(buckets)).with_for_update())
    known = {row.bucket: row for row in rows}
    blocks = [row.blocked_until for row in known.values() if row.blocked_until and row.blocked_until > moment]
    if blocks:
        raise TooManyAttempts(max(1, ceil((max(blocks) - moment).total_seconds())))
    return Attempt(tuple(_count(connection, bucket, known.get(bucket), moment) for bucket in buckets), buckets[-1])


def _count(connection: Connection, bucket: str, row: Any, moment: datetime) -> _Count:
    failures = 1 if row is None else row.failures + 1
    block = moment + timedelta(seconds=_block_seconds(failures)) if failures >= FREE_FAILURES else None
    values = {"failures": failures, "blocked_until": block, "updated_at": moment}
    if row is None:
        connection.execute(insert(login_failures).values(bucket=bucket, **values))
    else:
        connection.execute(update(login_failures).where(login_failures.c.bucket == bucket).values(values))
    return _Count(bucket, None if row is None else row.blocked_until, block)


def _block_seconds(failures: int) -> int:
    return min(LONGEST_BLOCK, 2 ** min(failures - FREE_FAILURES, 20))


def _take_back(connection: Connection, attempt: Attempt, reset: str | None) -> None:
    table = login_failures
    for count in attempt.counts:
        if count.bucket == reset:
            connection.execute(delete(table).where(table.c.bucket == reset))
            continue
        # Only the block that this attempt itself has set: another one's failure in the meantime stays.
        was_ours = table.c.blocked_until == count.block_after if count.block_after else null()
        block = case((was_ours, count.block_before), else_=table.c.blocked_until)
        values = {"failures": table.c.failures - 1, "blocked_until": block}
        connection.execute(update(table).where(table.c.bucket == count.bucket, table.c.failures > 0).values(values))
