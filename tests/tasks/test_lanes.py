"""Who runs when: quick tasks beside long ones, priorities, fairness and limits by account, claims ahead."""

from __future__ import annotations

import asyncio
import resource
import sys
import threading
import time
from dataclasses import replace

import psutil
import pytest

from cosphere_jupyter.tasks import records
from cosphere_jupyter.tasks.journal import Journal
from cosphere_jupyter.tasks.lanes import Attempt, Lane
from cosphere_jupyter.tasks.queue import Waiting


@pytest.fixture
def narrow(tmp_path, make_bench, jp_asyncio_loop):
    """An engine with one slot for long tasks and one long task of each account at once."""
    made = make_bench(tmp_path, slots=1)
    jp_asyncio_loop.run_until_complete(made.engine.start())
    yield made
    jp_asyncio_loop.run_until_complete(made.close())


async def in_order_of_start(bench, keys):
    tasks = [await bench.ended(key) for key in keys]
    return [task.key for task in sorted(tasks, key=lambda task: task.started_at)]


async def test_a_quick_task_does_not_wait_behind_long_ones(narrow):
    long = [await narrow.enqueue("sleep") for _ in range(5)]
    await narrow.reported(long[0])
    assert (await narrow.ended(await narrow.enqueue("echo", is_quick=True))).state.status == "success"
    assert [(await narrow.read(key)).state.status for key in long] == ["executing", *["queued"] * 4]


async def test_the_higher_priority_runs_first(narrow):
    blocking = await narrow.enqueue("sleep")
    await narrow.reported(blocking)
    low, normal, high = [await narrow.enqueue("echo", priority=priority) for priority in (-1, 0, 7)]
    await narrow.cancel(blocking)
    assert await in_order_of_start(narrow, [low, normal, high]) == [high, normal, low]


async def test_an_account_with_many_tasks_does_not_hold_up_another_one(narrow):
    rosa, olaf = await narrow.account("rosa@lab.example"), await narrow.account("olaf@lab.example")
    blocking = await narrow.enqueue("sleep", owner_id=rosa.id)
    await narrow.reported(blocking)
    many = [await narrow.enqueue("echo", owner_id=rosa.id) for _ in range(20)]
    one = await narrow.enqueue("echo", owner_id=olaf.id)
    await narrow.cancel(blocking)
    assert (await in_order_of_start(narrow, [*many, one])).index(one) <= 1


async def test_an_account_runs_no_more_tasks_at_once_than_it_may(tmp_path, make_bench):
    bench = make_bench(tmp_path, slots=3, account_limit=1)
    await bench.engine.start()
    rosa, olaf = await bench.account("rosa@lab.example"), await bench.account("olaf@lab.example")
    first, second = [await bench.enqueue("sleep", owner_id=rosa.id) for _ in range(2)]
    other = await bench.enqueue("sleep", owner_id=olaf.id)
    await bench.reported(first)
    await bench.reported(other)
    assert (await bench.read(second)).state.status == "queued"
    # Quick ones have their own lane, without a limit.
    assert (await bench.ended(await bench.enqueue("echo", owner_id=rosa.id, is_quick=True))).state.status == "success"
    await bench.cancel(first)
    await bench.reported(second)
    await bench.close()


async def test_the_same_idempotency_key_is_the_same_task(bench):
    rosa, olaf = await bench.account("rosa@lab.example"), await bench.account("olaf@lab.example")
    keys = [await bench.enqueue("echo", owner_id=rosa.id, idempotency_key="once") for _ in range(3)]
    assert len(set(keys)) == 1
    await bench.ended(keys[0])
    assert await bench.enqueue("echo", owner_id=rosa.id, idempotency_key="once") == keys[0]
    assert await bench.enqueue("echo", owner_id=olaf.id, idempotency_key="once") != keys[0]
    assert await bench.enqueue("echo", idempotency_key="once") != await bench.enqueue("echo", idempotency_key="once")


async def test_a_thousand_quick_tasks_run_once_each(bench, tmp_path):
    log = tmp_path / "log"
    names = [str(number) for number in range(1000)]
    keys = await bench.database.write(
        lambda c: [
            records.enqueue(c, "work", {"function": "write_start", "log": str(log), "name": n}, None, is_quick=True)
            for n in names
        ]
    )
    bench.engine.wake()
    tasks = await bench.tasks.wait(keys, None, 120)
    assert [tasks[key].state.result for key in keys] == names
    assert sorted(log.read_text().split()) == sorted(names)
    assert {task.state.attempt for task in tasks.values()} == {1}


