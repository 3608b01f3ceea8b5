"""Searching worksheets over HTTP: each keyword, what goes before what, and that nobody finds what they may not read."""

from __future__ import annotations

from typing import Any

from codalab.pages import UNKNOWN, change, fill, hide, item, make, names, permit, text_of, user_id
from support import Api


async def test_keywords_find_what_they_are_true_of(owner: Api, rosa: Api, services: Any) -> None:
    uuids = {name: await make(owner, name) for name in ("alpha", "beta_1", "betaX1", "gamma")}
    await change(owner, uuids["alpha"], title="Größen: 100% Öl", tags=["übung", "v1"])
    await change(owner, uuids["gamma"], tags=["v2"])
    await fill(owner, uuids["alpha"], item(uuids["alpha"], "bundle", bundle=UNKNOWN))
    await fill(owner, uuids["beta_1"], item(uuids["beta_1"], "worksheet", subworksheet=uuids["gamma"]))
    await make(rosa, "rosas")
    cases: dict[tuple[str, ...], set[str]] = {
        ("alp",): {"alpha"},
        ("ALPHA",): {"alpha"},
        ("Größen",): {"alpha"},
        ("100% Öl",): {"alpha"},
        (uuids["gamma"][2:20],): {"gamma"},
        ("beta_1",): {"beta_1"},
        ("beta.*1",): {"beta_1", "betaX1"},
        ("name=beta_1",): {"beta_1"},
        ("name=BETA.*",): {"beta_1", "betaX1"},
        ("name=alpha,gamma",): {"alpha", "gamma"},
        ("name=alpha", "name=gamma"): set(),
        (f"uuid={uuids['alpha']}",): {"alpha"},
        (f"uuid={uuids['alpha'][:10]}",): set(),
        (f"uuid={uuids['alpha'][:10]}.*",): {"alpha"},
        ("title=Gr%",): {"alpha"},
        ("tag=übung",): {"alpha"},
        ("tag=v%",): {"alpha", "gamma"},
        ("tags=v2",): {"gamma"},
        (f"bundle={UNKNOWN}",): {"alpha"},
        (f"worksheet={uuids['gamma']}",): {"beta_1"},
        ("owner=rosa",): {"rosas"},
        ("owner=nobody",): set(),
        (f"owner_id={user_id(rosa)}",): {"rosas"},
        ("owner_id=nonsense",): set(),
        ("id=1",): {"alpha"},
        ("id=x",): set(),
        (".mine",): set(uuids),
        (".notmine",): {"rosas"},
        (".shared",): set(),
        ("group=public", "name=gamma"): {"gamma"},
    }
    for keywords, found in cases.items():
        assert set(await names(owner, *keywords)) == found, keywords


async def test_the_callers_own_come_first_and_then_what_was_changed_last(owner: Api, rosa: Api) -> None:
    for caller, name in [(owner, "a"), (rosa, "b"), (owner, "c"), (rosa, "d")]:
        await make(caller, name)
    assert await names(owner) == ["c", "a", "d", "b"]
    assert await names(rosa) == ["d", "b", "c", "a"]
    assert await names(owner.of(None)) == ["d", "c", "b", "a"]
    [found] = (await owner.get("/rest/worksheets?specs=a")).json["data"]
    await change(owner, found["id"], title="new")
    assert await names(owner) == ["a", "c", "d", "b"]
    assert await names(owner, ".last") == ["d", "c", "b", "a"]
    assert await names(owner, "name=.sort-") == ["d", "c", "b", "a"]
    assert await names(owner, "id=.sort") == ["a", "b", "c", "d"]
    assert await names(owner, "name=.sort", ".limit=2", ".offset=1") == ["b", "c"]


async def test_ten_are_found_unless_a_limit_is_given(owner: Api) -> None:
    for number in range(12):
        await make(owner, f"sheet{number}")
    assert len(await names(owner)) == 10
    assert len(await names(owner, ".limit=100")) == 12
    assert len(await names(owner, ".limit=0")) == 0
    for wrong in (".limit=-1", ".limit=1e3", ".offset=x", "banana=.sort"):
        assert (await owner.get(f"/rest/worksheets?keywords={wrong}")).status == 400, wrong


async def test_nobody_finds_what_they_may_not_read(rosa: Api, otto: Api, owner: Api) -> None:
    uuid = await make(rosa, "secret", tags=["hidden"])
    await hide(rosa, uuid)
    for keyword in ("secret", "name=secret", "tag=hidden", uuid, "owner=rosa", "group=public", ".last"):
        assert await names(otto, keyword) == [], keyword
        assert await names(otto.of(None), keyword) == [], keyword
    assert await names(rosa, "secret") == await names(owner, "secret") == ["secret"]


async def test_whose_an_anonymous_worksheet_is_cannot_be_searched_for(rosa: Api, otto: Api, owner: Api) -> None:
    uuid = await make(rosa, "nameless")
    await change(rosa, uuid, is_anonymous=True)
    for keyword in ("owner=rosa", f"owner_id={user_id(rosa)}"):
        assert await names(otto, keyword) == await names(otto.of(None), keyword) == []
        assert await names(rosa, keyword) == await names(owner, keyword) == ["nameless"]
    assert await names(otto, "nameless") == ["nameless"]


async def test_the_place_of_an_anonymous_worksheet_does_not_tell_whose_it_is(rosa: Api, otto: Api) -> None:
    for caller, name in [(rosa, "a"), (otto, "b"), (rosa, "c")]:
        await change(caller, await make(caller, name), is_anonymous=True)
    assert await names(otto, "owner_id=.sort") == ["c", "b", "a"]


async def test_a_search_that_is_too_large_is_refused(owner: Api) -> None:
    await make(owner, "page")
    values = ",".join(["a%"] * 10)
    most = [["page"] * 64, ["name=page" + ",a" * 499], [f"name={values}"], ["page" + "x" * 9000]]
    too_many = [["page"] * 65, ["name=page" + ",a" * 500], ["%" * 13], ["x" * 10_001], ["name=.sort"] * 65]
    for keywords, status in [*((each, 200) for each in most), *((each, 400) for each in too_many)]:
        answer = await owner.post("/rest/interpret/wsearch", {"keywords": keywords})
        assert answer.status == status, (keywords[0][:20], answer.body)


async def test_what_a_group_shares_is_found_through_it(rosa: Api, otto: Api, nora: Api) -> None:
    body = {"data": [{"type": "groups", "attributes": {"name": "team"}}]}
    group = (await rosa.post("/rest/groups", body)).json["data"][0]["id"]
    member = {"data": {"type": "users", "id": user_id(otto)}}
    assert (await rosa.post("/rest/groups/team/relationships/members", member)).status == 200
    uuid = await make(rosa, "plans")
    await hide(rosa, uuid)
    assert (await permit(rosa, uuid, group, permission_spec="r")).status == 200
    assert await names(otto, ".shared") == await names(otto, "group=team") == ["plans"]
    assert await names(nora, ".shared") == []
    missing = await nora.get("/rest/worksheets?keywords=group=team")
    assert (missing.status, text_of(missing)) == (404, "Found no group with name 'team'")


async def test_what_is_found_comes_with_owners_and_permissions(owner: Api, rosa: Api) -> None:
    await make(rosa, "page")
    answer = await owner.get("/rest/worksheets?keywords=page&include=owner,group_permissions")
    assert [each["type"] for each in answer.json["included"]] == ["users", "worksheet-permissions"]
    [found] = answer.json["data"]
    assert found["relationships"]["owner"]["data"]["id"] == user_id(rosa)
    assert found["attributes"]["last_item_id"] is None
