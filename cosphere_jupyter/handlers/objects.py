"""Objects and their versions in the iffSamples face.

Source: the iffSamples API, "Objects". The list of versions, ETags, making several objects at once and hiding are ours.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from ..errors import BodyUnreadable
from ..objects.diffs import diff_of
from ..objects.service import TYPE_IDS, ObjectVersion, Refused, Wanted, entity_of
from ..permissions.service import Level
from .samples import SamplesHandler
from .samples_users import user_entity

# Where the numbers of limit and offset end that are looked at.
MOST = 10**15
# Lists that are longer are put together in a thread.
RENDER_ON_LOOP = 50

_FALSE = ("false", "0", "no", "off")
_ETAG = re.compile(r'"(\d{1,16})\.(\d{1,16})"')
_NAME_ONLY = {"title": "Object", "type": "object", "properties": {"name": {"title": "Name", "type": "text"}}}


def rendered(version: ObjectVersion, **more: Any) -> bytes:
    """Return the JSON of a version: the document's keys, who made it and when, and what else was asked for."""
    rest = {"user_id": version.user_id, "utc_datetime": f"{version.created_at:%Y-%m-%d %H:%M:%S}", **more}
    ids = f'"object_id":{version.object_id},"version_id":{version.version_id},"action_id":{version.action_id}'
    return b'{%s,"schema":%s,"data":%s,%s' % (
        ids.encode(),
        version.schema.encode(),
        version.data.encode(),
        orjson.dumps(rest)[1:],
    )


def rendered_list(
    versions: Sequence[ObjectVersion], name_only: bool = False, referencing: Mapping[int, Sequence[int]] | None = None
) -> bytes:
    """Return the JSON of several versions; with ``name_only``, of their names alone.

    ``referencing`` says which objects refer to each, if that was asked for.
    """

    def one(version: ObjectVersion) -> bytes:
        shown = _named(version) if name_only else version
        if referencing is None:
            return rendered(shown)
        return rendered(shown, referencing_objects=references(referencing[version.object_id]))

    return b"[%s]" % b",".join(map(one, versions))


