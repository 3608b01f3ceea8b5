"""Searches as conditions in SQL over the index of values; the same on SQLite and PostgreSQL.

A comparison is one look into an index on the attribute's pattern. Items of arrays and what references name are found
by further looks, each with the rows of the one before it. Objects that a reference names count only if they are the
caller's to read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timezone
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, not_, or_, select, true, tuple_
from sqlalchemy.sql.selectable import NamedFromClause

from ..accounts.service import Account
from ..json_values import is_storable
from ..permissions.service import Level, holds
from .query import Comparison, Contains, FileNamed, Items, Not, Path, Query, Several, Tagged, parse
from .query_tokens import Day, Flag, Magnitude, Null, Reference, Text
from .records import RESOURCE
from .tables import object_files, object_properties, objects

# What a simple search is not made of, unless it stands in quotation marks.
_GRAMMATICAL = set("=<>#&|")
# Quantities that differ by less, relatively, are the same: conversions between units round.
_ROUNDING = 1e-12

_Row = NamedFromClause
_Test = Callable[[_Row], ColumnElement[bool]]


@dataclass(frozen=True)
class _Scope:
    """Whose attributes are looked at: an object's, or those of the item at ``prefix`` and ``positions`` of it."""

    object_id: ColumnElement[int]
    prefix: Path = ()
    positions: ColumnElement[str] | None = None


def search(text: str, caller: Account, *, is_simple: bool = False) -> ColumnElement[bool]:
    """Return the condition on ``objects.id`` that a search means; ``SearchInvalid`` if it means nothing.

    A simple search with signs of the grammar is an advanced one, unless all of it stands in quotation marks. Whether
    the caller may read the objects that are found is not part of the condition.
    """
    if is_simple:
        is_quoted = len(text) > 1 and text.startswith('"') and text.endswith('"')
        if is_quoted or not _GRAMMATICAL & set(text):
            return contains_anywhere(text[1:-1] if is_quoted else text)
    return _Compiler(caller).of(parse(text), _Scope(objects.c.id))


def contains_anywhere(text: str) -> ColumnElement[bool]:
    """Return the condition that any text of an object contains ``text``, whatever the case of letters."""
    if not text:
        return true()
    if not is_storable(text):
        return false()
    values = object_properties.alias()
    wanted = text.lower()
    folded: ColumnElement[str] = func.lower(values.c.text)
    # The lower() of SQLite knows the letters of ASCII only.
    for letter in sorted({each for each in wanted if not each.isascii() and each.upper().lower() == each}):
        folded = func.replace(folded, letter.upper(), letter)
    return objects.c.id.in_(select(values.c.object_id).where(_contains(folded, wanted)))


class _Compiler:
    def __init__(self, caller: Account) -> None:
        self._caller = caller

    def of(self, query: Query, scope: _Scope) -> ColumnElement[bool]:
        """Return what a query means in a scope."""
        if isinstance(query, Several):
            parts = [self.of(each, scope) for each in query.parts]
            return or_(*parts) if query.operator == "or" else and_(true(), *parts)
        if isinstance(query, Not):
            return not_(self.of(query.part, scope))
        if isinstance(query, Tagged):
            values = object_properties.alias()
            tagged = and_(values.c.kind == "tag", values.c.text == query.tag)
            return scope.object_id.in_(select(values.c.object_id).where(tagged))
        if isinstance(query, FileNamed):
            return scope.object_id.in_(_with_file(query))
        if isinstance(query, Items):
            return self._items(query, scope)
        if isinstance(query, Contains):
            return self._has(
                query.path, scope, lambda row: and_(row.c.kind == "text", _contains(row.c.text, query.text))
            )
        if isinstance(query.value, Null):
            is_there = self._has(query.path, scope, lambda row: true())
            return not_(is_there) if query.operator == "==" else is_there
        return self._has(query.path, scope, lambda row: _fits(query, row))

    def _items(self, query: Items, scope: _Scope) -> ColumnElement[bool]:
        if query.path[-1].startswith("*"):
            # All of what a reference names is the item.
            return self._has(query.path, scope, lambda row: self._names(row, lambda named: self.of(query.part, named)))
        # Behind a reference, another object's scope begins.
        own = max((index + 1 for index, each in enumerate(query.path) if each.startswith("*")), default=0)
        prefix = (scope.prefix if own == 0 else ()) + query.path[own:]
        return self._has(
            query.path, scope, lambda row: self.of(query.part, _Scope(row.c.object_id, prefix, row.c.positions))
        )

    def _has(self, path: Path, scope: _Scope, test: _Test) -> ColumnElement[bool]:
        """Return the condition that a value at ``path`` passes the test, perhaps that of a referenced object."""
        first = next((index for index, each in enumerate(path) if each.startswith("*")), len(path) - 1)
        here, rest = (*path[:first], path[first].removeprefix("*")), path[first + 1 :]
        if not rest:
            return _is_at(here, scope, test)
        return _is_at(here, scope, lambda row: self._names(row, lambda named: self._has(rest, named, test)))

    def _names(self, row: _Row, test: Callable[[_Scope], ColumnElement[bool]]) -> ColumnElement[bool]:
        return and_(
            row.c.kind == "reference",
            holds(RESOURCE, row.c.reference_id, self._caller, Level.READ),
            test(_Scope(row.c.reference_id)),
        )


