"""The log of objects: what was done to each, for whoever may read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, insert, select

from ..accounts.service import Account
from ..database.engine import Database
from ..database.schema import now
from ..permissions.service import Level, holds
from .records import RESOURCE
from .tables import object_log

CREATED, EDITED, COMMENTED, UPLOADED = "CREATE_OBJECT", "EDIT_OBJECT", "POST_COMMENT", "UPLOAD_FILE"


@dataclass(frozen=True)
class LogEntry:
    """One thing that was done to an object; ``data`` says more, such as the version that was made."""

    id: int
    type: str
    object_id: int
    user_id: int | None
    data: dict[str, Any]
    created_at: datetime


class ObjectLog:
    """Reads the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, entry_id: int, caller: Account) -> list[LogEntry]:
        """Return the entries with greater ids of the objects that the caller may read, newest first."""
        is_readable = holds(RESOURCE, object_log.c.object_id, caller, Level.READ)
        query = select(object_log).where(object_log.c.id > entry_id, is_readable).order_by(object_log.c.id.desc())
        return await self._database.read(
            lambda connection: [LogEntry(*row) for row in connection.execute(query)],
        )


def note(connection: Connection, type: str, object_id: int, caller: Account, data: dict[str, Any]) -> None:
    """Add an entry inside the caller's transaction."""
    values = {"type": type, "object_id": object_id, "user_id": caller.id, "data": data, "created_at": now()}
    connection.execute(_entry(), values)


# Put together once.
@cache
def _entry() -> Any:
    return insert(object_log)
