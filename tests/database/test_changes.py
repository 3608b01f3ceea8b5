"""Versions of tables: a change that was acknowledged always gives another one, and nobody gets one too early."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, ForeignKey, Integer, MetaData, Table, delete, insert, select, text, update

from cosphere_jupyter.database.changes import tables_of
from cosphere_jupyter.database.engine import Database
from cosphere_jupyter.errors import NotFound

metadata = MetaData()
parents = Table("parents", metadata, Column("id", Integer, primary_key=True), Column("value", Integer))
children = Table(
    "children",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("parent_id", ForeignKey("parents.id", ondelete="CASCADE")),
)
others = Table("others", metadata, Column("id", Integer, primary_key=True), Column("value", Integer))
TABLES = {table.name: table for table in (parents, children, others)}

_files = itertools.count()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("changes")


def opened(folder: Path, **options) -> Database:
    database = Database(folder / f"{next(_files)}.sqlite", **options)
    database.submit(metadata.create_all).result()
    return database


@pytest.fixture(params=["wal", "network"])
def database(request, folder):
    database = opened(folder, shared_memory=request.param == "wal")
    yield database
    database.close()


def changed_by(database, work) -> set[str]:
    before = {name: database.changes.of([name]) for name in TABLES}
    with contextlib.suppress(NotFound):
        database.submit(work).result()
    return {name for name in TABLES if database.changes.of([name]) != before[name]}


def test_a_change_is_counted_for_its_table_and_those_that_hang_on_it(database):
    assert changed_by(database, lambda c: c.execute(insert(others).values(value=1))) == {"others"}
    assert changed_by(database, lambda c: c.execute(insert(others), [{"value": 1}, {"value": 2}])) == {"others"}
    assert changed_by(database, lambda c: c.execute(update(others).values(value=3))) == {"others"}
    assert changed_by(database, lambda c: c.execute(insert(children).values(parent_id=None))) == {"children"}
    assert changed_by(database, lambda c: c.execute(delete(parents))) == {"parents", "children"}
    returning = insert(others).values(value=1).returning(others.c.id)
    assert changed_by(database, lambda c: c.execute(returning).scalar_one()) == {"others"}


def test_reading_changes_nothing(database):
    assert changed_by(database, lambda c: c.execute(select(others).where(others.c.id == 1)).all()) == set()
    assert changed_by(database, lambda c: None) == set()


def test_what_nobody_can_tell_counts_for_every_table(database):
    for sql in ("UPDATE others SET value = 4", "PRAGMA user_version"):
        assert changed_by(database, lambda c, sql=sql: c.exec_driver_sql(sql).close()) == set(TABLES)
        assert changed_by(database, lambda c, sql=sql: c.execute(text(sql)).close()) == set(TABLES)
    extra = Table("extra", MetaData(), Column("id", Integer))
    assert changed_by(database, lambda c: extra.create(c)) == set(TABLES)


def test_what_is_rolled_back_was_no_change(database):
    def fail(connection):
        connection.execute(insert(others).values(value=1))
        raise NotFound("thing")

    assert changed_by(database, fail) == set()
    # Nor does the next transaction count it.
    assert changed_by(database, lambda c: c.execute(insert(parents).values(value=1))) == {"parents", "children"}


def test_while_a_change_is_committed_there_is_no_version_of_its_tables(folder):
    database = opened(folder)
    seen = {}

    def work(connection):
        connection.execute(insert(others).values(value=1))
        seen["before"] = database.changes.of(["others"])
        with database.changes.committing():
            seen["meanwhile"] = database.changes.of(["others", "parents"]), database.changes.of(["parents"])

    database.submit(work).result()
    assert seen["before"] is not None
    assert seen["meanwhile"][0] is None and seen["meanwhile"][1] is not None
    assert database.changes.of(["others"]) not in (None, seen["before"])
    database.close()


def test_a_database_that_others_write_has_no_versions(folder):
    database = opened(folder, sole_writer=False)
    assert database.changes.of(["others"]) is None
    database.close()


def test_versions_of_two_databases_are_never_equal(folder):
    first, second = opened(folder), opened(folder)
    assert first.changes.of(["others"]) != second.changes.of(["others"])
    first.close()
    second.close()


def test_the_tables_of_a_statement_are_those_at_every_depth_of_it():
    inner = select(children.c.parent_id).where(children.c.id.in_(select(others.c.id)))
    renamed = parents.alias("renamed")
    assert tables_of(select(renamed).where(renamed.c.id.in_(inner))) == ("children", "others", "parents")


works = st.sampled_from(
    [
        lambda c: c.execute(insert(parents).values(value=1)),
        lambda c: c.execute(insert(children).values(parent_id=1)),
        lambda c: c.execute(update(parents).values(value=parents.c.value + 1)),
        lambda c: c.execute(delete(parents).where(parents.c.id == 1)),
        lambda c: c.execute(delete(others)),
        lambda c: c.exec_driver_sql("INSERT INTO others (value) VALUES (1)"),
        lambda c: c.execute(select(others)).all(),
        lambda c: (c.execute(insert(others).values(value=1)), c.execute(insert(others).values(id=None, nothing=1))),
    ]
)


def _contents(connection):
    return {name: [tuple(row) for row in connection.execute(select(table))] for name, table in TABLES.items()}


@settings(max_examples=40, deadline=None)
@given(groups=st.lists(st.lists(works, min_size=1, max_size=4), max_size=8))
def test_other_contents_always_have_another_version(folder, groups):
    """Groups of writes that share a COMMIT, some of which fail."""
    database = opened(folder)

    async def run():
        seen = {name: {} for name in TABLES}
        for group in [[], *groups]:
            await asyncio.gather(*(database.write(work) for work in group), return_exceptions=True)
            versions = {name: database.changes.of([name]) for name in TABLES}
            contents = await database.read(_contents)
            for name in TABLES:
                assert seen[name].setdefault(versions[name], contents[name]) == contents[name]

    asyncio.run(run())
    database.close()
