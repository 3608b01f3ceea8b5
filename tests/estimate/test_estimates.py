"""``POST /downloader/requests/estimate/`` over HTTP, beside what the requests then give."""

from __future__ import annotations

import asyncio

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import update
from support import column

from cosphere_jupyter.catalogue.profiles import read_profile, store_factor
from cosphere_jupyter.catalogue.tables import catalogue_profiles

COLUMNS = ["id", "device", "kind", "price", "day"]


def near(estimate, truth, factor=1.25):
    return truth / factor <= estimate <= truth * factor


async def test_the_answer_is_the_apis_with_our_additions(asker, spec):
    found = await asker.estimate(spec(["id"], ratio=0.9))
    assert found.pop("@event") == "SIZE_OF_DOWNLOAD_REQUEST_ESTIMATED"
    assert found.pop("@type") == "download_request_estimated_size"
    assert set(found) == {"estimated_size", "rows", "low", "high", "method"}
    assert all(type(found[name]) is int for name in ("estimated_size", "rows", "low", "high"))
    assert found["low"] <= found["estimated_size"] <= found["high"]


@pytest.mark.parametrize("with_profile", [True, False])
async def test_it_is_near_the_truth(owner, item, make_asker, spec, with_profile):
    if with_profile:
        assert (await owner.put(f"/catalogue/items/{item['id']}/samples_and_distributions/")).status == 200
    asker = make_asker(item)
    cases = [
        spec(COLUMNS),
        spec(COLUMNS, ratio=0.5),
        spec(["device", "kind"], ("device", "=", "device-1")),
        spec(["kind"], ("device", "=", "device-1"), ("id", "<", 60_000)),
        spec(["price", "id"], ("price", ">=", 5), ("price", "<", 9.5)),
        spec(COLUMNS, ("day", ">=", "1970-07-01"), ratio=0.7),
        spec(COLUMNS, ("id", "<", 100)),
        spec(COLUMNS, ("id", "=", 7)),
        spec(COLUMNS, ("id", "<", 0)),
        spec(COLUMNS, ratio=0),
    ]
    for case in cases:
        found = await asker.estimate(case)
        _, ended = await asker.request(case)
        assert near(found["estimated_size"], ended["real_size"]), (case, found, ended["real_size"])


async def test_rows_are_counted_exactly(asker, readings, spec):
    table = pq.read_table(readings)
    prices = [price for price in table["price"].to_pylist() if price is not None]
    for operator, truth in {
        "<": sum(price < 7.5 for price in prices),
        ">=": sum(price >= 7.5 for price in prices),
        "=": prices.count(7.5),
        "!=": len(prices) - prices.count(7.5),
    }.items():
        assert (await asker.estimate(spec(["id"], ("price", operator, 7.5))))["rows"] == truth
    assert (await asker.estimate(spec(["id"])))["rows"] == 120_000
    assert (await asker.estimate(spec(["id"], ratio=0)))["rows"] == 0


async def test_a_sample_has_the_rows_that_the_request_gives(asker, spec, services):
    asked = spec(["id", "price"], ("kind", "=", "kind-1"), ratio=0.3)
    found = await asker.estimate(asked)
    _, ended = await asker.request(asked)
    manifest = services.store.manifest(ended["blob_name"])
    assert found["rows"] == manifest["rows"]


async def test_small_and_empty_results_are_exact_to_the_byte(asker, spec):
    for asked in (
        spec(COLUMNS, ("id", "<", 5_000)),
        spec(["kind"], ("device", "=", "device-777")),
        spec(COLUMNS, ("id", "=", -1)),
    ):
        found = await asker.estimate(asked)
        _, ended = await asker.request(asked)
        assert abs(found["estimated_size"] - ended["real_size"]) <= 8, (asked, found)


