"""How many bytes rows take as Parquet, found out by writing them as a result is written. Child processes only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosphere_jupyter.executors.base import Compiled
from cosphere_jupyter.executors.duckdb import sandbox
from cosphere_jupyter.executors.duckdb.compiler import Relation

OPTIONS = "FORMAT PARQUET, COMPRESSION ZSTD, COMPRESSION_LEVEL 1, RETURN_STATS"
"""The codec and level of the unload."""


@dataclass(frozen=True)
class Written:
    """A file that was written: its name, its rows, all its bytes, and those of each column with its Bloom filters.

    ``constants`` are the columns in which all values are the same, or NULL.
    """

    name: str
    rows: int
    bytes: int
    columns: Mapping[str, int]
    constants: frozenset[str]

    @property
    def overhead(self) -> int:
        """Bytes which are no column's: the footer."""
        return self.bytes - sum(self.columns.values())


def write(connection: Any, compiled: Compiled, path: Path) -> Written:
    """Write what is selected to ``path``, replacing it."""
    rows = connection.execute(f"COPY ({compiled.sql}) TO ? ({OPTIONS})", [*compiled.parameters, str(path)]).fetchall()
    _, count, size, _, statistics, *_ = rows[0]
    columns: dict[str, int] = {}
    for place, facts in statistics.items():
        name = _first_part(place)
        columns[name] = columns.get(name, 0) + int(facts.get("column_size_bytes", 0))
    filters = "SELECT path_in_schema, sum(bloom_filter_length) FROM parquet_metadata(?) GROUP BY ALL"
    for place, length in connection.execute(filters, [sandbox.literal(str(path))]).fetchall():
        # Nested columns are named by all their parts.
        owners = [name for name in columns if place == name or place.startswith(f"{name}, ")]
        columns[max(owners, key=len)] += int(length or 0)
    constants = frozenset(_first_part(place) for place, facts in statistics.items() if _is_constant(facts))
    return Written(path.name, int(count), int(size), columns, constants)


def of_file(path: Path, names: Sequence[str]) -> Relation:
    """Return a Parquet file with the columns ``names`` as a relation whose rows can be sampled."""
    clash = any(name.lower() == "file_row_number" for name in names)
    return Relation(
        function="read_parquet",
        files=(sandbox.literal(str(path)),),
        options={"hive_partitioning": False},
        folder=str(path.parent),
        sampling="number" if clash else "file_row",
    )


def _is_constant(facts: Mapping[str, str]) -> bool:
    if facts["null_count"] == facts["num_values"]:
        return "column_size_bytes" in facts
    is_exact = facts.get("min_is_exact") == facts.get("max_is_exact") == "true" and facts.get("has_nan") != "true"
    return is_exact and facts["null_count"] == "0" and facts["min"] == facts["max"]


def _first_part(place: str) -> str:
    """Return the column's name of a path such as ``"a"."list"."element"`` (a quote in a name stands twice)."""
    end = 1
    while place[end] != '"' or place[end : end + 2] == '""':
        end += 2 if place[end] == '"' else 1
    return place[1:end].replace('""', '"')
