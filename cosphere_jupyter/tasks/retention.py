"""How long tasks are remembered: rows of finished tasks go after a while, with the files they left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, delete, select

from ..database.engine import Database
from ..database.schema import now
from ..results.folder import FolderStore
from .tables import tasks

# Rows of one transaction: others write in between.
BATCH = 500


class TaskRetention:
    """Removes finished tasks by age."""

    def __init__(
        self,
        database: Database,
        store: FolderStore,
        ttl: int,
        in_use: Select[Any],
        on_removed: Callable[[], None],
    ) -> None:
        """``ttl`` in seconds, 0 is for ever; ``in_use`` selects the keys of tasks that stay whatever their age."""
        self._database = database
        self._store = store
        self._ttl = timedelta(seconds=ttl)
        self._in_use = in_use
        self._on_removed = on_removed

    async def expire(self, moment: datetime | None = None) -> int:
        """Remove what is due at ``moment`` (default: now) and return how many tasks went."""
        if not self._ttl:
            return 0
        before, count = (moment or now()) - self._ttl, 0
        while doomed := await self._database.write(lambda connection: self._expire(connection, before)):
            # Whatever becomes of the files: the numbers of these rows may be given again from now on.
            self._on_removed()
            # In the record first: a kill between the two leaves a folder that the next sweep finds.
            await asyncio.to_thread(self._delete, [name for name in doomed.values() if name is not None])
            count += len(doomed)
        return count

    def _delete(self, names: list[str]) -> None:
        for name in names:
            self._store.delete(name)

    def _expire(self, connection: Connection, before: datetime) -> dict[str, str | None]:
        due = select(tasks.c.key, tasks.c.result_name).where(
            tasks.c.completed_at < before, tasks.c.key.not_in(self._in_use)
        )
        doomed = {row.key: row.result_name for row in connection.execute(due.limit(BATCH))}
        connection.execute(delete(tasks).where(tasks.c.key.in_(doomed)))
        return doomed
