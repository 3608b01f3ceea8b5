"""Actions over HTTP: what they look like, who may make them, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from objects.conftest import NAME_ONLY, Lab, named
from support import Api

ACTIONS = "/api/v1/actions/"
GROW = {
    "action_id": 0,
    "instrument_id": None,
    "user_id": 1,
    "type": "sample",
    "type_id": -99,
    "name": "Grow",
    "description": "",
    "is_hidden": False,
    "schema": NAME_ONLY,
}


async def test_actions_are_listed_and_read_by_everybody(lab: Lab, rosa: Api) -> None:
    for path in (ACTIONS, ACTIONS.rstrip("/")):
        listed = await rosa.get(path)
        assert (listed.status, [each["action_id"] for each in listed.json]) == (200, [0, 1])
    assert listed.json[0] == GROW == (await rosa.get("/api/v1/actions/0")).json
    assert (await rosa.get("/api/v1/actions/1/")).json["type"] == "measurement"
    for wrong in ("2", str(2**53 - 1), "9" * 30):
        answer = await rosa.get(f"/api/v1/actions/{wrong}")
        assert answer.status == 404 and answer.json["message"].endswith(" does not exist")
    assert (await rosa.get("/api/v1/actions/-1")).status == 404


async def test_admins_create_actions(lab: Lab, rosa: Api) -> None:
    body = {"name": "Simulate", "type": "simulation", "schema": NAME_ONLY, "description": "On paper", "is_hidden": True}
    assert (await rosa.post(ACTIONS, body)).status == 403
    made = await lab.owner.post(ACTIONS, body)
    assert made.status == 201
    assert made.headers["Location"] == "/a%40b/cosphere/api/v1/actions/2"
    assert made.json == {**GROW, **body, "action_id": 2, "type_id": -97}
    assert (await rosa.get("/api/v1/actions/2")).json == made.json


async def test_actions_are_edited(lab: Lab, rosa: Api) -> None:
    path = "/api/v1/actions/0"
    schema = {**NAME_ONLY, "title": "Crystal"}
    assert (await rosa.post(path, {"name": "Mine"})).status == 403
    object_id = await lab.create(rosa)
    edited = await lab.owner.post(path, {**GROW, "name": "Grow better", "schema": schema, "is_hidden": True})
    assert (edited.status, edited.json) == (200, {**GROW, "name": "Grow better", "schema": schema, "is_hidden": True})
    before = await rosa.get(f"/api/v1/objects/{object_id}/versions/0")
    assert before.json["schema"] == NAME_ONLY, "an object keeps its schema"
    for key, value, shown in [("type", "custom", "sample"), ("action_id", 1, 0), ("user_id", None, 1)]:
        answer = await lab.owner.post(path, {key: value})
        assert (answer.status, answer.json) == (400, {"message": f"{key} must be {shown}"})
    assert (await lab.owner.post("/api/v1/actions/7", {"name": "x"})).status == 404


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([], "JSON object body required"),
        ("text", "JSON object body required"),
        (None, "JSON object body required"),
        ({"nme": "x"}, "invalid key 'nme'"),
        ({"action_id": 7}, "invalid key 'action_id'"),
        ({"name": ""}, "name must be a text of 1 to 100 characters"),
        ({"name": " "}, "name must be a text of 1 to 100 characters"),
        ({"name": "x" * 101}, "name must be a text of 1 to 100 characters"),
        ({"name": 7}, "name must be a text of 1 to 100 characters"),
        ({"name": "x\0"}, "the body holds what cannot be stored"),
        ({"name": "\ud800"}, "the body holds what cannot be stored"),
        ({"type": "recipe"}, "type must be one of sample, measurement, simulation, custom"),
        ({"type": ["sample"]}, "type must be one of sample, measurement, simulation, custom"),
        ({"type": None}, "type must be one of sample, measurement, simulation, custom"),
        ({"description": 7}, "description must be a text of at most 65536 characters"),
        ({"is_hidden": 1}, "is_hidden must be true or false"),
    ],
)
async def test_what_is_wrong_with_an_action_is_told(lab: Lab, change: Any, message: str) -> None:
    good = {"name": "x", "type": "custom", "schema": NAME_ONLY}
    answer = await lab.owner.post(ACTIONS, {**good, **change} if isinstance(change, dict) else change)
    assert (answer.status, answer.json) == (400, {"message": message})
    if isinstance(change, dict) and "action_id" not in change and "type" not in change:
        edited = await lab.owner.post("/api/v1/actions/0", change)
        assert (edited.status, edited.json) == (400, {"message": message})


async def test_name_type_and_schema_must_be_set(lab: Lab) -> None:
    good = {"name": "x", "type": "custom", "schema": NAME_ONLY}
    for key in good:
        answer = await lab.owner.post(ACTIONS, {other: good[other] for other in good if other != key})
        assert (answer.status, answer.json) == (400, {"message": f"{key} must be set"})


@pytest.mark.parametrize(
    "schema", [None, 7, "object", [], {}, {"type": "text", "title": "x"}, {**NAME_ONLY, "extra": 1}]
)
async def test_a_schema_is_checked_and_all_that_is_wrong_is_told(lab: Lab, schema: Any) -> None:
    for path in (ACTIONS, "/api/v1/actions/0"):
        body = {"schema": schema} if path != ACTIONS else {"name": "x", "type": "custom", "schema": schema}
        answer = await lab.owner.post(path, body)
        assert answer.status == 400 and answer.json["message"].startswith("invalid schema:\n - ")
        assert isinstance(answer.json["error_paths"], list)
    assert (await lab.owner.get("/api/v1/actions/0")).json["schema"] == NAME_ONLY


async def test_types_of_actions_have_the_ids_that_clients_know(rosa: Api) -> None:
    listed = (await rosa.get("/api/v1/action_types/")).json
    assert [(each["type_id"], each["object_name"]) for each in listed] == [
        (-99, "Sample"),
        (-98, "Measurement"),
        (-97, "Simulation"),
        (1, "Object"),
    ]
    for each in listed:
        assert (await rosa.get(f"/api/v1/action_types/{each['type_id']}")).json == each
    assert (await rosa.get("/api/v1/action_types/-96")).status == 404


async def test_there_are_no_instruments_and_no_projects(rosa: Api) -> None:
    for path in ("instruments", "instruments/", "projects", "projects/"):
        answer = await rosa.get(f"/api/v1/{path}")
        assert (answer.status, answer.json) == (200, [])


async def test_an_object_is_made_by_each_type_of_action(lab: Lab, rosa: Api) -> None:
    for type_name in ("sample", "measurement", "simulation", "custom"):
        made = await lab.owner.post(ACTIONS, {"name": "x", "type": type_name, "schema": NAME_ONLY})
        body = {"action_id": made.json["action_id"], "data": named(type_name)}
        assert (await rosa.post("/api/v1/objects/", body)).status == 201
