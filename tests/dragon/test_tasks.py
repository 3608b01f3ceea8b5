"""Creating tasks and asking for them: one or many, in order, in every way that clients write requests."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from dragon.conftest import create
from support import Api

from cosphere_jupyter.handlers import dragon_tasks
from cosphere_jupyter.handlers.dragon_statuses import StatusRenderer
from cosphere_jupyter.tasks import outputs
from cosphere_jupyter.tasks.answers import Spilled

HELLO = {"task_name": "hello", "name": "John"}
UNKNOWN = "there is no task with this ID"


async def test_create_always_answers_with_a_list_in_order(owner: Api) -> None:
    one = await owner.post("/v1/create", {"tasks": HELLO})
    assert [status["status"] for status in one.json] == ["queued"]
    names = [f"number {number}" for number in range(50)]
    many = await create(owner, *({"task_name": "hello", "name": name} for name in names), block=True)
    assert [status["result"] for status in many] == [f"Hello {name}" for name in names]
    assert len({status["key"] for status in many}) == 50
    assert all(re.fullmatch("[A-Z2-7]{26}", status["key"]) for status in many)
    assert await create(owner) == []


async def test_fifty_batches_at_once_are_each_answered_in_order(owner: Api) -> None:
    async def batch(number: int) -> None:
        names = [f"{number}-{each}" for each in range(10)]
        statuses = await create(owner, *({"task_name": "hello", "name": name} for name in names), block=True)
        assert [status["result"] for status in statuses] == [f"Hello {name}" for name in names]

    await asyncio.gather(*(batch(number) for number in range(50)))


async def test_bodies_are_json_whatever_they_say(owner: Api) -> None:
    raw = json.dumps({"tasks": HELLO}).encode()
    types = [
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "nonsense",
    ]
    for content_type in types:
        answer = await owner.post("/v1/create", raw=raw, headers={"Content-Type": content_type})
        assert answer.status == 200, (content_type, answer.body)


async def test_both_ways_to_write_a_path_work(owner: Api) -> None:
    for path in ("/v1/create", "/v1/create/"):
        assert (await owner.post(path, {"tasks": HELLO})).status == 200
    for path in ("/v1/status?tasks=A", "/v1/status/?tasks=A", "/v1/tasks", "/v1/tasks/"):
        assert (await owner.get(path)).status == 200
    for path in ("/v1/create_file", "/v1/create_file/", "/v1/create_file/x", "/v1/create_file/x/"):
        answer = await owner.post(path, {"task": HELLO})
        assert (answer.status, answer.json["message"]) == (404, "this task has no output files"), path


async def test_statuses_are_asked_for_in_many_ways(owner: Api) -> None:
    one, two = [status["key"] for status in await create(owner, HELLO, HELLO, block=True)]

    async def keys(method: str, path: str, body: Any = None, **options: Any) -> list[str]:
        answer = await (owner(method, path, body, **options) if body is not None else owner(method, path, **options))
        assert answer.status == 200, answer.body
        return [status["key"] for status in answer.json]

    assert await keys("GET", f"/v1/status?tasks={one}&tasks={two}") == [one, two]
    assert await keys("GET", f"/v1/status?tasks={two}") == [two]
    assert await keys("GET", f'/v1/status?tasks=["{two}","{one}"]'.replace('"', "%22")) == [two, one]
    assert await keys("GET", f"/v1/status?tasks={one}", raw=b"{}") == [one], "a body of a GET is passed over"
    assert await keys("GET", f"/v1/status?tasks={one}", raw=b"{not json") == [one]
    assert await keys("POST", "/v1/status", {"tasks": [two, one, two]}) == [two, one, two]
    assert await keys("POST", "/v1/status", {"tasks": one}) == [one]
    assert await keys("POST", "/v1/status", {"tasks": []}) == []


async def test_a_key_without_a_task_spoils_nothing(owner: Api, researcher: Api) -> None:
    (known,) = await create(owner, HELLO, block=True)
    (foreign,) = await create(researcher, HELLO, block=True)
    missing = {"status": "error", "events": {}, "result": UNKNOWN}
    answer = await researcher.post("/v1/status", {"tasks": ["X" * 26, known["key"], foreign["key"]], "block": True})
    assert answer.status == 200
    assert answer.json == [
        {**missing, "key": "X" * 26},
        {**missing, "key": known["key"]},
        foreign,
    ], "another account's task is as unknown as one that is not"
    assert (await owner.post("/v1/status", {"tasks": foreign["key"]})).json == [foreign], "an ADMIN's are all"


async def test_block_waits_and_a_word_will_do_for_it(owner: Api, tmp_path: Path) -> None:
    path = tmp_path / "go"
    (task,) = await create(owner, {"task_name": "until", "path": str(path)})
    for block in ("false", "0", "no"):
        (status,) = (await owner.get(f"/v1/status?tasks={task['key']}&block={block}")).json
        assert status["status"] in ("queued", "executing")
    started = asyncio.get_running_loop().time()
    (status,) = (await owner.get(f"/v1/status?tasks={task['key']}&block=true&max_wait=1")).json
    assert status["status"] == "executing" and asyncio.get_running_loop().time() - started > 0.9
    waiting = [asyncio.ensure_future(owner.get(f"/v1/status?tasks={task['key']}&block={word}")) for word in ("1", "on")]
    waiting.append(asyncio.ensure_future(owner.post("/v1/status", {"tasks": [task["key"]], "block": True})))
    await asyncio.sleep(0.2)
    assert not any(each.done() for each in waiting)
    path.write_text("go")
    for answer in await asyncio.gather(*waiting):
        assert [status["result"] for status in answer.json] == ["go"]


async def test_a_task_s_failure_is_its_own(owner: Api) -> None:
    definitions = [
        {"task_name": "image.info"},
        {"task_name": "no.such.task"},
        {"task_name": "fail", "text": "the sample is empty"},
        {"task_name": "hello", "name": "Ada", "shoe_size": 7},
        HELLO,
    ]
    answer = await owner.post("/v1/create", {"tasks": definitions, "block": True})
    assert answer.status == 200
    missing, unknown, failed, unexpected, fine = answer.json
    assert missing["result"] == {"parameters": {"url": ["this field is required"]}}
    assert unknown["result"] == "there is no task named 'no.such.task'"
    assert failed["result"] == "the sample is empty"
    assert set(unexpected["result"]["parameters"]) == {"shoe_size"}
    assert (fine["status"], fine["result"]) == ("success", "Hello John")
    for status in (missing, unknown, failed, unexpected):
        assert status["status"] == "error" and set(status["events"]) >= {"queued", "completed"}


async def test_keys_of_other_versions_are_passed_over(owner: Api) -> None:
    others = {"task_store": {"type": "volatile"}, "task_metas": {"page": 7}, "url_callback": "https://a.example/"}
    (status,) = await create(owner, {**HELLO, **others}, block=True)
    assert status["result"] == "Hello John"


async def test_the_same_idempotency_key_is_the_same_task(owner: Api, researcher: Api) -> None:
    keyed = {**HELLO, "idempotency_key": "run 7"}
    one, two = await create(owner, keyed, keyed)
    assert one["key"] == two["key"]
    again = await asyncio.gather(*(create(owner, keyed) for _ in range(20)))
    assert {status["key"] for (status,) in again} == {one["key"]}
    (other,) = await create(researcher, keyed)
    assert other["key"] != one["key"]
    (third,) = await create(owner, {**keyed, "idempotency_key": None})
    assert third["key"] != one["key"]


async def test_an_idempotency_key_does_not_stand_for_two_different_tasks(owner: Api) -> None:
    keyed = {**HELLO, "idempotency_key": "run 7"}
    (one,) = await create(owner, keyed)
    for other in ({**keyed, "name": "Jane"}, {"task_name": "no.such.task", "idempotency_key": "run 7"}):
        answer = await owner.post("/v1/create", {"tasks": [HELLO, other]})
        assert (answer.status, answer.json["status"]) == (400, "error"), other
        (error,) = answer.json["errors"]
        assert error["description"] == "idempotency key was used for another task already"
    assert [status["key"] for status in (await owner.get("/v1/tasks")).json] == [one["key"]], "all or none"
    assert (await create(owner, keyed))[0]["key"] == one["key"]


async def test_a_wrong_max_wait_creates_nothing(owner: Api) -> None:
    task = {"task_name": "one_file", "text": "x"}
    answers = [
        await owner.post("/v1/create", {"tasks": task, "block": True, "max_wait": "soon"}),
        await owner.post("/v1/create_file/x", {"task": task, "max_wait": -1}),
        await owner.get("/v1/create_file/x?task_name=one_file&text=x&max_wait=soon"),
    ]
    for answer in answers:
        assert (answer.status, answer.json["errors"][0]["name"]) == (400, "max_wait"), answer.body
    assert (await owner.get("/v1/tasks")).json == []


async def test_results_of_any_size_come_back(owner: Api) -> None:
    (status,) = await create(owner, {"task_name": "big", "size": 300_000}, block=True)
    assert status["result"] == "x" * 300_000
    (again,) = (await owner.get(f"/v1/status?tasks={status['key']}")).json
    assert again == status


async def test_a_damaged_result_spoils_no_other_key_s_answer(owner: Api, services: Any) -> None:
    big = {"task_name": "big", "size": 300_000}
    damaged, whole = [status["key"] for status in await create(owner, big, big, block=True)]
    task = (await services.task_list.read([damaged], None))[damaged]
    services.store.file(task.result_name, "result.json").write_bytes(b"{")
    answer = await owner.post("/v1/status", {"tasks": [damaged, whole]})
    assert answer.status == 200, answer.body
    assert [status["result"] for status in answer.json] == [None, "x" * 300_000]


async def test_an_answer_has_an_end_however_often_a_long_result_is_asked_for(owner: Api, monkeypatch: Any) -> None:
    monkeypatch.setattr(dragon_tasks, "LARGEST_ANSWER", 1_000_000)
    long, short = await create(owner, {"task_name": "big", "size": 400_000}, HELLO, block=True)
    answer = await owner.post("/v1/status", {"tasks": [long["key"]] * 300 + [short["key"]]})
    assert len(answer.body) < 1_100_000
    assert answer.json[:2] == [long, long] and answer.json[-1] == short
    for status in answer.json[2:-1]:
        assert (status["key"], status["status"]) == (long["key"], "error")
        assert "ask for fewer keys" in status["result"]
    monkeypatch.setattr(dragon_tasks, "LARGEST_ANSWER", 1000)
    assert (await owner.get(f"/v1/status?tasks={long['key']}")).json == [long], "a single one is always told"


async def test_a_very_big_result_holds_nobody_up(owner: Api, services: Any) -> None:
    (status,) = await create(owner, {"task_name": "big", "size": 300_000}, block=True)
    task = (await services.task_list.read([status["key"]], None))[status["key"]]
    name = f"ab/{'ab' * 32}/X-1"
    path = services.store.root / "spilled.json"
    path.write_bytes(b'"' + b"x" * 40_000_000 + b'"')
    outputs.keep_result(services.store, name, Spilled(path, 40_000_002))
    assert await services.task_list.big_result_of(replace(task, result_name=name)) == b'"' + b"x" * 40_000_000 + b'"'
    parts = await StatusRenderer(services).parts(replace(task, result_name=name), "")
    assert [len(part) for part in parts[1:]] == [40_000_002, 1], "the file is passed on as it is"
    linked = replace(task, outputs=({"name": "output", "file": "x"},))
    assert json.loads(b"".join(await StatusRenderer(services).parts(linked, "")))["result"].keys() == {"output"}


BAD_BODIES: list[tuple[bytes, str]] = [
    (b"", "tasks"),
    (b"{", "body"),
    (b"[]", "body"),
    (b'"text"', "body"),
    (b"\xff", "body"),
    (b'{"tasks": NaN}', "body"),
    (b'{"tasks": [{"task_name": "hello", "name": "\\ud800"}]}', "body"),
    (b'{"tasks": [{"task_name": "hello", "name": "a\\u0000b"}]}', "body"),
    (b"[" * 100_000, "body"),
    (b'{"tasks": ' + b"[" * 900 + b"]" * 900 + b"}", "body"),
    (b'{"tasks": null}', "tasks"),
    (b'{"tasks": "hello"}', "tasks"),
    (b'{"tasks": 7}', "tasks"),
    (b'{"tasks": [7]}', "tasks[0]"),
    (b'{"tasks": [{"name": "x"}]}', "tasks[0].task_name"),
    (b'{"tasks": [{"task_name": "hello"}, {"task_name": ""}]}', "tasks[1].task_name"),
    (b'{"tasks": {"task_name": null}}', "tasks[0].task_name"),
    (b'{"tasks": {"task_name": ["hello"]}}', "tasks[0].task_name"),
    (b'{"tasks": {"task_name": "' + b"x" * 200 + b'"}}', "tasks[0].task_name"),
    (b'{"tasks": {"task_name": "hello", "priority": "high"}}', "tasks[0].priority"),
    (b'{"tasks": {"task_name": "hello", "priority": 1000}}', "tasks[0].priority"),
    (b'{"tasks": {"task_name": "hello", "idempotency_key": {}}}', "tasks[0].idempotency_key"),
    (b'{"tasks": [], "block": "perhaps"}', "block"),
    (b'{"tasks": [' + b",".join([b"{}"] * 1001) + b"]}", "tasks"),
]


@pytest.mark.parametrize("path", ["/v1/create", "/v1/create_stream"])
async def test_a_request_that_is_wrong_itself_is_refused_whole(owner: Api, path: str) -> None:
    for raw, name in BAD_BODIES:
        if name == "block" and path != "/v1/create":
            continue
        answer = await owner.post(path, raw=raw)
        assert answer.status == 400, (raw[:60], answer.body)
        assert answer.json["status"] == "error"
        assert [error["name"] for error in answer.json["errors"]] == [name], (raw[:60], answer.body)
        assert {error["location"] for error in answer.json["errors"]} == {"body"}
    assert (await owner.get("/v1/tasks")).json == [], "nothing was created"
    too_large = await owner.post(path, raw=b" " * (2 * 1024 * 1024 + 1))
    assert (too_large.status, too_large.json["status"]) == (413, "error")


async def test_keys_that_are_none_are_refused(owner: Api) -> None:
    for body in ({"tasks": 7}, {"tasks": [7]}, {"tasks": [""]}, {"tasks": ["x" * 200]}, {"tasks": {"a": 1}}, {}):
        for path in ("/v1/status", "/v1/status_stream", "/v1/cancel"):
            answer = await owner.post(path, body)
            assert answer.status == 400, (path, body)
            assert [error["name"] for error in answer.json["errors"]] == ["tasks"], (path, body)
    for query in ("", "?tasks=", "?tasks=[1]", "?tasks=[", "?tasks=a&tasks="):
        answer = await owner.get(f"/v1/status{query}")
        assert (answer.status, answer.json["errors"][0]["location"]) == (400, "query"), query
    assert (await owner.get("/v1/status?tasks=A&block=perhaps")).status == 400
    many = await owner.post("/v1/status", {"tasks": ["A"] * 10_001})
    assert "more than 10000" in many.json["errors"][0]["description"]
    assert len((await owner.post("/v1/status", {"tasks": ["A"] * 10_000})).json) == 10_000


async def test_a_cancelled_task_ends_as_an_error(owner: Api, researcher: Api, tmp_path: Path) -> None:
    definitions = [{"task_name": "until", "path": str(tmp_path / "never")} for _ in range(3)]
    running, queued, other = [status["key"] for status in await create(owner, *definitions)]
    foreign = await researcher.post("/v1/cancel", {"task": running})
    assert foreign.json == [{"status": "error", "key": running, "events": {}, "result": UNKNOWN}]
    assert (await owner.get(f"/v1/status?tasks={running}")).json[0]["status"] in ("queued", "executing")
    one = await owner.post("/v1/cancel", {"task": running})
    assert [(status["key"], status["status"]) for status in one.json] == [(running, "error")]
    assert one.json[0]["result"] == f"cancelled by {owner.account['email']}"
    several = await owner.post("/v1/cancel/", {"tasks": [queued, "X", other, queued]})
    assert [status["key"] for status in several.json] == [queued, "X", other, queued]
    assert {status["status"] for status in several.json} == {"error"}
    again = await owner.post("/v1/cancel", {"task": running})
    assert again.json == one.json, "it had ended"


async def test_many_tasks_are_cancelled_in_few_transactions(owner: Api, services: Any, monkeypatch: Any) -> None:
    definitions = [{"task_name": "until", "path": "/never"} for _ in range(300)]
    keys = [status["key"] for status in await create(owner, *definitions)]
    write, written = services.database.write, []

    async def counted(work: Any) -> Any:
        written.append(work)
        return await write(work)

    monkeypatch.setattr(services.database, "write", counted)
    answer = await owner.post("/v1/cancel", {"tasks": [*keys, "X"]})
    assert [status["status"] for status in answer.json] == ["error"] * 301
    assert len(written) < 30


async def test_the_list_holds_the_caller_s_own_tasks(owner: Api, researcher: Api) -> None:
    names = [status["key"] for status in await create(owner, HELLO, {"task_name": "fail", "text": "x"}, block=True)]
    await create(researcher, HELLO, block=True)
    listed = (await owner.get("/v1/tasks")).json
    assert {status["key"] for status in listed} == {*names}
    assert {status["task_name"] for status in listed} == {"hello", "fail"}
    assert [each["key"] for each in (await owner.get("/v1/tasks?status=error")).json] == [names[1]]
    assert [each["key"] for each in (await owner.get("/v1/tasks?task_name=hello")).json] == [names[0]]
    pages = [(await owner.get(f"/v1/tasks?limit=1&offset={offset}")).json for offset in (0, 1, 2)]
    assert [status for page in pages for status in page] == listed
    for query in ("limit=0", "limit=x", "offset=-1", "status=done"):
        answer = await owner.get(f"/v1/tasks?{query}")
        assert (answer.status, answer.json["errors"][0]["name"]) == (400, query.partition("=")[0]), query


async def test_what_is_not_there_is_told_in_the_same_shape(owner: Api) -> None:
    for path in ("/v1", "/v1/", "/v1/nothing", "/v1/create/x", "/v1/status/A/B"):
        answer = await owner.get(path)
        assert (answer.status, answer.json["status"]) == (404, "error"), path
        assert set(answer.json["errors"][0]) == {"name", "location", "description"}
    answer = await owner("DELETE", "/v1/create")
    assert (answer.status, answer.headers["Allow"]) == (405, "OPTIONS, POST")


async def test_a_workspace_that_is_away_says_when_to_come_back(owner: Api, services: Any) -> None:
    await services.stop()
    answer = await owner.post("/v1/create", {"tasks": HELLO})
    assert (answer.status, answer.json["status"]) == (503, "error")
    assert int(answer.headers["Retry-After"]) > 0


async def test_nobody_waits_for_who_has_gone(owner: Api, tmp_path: Path, services: Any) -> None:
    (task,) = await create(owner, {"task_name": "until", "path": str(tmp_path / "never")})
    headers = {"Authorization": str(owner.authorization)}
    waiting = services.tasks.hub._by_key

    async def until(count: int) -> None:
        deadline = asyncio.get_running_loop().time() + 10
        while len(waiting.get(task["key"], ())) != count:
            assert asyncio.get_running_loop().time() < deadline, waiting
            await asyncio.sleep(0.02)

    before = len(waiting.get(task["key"], ()))
    for path in ("status?block=true&tasks", "file?task", "status_stream?tasks"):
        async with httpx.AsyncClient(trust_env=False, timeout=60, headers=headers) as client:
            calls = [asyncio.ensure_future(client.get(f"{owner.base}/v1/{path}={task['key']}")) for _ in range(5)]
            await until(before + 5)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        await until(before)
    (status,) = (await owner.get(f"/v1/status?tasks={task['key']}")).json
    assert status["status"] == "executing", "the task goes on"
