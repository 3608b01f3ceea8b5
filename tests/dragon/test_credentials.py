"""Secrets and API keys over HTTP: how they are sent, what they may, and what is said of those that are not good."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dragon.conftest import GOOD, create
from support import Answer, Api

HELLO = {"task_name": "hello", "name": "John"}
PAGE = {"Referer": f"{GOOD}/page"}


def assert_refused(answer: Answer, status: int = 401) -> None:
    """The document's shape, and how to do better."""
    assert answer.status == status, answer.body
    assert set(answer.json) == {"status", "errors"} and answer.json["status"] == "error"
    (error,) = answer.json["errors"]
    assert set(error) == {"name", "location", "description"}
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == 'Secret realm="cosphere", Api-Key realm="cosphere"'


def altered(text: str) -> str:
    return text[:-1] + ("A" if text[-1] != "A" else "B")


async def test_a_secret_speaks_for_its_account(
    owner: Api, researcher: Api, credential: Callable[..., Any], anybody: Api
) -> None:
    secret = await credential(account=researcher.account)
    (mine,) = (await anybody.of(f"Secret {secret}").post("/v1/create", {"tasks": HELLO, "block": True})).json
    (theirs,) = await create(owner, HELLO, block=True)
    answer = await anybody.of(f"Secret {secret}").get(f"/v1/status?tasks={mine['key']}&tasks={theirs['key']}")
    assert [status["status"] for status in answer.json] == ["success", "error"]
    assert (await anybody.of(f"Secret {secret}").get("/accounts/me")).json["id"] == researcher.account["id"]
    assert (await anybody.of(f"secret   {secret}").get("/v1/tasks")).json[0]["key"] == mine["key"]


async def test_a_secret_is_sent_in_one_of_two_places(credential: Callable[..., Any], anybody: Api) -> None:
    secret = await credential()
    body = {"tasks": HELLO, "secret": secret}
    good: list[tuple[str, dict[str, str]]] = [
        ("the body", {}),
        ("the body beside the raw secret", {"Authorization": secret}),
        ("the body beside a scheme of others", {"Authorization": "Digest cm9zYTpyb3Nh"}),
        ("the body and the header, both the same", {"Authorization": f"Secret {secret}"}),
    ]
    for name, headers in good:
        assert (await anybody.post("/v1/create", body, headers=headers)).status == 200, name
        assert (await anybody.post("/v1/status", {"secret": secret, "tasks": "A"}, headers=headers)).status == 200, name
    assert_refused(await anybody.of(secret).post("/v1/create", {"tasks": HELLO}))
    assert_refused(await anybody.get(f"/v1/status?tasks=A&secret={secret}"))
    assert_refused(await anybody.post(f"/v1/create?secret={secret}", {"tasks": HELLO}))
    assert_refused(await anybody.of(f"Secret {secret}").get(f"/v1/status?tasks=A&secret={secret}"))
    # Elsewhere a body is no place for credentials.
    assert (await anybody.post("/downloader/requests/", {"secret": secret})).status == 401


async def test_two_credentials_that_differ_are_one_too_many(
    credential: Callable[..., Any], anybody: Api, owner: Api
) -> None:
    one, two = await credential(), await credential()
    for headers, body in (
        ({"Authorization": f"Secret {one}"}, {"secret": two}),
        ({"Authorization": str(owner.authorization)}, {"secret": one}),
        ({"Authorization": f"Api-Key {one}"}, {"secret": one}),
        ({}, {"secret": one, "api_key": two}),
    ):
        assert_refused(await anybody.post("/v1/create", {"tasks": HELLO, **body}, headers=headers))


