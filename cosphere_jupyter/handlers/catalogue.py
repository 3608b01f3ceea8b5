"""The catalogue of the CoSphere API: create, read, bulk read, update and delete items."""

from __future__ import annotations

from typing import Any

import orjson

from ..catalogue.service import EXECUTOR_TYPES, CatalogueItem
from ..catalogue.spec import SAMPLE_SCHEMA, schema_error, spec_errors
from ..errors import FieldsInvalid
from ..field_messages import at_most
from .accounts import PAGE_FIELDS
from .cosphere import CosphereHandler, account_entity
from .fields import Boolean, Choice, Field, Integer, Json, Text


def _sample_errors(sample: Any) -> list[str]:
    message = schema_error(SAMPLE_SCHEMA, sample)
    return [] if message is None else [message]


LONGEST_TAG, MOST_TAGS = 64, 32
# Rendering more items than these on the event loop would be felt in notebooks.
MANY = 500


def _tags_errors(tags: Any) -> list[str]:
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag.strip() for tag in tags):
        return ["A list of words is required."]
    if len(tags) > MOST_TAGS:
        return [at_most(MOST_TAGS, "elements")]
    if any(len(tag.casefold()) > LONGEST_TAG for tag in tags):
        return [f"Ensure each tag has no more than {LONGEST_TAG} characters."]
    return []


UPDATE_FIELDS: dict[str, Field] = {
    "spec": Json(spec_errors),
    "maintained_by_id": Integer(),
    "executor_type": Choice(EXECUTOR_TYPES),
    # Ours.
    "description": Text(10_000, blank=True, required=False),
    "tags": Json(_tags_errors, required=False),
}
CREATE_FIELDS: dict[str, Field] = {
    "name": Text(256),
    **UPDATE_FIELDS,
    "sample": Json(_sample_errors, default=()),
}
# A DUCKDB item names its data, and its columns can be read from them.
DUCKDB_FIELDS: dict[str, Field] = {"spec": Json(spec_errors, required=False)}


def create_fields(body: dict[str, Any]) -> dict[str, Field]:
    """Return the fields of a body that creates an item."""
    local = {**DUCKDB_FIELDS, "source": Text(4096)} if body.get("executor_type") == "DUCKDB" else {}
    return {**CREATE_FIELDS, **local}


def update_fields(body: dict[str, Any]) -> dict[str, Field]:
    """Return the fields of a body that updates an item; without ``source`` it goes on reading what it read."""
    local = {**DUCKDB_FIELDS, "source": Text(4096, required=False)} if body.get("executor_type") == "DUCKDB" else {}
    return {**UPDATE_FIELDS, **local}


LIST_FIELDS: dict[str, Field] = {
    "query": Text(1024, default=None),
    "has_samples": Boolean(default=None),
    "name": Text(256, default=None),
    "tag": Text(LONGEST_TAG, default=None),
    **PAGE_FIELDS,
}


def item_entity(item: CatalogueItem) -> dict[str, Any]:
    """Return an item as the API shows it; ``source``, ``description`` and ``tags`` are ours, where there are any."""
    entity = {
        "@type": "catalogue_item",
        "id": item.id,
        "name": item.name,
        "executor_type": item.executor_type,
        # As they were stored: parsing them only to write them again is most of a list's price.
        "spec": orjson.Fragment(item.spec_json),
        "sample": orjson.Fragment(item.sample_json),
        "created_by": account_entity(item.created_by),
        "updated_by": account_entity(item.updated_by),
        "maintained_by": account_entity(item.maintained_by),
    }
    if item.executor_type == "DUCKDB":
        entity["source"] = item.source
    if item.description:
        entity["description"] = item.description
    if item.tags:
        entity["tags"] = list(item.tags)
    return entity


def _rendered(items: list[CatalogueItem]) -> bytes:
    entities = [item_entity(item) for item in items]
    return orjson.dumps({"@event": "CATALOGUEITEMS_BULK_READ", "@type": "catalogue_items_list", "items": entities})


class CatalogueItemsHandler(CosphereHandler):
    """``/catalogue/items/``."""

    async def get(self) -> None:
        """BULK_READ_CATALOGUEITEMS."""
        await self.send_kept(self.services.catalogue.version(), self._read)

    async def _read(self) -> bytes:
        items = await self.services.catalogue.bulk_read(self.account, **self.query(LIST_FIELDS))
        rendered: bytes = await self.off_loop_if(len(items) > MANY, lambda: _rendered(items))
        return rendered

    async def post(self) -> None:
        """CREATE_CATALOGUEITEM."""
        item = await self.services.catalogue.create(await self._new_item(), self.account)
        self.send_json({"@event": "CATALOGUEITEM_CREATED", **item_entity(item)}, 201)

    async def _new_item(self) -> dict[str, Any]:
        """Return the body's fields; that a name is taken is a field's error like the others, told with them."""
        try:
            return await self.body(create_fields)
        except FieldsInvalid as error:
            if "name" not in error.values:
                raise
            taken = await self.services.catalogue.name_errors(error.values["name"])
            raise FieldsInvalid({**taken, **(error.errors or {})}) from None


class SamplesAndDistributionsHandler(CosphereHandler):
    """``/catalogue/items/{item_id}/samples_and_distributions/``."""

    async def put(self, item_id: str) -> None:
        """WITH_SAMPLE_AND_DISTRIBUTION_UPDATE_CATALOGUEITEM: answers when they are stored; the body does not count."""
        await self.services.profiles.update(self.path_id(item_id), self.account.id)
        self.send_event("CATALOGUEITEM_WITH_SAMPLE_AND_DISTRIBUTION_UPDATED", "empty")


class CatalogueItemHandler(CosphereHandler):
    """``/catalogue/items/{item_id}``."""

    async def get(self, item_id: str) -> None:
        """READ_CATALOGUEITEM."""
        await self.send_kept(self.services.catalogue.version(), lambda: self._read(self.path_id(item_id)))

    async def _read(self, item_id: int) -> bytes:
        item = await self.services.catalogue.read(item_id, self.account)
        return orjson.dumps({"@event": "CATALOGUEITEM_READ", **item_entity(item)})

    async def put(self, item_id: str) -> None:
        """UPDATE_CATALOGUEITEM: all of it but name and sample."""
        values = await self.body(update_fields)
        item = await self.services.catalogue.update(self.path_id(item_id), values, self.account)
        self.send_json({"@event": "CATALOGUEITEM_UPDATED", **item_entity(item)})

    async def delete(self, item_id: str) -> None:
        """DELETE_CATALOGUEITEM."""
        await self.services.catalogue.delete(self.path_id(item_id))
        self.send_event("CATALOGUEITEM_DELETED", "empty")
