"""Bundles over HTTP, as programs ask for them: what tests of several modules use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from support import Answer, Api

SHELL = {"X-Requested-With": "XMLHttpRequest"}
DATASET = {"name": "data", "description": "", "tags": [], "license": "", "source_url": ""}
RUN = {"name": "run-date", "description": "", "tags": []}
UNKNOWN = "0x" + "ab" * 16


def dataset(name: str = "data", **metadata: Any) -> dict[str, Any]:
    """Return the attributes of a dataset."""
    return {"bundle_type": "dataset", "metadata": {**DATASET, "name": name, **metadata}}


def run_of(command: str = "date", name: str = "run-date", dependencies: Sequence[Any] = (), **metadata: Any) -> Any:
    """Return the attributes of a run; dependencies as pairs of child path and parent's uuid."""
    parents = [{"child_path": path, "parent_uuid": uuid, "parent_path": ""} for path, uuid in dependencies]
    return {
        "bundle_type": "run",
        "command": command,
        "dependencies": parents,
        "metadata": {**RUN, "name": name, **metadata},
    }


class Bundles:
    """Calls on bundles as one caller; errors come as plain text."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def of(self, api: Api) -> Bundles:
        return Bundles(api)

    async def call(self, method: str, path: str, data: Any = None, **query: Any) -> Answer:
        suffix = "?" + urlencode(query, doseq=True) if query else ""
        options: dict[str, Any] = {"headers": SHELL}
        if data is None:
            return await self.api(method, f"/rest/{path}{suffix}", **options)
        return await self.api(method, f"/rest/{path}{suffix}", {"data": data}, **options)

    async def post(self, *attributes: Any, **query: Any) -> Answer:
        query = query or {"detached": 1}
        return await self.call(
            "POST", "bundles", [{"type": "bundles", "attributes": each} for each in attributes], **query
        )

    async def make(self, attributes: Any = None, **query: Any) -> str:
        """Make a bundle and return its uuid."""
        made = await self.post(dataset() if attributes is None else attributes, **query)
        assert made.status == 200, made.body
        return str(made.json["data"][0]["id"])

    async def patch(self, uuid: str, owner: str | None = None, **attributes: Any) -> Answer:
        data: dict[str, Any] = {"type": "bundles", "id": uuid, "attributes": attributes}
        if owner is not None:
            data["relationships"] = {"owner": {"data": {"type": "users", "id": owner}}}
        return await self.call("PATCH", "bundles", [data])

    async def delete(self, *uuids: str, **query: Any) -> Answer:
        return await self.call("DELETE", "bundles", [{"type": "bundles", "id": uuid} for uuid in uuids], **query)

    async def read(self, uuid: str, **query: Any) -> Any:
        answer = await self.call("GET", f"bundles/{uuid}", **query)
        assert answer.status == 200, answer.body
        return answer.json

    async def search(self, *keywords: str, **query: Any) -> list[str]:
        """Return the uuids that keywords find."""
        answer = await self.call("GET", "bundles", keywords=list(keywords), include="owner", **query)
        assert answer.status == 200, answer.body
        return [each["id"] for each in answer.json["data"]]

    async def number(self, *keywords: str) -> Any:
        answer = await self.call("GET", "bundles", keywords=list(keywords))
        assert answer.status == 200, answer.body
        return answer.json["meta"]["result"]

    async def permit(self, uuid: str, group: str, permission: int) -> Answer:
        data = {
            "type": "bundle-permissions",
            "attributes": {"permission": permission},
            "relationships": {
                "bundle": {"data": {"type": "bundles", "id": uuid}},
                "group": {"data": {"type": "groups", "id": group}},
            },
        }
        return await self.call("POST", "bundle-permissions", [data])

    async def worksheet(self, name: str) -> str:
        made = await self.call("POST", "worksheets", [{"type": "worksheets", "attributes": {"name": name}}])
        assert made.status == 200, made.body
        return str(made.json["data"][0]["id"])


async def set_state(services: Any, uuid: str, state: str = "ready", **changes: Any) -> None:
    """Bring a bundle into a state as whoever works on it does."""
    from cosphere_jupyter.bundles.records import read_bundle, update_bundle

    def work(connection: Any) -> None:
        bundle = read_bundle(connection, uuid)
        assert bundle is not None
        update_bundle(connection, bundle, state=state, **changes)

    await services.database.write(work)


async def remembered(services: Any, uuid: str) -> Any:
    """Return a bundle as it is stored."""
    from cosphere_jupyter.bundles.records import read_bundle

    return await services.database.read(lambda connection: read_bundle(connection, uuid))
