"""``PUT /catalogue/items/{id}/samples_and_distributions/`` over HTTP: one task, stored whole or not at all."""

from __future__ import annotations

import asyncio
import stat
import threading
import time
from contextlib import suppress

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from real_server import RealServer
from sqlalchemy import select
from support import column

from cosphere_jupyter.catalogue.profiles import read_profile
from cosphere_jupyter.tasks import records
from cosphere_jupyter.tasks.tables import tasks

DONE = {"@event": "CATALOGUEITEM_WITH_SAMPLE_AND_DISTRIBUTION_UPDATED", "@type": "empty"}
FAILED = "COULD_NOT_UPDATE_SAMPLE_AND_DISTRIBUTION"


def path_of(item):
    return f"/catalogue/items/{item['id']}/samples_and_distributions/"


async def read(api, item):
    return (await api.get(f"/catalogue/items/{item['id']}")).json


async def profile_tasks(services):
    def find(connection):
        keys = connection.execute(select(tasks.c.key).where(tasks.c.name == "profile")).scalars()
        return [records.read_task(connection, key) for key in keys]

    return await services.database.read(find)


def stored_samples(services):
    return list((services.settings.data_dir / "profiles").glob("*"))


async def create(api, name, source, **values):
    body = {"name": name, "executor_type": "DUCKDB", "source": source, "maintained_by_id": api.account["id"], **values}
    created = await api.post("/catalogue/items/", body)
    assert created.status == 201, created.body
    return created.json


async def test_it_fills_the_item_and_nothing_else_of_it(owner, admin, numbers_item):
    answer = await admin.put(path_of(numbers_item), raw=b"\xff garbage {")
    assert (answer.status, answer.json) == (200, DONE)
    item = await read(owner, numbers_item)
    found = {each["name"]: each for each in item["spec"]}
    assert [(each["value"], each["count"]) for each in found["n"]["distribution"]] == [
        (value, 10) for value in range(0, 1000, 10)
    ]
    assert found["word"]["distribution"] == [{"value": "even", "count": 500}, {"value": "odd", "count": 500}]
    assert found["flag"]["distribution"] == [
        {"value": False, "count": 600},
        {"value": True, "count": 300},
        {"value": None, "count": 100},
    ]
    assert found["half"]["distribution"][0] == {"value": 0.0, "count": 10}
    days = found["day"]["distribution"]
    assert (len(days), days[0]) == (100, {"value": "2013-01-01T00:00:00", "end": "2013-01-11T00:00:00", "count": 10})
    assert days[-1] == {"value": "2015-09-18T00:00:00", "end": "2015-09-27T00:00:00", "count": 10}
    assert len(item["sample"]) == 100 and set(item["sample"][0]) == set(found)
    same = [key for key in item if key not in ("spec", "sample", "@event")]
    assert {key: item[key] for key in same} == {key: numbers_item[key] for key in same}
    assert item["updated_by"]["email"] == owner.account["email"] != admin.account["email"]
    for before, after in zip(numbers_item["spec"], item["spec"], strict=True):
        assert {**before, "distribution": None, "size": 0} == {**after, "distribution": None, "size": 0}


async def test_the_same_spec_may_be_put_afterwards_and_a_filter_by_a_value_of_it_is_accepted(owner, numbers_item):
    await owner.put(path_of(numbers_item))
    item = await read(owner, numbers_item)
    body = {"spec": item["spec"], "maintained_by_id": owner.account["id"], "executor_type": "DUCKDB"}
    answer = await owner.put(f"/catalogue/items/{item['id']}", body)
    assert answer.status == 200, answer.body
    assert {key: answer.json[key] for key in ("spec", "sample")} == {key: item[key] for key in ("spec", "sample")}
    for each in item["spec"]:
        value = each["distribution"][0]["value"]
        spec = {"columns": ["n"], "filters": [{"name": each["name"], "operator": "=", "value": value}]}
        answer = await owner.post("/downloader/requests/estimate/", {"catalogue_item_id": item["id"], "spec": spec})
        assert answer.status == 200 and answer.json["rows"] > 0, answer.body


