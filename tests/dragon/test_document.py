"""The document's own examples, replayed over HTTP; keys and dates are mapped, everything else is as it stands there."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from dragon.conftest import create
from named.web import Web
from support import Api

EXAMPLES = json.loads((Path(__file__).parent.parent / "spec" / "dragon.json").read_text(encoding="utf-8"))
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
KEY = re.compile(r"[A-Z2-7]{26}")


def mapped(value: Any) -> Any:
    """Put a placeholder for what differs with each run."""
    if isinstance(value, dict):
        return {name: mapped(each) for name, each in value.items()}
    if isinstance(value, list):
        return [mapped(each) for each in value]
    if isinstance(value, str):
        return "<moment>" if MOMENT.fullmatch(value) else "<key>" if KEY.fullmatch(value) else value
    return value


def assert_like(answer: Any, example: Any) -> None:
    """The status is the example's; of a task that has run, ``started`` is told at its end, too."""
    answer, example = mapped(answer), mapped(example)
    if answer["status"] in ("success", "error"):
        answer["events"].pop("started", None)
    assert answer == example


@pytest.fixture
def image(web: Web) -> Callable[[Any], Any]:
    """Put this test's web server for the example's, in a request."""
    from PIL import Image

    data = io.BytesIO()
    Image.new("RGB", (640, 480), "teal").save(data, "JPEG")
    web.pages["/image.jpg"] = data.getvalue()
    web.pages["/cat.jpeg"] = b"no image"
    return lambda value: json.loads(json.dumps(value).replace("http://files.com", web.url))


async def test_the_secret_goes_into_the_body_or_the_header(
    anybody: Api, credential: Callable[..., Any], image: Callable[[Any], Any]
) -> None:
    secret = await credential()
    in_body = {**image(EXAMPLES["secret in the body"]), "secret": secret}
    answer = await anybody.post("/v1/create", in_body)
    assert answer.status == 200 and len(answer.json) == 1
    header = EXAMPLES["secret in the header"].split(": ")[1].replace("123456", secret)
    answer = await anybody.of(header).post("/v1/create", {"tasks": image(EXAMPLES["task definition"])})
    assert answer.status == 200
    wrong = await anybody.post("/v1/create", EXAMPLES["secret in the body"])
    assert (wrong.status, wrong.json["status"]) == (401, "error")
    assert (await anybody.of("Secret 123456").post("/v1/create", EXAMPLES["create request"])).status == 401


async def test_the_api_key_goes_into_the_body_or_the_header_of_a_whitelisted_page(
    anybody: Api, api_key: str, image: Callable[[Any], Any]
) -> None:
    page = {"Referer": "https://good.example/some/page"}
    in_body = {**image(EXAMPLES["api key in the body"]), "api_key": api_key}
    assert (await anybody.post("/v1/create", in_body, headers=page)).status == 200
    assert (await anybody.post("/v1/create", in_body)).status == 401
    header = EXAMPLES["api key in the header"].split(": ")[1].replace("654321", api_key)
    body = {"tasks": image(EXAMPLES["task definition"])}
    assert (await anybody.of(header).post("/v1/create", body, headers=page)).status == 200
    assert (await anybody.of(header).post("/v1/create", body)).status == 401
    wrong = await anybody.post("/v1/create", EXAMPLES["api key in the body"], headers=page)
    assert wrong.status == 401


async def test_a_request_without_tasks(owner: Api) -> None:
    answer = await owner.post("/v1/create", {})
    assert (answer.status, answer.json) == (400, EXAMPLES["400 without tasks"])


async def test_two_tasks_are_created(owner: Api, image: Callable[[Any], Any]) -> None:
    answer = await owner.post("/v1/create", image(EXAMPLES["create request"]))
    assert answer.status == 200
    assert mapped(answer.json) == mapped(EXAMPLES["create response"])
    keys = [each["key"] for each in answer.json]
    address = urlsplit(EXAMPLES["status address"])
    assert address.path == "/v1/status"
    query = address.query.replace("6GRQ3H5EHU7GXUTIOSS2GUDPGQ", keys[0]).replace("5OYA5JQVFIAHYOMLQG5QV3U33M", keys[1])
    blocked = await owner.get(f"{address.path}?{query}")
    assert [(each["key"], each["status"]) for each in blocked.json] == [(key, "success") for key in keys]


