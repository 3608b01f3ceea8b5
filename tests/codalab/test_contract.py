"""The examples of the CodaLab API's document as a contract: every key, and the values that can be had again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from codalab.catalog import Bundles, set_state
from codalab.conftest import CLIENT, PASSWORD

PARTS = json.loads((Path(__file__).parent.parent / "spec" / "codalab.json").read_text(encoding="utf-8"))
SHOWN = {part["heading"]: part for part in PARTS}
EXAMPLE = SHOWN["Get bundle info"]["examples"][0]
ATTRIBUTES = EXAMPLE["data"]["attributes"]
# What another server and another day make different; of these the form is held to.
OTHERWISE = {
    "attributes.uuid": r"0x[0-9a-f]{32}",
    "attributes.data_hash": r"0x[0-9a-f]{40}",
    "attributes.host_worksheets.uuid": r"0x[0-9a-f]{32}",
    "id": r"0x[0-9a-f]{32}",
    "attributes.metadata.created": r"\d{10}",
}
GENERATED = ("last_updated", "run_status", "memory_max", "started", "remote", "time", "exitcode")


def differences(shown: Any, example: Any, path: str = "") -> list[str]:
    """Return where something that the example shows is missing or otherwise."""
    if path in OTHERWISE:
        return [] if re.fullmatch(OTHERWISE[path], str(shown)) else [f"{path}: {shown!r}"]
    if isinstance(example, dict):
        found = [f"{path}.{key} is missing" for key in example if key not in shown]
        inner = [(shown[key], value, f"{path}.{key}".lstrip(".")) for key, value in example.items() if key in shown]
        return found + [each for parts in inner for each in differences(*parts)]
    if isinstance(example, list) and example and isinstance(example[0], dict):
        pairs = zip(shown, example, strict=True)
        return [each for one, other in pairs for each in differences(one, other, path)]
    return [] if json.dumps(shown) == json.dumps(example) else [f"{path}: {shown!r} is not {example!r}"]


@pytest.fixture
def document(owner, rosa, services, run):
    """The bundle of the example, as somebody else reads it."""
    return run(show_the_example(owner, rosa, services))


async def show_the_example(owner, rosa, services):
    root = Bundles(owner)
    person = {"user_name": "codalab", "first_name": "Percy", "last_name": "Liang", "affiliation": "Stanford"}
    told = await root.call("PATCH", "user", {"type": "users", "id": "0", "attributes": person})
    assert told.status == 200, told.body
    home = (await root.call("GET", "worksheets", specs="/")).json["data"][0]
    assert home["attributes"]["name"] == "home-codalab"
    # What programs read of one bundle they may post as another.
    made = await root.post({**ATTRIBUTES, "uuid": None}, worksheet=home["id"], wait_for_upload=1)
    assert made.status == 200, made.body
    uuid = made.json["data"][0]["id"]
    values = {key: ATTRIBUTES["metadata"][key] for key in GENERATED}
    await set_state(services, uuid, "ready", metadata=values, data_size=165, data_hash="0x" + "4b" * 20)
    return await Bundles(rosa).read(uuid)


async def test_the_bundle_of_the_document_is_shown_as_there(document):
    data = {**document["data"], "meta": {}}
    # Its rows of permissions and its owner are named below.
    linkage = {"owner": {"data": {"type": "users", "id": "0"}}, "children": {"data": []}}
    assert differences(data, {**EXAMPLE["data"], "meta": {}, "relationships": linkage}) == []
    assert document["meta"]["version"] == EXAMPLE["meta"]["version"]
    assert set(document) == set(EXAMPLE)


async def test_all_metadata_that_the_document_calls_editable_are(document):
    keys = document["data"]["meta"]["editable_metadata_keys"]
    expected = EXAMPLE["data"]["meta"]["editable_metadata_keys"]
    assert [key for key in keys if key in expected] == expected


async def test_owner_and_permissions_are_included_as_in_the_document(document):
    owner, permission = EXAMPLE["included"]
    people = [each for each in document["included"] if each["type"] == "users"]
    assert [each["id"] for each in people] == ["0"]
    told = {**people[0], "attributes": {**people[0]["attributes"], "date_joined": None}}
    assert differences(told, owner, "owner") == []
    rows = [each for each in document["included"] if each["type"] == "bundle-permissions"]
    assert [each["attributes"] for each in rows] == [permission["attributes"]]
    assert rows[0]["relationships"]["group"]["data"]["type"] == "groups"
    assert re.fullmatch(r"0x[0-9a-f]{32}", rows[0]["relationships"]["group"]["data"]["id"])
    assert document["data"]["relationships"]["group_permissions"]["data"] == [
        {"type": "bundle-permissions", "id": rows[0]["id"]}
    ]
    assert len(document["included"]) == len(people) + len(rows)


async def test_a_token_is_given_as_in_the_document(rosa, oauth):
    example = SHOWN["`POST /rest/oauth2/token`"]["examples"]
    assert f"Authorization: {CLIENT}" in example[0]
    given = (await oauth.token(grant_type="password", username="rosa", password=PASSWORD)).json
    assert set(given) == set(example[1])
    assert {key: given[key] for key in ("token_type", "expires_in", "scope")} == {
        key: example[1][key] for key in ("token_type", "expires_in", "scope")
    }
    assert all(re.fullmatch(r"[0-9A-Za-z]{30}", given[key]) for key in ("access_token", "refresh_token"))
    shown = await rosa.of(f"Bearer {given['access_token']}").get("/rest/user")
    assert shown.json["data"]["attributes"]["user_name"] == "rosa"


async def test_every_parameter_of_searching_that_the_document_names_is_taken(rosa):
    api = Bundles(rosa)
    worksheet = await api.worksheet("paper")
    uuid = await api.make(worksheet=worksheet)
    values = {"keywords": "data", "specs": "data", "worksheet": worksheet, "depth": "1"}
    assert set(SHOWN["Search bundles"]["parameters"]) == set(values)
    assert SHOWN["Search bundles"]["parameters"]["keywords"] == "MULTIPLE"
    for asked in ("keywords", "specs"):
        query = {key: value for key, value in values.items() if key in (asked, "worksheet", "depth")}
        found = (await api.call("GET", "bundles/", **query)).json
        assert [each["id"] for each in found["data"]] == [uuid]
        assert set(found["data"][0]["relationships"]) == set(EXAMPLE["data"]["relationships"])
