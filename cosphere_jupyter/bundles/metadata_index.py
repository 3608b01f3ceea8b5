"""Values of metadata as searches compare them: a text, a number where it means one, and words in small letters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from .durations import parse_bytes, parse_seconds

# Stands between words, so that a text is not found across two of them.
BETWEEN = "\x1e"
# Keys whose texts are sizes or durations.
_PARSERS = {"request_memory": parse_bytes, "request_disk": parse_bytes, "request_time": parse_seconds}


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
        if key in _PARSERS:
            return float(_PARSERS[key](text))
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def label_of(uuid: str, name: str) -> str:
    """Return the text in which a word is looked for."""
    return f"{uuid}{BETWEEN}{name}".lower()


def words_of(uuid: str, command: str | None, metadata: Mapping[str, Any]) -> str:
    """Return the text in which a word is looked for that may stand anywhere."""
    texts = [text for key, value in metadata.items() for text, _ in values_of(key, value)]
    return BETWEEN.join([uuid, command or "", *dict.fromkeys(texts)]).lower()
