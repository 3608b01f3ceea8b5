"""The engine: takes queued tasks, runs each attempt in a child process, writes down how it ended.

The database is the record of truth; the engine holds nothing that a kill -9 could lose. A feature registers a
``TaskKind`` and enqueues tasks in its own transaction (``records.enqueue``), then calls ``wake()``.
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from logging import Logger
from typing import Any, Protocol

from sqlalchemy import Connection

from ..database.engine import Database
from ..errors import CosphereError, ExecutionError, Unavailable
from . import records
from .children import Child, ChildCrashed, Children
from .hub import Hub
from .records import Task
from .states import Crashed, Event, Failed, Succeeded

SWEEP_SECONDS = 5.0
PROGRESS_SECONDS = 1.0
RETRY_SECONDS = 1.0
# The file of a result that is too big for the database.
RESULT_FILE = "result.json"


@dataclass(frozen=True)
class Call:
    """What a child process is to do: ``entry`` is "module:function"."""

    entry: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Published:
    """What ``TaskKind.publish`` returns if it has put something into the result store under ``result_name``.

    ``outputs`` are ``{"name", "file", "size" (bytes), "sha256", "content_type"}``, one for each file it speaks of.
    """

    result: Any
    result_name: str | None = None
    outputs: tuple[dict[str, Any], ...] = ()


class TaskKind(Protocol):
    """What a feature tells the engine about its tasks."""

    name: str

    async def prepare(self, task: Task) -> Call:
        """Say what the child shall do. ``ExecutionError`` ends the task."""

    async def publish(self, task: Task, result: Any) -> Any:
        """Make the outcome visible (rename files, write a manifest); returns the result to store, or `Published`."""

    def on_end(self, connection: Connection, task: Task) -> None:
        """Write the feature's own rows, in the transaction in which the task ends (``task`` as it is then)."""

    async def discard(self, task: Task) -> None:
        """Remove what an attempt that counts no more has left."""


