"""What clients of today ask for besides the document: embedded things, references, permissions through others."""

from __future__ import annotations

from typing import Any

import pytest
from objects.conftest import Lab, text
from support import Api


async def test_action_and_user_are_embedded(lab: Lab, rosa: Api) -> None:
    path = f"/api/v1/objects/{await lab.create(rosa, 'A')}/versions/0"
    bare = (await rosa.get(path)).json
    action = (await rosa.get("/api/v1/actions/0")).json
    user = (await rosa.get("/api/v1/users/me")).json
    assert (await rosa.get(f"{path}?embed_action=1&embed_user=yes")).json == {**bare, "action": action, "user": user}
    assert (await rosa.get(f"{path}?embed_action=&embed_user")).json == bare
    seen = (await lab.owner.get(f"{path}?embed_user=1")).json
    assert seen["user"] == {
        **user,
        "email": "rosa@lab.example",
        "is_hidden": False,
        "is_active": True,
        "is_readonly": False,
    }
    await lab.owner.put(f"/accounts/{rosa.account['id']}", {"name": "Rosa the Second"})
    renamed = await rosa.get(f"{path}?embed_user=1", headers={"If-None-Match": '"1.0"'})
    assert renamed.status == 200 and renamed.json["user"]["name"] == "Rosa the Second"
    assert "ETag" not in renamed.headers
    again = await rosa.get(path, headers={"If-None-Match": "*"})
    assert (again.status, again.headers["ETag"], again.headers["Cache-Control"]) == (304, '"1.0"', "private, no-cache")


async def test_lists_tell_which_objects_refer_to_each(lab: Lab, rosa: Api, otto: Api) -> None:
    sample, other = await lab.create(rosa, "A"), await lab.create(rosa, "B")
    await lab.give(sample, otto, "read")
    reference = {"_type": "sample", "object_id": sample}
    mine, hers = [await lab.create(each, "M", 1, sample=reference) for each in (rosa, otto)]
    listed = {each["object_id"]: each for each in (await rosa.get("/api/v1/objects/?get_referencing_objects=1")).json}
    assert {number: each["referencing_objects"] for number, each in listed.items()} == {
        sample: [{"object_id": mine, "component_uuid": None}],
        other: [],
        mine: [],
    }
    [seen] = (await otto.get("/api/v1/objects/?get_referencing_objects=1&action_id=0&name_only=1")).json
    assert seen["referencing_objects"] == [{"object_id": hers, "component_uuid": None}]
    assert seen["data"] == {"name": text("A")}
    assert "referencing_objects" not in (await rosa.get("/api/v1/objects/")).json[0]


async def test_permissions_through_groups_and_of_admins_are_told_when_asked(lab: Lab, rosa: Api, otto: Api) -> None:
    object_id = await lab.create(rosa, "A")
    group_id = await lab.group("Weighers", rosa, otto)
    path = f"/api/v1/objects/{object_id}/permissions/"
    await rosa.put(f"{path}groups/{group_id}", "write")
    admin, me, other = str(lab.owner.account["id"]), str(rosa.account["id"]), str(otto.account["id"])
    shown = {
        "": {me: "grant"},
        "?include_groups": {me: "grant", other: "write"},
        "?include_admins": {me: "grant", admin: "grant"},
        "?include_admins=0&include_groups=no": {me: "grant", other: "write", admin: "grant"},
        "?include_projects&include_instrument_responsible_users": {me: "grant"},
    }
    for query, expected in shown.items():
        assert (await rosa.get(f"{path}users/{query}")).json == expected, query
        for number in (admin, me, other):
            assert (await rosa.get(f"{path}users/{number}{query}")).json == expected.get(number, "none"), query
    assert (await rosa.get(f"{path}groups/?include_projects")).json == {str(group_id): "write"}


async def test_permissions_are_copied_from_one_object_to_others(lab: Lab, rosa: Api, otto: Api) -> None:
    source, one, two = [await lab.create(rosa, name) for name in "ABC"]
    path = "/api/v1/objects/permissions/copy/"
    await lab.give(source, otto, "write")
    await rosa.put(f"/api/v1/objects/{source}/permissions/public", True)
    wanted = (await rosa.get(f"/api/v1/objects/{source}/permissions/")).json
    done = await rosa.post(path.rstrip("/"), {"source_object_id": source, "target_object_id": one})
    assert (done.status, done.json) == (200, wanted)
    many = [{"source_object_id": source, "target_object_id": each} for each in (one, two)]
    assert (await rosa.post(path, many)).json == [wanted, wanted]
    assert (await otto.get(f"/api/v1/objects/{two}/permissions/")).json == wanted
    # Of several all are done or none.
    bare = await lab.create(rosa, "D")
    his = await lab.create(otto, "E")
    pairs = [{"source_object_id": source, "target_object_id": each} for each in (bare, his)]
    assert (await rosa.post(path, pairs)).status == 403
    assert (await otto.get(f"/api/v1/objects/{bare}/versions/0")).status == 403
    assert (await rosa.post(path, {"source_object_id": his, "target_object_id": bare})).status == 403
    assert (await otto.post(path, {"source_object_id": his, "target_object_id": source})).status == 403
    assert (await rosa.post(path, {"source_object_id": 77, "target_object_id": one})).status == 404
    assert (await rosa.post(path, {"source_object_id": source, "target_object_id": -1})).status == 404
    assert (await rosa.post(path, [])).json == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (7, "JSON object body required"),
        ([7], "JSON object body required"),
        ({}, "source_object_id must be set"),
        ({"source_object_id": 1}, "target_object_id must be set"),
        ({"source_object_id": True, "target_object_id": 1}, "source_object_id must be an integer"),
        ({"source_object_id": 1, "target_object_id": "1"}, "target_object_id must be an integer"),
        ({"source_object_id": 1, "target_object_id": 1, "x": 1}, "invalid key 'x'"),
    ],
)
async def test_what_is_no_pair_of_objects_is_refused(lab: Lab, rosa: Api, body: Any, message: str) -> None:
    answer = await rosa.post("/api/v1/objects/permissions/copy/", body)
    assert (answer.status, answer.json) == (400, {"message": message})


async def test_there_are_no_locations(lab: Lab, rosa: Api, otto: Api) -> None:
    path = f"/api/v1/objects/{await lab.create(rosa, 'A')}/locations"
    for each in (path, f"{path}/", "/api/v1/locations/", "/api/v1/location_types"):
        assert (await rosa.get(each)).json == []
    assert (await otto.get(path)).status == 403
