"""Functions of a lab as tasks: run in a child process by the engine, what they give and what they may do."""

from __future__ import annotations

import asyncio
import os

from cosphere_jupyter.named.spec import Definition

# -- results and errors -----------------------------------------------------------------------------------------------


async def test_a_function_takes_and_returns_any_json(lab_desk):
    for value in (None, True, 5, 1.5, "ä\0", [], {"a": [{"b": None}]}, "10"):
        assert await lab_desk.result("lab.echo", value=value) == value


async def test_async_functions_are_tasks_as_well(lab_desk):
    assert await lab_desk.result("lab.later", seconds="0.01") == "later"


async def test_a_task_error_is_a_message_for_the_user(lab_desk):
    task = await lab_desk.run("lab.refuse", details={"row": 3})
    assert (task.state.error, task.state.result) == ("the sample is empty", {"row": 3})


async def test_wrong_parameters_are_told_in_the_documents_shape(lab_desk):
    task = await lab_desk.run("lab.files", nmes=[], names=["a", 5])
    assert task.state.result == {
        "parameters": {"names": ["item 2: must be a string"], "nmes": ["unknown parameter; did you mean 'names'?"]}
    }
    assert (await lab_desk.run("lab.judge", sides=[6, 6])).state.result == {
        "parameters": {"sides": ["must be 10 together"]}
    }


async def test_any_other_exception_is_told_to_the_log_and_not_to_the_user(lab_desk, caplog):
    text = await lab_desk.error("lab.break_down")
    assert "KeyError" in text
    assert "secret" not in text
    assert "/home/rosa/secret" in caplog.text
    assert "break_down" in caplog.text


async def test_a_function_that_calls_exit_fails_as_others_do(lab_desk):
    assert await lab_desk.error("lab.leave") == "the task has called exit(3)"


NO_JSON = {
    "set": "set is not JSON serializable",
    "nan": "Out of range float values",
    "bytes": "bytes is not JSON serializable",
    "text": "text that is no Unicode",
    "object": "object is not JSON serializable",
    "deep": "too deeply nested",
    "key": "keys must be str",
}


async def test_a_result_that_is_no_json_is_a_clear_error(lab_desk):
    for kind, text in NO_JSON.items():
        error = await lab_desk.error("lab.odd_result", kind=kind)
        assert error.startswith("the result of the task is no JSON: ")
        assert text in error


async def test_progress_and_details_must_be_json_as_well(lab_desk):
    assert (await lab_desk.error("lab.odd_progress")).startswith("the progress of a task is no JSON")
    assert (await lab_desk.error("lab.refuse_oddly")).startswith("what the task says of its error is no JSON")


async def test_a_result_of_megabytes_is_passed_on(lab_desk):
    task = await lab_desk.run("lab.big", size=6_000_000)
    assert (task.state.status, task.state.result) == ("success", None)
    assert await lab_desk.services.task_list.result_of(task) == "x" * 6_000_000


async def test_what_cannot_be_loaded_fails_and_the_log_tells_why(lab_desk, caplog):
    assert "failed unexpectedly (AttributeError)" in await lab_desk.error("lab.missing")
    assert "failed unexpectedly (TypeError)" in await lab_desk.error("lab.unmarked")
    assert "no attribute 'missing'" in caplog.text
    assert "is not marked as a task" in caplog.text


# -- progress, surroundings -------------------------------------------------------------------------------------------


async def test_progress_is_seen_while_the_task_runs(lab_desk):
    task = await lab_desk.create("lab.steps")
    seen = []
    with lab_desk.services.task_list.subscribe([task.key]) as subscription:
        while not task.state.is_final:
            for task in await subscription.changes(10):
                if task.progress is not None:
                    seen.append(task.progress)
    assert {"step": 2, "of": [4]} in seen
    assert task.progress is None


async def test_temporary_files_are_gone_when_the_task_has_ended(lab_desk):
    for path in await lab_desk.result("lab.temporary"):
        assert str(lab_desk.services.settings.data_dir) in path
        assert not os.path.exists(path)
    assert list((lab_desk.services.settings.data_dir / "tmp").iterdir()) == []


async def test_what_a_function_changes_around_it_is_not_left_to_the_next(lab_desk):
    first, second = [await lab_desk.result("lab.change_surroundings") for _ in range(2)]
    assert (first[0], first[1]) == (second[0], second[1]) == (os.getcwd(), None)


