"""Streams: the first line in order, then every change once and newest first of all, until all have ended."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dragon.conftest import create
from support import Api

from cosphere_jupyter.handlers.dragon_open import FREEZE_EVERY, OpenStreams
from cosphere_jupyter.handlers.dragon_streams import OPEN_STREAMS

HELLO = {"task_name": "hello", "name": "John"}
FINAL = ("success", "error")


def until(path: Path) -> dict[str, Any]:
    return {"task_name": "until", "path": str(path)}


async def test_the_first_line_is_in_the_order_of_the_request(stream: Callable[..., Any]) -> None:
    names = [f"number {number}" for number in range(40)]
    definitions = [{"task_name": "hello", "name": name} for name in names]
    async with stream("POST", "/v1/create_stream", {"tasks": definitions}) as lines:
        first, rest = await lines.next(), await lines.rest()
    assert lines.response.headers["Content-Type"] == "application/x-ndjson"
    assert lines.response.headers["X-Accel-Buffering"] == "no"
    assert lines.response.headers["Cache-Control"] == "no-store"
    assert {status["status"] for status in first} == {"queued"}
    results = {status["key"]: status["result"] for status in rest if status["status"] == "success"}
    assert [results[status["key"]] for status in first] == [f"Hello {name}" for name in names]
    finals = [status["key"] for status in rest if status["status"] in FINAL]
    assert len(finals) == len(set(finals)) == 40, "each end is told once"
    assert rest[-1]["status"] == "success"


async def test_what_has_ended_stands_in_the_first_line_only(
    owner: Api, stream: Callable[..., Any], tmp_path: Path
) -> None:
    (ended,) = await create(owner, HELLO, block=True)
    (running,) = await create(owner, until(tmp_path / "go"))
    keys = [ended["key"], "X" * 26, running["key"], ended["key"], running["key"]]
    async with stream("POST", "/v1/status_stream", {"tasks": keys}) as lines:
        first = await lines.next()
        assert [status["key"] for status in first] == keys
        assert [status["status"] for status in first][:2] == ["success", "error"]
        assert first[3] == first[0] == ended
        (tmp_path / "go").write_text("now")
        rest = await lines.rest()
    assert {status["key"] for status in rest} == {running["key"]}
    assert [status["result"] for status in rest if status["status"] in FINAL] == ["now"]
    async with stream("GET", f"/v1/status_stream?tasks={ended['key']}") as lines:
        assert (await lines.next(), await lines.rest()) == ([ended], [])
    async with stream("POST", "/v1/create_stream", {"tasks": []}) as lines:
        assert (await lines.next(), await lines.rest()) == ([], [])


async def test_progress_comes_as_the_task_tells_it(stream: Callable[..., Any]) -> None:
    async with stream("POST", "/v1/create_stream", {"tasks": {"task_name": "steps", "count": 20}}) as lines:
        rest = (await lines.next(), await lines.rest())[1]
    told = [status["progress"]["step"] for status in rest if "progress" in status]
    assert len(told) >= 2 and told == sorted(told)
    assert (rest[-1]["status"], rest[-1]["result"]) == ("success", "done")
    assert "progress" not in rest[-1]


async def test_refused_and_cancelled_tasks_end_their_stream(
    owner: Api, stream: Callable[..., Any], tmp_path: Path
) -> None:
    body = {"tasks": [{"task_name": "no.such"}, until(tmp_path / "never")]}
    async with stream("POST", "/v1/create_stream", body) as lines:
        first = await lines.next()
        assert first[0]["status"] == "error"
        await owner.post("/v1/cancel", {"task": first[1]["key"]})
        rest = await lines.rest()
    assert rest[-1]["result"] == f"cancelled by {owner.account['email']}"


async def test_others_tasks_are_not_told(
    owner: Api, researcher: Api, stream: Callable[..., Any], tmp_path: Path
) -> None:
    (foreign,) = await create(owner, until(tmp_path / "a"))
    (mine,) = await create(researcher, until(tmp_path / "b"))
    body = {"tasks": [foreign["key"], mine["key"]]}
    async with stream("POST", "/v1/status_stream", body, Authorization=str(researcher.authorization)) as lines:
        first = await lines.next()
        assert (first[0]["status"], first[0]["events"]) == ("error", {})
        (tmp_path / "a").write_text("secret")
        await owner.get(f"/v1/status?tasks={foreign['key']}&block=true")
        (tmp_path / "b").write_text("mine")
        rest = await lines.rest()
    assert {status["key"] for status in rest} == {mine["key"]}


async def test_all_tasks_of_the_caller_in_one_stream(owner: Api, researcher: Api, stream: Callable[..., Any]) -> None:
    before = await create(owner, *[HELLO] * 3, block=True)
    async with stream("GET", "/v1/tasks_stream") as lines:
        first = await lines.next()
        assert {status["key"] for status in first} == {status["key"] for status in before}
        assert {status["task_name"] for status in first} == {"hello"}
        await create(researcher, HELLO, block=True)
        (new,) = await create(owner, {"task_name": "big", "size": 3}, block=True)
        while (status := await lines.next())["status"] not in FINAL:
            assert status["key"] == new["key"]
        assert (status["key"], status["task_name"], status["result"]) == (new["key"], "big", "xxx")


async def test_a_silent_stream_is_kept_alive_by_its_last_line(
    owner: Api, stream: Callable[..., Any], tmp_path: Path, jp_web_app: Any
) -> None:
    jp_web_app.settings[OPEN_STREAMS] = OpenStreams(seconds=0.8)
    (task,) = await create(owner, until(tmp_path / "go"))
    async with stream("GET", f"/v1/status_stream?tasks={task['key']}") as lines:
        (status,) = await lines.next()
        while status.get("progress") != "waiting":
            status = await lines.next()
        started = asyncio.get_running_loop().time()
        assert [await lines.next() for _ in range(3)] == [status] * 3
        assert asyncio.get_running_loop().time() - started > 1
        (tmp_path / "go").write_text("x")
        assert (await lines.rest())[-1]["status"] == "success"
    async with stream("GET", "/v1/tasks_stream", Authorization=str(owner.authorization)) as lines:
        first = await lines.next()
        assert await lines.next() == [], "nothing has changed yet: an empty list tells nothing new"
        assert [status["key"] for status in first] == [task["key"]]
    assert gc.get_freeze_count() == 0


async def test_fifty_streams_of_one_task_hear_the_same(
    owner: Api, stream: Callable[..., Any], tmp_path: Path, services: Any
) -> None:
    (task,) = await create(owner, until(tmp_path / "go"))

    opened = asyncio.Semaphore(0)

    async def listen() -> list[Any]:
        async with stream("GET", f"/v1/stream?tasks={task['key']}") as lines:
            await lines.next()
            opened.release()
            return list(await lines.rest())

    listening = [asyncio.ensure_future(listen()) for _ in range(50)]
    for _ in listening:
        await opened.acquire()
    (tmp_path / "go").write_text("x")
    told = await asyncio.gather(*listening)
    assert all(statuses[-1] == told[0][-1] for statuses in told)
    assert told[0][-1]["result"] == "x"
    await asyncio.sleep(0.1)
    assert not services.tasks.hub._by_key, "nobody is subscribed any more"


async def test_streams_do_not_keep_an_idle_server_alive(
    owner: Api, stream: Callable[..., Any], tmp_path: Path, jp_web_app: Any
) -> None:
    (task,) = await create(owner, until(tmp_path / "go"))
    await asyncio.sleep(0.05)
    before = jp_web_app.settings["api_last_activity"]
    async with stream("GET", f"/v1/status_stream?tasks={task['key']}") as lines:
        await lines.next()
        (tmp_path / "go").write_text("x")
        await lines.rest()
    blocked = await owner.get(f"/v1/status?tasks={task['key']}&block=true")
    assert blocked.status == 200
    assert jp_web_app.settings["api_last_activity"] == before
    await owner.get(f"/v1/status?tasks={task['key']}")
    assert jp_web_app.settings["api_last_activity"] > before


class _Counted:
    last = b"x"
    is_sending = False

    async def send(self, chunk: bytes) -> None:
        self.sent = getattr(self, "sent", 0) + 1


async def test_the_clock_passes_every_stream_once_a_round(jp_asyncio_loop: Any) -> None:
    streams = OpenStreams(seconds=0.4)
    many = [_Counted() for _ in range(100)]
    for each in many:
        streams.add(each)
    await asyncio.sleep(0.9)
    for each in many:
        streams.remove(each)
    assert {getattr(each, "sent", 0) for each in many} <= {1, 2}
    await asyncio.sleep(0.05)
    assert streams._clock is not None and streams._clock.done() and len(streams) == 0


def test_the_collector_passes_over_thousands_of_streams_until_they_are_gone(run: Any) -> None:
    async def open_and_close() -> list[int]:
        streams, counts = OpenStreams(), []
        many = [_Counted() for _ in range(2 * FREEZE_EVERY)]
        for each in many:
            streams.add(each)
        counts.append(gc.get_freeze_count())
        for each in many:
            streams.remove(each)
        return [*counts, gc.get_freeze_count()]

    frozen, after = run(open_and_close())
    assert (frozen > 0, after) == (True, 0)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_heads_of_streams_end(owner: Api, method: str) -> None:
    (task,) = await create(owner, HELLO, block=True)
    answer = await owner(method, f"/v1/status_stream?tasks={task['key']}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
    assert bool(answer.body) == (method == "GET")