async def test_bad_credentials_are_all_refused_alike(
    credential: Callable[..., Any], anybody: Api, api_key: str, sign_up: Callable[..., Any], owner: Api
) -> None:
    secret = await credential()
    gone = await sign_up("gone@lab.example")
    disabled = await credential(account=gone.account)
    await owner.put(f"/accounts/{gone.account['id']}", {"is_active": False})
    revoked = await credential()
    await owner.delete(f"/accounts/task_credentials/{revoked.split('_')[1]}")
    _, credential_id, random = secret.split("_")
    bad = {
        "another letter": altered(secret),
        "another id": f"cs_{altered(credential_id).lower()}_{random}",
        "shorter": secret[:-1],
        "longer": secret + "x",
        "upper case": secret.upper(),
        "the document's": "123456",
        "of a disabled account": disabled,
        "revoked": revoked,
        "an API key": api_key,
        "its digest": hashlib.sha256(secret.encode()).hexdigest(),
        "the id alone": f"cs_{credential_id}_",
        "two, joined by a proxy": f"{secret},{secret}",
        "a percent sign": "%00",
    }
    told = set()
    for name, text in bad.items():
        for answer in (
            await anybody.of(f"Secret {text}").post("/v1/create", {"tasks": HELLO}),
            await anybody.post("/v1/create", {"tasks": HELLO, "secret": text}),
            await anybody.of(f"Secret {text}").get("/v1/status?tasks=A"),
        ):
            assert_refused(answer)
            told.add(answer.json["errors"][0]["description"])
            assert text not in answer.body.decode(), name
    assert len(told) <= 2, "what is wrong with a credential is nobody's business"
    for value in (None, 7, True, "", [], {"a": 1}, [secret]):
        assert_refused(await anybody.post("/v1/create", {"tasks": HELLO, "secret": value}))
        assert_refused(await anybody.post("/v1/create", {"tasks": HELLO, "api_key": value}, headers=PAGE))
    # A secret is no API key either, and a good one still works.
    assert_refused(await anybody.of(f"Api-Key {secret}").post("/v1/create", {"tasks": HELLO}, headers=PAGE))
    assert (await anybody.of(f"Secret {secret}").post("/v1/create", {"tasks": HELLO})).status == 200


async def test_an_api_key_is_sent_in_one_of_three_places(anybody: Api, api_key: str) -> None:
    body = {"tasks": HELLO, "api_key": api_key}
    assert (await anybody.post("/v1/create", body, headers=PAGE)).status == 200
    header = {"Authorization": f"Api-Key {api_key}", **PAGE}
    (status,) = (await anybody.post("/v1/create", {"tasks": HELLO}, headers=header)).json
    query = f"api_key={api_key}"
    assert (await anybody.get(f"/v1/status?tasks={status['key']}&{query}", headers=PAGE)).json[0]["key"] == status[
        "key"
    ]
    found = await anybody.get(f"/v1/create_file/x.txt?task_name=one_file&text=x&{query}", headers=PAGE)
    assert found.status == 302
    assert_refused(await anybody.post(f"/v1/create?{query}", {"tasks": HELLO}, headers=PAGE))
    assert_refused(await anybody.post(f"/v1/status?{query}", {"tasks": "A"}, headers=PAGE))


async def test_an_api_key_may_create_tasks_and_read_them_and_nothing_else(
    anybody: Api, api_key: str, owner: Api, researcher: Api
) -> None:
    header = {"Authorization": f"Api-Key {api_key}", **PAGE}
    (mine,) = (await anybody.post("/v1/create", {"tasks": HELLO, "block": True}, headers=header)).json
    (theirs,) = await create(researcher, HELLO, block=True)
    answer = await anybody.get(f"/v1/status?tasks={mine['key']}&tasks={theirs['key']}", headers=header)
    assert [status["status"] for status in answer.json] == ["success", "error"], "though its account is an ADMIN's"
    for method, path, body in (
        ("POST", "/v1/cancel", {"task": mine["key"]}),
        ("GET", "/v1/tasks", None),
        ("GET", "/v1/tasks_stream", None),
    ):
        refused = await (anybody(method, path, body, headers=header) if body else anybody(method, path, headers=header))
        assert_refused(refused, 403)
    for path in ("/accounts/me", "/catalogue/items/", "/downloader/requests/", "/accounts/task_credentials/"):
        answer = await anybody.get(path, headers=header)
        assert (answer.status, answer.event) == (403, "ACCESS_DENIED"), path
    assert (await anybody.get("/api/download_types", headers=header)).status == 403


