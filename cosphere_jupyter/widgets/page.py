"""The page of a table: what it is, its columns with their distributions, and its sample."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets

from ..client.charts import rows_of, value_text
from ..client.display import LONGEST_CELL, size_of
from ..client.table import Table
from ..client.text import clean, html, rows_text, size_text
from . import view
from .core import Message, button, heading, unlabelled
from .values import columns_like

MOST_COLUMNS, MOST_SAMPLE_ROWS, MOST_SAMPLE_COLUMNS = 100, 20, 60
_HEADINGS = ["Column", "Type", "NULLs", "Size", "Distribution", "Description"]
_KINDS = ["head", "line", "number", "number", "picture", "text"]


NOTHING = "No column is named like that."
LOOK = "Let the server read all rows once, for sizes, distributions and a sample"


class TablePage(ipywidgets.VBox):
    """What is known of a table.

    ``build`` is called when somebody wants to ask it for rows, ``look`` when the server shall look into its data.
    """

    def __init__(self, build: Callable[[], object] | None = None, look: Callable[[], object] | None = None) -> None:
        self._title, self._facts = ipywidgets.HTML(), ipywidgets.HTML()
        self._lock = threading.RLock()
        self._table: Table | None = None
        self._rows: int | None = None
        self._search = unlabelled(ipywidgets.Text(description="Find a column", placeholder="Find a column …"))
        self._search.observe(lambda _: self._show_columns(), "value")
        self._columns = view.Table(kinds=_KINDS)
        self._sample = view.Table()
        self._tabs = ipywidgets.Tab([ipywidgets.VBox([self._search, self._columns]), self._sample])
        self._tabs.add_class("cosphere-tabs")
        self.button = button("Build a request", build or (lambda: None), "primary")
        self.button.layout.display = None if build else "none"
        self.look = button("Look at the data", look or (lambda: None), tooltip=LOOK)
        self.line = Message()
        buttons = ipywidgets.HBox([self.look, self.button])
        buttons.add_class("cosphere-buttons")
        head = ipywidgets.HBox([self._title, buttons])
        head.add_class("cosphere-head")
        super().__init__([head, self._facts, self.line, self._tabs])
        self.add_class("cosphere-page")

    def show(self, table: Table) -> None:
        """Show a table; ``offer_look`` offers to look into its data."""
        self.offer_look(False)
        self.line.say("")
        rows = rows_of(table.columns)
        tags = "".join(f' <span class="cosphere-tag cosphere-free">{html(tag, 64)}</span>' for tag in table.tags)
        self._title.value = heading(clean(table.name), after=tags)
        self._facts.value = _facts(table, rows)
        with self._lock:
            self._table, self._rows = table, rows
        # Few enough are all there to be seen.
        self._search.layout.display = None if len(table.columns) > MOST_COLUMNS else "none"
        self._search.value = ""
        self._show_columns()
        self._show_sample(table)
        # Both tabs have their titles before anything of the other table is seen in them.
        self._tabs.titles = [f"Columns ({len(table.columns):,})", f"Sample ({_count(len(table.sample_rows))})"]
        self._tabs.selected_index = 0

    def offer_look(self, is_offered: bool) -> None:
        """Offer to look into the data, or not."""
        self.look.layout.display = None if is_offered else "none"

    def _show_columns(self) -> None:
        """Show the columns that the search finds, as many as can be surveyed."""
        with self._lock:
            table, rows = self._table, self._rows
            if table is None:
                return
            found = columns_like(table.columns, self._search.value)
            shown = found[:MOST_COLUMNS]
            # Headings without anything below them are left out.
            is_used = {
                "Size": any(size_of(column) for column in shown),
                "Distribution": any(column.distribution is not None for column in shown),
                "Description": any(column.description for column in shown),
            }
            used = [place for place, name in enumerate(_HEADINGS) if is_used.get(name, True)]
            with self._columns.hold_sync():
                self._columns.label = f"Columns of {clean(table.name, 80)}"
                self._columns.headings = [_HEADINGS[place] for place in used]
                self._columns.kinds = [_KINDS[place] for place in used]
                self._columns.more = _more(len(found) - len(shown), "columns") if found else NOTHING
                self._columns.rows = [[row[place] for place in used] for row in view.column_rows(shown, rows)]

    def _show_sample(self, table: Table) -> None:
        columns, rows = table.columns[:MOST_SAMPLE_COLUMNS], table.sample_rows[:MOST_SAMPLE_ROWS]
        left_out = [
            _more(len(table.sample_rows) - len(rows), "rows"),
            _more(len(table.columns) - len(columns), "columns"),
        ]
        with self._sample.hold_sync():
            self._sample.label = f"Sample of {clean(table.name, 80)}"
            self._sample.headings = [clean(column.name, LONGEST_CELL) for column in columns] if rows else []
            self._sample.kinds = ["number" if column.type in ("INTEGER", "FLOAT") else "line" for column in columns]
            self._sample.more = "; ".join(filter(None, left_out)) if rows else "There is no sample of this table."
            self._sample.rows = [[_cell(row.get(column.name)) for column in columns] for row in rows]


def _facts(table: Table, rows: int | None) -> str:
    sizes = [column.size for column in table.columns if isinstance(column.size, int | float)]
    facts = [
        rows_text(rows) if rows is not None else "",
        size_text(int(sum(sizes))) if sizes and 0 <= sum(sizes) < 2**63 else "",
        f"maintained by {clean(table.maintained_by.email)}" if table.maintained_by else "",
        clean(f"{table.executor_type} {table.source or ''}".strip()),
    ]
    description = f"<p>{html(table.description, 1000)}</p>" if table.description else ""
    return f'<div class="cosphere-faint">{html(" · ".join(filter(None, facts)), 400)}</div>{description}'


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return value_text(value)
    return clean(f"{value:.10g}" if isinstance(value, float) else value, LONGEST_CELL)


def _count(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}" if rows else "none"


def _more(count: int, what: str) -> str:
    return f"and {count:,} more {what}" if count > 0 else ""
