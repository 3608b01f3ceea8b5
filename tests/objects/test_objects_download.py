"""The download of objects: everything that its caller may read, with all versions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from exports.conftest import Downloads
from objects.conftest import Lab
from support import Api

from cosphere_jupyter.exports import rows


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
async def test_it_holds_every_version_of_every_readable_object(
    lab: Lab, rosa: Api, otto: Api, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "PAGE", 2)
    first, hers, secret = [await lab.create(each, name) for each, name in ((rosa, "A"), (otto, 'B,"\n'), (otto, "C"))]
    mass = {"_type": "quantity", "magnitude": 5, "units": "mg"}
    weighed = await lab.create(rosa, "D", 1, mass=mass)
    await lab.give(hers, rosa, "read")
    for name in ("A1", "A2", "A3"):
        await lab.update(rosa, first, name)
    await rosa.put(f"/api/v1/objects/{weighed}/hidden", True)
    found = await table(Downloads(), rosa, format)
    shown = [(each["object_id"], each["version_id"], each["is_current"], each["is_hidden"]) for each in found]
    assert shown == [
        *((first, number, number == 3, False) for number in range(4)),
        (hers, 0, True, False),
        (weighed, 0, True, True),
    ]
    assert [each["data"]["name"]["text"] for each in found] == ["A", "A1", "A2", "A3", 'B,"\n', "D"]
    for each in found:
        version = (await rosa.get(f"/api/v1/objects/{each['object_id']}/versions/{each['version_id']}")).json
        assert (each["schema"], each["data"]) == (version["schema"], version["data"])
        assert (each["action_id"], each["user_id"]) == (version["action_id"], version["user_id"])
    assert (found[-1]["action"], found[-1]["type"], found[0]["type"]) == ("Weigh", "measurement", "sample")
    assert secret not in {each["object_id"] for each in found}
    assert secret in {each["object_id"] for each in await table(Downloads(), lab.owner, format)}


async def test_it_is_empty_for_whoever_may_read_nothing(lab: Lab, rosa: Api, otto: Api) -> None:
    await lab.create(rosa)
    assert await table(Downloads(), otto, "parquet") == []


async def table(downloads: Downloads, caller: Api, format: str) -> list[dict[str, Any]]:
    """Return the rows, with their JSON read."""
    if format == "json":
        file = await downloads.file(caller, await downloads.done(caller, "objects", format=format))
        return [json.loads(line) for line in file.body.splitlines()]
    found = (await downloads.table(caller, "objects", format=format)).to_pylist()
    return [{**row, "schema": json.loads(row["schema"]), "data": json.loads(row["data"])} for row in found]
