"""Streams when things go wrong: a reader who takes nothing, a server that stops or is killed, a crowd that goes."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from dragon.conftest import install
from real_server import RealServer

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path, monkeypatch: Any) -> Iterator[RealServer]:
    lab = install(tmp_path / "lab")
    monkeypatch.setenv("PYTHONPATH", str(lab.folder))
    server = RealServer(tmp_path / "server", "--CosphereApp.max_tasks=2")
    server.start()
    yield server
    server.stop()


def create(server: RealServer, *definitions: dict[str, Any]) -> list[str]:
    answer = server.call("POST", "/v1/create", {"tasks": list(definitions)})
    assert answer.status_code == 200, answer.text
    return [status["key"] for status in answer.json()]


def until(path: Path) -> dict[str, Any]:
    return {"task_name": "until", "path": str(path)}


def stream(server: RealServer, keys: list[str]) -> Any:
    headers = {"Authorization": f"token {server.token}"}
    url = f"{server.base}/v1/status_stream"
    return httpx.stream("POST", url, json={"tasks": keys}, headers=headers, timeout=60, trust_env=False)


def executing(server: RealServer, key: str) -> None:
    deadline = time.monotonic() + 30
    while server.call("GET", f"/v1/status?tasks={key}").json()[0]["status"] != "executing":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_that_stops_ends_its_streams_and_the_next_one_goes_on_with_them(
    server: RealServer, tmp_path: Path
) -> None:
    queued = [until(tmp_path / "go") for _ in range(4)]
    keys = create(server, *queued)
    executing(server, keys[0])
    with stream(server, keys) as response:
        lines = response.iter_lines()
        assert [status["key"] for status in json.loads(next(lines))] == keys
        started = time.monotonic()
        server.stop()
        # To its end, without an error: the stream is closed as a stream is.
        told = [json.loads(line) for line in lines]
        assert time.monotonic() - started < 20
    assert all(status["status"] not in ("success", "error") for status in told)
    server.start()
    with stream(server, keys) as response:
        lines = response.iter_lines()
        first = json.loads(next(lines))
        # What ran may have side effects: it is not run again, and says so. What waited goes on.
        ended = [status for status in first if status["status"] == "error"]
        assert {status["result"].partition(";")[0] for status in ended} == {
            "the server stopped while the task was running"
        }
        (tmp_path / "go").write_text("after all")
        rest = [json.loads(line) for line in lines]
    finals = {status["key"]: status for status in [*first, *rest] if status["status"] in ("success", "error")}
    assert set(finals) == set(keys)
    assert [status["result"] for status in rest if status["status"] == "success"] == ["after all"] * (4 - len(ended))


@pytest.mark.crash
def test_after_a_server_was_killed_its_streams_are_taken_up_again(server: RealServer, tmp_path: Path) -> None:
    keys = create(server, *[until(tmp_path / "go") for _ in range(3)])
    executing(server, keys[0])
    with stream(server, keys) as response:
        lines = response.iter_lines()
        next(lines)
        server.kill()
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
    server.start()
    (tmp_path / "go").write_text("x")
    with stream(server, keys) as response:
        statuses = [json.loads(line) for line in response.iter_lines()]
    last = {status["key"]: status["status"] for each in statuses for status in (each if type(each) is list else [each])}
    assert set(last) == set(keys) and set(last.values()) <= {"success", "error"}


def silent_reader(server: RealServer) -> socket.socket:
    """Open a stream and read nothing of it; its window is as small as can be."""
    address = urlsplit(f"{server.base}/v1/tasks_stream")
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    found.connect((address.hostname, address.port))
    head = f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: token {server.token}\r\n\r\n"
    found.sendall(head.encode())
    return found


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: Any) -> Iterator[RealServer]:
    """A server that waits for a reader for five seconds: half a minute is long for a test."""
    lab = install(tmp_path / "lab")
    lab.write(
        "impatient",
        """
        import cosphere_jupyter.handlers.dragon_tasks as streams

        streams.WRITE_SECONDS = 5.0

        def _load_jupyter_server_extension(app):
            pass

        def _jupyter_server_extension_points():
            return [{"module": "impatient"}]
        """,
    )
    monkeypatch.setenv("PYTHONPATH", str(lab.folder))
    server = RealServer(tmp_path / "server", "--ServerApp.jpserver_extensions=impatient=True")
    server.start()
    yield server
    server.stop()


def connections(process: psutil.Process) -> int:
    return len([each for each in process.net_connections() if each.status == psutil.CONN_ESTABLISHED])


def test_who_takes_nothing_costs_little_and_is_dropped(impatient: RealServer) -> None:
    assert impatient.process is not None
    process = psutil.Process(impatient.process.pid)
    (first,) = create(impatient, {"task_name": "big", "size": 1})
    impatient.call("GET", f"/v1/status?tasks={first}&block=true")
    before = process.memory_info().rss
    readers = [silent_reader(impatient) for _ in range(20)]
    time.sleep(1)
    assert connections(process) >= 20
    # 30 MB for each reader: far more than a socket's buffers hold.
    keys = create(impatient, *[{"task_name": "big", "size": 200_000} for _ in range(150)])
    with stream(impatient, keys[-1:]) as response:
        # Others are not kept waiting by them.
        last = json.loads(list(response.iter_lines())[-1])
        assert last["status"] == "success"
    peak = process.memory_info().rss
    deadline = time.monotonic() + 60
    while connections(process) > 1:
        peak = max(peak, process.memory_info().rss)
        assert time.monotonic() < deadline, "silent readers are still there"
        time.sleep(0.1)
    # Not 600 MB: what is not taken is not written; changes wait once for all readers.
    assert peak - before < 150_000_000, f"{(peak - before) / 1e6:.0f} MB"
    for reader in readers:
        reader.close()
    assert impatient.call("GET", "/v1/tasks?limit=1").status_code == 200
