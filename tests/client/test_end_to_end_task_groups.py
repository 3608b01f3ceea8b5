"""Many tasks at once, streams of all tasks, networks that break and servers that are killed on the way."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from client.lab_server import LabServer, Network

from cosphere_jupyter import ServerUnavailable, Task, TaskFailed, TaskGroup, TaskTimeout, Workspace
from cosphere_jupyter.client import streams, task_groups

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    server = LabServer(tmp_path_factory.mktemp("lab"), "--CosphereApp.max_tasks=2")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def ws(lab: LabServer) -> Iterator[Workspace]:
    with Workspace(lab.url, lab.token) as workspace:
        yield workspace


@pytest.fixture
def network(lab: LabServer) -> Iterator[Network]:
    made = Network(lab)
    yield made
    made.close()


@pytest.fixture
def far(lab: LabServer, network: Network) -> Iterator[Workspace]:
    """A workspace at the other end of the network."""
    with Workspace(network.url, lab.token) as workspace:
        yield workspace


def until(is_so: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Many tasks


def test_results_come_in_the_order_of_the_items(ws: Workspace):
    assert ws.tasks.map("lab.double", range(100, 130), parameter="n") == [2 * n for n in range(100, 130)]
    assert ws.tasks.map("lab.double", [{"n": 1}, {"n": 2}]) == [2, 4]
    assert ws.tasks.map("hello", ["John", "Jane"], parameter="name") == ["Hello John", "Hello Jane"]
    assert ws.tasks.map("lab.nap", [{}, {"seconds": 0.1}], common={"seconds": 0}) == ["rested", "rested"]
    assert ws.tasks.map("lab.double", [], parameter="n") == []


def test_failures_are_named_and_nothing_is_lost(ws: Workspace):
    items = [1, 13, 3, 13, "x", 13, 7]
    with pytest.raises(TaskFailed) as caught:
        ws.tasks.map("lab.double", items, parameter="n")
    text = str(caught.value)
    assert text.startswith(
        "4 of 7 tasks failed (the first is number 0): number 1: 13 is unlucky; number 3: 13 is unlucky"
    )
    assert "number 4: n: " in text and text.endswith("; and 1 more")
    assert [task.error for task in caught.value.tasks].count("13 is unlucky") == 3
    found = ws.tasks.map("lab.double", items, parameter="n", return_exceptions=True)
    assert [found[place] for place in (0, 2, 6)] == [2, 6, 14]
    assert all(isinstance(found[place], TaskFailed) for place in (1, 3, 4, 5))
    assert str(found[1]) == "13 is unlucky" and found[1].tasks[0].error == "13 is unlucky"


def test_items_that_could_mean_anything_are_refused(ws: Workspace):
    with pytest.raises(ValueError, match="'task_name' cannot be a parameter"):
        ws.tasks.create("hello", task_name="z")
    with pytest.raises(TypeError, match=r"number 1 is str.*parameter="):
        ws.tasks.map("hello", [{"name": "John"}, "Jane"])
    with pytest.raises(TypeError, match="a list, with an item for each task"):
        ws.tasks.map("hello", "John", parameter="name")
    with pytest.raises(TypeError, match="a list, with an item for each task"):
        ws.tasks.map("hello", {"name": "John"})
    # Also mappings can be values.
    with pytest.raises(TaskFailed, match="number 0: name: "):
        ws.tasks.map("hello", [{"first": "John"}], parameter="name")


def test_one_bar_counts_all(ws: Workspace, capsys: pytest.CaptureFixture[str]):
    items = [{"seconds": 0.4}] * 6
    ws.tasks.map("lab.nap", items)
    shown = capsys.readouterr().err
    assert "lab.nap" in shown and "/6 " in shown and "3/6" in shown
    ws.tasks.map("lab.nap", items[:2], progress=False)
    assert capsys.readouterr().err == ""


def test_a_group_is_followed_cancelled_and_read_again(ws: Workspace):
    group = ws.tasks.create_many("lab.nap", [0.1, 60, 60, 60], parameter="seconds")
    assert isinstance(group, TaskGroup) and len(group) == 4
    with pytest.raises(TaskTimeout, match=r"[34] of 4 tasks have not ended after 1 s"):
        group.wait(timeout=1)
    assert group[0].wait().result == "rested"
    assert group[1:].cancel().counts == {"error": 3}
    assert group.refresh().counts == {"success": 1, "error": 3}
    with pytest.raises(TaskFailed, match="3 of 4 tasks failed"):
        group.wait()
    assert repr(group) == "<TaskGroup of 4: 3 error, 1 success>"
    page = group._repr_html_()
    assert page.count("<tr>") == 5 and "cancelled by" in page and group[0].key in page


def test_coroutines_do_the_same(ws: Workspace):
    async def work() -> tuple[list[int], TaskGroup]:
        doubled = await ws.tasks.map_async("lab.double", [4, 5], parameter="n")
        return doubled, await ws.tasks.create_many("lab.double", [6], parameter="n")

    doubled, group = asyncio.run(work())
    assert (doubled, group[0].result) == ([8, 10], 12)
    with pytest.raises(TaskFailed, match="13 is unlucky"):
        asyncio.run(ws.tasks.map_async("lab.double", [13], parameter="n"))


def test_batches_are_sent_in_order_and_followed_in_parts(ws: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(task_groups, "BATCH", 7)
    monkeypatch.setattr(streams, "MOST_KEYS", 5)
    group = ws.tasks.create_many("lab.double", range(200, 230), parameter="n")
    assert group.results() == [2 * n for n in range(200, 230)]
    newest = ws.tasks.list(limit=30, name="lab.double")
    assert [task.key for task in newest][::-1] == [task.key for task in group]


def test_tasks_are_listed_the_newest_first(ws: Workspace):
    group = ws.tasks.create_many("hello", ["a", "b", "c"], parameter="name").wait()
    listed = ws.tasks.list(limit=3)
    assert [task.key for task in listed] == [task.key for task in group][::-1]
    assert [task.name for task in listed] == ["hello"] * 3
    assert [task.key for task in ws.tasks.list(limit=1, offset=1)] == [group[1].key]
    assert {task.status for task in ws.tasks.list(status="error")} <= {"error"}
    assert {task.name for task in ws.tasks.list(name="hello", status="success")} == {"hello"}


# All tasks


def test_all_tasks_are_followed_from_a_thread_until_it_shall_stop(ws: Workspace):
    stop, heard = threading.Event(), []

    def follow() -> None:
        for task in ws.tasks.stream(stop):
            heard.append((task.key, task.name, task.status))

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        first = ws.tasks.create("lab.double", n=1)
        until(lambda: (first.key, "lab.double", "success") in heard)
        second = ws.tasks.create("lab.double", n=13)
        until(lambda: (second.key, "lab.double", "error") in heard)
    finally:
        stopped = time.monotonic()
        stop.set()
        thread.join(5)
    assert not thread.is_alive() and time.monotonic() - stopped < 1
    assert len(heard) == len(set(heard))


def test_all_tasks_are_followed_by_a_coroutine(ws: Workspace):
    async def work() -> list[str]:
        found: list[str] = []
        wanted: Task | None = None
        async for task in ws.tasks.stream():
            wanted = wanted or await ws.tasks.create_async("lab.nap", seconds=0.5)
            if task.key == wanted.key:
                found.append(task.status)
                if task.is_final:
                    break
        return found

    found = asyncio.run(work())
    assert found[-1] == "success" and "executing" in found


def test_a_stream_ends_when_it_is_closed(ws: Workspace):
    with ws.tasks.stream() as stream:
        news = iter(stream)
        next(news)
        threading.Timer(0.3, stream.close).start()
        started = time.monotonic()
        for _ in news:
            pass
    assert time.monotonic() - started < 3
    until(lambda: not any(each.name == "cosphere-stream" for each in threading.enumerate()), 5)


# A network that breaks


def test_a_creation_whose_answer_was_lost_creates_nothing_twice(ws: Workspace, far: Workspace, network: Network):
    before = {task.key for task in ws.tasks.list(limit=1000)}
    network.breaks.append((b"/v1/create ", 0))
    group = far.tasks.create_many("lab.double", range(300, 320), parameter="n")
    assert network.breaks == []
    assert group.results() == [2 * n for n in range(300, 320)]
    assert {task.key for task in ws.tasks.list(limit=1000)} - before == {task.key for task in group}


def test_a_stream_that_breaks_is_taken_up_again(far: Workspace, network: Network):
    network.breaks += [(b"/v1/status_stream ", 0), (b"/v1/status_stream ", 450), (b"/v1/status_stream ", 600)]

    async def follow() -> list[tuple[str, object]]:
        task = far.tasks.create("lab.nap", seconds=2)
        return [(status.status, status.progress) async for status in task]

    found = asyncio.run(follow())
    assert network.breaks == []
    assert found[-1][0] == "success" and len(found) == len(set(map(str, found)))


def test_a_stream_of_all_tells_what_happened_while_it_was_broken(ws: Workspace, far: Workspace, network: Network):
    slow = far.tasks.create("lab.nap", seconds=1)
    stop, heard = threading.Event(), {}

    def follow() -> None:
        for task in far.tasks.stream(stop):
            heard[task.key] = task.status

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        until(lambda: heard.get(slow.key) == "executing")
        network.go_down()
        ws.tasks.map("lab.double", range(400, 510), parameter="n", progress=False)
        assert ws.tasks[slow.key].wait().result == "rested"
        # It is no longer among those that the stream begins with.
        assert slow.key not in {task.key for task in ws.tasks.list(limit=100)}
        assert heard[slow.key] == "executing"
        network.is_down = False
        until(lambda: heard.get(slow.key) == "success")
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_a_file_that_breaks_on_the_way_is_fetched_whole(far: Workspace, network: Network, tmp_path: Path):
    size = 2 * 1024 * 1024
    task = far.tasks.create("lab.files", size=size).wait()
    # The first asks how large it is.
    network.breaks += [(b"bytes=0-0", 500), (b"/large.bin?", 500_000), (b"bytes=", 300_000)]
    path = task.save(tmp_path, "large")
    assert network.breaks == []
    assert path.read_bytes() == bytes(range(256)) * (size // 256)


def test_a_server_that_stays_away_is_told(far: Workspace, network: Network, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "PATIENCE_SECONDS", 1.0)
    task = far.tasks.create("lab.nap", seconds=0.1)
    network.go_down()
    started = time.monotonic()
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        task.wait()
    assert 1 < time.monotonic() - started < 15
    network.is_down = False
    assert task.wait().result == "rested"


# A server that is killed


def test_a_map_outlives_a_server_that_is_killed_twice_and_each_task_is_there_once(tmp_path: Path):
    server = LabServer(tmp_path / "lab", "--CosphereApp.max_tasks=2")
    notes = tmp_path / "notes"
    notes.mkdir()
    items = range(800)
    outcome: list[object] = []
    try:
        server.start()
        with Workspace(server.url, server.token) as ws:

            def work() -> None:
                try:
                    found = ws.tasks.map("lab.noted", items, parameter="n", common={"folder": str(notes)})
                    outcome.append(found)
                except BaseException as error:
                    outcome.append(error)

            user = threading.Thread(target=work)
            user.start()
            for least in (50, 300):
                until(lambda least=least: sum(1 for _ in notes.iterdir()) >= least, 60)
                server.kill()
                server.start(wait=False)
            user.join(180)
            assert outcome == [list(items)]
            assert len(ws.tasks.list(limit=1000)) == len(items)
    finally:
        server.stop()
    assert sum(1 for _ in notes.iterdir()) == len(items)