async def test_whatever_odd_values_a_table_holds_what_is_shown_of_it_can_be_sent_back(owner, root):
    odd = pa.table(
        {
            "word": ["a\0b", "\0", "a", "\ufeff", None, "\u2028"],
            "big": pa.array([0, 1, 2**63, 2**64 - 2, 2**64 - 1, 2**64 - 1], pa.uint64()),
        }
    )
    pq.write_table(odd, root / "odd.parquet")
    item = await create(owner, "odd", "odd.parquet")
    assert (await owner.put(path_of(item))).status == 200
    filled = await read(owner, item)
    values = {key: filled[key] for key in ("spec", "sample", "executor_type", "source")}
    values["maintained_by_id"] = owner.account["id"]
    assert (await owner.put(f"/catalogue/items/{item['id']}", values)).status == 200
    assert (await owner.post("/catalogue/items/", {**values, "name": "copy"})).status == 201
    for each in filled["spec"]:
        for entry in each["distribution"]:
            if entry["value"] is None:
                continue
            is_bin = each["name"] == "big"
            asked = {"name": each["name"], "operator": ">=" if is_bin else "=", "value": entry["value"]}
            body = {"catalogue_item_id": item["id"], "spec": {"columns": ["big"], "filters": [asked]}}
            answer = await owner.post("/downloader/requests/", body)
            assert answer.status == 201, (asked, answer.body)
            ended = await owner.settled(answer.json["id"])
            expected = sum(number >= entry["value"] for number in odd["big"].to_pylist()) if is_bin else 1
            rows = (await owner.get(ended["manifest_uri"])).json["rows"]
            assert (ended["task"]["status"], rows) == ("success", expected), asked


async def test_a_column_whose_name_json_cannot_hold_is_refused_in_words(owner, root):
    pq.write_table(pa.table({"n\0": [1]}), root / "odd.parquet")
    values = {"name": "odd", "executor_type": "DUCKDB", "source": "odd.parquet"}
    answer = await owner.post("/catalogue/items/", {**values, "maintained_by_id": owner.account["id"]})
    assert (answer.status, answer.event) == (400, "BODY_JSON_DID_NOT_PARSE")
    assert answer.errors == {"source": ["the name of a column holds characters that JSON cannot hold"]}


async def test_who_may_and_what_is_not_there(owner, researcher, anybody, numbers_item):
    assert (await researcher.put(path_of(numbers_item))).event == "ACCESS_DENIED"
    assert (await anybody.put(path_of(numbers_item))).status == 401
    for id in (9022, 0, 10**30):
        answer = await owner.put(f"/catalogue/items/{id}/samples_and_distributions/")
        assert (answer.status, answer.event) == (404, "COULD_NOT_FIND_CATALOGUEITEM")
    assert (await owner.get(path_of(numbers_item))).status == 405
    assert (await read(owner, numbers_item))["sample"] == []


async def test_tables_of_other_engines_are_refused_and_stay_what_they_are(owner):
    for kind in ("ATHENA", "DATABRICKS"):
        item = await create(owner, f"there.{kind}", None, executor_type=kind, spec=[column()])
        answer = await owner.put(path_of(item))
        assert (answer.status, answer.event) == (400, FAILED)
        assert answer.json["@authorizer"] == {"account_id": owner.account["id"]}
        assert kind in answer.errors["__all__"][0]
        assert {**item, "@event": ""} == {**(await read(owner, item)), "@event": ""}


async def test_a_failure_leaves_the_item_and_its_former_profile(owner, services, numbers_item, numbers):
    await owner.put(path_of(numbers_item))
    before, samples = await read(owner, numbers_item), stored_samples(services)
    numbers.write_bytes(b"PAR1 no more")
    answer = await owner.put(path_of(numbers_item))
    assert (answer.status, answer.event) == (400, FAILED), answer.body
    numbers.unlink()
    answer = await owner.put(path_of(numbers_item))
    assert (answer.status, answer.event) == (400, FAILED)
    assert "numbers.parquet" in answer.errors["__all__"][0]
    assert str(numbers.parent) not in answer.body.decode()
    assert await read(owner, numbers_item) == before
    assert stored_samples(services) == samples
    assert list((services.settings.data_dir / "tmp").iterdir()) == []


async def test_twenty_at_once_wait_for_one_task(owner, services, root):
    table = pa.table({"n": pa.array(range(500_000)), "w": [f"w{n % 5000}" for n in range(500_000)]})
    pq.write_table(table, root / "big.parquet")
    item = await create(owner, "big", "big.parquet")
    # Tornado's client would send ten at once only.
    headers = {"Authorization": owner.authorization}
    async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as client:
        answers = await asyncio.gather(*(client.put(owner.base + path_of(item)) for _ in range(20)))
    assert [answer.json() for answer in answers] == [DONE] * 20
    found = await profile_tasks(services)
    assert [task.state.status for task in found] == ["success"]
    assert len(stored_samples(services)) == 1


async def test_other_routes_answer_while_a_profile_is_made(owner, root):
    pq.write_table(pa.table({"n": pa.array(range(2_000_000)), "m": pa.array(range(2_000_000))}), root / "b.parquet")
    item = await create(owner, "b", "b.parquet")
    work = asyncio.ensure_future(owner.put(path_of(item)))
    longest = 0.0
    while not work.done():
        start = time.perf_counter()
        await owner.get("/accounts/me")
        longest = max(longest, time.perf_counter() - start)
        await asyncio.sleep(0.01)
    assert work.result().status == 200
    assert longest < 1.0


