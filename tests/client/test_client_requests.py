"""Requests: waiting, failing, cancelling, and the same from coroutines."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from client.workspace_server import WorkspaceServer

from cosphere_jupyter import (
    NotFound,
    RequestCancelled,
    RequestFailed,
    RequestTimeout,
    ResultUnreadable,
    Workspace,
)
from cosphere_jupyter.client.requests import Request

ROWS = pa.table({"carrier": ["UA", "AA"], "dep_delay": [40, 50]})


@pytest.fixture
def later(server: WorkspaceServer) -> Callable[..., None]:
    """Do something in a moment, as a task of the server would."""

    def start(work: Callable[[], Any], seconds: float = 0.2) -> None:
        timer = threading.Timer(seconds, work)
        timer.daemon = True
        timer.start()

    return start


@pytest.fixture
def request_(ws: Workspace) -> Request:
    return ws.catalogue["flights"].select("carrier", "dep_delay").request()


def test_a_request_succeeds_after_a_while(request_: Request, server: WorkspaceServer, later: Callable[..., None]):
    server.publish("r", ROWS)
    entity = server.requests[1]
    assert (request_.status, request_.progress, request_.rows, request_.size, request_.error) == ("queued", *[None] * 4)
    later(lambda: entity["task"].update(status="executing", progress={"fraction": 0.4}), 0.1)
    later(lambda: server.finish(entity, "r"), 0.3)
    started = time.monotonic()
    assert request_.wait(progress=False) is request_
    assert time.monotonic() - started < 5
    assert (request_.status, request_.progress, request_.rows) == ("success", 1.0, 2)
    assert request_.size == entity["real_size"]
    # The server was not asked all the time.
    assert len(server.paths("/downloader/requests/1")) <= 4


def test_a_wait_shows_a_bar_where_it_is_long_enough(
    request_: Request, server: WorkspaceServer, later: Callable[..., None], capsys: pytest.CaptureFixture[str]
):
    server.publish("r", ROWS)
    later(lambda: server.requests[1]["task"].update(status="executing", progress={"fraction": 0.4}), 0.7)
    later(lambda: server.finish(server.requests[1], "r"), 1.0)
    request_.wait()
    shown = capsys.readouterr().err
    assert "flights" in shown
    assert "executing" in shown
    assert " 40%" in shown


def test_a_quick_request_shows_no_bar(ws: Workspace, server: WorkspaceServer, capsys: pytest.CaptureFixture[str]):
    server.will_answer("flights", ROWS)
    ws.catalogue["flights"].select("carrier").request().wait()
    assert capsys.readouterr().err == ""


def test_a_failure_is_told_in_the_servers_words(request_: Request, server: WorkspaceServer):
    server.requests[1]["task"].update(status="error", error="the file taxi.parquet is gone")
    with pytest.raises(RequestFailed, match=r"^the file taxi\.parquet is gone$"):
        request_.wait()
    assert (request_.status, request_.error) == ("error", "the file taxi.parquet is gone")
    with pytest.raises(RequestFailed):
        request_.to_pandas()


def test_waiting_ends_after_the_timeout_and_the_request_goes_on(request_: Request):
    started = time.monotonic()
    with pytest.raises(TimeoutError, match=r"still queued after 0\.3 s"):
        request_.wait(timeout=0.3, progress=False)
    assert 0.25 < time.monotonic() - started < 2
    with pytest.raises(RequestTimeout):
        request_.wait(timeout=0)
    assert request_.refresh().status == "queued"


def test_a_cancelled_request_is_left(request_: Request, server: WorkspaceServer):
    assert request_.cancel() is request_
    assert request_.status == "cancelled"
    assert server.requests == {}
    with pytest.raises(RequestCancelled):
        request_.wait()
    request_.cancel()


def test_a_request_that_others_cancelled_is_cancelled(request_: Request, server: WorkspaceServer):
    server.requests[1]["is_cancelled"] = True
    with pytest.raises(RequestCancelled):
        request_.wait()


def test_waiting_outlives_a_restart_of_the_server(
    request_: Request, server: WorkspaceServer, later: Callable[..., None]
):
    server.publish("r", ROWS)
    server.interceptors.append(lambda handler: handler.refuse(503, "SERVICE_UNAVAILABLE"))

    def back() -> None:
        server.finish(server.requests[1], "r")
        server.interceptors.clear()

    later(back, 0.5)
    assert request_.wait(progress=False).status == "success"


def test_my_requests_are_found_by_their_id(ws: Workspace, request_: Request):
    assert [each.id for each in ws.requests] == [1]
    assert len(ws.requests) == 1
    assert 1 in ws.requests
    assert request_ in ws.requests
    assert 2 not in ws.requests
    assert ws.requests[1].spec == request_.spec
    assert ws.requests[1].table == request_.table
    with pytest.raises(NotFound, match="could not find downloadrequest"):
        ws.requests[99]


def test_a_result_that_is_gone_is_asked_for_again(ws: Workspace, server: WorkspaceServer, request_: Request):
    server.requests[1]["task"]["status"] = "success"
    server.will_answer("flights", ROWS)
    assert request_.to_arrow().num_rows == 2
    assert request_.id == 1
    assert [method for method, path, _ in server.seen if path.endswith("/downloader/requests/")] == ["POST", "POST"]


def test_a_result_that_is_gone_is_not_missed_while_it_is_kept_here(ws: Workspace, server: WorkspaceServer):
    server.will_answer("flights", ROWS)
    request = ws.catalogue["flights"].select("carrier", "dep_delay").request()
    frame = request.to_pandas()
    server.requests[1]["blob_name"] = None
    asked = len(server.seen)
    assert request.to_pandas().equals(frame)
    assert len(server.seen) == asked


def test_a_result_that_goes_again_and_again_is_told(server: WorkspaceServer, ws: Workspace):
    server.outcomes["flights"] = lambda request: request["task"].update(status="success")
    request = ws.catalogue["flights"].select("carrier").request()
    with pytest.raises(ResultUnreadable, match="no longer there; ask for it again"):
        request.to_arrow()


def test_coroutines_do_not_block_the_loop(ws: Workspace, server: WorkspaceServer, later: Callable[..., None]):
    server.publish("r", ROWS)

    async def work() -> tuple[Any, Any, int]:
        request = await ws.catalogue["flights"].select("carrier", "dep_delay").request_async()
        later(lambda: server.finish(server.requests[1], "r"), 0.3)
        ticks = 0
        waiting = asyncio.ensure_future(request.wait_async(progress=False))
        while not waiting.done():
            ticks += 1
            await asyncio.sleep(0.01)
        assert await waiting is request
        frame, table = await asyncio.gather(request.to_pandas_async(), request.to_arrow_async(cache=False))
        assert (await request.cancel_async()).status == "cancelled"
        return frame, table, ticks

    frame, table, ticks = asyncio.run(work())
    assert list(frame["dep_delay"]) == [40, 50]
    assert table.column_names == ["carrier", "dep_delay"]
    assert ticks > 5


def test_cancelling_a_wait_stops_waiting_only(ws: Workspace, server: WorkspaceServer, request_: Request):
    async def work() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(request_.wait_async(progress=True), 0.2)

    started = time.monotonic()
    asyncio.run(work())
    assert time.monotonic() - started < 4
    assert 1 in server.requests
    assert request_.status == "queued"
