"""The examples of ``docs/objects.md`` are sent as they stand there."""

from __future__ import annotations

import base64
import json
import re
import shlex
from pathlib import Path

from support import Api

TEXT = (Path(__file__).parent.parent.parent / "docs" / "objects.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def calls() -> list[tuple[str, str, str | None]]:
    """Method, path and body of each curl command, in their order."""
    found = []
    for block in blocks("bash"):
        words = shlex.split(block, comments=True)
        starts = [place for place, word in enumerate(words) if word == "curl"]
        for start, end in zip(starts, [*starts[1:], len(words)], strict=False):
            command = words[start:end]
            body = command[command.index("-d") + 1] if "-d" in command else None
            method = command[command.index("-X") + 1] if "-X" in command else "GET" if body is None else "POST"
            url = next(word for word in command if word.startswith("$URL"))
            found.append((method, url.removeprefix("$URL"), body))
    return found


async def test_its_examples_work(owner: Api) -> None:
    setting = re.search(r"AUTH=([^:\s]+):(\S+)", TEXT)
    assert setting is not None
    name, password = setting[1], "a canary in a mine"
    assert (await owner.post("/accounts/", {"email": name, "password": password})).status == 201
    rosa = owner.of(f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}")
    made = await owner.post("/api/v1/actions/", json.loads(blocks("json")[0]))
    assert (made.status, made.json["action_id"]) == (201, 0)
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # as curl sends it
    sent = calls()
    assert len(sent) == 17
    for method, path, body in sent:
        raw = None if body is None else body.encode()
        answer = await rosa(method, path, raw=raw, headers=form if body else None)
        expected = 201 if method == "POST" else 302 if path == "/api/v1/objects/1" else 200
        assert answer.status == expected, (method, path, answer.body)
        if "q=" in path:
            assert [each["object_id"] for each in answer.json] == [1]
