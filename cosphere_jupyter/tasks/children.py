"""Killable child processes for the work of tasks, kept warm for a while between calls.

Each child leads its own session and stays the ancestor of all that its work starts, so that killing it takes its
descendants along. A child serves one call at a time; one that failed oddly, crashed or was killed is never used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine
from logging import Logger
from pathlib import Path
from typing import Any

import orjson
import psutil

from ..errors import ExecutionError
from .answers import LINE_LIMIT, TOO_LONG, UNREADABLE, Answer, Spilled

GRACE_SECONDS = 5.0
# What is in the pipe when a process has ended is read within this time, also if a descendant holds the pipe open.
LAST_WORDS_SECONDS = 0.2
STDERR_CHUNKS = 40
MARK = "COSPHERE_TASKS_OF"

Report = Callable[[Any], None]


class ChildCrashed(Exception):
    """The process ended without an answer; the text completes "worker …"."""


class _Pipes(asyncio.SubprocessProtocol):
    """What comes out of a child: lines of the protocol, the tail of standard error, its end."""

    def __init__(self) -> None:
        self.on_line: Callable[[bytes], None] | None = None
        self.on_end: Callable[[], None] | None = None
        self.tail: deque[bytes] = deque(maxlen=STDERR_CHUNKS)
        self.exited = asyncio.Event()
        self._rest = b""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.tail.append(data[-4096:])
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self.on_line is not None:
                self.on_line(line)
        if len(self._rest) > 2 * LINE_LIMIT and self.on_end is not None:
            # Nothing that our side of the pipe writes.
            self.on_end()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1 and self.on_end is not None:
            self.on_end()

    def process_exited(self) -> None:
        self.exited.set()
        if self.on_end is not None:
            asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, self.on_end)


class Child:
    """One child process."""

    def __init__(self, transport: asyncio.SubprocessTransport, pipes: _Pipes, log: Logger) -> None:
        self._transport = transport
        self._pipes = pipes
        self._log = log
        self._stdin: Any = transport.get_pipe_transport(0)
        self._killing: asyncio.Task[None] | None = None
        self.pid: int = transport.get_pid()
        self.is_reusable = True
        self.idle_since = 0.0

    @classmethod
    async def start(cls, warm: tuple[str, ...], log: Logger, environment: dict[str, str]) -> Child:
        """Start a process that calls the ``warm`` functions first."""
        transport, pipes = await asyncio.get_running_loop().subprocess_exec(
            _Pipes,
            sys.executable,
            "-m",
            "cosphere_jupyter.tasks.child",
            *warm,
            start_new_session=True,
            env=environment,
        )
        return cls(transport, pipes, log)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return not self._pipes.exited.is_set()

    async def call(self, entry: str, params: dict[str, Any], report: Report, spill: Path | None = None) -> Any:
        """Run one call and return its result; ``ExecutionError`` if the work says no, ``ChildCrashed`` if it died.

        The result is a `Spilled` if it was too big for the pipe and ``spill`` names a file for it.
        """
        # Until the answer is there the child is in an unknown state: whoever is interrupted leaves it unusable.
        self.is_reusable = False
        answered: asyncio.Future[dict[str, Any] | None] = asyncio.get_running_loop().create_future()

        def take(line: bytes) -> None:
            try:
                message = orjson.loads(line)
            except ValueError:
                # Whatever wrote this, no answer may ever follow.
                if not answered.done():
                    answered.set_exception(ExecutionError(UNREADABLE))
                return
            if "progress" in message:
                report(message["progress"])
            elif not answered.done():
                answered.set_result(message)

        def end() -> None:
            if not answered.done():
                answered.set_result(None)

        self._pipes.on_line, self._pipes.on_end = take, end
        if not self.is_alive:
            end()
        call = {"entry": entry, "params": params} | ({} if spill is None else {"spill": str(spill)})
        self._stdin.write(orjson.dumps(call) + b"\n")
        try:
            message = await answered
        finally:
            self._pipes.on_line = self._pipes.on_end = None
        if message is None:
            raise ChildCrashed(await self._how_it_ended())
        return self._answer(message, spill)

    def _answer(self, message: dict[str, Any], spill: Path | None) -> Any:
        if "error" not in message:
            self.is_reusable = True
            result = Spilled(spill, message["spilled"]) if spill and "spilled" in message else message.get("result")
            return Answer(result, message["facts"]) if "facts" in message else result
        if message["error"] is not None:
            self.is_reusable = True
            raise ExecutionError(message["error"], message["details"])
        self._log.error("A task's work failed unexpectedly in child %s:\n%s", self.pid, message["traceback"])
        raise ExecutionError(f"the work failed unexpectedly ({message['kind']}); the server's log has the details")

    async def _how_it_ended(self) -> str:
        try:
            await asyncio.wait_for(self._pipes.exited.wait(), GRACE_SECONDS)
        except asyncio.TimeoutError:
            # It closed its end of the pipe, or wrote without end, and runs on.
            self.kill()
            raise ExecutionError(TOO_LONG) from None
        code = self._transport.get_returncode() or 0
        tail = b"".join(self._pipes.tail).decode(errors="replace").strip()
        # A child that was killed on purpose is no news.
        log = self._log.debug if self._killing else self._log.warning
        log("Child process %s ended with %s. Its last words:\n%s", self.pid, code, tail or "(none)")
        if code < 0:
            hint = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"killed by signal {-code}{hint}"
        return f"ended with exit code {code}"

    def kill(self) -> asyncio.Task[None]:
        """End the process and its descendants: TERM, and KILL after a grace of 5 s. Returns what waits for it."""
        self.is_reusable = False
        if self._killing is None:
            self._killing = asyncio.ensure_future(self._kill())
        return self._killing

    async def _kill(self) -> None:
        family = await asyncio.to_thread(self._descendants)
        self._signal(signal.SIGTERM, family)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._pipes.exited.wait(), GRACE_SECONDS)
        # Also when the leader is gone: a descendant may have ignored TERM.
        family = {*family, *await asyncio.to_thread(self._descendants)}
        self._signal(signal.SIGKILL, family)
        await self._pipes.exited.wait()
        self._transport.close()

    def _descendants(self) -> set[psutil.Process]:
        """All that the work has started, whatever sessions they made for themselves."""
        with contextlib.suppress(psutil.Error):
            return set(psutil.Process(self.pid).children(recursive=True))
        return set()

    def _signal(self, number: int, family: set[psutil.Process]) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        for process in family:
            # Knows when the number has become another process's.
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    async def close(self) -> None:
        """End an idle process by ending its input."""
        self._stdin.close()
        try:
            await asyncio.wait_for(self._pipes.exited.wait(), GRACE_SECONDS)
        except asyncio.TimeoutError:
            await self.kill()
        self._transport.close()


class Children:
    """The children of one server: takes a warm one when there is one, lets idle ones go after a minute."""

    def __init__(
        self, log: Logger, warm: tuple[str, ...] = (), idle_seconds: float = 60.0, mark: str = "", max_idle: int = 2
    ) -> None:
        """``mark`` names the workspace in the environment of all that its tasks start; see `end_leftovers`."""
        self._log = log
        self._warm = warm
        self._idle_seconds = idle_seconds
        self._max_idle = max_idle
        self._environment = {**_environment(), MARK: mark}
        self._idle: list[Child] = []
        self._retiring: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self) -> Child:
        """Return a child that waits for a call."""
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            self._retire(child.close())
        return await Child.start(self._warm, self._log, self._environment)

    def release(self, child: Child) -> None:
        """Take a child back: keep it warm if it is sound, end it otherwise."""
        if child.is_reusable and child.is_alive and len(self._idle) < self._max_idle:
            child.idle_since = time.monotonic()
            self._idle.append(child)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._let_idle_go)
        else:
            self._retire(child.close() if child.is_reusable else _wait_for(child.kill()))

    async def close(self) -> None:
        """End the idle children and wait for those that are ending."""
        if self._timer is not None:
            self._timer.cancel()
        idle, self._idle = self._idle, []
        for child in idle:
            self._retire(child.close())
        await asyncio.gather(*self._retiring, return_exceptions=True)

    def _let_idle_go(self) -> None:
        """End those that nobody has needed for so long, and look again when the next one may be due."""
        self._timer = None
        due = time.monotonic() - self._idle_seconds
        for child in [each for each in self._idle if each.idle_since <= due]:
            self._idle.remove(child)
            self._retire(child.close())
        if self._idle:
            wait = min(each.idle_since for each in self._idle) - due
            self._timer = asyncio.get_running_loop().call_later(wait, self._let_idle_go)

    def _retire(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(ending)
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


async def _wait_for(task: asyncio.Task[None]) -> None:
    await task


def end_leftovers(mark: str) -> int:
    """End what tasks of a server that was killed have left running, and return how many that were; blocks.

    The children themselves die with their server; what their work had started may not.
    """
    count = 0
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                process.kill()
                count += 1
    return count


def _environment() -> dict[str, str]:
    """The server's environment without what could be a secret of the server."""
    hidden = ("JUPYTER_TOKEN", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "COSPHERE_TOKEN")
    return {name: value for name, value in os.environ.items() if name not in hidden}
