"""The items of worksheets: lines of text, bundles and other worksheets, in an order.

Functions work inside the caller's transaction. An item names bundles and worksheets by uuid, and they need not exist.
Items stand in the order of their ``sort_key``, and of their ids where keys are equal; ids tell the order of adding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from ..accounts.service import Account
from ..database.schema import now
from .access import WORKSHEET as RESOURCE
from .access import may_read
from .tables import bundles, worksheet_items, worksheets

MARKUP, DIRECTIVE, BUNDLE, WORKSHEET = TYPES = ("markup", "directive", "bundle", "worksheet")
# As many as a statement may have parameters for.
AT_ONCE = 500

T = TypeVar("T")


@dataclass(frozen=True)
class NewItem:
    """An item that is about to be stored; which of the fields count depends on the type."""

    type: str
    value: str = ""
    bundle_uuid: str | None = None
    subworksheet_uuid: str | None = None


@dataclass(frozen=True)
class Item(NewItem):
    """An item of a worksheet."""

    id: int = 0
    worksheet_id: int = 0
    sort_key: int = 0


def items_of(connection: Connection, worksheet_ids: Sequence[int]) -> dict[int, list[Item]]:
    """Return the items of worksheets in their order, by the worksheets' ids; a list, if an empty one, for each."""
    found: dict[int, list[Item]] = {worksheet_id: [] for worksheet_id in worksheet_ids}
    table = worksheet_items.c
    for some in _portions(list(found)):
        query = select(worksheet_items).where(table.worksheet_id.in_(some))
        for row in connection.execute(query.order_by(table.worksheet_id, table.sort_key, table.id)):
            found[row.worksheet_id].append(_as_item(row))
    return found


def append_bundle_item(
    connection: Connection, worksheet_uuid: str, bundle_uuid: str, after_sort_key: int | None = None
) -> None:
    """Add a bundle to a worksheet: at its end, or after the items that have ``after_sort_key``.

    That the worksheet exists and may be changed has been looked at before (see `worksheets.demand_change`).
    """
    query = select(worksheets.c.id).where(worksheets.c.uuid == worksheet_uuid)
    worksheet_id = connection.execute(query).scalar_one()
    add_items(connection, worksheet_id, [NewItem(BUNDLE, bundle_uuid=bundle_uuid)], after_sort_key)


def add_items(
    connection: Connection, worksheet_id: int, items: Sequence[NewItem], after_sort_key: int | None = None
) -> list[int]:
    """Add items at the end, or after those that have ``after_sort_key`` (-1: at the beginning); returns their ids."""
    table = worksheet_items.c
    if after_sort_key is None:
        last = connection.execute(select(func.max(table.sort_key)).where(table.worksheet_id == worksheet_id)).scalar()
        after_sort_key = -1 if last is None else last
    else:
        later = (table.worksheet_id == worksheet_id) & (table.sort_key > after_sort_key)
        connection.execute(update(worksheet_items).where(later).values(sort_key=table.sort_key + len(items)))
    if items:
        rows = [_row(worksheet_id, item, key) for key, item in enumerate(items, after_sort_key + 1)]
        connection.execute(insert(worksheet_items), rows)
    touch(connection, worksheet_id)
    is_new = table.sort_key.between(after_sort_key + 1, after_sort_key + len(items))
    made = select(table.id).where(table.worksheet_id == worksheet_id, is_new).order_by(table.sort_key, table.id)
    return list(connection.execute(made).scalars())


def replace_items(connection: Connection, worksheet_id: int, items: Sequence[NewItem]) -> list[int]:
    """Make these all items of a worksheet; returns their ids."""
    connection.execute(delete(worksheet_items).where(worksheet_items.c.worksheet_id == worksheet_id))
    return add_items(connection, worksheet_id, items)


def remove_items(connection: Connection, worksheet_id: int, ids: Iterable[int]) -> None:
    """Remove those of the items that stand in this worksheet."""
    for some in _portions(list(ids)):
        is_one = (worksheet_items.c.worksheet_id == worksheet_id) & worksheet_items.c.id.in_(some)
        connection.execute(delete(worksheet_items).where(is_one))
    touch(connection, worksheet_id)


def touch(connection: Connection, worksheet_id: int) -> None:
    """Note that the items of a worksheet have changed."""
    changed = {"updated_at": now(), "version": worksheets.c.version + 1}
    connection.execute(update(worksheets).where(worksheets.c.id == worksheet_id).values(changed))


def last_bundles(connection: Connection, worksheet_id: int) -> list[tuple[str, str]]:
    """Return uuid and name of the bundles of a worksheet, each once, what was added last first.

    What items name but does not exist is left out.
    """
    query = (
        select(bundles.c.uuid, bundles.c.name)
        .join_from(worksheet_items, bundles, worksheet_items.c.bundle_uuid == bundles.c.uuid)
        .where(worksheet_items.c.worksheet_id == worksheet_id)
        .order_by(worksheet_items.c.id.desc())
    )
    return list(dict.fromkeys((row.uuid, row.name) for row in connection.execute(query)))


def host_worksheets(connection: Connection, bundle_uuids: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """Return uuid and name of all worksheets that bundles stand on, by the bundles' uuids; a list for each.

    For rules. What a reader is shown of it is `host_worksheets_for`.
    """
    return _hosts(connection, bundle_uuids, None, is_all=True)


def host_worksheets_for(
    connection: Connection, bundle_uuids: Iterable[str], reader: Account | None
) -> dict[str, list[tuple[str, str]]]:
    """Return as `host_worksheets` does, but only the worksheets that ``reader`` (None: anybody) may read."""
    return _hosts(connection, bundle_uuids, reader, is_all=False)


def _hosts(
    connection: Connection, bundle_uuids: Iterable[str], reader: Account | None, is_all: bool
) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {uuid: [] for uuid in bundle_uuids}
    for some in _portions(list(found)):
        query = (
            select(worksheet_items.c.bundle_uuid, worksheets.c.uuid, worksheets.c.name)
            .distinct()
            .join_from(worksheet_items, worksheets, worksheet_items.c.worksheet_id == worksheets.c.id)
            .where(worksheet_items.c.bundle_uuid.in_(some))
            .order_by(worksheets.c.id)
        )
        if not is_all:
            query = query.where(may_read(worksheets.c.id, reader, RESOURCE))
        for row in connection.execute(query):
            found[row.bundle_uuid].append((row.uuid, row.name))
    return found


def _row(worksheet_id: int, item: NewItem, sort_key: int) -> dict[str, Any]:
    return {
        "worksheet_id": worksheet_id,
        "type": item.type,
        "value": item.value,
        "bundle_uuid": item.bundle_uuid,
        "subworksheet_uuid": item.subworksheet_uuid,
        "sort_key": sort_key,
    }


def _as_item(row: Row[Any]) -> Item:
    return Item(row.type, row.value, row.bundle_uuid, row.subworksheet_uuid, row.id, row.worksheet_id, row.sort_key)


def _portions(ids: list[T]) -> Iterator[list[T]]:
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))
