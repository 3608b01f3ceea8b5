"""Tasks against a real ``jupyter server`` with tasks of a lab, as a user meets them in a notebook."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from client.lab_server import LabServer
from named.web import Web
from PIL import Image

from cosphere_jupyter import (
    InvalidRequest,
    NotFound,
    NotSignedIn,
    Task,
    TaskFailed,
    TaskStatus,
    TaskTimeout,
    Workspace,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    server = Web()
    yield server
    server.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, web: Web) -> Iterator[LabServer]:
    options = ("--CosphereApp.max_tasks=2", f"--CosphereApp.fetch_hosts={web.allowed}")
    server = LabServer(tmp_path_factory.mktemp("lab"), *options)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def ws(lab: LabServer) -> Iterator[Workspace]:
    with Workspace(lab.url, lab.token) as workspace:
        yield workspace


# One task


def test_a_task_is_created_and_waited_for(ws: Workspace):
    task = ws.tasks.create("hello", name="John")
    assert (task.name, task.status in ("queued", "executing", "success"), len(task.key)) == ("hello", True, 26)
    assert task.wait(timeout=60) is task
    assert (task.status, task.result, task.error, task.outputs) == ("success", "Hello John", None, {})
    assert list(task.events) == ["queued", "started", "completed"]
    assert task.events["queued"] <= task.events["started"] <= task.events["completed"]


def test_it_is_found_again_by_its_key(ws: Workspace):
    task = ws.tasks.create("hello", name="Jane").wait()
    found = ws.tasks[task.key]
    assert isinstance(found, Task)
    assert (found.key, found.status, found.result, found.events) == (task.key, "success", "Hello Jane", task.events)
    assert found.wait().refresh().result == "Hello Jane"


def test_a_key_without_a_task_is_not_found(ws: Workspace):
    for key in ("A" * 26, "no key at all"):
        with pytest.raises(NotFound, match="there is no task"):
            ws.tasks[key]


def test_wrong_parameters_are_an_error_of_the_task(ws: Workspace):
    task = ws.tasks.create("hello")
    with pytest.raises(TaskFailed, match=r"^hello: name: this field is required$") as caught:
        task.wait()
    assert caught.value.tasks == (task,)
    assert task.status == "error"
    assert task.error == "name: this field is required"
    assert task.details == {"parameters": {"name": ["this field is required"]}}
    assert task.result is None


def test_a_name_that_nothing_has_is_an_error_of_the_task(ws: Workspace):
    with pytest.raises(TaskFailed, match=r"lab\.nothing"):
        ws.tasks.create("lab.nothing").wait()


def test_a_wait_shows_how_far_it_is(ws: Workspace, capsys: pytest.CaptureFixture[str]):
    ws.tasks.create("lab.nap", seconds=2).wait()
    shown = capsys.readouterr().err
    assert "lab.nap" in shown and "executing" in shown
    assert any(f" {percent}%" in shown for percent in range(10, 100, 10))
    ws.tasks.create("lab.nap", seconds=1).wait(progress=False)
    assert capsys.readouterr().err == ""


def test_a_wait_has_an_end_and_the_task_goes_on(ws: Workspace):
    task = ws.tasks.create("lab.nap", seconds=1.5)
    started = time.monotonic()
    with pytest.raises(TaskTimeout, match=r"is still (queued|executing) after 0.3 s") as caught:
        task.wait(timeout=0.3)
    assert isinstance(caught.value, TimeoutError)
    assert time.monotonic() - started < 1
    assert task.wait().result == "rested"


def test_a_task_is_cancelled(ws: Workspace):
    task = ws.tasks.create("lab.nap", seconds=60)
    assert task.cancel() is task
    assert task.status == "error" and "cancelled by" in str(task.error)
    with pytest.raises(TaskFailed, match="cancelled by"):
        task.wait(timeout=10)
    assert task.cancel().status == "error"


def test_a_finished_task_cannot_be_cancelled_any_more(ws: Workspace):
    task = ws.tasks.create("hello", name="John").wait()
    assert task.cancel().result == "Hello John"


def test_interrupting_stops_the_waiting_only(lab: LabServer):
    code = """
        import sys
        from cosphere_jupyter import Workspace
        ws = Workspace(sys.argv[1], sys.argv[2])
        task = ws.tasks.create("lab.nap", seconds=3)
        print(task.key, flush=True)
        try:
            task.wait(progress=False)
        except KeyboardInterrupt:
            print(ws.tasks[task.key].status, task.wait().result)
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), lab.url, lab.token]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert len(process.stdout.readline().strip()) == 26
        time.sleep(1)
        interrupted = time.monotonic()
        process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=60)
    assert told.split() == ["executing", "rested"], errors
    assert time.monotonic() - interrupted > 0.5


