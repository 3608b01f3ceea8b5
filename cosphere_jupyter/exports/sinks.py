"""Files of CSV, Parquet and Arrow that are written batch by batch. Imports pyarrow: for child processes only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, ipc, parquet

KINDS = {
    "integer": pa.int64(),
    "text": pa.string(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("us", "UTC"),
    "json": pa.string(),
}
# A row group of Parquet: what is reached first.
GROUP_ROWS = 122_880
GROUP_BYTES = 32 * 1024 * 1024
# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection"), also in full width.
_FORMULA = "^[=+\\-@\t\r\n＝＋－＠]"


class Sink(Protocol):
    """A file that takes batches of one schema. ``rows`` counts them."""

    schema: Any
    rows: int

    def write(self, batch: Any) -> None:
        """Append a batch."""

    def close(self) -> None:
        """Write what is left."""


@contextmanager
def opened(path: Path, schema: Any, spreadsheet: bool = False) -> Iterator[Sink]:
    """Open a new file of the format that its suffix says."""
    sink: Sink = Csv(path, schema, spreadsheet) if path.suffix == ".csv" else _BINARY[path.suffix](path, schema)
    try:
        yield sink
    finally:
        sink.close()


def schema_of(names: Sequence[str], kinds: Sequence[str]) -> Any:
    """Return the schema of columns as `types.Column` has them."""
    return pa.schema([(name, KINDS[kind]) for name, kind in zip(names, kinds, strict=True)])


def batch_of(columns: Sequence[Sequence[Any]], schema: Any) -> Any:
    """Return a batch of lists of values."""
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.record_batch(arrays, schema=schema)


class Csv:
    """CSV in UTF-8 with a header and ``\\n``: text always in quotes, NULL as nothing at all, to tell them apart.

    Values are written as they are, so that a program reads what is stored. In a spreadsheet a text like ``=1+1`` would
    be run as a formula: with ``spreadsheet`` each such text (also a column's name) gets an apostrophe in front.
    Bytes are hexadecimal digits, lists and other nested values JSON, spans of time their text.
    """

    def __init__(self, path: Path, schema: Any, spreadsheet: bool) -> None:
        self.schema = schema
        self.rows = 0
        self._spreadsheet = spreadsheet
        names = pa.array(schema.names, pa.string())
        self._names = (_guarded(names) if spreadsheet else names).to_pylist()
        empty = pa.record_batch([pa.array([], field.type) for field in schema], schema=schema)
        self._writer = csv.CSVWriter(str(path), self._readable(empty).schema)

    def write(self, batch: Any) -> None:
        """Append a batch."""
        self._writer.write_batch(self._readable(batch))
        self.rows += batch.num_rows

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

    def _readable(self, batch: Any) -> Any:
        columns = [_as_text(column) for column in batch.columns]
        if self._spreadsheet:
            columns = [_guarded(column) if pa.types.is_string(column.type) else column for column in columns]
        return pa.record_batch(columns, names=self._names)


class _Parquet:
    def __init__(self, path: Path, schema: Any) -> None:
        self.schema = schema
        self.rows = 0
        self._held: list[Any] = []
        self._writer = parquet.ParquetWriter(path, schema, compression="zstd", compression_level=1)

    def write(self, batch: Any) -> None:
        self._held.append(batch)
        self.rows += batch.num_rows
        rows, size = (sum(getattr(each, what) for each in self._held) for what in ("num_rows", "nbytes"))
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held, self.schema), row_group_size=GROUP_ROWS)
            self._held = []


class _Arrow:
    """An Arrow IPC file, not compressed: it can be mapped into memory as it lies there."""

    def __init__(self, path: Path, schema: Any) -> None:
        self.schema = schema
        self.rows = 0
        self._writer = ipc.new_file(str(path), schema)

    def write(self, batch: Any) -> None:
        self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def close(self) -> None:
        self._writer.close()


_BINARY: dict[str, type[_Parquet] | type[_Arrow]] = {".parquet": _Parquet, ".arrow": _Arrow}


def _as_text(column: Any) -> Any:
    """Return a column that CSV can hold: others as text."""
    kind = column.type
    if isinstance(kind, pa.ExtensionType | pa.BaseExtensionType):
        return _texts(column, str)
    if pa.types.is_dictionary(kind):
        return _as_text(column.dictionary_decode())
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _texts(column, bytes.hex)
    if pa.types.is_nested(kind):
        return _texts(column, lambda value: json.dumps(value, ensure_ascii=False, default=_plain))
    if pa.types.is_duration(kind) or pa.types.is_interval(kind):
        return _texts(column, str)
    return column


def _texts(column: Any, text_of: Any) -> Any:
    return pa.array([None if value is None else text_of(value) for value in column.to_pylist()], pa.string())


def _plain(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _guarded(column: Any) -> Any:
    is_formula = pc.match_substring_regex(column, _FORMULA)
    return pc.if_else(is_formula, pc.binary_join_element_wise("'", column, ""), column)
