"""The rules of the catalogue: what may be stored, changed and deleted, and how it is searched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..accounts.service import Account, accounts_by_id, read_account
from ..database.engine import Database
from ..database.schema import now
from ..errors import FieldsInvalid, ModelInvalid, NotFound
from . import search
from .spec import BLANK, sample_errors
from .tables import catalogue_items

EXECUTOR_TYPES = ("ATHENA", "DATABRICKS", "DUCKDB")
NAME_TAKEN = "catalogue item with this name already exists."
REQUIRED = "This field is required."


@dataclass(frozen=True)
class CatalogueItem:
    """A table that can be asked for, with the accounts it names (None where they are gone)."""

    id: int
    name: str
    executor_type: str
    source: str | None
    spec: list[dict[str, Any]]
    sample: list[dict[str, Any]]
    created_by: Account | None
    updated_by: Account | None
    maintained_by: Account | None

    def column(self, name: str) -> dict[str, Any] | None:
        """Return the column with this name (the last one, should a spec hold it twice)."""
        return next((column for column in reversed(self.spec) if column["name"] == name), None)


Describe = Callable[[str], Awaitable[list[dict[str, Any]]]]
Guard = Callable[[Connection, int], None]


class Catalogue:
    """All that is done with catalogue items, for every face and the command line."""

    def __init__(self, database: Database, describe: Describe) -> None:
        """``describe`` reads the columns of a DUCKDB source (``ModelInvalid`` when it may not or cannot be read)."""
        self._database = database
        self._describe = describe
        self._delete_guards: list[Guard] = []

    def before_delete(self, guard: Guard) -> None:
        """Let another feature refuse a deletion; the guard runs inside its transaction."""
        self._delete_guards.append(guard)

    async def create(self, values: Mapping[str, Any], caller: Account) -> CatalogueItem:
        """Store an item made by ``caller``: name, executor_type, maintained_by_id, spec, sample and source."""
        if await self._database.read(lambda connection: _name_exists(connection, values["name"])):
            raise FieldsInvalid({"name": [NAME_TAKEN]})
        stored = await self._with_columns(values)
        try:
            return await self._database.write(lambda connection: _create(connection, stored, caller))
        except IntegrityError:
            raise FieldsInvalid({"name": [NAME_TAKEN]}) from None

    async def read(self, item_id: int) -> CatalogueItem:
        """Return one item or raise ``NotFound``."""
        return await self._database.read(lambda connection: read_item(connection, item_id))

    async def bulk_read(
        self,
        query: str | None = None,
        has_samples: bool | None = None,
        name: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[CatalogueItem]:
        """Return the items that match, by id."""
        conditions = _conditions(query, has_samples, name)
        found = select(catalogue_items).where(*conditions).order_by(catalogue_items.c.id).limit(limit).offset(offset)
        return await self._database.read(
            lambda connection: items_from_rows(connection, connection.execute(found).all())
        )

    async def update(self, item_id: int, values: Mapping[str, Any], caller: Account) -> CatalogueItem:
        """Replace spec, maintained_by_id and executor_type (and source); name and sample stay what they are."""
        item = await self.read(item_id)
        stored = await self._with_columns({"source": item.source, **values})
        return await self._database.write(lambda connection: _update(connection, item_id, stored, caller))

    async def delete(self, item_id: int) -> None:
        """Delete an item and what hangs on it; ``Conflict`` while another feature's guard forbids it."""
        await self._database.write(lambda connection: self._delete(connection, item_id))

    def _delete(self, connection: Connection, item_id: int) -> None:
        read_item(connection, item_id)
        for guard in self._delete_guards:
            guard(connection, item_id)
        connection.execute(delete(catalogue_items).where(catalogue_items.c.id == item_id))

    async def _with_columns(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Complete the spec of a DUCKDB item from its data, or check it against them."""
        stored = {"source": None, "spec": None, **values}
        if stored["executor_type"] != "DUCKDB":
            if stored["spec"] is None:
                raise FieldsInvalid({"spec": [REQUIRED]})
            return {**stored, "source": None}
        if not stored["source"]:
            raise FieldsInvalid({"source": [REQUIRED]})
        columns = await self._describe(stored["source"])
        if stored["spec"] is None:
            return {**stored, "spec": columns}
        known = {column["name"] for column in columns}
        unknown = [column["name"] for column in stored["spec"] if column["name"] not in known]
        if unknown:
            names = ", ".join(f"'{name}'" for name in unknown)
            raise ModelInvalid({"spec": [f"columns not found in the data of the source: {names}"]})
        return stored


def read_item(connection: Connection, item_id: int) -> CatalogueItem:
    """Return one item or raise ``NotFound``."""
    query = select(catalogue_items).where(catalogue_items.c.id == item_id)
    # The database cannot be asked for more than 64 bits.
    rows = connection.execute(query).all() if abs(item_id) < 2**63 else []
    if not rows:
        raise NotFound("catalogue item")
    return items_from_rows(connection, rows)[0]


def read_items(connection: Connection, ids: set[int]) -> dict[int, CatalogueItem]:
    """Return the items with these ids."""
    rows = connection.execute(select(catalogue_items).where(catalogue_items.c.id.in_(ids))).all()
    return {item.id: item for item in items_from_rows(connection, rows)}


def items_from_rows(connection: Connection, rows: Sequence[Row[Any]]) -> list[CatalogueItem]:
    """Build items, with the accounts of all of them in one query."""
    ids = {account for row in rows for account in (row.created_by_id, row.updated_by_id, row.maintained_by_id)}
    accounts = accounts_by_id(connection, ids)
    return [
        CatalogueItem(
            row.id,
            row.name,
            row.executor_type,
            row.source,
            row.spec,
            row.sample,
            accounts.get(row.created_by_id),
            accounts.get(row.updated_by_id),
            accounts.get(row.maintained_by_id),
        )
        for row in rows
    ]


def _conditions(query: str | None, has_samples: bool | None, name: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query is not None:
        found = search.condition(catalogue_items.c.name_folded, search.parse(query))
        if found is not None:
            conditions.append(found)
    if has_samples is not None:
        empty = catalogue_items.c.sample == []
        conditions.append(~empty if has_samples else empty)
    if name is not None:
        conditions.append(catalogue_items.c.name == name)
    return conditions


def _name_exists(connection: Connection, name: str) -> bool:
    return connection.execute(select(catalogue_items.c.id).where(catalogue_items.c.name == name)).first() is not None


def _check(connection: Connection, values: Mapping[str, Any], sample: Sequence[Mapping[str, Any]]) -> None:
    """The model rules: what can be known only beside what is stored."""
    errors: dict[str, list[str]] = {}
    if not values["spec"]:
        errors["spec"] = [BLANK]
    try:
        read_account(connection, values["maintained_by_id"])
    except NotFound:
        errors["maintained_by"] = [f"account instance with id {values['maintained_by_id']} does not exist."]
    if texts := sample_errors(values["spec"], sample):
        errors["__all__"] = texts
    if errors:
        raise ModelInvalid(errors)


def _create(connection: Connection, values: Mapping[str, Any], caller: Account) -> CatalogueItem:
    sample = values.get("sample") or []
    _check(connection, values, sample)
    moment = now()
    row = {
        "name": values["name"],
        "name_folded": values["name"].casefold(),
        "executor_type": values["executor_type"],
        "source": values["source"],
        "spec": values["spec"],
        "sample": sample,
        "maintained_by_id": values["maintained_by_id"],
        "created_by_id": caller.id,
        "updated_by_id": caller.id,
        "created_at": moment,
        "updated_at": moment,
    }
    statement = insert(catalogue_items).values(row).returning(catalogue_items.c.id)
    return read_item(connection, connection.execute(statement).scalar_one())


def _update(connection: Connection, item_id: int, values: Mapping[str, Any], caller: Account) -> CatalogueItem:
    _check(connection, values, read_item(connection, item_id).sample)
    row = {key: values[key] for key in ("executor_type", "source", "spec", "maintained_by_id")}
    connection.execute(
        update(catalogue_items)
        .where(catalogue_items.c.id == item_id)
        .values(**row, updated_by_id=caller.id, updated_at=now())
    )
    return read_item(connection, item_id)
