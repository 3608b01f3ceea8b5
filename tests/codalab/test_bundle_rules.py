"""What is refused of bundles, word for word: a row of the API's tables is a test."""

from __future__ import annotations

from typing import Any

import pytest
from codalab.catalog import DATASET, SHELL, UNKNOWN, Bundles, dataset, run_of, set_state
from codalab.conftest import user_id
from support import Api


@pytest.fixture
def mine(rosa):
    return Bundles(rosa)


@pytest.fixture
def root(owner):
    return Bundles(owner)


def without(key: str, attributes: dict[str, Any]) -> dict[str, Any]:
    return {**attributes, "metadata": {name: value for name, value in attributes["metadata"].items() if name != key}}


def depending(*paths: str, bundle_type: str = "run", **more: Any) -> dict[str, Any]:
    made = run_of(dependencies=[(path, UNKNOWN) for path in paths])
    return {**made, "bundle_type": bundle_type, **more}


RULES = r"^[a-zA-Z0-9_\-./]*\Z"
REFUSED = {
    "an unknown key": (dataset(x=1), "Unexpected metadata key: x"),
    "a key of runs": (dataset(request_cpus=1), "Unexpected metadata key: request_cpus"),
    **{
        f"no {key}": (without(key, dataset()), f"Missing metadata key: {key}")
        for key in ("name", "description", "tags", "license", "source_url")
    },
    "a text for a list": (dataset(tags="x"), "Metadata value for tags should be of type list, was x (type str)"),
    "a number for a text": (dataset(license=7), "Metadata value for license should be of type str, was 7 (type int)"),
    "a text for a number": (
        run_of(request_cpus="1"),
        "Metadata value for request_cpus should be of type int, was 1 (type str)",
    ),
    "a number for a flag": (
        run_of(request_network=1),
        "Metadata value for request_network should be of type bool, was 1 (type int)",
    ),
    "a name with a space": (dataset("a b"), "Names must match ^[a-zA-Z_][a-zA-Z0-9_.\\-]*$, was a b"),
    "a name that begins with a digit": (dataset("7a"), "Names must match ^[a-zA-Z_][a-zA-Z0-9_.\\-]*$, was 7a"),
    "a name without an end": (dataset("a" * 300), f"Names must match ^[a-zA-Z_][a-zA-Z0-9_.\\-]*$, was {'a' * 256}"),
    "a command without an end": (
        run_of("x" * 70_000),
        "`command` of a run must be a text of at most 65536 characters.",
    ),
    "a text without an end": (
        dataset(description="x" * 70_000),
        "Metadata value for description is longer than 65536 characters",
    ),
    "no processors": (run_of(request_cpus=-1), "Metadata value for request_cpus must not be negative"),
    "a link to a file of the server": (
        dataset(link_url="/etc/hostname"),
        "link_url is not served here: upload the contents.",
    ),
    "no type": (
        {"metadata": DATASET},
        "Invalid bundle_type: None; it is one of dataset, run, make, program",
    ),
    "a type of masks": (
        {**dataset(), "bundle_type": "private"},
        "Invalid bundle_type: private; it is one of dataset, run, make, program",
    ),
    "a uuid that is none": ({**dataset(), "uuid": "0x1"}, "uuids must match ^0x[0-9a-f]{32}$, was 0x1"),
    "metadata that are no object": ({**dataset(), "metadata": [1]}, "`metadata` must be an object."),
    "a run without a command": (
        {**run_of(), "command": None},
        "`command` of a run must be a text of at most 65536 characters.",
    ),
    "no key of a dependency": (depending(""), "child_path empty"),
    "a bad key of a dependency": (depending("a b"), f"child_path must match {RULES}, was a b"),
    "a key with a line's end": (depending("a\n"), f"child_path must match {RULES}, was a\n"),
    "a key that leads outside": (
        depending("a/../../b"),
        "child_path must lead to a place inside the bundle, was a/../../b",
    ),
    "a key from the root": (depending("/etc"), "child_path must lead to a place inside the bundle, was /etc"),
    "two dependencies at one place": (depending("a", "a"), "child_path must be unique, was twice a"),
    "two dependencies of a make, one at its place": (depending("", "a", bundle_type="make"), "child_path empty"),
    "a parent that is no uuid": (
        {**run_of(), "dependencies": [{"child_path": "a", "parent_uuid": "x"}]},
        "parent_uuid must match ^0x[0-9a-f]{32}$, was x",
    ),
    "dependencies that are no list": (
        {**run_of(), "dependencies": {"a": 1}},
        "`dependencies` must be a list of at most 2000.",
    ),
    "a dependency that is no object": ({**run_of(), "dependencies": ["a"]}, "A dependency must be an object."),
    "a size that is none": (
        run_of(request_memory="lots"),
        "Metadata value for request_memory: 'lots' is no size: write a number and k, m, g or t, for example 2g",
    ),
}


