"""Output files of tasks: published all at once with a manifest, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import time


async def test_output_files_are_published_with_a_manifest(lab_desk):
    task = await lab_desk.run("lab.files", names=["small", "large"])
    assert task.state.result == {"count": 2}
    contents = {name: (name * 1000).encode() for name in ("small", "large")}
    assert task.outputs == tuple(
        {
            "name": name,
            "file": f"{name}.txt",
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "content_type": "text/plain",
        }
        for name, content in contents.items()
    )
    folder = lab_desk.files(task)
    assert {path.name: path.read_bytes() for path in folder.glob("*.txt")} == {
        f"{name}.txt": content for name, content in contents.items()
    }
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert [(file["name"], file["bytes"]) for file in manifest["files"]] == [("small.txt", 5000), ("large.txt", 5000)]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert list((lab_desk.services.settings.data_dir / "tmp").iterdir()) == []


async def test_a_function_with_files_may_return_nothing(lab_desk):
    task = await lab_desk.run("lab.one_file")
    assert (task.state.result, task.outputs[0]["content_type"]) == ({}, "text/csv")


ODD_NAMES = [
    *(("../a", None), ("a/b", None), ("", None), (".", None), ("..", None), (".hidden", None), ("a b", None)),
    *(("a", "../../x"), ("a", "/etc/x"), ("a", "a\\b"), ("a", "x\0"), ("a", "x\r\nY: z"), ("a", ""), ("ä", None)),
    *(("a", "manifest.json"), ("a", "Manifest.JSON"), ("a", "result.json"), ("a", "parts.tar"), ("a" * 200, None)),
]


async def test_names_of_outputs_that_cannot_be_are_refused(lab_desk):
    for name, file_name in ODD_NAMES:
        task = await lab_desk.run("lab.file_of_type", name=name, file_name=file_name)
        assert "ValueError" in task.state.error
        assert task.result_name is None


async def test_two_outputs_do_not_share_a_file(lab_desk):
    assert "ValueError" in await lab_desk.error("lab.two_files", first="x.txt", second="X.txt")
    assert "ValueError" in await lab_desk.error("lab.files", names=["same", "same"])


async def test_a_content_type_is_one(lab_desk):
    for odd in ("text", "text/html\r\nX: y", "", "a b/c"):
        task = await lab_desk.run("lab.file_of_type", name="a", content_type=odd or "/")
        assert "ValueError" in task.state.error
    task = await lab_desk.run("lab.file_of_type", name="a", content_type="text/csv; charset=utf-8")
    assert task.outputs[0]["content_type"] == "text/csv; charset=utf-8"


async def test_outputs_that_are_no_files_are_an_error(lab_desk):
    for name in ("lab.unwritten", "lab.linked"):
        assert await lab_desk.error(name) == "the task has announced an output 'table' and not written it"
    assert "must return an object" in await lab_desk.error("lab.file_and_text")
    assert "has a value 'table'" in await lab_desk.error("lab.file_and_value")
    assert list((lab_desk.services.settings.data_dir / "tmp").iterdir()) == []


async def reported(lab_desk, key):
    """Wait for the process id that a function tells as its progress."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        task = (await lab_desk.services.task_list.read([key], lab_desk.account))[key]
        if isinstance(task.progress, int):
            return task.progress
        await asyncio.sleep(0.02)
    raise AssertionError(task)


async def test_a_function_that_is_killed_while_it_writes_publishes_nothing(lab_desk):
    task = await lab_desk.create("lab.write_and_wait")
    os.kill(await reported(lab_desk, task.key), signal.SIGKILL)
    task = await lab_desk.ended(task.key)
    assert (task.state.status, task.result_name, task.outputs) == ("error", None, ())
    assert "killed by signal 9" in task.state.error
    await nothing_left(lab_desk)


async def test_an_idempotent_function_that_was_killed_publishes_what_its_next_attempt_writes(lab_desk, tmp_path):
    marker = tmp_path / "marker"
    task = await lab_desk.create("lab.write_and_wait_once", marker=str(marker))
    pid = await reported(lab_desk, task.key)
    marker.touch()
    os.kill(pid, signal.SIGKILL)
    task = await lab_desk.ended(task.key)
    assert (task.state.status, task.state.attempt) == ("success", 2)
    assert task.result_name.endswith(f"{task.key}-2")
    assert (lab_desk.files(task) / "table").stat().st_size == 100_000
    await nothing_left(lab_desk, task.result_name)


async def test_a_cancelled_task_leaves_no_file(lab_desk):
    task = await lab_desk.create("lab.write_and_wait")
    await reported(lab_desk, task.key)
    await lab_desk.services.task_list.cancel(task.key, lab_desk.account)
    assert (await lab_desk.ended(task.key)).state.error == f"cancelled by {lab_desk.account.email}"
    await nothing_left(lab_desk)


async def nothing_left(lab_desk, *names):
    """What a lost attempt has written is removed a moment after its end is known."""
    scratch = lab_desk.services.settings.data_dir / "tmp"
    for _ in range(200):
        if not any(scratch.iterdir()) and lab_desk.services.store.names() == [*names]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError((list(scratch.iterdir()), lab_desk.services.store.names()))