class TaskEngine:
    """Runs tasks on this machine, at most ``slots`` at once."""

    def __init__(self, database: Database, children: Children, slots: int, log: Logger) -> None:
        self._database = database
        self._children = children
        self._slots = slots
        self._log = log
        self._kinds: dict[str, TaskKind] = {}
        self._wake = asyncio.Event()
        self._running: dict[str, _Attempt] = {}
        self._progress: dict[str, Any] = {}
        self._fallback: TaskKind | None = None
        self.hub = Hub(self._read_fresh, log)
        self._loop_task: asyncio.Task[None] | None = None
        self._stopping = False
        self._calls = asyncio.Semaphore(slots)

    def register(self, kind: TaskKind) -> None:
        """Make tasks of this kind runnable."""
        self._kinds[kind.name] = kind

    def register_fallback(self, kind: TaskKind) -> None:
        """Give all tasks to this kind whose name no other kind has."""
        self._fallback = kind

    def _kind_of(self, task: Task) -> TaskKind | None:
        return self._kinds.get(task.name, self._fallback)

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover what a former server left and begin to take tasks."""
        for task in await self._database.write(self._recover):
            self._log.info("Task %s (%s) was running when the server ended: %s", task.key, task.name, task.state.status)
        self._loop_task = asyncio.ensure_future(self._take_tasks())

    async def stop(self) -> None:
        """Kill the running children. Their tasks stay *executing* in the record: the next start recovers them."""
        self._stopping = True
        if self._loop_task:
            self._loop_task.cancel()
        attempts = list(self._running.values())
        for attempt in attempts:
            attempt.kill()
        await asyncio.gather(*(attempt.task for attempt in attempts if attempt.task), return_exceptions=True)
        await self._children.close()
        self.hub.close()

    def wake(self, keys: Iterable[str] = (), owner_id: int | None = None) -> None:
        """Look for queued tasks now; ``keys`` are the new ones, for whoever follows all tasks of their owner."""
        self._wake.set()
        for key in keys:
            self.hub.changed(key, owner_id)

    def kill(self, key: str, owner_id: int | None = None) -> None:
        """Kill the process of a task that was cancelled (after the commit that says so)."""
        if attempt := self._running.get(key):
            attempt.kill()
        self.hub.changed(key, owner_id)

    def is_running(self, key: str) -> bool:
        """Whether an attempt of this task has a process here (also one that is being killed)."""
        return key in self._running

    # -- looking ---------------------------------------------------------------------------------------------------

    def progress_of(self, task: Task) -> Any:
        """Return the newest progress: fresher than the record while the task runs here."""
        return self._progress.get(task.key, task.progress) if task.state.status == "executing" else task.progress

    @contextmanager
    def watch(self, key: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the task's status or progress changes.

        Watch first and read the task then: a change between the two is not lost.
        """
        with self.hub.subscribe([key]) as subscription:
            yield subscription.changed

    async def _read_fresh(self, keys: list[str]) -> dict[str, Task]:
        found = await self._database.read(lambda connection: records.read_tasks(connection, keys))
        return {key: replace(task, progress=self.progress_of(task)) for key, task in found.items()}

    # -- quick calls without a record ------------------------------------------------------------------------------

    async def call(self, call: Call, timeout: float) -> Any:
        """Run something quick in a child process and return its result; for questions that a client waits for."""
        try:
            return await asyncio.wait_for(self._call(call), timeout)
        except ChildCrashed as crash:
            raise ExecutionError(f"worker {crash}") from None
        except asyncio.TimeoutError:
            raise Unavailable(f"no answer within {timeout:g} s", event="EXECUTOR_TIMED_OUT") from None

    async def _call(self, call: Call) -> Any:
        # Each child may use a task's share of the machine: no more of them at once than tasks.
        async with self._calls:
            child = await self._children.acquire()
            try:
                return await child.call(call.entry, call.params, lambda _: None)
            finally:
                self._children.release(child)

    # -- running ---------------------------------------------------------------------------------------------------

    async def _take_tasks(self) -> None:
        while True:
            self._wake.clear()
            try:
                while len(self._running) < self._slots and (task := await self._database.write(records.claim)):
                    attempt = self._running[task.key] = _Attempt(task)
                    attempt.task = asyncio.ensure_future(self._run(attempt))
                    self.hub.changed(task.key, task.owner_id)
                await asyncio.wait_for(self._wake.wait(), SWEEP_SECONDS)
            except asyncio.TimeoutError:
                continue
            except Exception:
                # Whatever it was: nobody else takes the tasks.
                self._log.exception("Cannot take tasks now; trying again")
                await asyncio.sleep(RETRY_SECONDS)

    async def _run(self, attempt: _Attempt) -> None:
        task = attempt.of
        try:
            event = await self._attempt(attempt)
            # A stopping server kills its children: how they ended is no news of the task.
            if not (self._stopping and isinstance(event, Crashed)):
                await self._end(task, event)
        except Exception:
            self._log.exception("Task %s: its end could not be recorded as it was", task.key)
            await self._end_somehow(task)
        finally:
            self._running.pop(task.key, None)
            self._progress.pop(task.key, None)
            self.hub.changed(task.key, task.owner_id)
            self.wake()

    async def _attempt(self, attempt: _Attempt) -> Event:
        task = attempt.of
        number = task.state.attempt
        kind = self._kind_of(task)
        if kind is None:
            return Failed(number, f"there is no task named {task.name!r} here")
        try:
            call = await kind.prepare(task)
            result = await self._in_child(attempt, call)
            published = await kind.publish(task, result)
            if isinstance(published, Published):
                return Succeeded(number, published.result, published.result_name, published.outputs)
            return Succeeded(number, published)
        except ExecutionError as error:
            return Failed(number, str(error), error.details)
        except ChildCrashed as crash:
            return Crashed(number, str(crash))
        except CosphereError as error:
            return Failed(number, str(error))
        except OSError as error:
            self._log.exception("Task %s (%s) failed", task.key, task.name)
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            return Failed(number, "the disk is full" if is_full else f"the disk failed: {error.strerror}")
        except Exception as error:
            self._log.exception("Task %s (%s) failed unexpectedly", task.key, task.name)
            return Failed(number, f"the work failed unexpectedly ({type(error).__name__}); the server's log tells more")

    async def _in_child(self, attempt: _Attempt, call: Call) -> Any:
        child = attempt.child = await self._children.acquire()
        try:
            if attempt.is_killed:
                child.kill()
            return await child.call(call.entry, call.params, lambda progress: self._report(attempt, progress))
        finally:
            attempt.child = None
            # The slot is free only when a killed process is really gone.
            if not child.is_reusable:
                await child.kill()
            self._children.release(child)

    def _report(self, attempt: _Attempt, progress: Any) -> None:
        task = attempt.of
        self._progress[task.key] = progress
        self.hub.changed(task.key, task.owner_id)
        if time.monotonic() - attempt.progress_stored > PROGRESS_SECONDS and not self._stopping:
            attempt.progress_stored = time.monotonic()
            key, number = task.key, task.state.attempt
            self._database.submit(lambda connection: records.store_progress(connection, key, number, progress))

    async def _end(self, task: Task, event: Event) -> None:
        kind = self._kind_of(task)
        while True:
            try:
                ended = await self._database.write(lambda connection: self._record(connection, task.key, event))
                break
            except Unavailable as error:
                # A full disk or a busy database must not lose a finished work: it stays ours until it is recorded.
                self._log.error("Task %s: cannot record its end now (%s); trying again", task.key, error)
                if self._stopping:
                    return
                await asyncio.sleep(RETRY_SECONDS)
        if kind is not None and (ended is None or ended.state.status != "success"):
            try:
                await kind.discard(task)
            except Exception:
                self._log.exception("Task %s: what it left could not be removed", task.key)

    async def _end_somehow(self, task: Task) -> None:
        """End a task whose feature could not write its own rows: it must not stay *executing* for ever."""
        text = "the work ended, but what it made could not be recorded; the server's log tells more"
        failed = Failed(task.state.attempt, text)
        try:
            await self._database.write(lambda connection: records.apply_event(connection, task.key, failed))
        except Exception:
            self._log.exception("Task %s: not even its failure could be recorded", task.key)

    def _record(self, connection: Connection, key: str, event: Event) -> Task | None:
        task = records.apply_event(connection, key, event)
        if task is not None and task.state.is_final:
            self.ended(connection, task)
        return task

    def ended(self, connection: Connection, task: Task) -> None:
        """Let the task's feature write its own rows; for whoever ends a task in a transaction of theirs."""
        if kind := self._kind_of(task):
            kind.on_end(connection, task)

    def _recover(self, connection: Connection) -> list[Task]:
        recovered = records.recover(connection)
        for task in recovered:
            if task.state.is_final:
                self.ended(connection, task)
        return recovered


class _Attempt:
    """An attempt that runs in this process's care."""

    def __init__(self, of: Task) -> None:
        self.of = of
        self.task: asyncio.Task[None] | None = None
        self.child: Child | None = None
        self.is_killed = False
        self.progress_stored = 0.0

    def kill(self) -> None:
        self.is_killed = True
        if self.child is not None:
            self.child.kill()
