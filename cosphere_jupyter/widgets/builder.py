"""A request as a form: columns, filters, a sample; how big it will be; and the same in code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from ..client.charts import rows_of
from ..client.columns import Column
from ..client.query import Filter, Query, json_value
from ..client.table import Table
from ..client.text import clean, html, rows_text
from . import view
from .code import query_call, spec_json
from .core import Message, Panel, button, heading, unlabelled
from .filters import FilterRow
from .running import Running
from .sign_in import SignInOffer
from .sizes import Sized, SizeLine
from .values import columns_like

if TYPE_CHECKING:
    import pandas as pd

ESTIMATE_DELAY = 0.2
MOST_FILTERS = 1000


class RequestBuilder(Panel):
    """A request for columns and rows of a table.

    >>> builder = ws.builder("flights")
    >>> builder
    >>> builder.query                          # what is asked for now; None while something is wrong
    >>> builder.request                        # after "Request"
    >>> builder.dataframe                      # its rows; waits for them
    >>> builder.observe(print, "request")

    All that it shows can be set: ``columns``, ``ratio``, ``seed``, ``add_filter(…)``; ``submit()`` is the button.
    """

    query = traitlets.Any(None, read_only=True, help="The query that is asked for now; None while something is wrong.")
    request = traitlets.Any(None, read_only=True, help="The request that was sent last, or None.")

    def __init__(self, table: Table | Query, back: Callable[[], None] | None = None) -> None:
        """``back`` is called by a button that leads to where this came from."""
        super().__init__()
        start = table if isinstance(table, Query) else None
        self.table: Table = table.table if isinstance(table, Query) else table
        self.rows = rows_of(self.table.columns)
        self._filters: list[FilterRow] = []
        self._is_ready = False
        self._search = unlabelled(ipywidgets.Text(description="Search columns", placeholder="Search columns …"))
        self._columns = view.List(
            label="Columns",
            is_multiple=True,
            items=[_item(each) for each in self.table.columns],
            chosen=list(start.columns) if start else [each.name for each in self.table.columns],
            empty="No column is named like that.",
        )
        self._count, self._wrong, self._seed_wrong = Message(), Message(), Message()
        self._sample = ipywidgets.FloatSlider(
            value=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            readout_format=".0%",
            description="Share of rows",
            style={"description_width": "initial"},
        )
        self._seed = unlabelled(ipywidgets.Text(description="Seed", placeholder="seed"))
        self._rows = ipywidgets.VBox()
        self._python = view.Code(label="This request in Python")
        self._json = view.Code(label="This request as JSON")
        self._size = SizeLine(self.table.workspace)
        self.sign_in = SignInOffer(self.table.workspace)
        self._running = Running(self, self._size)
        self.children = self._laid_out(back)
        self._observe()
        if start is not None:
            self._take(start)
        self._is_ready = True
        self.update()

    def _laid_out(self, back: Callable[[], None] | None) -> list[ipywidgets.Widget]:
        facts = [rows_text(self.rows) if self.rows is not None else "", f"{len(self.table.columns):,} columns"]
        title = f' <span class="cosphere-faint">{html(" · ".join(filter(None, facts)))}</span>'
        head = ipywidgets.HBox([ipywidgets.HTML(heading(f"Request from {clean(self.table.name)}", after=title))])
        head.add_class("cosphere-head")
        if back is not None:
            head.children = [*head.children, button("Back to the catalogue", back)]
        choose = ipywidgets.HBox([
            self._search,
            button("All", self.select_all, tooltip="Choose all columns"),
            button("None", self.select_none, tooltip="Choose no column"),
        ])  # fmt: skip
        choose.add_class("cosphere-fields")
        left = ipywidgets.VBox([ipywidgets.HTML(heading("Columns", 4)), choose, self._columns, self._count])
        left.add_class("cosphere-left")
        self._seed.add_class("cosphere-narrow")
        sampling = ipywidgets.HBox([self._sample, self._seed])
        sampling.add_class("cosphere-fields")
        add = button("Add a filter", self.add_filter)
        right = ipywidgets.VBox([
            ipywidgets.HTML(heading("Rows", 4)), self._rows, add,
            ipywidgets.HTML(heading("Sample", 4)), sampling, self._seed_wrong,
        ])  # fmt: skip
        right.add_class("cosphere-page")
        panes = ipywidgets.HBox([left, right])
        panes.add_class("cosphere-panes")
        code = ipywidgets.Tab([self._python, self._json], titles=["Python", "JSON"])
        code.add_class("cosphere-tabs")
        return [head, panes, self._wrong, self._running, self.sign_in, code]

    def _observe(self) -> None:
        self._search.observe(lambda _: self._filter_columns(), "value")
        for control in (self._sample, self._seed):
            control.observe(lambda _: self.update(), "value")
        self._columns.observe(lambda _: self.update(), "chosen")

    def _take(self, query: Query) -> None:
        for each in query.filters:
            self.add_filter(each.name, each.operator, each.value)
        self.sample(1.0 if query.ratio is None else query.ratio, query.seed)

    @property
    def lock(self) -> Any:
        """What whoever changes several of its parts at once holds."""
        return self._lock

    # -- columns ---------------------------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the chosen columns, in the order of choosing. Can be set."""
        return tuple(self._columns.chosen)

    @columns.setter
    def columns(self, names: Sequence[str]) -> None:
        self.table.check_columns(*names)
        with self._lock:
            self._columns.chosen = list(dict.fromkeys(names))

    def select_all(self) -> None:
        """Choose all columns, or those that the search shows besides the chosen ones."""
        with self._lock:
            shown = [each["key"] for each in self._columns.items]
            if len(shown) == len(self.table.columns):
                self._columns.chosen = shown
            else:
                self._columns.chosen = list(dict.fromkeys([*self._columns.chosen, *shown]))

    def select_none(self) -> None:
        """Choose no column; with a search, none of those that it shows."""
        with self._lock:
            shown = {each["key"] for each in self._columns.items}
            self._columns.chosen = [each for each in self._columns.chosen if each not in shown]

    def _filter_columns(self) -> None:
        with self._lock:
            self._columns.items = [_item(each) for each in columns_like(self.table.columns, self._search.value)]

    # -- filters ---------------------------------------------------------------------------------------------------

    @property
    def filters(self) -> tuple[Filter, ...]:
        """The filters without those in which something is wrong."""
        with self._lock:
            found = [row.filter for row in self._filters]
        return tuple(each for each in found if each is not None)

    def add_filter(
        self,
        column: str | None = None,
        operator: str | None = None,
        value: Any = None,
        *,
        after: FilterRow | None = None,
    ) -> FilterRow:
        """Add a filter, as the button does; without a column on one that has none yet. It stands last, or ``after``."""
        with self._lock:
            row = FilterRow(self, self.table[column] if column is not None else self._free_column())
            row.put(operator, None if value is None else json_value(value))
            self._filters.insert(len(self._filters) if after is None else self._filters.index(after) + 1, row)
            self._rows.children = list(self._filters)
        self.update()
        return row

    def _free_column(self) -> Column:
        used = {row.column.name for row in self._filters}
        chosen = set(self.columns)
        free = [each for each in self.table.columns if each.name not in used]
        return next((each for each in free if each.name in chosen), (free or self.table.columns)[0])

    def remove_filter(self, row: FilterRow) -> None:
        """Remove a filter, as its button does."""
        with self._lock:
            if row not in self._filters:
                return
            self._filters.remove(row)
            self._rows.children = list(self._filters)
        row.close()
        self.update()

    def keep_range(self, row: FilterRow, wanted: Sequence[tuple[str, Any]]) -> None:
        """Let the filters of a row's column keep a range: ``wanted`` are its operators and values, one or two."""
        with self._lock:
            same = [each for each in self._filters if each.column.name == row.column.name]
            bounds = [row, *(each for each in same if each is not row and each.operator != "!=")]
            for place, (operator, value) in enumerate(wanted):
                if place < len(bounds):
                    bounds[place].put(operator, value)
                else:
                    self.add_filter(row.column.name, operator, value, after=row)
            for each in bounds[len(wanted) :]:
                self.remove_filter(each)
        self.update()

    # -- sample ----------------------------------------------------------------------------------------------------

    def sample(self, ratio: float, seed: int | None = None) -> None:
        """Ask for a share of the rows, 0 to 1; the same ratio and seed give the same rows."""
        with self._lock:
            self._seed.value = "" if seed is None else str(seed)
            self._sample.value = ratio

    # -- what comes of it ------------------------------------------------------------------------------------------

    def update(self) -> None:
        """Show what follows from the controls as they are now; the size follows when the server has told it."""
        with self._lock:
            if not self._is_ready:
                return
            self._show_columns()
            self._show_filters()
            query = self._read()
            if query is not None:
                self._python.text, self._json.text = query_call(query), spec_json(query)
            # Code of what was right before is not to be copied for what stands there now.
            self._python.is_stale = self._json.is_stale = query is None
            self._running.follow(query)
            if query != self.query:
                self.set_trait("query", query)
                self._estimate(query)

    def _read(self) -> Query | None:
        """Return the query that the controls say; None while something is wrong, which is told beside its control."""
        seed, wrong_seed = self._read_seed()
        self._seed_wrong.complain(wrong_seed) if wrong_seed else self._seed_wrong.say("")
        if self._show_reasons(bool(wrong_seed)):
            return None
        query = self.table.select(*self.columns).where(*self.filters)
        ratio = round(float(self._sample.value), 9)
        # All of the rows are the same with any seed.
        return query.sample(ratio, seed) if ratio < 1 else query

    def _read_seed(self) -> tuple[int | None, str]:
        text = self._seed.value.strip()
        try:
            seed = int(text) if text else None
        except ValueError:
            return None, f"A seed is a whole number, not {text!r}."
        return (seed, "") if seed is None or -(2**63) <= seed < 2**63 else (None, "This seed is too large.")

    def _show_columns(self) -> None:
        chosen = self.columns
        if chosen:
            self._count.say(f"{len(chosen):,} of {len(self.table.columns):,} chosen")
        else:
            self._count.complain("Choose at least one column.")

    def _show_filters(self) -> None:
        seen: set[str] = set()
        for row in self._filters:
            same = [each for each in self.filters if each.name == row.column.name]
            row.show_state(same, row.column.name not in seen)
            seen.add(row.column.name)

    def _show_reasons(self, is_seed_wrong: bool) -> bool:
        """Show beside the button why it cannot be pressed, for what is wrong may be far up; tell whether it cannot."""
        reasons = [] if self.columns else ["No column is chosen."]
        if broken := dict.fromkeys(clean(row.column.name) for row in self._filters if row.filter is None):
            reasons.append(f"Something is wrong with the filter on {', '.join(broken)}.")
        if is_seed_wrong:
            reasons.append("Something is wrong with the seed of the sample.")
        self._wrong.complain(" ".join(reasons)) if reasons else self._wrong.say("")
        return bool(reasons)

    def _estimate(self, query: Query | None) -> None:
        if query is None:
            self._size.clear()
            return
        self._size.wait_for()

        def tell(found: Sized) -> None:
            self._size.show(found)
            self.sign_in.show(None)

        def fail(error: Exception) -> None:
            self._size.fail(error)
            self.sign_in.show(error, "estimate", lambda: self._estimate(self.query))

        self._work("estimate", self._size.work(query), tell, fail, ESTIMATE_DELAY)

    # -- requesting ------------------------------------------------------------------------------------------------

    def submit(self) -> None:
        """Ask the server for the rows, as the button does. Returns at once; ``wait()`` waits for the rows."""
        self._running.submit()

    def cancel(self) -> None:
        """Leave the request, as the button does."""
        self._running.cancel()

    @property
    def dataframe(self) -> pd.DataFrame | None:
        """The rows of ``request`` as a DataFrame; waits for them the first time. None before the request."""
        return self._running.dataframe

    @property
    def state(self) -> str:
        """What is shown of the request, in words."""
        return self._running.text


def _item(column: Column) -> dict[str, Any]:
    return {
        "key": column.name,
        "title": clean(column.name),
        "facts": f"{clean(column.type)}{' enum' if column.is_enum else ''}",
        "note": clean(column.description, 120),
    }
