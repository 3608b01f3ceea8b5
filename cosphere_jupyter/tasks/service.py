"""All that callers do with tasks, whatever they are named: read, list, wait, follow, cancel."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from sqlalchemy import Connection, Select

from ..database.engine import Database
from ..errors import NotFound
from ..results.folder import FolderStore
from . import outputs, records
from .engine import TaskEngine
from .hub import Subscription
from .records import Task
from .states import CancelRequested

# Tasks that are cancelled in one transaction: others write in between.
CANCELLED_AT_ONCE = 200


class Caller(Protocol):
    """What is asked of an account here."""

    @property
    def id(self) -> int:
        """Its id."""

    @property
    def email(self) -> str:
        """Its e-mail address."""

    @property
    def is_admin(self) -> bool:
        """Whether everybody's tasks are open to it."""


class SharedTasks(Protocol):
    """Tasks that other accounts than their owner wait for as well, by a feature's own rules; asked in transactions."""

    def waited_for(self, connection: Connection, keys: Sequence[str], caller: Any) -> set[str]:
        """Return those of the keys whose tasks the caller waits for, and may see."""

    def keys_of(self, caller: Any) -> Select[tuple[str]]:
        """Return the query of the keys of all tasks that the caller waits for, and may see."""

    def leave_task(self, connection: Connection, key: str, caller: Any) -> bool:
        """Let the caller wait for a task no longer; whether others go on waiting for it."""


class Tasks:
    """The tasks of the workspace. ``caller`` None stands for whoever knows the key: the key is the capability."""

    def __init__(
        self, database: Database, engine: TaskEngine, store: FolderStore, shared: SharedTasks | None = None
    ) -> None:
        self._database = database
        self._engine = engine
        self._store = store
        self._shared = shared

    async def read(self, keys: Sequence[str], caller: Caller | None) -> dict[str, Task]:
        """Return the tasks with these keys: those that are the caller's or that they wait for (an ADMIN's are all)."""
        found = await self._database.read(lambda connection: self._read(connection, keys, caller))
        return {key: self._fresh(task) for key, task in found.items()}

    def _read(self, connection: Connection, keys: Sequence[str], caller: Caller | None) -> dict[str, Task]:
        if caller is None or caller.is_admin:
            return records.read_tasks(connection, keys)
        found = records.read_tasks(connection, keys, caller.id)
        others = [key for key in dict.fromkeys(keys) if key not in found]
        if others and self._shared is not None:
            found |= records.read_tasks(connection, self._shared.waited_for(connection, others, caller))
        return found

    async def bulk_read(
        self,
        caller: Caller,
        limit: int | None = None,
        offset: int = 0,
        status: str | None = None,
        name: str | None = None,
    ) -> list[Task]:
        """Return the caller's own tasks and those of others that they wait for, the newest first."""
        shared = None if self._shared is None else self._shared.keys_of(caller)
        tasks = await self._database.read(
            lambda connection: records.list_tasks(connection, caller.id, limit, offset, status, name, shared)
        )
        return [self._fresh(task) for task in tasks]

    async def wait(self, keys: Sequence[str], caller: Caller | None, seconds: float | None) -> dict[str, Task]:
        """Return the tasks when all of them are final, or after ``seconds`` (None: as long as it takes)."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with self.subscribe(keys) as subscription:
            tasks = await self.read(keys, caller)
            subscription.seen(tasks.values())
            waiting = {key for key, task in tasks.items() if not task.state.is_final}
            while waiting:
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    break
                for task in await subscription.changes(remaining):
                    tasks[task.key] = task
                    if task.state.is_final:
                        waiting.discard(task.key)
        return tasks

    async def cancel(self, key: str, caller: Caller) -> Task:
        """End a task as cancelled and kill its process; a task that is final stays as it is.

        One that others wait for goes on for them; only an ADMIN who does not wait for it ends it all the same.

        Raises:
            NotFound: there is no such task, or it is not the caller's.
        """
        found = await self.cancel_many([key], caller)
        if key not in found:
            raise NotFound("task")
        return found[key]

    async def cancel_many(self, keys: Iterable[str], caller: Caller) -> dict[str, Task]:
        """End tasks as `cancel` does, and return those that there are for the caller."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Task] = {}
        for start in range(0, len(wanted), CANCELLED_AT_ONCE):
            cancel = partial(self._cancel_all, keys=wanted[start : start + CANCELLED_AT_ONCE], caller=caller)
            for task, is_new in await self._database.write(cancel):
                found[task.key] = task
                if is_new:
                    self._engine.kill(task.key, task.owner_id)
                elif task.owner_id != caller.id:
                    self._engine.hub.unshare(caller.id, task.key)
        return found

    def _cancel_all(self, connection: Connection, keys: Sequence[str], caller: Caller) -> list[tuple[Task, bool]]:
        found = []
        for key in keys:
            with suppress(NotFound):
                found.append(self._cancel(connection, key, caller))
        return found

    def _cancel(self, connection: Connection, key: str, caller: Caller) -> tuple[Task, bool]:
        task = records.read_task(connection, key)
        waits = self._shared is not None and key in self._shared.waited_for(connection, [key], caller)
        if task is None or not (caller.is_admin or waits or task.owner_id == caller.id):
            raise NotFound("task")
        if task.state.is_final:
            return task, False
        may_force = caller.is_admin and not waits
        if self._shared is not None and not may_force and self._shared.leave_task(connection, key, caller):
            return task, False
        ended = records.apply_event(connection, key, CancelRequested(caller.email))
        if ended is None:
            return task, False
        self._engine.ended(connection, ended)
        return ended, True

    async def result_of(self, task: Task) -> Any:
        """Return the result of a successful task, also one that is too big for the database.

        Raises:
            NotFound: the result was in the store and is gone.
        """
        content = await self.big_result_of(task)
        return task.state.result if content is None else await asyncio.to_thread(json.loads, content)

    async def big_result_of(self, task: Task) -> bytes | None:
        """Return the result of a task as JSON if it is too big for the database, else None.

        Raises:
            NotFound: the result was in the store and is gone, or damaged.
        """
        if task.state.result is not None or task.result_name is None:
            return None
        return await asyncio.to_thread(outputs.read_result, self._store, task.result_name)

    def subscribe(self, keys: Iterable[str] = (), owner_id: int | None = None) -> AbstractContextManager[Subscription]:
        """Follow these tasks, and all tasks of an account if one is given; see `Hub.subscribe`."""
        return self._engine.hub.subscribe(keys, owner_id)

    def _fresh(self, task: Task) -> Task:
        progress = self._engine.progress_of(task)
        return task if progress is task.progress else replace(task, progress=progress)
