"""How long results are kept.

A result goes when nobody has asked for it for ``results_ttl`` seconds, or when all results together take more than
``results_max_size`` bytes: then the ones that were asked for longest ago go first. Its request stays; asked for again,
it runs again.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from ..database.engine import Database
from ..database.schema import now
from ..results.folder import FolderStore
from .quota import remove_results
from .tables import download_requests

# What was asked for just now is about to be read: it stays even if the disk's share is used up.
GRACE = timedelta(minutes=10)
# The time of use is written down at most so often.
USE_PRECISION = timedelta(hours=1)


class Retention:
    """Removes results by age and total size."""

    def __init__(self, database: Database, store: FolderStore, ttl: int, max_size: int) -> None:
        """``ttl`` in seconds, ``max_size`` in bytes; 0 is no limit."""
        self._database = database
        self._store = store
        self._ttl = timedelta(seconds=ttl)
        self._max_size = max_size

    async def expire(self, moment: datetime | None = None) -> list[str]:
        """Remove what is due at ``moment`` (default: now) and return the names of the results that went."""
        doomed = await self._database.write(lambda connection: self._expire(connection, moment or now()))
        for name in doomed:
            await asyncio.to_thread(self._store.delete, name)
        return doomed

    def _expire(self, connection: Connection, moment: datetime) -> list[str]:
        kept = select(download_requests).where(download_requests.c.blob_name.is_not(None))
        rows = connection.execute(kept.order_by(download_requests.c.used_at, download_requests.c.id)).all()
        doomed = self._choose(rows, moment)
        # In the record first: a kill between the two leaves a folder that the next sweep finds.
        remove_results(connection, [row.id for row in doomed])
        return [row.blob_name for row in doomed]

    def _choose(self, rows: list[Row[Any]] | Any, moment: datetime) -> list[Row[Any]]:
        total = sum(row.real_size or 0 for row in rows)
        doomed = []
        for row in rows:
            used_at = row.used_at or row.updated_at
            is_old = bool(self._ttl) and used_at < moment - self._ttl
            is_too_much = bool(self._max_size) and total > self._max_size and used_at < moment - GRACE
            if is_old or is_too_much:
                total -= row.real_size or 0
                doomed.append(row)
        return doomed


def is_use_due(used_at: datetime | None) -> bool:
    """Whether the time of use should be written down again."""
    return used_at is None or now() - used_at > USE_PRECISION
