"""What a request can reach: the files of its source, and nothing else."""

from __future__ import annotations

import os

import duckdb
import pytest

from cosphere_jupyter.errors import ExecutionError, ModelInvalid
from cosphere_jupyter.executors.duckdb import sandbox
from cosphere_jupyter.executors.sources import Source, resolve


@pytest.fixture
def locked(lab):
    allowed = lab.parquet("allowed [1].parquet", a=[1])
    lab.parquet("other.parquet", a=[2])
    temp = lab.work / "temp"
    with sandbox.opened("200MB", 1, str(temp)) as connection:
        sandbox.lock(connection, [str(allowed)], [str(lab.work / "attempt"), str(temp)])
        (lab.work / "attempt").mkdir()
        yield connection


def test_no_two_calls_share_a_database(tmp_path):
    """A spare one waits for the next call; what was used is closed, and never given again."""
    seen = []
    for _ in range(3):
        sandbox.prepare()
        with sandbox.opened("200MB", 1, str(tmp_path)) as connection:
            assert connection.execute("SELECT current_setting('lock_configuration')").fetchone() == (False,)
            assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)
            connection.execute("CREATE TABLE left_behind (a INT)")
            sandbox.lock(connection, [], [])
            seen.append(connection)
    sandbox.prepare()
    for connection in seen:
        with pytest.raises(duckdb.ConnectionException):
            connection.execute("SELECT 1")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet('{data}/other.parquet')",
        "SELECT * FROM read_parquet('{data}/*.parquet')",
        "SELECT * FROM read_text('{work}/attempt/../../data/other.parquet')",
        "ATTACH '{data}/new.duckdb'",
        "ATTACH '{data}/new.sqlite' (TYPE sqlite)",
        "COPY (SELECT 1) TO '{data}/stolen.parquet'",
        "COPY (SELECT 1) TO '{work}/stolen.csv'",
        "COPY (SELECT 1) TO '{work}/attempt/../stolen.csv'",
        "EXPORT DATABASE '{data}/dump'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '{data}/evil.duckdb_extension'",
        "SELECT * FROM read_parquet('https://example.org/a.parquet')",
        "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "SET lock_configuration = false",
        "RESET lock_configuration",
        "SET memory_limit = '100GB'",
        "SET threads = 64",
        "SET python_enable_replacements = true",
        "SELECT * FROM a_python_object",
    ],
)
def test_the_engine_refuses_what_is_not_the_request(lab, locked, statement):
    a_python_object = duckdb.sql("SELECT 1 AS a").fetchall()
    assert a_python_object
    before = sorted(path.name for path in lab.data.iterdir())
    with pytest.raises(duckdb.Error):
        locked.execute(statement.format(data=lab.data, work=lab.work)).fetchall()
    assert sorted(path.name for path in lab.data.iterdir()) == before
    assert not list(lab.work.glob("stolen*"))


def test_the_engine_still_reads_its_files_and_writes_its_folder(lab, locked):
    path = sandbox.literal(str(lab.data / "allowed [1].parquet"))
    locked.execute("COPY (SELECT * FROM read_parquet(?)) TO ? (FORMAT parquet)", [path, str(lab.work / "attempt/a")])
    assert (lab.work / "attempt/a").exists()


def test_a_view_cannot_read_other_files(lab):
    secret = lab.work / "secret.csv"
    secret.write_text("password\nhunter2\n")
    lab.duckdb("l.duckdb", f"CREATE VIEW v AS SELECT * FROM read_csv('{secret}')")
    for ask in (lambda: lab.describe("l.duckdb::v"), lambda: lab.table("l.duckdb::v", ["p"], types={"p": "STRING"})):
        with pytest.raises(ExecutionError) as caught:
            ask()
        assert "hunter2" not in str(caught.value)
        assert str(lab.work) not in str(caught.value)


def refusal(lab, source):
    with pytest.raises(ModelInvalid) as caught:
        lab.executor.resolve(source)
    (text,) = caught.value.errors["source"]
    assert str(lab.data.parent) not in text.replace(source, "")
    assert text.endswith(".")
    return text


