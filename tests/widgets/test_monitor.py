"""TaskMonitor without a browser, against a real server: live, patient, quiet when nothing changes, gone when closed."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
from client.lab_server import LabServer
from comm import get_comm_manager
from ipywidgets.widgets.widget import _instances

from cosphere_jupyter import TaskMonitor, Workspace
from cosphere_jupyter.cli import demo_data
from cosphere_jupyter.widgets import monitor_feed
from cosphere_jupyter.widgets.core import descendants

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab_tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """A server with a lab's own tasks, and the flights."""
    server = LabServer(tmp_path_factory.mktemp("monitored"))
    demo_data.prepare(server.root / "data")
    server.start()
    server.create_item("flights", "data/flights.parquet")
    yield server
    server.stop()


@pytest.fixture
def ws(lab_tasks: LabServer) -> Iterator[Workspace]:
    with Workspace(lab_tasks.url, lab_tasks.token) as workspace:
        yield workspace


@pytest.fixture
def monitor(ws: Workspace) -> TaskMonitor:
    return ws.monitor()


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)
    return found


def rows(monitor: TaskMonitor) -> list[dict[str, Any]]:
    return list(monitor._list.rows)


def row(monitor: TaskMonitor, key: str) -> dict[str, Any]:
    return next((each for each in rows(monitor) if each["key"] == key), {})


def ended(monitor: TaskMonitor, key: str) -> dict[str, Any]:
    return until(lambda: (found := row(monitor, key)) and found["completed"] and found)


def press(monitor: TaskMonitor, action: str, key: str) -> None:
    """What the page sends when somebody presses a button of a row."""
    monitor._list._handle_custom_msg({"action": action, "key": key}, [])


def threads(name: str = "cosphere-monitor") -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == name]


# -- live --------------------------------------------------------------------------------------------------------------


def test_tasks_of_every_kind_appear_the_newest_first(ws: Workspace, monitor: TaskMonitor) -> None:
    hello = ws.tasks.create("hello", name="Ada")
    request = ws.catalogue["flights"].select("carrier").where("dep_delay > 1000").request()
    download = ws.downloads.create("catalogue", format="csv")
    shown = until(lambda: len(found := rows(monitor)) >= 3 and all(each["completed"] for each in found) and found)
    assert [(each["title"], each["kind"]) for each in shown[:3]] == [
        ("catalogue", "download"),
        ("flights", "request"),
        ("hello", "task"),
    ]
    assert shown[2]["key"] == hello.key and shown[2]["facts"] == "Hello Ada"
    assert shown[1]["facts"].startswith("5 rows, ")
    assert [task.key for task in monitor.tasks][:3] == [each["key"] for each in shown[:3]]
    assert request.wait().status == download.wait().refresh().state.replace("done", "success")
    # A new monitor, as after a restart of the kernel, shows the same.
    with Workspace(ws.url, ws.http.server.token) as again:
        other = again.monitor()
        assert until(lambda: len(found := rows(other)) >= 3 and found)[:3] == shown[:3]


def test_progress_is_told_as_it_comes(ws: Workspace, monitor: TaskMonitor) -> None:
    key = ws.tasks.create("lab.nap", seconds=2.0).key
    fractions: list[float] = []
    monitor._list.observe(lambda _: fractions.append(row(monitor, key).get("fraction") or 0.0), "rows")
    assert ended(monitor, key)["facts"] == "rested"
    assert len(set(fractions)) >= 4 and max(fractions) >= 0.5


def test_nothing_is_sent_while_nothing_changes(ws: Workspace, monitor: TaskMonitor) -> None:
    ended(monitor, ws.tasks.create("hello", name="quiet").key)
    nap = ws.tasks.create("lab.nap", seconds=30.0)
    until(lambda: row(monitor, nap.key).get("fraction") == 0.0)
    sent: list[Any] = []
    for widget in (monitor, *descendants(monitor)):
        widget.observe(sent.append)
    # Not even the time of a task that runs: the page counts the seconds.
    time.sleep(1.5)
    assert sent == []
    monitor.cancel(nap)
    ended(monitor, nap.key)
    until(lambda: monitor._state.text == "nothing running")
    sent.clear()
    time.sleep(1.5)
    assert sent == []


