"""Conditions of a search as SQL on rows of the bundles table, each with a query by which an index finds its bundles.

Texts are compared whatever the case of letters where a wildcard stands, or a part of them is looked for. Pieces of
three letters and more are found in the index of the bundles' words. Who owns a bundle that is anonymous is no way to
find it. Source: the CodaLab REST API's semantics, section 6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    cast,
    exists,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    table,
)
from sqlalchemy import column as named_column

from ..accounts.groups import find_group, subject_of_group
from ..accounts.profiles import account_id_of, account_named
from ..accounts.service import Account
from ..json_values import LARGEST_ID
from ..permissions.service import Level, resources_given_to, resources_of_groups
from .access import RESOURCE, WORKSHEET, may_read
from .metadata_index import number_of
from .metadata_keys import EVERY_KEY
from .problems import Missing
from .search_terms import Condition, Created, Field, Flag, Pattern, Word
from .tables import bundle_dependencies, bundle_metadata, bundle_words, bundles, worksheet_items, worksheets

TEXT_COLUMNS = {
    "uuid": bundles.c.uuid,
    "state": bundles.c.state,
    "command": bundles.c.command,
    "bundle_type": bundles.c.bundle_type,
    "name": bundles.c.name,
}
NUMBER_COLUMNS = {"id": bundles.c.id, "data_size": bundles.c.data_size}
_INDEXED = ("uuid", "state", "name")
_ESCAPE = "\\"
# The index of words knows pieces of three letters; more than so many of one text make it slower, not better.
_PIECE, _LONGEST_PHRASE = 3, 60
_words_index = table("bundle_words_index", named_column("rowid"))


@dataclass(frozen=True)
class Clause:
    """A condition on a row of the bundles table.

    ``ids`` is a query of the ids of all bundles for which it holds, and perhaps of some more unless it ``is_exact``;
    None if no index helps. What ``is_own`` holds for the caller's own bundles only.
    """

    check: ColumnElement[bool]
    ids: Select[Any] | None = None
    is_exact: bool = False
    is_own: bool = False


class Compiler:
    """Makes clauses of conditions; what names somebody or a group is looked up at once."""

    def __init__(self, connection: Connection, reader: Account | None) -> None:
        self._connection = connection
        self._reader = reader
        self._relations: dict[str, Callable[[Field], Clause]] = {
            "owner": self._owner,
            "owner_id": self._owner_id,
            "group": self._group,
            "host_worksheet": self._host_worksheet,
            "dependency": lambda asked: self._dependency(asked, None),
        }

    def of(self, condition: Condition) -> Clause:
        """Return the clause of a condition; an error of accounts if it names a group that there is not."""
        if isinstance(condition, Word):
            return _everywhere(condition.pattern) if condition.everywhere else _uuid_or_name(condition.pattern)
        if isinstance(condition, Flag):
            return self._flag(condition.name)
        if isinstance(condition, Created):
            return _with_ids(_created(condition))
        if condition.key in self._relations:
            return self._relations[condition.key](condition)
        if condition.key.startswith("dependency/"):
            return self._dependency(condition, condition.key.partition("/")[2])
        if condition.key in TEXT_COLUMNS:
            return _text_column(condition)
        if condition.key in NUMBER_COLUMNS:
            return Clause(_any_number(condition.key, condition.values))
        return _metadata(condition)

    def _flag(self, name: str) -> Clause:
        if name == "floating":
            return Clause(~exists().where(worksheet_items.c.bundle_uuid == bundles.c.uuid))
        if self._reader is None:
            return Clause(false())
        if name == "mine":
            return replace(_with_ids(bundles.c.owner_id == self._reader.id), is_own=True)
        return Clause(bundles.c.id.in_(resources_of_groups(literal(self._reader.id), RESOURCE, Level.READ)))

    def _owner(self, asked: Field) -> Clause:
        names = [each.exact for each in asked.values if each.exact is not None]
        return self._owned_by(account_named(self._connection, name) for name in names)

    def _owner_id(self, asked: Field) -> Clause:
        return self._owned_by(account_id_of(each.exact) for each in asked.values if each.exact is not None)

    def _owned_by(self, ids: Iterable[int | None]) -> Clause:
        is_owner = bundles.c.owner_id.in_([each for each in ids if each is not None])
        if self._reader is not None and self._reader.is_admin:
            return _with_ids(is_owner)
        mine = self._reader.id if self._reader else 0
        is_told = or_(bundles.c.is_anonymous.is_(False), bundles.c.owner_id == mine)
        return Clause(and_(is_owner, is_told), select(bundles.c.id).where(is_owner))

    def _group(self, asked: Field) -> Clause:
        conditions = []
        for each in asked.values:
            name = "%".join(each.parts)
            group = find_group(self._connection, name, self._reader)
            subject = subject_of_group(self._connection, group.uuid)
            if subject is None:
                raise Missing(f"Found no group with name {name!r}")
            conditions.append(bundles.c.id.in_(resources_given_to(RESOURCE, subject, Level.READ)))
        return Clause(or_(*conditions))

    def _host_worksheet(self, asked: Field) -> Clause:
        hosted = select(worksheet_items.c.bundle_uuid).join_from(
            worksheet_items, worksheets, worksheets.c.id == worksheet_items.c.worksheet_id
        )
        is_it = and_(_any_of(worksheets.c.uuid, asked.values), may_read(worksheets.c.id, self._reader, WORKSHEET))
        return Clause(bundles.c.uuid.in_(hosted.where(is_it, worksheet_items.c.bundle_uuid.is_not(None))))

    def _dependency(self, asked: Field, child_path: str | None) -> Clause:
        children = select(bundle_dependencies.c.bundle_id).where(
            _any_of(bundle_dependencies.c.parent_uuid, asked.values)
        )
        if child_path is not None:
            children = children.where(bundle_dependencies.c.child_path == child_path)
        return Clause(bundles.c.id.in_(children), children)


def _with_ids(check: ColumnElement[bool]) -> Clause:
    return Clause(check, select(bundles.c.id).where(check), is_exact=True)


def with_pieces(patterns: Sequence[Pattern], column: str) -> Select[Any] | None:
    """Return a query of the bundles in whose words all pieces of one of the patterns stand; None if one has none."""
    alternatives = []
    for pattern in patterns:
        pieces = [part.lower()[:_LONGEST_PHRASE] for part in pattern.parts]
        phrases = [f'"{piece.replace(chr(34), chr(34) * 2)}"' for piece in pieces if len(piece) >= _PIECE]
        if not phrases:
            return None
        alternatives.append(f"({' AND '.join(phrases)})")
    asked = f"{column} : ({' OR '.join(alternatives)})"
    return select(_words_index.c.rowid).where(literal_column("bundle_words_index").op("MATCH")(asked))


def _is_one_piece(pattern: Pattern) -> bool:
    """Whether finding the pieces of a pattern is finding the pattern."""
    texts = [part for part in pattern.parts if part]
    return len(texts) == 1 and len(texts[0].lower()) <= _LONGEST_PHRASE


def _uuid_or_name(pattern: Pattern) -> Clause:
    check = or_(_matches(bundles.c.uuid, pattern), _matches(bundles.c.name, pattern))
    if not any(pattern.parts):
        return Clause(check)
    words = bundle_words.c
    # The column's own index is enough for what is too short for the index of pieces.
    of_label = select(words.bundle_id).where(*(func.instr(words.label, part.lower()) > 0 for part in pattern.parts))
    ids = with_pieces([pattern], "label")
    return Clause(check, of_label if ids is None else ids, is_exact=_is_one_piece(pattern))


def _everywhere(pattern: Pattern) -> Clause:
    ids = with_pieces([pattern], "words")
    texts = [part for part in pattern.parts if part]
    if len(texts) == 1:
        has_it = func.instr(bundle_words.c.words, texts[0].lower()) > 0
        check = exists().where(bundle_words.c.bundle_id == bundles.c.id, has_it)
        return Clause(check, ids, is_exact=_is_one_piece(pattern))
    is_value = and_(bundle_metadata.c.bundle_id == bundles.c.id, _matches(bundle_metadata.c.value, pattern))
    columns = [_matches(column, pattern) for column in (bundles.c.uuid, bundles.c.command)]
    return Clause(or_(*columns, exists().where(is_value)), ids)


def _text_column(asked: Field) -> Clause:
    column = TEXT_COLUMNS[asked.key]
    check = _any_of(column, asked.values)
    is_exact = all(each.exact is not None for each in asked.values)
    if asked.key in _INDEXED and is_exact:
        return _with_ids(check)
    if asked.key == "uuid" and all(not any(each.parts[1:]) for each in asked.values):
        # Beginnings of uuids: "g" comes after all digits.
        starts = [each.parts[0].lower() for each in asked.values]
        return Clause(check, select(bundles.c.id).where(or_(*(column.between(each, f"{each}g") for each in starts))))
    words = {"uuid": "label", "name": "label", "command": "words"}.get(asked.key)
    return Clause(check, None if words is None else with_pieces(asked.values, words))


def _created(asked: Created) -> ColumnElement[bool]:
    # What is shown of the instant is whole seconds, and these count.
    second = asked.moment.replace(microsecond=0)
    if asked.is_before:
        return bundles.c.created_at < second + timedelta(seconds=1)
    return bundles.c.created_at >= (second if second == asked.moment else second + timedelta(seconds=1))


def _metadata(asked: Field) -> Clause:
    key, values = asked.key, bundle_metadata.c
    texts, numbers = list(asked.values), []
    if key in EVERY_KEY and (EVERY_KEY[key].type not in (str, list) or EVERY_KEY[key].holder is not None):
        numbers = _numbers(key, asked.values)
        # What means a number is found as one, however it is written.
        texts = [each for each in asked.values if not _numbers(key, [each])]
    alternatives = [_any_of(values.value, texts)] if texts else []
    if numbers:
        alternatives.append(values.number.in_(numbers))
    has_it = and_(values.key == key, or_(*alternatives))
    check = exists().where(values.bundle_id == bundles.c.id, has_it)
    return Clause(check, select(values.bundle_id).where(has_it), is_exact=True)


def _any_number(key: str, patterns: Sequence[Pattern]) -> ColumnElement[bool]:
    column = NUMBER_COLUMNS[key]
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
