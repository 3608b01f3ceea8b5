"""Samples: repeatable, nested, independent of the query and of each other's seed, for each kind of source."""

from __future__ import annotations

import itertools
import json
import math

import pyarrow as pa
import pytest

ROWS = 20_000
SOURCES = {
    "parquet": "parts/*.parquet",
    "parquet with a row number of its own": "clash.parquet",
    "csv": "parts/*.csv",
    "json": "parts/*.jsonl",
    "duckdb table": "lab.duckdb::t",
    "duckdb table with a rowid of its own": "lab.duckdb::with_rowid",
    "duckdb view": "lab.duckdb::v",
    "sqlite table": "lab.sqlite::t",
    "sqlite table without row ids": "lab.sqlite::keyed",
    "sqlite view": "lab.sqlite::v",
}


@pytest.fixture(scope="module")
def samples(shared_lab):
    lab = shared_lab
    half = ROWS // 2
    for part in range(2):
        ids = range(part * half, (part + 1) * half)
        lab.parquet(f"parts/{part}.parquet", id=list(ids), n=[i % 7 for i in ids])
        (lab.data / f"parts/{part}.csv").write_text("id,n\n" + "".join(f"{i},{i % 7}\n" for i in ids))
        (lab.data / f"parts/{part}.jsonl").write_text("".join(json.dumps({"id": i, "n": i % 7}) + "\n" for i in ids))
    ids = range(ROWS)
    lab.parquet(
        "clash.parquet", id=list(ids), n=[i % 7 for i in ids], File_Row_Number=[0] * ROWS, filename=["x"] * ROWS
    )
    lab.duckdb(
        "lab.duckdb",
        f"CREATE TABLE t AS SELECT i AS id, i % 7 AS n FROM range({ROWS}) r(i)",
        "CREATE TABLE with_rowid AS SELECT id, n, 0 AS RowID FROM t",
        "CREATE VIEW v AS SELECT id, n, sum(id / 3) AS s FROM t GROUP BY ALL",
    )
    lab.sqlite(
        "lab.sqlite",
        "CREATE TABLE t (id INTEGER, n INTEGER, rowid INTEGER)",
        "INSERT INTO t VALUES (?, ?, 0)",
        "CREATE INDEX by_n ON t (n, id)",
        "CREATE TABLE keyed (id INTEGER PRIMARY KEY, n INTEGER) WITHOUT ROWID",
        "INSERT INTO keyed SELECT id, n FROM t",
        "CREATE VIEW v AS SELECT id, n, -id AS s FROM t",
        rows=[(i, i % 7) for i in ids],
    )
    return lab


def sample(lab, kind, ratio, seed=0, *filters, columns=("id",), **options):
    types = {"id": "INTEGER", "n": "INTEGER", "s": "FLOAT"}
    found = lab.table(SOURCES[kind], columns, *filters, ratio=ratio, seed=seed, types=types, **options)
    ids = found["id"].to_pylist()
    assert len(set(ids)) == len(ids)
    return set(ids)


def is_plausible(count, total, share):
    """Within five standard deviations: fails by chance once in two million checks, but the hash is fixed."""
    return abs(count - total * share) < 5 * math.sqrt(total * share * (1 - share))


@pytest.mark.parametrize("kind", SOURCES)
def test_a_sample_is_the_same_with_any_number_of_threads(samples, kind):
    first = sample(samples, kind, 0.3, threads=1)
    assert all(sample(samples, kind, 0.3, threads=threads) == first for threads in (1, 2, 4))


@pytest.mark.parametrize("kind", SOURCES)
def test_a_smaller_ratio_keeps_a_subset(samples, kind):
    found = [sample(samples, kind, ratio, 5) for ratio in (0, 1e-12, 0.001, 0.1, 0.2, 0.9, 0.999999999999, 1)]
    assert all(small <= big for small, big in itertools.pairwise(found))
    assert found[0] == set()
    assert found[-1] == set(range(ROWS))


@pytest.mark.parametrize("kind", SOURCES)
def test_a_sample_depends_neither_on_columns_nor_on_filters(samples, kind):
    whole = sample(samples, kind, 0.4, 1)
    assert sample(samples, kind, 0.4, 1, columns=("n", "id")) == whole
    filtered = sample(samples, kind, 0.4, 1, ("n", "=", 3), ("id", ">=", 1000))
    assert filtered == {i for i in whole if i % 7 == 3 and i >= 1000}


@pytest.mark.parametrize("kind", SOURCES)
def test_samples_are_uniform_and_seeds_are_independent(samples, kind):
    ratio = 0.3
    found = [sample(samples, kind, ratio, seed) for seed in (0, 1, 2, 3, 2**63, -1)]
    for index, one in enumerate(found):
        assert is_plausible(len(one), ROWS, ratio)
        for start in range(0, ROWS, ROWS // 20):
            assert is_plausible(sum(start <= i < start + ROWS // 20 for i in one), ROWS // 20, ratio)
        for other in found[:index]:
            assert is_plausible(len(one & other), len(other), ratio)


def test_files_of_one_table_have_independent_samples(samples):
    half = ROWS // 2
    found = sample(samples, "parquet", 0.5)
    first, second = {i for i in found if i < half}, {i - half for i in found if i >= half}
    assert is_plausible(len(first & second), len(first), 0.5)


def test_moved_data_keeps_its_sample(samples, tmp_path_factory):
    from cosphere_jupyter.executors.duckdb import DuckDBExecutor

    before, executor = sample(samples, "parquet", 0.3), samples.executor
    target = tmp_path_factory.mktemp("elsewhere") / "a longer name é"
    version = executor.resolve(SOURCES["parquet"]).version
    samples.data.rename(target)
    try:
        samples.executor = DuckDBExecutor([target])
        assert sample(samples, "parquet", 0.3) == before
        assert samples.executor.resolve(SOURCES["parquet"]).version == version
    finally:
        target.rename(samples.data)
        samples.executor = executor


def test_equal_rows_of_a_view_are_sampled_one_by_one(lab):
    lab.duckdb("l.duckdb", "CREATE VIEW v AS SELECT 1 AS one FROM range(10000)")
    assert is_plausible(lab.table("l.duckdb::v", ["one"], ratio=0.5).num_rows, 10_000, 0.5)


def test_the_method_of_a_sample_is_told(samples):
    from cosphere_jupyter.executors.base import Query

    told = {
        kind: samples.unload(SOURCES[kind], Query(("id",), (), 0.5), {"id": "INTEGER"})[0]["sampling"]
        for kind in SOURCES
    }
    assert all(text.startswith("hash of ") for text in told.values())
    assert samples.unload(SOURCES["csv"], Query(("id",)), {"id": "INTEGER"})[0]["sampling"] is None


def test_a_sample_of_nothing_has_the_schema(samples):
    found = samples.table(SOURCES["csv"], ["n", "id"], ratio=0, types={"id": "INTEGER", "n": "INTEGER"})
    assert found.schema.equals(pa.schema([("n", pa.int64()), ("id", pa.int64())]))
    assert found.num_rows == 0
