"""From a download request to a bundle, and from a bundle to a typed download."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from codalab.bytes_of import COMMAND_LINE, Shelf, give, tar_of, told, unpacked
from support import Answer, Api


async def settled(caller: Api, item: dict[str, Any], **spec: Any) -> dict[str, Any]:
    spec = {"columns": ["n", "word"], "filters": [], **spec}
    body = {"catalogue_item_id": item["id"], "spec": spec}
    answer = await caller.post("/downloader/requests/", body)
    assert answer.status in (200, 201), answer.body
    return await caller.settled(answer.json["id"])


async def freeze(caller: Api, **attributes: Any) -> Answer:
    body = {"data": {"type": "bundles", "attributes": attributes}}
    return await caller.post("/rest/bundles/freeze", body, headers=COMMAND_LINE)


async def test_the_rows_of_a_request_become_a_bundle_that_knows_where_they_come_from(
    shelf: Shelf, numbers_item: dict[str, Any]
) -> None:
    researcher = shelf.caller
    request = await settled(researcher, numbers_item, filters=[{"name": "n", "operator": "<", "value": 100}])
    made = await freeze(researcher, request_id=request["id"], name="numbers", tags=["small"])
    assert made.status == 200, made.body
    (bundle,) = made.json["data"]
    shown, uuid = bundle["attributes"], bundle["id"]
    assert (shown["bundle_type"], shown["state"], shown["permission_spec"]) == ("dataset", "ready", "all")
    assert (shown["metadata"]["name"], shown["metadata"]["tags"]) == ("numbers", ["small"])
    contents = (await shelf.info(uuid, depth=1)).json["data"]["contents"]
    parts = {each["name"]: (await shelf.blob(uuid, each["name"])).body for each in contents}
    assert sum(pq.read_table(io.BytesIO(part)).num_rows for part in parts.values()) == 100
    origin = shown["origin"]
    assert {key: origin[key] for key in ("request_id", "catalogue_item_id", "catalogue_item", "rows")} == {
        "request_id": request["id"],
        "catalogue_item_id": numbers_item["id"],
        "catalogue_item": "numbers",
        "rows": 100,
    }
    assert origin["spec"] == request["spec"] and origin["data_version"]
    hashes = {each["name"]: each["sha256"] for each in origin["files"]}
    assert hashes == {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}
    assert shown["metadata"]["data_size"] == sum(map(len, parts.values())) == await shelf.used()
    again = (await freeze(researcher, request_id=request["id"], name="numbers")).json["data"][0]
    assert again["id"] != uuid and again["attributes"]["origin"]["rows_hash"] == origin["rows_hash"]
    assert again["attributes"]["data_hash"] == shown["data_hash"]


async def test_nothing_is_copied_and_the_bundle_outlives_the_result(shelf: Shelf, numbers_item: dict[str, Any]) -> None:
    request = await settled(shelf.caller, numbers_item)
    uuid = (await freeze(shelf.caller, request_id=request["id"], name="numbers")).json["data"][0]["id"]
    store = shelf.services.bundle_contents.store
    folder = store.path((await shelf.stored(uuid)).location)
    assert [path.stat().st_nlink for path in folder.iterdir()] == [2]
    result = shelf.services.store.folder(request["blob_name"])
    before = (await shelf.blob(uuid)).body
    shelf.services.store.delete(request["blob_name"])
    assert not result.exists()
    assert unpacked_tables((await shelf.blob(uuid)).body) == unpacked_tables(before) == 1000
    gone = await freeze(shelf.caller, request_id=request["id"], name="numbers")
    assert told(gone) == (400, "the result of this download request is gone; ask for it again")
    assert store.leftovers() == []


def unpacked_tables(packed: bytes) -> int:
    parts = unpacked(Answer(200, {}, packed))
    return sum(pq.read_table(io.BytesIO(part)).num_rows for part in parts.values())


async def test_files_are_copied_where_they_cannot_have_two_names(
    shelf: Shelf, numbers_item: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    request = await settled(shelf.caller, numbers_item)
    uuid = (await freeze(shelf.caller, request_id=request["id"], name="numbers")).json["data"][0]["id"]
    assert unpacked_tables((await shelf.blob(uuid)).body) == 1000


async def test_a_frozen_download_stands_on_the_worksheet_that_is_named(
    shelf: Shelf, numbers_item: dict[str, Any]
) -> None:
    from codalab.pages import make, source

    request = await settled(shelf.caller, numbers_item)
    sheet = await make(shelf.caller, "paper")
    made = await freeze(shelf.caller, request_id=request["id"], name="numbers", worksheet=sheet)
    assert made.json["data"][0]["attributes"]["host_worksheets"] == [{"uuid": sheet, "name": "paper"}]
    assert any(made.json["data"][0]["id"] in line for line in await source(shelf.caller, sheet))


async def test_what_freezing_refuses(shelf: Shelf, numbers_item: dict[str, Any], sign_up: Any, anybody: Api) -> None:
    request = await settled(shelf.caller, numbers_item)
    number = request["id"]
    assert (await freeze(anybody, request_id=number, name="x")).status == 401
    other = await sign_up("otto@lab.example")
    unseen = (404, f"there is no download request {number} that you wait for")
    assert told(await freeze(other, request_id=number, name="x")) == unseen
    for wrong in (None, "1", True, 0, -1, 1.5, 2**60, [], {}):
        text = "request_id must be the id of a download request"
        assert told(await freeze(shelf.caller, request_id=wrong, name="x")) == (400, text), wrong
    for name in ("", "a b", "../x", 7, None, "ü"):
        assert (await freeze(shelf.caller, request_id=number, name=name)).status == 400, name
    assert (await freeze(shelf.caller, request_id=number, name="x", worksheet=7)).status == 400
    assert (await freeze(shelf.caller, request_id=number, name="x", worksheet="0x12")).status in (403, 404)
    assert (await freeze(shelf.caller, request_id=number, name="x", tags="x")).status == 400
    poor = Shelf(await sign_up("poor@lab.example", disk_quota=100_000), shelf.services)
    await settled(poor.caller, numbers_item)
    await poor.filled(bytes(99_990), "x")
    status, text = told(await freeze(poor.caller, request_id=number, name="x"))
    assert status == 400 and "user disk quota exceeded" in text and text.endswith("left: 10")
    folder = shelf.services.settings.data_dir / "bundles"
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 1


# -- typed downloads -------------------------------------------------------------------------------------------------


async def download(caller: Api, **info: Any) -> Answer:
    """Ask for a bundle as a download, and return its file, or why there is none."""
    body = {"download": {"download_type": "bundle", "info": info}}
    asked = await caller.post("/api/downloads", body)
    if asked.status != 201:
        return asked
    found = asked.json["download"]
    for _ in range(20):
        if found["state"] in ("done", "failed"):
            break
        found = (await caller.get(f"/api/downloads/{found['id']}?wait=5")).json["download"]
    assert found["state"] == "done", found
    host = caller.base.partition("/a%40b")[0]
    link = await caller.get(host + found["url"])
    return await caller.of(None).get(host + link.headers["Location"])


async def test_a_bundle_is_a_type_of_download(shelf: Shelf, sign_up: Any) -> None:
    uuid = await shelf.filled(tar_of(("a.txt", b"one"), ("sub/b.txt", b"two")), "x.tar.gz", name="tree")
    whole = await download(shelf.caller, uuid=uuid)
    assert unpacked(whole) == {"a.txt": b"one", "sub": None, "sub/b.txt": b"two"}
    assert whole.headers["Content-Type"] == "application/gzip"
    assert unpacked(await download(shelf.caller, uuid=uuid, path="sub")) == {"b.txt": b"two"}
    assert unpacked(await download(shelf.caller, uuid=uuid, path="sub/b.txt")) == {"b.txt": b"two"}
    file = await shelf.filled(b"content", "x.txt", name="facts.txt")
    assert unpacked(await download(shelf.caller, uuid=file)) == {"facts.txt": b"content"}
    other = await sign_up("otto@lab.example")
    for wrong in ({}, {"uuid": 7}, {"uuid": uuid, "path": 7}, {"uuid": uuid, "path": "../x"}, {"uuid": "x"}):
        assert (await download(shelf.caller, **wrong)).status == 422, wrong
    assert (await download(other, uuid=uuid)).status == 422
    await give(shelf, uuid, other)
    assert unpacked(await download(other, uuid=uuid, path="sub")) == {"b.txt": b"two"}
