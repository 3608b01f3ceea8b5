"""Unloading: files, order, types, progress, and data that changes or cannot be read."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from datetime import date, datetime

import duckdb
import pyarrow as pa
import pytest

from cosphere_jupyter.errors import ExecutionError
from cosphere_jupyter.executors.base import Column, Query
from cosphere_jupyter.executors.duckdb import child


def failure(lab, source, columns, types=None, **options):
    with pytest.raises(ExecutionError) as caught:
        lab.table(source, columns, types=types, **options)
    text = str(caught.value)
    assert str(lab.data.parent) not in text
    assert "SELECT" not in text
    assert "COPY" not in text
    return text


def test_the_result_tells_what_was_written(lab):
    lab.parquet("a.parquet", b=["x", "y", None], a=[1, 2, 3])
    result, table = lab.unload("a.parquet", Query(("a", "b")))
    assert table.to_pydict() == {"a": [1, 2, 3], "b": ["x", "y", None]}
    (file,) = result["files"]
    assert (file["name"], file["rows"], result["rows"]) == ("part-0.parquet", 3, 3)
    assert file["bytes"] == result["bytes"] > 0
    assert result["schema"] == [{"name": "a", "type": "int64"}, {"name": "b", "type": "string"}]
    assert "?" in result["sql"]
    assert str(lab.data) not in result["sql"]
    assert result["duckdb"] == duckdb.__version__


@pytest.mark.parametrize("source", ["empty.parquet", "empty.csv", "l.duckdb::t", "l.sqlite::t"])
def test_an_empty_table_gives_one_file_without_rows(lab, source):
    lab.parquet("empty.parquet", a=pa.array([], pa.int64()))
    (lab.data / "empty.csv").write_text("a\n")
    lab.duckdb("l.duckdb", "CREATE TABLE t (a BIGINT)")
    lab.sqlite("l.sqlite", "CREATE TABLE t (a INTEGER)")
    table = lab.table(source, ["a"], types={"a": "INTEGER"})
    assert table.schema.field("a").type == pa.int64()
    assert table.num_rows == 0


def test_a_big_source_gives_several_files(lab):
    # The engine decides by its own buffers: the limit is lowered here in a process of its own.
    lab.duckdb("l.duckdb", "CREATE TABLE t AS SELECT hash(i) AS h, hash(i + 1) AS g FROM range(1500000) r(i)")
    code = (
        "import json, sys\n"
        "from cosphere_jupyter.executors.duckdb import child\n"
        "child.SPLIT_BYTES = 5_000_000\n"
        "print(json.dumps(child.unload(json.load(sys.stdin), lambda progress: None)))"
    )
    folder = lab.work / "o"
    folder.mkdir()
    asked = lab.executor.unload_params(
        lab.executor.resolve("l.duckdb::t"), Query(("h",)), [Column("h", "INTEGER")], folder, folder / "tmp"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    result = json.loads(ran.stdout)
    assert len(result["files"]) > 1
    assert result["rows"] == 1_500_000
    assert [file["name"] for file in result["files"]] == [f"part-{n}.parquet" for n in range(len(result["files"]))]


def test_every_type_can_be_read_back(lab):
    lab.duckdb(
        "l.duckdb",
        "CREATE TABLE t AS SELECT '550e8400-e29b-41d4-a716-446655440000'::UUID AS u, 2::HUGEINT AS h, "
        "INTERVAL 1 DAY AS i, TIME '01:02:03' AS t, 'a'::ENUM('a', 'b') AS e, '101'::BIT AS bit, "
        "TIMETZ '01:02:03+01' AS tz, TIMESTAMP_S '2020-01-01' AS s, TIMESTAMP_MS '2020-01-01' AS ms, "
        "TIMESTAMP_NS '2020-01-01' AS ns, TIMESTAMPTZ '2020-01-01 00:00:00+00' AS utc, '{\"a\":1}'::JSON AS j, "
        "1.5::DECIMAL(10, 2) AS d, DATE '2020-01-01' AS day, [1, 2] AS l, {'a': 1} AS st, MAP {'k': 1} AS m, "
        "'x'::BLOB AS b, NULL AS nothing, 18446744073709551615::UBIGINT AS big",
    )
    types = lab.types("l.duckdb::t")
    table = lab.table("l.duckdb::t", list(types))
    row = {name: values[0] for name, values in table.to_pydict().items()}
    texts = {"u": "550e8400-e29b-41d4-a716-446655440000", "i": "1 day", "t": "01:02:03", "e": "a", "bit": "101"}
    assert {name: row[name] for name in texts} == texts
    assert row["j"] == '{"a":1}'
    assert row["big"] == 2**64 - 1
    assert row["day"] == date(2020, 1, 1)
    assert (
        row["utc"].timestamp()
        == datetime(2020, 1, 1).timestamp() - datetime(2020, 1, 1).astimezone().utcoffset().seconds * 0
    )
    assert str(table.schema.field("utc").type) == "timestamp[us, tz=UTC]"
    assert (row["l"], row["st"], row["b"]) == ([1, 2], {"a": 1}, b"x")
    assert {name for name, kind in types.items() if kind == "DATETIME"} == {"s", "ms", "ns", "utc", "day"}


def test_the_catalogues_type_wins_over_the_stored_one(lab):
    lab.parquet("a.parquet", code=[7], n=["12"])
    assert lab.rows("a.parquet", ["code", "n"], types={"code": "STRING", "n": "INTEGER"}) == [("7", 12)]


def test_wide_tables_are_unloaded(lab):
    columns = {f"c{index}": [index] for index in range(2000)}
    lab.parquet("wide.parquet", **columns)
    types = dict.fromkeys(columns, "INTEGER")
    assert lab.table("wide.parquet", list(columns)[::-1], ("c1999", "=", 1999), types=types).num_columns == 2000


def test_partition_folders_are_columns(lab):
    for year in (2020, 2021):
        lab.parquet(f"t/year={year}/m=a/p.parquet", x=[year * 10])
    rows = lab.rows("t/**/*.parquet", ["x", "year", "m"], ("year", ">", 2020))
    assert rows == [(20210, 2021, "a")]
    assert len(lab.rows("t/**/*.parquet", ["x", "year"], ratio=0.999999999)) == 2


def test_a_data_folder_with_an_equals_sign_adds_no_column(lab, tmp_path):
    (tmp_path / "k=v").mkdir()
    lab = type(lab)(tmp_path / "k=v")
    lab.parquet("a.parquet", x=[1])
    assert list(lab.types("a.parquet")) == ["x"]


def test_files_are_united_by_name_and_types_widen(lab):
    lab.parquet("a/1.parquet", a=[1], b=["x"])
    lab.parquet("a/2.parquet", c=[2.5], B=["y"], a=[1.5])
    assert lab.rows("a/*.parquet", ["a", "b", "c"]) == [(1.0, "x", None), (1.5, "y", 2.5)]
    (lab.data / "a/1.csv").write_text("a,b\n1,x\n")
    (lab.data / "a/2.csv").write_text("c,a\n2.5,7\n")
    assert lab.rows("a/*.csv", ["a", "b", "c"]) == [(1, "x", None), (7, None, 2.5)]


def test_compressed_text_files_are_read(lab):
    with duckdb.connect() as connection:
        for name, options in [
            ("a.csv.gz", "FORMAT csv, COMPRESSION gzip"),
            ("a.csv.zst", "FORMAT csv, COMPRESSION zstd"),
            ("a.tsv", "FORMAT csv, DELIMITER '\t'"),
            ("a.ndjson.gz", "FORMAT json, COMPRESSION gzip"),
        ]:
            connection.execute(f"COPY (SELECT 1 AS a, 'x,y' AS b) TO '{lab.data / name}' ({options})")
            assert lab.rows(name, ["b", "a"]) == [("x,y", 1)]


def test_data_that_changes_during_the_run_is_noticed(lab):
    lab.duckdb("l.duckdb", "CREATE VIEW v AS SELECT sum(hash(i)) AS s FROM range(400000000) r(i)")
    seen = []

    def touch(progress):
        seen.append(progress["fraction"])
        os.utime(lab.data / "l.duckdb", ns=(1, 1))

    assert "changed while it was read; ask again" in failure(lab, "l.duckdb::v", ["s"], {"s": "INTEGER"}, report=touch)
    assert seen == sorted(seen)
    assert all(0 <= fraction <= 1 for fraction in seen)


def test_data_that_changed_before_the_run_is_noticed(lab):
    path = lab.parquet("a.parquet", a=[1])
    found = lab.executor.resolve("a.parquet")
    lab.work.joinpath("o").mkdir()
    params = lab.executor.unload_params(found, Query(("a",)), {"a": "INTEGER"}, lab.work / "o", lab.work / "tmp")
    for change in (lambda: os.utime(path, ns=(1, 1)), path.unlink):
        change()
        with pytest.raises(ExecutionError, match="changed since it was requested"):
            child.unload(params, lambda progress: None)


def test_writes_to_a_log_beside_a_database_change_its_version(lab):
    lab.sqlite("l.sqlite", "PRAGMA journal_mode = WAL", "CREATE TABLE t (a INTEGER)")
    first = lab.executor.resolve("l.sqlite::t").version
    assert lab.table("l.sqlite::t", ["a"]).num_rows == 0
    assert lab.executor.resolve("l.sqlite::t").version == first  # reading changes nothing
    writer = sqlite3.connect(lab.data / "l.sqlite")
    writer.execute("INSERT INTO t VALUES (1)")
    writer.commit()
    assert lab.executor.resolve("l.sqlite::t").version != first
    assert lab.rows("l.sqlite::t", ["a"]) == [(1,)]
    writer.close()


def test_a_database_that_another_process_writes_is_named(lab):
    lab.duckdb("l.duckdb", "CREATE TABLE t AS SELECT 1 AS a")
    code = f"import duckdb\nc = duckdb.connect({str(lab.data / 'l.duckdb')!r})\nprint('open', flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as writer:
        assert writer.stdout.readline() == "open\n"
        assert "held by another process" in failure(lab, "l.duckdb::t", ["a"], {"a": "INTEGER"})
        writer.communicate("\n")
    assert lab.rows("l.duckdb::t", ["a"]) == [(1,)]


def test_a_locked_sqlite_file_is_named(lab):
    lab.sqlite("l.sqlite", "CREATE TABLE t (a INTEGER)")
    garbled = lab.data / "bad.sqlite"
    garbled.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    assert "cannot be read" in failure(lab, "bad.sqlite::t", ["a"], {"a": "INTEGER"})
    assert "no table or view 'u'" in failure(lab, "l.sqlite::u", ["a"], {"a": "INTEGER"})


@pytest.mark.parametrize(
    ("declared", "kind", "value"),
    [
        ("INTEGER", "INTEGER", "three"),
        ("INTEGER", "INTEGER", 1.5),
        ("REAL", "FLOAT", "much"),
        ("BOOLEAN", "BOOLEAN", 2),
        ("DATETIME", "DATETIME", "yesterday"),
        ("DATETIME", "DATETIME", 1577836800),
        ("TEXT", "STRING", b"\xff"),
    ],
)
def test_a_sqlite_value_that_does_not_fit_is_named(lab, declared, kind, value):
    lab.sqlite(
        "l.sqlite", f"CREATE TABLE t (a {declared})", "INSERT INTO t VALUES (?)", rows=[(None,)] * 20000 + [(value,)]
    )
    text = failure(lab, "l.sqlite::t", ["a"], {"a": kind})
    assert "Column 'a'" in text
    assert "row 20001" in text


def test_sqlite_values_take_the_types_of_the_catalogue(lab):
    lab.sqlite(
        "l.sqlite",
        "CREATE TABLE t (i INTEGER, f REAL, s TEXT, b BOOLEAN, d DATETIME, x BLOB, "
        '"odd ""name" NUMERIC, g INT AS (i + 1))',
        "INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows=[(1, 2, "x", 1, "2020-01-02T03:04:05.600Z", b"\xff", 1), (None,) * 7],
    )
    types = lab.types("l.sqlite::t")
    assert list(types.values()) == ["INTEGER", "FLOAT", "STRING", "BOOLEAN", "DATETIME", "STRING", "FLOAT", "INTEGER"]
    expected = (1, 2.0, "x", True, datetime(2020, 1, 2, 3, 4, 5, 600000), b"\xff", 1.0, 2)
    assert lab.rows("l.sqlite::t", list(types)) == [expected, (None,) * 8]
    assert lab.rows("l.sqlite::t", ["d"], ("d", ">", datetime(2020, 1, 1)), ("b", "=", True)) == [(expected[4],)]


@pytest.mark.parametrize(
    ("name", "content", "types", "word"),
    [
        ("a.csv", "n\n" + "1\n" * 30000 + "x\n", {"n": "INTEGER"}, "catalogue entry: column 'n'"),
        ("a.jsonl", '{"n": 1}\n{bad', {"n": "INTEGER"}, "a.jsonl"),
        ("a.parquet", "no Parquet at all", {"n": "INTEGER"}, "a.parquet"),
        ("a.csv", "m\n1\n", {"n": "INTEGER"}, "no column 'n'"),
    ],
)
def test_data_that_cannot_be_read_is_explained(lab, name, content, types, word):
    (lab.data / name).write_text(content)
    assert word in failure(lab, name, ["n"], types)


def test_a_query_that_needs_too_much_memory_is_explained(lab):
    lab.duckdb("l.duckdb", "CREATE VIEW v AS SELECT list(i) AS l FROM range(30000000) r(i)")
    assert "memory" in failure(lab, "l.duckdb::v", ["l"], {"l": "STRING"}, memory_limit="50MB")


def test_missing_tables_are_named(lab):
    lab.duckdb(
        "l.duckdb", "CREATE SCHEMA s", 'CREATE TABLE s."a.b" AS SELECT 1 AS a', 'CREATE TABLE "s.c" AS SELECT 2 AS a'
    )
    assert lab.rows("l.duckdb::s.a.b", ["a"]) == [(1,)]
    assert lab.rows("l.duckdb::s.c", ["a"]) == [(2,)]
    assert "no table or view 'duckdb_settings'" in failure(lab, "l.duckdb::duckdb_settings", ["a"], {"a": "STRING"})
