"""DUCKDB items: what their source may be, and their columns read from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support import Answer, Api, column

REQUIRED = ["This field is required."]


@pytest.fixture
def body(owner: Api) -> dict[str, Any]:
    return {"name": "local", "executor_type": "DUCKDB", "maintained_by_id": owner.account["id"]}


@pytest.fixture
def files(root: Path, numbers: Path) -> Path:
    """Data of several kinds in the root directory, and some beside it."""
    import sqlite3

    import duckdb

    (root / "t.csv").write_text("n,word\n1,one\n2,two\n")
    (root / "t.json").write_text('{"n": 1}\n{"n": 2}\n')
    (root / "notes.txt").write_text("n\n1\n")
    (root / "empty.csv").write_text("")
    (root / "broken.parquet").write_bytes(b"PAR1 and nothing else")
    (root / "years").mkdir()
    for year in (2013, 2014):
        shutil.copy(numbers, root / "years" / f"{year}.parquet")
    (root / ".hidden").mkdir()
    (root / ".hidden" / "t.csv").write_text("n\n1\n")
    (root / ".hidden.csv").write_text("n\n1\n")
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "t.csv").write_text("secret\n1\n")
    (root / "link.csv").symlink_to(outside / "t.csv")
    (root / "linked").symlink_to(outside)
    (root / "workspace").symlink_to(root.parent / "workspace")
    with duckdb.connect(str(root / "lab.duckdb")) as connection:
        connection.execute("CREATE TABLE runs (id INTEGER NOT NULL, note VARCHAR)")
        connection.execute("INSERT INTO runs VALUES (1, 'a')")
    connection = sqlite3.connect(root / "lab.sqlite")
    connection.execute("CREATE TABLE runs (id INTEGER NOT NULL, note TEXT)")
    connection.execute("INSERT INTO runs VALUES (1, 'a')")
    connection.commit()
    connection.close()
    return root


def types(answer: Answer) -> dict[str, str]:
    assert answer.status == 201, answer.body
    return {each["name"]: each["type"] for each in answer.json["spec"]}


async def test_the_columns_are_read_from_the_data_when_no_spec_is_given(
    owner: Api, files: Path, body: dict[str, Any]
) -> None:
    numbers = {"n": "INTEGER", "half": "FLOAT", "word": "STRING", "day": "DATETIME", "flag": "BOOLEAN"}
    sources = {
        "numbers.parquet": numbers,
        "./numbers.parquet": numbers,
        "years/*.parquet": numbers,
        "**/2013.parquet": numbers,
        str(files / "years" / "2014.parquet"): numbers,
        "t.csv": {"n": "INTEGER", "word": "STRING"},
        "t.json": {"n": "INTEGER"},
        "lab.duckdb::runs": {"id": "INTEGER", "note": "STRING"},
        "lab.sqlite::runs": {"id": "INTEGER", "note": "STRING"},
    }
    for source, expected in sources.items():
        answer = await owner.post("/catalogue/items/", {**body, "name": f"from {source}", "source": source})
        assert types(answer) == expected, source
        assert answer.json["source"] == source
        for each in answer.json["spec"]:
            assert set(each) == {"name", "type", "size", "is_enum", "is_nullable", "distribution"}, source
    assert {each["name"] for each in answer.json["spec"] if each["is_nullable"]} == {"note"}


async def test_nothing_outside_the_data_folders_can_be_named(owner: Api, files: Path, body: dict[str, Any]) -> None:
    hidden, parents = "Hidden files and folders cannot be used.", "The source must not contain '..'."
    outside = "The source lies outside the data folders."
    sources = {
        "/etc/passwd": outside,
        str(files.parent / "outside" / "t.csv"): outside,
        str(files.parent / "workspace" / "cosphere.sqlite") + "::accounts": outside,
        "../outside/t.csv": parents,
        "years/../../outside/t.csv": parents,
        f"{files}/../outside/t.csv": parents,
        "link.csv": "'link.csv' leads outside the data folders.",
        "linked/t.csv": "'linked/t.csv' leads outside the data folders.",
        "linked/*.csv": "'linked/t.csv' leads outside the data folders.",
        "workspace/cosphere.sqlite::accounts": "'workspace/cosphere.sqlite' leads outside the data folders.",
        ".hidden.csv": hidden,
        ".hidden/t.csv": hidden,
        ".hidden/*.csv": hidden,
        ".": "Name a file, not a folder.",
        "/": outside,
        "http://127.0.0.1:9/t.csv": "No file in the data folders matches 'http://127.0.0.1:9/t.csv'.",
        "s3://bucket/t.parquet": "No file in the data folders matches 's3://bucket/t.parquet'.",
        "file:///etc/passwd": "No file in the data folders matches 'file:///etc/passwd'.",
        "none.csv": "No file in the data folders matches 'none.csv'.",
        "none/*.csv": "No file in the data folders matches 'none/*.csv'.",
        "?hidden.csv": "No file in the data folders matches '?hidden.csv'.",
        "years": "'years' is a folder; name its files, for example 'years/*.parquet'.",
        "t.*": "The files are of different formats, for example 't.csv' and 't.json'.",
        "notes.txt": "'notes.txt' is not Parquet (.parquet, .pq), CSV (.csv, .tsv) or JSON (.json, .jsonl, .ndjson).",
        "empty.csv": "'empty.csv' is empty.",
        "none.duckdb::runs": "There is no database 'none.duckdb' in the data folders.",
        "t.csv::runs": "'t.csv' is neither a DuckDB nor a SQLite database.",
        "lab.duckdb::": "Write a table as database::table, for example 'lab.duckdb::runs'.",
    }
    for source, text in sources.items():
        answer = await owner.post("/catalogue/items/", {**body, "source": source})
        assert (answer.status, answer.event) == (400, "BODY_JSON_DID_NOT_PARSE"), (source, answer.body)
        assert answer.errors == {"source": [text]}, source
        assert answer.json["@authorizer"] == {"account_id": owner.account["id"]}
    # What the engine itself cannot read is told as well, without the server's own paths.
    for source in ("broken.parquet", "lab.duckdb::none", "lab.sqlite::none", "lab.duckdb::runs; DROP TABLE runs"):
        answer = await owner.post("/catalogue/items/", {**body, "source": source})
        assert (answer.status, answer.event) == (400, "BODY_JSON_DID_NOT_PARSE"), (source, answer.body)
        assert set(answer.errors) == {"source"} and len(answer.errors["source"]) == 1, source
        assert str(files) not in answer.errors["source"][0], source
    assert (await owner.get("/catalogue/items/")).json["items"] == []


async def test_the_workspaces_own_files_cannot_be_read_even_inside_a_data_folder(
    tmp_path: Path, owner: Api, services: Any
) -> None:
    """The data folder is widened to the one in which the workspace itself lies."""
    from cosphere_jupyter.errors import ModelInvalid
    from cosphere_jupyter.executors.duckdb.executor import DuckDBExecutor

    executor = DuckDBExecutor(
        data_folders=(tmp_path,), excluded=(services.settings.data_dir,), memory_limit="1GiB", threads=1
    )
    for source in ("workspace/cosphere.sqlite::accounts", "workspace/keys/jwt.key", "work*/results/**"):
        with pytest.raises(ModelInvalid) as refused:
            executor.resolve(source)
        assert refused.value.errors is not None
        text = refused.value.errors["source"][0]
        assert "belongs to the workspace itself" in text or "No file in the data folders" in text, source


async def test_a_source_is_required_text(owner: Api, files: Path, body: dict[str, Any]) -> None:
    cases = {
        (): REQUIRED,
        (None,): ["This field may not be null."],
        ("",): ["This field may not be blank."],
        ((),): ["Not a valid string."],
        (True,): ["Not a valid string."],
        ("x" * 4097,): ["Ensure this field has no more than 4096 characters."],
        ("t.csv\0",): ["Null characters are not allowed."],
    }
    for source, messages in cases.items():
        answer = await owner.post("/catalogue/items/", {**body, **({"source": source[0]} if source else {})})
        assert (answer.status, answer.event) == (400, "BODY_DID_NOT_VALIDATE"), source
        assert answer.errors == {"source": messages}, source


async def test_a_spec_that_is_given_is_checked_against_the_data(owner: Api, files: Path, body: dict[str, Any]) -> None:
    values = {**body, "source": "t.csv"}
    part = [column("word", "STRING", is_enum=True, description="in English")]
    answer = await owner.post("/catalogue/items/", {**values, "spec": part})
    assert (answer.status, answer.json["spec"]) == (201, part)
    spec = [column("n", "INTEGER"), column("x"), column("Word", "STRING")]
    answer = await owner.post("/catalogue/items/", {**values, "name": "other", "spec": spec})
    assert (answer.status, answer.event) == (400, "BODY_JSON_DID_NOT_PARSE")
    assert answer.errors == {"spec": ["columns not found in the data of the source: 'x', 'Word'"]}
    answer = await owner.post("/catalogue/items/", {**values, "name": "other", "spec": []})
    assert answer.errors == {"spec": ["This field cannot be blank."]}
    answer = await owner.post("/catalogue/items/", {**values, "name": "other", "spec": None})
    assert answer.errors == {"spec": ["This field may not be null."]}
    answer = await owner.post("/catalogue/items/", {**values, "name": "other", "sample": [{"n": 1}]})
    assert answer.errors == {"__all__": ["Sample column names and spec names are not identical"]}
    answer = await owner.post("/catalogue/items/", {**values, "name": "other", "sample": [{"n": 1, "word": "one"}]})
    assert answer.status == 201
    # Other executors need their spec.
    answer = await owner.post("/catalogue/items/", {**values, "name": "a", "executor_type": "ATHENA"})
    assert (answer.event, answer.errors) == ("BODY_DID_NOT_VALIDATE", {"spec": REQUIRED})


async def test_an_update_may_move_an_item_to_other_data_and_to_another_executor(
    owner: Api, files: Path, body: dict[str, Any]
) -> None:
    item = (await owner.post("/catalogue/items/", {**body, "source": "t.csv"})).json
    path = f"/catalogue/items/{item['id']}"
    # Without a source it goes on reading what it read, and without a spec that is read anew.
    (files / "t.csv").write_text("n,word,more\n1,one,1.5\n2,two,2.5\n")
    again = await owner.put(path, body)
    assert [each["name"] for each in again.json["spec"]] == ["n", "word", "more"]
    assert again.json["source"] == "t.csv"
    moved = await owner.put(path, {**body, "source": "t.json"})
    assert (moved.json["source"], [each["name"] for each in moved.json["spec"]]) == ("t.json", ["n"])
    refused = await owner.put(path, {**body, "source": "../outside/t.csv"})
    assert refused.errors == {"source": ["The source must not contain '..'."]}
    refused = await owner.put(path, {**body, "spec": [column("word", "STRING")]})
    assert refused.errors == {"spec": ["columns not found in the data of the source: 'word'"]}
    away = await owner.put(path, {**body, "executor_type": "ATHENA", "spec": [column("x")], "source": "t.csv"})
    assert (away.status, away.json["executor_type"]) == (200, "ATHENA")
    assert "source" not in away.json
    back = await owner.put(path, body)
    assert (back.status, back.errors) == (400, {"source": REQUIRED}), "its source was forgotten"
    assert (await owner.put(path, {**body, "source": "t.csv"})).status == 200


async def test_an_update_without_a_spec_keeps_what_is_stored_of_columns_that_are_the_same(
    owner: Api, root: Path, numbers_item: dict[str, Any]
) -> None:
    path = f"/catalogue/items/{numbers_item['id']}"
    assert (await owner.put(f"{path}/samples_and_distributions/")).status == 200
    profiled = (await owner.get(path)).json["spec"]
    assert all(each["distribution"] for each in profiled)
    body = {"executor_type": "DUCKDB", "maintained_by_id": owner.account["id"], "source": "numbers.parquet"}
    assert (await owner.put(path, body)).json["spec"] == profiled


async def test_an_item_whose_data_are_gone_can_still_be_given_to_somebody_else(
    owner: Api, researcher: Api, numbers: Path, numbers_item: dict[str, Any]
) -> None:
    numbers.unlink()
    path, spec = f"/catalogue/items/{numbers_item['id']}", numbers_item["spec"]
    body = {"executor_type": "DUCKDB", "maintained_by_id": researcher.account["id"], "spec": spec}
    answer = await owner.put(path, body)
    assert (answer.status, answer.json["maintained_by"]["id"]) == (200, researcher.account["id"])
    assert (await owner.put(path, {**body, "source": "gone.parquet"})).status == 400
