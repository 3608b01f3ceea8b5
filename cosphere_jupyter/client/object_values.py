"""Values of objects: as Python has them, as the iffSamples API has them, and how one becomes the other."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

from .object_links import reference_to

_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*", re.DOTALL)
_DATETIME = "%Y-%m-%d %H:%M:%S"
# How the value of each type of one value stands in its JSON.
_KEYS = {
    "text": "text",
    "bool": "value",
    "datetime": "utc_datetime",
    "tags": "tags",
    "hazards": "hazards",
    "sample": "object_id",
    "measurement": "object_id",
    "object_reference": "object_id",
    "user": "user_id",
    "file": "file_id",
}


@dataclass(frozen=True)
class Quantity:
    """A number with its units, as ``mg``; None if the quantity has none of its own."""

    magnitude: float
    units: str | None = None

    def __float__(self) -> float:
        return float(self.magnitude)

    def __str__(self) -> str:
        return f"{self.magnitude:.15g} {self.units}" if self.units else f"{self.magnitude:.15g}"


def data_from(schema: Mapping[str, Any], value: Any) -> Any:
    """Return a value as the API has it, by its schema; what is in that form already stays as it is.

    Texts, numbers, datetimes, lists and mappings become what the schema says; ``"5 mg"``, ``(5, "mg")`` and plain
    numbers (in the schema's units) are quantities, handles of objects and accounts references; a datetime without a
    time zone is UTC. What is None, NaN or NA is left out. What does not fit is
    passed on: the server says what is wrong with it.
    """
    kind = schema.get("type")
    if getattr(value, "ndim", 0) and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return _properties(schema, value) if kind == "object" and "_type" not in value else dict(value)
    if kind == "array" and isinstance(value, Sequence) and not isinstance(value, str):
        return [data_from(schema.get("items") or {}, each) for each in value]
    if kind == "quantity":
        return _quantity(value)
    key = _KEYS.get(str(kind))
    return value if key is None else {"_type": kind, key: _stored(str(kind), value)}


def value_from(data: Any) -> Any:
    """Return a value as Python has it: of an object a dict, of a quantity a ``Quantity``, of a text a str, …."""
    if isinstance(data, list):
        return [value_from(each) for each in data]
    if not isinstance(data, Mapping):
        return data
    kind = data.get("_type")
    if kind is None:
        return {str(name): value_from(each) for name, each in data.items()}
    if kind == "quantity":
        units = data.get("units")
        magnitude = data.get("magnitude", data.get("magnitude_in_base_units"))
        return Quantity(magnitude, units) if isinstance(magnitude, int | float) else None
    value = data.get(_KEYS.get(str(kind), ""), data)
    if kind == "text" and isinstance(value, Mapping):
        return value.get("en", next(iter(value.values()), ""))
    return _moment(value) if kind == "datetime" else value


def _properties(schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    known = schema.get("properties") or {}
    return {name: data_from(known.get(name) or {}, each) for name, each in values.items() if not _is_missing(each)}


def _is_missing(value: Any) -> bool:
    """Whether a value is left out: None, and what pandas has where there is none. No property is ever null."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and math.isnan(value)


def _quantity(value: Any) -> Any:
    units: Any = None
    if isinstance(value, str) and (match := _QUANTITY.fullmatch(value)):
        value, units = _number(match[1]), match[2] or None
    elif isinstance(value, Quantity):
        value, units = value.magnitude, value.units
    elif isinstance(value, tuple) and len(value) == 2:
        value, units = value
    value = _scalar(value)
    return {"_type": "quantity", "magnitude": value, **({} if units is None else {"units": units})}


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def _stored(kind: str, value: Any) -> Any:
    if kind == "text":
        return reference_to(value)
    if kind == "datetime" and isinstance(value, date):
        return _in_utc(value).strftime(_DATETIME)
    if kind in ("tags", "hazards") and isinstance(value, tuple | set | frozenset):
        return sorted(value)
    if kind in ("sample", "measurement", "object_reference", "user", "file"):
        return getattr(value, "file_id" if kind == "file" else "id", _scalar(value))
    return _scalar(value)


def _in_utc(value: date) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    return value.astimezone(timezone.utc) if value.tzinfo else value


def _scalar(value: Any) -> Any:
    """Return what NumPy and pandas have as Python has it."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value


def _moment(text: Any) -> Any:
    try:
        return datetime.strptime(text, _DATETIME).replace(tzinfo=timezone.utc)
    except (TypeError, ValueError):
        return text
