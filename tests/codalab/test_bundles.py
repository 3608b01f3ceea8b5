"""Bundles as records: reading them, making them, changing them."""

from __future__ import annotations

import dataclasses
import json

import pytest
from codalab.catalog import UNKNOWN, Bundles, dataset, remembered, run_of, set_state
from codalab.conftest import user_id

from cosphere_jupyter.accounts.groups import PUBLIC_GROUP_UUID
from cosphere_jupyter.bundles.metadata import editable_keys
from cosphere_jupyter.bundles.records import ACTIVE_STATES, FINAL_STATES

STATES = ("created", "uploading", "staged", "worker_offline", *ACTIVE_STATES, *FINAL_STATES)


@pytest.fixture
def mine(rosa):
    return Bundles(rosa)


@pytest.fixture
def theirs(otto):
    return Bundles(otto)


@pytest.fixture
def root(owner):
    return Bundles(owner)


async def test_a_dataset_waits_for_its_contents(mine):
    made = await mine.post(dataset("flights", tags=["a", "ü"], description="Flüge"))
    assert (made.status, made.headers["Content-Type"]) == (200, "application/json")
    data = made.json["data"][0]
    assert data["attributes"]["state"] == "uploading"
    metadata = data["attributes"]["metadata"]
    assert (metadata["tags"], metadata["description"], metadata["data_size"]) == (["a", "ü"], "Flüge", 0)
    assert (await mine.read(data["id"]))["data"] == data


async def test_runs_and_makes_are_created_and_what_they_may_leave_out_has_defaults(root):
    made = await root.post(run_of("date", "r"), {**run_of("", "m"), "bundle_type": "make", "command": None})
    run, make = [each["attributes"] for each in made.json["data"]]
    assert (run["state"], run["command"], run["args"]) == (
        "created",
        "date",
        "run date --request-cpus 1 --request-memory 2g",
    )
    assert (
        run["metadata"].items()
        >= {
            "request_memory": "2g",
            "request_cpus": 1,
            "request_gpus": 0,
            "request_network": False,
            "request_time": "",
            "exclude_patterns": [],
            "allow_failed_dependencies": False,
            "actions": [],
        }.items()
    )
    assert (make["state"], make["command"], make["args"]) == ("created", None, "make")


async def test_arguments_are_what_one_would_type(root):
    parent = await root.make()
    other = run_of('echo "ü" > $HOME', dependencies=[("in.txt", parent)], request_network=True, request_disk="1g")
    other["dependencies"][0]["parent_path"] = "a/b"
    made = await root.make(other)
    data = (await root.read(made))["data"]["attributes"]
    assert data["args"] == (
        f'run in.txt:{parent}/a/b "echo \\"ü\\" > \\$HOME" --request-cpus 1 --request-disk 1g --request-memory 2g '
        "--request-network"
    )
    dependency = {"child_uuid": made, "child_path": "in.txt", "parent_uuid": parent, "parent_path": "a/b"}
    assert data["dependencies"] == [{**dependency, "parent_name": "data", "parent_state": "uploading"}]


async def test_one_resource_that_is_no_list_is_taken_too(mine):
    made = await mine.call("POST", "bundles", {"type": "bundles", "attributes": dataset()}, detached=1)
    assert made.status == 200 and len(made.json["data"]) == 1


async def test_a_bundle_brings_its_own_uuid_once(mine, theirs):
    own = {**dataset(), "uuid": "0x" + "1" * 32}
    assert await mine.make(own) == own["uuid"]
    again = await theirs.post(own)
    assert (again.status, again.body.decode()) == (409, f"Bundle {own['uuid']} already exists")


async def test_what_was_read_of_a_bundle_can_be_posted_as_another(mine, services):
    """As `cl mimic` and `cl cp` do: whole objects, with what nobody but the server says."""
    first = await mine.make(dataset("one"))
    await set_state(services, first, data_size=7)
    attributes = (await mine.read(first))["data"]["attributes"]
    frozen = {
        "frozen": "2026-01-01T00:00:00",
        "permission": 0,
        "owner": {"id": "0"},
        "children": [],
        "is_anonymous": True,
    }
    made = await mine.post({**attributes, **frozen, "uuid": None})
    shown = made.json["data"][0]["attributes"]
    assert (shown["state"], shown["metadata"]["data_size"], shown["frozen"]) == ("uploading", 0, None)
    assert (shown["permission"], shown["is_anonymous"]) == (2, False)
    assert shown["metadata"]["name"] == "one"


