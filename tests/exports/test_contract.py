"""What the Downloads API's document shows, asked of a real server: each command, status, field and example."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support import Answer, Api

DATA = json.loads((Path(__file__).parent.parent / "spec" / "downloads.json").read_text(encoding="utf-8"))
COMMANDS = {(command["method"], command["path"]): command for command in DATA["commands"]}
POST = ("POST", "/api/downloads")
SHOW = ("GET", "/api/downloads/:id")
FILE = ("GET", "/api/downloads/:id/file")
TYPES = {"String": str, "Object": dict}
NOBODY: dict[str, Any] = {"permissions": []}


def body_of(download: dict[str, Any]) -> dict[str, Any]:
    """The document's example of a body, filled in."""
    example = COMMANDS[POST]["request"]
    assert example == {"download": "{API::DownloadRequest}"}
    fields = DATA["objects"]["DownloadRequest"]
    assert {name for name, field in fields.items() if field["is_required"]} <= set(download) <= set(fields)
    return dict.fromkeys(example, download)


def check_download(answer: Answer, command: tuple[str, str]) -> dict[str, Any]:
    """Hold an answer to the document's example and its DownloadResponse; return the download."""
    body = answer.json
    assert list(body) == list(COMMANDS[command]["response"])
    download = body["download"]
    fields = DATA["objects"]["DownloadResponse"]
    assert list(download)[: len(fields)] == list(fields), "the document's fields first, then ours"
    for name, field in fields.items():
        if name != "url" or download["state"] == "done":
            assert isinstance(download[name], TYPES[field["type"]]), (name, download)
    assert (download["url"] is None) == (download["state"] != "done")
    return dict(download)


class Scenes:
    """For each command and status of the document, what leads to it."""

    def __init__(self, owner: Api, researcher: Api, other: Api, downloads: Any) -> None:
        self.owner, self.researcher, self.other, self.downloads = owner, researcher, other, downloads

    async def create(self, api: Api, download: Any) -> Answer:
        return await api.post("/api/downloads", body_of(download))

    async def hide(self, name: str) -> None:
        hidden = await self.owner.put(f"/api/download_types/{name}/permissions", NOBODY)
        assert hidden.status == 200, hidden.body

    async def scene(self, command: tuple[str, str], status: str) -> list[Answer]:
        researcher, other = self.researcher, self.other
        if command == POST:
            if status == "403":
                await self.hide("catalogue")
            bodies = {
                "201": [{"download_type": "catalogue"}, {"download_type": "tasks", "info": {}}],
                "403": [{"download_type": "catalogue"}],
                "422": [{"download_type": "no such type"}, {"download_type": "tasks", "info": {"format": "xls"}}],
            }
            return [await self.create(researcher, body) for body in bodies[status]]
        done = await self.downloads.done(researcher, "catalogue")
        path = command[1].replace(":id", done["id"])
        if status in ("200", "302"):
            return [await researcher.get(path)]
        if status == "404":
            return [await researcher.get(command[1].replace(":id", "00000000-0000-4000-8000-000000000000"))]
        answers = [await other.get(path), await self.owner.get(path)]
        await self.hide("catalogue")
        return [*answers, await researcher.get(path)]


@pytest.mark.parametrize(
    ("command", "status"),
    [(command, status) for command, each in COMMANDS.items() for status in each["statuses"]],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
async def test_each_status_of_the_document_comes_when_it_says(
    command: tuple[str, str], status: str, owner: Api, researcher: Api, sign_up: Any, downloads: Any
) -> None:
    scenes = Scenes(owner, researcher, await sign_up("otto@lab.example"), downloads)
    for answer in await scenes.scene(command, status):
        assert answer.status == int(status), answer.body
        if status in ("200", "201"):
            check_download(answer, command)
        elif status != "302":
            assert list(answer.json) == ["errors"]
            assert answer.json["errors"] and all(isinstance(text, str) and text for text in answer.json["errors"])


async def test_the_examples_work_as_they_stand(researcher: Api, downloads: Any) -> None:
    """The curl command with its headers; the placeholder itself is no DownloadRequest."""
    example = COMMANDS[POST]
    assert example["headers"]["Authorization"] == "Bearer $TOKEN"
    headers = {**example["headers"], "Authorization": str(researcher.authorization)}
    anybody = researcher.of(None)
    refused = await anybody.post(example["path"], example["request"], headers=headers)
    assert (refused.status, refused.json) == (422, {"errors": ["download: An object is required."]})
    created = await anybody.post(example["path"], body_of({"download_type": "catalogue"}), headers=headers)
    assert created.status == 201
    assert check_download(created, POST)["user_id"] == str(researcher.account["id"])


async def test_a_download_goes_from_pending_to_done_and_only_then_has_a_file(
    researcher: Api, services: Any, downloads: Any
) -> None:
    created = await researcher.post("/api/downloads", body_of({"download_type": "catalogue", "info": {}}))
    download = check_download(created, POST)
    assert (created.status, download["state"], download["download_type"]) == (201, "pending", "catalogue")
    path = f"/a%40b/cosphere/api/downloads/{download['id']}"
    assert created.headers["Location"] == path
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", download["id"])
    done = await downloads.settled(researcher, download)
    assert done == {**download, "state": "done", "url": f"{path}/file"}
    shown = await researcher.get(f"/api/downloads/{download['id']}")
    assert check_download(shown, SHOW) == done
    found = await researcher.get(f"/api/downloads/{download['id']}/file")
    assert found.status == 302
    # A path of this server, made of ids: nothing that was sent comes back in it.
    assert re.fullmatch(
        r"/a%40b/cosphere/results/[0-9a-f]{2}/[0-9a-f]{64}/[A-Z2-7]{26}-1/catalogue\.csv\?expires=\d+&signature=[\w-]+",
        found.headers["Location"],
    )


async def test_all_paths_may_end_with_a_slash(researcher: Api, downloads: Any) -> None:
    created = await researcher.post("/api/downloads/", body_of({"download_type": "tasks"}))
    download = check_download(created, POST)
    await downloads.settled(researcher, download)
    shown = await researcher.get(f"/api/downloads/{download['id']}/")
    assert check_download(shown, SHOW)["state"] == "done"
    assert (await researcher.get(f"/api/downloads/{download['id']}/file/")).status == 302


async def test_what_is_not_done_has_no_file(researcher: Api, services: Any, downloads: Any) -> None:
    await services.tasks.stop()
    download = await downloads.ask(researcher, "tasks")
    path = f"/api/downloads/{download['id']}"
    # The row says what the engine would say, which is stopped.
    for status, state in {"queued": "pending", "executing": "running", "error": "failed"}.items():
        await set_status(services, download["task"], status)
        shown = (await researcher.get(path)).json["download"]
        assert (shown["state"], shown["url"]) == (state, None)
        refused = await researcher.get(f"{path}/file")
        assert (refused.status, refused.json) == (404, {"errors": ["no such file"]}), state
    assert shown["error"] == "it broke"


async def set_status(services: Any, key: str, status: str) -> None:
    from sqlalchemy import update

    from cosphere_jupyter.database.schema import now
    from cosphere_jupyter.tasks.tables import tasks

    ended = {"completed_at": now(), "error": "it broke"} if status == "error" else {"attempt": 99}
    statement = update(tasks).where(tasks.c.key == key).values(status=status, **ended)
    await services.database.write(lambda connection: connection.execute(statement))
