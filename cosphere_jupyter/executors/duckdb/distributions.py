"""One column of a profile: what is asked of the engine about it, and what the answers become in the catalogue.

Distributions follow the CoSphere API: for enums, BOOLEAN and STRING the most frequent values; for other numbers a
histogram of equal bins, each named by its left edge in the column's own type, without the empty ones. Ours: integer
columns have bins of a whole width, the maximum lies in the last bin, NULLs are an entry with the value null. DATETIME
columns that are no enums have bins as well, of so many whole seconds, hours or days. Each of their entries has an
``end``, which tells it from a value: the edge of the next bin, or in the last one the greatest value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cosphere_jupyter.json_values import GREATEST_INTEGER, LEAST_INTEGER

BINS = 100
VALUES = 1_000
ALL_VALUES = 50_000
"""Most values of one distribution, and about how many all distributions of a table may hold together."""
SECOND, MINUTE, HOUR, DAY = 10**6, 60 * 10**6, 3600 * 10**6, 86_400 * 10**6
_TENS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_SIXTIES = (1, 2, 5, 10, 15, 20, 30)
UNITS = (
    (1, _TENS),
    (1_000, _TENS),
    (SECOND, _SIXTIES),
    (MINUTE, _SIXTIES),
    (HOUR, (1, 2, 3, 4, 6, 8, 12)),
)
"""Units of time below a day in microseconds, and how many of each a bin may hold."""
SMALLEST = {"DATE": DAY, "TIMESTAMP_S": SECOND, "TIMESTAMP_MS": 1_000}
"""What DuckDB types tell apart, in microseconds."""

LONGEST = 256
"""Characters of a text in a distribution; longer ones are cut and end in an ellipsis."""


def most_values(columns: int) -> int:
    """Return how many values one distribution of a table with so many columns may hold."""
    return min(VALUES, max(50, ALL_VALUES // max(columns, 1)))


def cut(sql: str, longest: int) -> str:
    """Return SQL for a text of at most ``longest`` characters."""
    return f"CASE WHEN length({sql}) > {longest} THEN left({sql}, {longest - 1}) || '…' ELSE {sql} END"


class ProfiledColumn:
    """A column under the name ``alias`` (c0, c1, …), so that no name of the data stands in SQL.

    `settle` sets ``nulls``, ``usable`` (the number of values that JSON can hold), their ``least`` and ``greatest``, and
    ``size``; ``span`` are the least and the greatest finite DATETIME in microseconds since 1970; ``distribution`` is a
    list of ``{"value": …, "count": …}``, or None when it is not known.
    """

    def __init__(self, alias: str, column: Mapping[str, Any], physical: str) -> None:
        """``column`` is the catalogue's, ``physical`` its DuckDB type once it is in the catalogue's type."""
        self.alias = alias
        self.column = dict(column)
        self.name: str = column["name"]
        self.type: str = column["type"]
        self.physical = physical.upper().strip('"')
        self.is_histogram = self.type in ("INTEGER", "FLOAT", "DATETIME") and not column["is_enum"]
        self.nulls = self.usable = self.distinct = 0
        self.least: Any = None
        self.greatest: Any = None
        self.span: tuple[int, int] | None = None
        self.distribution: list[dict[str, Any]] | None = None
        self.quantiles: list[Any] = []
        self.top: list[tuple[Any, int]] = []
        self.size: int | None = None

    @property
    def can_be_null(self) -> bool:
        """What ``is_nullable`` has to be: only NULLs that are there change it."""
        return bool(self.column["is_nullable"]) or self.nulls > 0

    # -- SQL ---------------------------------------------------------------------------------------------------------

    @property
    def value(self) -> str:
        """The value as it is grouped and compared."""
        if self.type == "FLOAT":
            return f"(CAST({self.alias} AS DOUBLE) + CAST(0 AS DOUBLE))"  # -0.0 is 0.0
        if self.type == "STRING":
            return cut(self._text, LONGEST)
        return self.alias

    @property
    def _text(self) -> str:
        return self.alias if self.physical == "VARCHAR" else f"CAST({self.alias} AS VARCHAR)"

    @property
    def is_usable(self) -> str:
        """Whether a value can stand in JSON, as SQL; U+0000 can stand in none of ours."""
        if self.type == "FLOAT":
            return f"({self.alias} IS NOT NULL AND isfinite(CAST({self.alias} AS DOUBLE)))"
        if self.type == "INTEGER" and self.physical.startswith("DECIMAL"):
            return f"({self.alias} BETWEEN {LEAST_INTEGER} AND {GREATEST_INTEGER})"
        if self.type == "STRING":
            return f"({self.alias} IS NOT NULL AND NOT contains({self._text}, chr(0)))"
        return f"({self.alias} IS NOT NULL)"

    def shown(self, value: str) -> str:
        """Return SQL for a value as JSON shows it: datetimes as ISO 8601, with an offset where the column has one."""
        if self.type != "DATETIME":
            return value
        text = f"replace(CAST({value} AS VARCHAR), ' ', 'T')"
        if self.has_zone:
            text += " || ':00'"  # the session's time zone is UTC: the text ends in +00
        return f"CASE WHEN isfinite({value}) THEN {text} ELSE CAST({value} AS VARCHAR) END"

    @property
    def place(self) -> str:
        """The value as bins count it, as SQL: a number, of datetimes the microseconds since 1970."""
        return f"epoch_us(CAST({self.alias} AS TIMESTAMP))" if self.type == "DATETIME" else self.value

    @property
    def has_place(self) -> str:
        """Whether a value lies in some bin, as SQL."""
        return f"({self.is_usable} AND isfinite({self.alias}))" if self.type == "DATETIME" else self.is_usable

    def moment(self, place: str) -> str:
        """Return SQL for a datetime as JSON shows it, by its microseconds since 1970."""
        physical = self.physical if self.physical == "DATE" or self.has_zone else "TIMESTAMP"
        return self.shown(f"CAST(make_timestamp({place}) AS {physical})")

    @property
    def has_zone(self) -> bool:
        """Whether its datetimes have an offset."""
        return "ZONE" in self.physical or "TZ" in self.physical

    def sampled(self, longest: int) -> str:
        """Return SQL for what a row of the sample shows, NULL where JSON cannot hold the value."""
        text = cut(self._text, longest) if self.type == "STRING" else self.shown(self.value)
        return f"CASE WHEN {self.is_usable} THEN {text} END"

    def aggregates(self, with_size: bool) -> list[str]:
        """Return SQL of what `settle` takes, in its order."""
        usable = f"FILTER (WHERE {self.is_usable})"
        found = [
            f"count({self.alias})",
            f"count(*) {usable}",
            f"min({self.value}) {usable}",
            f"max({self.value}) {usable}",
        ]
        found[2:] = [self.shown(sql) for sql in found[2:]]
        return [*found, f"sum(strlen(CAST({self.alias} AS VARCHAR)))" if with_size else "NULL"]

    # -- answers -----------------------------------------------------------------------------------------------------

    def settle(self, total: int, answers: Sequence[Any]) -> None:
        """Take the answers to `aggregates` over ``total`` rows."""
        present, usable, least, greatest, size = answers
        self.nulls, self.usable = total - present, usable
        self.least, self.greatest = self.native(least), self.native(greatest)
        if size is not None or not present:
            self.size = int(size or 0)

    def native(self, value: Any) -> Any:
        """Return a value of the engine as JSON has it."""
        if value is None:
            return None
        return int(value) if self.type == "INTEGER" else value

    def set_frequent(self, found: Sequence[tuple[Any, int]]) -> None:
        """Take the most frequent values, the most frequent first."""
        values = [(self.native(value), int(count)) for value, count in found]
        self.top = values
        self._set([{"value": value, "count": count} for value, count in values], ranked=True)

    def set_empty(self) -> None:
        """Take that no value can be counted."""
        self._set([], ranked=False)

    def set_bins(self, bins: Bins, found: Sequence[tuple[int, int]]) -> None:
        """Take the number of values in each bin."""
        edges: dict[Any, int] = {}
        for number, count in found:
            edge = bins.edge(int(number))  # those of a range of a few ulps can coincide
            edges[edge] = edges.get(edge, 0) + int(count)
        self._set([{"value": edge, "count": count} for edge, count in edges.items()], ranked=False)

    def set_moments(self, bins: Sequence[tuple[str, str, int]], others: Sequence[tuple[str, int]]) -> None:
        """Take first and last moment and number of each bin, and the infinite values."""
        entries = [{"value": start, "end": end, "count": int(count)} for start, end, count in bins]
        if not others:
            entries[-1]["end"] = self.greatest  # with its nanoseconds, should it have any
        self._set([*entries, *({"value": value, "count": int(count)} for value, count in others)], ranked=False)

    def _set(self, entries: list[dict[str, Any]], ranked: bool) -> None:
        if self.nulls:
            place = len(entries)
            while ranked and place and entries[place - 1]["count"] < self.nulls:
                place -= 1
            entries.insert(place, {"value": None, "count": self.nulls})
        self.distribution = entries

    def bins(self) -> Bins:
        """Return the bins of a histogram; only if there is a ``least`` value, or a ``span``."""
        if self.span is not None:
            return TimeBins(*self.span, smallest=SMALLEST.get(self.physical, 1))
        if self.type == "INTEGER":
            return IntegerBins(self.least, self.greatest)
        return FloatBins(self.least, self.greatest)

    def to_json(self) -> dict[str, Any]:
        """Return the catalogue's column with what was found."""
        return {
            **self.column,
            "is_nullable": self.can_be_null,
            "size": self.size,
            "distribution": self.distribution,
        }

    def to_estimator(self) -> dict[str, Any]:
        """Return what an estimate of the number of rows needs to know."""
        return {
            "type": self.type,
            "usable": self.usable,
            "distinct": self.distinct,
            "least": self.least,
            "greatest": self.greatest,
            "quantiles": self.quantiles,
            "top": [[value, count] for value, count in self.top],
        }