def references(object_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return objects as they are named where others refer to them."""
    return [{"object_id": each, "component_uuid": None} for each in object_ids]


def changes(before: ObjectVersion, after: ObjectVersion) -> Any:
    """Return what differs between two versions, as the API has it."""
    found = diff_of(orjson.loads(before.data), orjson.loads(after.data))
    return {} if found is None else found


def _named(version: ObjectVersion) -> ObjectVersion:
    name = orjson.loads(version.data).get("name")
    data = {} if name is None else {"name": name}
    schema, shown = (orjson.dumps(each).decode() for each in (_NAME_ONLY, data))
    return replace(version, schema=schema, data=shown)


def etag_of(object_id: int, version_id: int) -> str:
    """Return the ETag of a version, which never changes."""
    return f'"{object_id}.{version_id}"'


class ObjectsHandler(SamplesHandler):
    """``/objects/``."""

    async def get(self) -> None:
        """List the current versions that the caller may read, newest first."""
        await self.send_kept(self.services.objects.state(), self._read)

    async def _read(self) -> bytes:
        found = await self.services.objects.bulk_read(self._wanted(), self.account)
        name_only = bool(self.argument("name_only"))
        referencing = None
        if self.argument("get_referencing_objects"):
            ids = [version.object_id for version in found]
            referencing = await self.services.objects.referencing(ids, self.account)
        is_long = len(found) > RENDER_ON_LOOP
        body: bytes = await self.off_loop_if(is_long, lambda: rendered_list(found, name_only, referencing))
        return body

    async def post(self) -> None:
        """Create an object, or one of each entry of a list."""
        body = await self.json_body()
        is_list = isinstance(body, list) and bool(body)
        made = await self.services.objects.create(body if is_list else [body], self.account)
        if is_list:
            self.send_json([each._asdict() for each in made], 201)
        else:
            self.send_created(made[0]._asdict(), "objects", made[0].object_id, "versions", 0)

    def _wanted(self) -> Wanted:
        action_id = self.argument("action_id")
        if action_id is not None and not re.fullmatch(r"-?[0-9]{1,16}", action_id):
            raise Refused("Unable to parse action_id")
        return Wanted(
            query=self.argument("q") or None,
            is_simple=(self.argument("use_advanced_search") or "").lower() in _FALSE,
            action_id=None if action_id is None else int(action_id),
            action_type=_type_of(self.argument("action_type") or self.argument("action_type_id")),
            limit=_number(self.argument("limit"), 1),
            offset=_number(self.argument("offset"), 0) or 0,
            is_hidden=self.argument("hidden") == "true",
        )


class ObjectHandler(SamplesHandler):
    """``/objects/{object_id}``."""

    async def get(self, object_id: str) -> None:
        """Lead to the current version."""
        number = self.path_id(object_id)
        version_id = await self.services.objects.current(number, self.account)
        self.set_status(302)
        self.set_header("Location", self.path_of("objects", number, "versions", version_id))
        self.set_header("ETag", etag_of(number, version_id))
        self.finish()


class VersionsHandler(SamplesHandler):
    """``/objects/{object_id}/versions/``."""

    async def get(self, object_id: str) -> None:
        """List all versions of an object, the first one first."""
        found = await self.services.objects.versions(self.path_id(object_id), self.account)
        self.send_rendered(await asyncio.to_thread(rendered_list, found))

    async def post(self, object_id: str) -> None:
        """Create the next version."""
        number, service = self.path_id(object_id), self.services.objects
        try:
            body = await self.json_body()
        except BodyUnreadable:
            # Whether the caller may write at all is told first.
            await service.demand(number, self.account, Level.WRITE)
            raise
        made = await service.update(number, body, self.account, self._expected(number))
        self.set_header("ETag", etag_of(*made))
        self.send_created(made._asdict(), "objects", number, "versions", made.version_id)

    def _expected(self, object_id: int) -> int | None:
        """Return the version that ``If-Match`` names: None where any will do, -1 if it names none of this object."""
        told = self.request.headers.get("If-Match", "*").strip()
        if told == "*":
            return None
        for match in _ETAG.finditer(told):
            if int(match[1]) == object_id:
                return int(match[2])
        return -1


class VersionHandler(SamplesHandler):
    """``/objects/{object_id}/versions/{version_id}``."""

    async def get(self, object_id: str, version_id: str) -> None:
        """Show a version."""
        ids, service = (self.path_id(object_id), self.path_id(version_id)), self.services.objects
        is_embedding = any(map(self.argument, ("embed_user", "embed_action")))
        if not is_embedding:
            # A version itself never changes; whether the caller may still read it is asked each time.
            self.set_header("ETag", etag_of(*ids))
            self.set_header("Cache-Control", "private, no-cache")
            if self._has_it(etag_of(*ids)):
                await service.read(*ids, self.account)
                self.set_status(304)
                self.finish()
                return
        # The name of a user may change without anything of objects.
        await self.send_kept(None if is_embedding else service.state_of_versions(), lambda: self._read(*ids))

    def _has_it(self, etag: str) -> bool:
        told = self.request.headers.get("If-None-Match", "")
        return told.strip() == "*" or etag in told

    async def _read(self, object_id: int, version_id: int) -> bytes:
        services, more = self.services, dict[str, Any]()
        version = await services.objects.read(object_id, version_id, self.account)
        if self.argument("embed_action"):
            more["action"] = entity_of(await services.actions.read(version.action_id))
        if self.argument("embed_user"):
            user_id = version.user_id
            user = None if user_id is None else await services.accounts.read(user_id)
            more["user"] = user and user_entity(user, self.account.is_admin)
        if self.argument("include_diff") and version_id > 0:
            before = await services.objects.read(object_id, version_id - 1, self.account)
            more["data_diff"] = await asyncio.to_thread(changes, before, version)
        return rendered(version, **more)


class ObjectHiddenHandler(SamplesHandler):
    """``/objects/{object_id}/hidden``: ours; a hidden object stands in no list."""

    async def get(self, object_id: str) -> None:
        """Show whether it is hidden."""
        self.send_json(await self.services.objects.is_hidden(self.path_id(object_id), self.account))

    async def put(self, object_id: str) -> None:
        """Hide it or show it again."""
        number = self.path_id(object_id)
        await self.services.objects.demand(number, self.account, Level.GRANT)
        is_hidden = await self.json_body()
        if not isinstance(is_hidden, bool):
            raise Refused("JSON boolean body required")
        await self.services.objects.hide(number, is_hidden, self.account)
        self.send_json(is_hidden)


def _number(text: str | None, lowest: int) -> int | None:
    """Return a number of the query; what is none, or out of bounds, is passed over."""
    if text is None or not re.fullmatch(r"[0-9]{1,16}", text):
        return None
    return int(text) if lowest <= int(text) < MOST else None


def _type_of(text: str | None) -> str | None:
    if text is None:
        return None
    for name, type_id in TYPE_IDS.items():
        if text in (name, str(type_id)):
            return name
    raise Refused("No matching action type exists.")