@pytest.fixture
def house(lab):
    """A data folder with everything a source must not reach."""
    lab.parquet("good.parquet", a=[1])
    lab.parquet("sub/good.parquet", a=[1])
    lab.parquet(".hidden/a.parquet", a=[1])
    lab.parquet("sub/.a.parquet", a=[1])
    lab.parquet("workspace/results/a.parquet", a=[1])
    lab.parquet("../outside.parquet", a=[1])
    (lab.data / "link.parquet").symlink_to("../outside.parquet")
    (lab.data / "linked").symlink_to("..")
    (lab.data / "etc.csv").symlink_to("/etc/passwd")
    (lab.data / "to_hidden.parquet").symlink_to(".hidden/a.parquet")
    (lab.data / "to_workspace").symlink_to("workspace")
    (lab.data / "inner.parquet").symlink_to("sub/good.parquet")
    (lab.data / "loop.parquet").symlink_to("loop.parquet")
    os.mkfifo(lab.data / "pipe.parquet")
    (lab.data / "notes.txt").write_text("hello")
    (lab.data / "empty.csv").write_text("")
    (lab.data / "notes.db").write_text("not a database")
    return lab


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("../outside.parquet", "'..'"),
        ("sub/../../outside.parquet", "'..'"),
        ("/etc/passwd", "outside"),
        ("/etc/*.csv", "outside"),
        ("{parent}/outside.parquet", "outside"),
        ("{parent}/data-2/a.parquet", "outside"),
        ("link.parquet", "outside"),
        ("link*.parquet", "outside"),
        ("linked/outside.parquet", "outside"),
        ("linked/out*.parquet", "outside"),
        ("etc.csv", "outside"),
        (".hidden/a.parquet", "Hidden"),
        ("sub/.a.parquet", "Hidden"),
        ("to_hidden.parquet", "Hidden"),
        (".hidden/*.parquet", "Hidden"),
        ("workspace/results/a.parquet", "workspace itself"),
        ("to_workspace/results/a.parquet", "workspace itself"),
        ("to_workspace/results/*.parquet", "No file"),
        ("workspace/**/*.parquet", "No file"),
        ("loop.parquet", "cannot be read"),
        ("pipe.parquet", "regular"),
        ("missing.parquet", "No file"),
        ("missing*.parquet", "No file"),
        ("sub", "folder"),
        ("notes.txt", "not Parquet"),
        ("notes.db", "database::table"),
        ("notes.db::t", "neither"),
        ("missing.db::t", "no database"),
        ("/etc/passwd::t", "outside"),
        ("linked/outside.parquet::t", "outside"),
        ("::t", "database::table"),
        ("notes.db::", "database::table"),
        ("[n]*.txt", "not Parquet"),
        ("{{good,empty}}.*", "No file"),
        ("empty.csv", "empty"),
        ("loo*.parquet", "cannot be read"),
        ("[p]*.parquet", "regular"),
        ("", "Name a file"),
        (" ", "Name a file"),
        ("/", "outside"),
        (".", "Name a file"),
        ("a\0.parquet", "usable"),
        ("\ud800.parquet", "usable"),
        ("x" * 5000, "usable"),
    ],
)
def test_a_source_that_leaves_the_data_is_refused(house, source, word):
    assert word in refusal(house, source.format(parent=house.data.parent))


def test_patterns_pass_over_hidden_and_excluded_files(house):
    for path in ("link.parquet", "linked", "to_hidden.parquet", "loop.parquet", "pipe.parquet"):
        (house.data / path).unlink()
    found = house.executor.resolve("**/*.parquet")
    assert [file.name for file in found.files] == ["good.parquet", "inner.parquet", "sub/good.parquet"]


def test_sources_can_be_absolute_inside_a_data_folder_and_links_inside_are_fine(house):
    assert house.executor.resolve(f"{house.data}/sub/*.parquet").files[0].name == "sub/good.parquet"
    assert house.rows("inner.parquet", ["a"]) == [(1,)]


def test_mixed_formats_are_refused(lab):
    lab.parquet("a/1.parquet", a=[1])
    (lab.data / "a/2.csv").write_text("a\n1\n")
    assert "different formats" in refusal(lab, "a/*")


def test_too_many_files_are_refused(lab):
    for index in range(10_001):
        (lab.data / f"{index}.csv").touch()
    assert "More than 10000" in refusal(lab, "*.csv")


@pytest.mark.parametrize(
    "name", ["a[1].parquet", "a*b?.parquet", "[[]].parquet", "a::b.parquet", "é 🦆 'x\"y.parquet", "b\\.pq"]
)
def test_files_with_odd_names_can_be_named_exactly(lab, name):
    lab.parquet(name, a=[1])
    lab.parquet("a1.parquet", a=[2])
    lab.parquet("aXbY.parquet", a=[3])
    assert lab.rows(name, ["a"]) == [(1,)]
    assert lab.rows(name, ["a"], ratio=0.9999999999999) == [(1,)]


def test_the_second_data_folder_is_looked_into(lab, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more/b.csv").write_text("a\n1\n")
    lab.parquet("a.parquet", a=[1])
    found = resolve("b.csv", [lab.data, tmp_path / "more"])
    assert found.folder == str(tmp_path / "more")
    assert Source.from_json(found.to_json()) == found


def test_the_child_refuses_a_source_outside_the_data_folders(lab, tmp_path):
    lab.parquet("a.parquet", a=[1])
    with pytest.raises(ExecutionError, match="changed"):
        lab.table("a.parquet", ["a"], types={"a": "INTEGER"}, data_folders=[str(tmp_path / "more")])


def test_versions_change_with_the_data_only(lab):
    path = lab.parquet("a.parquet", a=[1])
    first = lab.executor.resolve("a.parquet").version
    assert lab.executor.resolve("a.parquet").version == first
    os.utime(path, ns=(1, 1))
    second = lab.executor.resolve("a.parquet").version
    lab.parquet("b.parquet", a=[1])
    assert len({first, second, lab.executor.resolve("*.parquet").version}) == 3
