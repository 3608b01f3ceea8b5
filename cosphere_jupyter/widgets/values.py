"""What filters of a column may be, and which part of its distribution they keep: rules without widgets.

They are the API's own: six operators, of booleans two; a value is of its column's type.
"""

from __future__ import annotations

import datetime
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..client.charts import EPOCH, SURELY_ALL, Shape, ranked_values
from ..client.columns import Column
from ..client.errors import InvalidFilter
from ..client.query import OPERATORS, Filter, Value, json_value

MOST_CHOICES = 1000
_SIGNS = {">": ">", ">=": "≥", "<": "<", "<=": "≤", "=": "=", "!=": "≠"}
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def columns_like(columns: Sequence[Column], text: str) -> list[Column]:
    """Return the columns that have each word of a text in their name, kind or description; all for an empty text."""
    words = text.casefold().split()
    return [
        each
        for each in columns
        if all(word in f"{each.name} {each.kind} {each.description}".casefold() for word in words)
    ]


def operators_of(column: Column) -> list[tuple[str, str]]:
    """Return the operators that the API has for a column, each with its sign for people."""
    return [(_SIGNS[each], each) for each in (("=", "!=") if column.type == "BOOLEAN" else OPERATORS)]


def first_operator(column: Column, has_choices: bool) -> str:
    """Return the operator that is meant most often."""
    is_ordered = column.type in ("INTEGER", "FLOAT", "DATETIME") and not has_choices
    return ">=" if is_ordered else "="


def choices_of(column: Column, found: Shape | None) -> list[Value] | None:
    """Return all values of a column, sorted, if its distribution lists them all; else None."""
    if found is None or found.bins or found.is_part or found.values > MOST_CHOICES or column.type == "BOOLEAN":
        return None
    if not column.is_enum and found.values >= SURELY_ALL:
        return None
    values = [value for value, _ in ranked_values(column) if _fits(column, value)]
    return sorted(values) if values else None


def suggestions_of(column: Column, most: int = 100) -> list[str]:
    """Return the most frequent texts of a column."""
    return [value for value, _ in ranked_values(column)[:most] if isinstance(value, str)]


def _fits(column: Column, value: Any) -> bool:
    try:
        check(column, value)
    except InvalidFilter:
        return False
    return True


def read_number(column: Column, text: str) -> int | float:
    """Return the number that somebody has typed, or raise ``InvalidFilter``. Commas between thousands are fine."""
    plain = text.strip().replace("\N{MINUS SIGN}", "-")
    if not plain:
        raise InvalidFilter("a number is missing")
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", plain)
    try:
        value = int(plain) if _WHOLE.fullmatch(plain) else float(plain)
    except ValueError:
        raise InvalidFilter(f"{text.strip()!r} is no number") from None
    return check(column, value)  # type: ignore[return-value]


def check(column: Column, value: Any) -> Value:
    """Return a value as the API wants it for a column, or raise ``InvalidFilter`` in words."""
    found = json_value(value)
    if column.type == "BOOLEAN" and not isinstance(found, bool):
        raise InvalidFilter("true or false is expected")
    if column.type in ("STRING", "DATETIME") and not isinstance(found, str):
        raise InvalidFilter("a text is expected" if column.type == "STRING" else "a date is missing")
    if column.type in ("INTEGER", "FLOAT"):
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise InvalidFilter("a number is expected")
        if column.type == "FLOAT":
            return found
        if found != int(found):
            raise InvalidFilter(f"{found:g} is no whole number, and {column.name} has only such")
        if not -(2**63) <= found < 2**64:
            raise InvalidFilter("this number is too large for 64 bits")
        return int(found)
    return found


# -- what a distribution says of filters -----------------------------------------------------------------------------


def kept_range(column: Column, found: Shape, filters: Iterable[Filter]) -> list[float]:
    """Return the part of a column's axis that filters keep: its ends, or nothing if they keep all of it."""
    step = 1 if column.type == "INTEGER" else 0
    start = low = float(found.start)
    end = high = start + found.width * len(found.bins)
    is_kept = False
    for each in filters:
        place = axis_place(column, each.value)
        if place is None or each.operator == "!=":
            continue
        is_kept = True
        # A whole number takes the room up to the next one.
        if each.operator in (">", ">=", "="):
            low = max(low, place + (step if each.operator == ">" else 0))
        if each.operator in ("<", "<=", "="):
            high = min(high, place + (0 if each.operator == "<" else step))
    if not is_kept:
        return []
    low, high = min(max(low, start), end), max(min(high, end), start)
    return [low, max(low, high)]


def kept_bars(column: Column, filters: Iterable[Filter]) -> list[int]:
    """Return the places of the values that filters keep."""
    conditions = list(filters)
    return [
        place
        for place, (value, _) in enumerate(ranked_values(column))
        if all(_holds(each, value) for each in conditions)
    ]


def _holds(condition: Filter, value: Any) -> bool:
    try:
        return _COMPARE[condition.operator](value, condition.value)
    except TypeError:
        return False


def hint(column: Column, found: Shape | None, condition: Filter) -> str:
    """Return words for a filter that keeps nothing of what the server saw; else an empty text."""
    if found is None or not (found.bins or found.bars) or found.is_part:
        return ""
    if found.bins:
        kept = kept_range(column, found, [condition])
        place = axis_place(column, condition.value)
        # The last edge of fractions and times is a value itself.
        is_outside = place is not None and not found.start <= place <= found.start + found.width * len(found.bins)
        if len(kept) < 2 or kept[0] < kept[1] or not is_outside:
            return ""
        return f"No row had such a value when the table was looked at: they go from {found.low} to {found.high}."
    return "" if kept_bars(column, [condition]) else "No row had such a value when the table was looked at."


def axis_place(column: Column, value: Any) -> float | None:
    """Return where a value lies on its column's axis; None if nowhere."""
    if column.type == "DATETIME":
        try:
            moment = datetime.datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        except ValueError:
            return None
        if moment.tzinfo is not None:
            moment = moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return (moment - EPOCH).total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def axis_value(column: Column, place: float) -> Any:
    """Return the value at a place of a column's axis: a number that is not longer than it needs to be, or a time."""
    if column.type == "DATETIME":
        return EPOCH + datetime.timedelta(seconds=round(place))
    if column.type == "INTEGER":
        return round(place)
    return float(f"{place:.6g}")


def range_filters(column: Column, found: Shape, chosen: list[float]) -> list[tuple[str, Any]]:
    """Return the operators and values, one or two, that keep a selected range; nothing selected keeps all of it."""
    end = found.start + found.width * len(found.bins)
    low, high = sorted(chosen) if len(chosen) == 2 and all(map(math.isfinite, chosen)) else (found.start, end)
    slack = found.width / 1000
    filters: list[tuple[str, Any]] = []
    if low > found.start + slack:
        filters.append((">=", axis_value(column, low)))
    if high < end - slack:
        is_whole = column.type == "INTEGER"
        filters.append(("<=", axis_value(column, high) - 1) if is_whole else ("<", axis_value(column, high)))
    return filters or [(">=", axis_value(column, found.start))]
