"""The rules of the catalogue: what may be stored, changed and deleted, and how it is searched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..accounts.service import Account, read_account
from ..database.changes import Version
from ..database.engine import Database
from ..database.schema import now
from ..errors import FieldsInvalid, ModelInvalid, NotFound
from ..field_messages import REQUIRED
from ..json_values import is_storable
from ..permissions.service import (
    EVERYONE,
    Level,
    Permission,
    check_subjects,
    forget,
    give,
    permissions_on,
    replace_permissions,
)
from . import search
from .items import RESOURCE, SEEN, CatalogueItem, items_from_rows, may_see, page_of, read_item, read_page
from .items import AccountName as AccountName
from .items import read_items as read_items
from .items import read_items_after as read_items_after
from .profiles import Profile as Profile
from .profiles import Profiles as Profiles
from .profiles import read_profile as read_profile
from .profiles import store_factor as store_factor
from .spec import BLANK, sample_errors
from .tables import catalogue_items, catalogue_tags

EXECUTOR_TYPES = ("ATHENA", "DATABRICKS", "DUCKDB")
NAME_TAKEN = "catalogue item with this name already exists."


Describe = Callable[[str], Awaitable[list[dict[str, Any]]]]
Guard = Callable[[Connection, int], Callable[[], Awaitable[None]]]


class Catalogue:
    """All that is done with catalogue items, for every face and the command line."""

    def __init__(self, database: Database, describe: Describe) -> None:
        """``describe`` reads the columns of a DUCKDB source (``ModelInvalid`` when it may not or cannot be read)."""
        self._database = database
        self._describe = describe
        self._delete_guards: list[Guard] = []

    def before_delete(self, guard: Guard) -> None:
        """Let another feature refuse a deletion: the guard runs inside its transaction, what it returns afterwards."""
        self._delete_guards.append(guard)

    async def create(self, values: Mapping[str, Any], caller: Account) -> CatalogueItem:
        """Store an item made by ``caller``: name, executor_type, maintained_by_id, spec, sample and source."""
        if taken := await self.name_errors(values["name"]):
            raise FieldsInvalid(taken)
        stored = await self._with_columns(values)
        try:
            return await self._database.write(lambda connection: _create(connection, stored, caller))
        except IntegrityError:
            raise FieldsInvalid({"name": [NAME_TAKEN]}) from None

    async def name_errors(self, name: str) -> dict[str, list[str]]:
        """Return what is wrong with the name of a new item: nothing, or that another item has it."""
        is_taken = await self._database.read(lambda connection: _name_exists(connection, name))
        return {"name": [NAME_TAKEN]} if is_taken else {}

    def version(self) -> Version | None:
        """Return what stays the same while `read` and `bulk_read` do; None while nobody can tell."""
        return self._database.changes.of(SEEN)

    async def read(self, item_id: int, caller: Account | None = None) -> CatalogueItem:
        """Return one item or raise ``NotFound``, also for one that ``caller`` may not see (None: the workspace)."""
        return await self._database.read(lambda connection: read_item(connection, item_id, caller))

    async def bulk_read(
        self,
        caller: Account,
        query: str | None = None,
        has_samples: bool | None = None,
        name: str | None = None,
        tag: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[CatalogueItem]:
        """Return the items that match and that the caller may see, by id."""
        conditions = _conditions(query, has_samples, name, tag)
        if not conditions:
            return await self._database.read(lambda connection: read_page(connection, caller, limit, offset))
        ids = select(catalogue_items.c.id).where(may_see(caller, catalogue_items.c.id), *conditions)
        found = page_of(ids.order_by(catalogue_items.c.id).limit(limit).offset(offset))
        return await self._database.read(lambda connection: items_from_rows(connection.execute(found)))

    async def update(self, item_id: int, values: Mapping[str, Any], caller: Account) -> CatalogueItem:
        """Replace spec, maintained_by_id and executor_type (and source); name and sample stay what they are."""
        item = await self.read(item_id)
        given = {"source": item.source, "description": item.description, **values}
        stored = given if _is_known(item, given) else await self._with_columns(given)
        if given.get("spec") is None:
            stored = {**stored, "spec": _keeping_facts(stored["spec"], item)}
        return await self._database.write(lambda connection: _update(connection, item_id, stored, caller))

    async def delete(self, item_id: int) -> None:
        """Delete an item and what hangs on it; ``Conflict`` while another feature's guard forbids it."""
        for clean_up in await self._database.write(lambda connection: self._delete(connection, item_id)):
            await clean_up()

    async def permissions(self, item_id: int) -> list[Permission]:
        """Return who may see an item."""
        return await self._database.read(lambda connection: _permissions(connection, item_id))

    async def set_permissions(self, item_id: int, given: Sequence[Permission]) -> list[Permission]:
        """Say who may see an item; ``ModelInvalid`` names subjects that do not exist."""
        return await self._database.write(lambda connection: _set_permissions(connection, item_id, given))

    def _delete(self, connection: Connection, item_id: int) -> list[Callable[[], Awaitable[None]]]:
        read_item(connection, item_id)
        clean_ups = [guard(connection, item_id) for guard in self._delete_guards]
        forget(connection, RESOURCE, item_id)
        connection.execute(delete(catalogue_items).where(catalogue_items.c.id == item_id))
        return clean_ups

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
        if not is_storable(columns):
            raise ModelInvalid({"source": ["the name of a column holds characters that JSON cannot hold"]})
        if stored["spec"] is None:
            return {**stored, "spec": columns}
        known = {column["name"] for column in columns}
        unknown = [column["name"] for column in stored["spec"] if column["name"] not in known]
        if unknown:
            names = ", ".join(f"'{name}'" for name in unknown)
            raise ModelInvalid({"spec": [f"columns not found in the data of the source: {names}"]})
        return stored


