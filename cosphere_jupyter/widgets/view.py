"""The one small anywidget: distributions, lists, tables, code to copy, and the parts of the monitor.

What it shows is set as text there, never as HTML; the module travels with the widget, so that nothing is fetched. It
is written in several files, which are one after the other: what one of them declares is known in the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ..client.charts import (
    LABEL_COLUMNS,
    MOST_BARS,
    Shape,
    bar_texts,
    bin_texts,
    label_width,
    shape,
    words,
)
from ..client.columns import Column
from ..client.text import clean, fitted, rows_text, share_text

FOLDER = Path(__file__).parent


@cache
def file_text(name: str) -> str:
    """Return the text of a file that travels with a widget."""
    # The text, not the path: anywidget would watch a file for changes.
    return (FOLDER / name).read_text(encoding="utf-8")


MODULE = "\n".join(file_text(name) for name in ("charts.js", "tasks.js", "view.js"))
STYLES = "\n".join(file_text(name) for name in ("view.css", "results.css", "monitor.css"))


class View(anywidget.AnyWidget):
    """A part that the module draws; ``part`` says which."""

    _esm = MODULE
    _css = STYLES
    part = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode(help="What it is, for screen readers.").tag(sync=True)


class Code(View):
    """Code to read and to copy."""

    part = traitlets.Unicode("code").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
    is_stale = traitlets.Bool(False, help="Whether it no longer says what the form says.").tag(sync=True)


class Table(View):
    """Rows of cells. A cell is a text, a picture (see ``picture``), or None for NULL.

    ``kinds`` says how the columns look: ``head``, ``text``, ``line`` (not broken), ``number``.
    """

    part = traitlets.Unicode("table").tag(sync=True)
    headings = traitlets.List(traitlets.Unicode()).tag(sync=True)
    kinds = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows: traitlets.List[Any] = traitlets.List().tag(sync=True)
    more = traitlets.Unicode(help="What is left out.").tag(sync=True)


class List(View):
    """A list to choose from: of one the arrow keys choose, of many Space and Enter do.

    An item is ``{"key", "title"}`` and perhaps ``"facts"``, ``"note"``, ``"by"`` and ``"tags"``. ``chosen`` holds keys,
    in the order of choosing.
    """

    part = traitlets.Unicode("list").tag(sync=True)
    items: traitlets.List[Any] = traitlets.List().tag(sync=True)
    chosen = traitlets.List(traitlets.Unicode()).tag(sync=True)
    is_multiple = traitlets.Bool(False).tag(sync=True)
    empty = traitlets.Unicode(help="What stands there without any item.").tag(sync=True)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.on_msg(self._take)

    def _take(self, _: Any, message: Any, __: Any) -> None:
        key = message.get("toggle") if isinstance(message, Mapping) else None
        if isinstance(key, str) and self.is_multiple and any(each["key"] == key for each in self.items):
            self.toggle(key)

    def toggle(self, key: str) -> None:
        """Choose an item of a list of many, or give it up."""
        others = [each for each in self.chosen if each != key]
        self.chosen = others if key in self.chosen else [*others, key]


class Distribution(View):
    """The distribution of a column: bins of numbers and times, the most frequent values of all else.

    >>> chart = Distribution(table["dep_delay"])
    >>> chart.observe(lambda change: print(chart.selection), "selection")

    With ``can_select`` a range is selected by dragging (or Shift and the arrow keys), given up by a double click (or
    Escape), and a bar is picked by a click (or Enter).
    """

    part = traitlets.Unicode("chart").tag(sync=True)
    picture = traitlets.Dict().tag(sync=True)
    can_select = traitlets.Bool(False).tag(sync=True)
    selection = traitlets.List(
        traitlets.Float(),
        help="The ends of the selected range: in the column's own unit, for times in seconds since 1970; or empty.",
    ).tag(sync=True)
    marked = traitlets.List(traitlets.Int(), help="The places of the highlighted bars.").tag(sync=True)

    def __init__(self, column: Column | None = None, rows: int | None = None, **options: Any) -> None:
        """``rows`` is how many the table has, where that is known."""
        super().__init__(**options)
        self._pickers: list[Callable[[int], None]] = []
        self.on_msg(self._take)
        if column is not None:
            self.show(column, rows)

    def show(self, column: Column, rows: int | None = None, height: int = 30) -> None:
        """Show another column; nothing is selected of it."""
        with self.hold_sync():
            self.selection, self.marked = [], []
            self.picture = picture(column, rows, height)

    def on_pick(self, tell: Callable[[int], None]) -> None:
        """Call ``tell`` with the place of a bar when somebody picks it."""
        self._pickers.append(tell)

    def _take(self, _: Any, message: Any, __: Any) -> None:
        place = message.get("pick") if isinstance(message, Mapping) else None
        if isinstance(place, int) and 0 <= place < len(self.picture.get("bars", ())):
            for tell in self._pickers:
                tell(place)


def picture(column: Column, rows: int | None = None, height: int = 30) -> dict[str, Any]:
    """Return what ``charts.js`` draws of a column: the same as the SVG of plain representations shows."""
    found = shape(column, rows)
    if found is None:
        return {}
    if not found.known or not (found.bins or found.bars or found.nulls):
        return {"title": "no rows" if rows == 0 or not found.total else "no values"}
    title = f"{clean(column.name, 80)}: {words(found)}"
    if found.bins:
        return {"title": title, **_histogram(found, column.type, height)}
    return {"title": title, **_bars(found)}


def _histogram(found: Shape, kind: str, height: int) -> dict[str, Any]:
    nulls = {"share": found.nulls / found.total, "text": _nulls(found)} if found.nulls else None
    return {
        "bins": list(found.bins),
        "texts": bin_texts(found, kind),
        "low": found.low,
        "high": found.high,
        "start": float(found.start),
        "width": float(found.width),
        "height": height,
        "nulls": nulls,
        "note": f"the most frequent values: {share_text(found.known, found.total)} of rows" if found.is_part else "",
    }


def _bars(found: Shape, most: int = MOST_BARS) -> dict[str, Any]:
    count = most if len(found.bars) > most + 1 else most + 1
    shown = [
        {"label": fitted(value, LABEL_COLUMNS), "count": number, "text": text}
        for (value, number), text in zip(found.bars[:count], bar_texts(found), strict=False)
    ]
    if found.nulls:
        shown.append({"label": "null", "count": found.nulls, "text": _nulls(found), "is_null": True})
    more = found.values - min(count, len(found.bars))
    left = round(max(label_width(str(each["label"])) for each in shown)) + 5
    least = "at least " if found.is_part else ""
    note = f"and {least}{more:,} more value{'' if more == 1 else 's'}" if more > 0 else ""
    return {"bars": shown, "left": left, "note": note}


def _nulls(found: Shape) -> str:
    return f"null: {rows_text(found.nulls)} ({share_text(found.nulls, found.total)})"


def column_rows(columns: Sequence[Column], rows: int | None) -> list[list[Any]]:
    """Return columns as rows of a ``Table``: name, type, NULLs, size, distribution, description."""
    from ..client.display import null_text, size_of

    return [
        [
            clean(each.name),
            f"{clean(each.type)}{' enum' if each.is_enum else ''}",
            null_text(each, rows),
            size_of(each),
            picture(each, rows) or {"title": ""},
            clean(each.description, 1000),
        ]
        for each in columns
    ]
