"""What tests of worksheets share: short ways to make them, to fill them, and to store a bundle without its face."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from support import Answer, Api

UNKNOWN = f"0x{'ab' * 16}"
JSON = {"Content-Type": "application/json; charset=utf-8"}


def user_id(account: Api) -> str:
    """The id of a caller in this API."""
    number = account.account["id"]
    return "0" if number == 1 else f"0x{number:032x}"


def worksheet(name: str, **attributes: Any) -> dict[str, Any]:
    """A worksheet to be made."""
    return {"type": "worksheets", "attributes": {"name": name, **attributes}}


def related(type_name: str, uuid: str) -> dict[str, Any]:
    return {"data": {"type": type_name, "id": uuid}}


def item(of: str, kind: str = "markup", value: str = "", **named: str) -> dict[str, Any]:
    """An item to be added to a worksheet; ``bundle=`` or ``subworksheet=`` is a uuid."""
    types = {"bundle": "bundles", "subworksheet": "worksheets"}
    relationships = {"worksheet": related("worksheets", of)}
    relationships |= {name: related(types[name], uuid) for name, uuid in named.items()}
    return {"type": "worksheet-items", "attributes": {"type": kind, "value": value}, "relationships": relationships}


async def make(caller: Api, name: str, **attributes: Any) -> str:
    """Make a worksheet and return its uuid."""
    made = await caller.post("/rest/worksheets", {"data": [worksheet(name, **attributes)]})
    assert made.status == 200, made.body
    return str(made.json["data"][0]["id"])


async def change(caller: Api, uuid: str, owner: str | None = None, **attributes: Any) -> Answer:
    resource: dict[str, Any] = {"type": "worksheets", "id": uuid, "attributes": attributes}
    if owner is not None:
        resource["relationships"] = {"owner": related("users", owner)}
    return await caller("PATCH", "/rest/worksheets", {"data": [resource]})


async def remove(caller: Api, *uuids: str, force: int = 0) -> Answer:
    body = {"data": [{"type": "worksheets", "id": uuid} for uuid in uuids]}
    return await caller.delete(f"/rest/worksheets?force={force}", body=body)


async def fill(caller: Api, uuid: str, *items: dict[str, Any], replace: int = 0) -> Answer:
    return await caller.post(f"/rest/worksheet-items?uuid={uuid}&replace={replace}", {"data": list(items)})


async def permit(caller: Api, uuid: str, group: str, **attributes: Any) -> Answer:
    row = {
        "type": "worksheet-permissions",
        "attributes": attributes,
        "relationships": {"worksheet": related("worksheets", uuid), "group": related("groups", group)},
    }
    return await caller.post("/rest/worksheet-permissions", {"data": [row]})


async def hide(caller: Api, uuid: str) -> None:
    """Take what everyone may read of a worksheet away."""
    from cosphere_jupyter.accounts.groups import PUBLIC_GROUP_UUID

    answer = await permit(caller, uuid, PUBLIC_GROUP_UUID, permission=0)
    assert answer.status == 200, answer.body


async def source(caller: Api, uuid: str) -> list[str]:
    """The lines of a worksheet."""
    answer = await caller.get(f"/rest/interpret/worksheet/{uuid}")
    assert answer.status == 200, answer.body
    lines: list[str] = answer.json["source"]
    return lines


async def names(caller: Api, *keywords: str) -> list[str]:
    """The names of the worksheets that keywords find."""
    query = urlencode([("keywords", each) for each in keywords] or [("keywords", "")])
    answer = await caller.get(f"/rest/worksheets?{query}")
    assert answer.status == 200, answer.body
    return [each["attributes"]["name"] for each in answer.json["data"]]


async def stored_bundle(services: Any, owner: Api, name: str = "data", **columns: Any) -> str:
    """Store a bundle as its face would, and return its uuid; only its owner may read it."""
    from cosphere_jupyter.bundles.records import NewBundle, store_bundle

    metadata = {"name": name, "description": "", "tags": [], "license": "", "source_url": "", **columns.pop("more", {})}
    values = {"bundle_type": "dataset", "state": "ready", **columns}
    new = NewBundle(owner.account["id"], metadata=metadata, **values)
    made = await services.database.write(lambda connection: store_bundle(connection, new))
    return str(made.uuid)


def text_of(answer: Answer) -> str:
    """What an error says."""
    return str(answer.json["errors"][0]["detail"])
