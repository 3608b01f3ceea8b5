"""Asking for estimates, and for the truth."""

from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = 120_000


@pytest.fixture(scope="session")
def readings(tmp_path_factory):
    """120,000 rows: id, device (skewed), kind (follows from device), price (a third NULL), day."""
    dice = random.Random(1)
    devices = [int(2 ** (10 * dice.random())) for _ in range(ROWS)]
    table = pa.table(
        {
            "id": pa.array(range(ROWS)),
            "device": [f"device-{device}" for device in devices],
            "kind": [f"kind-{device % 5}" for device in devices],
            "price": [None if dice.random() < 0.33 else round(dice.lognormvariate(2, 1), 2) for _ in range(ROWS)],
            "day": pa.array([86_400_000_000 * (n // 400) for n in range(ROWS)], pa.timestamp("us")),
        }
    )
    path = tmp_path_factory.mktemp("readings") / "readings.parquet"
    pq.write_table(table, path)
    return path


@pytest.fixture
def item(owner, root, readings, run):
    (root / "readings.parquet").write_bytes(readings.read_bytes())
    body = {
        "name": "readings",
        "executor_type": "DUCKDB",
        "source": "readings.parquet",
        "maintained_by_id": owner.account["id"],
    }
    created = run(owner.post("/catalogue/items/", body))
    assert created.status == 201, created.body
    return created.json


@pytest.fixture
def profiled(owner, item, run):
    answer = run(owner.put(f"/catalogue/items/{item['id']}/samples_and_distributions/"))
    assert answer.status == 200, answer.body
    return item


def spec(columns, *filters, ratio=None, **others):
    found = {
        "columns": columns,
        "filters": [dict(zip(("name", "operator", "value"), each, strict=True)) for each in filters],
        **others,
    }
    return found if ratio is None else {**found, "randomize_ratio": ratio}


class Asker:
    def __init__(self, api, item):
        self.api = api
        self.item = item

    async def estimate(self, asked):
        answer = await self.api.post("/downloader/requests/estimate/", self.body(asked))
        assert answer.status == 200, answer.body
        return answer.json

    async def request(self, asked):
        """Run the request for real: (as it was created, as it ended)."""
        created = await self.api.post("/downloader/requests/", self.body(asked))
        assert created.status == 201, created.body
        ended = await self.api.settled(created.json["id"])
        assert ended["task"]["status"] == "success", ended["task"]
        return created.json, ended

    def body(self, asked):
        return {"catalogue_item_id": self.item["id"], "spec": asked}


@pytest.fixture
def asker(owner, profiled):
    return Asker(owner, profiled)


@pytest.fixture
def make_asker(owner):
    return lambda item: Asker(owner, item)


@pytest.fixture(name="spec")
def spec_fixture():
    return spec
