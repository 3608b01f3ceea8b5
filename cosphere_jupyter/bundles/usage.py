"""What bundles of an account use: bytes and seconds, kept with every change and never summed up anew.

The bytes are charged to the owner of a bundle, in the transaction that stores, replaces or removes contents. The quota
is that of the account; without one there is no limit.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from ..accounts.service import read_account
from ..errors import QuotaExceeded
from .tables import bundle_usage


@dataclass(frozen=True)
class Usage:
    """What an account uses: bytes, and seconds of runs; its limits on runs (None: none of its own)."""

    disk_used: int = 0
    time_used: float = 0.0
    time_quota: float | None = None
    parallel_run_quota: int | None = None


def read_usage(connection: Connection, account_id: int) -> Usage:
    """Return what an account uses."""
    query = select(bundle_usage).where(bundle_usage.c.account_id == account_id)
    row = connection.execute(query).one_or_none()
    return Usage() if row is None else Usage(row.disk_used, row.time_used, row.time_quota, row.parallel_run_quota)


def charge(connection: Connection, account_id: int, bytes_delta: int) -> None:
    """Add bytes to what an account uses, or take them off; what is used is never less than nothing."""
    _add(connection, account_id, bytes_delta=bytes_delta)


def charge_time(connection: Connection, account_id: int, seconds: float) -> None:
    """Add the seconds that a run took."""
    _add(connection, account_id, seconds=max(0.0, seconds))


def disk_left(connection: Connection, account_id: int) -> int | None:
    """Return how many bytes of bundles an account may still store; None if there is no limit."""
    quota = read_account(connection, account_id).disk_quota
    return None if quota is None else max(0, quota - read_usage(connection, account_id).disk_used)


def demand_disk(connection: Connection, account_id: int) -> None:
    """Raise ``QuotaExceeded`` if an account has used up what it may store: then it makes no new bundles."""
    quota = read_account(connection, account_id).disk_quota
    used = read_usage(connection, account_id).disk_used
    if quota is not None and used >= quota:
        share = f" ({100 * used / quota:.1f}%)" if quota else ""
        raise QuotaExceeded(f"Out of disk quota: {used} / {quota}{share}", disk_used=used, disk_quota=quota)


def _add(connection: Connection, account_id: int, bytes_delta: int = 0, seconds: float = 0.0) -> None:
    is_it = bundle_usage.c.account_id == account_id
    used = read_usage(connection, account_id)
    values = {"disk_used": max(0, used.disk_used + bytes_delta), "time_used": used.time_used + seconds}
    # Writes are one after another: nobody else adds the row between these two.
    if connection.execute(update(bundle_usage).where(is_it).values(values)).rowcount == 0:
        connection.execute(insert(bundle_usage).values(account_id=account_id, **values))
