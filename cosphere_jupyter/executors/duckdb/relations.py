"""From a found source to what the FROM clause reads and which columns that has. Child processes only.

Choices where formats leave room:

- Several files are united by name: a column that a file lacks is NULL there, differing types widen to a common one.
- Names which differ only in letter case get a number from DuckDB (``a``, ``A_1``); the catalogue holds these names.
- ``key=value`` folders below the data folder are columns (Hive partitions).
- The first line of a CSV file names its columns. The catalogue's types decide how CSV and JSON are read, so that a
  column of codes stays text although its first rows look like numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from cosphere_jupyter.errors import ExecutionError
from cosphere_jupyter.executors.duckdb import compiler, sandbox
from cosphere_jupyter.executors.duckdb.compiler import Relation
from cosphere_jupyter.executors.sources import Source

READERS = {"parquet": "read_parquet", "csv": "read_csv", "json": "read_json"}


def of_files(connection: Any, source: Source, types: Mapping[str, str]) -> tuple[Relation, dict[str, str]]:
    """Return the relation of a file source and its DuckDB types by column, in order.

    ``types`` are the catalogue's types by column name; empty when they are not known yet.
    """
    relation = Relation(
        function=READERS[source.kind],
        files=tuple(map(sandbox.literal, source.paths)),
        options=_options(source),
        folder=source.folder,
    )
    physical = columns_of(connection, relation)
    if source.kind == "parquet":
        # The reader's own column of row numbers cannot be renamed; streaming row numbers stand in for it.
        clash = any(name.lower() == "file_row_number" for name in physical)
        return replace(relation, sampling="number" if clash else "file_row"), physical
    partitions = _partitions(source)
    pinned = {
        name: compiler.SQL_TYPES[types[name]]
        for name, found in physical.items()
        if name in types and name not in partitions and _is_misread(found, types[name])
    }
    if pinned and source.kind == "csv":
        relation = replace(relation, options={**relation.options, "types": pinned})
    elif pinned:
        columns = {name: found for name, found in (physical | pinned).items() if name not in partitions}
        # With given columns every record is read by its keys, so there is nothing to unite.
        options = {name: value for name, value in relation.options.items() if name != "union_by_name"}
        relation = replace(relation, options={**options, "columns": columns})
    return relation, columns_of(connection, relation) if pinned else physical


def of_table(connection: Any, source: Source) -> Relation:
    """Find the table or view of the attached database: ``name`` in its main schema, or ``schema.name``.

    Looks at names only, so that nothing of a view is evaluated before the connection is locked.
    """
    rows = connection.execute(
        "SELECT schema_name, table_name, false FROM duckdb_tables() WHERE database_name = $1 AND NOT internal "
        "UNION ALL SELECT schema_name, view_name, true FROM duckdb_views() WHERE database_name = $1 AND NOT internal",
        [sandbox.ATTACHED],
    ).fetchall()
    known = {(schema, name): is_view for schema, name, is_view in rows}
    wanted = source.table or ""
    schema, _, name = wanted.partition(".")
    for key in (("main", wanted), (schema, name)):
        if key in known:
            sampling = "content"
            if not known[key]:
                names = connection.execute(
                    "SELECT column_name FROM duckdb_columns() "
                    "WHERE database_name = ? AND schema_name = ? AND table_name = ?",
                    [sandbox.ATTACHED, *key],
                ).fetchall()
                sampling = "number" if any(name.lower() == "rowid" for (name,) in names) else "rowid"
            return Relation(table=(sandbox.ATTACHED, *key), sampling=sampling)
    raise ExecutionError(f"'{PurePosixPath(source.files[0].name).name}' has no table or view '{wanted}'.")


def columns_of(connection: Any, relation: Relation) -> dict[str, str]:
    """Return the DuckDB types by column, in order, as the engine sees them."""
    scan = compiler.compile_scan(relation)
    rows = connection.execute(f"DESCRIBE {scan.sql}", scan.parameters).fetchall()
    return {row[0]: row[1] for row in rows}


def _options(source: Source) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if len(source.files) > 1:
        options["union_by_name"] = True
    # Without a word, DuckDB would look for partitions in the path of the data folder, too.
    options["hive_partitioning"] = bool(_partitions(source))
    if source.kind == "csv":
        options["header"] = True
        if all(".tsv" in PurePosixPath(file.name).suffixes for file in source.files):
            options["delim"] = "\t"
    return options


def _partitions(source: Source) -> set[str]:
    """Return the keys of the ``key=value`` folders that all files have, if they can be told from outer folders."""
    if any("=" in part for part in PurePosixPath(source.folder).parts):
        return set()
    keys = [
        tuple(part.partition("=")[0] for part in PurePosixPath(file.name).parts[:-1] if "=" in part)
        for file in source.files
    ]
    return set(keys[0]) if all(key == keys[0] for key in keys) else set()


def _is_misread(found: str, wanted: str) -> bool:
    if compiler.is_nested(found):
        return False
    if wanted == "STRING":
        return found not in ("VARCHAR", "JSON")
    return compiler.kind_of(found) != wanted
