"""How many bytes a result takes as Parquet, from what a profile has measured. Pure, so it costs microseconds.

A profile says for growing numbers of rows how many bytes each column took (its curve), because compression gets better
with more rows. Rows that satisfy filters are often more alike than others, which a probe shows: the rows of the stored
sample that satisfy them, written as a result is.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..catalogue.service import CatalogueItem, Profile
from ..executors.base import Query
from . import selectivity
from .selectivity import Knowledge

ROW_GROUP = 122_880
# A column in which every value is the same, per group of rows.
CONSTANT = 70
# Fewer rows say nothing about how well rows compress.
LEAST_PROBE = 30
# A file without rows, and what each column adds to it beside its name.
EMPTY, EMPTY_COLUMN = 86, 12
# How bytes grow with rows, mostly, where only some rows are known: as this power, up to so many times as many rows.
GROWTH, FAR = 0.97, 1_000
# Bytes of a value, compressed, where nothing is known.
WIDTHS = {"INTEGER": 3.0, "FLOAT": 6.0, "STRING": 8.0, "BOOLEAN": 0.15, "DATETIME": 4.0}


@dataclass(frozen=True)
class Probe:
    """Rows that were written: how many, the bytes of no column and of each, and the columns with equal values."""

    rows: int
    overhead: int
    columns: Mapping[str, int]
    constants: Collection[str] = ()


@dataclass(frozen=True)
class Model:
    """What estimates of one table go by. ``rows`` is None if nobody knows.

    ``factor`` is what finished requests have taught: it corrects what no probe of the present data shows.
    """

    rows: int | None
    known: Mapping[str, Knowledge | None]
    curve: Sequence[int]
    columns: Mapping[str, Sequence[float]]
    overhead: Sequence[int]
    sample_rows: int
    factor: float = 1.0
    is_current: bool = True

    @classmethod
    def of_profile(cls, item: CatalogueItem, profile: Profile, query: Query, is_current: bool = True) -> Model:
        """Read what the profile says of the columns of ``query``."""
        facts = profile.facts
        found = {
            name: facts["columns"][name]
            for name in {*query.columns, *(each.column for each in query.filters)}
            if name in facts["columns"] and facts["columns"][name]["type"] == (item.column(name) or {}).get("type")
        }
        filtered = {each.column for each in query.filters}
        return cls(
            profile.rows,
            {name: Knowledge.of_profile(profile.rows, found[name]) for name in filtered if name in found},
            facts["curve"],
            {name: column["curve"] for name, column in found.items()},
            [round(bytes / len(facts["columns"])) for bytes in facts["overhead"]],
            facts["sample_rows"],
            profile.factor,
            is_current,
        )

    @classmethod
    def of_item(cls, item: CatalogueItem) -> Model:
        """Read what the API's own fields say: ``distribution`` and ``size``."""
        counted = [
            sum(entry["count"] for entry in column["distribution"])
            for column in item.spec
            if column["distribution"] and not (_is_ranked(column) and len(column["distribution"]) >= 1000)
        ]
        rows = int(max(counted, default=0)) or None
        sized = {
            column["name"]: [max(0.0, float(column["size"]))] for column in item.spec if column["size"] is not None
        }
        known = {column["name"]: Knowledge.of_column(rows, column) for column in item.spec} if rows else {}
        return cls(rows, known, [rows or 1], sized, [0], 0)

    def with_probe(self, probe: Probe) -> Model:
        """Return the model of a table of which only some rows of the result are known: a curve as others have it."""
        curve = [max(1, probe.rows), max(1, probe.rows) * FAR]
        columns = {name: [float(size), size * FAR**GROWTH] for name, size in probe.columns.items()}
        overhead = probe.overhead // max(1, len(columns))
        return replace(self, curve=curve, columns=columns, overhead=[overhead, math.ceil(overhead * FAR**0.5)])

    def fraction(self, query: Query) -> float:
        """Return the fraction of rows that satisfies the filters, from what is known of each column by itself."""
        return selectivity.fraction(query, self.known)

    def size(self, item: CatalogueItem, query: Query, rows: float, probe: Probe | None = None) -> float:
        """Return the bytes of ``rows`` rows of the query; ``probe`` are rows of the stored sample that satisfy it."""
        if rows <= 0:
            return empty_size(query)
        if probe is not None and not probe.rows:
            probe = None
        total = 0.0
        filtered = {each.column for each in query.filters}
        pinned = {each.column: each.value for each in query.filters if each.operator == "="}
        for name in query.columns:
            if name in pinned or (probe and probe.rows >= LEAST_PROBE and name in probe.constants):
                total += (CONSTANT + len(str(pinned.get(name, "")))) * math.ceil(rows / ROW_GROUP)
                continue
            kind, shift = (item.column(name) or {}).get("type", "STRING"), self._shift(name, probe)
            # Nothing that a filter has let pass is NULL: so many bytes take more rows of the table.
            known = self.known.get(name) if name in filtered and shift is None else None
            nulls = known.rows / max(known.usable, 1) if known and known.usable else 1.0
            learnt = self.factor if shift is None or not self.is_current else 1.0
            total += self._column(name, kind, rows * nulls) * (shift or 1.0) * learnt
        return total + self._overhead(query, rows, probe)

    def _overhead(self, query: Query, rows: float, probe: Probe | None) -> float:
        """Return the bytes of no column: the footer has something for each group of rows."""
        usual = len(query.columns) * self._at(self.overhead, rows)
        if probe is None:
            return EMPTY + usual
        return probe.overhead * usual / max(1.0, len(query.columns) * self._at(self.overhead, probe.rows))

    def _column(self, name: str, kind: str, rows: float) -> float:
        curve = self.columns.get(name)
        return WIDTHS[kind] * rows if curve is None else self._at(curve, rows)

    def _shift(self, name: str, probe: Probe | None) -> float | None:
        """Return how much more or less than other rows the rows of a probe take, if it says so."""
        if probe is None or probe.rows < LEAST_PROBE or name not in self.columns:
            return None
        usual = self._at(self.columns[name], probe.rows)
        found = max(1, probe.columns.get(name, 0)) / max(1.0, usual)
        return float(found ** (probe.rows / (probe.rows + LEAST_PROBE)))

    def _at(self, values: Sequence[float], rows: float) -> float:
        """Return the bytes for ``rows`` rows: between two measured points on a straight line of logarithms."""
        curve = self.curve
        if rows <= curve[0]:
            return float(values[0]) * (rows / curve[0] if len(curve) == 1 else 1.0)
        if rows >= curve[-1]:
            return float(values[-1]) * rows / curve[-1]
        place = bisect_right(curve, rows)
        before, after = max(values[place - 1], 1), max(values[place], 1)
        part = math.log(rows / curve[place - 1]) / math.log(curve[place] / curve[place - 1])
        return float(before * (after / before) ** part)


def empty_size(query: Query) -> float:
    """Return the bytes of a result without rows."""
    return EMPTY + sum(EMPTY_COLUMN + len(name.encode()) for name in query.columns)


def _is_ranked(column: Mapping[str, Any]) -> bool:
    return bool(column["is_enum"]) or column["type"] not in ("INTEGER", "FLOAT")
