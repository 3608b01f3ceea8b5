"""Searches over ten thousand objects: an index is used, and the answer comes at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest
from objects.lab import quantity, text
from objects.test_search import READER, SCHEMA, AnyWorkspace, account
from sqlalchemy import Connection, Select, insert, select

from cosphere_jupyter.accounts.service import insert_account
from cosphere_jupyter.database.engine import Database
from cosphere_jupyter.database.migrate import migrate
from cosphere_jupyter.database.schema import now
from cosphere_jupyter.objects.dialect import validate
from cosphere_jupyter.objects.index import index
from cosphere_jupyter.objects.records import RESOURCE
from cosphere_jupyter.objects.search import search
from cosphere_jupyter.objects.service import current_versions, may_read
from cosphere_jupyter.objects.tables import actions, object_versions, objects
from cosphere_jupyter.permissions.tables import permissions

pytestmark = pytest.mark.slow
COUNT = 10_000


@pytest.fixture(scope="module")
def database(tmp_path_factory: Any) -> Iterator[Database]:
    opened = Database(tmp_path_factory.mktemp("many") / "test.sqlite")
    migrate(opened)
    opened.submit(fill).result()
    yield opened
    opened.close()


def fill(connection: Connection) -> None:
    """Objects that everybody may read, each a thousandth of a milligram heavier than the one before."""
    moment = now()
    insert_account(connection, email="1@lab.org", type="RESEARCHER")
    action = {"id": 0, "type": "sample", "name": "", "description": "", "schema": SCHEMA, "is_hidden": False}
    connection.execute(insert(actions).values(**action, created_at=moment, updated_at=moment))
    base = {"hazards": {"_type": "hazards", "hazards": []}}
    given = [
        {
            **base,
            "name": text(f"Sample {number}"),
            "mass": quantity(number / 1_000),
            "layers": [{"material": text("Fe"), "thickness": quantity(number)}],
        }
        for number in range(COUNT)
    ]
    valid = [validate(SCHEMA, data, lookup=AnyWorkspace()) for data in given]
    row = {"action_id": 0, "version_id": 0, "is_hidden": False, "created_at": moment}
    connection.execute(insert(objects), [{"id": number + 1, **row} for number in range(COUNT)])
    version = {"version_id": 0, "schema": SCHEMA, "created_at": moment}
    connection.execute(
        insert(object_versions), [{"object_id": n + 1, "data": each.data, **version} for n, each in enumerate(valid)]
    )
    for number, each in enumerate(valid):
        index(connection, number + 1, each.properties)
    everyone = {"resource_type": RESOURCE, "subject_type": "everyone", "subject_id": 0, "level": 1}
    connection.execute(insert(permissions), [{"resource_id": number + 1, **everyone} for number in range(COUNT)])


def page(query: str, **keys: Any) -> Select[Any]:
    """What the list of objects asks for."""
    reader = account(READER)
    found = current_versions().where(may_read(reader), search(query, reader, **keys))
    return found.order_by(objects.c.id.desc()).limit(50)


def run(database: Database, statement: Select[Any]) -> list[Any]:
    return database.submit(lambda connection: list(connection.execute(statement))).result()


def plan(database: Database, statement: Select[Any]) -> str:
    def work(connection: Connection) -> str:
        compiled = statement.compile(connection, compile_kwargs={"render_postcompile": True})
        positional = [compiled.params[name] for name in compiled.positiontup or []]
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple(positional))
        return "\n".join(row[3] for row in rows)

    return database.submit(work).result()


QUERIES = {
    "mass > 3 mg": ("COVERING INDEX ix_object_properties_pattern_number (pattern=? AND number>?)", 6_999),
    "mass == 3 mg": ("ix_object_properties_pattern_number (pattern=? AND number>? AND number<?)", 1),
    "layers.?.thickness < 5 nm": ("ix_object_properties_pattern_number (pattern=? AND number<?)", 5),
    'name == "Sample 17"': ("ix_object_properties_pattern_text (pattern=? AND text=?)", 1),
    'layers.?.(material == "Fe" and thickness < 5 nm)': ("LIST SUBQUERY", 5),
    "#nothing": ("ix_object_properties_kind_text (kind=? AND text=?)", 0),
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_search_uses_an_index_and_is_quick(database: Database, query: str) -> None:
    used, count = QUERIES[query]
    told = plan(database, page(query))
    assert used in told, told
    assert "SCAN object_properties" not in told, told
    condition = search(query, account(READER))
    assert len(run(database, select(objects.c.id).where(condition))) == count
    durations = []
    for _ in range(15):
        begin = time.perf_counter()
        found = run(database, page(query))
        durations.append(time.perf_counter() - begin)
    assert len(found) == min(count, 50)
    print(f"{query}: p50 {median(durations) * 1e3:.1f} ms, least {min(durations) * 1e3:.1f} ms")
    assert min(durations) < 0.1


def test_a_simple_search_is_quick_enough(database: Database) -> None:
    begin = time.perf_counter()
    assert len(run(database, page("SAMPLE 999", is_simple=True))) == 11
    assert time.perf_counter() - begin < 1
