"""Runs one attempt of a task: prepare, call in a child process, publish. What comes out is an event."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Mapping
from logging import Logger
from typing import Any, Protocol

from ..errors import CosphereError, ExecutionError
from ..results.folder import FolderStore
from . import outputs
from .children import ChildCrashed, Children
from .kinds import Call, Published, TaskKind
from .lanes import Attempt
from .records import Task
from .states import Crashed, Event, Failed, Succeeded


class Listener(Protocol):
    """Whom the runner tells what happens to an attempt."""

    def begin(self, attempt: Attempt) -> None:
        """Its process is about to be called."""

    def report(self, attempt: Attempt, progress: Any) -> None:
        """It has told its progress."""

    def answered(self, attempt: Attempt) -> None:
        """Its process is free again."""


class Runner:
    """Runs attempts; ``pools`` are the processes for the workspace's own code (False) and for others' (True)."""

    def __init__(self, pools: Mapping[bool, Children], store: FolderStore, listener: Listener, log: Logger) -> None:
        self._pools = pools
        self._store = store
        self._listener = listener
        self._log = log

    async def run(self, attempt: Attempt, kind: TaskKind | None) -> Event:
        """Run an attempt to its end."""
        task = attempt.of
        number = task.state.attempt
        if kind is None:
            return Failed(number, f"there is no task named {task.name!r} here")
        try:
            call = await kind.prepare(task)
            result = await self._in_child(attempt, call)
            return await self._published(task, await kind.publish(task, result))
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

    async def _in_child(self, attempt: Attempt, call: Call) -> Any:
        pool = self._pools[call.is_foreign]
        child = await pool.acquire()
        if attempt.is_killed:
            pool.release(child)
            raise ChildCrashed("was not started")
        attempt.child = child
        started = time.monotonic()
        try:
            self._listener.begin(attempt)
            return await child.call(
                call.entry, call.params, lambda progress: self._listener.report(attempt, progress), call.spill
            )
        finally:
            attempt.child = None
            attempt.lane.learn(time.monotonic() - started)
            # The slot is free only when a killed process is really gone.
            if not child.is_reusable:
                await child.kill()
            pool.release(child)
            self._listener.answered(attempt)

    async def _published(self, task: Task, published: Any) -> Succeeded:
        if not isinstance(published, Published):
            published = Published(published)
        result, name = published.result, published.result_name
        if outputs.is_big(result):
            name = name or outputs.result_name(task)
            await asyncio.to_thread(outputs.keep_result, self._store, name, result)
            result = None
        return Succeeded(task.state.attempt, result, name, published.outputs)
