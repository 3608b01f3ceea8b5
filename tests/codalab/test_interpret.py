"""Worksheets as they are to be shown, over HTTP: every kind of block, and what those see who may not see everything."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from codalab.bytes_of import Shelf
from codalab.pages import UNKNOWN, change, hide, make, stored_bundle, text_of, user_id
from support import Api

KEYS = {
    "uuid",
    "name",
    "title",
    "owner_id",
    "owner_name",
    "tags",
    "permission",
    "permission_spec",
    "edit_permission",
    "enable_chat",
    "group_permissions",
    "source",
    "blocks",
    "raw_to_block",
    "block_to_raw",
}
STATS = b'{"train": {"err": 0.125, "n": 7}}'
PIXEL = base64.b64decode(
    b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Page:
    """A worksheet of the owner, and what is shown of it."""

    def __init__(self, owner: Api, uuid: str) -> None:
        self.owner, self.uuid = owner, uuid

    async def write(self, *lines: str) -> None:
        answer = await self.owner.post(f"/rest/worksheets/{self.uuid}/raw", raw="\n".join(lines).encode())
        assert answer.status == 204, answer.body

    async def shown(self, caller: Api | None = None) -> dict[str, Any]:
        answer = await (caller or self.owner).get(f"/rest/interpret/worksheet/{self.uuid}")
        assert answer.status == 200, answer.body
        assert answer.headers["Content-Type"] == "application/json"
        found: dict[str, Any] = answer.json
        return found

    async def blocks(self, *lines: str, caller: Api | None = None) -> list[dict[str, Any]]:
        if lines:
            await self.write(*lines)
        found: list[dict[str, Any]] = (await self.shown(caller))["blocks"]
        return found


@pytest.fixture
def page(owner: Api, run: Any) -> Page:
    return Page(owner, run(make(owner, "page")))


@pytest.fixture
def shelf(owner: Api, services: Any) -> Shelf:
    return Shelf(owner, services)


async def test_a_worksheet_is_shown_with_everything_that_clients_read(page: Page, owner: Api, rosa: Api) -> None:
    await change(owner, page.uuid, title="Tïtel", tags=["ä"])
    await page.write("# Anfang", "", "<script>alert(1)</script>")
    shown = await page.shown()
    assert set(shown) >= KEYS
    assert (shown["title"], shown["tags"], shown["owner_id"]) == ("Tïtel", ["ä"], "0")
    assert (shown["permission"], shown["edit_permission"], shown["enable_chat"]) == (2, True, False)
    assert [each["group_name"] for each in shown["group_permissions"]] == ["public"]
    assert shown["source"] == ["# Anfang", "", "<script>alert(1)</script>"]
    [block] = shown["blocks"]
    assert block["mode"] == "markup_block" and block["text"] == "# Anfang\n\n<script>alert(1)</script>"
    assert len(block["ids"]) == len(block["sort_keys"]) == 3
    assert shown["raw_to_block"] == [[0, 0], [0, 1], [0, 2]]
    assert shown["block_to_raw"] == {"0,0": 0, "0,1": 1, "0,2": 2}
    assert (await page.shown(rosa))["edit_permission"] is False
    missing = await owner.get(f"/rest/interpret/worksheet/{UNKNOWN}")
    assert (missing.status, text_of(missing)) == (404, f"Could not find worksheet with uuid {UNKNOWN}")
    await hide(owner, page.uuid)
    assert (await rosa.get(f"/rest/interpret/worksheet/{page.uuid}")).status == 403


async def test_bundles_stand_in_tables_with_the_columns_of_schemas(page: Page, shelf: Shelf) -> None:
    one = await shelf.filled(STATS, "stats", name="one")
    two = await shelf.bundle("two", state="ready")
    [table] = await page.blocks(f"{{{one}}}", f"{{{two}}}")
    assert table["mode"] == "table_block"
    assert table["header"] == ["uuid[0:8]", "name", "summary", "data_size", "state", "description"]
    assert [row["name"] for row in table["rows"]] == ["one", "two"]
    assert table["rows"][0]["uuid[0:8]"] == one[:8] and table["rows"][0]["summary"] == "[uploaded]"
    assert table["bundles_spec"]["spec_type"] == "list"
    assert [each["uuid"] for each in table["bundles_spec"]["bundle_infos"]] == [one, two]
    schema = ("% schema s", "% add name", "% add err /:train/err %.2f", "% add n /:train/n", "% addschema t")
    lines = ("% schema t", "% add 'a size' data_size size", *schema, "% display table s", f"{{{one}}}", f"{{{two}}}")
    await page.write(*lines)
    shown = await page.shown()
    [table] = shown["blocks"]
    assert table["header"] == ["name", "err", "n", "a size"]
    assert table["rows"] == [
        {"name": "one", "err": "0.12", "n": 7, "a size": str(len(STATS))},
        {"name": "two", "err": None, "n": None, "a size": "0"},
    ]
    assert shown["raw_to_block"] == [None] * 8 + [[0, 0], [0, 1]]
    # What is said of the display holds for the next group only; empty lines separate groups.
    blocks = await page.blocks(*lines, "", f"{{{two}}}")
    assert [len(each["header"]) for each in blocks] == [4, 6]


async def test_records_files_pictures_and_curves_are_blocks_of_their_own(page: Page, shelf: Shelf) -> None:
    stats = await shelf.filled(STATS, "stats", name="one")
    lines = await shelf.filled(b"".join(b"%d\t%d\n" % (n, n * n) for n in range(20)), "curve", name="curve")
    picture = await shelf.filled(PIXEL, "pixel.png", name="pixel")
    blocks = await page.blocks(
        *("% schema r", "% add err /:train/err", "% display record r", f"{{{stats}}}"),
        *("% display contents / maxlines=3", f"{{{lines}}}"),
        *("% display image / width=10", f"{{{picture}}}"),
        *("% display graph / xlabel=n", f"{{{lines}}}"),
        *("% display html /", f"{{{lines}}}"),
        *("% display contents /:train/err", f"{{{stats}}}"),
        *("% display hidden", f"{{{stats}}}"),
        *("% display contents /nothing", f"{{{stats}}}"),
        *("% display image /", f"{{{UNKNOWN}}}"),
    )
    modes = [each["mode"] for each in blocks]
    assert modes == [
        *("record_block", "contents_block", "image_block", "graph_block", "contents_block", "contents_block"),
        *("contents_block", "image_block"),
    ]
    record, contents, image, graph, html, value, nothing, missing = blocks
    assert record["header"] == ["key", "value"] and record["rows"] == [{"key": "err", "value": 0.125}]
    assert contents["lines"] == ["0\t0", "1\t1", "2\t4"] and contents["max_lines"] == 3
    assert contents["status"]["code"] == "ready"
    assert base64.b64decode(image["image_data"]) == PIXEL and image["width"] == "10"
    [curve] = graph["trajectories"]
    assert curve["points"] == [[n, n * n] for n in range(20)] and graph["xlabel"] == "n"
    assert len(html["lines"]) == 10
    assert value["lines"] == ["0.125"]
    assert nothing["status"]["code"] == missing["status"]["code"] == "not_found"
    assert missing["bundles_spec"]["bundle_infos"] == [{"uuid": UNKNOWN, "name": "<missing>"}]


async def test_subworksheets_and_searches_are_shown(page: Page, owner: Api, rosa: Api, shelf: Shelf) -> None:
    below, private = await make(owner, "below"), await make(rosa, "private")
    await hide(rosa, private)
    await shelf.bundle("needle", state="ready")
    blocks = await page.blocks(
        f"{{{{{below}}}}}", f"{{{{{UNKNOWN}}}}}", "% search needle", "% search .count", "% wsearch below"
    )
    assert [each["mode"] for each in blocks] == [
        *("subworksheets_block", "table_block", "markup_block", "subworksheets_block")
    ]
    infos = blocks[0]["subworksheet_infos"]
    assert [(each["uuid"], each["name"]) for each in infos] == [(below, "below"), (UNKNOWN, "<missing>")]
    assert [row["name"] for row in blocks[1]["rows"]] == ["needle"]
    assert blocks[2]["text"] == "1"
    assert [each["name"] for each in blocks[3]["subworksheet_infos"]] == ["below"]
    await page.write(f"{{{{{private}}}}}")
    [block] = await page.blocks(caller=owner.of(None))
    assert block["subworksheet_infos"] == [{"uuid": private, "name": "<private>", "title": None}]


async def test_wrong_directives_say_what_is_wrong_and_show_the_rest(page: Page, shelf: Shelf) -> None:
    bundle = await shelf.bundle("b", state="ready")
    blocks = await page.blocks(
        "% banana <b>",
        "% add x",
        "% display table nothing",
        f"{{{bundle}}}",
        "% search .limit=x",
        "% wsearch foo=1",
        "% don't",
    )
    texts = [each.get("text", "") for each in blocks]
    assert [each["mode"] for each in blocks].count("table_block") == 1
    assert texts[0] == "ERROR: unknown directive: banana <b>"
    assert "must stand below" in texts[1] and "no such schema: nothing" in texts[2]
    assert sum(text.startswith("ERROR") for text in texts) == 6


async def test_searches_of_one_worksheet_do_not_show_without_end(page: Page, shelf: Shelf) -> None:
    await shelf.bundle("needle", state="ready")
    blocks = await page.blocks(*["% search needle"] * 60, *["% wsearch needle"] * 60)
    assert [each["mode"] for each in blocks[:100]] == ["table_block"] * 60 + ["subworksheets_block"] * 40
    assert {each["text"] for each in blocks[100:]} == {"ERROR: this worksheet has too many searches"}


async def test_a_bundle_that_stands_on_a_worksheet_very_often_is_not_told_without_end(page: Page, shelf: Shelf) -> None:
    bundle = await shelf.bundle("long", state="ready", command="x" * 60_000)
    assert len(await page.blocks(*[f"{{{bundle}}}"] * 100)) == 1
    await page.write(*[f"{{{bundle}}}"] * 2000)
    answer = await page.owner.get(f"/rest/interpret/worksheet/{page.uuid}")
    assert answer.status == 400 and b"shows too much at once" in answer.body


async def test_private_bundles_are_masked_and_their_files_not_read(page: Page, shelf: Shelf, rosa: Api) -> None:
    secret = await shelf.filled(STATS, "stats", name="top-secret")
    lines = ("% schema s", "% add name", "% add owner", "% add err /:train/err", "% display table s", f"{{{secret}}}")
    await page.write(*lines, "% display contents /", f"{{{secret}}}", "% display graph /", f"{{{secret}}}")
    for caller in (rosa, rosa.of(None)):
        shown = await page.shown(caller)
        table, contents, graph = shown["blocks"]
        assert table["rows"] == [{"name": "<private>", "owner": None, "err": None}]
        assert table["bundles_spec"]["bundle_infos"][0]["bundle_type"] == "private"
        assert contents["status"]["code"] == "no_permission" and contents["lines"] is None
        assert graph["trajectories"][0]["points"] == []
        assert "top-secret" not in json.dumps(shown) and "0.125" not in json.dumps(shown)
    assert (await page.blocks())[0]["rows"][0]["err"] == 0.125


async def test_values_of_files_are_told_in_the_order_of_the_queries(shelf: Shelf, owner: Api, rosa: Api) -> None:
    stats = await shelf.filled(STATS, "stats", name="one")
    queries = [
        {"bundle_uuid": stats, "genpath": "/:train/err", "post": "%.1f"},
        {"bundle_uuid": stats, "genpath": "/:train/n"},
        {"bundle_uuid": stats, "genpath": "/:x", "post": None},
        {"bundle_uuid": stats, "genpath": "/../x:y"},
        {"bundle_uuid": UNKNOWN, "genpath": "/:train/n"},
        {"bundle_uuid": "nonsense", "genpath": "/x"},
        {"bundle_uuid": stats, "genpath": "/"},
    ]
    answer = await owner.post("/rest/interpret/file-genpaths", {"queries": queries})
    assert answer.json["data"] == ["0.1", 7, None, None, None, None, json.loads(STATS)]
    assert (await rosa.post("/rest/interpret/file-genpaths", {"queries": queries})).json["data"] == [None] * 7
    rows = [{"a": [stats, "/:train/n", None], "b": 5, "c": [1, 2, 3], "d": "text", "e": [stats, "name", None]}]
    table = await owner.post("/rest/interpret/genpath-table-contents", {"contents": rows})
    assert table.json["contents"] == [{**rows[0], "a": 7}]
    assert answer.json["meta"] == table.json["meta"] == {"version": "0.2.0"}


async def test_only_so_much_is_read_of_files_for_one_call(
    shelf: Shelf, owner: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cosphere_jupyter.bundles import genpaths

    monkeypatch.setattr(genpaths, "MOST_READ", len(STATS) + 5)
    uuids = [await shelf.filled(STATS, "stats") for _ in range(3)]
    queries = [{"bundle_uuid": uuid, "genpath": "/:train/n"} for uuid in [*uuids, uuids[0]]]
    answer = await owner.post("/rest/interpret/file-genpaths", {"queries": queries})
    assert answer.json["data"] == [7, 7, None, 7]


async def test_searches_tell_what_they_found_or_the_aggregate(shelf: Shelf, owner: Api, rosa: Api) -> None:
    uuid = await shelf.bundle("needle", state="ready")
    found = (await owner.post("/rest/interpret/search", {"keywords": ["needle"]})).json["response"]
    assert found["is_aggregate"] is False and [each["uuid"] for each in found["result"]] == [uuid]
    counted = (await owner.post("/rest/interpret/search", {"keywords": [".count"]})).json
    assert counted["response"] == {"result": 1, "is_aggregate": True}
    assert (await rosa.post("/rest/interpret/search", {"keywords": ["needle"]})).json["response"]["result"] == []
    await make(rosa, "haystack")
    [sheet] = (await owner.post("/rest/interpret/wsearch", {"keywords": ["hay"]})).json["response"]
    assert (sheet["name"], sheet["owner_id"]) == ("haystack", user_id(rosa))


async def test_bodies_that_make_no_sense_are_refused(owner: Api) -> None:
    bad: list[Any] = [[], 5, {}, {"keywords": "x"}, {"keywords": [5]}, {"queries": [5]}, {"contents": [5]}]
    bad += [{"queries": [{"bundle_uuid": 5, "genpath": "/x"}]}, {"queries": [{"bundle_uuid": "x", "genpath": "name"}]}]
    bad += [{"queries": [{"bundle_uuid": UNKNOWN, "genpath": "/x", "post": 5}]}, {"keywords": [".limit=x"]}]
    bad += [{"queries": [{"bundle_uuid": UNKNOWN, "genpath": f"/{n}"} for n in range(2001)]}]
    for name in ("search", "wsearch", "file-genpaths", "genpath-table-contents"):
        for body in bad:
            answer = await owner.post(f"/rest/interpret/{name}", body)
            assert answer.status == 400, (name, str(body)[:100], answer.body)


async def test_of_an_anonymous_worksheet_nobody_is_told_whose_it_is(page: Page, owner: Api, rosa: Api) -> None:
    await change(owner, page.uuid, is_anonymous=True)
    shown = await page.shown(rosa)
    assert (shown["owner_id"], shown["owner_name"]) == (None, None)
    assert (await page.shown())["owner_id"] == "0"


async def test_a_large_worksheet_is_shown_whole(page: Page, owner: Api, services: Any) -> None:
    bundles = [await stored_bundle(services, owner, f"b{number}") for number in range(30)]
    lines = [f"{{{each}}}" for each in bundles] * 60
    [table] = await page.blocks(*lines)
    assert len(table["rows"]) == 1800 and table["rows"][-1]["name"] == "b29"


async def test_only_so_many_files_are_looked_into_for_one_worksheet(
    page: Page, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cosphere_jupyter.bundles import interpret_files

    monkeypatch.setattr(
        interpret_files.Budget, "__init__", lambda self: setattr(self, "files", 2) or setattr(self, "size", 9)
    )
    stats = await shelf.filled(STATS, "stats")
    lines = ["% display contents /", f"{{{stats}}}", ""] * 3
    first, second, third = await page.blocks(*lines)
    assert first["lines"] == [STATS.decode()]
    for block in (second, third):
        assert block["lines"] is None and block["status"]["code"] == "unknown"