def test_one_monitor_serves_a_workspace_as_long_as_it_is_open(ws: Workspace) -> None:
    before = len(threads())
    monitor = ws.monitor()
    assert ws.monitor("running") is monitor and monitor.show == "running"
    assert len(threads()) == before + 1
    monitor.close()
    assert ws.monitor() is not monitor


# -- what is shown -----------------------------------------------------------------------------------------------------


def test_the_list_can_be_narrowed_to_what_runs_and_what_failed(ws: Workspace, monitor: TaskMonitor) -> None:
    failed = ws.tasks.create("lab.double", n=13)
    nap = ws.tasks.create("lab.nap", seconds=30.0)
    assert ended(monitor, failed.key)["error"] == "13 is unlucky"
    until(lambda: row(monitor, nap.key))
    monitor._filter.value = "running"
    assert [each["key"] for each in rows(monitor)] == [nap.key]
    assert monitor._state.text == "1 running"
    monitor.show = "failed"
    assert monitor._filter.value == "failed"
    assert failed.key in {each["key"] for each in rows(monitor)} and nap.key not in {
        each["key"] for each in rows(monitor)
    }
    monitor.show = "running"
    monitor.cancel(nap)
    until(lambda: rows(monitor) == [])
    assert until(lambda: monitor._list.empty) == "Nothing is running."


def test_many_tasks_are_shown_in_parts(ws: Workspace, monitor: TaskMonitor) -> None:
    group = ws.tasks.create_many("lab.double", list(range(20, 180)), parameter="n")
    assert len(group) == 160
    group.wait(progress=False)
    until(lambda: len(monitor.tasks) >= 160 and monitor._state.text == "nothing running")
    assert len(rows(monitor)) == 50 and monitor._more.layout.display is None
    for count in (100, 150):
        monitor._more.click()
        assert monitor.wait(20)
        until(lambda count=count: len(rows(monitor)) == count)
    with Workspace(ws.url, ws.http.server.token) as again:
        other = again.monitor()
        until(lambda: len(other.tasks) == 100)
        for _ in range(2):
            other.show_more()
            assert other.wait(20)
        assert len(other.tasks) > 100
        assert [each["key"] for each in rows(other)] == [each["key"] for each in rows(monitor)]


def test_what_runs_behind_a_hundred_newer_tasks_is_shown(ws: Workspace) -> None:
    nap = ws.tasks.create("lab.nap", seconds=60.0)
    ws.tasks.create_many("lab.double", list(range(20, 140)), parameter="n").wait(progress=False)
    monitor = ws.monitor("running")
    until(lambda: [each["key"] for each in rows(monitor)] == [nap.key])
    monitor.cancel(nap.key)
    until(lambda: rows(monitor) == [])


# -- what can be done --------------------------------------------------------------------------------------------------


def test_the_buttons_cancel_and_repeat_a_task(ws: Workspace, monitor: TaskMonitor) -> None:
    nap = ws.tasks.create("lab.nap", seconds=60.0)
    until(lambda: row(monitor, nap.key).get("state") == "executing")
    press(monitor, "cancel", nap.key)
    assert row(monitor, nap.key)["actions"] == [], "the server is at it"
    assert monitor.selection.key == nap.key
    assert monitor._code.text == f'ws.tasks["{nap.key}"].cancel()'
    shown = ended(monitor, nap.key)
    assert (shown["state"], shown["actions"]) == ("cancelled", ["again"])
    known = {task.key for task in monitor.tasks}
    press(monitor, "again", nap.key)
    assert monitor._code.text == f'ws.tasks["{nap.key}"].again()'
    (new,) = until(lambda: {task.key for task in monitor.tasks} - known)
    assert ws.tasks.list(1)[0].parameters == {"seconds": 60.0}
    monitor.cancel(new)
    ended(monitor, new)


