"""All that is done with worksheets, for the CodaLab face: reading, finding, making, changing and deleting them.

Changes are whole or nothing: of a list that names several worksheets, one that is refused leaves all as they are.
Source: the CodaLab REST API's semantics, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from ..accounts.profiles import Profile, account_named, read_profiles
from ..accounts.service import Account
from ..database.engine import Database
from ..database.schema import now
from ..errors import AccessDenied
from ..permissions.service import Level, Permission, Subject, change_level
from .access import ALL, WORKSHEET, demand_level, permissions_of
from .group_permissions import GroupPermission, group_permissions_of, set_group_permission
from .ids import is_uuid
from .problems import Missing, Refused
from .worksheet_items import BUNDLE, TYPES, remove_items
from .worksheet_items import WORKSHEET as WORKSHEET_ITEM
from .worksheet_search import check_name, find_worksheet, make_home, needs_home, read_worksheet_for, search_worksheets
from .worksheets import (
    Item,
    NewItem,
    Worksheet,
    add_items,
    delete_worksheet,
    items_of,
    read_worksheet,
    read_worksheets,
    replace_items,
    store_worksheet,
    update_worksheet,
)

LONGEST_TAG = 256
LONGEST_TITLE = 10_000
MOST_ITEMS = 50_000


@dataclass(frozen=True)
class Wanted:
    """What is read besides the worksheets themselves."""

    items: bool = False
    subworksheets: bool = False
    group_permissions: bool = False


@dataclass(frozen=True)
class Shown:
    """Worksheets as a caller may see them. Keys are ids of worksheets, of ``profiles`` those of accounts.

    ``items`` and ``group_permissions`` are empty where they were not wanted; ``subworksheets`` are by uuid, and only
    those that the caller may read. ``hidden`` are the uuids of those that there are besides.
    """

    worksheets: list[Worksheet]
    permissions: Mapping[int, int]
    profiles: Mapping[int, Profile]
    items: Mapping[int, list[Item]] = field(default_factory=dict)
    group_permissions: Mapping[int, list[GroupPermission]] = field(default_factory=dict)
    subworksheets: Mapping[str, Worksheet] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Change:
    """What is changed of a worksheet: what is missing in ``values`` stays. ``owner`` is a user id or user name."""

    uuid: str
    values: Mapping[str, Any]
    owner: str | None = None


class Worksheets:
    """All that is done with worksheets. ``reader`` is None for a caller whom nobody knows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, uuid: str, reader: Account | None, wanted: Wanted) -> Shown:
        """Return one worksheet; ``Missing`` if there is none, ``AccessDenied`` if the caller may not read it."""
        return await self._database.read(
            lambda connection: show(connection, [read_worksheet_for(connection, uuid, reader)], reader, wanted)
        )

    async def find(self, specs: Sequence[str], reader: Account | None, wanted: Wanted) -> Shown:
        """Return the worksheets of specs, one for each; the caller's home worksheet is made when it is first named."""
        if reader is not None:
            await self._make_home(specs, reader)

        def work(connection: Connection) -> Shown:
            return show(connection, [find_worksheet(connection, spec, reader) for spec in specs], reader, wanted)

        return await self._database.read(work)

    async def _make_home(self, specs: Sequence[str], owner: Account) -> None:
        if await self._database.read(lambda connection: needs_home(connection, specs, owner)):
            await self._database.write(lambda connection: make_home(connection, owner))

    async def search(self, keywords: Sequence[str], reader: Account | None, wanted: Wanted) -> Shown:
        """Return the worksheets that all keywords are true of."""
        return await self._database.read(
            lambda connection: show(connection, search_worksheets(connection, keywords, reader), reader, wanted)
        )

    async def create(self, wanted: Sequence[Mapping[str, Any]], owner: Account) -> Shown:
        """Make worksheets of their attributes (a ``name``; ``title`` and ``tags`` if you like); all may read them."""

        def work(connection: Connection) -> Shown:
            made = [_create(connection, values, owner) for values in wanted]
            return show(connection, made, owner, Wanted(items=True))

        return await self._database.write(work)

    async def update(self, changes: Sequence[Change], caller: Account) -> Shown:
        """Change worksheets; ``AccessDenied`` if one is frozen or not the caller's to change."""

        def work(connection: Connection) -> Shown:
            for each in changes:
                _update(connection, each, caller)
            uuids = [each.uuid for each in changes]
            return show(connection, list(read_worksheets(connection, uuids).values()), caller, Wanted())

        return await self._database.write(work)

    async def delete(self, uuids: Sequence[str], caller: Account, force: bool) -> None:
        """Delete worksheets; those with items and frozen ones only by ``force``."""

        def work(connection: Connection) -> None:
            for uuid in uuids:
                _delete(connection, uuid, caller, force)

        await self._database.write(work)

    async def set_items(
        self, worksheets: Mapping[str, Sequence[NewItem]], caller: Account, replace: bool
    ) -> dict[str, list[Item]]:
        """Add items to worksheets, or make them all of their items; returns the items that were made, by worksheet."""
        if sum(map(len, worksheets.values())) > MOST_ITEMS:
            raise Refused(f"at most {MOST_ITEMS} items can be sent at once")

        def work(connection: Connection) -> dict[str, list[Item]]:
            store = replace_items if replace else add_items
            made = {}
            for uuid, items in worksheets.items():
                found = demand_change(connection, uuid, caller)
                made[uuid] = _those(connection, found, store(connection, found.id, items))
            return made

        return await self._database.write(work)

    async def insert_items(
        self, uuid: str, items: Sequence[NewItem], caller: Account, after_sort_key: int | None, gone: Sequence[int]
    ) -> list[Item]:
        """Put items after those that have a sort key, and take the items with the ids ``gone`` away."""

        def work(connection: Connection) -> list[Item]:
            found = demand_change(connection, uuid, caller)
            ids = add_items(connection, found.id, items, after_sort_key)
            remove_items(connection, found.id, gone)
            return _those(connection, found, ids)

        return await self._database.write(work)

    async def set_permissions(
        self, wanted: Sequence[tuple[str, str, int]], caller: Account
    ) -> list[tuple[str, GroupPermission]]:
        """Give groups permissions on worksheets: uuid of the worksheet, uuid of the group, and 0, 1 or 2."""

        def work(connection: Connection) -> list[tuple[str, GroupPermission]]:
            made = []
            for uuid, group_uuid, permission in wanted:
                found = demand(connection, uuid, caller)
                given = set_group_permission(connection, found.id, group_uuid, permission, caller, WORKSHEET)
                made.append((uuid, given))
            return made

        return await self._database.write(work)


