"""Bundles in the CodaLab face: finding, making, changing and deleting them, and what groups may do with them.

Source: the CodaLab REST API and its semantics, section 3.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from typing import Any

import orjson

from ...bundles.group_permissions import permission_from
from ...bundles.ids import is_uuid
from ...bundles.problems import Refused
from ...bundles.service import BundleView, Change, Deletion, Placing
from ...bundles.views import INCLUDES
from .base import API_VERSION, CodaLabHandler, Resource, attributes_of, related
from .bundle_documents import EVERYTHING, TYPE, bundle_resource, included_of
from .permission_documents import BUNDLE_PERMISSIONS, permission_resource

NOTHING_ASKED = "Request must include either 'keywords' or 'specs' query parameter"
ACTIONS = "bundle-actions"


class BundleDocumentsHandler(CodaLabHandler):
    """What answers with bundles."""

    def asked(self) -> set[str] | None:
        """Return what is asked to be included; None: all that API 0.2.0 has in a document."""
        return self.include(INCLUDES)

    @property
    def wanted(self) -> Collection[str]:
        """What has to be read for the answer."""
        asked = self.asked()
        return EVERYTHING if asked is None else asked

    async def send_bundles(self, views: Sequence[BundleView], *, is_one: bool = False) -> None:
        """Answer with bundles, or with the one that there is."""
        asked, display = self.asked(), self.flag("include_display_metadata")

        def work() -> bytes:
            resources = [bundle_resource(view, asked, display) for view in views]
            document: dict[str, Any] = {"data": resources[0] if is_one else resources, "meta": {"version": API_VERSION}}
            if (included := included_of(views, asked)) is not None:
                document["included"] = included
            return orjson.dumps(document)

        # Many of them, with all that belongs to each, take a while to write.
        is_long = sum(1 + len(each.children) for each in views) > 20
        self.send_rendered(await asyncio.to_thread(work) if is_long else work())


class BundleHandler(BundleDocumentsHandler):
    """``/bundles/<uuid>``."""

    async def get(self, uuid: str) -> None:
        """Show a bundle."""
        await self.send_bundles(await self.services.bundles.read([uuid], self.reader, self.wanted), is_one=True)


class BundlesHandler(BundleDocumentsHandler):
    """``/bundles``."""

    async def get(self) -> None:
        """Find bundles by keywords, by specs, or by the command that made them."""
        found = await self._find()
        if isinstance(found, list):
            await self.send_bundles(found)
        else:
            # The document says results; clients read result.
            self.send_meta(result=found, results=found)

    async def _find(self) -> list[BundleView] | float | str:
        service, arguments = self.services.bundles, self.request.query_arguments
        depth = self.integer("depth", 0)
        if "keywords" in arguments:
            return await service.search(self.values("keywords"), self.reader, self.wanted, depth)
        if "specs" in arguments:
            return await service.find(self.values("specs"), self.value("worksheet"), self.reader, self.wanted, depth)
        if (command := self.value("command")) is not None:
            return await service.made_by(command, self._dependencies(), self.account, self.wanted, depth)
        raise Refused(NOTHING_ASKED)

    def _dependencies(self) -> Any:
        try:
            return json.loads(self.value("dependencies") or "[]")
        except (ValueError, RecursionError):
            raise Refused("`dependencies` must be JSON.") from None

    async def post(self) -> None:
        """Make bundles."""
        wanted = [_new(each) for each in await self.resources(TYPE)]
        made = await self.services.bundles.create(wanted, self._placing(), self.account, self.wanted)
        await self.send_bundles(made)

    def _placing(self) -> Placing:
        after = self.value("after_sort_key")
        return Placing(
            self.value("worksheet") or None,
            self.flag("detached"),
            self.value("shadow") or None,
            None if not after else self.integer("after_sort_key", 0),
            self.flag("wait_for_upload"),
        )

    async def patch(self) -> None:
        """Change bundles."""
        changes = [_change(each) for each in await self.resources(TYPE)]
        await self.send_bundles(await self.services.bundles.update(changes, self.account, self.wanted))

    async def delete(self) -> None:
        """Delete bundles, or their contents."""
        uuids = [_id_of(each) for each in await self.resources(TYPE)]
        how = Deletion(
            recursive=self.flag("recursive"),
            force=self.flag("force"),
            data_only=self.flag("data-only"),
            dry_run=self.flag("dry-run"),
        )
        self.send_meta(ids=await self.services.bundles.delete(uuids, self.account, how))


class BundlePermissionsHandler(CodaLabHandler):
    """``/bundle-permissions``."""

    async def post(self) -> None:
        """Set what groups may do with bundles."""
        wanted = [
            (_related_uuid(each, "bundle"), str(related(each, "group")), permission_from(attributes_of(each)))
            for each in await self.resources(BUNDLE_PERMISSIONS)
        ]
        made = await self.services.bundles.set_permissions(wanted, self.account)
        self.send_data([permission_resource(given, BUNDLE_PERMISSIONS, bundle=(TYPE, uuid)) for uuid, given in made])


class BundleActionsHandler(CodaLabHandler):
    """``/bundle-actions``."""

    async def post(self) -> None:
        """Kill bundles, or write into them while they run."""
        asked = [attributes_of(each) for each in await self.resources(ACTIONS)]
        for attributes in asked:
            await self._act(attributes)
        self.send_data([{"type": ACTIONS, "id": None, "attributes": attributes} for attributes in asked])

    async def _act(self, attributes: dict[str, Any]) -> None:
        kind, uuid = attributes.get("type"), str(attributes.get("uuid"))
        if kind == "kill":
            await self.services.bundles.kill(uuid, self.account)
        elif kind == "write":
            subpath, text = attributes.get("subpath"), attributes.get("string")
            if not isinstance(subpath, str) or not isinstance(text, str):
                raise Refused("`subpath` and `string` of a write must be texts.")
            await self.services.bundles.write(uuid, subpath, text, self.account)
        else:
            raise Refused(f"Unknown action type: {str(kind)[:40]}; it is one of kill, write")


class BundleLocationsHandler(CodaLabHandler):
    """``/bundles/<uuid>/locations/``: there are none but the server's own, through which contents are sent."""

    async def get(self, uuid: str) -> None:
        """Show none."""
        self.send_data([])

    async def post(self, uuid: str) -> None:
        """Say that contents are uploaded to the server itself, wherever the body would have them."""
        if self.request.body:
            await self.json_body()
        where = {"bundle_uuid": uuid, "bundle_conn_str": None, "index_conn_str": None, "bundle_url": None}
        self.send_data([{"type": "bundle_locations", "attributes": where}])


class NoneOfTheseHandler(CodaLabHandler):
    """What other servers have and this one does not: stores and places of bundles, workers."""

    async def get(self) -> None:
        """Show none."""
        self.send_data([])


def _new(resource: Resource) -> dict[str, Any]:
    attributes = dict(attributes_of(resource))
    if attributes.get("uuid") is None and resource.get("id") is not None:
        attributes["uuid"] = resource["id"]
    return attributes


def _change(resource: Resource) -> Change:
    owner = related(resource, "owner")
    if isinstance(owner, list):
        raise Refused("`owner` must be one user.")
    return Change(_id_of(resource), attributes_of(resource), owner)


def _id_of(resource: Resource) -> str:
    if not isinstance(resource.get("id"), str):
        raise Refused("`data` object must include `id` key.")
    return str(resource["id"])


def _related_uuid(resource: Resource, name: str) -> str:
    uuid = related(resource, name)
    if not is_uuid(uuid):
        raise Refused(f"`{name}` must be named by its uuid.")
    return str(uuid)
