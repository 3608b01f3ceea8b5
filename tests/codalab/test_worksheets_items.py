"""Items of worksheets over HTTP: adding and replacing them, the whole source as text, and two writers at once."""

from __future__ import annotations

import asyncio
from typing import Any

from codalab.pages import UNKNOWN, fill, hide, item, make, source, stored_bundle, text_of
from support import Api


async def values(caller: Api, uuid: str) -> list[tuple[str, str]]:
    """The types and texts of a worksheet's items, in order."""
    answer = await caller.get(f"/rest/worksheets/{uuid}?include=items")
    items = [each["attributes"] for each in answer.json["included"]]
    keys = [each["sort_key"] for each in items]
    assert keys == sorted(keys)
    return [(each["type"], each["value"]) for each in items]


async def test_items_are_added_at_the_end_or_replace_all_others(owner: Api) -> None:
    uuid = await make(owner, "growing")
    first = await fill(owner, uuid, item(uuid, value="eins"), item(uuid, "directive", value="display table"))
    assert first.status == 200
    [text, directive] = first.json["data"]
    assert text["id"].isdecimal() and set(text["attributes"]) == {"type", "value", "sort_key"}
    assert text["relationships"]["worksheet"]["data"] == {"type": "worksheets", "id": uuid}
    assert text["relationships"]["bundle"] == text["relationships"]["subworksheet"] == {"data": None}
    assert directive["attributes"]["sort_key"] > text["attributes"]["sort_key"]
    # Without the parameter, too: each item names its worksheet.
    await owner.post("/rest/worksheet-items", {"data": [item(uuid, value="zwei 🧪")]})
    assert await values(owner, uuid) == [("markup", "eins"), ("directive", "display table"), ("markup", "zwei 🧪")]
    await fill(owner, uuid, item(uuid, value="only"), replace=1)
    assert await values(owner, uuid) == [("markup", "only")]
    assert (await fill(owner, uuid, replace=1)).json["data"] == []
    assert await values(owner, uuid) == []


async def test_items_of_several_worksheets_are_added_at_once_or_not_at_all(owner: Api) -> None:
    one, two = await make(owner, "one"), await make(owner, "two")
    assert (await fill(owner, one, item(one, value="a"), item(two, value="b"))).status == 200
    assert (await values(owner, one), await values(owner, two)) == ([("markup", "a")], [("markup", "b")])
    assert (await fill(owner, one, item(one, value="c"), item(UNKNOWN, value="d"))).status == 403
    assert await values(owner, one) == [("markup", "a")]


async def test_bundles_and_worksheets_that_items_name_need_not_exist(owner: Api) -> None:
    uuid = await make(owner, "hopeful")
    named = item(uuid, "bundle", bundle=UNKNOWN), item(uuid, "worksheet", subworksheet=UNKNOWN)
    assert (await fill(owner, uuid, *named)).status == 200
    assert await source(owner, uuid) == [f"{{{UNKNOWN}}}", f"{{{{{UNKNOWN}}}}}"]


async def test_items_that_make_no_sense_are_refused(owner: Api) -> None:
    uuid = await make(owner, "strict")
    without = item(uuid)
    del without["relationships"]["worksheet"]
    for wrong in [
        without,
        item(uuid, "banana"),
        item(uuid, "bundle"),
        item(uuid, "worksheet"),
        item(uuid, "bundle", bundle="nonsense"),
        {**item(uuid), "attributes": {"type": "markup", "value": 5}},
        {**item(uuid), "attributes": []},
        {**item(uuid), "type": "worksheets"},
    ]:
        answer = await fill(owner, uuid, item(uuid, value="good"), wrong)
        assert answer.status == 400, (wrong, answer.body)
    assert await values(owner, uuid) == []


async def test_the_whole_source_is_replaced_by_a_text(owner: Api, researcher: Api, services: Any) -> None:
    uuid, below = await make(owner, "page"), await make(owner, "below")
    bundle = await stored_bundle(services, owner, "numbers", bundle_type="run", command="sort  in\n> out")
    lines = [
        "# Überschrift ✓",
        "",
        "// nur für uns",
        "% display table run",
        f"[whatever I like]{{{bundle}}}",
        f"{{{bundle[:20]}}}",
        "{{below}}",
        "[no such thing]{nobody}",
        "text with % and {braces} inside",
    ]
    for method in ("POST", "PUT"):
        answer = await owner(method, f"/rest/worksheets/{uuid}/raw", raw="\n".join(lines).encode())
        assert (answer.status, answer.body) == (204, b"")
    told = f"[run numbers -- sort in > out]{{{bundle}}}"
    linked = f"[worksheet below]{{{{{below}}}}}"
    assert await source(owner, uuid) == [*lines[:4], told, told, linked, *lines[7:]]
    kinds = [kind for kind, _ in await values(owner, uuid)]
    assert kinds == ["markup"] * 2 + ["directive"] * 2 + ["bundle"] * 2 + ["worksheet"] + ["markup"] * 2
    # A reader who may not see the bundle or the worksheet is told its uuid only.
    await hide(owner, below)
    assert (await source(researcher, uuid))[4:7] == [f"{{{bundle}}}", f"{{{bundle}}}", f"{{{{{below}}}}}"]
    await owner.post(f"/rest/worksheets/{uuid}/raw", raw=b"")
    assert await source(owner, uuid) == []


