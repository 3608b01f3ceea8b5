"""What is answered to whom asks wrongly, twice, at the wrong path or too late."""

from __future__ import annotations

import asyncio
import datetime
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from support import Answer, Api

from cosphere_jupyter.database.schema import now
from cosphere_jupyter.exports.tables import typed_downloads
from cosphere_jupyter.tasks.tables import tasks

PATH, TYPES = "/api/downloads", "/api/download_types"
REQUIRED, OBJECT = "This field is required.", "An object is required."


def assert_refused(answer: Answer, what: Any, *statuses: int) -> None:
    assert answer.status in (statuses or (422,)), (what, answer.status, answer.body[:300])
    assert answer.headers["Content-Type"] == "application/json", what
    assert list(answer.json) == ["errors"], what
    assert answer.json["errors"] and all(isinstance(text, str) and text for text in answer.json["errors"]), what
    assert answer.headers.get_list("Set-Cookie") == [], what


async def test_each_mistake_in_a_body_is_named(researcher: Api) -> None:
    types = "bundle, catalogue, download_request, download_requests, objects, tasks"
    unknown = f"download.download_type: there is no such download type; there are: {types}"
    formats = "download.info.format: must be one of: csv, json, parquet"
    cases: list[tuple[Any, list[str]]] = [
        ({}, [f"download: {REQUIRED}"]),
        ({"download": None}, ["download: This field may not be null."]),
        ({"download": []}, [f"download: {OBJECT}"]),
        ({"download": "catalogue"}, [f"download: {OBJECT}"]),
        ({"download_type": "catalogue"}, [f"download: {REQUIRED}"]),
        ({"download": {}}, [f"download.download_type: {REQUIRED}"]),
        ({"download": {"download_type": None}}, ["download.download_type: This field may not be null."]),
        ({"download": {"download_type": ""}}, ["download.download_type: This field may not be blank."]),
        ({"download": {"download_type": []}}, ["download.download_type: Not a valid string."]),
        ({"download": {"download_type": 5}}, [unknown]),
        ({"download": {"download_type": "Catalogue"}}, [unknown]),
        ({"download": {"download_type": "../catalogue"}}, [unknown]),
        ({"download": {"download_type": "tasks", "info": []}}, [f"download.info: {OBJECT}"]),
        ({"download": {"download_type": "tasks", "info": "csv"}}, [f"download.info: {OBJECT}"]),
        ({"download": {"download_type": "tasks", "info": {"format": "arrow"}}}, [formats]),
        ({"download": {"download_type": "tasks", "info": {"format": ["csv"]}}}, [formats]),
        ({"download": {"download_type": "tasks", "info": {"format": None}}}, [formats]),
        (
            {"download": {"download_type": "tasks", "info": {"format": "CSV", "spreadsheet": "yes"}}},
            [formats, "download.info.spreadsheet: must be true or false"],
        ),
    ]
    for body, errors in cases:
        answer = await researcher.post(PATH, body)
        assert_refused(answer, body)
        assert answer.json["errors"] == errors, body
    for raw in (b"{not json", b'{"download": ', b"\xff", b"[" * 5000):
        answer = await researcher.post(PATH, raw=raw)
        assert (answer.status, answer.json) == (422, {"errors": ["the body is not JSON"]}), raw[:20]
    assert_refused(await researcher.post(PATH, raw=b" " * (16 * 1024 * 1024 + 1)), "too large", 413)