async def test_more_rows_and_more_columns_are_never_less(asker, spec):
    sizes = [
        (await asker.estimate(spec(COLUMNS, ("id", "<", bound))))["estimated_size"] for bound in (0, 1, 300, 20_000)
    ]
    sizes += [
        (await asker.estimate(spec(COLUMNS, ("id", "<", bound))))["estimated_size"] for bound in (60_000, 120_000)
    ]
    assert sizes == sorted(sizes)
    sizes = [(await asker.estimate(spec(COLUMNS, ratio=ratio)))["estimated_size"] for ratio in (0, 0.2, 0.5, 0.8, 1)]
    assert sizes == sorted(sizes)
    sizes = [(await asker.estimate(spec(COLUMNS[:number])))["estimated_size"] for number in range(1, 6)]
    assert sizes == sorted(sizes)


async def test_wrong_input_is_refused_as_in_creation(owner, asker, spec):
    bodies = [
        {},
        {"spec": spec(["id"])},
        {"catalogue_item_id": asker.item["id"]},
        {"catalogue_item_id": "TEXT", "spec": spec(["id"])},
        {"catalogue_item_id": None, "spec": None},
        {"catalogue_item_id": 58495, "spec": spec(["id"])},
        [],
        None,
    ]
    bodies += [
        asker.body(asked)
        for asked in (
            [],
            {},
            {"columns": ["id"]},
            {"columns": "id", "filters": []},
            spec([]),
            spec(["id", "id"]),
            spec(["id", "gone"]),
            spec(["id"], ("gone", "=", 1)),
            spec(["id"], ("id", ">>", 1)),
            spec(["id"], ("id", "=", None)),
            spec(["id"], ("id", "=", "5")),
            spec(["id"], ("id", "=", 2**64)),
            spec(["id"], ("day", "=", "soon")),
            spec(["id"], ("price", "=", "5")),
            spec(["id"], ratio=1.5),
            spec(["id"], ratio=-1),
            spec(["id"], ratio=None, randomize_ratio=None),
            spec(["id"], seed="x"),
        )
    ]
    for body in bodies:
        estimate = await owner.post("/downloader/requests/estimate/", body)
        creation = await owner.post("/downloader/requests/", body)
        assert (estimate.status, estimate.json) == (creation.status, creation.json), body
        assert estimate.status == 400, body
    for raw in (b"{", b"\xff", b"[1,", b"NaN,"):
        estimate = await owner("POST", "/downloader/requests/estimate/", raw=raw)
        creation = await owner("POST", "/downloader/requests/", raw=raw)
        assert (estimate.status, estimate.json) == (creation.status, creation.json)
    assert (await owner.get("/downloader/requests/")).json["requests"] == []


async def test_any_account_may_ask_and_nobody_else(researcher, anybody, asker, spec):
    assert (await researcher.post("/downloader/requests/estimate/", asker.body(spec(["id"])))).status == 200
    assert (await anybody.post("/downloader/requests/estimate/", asker.body(spec(["id"])))).status == 401
    assert (await researcher.get("/downloader/requests/estimate/")).status == 405


async def test_many_at_once_are_answered(owner, asker, spec):
    headers = {"Authorization": owner.authorization}
    async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as client:
        url = f"{owner.base}/downloader/requests/estimate/"
        asked = [asker.body(spec(["id", "device"], ("id", "<", number * 1000))) for number in range(20)]
        answers = await asyncio.gather(*(client.post(url, json=body) for body in asked))
    assert [answer.json()["rows"] for answer in answers] == [number * 1000 for number in range(20)]


async def test_items_of_other_engines_are_estimated_by_what_the_catalogue_says(owner, make_asker, spec):
    numbers = [{"value": edge, "count": 100} for edge in range(0, 1000, 10)]
    columns = [
        column("n", "INTEGER", size=50_000, distribution=numbers, is_nullable=False),
        column("w", "STRING", size=20_000, is_enum=True, distribution=[{"value": "a", "count": 9_000}]),
        column("x", "FLOAT"),
    ]
    item = await athena(owner, "iot.known", columns)
    asker = make_asker(item)
    found = await asker.estimate(spec(["n", "w"]))
    assert (found["rows"], found["estimated_size"]) == (10_000, pytest.approx(70_000, rel=0.01))
    found = await asker.estimate(spec(["n"], ("n", "<", 500), ratio=0.5))
    assert (found["rows"], found["estimated_size"]) == (pytest.approx(2_500, rel=0.05), pytest.approx(12_500, rel=0.1))
    assert (await asker.estimate(spec(["n"], ("w", "=", "b"))))["rows"] == 0
    assert (await asker.estimate(spec(["x"], ("x", ">", 1))))["estimated_size"] > 0


