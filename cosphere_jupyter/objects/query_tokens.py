"""The words of the search grammar: operators, literals and paths of attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from ..errors import QueryInvalid
from ..json_values import is_storable
from .quantities import UnitsInvalid, to_base, units_of

LONGEST_QUERY = 2_000


class SearchInvalid(QueryInvalid):
    """A search is none; ``text`` says why, without the ``Error:`` that the published API puts before it."""

    def __init__(self, text: str) -> None:
        super().__init__({"q": [text]})
        self.text = text

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Operator:
    """``(``, ``)``, ``not``, ``and``, ``or``, ``in``, ``before``, ``after``, ``on`` or a comparison."""

    symbol: str


@dataclass(frozen=True)
class Text:
    """What stands between quotation marks."""

    text: str


@dataclass(frozen=True)
class Magnitude:
    """A quantity in base units."""

    number: float
    dimensionality: str


@dataclass(frozen=True)
class Day:
    """A date: the whole day, UTC."""

    day: date


@dataclass(frozen=True)
class Flag:
    """True or false."""

    flag: bool


@dataclass(frozen=True)
class Null:
    """What is missing."""


@dataclass(frozen=True)
class Reference:
    """The id of an object or a user."""

    id: int


@dataclass(frozen=True)
class Tag:
    """A tag."""

    tag: str


@dataclass(frozen=True)
class Attribute:
    """The path of an attribute: names, positions as digits, ``?`` for any position, ``*name`` for what is named there.

    ``opens`` is set where brackets follow: ``layers.?.(…)``.
    """

    path: tuple[str, ...]
    opens: bool = False


Literal = Text | Magnitude | Day | Flag | Null | Reference | Tag
Token = Operator | Literal | Attribute

_SAME = {"=": "==", "!": "not", "&&": "and", "||": "or"}
_SYMBOL = re.compile(r"\(|\)|==|!=|<=|>=|&&|\|\||[=<>!]")
_WORDS = {"in", "after", "on", "before", "not", "and", "or"}
_WORD = re.compile(r"[^\W\d]\w*")
_PATH = re.compile(r"[\w?*][\w?*.]*")
_SEGMENT = re.compile(r"\?|\d{1,9}|\*?[^\W\d]\w*")
_HASH = re.compile(r"#([a-z0-9_\-äöüß]+)", re.IGNORECASE)
_DATES = (
    (re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?![\w.-])", re.ASCII), "%Y-%m-%d"),
    (re.compile(r"\d{1,2}/\d{1,2}/\d{4}(?![\w./])", re.ASCII), "%m/%d/%Y"),
    (re.compile(r"\d{1,2}\.\d{1,2}\.\d{4}(?![\w.])", re.ASCII), "%d.%m.%Y"),
)
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,4}(?!\w))?", re.ASCII)
_UNIT = re.compile(r"\s*(?:[^\W\d]\w*|[°%]\w*|1(?![\w.]))[²³]?(?:\s*(?:\*\*|\^)\s*-?\d+(?:\.\d+)?)?")
_TIMES = re.compile(r"\s*[*/·⋅]")


def tokens(query: str) -> Iterator[Token]:
    """Yield the words of a query; ``SearchInvalid`` for what is none."""
    if len(query) > LONGEST_QUERY:
        raise SearchInvalid(f"The search query must be at most {LONGEST_QUERY} characters long")
    if not is_storable(query):
        raise SearchInvalid("The search query must be free of null characters and of halves of characters")
    position = 0
    while True:
        while position < len(query) and query[position].isspace():
            position += 1
        if position == len(query):
            return
        token, position = _token(query, position)
        yield token


def _token(query: str, start: int) -> tuple[Token, int]:
    if query[start] == '"':
        end = query.find('"', start + 1)
        if end < 0:
            raise SearchInvalid("Unfinished text")
        return Text(query[start + 1 : end]), end + 1
    if symbol := _SYMBOL.match(query, start):
        return Operator(_SAME.get(symbol[0], symbol[0])), symbol.end()
    if query[start] == "#":
        return _hash(query, start)
    for pattern, form in _DATES:
        if found := pattern.match(query, start):
            return Day(_day(found[0], form)), found.end()
    if number := _NUMBER.match(query, start):
        return _magnitude(query, number)
    return _word(query, start)


def _hash(query: str, start: int) -> tuple[Token, int]:
    found = _HASH.match(query, start)
    if not found:
        raise SearchInvalid(f"Unable to understand: {_rest(query, start)}")
    tag = found[1].lower()
    if re.fullmatch("[0-9]+", tag):
        if len(tag) > 15:
            raise SearchInvalid("Invalid reference")
        return Reference(int(tag)), found.end()
    return Tag(tag), found.end()


def _day(text: str, form: str) -> date:
    try:
        return datetime.strptime(text, form).date()
    except ValueError:
        raise SearchInvalid(f"Invalid date: {text}") from None


def _magnitude(query: str, number: re.Match[str]) -> tuple[Token, int]:
    end = _end_of_units(query, number.end())
    text = query[number.end() : end].strip()
    try:
        units = units_of(text)
        return Magnitude(float(to_base(float(number[0]), units)), units.dimensionality), end
    except UnitsInvalid:
        raise SearchInvalid(f"Invalid/Unknown units: {text[:40]}") from None
    except (OverflowError, ValueError, ArithmeticError):
        raise SearchInvalid("Number out of range") from None


def _end_of_units(query: str, start: int) -> int:
    """Return where the units behind a number end: before the next operator. Brackets belong to them after * and /."""
    end = position = start
    depth, is_factor = 0, True
    while position < len(query):
        times = _TIMES.match(query, position)
        unit = _UNIT.match(query, position)
        if unit and unit[0].strip() not in _WORDS:
            position, is_factor = unit.end(), False
        elif times:
            position, is_factor = times.end(), True
            bracket = re.compile(r"\s*\(").match(query, position)
            if bracket:
                position, depth = bracket.end(), depth + 1
            continue
        elif depth and not is_factor and (closing := re.compile(r"\s*\)").match(query, position)):
            position, depth = closing.end(), depth - 1
        else:
            break
        if depth == 0:
            end = position
    return end


def _word(query: str, start: int) -> tuple[Token, int]:
    found = _PATH.match(query, start)
    if not found:
        raise SearchInvalid(f"Unable to understand: {_rest(query, start)}")
    text = found[0]
    if text in _WORDS:
        return Operator(text), found.end()
    if text == "null":
        return Null(), found.end()
    if text.lower() in ("true", "false"):
        return Flag(text.lower() == "true"), found.end()
    opens = text.endswith(".") and query[found.end() : found.end() + 1] == "("
    path = tuple(text.removesuffix(".").split(".") if opens else text.split("."))
    if not all(_SEGMENT.fullmatch(each) for each in path):
        raise SearchInvalid(f"Invalid attribute name: {text[:40]}")
    return Attribute(path, opens), found.end()


def _rest(query: str, start: int) -> str:
    return query[start : start + 40]
