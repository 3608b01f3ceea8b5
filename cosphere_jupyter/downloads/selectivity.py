"""What fraction of a table's rows satisfies filters, from what is known of each column by itself.

All filters of one column are taken together first: two bounds of a range are far from independent. Columns are then
taken as independent, which is what a sample of rows is better at.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..executors.base import Comparison, Query
from .spec import Mismatch, parse_datetime

# For a column of which nothing is known.
EQUAL, RANGE = 0.1, 1 / 3
PARTS = 50


@dataclass(frozen=True)
class Knowledge:
    """What is known of a column of a table with ``rows`` rows.

    ``usable`` values are neither NULL nor NaN; ``top`` are frequent ones with their counts, ``bounds`` cut all of them
    into equal parts. Values are as filters have them.
    """

    type: str
    rows: int
    usable: int
    distinct: int
    bounds: Sequence[Any]
    top: Mapping[Any, int]

    @classmethod
    def of_profile(cls, rows: int, facts: Mapping[str, Any]) -> Knowledge:
        """Read what the catalogue's profile says of a column."""
        kind = facts["type"]
        bounds = [value for value in (_value(kind, each) for each in facts["quantiles"]) if value is not None]
        ends = [_value(kind, facts["least"]), _value(kind, facts["greatest"])]
        if len(bounds) > 1 and None not in ends:
            bounds = [ends[0], *bounds[1:-1], ends[1]]
        top = {_value(kind, value): count for value, count in facts["top"]}
        return cls(kind, rows, facts["usable"], facts["distinct"], bounds, top)

    @classmethod
    def of_column(cls, rows: int, column: Mapping[str, Any]) -> Knowledge | None:
        """Read a column's ``distribution`` as the API has it: frequent values, or the left edges of equal bins.

        Bins of time are told by their ``end``; distributions of before have frequent values for DATETIME, too.
        """
        kind = column["type"]
        entries = [
            (value, entry["count"], _value(kind, entry.get("end")) if kind == "DATETIME" else None)
            for entry in column["distribution"] or ()
            if (value := _value(kind, entry["value"])) is not None and entry["count"] > 0
        ]
        usable = int(sum(count for _, count, _ in entries))
        if not usable:
            return None
        entries.sort(key=lambda entry: entry[0])
        counted = [(value, count) for value, count, _ in entries]
        has_bins = kind in ("INTEGER", "FLOAT") or all(end is not None for _, _, end in entries)
        if column["is_enum"] or not has_bins:
            return cls(kind, rows, usable, len(entries), _cut(counted, usable), dict(counted))
        width = min((after[0] - before[0] for before, after in pairwise(entries)), default=1)
        bins = [(start, start + width if end is None else end, count) for start, count, end in entries]
        return cls(kind, rows, usable, min(usable, 1000), _cut_bins(bins, usable), {})

    def fraction(self, filters: Sequence[Comparison]) -> float:
        """Return the fraction of the table's rows which satisfy all filters, which are of this column."""
        if not self.rows or not self.usable:
            return 0.0
        equal = {each.value for each in filters if each.operator == "="}
        excluded = {each.value for each in filters if each.operator == "!="}
        if equal:
            value = next(iter(equal))
            meets = len(equal) == 1 and value not in excluded and all(_meets(value, each) for each in filters)
            return self._of_value(value) if meets else 0.0
        ranges = [each for each in filters if each.operator not in ("=", "!=")]
        point = {each.value for each in ranges}
        if {each.operator for each in ranges} == {">=", "<="} and len(point) == 1 and not point & excluded:
            return self._of_value(point.pop())
        found = self._of_range(ranges) if ranges else self.usable / self.rows
        inside = [value for value in excluded if all(_meets(value, each) for each in ranges)]
        return max(0.0, found - sum(self._of_value(value) for value in inside))

    def _of_value(self, value: Any) -> float:
        if value in self.top:
            return self.top[value] / self.rows
        if self.bounds and not self.bounds[0] <= value <= self.bounds[-1]:
            return 0.0
        rest = max(0, self.usable - sum(self.top.values()))
        return rest / max(1, self.distinct - len(self.top)) / self.rows

    def _of_range(self, filters: Sequence[Comparison]) -> float:
        held = sum(count for value, count in self.top.items() if all(_meets(value, each) for each in filters))
        if len(self.bounds) < 2:
            return held / self.rows if self.top else RANGE
        least, most = 0.0, 1.0
        for each in filters:
            below = self._below(each.value, inclusive=each.operator in ("<=", ">"))
            if each.operator in ("<", "<="):
                most = min(most, below)
            else:
                least = max(least, below)
        # Frequent values are counted, so only the others can be more or less than the bounds say.
        others = max(0, self.usable - sum(self.top.values()))
        return min(max((most - least) * self.usable, held), held + others) / self.rows

    def _below(self, value: Any, inclusive: bool) -> float:
        """Return the fraction of values below ``value`` (and those that equal it)."""
        bounds = self.bounds
        place = bisect_right(bounds, value) if inclusive else bisect_left(bounds, value)
        if place == 0 or place == len(bounds):
            return 1.0 if place else 0.0
        part = 0.5
        if self.type != "STRING":
            part = (value - bounds[place - 1]) / (bounds[place] - bounds[place - 1])
        return float((place - 1 + part) / (len(bounds) - 1))


def fraction(query: Query, known: Mapping[str, Knowledge | None]) -> float:
    """Return the fraction of rows that satisfies the filters of ``query`` (whatever its ratio)."""
    by_column: dict[str, list[Comparison]] = {}
    for each in query.filters:
        by_column.setdefault(each.column, []).append(each)
    found = 1.0
    for name, filters in by_column.items():
        knowledge = known.get(name)
        if knowledge is not None:
            found *= knowledge.fraction(filters)
        else:
            found *= math.prod({"=": EQUAL, "!=": 1 - EQUAL}.get(each.operator, RANGE) for each in filters)
    return found


def _cut(entries: Sequence[tuple[Any, int]], total: int) -> list[Any]:
    """Return the values at which sorted, counted values fall into equal parts."""
    bounds, seen, place = [], 0, 0
    for part in range(PARTS + 1):
        while place < len(entries) - 1 and seen + entries[place][1] < total * part / PARTS:
            seen += entries[place][1]
            place += 1
        bounds.append(entries[place][0])
    return bounds


def _cut_bins(bins: Sequence[tuple[Any, Any, int]], total: int) -> list[Any]:
    """Return the values at which sorted, counted bins fall into equal parts, if the values in each lie evenly."""
    bounds, seen, place = [], 0, 0
    for part in range(PARTS + 1):
        wanted = total * part / PARTS
        while place < len(bins) - 1 and seen + bins[place][2] < wanted:
            seen += bins[place][2]
            place += 1
        start, end, count = bins[place]
        bounds.append(start + (end - start) * min((wanted - seen) / count, 1))
    return bounds


def _meets(value: Any, each: Comparison) -> bool:
    other: Any = each.value
    return bool(
        {
            "=": value == other,
            "!=": value != other,
            "<": value < other,
            "<=": value <= other,
            ">": value > other,
            ">=": value >= other,
        }[each.operator]
    )


def _value(kind: str, value: Any) -> Any:
    """Return a value of JSON as filters have it: datetimes as such. None for what nothing can be compared with."""
    if kind != "DATETIME" or value is None:
        return value
    try:
        return parse_datetime(value) if isinstance(value, str) else None
    except Mismatch:
        return None