def _is_at(path: Path, scope: _Scope, test: _Test) -> ColumnElement[bool]:
    row = object_properties.alias()
    whole = (*scope.prefix, *path)
    positions = [each for each in whole if _is_position(each)]
    is_it = [row.c.pattern == ".".join("?" if _is_position(each) else each for each in whole), test(row)]
    if any(each != "?" for each in positions):
        # The pattern says how many positions there are, so that each % stands for one.
        is_it.append(row.c.positions.like(".".join("%" if each == "?" else str(int(each)) for each in positions)))
    outer = sum(map(_is_position, scope.prefix))
    if scope.positions is None or outer == 0:
        return scope.object_id.in_(select(row.c.object_id).where(*is_it).correlate_except(row))
    if outer == len(positions):
        item = tuple_(scope.object_id, scope.positions)
        return item.in_(select(row.c.object_id, row.c.positions).where(*is_it).correlate_except(row))
    # An array inside an item: its rows have more positions than the item.
    is_it += [row.c.object_id == scope.object_id, row.c.positions.like(scope.positions.concat(".%"))]
    return exists(select(row.c.id).where(*is_it).correlate_except(row))


def _is_position(segment: str) -> bool:
    return segment == "?" or segment.isdecimal()


def _fits(query: Comparison, row: _Row) -> ColumnElement[bool]:
    value, operator = query.value, query.operator
    if isinstance(value, Text):
        return and_(row.c.kind == "text", row.c.text == value.text)
    if isinstance(value, Magnitude):
        rounding = abs(value.number) * _ROUNDING
        is_so = _compare(row.c.number, operator, value.number - rounding, value.number + rounding)
        return and_(row.c.dimensionality == value.dimensionality, is_so)
    if isinstance(value, Day):
        first = datetime.combine(value.day, time(), timezone.utc)
        last = datetime.combine(value.day, time.max, timezone.utc)
        return and_(row.c.kind == "datetime", _compare(row.c.moment, operator, first, last))
    if isinstance(value, Flag):
        return row.c.flag.is_(value.flag if operator == "==" else not value.flag)
    if isinstance(value, Reference):
        return and_(row.c.kind.in_(("reference", "user")), row.c.reference_id == value.id)
    raise AssertionError(value)


def _compare(column: ColumnElement[Any], operator: str, least: Any, most: Any) -> ColumnElement[bool]:
    """Compare with what lasts from ``least`` to ``most``: a rounded number, a day."""
    if operator == "==":
        return column.between(least, most)
    if operator == "!=":
        return or_(column < least, column > most)
    return {"<": column < least, "<=": column <= most, ">": column > most, ">=": column >= least}[operator]


def _contains(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    # LIKE ignores case on one database, and the functions that find a text have a name of their own on each.
    return func.replace(column, text, "") != column if text else column.is_not(None)


def _with_file(query: FileNamed) -> Select[Any]:
    name = object_files.c.original_file_name
    is_it = _contains(name, query.text) if query.is_part else name == query.text
    return select(object_files.c.object_id).where(is_it)
