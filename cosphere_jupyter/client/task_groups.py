"""Several tasks at once: created in batches, waited for by one stream, shown by one bar."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

from .display import Html, table
from .errors import ServerUnavailable, TaskFailed, TaskTimeout
from .progress import Counting
from .statuses import TaskStatus
from .streams import PATIENCE_SECONDS, StatusStream

if TYPE_CHECKING:
    from .tasks import Task, Tasks

# What is sent at once.
BATCH = 500
BATCH_BYTES = 1024 * 1024
# With a bar its clock shall move.
SHOWN_SECONDS = 0.5
# So many failures are told by name.
MOST_TOLD = 3


class TaskGroup(Sequence["Task"], Html):
    """Some tasks, in order.

    >>> group = ws.tasks.create_many("hello", ["John", "Jane"], parameter="name")
    >>> group.wait()[0].result
    'Hello John'
    """

    def __init__(self, tasks: Tasks, members: Sequence[Task]) -> None:
        self._tasks = tasks
        self._members = tuple(members)

    @overload
    def __getitem__(self, place: int) -> Task: ...

    @overload
    def __getitem__(self, place: slice) -> TaskGroup: ...

    def __getitem__(self, place: int | slice) -> Task | TaskGroup:
        """Return one task, or several as another group."""
        if isinstance(place, slice):
            return TaskGroup(self._tasks, self._members[place])
        return self._members[place]

    def __len__(self) -> int:
        return len(self._members)

    @property
    def counts(self) -> dict[str, int]:
        """How many tasks have each status, as far as known."""
        found: dict[str, int] = {}
        for task in self._members:
            found[task.status] = found.get(task.status, 0) + 1
        return found

    def refresh(self) -> TaskGroup:
        """Ask how far they are, and return the group."""
        self._tasks.read(self._members)
        return self

    def cancel(self) -> TaskGroup:
        """End all that have not ended, and return the group."""
        self._tasks.cancel([task for task in self._members if not task.is_final])
        return self

    def wait(self, timeout: float | None = None, progress: bool = True) -> TaskGroup:
        """Wait until all have succeeded, and return the group. One bar shows how many have ended.

        Raises ``TaskFailed``, when all have ended, naming the first that failed; ``TaskTimeout`` (a TimeoutError) after
        ``timeout`` seconds. Interrupting stops the waiting only: ``cancel()`` stops the work.
        """
        self.results(timeout, progress)
        return self

    def results(
        self, timeout: float | None = None, progress: bool = True, *, return_exceptions: bool = False
    ) -> list[Any]:
        """Wait as ``wait`` does and return the results, in order.

        With ``return_exceptions`` the ``TaskFailed`` of each task that failed stands in its place.
        """
        stream = self._tasks.stream_of(self._members)
        stream.drive(self._steps(stream, timeout, progress))
        return self._outcomes(return_exceptions)

    async def wait_async(self, timeout: float | None = None, progress: bool = True) -> TaskGroup:
        """``wait`` for coroutines; cancelling it stops the waiting, not the tasks."""
        await self.results_async(timeout, progress)
        return self

    async def results_async(
        self, timeout: float | None = None, progress: bool = True, *, return_exceptions: bool = False
    ) -> list[Any]:
        """``results`` for coroutines."""
        stream = self._tasks.stream_of(self._members)
        await stream.drive_async(self._steps(stream, timeout, progress))
        return self._outcomes(return_exceptions)

    def __await__(self) -> Generator[Any, None, TaskGroup]:
        return self.wait_async().__await__()

    def _steps(
        self, stream: StatusStream, timeout: float | None, progress: bool
    ) -> Generator[float, list[TaskStatus] | None, None]:
        names = {task.name or "tasks" for task in self._members}
        with Counting(names.pop() if len(names) == 1 else "tasks", len(self), progress) as bar:

            def show() -> None:
                counts = self.counts
                failed = counts.get("error", 0)
                words = "the server does not answer" if stream.is_away else f"{failed} failed" if failed else ""
                bar.show(counts.get("success", 0) + failed, words)

            yield from waiting(self._members, timeout, show)

    def _outcomes(self, return_exceptions: bool) -> list[Any]:
        failed = [(place, task) for place, task in enumerate(self._members) if task.error is not None]
        if failed and not return_exceptions:
            told = "; ".join(f"number {place}: {task.error}" for place, task in failed[:MOST_TOLD])
            more = f"; and {len(failed) - MOST_TOLD:,} more" if len(failed) > MOST_TOLD else ""
            text = f"{len(failed):,} of {len(self):,} tasks failed (the first is number 0): {told}{more}"
            raise TaskFailed(text, [task for _, task in failed])
        return [TaskFailed(task.error, [task]) if task.error is not None else task.result for task in self._members]

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {status}" for status, count in sorted(self.counts.items()))
        return f"<TaskGroup of {len(self):,}{': ' if counts else ''}{counts}>"

    def _repr_html_(self) -> str:
        counts = ", ".join(f"{count:,} {status}" for status, count in sorted(self.counts.items()))
        title = f"Tasks: {len(self):,}{f' ({counts})' if counts else ''}"
        return table(title, ("key", "name", "status", "queued", "seconds", "outcome"), map(_row, self), len(self))


class TaskStream:
    """All tasks of an account as they change; see ``Tasks.stream``. A context manager, too."""

    def __init__(self, statuses: StatusStream, task_of: Callable[[TaskStatus], Task]) -> None:
        self._statuses = statuses
        self._task_of = task_of

    def __iter__(self) -> Iterator[Task]:
        for status in self._statuses:
            yield self._task_of(status)

    async def __aiter__(self) -> AsyncGenerator[Task, None]:
        async with aclosing(self._statuses.__aiter__()) as statuses:
            async for status in statuses:
                yield self._task_of(status)

    @property
    def is_away(self) -> bool:
        """Whether the server does not answer at the moment."""
        return self._statuses.is_away

    def take(self, timeout: float | None = None) -> list[Task] | None:
        """Wait for changes and return them, [] after ``timeout`` seconds, None at the end."""
        news = self._statuses.take(timeout)
        return None if news is None else [self._task_of(status) for status in news]

    def close(self) -> None:
        """End it, also from another thread."""
        self._statuses.close()

    def __enter__(self) -> TaskStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _row(task: Task) -> tuple[Any, ...]:
    events = task.events
    started, completed, queued = events.get("started"), events.get("completed"), events.get("queued")
    took = f"{(completed - started).total_seconds():.3g}" if started and completed else ""
    outcome = task.error or (shown(task.result) if task.status == "success" else "")
    if not task.is_final and task.progress is not None:
        outcome = shown(task.progress)
    at = queued.astimezone().strftime("%Y-%m-%d %H:%M:%S") if queued else ""
    return task.key, task.name, task.status, at, took, outcome


def waiting(
    tasks: Sequence[Task], timeout: float | None, show: Callable[[], None]
) -> Generator[float, list[TaskStatus] | None, None]:
    """Wait until all tasks have ended: give the seconds of the next look, take what came (None: it was stopped).

    It is the one way for threads and coroutines; see ``StatusStream.drive``.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    unfinished: dict[str, list[Task]] = {}
    for task in tasks:
        if not task.is_final:
            unfinished.setdefault(task.key, []).append(task)
    show()
    while unfinished:
        left = SHOWN_SECONDS if deadline is None else deadline - time.monotonic()
        if left <= 0:
            one = f"task {tasks[0].key} is still {tasks[0].status}"
            several = f"{len(unfinished):,} of {len(tasks):,} tasks have not ended"
            raise TaskTimeout(f"{one if len(tasks) == 1 else several} after {timeout} s")
        news = yield min(left, SHOWN_SECONDS)
        if news is None:
            return
        for status in news:
            for task in unfinished.get(status.key, ()):
                task._take(status)
            if status.is_final:
                unfinished.pop(status.key, None)
        show()


