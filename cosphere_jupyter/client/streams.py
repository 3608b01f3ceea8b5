"""Streams of statuses: a thread reads, whoever iterates may stop at any time, and what breaks is taken up again.

A server that is away for a while (a restart) is waited for: tasks are durable and go on where they were.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from contextvars import copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .errors import ServerUnavailable
from .faces import Face
from .statuses import Lines, News, TaskStatus

if TYPE_CHECKING:
    import httpx

STREAM = "/status_stream"
STREAM_OF_ALL = "/tasks_stream"
STATUS = "/status"
# What the server follows in one stream.
MOST_KEYS = 10_000
# How long a server may be away while somebody waits.
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = (0.1, 0.5, 1.0, 2.0)
# How often somebody who waits looks whether it shall stop.
LOOK_SECONDS = 0.1
# So many statuses wait for whoever iterates; then reading stops, and the server keeps the newest of each task.
MOST_WAITING = 1000

Steps = Generator[float, "list[TaskStatus] | None", None]


class StatusStream:
    """The statuses of tasks, as they change; iterate over it, in a thread or a coroutine, and close it.

    >>> with StatusStream(face, [key]) as stream:
    ...     for status in stream:
    ...         print(status)

    With ``keys`` it ends when all of these tasks have; without, it tells of all tasks of the account, also new ones,
    and ends when it is closed or ``stop`` is set. Raises ``ServerUnavailable`` when the server is away for more than a
    minute.
    """

    def __init__(self, face: Face, keys: Sequence[str] | None = None, stop: threading.Event | None = None) -> None:
        self._face = face
        self._keys = keys
        self._stop = stop or threading.Event()
        self._mailbox = _Mailbox()
        self._news = News(keys)
        self._lock = threading.Lock()
        self._response: httpx.Response | None = None
        self._thread: threading.Thread | None = None
        # Whether the server does not answer at the moment.
        self.is_away = False

    def __enter__(self) -> StatusStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, also from another thread."""
        self._mailbox.close()
        with self._lock:
            if self._response is not None:
                _hang_up(self._response)

    # -- for whoever iterates --------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[TaskStatus]:
        """Give each change, beginning with how things are now."""
        try:
            while (news := self.take(None)) is not None:
                yield from news
        finally:
            self.close()

    def take(self, timeout: float | None) -> list[TaskStatus] | None:
        """Wait for changes and return them, [] after ``timeout`` seconds, None at the end."""
        self._start()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._stop.is_set():
            left = LOOK_SECONDS if deadline is None else min(deadline - time.monotonic(), LOOK_SECONDS)
            news = self._mailbox.take(max(left, 0.0))
            if news is None or news or left <= 0:
                return news
        self.close()
        return None

    async def __aiter__(self) -> AsyncGenerator[TaskStatus, None]:
        """``__iter__`` for coroutines."""
        try:
            while (news := await self.take_async(None)) is not None:
                for status in news:
                    yield status
        finally:
            self.close()

    async def take_async(self, timeout: float | None) -> list[TaskStatus] | None:
        """``take`` for coroutines: holds no thread of the event loop's pool."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        self._mailbox.wake = lambda: loop.call_soon_threadsafe(changed.set)
        self._start()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._stop.is_set():
            changed.clear()
            left = LOOK_SECONDS if deadline is None else min(deadline - time.monotonic(), LOOK_SECONDS)
            news = self._mailbox.take(0.0)
            if news is None or news or left <= 0:
                return news
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(changed.wait(), left)
        self.close()
        return None

    def drive(self, steps: Steps) -> None:
        """Run a waiting to its end: it gives the seconds of its next ``take`` and is sent what came."""
        with self, closing(steps), suppress(StopIteration):
            seconds = next(steps)
            while True:
                seconds = steps.send(self.take(seconds))

    async def drive_async(self, steps: Steps) -> None:
        """``drive`` for coroutines."""
        with self, closing(steps), suppress(StopIteration):
            seconds = next(steps)
            while True:
                seconds = steps.send(await self.take_async(seconds))

    # -- the thread that reads -------------------------------------------------------------------------------------

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                # Whoever asks nobody to sign in does not do so by this thread either.
                work = copy_context().run
                self._thread = threading.Thread(target=work, args=(self._run,), name="cosphere-stream", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self._read_all()
        except BaseException as problem:
            error = problem
        self._mailbox.end(error)

    def _read_all(self) -> None:
        heard, failures = time.monotonic(), 0
        while not self._mailbox.is_closed:
            started, unfinished = time.monotonic(), len(self._news.unfinished)
            try:
                if self._read():
                    heard = time.monotonic()
            except ServerUnavailable:
                if time.monotonic() - heard > PATIENCE_SECONDS:
                    raise
                self.is_away = True
            if self._news.is_over:
                return
            if self._keys is not None and len(self._news.unfinished) < unfinished:
                # Some have ended: the others are next.
                failures = 0
                continue
            # One that is closed again and again shall not be asked all the time.
            failures = 0 if heard - started > PAUSE_SECONDS[-1] else failures
            self._mailbox.wait_closed(PAUSE_SECONDS[min(failures, len(PAUSE_SECONDS) - 1)])
            failures += 1

    def _read(self) -> bool:
        """Read one connection to its end; return whether it told anything."""
        import httpx

        lines, has_told = Lines(), False
        unfinished = self._news.unfinished
        if self._keys is None:
            request: tuple[str, str, Any] = ("GET", STREAM_OF_ALL, None)
        else:
            # What is more comes when these have ended. Not in the URL, which logs tell: keys open tasks.
            request = ("POST", STREAM, {"tasks": unfinished[:MOST_KEYS]})
        try:
            with self._face.stream(*request) as response:
                self._hold(response)
                for chunk in response.iter_bytes():
                    for value in lines.feed(chunk):
                        self._tell(value)
                        if not has_told:
                            has_told, self.is_away = True, False
                            self._catch_up(unfinished, value)
                    if self._news.is_over or self._mailbox.is_closed:
                        break
        except (httpx.TransportError, httpx.StreamError, OSError, ValueError):
            # Broken on the way, or at our own end; a line that broke off is no JSON.
            pass
        finally:
            self._hold(None)
        return has_told

    def _tell(self, value: Any) -> None:
        for status in self._news.of(value):
            self._mailbox.put(status)

    def _catch_up(self, unfinished: Sequence[str], first: Any) -> None:
        """Ask for the tasks that have changed while nobody listened and are no longer among the newest."""
        if self._keys is not None or not unfinished:
            return
        told = {each.get("key") for each in first if isinstance(each, dict)} if isinstance(first, list) else set()
        if missed := [key for key in unfinished if key not in told]:
            self._tell(self._face.post(STATUS, {"tasks": missed}, is_repeatable=True))

    def _hold(self, response: httpx.Response | None) -> None:
        with self._lock:
            self._response = response
            if response is not None and self._mailbox.is_closed:
                _hang_up(response)


class _Mailbox:
    """What was read and not taken yet; bounded, and closed by either side."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[TaskStatus] = deque()
        self._has_ended = False
        self._error: BaseException | None = None
        self.is_closed = False
        self.wake: Callable[[], Any] = lambda: None

    def put(self, status: TaskStatus) -> None:
        """Add a status; wait while there are too many, until it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < MOST_WAITING or self.is_closed)
            self._items.append(status)
        self._tell()

    def end(self, error: BaseException | None) -> None:
        """Nothing more will come, for the reason of an error or without one."""
        with self._changed:
            self._has_ended, self._error = True, error
        self._tell()

    def take(self, timeout: float) -> list[TaskStatus] | None:
        """Return what is there, or [] after a while; at the end raise the error or return None."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._has_ended or self.is_closed, timeout)
            if self.is_closed:
                return None
            if self._items:
                news = list(self._items)
                self._items.clear()
                self._changed.notify_all()
                return news
            if self._error is not None:
                raise self._error
            return None if self._has_ended else []

    def close(self) -> None:
        """Nobody will take anything any more."""
        with self._changed:
            self.is_closed = True
        self._tell()

    def wait_closed(self, seconds: float) -> None:
        """Sleep, but not longer than until it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_closed, seconds)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
        # The event loop may be gone.
        with suppress(RuntimeError):
            self.wake()


def _hang_up(response: httpx.Response) -> None:
    """Break a connection that another thread reads: closing it here would not wake that thread."""
    found = response.extensions.get("network_stream")
    connection = found.get_extra_info("socket") if found is not None else None
    if isinstance(connection, socket.socket):
        with suppress(OSError):
            # Of the plain socket, also beneath TLS, whose own shutdown waits for the other side.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