async def test_no_more_quick_tasks_run_at_once_than_the_lane_has_slots(bench):
    bench.expect_quick_tasks_to_take_no_time()
    keys = [await bench.enqueue("sleep", seconds=0.3, is_quick=True) for _ in range(6)]
    most = 0
    while not all([(await bench.read(key)).state.is_final for key in keys]):
        workers = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
        most = max(most, len(workers))
        await asyncio.sleep(0.02)
    assert most == 2


async def test_where_publishing_is_slow_the_lane_waits_for_it(bench, monkeypatch):
    may_go_on, publishing = asyncio.Event(), []

    async def publish(task, result):
        publishing.append(task.key)
        await may_go_on.wait()
        return result

    monkeypatch.setattr(bench.work, "publish", publish)
    monkeypatch.setattr("cosphere_jupyter.tasks.lanes.CARE_LIMIT", 5)
    keys = [await bench.enqueue("echo", is_quick=True) for _ in range(12)]
    while len(publishing) < 5:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    statuses = [(await bench.read(key)).state.status for key in keys]
    assert statuses == [*["executing"] * 5, *["queued"] * 7]
    may_go_on.set()
    tasks = await bench.tasks.wait(keys, None, 30)
    assert {task.state.status for task in tasks.values()} == {"success"}


async def test_what_was_claimed_ahead_is_queued_again_when_the_server_stops(tmp_path, make_bench):
    bench = make_bench(tmp_path)
    await bench.engine.start()
    bench.expect_quick_tasks_to_take_no_time()
    log = tmp_path / "log"
    running, claimed = await fill_the_quick_lane(bench, log)
    await bench.close()
    bench = make_bench(tmp_path)
    assert {(await bench.read(key)).state.status for key in claimed} == {"queued"}
    assert {(await bench.read(key)).state.status for key in running} == {"executing"}
    await bench.engine.start()
    for key in claimed:
        assert (await bench.ended(key)).state.status == "success"
    for key in running:
        assert "not run again because it may have side effects" in (await bench.ended(key)).state.error
    assert len(log.read_text().split()) == len(running) + len(claimed)
    await bench.close()


async def test_what_was_claimed_ahead_is_queued_again_when_the_server_was_killed(tmp_path, make_bench):
    """The journal tells what had begun; the record alone says *executing* of all of them."""
    bench = make_bench(tmp_path)
    await bench.engine.start()
    bench.expect_quick_tasks_to_take_no_time()
    running, claimed = await fill_the_quick_lane(bench, tmp_path / "log")
    begun = Journal(tmp_path / "begun.log").read()
    names = {records.attempt_name(await bench.read(key)): key for key in [*running, *claimed]}
    assert {names[name] for name in begun & set(names)} == set(running)
    recovered = await bench.database.write(lambda c: records.recover(c, begun))
    assert {task.key: task.state.status for task in recovered} == {
        **dict.fromkeys(running, "error"),
        **dict.fromkeys(claimed, "queued"),
    }
    await bench.close()


async def test_what_was_being_prepared_when_the_server_stopped_is_queued_again(tmp_path, make_bench, monkeypatch):
    bench = make_bench(tmp_path)
    await bench.engine.start()
    preparing, may_go_on = asyncio.Event(), asyncio.Event()
    prepare = bench.work.prepare

    async def prepare_slowly(task):
        preparing.set()
        await may_go_on.wait()
        return await prepare(task)

    monkeypatch.setattr(bench.work, "prepare", prepare_slowly)
    key = await bench.enqueue("count_starts", log=str(tmp_path / "log"))
    await preparing.wait()
    closing = asyncio.ensure_future(bench.close())
    await asyncio.sleep(0.05)
    may_go_on.set()
    await closing
    assert not (tmp_path / "log").exists()
    bench = make_bench(tmp_path)
    assert (await bench.read(key)).state.status == "queued"
    await bench.engine.start()
    assert (await bench.ended(key)).state.status == "success"
    assert (tmp_path / "log").read_text() == "start\n"
    await bench.close()