async def test_what_breaks_a_rule_is_not_made(root):
    for what, (attributes, text) in REFUSED.items():
        refused = await root.post(attributes)
        assert (refused.status, refused.body.decode()) == (400, text), what
    assert await root.search(".mine") == []


async def test_a_make_may_have_one_parent_that_is_all_of_it(root):
    assert (await root.post(depending("", bundle_type="make"))).status == 200


BODIES = {
    "no JSON": (b"{", "Invalid JSON"),
    "JSON of no object": (b"[]", "Object must include `data` key."),
    "no data": (b"{}", "Object must include `data` key."),
    "data of nothing": (b'{"data": [null]}', "Invalid JSON"),
    "no type": (b'{"data": [{"id": "x"}]}', "`data` object must include `type` key."),
    "another type": (b'{"data": [{"type": "worksheets", "id": "x"}]}', "type must be 'bundles'"),
    "attributes of a list": (
        b'{"data": [{"type": "bundles", "id": "x", "attributes": [1]}]}',
        "`attributes` must be an object.",
    ),
}


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_bodies_that_are_none_are_refused(mine, method):
    for what, (raw, text) in BODIES.items():
        if method == "DELETE" and what.startswith("attributes"):
            continue
        refused = await mine.api(method, "/rest/bundles?detached=1", raw=raw, headers=SHELL)
        assert (refused.status, refused.body.decode()) == (400, text), what


ASKED = {
    "bundles": "Request must include either 'keywords' or 'specs' query parameter",
    "bundles?keywords=a&include=bogus": "?include=bogus not supported",
    "bundles?keywords=a&depth=x": "Invalid int 'x'",
    "bundles?keywords=.limit%3Dx": "Invalid int 'x'",
    "bundles?command=a&dependencies=%7B": "`dependencies` must be JSON.",
    "bundles?command=a&dependencies=7": "`dependencies` must be a list of objects.",
}


async def test_queries_that_mean_nothing_are_refused(mine):
    for path, text in ASKED.items():
        refused = await mine.call("GET", path)
        assert (refused.status, refused.body.decode()) == (400, text), path
    refused = await mine.post(dataset(), detached="x")
    assert (refused.status, refused.body.decode()) == (400, "'detached' parameter must be integer boolean")
    refused = await mine.post(dataset(), wait_for_upload=0)
    text = "Parent worksheet id must be specified as'worksheet' query parameter"
    assert (refused.status, refused.body.decode()) == (400, text)


async def test_a_bundle_that_is_not_there_is_not_found_by_reading_and_denied_otherwise(mine):
    missing = await mine.call("GET", f"bundles/{UNKNOWN}")
    assert (missing.status, missing.body.decode()) == (404, f"Bundle {UNKNOWN} not found")
    who = f"User rosa({user_id(mine.api)}) does not have sufficient permissions on bundle {UNKNOWN} "
    calls = [
        mine.patch(UNKNOWN, metadata={}),
        mine.delete(UNKNOWN),
        mine.delete(UNKNOWN, force=1, recursive=1),
        mine.permit(UNKNOWN, UNKNOWN, 1),
        mine.call(
            "POST", "bundle-actions", [{"type": "bundle-actions", "attributes": {"type": "kill", "uuid": UNKNOWN}}]
        ),
    ]
    for call in calls:
        refused = await call
        assert (refused.status, refused.body.decode()) == (403, who + "(have none, need all).")


