"""The examples of ``docs/tasks-api.md`` are sent as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dragon.conftest import create
from support import Api

TEXT = (Path(__file__).parent.parent.parent / "docs" / "tasks-api.md").read_text(encoding="utf-8")


async def test_the_calls_are_answered_as_it_says(owner: Api, credential: Any) -> None:
    api = owner.of(f"Secret {await credential()}")
    (task,) = await create(owner, {"task_name": "hello", "name": "x"}, block=True)
    seen = []
    for command in re.findall(r"^curl (?:.*\n)(?:  .*\n)*", TEXT, re.MULTILINE):
        path = re.search(r"\$URL(/[^\s\"]+)", command)
        body = re.search(r"-d '(.*?)'", command, re.DOTALL)
        assert path is not None, command
        where = "/v1" + path[1].replace("6GRQ3H5EHU7GXUTIOSS2GUDPGQ", task["key"])
        seen.append(urlsplit(path[1]).path)
        if seen[-1] == "/tasks_stream":
            continue
        if body is None:
            answer = await api.get(where)
        else:
            answer = await api.post(where, json.loads(body[1].replace("6GRQ3H5EHU7GXUTIOSS2GUDPGQ", task["key"])))
        assert answer.status == 200, (command, answer.body)
    assert seen == ["/create", "/status", "/create_stream", "/status_stream", "/cancel", "/tasks", "/tasks_stream"]


def test_its_limits_are_those_of_the_code() -> None:
    from cosphere_jupyter.handlers import dragon, dragon_files, dragon_open, dragon_tasks

    told = {
        f"at most {dragon_tasks.MOST_TASKS:,};": dragon_tasks.MOST_TASKS == 1000,
        f"at most {dragon_tasks.MOST_KEYS:,} keys": dragon_tasks.MOST_KEYS == 10_000,
        "64 MiB": dragon_tasks.LARGEST_ANSWER == 64 * 2**20,
        "2 MiB": dragon.LARGEST_BODY == 2 * 2**20,
        "every 20 seconds": dragon_open.SECONDS == 20,
        "for 30 seconds": dragon_tasks.WRITE_SECONDS == 30,
        "within ten minutes": dragon_files.SAME_SECONDS == 600,
        "-100 to 100": (dragon_tasks.PRIORITY.lowest, dragon_tasks.PRIORITY.highest) == (-100, 100),
        "up to 100 characters": dragon_tasks.IDEMPOTENCY_KEY.longest == 100,
    }
    text = " ".join(TEXT.split())
    assert [words for words, is_so in told.items() if not is_so or words not in text] == []


def test_every_page_says_what_its_calls_begin_with() -> None:
    folder = Path(__file__).parents[2] / "docs"
    calls = {page.name: page.read_text(encoding="utf-8") for page in folder.glob("*.md")}
    called = {name: text for name, text in calls.items() if re.search(r"^curl .*\$URL", text, re.MULTILINE)}
    assert {"tasks-api.md", "own-tasks.md", "downloads.md"} <= set(called)
    for name, text in called.items():
        for word in ("URL", "AUTH"):
            assert re.search(rf"^{word}=|README.*`{word}`", text, re.MULTILINE), (name, word)
        # One meaning of URL for all that is written about tasks.
        assert not re.search(r"\$URL/v1\b", text), name
