"""The child's part of an estimate: counting in time or not, the stored sample, every kind of source."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cosphere_jupyter.catalogue.items import CatalogueItem
from cosphere_jupyter.catalogue.profiles import Profile
from cosphere_jupyter.downloads.estimate import combine
from cosphere_jupyter.executors.base import Comparison, Query
from cosphere_jupyter.executors.duckdb import DuckDBExecutor, child

ROWS = 100_000


class Lab:
    def __init__(self, folder):
        self.folder = folder
        self.executor = DuckDBExecutor([folder], memory_limit="500MB", threads=2)

    def found(self, source, query, types, sample=None, seconds=5.0, **options):
        params = self.executor.estimate_params(self.executor.resolve(source), query, types, sample, seconds, **options)
        return json.loads(json.dumps(child.estimate(json.loads(json.dumps(params)), print)))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    table = pa.table({"n": pa.array(range(ROWS)), "w": [f"w{n % 10}" for n in range(ROWS)]})
    pq.write_table(table, folder / "t.parquet")
    rows = table.to_pylist()
    (folder / "t.csv").write_text("n,w\n" + "".join(f"{row['n']},{row['w']}\n" for row in rows))
    with duckdb.connect(str(folder / "t.duckdb")) as connection:
        connection.execute(f"CREATE TABLE t AS SELECT * FROM '{folder}/t.parquet'")
        connection.execute("CREATE VIEW v AS SELECT * FROM t")
    connection = sqlite3.connect(folder / "t.sqlite")
    connection.execute("CREATE TABLE t (n INTEGER, w TEXT)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(row["n"], row["w"]) for row in rows])
    connection.commit()
    connection.close()
    return Lab(folder)


TYPES = {"n": "INTEGER", "w": "STRING"}


@pytest.mark.parametrize("source", ["t.parquet", "t.csv", "t.duckdb::t", "t.duckdb::v", "t.sqlite::t"])
def test_every_kind_of_source_is_counted_without_a_profile(lab, source):
    few = lab.found(source, Query(("n", "w"), (Comparison("n", "<", 500),)), TYPES)
    assert (few["rows"], few["probe"]["rows"], few["is_sample"]) == (500, 500, False)
    many = lab.found(source, Query(("n", "w"), (Comparison("w", "!=", "w3"),)), TYPES)
    assert many["rows"] == 90_000
    assert many["probe"]["rows"] > 15_000 and many["is_sample"] is False
    none = lab.found(source, Query(("n",), (Comparison("n", "<", 0),)), TYPES)
    assert (none["rows"], none["probe"]["rows"]) == (0, 0)


def test_an_unfinished_count_is_none_and_does_not_take_longer(lab, big_parquet):
    executor = DuckDBExecutor([big_parquet.parent], memory_limit="1GB", threads=1)
    slow = Query(("n", "x"), tuple(Comparison("x", "!=", index / 7) for index in range(300)), 0.5)
    params = executor.estimate_params(executor.resolve("big.parquet"), slow, {}, None, 0.2)
    start = time.perf_counter()
    found = child.estimate(params, print)
    assert time.perf_counter() - start < 5
    assert found["rows"] is None
    assert found["table_rows"] == 12_000_000
    assert found["probe"] is None or found["probe"]["rows"] == 20_000


@pytest.fixture(scope="module")
def profiled(lab, tmp_path_factory):
    """An item and its profile, with a stored sample of a fifth of its rows."""
    work = tmp_path_factory.mktemp("work")
    spec = child.describe(lab.executor.describe_params("t.parquet"))["columns"]
    params = lab.executor.profile_params(lab.executor.resolve("t.parquet"), spec, work, work / "tmp")
    child.profile(params, lambda progress: None)
    found = json.loads((work / child.OUTCOME).read_text())
    columns, sample = json.dumps(found["columns"]), json.dumps(found["sample"])
    item = CatalogueItem(1, "t", "DUCKDB", "t.parquet", columns, sample, None, None, None)
    return item, Profile(1, "", found["rows"], found["estimator"], str(work / "sample.parquet"), 1.0)


@pytest.mark.parametrize(
    ("filters", "truth", "factor"),
    [
        ((), ROWS, 1.01),
        ((Comparison("w", "=", "w3"),), 10_000, 1.1),
        ((Comparison("n", ">=", 20_000), Comparison("n", "<", 60_000)), 40_000, 1.1),
        ((Comparison("n", "<", 100),), 100, 2.0),
        ((Comparison("n", "<", 0),), 0, 1.0),
    ],
)
def test_the_stored_sample_alone_is_near_and_its_bounds_hold(lab, profiled, filters, truth, factor):
    item, profile = profiled
    query = Query(("n", "w"), filters)
    found = lab.found("t.parquet", query, TYPES, profile.sample_name, exact=False)
    assert (found["rows"], found["is_sample"]) == (None, True)
    estimate = combine(item, query, profile, found)
    assert truth / factor <= estimate.rows <= truth * factor
    real = unloaded(lab, query)
    assert estimate.low <= real <= estimate.high, (estimate, real)


def test_the_profile_alone_is_near(lab, profiled):
    item, profile = profiled
    for filters in ((), (Comparison("w", "=", "w3"),), (Comparison("n", ">=", 50_000),)):
        query = Query(("n", "w"), filters)
        real = unloaded(lab, query)
        assert real / 1.25 <= combine(item, query, profile, None).size <= real * 1.25


def test_a_sampled_request_of_the_stored_sample_has_its_share(lab, profiled):
    item, profile = profiled
    query = Query(("n",), (), 0.25)
    found = lab.found("t.parquet", query, TYPES, profile.sample_name, exact=False)
    assert combine(item, query, profile, found).rows == ROWS / 4


def unloaded(lab, query):
    folder = lab.folder / "result"
    folder.mkdir()
    try:
        source = lab.executor.resolve("t.parquet")
        return child.unload(lab.executor.unload_params(source, query, TYPES, folder, folder / "tmp"), print)["bytes"]
    finally:
        shutil.rmtree(folder)