def show(connection: Connection, found: list[Worksheet], reader: Account | None, wanted: Wanted) -> Shown:
    """Return worksheets with what is wanted of them besides."""
    ids = [each.id for each in found]
    items = items_of(connection, ids) if wanted.items else {}
    below: dict[str, Worksheet] = {}
    if wanted.subworksheets:
        named = [item.subworksheet_uuid for some in items.values() for item in some if item.subworksheet_uuid]
        below = read_worksheets(connection, named)
    permissions = permissions_of(connection, [*ids, *(each.id for each in below.values())], reader, WORKSHEET)
    hidden = frozenset(uuid for uuid, each in below.items() if not permissions[each.id])
    below = {uuid: each for uuid, each in below.items() if uuid not in hidden}
    given = group_permissions_of(connection, ids, WORKSHEET) if wanted.group_permissions else {}
    owners = {each.owner_id for each in (*found, *below.values())}
    return Shown(found, permissions, read_profiles(connection, owners), items, given, below, hidden)


def demand(connection: Connection, uuid: str, caller: Account | None) -> Worksheet:
    """Return a worksheet that the caller may do all with; ``AccessDenied`` also if there is none of this uuid."""
    found = read_worksheet(connection, uuid)
    demand_level(connection, uuid, None if found is None else found.id, caller, ALL, WORKSHEET)
    assert found is not None  # noqa: S101
    return found


def demand_change(connection: Connection, uuid: str, caller: Account | None) -> Worksheet:
    """Return a worksheet that the caller may change; ``AccessDenied`` also if it is frozen."""
    found = demand(connection, uuid, caller)
    if found.frozen_at is not None:
        raise AccessDenied(f"Cannot mutate frozen worksheet {found.uuid}({found.name}).")
    return found