async def test_an_api_key_may_be_for_some_tasks_only(anybody: Api, credential: Callable[..., Any], owner: Api) -> None:
    key = await credential("api_key", referers=[GOOD], task_names=["hello", "one_file"])
    header = {"Authorization": f"Api-Key {key}", **PAGE}
    (mine,) = (await anybody.post("/v1/create", {"tasks": HELLO, "block": True}, headers=header)).json
    assert mine["result"] == "Hello John"
    both = {"tasks": [HELLO, {"task_name": "fail", "text": "x"}]}
    for path in ("/v1/create", "/v1/create_stream"):
        assert_refused(await anybody.post(path, both, headers=header), 403)
    refused = await anybody.get("/v1/create_file/x?task_name=sizes", headers=header)
    assert_refused(refused, 403)
    assert "'sizes'" in refused.json["errors"][0]["description"]
    assert len((await owner.get("/v1/tasks")).json) == 1, "of a batch all are created or none"
    (other,) = await create(owner, {"task_name": "fail", "text": "private"}, block=True)
    answer = await anybody.get(f"/v1/status?tasks={other['key']}", headers=header)
    assert answer.json[0]["result"] == "there is no task with this ID"
    # Not by guessing what the account's own programs have named their tasks.
    await create(owner, {**HELLO, "name": "private", "idempotency_key": "nightly"}, block=True)
    keyed = {"tasks": {**HELLO, "idempotency_key": "nightly"}, "block": True}
    assert (await anybody.post("/v1/create", keyed, headers=header)).json[0]["result"] == "Hello John"


async def test_revoking_counts_at_once_also_for_who_was_known_a_moment_ago(
    anybody: Api, credential: Callable[..., Any], owner: Api, sign_up: Callable[..., Any]
) -> None:
    gone = await sign_up("gone@lab.example")
    one, two, three = await credential(), await credential(), await credential(account=gone.account)
    for secret in (one, two, three):
        assert (await anybody.of(f"Secret {secret}").get("/v1/status?tasks=A")).status == 200
    revoked = await owner.delete(f"/accounts/task_credentials/{one.split('_')[1]}")
    assert (revoked.status, revoked.event) == (200, "TASK_CREDENTIAL_REVOKED")
    assert_refused(await anybody.of(f"Secret {one}").get("/v1/status?tasks=A"))
    assert (await anybody.of(f"Secret {two}").get("/v1/status?tasks=A")).status == 200
    await owner.put(f"/accounts/{gone.account['id']}", {"is_active": False})
    assert_refused(await anybody.of(f"Secret {three}").get("/v1/status?tasks=A"))
    assert (await owner.delete("/accounts/task_credentials/nosuchid")).event == "COULD_NOT_FIND_TASKCREDENTIAL"


async def test_only_a_digest_is_stored_and_the_last_use_is_noted(
    anybody: Api, credential: Callable[..., Any], owner: Api, services: Any, tmp_path: Path
) -> None:
    secret = await credential()

    async def facts() -> dict[str, Any]:
        # The note is written behind whoever called.
        await services.database.write(lambda connection: None)
        (listed,) = (await owner.get("/accounts/task_credentials/")).json["task_credentials"]
        return dict(listed)

    before = await facts()
    assert before["used_at"] is None and secret not in str(before)
    for _ in range(3):
        await anybody.of(f"Secret {secret}").get("/v1/status?tasks=A")
        services.task_credentials.forget()
    first = (await facts())["used_at"]
    assert first is not None
    await anybody.of(f"Secret {secret}").get("/v1/status?tasks=A")
    assert (await facts())["used_at"] == first, "once an hour is enough"
    with sqlite3.connect(tmp_path / "workspace" / "cosphere.sqlite") as database:
        (digest,) = database.execute("SELECT digest FROM task_credentials").fetchone()
    database.close()
    assert digest == hashlib.sha256(secret.encode()).hexdigest()


