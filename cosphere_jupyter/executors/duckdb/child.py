"""What runs in a child process: describing and profiling a source, estimating a query and unloading it as Parquet.

All take and return JSON-able objects. DuckDB, pyarrow and sqlglot are imported when called; `warm` does it beforehand.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cosphere_jupyter.errors import ExecutionError, Invalid
from cosphere_jupyter.executors.base import Query
from cosphere_jupyter.executors.sources import Source

Report = Callable[[dict[str, Any]], None]
REPORT_SECONDS = 0.25
OUTCOME = "outcome.json"
SPLIT_BYTES = 256_000_000
"""Bytes of a file of a result, about; sources smaller than this give one file."""


def warm() -> None:
    """Make ready for a call: import what the other functions need (0.3 s, once) and open a database (13 ms)."""
    import duckdb
    import pyarrow.parquet

    import cosphere_jupyter.executors.duckdb.relations
    from cosphere_jupyter.executors.duckdb import sandbox

    _ = duckdb, pyarrow.parquet, cosphere_jupyter
    sandbox.prepare()


def describe(params: Mapping[str, Any], report: Report | None = None) -> dict[str, Any]:
    """Return ``{"columns": [column as of the catalogue's spec], "rows": int | None}``.

    ``params``: ``source`` (`Source.to_json`), ``data_folders``, ``memory_limit``, ``threads``, and optionally
    ``limits`` (see `describing.LIMITS`). The distribution of the columns is not computed here.

    Raises:
        ExecutionError: the source cannot be read, or changed.
    """
    from cosphere_jupyter.executors.duckdb import describing

    source = Source.from_json(params["source"])
    source.check(params["data_folders"], "since it was looked up")
    limits = {**describing.LIMITS, **params.get("limits", {})}
    if source.kind == "sqlite":
        found = describing.describe_sqlite(source, limits)
    else:
        with (
            TemporaryDirectory() as temp_folder,
            _engine(source, {**params, "temp_folder": temp_folder}, []) as (connection, table),
        ):
            found = describing.describe_engine(connection, source, table, limits)
    source.check(params["data_folders"], "while it was read")
    return found


def unload(params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Run a query and write its rows as ``part-N.parquet`` (ZSTD) into an empty folder.

    ``params``: ``source`` (`Source.to_json`), ``query`` (`Query.to_json`), ``columns`` (catalogue types by name),
    ``folder`` (existing and empty), ``data_folders``, ``memory_limit``, ``threads``, ``temp_folder`` (made when the
    engine spills, and removed again; may lie in ``folder``).

    ``report`` is called with ``{"fraction": 0.0 to 1.0}`` from a second thread, at most 4 times a second.

    Returns ``files`` (``name``, ``rows``, ``bytes``), total ``rows`` and ``bytes``, ``schema`` (``name`` and Arrow
    ``type`` of each column, in the query's order), ``sql`` (with ``?`` for values), ``sampling`` (how rows were chosen,
    or None) and ``duckdb`` (version). Results of less than about `SPLIT_BYTES` are one file, an empty result is one
    file without rows. Rows of sources smaller than that keep their order.

    Raises:
        ExecutionError: with a text for the user; the data may have changed meanwhile.
    """
    from cosphere_jupyter.executors.duckdb import compiler, relations

    source, query = Source.from_json(params["source"]), Query.from_json(params["query"])
    types: Mapping[str, str] = params["columns"]
    folder = str(Path(params["folder"]).resolve())
    source.check(params["data_folders"], "since it was requested")
    try:
        if source.kind == "sqlite":
            found = _unload_sqlite(source, query, types, folder, params, report)
        else:
            with _engine(source, params, [folder], query) as (connection, table):
                if table is not None:
                    relation, physical = table, relations.columns_of(connection, table)
                else:
                    relation, physical = relations.of_files(connection, source, types)
                compiled = compiler.compile_select(query, relation, physical, types)
                with _progress(connection, report):
                    found = _copy(connection, compiled, source, folder)
                found["sampling"] = _method(query, relation)
    except ExecutionError:
        # A file that changes under the reader fails in many ways; that it changed is the better message.
        source.check(params["data_folders"], "while it was read")
        raise
    except Invalid as error:
        raise ExecutionError(f"The request does not fit the data: {error}") from error
    source.check(params["data_folders"], "while it was read")
    return found


@contextmanager
def _engine(
    source: Source,
    params: Mapping[str, Any],
    folders: list[str],
    query: Query | None = None,
    files: Sequence[str] = (),
) -> Iterator[tuple[Any, Any]]:
    """Yield a locked connection, and the relation if the source is a table; engine errors become ExecutionErrors."""
    import duckdb

    from cosphere_jupyter.executors.duckdb import relations, sandbox

    temp_folder = str(Path(params["temp_folder"]).resolve())
    try:
        with sandbox.opened(params["memory_limit"], params["threads"], temp_folder) as connection:
            relation = None
            paths = source.paths
            if source.kind == "duckdb":
                sandbox.attach(connection, source)
                relation = relations.of_table(connection, source)
                paths = []
                if query is not None and query.ratio < 1 and relation.sampling == "content":
                    # Aggregates of a view add up in another order with more threads: other last digits, other hashes.
                    connection.execute("SET threads = 1")
            elif source.kind == "sqlite":
                paths = []
            sandbox.lock(connection, [*paths, *files], [*folders, temp_folder])
            yield connection, relation
    except duckdb.Error as error:
        raise sandbox.explain(error, source, [*folders, temp_folder], params["memory_limit"]) from error


def profile(params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Find out what a table holds, see `profiling`; what was found is written as `OUTCOME` into ``folder``.

    ``params``: ``source``, ``columns`` (the catalogue's, a list), ``folder`` (existing and empty; the stored sample
    stays in it as ``sample.parquet``), ``temp_folder``, ``data_folders``, ``memory_limit``, ``threads`` and optionally
    ``limits`` (see `profiling.LIMITS`). ``report`` is called with ``{"fraction": 0.0 to 1.0}``.

    Returns ``rows`` and ``data_version``.

    Raises:
        ExecutionError: with a text for the user; the source cannot be read, lacks a column, or changed.
    """
    from cosphere_jupyter.executors.duckdb import describing, profiling

    source, folder = Source.from_json(params["source"]), Path(params["folder"]).resolve()
    types = {column["name"]: column["type"] for column in params["columns"]}
    rows: int | None = None
    sizes: dict[str, int] = {}
    with _fitting(source, params["data_folders"]), _opened(source, params, types, list(types), [folder]) as opened:
        if source.kind == "parquet":
            rows, sizes, _ = describing.footers(source, describing.LIMITS["footer_cells"])
        limits = params.get("limits", {})
        found = profiling.Profiler(*opened, params["columns"], folder, limits, report).run(rows, sizes)
    (folder / OUTCOME).write_text(json.dumps(found), encoding="utf-8")
    return {"rows": found["rows"], "data_version": source.version}


def estimate(params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Count and measure what a query would give, within ``seconds``; see `estimating.measure` for what is returned.

    ``params``: ``source``, ``query``, ``columns`` (catalogue types by name), ``sample`` (path of a stored sample, or
    None), ``exact`` (whether to count), ``seconds``, ``data_folders``, ``memory_limit`` and ``threads``.

    Raises:
        ExecutionError: with a text for the user; the source cannot be read, lacks a column, or changed.
    """
    from cosphere_jupyter.executors.duckdb import estimating

    source, query = Source.from_json(params["source"]), Query.from_json(params["query"])
    names = [*query.columns, *(item.column for item in query.filters)]
    with TemporaryDirectory() as folder, _fitting(source, params["data_folders"]):
        work = {**params, "temp_folder": folder}
        sample = Path(params["sample"]) if params["sample"] and Path(params["sample"]).is_file() else None
        with _opened(source, work, params["columns"], names, [], [sample] if sample else []) as opened:
            return estimating.measure(*opened, query, params, sample, Path(folder))


@contextmanager
def _fitting(source: Source, data_folders: list[str]) -> Iterator[None]:
    """Make sure that the data are the same before and after, and fit the request."""
    source.check(data_folders, "since it was requested")
    try:
        yield
    except ExecutionError:
        source.check(data_folders, "while it was read")
        raise
    except Invalid as error:
        raise ExecutionError(f"The request does not fit the data: {error}") from error
    source.check(data_folders, "while it was read")


@contextmanager
def _opened(
    source: Source,
    params: Mapping[str, Any],
    types: Mapping[str, str],
    names: list[str],
    folders: list[Path],
    files: list[Path] | None = None,
) -> Iterator[tuple[Any, Any, dict[str, str]]]:
    """Yield a locked connection, the relation of any kind of source, and its DuckDB types by column.

    The rows of a SQLite table can be read once only, and only the columns ``names``.
    """
    from cosphere_jupyter.executors.duckdb import compiler, relations, sqlite

    allowed = [str(folder) for folder in folders]
    extra = [str(path) for path in files or []]
    if source.kind == "sqlite":
        with sqlite.opened(source) as rows, _engine(source, params, allowed, files=extra) as (connection, _):
            connection.register("rows", rows.reader(names, types, None))
            try:
                yield connection, compiler.Relation(table=("rows",), sampling="number"), rows.physical(types)
            except Exception:
                if rows.error is not None:
                    raise rows.error from None
                raise
        return
    with _engine(source, params, allowed, files=extra) as (connection, table):
        if table is not None:
            yield connection, table, relations.columns_of(connection, table)
        else:
            yield connection, *relations.of_files(connection, source, types)


def _unload_sqlite(
    source: Source, query: Query, types: Mapping[str, str], folder: str, params: Mapping[str, Any], report: Report
) -> dict[str, Any]:
    from cosphere_jupyter.executors.duckdb import compiler, sqlite

    with sqlite.opened(source) as table, _engine(source, params, [folder], query) as (connection, _):
        physical = table.physical(types)
        row = compiler.private("row", physical) if query.ratio < 1 else None
        relation = compiler.Relation(table=("rows",), sampling="rowid", row=row or "rowid")
        compiled = compiler.compile_select(query, relation, physical, types)
        names = [*query.columns, *(item.column for item in query.filters)]
        last = table.last_row()
        connection.register("rows", table.reader(names, types, row))
        try:
            with _progress(connection, report, lambda: table.rows_read / last if last else 0.0):
                found = _copy(connection, compiled, source, folder)
        except Exception:
            if table.error is not None:
                raise table.error from None
            raise
        found["sampling"] = _method(query, compiler.Relation(sampling="rowid" if table.rowid else "number"))
        return found


def _copy(connection: Any, compiled: Any, source: Source, folder: str) -> dict[str, Any]:
    """Write the result and make its files durable.

    A small source gives one file in the order of the source; splitting by size loses that order. All threads write into
    the same file: a file per thread gained 2 % on two cores, and small results would be several files.
    """
    import duckdb
    import pyarrow.parquet

    options, target = "FORMAT PARQUET, COMPRESSION ZSTD, COMPRESSION_LEVEL 1, RETURN_STATS", f"{folder}/part-0.parquet"
    if source.size >= SPLIT_BYTES:
        options, target = f"{options}, FILE_SIZE_BYTES {SPLIT_BYTES}, FILENAME_PATTERN 'part-{{i}}'", folder
    rows = connection.execute(f"COPY ({compiled.sql}) TO ? ({options})", [*compiled.parameters, target]).fetchall()
    files = [{"name": Path(row[0]).name, "rows": row[1], "bytes": row[2]} for row in rows]
    files.sort(key=lambda file: int(file["name"].removeprefix("part-").removesuffix(".parquet")))
    for file in files:  # the folder's own entries follow when it is published
        descriptor = os.open(Path(folder) / file["name"], os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    schema = pyarrow.parquet.read_schema(Path(folder) / files[0]["name"])
    return {
        "files": files,
        "rows": sum(file["rows"] for file in files),
        "bytes": sum(file["bytes"] for file in files),
        "schema": [{"name": field.name, "type": str(field.type)} for field in schema],
        "sql": compiled.sql,
        "duckdb": duckdb.__version__,
    }


def _method(query: Query, relation: Any) -> str | None:
    from cosphere_jupyter.executors.duckdb import compiler

    return compiler.SAMPLING[relation.sampling] if 0 < query.ratio < 1 else None


@contextmanager
def _progress(connection: Any, report: Report, fraction: Callable[[], float] | None = None) -> Iterator[None]:
    """Report how far the running statement is, from a second thread, while the block runs."""
    done = threading.Event()

    def watch() -> None:
        last = 0.0
        while not done.wait(REPORT_SECONDS):
            now = fraction() if fraction is not None else connection.query_progress() / 100
            if now > last:  # the engine says -1 when it does not know
                last = min(now, 1.0)
                report({"fraction": round(last, 4)})

    watcher = threading.Thread(target=watch, name="unload-progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
