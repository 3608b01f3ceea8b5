"""Results go by age and by total size, and what went is made again."""

from __future__ import annotations

from datetime import timedelta

from cosphere_jupyter.database.schema import now
from cosphere_jupyter.downloads.retention import Retention


def body(item, least):
    filters = [{"name": "n", "operator": ">=", "value": least}]
    return {"catalogue_item_id": item["id"], "spec": {"columns": ["n", "half"], "filters": filters}}


async def finished(api, item, least):
    request = (await api.post("/downloader/requests/", body(item, least))).json
    return await api.settled(request["id"])


async def test_a_result_that_nobody_asks_for_expires_and_is_made_again_when_asked_for(owner, services, numbers_item):
    kept = await finished(owner, numbers_item, 0)
    retention = Retention(services.database, services.store, 3600, 0)
    assert await retention.expire() == []
    assert await retention.expire(now() + timedelta(hours=2)) == [kept["blob_name"]]
    expired = (await owner.get(f"/downloader/requests/{kept['id']}")).json
    assert (expired["blob_name"], expired["download_uri"], expired["real_size"]) == (None, None, None)
    assert services.store.names() == []
    again = await owner.post("/downloader/requests/", body(numbers_item, 0))
    assert (again.status, again.json["id"]) == (200, kept["id"])
    assert (await owner.settled(kept["id"]))["real_size"] == kept["real_size"]


async def test_asking_again_prolongs_a_results_life(owner, services, numbers_item):
    kept = await finished(owner, numbers_item, 0)

    def age(connection):
        connection.exec_driver_sql("UPDATE download_requests SET used_at = '2020-01-01 00:00:00.000000'")

    await services.database.write(age)
    await owner.post("/downloader/requests/", body(numbers_item, 0))
    assert await Retention(services.database, services.store, 3600, 0).expire() == []
    assert services.store.names() == [kept["blob_name"]]


async def test_too_much_in_all_takes_what_was_asked_for_longest_ago(owner, services, numbers_item):
    requests = [await finished(owner, numbers_item, least) for least in range(4)]
    two = requests[2]["real_size"] + requests[3]["real_size"]
    retention = Retention(services.database, services.store, 0, two)
    # What was asked for just now may still be being read.
    assert await retention.expire() == []
    gone = await retention.expire(now() + timedelta(minutes=11))
    assert gone == [request["blob_name"] for request in requests[:2]]
    assert services.store.names() == sorted(request["blob_name"] for request in requests[2:])


async def test_deleting_an_item_takes_its_results_along_and_their_links_lead_nowhere(owner, services, numbers_item):
    kept = await finished(owner, numbers_item, 0)
    assert (await owner.get(kept["download_uri"])).status == 200
    assert (await owner.delete(f"/downloader/requests/{kept['id']}")).status == 200
    assert (await owner.delete(f"/catalogue/items/{numbers_item['id']}")).status == 200
    assert services.store.names() == []
    assert (await owner.get(kept["download_uri"])).status == 404
