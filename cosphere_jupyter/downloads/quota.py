"""How much of the disk an account's results may take.

A result is charged to the account for whom it was made, for as long as it is kept: also while only others wait for it.
Results that nobody waits for are kept for whoever may ask again, but go when their account needs the room. Whoever asks
again for one of them that is charged to somebody else takes it over. All of it happens in the transactions that store
results or revive requests, so what is charged never exceeds the quota (unless an admin lowers that).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select, update

from ..accounts.service import Account
from ..database.schema import now
from ..errors import QuotaExceeded
from ..sizes import format_size
from ..tasks.tables import tasks
from .estimate import Estimate
from .tables import download_requests


def check_quota(connection: Connection, account: Account, expected: Estimate | None) -> None:
    """Raise ``QuotaExceeded`` if a result that is not made yet cannot fit, even if it is as small as it may be."""
    if account.disk_quota is None:
        return
    used = _used(connection, account.id)
    least, likely = (expected.low or 0, expected.size) if expected else (0, 0)
    if used >= account.disk_quota or used + least > account.disk_quota:
        raise _refusal(used, f"will take about {format_size(likely)}" if likely else "", account.disk_quota, likely)


def charge(connection: Connection, account: Account, request_id: int, size: int) -> list[str]:
    """Charge a request's result of ``size`` bytes to an account.

    Returns the names of results that nobody waits for and that went for it: their files are to be removed after the
    commit. ``QuotaExceeded`` if there is too little room all the same.
    """
    gone: list[str] = []
    if account.disk_quota is not None:
        used = _used(connection, account.id, besides=request_id)
        if used + size > account.disk_quota:
            raise _refusal(used, f"takes {format_size(size)}", account.disk_quota, size)
        gone = _make_room(connection, account.id, account.disk_quota - used - size, besides=request_id)
    this = download_requests.c.id == request_id
    connection.execute(update(download_requests).where(this).values(charged_to_id=account.id, charged_size=size))
    return gone


def remove_results(connection: Connection, request_ids: list[int]) -> None:
    """Take the results off requests, in the record; the files are to be removed after the commit."""
    connection.execute(
        update(download_requests)
        .where(download_requests.c.id.in_(request_ids))
        .values(blob_name=None, real_size=None, result=None, charged_to_id=None, charged_size=None, updated_at=now())
    )


def _used(connection: Connection, account_id: int, besides: int = 0) -> int:
    """Return the bytes charged to an account for results that somebody waits for, with those just being stored."""
    stored = select(tasks.c.key).where(
        tasks.c.key == download_requests.c.task_key, tasks.c.status.in_(("queued", "executing"))
    )
    used = select(func.coalesce(func.sum(download_requests.c.charged_size), 0)).where(
        _charged(account_id, besides),
        download_requests.c.is_cancelled.is_(False),
        or_(download_requests.c.blob_name.is_not(None), stored.exists()),
    )
    return int(connection.execute(used).scalar_one())


def _make_room(connection: Connection, account_id: int, room: int, besides: int) -> list[str]:
    """Remove results that nobody waits for until they take no more than ``room`` bytes, the longest unused first."""
    left = select(download_requests).where(
        _charged(account_id, besides),
        download_requests.c.is_cancelled.is_(True),
        download_requests.c.blob_name.is_not(None),
    )
    doomed: list[Any] = []
    for row in connection.execute(left.order_by(download_requests.c.used_at.desc(), download_requests.c.id.desc())):
        room -= row.charged_size
        if room < 0:
            doomed.append(row)
    remove_results(connection, [row.id for row in doomed])
    return [row.blob_name for row in doomed]


def _charged(account_id: int, besides: int) -> ColumnElement[bool]:
    return (download_requests.c.charged_to_id == account_id) & (download_requests.c.id != besides)


def _refusal(used: int, takes: str, quota: int, wanted: int) -> QuotaExceeded:
    this = f" and this one {takes}" if takes else ""
    leave = "leave requests that nobody else waits for, or " if used else ""
    return QuotaExceeded(
        f"the results made for you take {format_size(used)}{this}, and your disk quota is {format_size(quota)}: "
        f"{leave}ask for fewer rows or columns",
        disk_used=used,
        disk_quota=quota,
        estimated_size=wanted or None,
    )