async def test_names_in_a_source_mean_what_was_added_last(owner: Api, services: Any) -> None:
    uuid = await make(owner, "history")
    bundles = [await stored_bundle(services, owner, "same") for _ in range(3)]
    await fill(owner, uuid, *[item(uuid, "bundle", bundle=each) for each in bundles])
    await owner.post(f"/rest/worksheets/{uuid}/raw", raw=b"{same}\n{same^3}\n{^2}\n{same^9}")
    shown = [f"[dataset same]{{{each}}}" for each in (bundles[2], bundles[0], bundles[1])]
    assert await source(owner, uuid) == [*shown, "{same^9}"]
    # What is not on it yet may be one of the writer's own.
    other = await stored_bundle(services, owner, "other")
    await owner.post(f"/rest/worksheets/{uuid}/raw", raw=b"{other}\n{same}")
    assert await source(owner, uuid) == [f"[dataset other]{{{other}}}", shown[2]]


async def test_a_source_that_was_read_before_a_change_is_not_written(owner: Api) -> None:
    uuid = await make(owner, "contested")
    path = f"/rest/worksheets/{uuid}"
    seen = (await owner.get(path)).headers["ETag"]
    await fill(owner, uuid, item(uuid, value="somebody else's"))
    late = await owner.post(f"{path}/raw", raw=b"mine", headers={"If-Match": seen})
    text = f"Worksheet {uuid}(contested) was updated concurrently!"
    assert (late.status, text_of(late)) == (400, text)
    assert (await owner.post(f"{path}/raw", raw=b"mine", headers={"If-Match": "nonsense"})).status == 400
    fresh = (await owner.get(path)).headers["ETag"]
    assert (await owner.post(f"{path}/raw", raw=b"mine", headers={"If-Match": fresh})).status == 204
    assert await source(owner, uuid) == ["mine"]


async def test_what_is_added_while_a_source_is_read_is_never_lost(owner: Api, monkeypatch: Any) -> None:
    from cosphere_jupyter.bundles import worksheet_sources

    uuid = await make(owner, "busy")
    read = worksheet_sources.parsed
    added: list[Any] = []
    loop = asyncio.get_running_loop()

    def slowly(*arguments: Any) -> Any:
        found = read(*arguments)
        if not added:
            adding = asyncio.run_coroutine_threadsafe(fill(owner, uuid, item(uuid, value="kept")), loop)
            added.append(adding.result(timeout=30))
        return found

    monkeypatch.setattr(worksheet_sources, "parsed", slowly)
    answer = await owner.post(f"/rest/worksheets/{uuid}/raw", raw=b"all that there is")
    assert (answer.status, text_of(answer)) == (400, f"Worksheet {uuid}(busy) was updated concurrently!")
    assert await values(owner, uuid) == [("markup", "kept")]


async def test_a_source_is_text(owner: Api) -> None:
    uuid = await make(owner, "text")
    for raw in (b"\xff\xfe", b"a\0b"):
        assert (await owner.post(f"/rest/worksheets/{uuid}/raw", raw=raw)).status == 400


async def test_items_are_put_after_others_and_in_the_place_of_some(owner: Api, services: Any) -> None:
    uuid, bundle = await make(owner, "middle"), await stored_bundle(services, owner)
    made = (await fill(owner, uuid, *[item(uuid, value=each) for each in "abc"])).json["data"]
    path = f"/rest/worksheets/{uuid}/add-items"
    after = made[0]["attributes"]["sort_key"]
    added = await owner.post(path, {"items": ["x", "y"], "item_type": "markup", "after_sort_key": after})
    assert added.status == 200
    assert [value for _, value in await values(owner, uuid)] == ["a", "x", "y", "b", "c"]
    await owner.post(path, {"items": ["first"], "after_sort_key": -1})
    await owner.post(path, {"items": [bundle], "item_type": "bundle"})
    gone = [int(each["id"]) for each in added.json["data"]]
    answer = await owner.post(path, {"items": ["z"], "after_sort_key": after + 1, "ids": [*gone, 10**9]})
    assert answer.status == 200
    texts = [value for _, value in await values(owner, uuid)]
    assert texts == ["first", "a", "z", "b", "c", ""]
    assert (await values(owner, uuid))[-1] == ("bundle", "")


async def test_additions_that_make_no_sense_are_refused(owner: Api) -> None:
    uuid = await make(owner, "strict")
    for body in (
        [],
        {"items": "x"},
        {"items": [1]},
        {"items": ["x"], "item_type": "bundle"},
        {"items": [], "ids": ["1"]},
        {"items": [], "after_sort_key": "x"},
        {"items": [], "after_sort_key": True},
        {"items": [], "ids": [2**70]},
    ):
        assert (await owner.post(f"/rest/worksheets/{uuid}/add-items", body)).status == 400, body
