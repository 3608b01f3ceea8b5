"""What may be sent to make an object or a version: each check, in its order, with its text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from objects.conftest import MEASURED, NAME_ONLY, Lab, named, text
from support import Answer, Api

OBJECTS = "/api/v1/objects/"
GOOD = {"action_id": 0, "data": named("A")}
UNSTORABLE = "numbers must be finite and have 64 bits at most, texts be free of U+0000, and 64 levels suffice"
MISSING = 'missing required property "name" (at name)'
INVALID = "validation failed:\n - "
OTHER = {**NAME_ONLY, "title": "Other"}


def deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["message"]


# Of the bodies that break several rules, the first one is told.
CREATE = [
    (7, "JSON object body required"),
    ("text", "JSON object body required"),
    (None, "JSON object body required"),
    (True, "JSON object body required"),
    ({**GOOD, "objectid": 1}, "invalid key 'objectid'"),
    ({**GOOD, "data_diff": {}}, "invalid key 'data_diff'"),
    ({**GOOD, "": 1}, "invalid key ''"),
    ({"x": 1, "object_id": 1}, "invalid key 'x'"),
    ({**GOOD, "fed_object_id": 1}, "fed_object_id must be null"),
    ({**GOOD, "component_id": False}, "component_id must be null"),
    ({**GOOD, "object_id": 1}, "object_id cannot be set"),
    ({**GOOD, "object_id": None, "version_id": 1}, "object_id cannot be set"),
    ({**GOOD, "version_id": 1}, "version_id must be 0"),
    ({**GOOD, "version_id": None}, "version_id must be 0"),
    ({**GOOD, "version_id": "0"}, "version_id must be 0"),
    ({**GOOD, "version_id": False}, "version_id must be 0"),
    ({"data": named("A"), "version_id": 1}, "version_id must be 0"),
    ({"data": named("A")}, "action_id must be set"),
    ({}, "action_id must be set"),
    ({**GOOD, "action_id": "0"}, "action_id must be an integer"),
    ({**GOOD, "action_id": True}, "action_id must be an integer"),
    ({**GOOD, "action_id": 0.0}, "action_id must be an integer"),
    ({**GOOD, "action_id": None}, "action_id must be an integer"),
    ({**GOOD, "action_id": [0]}, "action_id must be an integer"),
    ({**GOOD, "action_id": 7}, "action 7 does not exist"),
    ({**GOOD, "action_id": -1}, "action -1 does not exist"),
    ({**GOOD, "action_id": 2**63}, f"action {2**63} does not exist"),
    ({**GOOD, "action_id": 7, "schema": 7}, "action 7 does not exist"),
    ({**GOOD, "schema": OTHER}, f"schema must be:\n{json.dumps(NAME_ONLY, indent=4)}"),
    ({**GOOD, "schema": None}, f"schema must be:\n{json.dumps(NAME_ONLY, indent=4)}"),
    ({"action_id": 0, "schema": 1}, f"schema must be:\n{json.dumps(NAME_ONLY, indent=4)}"),
    ({"action_id": 0}, "data must be set"),
    ({"action_id": 0, "schema": NAME_ONLY}, "data must be set"),
    ({"action_id": 0, "data": None}, "data must be set"),
    ({"action_id": 0, "data": {}}, f"{INVALID}{MISSING}"),
    ({"action_id": 0, "data": {"name": text("A"), "foo": text("B")}}, f'{INVALID}unknown property "foo" (at foo)'),
    ({"action_id": 0, "data": {"name": text("A\0")}}, UNSTORABLE),
    ({"action_id": 0, "data": {"name": text("\ud800")}}, UNSTORABLE),
    ({"action_id": 0, "data": {"name": {"_type": "text", "text": 2**64}}}, UNSTORABLE),
    ({"action_id": 0, "data": {"name": {"_type": "text", "text": float("nan")}}}, UNSTORABLE),
    ({"action_id": 0, "data": {"name": {"_type": "text", "text": float("inf")}}}, UNSTORABLE),
    ({"action_id": 0, "data": {"name": {"_type": "text", "text": 1e999}}}, UNSTORABLE),
    ({"action_id": 0, "data": {"na\0me": text("A")}}, UNSTORABLE),
    ({"action_id": 0, "data": deep(70)}, UNSTORABLE),
]


@pytest.mark.parametrize(("body", "message"), CREATE)
async def test_a_body_that_makes_no_object_is_told_why(lab: Lab, rosa: Api, body: Any, message: str) -> None:
    assert told(await rosa.post(OBJECTS, body)) == (400, message)
    assert (await rosa.get(OBJECTS)).json == []


EITHER = f"schema must be either:\n{json.dumps(NAME_ONLY, indent=4)}\nor:\n{json.dumps(OTHER, indent=4)}"
NEXT = {"data": named("B")}
UPDATE = [
    ([], "JSON object body required"),
    ([NEXT], "JSON object body required"),
    (None, "JSON object body required"),
    ({**NEXT, "x": 1}, "invalid key 'x'"),
    ({"x": 1, "object_id": 7}, "invalid key 'x'"),
    ({**NEXT, "object_id": 2}, "object_id must be 1"),
    ({**NEXT, "object_id": "1"}, "object_id must be 1"),
    ({**NEXT, "object_id": True}, "object_id must be 1"),
    ({**NEXT, "object_id": None, "version_id": 7}, "object_id must be 1"),
    ({**NEXT, "version_id": 0}, "version_id must be 1"),
    ({**NEXT, "version_id": 2}, "version_id must be 1"),
    ({**NEXT, "version_id": None}, "version_id must be 1"),
    ({**NEXT, "version_id": "1"}, "version_id must be 1"),
    ({**NEXT, "version_id": True}, "version_id must be 1"),
    ({**NEXT, "version_id": 2**64 - 1, "action_id": 7}, "version_id must be 1"),
    ({**NEXT, "action_id": 1}, "action_id must be 0"),
    ({**NEXT, "action_id": False, "schema": 1}, "action_id must be 0"),
    ({**NEXT, "schema": MEASURED}, EITHER),
    ({**NEXT, "schema": None}, EITHER),
    ({"schema": 7}, EITHER),
    ({}, "data must be set"),
    ({"data": None}, "data must be set"),
    ({"object_id": 1, "version_id": 1, "action_id": 0, "schema": OTHER}, "data must be set"),
    ({"data": {}}, f"{INVALID}{MISSING}"),
    ({"data": []}, None),
    ({"data": True}, None),
    ({"data": {"name": text("A\0")}}, UNSTORABLE),
]


@pytest.mark.parametrize(("body", "message"), UPDATE)
async def test_a_body_that_makes_no_version_is_told_why(lab: Lab, rosa: Api, body: Any, message: str | None) -> None:
    object_id = await lab.create(rosa)
    assert (await lab.owner.post("/api/v1/actions/0", {"schema": OTHER})).status == 200
    status, said = told(await rosa.post(f"{OBJECTS}{object_id}/versions/", body))
    assert (status, said) == (400, message or said)
    assert said.startswith(INVALID) or message
    assert (await rosa.get(f"{OBJECTS}{object_id}")).headers["Location"].endswith("/0")


@pytest.mark.parametrize(
    "more",
    [
        {"object_id": 1, "version_id": 1, "action_id": 0},
        {"object_id": 1.0, "version_id": 1.0, "action_id": 0.0},
        {"schema": {"required": ["name"], **NAME_ONLY}},
        {"fed_object_id": None, "fed_version_id": None, "component_id": None},
    ],
)
async def test_what_is_said_rightly_is_taken(lab: Lab, rosa: Api, more: dict[str, Any]) -> None:
    object_id = await lab.create(rosa)
    assert (await rosa.post(f"{OBJECTS}{object_id}/versions/", {**NEXT, **more})).status == 201


@pytest.mark.parametrize(
    "raw",
    [b"", b" ", b"{", b"nonsense", b"{}{}", b"\xff\xfe{}", b"[" * 100_000, b'{"action_id": ' + b"9" * 5000 + b"}"],
)
async def test_what_is_no_json_is_told(lab: Lab, rosa: Api, raw: bytes) -> None:
    object_id = await lab.create(rosa)
    for path in (OBJECTS, f"{OBJECTS}{object_id}/versions/", f"{OBJECTS}{object_id}/comments/"):
        answer = await rosa("POST", path, raw=raw)
        assert told(answer) == (400, "Failed to decode JSON object"), path


async def test_all_that_is_wrong_with_data_is_told_at_once_with_its_places(lab: Lab, rosa: Api) -> None:
    wrong = {
        "name": {"_type": "text", "text": 7},
        "mass": {"_type": "quantity", "magnitude": True, "units": "mg"},
        "is_good": {"_type": "bool", "value": 1},
        "sample": {"_type": "sample", "object_id": 424242},
        "notes": [text("a"), {"_type": "text"}],
    }
    answer = await rosa.post(OBJECTS, {"action_id": 1, "data": wrong})
    assert answer.status == 400
    lines = answer.json["message"].split("\n - ")
    assert lines[0] == "validation failed:" and len(lines) == 6, lines
    assert "object does not exist (at sample)" in lines
    paths = answer.json["error_paths"]
    assert sorted(paths, key=str) == sorted([["name"], ["mass"], ["is_good"], ["sample"], ["notes", 1]], key=str)


async def test_an_unknown_object_is_told_before_permissions_and_these_before_the_body(
    lab: Lab, rosa: Api, otto: Api
) -> None:
    object_id = await lab.create(rosa)
    for path in ("versions/", "comments/", "files/"):
        assert (await lab.owner.of(None)("POST", f"{OBJECTS}7/{path}", raw=b"{")).status == 401
        assert (await otto("POST", f"{OBJECTS}7/{path}", raw=b"{")).status == 404
        assert (await otto("POST", f"{OBJECTS}{object_id}/{path}", raw=b"{")).status == 403
        assert (await rosa("POST", f"{OBJECTS}{object_id}/{path}", raw=b"{")).status == 400
    assert told(await otto.get(f"{OBJECTS}{object_id}/versions/7")) == (
        404,
        f"version 7 of object {object_id} does not exist",
    )
    assert (await otto.get(f"{OBJECTS}{object_id}/versions/0")).status == 403
    for unknown in ("0", "7", str(2**53), "9" * 40):
        for path in ("", "/versions/0", "/versions/", "/permissions/", "/files/", "/comments/"):
            assert (await rosa.get(f"{OBJECTS}{unknown}{path}")).status == 404, (unknown, path)
    assert (await rosa.get(f"{OBJECTS}{object_id}/versions/{'9' * 40}")).status == 404
    assert (await rosa.get(f"{OBJECTS}-1")).status == 404


async def test_a_body_of_more_than_sixteen_megabytes_is_refused(lab: Lab, rosa: Api) -> None:
    answer = await rosa("POST", OBJECTS, raw=b'"' + b"x" * 17_000_000 + b'"')
    assert told(answer) == (413, "the body is too large")
