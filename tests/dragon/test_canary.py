"""No secret leaves: every credential is sent in every way, right and wrong, and then looked for everywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from dragon.conftest import install
from real_server import RealServer

pytestmark = pytest.mark.slow

GOOD = "https://good.example"
# What stands in place of a credential, but is none; and what pages and parameters may hold.
CANARIES = ("cs_canary01_" + "c" * 40, "raw-canary-secret", "canary-of-a-page", "canary-of-a-parameter", "canaryfield")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: Any) -> Iterator[RealServer]:
    lab = install(tmp_path / "lab")
    monkeypatch.setenv("PYTHONPATH", str(lab.folder))
    server = RealServer(tmp_path / "server", "--debug")
    server.start()
    yield server
    server.stop()


def send_everywhere(server: RealServer, text: str, page: dict[str, str]) -> list[httpx.Response]:
    """Send a credential by every carrier, to routes of every kind."""
    hello = {"task_name": "hello", "name": "John"}
    answers = []
    client = httpx.Client(timeout=60, trust_env=False)

    def send(method: str, path: str, body: Any = None, **headers: str) -> None:
        content = json.dumps(body) if body is not None else None
        answers.append(client.request(method, server.base + path, content=content, headers={**page, **headers}))

    for header in (f"Secret {text}", f"Api-Key {text}", f"Bearer {text}", f"token {text}", text, f"Basic {text}"):
        for method, path, body in (
            ("POST", "/v1/create", {"tasks": hello}),
            ("POST", "/v1/create", {}),
            ("GET", "/v1/status?tasks=A", None),
            ("GET", "/v1/nothing", None),
            ("GET", "/accounts/me", None),
            ("POST", "/catalogue/items/", {}),
        ):
            send(method, path, body, Authorization=header)
    for name in ("secret", "api_key"):
        for path in ("/v1/create", "/v1/create_stream", "/v1/status", "/v1/status_stream", "/v1/cancel"):
            send("POST", path, {name: text, "tasks": hello if "create" in path else "A"})
            send("POST", path, {name: {"canaryfield": text}})
        for query in (f"{name}={text}", f"tasks=A&{name}={text}", f"task_name=hello&name=x&{name}={text}"):
            for path in ("/v1/status", "/v1/create_file/x.jpg", "/v1/file/x", "/v1/tasks_stream", "/v1/nothing"):
                if path == "/v1/tasks_stream" and name == "api_key":
                    continue
                send("GET", f"{path}?{query}")
        send("POST", f"/v1/create?{name}={text}", {"tasks": hello})
        send("PUT", f"/v1/create?{name}={text}", {name: text})
    client.close()
    return answers


def test_no_credential_stands_in_a_log_the_database_or_an_answer(server: RealServer) -> None:
    def make(**values: Any) -> str:
        created = server.call("POST", "/accounts/task_credentials/", values)
        assert created.status_code == 201
        return str(created.json()["credential"])

    secret, revoked = make(kind="secret"), make(kind="secret")
    api_key = make(kind="api_key", referers=[GOOD])
    server.call("DELETE", f"/accounts/task_credentials/{revoked.split('_')[1]}")
    texts = [secret, revoked, api_key, *CANARIES[:2]]
    answers = []
    for text in texts:
        for page in ({}, {"Referer": f"{GOOD}/?session=canary-of-a-page", "Origin": GOOD}):
            answers += send_everywhere(server, text, page)
    parameter = "/v1/create_file/x?task_name=hello&name=x&password=canary-of-a-parameter"
    answers.append(server.call("GET", parameter))
    answers.append(server.call("GET", parameter, headers={"Authorization": "Secret x", "Referer": "canary-of-a-page"}))
    statuses = {answer.status_code for answer in answers}
    assert {200, 400, 401, 403, 404, 405} <= statuses and max(statuses) < 500, "all kinds of answers were seen"
    everything = "\n".join(f"{answer.request.url.path}: {answer.text} {answer.headers}" for answer in answers)
    listed = server.call("GET", "/accounts/task_credentials/").text
    server.stop()
    log = server.log.read_text()
    # It was a log of everything, and tells which path was asked for.
    assert log.count("/base/cosphere/v1/create") > 50
    stored = b"".join(path.read_bytes() for path in server.data_dir.rglob("*") if path.is_file())
    randoms = [text.rpartition("_")[2] for text in (secret, revoked, api_key)]
    hits = []
    for text in [*texts, *randoms, *CANARIES]:
        for place, content in {"answers": everything, "the list": listed, "the log": log}.items():
            lines = [line[:300] for line in content.splitlines() if text in line]
            if text == "canary-of-a-page":
                # Other faces log where a refused request came from, as Jupyter does.
                lines = [line for line in lines if "/cosphere/v1" in line]
            hits += [(text, place, line) for line in lines]
        # A parameter of a task is stored with it; what a client calls a password is one.
        if text != "canary-of-a-parameter" and text.encode() in stored:
            hits.append((text, "the data directory", ""))
    assert hits[:3] == []


def test_a_secret_is_shown_once(server: RealServer) -> None:
    created = server.call("POST", "/accounts/task_credentials/", {"kind": "secret"})
    text = created.json()["credential"]
    assert re.fullmatch(r"cs_[a-z0-9]{8}_[A-Za-z0-9]{40}", text)
    assert created.headers["Cache-Control"] == "no-store"
    (listed,) = server.call("GET", "/accounts/task_credentials/").json()["task_credentials"]
    assert "credential" not in listed and listed["id"] == text.split("_")[1]