async def test_an_item_of_which_nothing_is_known_gets_an_honest_nothing(owner, make_asker, spec):
    item = await athena(owner, "iot.unknown", [column("x", "FLOAT")])
    found = await make_asker(item).estimate(spec(["x"]))
    assert (found["estimated_size"], found["rows"], found["method"]) == (0, None, "nothing is known of this table")
    assert (found["low"], found["high"]) == (None, None)
    item = await athena(owner, "iot.sized", [column("x", "FLOAT", size=1000)])
    assert (await make_asker(item).estimate(spec(["x"], ratio=0.5)))["estimated_size"] == 500


async def athena(owner, name, columns):
    body = {"name": name, "executor_type": "ATHENA", "maintained_by_id": owner.account["id"], "spec": columns}
    created = await owner.post("/catalogue/items/", body)
    assert created.status == 201, created.body
    return created.json


async def test_data_that_cannot_be_read_any_more(owner, asker, spec, root):
    before = await asker.estimate(spec(["id"], ("id", "<", 50_000)))
    (root / "readings.parquet").write_bytes(b"PAR1 no more")
    after = await asker.estimate(spec(["id"], ("id", "<", 50_000)))
    assert near(after["estimated_size"], before["estimated_size"])
    assert "distributions" in after["method"]
    (root / "readings.parquet").unlink()
    estimate = await owner.post("/downloader/requests/estimate/", asker.body(spec(["id"])))
    creation = await owner.post("/downloader/requests/", asker.body(spec(["id"])))
    assert (estimate.status, estimate.json) == (creation.status, creation.json)
    assert estimate.status == 400


async def test_a_lost_sample_is_no_error(asker, spec, services):
    for path in (services.settings.data_dir / "profiles").iterdir():
        path.unlink()
    assert (await asker.estimate(spec(["id"], ("id", "<", 50_000))))["rows"] == 50_000


async def test_a_new_request_knows_its_likely_size_at_once(asker, item, spec):
    created, ended = await asker.request(spec(COLUMNS, ("id", "<", 30_000)))
    assert near(created["estimated_size"], ended["real_size"])
    assert ended["estimated_size"] == created["estimated_size"]


async def test_without_a_profile_a_new_request_has_no_estimated_size(item, make_asker, spec):
    created, _ = await make_asker(item).request(spec(["id"]))
    assert created["estimated_size"] is None


async def test_finished_requests_correct_the_factor(asker, item, spec, services):
    async def factor():
        profile = await services.database.read(lambda connection: read_profile(connection, item["id"]))
        return profile.factor

    await services.database.write(lambda connection: store_factor(connection, item["id"], 2.0))
    errors, factors = [], []
    for number in range(12):
        created, ended = await asker.request(spec(COLUMNS, ("id", ">=", number), ("id", "<", 100_000)))
        errors.append(created["estimated_size"] / ended["real_size"])
        factors.append(await factor())
    assert errors[0] > 1.8
    assert factors == sorted(factors, reverse=True) and errors == sorted(errors, reverse=True)
    assert errors[-1] < 1.15 and 0.9 < factors[-1] < 1.2
    await asker.request(spec(COLUMNS, ("id", "<", 10)))
    assert await factor() == factors[-1]


async def test_a_profile_that_cannot_be_read_harms_no_request(asker, item, spec, services):
    spoil = update(catalogue_profiles).values(columns={"nonsense": 1})
    await services.database.write(lambda connection: connection.execute(spoil))
    created, _ = await asker.request(spec(COLUMNS, ("id", "<", 30_000)))
    assert created["estimated_size"] is None


async def test_data_that_changed_since_the_profile_are_counted_anew(asker, root, readings, spec):
    table = pq.read_table(readings)
    pq.write_table(pa.concat_tables([table, table]), root / "readings.parquet")
    found = await asker.estimate(spec(COLUMNS))
    _, ended = await asker.request(spec(COLUMNS))
    assert found["rows"] == 240_000
    assert near(found["estimated_size"], ended["real_size"], 1.5)
