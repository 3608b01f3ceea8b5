"""Tables of SQLite files as Arrow batches, read with Python's own sqlite3. Child processes only.

DuckDB reads SQLite with an extension that has to be downloaded, so it is not used. SQLite lets any value stand in any
column; here each value must fit the catalogue's type of its column, and the first that does not is named.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from cosphere_jupyter.errors import ExecutionError
from cosphere_jupyter.executors.sources import Source

BATCH = 16_384
PHYSICAL = {
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "STRING": "VARCHAR",
    "BOOLEAN": "BOOLEAN",
    "DATETIME": "TIMESTAMP",
    "BYTES": "BLOB",
}

NATIVE = {"INTEGER": int, "FLOAT": float, "STRING": str, "BYTES": bytes}


@contextmanager
def opened(source: Source) -> Iterator[Table]:
    """Yield the table of ``source``; what SQLite refuses meanwhile becomes an ExecutionError."""
    table = None
    try:
        table = Table(source)
        yield table
    except sqlite3.Error as error:
        if "locked" in str(error) or "busy" in str(error):
            text = "The SQLite file is held by another process that writes to it; ask again later."
            raise ExecutionError(text) from error
        raise ExecutionError(f"The SQLite file cannot be read: {error}.") from error
    finally:
        if table is not None:
            table.connection.close()


class Table:
    """One table or view of a SQLite file, opened read-only. ``columns`` maps names to their declared types."""

    def __init__(self, source: Source) -> None:
        uri = f"file:{quote(source.paths[0])}?mode=ro"
        wanted = source.table or ""
        # DuckDB pulls the batches from its own threads, one at a time.
        self.connection = sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=10)
        try:
            self.connection.execute("PRAGMA trusted_schema = OFF")
            find = (
                "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') "
                "AND name COLLATE NOCASE IN (?, ?) ORDER BY length(name) DESC"
            )
            row = self.connection.execute(find, [wanted, wanted.removeprefix("main.")]).fetchone()
            if row is None:
                raise ExecutionError(f"'{source.files[0].name}' has no table or view '{wanted}'.")
            self.name: str = row[0]
            info = self.connection.execute(
                'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid',
                [self.name],
            ).fetchall()
            self.columns: dict[str, str] = {name: declared or "" for name, declared, _, _ in info}
            self.required = {name for name, _, required, _ in info if required}
            self.key = [name for name, _, _, place in sorted(info, key=lambda item: item[3]) if place]
            self.rowid = self._find_rowid() if row[1] == "table" else None
            self.is_view = row[1] == "view"
        except BaseException:
            self.connection.close()
            raise
        self.rows_read = 0
        self.error: Exception | None = None

    def _find_rowid(self) -> str | None:
        taken = {name.lower() for name in self.columns}
        for name in ("rowid", "_rowid_", "oid"):
            if name not in taken:
                try:
                    # Qualified, because SQLite takes an unknown quoted name for text.
                    self.connection.execute(f"SELECT t.{name} FROM {_quoted(self.name)} AS t LIMIT 0")  # noqa: S608 - quoted
                except sqlite3.OperationalError:
                    return None
                return name
        return None

    def count(self) -> int:
        """Return the number of rows; reads the whole table."""
        return int(self.connection.execute(f"SELECT count(*) FROM {_quoted(self.name)}").fetchone()[0])  # noqa: S608 - quoted

    def last_row(self) -> int | None:
        """Return the highest row id as a cheap bound of the number of rows, None where there is none."""
        if self.rowid is None:
            return None
        sql = f"SELECT max(t.{self.rowid}) FROM {_quoted(self.name)} AS t"  # noqa: S608 - quoted
        found = self.connection.execute(sql).fetchone()[0]
        return found if isinstance(found, int) and found > 0 else None

    def head(self, limit: int) -> list[tuple[Any, ...]]:
        """Return the first rows with all columns."""
        return self.connection.execute(f"{self._select(list(self.columns), None)} LIMIT ?", [limit]).fetchall()

    def physical(self, types: Mapping[str, str]) -> dict[str, str]:
        """Return the DuckDB types of the batches by column, given the catalogue's types."""
        return {name: PHYSICAL[self._target(name, types)] for name in self.columns}

    def reader(self, names: Sequence[str], types: Mapping[str, str], row: str | None) -> Any:
        """Return a pyarrow RecordBatchReader over ``names``, with the number of each row as column ``row`` if given."""
        import pyarrow as pa

        arrow = {
            "INTEGER": pa.int64(),
            "FLOAT": pa.float64(),
            "STRING": pa.string(),
            "BOOLEAN": pa.bool_(),
            "DATETIME": pa.timestamp("us"),
            "BYTES": pa.binary(),
        }
        chosen = [name for name in self.columns if name in set(names)]
        targets = [self._target(name, types) for name in chosen]
        fields = [pa.field(name, arrow[target]) for name, target in zip(chosen, targets, strict=True)]
        schema = pa.schema([*fields, *([pa.field(row, pa.int64())] if row else [])])

        def batches() -> Iterator[Any]:
            try:
                # Without row ids, all columns are read: which ones are read can change the order of the rows.
                numbered = row is not None and self.rowid is None
                read = list(self.columns) if numbered else chosen
                places = [read.index(name) for name in chosen]
                cursor = self.connection.execute(self._select(read, self.rowid if row else None))
                while rows := cursor.fetchmany(BATCH):
                    values = list(zip(*rows, strict=True)) if rows[0] else []
                    arrays = [
                        self._convert(values[place], name, target, field.type)
                        for place, name, target, field in zip(places, chosen, targets, fields, strict=True)
                    ]
                    if row:
                        first = self.rows_read
                        numbers = range(first, first + len(rows)) if numbered else values[-1]
                        arrays.append(pa.array(numbers, pa.int64()))
                    self.rows_read += len(rows)
                    yield pa.record_batch(arrays, schema=schema)
            except (ExecutionError, sqlite3.Error) as error:
                self.error = error  # Arrow would hand on its text only
                raise

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _select(self, names: Sequence[str], rowid: str | None) -> str:
        chosen = [f"t.{_quoted(name)}" for name in names] + ([f"t.{rowid}"] if rowid else [])
        order = ""
        if self.rowid is None and not self.is_view and self.key:
            order = " ORDER BY " + ", ".join(f"t.{_quoted(name)}" for name in self.key)
        return f"SELECT {', '.join(chosen)} FROM {_quoted(self.name)} AS t{order}"  # noqa: S608 - quoted identifiers

    def _target(self, name: str, types: Mapping[str, str]) -> str:
        target = types.get(name) or declared_type(self.columns[name]) or "STRING"
        return "BYTES" if target == "STRING" and "BLOB" in self.columns[name].upper() else target

    def _convert(self, values: Sequence[Any], name: str, target: str, arrow_type: Any) -> Any:
        import pyarrow as pa

        # Arrow would cut 1.5 to 1 without a word, so only values of the very type go in directly.
        if set(map(type, values)) <= {NATIVE.get(target), type(None)}:
            with suppress(pa.ArrowException, ValueError, OverflowError):
                return pa.array(values, arrow_type)
        converted = []
        for index, value in enumerate(values):
            try:
                converted.append(None if value is None else coerce(value, target))
            except (ValueError, OverflowError):
                shown = repr(value if isinstance(value, bytes) or len(str(value)) < 50 else str(value)[:50] + "…")[:70]
                text = (
                    f"Column {name!r} is {target} in the catalogue, but row {self.rows_read + index + 1} holds {shown}."
                )
                raise ExecutionError(text) from None
        return pa.array(converted, arrow_type)


