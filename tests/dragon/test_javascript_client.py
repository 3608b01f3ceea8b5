"""A client written as the published JavaScript one works, without a look at how the server does.

One POST for all creations of a moment, matched by order; one POST every moment for all keys that live, matched by key;
JSON as text/plain with the key in the body; anything but 200 is tried again later. Its endpoint ends with a slash.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from dragon.conftest import GOOD
from support import Api

PAGE = {"Content-Type": "text/plain;charset=UTF-8", "Origin": GOOD, "Referer": f"{GOOD}/app"}


class JavascriptClient:
    """Promises of tasks; ``tick`` is what happens every two seconds."""

    def __init__(self, api: Api, api_key: str) -> None:
        self._api = api
        self._api_key = api_key
        self._wanted: list[tuple[dict[str, Any], asyncio.Future[Any]]] = []
        self._living: dict[str, asyncio.Future[Any]] = {}
        self.posts = 0

    def create(self, definition: dict[str, Any]) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        self._wanted.append((definition, future))
        return future

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        raw = json.dumps({**body, "api_key": self._api_key}).encode()
        self.posts += 1
        answer = await self._api.post(path, raw=raw, headers=PAGE)
        readable = answer.headers.get("Access-Control-Allow-Origin") == GOOD
        return answer.json if answer.status == 200 and readable else None

    async def tick(self) -> None:
        wanted, self._wanted = self._wanted, []
        if wanted:
            statuses = await self._post("/v1/create/", {"tasks": [definition for definition, _ in wanted]})
            if statuses is None:
                self._wanted = wanted + self._wanted
            else:
                for (_, future), status in zip(wanted, statuses, strict=True):
                    self._living[status["key"]] = future
        if self._living:
            for status in await self._post("/v1/status/", {"tasks": list(self._living)}) or []:
                if status["status"] in ("success", "error"):
                    self._living.pop(status["key"]).set_result(status)

    async def run(self) -> None:
        while self._wanted or self._living:
            await self.tick()
            await asyncio.sleep(0.02)


async def test_it_gets_every_task_done(anybody: Api, api_key: str) -> None:
    client = JavascriptClient(anybody, api_key)
    greetings = [client.create({"task_name": "hello", "name": f"{number}"}) for number in range(60)]
    broken = client.create({"task_name": "image.thumb", "task_metas": {"page": 1}})
    filed = client.create({"task_name": "one_file", "text": "hello"})
    await asyncio.wait_for(client.run(), 60)
    assert [future.result()["result"] for future in greetings] == [f"Hello {number}" for number in range(60)]
    assert broken.result()["result"] == {"parameters": {"url": ["this field is required"]}}
    assert (await anybody.get(filed.result()["result"]["output"])).body == b"hello"


async def test_a_key_that_is_gone_does_not_keep_it_from_the_others(anybody: Api, api_key: str) -> None:
    client = JavascriptClient(anybody, api_key)
    gone = client._living["A" * 26] = asyncio.get_running_loop().create_future()
    fine = client.create({"task_name": "hello", "name": "John"})
    await asyncio.wait_for(client.run(), 30)
    assert gone.result()["result"] == "there is no task with this ID"
    assert fine.result()["result"] == "Hello John"


async def test_with_a_key_that_is_revoked_it_keeps_asking_and_creates_nothing(
    anybody: Api, api_key: str, owner: Api, credential: Callable[..., Any]
) -> None:
    await credential("api_key", referers=[GOOD])
    await owner.delete(f"/accounts/task_credentials/{api_key.split('_')[1]}")
    client = JavascriptClient(anybody, api_key)
    client.create({"task_name": "hello", "name": "John"})
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(client.run(), 1)
    assert client.posts > 5
    assert (await owner.get("/v1/tasks")).json == []
