"""Who may ask for a download, see it and have its file: every type with every kind of caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert
from support import Answer, Api

from cosphere_jupyter.accounts.tables import group_members, groups
from cosphere_jupyter.database.schema import now
from cosphere_jupyter.errors import ExecutionError
from cosphere_jupyter.exports.task import ExportTask

TYPES = ("bundle", "catalogue", "download_request", "download_requests", "objects", "tasks")

# Who calls, and what they get: for POST of the type, and for the download of Rosa's and its file.
# fmt: off
EXPECTED = {
    # what everyone may:   write             read              none, then Rosa alone
    "rosa":              ((201, 200, 302), (403, 200, 302), (403, 403, 403), (201, 200, 302)),
    "otto":              ((201, 403, 403), (403, 403, 403), (403, 403, 403), (403, 403, 403)),
    "an ADMIN":          ((201, 403, 403), (201, 403, 403), (201, 403, 403), (201, 403, 403)),
    "nobody":            ((401, 401, 401), (401, 401, 401), (401, 401, 401), (401, 401, 401)),
    "a broken token":    ((401, 401, 401), (401, 401, 401), (401, 401, 401), (401, 401, 401)),
    "disabled since":    ((401, 401, 401), (401, 401, 401), (401, 401, 401), (401, 401, 401)),
}
# fmt: on


def given(*each: tuple[str, int, str]) -> dict[str, Any]:
    return {"permissions": [{"subject_type": kind, "subject_id": id, "level": level} for kind, id, level in each]}


def assert_shape(answer: Answer, what: Any) -> None:
    assert answer.headers.get_list("Set-Cookie") == [], what
    assert answer.headers["Cache-Control"] == "no-store", what
    if answer.status >= 400:
        assert answer.headers["Content-Type"] == "application/json", what
        assert list(answer.json) == ["errors"], what
        assert all(isinstance(text, str) and text for text in answer.json["errors"]), what
    if answer.status == 401:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer "), what


async def finished_request(api: Api, item: dict[str, Any], *columns: str) -> int:
    body = {"catalogue_item_id": item["id"], "spec": {"columns": list(columns) or ["n"], "filters": []}}
    request = (await api.post("/downloader/requests/", body)).json
    assert (await api.settled(request["id"]))["task"]["status"] == "success"
    return int(request["id"])


async def test_each_caller_gets_what_the_table_says(
    owner: Api, sign_up: Callable[..., Any], downloads: Any, numbers_item: dict[str, Any]
) -> None:
    rosa, otto, gone = [await sign_up(f"{name}@lab.example") for name in ("rosa", "otto", "gone")]
    admin = await sign_up("ada@lab.example", "ADMIN")
    await owner.put(f"/accounts/{gone.account['id']}", {"is_active": False})
    callers = {
        "rosa": rosa,
        "otto": otto,
        "an ADMIN": admin,
        "nobody": owner.of(None),
        "a broken token": owner.of(f"{str(rosa.authorization)[:-4]}AAAA"),
        "disabled since": gone,
    }
    for api in (rosa, otto, admin):
        request_id = await finished_request(api, numbers_item)
    phases = (
        given(("everyone", 0, "write")),
        given(("everyone", 0, "read")),
        given(),
        given(("account", rosa.account["id"], "write")),
    )
    # Those of a bundle are asked for where there is one.
    for name in TYPES[1:]:
        info = {"id": request_id} if name == "download_request" else {}
        body = {"download": {"download_type": name, "info": info}}
        path = f"/api/downloads/{(await downloads.done(rosa, name, **info))['id']}"
        for phase, permissions in enumerate(phases):
            assert (await owner.put(f"/api/download_types/{name}/permissions", permissions)).status == 200
            for who, api in callers.items():
                answers = [await api.post("/api/downloads", body), await api.get(path), await api.get(f"{path}/file")]
                for answer, status in zip(answers, EXPECTED[who][phase], strict=True):
                    what = (name, phase, who, answer.status, answer.body)
                    assert answer.status == status, what
                    assert_shape(answer, what)
                head = await api("HEAD", f"{path}/file")
                assert (head.status, head.body) == (EXPECTED[who][phase][2], b"")


async def test_a_permission_may_come_through_a_group(owner: Api, services: Any, sign_up: Any, downloads: Any) -> None:
    inside, outside = await sign_up("in@lab.example"), await sign_up("out@lab.example")

    def make(connection: Any) -> int:
        group = connection.execute(insert(groups).values(name="lab", created_at=now()).returning(groups.c.id)).scalar()
        connection.execute(
            insert(group_members).values(group_id=group, account_id=inside.account["id"], is_admin=False)
        )
        return int(group)

    group = await services.database.write(make)
    path = "/api/download_types/tasks/permissions"
    assert (await owner.put(path, given(("group", group, "write")))).status == 200
    await downloads.done(inside, "tasks")
    refused = await outside.post("/api/downloads", {"download": {"download_type": "tasks"}})
    assert (refused.status, refused.json) == (403, {"errors": ["you may not ask for downloads of type tasks"]})


async def test_the_types_that_a_caller_may_see_are_told_with_what_they_may(owner: Api, researcher: Api) -> None:
    for path in ("/api/download_types", "/api/download_types/"):
        listed = (await researcher.get(path)).json["download_types"]
        assert [each["name"] for each in listed] == list(TYPES)
        assert {each["level"] for each in listed} == {"write"}
        assert all(each["description"].endswith(".") and each["formats"] for each in listed)
    await owner.put("/api/download_types/tasks/permissions/", given())
    await owner.put("/api/download_types/catalogue/permissions/", given(("everyone", 0, "read")))
    assert await levels_of(researcher) == {
        "bundle": "write",
        "catalogue": "read",
        "download_request": "write",
        "download_requests": "write",
        "objects": "write",
    }
    assert await levels_of(owner) == dict.fromkeys(TYPES, "grant")


async def levels_of(api: Api) -> dict[str, str]:
    return {each["name"]: each["level"] for each in (await api.get("/api/download_types")).json["download_types"]}


async def test_what_an_admin_decides_is_shown_and_outlives_the_server(
    owner: Api, researcher: Api, services: Any
) -> None:
    path = "/api/download_types/tasks/permissions"
    default = [{"subject_type": "everyone", "subject_id": 0, "level": "write"}]
    assert (await owner.get(path)).json == {"permissions": default}
    account = {"subject_type": "account", "subject_id": researcher.account["id"], "level": "read"}
    nobody = {"subject_type": "everyone", "subject_id": 0, "level": "none"}
    for sent, shown in (([account], [nobody, account]), ([], [nobody]), ([nobody, account], [nobody, account])):
        answer = await owner.put(path, {"permissions": sent})
        assert (answer.status, answer.json) == (200, {"permissions": shown}), sent
        # What a start does: it gives defaults to types that nobody has decided about.
        await services.exports.give_defaults()
        assert (await owner.get(path)).json == {"permissions": shown}, sent


async def test_wrong_permissions_change_nothing(owner: Api, researcher: Api) -> None:
    path = "/api/download_types/tasks/permissions"
    before = (await owner.get(path)).json
    unknown, wrong = given(("account", 424242, "read")), given(("x", 1, "read"))
    for body in ({}, {"permissions": None}, {"permissions": [{}]}, unknown, wrong):
        answer = await owner.put(path, body)
        assert (answer.status, list(answer.json)) == (422, ["errors"]), body
    assert (await owner.get(path)).json == before
    for method in ("GET", "PUT"):
        raw = b"{}" if method == "PUT" else None
        assert (await owner(method, "/api/download_types/nothing/permissions", raw=raw)).status == (422 if raw else 404)
        assert (await researcher(method, path, raw=raw)).status == 403


async def test_rows_of_a_table_that_may_be_seen_no_more_are_not_handed_out(
    owner: Api, researcher: Api, downloads: Any, numbers_item: dict[str, Any]
) -> None:
    request_id = await finished_request(researcher, numbers_item)
    download = await downloads.done(researcher, "download_request", id=request_id)
    path = f"/api/downloads/{download['id']}"
    permissions = f"/catalogue/items/{numbers_item['id']}/permissions/"
    await owner.put(permissions, given())
    for each in (path, f"{path}/file"):
        refused = await researcher.get(each)
        assert (refused.status, refused.json) == (403, {"errors": ["you may no longer see what this download holds"]})
    body = {"download": {"download_type": "download_request", "info": {"id": request_id}}}
    assert (await researcher.post("/api/downloads", body)).status == 422
    await owner.put(permissions, given(("everyone", 0, "read")))
    assert (await researcher.get(f"{path}/file")).status == 302


async def test_nothing_is_made_for_whom_it_may_be_made_no_more(
    owner: Api, researcher: Api, services: Any, downloads: Any, numbers_item: dict[str, Any]
) -> None:
    """What has changed since the download was asked for is found when its work begins."""
    request_id = await finished_request(researcher, numbers_item)
    await services.tasks.stop()
    kind = ExportTask(services.database, services.store, services.exports)

    async def refusal(download: dict[str, Any]) -> str:
        task = (await services.task_list.read([download["task"]], None))[download["task"]]
        with pytest.raises(ExecutionError) as refused:
            await kind.prepare(task)
        return str(refused.value)

    tasks, result = [
        await downloads.ask(researcher, name, **info)
        for name, info in (("tasks", {}), ("download_request", {"id": request_id}))
    ]
    await owner.put("/api/download_types/tasks/permissions", given(("everyone", 0, "read")))
    assert await refusal(tasks) == "you may no longer ask for downloads of type tasks"
    await owner.put(f"/catalogue/items/{numbers_item['id']}/permissions/", given())
    assert await refusal(result) == "you may no longer see what this download would hold"
    await owner.put(f"/accounts/{researcher.account['id']}", {"is_active": False})
    assert await refusal(result) == "you may no longer ask for downloads of type download_request"