async def test_a_function_that_reads_input_reads_nothing(lab_desk):
    assert await lab_desk.result("lab.read_input") == ""


async def test_a_thread_that_outlives_its_task_does_not_speak_for_the_next(lab_desk):
    assert await lab_desk.result("lab.talk_on", seconds=3) is None
    task = await lab_desk.create("lab.later", seconds=0.5)
    with lab_desk.services.task_list.subscribe([task.key]) as subscription:
        while not task.state.is_final:
            for task in await subscription.changes(10):
                assert task.progress is None


async def test_functions_fetch_by_the_same_guard(lab_desk, web):
    web.pages["/a"] = (200, {"Content-Type": "text/plain"}, b"hello")
    assert "not of the public internet" in await lab_desk.error(
        "lab.fetch", url=web.url.replace(f":{web.port}", "") + "/a"
    )
    assert web.requests == []


# -- which tasks there are --------------------------------------------------------------------------------------------


async def test_names_tell_what_a_function_takes_and_what_is_wrong_with_one(lab_desk):
    names = await lab_desk.services.named.names()
    files = names["lab.files"]
    assert files.parameters == {"names": {"type": "list[str]", "required": True}}
    assert (files.is_quick, files.is_idempotent, files.problem) == (False, False, None)
    assert names["lab.write_and_wait_once"].is_idempotent
    assert "missing" in names["lab.missing"].problem
    assert "not marked" in names["lab.unmarked"].problem


async def test_tasks_that_are_installed_while_the_server_runs_are_there(lab_desk, lab):
    assert await lab_desk.error("lab.new") == "there is no task named 'lab.new'"
    lab.write("newer", "from cosphere_jupyter.named import task\n\n@task\ndef new(): return 'new'\n")
    lab.install("newer", {"lab.new": "newer:new"})
    await asyncio.sleep(1.1)
    assert await lab_desk.result("lab.new") == "new"


async def test_a_function_that_is_edited_runs_as_edited(lab_desk, lab):
    lab.write("edited", "from cosphere_jupyter.named import task\n\n@task\ndef now(): return 1\n")
    lab.install("edited", {"lab.now": "edited:now"})
    await asyncio.sleep(1.1)
    assert await lab_desk.result("lab.now") == 1
    lab.write(
        "edited", "from cosphere_jupyter.named import task\n\n@task(idempotent=True)\ndef now(a: int = 2): return a\n"
    )
    await asyncio.sleep(1.1)
    assert await lab_desk.result("lab.now", a="22") == 22
    assert (await lab_desk.services.named.names())["lab.now"].is_idempotent


async def test_a_package_that_dies_keeps_no_other_task_from_running(lab_desk, lab):
    lab.write("dying", "import os\nos._exit(3)\n")
    lab.install("dying", {"lab.dying": "dying:task"})
    await asyncio.sleep(1.1)
    wanted = [("lab.dying", {}), ("hello", {"name": "John"}), ("lab.echo", {"value": 1})]
    tasks = await lab_desk.services.named.create([Definition(*each) for each in wanted], lab_desk.account)
    ended = [await lab_desk.ended(task.key) for task in tasks]
    assert [task.state.status for task in ended] == ["error", "success", "success"]
    assert "exit code 3" in ended[0].state.error
    names = await lab_desk.services.named.names()
    assert "exit code 3" in names["lab.dying"].problem
    assert names["lab.echo"].problem is None


async def test_a_package_that_is_slow_to_import_keeps_only_its_own_tasks_waiting(lab_desk, lab):
    code = "import time\nfrom cosphere_jupyter.named import task\ntime.sleep(2)\n\n@task\ndef slow(): return 'slow'\n"
    lab.write("slow_tasks", code)
    lab.install("slow-tasks", {"lab.slow": "slow_tasks:slow"})
    await lab_desk.result("lab.echo", value=1)
    await asyncio.sleep(1.1)
    slow = asyncio.ensure_future(lab_desk.create("lab.slow"))
    await asyncio.sleep(0.2)
    assert await lab_desk.result("hello", name="John") == "Hello John"
    await lab_desk.create("lab.echo", value=1)
    assert not slow.done()
    assert (await lab_desk.ended((await slow).key)).state.result == "slow"
