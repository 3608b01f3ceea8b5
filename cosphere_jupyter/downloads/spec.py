"""Rules for the ``spec`` of a download request: which columns, which rows, what fraction of them.

Source: CoSphere API 0.2.6, "Download requests": first a schema (field rules), then the rules beside the catalogue item
(model rules, first failing one only). Ours: all six operators on DATETIME, falsy values are checked as well, integers
are accepted for FLOAT and range-checked, ``randomize_ratio`` is the fraction of rows *kept*, and ``seed`` (an optional
integer) chooses another sample.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson

from ..catalogue.service import CatalogueItem
from ..catalogue.spec import schema_error
from ..executors.base import Comparison, Query
from ..json_values import GREATEST_INTEGER, LEAST_INTEGER

OPERATORS = (">", ">=", "<", "<=", "=", "!=")
MOST_COLUMNS, MOST_FILTERS = 10_000, 1_000
# Part of every identity: raise it when the same spec would give other rows than before.
COMPILER_VERSION = 1

REQUEST_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "columns": {"type": "array", "items": {"type": "string"}},
        "filters": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "operator": {"enum": list(OPERATORS)},
                    "value": {"oneOf": [{"type": kind} for kind in ("number", "string", "boolean")]},
                },
                "required": ["name", "operator", "value"],
            },
        },
        "randomize_ratio": {"type": "number"},
        "seed": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    },
    "required": ["columns", "filters"],
}

# ISO 8601 dates and times as people and pandas write them; datetime.fromisoformat knows fewer on Python 3.10.
_DATETIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d\d(?::?[0-5]\d)?)?)?",
    re.IGNORECASE,
)


class Mismatch(ValueError):
    """A value that its column's type does not allow."""


def spec_errors(spec: Any) -> list[str]:
    """Return what is wrong with a spec by itself (field rules)."""
    if errors := length_errors(spec):
        return errors
    message = schema_error(REQUEST_SCHEMA, spec)
    return [] if message is None else [message]


def length_errors(spec: Any) -> list[str]:
    """Return whether any JSON has too many columns or filters, without a look at one of them: it may have millions."""
    for part, most in (("columns", MOST_COLUMNS), ("filters", MOST_FILTERS)):
        items = spec.get(part) if isinstance(spec, dict) else None
        if isinstance(items, list) and len(items) > most:
            return [f"Ensure there are no more than {most} {part}."]
    return []


def select(item: CatalogueItem, spec: Mapping[str, Any]) -> Query | str:
    """Return the query that a well-formed spec asks of an item, or the message of the first rule it breaks."""
    return _column_error(item, spec) or _query(item, spec)


def _column_error(item: CatalogueItem, spec: Mapping[str, Any]) -> str | None:
    columns, known = spec["columns"], {column["name"] for column in item.spec}
    if not columns:
        return "at least one column must be specified in 'columns'"
    if len(set(columns)) != len(columns):
        return "columns must appear only once in 'columns'"
    if unknown := sorted(set(columns) - known):
        return f"unknown columns in 'columns' detected: {_quoted(unknown)}"
    if unknown := sorted({each["name"] for each in spec["filters"]} - known):
        return f"unknown columns in 'filters' detected: {_quoted(unknown)}"
    return None


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _query(item: CatalogueItem, spec: Mapping[str, Any]) -> Query | str:
    filters = []
    for each in spec["filters"]:
        name, operator = each["name"], each["operator"]
        column = item.column(name)
        kind = column["type"] if column else "STRING"
        try:
            value = normalise(kind, each["value"])
        except Mismatch:
            return f"column type and filter value type mismatch detected for column '{name}'"
        if isinstance(value, bool) and operator not in ("=", "!="):
            return f"operator '{operator}' not allowed for column '{name}' detected"
        filters.append(Comparison(name, operator, value))
    ratio = spec.get("randomize_ratio", 1)
    if not 0 <= ratio <= 1:
        return "'randomize_ratio' not in allowed [0, 1] range detected"
    # -0.0 is 0.0.
    return Query(tuple(spec["columns"]), tuple(filters), float(ratio) + 0.0, int(spec.get("seed", 0)))


def normalise(kind: str, value: Any) -> int | float | str | bool | datetime:
    """Return a filter's value as its column's type has it, or raise ``Mismatch``.

    INTEGER: of 64 bits, signed or not (true and false pass, as in the API). FLOAT: finite; -0.0 is 0.0. DATETIME: ISO
    8601 text, without an offset taken as UTC. STRING: as it is, no Unicode folding.
    """
    if kind == "INTEGER" and isinstance(value, int) and LEAST_INTEGER <= value <= GREATEST_INTEGER:
        return int(value)
    if kind == "FLOAT" and isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(value)
    if kind == "BOOLEAN" and isinstance(value, bool):
        return value
    if kind == "STRING" and isinstance(value, str):
        return value
    if kind == "DATETIME" and isinstance(value, str):
        return parse_datetime(value)
    raise Mismatch(kind)


def _finite(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise Mismatch("FLOAT") from None
    if not math.isfinite(number):
        raise Mismatch("FLOAT")
    return number + 0.0


def parse_datetime(text: str) -> datetime:
    """Return ISO 8601 text as naive UTC with microseconds (digits beyond are cut), or raise ``Mismatch``."""
    match = _DATETIME.fullmatch(text.strip())
    if match is None:
        raise Mismatch(text)
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    microsecond = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), microsecond
        )
        return moment - _offset(offset)
    except (ValueError, OverflowError):
        raise Mismatch(text) from None


def _offset(text: str | None) -> timedelta:
    if text is None or text in "Zz":
        return timedelta()
    digits = text[1:].replace(":", "")
    span = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    # Refuses 24 hours and more.
    timezone(span)
    return -span if text[0] == "-" else span


def fingerprint(item: CatalogueItem, query: Query, data_version: str) -> str:
    """Return the identity of a request: equal exactly when the same rows and columns of the same data are asked for.

    The order of columns and filters does not count, nor does a filter that stands twice, nor who asks. The seed counts
    only where a sample is drawn.
    """
    sampled = 0 < query.ratio < 1
    filters = sorted({(each.column, each.operator, *_tagged(each.value)) for each in query.filters})
    canonical = {
        "version": COMPILER_VERSION,
        "catalogue_item": item.id,
        "source": [item.executor_type, item.source],
        "data": data_version,
        "columns": sorted((name, (item.column(name) or {}).get("type", "")) for name in query.columns),
        "filters": filters,
        "ratio": query.ratio,
        "seed": query.seed if sampled else 0,
    }
    return hashlib.sha256(orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _tagged(value: int | float | str | bool | datetime) -> tuple[str, str]:
    if isinstance(value, datetime):
        return "datetime", value.isoformat(timespec="microseconds")
    return type(value).__name__, repr(value)
