"""Objects and versions over HTTP: lists, the way to the current version, ETags, many at once, hiding."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from objects.conftest import MEASURED, NAME_ONLY, Lab, named, text
from support import Api

OBJECTS = "/api/v1/objects/"
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


async def ids(caller: Api, query: str = "") -> list[int]:
    answer = await caller.get(f"{OBJECTS}{query}")
    assert answer.status == 200, answer.body
    return [each["object_id"] for each in answer.json]


async def test_an_object_is_created_and_its_location_told(lab: Lab, rosa: Api) -> None:
    made = await rosa.post(OBJECTS, {"action_id": 0, "version_id": 0, "schema": NAME_ONLY, "data": named("A")})
    assert (made.status, made.headers["Location"]) == (201, "/a%40b/cosphere/api/v1/objects/1/versions/0")
    read = await rosa.get("/api/v1/objects/1/versions/0")
    assert (read.status, read.headers["Content-Type"]) == (200, "application/json")
    assert MOMENT.fullmatch(read.json["utc_datetime"])
    assert read.json == {
        "object_id": 1,
        "version_id": 0,
        "action_id": 0,
        "schema": NAME_ONLY,
        "data": named("A"),
        "user_id": rosa.account["id"],
        "utc_datetime": read.json["utc_datetime"],
    }


async def test_the_address_of_an_object_leads_to_its_current_version(lab: Lab, rosa: Api) -> None:
    object_id = await lab.create(rosa)
    for version_id in (0, 1, 2):
        for path in (f"/api/v1/objects/{object_id}", f"/api/v1/objects/{object_id}/"):
            led = await rosa.get(path)
            assert (led.status, led.body) == (302, b"")
            assert led.headers["Location"] == f"/a%40b/cosphere/api/v1/objects/{object_id}/versions/{version_id}"
        assert await lab.update(rosa, object_id, f"A{version_id + 1}") == version_id + 1


async def test_a_version_never_changes_and_the_list_shows_the_current_one(lab: Lab, rosa: Api, otto: Api) -> None:
    first, second = await lab.create(rosa, "A"), await lab.create(rosa, "B", 1)
    await lab.give(first, otto, "write")
    await lab.update(otto, first, "A later")
    old = (await rosa.get(f"{OBJECTS}{first}/versions/0")).json
    new = (await rosa.get(f"{OBJECTS}{first}/versions/1")).json
    assert (old["data"], old["user_id"]) == (named("A"), rosa.account["id"])
    assert (new["data"], new["user_id"]) == (named("A later"), otto.account["id"])
    for path in (OBJECTS, OBJECTS.rstrip("/")):
        listed = (await rosa.get(path)).json
        assert listed == [(await rosa.get(f"{OBJECTS}{second}/versions/0")).json, new]
    assert (await rosa.get(f"{OBJECTS}{first}/versions/")).json == [old, new]


async def test_everybody_sees_in_lists_what_they_may_read(lab: Lab, rosa: Api, otto: Api) -> None:
    mine, shared, public = [await lab.create(rosa, name) for name in "ABC"]
    await lab.give(shared, otto, "read")
    assert (await rosa.put(f"{OBJECTS}{public}/permissions/public", True)).json is True
    assert await ids(rosa) == [public, shared, mine] == await ids(lab.owner)
    assert await ids(otto) == [public, shared]


async def test_lists_are_filtered_and_paged(lab: Lab, rosa: Api) -> None:
    samples = [await lab.create(rosa, f"S{number}") for number in range(3)]
    measured = [await lab.create(rosa, f"M{number}", 1) for number in range(2)]
    everything = sorted(samples + measured, reverse=True)
    for query, expected in [
        ("?action_id=0", samples[::-1]),
        ("?action_id=1", measured[::-1]),
        ("?action_type=sample", samples[::-1]),
        ("?action_type=-98", measured[::-1]),
        ("?action_type_id=-99", samples[::-1]),
        ("?action_type=simulation", []),
        ("?action_type=1", []),
        ("?limit=2", everything[:2]),
        ("?offset=3", everything[3:]),
        ("?limit=2&offset=1", everything[1:3]),
        ("?limit=2&offset=9", []),
        ("?limit=1&action_id=0", samples[:-2:-1]),
    ]:
        assert await ids(rosa, query) == expected, query
    for passed_over in ("limit=0", "limit=-1", "limit=x", f"limit={10**15}", "offset=-1", "offset=", "limit=1.5"):
        assert await ids(rosa, f"?{passed_over}") == everything, passed_over


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("action_id=x", "Unable to parse action_id"),
        ("action_id=", "Unable to parse action_id"),
        ("action_id=1.0", "Unable to parse action_id"),
        ("action_id=%00", "Unable to parse action_id"),
        ("action_id=7", "No action with the given action_id exists."),
        ("action_id=-1", "No action with the given action_id exists."),
        ("action_id=9999999999999999", "No action with the given action_id exists."),
        ("action_type=recipe", "No matching action type exists."),
        ("action_type=-96", "No matching action type exists."),
    ],
)
async def test_what_is_wrong_with_a_query_is_told(lab: Lab, rosa: Api, query: str, message: str) -> None:
    answer = await rosa.get(f"{OBJECTS}?{query}")
    assert (answer.status, answer.json) == (400, {"message": message})


async def test_of_names_only_no_more_is_shown(lab: Lab, rosa: Api) -> None:
    await lab.create(rosa, "M", 1, is_good={"_type": "bool", "value": True})
    (shown,) = (await rosa.get(f"{OBJECTS}?name_only=1")).json
    assert shown["data"] == named("M")
    name = {"title": "Name", "type": "text"}
    assert shown["schema"] == {"title": "Object", "type": "object", "properties": {"name": name}}
    (whole,) = (await rosa.get(f"{OBJECTS}?name_only=")).json
    assert whole["schema"] == MEASURED


async def test_quantities_are_stored_complete(lab: Lab, rosa: Api) -> None:
    object_id = await lab.create(rosa, "M", 1, mass={"_type": "quantity", "magnitude": 5, "units": "mg"})
    mass = (await rosa.get(f"{OBJECTS}{object_id}/versions/0")).json["data"]["mass"]
    assert {key: mass[key] for key in ("_type", "magnitude", "units", "dimensionality")} == {
        "_type": "quantity",
        "magnitude": 5,
        "units": "mg",
        "dimensionality": "[mass]",
    }
    assert mass["magnitude_in_base_units"] == pytest.approx(5e-6)


async def test_the_content_type_does_not_matter(lab: Lab, rosa: Api) -> None:
    body = b'{"action_id": 0, "data": {"name": {"_type": "text", "text": "A"}}}'
    for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data", ""):
        assert (await rosa("POST", OBJECTS, raw=body, headers={"Content-Type": kind})).status == 201, kind
        path = f"{OBJECTS}1/versions/"
        assert (await rosa("POST", path, raw=body, headers={"Content-Type": kind})).status == 201, kind


async def test_identical_data_still_make_a_version(lab: Lab, rosa: Api) -> None:
    object_id = await lab.create(rosa, "A")
    assert [await lab.update(rosa, object_id, "A") for _ in range(3)] == [1, 2, 3]


async def test_the_schema_of_an_object_follows_that_of_its_action_when_asked(lab: Lab, rosa: Api) -> None:
    object_id, path = await lab.create(rosa), f"{OBJECTS}1/versions/"
    note = {"title": "Note", "type": "text"}
    newer = {**NAME_ONLY, "properties": {**NAME_ONLY["properties"], "note": note}}
    assert (await lab.owner.post("/api/v1/actions/0", {"schema": newer})).status == 200
    noted = named("A", note=text("new"))
    assert await lab.update(rosa, object_id, "B") == 1
    refused = await rosa.post(path, {"data": noted})
    assert refused.status == 400 and "unknown property" in refused.json["message"]
    assert (await rosa.post(path, {"schema": NAME_ONLY, "data": named("C")})).status == 201
    assert (await rosa.post(path, {"schema": newer, "data": noted})).status == 201
    assert (await rosa.post(path, {"data": noted})).status == 201
    assert (await rosa.post(OBJECTS, {"action_id": 0, "data": noted})).status == 201
    schemas = [each["schema"] for each in (await rosa.get(path)).json]
    assert schemas == [NAME_ONLY, NAME_ONLY, NAME_ONLY, newer, newer]


async def test_a_version_has_an_etag_and_need_not_be_sent_twice(lab: Lab, rosa: Api) -> None:
    object_id = await lab.create(rosa)
    path = f"{OBJECTS}{object_id}/versions/0"
    read = await rosa.get(path)
    assert read.headers["ETag"] == f'"{object_id}.0"' == (await rosa.get(f"{OBJECTS}{object_id}")).headers["ETag"]
    again = await rosa.get(path, headers={"If-None-Match": read.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert (await rosa.get(path, headers={"If-None-Match": '"1.7"'})).status == 200


async def test_a_version_may_be_made_on_condition_of_the_current_one(lab: Lab, rosa: Api) -> None:
    object_id = await lab.create(rosa)
    path, body = f"{OBJECTS}{object_id}/versions/", {"data": named("B")}

    async def post(condition: str) -> int:
        return (await rosa.post(path, body, headers={"If-Match": condition})).status

    assert await post(f'"{object_id}.0"') == 201
    assert await post(f'"{object_id}.0"') == 412
    assert await post(f'"7.1", W/"x", "{object_id}.1"') == 201
    assert await post("*") == 201
    stranger = await rosa.of(None).post(path, body, headers={"If-Match": '"7.3"'})
    assert stranger.status == 401
    for other in ('"7.3"', "nonsense", "", f'"{object_id}.{"9" * 30}"'):
        assert await post(other) == 412, other
    statuses = await asyncio.gather(*(post(f'"{object_id}.3"') for _ in range(8)))
    assert sorted(statuses) == [201] + [412] * 7


async def test_many_objects_are_made_at_once_or_none(lab: Lab, rosa: Api) -> None:
    bodies = [{"action_id": number % 2, "data": named(f"N{number}")} for number in range(20)]
    made = await rosa.post(OBJECTS, bodies)
    assert made.status == 201
    assert made.json == [{"object_id": number + 1, "version_id": 0} for number in range(20)]
    assert await ids(rosa) == list(range(20, 0, -1))
    wrong = [*bodies[:3], {"action_id": 0, "data": {"name": text("x"), "more": text("y")}}]
    refused = await rosa.post(OBJECTS, wrong)
    assert refused.status == 400
    assert refused.json["message"].startswith("object 3: validation failed:\n - unknown property")
    assert refused.json["error_paths"] == [[3, "more"]]
    assert len(await ids(rosa)) == 20
    assert (await rosa.post(OBJECTS, [])).json == {"message": "JSON object body required"}
    assert (await rosa.post(OBJECTS, [[]])).json == {"message": "JSON object body required"}
    assert (await rosa.post(OBJECTS, [bodies[0], 7])).json == {"message": "object 1: JSON object body required"}
    assert "at most 1000" in (await rosa.post(OBJECTS, [bodies[0]] * 1001)).json["message"]


async def test_a_hidden_object_stands_in_no_list_and_can_still_be_read(lab: Lab, rosa: Api, otto: Api) -> None:
    shown, hidden = await lab.create(rosa, "A"), await lab.create(rosa, "B")
    path = f"{OBJECTS}{hidden}/hidden"
    await lab.give(hidden, otto, "write")
    assert (await otto.put(path, True)).status == 403
    assert (await rosa.put(path, True)).json is True
    assert await ids(rosa) == [shown] and await ids(otto) == []
    assert await ids(rosa, "?hidden=true") == [hidden]
    assert (await rosa.get(f"{OBJECTS}{hidden}")).status == 302
    assert (await rosa.get(f"{OBJECTS}{hidden}/versions/0")).status == 200
    assert (await otto.get(path)).json is True
    for wrong in (1, "true", None, {}):
        assert (await rosa.put(path, wrong)).json == {"message": "JSON boolean body required"}
    assert (await rosa.put(path, False)).json is False
    assert await ids(rosa) == [hidden, shown]


async def test_objects_that_refer_to_each_other_are_told(lab: Lab, rosa: Api, otto: Api) -> None:
    sample, other = await lab.create(rosa, "S"), await lab.create(rosa, "T")
    measurement = await lab.create(rosa, "M", 1, sample={"_type": "sample", "object_id": sample})

    async def related(caller: Api, object_id: int) -> Any:
        answer = (await caller.get(f"{OBJECTS}{object_id}/related_objects")).json
        assert all(each["component_uuid"] is None for entries in answer.values() for each in entries)
        return [[each["object_id"] for each in answer[f"{way}_objects"]] for way in ("referencing", "referenced")]

    assert await related(rosa, sample) == [[measurement], []]
    assert await related(rosa, measurement) == [[], [sample]]
    await lab.give(measurement, otto, "read")
    assert await related(otto, measurement) == [[], []], "what may not be read is not told"
    data = named("M", sample={"_type": "sample", "object_id": other})
    assert (await rosa.post(f"{OBJECTS}{measurement}/versions/", {"data": data})).status == 201
    assert await related(rosa, sample) == [[], []]
    assert await related(rosa, other) == [[measurement], []]
    wrong = named("M", sample={"_type": "sample", "object_id": measurement})
    assert "object has wrong action type" in (await rosa.post(OBJECTS, {"action_id": 1, "data": wrong})).json["message"]