# Output files


def test_output_files_are_saved_whole(ws: Workspace, tmp_path: Path):
    size = 3 * 1024 * 1024
    task = ws.tasks.create("lab.files", size=size).wait()
    assert task.outputs == {"large": "large.bin", "empty": "empty.txt"}
    assert task.result["size"] == size
    assert task.save(tmp_path, "large") == tmp_path / "large.bin"
    assert (tmp_path / "large.bin").read_bytes() == bytes(range(256)) * (size // 256)
    assert task.save(str(tmp_path / "mine.txt"), "empty") == tmp_path / "mine.txt"
    assert (tmp_path / "mine.txt").read_bytes() == b""
    assert sorted(set(os.listdir(tmp_path)) - {"jupyter", "cache"}) == ["large.bin", "mine.txt"]


def test_a_thumbnail_is_made_and_saved(ws: Workspace, web: Web, tmp_path: Path):
    drawn = BytesIO()
    Image.new("RGB", (400, 300), "teal").save(drawn, "JPEG")
    web.pages["/cat.jpg"] = (200, {"Content-Type": "image/jpeg"}, drawn.getvalue())
    info = ws.tasks.create("image.info", url=f"{web.url}/cat.jpg").wait().result
    assert (info["width"], info["height"], info["content_type"]) == (400, 300, "image/jpeg")
    urls = [f"{web.url}/cat.jpg", f"{web.url}/dog.jpg"]
    found = ws.tasks.map("image.thumb", urls, parameter="url", common={"width": 80}, return_exceptions=True)
    assert (found[0]["width"], found[0]["height"]) == (80, 60)
    assert isinstance(found[1], TaskFailed) and "dog.jpg" in str(found[1])
    task = ws.tasks.create("image.thumb", url=urls[0], width=80)
    assert task.save(tmp_path / "small.jpg").exists() and task.outputs == {"output": "thumb.jpg"}
    with Image.open(tmp_path / "small.jpg") as small:
        assert small.size == (80, 60)


def test_a_wrong_name_of_an_output_is_told_with_the_choices(ws: Workspace, tmp_path: Path):
    task = ws.tasks.create("lab.files", size=256).wait()
    with pytest.raises(NotFound, match="'medium' is not a valid filename, choose one of: 'large', 'empty'"):
        task.save(tmp_path, "medium")
    with pytest.raises(NotFound, match="choose one of: 'large', 'empty'"):
        task.save(tmp_path)
    with pytest.raises(NotFound, match="no output files"):
        ws.tasks.create("hello", name="John").save(tmp_path)
    assert list(tmp_path.glob("*.bin")) == []


def test_a_failed_task_has_nothing_to_save(ws: Workspace, tmp_path: Path):
    with pytest.raises(TaskFailed, match="13 is unlucky"):
        ws.tasks.create("lab.double", n=13).save(tmp_path)


# Coroutines


def test_every_status_is_given_until_the_end(ws: Workspace):
    async def follow() -> tuple[Task, list[TaskStatus]]:
        task = await ws.tasks.create_async("lab.nap", seconds=2)
        return task, [status async for status in task]

    task, statuses = asyncio.run(follow())
    words = [status.status for status in statuses]
    assert words == sorted(words, key=["queued", "executing", "success"].index)
    assert words[-1] == "success" and statuses[-1].result == "rested" == task.result
    shares = [status.fraction for status in statuses if status.status == "executing" and status.fraction is not None]
    assert shares == sorted(shares) and len(set(shares)) >= 3
    assert asyncio.run(_all(task)) == [statuses[-1]]


async def _all(task: Task) -> list[TaskStatus]:
    return [status async for status in task]


def test_a_failure_is_given_as_a_status_and_raised_by_await(ws: Workspace):
    async def work() -> list[str]:
        task = ws.tasks.create("lab.double", n=13)
        found = [status.status async for status in task]
        with pytest.raises(TaskFailed, match="13 is unlucky"):
            await task
        return found

    assert asyncio.run(work())[-1] == "error"


def test_the_event_loop_goes_on_while_tasks_are_awaited(ws: Workspace):
    async def work() -> tuple[list[str], int]:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0.02)

        heart = asyncio.ensure_future(beat())
        tasks = [await ws.tasks.create_async("lab.nap", seconds=1) for _ in range(8)]
        rested = await asyncio.gather(*(task.wait_async(progress=False) for task in tasks))
        heart.cancel()
        return [task.result for task in rested], beats

    results, beats = asyncio.run(work())
    assert results == ["rested"] * 8
    assert beats > 50


