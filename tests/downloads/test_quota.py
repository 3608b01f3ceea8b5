"""Accounts have a share of the disk: what counts for it, what is refused when, and what makes room again."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from cosphere_jupyter.database.schema import now
from cosphere_jupyter.downloads.service import charge_result
from cosphere_jupyter.downloads.tables import download_requests
from cosphere_jupyter.errors import QuotaExceeded
from cosphere_jupyter.tasks import records
from cosphere_jupyter.tasks.tables import tasks


def body(item, least):
    filters = [{"name": "n", "operator": ">=", "value": least}]
    return {"catalogue_item_id": item["id"], "spec": {"columns": ["n", "half"], "filters": filters}}


async def asked(api, item, least):
    return await api.post("/downloader/requests/", body(item, least))


async def finished(api, item, least):
    return await api.settled((await asked(api, item, least)).json["id"])


async def leave(api, request):
    assert (await api.delete(f"/downloader/requests/{request['id']}")).status == 200


async def set_quota(owner, api, quota):
    changed = await owner.put(f"/accounts/{api.account['id']}", {"disk_quota": quota})
    assert changed.status == 200, changed.body


def stored_bytes(services):
    """What the results in the store take, by their manifests."""
    manifests = [services.store.manifest(name) for name in services.store.names()]
    return sum(manifest["bytes"] for manifest in manifests)


@pytest.fixture
def one(owner, numbers_item, run):
    """The bytes of one result, about: those of these tests differ by a few of a thousand rows."""
    return run(finished(owner, numbers_item, 9))["real_size"]


async def test_leaving_requests_and_asking_again_does_not_lead_around_the_quota(
    owner, services, sign_up, numbers_item, one
):
    await leave(owner, (await owner.get("/downloader/requests/")).json["requests"][0])
    before = stored_bytes(services)
    rosa = await sign_up("rosa@lab.example", disk_quota=int(2.5 * one))
    made = []
    for least in range(4):
        made.append(await finished(rosa, numbers_item, least))
        assert made[-1]["task"]["status"] == "success"
        await leave(rosa, made[-1])
        assert stored_bytes(services) - before <= 2.5 * one
    # The two that were used last are still there.
    assert [services.store.exists(request["blob_name"]) for request in made] == [False, False, True, True]
    again = [await finished(rosa, numbers_item, least) for least in (3, 2, 1, 0)]
    assert [request["task"]["status"] for request in again] == ["success", "success", "error", "error"]
    listed = (await rosa.get("/downloader/requests/")).json["requests"]
    assert sum(request["real_size"] or 0 for request in listed) <= 2.5 * one
    assert stored_bytes(services) - before <= 2.5 * one


async def test_what_cannot_fit_even_by_the_low_end_of_its_estimate_is_refused_before_the_work(
    owner, services, sign_up, numbers_item
):
    profiled = await owner.put(f"/catalogue/items/{numbers_item['id']}/samples_and_distributions/")
    assert profiled.status == 200
    estimate = (await owner.post("/downloader/requests/estimate/", body(numbers_item, 0))).json
    rosa = await sign_up("rosa@lab.example", disk_quota=estimate["low"] // 4)

    async def count():
        return await services.database.read(lambda c: c.execute(select(func.count()).select_from(tasks)).scalar())

    before = await count()
    refused = await asked(rosa, numbers_item, 0)
    assert (refused.status, refused.event) == (400, "DISK_QUOTA_EXCEEDED")
    assert refused.json["estimated_size"] > refused.json["disk_quota"]
    assert "this one will take about" in refused.json["message"]
    assert "leave requests" not in refused.json["message"]
    assert await count() == before
    assert (await rosa.get("/downloader/requests/")).json["requests"] == []
    # What may fit runs.
    await set_quota(owner, rosa, estimate["low"])
    assert (await asked(rosa, numbers_item, 0)).status == 201


async def test_what_turns_out_not_to_fit_is_refused_at_the_end_and_not_kept(services, sign_up, numbers_item):
    rosa = await sign_up("rosa@lab.example", disk_quota=1)
    # Nothing is known of the table and nothing is used yet, so the first one runs.
    ended = await finished(rosa, numbers_item, 0)
    assert ended["task"]["status"] == "error" and "disk quota is 1 bytes" in ended["task"]["error"]
    assert services.store.names() == []
    assert ended["blob_name"] is None


async def test_a_full_quota_refuses_at_once_with_figures_and_leaves_no_request_behind(owner, sign_up, numbers_item):
    rosa = await sign_up("rosa@lab.example", disk_quota=10**9)
    kept = await finished(rosa, numbers_item, 0)
    await set_quota(owner, rosa, kept["real_size"])
    refused = await asked(rosa, numbers_item, 5)
    assert (refused.status, refused.event) == (400, "DISK_QUOTA_EXCEEDED")
    assert (refused.json["disk_used"], refused.json["disk_quota"]) == (kept["real_size"], kept["real_size"])
    assert "leave requests that nobody else waits for" in refused.json["message"]
    assert [each["id"] for each in (await rosa.get("/downloader/requests/")).json["requests"]] == [kept["id"]]
    # What everybody has left makes room.
    await leave(rosa, kept)
    assert (await finished(rosa, numbers_item, 990))["task"]["status"] == "success"


async def test_what_others_wait_for_counts_until_they_leave_it_too(owner, researcher, sign_up, numbers_item, one):
    rosa = await sign_up("rose@lab.example", disk_quota=int(1.5 * one))
    kept = await finished(rosa, numbers_item, 0)
    assert (await asked(researcher, numbers_item, 0)).status == 200
    await leave(rosa, kept)
    still = await finished(rosa, numbers_item, 1)
    assert still["task"]["status"] == "error" and "leave requests that nobody else waits for" in still["task"]["error"]
    assert (await researcher.get(f"/downloader/requests/{kept['id']}")).json["blob_name"]
    await leave(researcher, kept)
    assert (await finished(rosa, numbers_item, 1))["task"]["status"] == "success"


async def test_what_others_have_made_costs_nothing_while_they_wait_for_it(owner, sign_up, numbers_item):
    other = await finished(owner, numbers_item, 7)
    rosa = await sign_up("rosa@lab.example", disk_quota=1)
    joined = await asked(rosa, numbers_item, 7)
    assert (joined.status, joined.json["blob_name"]) == (200, other["blob_name"])


async def test_whoever_takes_over_a_result_that_was_left_needs_the_room_for_it(
    owner, services, sign_up, numbers_item, one
):
    rosa = await sign_up("rosa@lab.example", disk_quota=int(1.5 * one))
    poor = await sign_up("paul@lab.example", disk_quota=one // 2)
    rich = await sign_up("rita@lab.example", disk_quota=int(1.5 * one))
    left = await finished(rosa, numbers_item, 0)
    await leave(rosa, left)
    refused = await asked(poor, numbers_item, 0)
    assert (refused.status, refused.event) == (400, "DISK_QUOTA_EXCEEDED")
    taken = await asked(rich, numbers_item, 0)
    assert (taken.status, taken.json["blob_name"], taken.json["is_cancelled"]) == (200, left["blob_name"], False)
    assert taken.json["created_by"]["email"] == "rosa@lab.example"
    # It counts for her now, and no more for who had it made.
    assert (await finished(rich, numbers_item, 1))["task"]["status"] == "error"
    assert (await finished(rosa, numbers_item, 2))["task"]["status"] == "success"
    # Asking for one's own again is free.
    await leave(rich, taken.json)
    assert (await asked(rich, numbers_item, 0)).json["blob_name"] == left["blob_name"]


async def test_a_result_that_is_taken_over_makes_room_for_itself(owner, services, sign_up, numbers_item, one):
    rita = await sign_up("rita@lab.example", disk_quota=int(1.5 * one))
    own = await finished(rita, numbers_item, 0)
    await leave(rita, own)
    others = await finished(owner, numbers_item, 1)
    await leave(owner, others)
    assert (await asked(rita, numbers_item, 1)).json["blob_name"] == others["blob_name"]
    assert not services.store.exists(own["blob_name"])
    assert (await asked(rita, numbers_item, 0)).status == 200


async def test_of_two_tasks_that_end_together_only_what_fits_is_stored(owner, services, sign_up, numbers_item, one):
    rosa = await sign_up("rosa@lab.example")
    requests = [await finished(rosa, numbers_item, least) for least in range(2)]
    await set_quota(owner, rosa, int(1.5 * one))
    keys = [request["task"]["key"] for request in requests]

    def both_are_about_to_store(connection):
        connection.execute(tasks.update().where(tasks.c.key.in_(keys)).values(status="executing", completed_at=None))
        connection.execute(download_requests.update().values(blob_name=None, charged_to_id=None, charged_size=None))
        return [records.read_task(connection, key) for key in keys]

    first, second = await services.database.write(both_are_about_to_store)
    assert await services.database.write(lambda connection: charge_result(connection, first, one)) == []
    with pytest.raises(QuotaExceeded):
        await services.database.write(lambda connection: charge_result(connection, second, one))

    def first_fails(connection):
        connection.execute(tasks.update().where(tasks.c.key == first.key).values(status="error", completed_at=now()))

    # A charge for what was never stored is none.
    await services.database.write(first_fails)
    assert await services.database.write(lambda connection: charge_result(connection, second, one)) == []


async def test_a_result_that_expires_counts_no_more(owner, services, sign_up, numbers_item, one):
    rosa = await sign_up("rosa@lab.example", disk_quota=int(1.5 * one))
    await finished(rosa, numbers_item, 0)
    assert (await finished(rosa, numbers_item, 1))["task"]["status"] == "error"

    def age(connection):
        connection.exec_driver_sql("UPDATE download_requests SET used_at = '2020-01-01 00:00:00.000000'")

    await services.database.write(age)
    await services.retention.expire()
    assert (await finished(rosa, numbers_item, 1))["task"]["status"] == "success"


async def test_without_a_quota_everything_is_kept(services, researcher, numbers_item):
    for least in range(3):
        await leave(researcher, await finished(researcher, numbers_item, least))
    assert len(services.store.names()) == 3
