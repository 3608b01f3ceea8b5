"""Catalogue items as they are read: the most frequent question of all, so its statements are made once.

The spec and the sample stay the JSON text that they are in the database until somebody looks inside: whoever only
passes them on need not parse them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, Text, bindparam, select, type_coerce

from ..accounts.service import Account, accounts
from ..database.changes import tables_of
from ..errors import NotFound
from ..json_values import LARGEST_ID
from ..permissions.service import Level, held_by, holds, resources_of
from .tables import catalogue_items, catalogue_tags

RESOURCE = "catalogue_item"


@dataclass(frozen=True)
class AccountName:
    """An account as others mention it."""

    id: int
    email: str
    type: str


# Not frozen: that would treble the price of making one, and a list makes many.
@dataclass
class CatalogueItem:
    """A table that can be asked for, with the accounts it names (None where they are gone)."""

    id: int
    name: str
    executor_type: str
    source: str | None
    spec_json: str
    sample_json: str
    created_by: AccountName | None
    updated_by: AccountName | None
    maintained_by: AccountName | None
    description: str = ""
    tags: tuple[str, ...] = ()

    @cached_property
    def spec(self) -> list[dict[str, Any]]:
        """The columns."""
        return list(orjson.loads(self.spec_json))

    @cached_property
    def sample(self) -> list[dict[str, Any]]:
        """Some rows."""
        return list(orjson.loads(self.sample_json))

    def column(self, name: str) -> dict[str, Any] | None:
        """Return the column with this name (the last one, should a spec hold it twice)."""
        return next((column for column in reversed(self.spec) if column["name"] == name), None)


_creator, _updater, _maintainer = (accounts.alias(name) for name in ("creator", "updater", "maintainer"))

ITEMS = (
    select(
        catalogue_items.c.id,
        catalogue_items.c.name,
        catalogue_items.c.executor_type,
        catalogue_items.c.source,
        type_coerce(catalogue_items.c.spec, Text).label("spec"),
        type_coerce(catalogue_items.c.sample, Text).label("sample"),
        catalogue_items.c.description,
        type_coerce(catalogue_items.c.tags, Text).label("tags"),
        *(
            column.label(f"{who}_{column.name}")
            for who, account in (("creator", _creator), ("updater", _updater), ("maintainer", _maintainer))
            for column in (account.c.id, account.c.email, account.c.type)
        ),
    )
    .outerjoin(_creator, _creator.c.id == catalogue_items.c.created_by_id)
    .outerjoin(_updater, _updater.c.id == catalogue_items.c.updated_by_id)
    .outerjoin(_maintainer, _maintainer.c.id == catalogue_items.c.maintained_by_id)
)
_BY_ID = ITEMS.where(catalogue_items.c.id == bindparam("item_id"))
_BY_ID_FOR = _BY_ID.where(held_by(bindparam("caller_id"), RESOURCE, catalogue_items.c.id, Level.READ))


def _paged(ids: Select[tuple[int]]) -> Select[tuple[int]]:
    return ids.limit(bindparam("limit")).offset(bindparam("offset"))


def page_of(ids: Select[tuple[int]]) -> Select[Any]:
    """Return the query of the items with some ids, by id: what a page skips is not read."""
    return ITEMS.where(catalogue_items.c.id.in_(ids)).order_by(catalogue_items.c.id)


_PAGE = page_of(_paged(select(catalogue_items.c.id).order_by(catalogue_items.c.id)))
# Permissions go with their item, so that there are none on what is gone.
_PAGE_FOR = page_of(_paged(resources_of(bindparam("caller_id"), RESOURCE, Level.READ)))

SEEN = tables_of(_PAGE_FOR, select(catalogue_tags))
"""The tables that decide which items an account sees, and how. The index of names is part of the items."""


def may_see(caller: Account, item_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that an account may see the item whose id stands in a column."""
    return holds(RESOURCE, item_id, caller, Level.READ)


def read_item(connection: Connection, item_id: int, caller: Account | None = None) -> CatalogueItem:
    """Return one item or raise ``NotFound``, also for one that ``caller`` may not see (None: the workspace itself)."""
    if abs(item_id) > LARGEST_ID:
        raise NotFound("catalogue item")
    if caller is None or caller.is_admin:
        row = connection.execute(_BY_ID, {"item_id": item_id}).one_or_none()
    else:
        row = connection.execute(_BY_ID_FOR, {"item_id": item_id, "caller_id": caller.id}).one_or_none()
    if row is None:
        raise NotFound("catalogue item")
    return items_from_rows([row])[0]


def read_items(connection: Connection, ids: Iterable[int]) -> dict[int, CatalogueItem]:
    """Return the items with these ids."""
    rows = connection.execute(ITEMS.where(catalogue_items.c.id.in_(list(ids))))
    return {item.id: item for item in items_from_rows(rows)}


def read_page(connection: Connection, caller: Account, limit: int | None, offset: int) -> list[CatalogueItem]:
    """Return all items that an account may see, or a page of them, by id."""
    page = {"limit": -1 if limit is None else limit, "offset": offset}
    if caller.is_admin:
        return items_from_rows(connection.execute(_PAGE, page))
    return items_from_rows(connection.execute(_PAGE_FOR, {**page, "caller_id": caller.id}))


def read_items_after(connection: Connection, caller: Account, after: int, limit: int) -> list[CatalogueItem]:
    """Return the next items that an account may see, by id: what came or went meanwhile moves none of them."""
    later = may_see(caller, catalogue_items.c.id), catalogue_items.c.id > after
    ids = select(catalogue_items.c.id).where(*later).order_by(catalogue_items.c.id).limit(limit)
    return items_from_rows(connection.execute(page_of(ids)))


def items_from_rows(rows: Iterable[Row[Any]]) -> list[CatalogueItem]:
    """Build items from rows of ``ITEMS``; the same people are mentioned again and again."""
    people: dict[int | None, AccountName | None] = {None: None}
    return [_item(tuple(row), people) for row in rows]


def _item(values: tuple[Any, ...], people: dict[int | None, AccountName | None]) -> CatalogueItem:
    for start in (8, 11, 14):
        if values[start] not in people:
            people[values[start]] = AccountName(*values[start : start + 3])
    creator, updater, maintainer = people[values[8]], people[values[11]], people[values[14]]
    tags = () if values[7] == "[]" else tuple(orjson.loads(values[7]))
    item_id, name, executor_type, source, spec, sample, description = values[:7]
    return CatalogueItem(
        item_id, name, executor_type, source, spec, sample, creator, updater, maintainer, description, tags
    )