def _is_known(item: CatalogueItem, given: Mapping[str, Any]) -> bool:
    """Whether an update names no data that the item does not have already: then they need not be looked at."""
    if not given["executor_type"] == item.executor_type == "DUCKDB" or given["source"] != item.source:
        return False
    return given.get("spec") is not None and {each["name"] for each in given["spec"]} <= {
        each["name"] for each in item.spec
    }


def _keeping_facts(columns: list[dict[str, Any]], item: CatalogueItem) -> list[dict[str, Any]]:
    """Return columns that were read anew, with what is stored of those that are the same."""
    stored = {(each["name"], each["type"]): each for each in item.spec}
    return [stored.get((each["name"], each["type"]), each) for each in columns]


def _conditions(
    query: str | None, has_samples: bool | None, name: str | None, tag: str | None
) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query is not None:
        found = search.condition(search.parse(query))
        if found is not None:
            conditions.append(found)
    if has_samples is not None:
        empty = catalogue_items.c.sample == []
        conditions.append(~empty if has_samples else empty)
    if name is not None:
        conditions.append(catalogue_items.c.name == name)
    if tag is not None:
        tagged = select(catalogue_tags.c.item_id).where(catalogue_tags.c.tag == fold_tag(tag))
        conditions.append(catalogue_items.c.id.in_(tagged))
    return conditions


def fold_tag(tag: str) -> str:
    """Return a tag as it is stored: tags that differ in case or spaces around them are one."""
    return tag.strip().casefold()


def fold_tags(tags: Sequence[str]) -> list[str]:
    """Return tags as they are stored: each once, in order."""
    return sorted({fold_tag(tag) for tag in tags})


def _index_tags(connection: Connection, item_id: int, tags: Sequence[str]) -> None:
    connection.execute(delete(catalogue_tags).where(catalogue_tags.c.item_id == item_id))
    if tags:
        connection.execute(insert(catalogue_tags), [{"item_id": item_id, "tag": tag} for tag in tags])


def _permissions(connection: Connection, item_id: int) -> list[Permission]:
    read_item(connection, item_id)
    return permissions_on(connection, RESOURCE, item_id)


def _set_permissions(connection: Connection, item_id: int, given: Sequence[Permission]) -> list[Permission]:
    read_item(connection, item_id)
    check_subjects(connection, given)
    replace_permissions(connection, RESOURCE, item_id, given)
    return permissions_on(connection, RESOURCE, item_id)


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
        "description": values.get("description", ""),
        "tags": fold_tags(values.get("tags", ())),
        "maintained_by_id": values["maintained_by_id"],
        "created_by_id": caller.id,
        "updated_by_id": caller.id,
        "created_at": moment,
        "updated_at": moment,
    }
    statement = insert(catalogue_items).values(row).returning(catalogue_items.c.id)
    item_id = connection.execute(statement).scalar_one()
    _index_tags(connection, item_id, row["tags"])
    # Unless somebody says otherwise, everyone who is signed in may see it.
    give(connection, RESOURCE, item_id, Permission(EVERYONE, Level.READ))
    return read_item(connection, item_id)


def _update(connection: Connection, item_id: int, values: Mapping[str, Any], caller: Account) -> CatalogueItem:
    _check(connection, values, read_item(connection, item_id).sample)
    row = {key: values[key] for key in ("executor_type", "source", "spec", "maintained_by_id", "description")}
    if "tags" in values:
        row["tags"] = fold_tags(values["tags"])
        _index_tags(connection, item_id, row["tags"])
    connection.execute(
        update(catalogue_items)
        .where(catalogue_items.c.id == item_id)
        .values(**row, updated_by_id=caller.id, updated_at=now())
    )
    return read_item(connection, item_id)
