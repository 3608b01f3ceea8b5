"""Values of metadata as searches compare them: a text, and a number where it means one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

_UNITS = {
    "size": {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40},
    "duration": {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400},
}
_AMOUNT = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)([a-z]?)b?", re.IGNORECASE)
# Keys whose texts are sizes or durations.
SIZES = ("request_memory", "request_disk")
DURATIONS = ("request_time",)


def amount_of(text: str, kind: str) -> float:
    """Return the bytes of ``2g``, or the seconds of ``1.5h``; ``kind`` is size or duration, ``ValueError`` if none."""
    match = _AMOUNT.fullmatch(text.strip())
    factor = match and _UNITS[kind].get(match[2].lower())
    if not match or factor is None:
        raise ValueError(f"{text!r} is no {kind}")
    return float(match[1]) * factor


def values_of(key: str, value: Any) -> Iterator[tuple[str, float | None]]:
    """Yield the text of a value, and its number if it has one; of a list, those of each item."""
    if isinstance(value, list | tuple):
        for each in value:
            yield from values_of(key, each)
    elif isinstance(value, int | float):
        yield str(value), float(value)
    elif isinstance(value, str):
        yield value, number_of(key, value)
    elif value is not None:
        yield str(value), None


def number_of(key: str, text: str) -> float | None:
    """Return the number that a text means as a value of ``key``, None if it means none."""
    try:
        if key in SIZES:
            return amount_of(text, "size")
        if key in DURATIONS:
            return amount_of(text, "duration")
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
