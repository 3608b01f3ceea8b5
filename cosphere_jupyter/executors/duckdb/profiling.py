"""What a table holds: a sample, how the values of each column are distributed, and where its bytes come from.

Child processes only. The source is read once: what it holds is first written as one Parquet file, with the columns in
the catalogue's types and the codec of a result, and everything else is asked of that file, column by column. Of Parquet
sources with more than ``copy_rows`` rows only a sample is copied, and the source itself is asked.

Everything is valid beside the catalogue's own rules: values that its JSON cannot hold (NaN, infinities, integers beyond
64 bits, texts with U+0000) stand in no distribution and are null in the sample; a row for which null will not do is
left out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cosphere_jupyter.executors.base import Compiled, Query
from cosphere_jupyter.executors.duckdb import compiler, measuring
from cosphere_jupyter.executors.duckdb.compiler import Relation
from cosphere_jupyter.executors.duckdb.distributions import ProfiledColumn, most_values
from cosphere_jupyter.executors.duckdb.measuring import Written

LIMITS: dict[str, Any] = {
    "sample": 100,
    "stored": 20_000,
    "copy_rows": 8_000_000,
    "exact_distinct": 2_000_000,
    "seed": 7919,
}
"""Rows of the shown and of the stored sample (up to twice as many rows are all stored), most rows of a Parquet source
that are copied, up to how many rows distinct numbers are counted exactly, and the seed of the samples."""

Report = Callable[[dict[str, Any]], None]
COPY, STORED, PART = "copy.parquet", "sample.parquet", "part.parquet"
SMALL = (1, 16, 256, 2_048)
GROWTH = 8
BATCH = 32
QUANTILES = 50
TOP = 100
SHOWN_CELLS, SHORTEST_CELL, LONGEST_CELL = 1_000_000, 32, 500
"""About how many characters a shown sample may have, and the bounds of what that leaves for one text."""


class Profiler:
    """The profile of one relation; files are written to ``folder``."""

    def __init__(
        self,
        connection: Any,
        relation: Relation,
        physical: Mapping[str, str],
        columns: Sequence[Mapping[str, Any]],
        folder: Path,
        limits: Mapping[str, Any],
        report: Report,
    ) -> None:
        """``columns`` are the catalogue's (its ``spec``)."""
        self._connection = connection
        self._relation, self._physical = relation, physical
        self._spec = list({column["name"]: dict(column) for column in columns}.values())
        self._names = [column["name"] for column in self._spec]
        self._folder = folder
        self._limits = {**LIMITS, **limits}
        self._report = report

    def run(self, rows: int | None, sizes: Mapping[str, int]) -> dict[str, Any]:
        """Return ``rows``, ``columns``, ``sample`` and ``estimator``.

        ``rows`` and ``sizes`` (bytes by column) are those of a Parquet source. ``estimator`` is what estimates read:
        ``columns`` by name with their ``curve``, the bytes for each number of rows in ``curve``, and ``overhead``, the
        bytes of no column. The stored sample is `STORED`.
        """
        copied = self._copy(rows)
        self._kinds = self._kinds_of(COPY)
        self._columns = [
            ProfiledColumn(f"c{index}", column, self._kinds[column["name"]]) for index, column in enumerate(self._spec)
        ]
        self._is_whole = rows is None or rows <= self._limits["copy_rows"]
        self._report({"fraction": 0.3})
        total = self._count_all(with_size=not sizes)
        for done, column in enumerate(self._columns):
            self._distribute(column)
            self._report({"fraction": round(0.4 + 0.4 * done / len(self._columns), 4)})
        curve = self._measure(copied, total)
        for column in self._columns:
            column.size = sizes.get(column.name, column.size)
        return {
            "rows": total,
            "columns": [column.to_json() for column in self._columns],
            "sample": self._sample(),
            "estimator": {
                "rows": total,
                "sample_rows": next(written.rows for written in curve if written.name == STORED),
                "curve": [written.rows for written in curve],
                "overhead": [written.overhead for written in curve],
                "columns": {
                    column.name: {
                        **column.to_estimator(),
                        "curve": [written.columns.get(column.name, 0) for written in curve],
                    }
                    for column in self._columns
                },
            },
        }

    # -- reading and writing -----------------------------------------------------------------------------------------

    def _copy(self, rows: int | None) -> Written:
        """Read the source once."""
        most = self._limits["copy_rows"]
        return self._write(self._select(1.0 if rows is None or rows <= most else most / rows), COPY)

    def _select(self, ratio: float, names: Sequence[str] = ()) -> Compiled:
        query = Query(tuple(names or self._names), (), ratio, self._limits["seed"])
        types = {column["name"]: column["type"] for column in self._spec}
        return compiler.compile_select(query, self._relation, self._physical, types)

    def _subset(self, file: str, ratio: float = 1.0, names: Sequence[str] = ()) -> Compiled:
        """Compile all rows of a file that was written here, or a fraction of them; of all columns, or of some."""
        relation = measuring.of_file(self._folder / file, self._names)
        query = Query(tuple(names or self._names), (), min(ratio, 1.0), self._limits["seed"])
        return compiler.compile_select(query, relation, self._kinds)

    def _write(self, compiled: Compiled, file: str) -> Written:
        return measuring.write(self._connection, compiled, self._folder / file)

    def _kinds_of(self, file: str) -> dict[str, str]:
        scan = compiler.compile_scan(measuring.of_file(self._folder / file, self._names))
        rows = self._connection.execute(f"DESCRIBE {scan.sql}", scan.parameters).fetchall()
        return {row[0]: row[1] for row in rows}

    def _look_at(self, columns: Sequence[ProfiledColumn], file: str = "") -> Compiled:
        """Make these columns of the table, or of a file that was written here, what is asked next.

        No others: a query that names thousands takes a tenth of a second before it reads anything. They are called c0,
        c1, …, so that no name of the data stands in further SQL.
        """
        names = [column.name for column in columns]
        is_written = file or self._is_whole
        compiled = self._subset(file or COPY, names=names) if is_written else self._select(1.0, names)
        aliases = ", ".join(column.alias for column in columns)
        self._base = Compiled(f"({compiled.sql}) AS base({aliases})", compiled.parameters)
        return self._base

    def _ask(self, select: str, *before: Any, after: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a SELECT in which the base stands once; ``before`` and ``after`` are the parameters around its own."""
        values = [*before, *self._base.parameters, *after]
        rows: list[tuple[Any, ...]] = self._connection.execute(select, values).fetchall()
        return rows

    # -- all columns at once -----------------------------------------------------------------------------------------

    def _count_all(self, with_size: bool) -> int:
        """Ask in one query what aggregates say of many columns."""
        total = 0
        for start in range(0, len(self._columns), BATCH):
            batch = self._columns[start : start + BATCH]
            self._look_at(batch)
            asked = [column.aggregates(with_size) for column in batch]
            wanted = ", ".join(sql for each in asked for sql in each)
            total, *found = self._ask(f"SELECT count(*), {wanted} FROM {self._base.sql}")[0]  # noqa: S608 - aliases only
            for column, each in zip(batch, asked, strict=True):
                column.settle(total, found[: len(each)])
                del found[: len(each)]
        return total

    # -- each column -------------------------------------------------------------------------------------------------

    def _distribute(self, column: ProfiledColumn) -> None:
        import duckdb

        self._look_at([column])
        try:
            if not column.is_histogram:
                self._find_frequent(column)
            elif column.least is None:
                column.set_empty()
            elif column.type == "DATETIME":
                self._fill_moments(column)
            else:
                self._fill_bins(column)
        except duckdb.OutOfMemoryException:
            column.distribution = None  # better than no profile at all

    def _find_frequent(self, column: ProfiledColumn) -> None:
        limit = most_values(len(self._columns)) - (1 if column.nulls else 0)
        values = f"SELECT {column.value} AS v FROM {self._base.sql} WHERE {column.is_usable}"  # noqa: S608 - aliases only
        groups = f"SELECT v, count(*) AS n FROM ({values}) GROUP BY v"  # noqa: S608 - aliases only
        ranked = f"{column.shown('v')}, n FROM groups ORDER BY n DESC, v LIMIT ?"
        sql = f"WITH groups AS MATERIALIZED ({groups}) SELECT (SELECT count(*) FROM groups), {ranked}"  # noqa: S608
        found = self._ask(sql, after=(limit,))
        column.distinct = int(found[0][0]) if found else 0
        column.set_frequent([(value, count) for _, value, count in found])

    def _fill_bins(self, column: ProfiledColumn) -> None:
        bins = column.bins()
        column.set_bins(bins, self._ask(bins.query(column, self._base.sql), *bins.parameters))
        self._count_distinct(column)

    def _fill_moments(self, column: ProfiledColumn) -> None:
        import duckdb

        where = f"{self._base.sql} WHERE {column.has_place}"
        try:
            least, greatest, finite = self._ask(
                f"SELECT min({column.place}), max({column.place}), count(*) FROM {where}"  # noqa: S608 - aliases only
            )[0]
            column.span = (least, greatest) if finite else None
            bins = self._moments(column) if finite else []
        except (duckdb.ConversionException, duckdb.OutOfRangeException):
            # Days so far away that no moment of them can be told.
            column.span = None
            self._find_frequent(column)
            return
        others: list[tuple[Any, ...]] = []
        if finite < column.usable:
            infinite = f"SELECT {column.alias} AS v FROM {self._base.sql} WHERE NOT isfinite({column.alias})"  # noqa: S608
            others = self._ask(f"SELECT {column.shown('v')} AS t, count(*) FROM ({infinite}) GROUP BY t ORDER BY t")  # noqa: S608
        column.set_moments(bins, [(text, count) for text, count in others])
        self._count_distinct(column)

    def _moments(self, column: ProfiledColumn) -> list[tuple[str, str, int]]:
        """Return first and last moment and number of the bins that are not empty."""
        bins = column.bins()
        found = [
            (bins.edge(int(number)), min(bins.edge(int(number) + 1), bins.greatest), count)
            for number, count in self._ask(bins.query(column, self._base.sql), *bins.parameters)
        ]
        places = sorted({place for start, end, _ in found for place in (start, end)})
        sql = f"SELECT e, {column.moment('e')} FROM (SELECT unnest(CAST(? AS BIGINT[])) AS e)"  # noqa: S608 - no data
        texts = dict(self._connection.execute(sql, [places]).fetchall())
        return [(texts[start], texts[end], count) for start, end, count in found]

    def _count_distinct(self, column: ProfiledColumn) -> None:
        values = f"SELECT {column.value} AS v FROM {self._base.sql} WHERE {column.is_usable}"  # noqa: S608 - aliases only
        is_small = column.usable <= self._limits["exact_distinct"]
        count = "count(DISTINCT v)" if is_small else "approx_count_distinct(v)"
        column.distinct = int(self._ask(f"SELECT {count} FROM ({values})")[0][0])  # noqa: S608 - aliases only

    # -- for estimates -----------------------------------------------------------------------------------------------

    def _measure(self, copied: Written, total: int) -> list[Written]:
        """Write samples of growing size: how the bytes of each column grow with the number of rows."""
        most = self._limits["stored"]
        self._write(self._subset(COPY, 1.0 if copied.rows <= 2 * most else most / copied.rows), STORED)
        # Written again as it will be read: what is filtered out of a big file comes in small pieces, which costs bytes.
        stored = replace(self._write(self._subset(STORED), PART), name=STORED)
        curve = []
        for rows in SMALL:
            if rows < stored.rows / 2:
                compiled = self._subset(STORED, rows / stored.rows)
                if rows == 1:
                    compiled = Compiled(f"{self._subset(STORED).sql} LIMIT 1", self._subset(STORED).parameters)
                curve.append(self._write(compiled, PART))
        curve.append(stored)
        source, rows = STORED, stored.rows * GROWTH
        while rows < copied.rows * 0.7:
            curve.append(self._write(self._subset(COPY, rows / copied.rows), f"{rows}.parquet"))
            source = source if source != STORED else f"{rows}.parquet"
            rows *= GROWTH
        if copied.rows > stored.rows:
            curve.append(copied)
        self._find_quantiles(source, total)
        growing = {written.rows: written for written in curve}
        return [growing[rows] for rows in sorted(growing) if rows] or [stored]

    def _find_quantiles(self, file: str, total: int) -> None:
        """Find bounds of equal parts of each column, and the frequent numbers, in a sample."""
        for column in self._columns:
            base = self._look_at([column], file)
            values = f"SELECT {column.value} AS v FROM {base.sql} WHERE {column.is_usable}"  # noqa: S608 - aliases only
            cuts = [index / QUANTILES for index in range(QUANTILES + 1)]
            if column.type != "BOOLEAN":
                sql = f"SELECT {column.shown('q')} FROM (SELECT unnest(quantile_disc(v, ?)) AS q FROM ({values}))"  # noqa: S608
                found = self._connection.execute(sql, [cuts, *base.parameters]).fetchall()
                column.quantiles = [column.native(value) for (value,) in found if value is not None]
            if column.is_histogram:
                groups = f"SELECT v, count(*) AS n, sum(count(*)) OVER () AS s FROM ({values}) GROUP BY v"  # noqa: S608
                sql = f"SELECT {column.shown('v')}, n, s FROM ({groups}) WHERE n > 3 ORDER BY n DESC, v LIMIT {TOP}"  # noqa: S608
                for value, count, seen in self._connection.execute(sql, base.parameters).fetchall():
                    column.top.append((column.native(value), round(int(count) / int(seen) * column.usable)))
            del column.top[TOP:]

    # -- the sample that is shown ------------------------------------------------------------------------------------

    def _sample(self) -> list[dict[str, Any]]:
        """Return rows that are spread over the whole table, in its order."""
        most = self._limits["sample"]
        base = self._look_at(self._columns, STORED)
        longest = max(SHORTEST_CELL, min(LONGEST_CELL, SHOWN_CELLS // (most * max(len(self._columns), 1))))
        cells = ", ".join(column.sampled(longest) for column in self._columns)
        # More than are wanted, for those that have to be left out.
        numbered = f"SELECT {cells}, row_number() OVER () AS row FROM {base.sql}"  # noqa: S608 - aliases only
        spread = f"SELECT * FROM ({numbered}) ORDER BY hash(row) LIMIT ?"  # noqa: S608 - aliases only
        rows = self._connection.execute(spread, [*base.parameters, most * 4]).fetchall()
        shown = sorted([row for row in rows if self._is_showable(row)][:most], key=lambda row: row[-1])
        return [
            {column.name: column.native(value) for column, value in zip(self._columns, row, strict=False)}
            for row in shown
        ]

    def _is_showable(self, row: Sequence[Any]) -> bool:
        return all(value is not None or column.can_be_null for column, value in zip(self._columns, row, strict=False))