async def test_the_stored_sample_is_private_and_replaced_and_goes_with_its_item(owner, services, numbers_item):
    await owner.put(path_of(numbers_item))
    (first,) = stored_samples(services)
    assert stat.S_IMODE(first.stat().st_mode) == 0o600 and stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    assert pq.read_metadata(first).num_rows == 1000
    await owner.put(path_of(numbers_item))
    (second,) = stored_samples(services)
    assert second != first
    profile = await services.database.read(lambda connection: read_profile(connection, numbers_item["id"]))
    assert (profile.sample_name, profile.rows, profile.factor) == (second.name, 1000, 1.0)
    assert (await owner.delete(f"/catalogue/items/{numbers_item['id']}")).status == 200
    assert await services.profiles.sweep() == [second.name]
    assert stored_samples(services) == []


async def test_a_task_that_is_cancelled_leaves_nothing_behind(owner, services, root):
    pq.write_table(
        pa.table({"n": pa.array(range(3_000_000)), "s": [str(n) for n in range(3_000_000)]}), root / "c.parquet"
    )
    item = await create(owner, "c", "c.parquet")
    work = asyncio.ensure_future(owner.put(path_of(item)))
    while not (found := await profile_tasks(services)) or found[0].state.status != "executing":
        await asyncio.sleep(0.02)
    await services.database.write(lambda connection: records.cancel(connection, found[0].key, "ada@lab.example"))
    services.tasks.kill(found[0].key)
    answer = await work
    assert (answer.status, answer.event) == (400, FAILED)
    assert answer.errors["__all__"] == ["cancelled by ada@lab.example"]
    while services.tasks.is_running(found[0].key):
        await asyncio.sleep(0.02)
    assert stored_samples(services) == []
    assert list((services.settings.data_dir / "tmp").iterdir()) == []
    assert (await read(owner, item))["sample"] == []


async def test_an_item_that_changes_or_goes_meanwhile_keeps_what_it_was_told(owner, services, root):
    rows = 3_000_000
    pq.write_table(pa.table({"n": pa.array(range(rows)), "s": [str(n) for n in range(rows)]}), root / "d.parquet")
    changed, gone = await create(owner, "changed", "d.parquet"), await create(owner, "gone", "d.parquet")
    works = [asyncio.ensure_future(owner.put(path_of(item))) for item in (changed, gone)]
    while len(await profile_tasks(services)) < 2:
        await asyncio.sleep(0.01)
    spec = [{**changed["spec"][0], "is_enum": True}, changed["spec"][1]]
    body = {"spec": spec, "maintained_by_id": owner.account["id"], "executor_type": "DUCKDB"}
    update, deletion = await asyncio.gather(
        owner.put(f"/catalogue/items/{changed['id']}", body), owner.delete(f"/catalogue/items/{gone['id']}")
    )
    assert (update.status, deletion.status) == (200, 200)
    first, second = await asyncio.gather(*works)
    assert (second.status, second.event) == (404, "COULD_NOT_FIND_CATALOGUEITEM")
    item = await read(owner, changed)
    assert (first.status, first.event) == (400, FAILED)
    assert first.errors["__all__"] == ["the item was changed meanwhile; ask again"]
    assert (item["spec"], item["sample"]) == (spec, [])
    assert stored_samples(services) == []


async def test_a_changed_columns_name_is_an_error_and_no_500(owner, numbers_item, numbers):
    pq.write_table(pa.table({"other": [1]}), numbers)
    answer = await owner.put(path_of(numbers_item))
    assert (answer.status, answer.event) == (400, FAILED)
    assert "no column" in answer.errors["__all__"][0]


@pytest.mark.crash
def test_a_profile_survives_a_server_that_is_killed(tmp_path):
    server = RealServer(tmp_path)
    rows = 3_000_000
    table = pa.table({"n": pa.array(range(rows)), "s": pa.array([f"text {n}" for n in range(rows)])})
    pq.write_table(table, server.root / "big.parquet")
    server.start()
    try:
        item = server.create_item("big", "big.parquet")
        ask = f"/catalogue/items/{item['id']}"

        def put():
            with suppress(httpx.HTTPError):
                server.call("PUT", f"{ask}/samples_and_distributions/")

        asking = threading.Thread(target=put)
        asking.start()
        deadline = time.monotonic() + 20
        while not list((server.data_dir / "tmp").glob("*/copy.parquet")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.kill()
        asking.join()
        server.start()
        # Nobody asks again: the task goes on by itself.
        while not (found := server.call("GET", ask).json())["sample"]:
            assert time.monotonic() < deadline + 60
            time.sleep(0.1)
        assert len(found["sample"]) == 100
        assert len(found["spec"][0]["distribution"]) == 100
        assert server.call("PUT", f"{ask}/samples_and_distributions/").status_code == 200
        assert list((server.data_dir / "tmp").iterdir()) == []
    finally:
        server.stop()
    assert len(list((server.data_dir / "profiles").iterdir())) == 1
