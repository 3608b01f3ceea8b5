"""What belongs to objects: files, comments, the log; and the people and groups of the workspace."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from objects.conftest import Lab
from support import Api

CONTENT = b"mass;5\n\x00\xff"
STORED = {
    "storage": "database",
    "original_file_name": "../../weights.csv",
    "base64_content": base64.b64encode(CONTENT).decode(),
}


async def test_files_are_stored_and_given_back(lab: Lab, rosa: Api, tmp_path: Path) -> None:
    object_id = await lab.create(rosa)
    path = f"/api/v1/objects/{object_id}/files/"
    digests = {name: hashlib.new(name, CONTENT).hexdigest() for name in ("sha256", "sha512")}
    hashes: list[Any] = [None, *({"algorithm": name, "hexdigest": text} for name, text in digests.items())]
    shown = []
    for number, told in enumerate(hashes):
        made = await rosa.post(path, {**STORED, **({"hash": told} if told else {})})
        assert (made.status, made.headers["Location"]) == (201, f"/a%40b/cosphere{path}{number}")
        shown.append(
            {
                "object_id": object_id,
                "file_id": number,
                "storage": "database",
                "original_file_name": "../../weights.csv",
                "hash": told or {"algorithm": "sha256", "hexdigest": digests["sha256"]},
            }
        )
        read = await rosa.get(f"{path}{number}")
        assert read.json == {**shown[-1], "base64_content": STORED["base64_content"]}
    for slash in (path, path.rstrip("/")):
        assert (await rosa.get(slash)).json == shown
    kept = [each for each in (tmp_path / "workspace" / "files").rglob("*") if each.is_file()]
    assert [each.name for each in kept] == [digests["sha256"]], "what is the same is kept once"
    assert (kept[0].read_bytes(), kept[0].stat().st_mode & 0o777) == (CONTENT, 0o600)


async def test_a_file_may_be_empty_and_a_link(lab: Lab, rosa: Api) -> None:
    object_id = await lab.create(rosa)
    path = f"/api/v1/objects/{object_id}/files/"
    assert (await rosa.post(path, {**STORED, "base64_content": ""})).status == 201
    assert (await rosa.get(f"{path}0")).json["base64_content"] == ""
    for number, url in enumerate(("https://lab.example/a?b=c#d", "http://192.0.2.7:8080/", "ftp://lab.example"), 1):
        assert (await rosa.post(path, {"storage": "url", "url": url})).status == 201
        expected = {"object_id": object_id, "file_id": number, "storage": "url", "url": url}
        assert (await rosa.get(f"{path}{number}")).json == expected
    assert (await rosa.get(f"{path}4")).json == {"message": f"file 4 of object {object_id} does not exist"}


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ([], 400, "JSON object body required"),
        ({"x": 1}, 400, "invalid key 'x'"),
        ({"object_id": 7}, 400, "object_id must be 1"),
        ({"file_id": 0}, 400, "file_id cannot be set"),
        ({"storage": None}, 400, "storage must be 'local_reference', 'database' or 'url'"),
        ({"storage": "s3"}, 400, "storage must be 'local_reference', 'database' or 'url'"),
        ({"storage": ["url"]}, 400, "storage must be 'local_reference', 'database' or 'url'"),
        ({"storage": "local_reference"}, 403, "files of this machine cannot be referred to"),
        ({"original_file_name": ""}, 400, "original_file_name must be set for files with database storage"),
        ({"original_file_name": 7}, 400, "original_file_name must be set for files with database storage"),
        ({"original_file_name": "a\0b"}, 400, "the body holds what cannot be stored"),
        ({"base64_content": "x"}, 400, "base64_content must be base64 encoded"),
        ({"base64_content": "ö"}, 400, "base64_content must be base64 encoded"),
        ({"base64_content": 7}, 400, "base64_content must be base64 encoded"),
        ({"base64_content": None}, 400, "base64_content must be base64 encoded"),
        ({"hash": 7}, 400, "hash must be an object with algorithm and hexdigest"),
        ({"hash": {"algorithm": "sha256"}}, 400, "hash must be an object with algorithm and hexdigest"),
        (
            {"hash": {"algorithm": "md5", "hexdigest": ""}},
            400,
            "only the following hash algorithms are supported: sha256, sha512",
        ),
        (
            {"hash": {"algorithm": ["sha256"], "hexdigest": ""}},
            400,
            "only the following hash algorithms are supported: sha256, sha512",
        ),
        ({"hash": {"algorithm": "sha256", "hexdigest": 7}}, 400, "hash hexdigest must be a string"),
        (
            {"hash": {"algorithm": "sha256", "hexdigest": "00"}},
            400,
            f"hash hexdigest mismatch, expected: {hashlib.sha256(CONTENT).hexdigest()}",
        ),
        *(
            ({"storage": "url", "url": url}, 400, "url must be a valid url")
            for url in (
                None,
                7,
                "",
                "lab.example",
                "javascript:alert(1)",
                "data:text/html,x",
                "file:///etc/passwd",
                "https://",
                "https://a b",
                "https://[::",
                "http://lab.example:99999/",
                "http://lab.example/\n",
                "https://lab.example/" + "x" * 9000,
            )
        ),
    ],
)
async def test_what_is_no_file_is_refused(lab: Lab, rosa: Api, change: Any, status: int, message: str) -> None:
    object_id = await lab.create(rosa)
    path = f"/api/v1/objects/{object_id}/files/"
    answer = await rosa.post(path, {**STORED, **change} if isinstance(change, dict) else change)
    assert (answer.status, answer.json) == (status, {"message": message})
    assert (await rosa.get(path)).json == []


async def test_storage_name_and_content_must_be_set(lab: Lab, rosa: Api) -> None:
    path = f"/api/v1/objects/{await lab.create(rosa)}/files/"
    for key, message in [
        ("storage", "storage must be set"),
        ("original_file_name", "original_file_name must be set for files with database storage"),
        ("base64_content", "base64_content must be set for files with database storage"),
    ]:
        body = {other: value for other, value in STORED.items() if other != key}
        assert (await rosa.post(path, body)).json == {"message": message}


async def test_comments_are_written_and_read(lab: Lab, rosa: Api, otto: Api) -> None:
    object_id = await lab.create(rosa)
    path = f"/api/v1/objects/{object_id}/comments/"
    await lab.give(object_id, otto, "write")
    for number, (caller, content) in enumerate([(rosa, "It grows."), (otto, " <b>It</b> does not.\n")]):
        made = await caller.post(path, {"content": content})
        assert (made.status, made.headers["Location"]) == (201, f"/a%40b/cosphere{path}{number}")
        comment = (await rosa.get(f"{path}{number}")).json
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", comment.pop("utc_datetime"))
        assert comment == {
            "object_id": object_id,
            "comment_id": number,
            "user_id": caller.account["id"],
            "content": content,
        }
    assert [each["comment_id"] for each in (await rosa.get(path)).json] == [0, 1]
    assert (await rosa.get(f"{path}2")).status == 404
    await lab.give(object_id, otto, "read")
    assert (await otto.post(path, {"content": "x"})).status == 403


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "JSON object body required"),
        ({}, "content must be set"),
        ({"content": None}, "content must be a string"),
        ({"content": 7}, "content must be a string"),
        ({"content": ""}, "content must not be empty"),
        ({"content": " \n"}, "content must not be empty"),
        ({"content": "x\0"}, "the body holds what cannot be stored"),
        ({"content": "x" * 65537}, "content must have at most 65536 characters"),
        ({"content": "x", "y": 1}, "invalid key 'y'"),
        ({"content": "x", "comment_id": 0}, "comment_id cannot be set"),
        ({"content": "x", "object_id": 2}, "object_id must be 1"),
    ],
)
async def test_what_is_no_comment_is_refused(lab: Lab, rosa: Api, body: Any, message: str) -> None:
    path = f"/api/v1/objects/{await lab.create(rosa)}/comments/"
    answer = await rosa.post(path, body)
    assert (answer.status, answer.json) == (400, {"message": message})


async def test_the_log_tells_what_was_done_to_readable_objects(lab: Lab, rosa: Api, otto: Api) -> None:
    first, second = await lab.create(rosa), await lab.create(otto)
    await lab.update(rosa, first, "B")
    await rosa.post(f"/api/v1/objects/{first}/comments/", {"content": "x"})
    await rosa.post(f"/api/v1/objects/{first}/files/", STORED)

    async def log(caller: Api, query: str = "") -> list[tuple[Any, ...]]:
        entries = (await caller.get(f"/api/v1/object_log_entries/{query}")).json
        assert all(set(each) >= {"utc_datetime", "user_id", "is_imported"} for each in entries)
        return [(each["log_entry_id"], each["type"], each["object_id"], each["data"]) for each in entries]

    mine = [
        (5, "UPLOAD_FILE", first, {"file_id": 0}),
        (4, "POST_COMMENT", first, {"comment_id": 0}),
        (3, "EDIT_OBJECT", first, {"version_id": 1}),
        (1, "CREATE_OBJECT", first, {}),
    ]
    assert await log(rosa) == mine
    assert await log(otto) == [(2, "CREATE_OBJECT", second, {})]
    assert await log(rosa, "?after_id=3") == mine[:2]
    assert await log(rosa, "?after_id=5") == []
    assert await log(rosa, "?after_id=x") == mine
    assert len(await log(lab.owner)) == 5


async def test_everybody_sees_everybody_and_admins_their_addresses(lab: Lab, rosa: Api, otto: Api) -> None:
    shown = {"user_id": otto.account["id"], "name": "Otto", "orcid": None, "affiliation": None, "role": None}
    assert (await rosa.get(f"/api/v1/users/{otto.account['id']}")).json == shown
    assert (await otto.get("/api/v1/users/me")).json == shown
    seen = await lab.owner.get(f"/api/v1/users/{otto.account['id']}/")
    more = {"email": "otto@lab.example", "is_hidden": False, "is_active": True, "is_readonly": False}
    assert seen.json == {**shown, **more}
    assert [each["user_id"] for each in (await rosa.get("/api/v1/users")).json] == [1, 2, 3]
    assert all("email" not in each for each in (await rosa.get("/api/v1/users/")).json)
    assert (await rosa.get("/api/v1/users/7")).json == {"message": "user 7 does not exist"}


async def test_groups_are_listed_with_their_members(lab: Lab, rosa: Api, otto: Api) -> None:
    group_id = await lab.group("Weighers", rosa, otto)
    members = [
        {"user_id": each.account["id"], "href": f"/a%40b/cosphere/api/v1/users/{each.account['id']}"}
        for each in (rosa, otto)
    ]
    shown = {"group_id": group_id, "name": "Weighers", "description": "", "member_users": members}
    assert (await rosa.get("/api/v1/groups/")).json == [shown]
    assert (await rosa.get(f"/api/v1/groups/{group_id}")).json == shown
    assert (await rosa.get("/api/v1/groups/7")).json == {"message": "group 7 does not exist"}


async def test_files_of_objects_take_no_more_than_the_disk_quota(lab: Lab, rosa: Api, otto: Api) -> None:
    await lab.owner.put(f"/accounts/{rosa.account['id']}", {"disk_quota": 20})
    object_id = await lab.create(rosa)
    await lab.give(object_id, otto, "write")
    path = f"/api/v1/objects/{object_id}/files/"
    assert [(await rosa.post(path, STORED)).status for _ in range(2)] == [201, 201]
    refused = await rosa.post(path, STORED)
    told = "your files of objects take 18 bytes and this one 9 bytes, and your disk quota is 20 bytes"
    assert (refused.status, refused.json) == (400, {"message": told})
    # What takes nothing has room, and others have a quota of their own.
    assert (await rosa.post(path, {**STORED, "base64_content": ""})).status == 201
    assert (await rosa.post(path, {"storage": "url", "url": "https://lab.example/"})).status == 201
    assert (await otto.post(path, STORED)).status == 201
    assert len((await rosa.get(path)).json) == 5


async def test_of_uploads_at_once_no_more_are_kept_than_the_quota_allows(lab: Lab, rosa: Api) -> None:
    await lab.owner.put(f"/accounts/{rosa.account['id']}", {"disk_quota": 20})
    path = f"/api/v1/objects/{await lab.create(rosa)}/files/"
    bodies = [{**STORED, "base64_content": base64.b64encode(b"12345678%d" % each).decode()} for each in range(6)]
    answers = await asyncio.gather(*(rosa.post(path, body) for body in bodies))
    assert sorted(each.status for each in answers) == [201, 201, 400, 400, 400, 400]
    assert len((await rosa.get(path)).json) == 2


async def test_a_start_removes_contents_that_no_file_has(lab: Lab, rosa: Api, services: Any, tmp_path: Path) -> None:
    path = f"/api/v1/objects/{await lab.create(rosa)}/files/"
    assert (await rosa.post(path, STORED)).status == 201
    folder = tmp_path / "workspace" / "files"
    [kept] = [each for each in folder.rglob("*") if each.is_file()]
    orphan, part = folder / "ab" / ("ab" * 32), kept.with_name(f"{kept.name}.{'0' * 16}.partial")
    alien, other = folder / "ab" / "notes.txt", folder / "README"
    orphan.parent.mkdir()
    for each in (orphan, part, alien, other):
        each.write_bytes(b"x")
    assert await services.object_files.sweep() == 2
    assert sorted(each for each in folder.rglob("*") if each.is_file()) == sorted([kept, alien, other])
    assert (await rosa.get(f"{path}0")).json["base64_content"] == STORED["base64_content"]
    assert await services.object_files.sweep() == 0