async def fill_the_quick_lane(bench, log):
    """Two tasks that run, and some that are claimed ahead."""
    keys = await bench.database.write(
        lambda c: [
            records.enqueue(
                c,
                "work",
                {"function": "write_start", "log": str(log), "name": str(n), "seconds": s},
                None,
                is_quick=True,
            )
            for n, s in enumerate([30, 30, 0, 0, 0, 0])
        ]
    )
    bench.engine.wake()
    await bench.until(keys[-1], lambda task: task.state.status == "executing")
    while not log.exists() or len(log.read_text().split()) < 2:
        await asyncio.sleep(0.01)
    return keys[:2], keys[2:]


def test_a_journal_of_another_boot_says_nothing(tmp_path, monkeypatch):
    path = tmp_path / "begun.log"
    assert Journal(path).read() is None
    journal = Journal(path)
    journal.open()
    journal.begin("A-1", list)
    journal.begin("B-2", list)
    journal.close()
    assert Journal(path).read() == {"A-1", "B-2"}
    path.write_text("another boot\nA-1\n")
    assert Journal(path).read() is None


def test_a_journal_does_not_grow_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("cosphere_jupyter.tasks.journal.LARGEST", 1000)
    path = tmp_path / "begun.log"
    journal = Journal(path)
    journal.open()
    for number in range(500):
        journal.begin(f"TASK-{number}", lambda number=number: [f"TASK-{number - 1}"])
        assert path.stat().st_size < 1100
    journal.close()
    assert {"TASK-498", "TASK-499"} <= Journal(path).read()


def test_a_journal_that_cannot_be_written_anew_goes_on_as_it_is(tmp_path, monkeypatch):
    path = tmp_path / "begun.log"
    journal = Journal(path)
    journal.open()
    names = [f"TASK-{number}" for number in range(130)]
    for name in names:
        journal.begin(name, list)
    monkeypatch.setattr("cosphere_jupyter.tasks.journal.LARGEST", 1000)
    many = [f"RUNNING-{number}" for number in range(1000)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        journal.begin("LATER-1", lambda: many)
        journal.begin("LATER-2", lambda: many)
        with pytest.raises(OSError, match="No space left"):
            journal.begin("LONG" * 500, lambda: many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {*names, "LATER-1", "LATER-2"} <= Journal(path).read()
    assert [each.name for each in tmp_path.iterdir()] == ["begun.log"]
    journal.begin("LAST", lambda: many)
    journal.close()
    assert Journal(path).read() == {*many, "LAST"}


async def test_a_lane_chooses_while_attempts_begin_and_end(bench):
    """A turn chooses in the thread of its transaction; nothing waits for it on the event loop."""
    task = await bench.ended(await bench.enqueue("echo"))
    lane = Lane(slots=10**6)
    entries = [Waiting(number, f"k{number}", number % 7, 0, False) for number in range(300)]
    failed, is_over = [], threading.Event()

    def choose():
        while not is_over.is_set():
            try:
                lane.add(entries)
                lane.choose()
            except Exception as error:
                failed.append(error)
                return

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    choosing = threading.Thread(target=choose)
    choosing.start()
    try:
        end = time.monotonic() + 2
        while time.monotonic() < end and not failed:
            begun = []
            for entry in entries:
                attempt = Attempt(replace(task, owner_id=entry.number), lane, entry)
                lane.take(attempt)
                if entry.number % 2:
                    begun.append(lane.begin())
            lane.remove(entry.key for entry in entries[::3])
            for attempt in begun:
                attempt.release_slot()
            lane.ready.clear()
            lane.running.clear()
    finally:
        is_over.set()
        choosing.join()
        sys.setswitchinterval(interval)
    assert failed == []
    for entry in entries:
        lane.remove([entry.key])
    assert lane.choose() == []


async def test_numbers_that_are_given_again_hide_no_task(bench):
    """SQLite gives the number of the newest row again when that row was deleted."""
    from sqlalchemy import delete

    from cosphere_jupyter.tasks.tables import tasks

    for _ in range(3):
        await bench.ended(await bench.enqueue("echo"))
    await bench.database.write(lambda c: c.execute(delete(tasks)))
    bench.engine.forget_numbers()
    assert (await bench.ended(await bench.enqueue("echo"))).state.status == "success"
