"""Worksheets in the CodaLab face.

Source: the CodaLab REST API and its semantics, section 4. ``If-Match`` at ``raw`` is ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson
from tornado.web import HTTPError

from ...bundles.group_permissions import permission_from
from ...bundles.ids import is_uuid
from ...bundles.problems import Refused
from ...bundles.service import BundleView
from ...bundles.worksheet_service import Change, Shown, Wanted, new_item
from ...bundles.worksheets import NewItem
from ..base import LARGEST_BODY
from .base import API_VERSION, CodaLabHandler, Resource, attributes_of, related, unique
from .bundle_documents import bundle_resource
from .permission_documents import WORKSHEET_PERMISSIONS, permission_resource
from .user_documents import user_resource
from .worksheet_documents import (
    GROUP_PERMISSIONS,
    INCLUDES,
    ITEM_BUNDLE_OWNERS,
    ITEM_BUNDLES,
    ITEM_TYPE,
    ITEM_WORKSHEETS,
    OWNER,
    TYPE,
    bundles_of,
    included_with,
    item_resource,
    missing_bundle,
    wants_items,
    worksheet_resource,
)

# Longer documents are put together in a thread.
RENDER_ON_LOOP = 50
_ETAG = re.compile(r'"(\d{1,18})"')


class _WorksheetsHandler(CodaLabHandler):
    """What single worksheets and lists of them have in common."""

    def wanted(self, asked: set[str]) -> Wanted:
        """Return what has to be read for what is asked to be included."""
        return Wanted(wants_items(asked), ITEM_WORKSHEETS in asked, GROUP_PERMISSIONS in asked)

    async def send_worksheets(self, shown: Shown, asked: set[str], *, is_one: bool = False) -> None:
        """Answer with worksheets, or with the one that there is, and what is asked to be included."""
        views: Sequence[BundleView] = ()
        named = bundles_of(shown) if any(each.startswith(ITEM_BUNDLES) for each in asked) else []
        if named:
            views = await self.services.interpreter.bundles(named, self.reader)

        def work() -> bytes:
            data = [worksheet_resource(each, shown) for each in shown.worksheets]
            document: dict[str, Any] = {"data": data[0] if is_one else data, "meta": {"version": API_VERSION}}
            if asked:
                document["included"] = unique([*included_with(shown, asked), *_bundles(named, views, asked)])
            return orjson.dumps(document)

        is_long = len(shown.worksheets) + sum(map(len, shown.items.values())) > RENDER_ON_LOOP
        self.send_rendered(await self.off_loop_if(is_long, work))


class WorksheetHandler(_WorksheetsHandler):
    """``/worksheets/<uuid>``."""

    async def get(self, uuid: str) -> None:
        """Show a worksheet."""
        asked = self.include(INCLUDES) or set()
        shown = await self.services.worksheets.read(uuid, self.reader, self.wanted(asked))
        self.set_header("ETag", f'"{shown.worksheets[0].version}"')
        await self.send_worksheets(shown, asked, is_one=True)


class WorksheetsHandler(_WorksheetsHandler):
    """``/worksheets``."""

    async def get(self) -> None:
        """Find worksheets by specs, or search by keywords."""
        asked = self.include(INCLUDES) or set()
        worksheets, wanted = self.services.worksheets, self.wanted(asked)
        if "specs" in self.request.query_arguments:
            shown = await worksheets.find(self.values("specs"), self.reader, wanted)
        else:
            # Without a keyword all of them: the command line's list sends none.
            shown = await worksheets.search(self.values("keywords"), self.reader, wanted)
        await self.send_worksheets(shown, asked)

    async def post(self) -> None:
        """Make worksheets."""
        wanted = [attributes_of(each) for each in await self.resources(TYPE)]
        await self.send_worksheets(await self.services.worksheets.create(wanted, self.account), {OWNER})

    async def patch(self) -> None:
        """Change worksheets."""
        changes = [_change(each) for each in await self.resources(TYPE)]
        await self.send_worksheets(await self.services.worksheets.update(changes, self.account), {OWNER})

    async def delete(self) -> None:
        """Delete worksheets; bundles stay."""
        uuids = [_id_of(each) for each in await self.resources(TYPE)]
        await self.services.worksheets.delete(uuids, self.account, self.flag("force"))
        self.send_nothing(200)


class WorksheetItemsHandler(CodaLabHandler):
    """``/worksheet-items``."""

    async def post(self) -> None:
        """Add items to worksheets, or make them all items of these."""
        uuid, found = self.value("uuid"), await self.resources(ITEM_TYPE)
        is_long = len(found) > RENDER_ON_LOOP
        wanted = await self.off_loop_if(is_long, lambda: _items_of(found, uuid))
        made = await self.services.worksheets.set_items(wanted, self.account, self.flag("replace"))

        def work() -> bytes:
            data = [item_resource(item, of) for of, items in made.items() for item in items]
            return orjson.dumps({"data": data, "meta": {"version": API_VERSION}})

        self.send_rendered(await self.off_loop_if(is_long, work))


class WorksheetPermissionsHandler(CodaLabHandler):
    """``/worksheet-permissions``."""

    async def post(self) -> None:
        """Set what groups may do with worksheets."""
        wanted = [
            (_named_by(each, "worksheet"), _named_by(each, "group"), permission_from(attributes_of(each)))
            for each in await self.resources(WORKSHEET_PERMISSIONS)
        ]
        made = await self.services.worksheets.set_permissions(wanted, self.account)
        self.send_data(
            [permission_resource(given, WORKSHEET_PERMISSIONS, worksheet=(TYPE, uuid)) for uuid, given in made]
        )


class WorksheetRawHandler(CodaLabHandler):
    """``/worksheets/<uuid>/raw``: the whole source."""

    async def post(self, uuid: str) -> None:
        """Make a text the source of a worksheet."""
        if len(self.request.body) > LARGEST_BODY:
            raise HTTPError(413)
        try:
            source = self.request.body.decode()
        except UnicodeDecodeError:
            raise Refused("The source must be UTF-8.") from None
        if "\0" in source:
            raise Refused("The source must be text.")
        await self.services.worksheet_sources.replace(uuid, source, self.account, self._expected())
        self.send_nothing()

    async def put(self, uuid: str) -> None:
        """Do as POST does."""
        await self.post(uuid)

    def _expected(self) -> int | None:
        """Return the version that ``If-Match`` names: None where any will do, -1 if it names none."""
        told = self.request.headers.get("If-Match", "*").strip()
        match = _ETAG.fullmatch(told)
        return None if told == "*" else int(match[1]) if match else -1


class WorksheetAddItemsHandler(CodaLabHandler):
    """``/worksheets/<uuid>/add-items``: items after others, or instead of some."""

    async def post(self, uuid: str) -> None:
        """Add lines of text, or bundles by their uuids."""
        body = await self.json_body()
        if not isinstance(body, dict) or not isinstance(body.get("items", []), list):
            raise Refused("`items` must be a list.")
        kind = body.get("item_type") or "markup"
        items = [_line_item(kind, each) for each in body.get("items", [])]
        after, gone = body.get("after_sort_key"), body.get("ids") or []
        if not (after is None or _is_integer(after)) or not isinstance(gone, list) or not all(map(_is_integer, gone)):
            raise Refused("`after_sort_key` and `ids` must be integers.")
        made = await self.services.worksheets.insert_items(uuid, items, self.account, after, gone)
        self.send_data([item_resource(item, uuid) for item in made])


def _bundles(named: Sequence[str], views: Sequence[BundleView], asked: set[str]) -> list[Resource]:
    """Return bundles that items name, with their owners if these are asked for."""
    there = {view.bundle.uuid: view for view in views}
    found = [bundle_resource(there[uuid], ()) if uuid in there else missing_bundle(uuid) for uuid in named]
    if ITEM_BUNDLE_OWNERS in asked:
        found += [user_resource(view.owner) for view in views if view.owner is not None]
    return found


def _items_of(resources: Sequence[Resource], uuid: str | None) -> dict[str, list[NewItem]]:
    """Return the items that were sent, by worksheet; ``uuid`` is one that is there also without any."""
    wanted: dict[str, list[NewItem]] = {} if uuid is None else {uuid: []}
    for each in resources:
        wanted.setdefault(_named_by(each, "worksheet"), []).append(_new_item(each))
    return wanted


def _change(resource: Resource) -> Change:
    owner = related(resource, "owner")
    if isinstance(owner, list):
        raise Refused("A relationship must name an `id`.")
    return Change(_id_of(resource), attributes_of(resource), owner)


def _id_of(resource: Resource) -> str:
    found = resource.get("id")
    if not isinstance(found, str):
        raise Refused("`data` object must include `id` key.")
    return found


def _named_by(resource: Resource, name: str) -> str:
    found = related(resource, name)
    if not isinstance(found, str):
        raise Refused(f"Relationship {name!r} is required.")
    return found


def _new_item(resource: Resource) -> NewItem:
    attributes = attributes_of(resource)
    bundle, below = related(resource, "bundle"), related(resource, "subworksheet")
    return new_item(attributes.get("type"), attributes.get("value"), bundle, below)


def _line_item(kind: Any, text: Any) -> NewItem:
    named = text if is_uuid(text) else None
    return new_item(kind, None if named and kind in ("bundle", "worksheet") else text, named, named)


def _is_integer(value: Any) -> bool:
    return type(value) is int and abs(value) < 2**53
