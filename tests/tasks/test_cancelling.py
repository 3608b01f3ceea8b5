"""Cancelling: the task ends at once, and all of its processes within six seconds, whatever they do."""

from __future__ import annotations

import asyncio
import os
import subprocess

import pytest

from cosphere_jupyter.errors import NotFound
from cosphere_jupyter.tasks import records
from cosphere_jupyter.tasks.children import MARK, end_leftovers


@pytest.mark.parametrize("function", ["sleep", "ignore_term", "hold_the_interpreter"])
async def test_cancelling_ends_the_task_at_once_and_its_process_within_six_seconds(bench, gone, function):
    key = await bench.enqueue(function)
    pid = (await bench.reported(key))["pid"]
    cancelled = await bench.cancel(key)
    assert (cancelled.state.status, cancelled.state.error) == ("error", "cancelled by rosa@lab.example")
    assert await gone(pid, 6)
    assert (await bench.read(key)).state.error == "cancelled by rosa@lab.example"
    assert await bench.cancel(key) is None


async def test_cancelling_takes_the_grandchildren_along(bench, gone):
    key = await bench.enqueue("start_a_grandchild")
    reported = await bench.reported(key)
    await bench.cancel(key)
    assert await gone(reported["pid"], 6) and await gone(reported["grandchild"], 6)


async def test_a_cancelled_task_in_the_queue_never_starts(tmp_path, make_bench):
    bench = make_bench(tmp_path, slots=1)
    await bench.engine.start()
    blocking = await bench.enqueue("sleep")
    await bench.reported(blocking)
    waiting = await bench.enqueue("count_starts", log=str(tmp_path / "log"))
    await bench.cancel(waiting)
    await bench.cancel(blocking)
    last = await bench.ended(await bench.enqueue("echo"))
    assert last.state.status == "success"
    assert not (tmp_path / "log").exists()
    await bench.close()


@pytest.mark.parametrize("is_told", [True, False], ids=["the engine is told", "the record alone says it"])
async def test_a_queue_of_cancelled_tasks_holds_up_nobody(tmp_path, make_bench, is_told):
    bench = make_bench(tmp_path, slots=1)
    await bench.engine.start()
    blocking = await bench.enqueue("sleep")
    await bench.reported(blocking)
    waiting = [await bench.enqueue("echo") for _ in range(30)]
    # So that all are in the queue when they are cancelled.
    await bench.ended(await bench.enqueue("echo", is_quick=True))
    await bench.database.write(lambda c: [records.cancel(c, key, "rosa@lab.example") for key in waiting])
    for key in waiting if is_told else ():
        bench.engine.kill(key)
    await bench.cancel(blocking)
    assert (await bench.ended(await bench.enqueue("echo"), seconds=4)).state.status == "success"
    await bench.close()


async def test_cancelled_tasks_leave_the_queue_at_once(tmp_path, make_bench):
    bench = make_bench(tmp_path, slots=1)
    await bench.engine.start()
    blocking = await bench.enqueue("sleep")
    await bench.reported(blocking)
    waiting = [await bench.enqueue("echo") for _ in range(3)]
    await bench.ended(await bench.enqueue("echo", is_quick=True))
    lane = bench.engine._lanes[0][1]
    lane.slots = 10
    assert [each.key for each in lane.choose()] == waiting
    for key in waiting[:2]:
        await bench.cancel(key)
    assert [each.key for each in lane.choose()] == waiting[2:]
    await bench.close()


async def test_a_slot_is_free_only_when_the_killed_process_is_gone(tmp_path, make_bench, gone):
    bench = make_bench(tmp_path, slots=1)
    await bench.engine.start()
    key = await bench.enqueue("ignore_term")
    pid = (await bench.reported(key))["pid"]
    await bench.cancel(key)
    following = await bench.ended(await bench.enqueue("echo"), seconds=15)
    assert following.state.status == "success"
    assert await gone(pid, 0.1)
    await bench.close()


async def test_cancelling_takes_along_what_has_left_the_family(bench, gone):
    """A grandchild in a session of its own, and one whose parent has gone, both deaf to TERM."""
    key = await bench.enqueue("start_a_family")
    reported = await bench.reported(key)
    assert len(set(reported["family"])) == 2
    await bench.cancel(key)
    for pid in [reported["pid"], *reported["family"]]:
        assert await gone(pid, 6), pid


async def test_cancelling_what_has_ended_changes_nothing(bench):
    ended = await bench.ended(await bench.enqueue("echo"))
    assert await bench.cancel(ended.key) is None
    assert await bench.read(ended.key) == ended


