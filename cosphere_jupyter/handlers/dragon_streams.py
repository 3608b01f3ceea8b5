"""The tasks API: statuses as they change, one JSON value a line, for thousands of clients at once.

Each stream waits for changes by its subscription; nothing polls. What a slow reader misses is left out, not kept: it
gets the newest status of each task. A reader who takes nothing for half a minute is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tornado.web import Finish

from ..errors import Unavailable
from ..tasks.records import Task
from .dragon_open import OpenStreams
from .dragon_tasks import PAGE, WRITE_BYTES, TasksHandler

if TYPE_CHECKING:
    from ..tasks.hub import Subscription

OPEN_STREAMS = "cosphere_open_streams"


class StreamHandler(TasksHandler):
    """Base of all streams."""

    # A notebook left open streams for ever: idle servers must still be culled.
    counts_as_activity = False

    # What is sent again when nothing has changed for long: the last status line.
    last = b""

    async def stream(self, keys: Sequence[str], created: dict[str, Task] | None = None) -> None:
        """Send the statuses of tasks until all have ended; of those that had ended the first line alone tells.

        The first line tells of tasks as they were ``created``, or else as they are.
        """
        with self.services.task_list.subscribe(keys) as subscription:
            found = await self.read_tasks(keys)
            subscription.seen(found.values())
            told = found if created is None else created
            running = {key for key, task in told.items() if not task.state.is_final}
            await self._begin(keys, told, repeated=next(iter(running), None))
            await self._tell([task for key in running if (task := found.get(key)) and task.state != told[key].state])
            running -= {key for key, task in found.items() if task.state.is_final}
            # Thousands of streams: none holds what only its beginning needed.
            del found, told, created, keys
            await self._follow(subscription, running, named=False)

    async def stream_all(self, owner_id: int) -> None:
        """Send the newest statuses of an account's tasks and then every change, until the client goes."""
        with self.services.task_list.subscribe(owner_id=owner_id) as subscription:
            tasks = {task.key: task for task in await self.services.task_list.bulk_read(self.account, PAGE)}
            shared = [key for key, task in tasks.items() if task.owner_id != owner_id and not task.state.is_final]
            if shared:
                # Read again once they are followed: what changed in between is not lost.
                subscription.add(shared)
                tasks |= await self.read_tasks(shared)
            subscription.seen(tasks.values())
            await self._begin(tasks, tasks, named=True)
            del tasks
            await self._follow(subscription, None, named=True)

    async def _follow(self, subscription: Subscription, running: set[str] | None, named: bool) -> None:
        """Send changes of the tasks that run until none does; None: of all, until the client goes."""
        streams: OpenStreams = self.settings.setdefault(OPEN_STREAMS, OpenStreams())
        self._work = asyncio.current_task()
        streams.add(self)
        try:
            while (running is None or running) and not self._is_gone:
                tasks = await subscription.changes()
                if running is not None:
                    tasks = [task for task in tasks if task.key in running]
                    running.difference_update(task.key for task in tasks if task.state.is_final)
                await self._tell(tasks, named)
                del tasks
        except asyncio.CancelledError:
            if not self._is_gone:
                raise
        except Unavailable:
            # The server stops: the client asks the next one.
            return
        finally:
            self._work = None
            streams.remove(self)

    async def _begin(
        self, keys: Iterable[str], found: dict[str, Task], named: bool = False, repeated: str | None = None
    ) -> None:
        self.set_header("Content-Type", "application/x-ndjson")
        # Proxies shall pass each line on as it comes.
        self.set_header("X-Accel-Buffering", "no")
        if self.request.method == "HEAD":
            raise Finish
        # Without a status there is nothing to repeat; an empty list tells nothing new.
        self.last = await self.statuses.line(found[repeated], self.mount, named) if repeated in found else b"[]\n"
        await self.send(await self.send_begun(self.statuses.each(keys, found, self.mount, named)) + b"\n")
        # Not needed any more, and a quarter of what a stream would hold: headers, and a body of perhaps thousands.
        self._headers.clear()
        self.request.headers.clear()
        self._json, self.request.body = None, b""

    async def _tell(self, tasks: Sequence[Task], named: bool = False) -> None:
        """Send changes, a few lines at a time."""
        lines: list[bytes] = []
        for task in tasks:
            self.last = await self.statuses.line(task, self.mount, named)
            lines.append(self.last)
            if sum(map(len, lines)) > WRITE_BYTES:
                await self.send(b"".join(lines))
                lines.clear()
        if lines:
            await self.send(b"".join(lines))


class CreateStreamHandler(StreamHandler):
    """``/v1/create_stream``."""

    async def post(self) -> None:
        """Queue tasks and stream their statuses."""
        # Handed on, not held: the stream lets go of what it needs no more.
        await self.stream(*_by_key(await self.create(self.definitions())))


class StatusStreamHandler(StreamHandler):
    """``/v1/status_stream``, which an example of the document calls ``/v1/stream``."""

    async def get(self) -> None:
        """Stream the statuses of tasks."""
        await self.stream(self.keys())

    async def post(self) -> None:
        """Stream as GET does, for more keys than a URL can hold."""
        await self.stream(self.keys())


class TasksStreamHandler(StreamHandler):
    """``/v1/tasks_stream`` (ours): all tasks of the caller."""

    async def get(self) -> None:
        """Stream the statuses of the caller's newest tasks and of all that change or come."""
        self.refuse_api_keys()
        if self.request.query_arguments:
            raise self.invalid(next(iter(self.request.query_arguments)), "this stream takes no parameters")
        await self.stream_all(self.account.id)


def _by_key(tasks: Sequence[Task]) -> tuple[list[str], dict[str, Task]]:
    return [task.key for task in tasks], {task.key: task for task in tasks}
