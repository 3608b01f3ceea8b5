"""Killable child processes for the work of tasks, kept warm for a while between calls.

Each child leads its own session, so that killing its process group takes its grandchildren along. A child serves one
call at a time; one that failed oddly, crashed or was killed is never used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from logging import Logger
from typing import Any

import orjson

from ..errors import ExecutionError

# A line of the protocol; what is bigger belongs in a file.
LINE_LIMIT = 4 * 1024 * 1024
GRACE_SECONDS = 5.0
STDERR_TAIL = 40

Report = Callable[[Any], None]


class ChildCrashed(Exception):
    """The process ended without an answer; the text completes "worker …"."""


class Child:
    """One child process."""

    def __init__(self, process: asyncio.subprocess.Process, log: Logger) -> None:
        self._process = process
        self._log = log
        self._tail: deque[bytes] = deque(maxlen=STDERR_TAIL)
        self._drain = asyncio.ensure_future(self._drain_stderr())
        self._killing: asyncio.Task[None] | None = None
        self.is_reusable = True

    @classmethod
    async def start(cls, warm: tuple[str, ...], log: Logger) -> Child:
        """Start a process that calls the ``warm`` functions first."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "cosphere_jupyter.tasks.child",
            *warm,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=LINE_LIMIT,
            env=_environment(),
        )
        return cls(process, log)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    async def call(self, entry: str, params: dict[str, Any], report: Report) -> Any:
        """Run one call and return its result; ``ExecutionError`` if the work says no, ``ChildCrashed`` if it died."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101  # both are pipes, see start
        # Until the answer is there the child is in an unknown state: whoever is interrupted leaves it unusable.
        self.is_reusable = False
        try:
            stdin.write(orjson.dumps({"entry": entry, "params": params}) + b"\n")
            await stdin.drain()
            while line := await stdout.readline():
                message = orjson.loads(line)
                if "progress" in message:
                    report(message["progress"])
                else:
                    return self._answer(message)
        except (BrokenPipeError, ConnectionResetError):
            pass
        except ValueError:
            raise ExecutionError("the work's answer is too long to be passed on") from None
        raise ChildCrashed(await self._how_it_ended())

    def _answer(self, message: dict[str, Any]) -> Any:
        if "result" in message:
            self.is_reusable = True
            return message["result"]
        if message["error"] is not None:
            self.is_reusable = True
            raise ExecutionError(message["error"], message["details"])
        self._log.error("A task's work failed unexpectedly in child %s:\n%s", self.pid, message["traceback"])
        raise ExecutionError(f"the work failed unexpectedly ({message['kind']}); the server's log has the details")

    async def _how_it_ended(self) -> str:
        code = await self._process.wait()
        tail = b"".join(self._tail).decode(errors="replace").strip()
        # A child that was killed on purpose is no news.
        log = self._log.debug if self._killing else self._log.warning
        log("Child process %s ended with %s. Its last words:\n%s", self.pid, code, tail or "(none)")
        if code < 0:
            hint = " (out of memory?)" if -code == signal.SIGKILL else ""
            return f"killed by signal {-code}{hint}"
        return f"ended with exit code {code}"

    def kill(self) -> asyncio.Task[None]:
        """End the whole process group: TERM, and KILL after a grace of 5 s. Returns the task that waits for it."""
        self.is_reusable = False
        if self._killing is None:
            self._killing = asyncio.ensure_future(self._kill())
        return self._killing

    async def _kill(self) -> None:
        self._signal(signal.SIGTERM)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._process.wait(), GRACE_SECONDS)
        # Also when the leader is gone: a grandchild may have ignored TERM.
        self._signal(signal.SIGKILL)
        await self._process.wait()
        await self._drain

    async def close(self) -> None:
        """End an idle process by ending its input."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), GRACE_SECONDS)
            await self._drain
        except asyncio.TimeoutError:
            await self.kill()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _drain_stderr(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101  # a pipe, see start
        while chunk := await stderr.read(4096):
            self._tail.append(chunk)


class Children:
    """The children of one server: takes a warm one when there is one, lets idle ones go after a minute."""

    def __init__(self, log: Logger, warm: tuple[str, ...] = (), idle_seconds: float = 60.0, max_idle: int = 2) -> None:
        self._log = log
        self._warm = warm
        self._idle_seconds = idle_seconds
        self._max_idle = max_idle
        self._idle: list[Child] = []
        self._retiring: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def acquire(self) -> Child:
        """Return a child that waits for a call."""
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
        return await Child.start(self._warm, self._log)

    def release(self, child: Child) -> None:
        """Take a child back: keep it warm if it is sound, end it otherwise."""
        if child.is_reusable and child.is_alive and len(self._idle) < self._max_idle:
            self._idle.append(child)
            self._restart_timer()
        else:
            self._retire(child.close() if child.is_reusable else _wait_for(child.kill()))

    async def close(self) -> None:
        """End the idle children and wait for those that are ending."""
        if self._timer:
            self._timer.cancel()
        self._let_idle_go()
        await asyncio.gather(*self._retiring, return_exceptions=True)

    def _restart_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._let_idle_go)

    def _let_idle_go(self) -> None:
        idle, self._idle = self._idle, []
        for child in idle:
            self._retire(child.close())

    def _retire(self, ending: Any) -> None:
        task = asyncio.ensure_future(ending)
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


async def _wait_for(task: asyncio.Task[None]) -> None:
    await task


def _environment() -> dict[str, str]:
    """The server's environment without what could be a secret of the server."""
    hidden = ("JUPYTER_TOKEN", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN", "COSPHERE_TOKEN")
    return {name: value for name, value in os.environ.items() if name not in hidden}