async def test_the_status_of_a_task_that_runs(owner: Api, stream: Callable[..., Any], tmp_path: Path) -> None:
    (task,) = await create(owner, {"task_name": "until", "path": str(tmp_path / "go")})
    async with stream("GET", f"/v1/status_stream?tasks={task['key']}") as lines:
        status = await lines.next()
        while status == [] or isinstance(status, list) or "progress" not in status:
            status = await lines.next()
        assert mapped({**status, "progress": 90}) == mapped(EXAMPLES["status"])
        assert status["progress"] == "waiting"
        (tmp_path / "go").write_text("90")
        (*_, last) = await lines.rest()
    assert (last["status"], last["result"]) == ("success", "90")


async def test_a_stream_of_two_tasks(stream: Callable[..., Any]) -> None:
    async with stream("POST", "/v1/create_stream", EXAMPLES["create_stream request"]) as lines:
        assert lines.response.status_code == 200
        first, rest = await lines.next(), await lines.rest()
    expected_first, *expected = EXAMPLES["create_stream response"]
    assert mapped(first) == mapped(expected_first)
    keys = [status["key"] for status in first]
    finals = {status["key"]: status for status in rest if status["status"] == "success"}
    for key, example in zip(keys, expected[2:], strict=True):
        assert_like(finals[key], example)
    # That a short task runs may be told or left out: the newest status counts.
    for status in rest:
        if status["status"] == "executing":
            assert mapped(status) == mapped(expected[0])
    assert {status["status"] for status in rest} <= {"executing", "success"}


async def test_a_file_of_a_task(owner: Api, web: Web, image: Callable[[Any], Any]) -> None:
    answer = await owner.post("/v1/create_file/cat.jpg", image(EXAMPLES["create_file request"]))
    assert answer.status == 302
    found = re.search(r'src="https://dragon.stupeflix.com(/[^"]+)"', EXAMPLES["create_file in a page"])
    assert found is not None
    in_page = await owner.get(found[1].replace("http://foo.com/cat.jpg", f"{web.url}/image.jpg"))
    assert in_page.status == 302
    (task,) = await create(owner, image(EXAMPLES["create_file request"])["task"])
    address = urlsplit(EXAMPLES["file address"])
    query = address.query.replace("6GRQ3H5EHU7GXUTIOSS2GUDPGQ", task["key"])
    waited = await owner.get(f"{address.path}?{query}")
    assert waited.status == 302


async def test_a_wrong_file_name_is_answered_with_the_choices(owner: Api) -> None:
    answer = await owner.post("/v1/create_file/medium", {"task": {"task_name": "sizes"}})
    assert (answer.status, answer.json) == (404, EXAMPLES["create_file 404"])


async def test_a_failed_task_is_answered_with_its_status(owner: Api, image: Callable[[Any], Any], web: Web) -> None:
    body = json.loads(json.dumps(image(EXAMPLES["create_file request"])).replace("image.jpg", "cat.jpeg"))
    answer = await owner.post("/v1/create_file/cat.jpg", body)
    example = json.loads(json.dumps(EXAMPLES["create_file 400"]).replace("http://files.com", web.url))
    assert answer.status == 400
    assert_like(answer.json, example)


async def test_streams_of_existing_tasks_are_at_the_address_of_the_example_too(
    owner: Api, stream: Callable[..., Any]
) -> None:
    keys = [task["key"] for task in await create(owner, *EXAMPLES["create_stream request"]["tasks"], block=True)]
    assert urlsplit(EXAMPLES["status_stream address"]).path == "/v1/stream"
    for path in ("/v1/stream", "/v1/status_stream", "/v1/stream/"):
        async with stream("GET", f"{path}?tasks={keys[0]}&tasks={keys[1]}") as lines:
            first = await lines.next()
            assert [status["key"] for status in first] == keys
            assert await lines.rest() == []
