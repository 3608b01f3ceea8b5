"""A feature's own type of download, as the documentation makes one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column as SqlColumn
from sqlalchemy import Integer, MetaData, String, Table, insert, select
from support import Api

from cosphere_jupyter.exports.types import Column, RowsType

DOCUMENT = (Path(__file__).parent.parent.parent / "docs" / "downloads.md").read_text(encoding="utf-8")
COLUMNS = SqlColumn("id", Integer, primary_key=True), SqlColumn("owner_id", Integer), SqlColumn("text", String)
NOTES = Table("notes", MetaData(), *COLUMNS)


async def test_a_few_lines_make_one(owner: Api, researcher: Api, services: Any, downloads: Any) -> None:
    [code] = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)

    def store(connection: Any) -> None:
        NOTES.create(connection)
        owners = owner.account["id"], researcher.account["id"]
        connection.execute(insert(NOTES), [{"owner_id": owners[n % 2], "text": f"note {n}"} for n in range(999)])

    await services.database.write(store)
    scope = {"notes": NOTES, "select": select, "services": services, "RowsType": RowsType, "Column": Column}
    exec(code, scope)
    # What a start does.
    await services.exports.give_defaults()
    for api, first in ((owner, 0), (researcher, 1)):
        table = await downloads.table(api, "notes", format="parquet")
        assert table.column("text").to_pylist() == [f"note {n}" for n in range(first, 999, 2)]
    assert "notes" in [each["name"] for each in (await researcher.get("/api/download_types")).json["download_types"]]
    with pytest.raises(ValueError, match="already"):
        exec(code, scope)


def test_every_type_is_documented(services: Any, run: Any, owner: Api) -> None:
    listed = run(owner.get("/api/download_types")).json["download_types"]
    assert [each["name"] for each in listed] == sorted(re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE))