async def test_a_run_whose_contents_are_sent_is_not_started(root):
    made = await root.post(run_of(), detached=1, wait_for_upload=1)
    data = made.json["data"][0]
    assert data["attributes"]["state"] == "uploading"
    assert (await root.read(data["id"]))["data"]["attributes"]["state"] == "uploading"


async def test_new_bundles_stand_at_the_end_of_their_worksheet_and_have_its_permissions(mine, theirs, anybody):
    worksheet = await mine.worksheet("paper")
    first = await mine.make(dataset("one"), worksheet=worksheet)
    second = await mine.make(dataset("two"), worksheet=worksheet)
    page = (await mine.call("GET", f"worksheets/{worksheet}", include="items")).json
    assert [each["relationships"]["bundle"]["data"]["id"] for each in page["included"]] == [first, second]
    document = await theirs.read(first)
    assert document["data"]["attributes"]["permission"] == 1
    assert document["data"]["attributes"]["host_worksheets"] == [{"uuid": worksheet, "name": "paper"}]
    assert (await Bundles(anybody).read(first))["data"]["attributes"]["state"] == "uploading"


async def test_a_bundle_can_stand_after_a_sort_key_or_beside_another(mine):
    worksheet = await mine.worksheet("paper")
    first = await mine.make(dataset("a"), worksheet=worksheet)
    last = await mine.make(dataset("z"), worksheet=worksheet)
    page = (await mine.call("GET", f"worksheets/{worksheet}", include="items")).json["included"]
    between = await mine.make(dataset("b"), worksheet=worksheet, after_sort_key=page[0]["attributes"]["sort_key"])
    shadow = await mine.make(dataset("s"), worksheet=worksheet, shadow=first)
    page = (await mine.call("GET", f"worksheets/{worksheet}", include="items")).json["included"]
    order = [each["relationships"]["bundle"]["data"]["id"] for each in page]
    assert order == [first, shadow, between, last]


async def test_only_whoever_may_change_a_worksheet_puts_bundles_there(mine, theirs):
    worksheet = await mine.worksheet("paper")
    refused = await theirs.post(dataset(), worksheet=worksheet)
    text = f"User otto({user_id(theirs.api)}) does not have sufficient permissions on worksheet {worksheet} "
    assert (refused.status, refused.body.decode()) == (403, text + "(have read, need all).")
    frozen = {"type": "worksheets", "id": worksheet, "attributes": {"frozen": "2026-01-01T00:00:00"}}
    assert (await mine.call("PATCH", "worksheets", [frozen])).status == 200
    refused = await mine.post(dataset(), worksheet=worksheet)
    assert (refused.status, refused.body.decode()) == (403, f"Cannot mutate frozen worksheet {worksheet}(paper).")


async def test_whoever_has_used_up_the_disk_makes_no_bundles(owner, sign_up, services):
    from cosphere_jupyter.bundles.usage import charge

    full = await sign_up("full@lab.example", disk_quota=100)
    await services.database.write(lambda connection: charge(connection, full.account["id"], 500))
    refused = await Bundles(full).post(dataset())
    assert (refused.status, refused.body.decode()) == (400, "Out of disk quota: 500 / 100 (500.0%)")


async def test_of_several_bundles_one_that_is_wrong_leaves_none(mine):
    wrong = dataset("two", tags="x")
    assert (await mine.post(dataset("one"), wrong)).status == 400
    assert await mine.search(".mine") == []


# -- reading -------------------------------------------------------------------------------------------------------


async def test_what_one_may_not_read_is_masked(mine, theirs, anybody):
    uuid = await mine.make(dataset("secret"))
    for api in (theirs, Bundles(anybody)):
        document = await api.read(uuid)
        assert b"secret" not in str(document).encode()
        attributes = document["data"]["attributes"]
        assert (attributes["bundle_type"], attributes["metadata"]) == ("private", {"name": "<private>"})
        assert (attributes["state"], attributes["command"], attributes["permission"]) == (None, None, 0)
        assert document["data"]["relationships"]["owner"] == {"data": None}
        assert document["included"] == []


async def test_private_parents_and_children_of_others_are_not_told(mine, theirs):
    private = await mine.make(dataset("private"))
    child = await mine.make({**dataset("child"), "dependencies": [{"child_path": "in", "parent_uuid": private}]})
    assert (await mine.permit(child, PUBLIC_GROUP_UUID, 1)).status == 200
    dependency = (await theirs.read(child))["data"]["attributes"]["dependencies"][0]
    assert (dependency["parent_uuid"], dependency["parent_name"], dependency["parent_state"]) == (private, None, None)
    await mine.permit(private, PUBLIC_GROUP_UUID, 1)
    await mine.permit(child, PUBLIC_GROUP_UUID, 0)
    assert (await theirs.read(private))["data"]["relationships"]["children"] == {"data": []}
    assert (await mine.read(private))["data"]["relationships"]["children"]["data"] == [{"type": "bundles", "id": child}]


