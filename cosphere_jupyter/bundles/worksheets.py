"""Worksheets: pages of text, bundles and other worksheets; how they are stored, found by name, and who may change them.

Functions work inside the caller's transaction. Source: the CodaLab REST API's semantics, section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, literal_column, select, update

from ..database.schema import now
from ..permissions.service import EVERYONE, Level, Permission, Subject, forget, give
from .ids import new_uuid
from .tables import worksheet_items, worksheet_tags, worksheets
from .worksheet_items import RESOURCE, Item, NewItem, add_items, append_bundle_item, host_worksheets
from .worksheet_items import host_worksheets_for as host_worksheets_for
from .worksheet_items import items_of as items_of
from .worksheet_items import last_bundles as last_bundles
from .worksheet_items import replace_items as replace_items

__all__ = [
    "RESOURCE",
    "Item",
    "NewItem",
    "Worksheet",
    "add_items",
    "append_bundle_item",
    "host_worksheets",
    "host_worksheets_for",
    "items_of",
    "last_bundles",
    "read_worksheet",
    "read_worksheets",
    "replace_items",
    "store_worksheet",
]

AT_ONCE = 500


@dataclass(frozen=True)
class Worksheet:
    """A worksheet without its items; ``version`` is raised by each change of these."""

    id: int
    uuid: str
    name: str
    title: str | None
    owner_id: int
    frozen_at: datetime | None
    is_anonymous: bool
    created_at: datetime
    updated_at: datetime
    version: int
    tags: tuple[str, ...] = ()


def read_worksheet(connection: Connection, uuid: str) -> Worksheet | None:
    """Return a worksheet by its uuid, or None."""
    return read_worksheets(connection, [uuid]).get(uuid)


def read_worksheets(connection: Connection, uuids: Iterable[str]) -> dict[str, Worksheet]:
    """Return those worksheets that exist, by uuid, in the order of ``uuids``."""
    wanted = list(dict.fromkeys(uuids))
    found: dict[str, Worksheet] = {}
    for start in range(0, len(wanted), AT_ONCE):
        rows = connection.execute(select(worksheets).where(worksheets.c.uuid.in_(wanted[start : start + AT_ONCE])))
        found.update((each.uuid, each) for each in with_tags(connection, list(rows)))
    return {uuid: found[uuid] for uuid in wanted if uuid in found}


def with_tags(connection: Connection, rows: Sequence[Row[Any]]) -> list[Worksheet]:
    """Return rows of the table as worksheets."""
    ids = [row.id for row in rows]
    tags: dict[int, list[str]] = {}
    if ids:
        query = select(worksheet_tags).where(worksheet_tags.c.worksheet_id.in_(ids))
        # In the order in which they were given.
        query = query.order_by(literal_column("worksheet_tags.rowid"))
        for each in connection.execute(query):
            tags.setdefault(each.worksheet_id, []).append(each.tag)
    return [
        Worksheet(
            row.id,
            row.uuid,
            row.name,
            row.title,
            row.owner_id,
            row.frozen_at,
            row.is_anonymous,
            row.created_at,
            row.updated_at,
            row.version,
            tuple(tags.get(row.id, ())),
        )
        for row in rows
    ]


def store_worksheet(
    connection: Connection,
    name: str,
    owner_id: int,
    *,
    uuid: str | None = None,
    title: str | None = None,
    is_public: bool = True,
) -> Worksheet:
    """Make an empty worksheet that its owner may change, and everyone may read if it ``is_public``."""
    moment = now()
    values = {
        "uuid": uuid or new_uuid(),
        "name": name,
        "title": title,
        "owner_id": owner_id,
        "is_anonymous": False,
        "created_at": moment,
        "updated_at": moment,
        "version": 0,
    }
    made = connection.execute(insert(worksheets).values(values).returning(worksheets)).one()
    give(connection, RESOURCE, made.id, Permission(Subject("account", owner_id), Level.GRANT))
    if is_public:
        give(connection, RESOURCE, made.id, Permission(EVERYONE, Level.READ))
    return with_tags(connection, [made])[0]


def update_worksheet(connection: Connection, worksheet: Worksheet, **changes: Any) -> None:
    """Change columns of a worksheet; ``tags`` replaces them all."""
    tags = changes.pop("tags", None)
    values = {**changes, "updated_at": now()}
    connection.execute(update(worksheets).where(worksheets.c.id == worksheet.id).values(values))
    if tags is not None:
        connection.execute(delete(worksheet_tags).where(worksheet_tags.c.worksheet_id == worksheet.id))
        for tag in dict.fromkeys(tags):
            connection.execute(insert(worksheet_tags).values(worksheet_id=worksheet.id, tag=tag))


def delete_worksheet(connection: Connection, worksheet: Worksheet) -> None:
    """Delete a worksheet with its items and permissions; bundles stay."""
    forget(connection, RESOURCE, worksheet.id)
    # Also where foreign keys do not do it.
    connection.execute(delete(worksheet_items).where(worksheet_items.c.worksheet_id == worksheet.id))
    connection.execute(delete(worksheet_tags).where(worksheet_tags.c.worksheet_id == worksheet.id))
    connection.execute(delete(worksheets).where(worksheets.c.id == worksheet.id))
