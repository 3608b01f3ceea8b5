"""The search grammar ``q`` of the iffSamples API, as a tree.

Comparisons bind closer than ``not``, that closer than ``and``, that closer than ``or``; ``=`` is ``==`` everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .query_tokens import (
    Attribute,
    Day,
    Flag,
    Literal,
    Magnitude,
    Null,
    Operator,
    Reference,
    SearchInvalid,
    Tag,
    Text,
    Token,
    tokens,
)

__all__ = [
    "Comparison",
    "Contains",
    "FileNamed",
    "Items",
    "Not",
    "Query",
    "SearchInvalid",
    "Several",
    "Tagged",
    "parse",
]

# Together they stay below what the parser of SQLite takes.
DEEPEST_QUERY = 8
MOST_STEPS = 4
MOST_TERMS = 100

Path = tuple[str, ...]


@dataclass(frozen=True)
class Several:
    """All or any of some queries; all of none is true."""

    operator: str  # and, or
    parts: tuple[Query, ...]


@dataclass(frozen=True)
class Not:
    """The opposite, for objects (or items) that are there."""

    part: Query


@dataclass(frozen=True)
class Comparison:
    """An attribute and a literal of its type; ``operator`` is one of ``== != < <= > >=``.

    With ``Null`` it says whether there is such an attribute at all.
    """

    path: Path
    operator: str
    value: Text | Magnitude | Day | Flag | Null | Reference


@dataclass(frozen=True)
class Contains:
    """A text attribute that contains a text, in the same case."""

    path: Path
    text: str


@dataclass(frozen=True)
class FileNamed:
    """An object with a file whose name is, or contains, a text."""

    text: str
    is_part: bool


@dataclass(frozen=True)
class Tagged:
    """An object with a tag."""

    tag: str


@dataclass(frozen=True)
class Items:
    """An item at a path for which the query inside holds; paths inside begin at the item."""

    path: Path
    part: Query


Query = Several | Not | Comparison | Contains | FileNamed | Tagged | Items
_Operand = Query | Literal | Attribute

_COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}
_BINARY = {*_COMPARISONS, "in", "before", "after", "on", "and", "or"}
_OF_DAYS = {"before": "<", "after": ">", "on": "=="}
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "before": "after", "after": "before"}
_ALLOWED: dict[type, set[str]] = {
    Text: {"=="},
    Magnitude: _COMPARISONS,
    Day: {*_COMPARISONS, *_OF_DAYS},
    Flag: {"==", "!="},
    Null: {"==", "!="},
    Reference: {"=="},
}


def parse(text: str) -> Query:
    """Return the tree of a search; one without any words is of everything. ``SearchInvalid`` says what is wrong."""
    query = _Parser(list(tokens(text))).whole()
    if _steps(query) > MOST_STEPS:
        raise SearchInvalid(f"The search query must have at most {MOST_STEPS} references and items inside each other")
    return query


def _steps(query: Query) -> int:
    """Return how many references and items lie inside each other at most."""
    if isinstance(query, Several):
        return max(map(_steps, query.parts), default=0)
    if isinstance(query, Not):
        return _steps(query.part)
    if isinstance(query, (FileNamed, Tagged)):
        return 0
    own = sum(each.startswith("*") for each in query.path)
    return own + 1 + _steps(query.part) if isinstance(query, Items) else own


class _Parser:
    def __init__(self, words: list[Token]) -> None:
        self._words = words
        self._position = 0
        self._depth = 0
        self._terms = 0

    def whole(self) -> Query:
        if not self._words:
            return Several("and", ())
        query = self._either()
        if self._next() == Operator(")"):
            raise SearchInvalid("Unmatched closing parenthesis")
        if self._next() is not None:
            raise SearchInvalid("Invalid search query")
        return query

    def _next(self) -> Token | None:
        return self._words[self._position] if self._position < len(self._words) else None

    def _takes(self, *symbols: str) -> str | None:
        word = self._next()
        if isinstance(word, Operator) and word.symbol in symbols:
            self._position += 1
            return word.symbol
        return None

    # -- from the loosest to the tightest ------------------------------------------------------------------------

    def _either(self) -> Query:
        return self._several("or", self._both)

    def _both(self) -> Query:
        return self._several("and", self._maybe_not)

    def _several(self, operator: str, part: Callable[[], Query]) -> Query:
        parts = [part()]
        while self._takes(operator):
            self._demand_right()
            parts.append(part())
        return parts[0] if len(parts) == 1 else Several(operator, tuple(parts))

    def _maybe_not(self) -> Query:
        if not self._takes("not"):
            return self._comparison()
        word = self._next()
        if word is None or (isinstance(word, Operator) and word.symbol not in ("(", "not")):
            raise SearchInvalid("Unary operator without operand")
        return Not(self._deeper(self._maybe_not))

    def _comparison(self) -> Query:
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise SearchInvalid(f"The search query must have at most {MOST_TERMS} terms")
        left = self._operand()
        operator = self._takes(*(_BINARY - {"and", "or"}))
        if operator is None:
            return _alone(left)
        self._demand_right()
        query = _compared(left, operator, self._operand())
        if isinstance(word := self._next(), Operator) and word.symbol in _BINARY - {"and", "or"}:
            raise SearchInvalid("Invalid search query")
        return query

    def _operand(self) -> _Operand:
        word = self._next()
        if word is None:
            raise SearchInvalid("Unmatched opening parenthesis" if self._depth else "Invalid search query")
        self._position += 1
        if isinstance(word, Attribute) and word.opens:
            self._position += 1
            return Items(word.path, self._brackets())
        if not isinstance(word, Operator):
            return word
        if word.symbol == "(":
            return self._brackets()
        if word.symbol in _BINARY:
            raise SearchInvalid("Binary operator without left operand")
        raise SearchInvalid("Unmatched closing parenthesis" if not self._depth else "Invalid search query")

    def _brackets(self) -> Query:
        query = self._deeper(self._either)
        if not self._takes(")"):
            raise SearchInvalid("Invalid search query" if self._next() else "Unmatched opening parenthesis")
        return query

    def _deeper(self, part: Callable[[], Query]) -> Query:
        self._depth += 1
        if self._depth > DEEPEST_QUERY:
            raise SearchInvalid(f"The search query must be nested at most {DEEPEST_QUERY} deep")
        query = part()
        self._depth -= 1
        return query

    def _demand_right(self) -> None:
        word = self._next()
        if word is None or (isinstance(word, Operator) and word.symbol not in ("(", "not")):
            raise SearchInvalid("Binary operator without right operand")


def _alone(operand: _Operand) -> Query:
    if isinstance(operand, Attribute):
        return Comparison(operand.path, "==", Flag(True))
    if isinstance(operand, Tag):
        return Tagged(operand.tag)
    if isinstance(operand, (Text, Magnitude, Day, Flag, Null, Reference)):
        raise SearchInvalid("Unable to use literal as search query")
    return operand


def _compared(left: _Operand, operator: str, right: _Operand) -> Query:
    if operator == "in":
        if isinstance(left, Text) and isinstance(right, Attribute):
            is_file = right.path == ("file_name",)
            return FileNamed(left.text, is_part=True) if is_file else Contains(right.path, left.text)
        raise SearchInvalid("Unknown binary operation")
    if isinstance(right, Attribute) and not isinstance(left, Attribute):
        left, operator, right = right, _FLIPPED.get(operator, operator), left
    if (
        not isinstance(left, Attribute)
        or not isinstance(right, (Text, Magnitude, Day, Flag, Null, Reference))
        or operator not in _ALLOWED[type(right)]
    ):
        raise SearchInvalid("Unknown binary operation")
    if left.path == ("file_name",) and isinstance(right, Text):
        return FileNamed(right.text, is_part=False)
    return Comparison(left.path, _OF_DAYS.get(operator, operator), right)
