"""What the caller's own tasks were asked for: told by the list and the stream of them, and by nothing else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from support import Api

PARAMETERS = {"name": "Ada"}


async def test_the_list_tells_what_one_s_own_tasks_were_asked_for(owner: Api, numbers_item: dict[str, Any]) -> None:
    spec = {"columns": ["n"], "filters": [{"name": "n", "operator": ">", "value": 990}]}
    await owner.post("/downloader/requests/", {"catalogue_item_id": numbers_item["id"], "spec": spec})
    await owner.post("/v1/create", {"tasks": {"task_name": "hello", **PARAMETERS}, "block": True})
    told = {each["task_name"]: each["task_parameters"] for each in (await owner.get("/v1/tasks")).json}
    assert told["hello"] == PARAMETERS
    assert told["download"].pop("fingerprint")
    wanted = {"request_id": 1, "catalogue_item_id": numbers_item["id"], "catalogue_item": "numbers", "spec": spec}
    assert told["download"] == wanted


async def test_the_stream_of_one_s_own_tasks_tells_it_too(owner: Api) -> None:
    import httpx

    await owner.post("/v1/create", {"tasks": {"task_name": "hello", **PARAMETERS}, "block": True})
    headers = {"Authorization": owner.authorization}
    async with (
        httpx.AsyncClient(headers=headers, trust_env=False, timeout=20) as client,
        client.stream("GET", f"{owner.base}/v1/tasks_stream") as response,
    ):
        lines = response.aiter_lines()
        first = json.loads(await asyncio.wait_for(lines.__anext__(), 20))
    assert [each["task_parameters"] for each in first] == [PARAMETERS]


async def test_who_knows_a_key_is_not_told_what_the_task_was_asked_for(owner: Api) -> None:
    (task,) = (await owner.post("/v1/create", {"tasks": {"task_name": "hello", **PARAMETERS}, "block": True})).json
    (status,) = (await owner.get(f"/v1/status?tasks={task['key']}")).json
    assert "task_parameters" not in task and "task_parameters" not in status


async def test_of_long_parameters_the_short_ones_are_told_by_themselves(owner: Api) -> None:
    long = {"name": "a" * 5000, "shout": True}
    await owner.post("/v1/create", {"tasks": {"task_name": "hello", **long}, "block": True})
    (listed,) = (await owner.get("/v1/tasks")).json
    assert listed["task_parameters_in_part"] == {"shout": True} and "task_parameters" not in listed
    many = {f"parameter_{number}": number for number in range(1000)}
    await owner.post("/v1/create", {"tasks": {"task_name": "hello", **many}, "block": True})
    newest, _ = (await owner.get("/v1/tasks")).json
    assert 100 < len(newest["task_parameters_in_part"]) < 300


async def test_long_parameters_are_left_out(owner: Api) -> None:
    await owner.post("/v1/create", {"tasks": {"task_name": "hello", "name": "a" * 5000}, "block": True})
    (listed,) = (await owner.get("/v1/tasks")).json
    assert listed["task_name"] == "hello" and "task_parameters" not in listed
