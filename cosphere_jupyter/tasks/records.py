"""Tasks in the database: one row each, changed only through the state machine.

These functions take the caller's connection, so that a feature stores its own row and the task in one transaction.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnClause,
    Connection,
    Integer,
    Row,
    Select,
    Update,
    bindparam,
    insert,
    literal_column,
    select,
    text,
    update,
)

from ..database.schema import now
from .queue import Waiting
from .states import CancelRequested, Claimed, Event, Lost, Returned, Succeeded, TaskState, transition
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
    if known := _same(connection, owner_id, idempotency_key):
        return known
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


def store_refused(
    connection: Connection,
    name: str,
    params: Any,
    owner_id: int | None,
    error: str,
    details: Any = None,
    *,
    idempotency_key: str | None = None,
) -> str:
    """Store a task that has ended with an error before it was ever queued, and return its key.

    As with `enqueue`, what is stored under the same ``idempotency_key`` is the task meant.
    """
    if known := _same(connection, owner_id, idempotency_key):
        return known
    key, moment = new_key(), now()
    values = {
        "key": key,
        "name": name,
        "owner_id": owner_id,
        "params": params,
        "status": "error",
        "error": error,
        "result": details,
        "attempt": 0,
        "max_attempts": 1,
        "crashes": 0,
        "is_idempotent": False,
        "idempotency_key": idempotency_key,
        "queued_at": moment,
        "completed_at": moment,
    }
    connection.execute(insert(tasks), values)
    return key


def _same(connection: Connection, owner_id: int | None, idempotency_key: str | None) -> str | None:
    """Return the key of the task that an owner has stored under an idempotency key."""
    if owner_id is None or idempotency_key is None:
        return None
    same = (tasks.c.owner_id == owner_id) & (tasks.c.idempotency_key == idempotency_key)
    found: str | None = connection.execute(select(tasks.c.key).where(same)).scalar()
    return found


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


def result_names(connection: Connection) -> set[str]:
    """Return the names of all results that tasks have in the store."""
    return set(connection.execute(select(tasks.c.result_name).where(tasks.c.result_name.is_not(None))).scalars())


def list_tasks(
    connection: Connection,
    owner_id: int,
    limit: int | None,
    offset: int,
    status: str | None,
    name: str | None,
    shared: Select[tuple[str]] | None = None,
) -> list[Task]:
    """Return an account's tasks and those of others whose keys ``shared`` selects, the newest first."""
    own = tasks.c.owner_id == owner_id
    # Two queries: together no index would give their order.
    which = [own] if shared is None else [own, ~own & tasks.c.key.in_(shared)]
    end = None if limit is None else offset + limit
    found: list[Task] = []
    for condition in which:
        query = select(tasks).where(condition)
        if status is not None:
            query = query.where(tasks.c.status == status)
        if name is not None:
            query = query.where(tasks.c.name == name)
        query = query.order_by(tasks.c.queued_at.desc(), tasks.c.key.desc()).limit(end)
        found += [task_from_row(row) for row in connection.execute(query)]
    found.sort(key=lambda task: (task.queued_at, task.key), reverse=True)
    return found[offset:end]


def apply_event(connection: Connection, key: str, event: Event) -> Task | None:
    """Take the task one step; None if the event counts no more. Fenced by attempt and status in the UPDATE itself."""
    before = read_task(connection, key)
    after = _step(before, event, now()) if before else None
    if before is None or after is None:
        return None
    changed = connection.execute(_STEP, _values(before, after))
    return after if changed.rowcount == 1 else None


def apply_events(connection: Connection, events: Sequence[tuple[Task, Event]]) -> list[Task]:
    """Take several tasks one step in one statement, from the states that the caller knows them in.

    Raises:
        Fenced: one of the tasks is in another state by now; the transaction must be rolled back.
    """
    return _apply(connection, events, _STEP)


def _apply(connection: Connection, events: Sequence[tuple[Task, Event]], statement: Update) -> list[Task]:
    moment = now()
    steps = [(before, _step(before, event, moment)) for before, event in events]
    values = [_values(before, after) for before, after in steps if after is not None]
    if len(values) < len(steps) or (values and connection.execute(statement, values).rowcount != len(values)):
        raise Fenced
    return [after for _, after in steps if after is not None]


class Fenced(Exception):
    """An event of several counts no more."""


