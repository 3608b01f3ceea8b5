"""Deleting bundles, and what stands in the way."""

from __future__ import annotations

import asyncio

import pytest
from codalab.catalog import UNKNOWN, Bundles, dataset, remembered, run_of, set_state
from codalab.conftest import user_id

from cosphere_jupyter.accounts.groups import PUBLIC_GROUP_UUID
from cosphere_jupyter.bundles.records import ACTIVE_STATES


@pytest.fixture
def mine(rosa):
    return Bundles(rosa)


def child_of(parent, name):
    return {**dataset(name), "dependencies": [{"child_path": "in", "parent_uuid": parent}]}


def text_of(answer):
    return answer.status, answer.body.decode()


async def upload(api, uuid, content):
    put = await api.api("PUT", f"/rest/bundles/{uuid}/contents/blob/?filename=a.txt", raw=content)
    assert put.status == 200, put.body


async def test_a_bundle_is_gone_with_all_that_was_said_of_it(mine, services):
    worksheet = await mine.worksheet("paper")
    uuid = await mine.make(dataset("gone"), worksheet=worksheet)
    await upload(mine, uuid, b"x" * 1000)
    location = (await remembered(services, uuid)).location
    assert (services.settings.data_dir / "bundles" / location).exists()
    deleted = await mine.delete(uuid)
    assert (deleted.status, deleted.json["meta"]["ids"]) == (200, [uuid])
    assert (await mine.call("GET", f"bundles/{uuid}")).status == 404
    assert await mine.search("gone") == []
    page = (await mine.call("GET", f"worksheets/{worksheet}", include="items")).json
    assert page["included"] == []
    assert not (services.settings.data_dir / "bundles" / location).exists()
    user = (await mine.call("GET", "user")).json["data"]["attributes"]
    assert user["disk_used"] == 0


async def test_data_only_takes_the_contents_and_leaves_the_rest(mine, services):
    uuid = await mine.make()
    await upload(mine, uuid, b"x" * 1000)
    assert (await mine.delete(uuid, **{"data-only": 1})).json["meta"]["ids"] == [uuid]
    shown = (await mine.read(uuid))["data"]["attributes"]
    assert (shown["state"], shown["metadata"]["data_size"], shown["data_hash"]) == ("ready", 0, None)
    assert (await mine.call("GET", "user")).json["data"]["attributes"]["disk_used"] == 0
    assert (await mine.api("GET", f"/rest/bundles/{uuid}/contents/blob/")).status == 404


async def test_a_dry_run_only_says_what_would_go(mine):
    parent = await mine.make()
    child = await mine.make(child_of(parent, "child"))
    answer = await mine.delete(parent, **{"dry-run": 1, "recursive": 1})
    assert answer.json["meta"]["ids"] == [parent, child]
    assert await mine.search(".mine") == [parent, child]


async def test_what_others_depend_on_stays_unless_it_is_forced_or_goes_with_them(mine):
    parent = await mine.make()
    child = await mine.make(child_of(parent, "child"))
    grandchild = await mine.make(child_of(child, "grandchild"))
    refusal = f"Can't delete bundles {parent} because the following bundles depend on them:\n  child({child})"
    assert text_of(await mine.delete(parent)) == (400, refusal)
    assert text_of(await mine.delete(parent, **{"data-only": 1})) == (400, refusal)
    both = f"Can't delete bundles {parent} {child} because the following bundles depend on them:\n  "
    assert text_of(await mine.delete(parent, child)) == (400, f"{both}grandchild({grandchild})")
    assert (await mine.delete(parent, force=1)).json["meta"]["ids"] == [parent]
    dependency = (await mine.read(child))["data"]["attributes"]["dependencies"][0]
    assert (dependency["parent_uuid"], dependency["parent_name"]) == (parent, None)
    assert (await mine.delete(child, recursive=1)).json["meta"]["ids"] == [child, grandchild]
    assert await mine.search(".mine") == []


async def test_private_children_of_others_stand_in_the_way_without_a_name(mine, otto):
    parent = await mine.make()
    await mine.permit(parent, PUBLIC_GROUP_UUID, 1)
    theirs = await Bundles(otto).make(child_of(parent, "secret"))
    refusal = f"Can't delete bundles {parent} because the following bundles depend on them:\n  <private>"
    assert text_of(await mine.delete(parent)) == (400, refusal)
    denied = await mine.delete(parent, recursive=1)
    assert denied.status == 403 and b"<private>" in denied.body
    assert b"secret" not in denied.body and theirs.encode() not in denied.body


async def test_what_stands_on_several_worksheets_stays_unless_it_is_forced(mine):
    first, second = await mine.worksheet("first"), await mine.worksheet("second")
    uuid = await mine.make(dataset(), worksheet=first)
    item = {
        "type": "worksheet-items",
        "attributes": {"type": "bundle", "value": ""},
        "relationships": {
            "worksheet": {"data": {"type": "worksheets", "id": second}},
            "bundle": {"data": {"type": "bundles", "id": uuid}},
        },
    }
    assert (await mine.call("POST", "worksheet-items", [item], uuid=second)).status == 200
    refusal = (
        f"Can't delete bundle {uuid} because it appears in multiple worksheets (--force to override):\n"
        f"  first({first})\n  second({second})"
    )
    assert text_of(await mine.delete(uuid)) == (400, refusal)
    assert (await mine.delete(uuid, force=1)).status == 200


@pytest.mark.parametrize("state", ACTIVE_STATES)
async def test_what_is_at_work_is_killed_first(mine, services, state):
    uuid = await mine.make()
    await set_state(services, uuid, state)
    for force in (0, 1):
        status, text = text_of(await mine.delete(uuid, force=force))
        assert status == 400 and text.startswith(f"Can't delete bundles: {uuid}. For run bundles, kill them first. ")


async def test_a_run_that_waits_is_deleted_and_then_waits_no_more(owner, caplog):
    root = Bundles(owner)
    parent = await root.make()
    run = await root.make(run_of("cat in", dependencies=[("in", parent)]))
    assert (await root.read(run))["data"]["attributes"]["state"] == "created"
    assert (await root.delete(run)).json["meta"]["ids"] == [run]
    await upload(root, parent, b"x")
    after = await root.make(run_of("cat in", "after", dependencies=[("in", parent)]))
    for _ in range(200):
        state = (await root.read(after))["data"]["attributes"]["state"]
        if state == "ready":
            break
        await asyncio.sleep(0.1)
    assert state == "ready"
    assert await root.search("type=run") == [after]
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []


async def test_only_whoever_may_do_all_deletes(mine, otto, owner):
    uuid = await mine.make()
    await mine.permit(uuid, PUBLIC_GROUP_UUID, 1)
    who = f"User otto({user_id(otto)}) does not have sufficient permissions on bundle {uuid} (have read, need all)."
    assert text_of(await Bundles(otto).delete(uuid)) == (403, who)
    assert (await mine.delete(uuid, UNKNOWN)).status == 403
    assert await mine.search(".mine") == [uuid]
    assert (await Bundles(owner).delete(uuid)).status == 200
