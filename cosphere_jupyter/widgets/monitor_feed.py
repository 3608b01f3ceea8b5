"""The thread of a monitor: it follows the tasks of the account, and waits for a server that is away."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ..client.errors import NotFound, NotSignedIn, ServerUnavailable
from ..client.tasks import Task

if TYPE_CHECKING:
    from ..client.task_groups import TaskStream
    from ..client.workspace import Workspace
    from .monitor import TaskMonitor

# How soon whether the server answers is shown; changes of tasks are shown as they come.
LOOK_SECONDS = 0.5
# What comes in one go is shown in one go.
GATHER_SECONDS = 0.2
# Between attempts when the stream has given up.
PAUSE_SECONDS = 5.0
# Of how many tasks a stream tells first, and how many of those that run are read behind them.
TOLD, MOST_RUNNING = 100, 1000


class Feed:
    """Keeps a monitor informed from a daemon thread until it is stopped or the monitor is gone."""

    def __init__(self, monitor: TaskMonitor, workspace: Workspace) -> None:
        self._monitor = weakref.ref(monitor, lambda _: self._stop.set())
        self._workspace = workspace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cosphere-monitor", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; does not wait for the thread."""
        self._stop.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of the thread; whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with self._workspace.http.without_signing_in():
            while not self._stop.is_set():
                sign_ins = self._workspace.http.sign_ins
                try:
                    self._follow()
                    continue
                except NotSignedIn as error:
                    self._tell(error)
                    while self._workspace.http.sign_ins == sign_ins and not self._stop.wait(LOOK_SECONDS):
                        pass
                    continue
                except Exception as error:
                    # Also what nobody has thought of: the list shall go on. A closed workspace ends its monitor first.
                    if not self._stop.is_set():
                        self._tell(error)
                self._stop.wait(PAUSE_SECONDS)

    def _follow(self) -> None:
        stream = self._workspace.tasks.stream(self._stop)
        with stream:
            was_away, is_first, has_told = False, True, False
            while (news := stream.take(LOOK_SECONDS)) is not None:
                if news or stream.is_away != was_away or not has_told:
                    was_away, has_told = stream.is_away, True
                    self._show(news, stream)
                if news:
                    self._stop.wait(GATHER_SECONDS)
                if news and is_first:
                    is_first = False
                    more = stream.take(0) or []
                    self._show(more, stream)
                    self._catch_up([*news, *more])

    def _show(self, news: Sequence[Task], stream: TaskStream) -> None:
        monitor = self._monitor()
        if monitor is not None:
            monitor.hear(news, ServerUnavailable("") if stream.is_away else None)

    def _tell(self, error: Exception) -> None:
        monitor = self._monitor()
        if monitor is not None:
            monitor.hear((), error)

    def _catch_up(self, told: Sequence[Task]) -> None:
        """Read what stands behind the newest tasks, of which a stream tells: those that run, and those that ran."""
        tasks, monitor = self._workspace.tasks, self._monitor()
        older: list[Task] = []
        if len(told) >= TOLD:
            older = [*tasks.list(MOST_RUNNING, status="executing"), *tasks.list(MOST_RUNNING, status="queued")]
            told = [*told, *older]
        keys = {task.key for task in told}
        missed = [task for task in monitor.tasks if not task.is_final and task.key not in keys] if monitor else []
        for task in missed:
            # Gone: forgotten by the server after its time.
            with suppress(NotFound):
                task.refresh()
        if monitor is not None and (older or missed):
            monitor.hear([*older, *missed], None)
