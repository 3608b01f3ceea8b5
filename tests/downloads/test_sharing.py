"""One request for all who ask for the same: waiters, leaving, cancelling, reviving, changed data."""

from __future__ import annotations

import asyncio
import os
import time

import psutil
import pytest
from sqlalchemy import func, select

from cosphere_jupyter.downloads.tables import download_waiters
from cosphere_jupyter.tasks.tables import tasks

ALL = {"columns": ["n", "word"], "filters": []}


def body(item, **spec):
    return {"catalogue_item_id": item["id"], "spec": {**ALL, **spec}}


@pytest.fixture
def big_item(owner, root, big_parquet, run):
    os.link(big_parquet, root / "big.parquet")
    values = {
        "name": "big",
        "executor_type": "DUCKDB",
        "source": "big.parquet",
        "maintained_by_id": owner.account["id"],
    }
    return run(owner.post("/catalogue/items/", values)).json


def big_body(item):
    return {"catalogue_item_id": item["id"], "spec": {"columns": ["n", "x", "y", "z"], "filters": []}}


async def executing(api, request_id):
    """Wait until the request's query runs in a child process."""
    for _ in range(400):
        task = (await api.get(f"/downloader/requests/{request_id}?wait=1")).json["task"]
        if task["status"] == "executing" and task["progress"]:
            return task
        assert task["status"] in ("queued", "executing"), task
    raise AssertionError(task)


def children():
    """The child processes that run queries now."""
    found = psutil.Process().children(recursive=True)
    return [
        child
        for child in found
        if child.status() != psutil.STATUS_ZOMBIE and "cosphere_jupyter.tasks.child" in child.cmdline()
    ]


async def test_fifty_equal_posts_at_once_are_one_request_with_fifty_waiters_and_one_execution(
    services, sign_up, numbers_item
):
    callers = [await sign_up(f"researcher-{number}@lab.example") for number in range(50)]
    orders = [["n", "word"], ["word", "n"]]
    answers = await asyncio.gather(
        *(
            caller.post("/downloader/requests/", body(numbers_item, columns=orders[number % 2]))
            for number, caller in enumerate(callers)
        )
    )
    assert sorted(answer.status for answer in answers) == [200] * 49 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1
    request_id = answers[0].json["id"]
    ended = await asyncio.gather(*(caller.settled(request_id) for caller in callers))
    assert {request["task"]["key"] for request in ended} == {ended[0]["task"]["key"]}
    assert {request["blob_name"] for request in ended} == {ended[0]["blob_name"]}

    async def count(table):
        return await services.database.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar())

    assert await count(download_waiters) == 50
    assert await count(tasks) == 1


async def test_asking_again_gives_the_finished_request_at_once(owner, numbers_item):
    first = await owner.post("/downloader/requests/", body(numbers_item))
    assert first.status == 201
    assert first.headers["Location"].endswith(f"/cosphere/downloader/requests/{first.json['id']}")
    ended = await owner.settled(first.json["id"])
    again = await owner.post("/downloader/requests/", body(numbers_item, filters=[]))
    assert (again.status, again.event) == (200, "DOWNLOADREQUEST_READ")
    assert again.json["blob_name"] == ended["blob_name"]
    assert again.json["download_uri"] and again.json["real_size"] and again.json["executor_job_id"]


async def test_who_does_not_wait_for_a_request_does_not_see_it_not_even_an_admin(
    owner, admin, researcher, numbers_item
):
    request = (await researcher.post("/downloader/requests/", body(numbers_item))).json
    for other in (owner, admin):
        assert (await other.get(f"/downloader/requests/{request['id']}")).event == "COULD_NOT_FIND_DOWNLOADREQUEST"
        assert (await other.get("/downloader/requests/")).json["requests"] == []
    await admin.post("/downloader/requests/", body(numbers_item))
    joined = (await admin.get(f"/downloader/requests/{request['id']}")).json
    assert joined["created_by"]["email"] == "rosa@lab.example"