async def test_a_result_that_comes_after_the_cancelling_counts_no_more(bench, tmp_path, monkeypatch):
    publishing, may_go_on = asyncio.Event(), asyncio.Event()

    async def publish_slowly(task, result):
        publishing.set()
        await may_go_on.wait()
        return result

    monkeypatch.setattr(bench.work, "publish", publish_slowly)
    key = await bench.enqueue("echo")
    await publishing.wait()
    await bench.cancel(key)
    may_go_on.set()
    while bench.engine.is_running(key):
        await asyncio.sleep(0.01)
    task = await bench.read(key)
    assert (task.state.status, task.state.error) == ("error", "cancelled by rosa@lab.example")
    assert bench.work.discarded == [key]
    assert bench.work.ended == []


async def test_a_task_that_was_cancelled_while_the_server_stopped_stays_cancelled(tmp_path, make_bench, gone):
    bench = make_bench(tmp_path)
    await bench.engine.start()
    log = tmp_path / "log"
    key = await bench.enqueue("count_starts", log=str(log), seconds=60, is_idempotent=True, max_attempts=9)
    while not log.exists():
        await asyncio.sleep(0.01)
    stopping = asyncio.ensure_future(bench.engine.stop())
    await asyncio.sleep(0)
    await bench.cancel(key)
    await stopping
    await asyncio.to_thread(bench.database.close)

    bench = make_bench(tmp_path)
    await bench.engine.start()
    assert (await bench.read(key)).state.error == "cancelled by rosa@lab.example"
    assert (await bench.ended(await bench.enqueue("echo"))).state.status == "success"
    assert log.read_text() == "start\n"
    await bench.close()


async def test_a_stopping_server_ends_processes_that_do_not_listen(tmp_path, make_bench, gone):
    bench = make_bench(tmp_path)
    await bench.engine.start()
    deaf = await bench.enqueue("ignore_term")
    family = await bench.enqueue("start_a_family")
    pids = [(await bench.reported(deaf))["pid"], *(await bench.reported(family))["family"]]
    await asyncio.wait_for(bench.close(), 10)
    for pid in pids:
        assert await gone(pid, 0.5), pid


async def test_what_tasks_of_a_killed_server_left_running_is_ended_by_the_next_one(gone, tmp_path):
    # Names that no other run of the tests on this machine looks for.
    mine, others = str(tmp_path / "a"), str(tmp_path / "another")
    own, other = [
        subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: mark}, start_new_session=True)
        for mark in (mine, others)
    ]
    assert await asyncio.to_thread(end_leftovers, mine) == 1
    assert await gone(own.pid, 5)
    assert other.poll() is None
    other.kill()
    own.wait()
    other.wait()


async def test_a_quick_task_that_was_claimed_ahead_is_cancelled_before_it_begins(bench, tmp_path):
    bench.expect_quick_tasks_to_take_no_time()
    log = tmp_path / "log"
    keys = [
        await bench.enqueue("write_start", log=str(log), name=str(number), seconds=0.5, is_quick=True)
        for number in range(8)
    ]
    first = await bench.until(keys[-1], lambda task: task.state.status == "executing")
    assert first.state.attempt == 1
    assert (await bench.cancel(keys[-1])).state.error == "cancelled by rosa@lab.example"
    for key in keys[:-1]:
        assert (await bench.ended(key)).state.status == "success"
    assert sorted(log.read_text().split()) == [str(number) for number in range(7)]


async def test_through_the_service_only_the_owner_and_admins_cancel(bench):
    rosa, olaf = await bench.account("rosa@lab.example"), await bench.account("olaf@lab.example")
    ada = await bench.account("ada@lab.example", "ADMIN")
    mine = await bench.enqueue("sleep", owner_id=rosa.id)
    other = await bench.enqueue("sleep", owner_id=rosa.id)
    for key, caller in ((mine, olaf), ("NOSUCHKEY", rosa)):
        with pytest.raises(NotFound):
            await bench.tasks.cancel(key, caller)
    assert (await bench.tasks.cancel(mine, rosa)).state.error == "cancelled by rosa@lab.example"
    assert (await bench.tasks.cancel(other, ada)).state.error == "cancelled by ada@lab.example"
    assert (await bench.tasks.cancel(mine, ada)).state.error == "cancelled by rosa@lab.example"
    assert sorted(bench.work.ended) == sorted([(mine, "error"), (other, "error")])