@dataclass(frozen=True)
class Bins:
    """Equal bins from ``least`` to ``greatest``; the columns a and w of the query are the first edge and the width."""

    least: Any
    greatest: Any

    number = "0"
    """The number of the bin of v, as SQL over v, a, w and n."""
    guess = "0"
    """What n is, as SQL over v, a and w."""
    kind = "DOUBLE"
    """The DuckDB type of a and w."""

    @property
    def width(self) -> Any:
        """How wide a bin is."""
        raise NotImplementedError

    def edge(self, number: int) -> Any:
        """Return the left edge of a bin, in the column's type."""
        return self.least + number * self.width

    def query(self, column: ProfiledColumn, base: str) -> str:
        """Return SQL for the number of each bin and its count; the first two placeholders are for `parameters`."""
        given = f"CAST(? AS {self.kind}) AS a, CAST(? AS {self.kind}) AS w"
        values = f"SELECT {given}, CAST({column.place} AS {self.kind}) AS v FROM {base} WHERE {column.has_place}"  # noqa: S608
        guessed = f"SELECT v, a, w, {self.guess} AS n FROM ({values})"  # noqa: S608 - aliases only
        return f"SELECT {self.number} AS b, count(*) FROM ({guessed}) GROUP BY b ORDER BY b"  # noqa: S608 - aliases only

    @property
    def parameters(self) -> list[Any]:
        """The values of a and w."""
        return [self.least, self.width]