async def test_unknown_routes_and_methods_say_so(mine):
    missing = await mine.call("GET", "bundles/0x12")
    assert missing.status == 404 and missing.body.decode().startswith("Not found: '/")
    refused = await mine.call("PUT", "bundles")
    assert (refused.status, refused.body.decode()) == (405, "Method not allowed.")


async def test_errors_are_documents_for_other_programs_than_the_command_line(mine):
    missing = await mine.api("GET", f"/rest/bundles/{UNKNOWN}")
    assert missing.headers["Content-Type"] == "application/json"
    assert missing.json["errors"] == [{"status": "404", "detail": f"Bundle {UNKNOWN} not found"}]


async def test_strangers_read_what_is_public_and_change_nothing(mine, anybody):
    stranger = Bundles(anybody)
    for call in (stranger.post(dataset()), stranger.patch(UNKNOWN), stranger.delete(UNKNOWN)):
        refused = await call
        assert (refused.status, refused.body.decode()) == (401, "User is not authenticated.")
    refused = await anybody("POST", "/rest/bundles?detached=1", {"data": []})
    assert refused.status == 403
    assert await stranger.search("name=data") == []
    forged = Bundles(Api(anybody.base, "Bearer forged"))
    assert (await forged.call("GET", "bundles", keywords="a")).status == 401


# -- actions -------------------------------------------------------------------------------------------------------

FINAL = (
    "Cannot execute this action on a bundle that is in the following states: ready, failed, killed. Kill action can be "
    "executed on bundles in created, uploading, staged, making, starting, running, preparing, or finalizing state."
)


def action(kind: Any, uuid: str, **more: Any) -> list[dict[str, Any]]:
    return [{"type": "bundle-actions", "attributes": {"type": kind, "uuid": uuid, **more}}]


async def test_what_is_final_is_neither_killed_nor_written_to(mine, services):
    uuid = await mine.make()
    for state in ("ready", "failed", "killed"):
        await set_state(services, uuid, state)
        for data in (action("kill", uuid), action("write", uuid, subpath="a", string="b")):
            refused = await mine.call("POST", "bundle-actions", data)
            assert (refused.status, refused.body.decode()) == (400, FINAL)


async def test_a_kill_is_echoed_and_ends_what_waits(mine):
    uuid = await mine.make()
    done = await mine.call("POST", "bundle-actions", action("kill", uuid))
    assert done.json["data"] == [{"type": "bundle-actions", "id": None, "attributes": {"type": "kill", "uuid": uuid}}]
    assert (await mine.read(uuid))["data"]["attributes"]["state"] == "killed"


async def test_other_actions_are_refused(mine):
    uuid = await mine.make()
    for data in (
        action("dance", uuid),
        action(None, uuid),
        action("write", uuid),
        action("write", uuid, subpath=1, string=""),
    ):
        assert (await mine.call("POST", "bundle-actions", data)).status == 400


async def test_what_this_server_has_none_of_is_an_empty_list(mine):
    uuid = await mine.make()
    for path in (f"bundles/{uuid}/locations/", f"bundles/locations?uuids={uuid}", "bundle_stores", "workers/info"):
        assert (await mine.call("GET", path)).json["data"] == []
    told = (await mine.call("POST", f"bundles/{uuid}/locations/", {}, need_bypass=1, is_dir=0)).json["data"]
    where = {"bundle_uuid": uuid, "bundle_conn_str": None, "index_conn_str": None, "bundle_url": None}
    assert [each["attributes"] for each in told] == [where]