async def test_credentials_are_made_by_the_rules(owner: Api, researcher: Api) -> None:
    path = "/accounts/task_credentials/"
    bad: list[tuple[dict[str, Any], str]] = [
        ({}, "kind"),
        ({"kind": "password"}, "kind"),
        ({"kind": "api_key"}, "referers"),
        ({"kind": "api_key", "referers": "https://a.example"}, "referers"),
        ({"kind": "api_key", "referers": ["*"]}, "referers"),
        ({"kind": "api_key", "referers": ["https://*.a.example"]}, "referers"),
        ({"kind": "api_key", "referers": ["a.example"]}, "referers"),
        ({"kind": "api_key", "referers": ["ftp://a.example"]}, "referers"),
        ({"kind": "api_key", "referers": ["https://a.example/page"]}, "referers"),
        ({"kind": "api_key", "referers": ["https://user@a.example"]}, "referers"),
        ({"kind": "api_key", "referers": ["null"]}, "referers"),
        ({"kind": "api_key", "referers": ["https://a.example"], "task_names": [""]}, "task_names"),
        ({"kind": "api_key", "referers": ["https://a.example"], "task_names": [7]}, "task_names"),
        ({"kind": "secret", "referers": ["https://a.example"]}, "referers"),
    ]
    for body, field in bad:
        answer = await owner.post(path, body)
        assert (answer.status, answer.event, list(answer.errors)) == (400, "BODY_DID_NOT_VALIDATE", [field]), body
    assert (await owner.post(path, {"kind": "secret", "account_id": 4242})).event == "COULD_NOT_FIND_ACCOUNT"
    assert (await owner.get(path)).json["task_credentials"] == []
    assert (await researcher.post(path, {"kind": "secret"})).status == 403
    created = await owner.post(path, {"kind": "api_key", "referers": ["HTTPS://A.example:443/", "http://b.example:81"]})
    assert created.json["referers"] == ["https://a.example", "http://b.example:81"]


@pytest.mark.parametrize("jp_argv", [["--CosphereApp.open_task_statuses=True"]])
async def test_where_statuses_are_open_their_key_is_enough(
    anybody: Api, owner: Api, researcher: Api, jp_argv: list[str]
) -> None:
    (task,) = await create(researcher, {"task_name": "one_file", "text": "x"}, block=True)
    for path in (f"/v1/status?tasks={task['key']}", f"/v1/status_stream?tasks={task['key']}"):
        for headers in ({}, {"Authorization": "cs_raw_without_its_scheme"}, {"Authorization": "Secret wrong"}):
            answer = await anybody.get(path, headers=headers)
            assert (answer.status, b'"success"' in answer.body) == (200, True), (path, headers)
    assert (await anybody.get(f"/v1/file/x.txt?task={task['key']}")).status == 302
    assert (await anybody.post("/v1/status", {"tasks": task["key"]})).json[0]["status"] == "success"
    for path, body in (("/v1/create", {"tasks": HELLO}), ("/v1/cancel", {"task": task["key"]})):
        assert_refused(await anybody.post(path, body))
    assert_refused(await anybody.get("/v1/tasks"))


async def test_where_statuses_are_not_open_a_key_alone_is_not_enough(anybody: Api, owner: Api) -> None:
    (task,) = await create(owner, {"task_name": "one_file", "text": "x"}, block=True)
    for path in ("status?tasks", "status_stream?tasks", "stream?tasks", "file/x?task"):
        assert_refused(await anybody.get(f"/v1/{path}={task['key']}"))