async def test_one_who_leaves_does_not_cancel_what_others_wait_for(admin, researcher, numbers_item):
    request = (await researcher.post("/downloader/requests/", body(numbers_item))).json
    await admin.post("/downloader/requests/", body(numbers_item))
    left = await researcher.delete(f"/downloader/requests/{request['id']}")
    assert (left.status, left.json) == (200, {"@event": "DOWNLOADREQUEST_DELETED", "@type": "empty"})
    assert (await researcher.get(f"/downloader/requests/{request['id']}")).status == 404
    kept = await admin.settled(request["id"])
    assert kept["task"]["status"] == "success" and kept["is_cancelled"] is False
    # A stranger's DELETE is answered, and changes nothing.
    assert (await researcher.delete(f"/downloader/requests/{request['id']}")).status == 200
    assert (await admin.get(f"/downloader/requests/{request['id']}")).json["is_cancelled"] is False


async def test_the_last_one_to_leave_stops_the_running_query(owner, services, big_item):
    request = (await owner.post("/downloader/requests/", big_body(big_item))).json
    await executing(owner, request["id"])
    assert children()
    await owner.delete(f"/downloader/requests/{request['id']}")
    deadline = time.monotonic() + 6
    while children() and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert children() == []
    # Nothing of it is left in the store.
    while services.tasks.is_running(request["task"]["key"]):
        await asyncio.sleep(0.05)
    assert services.store.names() == []


async def test_a_cancelled_request_revives_when_it_is_asked_for_again(owner, researcher, big_item):
    request = (await owner.post("/downloader/requests/", big_body(big_item))).json
    await executing(owner, request["id"])
    await owner.delete(f"/downloader/requests/{request['id']}")
    again = await researcher.post("/downloader/requests/", big_body(big_item))
    assert (again.status, again.event) == (200, "DOWNLOADREQUEST_READ")
    assert again.json["id"] == request["id"] and again.json["is_cancelled"] is False
    assert again.json["task"]["key"] != request["task"]["key"]
    ended = await researcher.settled(request["id"])
    assert ended["task"]["status"] == "success"
    assert ended["real_size"] > 0


async def test_a_finished_request_that_was_left_revives_without_running_again(owner, numbers_item):
    request = (await owner.post("/downloader/requests/", body(numbers_item))).json
    ended = await owner.settled(request["id"])
    await owner.delete(f"/downloader/requests/{request['id']}")
    again = (await owner.post("/downloader/requests/", body(numbers_item))).json
    assert again["is_cancelled"] is False
    assert (again["task"]["key"], again["blob_name"]) == (ended["task"]["key"], ended["blob_name"])


async def test_a_failed_request_runs_again_when_it_is_asked_for_again(owner, big_item):
    request = (await owner.post("/downloader/requests/", big_body(big_item))).json
    killed = set()
    while len(killed) < 2:
        # Only a child that works on the request counts: it has reported progress since the last one died.
        await executing(owner, request["id"])
        for child in children():
            if child.pid not in killed:
                child.kill()
                killed.add(child.pid)
        await asyncio.sleep(0.3)
    failed = await owner.settled(request["id"])
    assert failed["task"]["error"] == "worker killed by signal 9 (out of memory?) twice"
    assert failed["blob_name"] is None and failed["download_uri"] is None and failed["real_size"] is None
    again = await owner.post("/downloader/requests/", big_body(big_item))
    assert (again.status, again.json["id"]) == (200, request["id"])
    assert (await owner.settled(request["id"]))["task"]["status"] == "success"


async def test_a_result_that_was_lost_is_made_again(owner, services, numbers_item):
    request = (await owner.post("/downloader/requests/", body(numbers_item))).json
    ended = await owner.settled(request["id"])
    services.store.delete(ended["blob_name"])
    again = (await owner.post("/downloader/requests/", body(numbers_item))).json
    assert again["blob_name"] is None and again["id"] == request["id"]
    assert (await owner.settled(request["id"]))["task"]["status"] == "success"


async def test_changed_data_are_asked_for_anew(owner, numbers_item, numbers):
    import pyarrow.parquet as pq

    before = (await owner.post("/downloader/requests/", body(numbers_item))).json
    await owner.settled(before["id"])
    table = pq.read_table(numbers)
    pq.write_table(table.slice(0, 10), numbers)
    after = await owner.post("/downloader/requests/", body(numbers_item))
    assert after.status == 201 and after.json["id"] != before["id"]
    ended = await owner.settled(after.json["id"])
    manifest = (await owner.of(None).get(ended["manifest_uri"])).json
    assert manifest["rows"] == 10


