"""Catalogue items over HTTP: create, read, update, delete, and every refusal. Source: behaviour, section 3."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support import Answer, Api, column

REQUIRED = ["This field is required."]
NAME_TAKEN = ["catalogue item with this name already exists."]


@pytest.fixture
def body(owner: Api) -> dict[str, Any]:
    return {"name": "iot", "executor_type": "ATHENA", "maintained_by_id": owner.account["id"], "spec": [column()]}


def account_of(caller: Api) -> dict[str, Any]:
    return {key: caller.account[key] for key in ("@type", "id", "email", "type")}


def assert_refused(answer: Answer, event: str, errors: dict[str, list[str]], what: Any = None) -> None:
    assert (answer.status, answer.event, answer.errors) == (400, event, errors), (what, answer.body)


async def test_an_item_is_created_read_updated_and_deleted(
    owner: Api, admin: Api, researcher: Api, body: dict[str, Any]
) -> None:
    sample = [{"value": 18.0}, {"value": None}]
    values = {**body, "name": "  iot.events ", "sample": sample, "maintained_by_id": researcher.account["id"]}
    created = await admin.post("/catalogue/items/", values)
    item = {
        "@type": "catalogue_item",
        "id": created.json["id"],
        "name": "iot.events",
        "executor_type": "ATHENA",
        "spec": body["spec"],
        "sample": sample,
        "created_by": account_of(admin),
        "updated_by": account_of(admin),
        "maintained_by": account_of(researcher),
    }
    assert (created.status, created.json) == (201, {"@event": "CATALOGUEITEM_CREATED", **item})
    path = f"/catalogue/items/{item['id']}"
    for caller in (owner, admin, researcher):
        assert (await caller.get(path)).json == {"@event": "CATALOGUEITEM_READ", **item}
        assert (await caller.get("/catalogue/items/")).json["items"] == [item]
    changes = {
        "spec": [column(is_enum=True, note="extra keys are kept")],
        "executor_type": "DATABRICKS",
        "maintained_by_id": owner.account["id"],
    }
    updated = await owner.put(path, changes)
    item |= {
        "spec": changes["spec"],
        "executor_type": "DATABRICKS",
        "maintained_by": account_of(owner),
        "updated_by": account_of(owner),
    }
    assert (updated.status, updated.json) == (200, {"@event": "CATALOGUEITEM_UPDATED", **item})
    assert (await researcher.get(path)).json == {"@event": "CATALOGUEITEM_READ", **item}
    deleted = await owner.delete(path)
    assert (deleted.status, deleted.json) == (200, {"@event": "CATALOGUEITEM_DELETED", "@type": "empty"})
    for answer in (await owner.get(path), await owner.delete(path), await owner.put(path, changes)):
        assert (answer.status, answer.json) == (
            404,
            {
                "@event": "COULD_NOT_FIND_CATALOGUEITEM",
                "@type": "error",
                "@authorizer": {"account_id": owner.account["id"]},
            },
        )
    again = await owner.post("/catalogue/items/", values)
    assert again.status == 201 and again.json["id"] > item["id"], "an id is never given twice"


async def test_every_field_says_what_is_wrong_with_it(owner: Api, body: dict[str, Any]) -> None:
    not_null, blank = ["This field may not be null."], ["This field may not be blank."]
    missing = dict.fromkeys(body, REQUIRED)
    assert_refused(await owner.post("/catalogue/items/", {}), "BODY_DID_NOT_VALIDATE", missing)
    assert_refused(await owner.post("/catalogue/items/", {"sample": []}), "BODY_DID_NOT_VALIDATE", missing)
    cases: list[tuple[dict[str, Any], dict[str, list[str]]]] = [
        ({"name": None}, {"name": not_null}),
        ({"name": ""}, {"name": blank}),
        ({"name": " \t"}, {"name": blank}),
        ({"name": True}, {"name": ["Not a valid string."]}),
        ({"name": ["iot"]}, {"name": ["Not a valid string."]}),
        ({"name": "x" * 257}, {"name": ["Ensure this field has no more than 256 characters."]}),
        ({"spec": None}, {"spec": not_null}),
        ({"spec": [column(size=float("nan"))]}, {"spec": ["Value must be valid JSON."]}),
        ({"sample": [{"value": float("inf")}]}, {"sample": ["Value must be valid JSON."]}),
        ({"maintained_by_id": None}, {"maintained_by_id": not_null}),
        ({"maintained_by_id": "TEXT"}, {"maintained_by_id": ["A valid integer is required."]}),
        ({"maintained_by_id": 1.5}, {"maintained_by_id": ["A valid integer is required."]}),
        ({"maintained_by_id": True}, {"maintained_by_id": ["A valid integer is required."]}),
        ({"maintained_by_id": ""}, {"maintained_by_id": ["A valid integer is required."]}),
        ({"executor_type": None}, {"executor_type": not_null}),
        ({"executor_type": "SPARK"}, {"executor_type": ['"SPARK" is not a valid choice.']}),
        ({"executor_type": "athena"}, {"executor_type": ['"athena" is not a valid choice.']}),
        ({"executor_type": ""}, {"executor_type": ['"" is not a valid choice.']}),
    ]
    existing = (await owner.post("/catalogue/items/", {**body, "name": "existing"})).json["id"]
    for change, errors in cases:
        answer = await owner.post("/catalogue/items/", {**body, **change})
        assert_refused(answer, "BODY_DID_NOT_VALIDATE", errors, change)
        assert answer.json["@authorizer"] == {"account_id": owner.account["id"]}
        if not {"name", "sample"} & set(change):
            answer = await owner.put(f"/catalogue/items/{existing}", {**body, **change})
            assert_refused(answer, "BODY_DID_NOT_VALIDATE", errors, change)
    several = {"name": "", "spec": 5, "maintained_by_id": "x", "executor_type": "x", "sample": 1}
    assert set((await owner.post("/catalogue/items/", several)).errors) == set(several)
    for number in ("1", 1.0, "1.0"):
        answer = await owner.post("/catalogue/items/", {**body, "name": f"by {number!r}", "maintained_by_id": number})
        assert answer.status == 201, number
    for name, stored in {5: "5", 5.5: "5.5", "x" * 256: "x" * 256}.items():
        answer = await owner.post("/catalogue/items/", {**body, "name": name})
        assert (answer.status, answer.json["name"]) == (201, stored)


async def test_the_model_rules_are_told_together_under_their_own_event(owner: Api, body: dict[str, Any]) -> None:
    event = "BODY_JSON_DID_NOT_PARSE"
    path = f"/catalogue/items/{(await owner.post('/catalogue/items/', {**body, 'name': 'existing'})).json['id']}"
    for account in (932039, 0, -1, 2**53, 2**63, 10**30):
        unknown = {"maintained_by": [f"account instance with id {account} does not exist."]}
        values = {**body, "maintained_by_id": account}
        assert_refused(await owner.post("/catalogue/items/", values), event, unknown)
        assert_refused(await owner.put(path, values), event, unknown)
    empty = {"spec": ["This field cannot be blank."]}
    assert_refused(await owner.post("/catalogue/items/", {**body, "spec": []}), event, empty)
    assert_refused(await owner.put(path, {**body, "spec": []}), event, empty)
    different = {"__all__": ["Sample column names and spec names are not identical"]}
    wrong = {**body, "spec": [], "maintained_by_id": 932039, "sample": [{"other": 1}]}
    unknown = {"maintained_by": ["account instance with id 932039 does not exist."]}
    assert_refused(await owner.post("/catalogue/items/", wrong), event, {**unknown, **empty, **different})
    # What is wrong with a field by itself comes first, and alone.
    answer = await owner.post("/catalogue/items/", {**wrong, "executor_type": "SPARK"})
    assert_refused(answer, "BODY_DID_NOT_VALIDATE", {"executor_type": ['"SPARK" is not a valid choice.']})


async def test_a_name_is_given_once_letter_by_letter(owner: Api, body: dict[str, Any]) -> None:
    assert (await owner.post("/catalogue/items/", body)).status == 201
    for name in ("iot", " iot  "):
        answer = await owner.post("/catalogue/items/", {**body, "name": name})
        assert_refused(answer, "BODY_DID_NOT_VALIDATE", {"name": NAME_TAKEN})
    assert (await owner.post("/catalogue/items/", {**body, "name": "IOT"})).status == 201
    answers = await asyncio.gather(*(owner.post("/catalogue/items/", {**body, "name": "race"}) for _ in range(20)))
    assert sorted(answer.status for answer in answers) == [201] + [400] * 19
    for answer in answers:
        if answer.status == 400:
            assert_refused(answer, "BODY_DID_NOT_VALIDATE", {"name": NAME_TAKEN})
    assert len((await owner.get("/catalogue/items/?name=race")).json["items"]) == 1


async def test_a_taken_name_is_told_together_with_what_is_wrong_with_the_other_fields(
    owner: Api, body: dict[str, Any]
) -> None:
    assert (await owner.post("/catalogue/items/", body)).status == 201
    refused = await owner.post("/catalogue/items/", {"name": " iot ", "executor_type": "SPARK"})
    errors = {
        "name": NAME_TAKEN,
        "executor_type": ['"SPARK" is not a valid choice.'],
        "maintained_by_id": REQUIRED,
        "spec": REQUIRED,
    }
    assert_refused(refused, "BODY_DID_NOT_VALIDATE", errors)


async def test_numbers_and_keys_survive_being_stored(owner: Api, body: dict[str, Any]) -> None:
    entries = [{"value": value, "count": 9, "share": 1e-7} for value in (18.0, 19.1, -0.0, 1e22, 5e-324, 1.7e308)]
    spec = [
        column(distribution=entries, size=190234, z=1, a={"nested": [1, 1.0, True, None]}, description="\u00e4\u2603"),
        column("big", "INTEGER", distribution=[{"value": value, "count": 0} for value in (2**53 + 1, 2**63, -(2**63))]),
        column("size as float", size=19203.0),
    ]
    created = await owner.post("/catalogue/items/", {**body, "spec": spec})
    assert created.status == 201, created.body
    for answer in (created, await owner.get(f"/catalogue/items/{created.json['id']}")):
        # As text: 18.0 is not 18, and keys keep their order.
        assert json.dumps(answer.json["spec"]) == json.dumps(spec)
        assert b'"value":18.0' in answer.body
    listed = (await owner.get("/catalogue/items/")).json["items"][0]
    assert json.dumps(listed["spec"]) == json.dumps(spec)


async def test_an_update_replaces_all_but_name_and_sample(owner: Api, body: dict[str, Any]) -> None:
    sample = [{"value": 1.5}]
    created = (await owner.post("/catalogue/items/", {**body, "sample": sample})).json
    path = f"/catalogue/items/{created['id']}"
    ignored = {"name": "other", "sample": [{"x": 1}], "id": 99, "created_by": None, "source": "secret.csv"}
    updated = await owner.put(path, {**body, **ignored})
    assert updated.json == {**created, "@event": "CATALOGUEITEM_UPDATED"}
    # It is not a patch.
    for missing in ("spec", "maintained_by_id", "executor_type"):
        values = {key: value for key, value in body.items() if key != missing}
        assert_refused(await owner.put(path, values), "BODY_DID_NOT_VALIDATE", {missing: REQUIRED})
    answer = await owner.put(path, {})
    assert set(answer.errors) == {"spec", "maintained_by_id", "executor_type"}
    # The stored sample must go on fitting.
    different = {"__all__": ["Sample column names and spec names are not identical"]}
    answer = await owner.put(path, {**body, "spec": [column(), column("more")], "sample": []})
    assert_refused(answer, "BODY_JSON_DID_NOT_PARSE", different)
    text = "column type and sample value type mismatch detected for row number 0 column 'value'"
    answer = await owner.put(path, {**body, "spec": [column(type="INTEGER")]})
    assert_refused(answer, "BODY_JSON_DID_NOT_PARSE", {"__all__": [text]})
    assert (await owner.get(path)).json == {**created, "@event": "CATALOGUEITEM_READ"}
    # A wrong body is told before a missing item.
    assert (await owner.put("/catalogue/items/424242", {**body, "spec": 5})).status == 400
    assert (await owner.put("/catalogue/items/424242", body)).status == 404


async def test_an_item_stays_while_a_request_for_it_lives(
    owner: Api, researcher: Api, numbers_item: dict[str, Any]
) -> None:
    path = f"/catalogue/items/{numbers_item['id']}"
    requests = []
    for caller, columns in ((owner, ["n"]), (researcher, ["word"]), (researcher, ["n"])):
        spec = {"columns": columns, "filters": []}
        answer = await caller.post("/downloader/requests/", {"catalogue_item_id": numbers_item["id"], "spec": spec})
        requests.append((caller, answer.json["id"]))
    for left, (caller, request_id) in zip((2, 2, 1), requests, strict=True):
        answer = await owner.delete(path)
        assert (answer.status, answer.json) == (
            400,
            {
                "@event": "NOT_CANCELLED_DOWNLOAD_REQEUSTS_DETECTED",
                "@type": "error",
                "@authorizer": {"account_id": owner.account["id"]},
                "item_id": numbers_item["id"],
                "not_cancelled_count": left,
            },
        )
        assert (await caller.delete(f"/downloader/requests/{request_id}")).status == 200
    assert (await owner.get(path)).status == 200
    assert (await owner.delete(path)).json == {"@event": "CATALOGUEITEM_DELETED", "@type": "empty"}
    # The cancelled requests went with it.
    for caller, request_id in requests:
        assert (await caller.delete(f"/downloader/requests/{request_id}")).status == 404
    spec = {"columns": ["n"], "filters": []}
    answer = await owner.post("/downloader/requests/", {"catalogue_item_id": numbers_item["id"], "spec": spec})
    text = f"catalogue item instance with id {numbers_item['id']} does not exist."
    assert_refused(answer, "BODY_JSON_DID_NOT_PARSE", {"catalogue_item": [text]})


async def test_items_of_every_executor_can_be_created(owner: Api, body: dict[str, Any], root: Any) -> None:
    (root / "t.csv").write_text("n\n1\n")
    for kind in ("ATHENA", "DATABRICKS", "DUCKDB"):
        values = {
            **body,
            "name": f"db.{kind}",
            "executor_type": kind,
            "source": "t.csv",
            "spec": [column("n", "INTEGER")],
        }
        answer = await owner.post("/catalogue/items/", values)
        assert (answer.status, answer.json["executor_type"]) == (201, kind), answer.body
        # Only what is local reads a file here.
        assert answer.json.get("source") == ("t.csv" if kind == "DUCKDB" else None)
        assert ("source" in answer.json) == (kind == "DUCKDB")
