"""Tasks from record to end: success, errors, crashes, cancelling, restarts."""

from __future__ import annotations

import asyncio
import logging

import pytest

from cosphere_jupyter.errors import ExecutionError, Unavailable
from cosphere_jupyter.tasks import records
from cosphere_jupyter.tasks.engine import Call


async def test_a_task_runs_and_keeps_its_result(bench):
    task = await bench.ended(await bench.enqueue("echo", text="ö"))
    assert task.state.status == "success"
    assert task.state.result == {"function": "echo", "text": "ö"}
    assert task.queued_at <= task.started_at <= task.completed_at
    assert bench.work.ended == [(task.key, "success")]
    assert bench.work.discarded == []


async def test_keys_are_26_characters_of_base32(bench):
    key = await bench.enqueue("echo")
    assert len(key) == 26 and set(key) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


async def test_an_error_of_the_work_is_the_tasks_error_word_by_word(bench):
    task = await bench.ended(await bench.enqueue("fail", is_idempotent=True, max_attempts=3))
    assert (task.state.status, task.state.error, task.state.attempt) == ("error", "the engine's own words", 1)
    assert bench.work.discarded == [task.key]


async def test_an_unexpected_error_shows_no_inside(bench, caplog):
    with caplog.at_level(logging.ERROR):
        task = await bench.ended(await bench.enqueue("fail_unexpectedly"))
    assert task.state.error == "the work failed unexpectedly (KeyError); the server's log has the details"
    assert "/secret/path" in caplog.text


async def test_a_task_of_an_unknown_name_ends_with_words(bench):
    key = await bench.database.write(lambda c: records.enqueue(c, "nothing", {}, None))
    bench.engine.wake()
    assert (await bench.ended(key)).state.error == "there is no task named 'nothing' here"


async def test_what_a_work_prints_does_not_disturb_it(bench):
    assert (await bench.ended(await bench.enqueue("print_something"))).state.result == "fine"


async def test_progress_can_be_watched_and_is_gone_at_the_end(bench):
    key = await bench.enqueue("report_progress")
    assert set(await bench.reported(key)) == {"fraction"}
    task = await bench.ended(key)
    assert task.state.result == "done" and task.progress is None


async def test_the_process_of_quick_tasks_is_used_again(bench):
    first = await bench.ended(await bench.enqueue("pid"))
    second = await bench.ended(await bench.enqueue("pid"))
    assert first.state.result == second.state.result


async def test_no_process_is_kept_when_there_is_nothing_to_do(tmp_path, make_bench, gone):
    bench = make_bench(tmp_path, idle_seconds=0.2)
    await bench.engine.start()
    task = await bench.ended(await bench.enqueue("pid"))
    assert await gone(task.state.result, 5)
    await bench.close()


async def test_no_more_tasks_run_at_once_than_there_are_slots(bench, tmp_path):
    keys = [await bench.enqueue("sleep", seconds=0.3) for _ in range(5)]
    most = 0
    while not all([(await bench.read(key)).state.is_final for key in keys]):
        most = max(most, [(await bench.read(key)).state.status for key in keys].count("executing"))
        await asyncio.sleep(0.02)
    assert most == 2


async def test_tasks_start_in_the_order_in_which_they_were_queued(tmp_path, make_bench):
    bench = make_bench(tmp_path, slots=1)
    await bench.engine.start()
    keys = [await bench.enqueue("echo") for _ in range(6)]
    tasks = [await bench.ended(key) for key in keys]
    assert sorted(tasks, key=lambda task: task.started_at) == tasks
    await bench.close()


# -- crashes -----------------------------------------------------------------------------------------------------------


async def test_a_work_that_dies_once_is_repeated_if_that_does_no_harm(bench, tmp_path):
    key = await bench.enqueue("die_the_first_time", marker=str(tmp_path / "m"), is_idempotent=True, max_attempts=3)
    task = await bench.ended(key)
    assert (task.state.result, task.state.attempt, task.state.crashes) == ("second time", 2, 1)


async def test_a_work_that_dies_twice_is_given_up_with_the_signal(bench):
    task = await bench.ended(await bench.enqueue("die", is_idempotent=True, max_attempts=9))
    assert task.state.error == "worker killed by signal 9 (out of memory?) twice"
    assert task.state.attempt == 2


async def test_a_work_with_side_effects_that_dies_is_not_repeated(bench):
    task = await bench.ended(await bench.enqueue("die"))
    assert task.state.attempt == 1
    assert "killed by signal 9" in task.state.error and "side effects" in task.state.error


