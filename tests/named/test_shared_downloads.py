"""One download that two accounts have started by name: both may read its task, none ends it for the other."""

from __future__ import annotations

import shutil

import pytest
from named.conftest import Desk

from cosphere_jupyter.errors import NotFound


@pytest.fixture
def desks(desk, run, sign_up):
    """Rosa's and Ravi's."""
    accounts = desk.services.accounts
    people = [run(sign_up(f"{name}@lab.example")) for name in ("rosa", "ravi")]
    return [Desk(desk.services, run(accounts.read(each.account["id"]))) for each in people]


@pytest.fixture
def big_item(owner, root, big_parquet, run):
    """An item whose download takes seconds, which everyone may see."""
    shutil.copy(big_parquet, root / "big.parquet")
    body = {"name": "big", "executor_type": "DUCKDB", "source": "big.parquet", "maintained_by_id": owner.account["id"]}
    return run(owner.post("/catalogue/items/", body)).json


async def start(desk, item):
    return await desk.create("download", catalogue_item_id=item["id"], spec={"columns": ["n", "x"], "filters": []})


async def test_both_may_read_the_task_and_nobody_else(desks, desk, numbers_item, sign_up):
    spec = {"columns": ["n"], "filters": []}
    tasks = [await each.create("download", catalogue_item_id=numbers_item["id"], spec=spec) for each in desks]
    assert tasks[0].key == tasks[1].key
    ended = [await each.ended(tasks[0].key) for each in desks]
    assert [task.state.result["rows"] for task in ended] == [1000, 1000]
    third = await sign_up("third@lab.example")
    stranger = await desk.services.accounts.read(third.account["id"])
    assert await desk.services.task_list.read([tasks[0].key], stranger) == {}
    with pytest.raises(NotFound):
        await desk.services.task_list.cancel(tasks[0].key, stranger)


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 1])
async def test_who_cancels_leaves_and_the_last_one_ends_it(desks, big_item, first):
    leaver, stayer = desks[first], desks[1 - first]
    key = (await start(desks[0], big_item)).key
    assert (await start(desks[1], big_item)).key == key
    task = await leaver.services.task_list.cancel(key, leaver.account)
    assert not task.state.is_final
    assert [request.task.key for request in await stayer.services.downloads.bulk_read(stayer.account)] == [key]
    assert await leaver.services.downloads.bulk_read(leaver.account) == []
    task = await stayer.services.task_list.cancel(key, stayer.account)
    assert task.state.error == f"cancelled by {stayer.account.email}"
    again = await start(leaver, big_item)
    assert again.key != key
    await leaver.services.task_list.cancel(again.key, leaver.account)


@pytest.mark.slow
async def test_an_owner_who_has_left_cannot_end_it_for_the_others_but_an_admin_can(desks, desk, big_item):
    rosa, ravi = desks
    key = (await start(rosa, big_item)).key
    await start(ravi, big_item)
    for _ in range(2):
        assert not (await rosa.services.task_list.cancel(key, rosa.account)).state.is_final
    task = await desk.services.task_list.cancel(key, desk.account)
    assert task.state.error == f"cancelled by {desk.account.email}"
    assert (await ravi.ended(key)).state.status == "error"


async def test_a_download_that_is_done_is_not_left_by_cancelling(desks, numbers_item):
    rosa, _ = desks
    spec = {"columns": ["n"], "filters": []}
    task = await rosa.run("download", catalogue_item_id=numbers_item["id"], spec=spec)
    assert (await rosa.services.task_list.cancel(task.key, rosa.account)).state.status == "success"
    assert len(await rosa.services.downloads.bulk_read(rosa.account)) == 1


@pytest.mark.slow
async def test_who_joined_finds_it_among_their_tasks_and_follows_it_until_they_leave(desks, big_item):
    starter, joiner = desks
    tasks = joiner.services.task_list
    own = (await joiner.run("hello", name="Ravi")).key
    key = (await start(starter, big_item)).key

    async def listed(**which):
        return [task.key for task in await tasks.bulk_read(joiner.account, **which)]

    assert await listed() == [own]
    with tasks.subscribe(owner_id=joiner.account.id) as subscription:
        assert (await start(joiner, big_item)).key == key
        assert {task.key for task in await subscription.changes(10)} == {key}
        assert await listed() == [key, own]
        assert await listed(name="download") == await listed(limit=1) == [key]
        assert await listed(offset=1) == await listed(status="success") == [own]
        left = await tasks.cancel(key, joiner.account)
        assert not left.state.is_final
        assert await listed() == [own]
        # What was told before they left may still wait here; nothing comes after it.
        while await subscription.changes(0.5):
            pass
        await tasks.cancel(key, starter.account)
        assert await subscription.changes(1) == []


async def test_a_result_that_is_there_is_found_among_the_tasks_of_who_takes_it_over(desks, numbers_item):
    spec = {"columns": ["n"], "filters": []}
    task = await desks[0].create("download", catalogue_item_id=numbers_item["id"], spec=spec)
    await desks[0].ended(task.key)
    await desks[1].create("download", catalogue_item_id=numbers_item["id"], spec=spec)
    found = await desks[1].services.task_list.bulk_read(desks[1].account)
    assert [(each.key, each.state.status) for each in found] == [(task.key, "success")]
