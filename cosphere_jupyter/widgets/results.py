"""Rows that came out, a page at a time: only the page that is shown is sent to the notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets
from traitlets import Bunch

from ..client.display import LONGEST_CELL
from ..client.requests import Request
from ..client.text import clean, rows_text
from . import view
from .code import quoted
from .core import Message, Panel, button, quietly, unlabelled
from .results_pages import Pages, cells, kinds, pages_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

PAGE, MOST_COLUMNS = 20, 60
AS_THEY_CAME = "as they came"


class Results(Panel):
    """The rows of a request, of a DataFrame or of an Arrow table, in pages.

    >>> results = request.preview()
    >>> results
    >>> results.page = 3                          # as the buttons do
    >>> results.sort("dep_delay", descending=True)
    >>> results.selection                         # the rows of this page, as a DataFrame
    >>> results.dataframe                         # all of them
    >>> results.observe(print, "selection")

    ``request`` is the request, or None for rows that came otherwise. Rows of a request are mapped from the local cache
    where there is one, not loaded into memory.
    """

    page = traitlets.Int(1, min=1, help="The page that is shown, from 1.")
    request = traitlets.Any(None, read_only=True, help="The request whose rows these are, or None.")

    def __init__(self, source: Request | pd.DataFrame | pa.Table) -> None:
        super().__init__()
        self._frame: pd.DataFrame | None = None
        self._pages: Pages | None = None
        self._order: tuple[str, bool] | None = None
        self._shown: pd.DataFrame | None = None
        self._table = view.Table(label="Rows")
        self._state, self._error = Message(), Message()
        self._buttons = [
            button("«", lambda: self._go(1), tooltip="First page"),
            button("‹", lambda: self._go(self.page - 1), tooltip="Previous page"),
            button("›", lambda: self._go(self.page + 1), tooltip="Next page"),
            button("»", lambda: self._go(self.pages), tooltip="Last page"),
        ]
        self._number = unlabelled(ipywidgets.BoundedIntText(value=1, min=1, max=1, description="Page"))
        self._sort = ipywidgets.Dropdown(description="Sort by", options=[(AS_THEY_CAME, "")])
        self._down = ipywidgets.ToggleButton(description="Descending", disabled=True)
        self._code = view.Code(label="The same in code")
        self._ready = False
        self.children = self._laid_out()
        self._observe()
        if isinstance(source, Request):
            self.set_trait("request", source)
            self._tell_code()
            self._load(source)
        else:
            self._code.layout.display = "none"
            self._take(pages_of(source))

    def _laid_out(self) -> list[ipywidgets.Widget]:
        for each in (self._number, self._down, self._sort):
            each.layout.width = "auto"
        self._number.add_class("cosphere-page-number")
        first, back, on, last = self._buttons
        bar = ipywidgets.HBox([first, back, self._number, on, last, self._state, self._sort, self._down])
        bar.add_class("cosphere-pager")
        self.add_class("cosphere-results")
        return [bar, self._error, self._table, self._code]

    def _observe(self) -> None:
        self.observe(lambda _: self._show(), "page")
        self._number.observe(lambda change: self._go(change["new"]), "value")
        for control in (self._sort, self._down):
            control.observe(lambda _: self._on_sort(), "value")

    # -- what it has -----------------------------------------------------------------------------------------------

    @property
    def rows(self) -> int | None:
        """How many rows there are; None until they are there."""
        return None if self._pages is None else self._pages.rows

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(-(-(self.rows or 0) // PAGE), 1)

    @property
    def selection(self) -> pd.DataFrame | None:
        """The rows of the page that is shown, as a DataFrame; None until they are there."""
        return self._shown

    @property
    def dataframe(self) -> pd.DataFrame | None:
        """All rows as a DataFrame, in the order in which they came; waits for them the first time."""
        request: Request | None = self.request
        if self._frame is None and request is not None:
            self._frame = request.to_pandas(progress=False)
        elif self._frame is None and self._pages is not None:
            self._frame = self._pages.frame()
        return self._frame

    # -- loading ---------------------------------------------------------------------------------------------------

    def _load(self, request: Request) -> None:
        self._state.say("Loading …")
        http = request.table.workspace.http
        work = quietly(http, lambda: pages_of(request.to_arrow(progress=False)))
        self._work("load", work, self._take, self._fail)

    def _take(self, pages: Pages) -> None:
        self._pages = pages
        self._table.headings = [f"{clean(name, LONGEST_CELL)}\n{kind}" for name, kind in pages.columns[:MOST_COLUMNS]]
        self._table.kinds = kinds(pages.columns[:MOST_COLUMNS])
        left = len(pages.columns) - MOST_COLUMNS
        self._table.more = f"and {left:,} more columns" if left > 0 else ""
        names = [(clean(name, LONGEST_CELL), name) for name, _ in pages.columns]
        self._sort.options = [(AS_THEY_CAME, ""), *((name, f"={key}") for name, key in names)]
        self._number.max = self.pages
        self._ready = True
        self._show()

    def _fail(self, error: Exception) -> None:
        self._state.say("")
        self._error.complain(error)

    # -- paging ----------------------------------------------------------------------------------------------------

    def _go(self, page: int) -> None:
        with self._lock:
            self.page = min(max(page, 1), self.pages)

    @traitlets.validate("page")
    def _check_page(self, proposal: Any) -> int:
        # Before the rows are there nobody knows how many pages they make.
        return int(min(proposal["value"], self.pages)) if self._ready else int(proposal["value"])

    def _show(self) -> None:
        with self._lock:
            pages, order = self._pages, self._order
            if pages is None:
                return
            self.page = min(self.page, self.pages)
            start = (self.page - 1) * PAGE
            self._work("page", lambda: pages.slice(start, PAGE, order), self._show_rows, self._fail)

    def _show_rows(self, found: pa.Table) -> None:
        total, start = self.rows or 0, (self.page - 1) * PAGE
        self._error.say("")
        self._table.rows = cells(found.select(range(min(found.num_columns, MOST_COLUMNS))))
        self._number.value = self.page
        first, back, on, last = self._buttons
        first.disabled = back.disabled = self.page == 1
        on.disabled = last.disabled = self.page == self.pages
        here = f"{start + 1:,}–{start + found.num_rows:,} of " if total > PAGE else ""
        self._state.say(f"{here}{rows_text(total)}" if total < 1_000_000 or not here else f"{here}{total:,} rows")
        before, self._shown = self._shown, pages_of(found).frame()
        self.notify_change(Bunch(name="selection", old=before, new=self._shown, owner=self, type="change"))

    # -- sorting ---------------------------------------------------------------------------------------------------

    def sort(self, column: str | None, descending: bool = False) -> None:
        """Sort the rows by a column, NULLs last; None for the order in which they came. Returns at once."""
        with self._lock:
            names = [name for name, _ in self._pages.columns] if self._pages else []
            if column is not None and column not in names:
                raise KeyError(f"there is no column {column!r}")
            self._down.value, self._sort.value = descending, "" if column is None else f"={column}"

    def _on_sort(self) -> None:
        with self._lock:
            # What begins with = is the name of a column.
            column = str(self._sort.value)[1:] if self._sort.value else None
            self._down.disabled = column is None
            order = None if column is None else (column, bool(self._down.value))
            if order != self._order and self._ready:
                self._order = order
                self.page = 1
                self._tell_code()
                self._show()

    def _tell_code(self) -> None:
        """Show the call that gives the same rows."""
        order = ""
        if self._order is not None:
            column, is_down = self._order
            order = f".sort_values({quoted(column)}{', ascending=False' if is_down else ''})"
        if self.request is not None:
            self._code.text = f"ws.requests[{self.request.id}].to_pandas(){order}"