async def test_tables_of_engines_that_do_not_run_yet_end_in_a_clear_task_error(owner):
    for executor in ("ATHENA", "DATABRICKS"):
        spec = [
            {"name": "n", "type": "INTEGER", "size": None, "is_enum": False, "is_nullable": True, "distribution": None}
        ]
        values = {"name": executor, "executor_type": executor, "spec": spec, "maintained_by_id": owner.account["id"]}
        item = (await owner.post("/catalogue/items/", values)).json
        created = await owner.post("/downloader/requests/", body(item, columns=["n"]))
        assert created.status == 201
        ended = await owner.settled(created.json["id"])
        assert ended["task"]["status"] == "error"
        assert executor in ended["task"]["error"] and "DUCKDB tables only" in ended["task"]["error"]


async def test_a_long_wait_answers_when_the_request_ends(owner, numbers_item):
    request = (await owner.post("/downloader/requests/", body(numbers_item))).json
    started = time.monotonic()
    await owner.settled(request["id"])
    assert (await owner.get(f"/downloader/requests/{request['id']}?wait=30")).json["task"]["status"] == "success"
    assert time.monotonic() - started < 20
    assert (await owner.get(f"/downloader/requests/{request['id']}?wait=31")).event == "QUERY_DID_NOT_VALIDATE"


async def test_who_waits_for_a_short_task_asks_once_and_for_a_long_one_soon_learns_that_it_runs(
    owner, numbers_item, big_item
):
    answers = []
    for number in range(8):
        request = (await owner.post("/downloader/requests/", body(numbers_item, randomize_ratio=1 / (number + 2)))).json
        answers.append((await owner.get(f"/downloader/requests/{request['id']}?wait=30")).json["task"]["status"])
        await owner.settled(request["id"])
    # The first one has to start a process, and on a busy machine others may last longer, too.
    assert answers.count("success") >= 5, answers
    long = (await owner.post("/downloader/requests/", big_body(big_item))).json
    started = time.monotonic()
    task = (await owner.get(f"/downloader/requests/{long['id']}?wait=30")).json["task"]
    assert task["status"] == "executing"
    assert time.monotonic() - started < 2
    await owner.delete(f"/downloader/requests/{long['id']}")


async def test_the_same_sample_is_drawn_each_time_and_another_seed_draws_another(owner, services, numbers_item):
    import io

    import pyarrow.parquet as pq

    async def rows(**spec):
        request = (await owner.post("/downloader/requests/", body(numbers_item, columns=["n"], **spec))).json
        ended = await owner.settled(request["id"])
        table = pq.read_table(io.BytesIO((await owner.of(None).get(ended["download_uri"])).body))
        services.store.delete(ended["blob_name"])
        return set(table.column("n").to_pylist())

    first, again = await rows(randomize_ratio=0.3), await rows(randomize_ratio=0.3)
    assert first == again and 200 < len(first) < 400
    assert await rows(randomize_ratio=0.3, seed=1) != first
    assert first < await rows(randomize_ratio=0.5)
    assert len(await rows(randomize_ratio=1)) == 1000
    assert await rows(randomize_ratio=0) == set()


async def test_folders_that_no_request_names_are_swept_and_the_others_stay(owner, services, numbers_item):
    request = (await owner.post("/downloader/requests/", body(numbers_item))).json
    ended = await owner.settled(request["id"])
    orphan = f"ab/{'ab' * 32}/ORPHAN-1"
    services.store.begin(orphan)
    assert await services.downloads.sweep() == [orphan]
    assert services.store.names() == [ended["blob_name"]]


async def test_an_item_can_be_deleted_when_its_requests_are_cancelled_and_takes_them_along(owner, numbers_item):
    request = (await owner.post("/downloader/requests/", body(numbers_item))).json
    path = f"/catalogue/items/{numbers_item['id']}"
    refused = await owner.delete(path)
    assert (refused.status, refused.event) == (400, "NOT_CANCELLED_DOWNLOAD_REQEUSTS_DETECTED")
    assert (refused.json["item_id"], refused.json["not_cancelled_count"]) == (numbers_item["id"], 1)
    await owner.delete(f"/downloader/requests/{request['id']}")
    assert (await owner.delete(path)).event == "CATALOGUEITEM_DELETED"
    assert (await owner.get(path)).status == 404
    assert (await owner.delete(f"/downloader/requests/{request['id']}")).event == "COULD_NOT_FIND_DOWNLOADREQUEST"