def declared_type(declared: str) -> str | None:
    """Return the catalogue type that a declared SQLite type means, None if it says nothing."""
    name = declared.upper()
    for words, meaning in (
        (("BOOL",), "BOOLEAN"),
        (("DATE", "TIMESTAMP"), "DATETIME"),
        (("INT",), "INTEGER"),
        (("CHAR", "CLOB", "TEXT"), "STRING"),
        (("REAL", "FLOA", "DOUB", "NUM", "DEC"), "FLOAT"),
    ):
        if any(word in name for word in words):
            return meaning
    return None


def observed_type(declared: str, values: Sequence[Any]) -> str:
    """Return the declared meaning if the values fit it, else the narrowest type which holds them."""
    present = [value for value in values if value is not None]
    for target in (declared_type(declared), "INTEGER", "FLOAT"):
        if target is None or (not present and target != declared_type(declared)):
            continue
        try:
            for value in present:
                if target in ("INTEGER", "FLOAT") and isinstance(value, str):
                    raise ValueError
                coerce(value, target)
        except (ValueError, OverflowError):
            continue
        return target
    return "STRING"


def coerce(value: Any, target: str) -> Any:
    """Return a value of SQLite (int, float, str, bytes) in the type ``target``; ValueError if it does not fit."""
    if target == "INTEGER":
        if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            if not -(2**63) <= value < 2**63:
                raise ValueError
            return int(value)
    elif target == "FLOAT":
        if isinstance(value, int | float):
            return float(value)
    elif target == "BOOLEAN":
        if value in (0, 1):
            return bool(value)
    elif target == "DATETIME":
        if isinstance(value, str):
            moment = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
            return moment if moment.tzinfo is None else moment.astimezone(timezone.utc).replace(tzinfo=None)
    elif target == "BYTES":
        if isinstance(value, bytes | str):
            return value.encode() if isinstance(value, str) else value
    else:
        return value.decode() if isinstance(value, bytes) else str(value)
    raise ValueError


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
