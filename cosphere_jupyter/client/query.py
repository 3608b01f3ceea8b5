"""What to ask of a table, as values: filters, their text, and queries. Nothing here runs anything.

The grammar of a filter is small and strict::

    filter   = column operator literal
    column   = word | "any ""quoted"" text" | `any text`
    operator = > | >= | < | <= | = | == | !=
    literal  = 30 | -1.5e3 | 'text, with '' for a quote' | '2013-01-31T12:00' | true | false
"""

from __future__ import annotations

import datetime
import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .display import Html, fields, text_of
from .errors import InvalidFilter

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from .columns import Column
    from .estimates import Estimate
    from .requests import Request
    from .table import Table

OPERATORS = (">", ">=", "<", "<=", "=", "!=")
Value = str | int | float | bool

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\W\d]\w*")
_QUOTED = re.compile(r'"((?:[^"]|"")+)"|`((?:[^`]|``)+)`')
_OPERATOR = re.compile(r">=|<=|!=|==|<>|=|>|<")
_STRING = re.compile(r"'((?:[^']|'')*)'")
_NUMBER = re.compile(r"[+-]?(?:\d+(?P<fraction>\.\d*)?|(?P<bare>\.\d+))(?P<exponent>[eE][+-]?\d+)?", re.ASCII)
_CONSTANTS = {"true": True, "false": False}


