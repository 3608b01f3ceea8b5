"""Following tasks: nothing is lost, nobody is flooded, nobody holds up the others."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from dataclasses import replace

import pytest

from cosphere_jupyter.errors import Unavailable
from cosphere_jupyter.tasks import hub as hubs
from cosphere_jupyter.tasks import records
from cosphere_jupyter.tasks.hub import Hub
from cosphere_jupyter.tasks.records import Task
from cosphere_jupyter.tasks.states import TaskState


class Store:
    """Tasks that a hub reads; a read can be made to wait."""

    def __init__(self):
        self.tasks = {}
        self.reads = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures = 0

    def put(self, key, status="executing", attempt=1, owner_id=None, progress=None):
        state = TaskState(status=status, attempt=attempt)
        self.tasks[key] = Task(key, "work", owner_id, {}, progress, state, None, None, None)
        return self.tasks[key]

    async def read(self, keys):
        self.reads.append(list(keys))
        found = {key: self.tasks[key] for key in keys if key in self.tasks}
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise Unavailable("the database is away")
        return found


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def hub(store):
    return Hub(store.read, logging.getLogger("test"))


def told(tasks):
    return [(task.key, task.state.status) for task in tasks]


async def test_a_change_is_told_once_and_a_quiet_time_ends_with_nothing(hub, store):
    store.put("A")
    with hub.subscribe(["A"]) as subscription:
        hub.changed("A")
        assert told(await subscription.changes(5)) == [("A", "executing")]
        assert await subscription.changes(0.05) == []


async def test_a_change_between_subscribing_and_reading_is_not_lost(bench):
    key = await bench.enqueue("sleep", seconds=0.3)
    with bench.tasks.subscribe([key]) as subscription:
        await bench.ended(key)
        while True:
            tasks = await subscription.changes(10)
            assert tasks, "the end was never told"
            if tasks[0].state.is_final:
                break
    assert tasks[0] == await bench.read(key)


async def test_a_change_during_a_read_is_told_after_it(hub, store):
    store.put("A")
    store.gate.clear()
    with hub.subscribe(["A"]) as subscription:
        hub.changed("A")
        while not store.reads:
            await asyncio.sleep(0)
        store.put("A", "success")
        hub.changed("A")
        store.gate.set()
        seen = []
        while ("A", "success") not in seen:
            seen += told(await subscription.changes(5))
        assert await subscription.changes(0.05) == []


async def test_what_the_subscriber_has_read_itself_is_not_followed_by_something_older(hub, store):
    store.put("A")
    store.gate.clear()
    with hub.subscribe(["A"]) as subscription:
        hub.changed("A")
        while not store.reads:
            await asyncio.sleep(0)
        subscription.seen([store.put("A", "success")])
        store.gate.set()
        assert await subscription.changes(0.1) == []


async def test_what_the_subscriber_has_read_itself_is_told_again_only_if_something_of_it_is_new(hub, store):
    with hub.subscribe(["A"]) as subscription:
        subscription.seen([store.put("A", "executing", progress=1)])
        hub.changed("A")
        assert await subscription.changes(0.1) == []
        store.put("A", "executing", progress=2)
        hub.changed("A")
        assert told(await subscription.changes(5)) == [("A", "executing")]
        store.put("A", "success")
        hub.changed("A")
        assert told(await subscription.changes(5)) == [("A", "success")]


async def test_many_changes_of_a_task_are_one_for_a_slow_subscriber_and_the_end_is_among_them(hub, store):
    with hub.subscribe(["A"]) as subscription:
        for step in range(500):
            store.put("A", progress=step)
            hub.changed("A")
            await asyncio.sleep(0)
        store.put("A", "error")
        hub.changed("A")
        await asyncio.sleep(0.05)
        assert told(await subscription.changes(5)) == [("A", "error")]
        assert await subscription.changes(0.05) == []


async def test_a_subscriber_who_never_comes_costs_a_bounded_number_of_tasks_and_loses_none(hub, store):
    count = 5 * hubs.HELD_LIMIT
    with hub.subscribe(owner_id=7) as subscription:
        for number in range(count):
            store.put(f"K{number}", "success", owner_id=7)
            hub.changed(f"K{number}", 7)
        while hub._dirty or not hub._pump.done():
            await asyncio.sleep(0.01)
        assert sum(task is not None for task in subscription._pending.values()) <= hubs.HELD_LIMIT
        seen = []
        while tasks := await subscription.changes(0.2):
            assert len(tasks) <= hubs.HELD_LIMIT
            seen += told(tasks)
    assert seen == [(f"K{number}", "success") for number in range(count)]


async def test_an_owner_hears_of_all_own_tasks_also_new_ones_and_of_no_others(hub, store):
    store.put("MINE", owner_id=1)
    store.put("OTHER", owner_id=2)
    with hub.subscribe(owner_id=1) as subscription:
        hub.changed("MINE", 1)
        hub.changed("OTHER", 2)
        # Who ends a task of a shared download does not know whose it is.
        store.put("UNKNOWN", owner_id=1)
        hub.changed("UNKNOWN")
        seen = []
        while tasks := await subscription.changes(0.2):
            seen += told(tasks)
        assert seen == [("MINE", "executing"), ("UNKNOWN", "executing")]
    assert not any("OTHER" in keys for keys in store.reads)


async def test_what_nobody_follows_is_never_read(hub, store):
    store.put("A")
    with hub.subscribe(["B"]):
        hub.changed("A", 1)
        await asyncio.sleep(0.02)
    assert store.reads == []


async def test_all_changes_of_a_moment_are_one_read_and_all_subscribers_get_the_same_objects(hub, store):
    keys = [f"K{number}" for number in range(40)]
    for key in keys:
        store.put(key)
    with contextlib.ExitStack() as stack:
        subscriptions = [stack.enter_context(hub.subscribe(keys)) for _ in range(3)]
        for key in keys:
            hub.changed(key)
        answers = [await subscription.changes(5) for subscription in subscriptions]
    assert store.reads == [keys]
    for key, *same in zip(keys, *answers, strict=True):
        assert [task.key for task in same] == [key] * 3
        assert same[0] is same[1] is same[2]


async def test_a_failing_read_is_tried_again(hub, store, monkeypatch, caplog):
    monkeypatch.setattr(hubs, "RETRY_SECONDS", 0.01)
    store.put("A")
    store.failures = 2
    with hub.subscribe(["A"]) as subscription, caplog.at_level(logging.ERROR):
        hub.changed("A")
        assert told(await subscription.changes(5)) == [("A", "executing")]
    assert "could not be read" in caplog.text


async def test_the_end_is_told_without_reading_it_again(hub, store):
    with hub.subscribe(["A"]) as subscription:
        hub.changed("A", None, replace(store.put("A", "success"), progress=None))
        assert told(await subscription.changes(5)) == [("A", "success")]
    assert store.reads == []


async def test_when_the_workspace_stops_nobody_waits_any_longer(hub):
    with hub.subscribe(["A"]) as subscription:
        waiting = asyncio.ensure_future(subscription.changes(None))
        await asyncio.sleep(0)
        hub.close()
        with pytest.raises(Unavailable, match="stopping"):
            await asyncio.wait_for(waiting, 5)


async def test_five_thousand_subscribers_are_told_in_chunks_and_leave_nothing_behind(hub, store):
    store.put("A", "success")
    turns = []

    async def count_turns():
        while True:
            turns.append(time.perf_counter())
            await asyncio.sleep(0)

    with contextlib.ExitStack() as stack:
        subscriptions = [stack.enter_context(hub.subscribe(["A"])) for _ in range(5000)]
        waiting = [asyncio.ensure_future(each.changes(60)) for each in subscriptions]
        await asyncio.sleep(0.1)
        ticker = asyncio.ensure_future(count_turns())
        await asyncio.sleep(0)
        before = len(turns)
        started = time.perf_counter()
        hub.changed("A")
        answers = await asyncio.gather(*waiting)
        elapsed = time.perf_counter() - started
        ticker.cancel()
        # The loop had a turn for others between any two chunks.
        assert len(turns) - before >= 5000 / hubs.CHUNK
        longest = max(after - turn for turn, after in itertools.pairwise(turns))
        print(f"one change told to 5,000 in {elapsed * 1e3:.0f} ms; the loop was held {longest * 1e3:.1f} ms at most")
        assert len({id(answer[0]) for answer in answers}) == 1
    assert store.reads == [["A"]]
    assert not hub._by_key and not hub._by_owner and not hub._dirty


# -- the service -------------------------------------------------------------------------------------------------------


async def test_tasks_are_read_by_key_by_those_who_may(bench):
    rosa, olaf = await bench.account("rosa@lab.example"), await bench.account("olaf@lab.example")
    ada = await bench.account("ada@lab.example", "ADMIN")
    key = await bench.enqueue("echo", owner_id=rosa.id)
    await bench.ended(key)
    for caller, found in ((rosa, {key}), (ada, {key}), (None, {key}), (olaf, set())):
        assert set(await bench.tasks.read([key, key, "NOSUCHKEY"], caller)) == found


async def test_the_list_is_ones_own_the_newest_first(bench):
    rosa, olaf = await bench.account("rosa@lab.example"), await bench.account("olaf@lab.example")
    keys = [await bench.enqueue("echo", owner_id=rosa.id) for _ in range(4)]
    await bench.enqueue("echo", owner_id=olaf.id)
    failed = await bench.enqueue("fail", owner_id=rosa.id)
    await bench.tasks.wait([*keys, failed], None, 60)

    async def listed(**options):
        return [task.key for task in await bench.tasks.bulk_read(rosa, **options)]

    assert await listed() == [failed, *reversed(keys)]
    assert await listed(limit=2, offset=1) == [keys[3], keys[2]]
    assert await listed(status="error") == [failed]
    assert await listed(name="another") == []


async def test_waiting_ends_with_the_last_task_or_with_the_time(bench):
    quick, slow = await bench.enqueue("echo"), await bench.enqueue("sleep", seconds=30)
    waited = await bench.tasks.wait([quick, slow, "NOSUCHKEY"], None, 0.5)
    assert set(waited) == {quick, slow}
    assert waited[slow].state.status == "executing"
    waiting = asyncio.ensure_future(bench.tasks.wait([quick, slow], None, None))
    await bench.cancel(slow)
    assert {task.state.status for task in (await asyncio.wait_for(waiting, 20)).values()} == {"success", "error"}


async def test_progress_in_what_is_read_and_told_is_the_freshest(bench):
    key = await bench.enqueue("report_often", steps=3)
    with bench.tasks.subscribe([key]) as subscription:
        told = []
        while not told or not told[-1].state.is_final:
            told += await subscription.changes(20)
            if told[-1].progress == {"step": 2}:
                assert (await bench.tasks.read([key], None))[key].progress == {"step": 2}
    assert {"step": 2} in [task.progress for task in told]


async def test_progress_is_told_a_few_times_a_second_however_often_it_is_reported(bench):
    key = await bench.enqueue("report_often", steps=20_000)
    count = 0
    with bench.tasks.subscribe([key]) as subscription:
        while True:
            tasks = await subscription.changes(30)
            count += 1
            if tasks[0].state.is_final:
                break
    task = tasks[0]
    assert count <= 4 * (task.completed_at - task.started_at).total_seconds() + 4


async def test_new_tasks_are_told_to_their_owner_before_they_begin(tmp_path, make_bench):
    bench = make_bench(tmp_path, slots=1)
    await bench.engine.start()
    rosa = await bench.account("rosa@lab.example")
    await bench.reported(await bench.enqueue("sleep"))
    with bench.tasks.subscribe(owner_id=rosa.id) as subscription:
        key = await bench.database.write(lambda c: records.enqueue(c, "work", {"function": "echo"}, rosa.id))
        bench.engine.wake([key], rosa.id)
        assert told(await subscription.changes(10)) == [(key, "queued")]
    await bench.close()
