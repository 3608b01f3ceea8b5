"""The engine: takes queued tasks, runs each attempt in a child process, writes down how it ended.

The database is the record of truth; the engine holds nothing that a kill -9 could lose. A feature registers a
``TaskKind`` and enqueues tasks in its own transaction (``records.enqueue``), then calls ``wake()``.

The engine works in turns. A turn is one transaction: the ends of attempts since the last turn, progress, the next
claims. While it is committed the children go on with what was claimed before, and nothing is told before its commit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from logging import Logger
from typing import Any

from sqlalchemy import Connection

from ..database.engine import Database
from ..errors import ExecutionError, Unavailable
from ..results.folder import FolderStore
from . import outputs, records
from .children import ChildCrashed, Children
from .hub import Hub
from .journal import Journal
from .kinds import Call, Published, TaskKind
from .lanes import Attempt, Lane
from .recording import End, Kinds, Outcome, Recorder, Turn
from .records import Task
from .runner import Runner
from .states import Crashed, Returned

__all__ = ["Call", "Published", "TaskEngine", "TaskKind"]

SWEEP_SECONDS = 5.0
# How often the progress of running tasks is stored, and how often one task's is told.
PROGRESS_SECONDS = 1.0
TELL_SECONDS = 0.25
RETRY_SECONDS = 1.0
QUICK_SLOTS = 2


class TaskEngine:
    """Runs tasks on this machine, at most ``slots`` long ones at once, and quick ones beside them."""

    def __init__(
        self,
        database: Database,
        pools: Mapping[bool, Children],
        store: FolderStore,
        journal: Journal,
        slots: int,
        log: Logger,
        account_limit: int = 0,
    ) -> None:
        """``pools`` are the processes for the workspace's own code (False) and for others' (True).

        ``account_limit`` is how many long tasks of one account may run at once; 0 is no limit.
        """
        self._database = database
        self._pools = pools
        self._store = store
        self._journal = journal
        self._log = log
        self._kinds = Kinds()
        self._recorder = Recorder(database, self._kinds, log)
        self.hub = Hub(self._read_fresh, log)
        self._runner = Runner(pools, store, self, log)
        self._lanes = ((False, Lane(slots, account_limit)), (True, Lane(QUICK_SLOTS, is_ahead=True)))
        self._wake = asyncio.Event()
        # The number of the last task that the queues know.
        self._last = 0
        self._has_new = True
        self._running: dict[str, Attempt] = {}
        self._ends: list[End] = []
        self._progress: dict[tuple[str, int], Any] = {}
        self._progress_stored = 0.0
        self._loop_task: asyncio.Task[None] | None = None
        self._cleaning: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._calls = asyncio.Semaphore(slots)

    def register(self, kind: TaskKind) -> None:
        """Make tasks of this kind runnable."""
        self._kinds.add(kind)

    def register_fallback(self, kind: TaskKind) -> None:
        """Give all tasks to this kind whose name no other kind has."""
        self._kinds.fallback = kind

    def is_taken(self, name: str) -> bool:
        """Whether tasks of this name belong to a feature; nobody else makes them, or gives them another meaning."""
        return self._kinds.has(name)

    def ended(self, connection: Connection, task: Task) -> None:
        """Let the task's feature write its own rows; for whoever ends a task in a transaction of theirs."""
        self._kinds.ended(connection, task)

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover what a former server left and begin to take tasks."""
        begun = await asyncio.to_thread(self._journal.read)
        for task in await self._recorder.recover(begun):
            self._log.info("Task %s (%s) was running when the server ended: %s", task.key, task.name, task.state.status)
        await asyncio.to_thread(self._journal.open)
        self._loop_task = asyncio.ensure_future(self._take_turns())
        self._sweep()

    async def stop(self) -> None:
        """Kill the running children. Their tasks stay *executing* in the record: the next start recovers them."""
        self._stopping = True
        if self._timer:
            self._timer.cancel()
        attempts = list(self._running.values())
        for attempt in attempts:
            attempt.kill()
        await asyncio.gather(*(attempt.task for attempt in attempts if attempt.task), return_exceptions=True)
        if self._loop_task:
            self._wake.set()
            await self._loop_task
            await self._give_back()
        await asyncio.gather(*self._cleaning, return_exceptions=True)
        for pool in self._pools.values():
            await pool.close()
        self._journal.close()
        self.hub.close()

    async def _give_back(self) -> None:
        """Record what has ended, and that what was claimed ahead did nothing yet."""
        waiting = [attempt for attempt in self._running.values() if attempt.task is None]
        for end in [*self._ends, *(End(attempt, Returned(attempt.of.state.attempt)) for attempt in waiting)]:
            try:
                await self._recorder.end(end)
            except Unavailable as error:
                self._log.error("Task %s: the next start has to find out how it ended (%s)", end.attempt.of.key, error)

    def _sweep(self) -> None:
        """Look at the queue from time to time even if nobody said that there is something new."""
        self.wake()
        self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def wake(self, keys: Iterable[str] = (), owner_id: int | None = None) -> None:
        """Look for queued tasks now; ``keys`` are the new ones, for whoever follows all tasks of their owner."""
        self._has_new = True
        self._wake.set()
        for key in keys:
            self.hub.changed(key, owner_id)

    def forget_numbers(self) -> None:
        """Look at the whole queue next time: rows were deleted, and their numbers may be given again."""
        self._last = 0
        self.wake()

    def kill(self, key: str, owner_id: int | None = None) -> None:
        """Kill the process of a task that was cancelled, or take it from the queue (after the commit that says so)."""
        if attempt := self._running.get(key):
            attempt.kill()
        for _, lane in self._lanes:
            lane.remove([key])
        self.hub.changed(key, owner_id)

    def is_running(self, key: str) -> bool:
        """Whether an attempt of this task has a process here (also one that is being killed)."""
        return key in self._running

    # -- looking ---------------------------------------------------------------------------------------------------

    def progress_of(self, task: Task) -> Any:
        """Return the newest progress: fresher than the record while the task runs here."""
        attempt = self._running.get(task.key)
        is_newer = task.state.status == "executing" and attempt is not None and attempt.progress is not None
        return attempt.progress if is_newer and attempt else task.progress

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
        pool = self._pools[call.is_foreign]
        async with self._calls:
            child = await pool.acquire()
            try:
                return await child.call(call.entry, call.params, lambda _: None, call.spill)
            finally:
                pool.release(child)

    # -- turns -----------------------------------------------------------------------------------------------------

    async def _take_turns(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._take_turn()
            except Exception:
                # Whatever it was: nobody else takes the tasks.
                self._log.exception("Cannot take tasks now; trying again")
                await asyncio.sleep(RETRY_SECONDS)
                self.wake()

    async def _take_turn(self) -> None:
        ends, self._ends = self._ends, []
        has_new, self._has_new = self._has_new, False
        lanes = () if self._stopping else self._lanes
        turn = Turn(ends, self._due_progress(), self._last if has_new else None, lanes)
        try:
            outcome = await self._recorder.take(turn)
        except Exception:
            self._has_new |= has_new
            if not ends:
                raise
            # One of the ends counts no more, or a feature cannot write its rows, or the disk is full.
            await self._end_one_by_one(ends)
            self._wake.set()
        else:
            for end, task in zip(ends, outcome.ended, strict=True):
                self._is_recorded(end.attempt, task)
            self._take_up(outcome)
            if turn.after == self._last:
                self._last = max(self._last, outcome.last)

    async def _end_one_by_one(self, ends: list[End]) -> None:
        for end in ends:
            try:
                self._is_recorded(end.attempt, await self._recorder.end(end))
            except Exception as error:
                # A full disk or a busy database must not lose a finished work: it stays ours until it is recorded.
                self._log.error("Task %s: cannot record its end now (%s); trying again", end.attempt.of.key, error)
                self._ends.append(end)
        if self._ends and not self._stopping:
            await asyncio.sleep(RETRY_SECONDS)

    def _take_up(self, outcome: Outcome) -> None:
        """Take what was claimed into our care and begin it as far as there are slots."""
        for lane, chosen, claimed in outcome.claims:
            lane.remove(each.key for each in chosen)
            waiting = {each.key: each for each in chosen}
            for task in claimed:
                attempt = self._running[task.key] = Attempt(task, lane, waiting[task.key])
                lane.take(attempt)
                self.hub.changed(task.key, task.owner_id, task)
            self._fill(lane)
            if len(claimed) < len(chosen):
                # Some had been cancelled: their places are for those behind them.
                self._wake.set()

    def _due_progress(self) -> Mapping[tuple[str, int], Any]:
        if not self._progress or time.monotonic() - self._progress_stored < PROGRESS_SECONDS:
            return {}
        self._progress_stored = time.monotonic()
        progress, self._progress = self._progress, {}
        return progress

    # -- attempts --------------------------------------------------------------------------------------------------

    def _fill(self, lane: Lane) -> None:
        """Begin what is claimed as far as there are slots."""
        while lane.ready and lane.has_free_slot and not self._stopping:
            attempt = lane.begin()
            attempt.task = asyncio.ensure_future(self._run(attempt))

    def begin(self, attempt: Attempt) -> None:
        """Write down that the attempt may have side effects from now on; for the runner."""
        self._journal.begin(attempt.name, lambda: [each.name for each in self._running.values() if each.is_begun])
        attempt.is_begun = True

    async def _run(self, attempt: Attempt) -> None:
        event = await self._runner.run(attempt, self._kinds.of(attempt.of))
        attempt.release_slot()
        if attempt.is_killed and not attempt.is_begun:
            event = Returned(attempt.of.state.attempt)
        # Who killed it has recorded why, or stops the server: then the next start takes it up.
        if attempt.is_killed and isinstance(event, Crashed):
            self._clean(attempt, None)
        else:
            self._ends.append(End(attempt, event))
        self._wake.set()

    def answered(self, attempt: Attempt) -> None:
        """Give the process of a quick attempt to the next one while this one is published; for the runner."""
        if attempt.lane.is_ahead:
            attempt.release_slot()
            self._fill(attempt.lane)

    def _is_recorded(self, attempt: Attempt, task: Task | None) -> None:
        if task is not None and task.state.status == "success":
            self._let_go(attempt, task)
        else:
            self._clean(attempt, task)

    def _clean(self, attempt: Attempt, task: Task | None) -> None:
        cleaning = asyncio.ensure_future(self._discard(attempt, task))
        self._cleaning.add(cleaning)
        cleaning.add_done_callback(self._cleaning.discard)

    async def _discard(self, attempt: Attempt, task: Task | None) -> None:
        """Remove what an attempt has left that did not win."""
        try:
            if kind := self._kinds.of(attempt.of):
                await kind.discard(attempt.of)
            await asyncio.to_thread(self._store.discard, outputs.result_name(attempt.of))
        except Exception:
            self._log.exception("Task %s: what it left could not be removed", attempt.of.key)
        self._let_go(attempt, task)

    def _let_go(self, attempt: Attempt, task: Task | None) -> None:
        attempt.forget_progress()
        attempt.lane.in_care -= 1
        self._progress.pop((attempt.of.key, attempt.of.state.attempt), None)
        self._running.pop(attempt.of.key, None)
        self.hub.changed(attempt.of.key, attempt.of.owner_id, task)
        if task is not None and task.state.status == "queued":
            attempt.lane.add([attempt.waiting])
            self._wake.set()

    def report(self, attempt: Attempt, progress: Any) -> None:
        """Take note of progress; for the runner."""
        attempt.progress = progress
        self._progress[attempt.of.key, attempt.of.state.attempt] = progress
        attempt.tell_progress(TELL_SECONDS, lambda: self.hub.changed(attempt.of.key, attempt.of.owner_id))
        if time.monotonic() - self._progress_stored > PROGRESS_SECONDS:
            self._wake.set()