def _step(before: Task, event: Event, moment: datetime) -> Task | None:
    state = transition(before.state, event)
    if state is None:
        return None
    changes: dict[str, Any] = {"state": state}
    if isinstance(event, Claimed):
        changes["started_at"] = moment
    if state.status == "queued" or state.is_final:
        changes["progress"] = None
    if state.is_final:
        changes["completed_at"] = moment
    if isinstance(event, Succeeded):
        changes |= {"result_name": event.result_name, "outputs": event.outputs}
    return replace(before, **changes)


_THIS = update(tasks).where(
    tasks.c.key == bindparam("this_key"),
    tasks.c.attempt == bindparam("this_attempt"),
    tasks.c.status == bindparam("this_status"),
)
_CLAIMED = ("status", "attempt", "started_at")
_ENDED = ("max_attempts", "crashes", "result", "error", "cancelled_by", "completed_at", "result_name", "outputs")
_STEP = _THIS.values({name: bindparam(name) for name in (*_CLAIMED, *_ENDED, "progress")})
# What a claim changes; the rest of the values costs time and is what it was.
_CLAIM = _THIS.values({name: bindparam(name) for name in _CLAIMED})


def _values(before: Task, after: Task) -> dict[str, Any]:
    state = after.state
    return {
        "this_key": before.key,
        "this_attempt": before.state.attempt,
        "this_status": before.state.status,
        "status": state.status,
        "attempt": state.attempt,
        "max_attempts": state.max_attempts,
        "crashes": state.crashes,
        "result": state.result,
        "error": state.error,
        "cancelled_by": state.cancelled_by,
        "progress": after.progress,
        "started_at": after.started_at,
        "completed_at": after.completed_at,
        "result_name": after.result_name,
        "outputs": list(after.outputs) or None,
    }


_ROWID: ColumnClause[int] = literal_column("tasks.rowid", Integer)
_WAITING = (
    select(_ROWID, tasks.c.key, tasks.c.owner_id, tasks.c.priority, tasks.c.is_quick)
    # The plus keeps SQLite from looking through all that is queued for the few that are new.
    .where(bindparam("after") < _ROWID, text("+tasks.status = 'queued'"))
    .order_by(_ROWID)
)


def read_waiting(connection: Connection, after: int = 0) -> list[Waiting]:
    """Return what is queued and was stored after the task with this number."""
    return [Waiting(*row) for row in connection.execute(_WAITING, {"after": after})]


def claim(connection: Connection, keys: Sequence[str]) -> list[Task]:
    """Begin the next attempt of these tasks, in their order, except of those that are queued no more."""
    found = read_tasks(connection, keys)
    queued = [found[key] for key in keys if key in found and found[key].state.status == "queued"]
    return _apply(connection, [(task, Claimed()) for task in queued], _CLAIM)


def cancel(connection: Connection, key: str, by: str) -> Task | None:
    """End the task as cancelled; None if it had ended already. The engine kills its process after the commit."""
    return apply_event(connection, key, CancelRequested(by))


def recover(connection: Connection, begun: Collection[str] | None = None) -> list[Task]:
    """Tell all tasks that were executing when the last server ended that their runner is lost.

    ``begun`` are the attempts (`attempt_name`) that had really begun, if that is known: others did nothing yet.
    """
    executing = connection.execute(select(tasks).where(tasks.c.status == "executing")).all()
    events: list[tuple[Task, Event]] = []
    for task in map(task_from_row, executing):
        is_begun = begun is None or attempt_name(task) in begun
        events.append((task, Lost(task.state.attempt) if is_begun else Returned(task.state.attempt)))
    return apply_events(connection, events)


def attempt_name(task: Task) -> str:
    """Return what names an attempt among all attempts of all tasks."""
    return f"{task.key}-{task.state.attempt}"


_PROGRESS = (
    update(tasks)
    .where(
        tasks.c.key == bindparam("this_key"),
        tasks.c.attempt == bindparam("this_attempt"),
        tasks.c.status == "executing",
    )
    .values(progress=bindparam("progress"))
)


def store_progress(connection: Connection, progress: Mapping[tuple[str, int], Any]) -> None:
    """Store how far attempts (key, number) are, those that are still the present ones."""
    if progress:
        values = [{"this_key": key, "this_attempt": n, "progress": value} for (key, n), value in progress.items()]
        connection.execute(_PROGRESS, values)