def test_cancelling_an_await_stops_the_waiting_only(ws: Workspace):
    async def work() -> Task:
        task = ws.tasks.create("lab.nap", seconds=1.5)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(task.wait_async(progress=False), 0.3)
        with pytest.raises(TaskTimeout):
            await task.wait_async(timeout=0.1)
        return await task

    assert asyncio.run(work()).result == "rested"


def test_leaving_a_stream_early_closes_its_connection(ws: Workspace):
    async def work() -> str:
        task = ws.tasks.create("lab.nap", seconds=2)
        async for status in task:
            if status.status == "executing":
                break
        return (await task).result

    assert asyncio.run(work()) == "rested"
    assert _ends(lambda: not any(thread.name == "cosphere-stream" for thread in threading.enumerate()))


def _ends(is_so: object, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_so():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_files_are_saved_from_coroutines(ws: Workspace, tmp_path: Path):
    task = ws.tasks.create("lab.files", size=1024)
    assert asyncio.run(task.save_async(tmp_path, "large")).read_bytes() == bytes(range(256)) * 4


def test_the_readmes_lines_run(ws: Workspace, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    [lines] = re.findall(r"^```python\n(task = ws\.tasks.*?)^```", readme, re.MULTILINE | re.DOTALL)
    drawn = BytesIO()
    Image.new("RGB", (400, 300), "teal").save(drawn, "JPEG")
    web.pages["/cat.jpg"] = drawn.getvalue()
    monkeypatch.chdir(tmp_path)
    code = compile(lines.replace("https://example.org", web.url), "README", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict[str, Any] = {"ws": ws}
    asyncio.run(types.FunctionType(code, names)())
    with Image.open("cat-small.jpg") as small:
        assert small.size == (200, 150)


# What is seen


def test_nothing_shown_steers_a_page_or_a_terminal_or_holds_a_link(lab: LabServer, ws: Workspace):
    hostile = ws.tasks.create("lab.text").wait()
    files = ws.tasks.create("lab.files", size=256).wait()
    group = ws.tasks.list(limit=5)
    pages = [each._repr_html_() for each in (hostile, files, group, ws.tasks)]
    lines = [repr(each) for each in (hostile, files, group, ws.tasks)]
    assert not any(mark in text for text in pages for mark in ("<script>", "\x1b", "\u2028", "signature=", lab.token))
    assert not any(mark in text for text in lines for mark in ("\x1b", "\u2028", "signature=", lab.token))
    assert "&lt;script&gt;" in hostile._repr_html_() and "large.bin" in repr(files)
    assert "signature=" in files.result["large"]


def test_a_wrong_token_is_nobody(lab: LabServer):
    with Workspace(lab.url, "wrong") as nobody:
        for ask in (lambda: nobody.tasks.create("hello", name="x"), nobody.tasks.list, lambda: nobody.tasks["A" * 26]):
            with pytest.raises(NotSignedIn):
                ask()


def test_others_tasks_are_not_there(lab: LabServer, ws: Workspace):
    task = ws.tasks.create("hello", name="John").wait()
    created = lab.call("POST", "/accounts/", {"email": "rosa@lab.example", "type": "RESEARCHER"}).json()
    token = lab.call("POST", f"/accounts/{created['id']}/auth_tokens/").json()["token"]
    with Workspace(lab.url, token) as other:
        with pytest.raises(NotFound):
            other.tasks[task.key]
        mine = other.tasks.create("hello", name="Rosa").wait()
        assert [each.key for each in other.tasks.list()] == [mine.key]


def test_what_is_no_task_at_all_is_refused(ws: Workspace):
    with pytest.raises(InvalidRequest, match="task_name"):
        ws.tasks.create("")
    with pytest.raises(InvalidRequest, match="limit"):
        ws.tasks.list(limit=0)
