"""Tasks in the database: one row each, changed only through the state machine.

These functions take the caller's connection, so that a feature stores its own row and the task in one transaction.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from ..database.schema import now
from .states import CancelRequested, Claimed, Event, Lost, Succeeded, TaskState, transition
from .tables import tasks

# SQLite takes no more than 32,766 values in a statement.
KEYS_AT_ONCE = 1000


@dataclass(frozen=True)
class Task:
    """A task as it is stored. Times are aware, UTC."""

    key: str
    name: str
    owner_id: int | None
    params: Any
    progress: Any
    state: TaskState
    queued_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    priority: int = 0
    is_quick: bool = False
    idempotency_key: str | None = None
    result_name: str | None = None
    outputs: tuple[dict[str, Any], ...] = ()


def new_key() -> str:
    """Return a new key: 128 random bits as 26 characters of base32, as the Dragon API has them."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=")


def task_from_row(row: Row[Any]) -> Task:
    """Build a task from a row of the tasks table."""
    state = TaskState(
        status=row.status,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        crashes=row.crashes,
        is_idempotent=row.is_idempotent,
        result=row.result,
        error=row.error,
        cancelled_by=row.cancelled_by,
    )
    return Task(
        row.key,
        row.name,
        row.owner_id,
        row.params,
        row.progress,
        state,
        row.queued_at,
        row.started_at,
        row.completed_at,
        row.priority,
        row.is_quick,
        row.idempotency_key,
        row.result_name,
        tuple(row.outputs or ()),
    )


def enqueue(
    connection: Connection,
    name: str,
    params: Any,
    owner_id: int | None,
    *,
    is_idempotent: bool = False,
    max_attempts: int = 1,
    priority: int = 0,
    is_quick: bool = False,
    idempotency_key: str | None = None,
) -> str:
    """Store a new task and return its key. It starts after the commit, when the engine is woken.

    The higher ``priority`` runs first. A task that the owner has stored under the same ``idempotency_key`` is the one
    meant: its key is returned and nothing is stored.
    """
    if idempotency_key is not None and owner_id is not None:
        same = (tasks.c.owner_id == owner_id) & (tasks.c.idempotency_key == idempotency_key)
        if known := connection.execute(select(tasks.c.key).where(same)).scalar():
            return str(known)
    key = new_key()
    values = {
        "key": key,
        "name": name,
        "owner_id": owner_id,
        "params": params,
        "status": "queued",
        "attempt": 0,
        "max_attempts": max_attempts,
        "crashes": 0,
        "is_idempotent": is_idempotent,
        "priority": priority,
        "is_quick": is_quick,
        "idempotency_key": idempotency_key,
        "queued_at": now(),
    }
    connection.execute(insert(tasks), values)
    return key


def read_task(connection: Connection, key: str) -> Task | None:
    """Return the task with this key."""
    row = connection.execute(select(tasks).where(tasks.c.key == key)).one_or_none()
    return None if row is None else task_from_row(row)


def read_tasks(connection: Connection, keys: Iterable[str], owner_id: int | None = None) -> dict[str, Task]:
    """Return the tasks with these keys (those that exist, and are the owner's if one is given)."""
    wanted = list(dict.fromkeys(keys))
    query = select(tasks) if owner_id is None else select(tasks).where(tasks.c.owner_id == owner_id)
    found = {}
    for start in range(0, len(wanted), KEYS_AT_ONCE):
        for row in connection.execute(query.where(tasks.c.key.in_(wanted[start : start + KEYS_AT_ONCE]))):
            found[row.key] = task_from_row(row)
    return found


def list_tasks(
    connection: Connection, owner_id: int, limit: int | None, offset: int, status: str | None, name: str | None
) -> list[Task]:
    """Return an account's tasks, the newest first."""
    query = select(tasks).where(tasks.c.owner_id == owner_id)
    if status is not None:
        query = query.where(tasks.c.status == status)
    if name is not None:
        query = query.where(tasks.c.name == name)
    query = query.order_by(tasks.c.queued_at.desc(), tasks.c.key.desc()).limit(limit).offset(offset)
    return [task_from_row(row) for row in connection.execute(query)]


def apply_event(connection: Connection, key: str, event: Event) -> Task | None:
    """Take the task one step; None if the event counts no more. Fenced by attempt and status in the UPDATE itself."""
    before = read_task(connection, key)
    after = transition(before.state, event) if before else None
    if before is None or after is None:
        return None
    moment = now()
    values: dict[str, Any] = {
        "status": after.status,
        "attempt": after.attempt,
        "crashes": after.crashes,
        "result": after.result,
        "error": after.error,
        "cancelled_by": after.cancelled_by,
    }
    if isinstance(event, Claimed):
        values["started_at"] = moment
    if after.status == "queued" or after.is_final:
        values["progress"] = None
    if after.is_final:
        values["completed_at"] = moment
    if isinstance(event, Succeeded):
        values |= {"result_name": event.result_name, "outputs": list(event.outputs) or None}
    changed = connection.execute(
        update(tasks)
        .where(tasks.c.key == key, tasks.c.attempt == before.state.attempt, tasks.c.status == before.state.status)
        .values(values)
    )
    return read_task(connection, key) if changed.rowcount == 1 else None


def claim(connection: Connection) -> Task | None:
    """Take the task that waits longest, or None."""
    oldest = select(tasks.c.key).where(tasks.c.status == "queued").order_by(tasks.c.queued_at, tasks.c.key).limit(1)
    key = connection.execute(oldest).scalar()
    return None if key is None else apply_event(connection, key, Claimed())


def cancel(connection: Connection, key: str, by: str) -> Task | None:
    """End the task as cancelled; None if it had ended already. The engine kills its process after the commit."""
    return apply_event(connection, key, CancelRequested(by))


def recover(connection: Connection) -> list[Task]:
    """Tell all tasks that were executing when the last server ended that their runner is lost."""
    executing = connection.execute(select(tasks.c.key, tasks.c.attempt).where(tasks.c.status == "executing")).all()
    recovered = [apply_event(connection, row.key, Lost(row.attempt)) for row in executing]
    return [task for task in recovered if task is not None]


def store_progress(connection: Connection, key: str, attempt: int, progress: Any) -> None:
    """Store how far an attempt is, if it is still the present one."""
    connection.execute(
        update(tasks)
        .where(tasks.c.key == key, tasks.c.attempt == attempt, tasks.c.status == "executing")
        .values(progress=progress)
    )
