"""The monitor: every task and download of the caller, as they change."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets
from traitlets import Bunch

from ..client.errors import NotFound, ServerUnavailable
from ..client.requests import Request
from ..client.tasks import Task
from ..client.text import clean, rows_text
from . import monitor_names as names
from . import monitor_rows as rows
from . import view
from .code import quoted
from .core import Message, Panel, button, heading, quietly
from .monitor_drawer import Drawer
from .monitor_feed import Feed
from .monitor_list import TaskList
from .results import Results
from .sign_in import SignInOffer

if TYPE_CHECKING:
    import pandas as pd

    from ..client.workspace import Workspace

PAGE = 50
# So many tasks are known at most; older ones that have ended are forgotten.
MOST_KNOWN = 1000
AWAY = "The server does not answer. The list goes on by itself when it is back."
_SHOWN = {"all": "No task yet.", "running": "Nothing is running.", "failed": "Nothing has failed."}


class TaskMonitor(Panel):
    """Every task and download of this account: live, to cancel, to repeat, to load and to save.

    >>> monitor = ws.monitor()
    >>> monitor
    >>> monitor.tasks                                # the newest first
    >>> monitor.cancel(monitor.tasks[0])
    >>> monitor.load(monitor.tasks[0], "late")       # a DataFrame in the variable `late`
    >>> monitor.dataframe                            # it, too
    >>> monitor.observe(print, "dataframe")

    ``show`` is ``"all"``, ``"running"`` or ``"failed"``. ``selection`` is the task that something was done with last,
    ``request`` and ``dataframe`` what was loaded last. A thread of its own follows the tasks until ``close()``.
    """

    show = traitlets.Enum(list(_SHOWN), "all", help="Which tasks are listed: all, running, failed.")
    selection = traitlets.Any(None, read_only=True, help="The task that something was done with last, or None.")
    request = traitlets.Any(None, read_only=True, help="The request that was loaded last, or None.")
    _feed: Feed | None = None

    def __init__(self, workspace: Workspace, show: str = "all") -> None:
        super().__init__()
        self._workspace = workspace
        self._tasks: dict[str, Task] = {}
        self._heard: dict[str, float] = {}
        # What the server was told to do with which task, and has not answered yet.
        self._busy: set[str] = set()
        self._frame: pd.DataFrame | None = None
        self._has_heard = threading.Event()
        self._count = PAGE
        self._is_whole = False
        self._state, self._error = Message(), Message()
        self._list = TaskList(self._on_action, label="Tasks and downloads", empty="Looking …")
        self._more = button(f"Show {PAGE} more", self.show_more)
        self._more.layout.display = "none"
        self._drawer = Drawer()
        self._code = view.Code(label="The same in code", text="ws.tasks.list()")
        self._filter = ipywidgets.ToggleButtons(
            options=[(name.capitalize(), name) for name in _SHOWN], value=show, tooltips=["", "", ""]
        )
        self._filter.style.button_width = "auto"
        self._sign_in = SignInOffer(workspace)
        self.children = self._laid_out()
        self.show = show
        traitlets.link((self, "show"), (self._filter, "value"))
        self.observe(lambda _: self._refresh(), "show")
        self._feed = Feed(self, workspace)
        if self.comm is not None:
            myself = weakref.ref(self)
            self.comm.on_close(lambda _: _close(myself()))
        self._feed.start()

    def _laid_out(self) -> list[ipywidgets.Widget]:
        head = ipywidgets.HBox([ipywidgets.HTML(heading("Tasks and downloads")), self._filter, self._state])
        head.add_class("cosphere-fields")
        head.add_class("cosphere-monitor-head")
        return [head, self._error, self._sign_in, self._list, self._more, self._drawer, self._code]

    @property
    def is_closed(self) -> bool:
        """Whether it follows nothing any more."""
        return self.comm is None

    # -- what the feed tells ---------------------------------------------------------------------------------------

    def hear(self, news: Sequence[Task], problem: Exception | None) -> None:
        """Take news of tasks, and whether something is wrong with the server; for the feed."""
        now = time.time()
        with self._lock:
            for task in news:
                known = self._tasks.get(task.key)
                if known is not None and known.is_final and (known.parameters is not None or not task.is_final):
                    # Said before the end, or once more.
                    continue
                self._tasks[task.key], self._heard[task.key] = task, now
                if self.selection is known is not None:
                    self.set_trait("selection", task)
            self._forget()
            self._complain(problem)
            self._has_heard.set()
            self._list.empty = _SHOWN[self.show] if problem is None else ""
            self._refresh()

    def _forget(self) -> None:
        for task in self.tasks[MOST_KNOWN:]:
            if task.is_final:
                del self._tasks[task.key], self._heard[task.key]

    def _complain(self, problem: Exception | None) -> None:
        if isinstance(problem, ServerUnavailable):
            self._error.complain(AWAY)
        elif problem is not None:
            self._error.complain(problem)
        else:
            self._error.say("")
        # The feed goes on by itself.
        self._sign_in.show(problem)

    def _refresh(self) -> None:
        """Show what is known now; what has not changed is not sent."""
        with self._lock:
            wanted = [task for task in self.tasks if _is_wanted(task, self.show)]
            self._list.rows = [
                rows.row(task, self._heard[task.key], task.key in self._busy) for task in wanted[: self._count]
            ]
            may_be_more = len(wanted) > self._count or (not self._is_whole and len(self._tasks) >= 2 * PAGE)
            self._more.layout.display = None if may_be_more else "none"
            running = sum(not task.is_final for task in self._tasks.values())
            self._state.say(f"{running:,} running" if running else "nothing running" if self._tasks else "")

    # -- what is listed --------------------------------------------------------------------------------------------

    @property
    def tasks(self) -> list[Task]:
        """The tasks that are known, the newest first."""
        with self._lock:
            return sorted(self._tasks.values(), key=lambda task: (rows.queued_at(task), task.key), reverse=True)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it shows the tasks, and what was last asked of it; for scripts and tests. False: not in time."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._has_heard.wait(timeout):
            return False
        return super().wait(None if deadline is None else max(deadline - time.monotonic(), 0))

    @property
    def dataframe(self) -> pd.DataFrame | None:
        """The rows that were loaded last, or None."""
        return self._frame

    def show_more(self) -> None:
        """Show older tasks, as the button does; returns at once."""
        with self._lock:
            self._count += PAGE
            offset, self._more.disabled = len(self._tasks), True

        def tell(older: Sequence[Task]) -> None:
            self._more.disabled, self._is_whole = False, len(older) < PAGE
            self.hear([task for task in older if task.key not in self._tasks], None)

        def fail(error: Exception) -> None:
            self._more.disabled = False
            self._error.complain(error)

        self._refresh()
        self._do("more", lambda: list(self._workspace.tasks.list(PAGE, offset=offset)), tell, fail)

    # -- what is done with them ------------------------------------------------------------------------------------

    def cancel(self, task: Task | str) -> None:
        """End a task, as its button does; returns at once."""
        found = self._choose(task, lambda key: f"ws.tasks[{quoted(key)}].cancel()")

        def leave() -> tuple[Task, bool]:
            ended, is_mine = found.cancel(), True
            if not ended.is_final:
                # It goes on for others; whether it is still among this account's tasks, the server knows.
                try:
                    ended.refresh()
                except NotFound:
                    is_mine = False
            return ended, is_mine

        def tell(outcome: tuple[Task, bool]) -> None:
            ended, is_mine = outcome
            if is_mine:
                self.hear([ended], None)
            else:
                self._tasks.pop(ended.key, None)
            if not ended.is_final:
                self._error.say("Others wait for it as well: it goes on for them.")

        self._ask_server(found, leave, tell)

    def retry(self, task: Task | str) -> None:
        """Ask for the same once more, as its button does; returns at once."""
        found = self._choose(task, lambda key: f"ws.tasks[{quoted(key)}].again()")
        self._ask_server(found, found.again, lambda new: self.hear([new], None))

    def _ask_server(self, task: Task, work: Any, tell: Any) -> None:
        """Let the server do something with a task; meanwhile its buttons are gone."""

        def finish(outcome: Any) -> None:
            self._busy.discard(task.key)
            self._error.complain(outcome) if isinstance(outcome, Exception) else tell(outcome)
            self._refresh()

        with self._lock:
            self._busy.add(task.key)
            self._refresh()
            # By key: what is done with one task does not take the place of what is done with another.
            self._do(f"ask-{task.key}", work, finish, finish)

    def load(self, task: Task | str, name: str | None = None) -> None:
        """Load the rows of a request or a typed download into a variable of the notebook; returns at once.

        Without a name a free one is taken. Raises ValueError for a name that is none, or of something else.
        """
        found = self._choose(task, lambda _: "")
        name = names.free_name(rows.title(found), names.namespace()) if name is None else name
        if wrong := names.wrong_name(name, names.namespace()):
            raise ValueError(wrong)
        if not self._drawer.is_open or self._drawer.value != name:
            self._ask_name(found, name)
        self._code.text = f"{name} = {_source(found)}.to_pandas()"
        self._drawer.work("Loading …")

        def work() -> tuple[Request | None, pd.DataFrame]:
            number = rows.request_id(found)
            request = None if number is None else self._workspace.requests[number]
            source = request or self._workspace.downloads[str(rows.export_id(found))]
            return request, source.to_pandas(progress=False)

        self._do("load", work, lambda loaded: self._loaded(name, *loaded), self._drawer.failed)

    def _loaded(self, name: str, request: Request | None, frame: pd.DataFrame) -> None:
        is_there = names.put(name, frame)
        columns = f"{len(frame.columns):,} column{'' if len(frame.columns) == 1 else 's'}"
        where = f"The variable {name} holds" if is_there else "Loaded into .dataframe:"
        self._drawer.done(f"{where} {rows_text(len(frame))}, {columns}.")
        self._drawer.show_below(Results(frame))
        self.set_trait("request", request)
        before, self._frame = self._frame, frame
        self.notify_change(Bunch(name="dataframe", old=before, new=frame, owner=self, type="change"))

    def save(self, task: Task | str, path: str | Path, name: str | None = None) -> None:
        """Save an output file of a task, or the file of a typed download; returns at once. See ``Task.save``."""
        found = self._choose(task, lambda _: "")
        export = rows.export_id(found)
        arguments = ", ".join([quoted(str(path)), *([f"name={quoted(name)}"] if name else [])])
        source = f"ws.tasks[{quoted(found.key)}]" if export is None else _source(found)
        self._code.text = f"{source}.save({arguments})"

        def work() -> Path:
            if export is None:
                return found.save(path, name, progress=False)
            return self._workspace.downloads[export].save(path, progress=False)

        self._drawer.work("Saving …")
        self._do("save", work, lambda where: self._drawer.done(f"Saved as {where}"), self._drawer.failed)

    # -- buttons ---------------------------------------------------------------------------------------------------

    def _on_action(self, action: str, key: str) -> None:
        with self._lock:
            task = self._tasks.get(key)
            if task is None or action not in rows.actions(task):
                # It has just changed.
                return
            if action == "load":
                self._ask_name(task, names.free_name(rows.title(task), names.namespace()))
            elif action == "save":
                self._ask_path(task)
            else:
                {"cancel": self.cancel, "again": self.retry}[action](task)

    def _ask_name(self, task: Task, name: str) -> None:
        def check(value: str) -> str:
            return names.wrong_name(value, names.namespace())

        title = f"Load {rows.title(task)} ({rows.facts(task)}) as a DataFrame into a variable"
        self._drawer.ask(title, "Name of the variable", name, "Load", check, lambda name: self.load(task, name))

    def _ask_path(self, task: Task) -> None:
        result = task.result if isinstance(task.result, Mapping) else {}
        first = next(iter(task.outputs.items()), None)
        output, file = first if first is not None else (None, str(result.get("file") or "download"))

        def check(value: str) -> str:
            return "" if value else "Name a file, or a folder."

        title = f"Save the file of {rows.title(task)}"
        several = output if len(task.outputs) > 1 else None
        self._drawer.ask(title, "Path", clean(file), "Save", check, lambda path: self.save(task, path, several))

    def _choose(self, task: Task | str, code: Any) -> Task:
        with self._lock:
            key = task if isinstance(task, str) else task.key
            found = self._tasks.get(key)
            if found is None:
                if isinstance(task, str):
                    raise KeyError(f"the monitor knows no task {key}")
                found = task
            self.set_trait("selection", found)
            if text := code(key):
                self._code.text = text
            return found

    def _do(self, what: str, work: Any, tell: Any, fail: Any) -> None:
        self._work(what, quietly(self._workspace.http, work), tell, fail)

    def close(self) -> None:
        """End the thread, and take the widget and everything in it away."""
        if self._feed is not None:
            self._feed.stop()
        super().close()


def _is_wanted(task: Task, show: str) -> bool:
    return show == "all" or (not task.is_final if show == "running" else task.status == "error")


def _close(monitor: TaskMonitor | None) -> None:
    if monitor is not None:
        monitor.close()


def _source(task: Task) -> str:
    export = rows.export_id(task)
    return f"ws.requests[{rows.request_id(task)}]" if export is None else f"ws.downloads[{quoted(export)}]"