async def test_the_last_words_of_a_process_are_in_the_log(bench, caplog):
    with caplog.at_level(logging.WARNING):
        task = await bench.ended(await bench.enqueue("exit_quietly"))
    assert "ended with exit code 3" in task.state.error
    assert "last words" in caplog.text


# -- restarts ----------------------------------------------------------------------------------------------------------


async def test_what_ran_when_the_server_stopped_goes_on_with_the_next_one(tmp_path, make_bench, gone):
    bench = make_bench(tmp_path)
    await bench.engine.start()
    repeatable = await bench.enqueue("sleep", seconds=1, is_idempotent=True, max_attempts=3)
    harmful = await bench.enqueue("sleep", seconds=1)
    queued = await bench.enqueue("echo")
    pid = (await bench.reported(repeatable))["pid"]
    await bench.reported(harmful)
    await bench.close()
    assert await gone(pid, 1)

    bench = make_bench(tmp_path)
    await bench.engine.start()
    again, ended, first = await bench.ended(repeatable), await bench.ended(harmful), await bench.ended(queued)
    assert (again.state.status, again.state.attempt) == ("success", 2)
    assert "not run again because it may have side effects" in ended.state.error
    assert (harmful, "error") in bench.work.ended
    assert (first.state.status, first.state.attempt) == ("success", 1)
    await bench.close()


async def test_a_late_answer_of_a_former_attempt_changes_nothing(bench):
    from cosphere_jupyter.tasks.states import Claimed, Lost, Succeeded

    key = await bench.database.write(
        lambda c: records.enqueue(c, "nobody takes it", {}, None, is_idempotent=True, max_attempts=5)
    )
    for event in (Claimed(), Lost(1), Claimed()):
        assert await bench.database.write(lambda c, event=event: records.apply_event(c, key, event))
    assert await bench.database.write(lambda c: records.apply_event(c, key, Succeeded(1, "late"))) is None
    task = await bench.read(key)
    assert (task.state.status, task.state.attempt, task.state.result) == ("executing", 2, None)


# -- calls without a record --------------------------------------------------------------------------------------------


async def test_a_quick_call_answers_or_fails_with_words(bench):
    assert await bench.engine.call(Call("works:echo", {"a": 1}), 10) == {"a": 1}
    with pytest.raises(ExecutionError, match="the engine's own words"):
        await bench.engine.call(Call("works:fail", {}), 10)
    with pytest.raises(ExecutionError, match="killed by signal 9"):
        await bench.engine.call(Call("works:die", {}), 10)


async def test_a_call_that_takes_too_long_is_ended(bench):
    with pytest.raises(Unavailable, match="no answer within"):
        await bench.engine.call(Call("works:sleep", {}), 0.3)
    assert await bench.engine.call(Call("works:echo", {}), 10) == {}


async def test_no_more_calls_run_at_once_than_there_are_slots(bench):
    import psutil

    calls = [asyncio.ensure_future(bench.engine.call(Call("works:sleep", {"seconds": 0.2}), 30)) for _ in range(6)]
    most = 0
    while not all(call.done() for call in calls):
        children = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
        most = max(most, len(children))
        await asyncio.sleep(0.02)
    assert [call.result() for call in calls] == ["awake"] * 6
    assert most <= 2


# -- when something is wrong with the engine's surroundings ------------------------------------------------------------


async def test_a_feature_that_cannot_write_its_rows_does_not_keep_the_task_from_ending(bench, monkeypatch):
    def refuse(connection, task):
        raise RuntimeError("a mistake in a feature")

    monkeypatch.setattr(bench.work, "on_end", refuse)
    task = await bench.ended(await bench.enqueue("echo"))
    assert task.state.status == "error" and "could not be recorded" in task.state.error
    monkeypatch.undo()
    assert (await bench.ended(await bench.enqueue("echo"))).state.status == "success"


async def test_an_unexpected_failure_to_take_a_task_does_not_stop_the_engine(bench, monkeypatch):
    failures = []

    def fail_once(connection, keys):
        failures.append(1)
        raise RuntimeError("never seen before")

    real = records.claim
    monkeypatch.setattr(records, "claim", fail_once)
    key = await bench.enqueue("echo")
    while not failures:
        await asyncio.sleep(0.01)
    monkeypatch.setattr(records, "claim", real)
    assert (await bench.ended(key)).state.status == "success"
