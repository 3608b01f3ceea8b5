"""The life of a request in a form: asked, watched, loaded."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import ipywidgets
from traitlets import Bunch

from ..client.errors import RequestTimeout
from ..client.text import rows_text, size_text
from .core import Message, button, quietly
from .results import Results

if TYPE_CHECKING:
    import pandas as pd

    from ..client.query import Query
    from ..client.requests import Request
    from .builder import RequestBuilder

# How long one look at a request lasts at most; the server answers earlier if something changes.
LOOK_SECONDS = 1.0
_WORDS = {"queued": "Waiting for its turn", "executing": "Working"}


class Running(ipywidgets.VBox):
    """The buttons of a request, and a line that says how far it is."""

    def __init__(self, builder: RequestBuilder, size: ipywidgets.Widget) -> None:
        """``size`` is shown beside the button that asks."""
        self._builder = builder
        # What is being watched; whoever finds another one there stops.
        self._watched: object = None
        self._loaded: tuple[Request, pd.DataFrame] | None = None
        self._loading = threading.Lock()
        self._ask = button("Request", self.submit, "primary")
        self._cancel = button("Cancel", self.cancel, tooltip="Leave the request")
        self._load = button("Load as DataFrame", self._on_load)
        self._bar = ipywidgets.FloatProgress(min=0.0, max=1.0, layout=ipywidgets.Layout(width="160px", margin="0 4px"))
        self._line, self._changed = Message(), Message()
        self._asked: Query | None = None
        self._row = ipywidgets.HBox([self._bar, self._line, self._changed, self._cancel, self._load])
        first = ipywidgets.HBox([self._ask, size])
        for row in (first, self._row):
            row.add_class("cosphere-running")
        # The rows, once they are loaded.
        self._rows = ipywidgets.VBox()
        super().__init__([first, self._row, self._rows])
        self.add_class("cosphere-running-box")
        self._show(None)

    @property
    def text(self) -> str:
        """What is said of the request."""
        return self._line.text

    def follow(self, query: Query | None) -> None:
        """Let what the form says now be asked for, or not while something is wrong (None)."""
        self._ask.disabled = query is None
        # What is said here is about what was asked for, not about what stands above it now.
        is_other = self._asked is not None and query != self._asked
        self._changed.say("The form has changed since then." if is_other else "")

    # -- asking and watching ---------------------------------------------------------------------------------------

    def submit(self) -> None:
        """Ask for the rows and watch what becomes of it; returns at once."""
        builder = self._builder
        with builder.lock:
            query = builder.query
            if query is None:
                return
            self._watched = watched = object()
            self._asked = query
            self.follow(query)
            self._line.say("Asking …")
            self._show_rows(None)
            builder._work(
                "request",
                quietly(builder.table.workspace.http, lambda: self._watch(query, watched)),
                self._finish,
                self._refused,
            )

    def _refused(self, error: Exception) -> None:
        self._fail(error)
        self._builder.sign_in.show(error, "request", self.submit)

    def _watch(self, query: Query, watched: object) -> str:
        request = query.request()
        with self._builder.lock:
            if self._watched is not watched:
                return ""
            self._builder.set_trait("request", request)
        while True:
            with self._builder.lock:
                if self._watched is not watched:
                    return ""
                self._show(request)
            try:
                request.wait(timeout=LOOK_SECONDS, progress=False)
                break
            except RequestTimeout:
                continue
        rows, size = request.rows, request.size
        facts = ["" if rows is None else rows_text(rows), size_text(size)]
        return ", ".join(filter(None, ["Ready", *facts]))

    def _show(self, request: Request | None) -> None:
        """Show how far a request is; None: there is none."""
        status = "" if request is None else request.status
        is_going = status in _WORDS
        self._bar.layout.display = None if is_going else "none"
        self._cancel.layout.display = None if is_going else "none"
        self._load.layout.display = None if status == "success" else "none"
        if request is None:
            self._line.say("")
            return
        self._bar.value = request.progress or 0.0
        if is_going:
            share = "" if request.progress is None else f", {request.progress:.0%}"
            self._line.say(f"{_WORDS[status]}{share}")

    def _finish(self, text: str) -> None:
        if text:
            self._builder.sign_in.show(None)
            self._show(self._builder.request)
            self._line.say(text)

    def _fail(self, error: Exception) -> None:
        self._show(self._builder.request)
        self._line.complain(error)

    def cancel(self) -> None:
        """Leave the request; returns at once."""
        builder = self._builder
        with builder.lock:
            request = builder.request
            if request is None:
                return
            self._watched = None
            builder._work(
                "cancel",
                quietly(builder.table.workspace.http, request.cancel),
                lambda _: self._finish("Cancelled"),
                self._fail,
            )

    # -- loading ---------------------------------------------------------------------------------------------------

    @property
    def dataframe(self) -> pd.DataFrame | None:
        """The rows of the request; waits for them. None without a request."""
        request: Request | None = self._builder.request
        if request is None:
            return None
        with self._loading:
            loaded = self._loaded
            if loaded is not None and loaded[0] is request:
                return loaded[1]
            frame = request.to_pandas(progress=False)
            self._loaded = (request, frame)
        change = Bunch(name="dataframe", old=loaded and loaded[1], new=frame, owner=self._builder, type="change")
        self._builder.notify_change(change)
        return frame

    def _on_load(self) -> None:
        builder = self._builder
        with builder.lock:
            self._load.disabled = True
            self._line.say("Loading …")

            def tell(frame: Any) -> None:
                self._load.disabled = False
                self._show_rows(frame)
                self._load.layout.display = "none"
                columns = len(frame.columns)
                self._line.say(
                    f"Loaded: {rows_text(len(frame))}, {columns:,} column{'' if columns == 1 else 's'} in .dataframe"
                )

            def fail(error: Exception) -> None:
                self._load.disabled = False
                self._fail(error)

            builder._work("load", quietly(builder.table.workspace.http, lambda: self.dataframe), tell, fail)

    def _show_rows(self, frame: pd.DataFrame | None) -> None:
        """Show rows in pages, in place of those of another request."""
        before, self._rows.children = self._rows.children, () if frame is None else (Results(frame),)
        for each in before:
            each.close()
