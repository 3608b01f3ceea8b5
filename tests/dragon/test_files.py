"""Output files: waited for, chosen by name, and redirected to by a link that needs no credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from dragon.conftest import create
from support import Answer, Api

SIZES = {"task_name": "sizes"}
CHOICES = "choose one of: 'small', 'large'"


async def follow(owner: Api, answer: Answer) -> Answer:
    assert answer.status == 302, answer.body
    location = answer.headers["Location"]
    assert location.startswith("/a%40b/cosphere/results/") and "//" not in location
    address = urlsplit(owner.base)
    return await owner.of(None).get(f"http://{address.netloc}{location}")


async def test_the_name_chooses_among_several_files(owner: Api) -> None:
    (task,) = await create(owner, SIZES, block=True)
    assert task["result"]["count"] == 2
    for name, expected in {
        "small": "small",
        "large": "large",
        "small.txt": "small",
        "large.jpeg": "large",
        "sm%61ll": "small",
    }.items():
        file = await follow(owner, await owner.get(f"/v1/file/{name}?task={task['key']}"))
        assert (file.status, file.body, file.headers["Content-Type"]) == (200, expected.encode() * 10, "text/plain")
        posted = await follow(owner, await owner.post(f"/v1/create_file/{name}", {"task": SIZES}))
        assert posted.body == file.body
        assert (await owner.of(None).get(task["result"][expected])).body == file.body
    got = await follow(owner, await owner.get("/v1/create_file/large?task_name=sizes"))
    assert got.body == b"large" * 10


@pytest.mark.parametrize(
    "name",
    [
        "medium",
        "small/x",
        "SMALL",
        ".small",
        "small.",
        "small.txt.gz",
        "%2e%2e%2fsmall",
        "%2f%2fevil.com",
        "%5cevil",
        "é",
    ],
)
async def test_a_wrong_name_leads_nowhere(owner: Api, name: str) -> None:
    from urllib.parse import quote, unquote

    (task,) = await create(owner, SIZES, block=True)
    answer = await owner.get(f"/v1/file/{quote(name, safe='%/')}?task={task['key']}")
    if "/" in name:
        assert (answer.status, answer.json["status"]) == (404, "error")
        return
    if name == "small.":
        assert answer.status == 302, "an empty extension is one, too"
        return
    expected = {"status": "error", "message": f"'{unquote(name)}' is not a valid filename, {CHOICES}"}
    assert (answer.status, answer.json) == (404, expected)
    assert "Location" not in answer.headers


async def test_without_a_name_the_choices_are_told(owner: Api) -> None:
    (task,) = await create(owner, SIZES, block=True)
    for path in (f"/v1/file?task={task['key']}", f"/v1/file/?task={task['key']}", "/v1/create_file?task_name=sizes"):
        answer = await owner.get(path)
        expected = {"status": "error", "message": f"a filename is missing, {CHOICES}"}
        assert (answer.status, answer.json) == (404, expected), path


async def test_any_name_will_do_for_a_single_file(owner: Api) -> None:
    (task,) = await create(owner, {"task_name": "one_file", "text": "hello"}, block=True)
    assert urlsplit(task["result"]["output"]).netloc == urlsplit(owner.base).netloc
    for name in ("", "/", "/cat.jpg", "/output", "/%2f%2fevil.com%2f", "/..%5c"):
        file = await follow(owner, await owner.get(f"/v1/file{name}?task={task['key']}"))
        assert file.body == b"hello", name


async def test_it_is_waited_for(owner: Api, tmp_path: Path) -> None:
    (task,) = await create(owner, {"task_name": "until", "path": str(tmp_path / "go")})
    waiting = asyncio.ensure_future(owner.get(f"/v1/file/x?task={task['key']}"))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    (tmp_path / "go").write_text("no file")
    answer = await waiting
    assert (answer.status, answer.json) == (404, {"status": "error", "message": "this task has no output files"})


async def test_who_may_not_read_a_task_gets_no_file_of_it(owner: Api, researcher: Api) -> None:
    (task,) = await create(owner, SIZES, block=True)
    missing = {"status": "error", "message": "there is no task with this ID"}
    for api, key in ((researcher, task["key"]), (owner, "X" * 26), (owner, "x")):
        answer = await api.get(f"/v1/file/small?task={key}")
        assert (answer.status, answer.json) == (404, missing)
    for query in ("", "?task=", "?task=A&task=B", "?tasks=A"):
        answer = await owner.get(f"/v1/file/small{query}")
        assert (answer.status, answer.json["errors"][0]["name"]) == (400, "task"), query


async def test_a_task_that_failed_is_told_whole(owner: Api) -> None:
    definition = {"task_name": "fail", "text": "no such thing"}
    (task,) = await create(owner, definition, block=True)
    posted = await owner.post("/v1/create_file/x", {"task": definition})
    assert (posted.status, posted.json["result"], posted.json["status"]) == (400, "no such thing", "error")
    assert (await owner.get(f"/v1/file/x?task={task['key']}")).json == task
    got = await owner.get("/v1/create_file/x?task_name=no.such")
    assert (got.status, got.json["result"]) == (400, "there is no task named 'no.such'")


async def test_requests_that_are_wrong_themselves(owner: Api) -> None:
    for body in ({}, {"task": 7}, {"task": []}, {"task": [SIZES]}, {"task": {}}, {"tasks": SIZES}):
        answer = await owner.post("/v1/create_file/x", body)
        assert (answer.status, answer.json["status"]) == (400, "error"), body
        assert answer.json["errors"][0]["name"] in ("task", "task.task_name"), body
    missing = await owner.post("/v1/create_file/x", {})
    assert missing.json["errors"] == [{"name": "task", "location": "body", "description": "task is missing"}]
    got = await owner.get("/v1/create_file/x?text=x")
    assert got.json["errors"] == [{"name": "task_name", "location": "query", "description": "task_name is missing"}]


async def test_a_page_that_loads_its_image_again_makes_no_second_task(
    owner: Api, researcher: Api, monkeypatch: Any
) -> None:
    async def count() -> int:
        return len((await owner.get("/v1/tasks?task_name=one_file")).json)

    for _ in range(3):
        assert (await owner.get("/v1/create_file/a?task_name=one_file&text=x")).status == 302
    assert await count() == 1
    answers = await asyncio.gather(*(owner.get("/v1/create_file/a?text=y&task_name=one_file") for _ in range(10)))
    assert {answer.status for answer in answers} == {302}
    assert await count() == 2
    assert answers[0].headers["X-Robots-Tag"] == "noindex"
    assert (await researcher.get("/v1/create_file/a?task_name=one_file&text=x")).status == 302
    assert len((await researcher.get("/v1/tasks")).json) == 1
    # What may have side effects is run as often as it is asked for; so is what has failed.
    for _ in range(2):
        assert (await owner.get("/v1/create_file/small?task_name=sizes")).status == 302
        assert (await owner.get("/v1/create_file/x?task_name=image.info&url=ftp://x")).status == 400
    assert len((await owner.get("/v1/tasks?task_name=sizes")).json) == 2
    assert len((await owner.get("/v1/tasks?task_name=image.info")).json) == 2
    # Some minutes later the source may have changed.
    monkeypatch.setattr("cosphere_jupyter.handlers.dragon_files.SAME_SECONDS", 1)
    assert (await owner.get("/v1/create_file/a?task_name=one_file&text=x")).status == 302
    assert await count() == 3


async def test_a_file_that_was_swept_away_is_not_there(
    owner: Api, services: Any, credential: Callable[..., Any]
) -> None:
    (task,) = await create(owner, {"task_name": "one_file", "text": "hello"}, block=True)
    found = (await services.task_list.read([task["key"]], None))[task["key"]]
    services.store.delete(found.result_name)
    gone = await follow(owner, await owner.get(f"/v1/file/x?task={task['key']}"))
    assert gone.status == 404
    (status,) = (await owner.get(f"/v1/status?tasks={task['key']}")).json
    assert status["status"] == "success"


async def test_who_has_waited_long_enough_is_told_the_key_and_when_to_come_back(owner: Api, tmp_path: Path) -> None:
    go = tmp_path / "go"
    body = {"task": {"task_name": "until", "path": str(go)}, "max_wait": 1}
    posted = await owner.post("/v1/create_file/x", body)
    got = await owner.get(f"/v1/create_file/x?task_name=until&path={go}&max_wait=1")
    for answer in (posted, got):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5"), answer.body
        assert answer.json["status"] in ("queued", "executing")
    go.write_text("ended")
    for answer in (posted, got):
        (ended,) = (await owner.get(f"/v1/status?block=1&tasks={answer.json['key']}")).json
        assert (ended["status"], ended["result"]) == ("success", "ended")


async def test_equal_gets_are_one_task_again_after_one_that_failed(owner: Api, tmp_path: Path) -> None:
    query = f"/v1/create_file/x?task_name=from_file&path={tmp_path / 'source'}"
    for _ in range(2):
        assert (await owner.get(query)).status == 400
    (tmp_path / "source").write_text("here now")
    for _ in range(3):
        assert (await follow(owner, await owner.get(query))).body == b"here now"
    assert len((await owner.get("/v1/tasks?task_name=from_file")).json) == 3
