"""The columns of a source as the catalogue wants them. Child processes only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cosphere_jupyter.errors import ExecutionError
from cosphere_jupyter.executors.base import Column
from cosphere_jupyter.executors.duckdb import compiler, relations, sqlite
from cosphere_jupyter.executors.duckdb.compiler import Relation
from cosphere_jupyter.executors.sources import Source

LIMITS: dict[str, Any] = {
    "enum_rows": 10_000,
    "enum_values": 256,
    "enum_share": 0.05,
    "count_bytes": 1_000_000_000,
    "footer_cells": 1_000_000,
}
"""Rows looked at for enums, most distinct values of an enum and their share of these rows; text and SQLite files up to
``count_bytes`` are counted; Parquet footers are read up to ``footer_cells`` column chunks."""


def describe_engine(
    connection: Any, source: Source, table: Relation | None, limits: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe what DuckDB reads by itself: files, or ``table`` of the attached database."""
    sizes: dict[str, int] = {}
    required: set[str] = set()
    rows: int | None = None
    if table is not None:
        relation, physical = table, relations.columns_of(connection, table)
        if table.sampling != "content":
            rows = _count(connection, relation)
            found = connection.execute(
                "SELECT column_name FROM duckdb_columns() "
                "WHERE database_name = ? AND schema_name = ? AND table_name = ? AND NOT is_nullable",
                list(table.table),
            ).fetchall()
            required = {name for (name,) in found}
    else:
        relation, physical = relations.of_files(connection, source, {})
        if source.kind == "parquet":
            rows, sizes, required = footers(source, limits["footer_cells"])
        elif source.size <= limits["count_bytes"]:
            rows = _count(connection, relation)
    texts = [name for name, kind in physical.items() if kind == "VARCHAR"]
    enums = _enums(connection, relation, texts, limits)
    columns = [
        Column(
            name=name,
            type=compiler.kind_of(kind),
            is_enum=name in enums or kind.startswith("ENUM"),
            is_nullable=name not in required,
            size=sizes.get(name),
        )
        for name, kind in physical.items()
    ]
    return {"columns": [column.to_json() for column in columns], "rows": rows}


def describe_sqlite(source: Source, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a table of a SQLite file: declared types where the first rows fit them, else what the rows show."""
    with sqlite.opened(source) as table:
        head = table.head(limits["enum_rows"])
        columns = []
        for index, (name, declared) in enumerate(table.columns.items()):
            values = [row[index] for row in head]
            kind = sqlite.observed_type(declared, values)
            is_enum = kind == "STRING" and "BLOB" not in declared.upper()
            is_enum = is_enum and _is_few(len({value for value in values if value is not None}), len(values), limits)
            columns.append(Column(name, kind, is_enum, is_nullable=name not in table.required))
        countable = not table.is_view and source.size <= limits["count_bytes"]
        return {"columns": [column.to_json() for column in columns], "rows": table.count() if countable else None}


def _count(connection: Any, relation: Relation) -> int:
    compiled = compiler.compile_count(relation)
    return int(connection.execute(compiled.sql, compiled.parameters).fetchone()[0])


def _enums(connection: Any, relation: Relation, names: Sequence[str], limits: Mapping[str, Any]) -> set[str]:
    """Return the columns with few distinct values among the first rows."""
    found = set()
    for start in range(0, len(names), 16):  # counting distinct values takes some 2 MB per column and thread
        batch = names[start : start + 16]
        compiled = compiler.compile_distinct(relation, batch, limits["enum_rows"])
        rows, *distinct = connection.execute(compiled.sql, compiled.parameters).fetchone()
        found |= {name for name, count in zip(batch, distinct, strict=True) if _is_few(count, rows, limits)}
    return found


def _is_few(distinct: int, rows: int, limits: Mapping[str, Any]) -> bool:
    return 0 < distinct <= limits["enum_values"] and distinct <= limits["enum_share"] * rows


def footers(source: Source, cells: int) -> tuple[int | None, dict[str, int], set[str]]:
    """Return rows, compressed bytes per column, and the columns proved to hold no NULL, from the Parquet footers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    sizes: dict[str, int] = {}
    filled: dict[str, int] = {}
    for path, file in zip(source.paths, source.files, strict=True):
        try:
            metadata = pq.read_metadata(path)
            schema = metadata.schema.to_arrow_schema()
        except (pa.ArrowException, OSError) as error:
            raise ExecutionError(f"'{file.name}' is not a readable Parquet file.") from error
        rows += metadata.num_rows
        cells -= metadata.num_row_groups * metadata.num_columns
        if cells < 0:  # still count rows, but give up on the rest
            sizes, filled = {}, {}
            continue
        names = engine_names(schema.names)
        owners = [name for name, field in zip(names, schema, strict=True) for _ in range(_leaves(field.type))]
        if len(owners) != metadata.num_columns:
            continue
        nulls: set[str] = set()
        for group in (metadata.row_group(index) for index in range(metadata.num_row_groups)):
            for index, name in enumerate(owners):
                chunk = group.column(index)
                sizes[name] = sizes.get(name, 0) + chunk.total_compressed_size
                if name not in nulls and metadata.schema.column(index).max_definition_level > 0:
                    known = chunk.statistics
                    if known is None or not known.has_null_count or known.null_count:
                        nulls.add(name)
        for name in set(names) - nulls:
            filled[name] = filled.get(name, 0) + 1
    required = {name for name, count in filled.items() if count == len(source.files)} if rows else set()
    return rows, sizes, required


def engine_names(names: Sequence[str]) -> list[str]:
    """Return the names DuckDB gives to the columns of a Parquet file: unique in any letter case, never empty."""
    seen: dict[str, int] = {}
    result = []
    for index, name in enumerate(names):
        name = name or f"C{index}"
        while name.lower() in seen:
            seen[name.lower()] += 1
            name = f"{name}_{seen[name.lower()]}"
        seen[name.lower()] = 0
        result.append(name)
    return result


def _leaves(kind: Any) -> int:
    if not kind.num_fields:
        return 1
    return sum(_leaves(kind.field(index).type) for index in range(kind.num_fields))
