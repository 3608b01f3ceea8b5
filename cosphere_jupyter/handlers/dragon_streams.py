"""The tasks API: statuses as they change, one JSON value a line, for thousands of clients at once.

Each stream waits for changes by its subscription; nothing polls. What a slow reader misses is left out, not kept: it
gets the newest status of each task. A reader who takes nothing for half a minute is gone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import orjson
from tornado.iostream import StreamClosedError
from tornado.web import Finish

from ..errors import Unavailable
from ..tasks.records import Task
from .dragon_tasks import PAGE, TasksHandler

if TYPE_CHECKING:
    from ..tasks.hub import Subscription

# Proxies close what is silent for a minute, some for half of one.
KEEP_ALIVE_SECONDS = 20.0
WRITE_SECONDS = 30.0
# Lines that are written at once.
WRITE_BYTES = 64 * 1024


class StreamHandler(TasksHandler):
    """Base of all streams."""

    # A notebook left open streams for ever: idle servers must still be culled.
    counts_as_activity = False

    async def stream(self, keys: Sequence[str]) -> None:
        """Send the statuses of tasks until all have ended; of those that had ended the first line alone tells."""
        with self.services.task_list.subscribe(keys) as subscription:
            found = await self.read_tasks(keys)
            subscription.seen(found.values())
            running = {key for key, task in found.items() if not task.state.is_final}
            first = next((task for task in found.values() if task.key in running), None)
            last = await self.statuses.line(first, self.mount) if first else b""
            await self._begin(keys, found)
            # Thousands of streams: none holds what only its first line needed.
            del found, first, keys
            while running:
                last = await self._tell(await self._changes(subscription, running), last)

    async def stream_all(self, owner_id: int) -> None:
        """Send the newest statuses of an account's tasks and then every change, until the client goes."""
        with self.services.task_list.subscribe(owner_id=owner_id) as subscription:
            tasks = {task.key: task for task in await self.services.task_list.bulk_read(self.account, PAGE)}
            subscription.seen(tasks.values())
            await self._begin(tasks, tasks, named=True)
            del tasks
            # Until something changes there is no status to repeat: an empty list tells nothing new.
            last = b"[]\n"
            while True:
                last = await self._tell(await self._changes(subscription), last, named=True)

    async def _begin(self, keys: Iterable[str], found: dict[str, Task], named: bool = False) -> None:
        self.set_header("Content-Type", "application/x-ndjson")
        # Proxies shall pass each line on as it comes.
        self.set_header("X-Accel-Buffering", "no")
        await self._send(orjson.dumps(await self.statuses.all(keys, found, self.mount, named)) + b"\n")

    async def _changes(self, subscription: Subscription, running: set[str] | None = None) -> list[Task]:
        """Wait for changes of the tasks that run; takes those that have ended out of them."""
        # Not all at the same moment, though the last change came to all at once.
        timeout = random.uniform(0.75, 1) * KEEP_ALIVE_SECONDS  # noqa: S311
        try:
            tasks = await self.while_connected(subscription.changes(timeout))
        except Unavailable:
            # The server stops; the client asks the next one.
            raise Finish from None
        if running is None:
            return tasks
        tasks = [task for task in tasks if task.key in running]
        running.difference_update(task.key for task in tasks if task.state.is_final)
        return tasks

    async def _tell(self, tasks: list[Task], last: bytes, named: bool = False) -> bytes:
        """Send changes, or the last line again if there are none; returns the line that is the last now."""
        lines: list[bytes] = []
        for task in tasks:
            last = await self.statuses.line(task, self.mount, named)
            lines.append(last)
            if sum(map(len, lines)) > WRITE_BYTES:
                await self._send(b"".join(lines))
                lines.clear()
        if lines or not tasks:
            await self._send(b"".join(lines) or last)
        return last

    async def _send(self, chunk: bytes) -> None:
        if self.request.method == "HEAD":
            raise Finish
        self.write(chunk)
        sent = self.flush()
        if sent.done() and sent.exception() is None:
            return
        try:
            await asyncio.wait_for(sent, WRITE_SECONDS)
        except (StreamClosedError, asyncio.TimeoutError):
            # Not finish(), which would wait behind what is not taken.
            self.request.connection.stream.close()  # type: ignore[union-attr]
            raise Finish from None


class CreateStreamHandler(StreamHandler):
    """``/v1/create_stream``."""

    async def post(self) -> None:
        """Queue tasks and stream their statuses."""
        await self.stream([task.key for task in await self.create(self.definitions())])


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