class IntegerBins(Bins):
    """At most `BINS` bins of a whole width."""

    number = "(v - a) // w"

    @property
    def width(self) -> int:
        """How many integers a bin holds."""
        return max(1, -(-(self.greatest - self.least + 1) // BINS))

    @property
    def kind(self) -> str:  # type: ignore[override]
        """Wide enough for a difference."""
        return "BIGINT" if self.least >= -(2**62) and self.greatest < 2**62 else "HUGEINT"


@dataclass(frozen=True)
class TimeBins(IntegerBins):
    """At most `BINS` bins of as many whole units of time as go into the next unit, or of whole days; in microseconds.

    They begin at a whole unit, so that their edges are what people write: midnights, full hours, quarters of one.
    """

    smallest: int = 1

    @cached_property
    def _unit_and_width(self) -> tuple[int, int]:
        for unit, multiples in UNITS:
            for width in (unit * multiple for multiple in multiples):
                if width >= self.smallest and (self.greatest - self._start(unit)) // width < BINS:
                    return unit, width
        return DAY, -(-(self.greatest - self._start(DAY) + 1) // (BINS * DAY)) * DAY

    def _start(self, unit: int) -> int:
        return int(self.least // unit * unit)

    @property
    def width(self) -> int:
        """How many microseconds a bin holds."""
        return self._unit_and_width[1]

    def edge(self, number: int) -> int:
        """See `Bins`."""
        return self._start(self._unit_and_width[0]) + number * self.width

    @property
    def parameters(self) -> list[Any]:
        """The values of a and w."""
        return [self.edge(0), self.width]


class FloatBins(Bins):
    """`BINS` bins. No value lies below its bin's edge as it is written, or at the next one: dividing only guesses."""

    @property
    def scale(self) -> float:
        """What a range is multiplied with, so that no difference overflows."""
        return 1.0 if math.isfinite(self.greatest - self.least) else 0.5

    @property
    def width(self) -> float:
        """Zero where the range is too small for bins."""
        return float((self.greatest * self.scale - self.least * self.scale) / BINS / self.scale)

    def edge(self, number: int) -> float:
        """See `Bins`."""
        return float((self.least * self.scale + number * (self.width * self.scale)) / self.scale)

    def _edge(self, number: str) -> str:
        scale = f"CAST({self.scale} AS DOUBLE)"
        return f"((a * {scale} + {number} * (w * {scale})) / {scale})"

    @property
    def guess(self) -> str:  # type: ignore[override]
        """Divides."""
        if self.width == 0:
            return "0"
        scale = f"CAST({self.scale} AS DOUBLE)"
        return f"CAST(greatest(0, least({BINS - 1}, floor((v * {scale} - a * {scale}) / (w * {scale})))) AS INTEGER)"

    @property
    def number(self) -> str:  # type: ignore[override]
        """Looks at the edges themselves."""
        last = BINS - 1
        down = f"WHEN n > 0 AND v < {self._edge('n')} THEN n - 1"
        return f"CASE {down} WHEN n < {last} AND v >= {self._edge('(n + 1)')} THEN n + 1 ELSE n END"
