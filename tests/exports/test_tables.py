"""The catalogue and the caller's history as files, beside what the database says."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import insert, select
from support import Api, column

from cosphere_jupyter.catalogue.tables import catalogue_items
from cosphere_jupyter.database.schema import now
from cosphere_jupyter.permissions.tables import permissions
from cosphere_jupyter.tasks.tables import tasks

ODD = ["ümläut ✓ 漢字 🙂", 'quote " and, comma; semicolon', "line\nbreak", "=1+1", "NULL", "nan", "-1", "a,b"]


@pytest.fixture(autouse=True)
def _database(owner: Api, services: Any) -> None:
    """Let tests ask the database itself."""

    async def read(statement: Any) -> list[tuple[Any, ...]]:
        return await services.database.read(lambda connection: [tuple(row) for row in connection.execute(statement)])

    owner.read = read


async def fill(owner: Api, numbers_item: dict[str, Any]) -> list[dict[str, Any]]:
    """Items with odd names, with and without source, sample and tags; what the API shows of all."""
    for number, name in enumerate(ODD):
        body = {
            "name": name,
            "description": ODD[-number - 1] if number else "",
            "tags": ["a", f"tag {name}"] if number % 2 else [],
            "executor_type": "ATHENA",
            "maintained_by_id": owner.account["id"],
            "spec": [column(name), column("second", "INTEGER")],
            "sample": [{name: 0.5, "second": number}] if number % 3 == 0 else [],
        }
        created = await owner.post("/catalogue/items/", body)
        assert created.status == 201, created.body
    return list((await owner.get("/catalogue/items/")).json["items"])


def as_row(item: dict[str, Any]) -> dict[str, Any]:
    """A row of the file, from what the CoSphere API shows."""
    emails = {who: item[who] and item[who]["email"] for who in ("created_by", "updated_by", "maintained_by")}
    kept = {name: item[name] for name in ("id", "name", "executor_type", "spec", "sample")}
    others = {"description": item.get("description", ""), "tags": item.get("tags", []), "source": item.get("source")}
    return {**kept, **others, **emails}


def nested(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """A row of CSV or Parquet, with its JSON read."""
    return {**row, **{name: row[name] and json.loads(row[name]) for name in names}}


async def test_the_catalogue_is_whole_in_each_format(owner: Api, numbers_item: Any, downloads: Any) -> None:
    expected = [as_row(item) for item in await fill(owner, numbers_item)]
    assert len(expected) == len(ODD) + 1
    for format in ("csv", "parquet"):
        table = await downloads.table(owner, "catalogue", format=format)
        rows = [nested(row, "spec", "sample", "tags") for row in table.to_pylist()]
        assert rows == expected, format
        assert table.schema.field("id").type == pa.int64()
    lines = (await downloads.file(owner, await downloads.done(owner, "catalogue", format="json"))).body
    assert [json.loads(line) for line in lines.splitlines()] == expected
    # Nothing stands in the database that the file lacks.
    stored = await owner.read(select(catalogue_items.c.id, catalogue_items.c.name))
    assert [(row["id"], row["name"]) for row in rows] == sorted(stored)


async def test_pandas_reads_them(owner: Api, numbers_item: Any, downloads: Any) -> None:
    items = await fill(owner, numbers_item)
    content = (await downloads.file(owner, await downloads.done(owner, "catalogue"))).body
    frame = pd.read_csv(io.BytesIO(content), keep_default_na=False)
    assert frame["name"].tolist() == [item["name"] for item in items]
    assert frame["source"].tolist() == [item.get("source") or "" for item in items]
    parquet = (await downloads.file(owner, await downloads.done(owner, "catalogue", format="parquet"))).body
    frame = pd.read_parquet(io.BytesIO(parquet))
    assert frame["source"].isna().tolist() == ["source" not in item for item in items]
    lines = (await downloads.file(owner, await downloads.done(owner, "catalogue", format="json"))).body
    frame = pd.read_json(io.BytesIO(lines), lines=True, dtype=False)
    assert frame["spec"].tolist() == [item["spec"] for item in items]


async def test_each_file_comes_with_its_name_and_type(owner: Api, downloads: Any) -> None:
    types = {
        "csv": "text/csv; charset=utf-8",
        "json": "application/x-ndjson",
        "parquet": "application/vnd.apache.parquet",
    }
    for name in ("catalogue", "download_requests", "tasks"):
        for format, content_type in types.items():
            answer = await downloads.file(owner, await downloads.done(owner, name, format=format))
            assert answer.headers["Content-Type"] == content_type
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}.{format}"'
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            part = await downloads.done(owner, name, format=format)
            link = (await owner.get(f"/api/downloads/{part['id']}/file")).headers["Location"]
            url = owner.base.partition("/a%40b")[0] + link
            ranged = await owner.of(None).get(url, headers={"Range": "bytes=0-2"})
            assert (ranged.status, len(ranged.body)) in ((206, 3), (206, 0), (416, 0))


async def test_nothing_at_all_is_a_file_with_a_header(researcher: Api, downloads: Any) -> None:
    for name in ("catalogue", "download_requests"):
        table = await downloads.table(researcher, name, format="parquet")
        assert table.num_rows == 0 and table.num_columns > 5
        answer = await downloads.file(researcher, await downloads.done(researcher, name))
        assert answer.body.decode() == ",".join(f'"{each}"' for each in table.column_names) + "\n"
        answer = await downloads.file(researcher, await downloads.done(researcher, name, format="json"))
        assert answer.body == b""


async def test_a_caller_gets_what_the_caller_may_see(
    owner: Api, researcher: Api, numbers_item: Any, downloads: Any, sign_up: Any
) -> None:
    items = await fill(owner, numbers_item)
    for item in items[:4]:
        await owner.put(f"/catalogue/items/{item['id']}/permissions/", {"permissions": []})
    only = {"subject_type": "account", "subject_id": researcher.account["id"], "level": "read"}
    await owner.put(f"/catalogue/items/{items[0]['id']}/permissions/", {"permissions": [only]})
    table = await downloads.table(researcher, "catalogue", format="parquet")
    assert table.column("id").to_pylist() == [items[0]["id"], *(item["id"] for item in items[4:])]
    assert (await downloads.table(owner, "catalogue", format="parquet")).num_rows == len(items)
    # And the history is one's own, also an ADMIN's.
    request = {"catalogue_item_id": numbers_item["id"], "spec": {"columns": ["n"], "filters": []}}
    mine = (await owner.post("/downloader/requests/", request)).json["id"]
    await owner.settled(mine)
    assert (await downloads.table(owner, "download_requests", format="parquet")).column("id").to_pylist() == [mine]
    assert (await downloads.table(researcher, "download_requests", format="parquet")).num_rows == 0
    keys = set((await downloads.table(researcher, "tasks", format="parquet")).column("key").to_pylist())
    stored = await owner.read(select(tasks.c.key).where(tasks.c.owner_id == researcher.account["id"]))
    assert keys == {key for (key,) in stored}


async def test_a_catalogue_of_several_pages_is_whole(owner: Api, services: Any, downloads: Any) -> None:
    def store(connection: Any) -> None:
        moment = now()
        values = {
            "executor_type": "ATHENA",
            "spec": [column()],
            "sample": [],
            "description": "",
            "tags": [],
            "maintained_by_id": owner.account["id"],
            "created_by_id": owner.account["id"],
            "updated_by_id": owner.account["id"],
            "created_at": moment,
            "updated_at": moment,
        }
        rows = [{**values, "name": f"item {n}", "name_folded": f"item {n}"} for n in range(1001)]
        connection.execute(insert(catalogue_items), rows)
        everyone = {"resource_type": "catalogue_item", "subject_type": "everyone", "subject_id": 0, "level": 1}
        connection.execute(insert(permissions), [{**everyone, "resource_id": n} for n in range(1, 1002)])

    await services.database.write(store)
    for format in ("csv", "parquet"):
        table = await downloads.table(owner, "catalogue", format=format)
        assert table.column("name").to_pylist() == [f"item {n}" for n in range(1001)]


async def test_the_history_of_requests_says_how_each_ended(owner: Api, numbers_item: Any, downloads: Any) -> None:
    specs = [{"columns": ["n"], "filters": []}, {"columns": ["word", "n"], "filters": [], "randomize_ratio": 0.5}]
    shown = []
    for spec in specs:
        asked = await owner.post("/downloader/requests/", {"catalogue_item_id": numbers_item["id"], "spec": spec})
        shown.append(await owner.settled(asked.json["id"]))
    for format in ("csv", "parquet"):
        table = await downloads.table(owner, "download_requests", format=format)
        rows = [nested(row, "spec") for row in table.to_pylist()]
        for row, request in zip(rows, shown, strict=True):
            assert row["spec"] == request["spec"]
            assert (row["id"], row["catalogue_item_id"]) == (request["id"], numbers_item["id"])
            assert (row["catalogue_item"], row["status"], row["error"]) == ("numbers", "success", None)
            assert (row["real_size"], row["estimated_size"]) == (request["real_size"], request["estimated_size"])
            assert (row["is_cancelled"], row["created_by"]) == (False, owner.account["email"])
            for name in ("queued", "started", "completed"):
                assert pd.Timestamp(row[name]) == pd.Timestamp(request["task"][name]), name
        assert rows[0]["rows"] == 1000


async def test_the_history_of_tasks_is_that_of_the_database(owner: Api, numbers_item: Any, downloads: Any) -> None:
    for _ in range(3):
        await downloads.done(owner, "catalogue")
    table = await downloads.table(owner, "tasks", format="parquet")
    stored = await owner.read(
        select(tasks.c.key, tasks.c.name, tasks.c.params, tasks.c.queued_at)
        .where(tasks.c.owner_id == owner.account["id"])
        .order_by(tasks.c.queued_at.desc())
    )
    rows = [nested(row, "params", "result") for row in table.to_pylist()]
    assert [(row["key"], row["name"], row["params"], row["queued"]) for row in rows] == stored
    assert table.schema.field("completed").type == pa.timestamp("us", "UTC")
    # The newest is the task that wrote the file: it had not ended.
    assert (rows[0]["status"], rows[0]["completed"], rows[0]["result"]) == ("executing", None, None)
    assert {row["status"] for row in rows[1:]} == {"success"}
    assert {row["result"]["file"] for row in rows[1:]} == {"catalogue.csv"}


async def test_more_tasks_than_a_page_of_one_instant_are_all_there_once(
    owner: Api, services: Any, downloads: Any
) -> None:
    moment = now()
    values = {
        "name": "old",
        "owner_id": owner.account["id"],
        "status": "success",
        "params": {},
        "attempt": 1,
        "max_attempts": 1,
        "crashes": 0,
        "is_idempotent": False,
        "queued_at": moment,
        "completed_at": moment,
    }
    rows = [{**values, "key": f"K{n:025}"} for n in range(777)]
    await services.database.write(lambda connection: connection.execute(insert(tasks), rows))
    keys = (await downloads.table(owner, "tasks")).column("key").to_pylist()
    assert sorted(key for key in keys if key.startswith("K0")) == [row["key"] for row in rows]


async def test_a_spreadsheet_takes_no_text_for_a_formula(owner: Api, numbers_item: Any, downloads: Any) -> None:
    """As it is stored by default; with an apostrophe before what a spreadsheet would run where that is asked for."""
    await fill(owner, numbers_item)
    plain = (await downloads.table(owner, "catalogue")).column("name").to_pylist()
    assert plain == ["numbers", *ODD]
    guarded = (await downloads.table(owner, "catalogue", spreadsheet=True)).column("name").to_pylist()
    expected = {"=1+1": "'=1+1", "-1": "'-1"}
    assert guarded == ["numbers", *(expected.get(name, name) for name in ODD)]
