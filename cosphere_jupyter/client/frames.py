"""Rows as polars and pandas frames, besides the main way in ``loading``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .loading import to_pandas

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from .columns import Column


def need_polars() -> Any:
    """Return the module polars, or raise an ImportError that names the cure."""
    try:
        import polars
    except ImportError:
        raise ImportError("to_polars needs the package polars. Run: pip install polars", name="polars") from None
    return polars


def to_polars(table: pa.Table) -> pl.DataFrame:
    """Return an Arrow table as a polars DataFrame; columns of few different texts become categorical."""
    frame: pl.DataFrame = need_polars().from_arrow(table)
    return frame


def sample_frame(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return sample rows as a DataFrame with the columns' types."""
    import pyarrow as pa

    arrays = [_array([row.get(column.name) for row in rows], column.type) for column in columns]
    return to_pandas(pa.table(arrays, names=[column.name for column in columns]))


def _array(values: list[Any], kind: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds = {"INTEGER": pa.int64(), "FLOAT": pa.float64(), "STRING": pa.string(), "BOOLEAN": pa.bool_()}
    try:
        if kind == "DATETIME":
            texts = pa.array(values, pa.string())
            # An offset only casts to a type with a zone; what has none keeps none.
            is_zoned = any(_has_offset(text) for text in values if text)
            return pc.cast(texts, pa.timestamp("us", "UTC" if is_zoned else None))
        return pa.array(values, kinds.get(kind))
    except (pa.ArrowException, OverflowError, TypeError):
        # Integers of 64 bits without a sign, times of other calendars: as they are.
        try:
            return pa.array(values, pa.uint64() if kind == "INTEGER" else None)
        except (pa.ArrowException, OverflowError, TypeError):
            return pa.array([None if value is None else str(value) for value in values], pa.string())


def _has_offset(text: str) -> bool:
    time = text[10:]
    return time.endswith("Z") or "+" in time or "-" in time
