"""The examples of ``docs/http.md`` are sent as they stand there, after the walk of the README."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest
from traitlets.config import Config

from cosphere_jupyter.app import CosphereApp
from cosphere_jupyter.cli import demo_data
from cosphere_jupyter.cli.demo_server import DemoServer

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def calls(text: str) -> list[tuple[str, str, str | None]]:
    """Method, path and body of each curl command, in their order."""
    found = []
    for block in blocks(text, "bash"):
        words = shlex.split(block, comments=True)
        starts = [place for place, word in enumerate(words) if word == "curl"]
        for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
            command = words[start:end]
            body = command[command.index("-d") + 1] if "-d" in command else None
            method = command[command.index("-X") + 1] if "-X" in command else "GET" if body is None else "POST"
            url = next(word for word in command if word.startswith("$URL"))
            found.append((method, url.removeprefix("$URL"), body))
    return found


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^):#]+)", TEXT):
        assert (ROOT / "docs" / link).exists(), link


def test_its_configuration_is_one() -> None:
    config = Config()
    exec(next(block for block in blocks(TEXT, "python") if "oidc_providers" in block), {"c": config})
    (provider,) = CosphereApp(config=config).oidc_providers
    assert provider["name"] == "lab" and f"/oidc/{provider['name']}/callback/" in TEXT


@pytest.mark.slow
def test_its_examples_work(tmp_path: Path) -> None:
    demo_data.prepare(tmp_path / "data")
    with (
        DemoServer(tmp_path) as server,
        httpx.Client(headers={"Authorization": f"token {server.token}"}, trust_env=False, timeout=60) as http,
    ):
        base = f"{server.url}cosphere"

        def send(method: str, path: str, body: str | None) -> httpx.Response:
            form = {"Content-Type": "application/x-www-form-urlencoded"}  # as curl sends it
            return http.request(method, base + path, content=body, headers=form if body else None)

        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        walk = next(block for block in blocks(readme, "bash") if "curl" in block)
        for body in re.findall(r"-d '(.*?)'", walk, re.DOTALL):
            path = "/downloader/requests/" if "spec" in json.loads(body) else "/catalogue/items/"
            assert send("POST", path, body).status_code == 201
        answers: dict[str, Any] = {}
        for method, path, body in calls(TEXT):
            if path == "/accounts/auth_tokens/":
                uuid = answers["POST /accounts/auth_requests/"]["request_uuid"]
                body = re.sub("<request_uuid.*?>", uuid, str(body))
                # Nobody has signed in yet.
                assert send(method, path, body).status_code == 404
                me = {"email": "rosa@lab.example", "password": "a canary in a mine"}
                assert send("POST", "/accounts/", json.dumps(me)).status_code == 201
                attach = json.dumps({"request_uuid": uuid, **me})
                assert send("POST", "/accounts/auth_requests/attach_password/", attach).status_code == 200
            answer = send(method, path, body)
            assert answer.status_code in (200, 201), (method, path, answer.text)
            answers[f"{method} {path.partition('?')[0]}"] = answer.json()
        assert answers["POST /downloader/requests/estimate/"]["rows"] == 336_776
        assert [item["tags"] for item in answers["GET /catalogue/items/"]["items"]] == [["air", "demo"]]
        assert answers["PUT /catalogue/items/1/permissions/"]["permissions"][0]["subject_id"] == 1
        assert len(answers["GET /downloader/requests/"]["requests"]) == 2
        assert answers["POST /accounts/auth_tokens/"]["token"].count(".") == 2
        assert len(answers) == 11