@dataclass(frozen=True, eq=False)
class Filter:
    """One condition on a column: keep the rows for which it holds.

    >>> Filter("dep_delay", ">", 30)
    Filter('dep_delay > 30')
    >>> Filter.parse("carrier = 'UA'")
    Filter("carrier = 'UA'")

    Several filters are combined with *and*: give them all to ``where``. Values may be numbers, texts, booleans, dates
    and times, also those of numpy and pandas.
    """

    name: str
    operator: str
    value: Value

    def __init__(self, name: str | Column, operator: str, value: Any) -> None:
        name = name if isinstance(name, str) else name.name
        operator = "=" if operator == "==" else operator
        if operator not in OPERATORS:
            raise InvalidFilter(f"{operator!r} is no operator of a filter; there are {' '.join(OPERATORS)}")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "operator", operator)
        object.__setattr__(self, "value", json_value(value, name))

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Return the filter that a text says, or raise ``InvalidFilter`` pointing at the place."""
        return _Parser(text).filter()

    @property
    def spec(self) -> dict[str, Any]:
        """The JSON of the filter."""
        return {"name": self.name, "operator": self.operator, "value": self.value}

    def __str__(self) -> str:
        return f"{_column_text(self.name)} {self.operator} {_literal(self.value)}"

    def __repr__(self) -> str:
        return f"Filter({str(self)!r})"

    def __bool__(self) -> bool:
        raise TypeError(
            "a filter is neither true nor false: it is asked of the table's rows. Combine filters as "
            ".where(first, second) or .where(first).where(second), not with 'and', 'or', 'not' or a < column < b"
        )

    # True == 1 and 1 == 1.0 in Python, but not as JSON.
    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Filter) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str, str]:
        return self.name, self.operator, json.dumps(self.value)


def json_value(value: Any, name: str = "") -> Value:
    """Return the value of a filter as JSON has it, or raise ``InvalidFilter``."""
    of = f"the filter on {name!r}: " if name else ""
    if value is None:
        raise InvalidFilter(f"{of}a column cannot be compared with None")
    if isinstance(value, datetime.datetime | datetime.date):
        if value != value:  # pandas.NaT
            raise InvalidFilter(f"{of}a column cannot be compared with NaT")
        return value.isoformat()
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.datetime64):
        if numpy.isnat(value):
            raise InvalidFilter(f"{of}a column cannot be compared with NaT")
        coarse = {"Y": "D", "M": "D", "W": "D", "h": "s", "m": "s"}.get(numpy.datetime_data(value)[0])
        return str(value.astype(f"datetime64[{coarse}]") if coarse else value)
    if numpy is not None and isinstance(value, numpy.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidFilter(f"{of}a column cannot be compared with {value}")
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            # An enum or another subclass is sent as the plain value that it is.
            plain: Value = kind(value) if kind is not str else str.__str__(value)
            return plain
    raise InvalidFilter(
        f"{of}a value of type {type(value).__name__} cannot be sent; numbers, texts, booleans, dates and times can"
    )


def _column_text(name: str) -> str:
    if _WORD.fullmatch(name):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        doubled = value.replace("'", "''")
        return f"'{doubled}'"
    return repr(value)


class _Parser:
    """Reads one filter from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def filter(self) -> Filter:
        self._skip_space()
        name = self._column()
        self._skip_space()
        operator = self._operator()
        self._skip_space()
        value = self._value()
        self._skip_space()
        self._end()
        return Filter(name, operator, value)

    def _error(self, message: str, position: int | None = None) -> InvalidFilter:
        return InvalidFilter(message, self.text, self.position if position is None else position)

    def _skip_space(self) -> None:
        self._take(_SPACE)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.position)
        if match:
            self.position = match.end()
        return match

    def _column(self) -> str:
        if match := self._take(_WORD):
            return match[0]
        if match := self._take(_QUOTED):
            return match[1].replace('""', '"') if match[1] is not None else match[2].replace("``", "`")
        if self.text[self.position : self.position + 1] == "'":
            raise self._error(
                "a filter begins with a column; one with unusual letters stands in \"…\" or `…`, not in '…'"
            )
        raise self._error("a filter begins with a column, as in: dep_delay > 30")

    def _operator(self) -> str:
        start = self.position
        match = self._take(_OPERATOR)
        if match is None:
            raise self._error(f"after the column one of {' '.join(OPERATORS)} is expected")
        if match[0] == "<>":
            raise self._error("'not equal' is written !=", start)
        return match[0]

    def _value(self) -> Value:
        start = self.position
        if match := self._take(_STRING):
            return match[1].replace("''", "'")
        if match := self._take(_NUMBER):
            return self._number(match)
        if match := self._take(_WORD):
            word = match[0].lower()
            if word in _CONSTANTS:
                return _CONSTANTS[word]
            if word in ("null", "none", "nan", "inf", "nat"):
                raise self._error(f"a column cannot be compared with {match[0]}", start)
            raise self._error(f"a text stands in single quotes: '{match[0]}'", start)
        rest = self.text[self.position :]
        if rest.startswith('"'):
            raise self._error("a text stands in single quotes ('…'); double quotes are for columns")
        if rest.startswith("'"):
            raise self._error("the text has no end: a single quote is missing (one inside of it is doubled)")
        raise self._error("after the operator a number, a 'text', true or false is expected")

    def _number(self, match: re.Match[str]) -> int | float:
        if match["fraction"] is match["bare"] is match["exponent"] is None:
            try:
                return int(match[0])
            except ValueError:
                raise self._error("this number has too many digits", match.start()) from None
        number = float(match[0])
        if math.isinf(number):
            raise self._error("this number is too large", match.start())
        return number

    def _end(self) -> None:
        rest = self.text[self.position :]
        if not rest:
            return
        if re.match(r"(?i)(and\b|&)", rest):
            raise self._error("one filter has one condition; give several as .where(first, second)")
        if re.match(r"(?i)(or\b|\|)", rest):
            raise self._error("filters are combined with 'and' only; ask twice for 'or'")
        if re.match(r"[-:/T.]\d", rest):
            raise self._error("a date or time stands in single quotes, as in: '2013-01-31T12:00'")
        raise self._error("the filter should end here")