def definitions(
    name: str, items: Sequence[Any], parameter: str | None, common: Mapping[str, Any] | None, seed: str
) -> list[dict[str, Any]]:
    """Return the definitions of a task for each item, each with an idempotency key of its own."""
    if isinstance(items, str | bytes | Mapping):
        raise TypeError(f"the items of {name!r} are a list, with an item for each task")
    found = []
    for number, item in enumerate(items):
        if parameter is None and not isinstance(item, Mapping):
            raise TypeError(
                f"each item is a mapping of parameters, and number {number} is {type(item).__name__}; "
                'for items that are values, name their parameter: parameter="…"'
            )
        own = item if parameter is None else {parameter: item}
        if wrong := [each for each in (*(common or {}), *own) if str(each).startswith("task_")]:
            raise ValueError(f"{wrong[0]!r} cannot be a parameter: names that begin with task_ are the tasks API's")
        key = {"idempotency_key": f"{seed}-{number}"}
        found.append({**key, **(common or {}), **own, "task_name": name})
    return found


def sent(things: Sequence[Any], send: Callable[[Sequence[Any]], Any]) -> list[Mapping[str, Any]]:
    """Send things in batches and return their statuses, in order; ``send`` may be repeated.

    When the first batch has arrived, a server that is away for a while is waited for.
    """
    found: list[Mapping[str, Any]] = []
    for batch in _batches(things):
        answer = _patiently(send, batch) if found else send(batch)
        statuses = answer if isinstance(answer, list) else [answer]
        if len(statuses) != len(batch):
            raise ServerUnavailable(f"{len(batch):,} tasks were named, and the server told of {len(statuses):,}")
        found += statuses
    return found


def _batches(things: Sequence[Any]) -> Iterator[Sequence[Any]]:
    batch: list[Any] = []
    size = 0
    for thing in things:
        bytes_ = len(json.dumps(thing))
        if batch and (len(batch) >= BATCH or size + bytes_ > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(thing)
        size += bytes_
    if batch:
        yield batch


def _patiently(send: Callable[[Sequence[Any]], Any], batch: Sequence[Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return send(batch)
        except ServerUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)


def shown(value: Any) -> str:
    """Return JSON as text for people; links lose what makes them work."""
    harmless = _without_signatures(value)
    return harmless if isinstance(harmless, str) else json.dumps(harmless, ensure_ascii=False)


def _without_signatures(value: Any) -> Any:
    if isinstance(value, str):
        return value.partition("?")[0] if "://" in value else value
    if isinstance(value, Mapping):
        return {name: _without_signatures(each) for name, each in value.items()}
    return [_without_signatures(each) for each in value] if isinstance(value, list) else value
