"""Values as short, harmless text for people: what displays of all kinds are made of."""

from __future__ import annotations

import math
import unicodedata
from html import escape
from typing import Any

LONGEST_TEXT = 200
_UNITS = ("B", "kB", "MB", "GB", "TB")
_COUNTS = ((1e9, "billion"), (1e6, "million"))
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN", "RLE", "RLO", "LRE", "LRO", "PDF", "RLI", "LRI", "FSI", "PDI"})


def clean(value: Any, longest: int = LONGEST_TEXT) -> str:
    """Return a value as one line of bearable length, without characters that steer instead of being shown."""
    text = "" if value is None else str(value)
    if len(text) > longest:
        text = f"{text[: longest - 1]}…"
    return text if text.isprintable() else "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    return " " if kind in ("Cc", "Zl", "Zp") else character


shortened = clean


def html(value: Any, longest: int = LONGEST_TEXT) -> str:
    """Return a value escaped for HTML; text that runs from right to left is kept from turning what stands beside it."""
    text = clean(value, longest)
    escaped = escape(text, quote=True)
    return f"<bdi>{escaped}</bdi>" if turns(text) else escaped


def turns(text: str) -> bool:
    """Whether some of the text runs from right to left, or says so."""
    return not text.isascii() and any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in text)


def plain(value: Any, longest: int = LONGEST_TEXT) -> str:
    """Return a value for a terminal, where nothing may steer the direction either."""
    text = clean(value, longest)
    return "".join(each for each in text if unicodedata.category(each) != "Cf")


def columns_of(text: str) -> int:
    """Return how many columns of letters a text takes; wide letters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def fitted(text: str, columns: int) -> str:
    """Return the beginning of a text that takes at most so many columns of letters."""
    taken = 0
    for place, character in enumerate(text):
        taken += columns_of(character)
        if taken > columns:
            return f"{text[: max(place - 1, 0)]}…"
    return text


def size_text(size: int | None) -> str:
    """Return a number of bytes for people."""
    if size is None:
        return ""
    number, unit = _scaled(size)
    return f"{_short(number, unit)} {unit}"


def sizes_text(low: int, high: int) -> str:
    """Return a range of bytes for people: ``290–390 MB``."""
    (first, unit), (last, other) = _scaled(low), _scaled(high)
    ends = f"{_short(first, unit)}{'' if unit == other else f' {unit}'}"
    return f"{ends}–{_short(last, other)} {other}"


def _scaled(size: int) -> tuple[float, str]:
    number, unit = float(size), _UNITS[0]
    for larger in _UNITS[1:]:
        if number < 999.5:
            break
        number, unit = number / 1000, larger
    return number, unit


def _short(number: float, unit: str) -> str:
    return f"{number:.0f}" if unit == "B" or number >= 100 else f"{number:.3g}"


def rows_text(rows: int) -> str:
    """Return a number of rows for people: ``1.2 million rows``."""
    for least, word in _COUNTS:
        if rows >= least:
            return f"{rows / least:.3g} {word} rows"
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def counted(number: int, thing: str) -> str:
    """Return a number of things for people: ``1 table``, ``2,000 tables``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def number_text(value: float) -> str:
    """Return a number of a column for people: short, and exact where it is short by itself."""
    if isinstance(value, int):
        if abs(value) < 10_000:
            return str(value)  # it may be a year
        return f"{value:,}" if abs(value) < 10**9 else f"{value:.3g}" if abs(value) < 10**300 else "…"
    if not math.isfinite(value):
        return str(value)
    return number_text(int(value)) if value == int(value) and abs(value) < 1e9 else f"{value:.4g}"


def share_text(part: int, whole: int) -> str:
    """Return a part of a whole as percent; a small part is not rounded to none, nor a large one to all."""
    if not part or whole <= 0:
        return "0 %"
    share = 100 * part / whole
    if share < 0.1:
        return "< 0.1 %"
    if share > 99.9:
        return "100 %" if part >= whole else "> 99.9 %"
    return f"{share:.1f} %" if share < 10 or share > 99 else f"{share:.0f} %"
