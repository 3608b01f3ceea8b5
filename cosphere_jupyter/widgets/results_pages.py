"""Pages of Arrow tables and DataFrames: slices of them, sorted if need be, as text for cells."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..client.charts import value_text
from ..client.display import LONGEST_CELL
from ..client.loading import to_pandas
from ..client.text import clean

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# A column and whether the greatest come first.
Order = tuple[str, bool]
_DICTIONARY = re.compile(r"dictionary<values=(\w+)")
# Parts of seconds that are none.
_ZEROS = re.compile(r"\.0+(?![0-9])")
_NUMBERS = ("int", "uint", "float", "double", "halffloat", "decimal")


class Pages(Protocol):
    """Rows of which parts can be had. ``columns`` are names and types."""

    columns: list[tuple[str, str]]
    rows: int

    def slice(self, start: int, count: int, order: Order | None) -> pa.Table:
        """Return some rows."""

    def frame(self) -> pd.DataFrame:
        """Return all rows."""


class ArrowPages:
    """Rows of an Arrow table, which may be mapped from disk."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.columns = [(field.name, _word(str(field.type))) for field in table.schema]
        self.rows = int(table.num_rows)
        self._sorted: tuple[Order, Any] | None = None

    def slice(self, start: int, count: int, order: Order | None) -> pa.Table:
        """Return some rows; of a sorted table the order is kept for the next page."""
        if order is None:
            return self._table.slice(start, count)
        if self._sorted is None or self._sorted[0] != order:
            import pyarrow.compute as pc

            name, is_down = order
            column = self._table.column([name for name, _ in self.columns].index(name)).combine_chunks()
            self._sorted = order, pc.array_sort_indices(column, order="descending" if is_down else "ascending")
        return self._table.take(self._sorted[1].slice(start, count))

    def frame(self) -> pd.DataFrame:
        """Return all rows."""
        return to_pandas(self._table)


class FramePages:
    """Rows of a DataFrame."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        names = [str(name) for name in frame.columns]
        self.columns = list(zip(names, (_word(str(kind)) for kind in frame.dtypes), strict=True))
        self.rows = len(frame)
        self._sorted: tuple[Order, pd.DataFrame] | None = None

    def slice(self, start: int, count: int, order: Order | None) -> pa.Table:
        """Return some rows; of a sorted frame the order is kept for the next page."""
        frame = self._frame
        if order is not None:
            if self._sorted is None or self._sorted[0] != order:
                name, is_down = order
                place = [name for name, _ in self.columns].index(name)
                column = frame.iloc[:, place].reset_index(drop=True)
                places = column.sort_values(ascending=not is_down, kind="stable", na_position="last").index
                self._sorted = order, frame.iloc[places]
            frame = self._sorted[1]
        return _arrow(frame.iloc[start : start + count])

    def frame(self) -> pd.DataFrame:
        """Return all rows."""
        return self._frame


def pages_of(source: pd.DataFrame | pa.Table) -> Pages:
    """Return the pages of rows."""
    return FramePages(source) if hasattr(source, "iloc") else ArrowPages(source)


def kinds(columns: Sequence[tuple[str, str]]) -> list[str]:
    """Return how columns of these types are shown; see ``view.Table``."""
    return ["number" if kind.lower().startswith(_NUMBERS) else "line" for _, kind in columns]


def cells(table: pa.Table) -> list[list[str | None]]:
    """Return rows as texts, None for NULL."""
    columns = [[_text(value) for value in _values(column)] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)] if columns else []


def _values(column: pa.ChunkedArray) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_temporal(column.type):
        # Arrow writes times of all years; Python knows 9,999.
        try:
            return [text and _ZEROS.sub("", text) for text in pc.cast(column, pa.string()).to_pylist()]
        except pa.ArrowException:
            pass
    return list(column.to_pylist())


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return value_text(value)
    if isinstance(value, float):
        return f"{value:.10g}" if math.isfinite(value) else {math.inf: "∞", -math.inf: "-∞"}.get(value, "NaN")
    if isinstance(value, bytes):
        return clean(value.hex(" "), LONGEST_CELL)
    return clean(value, LONGEST_CELL)


def _arrow(frame: pd.DataFrame) -> pa.Table:
    import pyarrow as pa

    arrays = []
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        try:
            arrays.append(pa.array(column, from_pandas=True))
        except (pa.ArrowException, TypeError, ValueError):
            # Values of several types: as texts.
            arrays.append(pa.array([None if value is None else str(value) for value in column], pa.string()))
    return pa.table(arrays, names=[str(name) for name in frame.columns])


def _word(kind: str) -> str:
    """Return the name of a type as people know it."""
    kind = kind.removesuffix("[pyarrow]")
    if inside := _DICTIONARY.match(kind):
        return inside[1]
    return clean(kind, 40)
