"""Worksheets over HTTP: the rows of section 4 of the API's semantics, and those of section 1 that concern them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from codalab.pages import (
    UNKNOWN,
    change,
    fill,
    hide,
    item,
    make,
    permit,
    remove,
    stored_bundle,
    text_of,
    user_id,
    worksheet,
)
from support import Api

ATTRIBUTES = {
    "uuid",
    "name",
    "title",
    "frozen",
    "is_anonymous",
    "date_created",
    "date_last_modified",
    "tags",
    "last_item_id",
    "permission",
    "permission_spec",
}


@pytest.fixture
def bob(sign_up: Callable[..., Any], run: Any) -> Api:
    return run(sign_up("bob@lab.example", name="bob"))


async def test_a_new_worksheet_is_everyones_to_read_and_its_owners_to_change(
    researcher: Api, bob: Api, anybody: Api
) -> None:
    made = await researcher.post("/rest/worksheets", {"data": [worksheet("paper", title="Ein Titel: ß")]})
    assert made.status == 200
    [resource] = made.json["data"]
    uuid = resource["id"]
    assert re.fullmatch(r"0x[0-9a-f]{32}", uuid)
    assert set(resource["attributes"]) == ATTRIBUTES
    expected = {
        "uuid": uuid,
        "name": "paper",
        "title": "Ein Titel: ß",
        "frozen": None,
        "is_anonymous": False,
        "tags": [],
    }
    assert {key: resource["attributes"][key] for key in expected} == expected
    assert resource["relationships"]["owner"] == {"data": {"type": "users", "id": user_id(researcher)}}
    for caller, permission in [(researcher, (2, "all")), (bob, (1, "read")), (anybody, (1, "read"))]:
        seen = (await caller.get(f"/rest/worksheets/{uuid}")).json["data"]["attributes"]
        assert (seen["permission"], seen["permission_spec"]) == permission
    for key in ("date_created", "date_last_modified"):
        assert datetime.fromisoformat(resource["attributes"][key]).tzinfo is not None


async def test_a_worksheet_names_its_items_only_where_they_are_asked_for(owner: Api) -> None:
    uuid = await make(owner, "asked")
    plain = (await owner.get(f"/rest/worksheets/{uuid}")).json
    assert "included" not in plain and plain["data"]["attributes"]["last_item_id"] is None
    assert set(plain["data"]["relationships"]) == {"owner"} and plain["meta"]["version"] == "0.2.0"
    empty = (await owner.get(f"/rest/worksheets/{uuid}?include=items")).json
    assert empty["data"]["attributes"]["last_item_id"] == -1 and empty["included"] == []
    made = (await fill(owner, uuid, item(uuid, value="first"), item(uuid, value="second"))).json["data"]
    full = (await owner.get(f"/rest/worksheets/{uuid}?include=items")).json
    assert full["data"]["relationships"]["items"]["data"] == [
        {"type": "worksheet-items", "id": each["id"]} for each in made
    ]
    assert full["data"]["attributes"]["last_item_id"] == int(made[-1]["id"])
    assert [each["attributes"]["value"] for each in full["included"]] == ["first", "second"]


async def test_owner_permissions_bundles_their_owners_and_subworksheets_can_be_included(
    owner: Api, researcher: Api, services: Any
) -> None:
    uuid, below, private = await make(owner, "top"), await make(researcher, "below"), await make(researcher, "private")
    await hide(researcher, private)
    bundle = await stored_bundle(services, researcher, "numbers")
    named = [
        item(uuid, "bundle", bundle=bundle),
        item(uuid, "bundle", bundle=UNKNOWN),
        item(uuid, "worksheet", subworksheet=below),
        item(uuid, "worksheet", subworksheet=private),
    ]
    assert (await fill(owner, uuid, *named)).status == 200
    path = f"/rest/worksheets/{uuid}?include="

    async def included(asked: str, caller: Api = owner) -> list[tuple[str, str]]:
        answer = await caller.get(path + asked)
        assert answer.status == 200, answer.body
        return [(each["type"], each["id"]) for each in answer.json["included"]]

    assert await included("owner") == [("users", "0")]
    assert [kind for kind, _ in await included("group_permissions")] == ["worksheet-permissions"]
    assert ("worksheets", below) in await included("items.subworksheet")
    assert ("worksheets", private) in await included("items.subworksheet")
    bystander = owner.of(None)
    answer = (await bystander.get(path + "items.subworksheet")).json["included"]
    names = {each["id"]: each["attributes"]["name"] for each in answer if each["type"] == "worksheets"}
    assert names == {below: "below", private: "<private>"}
    both = await included("items.bundle,items.bundle.owner")
    assert ("bundles", bundle) in both and ("users", user_id(researcher)) in both
    masked = (await bystander.get(path + "items.bundle")).json["included"]
    shown = {each["id"]: each["attributes"] for each in masked if each["type"] == "bundles"}
    assert shown[bundle]["bundle_type"] == "private"
    # What is not there has its uuid, by which programs know it, and nothing else.
    assert shown[UNKNOWN] == {"uuid": UNKNOWN}
    assert "numbers" not in str(masked)
    items = [each for each in masked if each["type"] == "worksheet-items"]
    assert [each["relationships"]["bundle"]["data"] for each in items][:2] == [
        {"type": "bundles", "id": bundle},
        {"type": "bundles", "id": UNKNOWN},
    ]


async def test_each_relationship_has_data(owner: Api) -> None:
    uuid = await make(owner, "linked")
    await fill(owner, uuid, item(uuid, value="a"), item(uuid, "worksheet", subworksheet=uuid))
    answer = await owner.get(f"/rest/worksheets/{uuid}?include=owner,group_permissions,items,items.subworksheet")
    for resource in [answer.json["data"], *answer.json["included"]]:
        assert resource["id"]
        assert all("data" in each for each in resource.get("relationships", {}).values()), resource


async def test_what_is_wrong_with_a_worksheet_is_told_in_the_apis_words(owner: Api, researcher: Api, bob: Api) -> None:
    uuid = await make(researcher, "mine")
    await hide(researcher, uuid)
    who = f"User bob({user_id(bob)})"
    need = "does not have sufficient permissions on worksheet"
    flag = "'{}' parameter must be integer boolean"
    cases = [
        (await bob.get(f"/rest/worksheets/{UNKNOWN}"), 404, f"Could not find worksheet with uuid {UNKNOWN}"),
        (await bob.get(f"/rest/worksheets/{uuid}"), 403, f"{who} {need} {uuid} (have none, need read)."),
        (
            await bob.of(None).get(f"/rest/worksheets/{uuid}"),
            403,
            f"User public(None) {need} {uuid} (have none, need read).",
        ),
        (await change(bob, uuid, title="x"), 403, f"{who} {need} {uuid} (have none, need all)."),
        (await change(bob, UNKNOWN, title="x"), 403, f"{who} {need} {UNKNOWN} (have none, need all)."),
        (await remove(bob, uuid), 403, f"{who} {need} {uuid} (have none, need all)."),
        (await fill(bob, uuid, item(uuid)), 403, f"{who} {need} {uuid} (have none, need all)."),
        (await permit(bob, uuid, UNKNOWN, permission=2), 403, f"{who} {need} {uuid} (have none, need all)."),
        (await bob.post(f"/rest/worksheets/{uuid}/raw", raw=b"x"), 403, f"{who} {need} {uuid} (have none, need all)."),
        (await bob.get(f"/rest/worksheets/{UNKNOWN}?include=bogus"), 400, "?include=bogus not supported"),
        (await bob.get("/rest/worksheets?specs=nothing"), 404, "No worksheet found with name 'nothing'"),
        (await bob.get("/rest/worksheets?specs=mine"), 404, "No worksheet found with name 'mine'"),
        (
            await bob.get("/rest/worksheets?specs=0xffffffff"),
            404,
            "uuid prefix 0xffffffff doesn't match any worksheets",
        ),
        (await bob.get("/rest/worksheets?keywords=foo=1"), 400, "Unknown key: foo"),
        (await bob.get("/rest/worksheets?keywords=.limit=x"), 400, "Invalid int 'x'"),
        (await bob.delete("/rest/worksheets?force=x", body={"data": []}), 400, flag.format("force")),
        (await bob.post("/rest/worksheet-items?replace=x", {"data": []}), 400, flag.format("replace")),
        (await bob.post("/rest/worksheets", raw=b"no JSON"), 400, "Invalid JSON"),
        (await bob.post("/rest/worksheets", {}), 400, "Object must include `data` key."),
        (await bob.post("/rest/worksheets", {"data": [{}]}), 400, "`data` object must include `type` key."),
        (await bob.delete("/rest/worksheets", body={"data": [{"type": "x"}]}), 400, "type must be 'worksheets'"),
    ]
    for answer, status, text in cases:
        assert (answer.status, text_of(answer)) == (status, text)


async def test_without_a_keyword_all_that_one_may_see_are_listed(owner: Api, researcher: Api) -> None:
    await make(owner, "shared")
    await make(researcher, "mine")
    await hide(owner, await make(owner, "secret"))
    found = (await researcher.get("/rest/worksheets")).json["data"]
    assert {each["attributes"]["name"] for each in found} == {"shared", "mine"}


async def test_names_follow_the_rule(owner: Api) -> None:
    wrong: list[Any] = ["", "9lives", "a b", "ä", "a/b", "x\n", None, 5, ["x"], "n" * 300]
    for name in wrong:
        answer = await owner.post("/rest/worksheets", {"data": [worksheet(name)]})
        assert answer.status == 400
        assert text_of(answer).startswith(r"Names must match ^[a-zA-Z_][a-zA-Z0-9_.\-]*$, was ")


async def test_names_are_unique_and_homes_are_nobody_elses(owner: Api, researcher: Api) -> None:
    uuid = await make(owner, "only")
    other = await make(owner, "other")
    for answer in [
        await researcher.post("/rest/worksheets", {"data": [worksheet("only")]}),
        await change(owner, other, name="only"),
    ]:
        assert (answer.status, text_of(answer)) == (400, "Worksheet with name only already exists")
    for answer in [
        await owner.post("/rest/worksheets", {"data": [worksheet("home-bob")]}),
        await change(owner, uuid, name="home-bob"),
    ]:
        text = "Cannot create home-bob because this is potentially the home worksheet of another user"
        assert (answer.status, text_of(answer)) == (400, text)
    assert (await change(owner, uuid, name="only", title="T")).status == 200


async def test_of_a_list_that_is_refused_nothing_is_made(owner: Api) -> None:
    answer = await owner.post("/rest/worksheets", {"data": [worksheet("one"), worksheet("1")]})
    assert answer.status == 400
    assert (await owner.get("/rest/worksheets?specs=one")).status == 404


@pytest.mark.parametrize("spec", ["/", "", "home-rosa"])
async def test_the_home_worksheet_is_made_when_it_is_first_named(sign_up: Callable[..., Any], spec: str) -> None:
    rosa = await sign_up("rosa@lab.example", name="rosa")
    first = await rosa.get(f"/rest/worksheets?specs={spec}")
    assert first.status == 200, first.body
    [resource] = first.json["data"]
    assert resource["attributes"]["name"] == "home-rosa" and resource["attributes"]["permission"] == 2
    again = await rosa.get("/rest/worksheets?specs=/")
    assert again.json["data"][0]["id"] == resource["id"]


async def test_whoever_gets_the_name_of_somebody_else_gets_a_home_of_their_own(rosa: Api, otto: Api) -> None:
    [first] = (await rosa.get("/rest/worksheets?specs=/")).json["data"]
    for caller, name in [(rosa, "rosalind"), (otto, "rosa")]:
        body = {"data": {"type": "users", "id": user_id(caller), "attributes": {"user_name": name}}}
        assert (await caller("PATCH", "/rest/user", body)).status == 200
    homes = [(await caller.get("/rest/worksheets?specs=/")).json["data"][0] for caller in (otto, otto, rosa)]
    assert homes[0]["id"] == homes[1]["id"] and len({first["id"], homes[0]["id"], homes[2]["id"]}) == 3
    assert [each["attributes"]["permission"] for each in homes] == [2, 2, 2]


async def test_who_is_not_known_has_no_home(owner: Api, anybody: Api) -> None:
    assert (await anybody.get("/rest/worksheets?specs=/")).status == 403
    assert (await anybody.get("/rest/worksheets?specs=/", headers={"X-Requested-With": "x"})).status == 401


async def test_specs_are_uuids_beginnings_and_names_and_answered_in_their_order(owner: Api, researcher: Api) -> None:
    one, two = await make(owner, "one"), await make(researcher, "two")
    answer = await owner.get(f"/rest/worksheets?specs=two&specs={one}&specs={two[:20]}&base={one}")
    assert [each["id"] for each in answer.json["data"]] == [two, one, two]
    assert (await owner.get("/rest/worksheets?specs=0x")).status == 400
    bad = await owner.get("/rest/worksheets?specs=a%20b")
    assert bad.status == 400


async def test_specs_tell_nothing_of_private_worksheets(researcher: Api, bob: Api) -> None:
    uuid = await make(researcher, "secret", title="very secret")
    await hide(researcher, uuid)
    for spec, status in [(uuid, 403), (uuid[:30], 404), ("secret", 404)]:
        answer = await bob.get(f"/rest/worksheets?specs={spec}")
        assert answer.status == status
        assert b"very secret" not in answer.body
        assert (await researcher.get(f"/rest/worksheets?specs={spec}")).json["data"][0]["id"] == uuid


async def test_title_tags_and_names_are_changed_and_tags_replaced(owner: Api) -> None:
    uuid = await make(owner, "before", tags=["old", "ältere"])
    assert (await owner.get(f"/rest/worksheets/{uuid}")).json["data"]["attributes"]["tags"] == ["old", "ältere"]
    changed = await change(
        owner, uuid, name="after", title="Tïtel 你好", tags=["zwei", "eins", "übung"], last_item_id=7
    )
    assert changed.status == 200
    attributes = changed.json["data"][0]["attributes"]
    assert (attributes["name"], attributes["title"]) == ("after", "Tïtel 你好")
    assert attributes["tags"] == ["zwei", "eins", "übung"]
    assert (await change(owner, uuid, title=None)).json["data"][0]["attributes"]["title"] is None


async def test_attributes_of_a_wrong_kind_are_refused(owner: Api) -> None:
    uuid = await make(owner, "odd")
    wrong: list[dict[str, Any]] = [
        {"tags": "x"},
        {"tags": [1]},
        {"tags": [""]},
        {"title": 5},
        {"frozen": 1},
        {"is_anonymous": "yes"},
        {"name": None},
    ]
    for attributes in wrong:
        assert (await change(owner, uuid, **attributes)).status == 400, attributes


async def test_a_frozen_worksheet_is_left_alone_until_it_is_unfrozen(owner: Api) -> None:
    uuid = await make(owner, "ice")
    frozen = await change(owner, uuid, frozen="2026-11-21T01:13:41.603579+00:00")
    at = datetime.fromisoformat(frozen.json["data"][0]["attributes"]["frozen"])
    assert at.tzinfo is not None and at > datetime.fromisoformat("2026-11-21T01:13:41.603579+00:00")
    for answer in [
        await change(owner, uuid, title="x"),
        await fill(owner, uuid, item(uuid)),
        await owner.post(f"/rest/worksheets/{uuid}/raw", raw=b"x"),
        await owner.post(f"/rest/worksheets/{uuid}/add-items", {"items": ["x"]}),
    ]:
        assert (answer.status, text_of(answer)) == (403, f"Cannot mutate frozen worksheet {uuid}(ice).")
    refused = await remove(owner, uuid)
    text = f"Can't delete worksheet {uuid} because it is frozen (--force to override)."
    assert (refused.status, text_of(refused)) == (400, text)
    thawed = (await change(owner, uuid, frozen=None, title="warm")).json["data"][0]["attributes"]
    assert (thawed["frozen"], thawed["title"]) == (None, "warm")


async def test_the_owner_gives_a_worksheet_away(researcher: Api, bob: Api) -> None:
    uuid = await make(researcher, "gift")
    unknown = await change(researcher, uuid, owner=f"0x{99:032x}")
    assert (unknown.status, text_of(unknown)) == (404, f"User 0x{99:032x} not found")
    given = await change(researcher, uuid, owner=user_id(bob))
    assert given.json["data"][0]["relationships"]["owner"]["data"]["id"] == user_id(bob)
    assert (await change(researcher, uuid, title="x")).status == 403
    assert (await change(bob, uuid, title="mine")).status == 200


async def test_of_an_anonymous_worksheet_only_its_owner_is_told_whose_it_is(researcher: Api, bob: Api) -> None:
    uuid = await make(researcher, "nameless")
    await change(researcher, uuid, is_anonymous=True)
    hidden = (await bob.get(f"/rest/worksheets/{uuid}?include=owner")).json
    assert hidden["data"]["relationships"]["owner"] == {"data": None} and hidden["included"] == []
    told = (await researcher.get(f"/rest/worksheets/{uuid}?include=owner")).json
    assert [each["id"] for each in told["included"]] == [user_id(researcher)]


async def test_worksheets_with_items_are_deleted_by_force_only_and_bundles_stay(owner: Api, services: Any) -> None:
    from cosphere_jupyter.bundles.records import read_bundle

    uuid, bundle = await make(owner, "full"), await stored_bundle(services, owner)
    await fill(owner, uuid, item(uuid, "bundle", bundle=bundle))
    refused = await remove(owner, uuid)
    text = f"Can't delete worksheet {uuid} because it is not empty (--force to override)."
    assert (refused.status, text_of(refused)) == (400, text)
    gone = await remove(owner, uuid, force=1)
    assert (gone.status, gone.body) == (200, b"")
    assert (await owner.get(f"/rest/worksheets/{uuid}")).status == 404
    assert await services.database.read(lambda connection: read_bundle(connection, bundle)) is not None


async def test_a_deletion_of_several_is_whole_or_nothing(owner: Api) -> None:
    empty, full = await make(owner, "empty"), await make(owner, "full")
    await fill(owner, full, item(full))
    assert (await remove(owner, empty, full)).status == 400
    assert (await owner.get(f"/rest/worksheets/{empty}")).status == 200


async def test_groups_are_given_permissions_on_worksheets(researcher: Api, bob: Api) -> None:
    from cosphere_jupyter.accounts.groups import PUBLIC_GROUP_UUID

    uuid = await make(researcher, "shared")
    answer = await permit(researcher, uuid, PUBLIC_GROUP_UUID, permission_spec="n")
    assert answer.status == 200, answer.body
    [row] = answer.json["data"]
    assert (row["attributes"]["permission"], row["attributes"]["permission_spec"]) == (0, "none")
    assert row["relationships"]["worksheet"]["data"] == {"type": "worksheets", "id": uuid}
    assert (await bob.get(f"/rest/worksheets/{uuid}")).status == 403
    given = (await permit(researcher, uuid, PUBLIC_GROUP_UUID, permission=2)).json["data"][0]
    assert given["id"].isdecimal() and given["attributes"]["group_name"] == "public"
    shown = (await bob.get(f"/rest/worksheets/{uuid}?include=group_permissions")).json
    assert [each["attributes"]["permission"] for each in shown["included"]] == [2]
    assert (await change(bob, uuid, title="all of us")).status == 200
    for attributes, text in [
        ({}, "One of either permission or permission_spec must be provided."),
        ({"permission_spec": "x"}, "Invalid permission flag specified (x)"),
    ]:
        refused = await permit(researcher, uuid, PUBLIC_GROUP_UUID, **attributes)
        assert (refused.status, text_of(refused)) == (400, text)
    assert (await permit(researcher, uuid, UNKNOWN, permission=1)).status == 404
    lonely = {"type": "worksheet-permissions", "attributes": {"permission": 1}}
    assert (await researcher.post("/rest/worksheet-permissions", {"data": [lonely]})).status == 400


async def test_changes_need_somebody_who_is_known(anybody: Api) -> None:
    for method in ("POST", "PATCH", "DELETE"):
        answer = await anybody(method, "/rest/worksheets", {"data": []})
        assert (answer.status, text_of(answer)) == (403, "User is not authenticated.")


async def test_bodies_that_are_no_worksheets_are_refused(owner: Api) -> None:
    bodies: list[Any] = [[], {}, {"data": 5}, {"data": [5]}, {"data": [{}]}, {"data": [{"type": "bundles", "id": "x"}]}]
    for method in ("POST", "PATCH", "DELETE"):
        for body in bodies:
            answer = await owner(method, "/rest/worksheets", body)
            assert answer.status == 400, (method, body, answer.body)
