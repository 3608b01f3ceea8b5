"""A server with tasks of a lab, callers by secret and API key, and streams read line by line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from handlers.conftest import browser
from named.conftest import Lab
from named.web import Web
from support import Api

__all__ = ["browser"]

TASKS = ("steps", "until", "sizes", "one_file", "from_file", "big", "fail")
GOOD = "https://good.example"


def install(folder: Path) -> Lab:
    """Install the lab's tasks into a folder that a server has on its path."""
    lab = Lab(folder)
    lab.write("dragon_lab", (Path(__file__).parent / "lab_tasks.py").read_text())
    lab.install("dragon-lab", {name: f"dragon_lab:{name}" for name in TASKS})
    return lab


@pytest.fixture
def web() -> Any:
    server = Web()
    yield server
    server.close()


@pytest.fixture
def jp_server_config(jp_server_config: Any, tmp_path: Path, monkeypatch: Any, web: Web) -> dict[str, Any]:
    lab = install(tmp_path / "lab")
    monkeypatch.syspath_prepend(str(lab.folder))
    monkeypatch.setenv("PYTHONPATH", str(lab.folder))
    jp_server_config["CosphereApp"]["fetch_hosts"] = [web.allowed]
    return dict(jp_server_config)


@pytest.fixture
def credential(owner: Api) -> Callable[..., Any]:
    """Make a secret or an API key, for the owner or another account; returns its text."""

    async def make(kind: str = "secret", account: dict[str, Any] | None = None, **values: Any) -> str:
        body = {"kind": kind, **({"account_id": account["id"]} if account else {}), **values}
        created = await owner.post("/accounts/task_credentials/", body)
        assert created.status == 201, created.body
        return str(created.json["credential"])

    return make


@pytest.fixture
def api_key(credential: Callable[..., Any], run: Any) -> str:
    """An API key of the owner for pages of ``GOOD``, for every task."""
    return str(run(credential("api_key", referers=[GOOD])))


class Lines:
    """An open stream: its response, and its lines as JSON."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> Any:
        return json.loads(await anext(self._lines))

    async def rest(self) -> list[Any]:
        return [json.loads(line) async for line in self._lines]


@pytest.fixture
def stream(owner: Api) -> Callable[..., Any]:
    """Open a stream as the owner, or with other headers."""

    @asynccontextmanager
    async def opened(method: str, path: str, body: Any = None, **headers: str) -> AsyncIterator[Lines]:
        sent = headers or {"Authorization": str(owner.authorization)}
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60) as client,
            client.stream(method, owner.base + path, json=body, headers=sent) as response,
        ):
            yield Lines(response)

    return opened


async def create(api: Api, *definitions: dict[str, Any], **others: Any) -> list[Any]:
    """Create tasks and return their statuses."""
    answer = await api.post("/v1/create", {"tasks": list(definitions), **others})
    assert answer.status == 200, answer.body
    return list(answer.json)