async def test_what_is_not_known_is_passed_over(researcher: Api, downloads: Any) -> None:
    info = {"unused": {"deep": [1, None]}, "format": "json"}
    body = {"download": {"download_type": "tasks", "info": info, "id": "7", "state": "done", "user_id": "1"}, "more": 1}
    created = await researcher.post(PATH, body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert created.status == 201
    download = created.json["download"]
    assert download["id"] != "7"
    assert (download["state"], download["user_id"]) == ("pending", str(researcher.account["id"]))
    done = await downloads.settled(researcher, download)
    assert (await downloads.file(researcher, done)).headers["Content-Disposition"].endswith('"tasks.json"')
    nothing = await researcher.post(PATH, {"download": {"download_type": "tasks", "info": None}})
    assert nothing.status == 201


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(["tasks", "download_request", "nothing"])
INFO = st.dictionaries(st.sampled_from(["id", "format", "spreadsheet", "\ud800"]), JSON)
BODIES = JSON | st.fixed_dictionaries(
    {"download": JSON | st.fixed_dictionaries({"download_type": NAMES | JSON}, optional={"info": INFO | JSON})}
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_no_body_is_answered_with_an_unexpected_error(researcher: Api, run: Any, body: Any) -> None:
    answer = run(researcher.post(PATH, raw=json.dumps(body).encode("utf-8", "surrogatepass")))
    if answer.status != 201:
        assert_refused(answer, body)


async def test_strange_ids_are_ids_that_nothing_has(researcher: Api) -> None:
    for id_ in ("1", "x" * 3000, "%00", "%F0%9F%98%80", "..%2f..%2fkeys", "%2e%2e", "null", "a;b", "%27--", "%252e"):
        for path in (f"{PATH}/{id_}", f"{PATH}/{id_}/file"):
            answer = await researcher.get(path)
            assert_refused(answer, path, 404)
            assert answer.json == {"errors": ["no such download"]}
    assert_refused(await researcher.get(f"{PATH}/%ff"), "not UTF-8", 400)


async def test_paths_and_methods_that_are_not_there_are_told_in_this_face_s_shape(
    researcher: Api, anybody: Api, jp_serverapp: Any
) -> None:
    token = jp_serverapp.identity_provider.token.encode()
    ours = [f"{PATH}{path}" for path in ("//", "/1/2", "/1/file/2", "/1/files", "/1//file")]
    for path in (*ours, f"{TYPES}/tasks", f"{TYPES}/tasks/permissions/x"):
        for api in (researcher, anybody):
            for method in ("GET", "POST", "DELETE"):
                answer = await api(method, path, raw=b"{}" if method == "POST" else None)
                assert_refused(answer, (method, path), 404)
                assert token not in answer.body
    allowed = {
        PATH: {"POST", "OPTIONS"},
        f"{PATH}/1": {"GET", "HEAD", "OPTIONS"},
        f"{PATH}/1/file": {"GET", "HEAD", "OPTIONS"},
        TYPES: {"GET", "HEAD", "OPTIONS"},
        f"{TYPES}/tasks/permissions": {"GET", "HEAD", "PUT", "OPTIONS"},
    }
    for path, methods in allowed.items():
        for slash in ("", "/"):
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "FOO"):
                if method in methods:
                    continue
                body = b"{}" if method in ("POST", "PUT", "PATCH") else None
                answer = await anybody(method, path + slash, raw=body)
                assert answer.status == 405, (method, path)
                assert set(answer.headers["Allow"].split(", ")) == methods
                if method != "HEAD":
                    assert answer.json == {"errors": ["this method is not served here"]}
            options = await anybody("OPTIONS", path + slash)
            assert (options.status, options.body) == (200, b"")
            assert set(options.headers["Allow"].split(", ")) == methods


async def test_head_answers_as_get_does(researcher: Api, downloads: Any) -> None:
    done = await downloads.done(researcher, "tasks")
    for path in (f"{PATH}/{done['id']}", f"{PATH}/{done['id']}/file", f"{PATH}/1", TYPES):
        get, head = await researcher.get(path), await researcher("HEAD", path)
        assert (head.status, head.body) == (get.status, b""), path
        assert head.headers["Content-Length"] == get.headers["Content-Length"], path


async def test_waiting_answers_at_the_next_change_and_within_the_time(
    researcher: Api, services: Any, downloads: Any
) -> None:
    for wrong in ("x", "-1", "31", ""):
        assert_refused(await researcher.get(f"{PATH}/1?wait={wrong}"), wrong, 400)
    await services.tasks.stop()
    download = await downloads.ask(researcher, "tasks")
    began = asyncio.get_running_loop().time()
    answer = await researcher.get(f"{PATH}/{download['id']}?wait=1")
    assert (answer.status, answer.json["download"]["state"]) == (200, "pending")
    assert 0.9 < asyncio.get_running_loop().time() - began < 5


# -- twice -------------------------------------------------------------------------------------------------------------


def ids(answers: list[Answer]) -> set[str]:
    assert {answer.status for answer in answers} == {201}, [answer.body for answer in answers]
    return {answer.json["download"]["id"] for answer in answers}


async def test_equal_posts_are_downloads_of_their_own(researcher: Api, downloads: Any) -> None:
    body = {"download": {"download_type": "tasks", "info": {}}}
    answers = await asyncio.gather(*(researcher.post(PATH, body) for _ in range(20)))
    assert len(ids(answers)) == 20
    for answer in answers:
        await downloads.file(researcher, await downloads.settled(researcher, answer.json["download"]))


async def test_a_key_makes_them_one(researcher: Api, admin: Api, services: Any, downloads: Any) -> None:
    body = {"download": {"download_type": "tasks", "info": {}}}
    header = {"Idempotency-Key": "once, and no more"}
    answers = await asyncio.gather(*(researcher.post(PATH, body, headers=header) for _ in range(20)))
    assert len(ids(answers)) == 1
    done = await downloads.settled(researcher, answers[0].json["download"])
    later = await researcher.post(PATH, body, headers=header)
    assert (later.status, later.json["download"]) == (201, done)
    stored = await services.database.read(lambda connection: connection.execute(select(typed_downloads)).all())
    assert len(stored) == 1
    # The key is one caller's, and that of one download.
    assert len(ids([later, await admin.post(PATH, body, headers=header)])) == 2
    other = await researcher.post(PATH, {"download": {"download_type": "catalogue"}}, headers=header)
    assert_refused(other, "another download")
    assert other.json == {"errors": ["Idempotency-Key: was used for another download already"]}
    for wrong in ("x" * 256, ""):
        assert_refused(await researcher.post(PATH, body, headers={"Idempotency-Key": wrong}), wrong)


# -- too late ----------------------------------------------------------------------------------------------------------


async def test_a_file_that_has_expired_is_told_as_such(researcher: Api, services: Any, downloads: Any) -> None:
    text = "the file of this download has expired; ask for it again"
    gone, forgotten = [await downloads.done(researcher, "tasks") for _ in range(2)]
    # The files of one are gone, of the other its task, too: what retention does.
    task = (await services.task_list.read([gone["task"]], None))[gone["task"]]
    services.store.delete(task.result_name)
    delete = tasks.delete().where(tasks.c.key == forgotten["task"])
    await services.database.write(lambda connection: connection.execute(delete))
    for download in (gone, forgotten):
        shown = (await researcher.get(f"{PATH}/{download['id']}")).json["download"]
        assert (shown["state"], shown["url"], shown["error"]) == ("failed", None, text)
        missing = await researcher.get(f"{PATH}/{download['id']}/file")
        assert (missing.status, missing.json) == (404, {"errors": ["no such file"]})
    # Remembered for a while, then forgotten: a download whose task is there never is.
    await services.exports.sweep()
    assert (await researcher.get(f"{PATH}/{forgotten['id']}")).status == 200
    old = update(typed_downloads).values(created_at=now() - datetime.timedelta(days=91))
    await services.database.write(lambda connection: connection.execute(old))
    await services.exports.sweep()
    assert (await researcher.get(f"{PATH}/{forgotten['id']}")).status == 404
    assert (await researcher.get(f"{PATH}/{gone['id']}")).status == 200


async def test_a_link_is_good_for_one_file_and_for_some_time(owner: Api, researcher: Api, downloads: Any) -> None:
    done, other = await downloads.done(researcher, "tasks"), await downloads.done(researcher, "catalogue")
    links = [
        owner.base.partition("/a%40b")[0] + (await researcher.get(f"{PATH}/{each['id']}/file")).headers["Location"]
        for each in (done, other)
    ]
    anybody = researcher.of(None)
    assert (await anybody.get(links[0])).status == 200
    query = links[1].partition("?")[2]
    assert (await anybody.get(f"{links[0].partition('?')[0]}?{query}")).status == 403
    assert (await anybody.get(links[0].replace("tasks.csv", "manifest.json"))).status == 403


async def test_the_task_behind_a_download_gives_no_way_around_it(
    researcher: Api, services: Any, downloads: Any
) -> None:
    """Who reads the task learns what became of it, and gets no link to the file."""
    done = await downloads.done(researcher, "tasks")
    task = (await services.task_list.read([done["task"]], None))[done["task"]]
    assert (task.name, task.outputs) == ("export", ())
    assert task.params == {"download_type": "tasks", "info": {"format": "csv", "spreadsheet": False}}
    assert set(task.state.result) == {"download_id", "file", "rows", "size", "sha256"}
    assert task.state.result["download_id"] == done["id"]


async def test_the_same_can_be_asked_for_as_a_task(researcher: Api, downloads: Any) -> None:
    task = {"task_name": "export", "download_type": "catalogue", "info": {"format": "parquet"}}
    created = await researcher.post("/v1/create", {"tasks": task, "block": True})
    assert created.status == 200, created.body
    [status] = created.json
    assert status["status"] == "success"
    assert "/results/" not in str(status), "no link leads around the Downloads API"
    shown = (await researcher.get(f"{PATH}/{status['result']['download_id']}")).json["download"]
    assert (shown["state"], shown["task"]) == ("done", status["key"])
    assert downloads.read((await downloads.file(researcher, shown)).body, "parquet").num_rows == 0
    wrong = await researcher.post("/v1/create", {"tasks": {**task, "info": {"format": "xls"}}, "block": True})
    assert (wrong.status, wrong.json[0]["status"]) == (200, "error")


async def test_the_files_of_an_account_take_no_more_than_its_quota(sign_up: Any, downloads: Any) -> None:
    small = await sign_up("small@lab.example", disk_quota=300)
    first = await downloads.done(small, "catalogue")
    size = len((await downloads.file(small, first)).body)
    assert 100 < size < 150
    await downloads.done(small, "catalogue")
    failed = await downloads.settled(small, await downloads.ask(small, "catalogue"))
    assert (failed["state"], failed["url"]) == ("failed", None)
    assert failed["error"].startswith(f"the files of your downloads take {2 * size} bytes and this one {size} bytes")
    assert failed["error"].endswith("your disk quota is 300 bytes: wait until older ones have expired")
    assert (await small.get(f"{PATH}/{first['id']}/file")).status == 302
