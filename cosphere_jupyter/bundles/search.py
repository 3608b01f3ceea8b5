"""Searches for bundles as SQL: the conditions of keywords, the order and the window, and what a reader may see.

Metadata are compared in the table of their values, by its indexes: numbers as numbers, texts as texts. Who owns a
bundle that is anonymous is no way to find it. Source: the CodaLab REST API's semantics, section 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Text, and_, cast, exists, false, func, literal, or_, select

from ..accounts.groups import find_group, subject_of_group
from ..accounts.profiles import account_id_of, account_named
from ..accounts.service import Account
from ..json_values import LARGEST_ID
from ..permissions.service import Level, resources_given_to, resources_of_groups
from .access import RESOURCE, WORKSHEET, may_read
from .metadata_index import number_of
from .metadata_keys import EVERY_KEY
from .problems import Missing
from .search_terms import Condition, Created, Field, Flag, Pattern, Search, Word, format_value, parse
from .tables import bundle_dependencies, bundle_metadata, bundles, worksheet_items, worksheets

_ESCAPE = "\\"
_TEXT_COLUMNS = {
    "uuid": bundles.c.uuid,
    "state": bundles.c.state,
    "command": bundles.c.command,
    "bundle_type": bundles.c.bundle_type,
    "name": bundles.c.name,
}
_NUMBER_COLUMNS = {"id": bundles.c.id, "data_size": bundles.c.data_size}
_ORDERS = {**_TEXT_COLUMNS, **_NUMBER_COLUMNS, "owner_id": bundles.c.owner_id, "created": bundles.c.created_at}


def search_bundles(connection: Connection, keywords: Sequence[str], reader: Account | None) -> list[str] | float | str:
    """Return the uuids that keywords find, in order; of an aggregate, its number or the text of it."""
    search = parse(keywords)
    compiler = _Compiler(connection, reader)
    conditions = [may_read(bundles.c.id, reader), *map(compiler.of, search.conditions)]
    if search.is_aggregate:
        return _aggregate(connection, search, conditions)
    query = _window(_ordered(select(bundles.c.uuid).where(*conditions), search), search)
    return [str(uuid) for uuid in connection.execute(query).scalars()]


def _aggregate(connection: Connection, search: Search, conditions: Sequence[ColumnElement[bool]]) -> float | str:
    query = select(bundles.c.id).where(*conditions)
    is_windowed = search.limit is not None or search.offset > 0
    if is_windowed:
        query = _window(_ordered(query, search), search)
    found = query.subquery()
    key = search.sum_of
    if key is None:
        total = select(func.count()).select_from(found)
    elif key in _NUMBER_COLUMNS:
        total = select(func.sum(_NUMBER_COLUMNS[key])).where(bundles.c.id.in_(select(found.c.id)))
        if not is_windowed:
            total = select(func.sum(_NUMBER_COLUMNS[key])).where(*conditions)
    else:
        is_value = and_(bundle_metadata.c.key == key, bundle_metadata.c.number.is_not(None))
        total = select(func.sum(bundle_metadata.c.number)).where(is_value)
        total = total.where(bundle_metadata.c.bundle_id.in_(select(found.c.id)))
    value: float = connection.execute(total).scalar() or 0
    if float(value).is_integer() and not _is_fraction(key):
        value = int(value)
    return format_value(value, search.format)


def _is_fraction(key: str | None) -> bool:
    return key in EVERY_KEY and EVERY_KEY[str(key)].type is float


def _ordered(query: Select[Any], search: Search) -> Select[Any]:
    """Return the query in the order that is asked for; bundles without the value that orders are not found."""
    column: ColumnElement[Any] | None = _ORDERS.get(search.order_by)
    if column is None:
        first = (
            select(bundle_metadata.c.bundle_id, func.min(bundle_metadata.c.number).label("number"))
            .where(bundle_metadata.c.key == search.order_by)
            .group_by(bundle_metadata.c.bundle_id)
            .subquery()
        )
        query = query.join(first, first.c.bundle_id == bundles.c.id)
        column = first.c.number
    if search.descending:
        return query.order_by(column.desc().nulls_last(), bundles.c.id.desc())
    return query.order_by(column.asc().nulls_first(), bundles.c.id)


def _window(query: Select[Any], search: Search) -> Select[Any]:
    # Without a limit SQLite takes no offset.
    limit = LARGEST_ID if search.limit is None and search.offset else search.limit
    return query.limit(limit).offset(search.offset or None)


class _Compiler:
    """Makes conditions on rows of the bundles table; what names somebody or a group is looked up at once."""

    def __init__(self, connection: Connection, reader: Account | None) -> None:
        self._connection = connection
        self._reader = reader
        self._relations: dict[str, Callable[[Field], ColumnElement[bool]]] = {
            "owner": self._owner,
            "owner_id": self._owner_id,
            "group": self._group,
            "host_worksheet": self._host_worksheet,
            "dependency": lambda asked: self._dependency(asked, None),
        }

    def of(self, condition: Condition) -> ColumnElement[bool]:
        if isinstance(condition, Word):
            return _everywhere(condition.pattern) if condition.everywhere else _uuid_or_name(condition.pattern)
        if isinstance(condition, Flag):
            return self._flag(condition.name)
        if isinstance(condition, Created):
            return _created(condition)
        if condition.key in self._relations:
            return self._relations[condition.key](condition)
        if condition.key.startswith("dependency/"):
            return self._dependency(condition, condition.key.partition("/")[2])
        if condition.key in _TEXT_COLUMNS:
            return _any_of(_TEXT_COLUMNS[condition.key], condition.values)
        if condition.key in _NUMBER_COLUMNS:
            return _any_number(condition.key, condition.values)
        return _metadata(condition)

    def _flag(self, name: str) -> ColumnElement[bool]:
        if name == "floating":
            return ~exists().where(worksheet_items.c.bundle_uuid == bundles.c.uuid)
        if self._reader is None:
            return false()
        if name == "mine":
            return bundles.c.owner_id == self._reader.id
        return bundles.c.id.in_(resources_of_groups(literal(self._reader.id), RESOURCE, Level.READ))

    def _owner(self, asked: Field) -> ColumnElement[bool]:
        names = [each.exact for each in asked.values if each.exact is not None]
        return self._owned_by(account_named(self._connection, name) for name in names)

    def _owner_id(self, asked: Field) -> ColumnElement[bool]:
        return self._owned_by(account_id_of(each.exact) for each in asked.values if each.exact is not None)

    def _owned_by(self, ids: Iterable[int | None]) -> ColumnElement[bool]:
        is_owner = bundles.c.owner_id.in_([each for each in ids if each is not None])
        if self._reader is not None and self._reader.is_admin:
            return is_owner
        mine = self._reader.id if self._reader else 0
        return and_(is_owner, or_(bundles.c.is_anonymous.is_(False), bundles.c.owner_id == mine))

    def _group(self, asked: Field) -> ColumnElement[bool]:
        conditions = []
        for each in asked.values:
            name = "%".join(each.parts)
            group = find_group(self._connection, name, self._reader)
            subject = subject_of_group(self._connection, group.uuid)
            if subject is None:
                raise Missing(f"Found no group with name {name!r}")
            conditions.append(bundles.c.id.in_(resources_given_to(RESOURCE, subject, Level.READ)))
        return or_(*conditions)

    def _host_worksheet(self, asked: Field) -> ColumnElement[bool]:
        hosted = select(worksheet_items.c.bundle_uuid).join_from(
            worksheet_items, worksheets, worksheets.c.id == worksheet_items.c.worksheet_id
        )
        is_it = and_(_any_of(worksheets.c.uuid, asked.values), may_read(worksheets.c.id, self._reader, WORKSHEET))
        return bundles.c.uuid.in_(hosted.where(is_it, worksheet_items.c.bundle_uuid.is_not(None)))

    def _dependency(self, asked: Field, child_path: str | None) -> ColumnElement[bool]:
        children = select(bundle_dependencies.c.bundle_id).where(
            _any_of(bundle_dependencies.c.parent_uuid, asked.values)
        )
        if child_path is not None:
            children = children.where(bundle_dependencies.c.child_path == child_path)
        return bundles.c.id.in_(children)


def _uuid_or_name(pattern: Pattern) -> ColumnElement[bool]:
    return or_(_matches(bundles.c.uuid, pattern), _matches(bundles.c.name, pattern))


def _everywhere(pattern: Pattern) -> ColumnElement[bool]:
    values = select(bundle_metadata.c.bundle_id).where(_matches(bundle_metadata.c.value, pattern))
    return or_(_matches(bundles.c.uuid, pattern), _matches(bundles.c.command, pattern), bundles.c.id.in_(values))


def _created(asked: Created) -> ColumnElement[bool]:
    # What is shown of the instant is whole seconds, and these count.
    second = asked.moment.replace(microsecond=0)
    if asked.is_before:
        return bundles.c.created_at < second + timedelta(seconds=1)
    return bundles.c.created_at >= (second if second == asked.moment else second + timedelta(seconds=1))


def _metadata(asked: Field) -> ColumnElement[bool]:
    key, values = asked.key, bundle_metadata.c
    alternatives = [_any_of(values.value, asked.values)]
    numbers = [] if key not in EVERY_KEY or key in ("tags", "description") else _numbers(key, asked.values)
    if numbers:
        alternatives.append(values.number.in_(numbers))
    return bundles.c.id.in_(select(values.bundle_id).where(values.key == key, or_(*alternatives)))


def _any_number(key: str, patterns: Sequence[Pattern]) -> ColumnElement[bool]:
    column = _NUMBER_COLUMNS[key]
    wild = [_matches(cast(column, Text), each) for each in patterns if each.exact is None]
    whole = [int(each) for each in _numbers(key, patterns) if each.is_integer() and abs(each) <= LARGEST_ID]
    return or_(column.in_(whole), *wild)


def _numbers(key: str, patterns: Sequence[Pattern]) -> list[float]:
    """Return the numbers that values without a wildcard mean; true and false are numbers, too."""
    flags = {"true": 1.0, "false": 0.0} if key in EVERY_KEY and EVERY_KEY[key].type is bool else {}
    texts = [each.exact for each in patterns if each.exact is not None]
    numbers = [flags.get(each.lower(), number_of(key, each)) for each in texts]
    return [each for each in numbers if each is not None and math.isfinite(each)]


def _any_of(column: ColumnElement[str], patterns: Sequence[Pattern]) -> ColumnElement[bool]:
    """Return the condition that a text is, or matches, any of some values."""
    exact = [each.exact for each in patterns if each.exact is not None]
    wild = [_matches(column, each) for each in patterns if each.exact is None]
    return or_(*([column.in_(exact)] if exact else []), *wild)


def _matches(column: ColumnElement[str], pattern: Pattern) -> ColumnElement[bool]:
    """Return the condition that a text matches a pattern, whatever the case of letters."""
    if not any(pattern.parts):
        return column.is_not(None)
    escaped = [
        part.lower().replace(_ESCAPE, _ESCAPE * 2).replace("%", f"{_ESCAPE}%").replace("_", f"{_ESCAPE}_")
        for part in pattern.parts
    ]
    folded: ColumnElement[str] = func.lower(column)
    # The lower() of SQLite knows the letters of ASCII only.
    letters = {letter for part in pattern.parts for letter in part.lower() if not letter.isascii()}
    for letter in sorted(each for each in letters if len(each.upper()) == 1 and each.upper().lower() == each):
        folded = func.replace(folded, letter.upper(), letter)
    return folded.like("%".join(escaped), escape=_ESCAPE)
