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
    """A file that was written: its name, its rows, all its bytes, and the compressed bytes of each column."""

    name: str
    rows: int
    bytes: int
    columns: Mapping[str, int]

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
    return Written(path.name, int(count), int(size), columns)


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


def _first_part(place: str) -> str:
    """Return the column's name of a path such as ``"a"."list"."element"`` (a quote in a name stands twice)."""
    end = 1
    while place[end] != '"' or place[end : end + 2] == '""':
        end += 2 if place[end] == '"' else 1
    return place[1:end].replace('""', '"')