@dataclass(frozen=True, eq=False)
class Query(Html):
    """Columns and rows of a table; begun by its ``select``, ``where`` or ``sample``. Its methods return new ones.

    >>> query = table.select("carrier", "dep_delay").where("dep_delay > 30", "carrier = 'UA'").sample(0.1)
    >>> query.spec
    {'columns': ['carrier', 'dep_delay'], 'filters': [...], 'randomize_ratio': 0.1}
    >>> df = query.to_pandas()
    """

    table: Table
    columns: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    ratio: float | None = None
    seed: int | None = None

    def select(self, *columns: str | Column) -> Query:
        """Return this query for these columns, in this order; without any for all of the table."""
        from .columns import Column

        for column in columns:
            if not isinstance(column, str | Column):
                raise TypeError(f"select takes names of columns, as in select('a', 'b'), not a {type(column).__name__}")
        names = [column if isinstance(column, str) else column.name for column in columns]
        self.table.check_columns(*names)
        return replace(self, columns=tuple(names or [column.name for column in self.table.columns]))

    def where(self, *filters: str | Filter) -> Query:
        """Return this query for the rows for which all filters hold, besides those given before.

        >>> query.where("dep_delay > 30", table["carrier"] == "UA")
        """
        return replace(self, filters=self.filters + tuple(self._filter(each) for each in filters))

    def _filter(self, given: Any) -> Filter:
        if isinstance(given, bool):
            raise InvalidFilter(
                f"a filter is expected, not {given}: write it as text ('dep_delay > 30') or as table['dep_delay'] > 30"
            )
        if not isinstance(given, str | Filter):
            raise InvalidFilter(f"a filter is expected, not a {type(given).__name__}")
        found = Filter.parse(given) if isinstance(given, str) else given
        self.table.check_columns(found.name)
        return found

    def sample(self, ratio: float, seed: int | None = None) -> Query:
        """Return this query for a sample: ``ratio`` is the fraction of rows kept, 0 to 1.

        The same ratio and seed give the same rows; another seed gives another sample.
        """
        ratio, seed = json_value(ratio), None if seed is None else json_value(seed)  # type: ignore[assignment]
        if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 <= ratio <= 1:
            raise ValueError(f"a sample is a fraction of the rows, 0 to 1, not {ratio!r}")
        if isinstance(seed, bool) or not isinstance(seed, int | None):
            raise ValueError(f"a seed is a whole number, not {seed!r}")
        return replace(self, ratio=ratio, seed=seed)

    @property
    def spec(self) -> dict[str, Any]:
        """The JSON of the request that this query makes."""
        spec: dict[str, Any] = {"columns": list(self.columns), "filters": [each.spec for each in self.filters]}
        if self.ratio is not None:
            spec["randomize_ratio"] = self.ratio
        if self.seed is not None:
            spec["seed"] = self.seed
        return spec

    def request(self) -> Request:
        """Ask the server for it. Who asks for the same again gets the same request: the work is done once."""
        from .requests import send

        return send(self)

    async def request_async(self) -> Request:
        """``request`` without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.request)

    def estimate(self) -> Estimate:
        """Ask the server how big the result will be; nothing is run for it.

        >>> query.estimate()
        about 320 MB (290–390 MB), 1.2 million rows
        """
        from .estimates import estimate

        return estimate(self.table, self.spec)

    async def estimate_async(self) -> Estimate:
        """``estimate`` without blocking the event loop."""
        import asyncio

        return await asyncio.to_thread(self.estimate)

    def to_pandas(self, **options: Any) -> pd.DataFrame:
        """Ask, wait and return the rows as a DataFrame: ``request().to_pandas(…)``."""
        return self.request().to_pandas(**options)

    def to_arrow(self, **options: Any) -> pa.Table:
        """Ask, wait and return the rows as an Arrow table: ``request().to_arrow(…)``."""
        return self.request().to_arrow(**options)

    def to_polars(self, **options: Any) -> pl.DataFrame:
        """Ask, wait and return the rows as a polars DataFrame: ``request().to_polars(…)``."""
        from .frames import need_polars

        need_polars()
        return self.request().to_polars(**options)

    async def to_polars_async(self, **options: Any) -> pl.DataFrame:
        """``to_polars`` for coroutines."""
        from .frames import need_polars

        need_polars()
        return await (await self.request_async()).to_polars_async(**options)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Query) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Table, str]:
        return self.table, json.dumps(self.spec)

    def __repr__(self) -> str:
        return f"<Query {text_of(self._facts())}>"

    def _repr_html_(self) -> str:
        return fields("Query", self._facts())

    def _facts(self) -> Mapping[str, Any]:
        facts: dict[str, Any] = {"table": self.table.name, "columns": ", ".join(self.columns)}
        if self.filters:
            facts["where"] = " and ".join(map(str, self.filters))
        if self.ratio is not None:
            facts["sample"] = f"{self.ratio:.6g} of the rows" + ("" if self.seed is None else f", seed {self.seed}")
        return facts