def new_item(item_type: Any, value: Any, bundle_uuid: str | None, subworksheet_uuid: str | None) -> NewItem:
    """Return an item of what was sent for it, or raise ``Refused``."""
    if item_type not in TYPES:
        raise Refused(f"Invalid type of an item: {str(item_type)[:40]}")
    if value is not None and not isinstance(value, str):
        raise Refused("`value` of an item must be a text.")
    named = {BUNDLE: bundle_uuid, WORKSHEET_ITEM: subworksheet_uuid}.get(item_type)
    if item_type in (BUNDLE, WORKSHEET_ITEM) and not is_uuid(named):
        raise Refused(f"An item of type {item_type} must name one by its uuid, not {str(named)[:40]}")
    return NewItem(
        item_type,
        value or "",
        bundle_uuid if item_type == BUNDLE else None,
        subworksheet_uuid if item_type == WORKSHEET_ITEM else None,
    )


def _create(connection: Connection, values: Mapping[str, Any], owner: Account) -> Worksheet:
    name = check_name(connection, values.get("name"), owner)
    made = store_worksheet(connection, name, owner.id, title=_title(values.get("title")))
    changes = _columns({key: values[key] for key in ("tags", "is_anonymous") if key in values})
    if changes:
        update_worksheet(connection, made, **changes)
    return read_worksheets(connection, [made.uuid])[made.uuid]


def _update(connection: Connection, change: Change, caller: Account) -> None:
    found = demand(connection, change.uuid, caller)
    # Whoever unfreezes it may change more in the same breath.
    if found.frozen_at is not None and not ("frozen" in change.values and change.values["frozen"] is None):
        demand_change(connection, change.uuid, caller)
    columns = _columns(change.values)
    if "name" in change.values and change.values["name"] != found.name:
        columns["name"] = check_name(connection, change.values["name"], caller)
    if change.owner is not None:
        columns["owner_id"] = _give_away(connection, found, change.owner)
    update_worksheet(connection, found, **columns)


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns for attributes that were sent; what cannot be changed is passed over."""
    columns: dict[str, Any] = {}
    if "title" in values:
        columns["title"] = _title(values["title"])
    if "tags" in values:
        columns["tags"] = _tags(values["tags"])
    if "is_anonymous" in values:
        if not isinstance(values["is_anonymous"], bool):
            raise Refused("`is_anonymous` must be true or false.")
        columns["is_anonymous"] = values["is_anonymous"]
    if "frozen" in values:
        if values["frozen"] is not None and not isinstance(values["frozen"], str):
            raise Refused("`frozen` must be a time, or null.")
        columns["frozen_at"] = None if values["frozen"] is None else now()
    return columns


def _title(title: Any) -> str | None:
    if title is not None and (not isinstance(title, str) or len(title) > LONGEST_TITLE):
        raise Refused(f"`title` must be a text of at most {LONGEST_TITLE} characters.")
    return title


def _tags(tags: Any) -> list[str]:
    if not isinstance(tags, list) or not all(isinstance(tag, str) and 0 < len(tag) <= LONGEST_TAG for tag in tags):
        raise Refused(f"`tags` must be a list of texts of at most {LONGEST_TAG} characters.")
    return tags


def _give_away(connection: Connection, worksheet: Worksheet, owner: str) -> int:
    account_id = account_named(connection, owner)
    if account_id is None:
        raise Missing(f"User {owner} not found")
    change_level(connection, WORKSHEET, worksheet.id, Permission(Subject("account", worksheet.owner_id), Level.NONE))
    change_level(connection, WORKSHEET, worksheet.id, Permission(Subject("account", account_id), Level.GRANT))
    return account_id


def _delete(connection: Connection, uuid: str, caller: Account, force: bool) -> None:
    found = demand(connection, uuid, caller)
    if not force and found.frozen_at is not None:
        raise Refused(f"Can't delete worksheet {uuid} because it is frozen (--force to override).")
    if not force and items_of(connection, [found.id])[found.id]:
        raise Refused(f"Can't delete worksheet {uuid} because it is not empty (--force to override).")
    delete_worksheet(connection, found)


def _those(connection: Connection, worksheet: Worksheet, ids: Sequence[int]) -> list[Item]:
    made = {each.id: each for each in items_of(connection, [worksheet.id])[worksheet.id]}
    return [made[each] for each in ids]