async def test_with_include_only_what_is_asked_for_is_there(mine):
    worksheet = await mine.worksheet("paper")
    uuid = await mine.make(dataset(), worksheet=worksheet)
    for asked in ("owner", "group_permissions", "children", "host_worksheets", "owner,children"):
        document = await mine.read(uuid, include=asked)
        assert set(document["data"]["relationships"]) == {"owner", *asked.split(",")}
        assert "host_worksheets" not in document["data"]["attributes"]
        assert "meta" not in document["data"] and "included" in document
    assert document["included"][0]["type"] == "users"
    found = (await mine.read(uuid, include="host_worksheets"))["included"]
    assert found == [{"type": "worksheets", "id": worksheet, "attributes": {"uuid": worksheet, "name": "paper"}}]


async def test_display_metadata_says_types_descriptions_and_what_can_be_edited(mine, services):
    made = await mine.post(run_of(), detached=1, wait_for_upload=1)
    uuid = made.json["data"][0]["id"]
    meta = (await mine.read(uuid, include="owner", include_display_metadata=1))["data"]["meta"]
    assert set(meta) == {"editable_metadata_keys", "metadata_type", "metadata_descriptions"}
    types = {"tags": "list", "created": "date", "data_size": "size", "time": "duration", "request_cpus": "int"}
    assert meta["metadata_type"].items() >= {**types, "request_network": "bool", "name": "str"}.items()
    assert set(meta["metadata_type"]) == set(meta["metadata_descriptions"])
    await set_state(services, uuid, "ready")
    later = (await mine.read(uuid, include_display_metadata=1))["data"]["meta"]["editable_metadata_keys"]
    assert later[:3] == ["name", "description", "tags"]
    assert not any(key.startswith("request_") for key in later)


async def test_descendants_follow_down_to_a_depth(mine, theirs):
    def child(of, name):
        return {**dataset(name), "dependencies": [{"child_path": "in", "parent_uuid": of}]}

    first = await mine.make(dataset("a"))
    second = await mine.make(child(first, "b"))
    third = await mine.make(child(second, "c"))
    assert await mine.search("name=a", depth=1) == [first, second]
    assert await mine.search("name=a", depth=9) == [first, second, third]
    for uuid in (first, third):
        await mine.permit(uuid, PUBLIC_GROUP_UUID, 1)
    assert await theirs.search("name=a", depth=9) == [first]


async def test_anonymous_bundles_do_not_tell_whose_they_are(mine, theirs, owner):
    uuid = await mine.make()
    await mine.permit(uuid, PUBLIC_GROUP_UUID, 1)
    assert (await mine.patch(uuid, is_anonymous=True)).status == 200
    document = await theirs.read(uuid)
    assert document["data"]["relationships"]["owner"] == {"data": None}
    assert await theirs.search("owner=rosa") == await theirs.search(f"owner_id={user_id(mine.api)}") == []
    assert (await mine.read(uuid))["data"]["relationships"]["owner"]["data"]["id"] == user_id(mine.api)
    assert await mine.search("owner=rosa") == await Bundles(owner).search("owner=rosa") == [uuid]


async def test_the_same_command_with_the_same_dependencies_is_found_again_the_oldest_first(root, mine):
    parent = await root.make()
    first = await root.make(run_of("sort in", dependencies=[("in", parent)]))
    second = await root.make(run_of("sort in", dependencies=[("in", parent)]))
    bare = await root.make(run_of("sort in"))
    asked = json.dumps([{"child_path": "in", "parent_uuid": parent}])
    found = (await root.call("GET", "bundles", command="sort in", dependencies=asked)).json["data"]
    assert [each["id"] for each in found] == [first, second]
    found = (await root.call("GET", "bundles", command="sort in")).json["data"]
    assert [each["id"] for each in found] == [bare]
    assert (await mine.call("GET", "bundles", command="sort in")).json["data"] == []


# -- changing ------------------------------------------------------------------------------------------------------


