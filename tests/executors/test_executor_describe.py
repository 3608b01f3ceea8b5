"""Describing: the columns of each kind of source as the catalogue wants them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cosphere_jupyter.errors import ExecutionError
from cosphere_jupyter.executors.base import Column


def columns(lab, source, **limits):
    return {column["name"]: Column.from_json(column) for column in lab.describe(source, **limits)["columns"]}


def test_parquet_is_described_by_its_footers(lab):
    lab.parquet(
        "a/1.parquet",
        i=[1, 2],
        f=[1.5, None],
        s=["a", "b"],
        b=[True, False],
        d=pa.array([0, 1], pa.date32()),
        t=pa.array([0, 1], pa.timestamp("ns", "UTC")),
        dec=pa.array([1, 2], pa.decimal128(5, 2)),
        l=[[1], [2]],
        st=[{"x": 1, "y": [2]}, None],
        n=pa.nulls(2),
    )
    found = columns(lab, "a/1.parquet")
    assert {name: column.type for name, column in found.items()} == {
        "i": "INTEGER",
        "f": "FLOAT",
        "s": "STRING",
        "b": "BOOLEAN",
        "d": "DATETIME",
        "t": "DATETIME",
        "dec": "FLOAT",
        "l": "STRING",
        "st": "STRING",
        "n": "STRING",
    }
    assert {name for name, column in found.items() if not column.is_nullable} >= {"i", "s", "b", "d", "t", "dec"}
    assert found["f"].is_nullable
    assert found["n"].is_nullable
    metadata = pq.read_metadata(lab.data / "a/1.parquet").row_group(0)
    assert sum(column.size for column in found.values()) == sum(
        metadata.column(index).total_compressed_size for index in range(metadata.num_columns)
    )
    assert lab.describe("a/1.parquet")["rows"] == 2


def test_sizes_add_up_over_files_and_a_missing_column_is_nullable(lab):
    lab.parquet("a/1.parquet", a=[1], b=[1])
    lab.parquet("a/2.parquet", a=[1])
    one, both = columns(lab, "a/1.parquet"), columns(lab, "a/*.parquet")
    assert both["a"].size == 2 * one["a"].size
    assert (both["a"].is_nullable, both["b"].is_nullable) == (False, True)
    assert lab.describe("a/*.parquet")["rows"] == 2


def test_names_which_differ_in_case_only_are_told_apart(lab):
    names = ["a", "A", "a_1", "", 'x"y', "q.r", "a"]
    table = pa.Table.from_arrays([pa.array([index, None]) for index in range(len(names))], names)
    pq.write_table(table, lab.data / "a.parquet")
    found = columns(lab, "a.parquet")
    assert list(found) == ["a", "A_1", "a_1_1", "C3", 'x"y', "q.r", "a_2"]
    assert all(column.size for column in found.values())
    assert lab.rows("a.parquet", list(found), ("A_1", "=", 1)) == [(0, 1, 2, 3, 4, 5, 6)]


@pytest.mark.parametrize("kind", ["parquet", "csv", "json", "duckdb", "sqlite"])
def test_columns_with_few_texts_are_enums(lab, kind):
    rows = [(f"m{i % 3}", f"t{i}", i % 2) for i in range(1000)]
    source = {"duckdb": "l.duckdb::t", "sqlite": "l.sqlite::t", "json": "a.jsonl"}.get(kind, f"a.{kind}")
    if kind == "sqlite":
        lab.sqlite(
            "l.sqlite", "CREATE TABLE t (m TEXT, t TEXT, n INTEGER)", "INSERT INTO t VALUES (?, ?, ?)", rows=rows
        )
    else:
        lab.parquet("a.parquet", m=[r[0] for r in rows], t=[r[1] for r in rows], n=[r[2] for r in rows])
        file = lab.data / "a.parquet"
        lab.duckdb(
            "l.duckdb",
            f"CREATE TABLE t AS FROM '{file}'",
            f"COPY t TO '{lab.data / 'a.csv'}'",
            f"COPY t TO '{lab.data / 'a.jsonl'}'",
        )
    found = columns(lab, source)
    assert {name for name, column in found.items() if column.is_enum} == {"m"}
    assert lab.describe(source)["rows"] == 1000
    assert not any(column.is_enum for column in columns(lab, source, enum_values=2).values())


def test_enum_types_and_not_null_columns_of_a_database_are_known(lab):
    lab.duckdb(
        "l.duckdb",
        "CREATE TYPE mood AS ENUM ('sad', 'happy')",
        "CREATE TABLE t (m mood, n INTEGER NOT NULL, h HUGEINT, x INTERVAL)",
        "CREATE VIEW v AS SELECT n FROM t",
    )
    found = columns(lab, "l.duckdb::t")
    assert [column.type for column in found.values()] == ["STRING", "INTEGER", "INTEGER", "STRING"]
    assert found["m"].is_enum
    assert {name for name, column in found.items() if not column.is_nullable} == {"n"}
    assert lab.describe("l.duckdb::v")["rows"] is None


def test_sqlite_columns_are_described_by_what_they_hold(lab):
    lab.sqlite(
        "l.sqlite",
        "CREATE TABLE t (a INTEGER NOT NULL, d DATETIME, e DATETIME, x, y, z TEXT)",
        "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)",
        rows=[(1, "2020-01-01", 1577836800, 1, 1.5, None), (2, None, None, None, 2, "z")],
    )
    found = columns(lab, "l.sqlite::t")
    assert [column.type for column in found.values()] == [
        "INTEGER",
        "DATETIME",
        "INTEGER",
        "INTEGER",
        "FLOAT",
        "STRING",
    ]
    assert not found["a"].is_nullable


def test_big_text_files_are_not_counted(lab):
    (lab.data / "a.csv").write_text("a\n1\n")
    assert lab.describe("a.csv")["rows"] == 1
    assert lab.describe("a.csv", count_bytes=1)["rows"] is None


def test_footers_are_given_up_when_there_are_too_many(lab):
    lab.parquet("a.parquet", a=[1], b=[2])
    found = lab.describe("a.parquet", footer_cells=1)
    assert found["rows"] == 1
    assert all(column["size"] is None and column["is_nullable"] for column in found["columns"])


def test_wide_tables_are_described(lab):
    lab.parquet("wide.parquet", **{f"c{index}": ["x"] * 30 for index in range(1500)})
    assert len(columns(lab, "wide.parquet")) == 1500


def test_an_unreadable_file_is_named(lab):
    (lab.data / "a.parquet").write_text("nothing")
    with pytest.raises(ExecutionError, match=r"'a\.parquet'"):
        lab.describe("a.parquet")
