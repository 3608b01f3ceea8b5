"""Searches for bundles: what keywords find and a reader may see, in order; or a number of all of it.

The conditions are those of `search_clauses`. Before a search it is asked, up to a limit, how many bundles an index
finds for each: the one with the fewest leads, if they are few; else rows are looked at in order until there are enough.
Source: the CodaLab REST API's semantics, section 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, false, func, literal, select

from ..accounts.service import Account
from ..json_values import LARGEST_ID
from ..permissions.service import resources_given_anything, was_given_anything
from .access import RESOURCE
from .metadata_keys import EVERY_KEY
from .problems import Refused
from .records import dependencies_of
from .search_clauses import NUMBER_COLUMNS, TEXT_COLUMNS, Clause, Compiler, with_pieces
from .search_terms import Pattern, Search, format_value, parse
from .tables import bundle_dependencies, bundle_metadata, bundles

_ORDERS: dict[str, ColumnElement[Any]] = {
    **TEXT_COLUMNS,
    **NUMBER_COLUMNS,
    # Those that are anonymous stand together: their places do not tell whose they are.
    "owner_id": case((bundles.c.is_anonymous.is_(False), bundles.c.owner_id)),
    "created": bundles.c.created_at,
}
MOST_SHOWN = 10_000
# Bundles that are few enough to look at each, for a page and for a number of all.
_FEW_FOR_PAGE, _FEW_FOR_NUMBER = 3000, 50_000


def search_bundles(connection: Connection, keywords: Sequence[str], reader: Account | None) -> list[str] | float | str:
    """Return the uuids that keywords find, in order; of an aggregate, its number or the text of it."""
    search = parse(keywords)
    compiler = Compiler(connection, reader)
    clauses = [compiler.of(each) for each in search.conditions]
    if search.is_aggregate:
        return _aggregate(connection, search, clauses, reader)
    query = select(bundles.c.uuid).where(*_conditions(connection, clauses, reader, search))
    # One more than is shown, to know whether there are too many.
    limit = MOST_SHOWN + 1 if search.limit is None else min(search.limit, MOST_SHOWN + 1)
    query = _window(_ordered(query, search), replace(search, limit=limit))
    found = [str(uuid) for uuid in connection.execute(query).scalars()]
    if len(found) > MOST_SHOWN:
        raise Refused(f"At most {MOST_SHOWN} bundles can be shown at once: use .limit and .offset.")
    return found


def made_by(connection: Connection, command: str, parents: Sequence[tuple[str, str]], owner: Account) -> list[str]:
    """Return the uuids of somebody's own bundles of a command and exactly these parents, the oldest first.

    ``parents`` are pairs of child path and uuid, in order.
    """
    if parents:
        is_child = bundle_dependencies.c.parent_uuid == parents[0][1]
        ids: Select[Any] | None = select(bundle_dependencies.c.bundle_id).where(is_child)
    else:
        ids = with_pieces([Pattern((command,))], "words")
    query = select(bundles.c.id, bundles.c.uuid).where(bundles.c.owner_id == owner.id, bundles.c.command == command)
    query = query if ids is None else query.where(bundles.c.id.in_(ids))
    rows = connection.execute(query.order_by(bundles.c.id)).all()
    given = dependencies_of(connection, [row.id for row in rows])
    return [
        str(row.uuid)
        for row in rows
        if sorted((each.child_path, each.parent_uuid) for each in given.get(row.id, ())) == list(parents)
    ]


def _conditions(
    connection: Connection, clauses: Sequence[Clause], reader: Account | None, search: Search
) -> list[ColumnElement[bool]]:
    most = LARGEST_ID if search.is_aggregate else _FEW_FOR_PAGE
    leader = None
    for clause in clauses:
        if clause.ids is not None:
            found = select(func.count()).select_from(clause.ids.limit(most + 1).subquery())
            count = connection.execute(found).scalar_one()
            if count == 0:
                return [false()]
            if count <= most:
                leader, most = clause, count
    conditions = [clause.check for clause in clauses if clause is not leader or not clause.is_exact]
    if leader is not None and leader.ids is not None:
        conditions.insert(0, bundles.c.id.in_(leader.ids))
    # Owners may read what is theirs.
    if not any(clause.is_own for clause in clauses):
        conditions += _in_sight(reader, search.is_aggregate and most > _FEW_FOR_NUMBER)
    return conditions


def _seen_by(reader: Account | None) -> Select[Any] | None:
    """Return a query of all bundles that somebody may read, None for whoever may read all."""
    if reader is not None and reader.is_admin:
        return None
    # Nobody has the account 0: what is left is what everyone may.
    return resources_given_anything(literal(reader.id if reader else 0), RESOURCE)


def _in_sight(reader: Account | None, is_many: bool) -> list[ColumnElement[bool]]:
    """Return the condition of `may_read`, in the form that is quicker for very many bundles, or for some of them."""
    seen = _seen_by(reader)
    if seen is None:
        return []
    account_id = literal(reader.id if reader else 0)
    return [bundles.c.id.in_(seen) if is_many else was_given_anything(account_id, RESOURCE, bundles.c.id)]


def _aggregate(
    connection: Connection, search: Search, clauses: Sequence[Clause], reader: Account | None
) -> float | str:
    key = search.sum_of
    is_windowed = search.limit is not None or search.offset > 0
    if key is None and not is_windowed and len(clauses) == 1 and clauses[0].is_exact and clauses[0].ids is not None:
        count = connection.execute(_count_of(clauses[0], clauses[0].ids, reader)).scalar_one()
        return format_value(count, search.format)
    if clauses or is_windowed:
        conditions = _conditions(connection, clauses, reader, search)
        found: Select[Any] | None = select(bundles.c.id).where(*conditions)
        if found is not None and is_windowed:
            found = _window(_ordered(found, search), search)
    else:
        seen = _seen_by(reader)
        conditions, found = _in_sight(reader, is_many=True), None if seen is None else seen.distinct()
    if key is None:
        ids = select(bundles.c.id) if found is None else found
        total: Select[Any] = select(func.count()).select_from(ids.subquery())
    elif key in NUMBER_COLUMNS:
        is_found = [bundles.c.id.in_(found)] if found is not None and is_windowed else conditions
        total = select(func.sum(NUMBER_COLUMNS[key])).where(*is_found)
    else:
        is_value = (bundle_metadata.c.key == key) & bundle_metadata.c.number.is_not(None)
        total = select(func.sum(bundle_metadata.c.number)).where(is_value)
        total = total if found is None else total.where(bundle_metadata.c.bundle_id.in_(found))
    value: float = connection.execute(total).scalar() or 0
    if float(value).is_integer() and not _is_fraction(key):
        value = int(value)
    return format_value(value, search.format)


def _count_of(clause: Clause, ids: Select[Any], reader: Account | None) -> Select[Any]:
    """Return the query of how many bundles one condition holds for: the bundles themselves need not be looked at."""
    (bundle_id,) = ids.subquery().c
    count = select(func.count(bundle_id.distinct()))
    if clause.is_own or (reader is not None and reader.is_admin):
        return count
    return count.where(was_given_anything(literal(reader.id if reader else 0), RESOURCE, bundle_id))


def _is_fraction(key: str | None) -> bool:
    return key in EVERY_KEY and EVERY_KEY[str(key)].type is float


def _ordered(query: Select[Any], search: Search) -> Select[Any]:
    """Return the query in the order that is asked for; bundles without the value that orders are not found."""
    key = search.order_by
    column = _ORDERS.get(key)
    if column is None and key in EVERY_KEY and EVERY_KEY[key].type is not list:
        # Under another name: conditions may look at metadata, too.
        values = bundle_metadata.alias("ordering")
        query = query.join(values, (values.c.bundle_id == bundles.c.id) & (values.c.key == key))
        column = values.c.number
    elif column is None:
        # Several values of one bundle: the least counts.
        first = (
            select(bundle_metadata.c.bundle_id, func.min(bundle_metadata.c.number).label("number"))
            .where(bundle_metadata.c.key == key)
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
