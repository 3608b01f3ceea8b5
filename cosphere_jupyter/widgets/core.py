"""What all widgets of a workspace share: one lock, threads for what takes time, words for errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import ipywidgets

from ..client.errors import CosphereError
from ..client.http import Http
from ..client.text import html
from .work import Newest

LONGEST_MESSAGE = 1000


class Panel(ipywidgets.VBox):
    """A widget made of others. Its results are plain properties, and ``observe`` tells when they change.

    Callbacks may run in any thread, in a kernel's subshell as well as behind a cell that runs: whatever changes the
    widget holds its lock, and nothing waits for a server while holding it.
    """

    def __init__(self, **options: Any) -> None:
        self._lock = threading.RLock()
        self._workers: dict[str, Newest] = {}
        super().__init__(**options)
        self.add_class("cosphere")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the widget shows what was last asked of it; for scripts and tests. False: not within ``timeout``.

        A callback never needs it: ``observe`` the property instead.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                workers = list(self._workers.values())
            for worker in workers:
                if not worker.wait(None if deadline is None else max(deadline - time.monotonic(), 0)):
                    return False
            # What was told may have begun more.
            if all(worker.wait(0) for worker in self._all_workers()):
                return True

    def _all_workers(self) -> list[Newest]:
        with self._lock:
            return list(self._workers.values())

    def close(self) -> None:
        """End the work, and take the widget and everything in it away."""
        for worker in self._all_workers():
            worker.close()
        for child in descendants(self):
            child.close()
        super().close()

    def _work(
        self,
        kind: str,
        work: Callable[[], Any],
        tell: Callable[[Any], None],
        fail: Callable[[Exception], None],
        delay: float = 0.0,
    ) -> None:
        """Do ``work`` on a thread, then under the lock ``tell`` its outcome or ``fail``; the newest counts."""

        def finish(outcome: Any) -> None:
            with self._lock:
                if isinstance(outcome, Exception):
                    fail(outcome)
                else:
                    tell(outcome)

        with self._lock:
            worker = self._workers.setdefault(kind, Newest(kind))
        worker.do(work, finish, delay)


def descendants(panel: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    """Return all widgets inside of one, those inside of panels not: these close their own."""
    found = []
    for child in getattr(panel, "children", ()):
        found.append(child)
        if not isinstance(child, Panel):
            found += descendants(child)
    return found


def quietly(http: Http, work: Callable[[], Any]) -> Callable[[], Any]:
    """Return work that asks nobody to sign in: a link would have no place to appear in a widget's thread."""

    def run() -> Any:
        with http.without_signing_in():
            return work()

    return run


class Message(ipywidgets.HTML):
    """A line of words: harmless ones, or what went wrong. All of it is escaped."""

    def say(self, text: str, role: str = "status") -> None:
        """Show a text; an empty one shows nothing."""
        self._show(text, "", role)

    def complain(self, error: Exception | str) -> None:
        """Show what went wrong; screen readers say it at once."""
        self._show(error if isinstance(error, str) else error_words(error), "cosphere-error", "alert")

    @property
    def text(self) -> str:
        """What is shown, as text."""
        return self._text

    _text = ""

    def _show(self, text: str, kind: str, role: str) -> None:
        self._text = text
        self.value = f'<div class="{kind}" role="{role}">{html(text, LONGEST_MESSAGE)}</div>' if text else ""
        self.layout.display = None if text else "none"


def error_words(error: Exception) -> str:
    """Return an error for people: the client's are written for them, of others the kind is told, too."""
    text = str(error)
    return text if isinstance(error, CosphereError) and text else f"{type(error).__name__}: {text}".removesuffix(": ")


def heading(text: str, level: int = 3, after: str = "") -> str:
    """Return a heading as HTML; ``after`` is HTML already."""
    return f"<h{level}>{html(text)}{after}</h{level}>"


def unlabelled(widget: ipywidgets.Widget) -> ipywidgets.Widget:
    """Return a control whose description is only there for screen readers."""
    widget.add_class("cosphere-quiet")
    return widget


def button(text: str, action: Callable[[], object], style: str = "", **options: Any) -> ipywidgets.Button:
    """Return a button as wide as its text; ``style`` is one of ipywidgets'."""
    made = ipywidgets.Button(description=text, button_style=style, **options)
    made.layout = ipywidgets.Layout(width="auto", flex="0 0 auto", align_self="flex-start")
    made.on_click(lambda _: action())
    return made