def test_a_cancelled_request_can_be_asked_for_again(ws: Workspace, monitor: TaskMonitor) -> None:
    for filler in ws.tasks.create_many("lab.nap", [3.0] * 8, parameter="seconds"):
        until(lambda filler=filler: row(monitor, filler.key))
    request = ws.catalogue["flights"].select("tailnum").where("dep_delay > 900").request()
    key = until(lambda: next((each["key"] for each in rows(monitor) if each["note"].startswith("tailnum")), None))
    monitor.cancel(key)
    assert ended(monitor, key)["state"] == "cancelled"
    assert request.id not in [each.id for each in ws.requests]
    monitor.retry(key)
    new = until(lambda: next((task.key for task in monitor.tasks if task.name == "download" and task.key != key), None))
    assert ended(monitor, new)["state"] == "success"
    assert request.id in [each.id for each in ws.requests]
    monitor.load(new, "tails")
    assert monitor.wait(20)
    assert list(monitor.dataframe.columns) == ["tailnum"]


def test_rows_are_loaded_into_a_named_variable(
    ws: Workspace, monitor: TaskMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables: dict[str, Any] = {"flights_df": 1}
    monkeypatch.setattr("cosphere_jupyter.widgets.monitor_names.namespace", lambda: variables)
    request = ws.catalogue["flights"].select("carrier", "dep_delay").where("dep_delay > 1100").request().wait()
    heard: list[Any] = []
    monitor.observe(lambda change: heard.append(change["new"]), "dataframe")
    note = "carrier, dep_delay · dep_delay > 1100"
    key = until(lambda: next((found["key"] for found in rows(monitor) if found["note"] == note), None))
    ended(monitor, key)
    press(monitor, "load", key)
    drawer = monitor._drawer
    assert drawer.is_open and drawer.value == "flights_df2", "a free name"
    drawer._field.value = "flights_df"
    assert drawer._go.disabled and "is taken: by a int" in drawer._wrong.text
    drawer.go()
    assert monitor.dataframe is None
    # Enter comes with what stands there: the value that was typed may come later.
    drawer._field.value = "l"
    drawer._field._handle_custom_msg({"submit": "late"}, [])
    assert monitor.wait(20)
    assert variables["late"] is monitor.dataframe is heard[-1]
    assert len(variables["late"]) == 3
    assert drawer.line.text == "The variable late holds 3 rows, 2 columns."
    assert monitor._code.text == f"late = ws.requests[{request.id}].to_pandas()"
    assert monitor.request.id == request.id
    (results,) = drawer._below.children
    until(lambda: len(results._table.rows) == 3)
    drawer._close.click()
    assert not drawer.is_open and results.comm is None
    with pytest.raises(ValueError, match="a word of Python"):
        monitor.load(key, "for")


def test_files_are_saved(ws: Workspace, monitor: TaskMonitor, tmp_path: Path) -> None:
    files, download = ws.tasks.create("lab.files", size=4096), ws.downloads.create("catalogue", format="csv")
    ended(monitor, files.key)
    press(monitor, "save", files.key)
    assert monitor._drawer.value == "large.bin"
    monitor._drawer._field.value = str(tmp_path / "mine.bin")
    monitor._drawer._go.click()
    assert monitor.wait(20)
    assert (tmp_path / "mine.bin").stat().st_size == 4096
    assert monitor._drawer.line.text == f"Saved as {tmp_path / 'mine.bin'}"
    key = next(each["key"] for each in rows(monitor) if each["kind"] == "download")
    ended(monitor, key)
    monitor.save(key, tmp_path)
    assert monitor.wait(20)
    assert monitor._code.text == f'ws.downloads["{download.id}"].save("{tmp_path}")'
    assert (tmp_path / "catalogue.csv").read_text().startswith('"id",')
    monitor.save(key, tmp_path / "no" / "folder")
    assert monitor.wait(20)
    assert "No such file" in monitor._drawer.line.text


def test_messages_that_no_button_sends_are_ignored(ws: Workspace, monitor: TaskMonitor) -> None:
    key = ws.tasks.create("hello", name="Ada").key
    ended(monitor, key)
    for message in ({}, "cancel", {"action": "cancel"}, {"action": "close", "key": key}, {"action": "load", "key": 5}):
        monitor._list._handle_custom_msg(message, [])
    for action, of in (("cancel", key), ("load", key), ("again", "no-such-key")):
        press(monitor, action, of)
    assert monitor.selection is None
    with pytest.raises(KeyError, match="knows no task"):
        monitor.cancel("no-such-key")


# -- patience, and the end ---------------------------------------------------------------------------------------------


def test_a_server_that_is_killed_and_comes_back_is_followed_again(tmp_path: Path) -> None:
    server = LabServer(tmp_path / "killed")
    server.start()
    try:
        with Workspace(server.url, server.token) as ws:
            monitor = ws.monitor()
            nap = ws.tasks.create("lab.nap", seconds=4.0)
            until(lambda: row(monitor, nap.key).get("state") == "executing")
            server.kill()
            assert until(lambda: monitor._error.text).startswith("The server does not answer")
            assert row(monitor, nap.key), "what was known stays"
            server.start()
            until(lambda: monitor._error.text == "")
            assert ended(monitor, nap.key)["state"] == "success"
            hello = ws.tasks.create("hello", name="back")
            ended(monitor, hello.key)
    finally:
        server.stop()


def test_a_stream_that_has_given_up_is_opened_again(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch, lab_tasks: LabServer
) -> None:
    monkeypatch.setattr("cosphere_jupyter.client.streams.PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(monitor_feed, "PAUSE_SECONDS", 0.2)
    monitor = ws.monitor()
    ended(monitor, ws.tasks.create("hello", name="before").key)
    good = ws.http.server
    ws.http._move(good, type(good)("http://127.0.0.1:1/base/cosphere", good.token, good.way))
    lab_tasks.stop()
    until(lambda: monitor._error.text)
    ws.http._move(ws.http.server, good)
    lab_tasks.start()
    until(lambda: monitor._error.text == "")
    ended(monitor, ws.tasks.create("hello", name="after").key)


def test_closing_ends_the_thread_and_everything_in_the_widget(ws: Workspace) -> None:
    monitor = TaskMonitor(ws)
    feed, parts = monitor._feed, descendants(monitor)
    monitor.close()
    assert feed.join(5)
    assert monitor.is_closed and all(each.comm is None for each in parts)


def test_a_comm_that_the_page_closes_ends_the_thread(ws: Workspace) -> None:
    monitor = TaskMonitor(ws)
    feed = monitor._feed
    monitor.comm.handle_close({"content": {"data": {}}})
    assert feed.join(5) and monitor.is_closed


def test_a_monitor_that_nobody_holds_any_more_ends(ws: Workspace) -> None:
    before = {id(each) for each in _instances.values()}
    monitor = TaskMonitor(ws)
    feed, gone = monitor._feed, weakref.ref(monitor)
    # ipywidgets and its comms let go of it.
    for each in list(_instances.values()):
        if id(each) not in before:
            get_comm_manager().comms.pop(each.model_id, None)
            _instances.pop(each.model_id, None)
            each.comm = None
    del monitor, each
    until(lambda: gc.collect() is not None and gone() is None)
    assert feed.join(5)


def test_closing_the_workspace_closes_its_monitor(lab_tasks: LabServer) -> None:
    with Workspace(lab_tasks.url, lab_tasks.token) as ws:
        feed = ws.monitor()._feed
    assert feed.join(5)


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_no_secret_is_in_the_state_of_any_widget(ws: Workspace, monitor: TaskMonitor, lab_tasks: LabServer) -> None:
    """What is in the state is saved into the notebook's file."""
    files = ws.tasks.create("lab.files", size=4096)
    ended(monitor, files.key)
    request = ws.catalogue["flights"].select("carrier").where("dep_delay > 1000").request().wait()
    key = until(lambda: next((each["key"] for each in rows(monitor) if "load" in each["actions"]), None))
    monitor.load(key)
    builder, browser, results = ws.builder("flights"), ws.browse(), request.preview()
    builder.submit()
    for panel in (monitor, builder, browser, results):
        assert panel.wait(30)
    browser.select("flights")
    assert request._data["manifest_uri"] and files.refresh().outputs
    state = json.dumps([each["state"] for each in ipywidgets.Widget.get_manager_state()["state"].values()])
    assert "lab.files" in state and "dep_delay" in state
    links = [request._data["manifest_uri"], request._data["download_uri"], *files.result.values()]
    signed = [str(link).partition("?")[2] for link in links if "://" in str(link)]
    assert len(signed) == 4 and all(len(each) > 20 for each in signed), links
    for secret in (lab_tasks.token, "Authorization", "signature", *signed):
        assert secret not in state
    for panel in (builder, browser, results):
        panel.close()