async def test_metadata_are_merged_and_what_is_not_for_people_is_passed_over(mine):
    uuid = await mine.make(dataset("one", description="before"))
    changed = await mine.patch(
        uuid,
        metadata={"name": "two", "tags": ["ü", "b"], "data_size": 99, "created": 1},
        state="ready",
        command="rm",
        bundle_type="run",
    )
    assert changed.status == 200
    shown = changed.json["data"][0]["attributes"]
    metadata = shown["metadata"]
    assert (metadata["name"], metadata["tags"], metadata["description"]) == ("two", ["ü", "b"], "before")
    assert (metadata["data_size"], shown["state"], shown["command"]) == (0, "uploading", None)
    assert metadata["created"] > 1
    assert await mine.search("name=one") == [] and await mine.search("tags=ü") == [uuid]


async def test_what_a_run_asks_for_is_changed_only_until_it_begins(mine, services):
    made = await mine.post(run_of(), detached=1, wait_for_upload=1)
    uuid = made.json["data"][0]["id"]
    await set_state(services, uuid, "running")
    refused = await mine.patch(uuid, metadata={"request_cpus": 4})
    text = "Metadata key request_cpus can only be edited until the bundle is started."
    assert (refused.status, refused.body.decode()) == (400, text)
    # Clients send everything back as they have read it.
    same = (await mine.read(uuid))["data"]["attributes"]["metadata"]
    assert (await mine.patch(uuid, metadata={**same, "description": "later"})).status == 200
    bundle = await remembered(services, uuid)
    for state in STATES:
        changeable = "request_cpus" in editable_keys(dataclasses.replace(bundle, state=state))
        assert changeable == (state in ("created", "staged")), state


async def test_a_bundle_is_frozen_when_it_is_final_and_then_nothing_of_it_changes(mine, services):
    uuid = await mine.make(dataset("ice"))
    refused = await mine.patch(uuid, frozen="2026-11-21T01:13:41")
    text = f"Cannot freeze bundle {uuid}(ice), bundle is not in a final state."
    assert (refused.status, refused.body.decode()) == (403, text)
    await set_state(services, uuid)
    frozen = (await mine.patch(uuid, frozen="2026-11-21T01:13:41")).json["data"][0]["attributes"]["frozen"]
    assert frozen.endswith("+00:00")
    text = f"Cannot mutate frozen bundle {uuid}(ice)."
    for answer in (
        await mine.patch(uuid, metadata={"name": "water"}),
        await mine.patch(uuid, frozen="2027-01-01T00:00:00"),
        await mine.delete(uuid),
        await mine.delete(uuid, force=1),
    ):
        assert (answer.status, answer.body.decode()) == (403, text)
    melted = await mine.patch(uuid, frozen=None, metadata={"name": "water"})
    shown = melted.json["data"][0]["attributes"]
    assert (shown["frozen"], shown["metadata"]["name"]) == (None, "water")


async def test_a_bundle_is_given_away_with_what_it_takes_of_the_disk(mine, theirs, services):
    from cosphere_jupyter.bundles.usage import charge, read_usage

    uuid = await mine.make()
    rosa, otto = mine.api.account["id"], theirs.api.account["id"]
    await set_state(services, uuid, data_size=1000)
    await services.database.write(lambda connection: charge(connection, rosa, 1000))
    missing = await mine.patch(uuid, owner="0x" + "9" * 32)
    assert (missing.status, missing.body.decode()) == (404, "User 0x" + "9" * 32 + " not found")
    given = await mine.patch(uuid, owner=user_id(theirs.api))
    assert given.status == 200
    shown = (await theirs.read(uuid))["data"]
    assert shown["relationships"]["owner"]["data"]["id"] == user_id(theirs.api)
    assert shown["attributes"]["permission"] == 2
    assert (await mine.read(uuid))["data"]["attributes"]["bundle_type"] == "private"
    used = await services.database.read(
        lambda connection: [read_usage(connection, each).disk_used for each in (rosa, otto)]
    )
    assert used == [0, 1000]


async def test_of_several_changes_one_that_is_refused_leaves_all(mine):
    uuid = await mine.make(dataset("one"))
    changes = [{"type": "bundles", "id": each, "attributes": {"metadata": {"name": "two"}}} for each in (uuid, UNKNOWN)]
    assert (await mine.call("PATCH", "bundles", changes)).status == 403
    assert await mine.search("name=one") == [uuid]


async def test_what_is_known_of_a_bundle_is_stored_as_it_is_shown(mine, services):
    uuid = await mine.make(dataset("one"))
    bundle = await remembered(services, uuid)
    assert (bundle.name, bundle.data_size, bundle.metadata["created"]) == (
        "one",
        0,
        int(bundle.created_at.timestamp()),
    )
