"""What a query would give, as far as it can be found out quickly. Child processes only.

The number of rows is counted exactly when that ends in time, and otherwise left to the stored sample of the table. A
small result is then written for a try, if there is still time, so that its bytes are known, too. Those of others are
found with matching rows of the sample, written as a result is; a table without a stored sample gives rows of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cosphere_jupyter.executors.base import Compiled, Query
from cosphere_jupyter.executors.duckdb import compiler, measuring
from cosphere_jupyter.executors.duckdb.compiler import Relation
from cosphere_jupyter.executors.duckdb.measuring import Written

PROBE_ROWS = 20_000
"""Most rows of a result that is written for a try, and rows that are written of a table without a stored sample."""


def measure(
    connection: Any,
    relation: Relation,
    physical: Mapping[str, str],
    query: Query,
    params: Mapping[str, Any],
    sample: Path | None,
    folder: Path,
) -> dict[str, Any]:
    """Return ``rows``, the exact number of rows or None, and ``probe``.

    ``probe`` is what was written: ``rows``, ``overhead`` (bytes of the footer), ``columns`` (bytes by column) and
    ``constants`` (columns in which all values are equal).
    ``is_sample`` says that they are all rows of the stored sample which satisfy the filters (whatever the ratio),
    otherwise they are some rows of the result itself. ``probe`` is None when there was no time. ``table_rows`` may be
    the number of all rows of a table which has no sample and whose matching rows could not be counted.
    """
    clock = _Clock(connection, params["seconds"])
    rows = None
    if relation.table == ("rows",):
        # The rows of a SQLite table pass by once. Writing them counts them, too.
        if sample is not None and not params["exact"]:
            return _found(None, _of_sample(connection, query, sample, folder), is_sample=True)
        written = clock.write(compiler.compile_select(query, relation, physical, params["columns"]), folder)
        if written is not None:
            return _found(written.rows, written, is_sample=False)
        return _found(None, _of_sample(connection, query, sample, folder) if sample else None, is_sample=True)
    if params["exact"]:
        rows = clock.count(compiler.compile_select(query, relation, physical, params["columns"]))
        if rows is not None and rows <= PROBE_ROWS:
            written = clock.write(compiler.compile_select(query, relation, physical, params["columns"]), folder)
            if written is not None:
                return _found(rows, written, is_sample=False)
    if sample is not None:
        return _found(rows, _of_sample(connection, query, sample, folder), is_sample=True)
    probe = table_rows = None
    if rows is None:
        clock.more(params["seconds"])
        table_rows = clock.count(compiler.compile_scan(relation))
    if rows is not None:
        few = replace(query, ratio=query.ratio * min(1.0, PROBE_ROWS / max(rows, 1)))
        probe = clock.write(compiler.compile_select(few, relation, physical, params["columns"]), folder)
    if probe is None:
        head = compiler.compile_select(replace(query, ratio=1.0), relation, physical, params["columns"])
        clock.more(params["seconds"])
        probe = clock.write(Compiled(f"{head.sql} LIMIT {PROBE_ROWS}", head.parameters), folder)
    return {**_found(rows, probe, is_sample=False), "table_rows": table_rows}


def _found(rows: int | None, probe: Written | None, *, is_sample: bool) -> dict[str, Any]:
    written = None
    if probe is not None:
        written = {
            "rows": probe.rows,
            "overhead": probe.overhead,
            "columns": dict(probe.columns),
            "constants": sorted(probe.constants),
        }
    return {"rows": rows, "probe": written, "is_sample": is_sample}


def _of_sample(connection: Any, query: Query, sample: Path, folder: Path) -> Written:
    """Write the rows of the stored sample which satisfy the filters."""
    names = [*query.columns, *(item.column for item in query.filters)]
    relation = measuring.of_file(sample, names)
    scan = compiler.compile_scan(relation)
    kinds = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {scan.sql}", scan.parameters).fetchall()}
    compiled = compiler.compile_select(replace(query, ratio=1.0), relation, kinds)
    return measuring.write(connection, compiled, folder / "probe.parquet")


class _Clock:
    """Runs statements until the time is up; what is not ready then is None."""

    def __init__(self, connection: Any, seconds: float) -> None:
        self._connection = connection
        self._end = time.monotonic() + seconds

    def more(self, seconds: float) -> None:
        """Begin anew."""
        self._end = time.monotonic() + seconds

    def count(self, compiled: Compiled) -> int | None:
        """Count what is selected."""
        import duckdb

        try:
            with self._interrupting():
                sql = f"SELECT count(*) FROM ({compiled.sql})"  # noqa: S608 - compiled, values are bound
                return int(self._connection.execute(sql, compiled.parameters).fetchone()[0])
        except duckdb.InterruptException:
            return None

    def write(self, compiled: Compiled, folder: Path) -> Written | None:
        """Write what is selected."""
        import duckdb

        try:
            with self._interrupting():
                return measuring.write(self._connection, compiled, folder / "probe.parquet")
        except duckdb.InterruptException:
            return None

    @contextmanager
    def _interrupting(self) -> Iterator[None]:
        done = threading.Event()

        def watch() -> None:
            while not done.wait(max(0.0, self._end - time.monotonic())):
                self._connection.interrupt()
                self._end = max(self._end, time.monotonic() + 0.05)  # again: an idle engine hears nothing

        watcher = threading.Thread(target=watch, name="estimate-deadline", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
