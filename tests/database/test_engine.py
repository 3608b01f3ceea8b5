"""Reads, writes, group commit, and what a broken transaction does to its neighbours."""

from __future__ import annotations

import asyncio
import os
import stat

import pytest
from sqlalchemy import Column, Integer, String, Table, insert, select
from sqlalchemy.exc import IntegrityError

from cosphere_jupyter.database.engine import Database
from cosphere_jupyter.database.schema import metadata
from cosphere_jupyter.errors import NotFound, Unavailable

things = Table("test_things", metadata, Column("id", Integer, primary_key=True), Column("name", String, unique=True))
metadata.remove(things)


@pytest.fixture(params=["wal", "network"])
def database(request, tmp_path):
    opened = Database(tmp_path / "test.sqlite", shared_memory=request.param == "wal")
    opened.submit(things.create).result()
    yield opened
    opened.close()


def add(name):
    return lambda connection: connection.execute(insert(things).values(name=name)) and None


def names(connection):
    return sorted(connection.execute(select(things.c.name)).scalars())


async def test_what_was_written_can_be_read(database):
    await database.write(add("a"))
    assert await database.read(names) == ["a"]


async def test_hundreds_of_parallel_writes_and_reads_all_succeed(database):
    writes = [database.write(add(f"name-{number}")) for number in range(500)]
    reads = [database.read(names) for _ in range(100)]
    await asyncio.gather(*writes, *reads)
    assert len(await database.read(names)) == 500


async def test_a_write_that_fails_harms_none_of_its_group(database):
    await database.write(add("taken"))

    def refuse(connection):
        add("half")(connection)
        raise NotFound("thing")

    works = [add("a"), add("taken"), add("b"), refuse, add("c")]
    outcomes = await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), IntegrityError, type(None), NotFound, type(None)]
    assert await database.read(names) == ["a", "b", "c", "taken"]


async def test_a_failure_of_the_database_is_unavailable_and_the_others_of_the_group_are_still_stored(database):
    def broken(connection):
        connection.exec_driver_sql("SELECT * FROM no_such_table")

    works = [add("a"), broken, add("b")]
    outcomes = await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)
    assert isinstance(outcomes[1], Unavailable)
    assert await database.read(names) == ["a", "b"]


async def test_a_read_cannot_write(tmp_path):
    database = Database(tmp_path / "test.sqlite")
    database.submit(things.create).result()
    with pytest.raises(Unavailable):
        await database.read(add("a"))
    assert await database.read(names) == []
    database.close()


async def test_a_caller_who_gives_up_does_not_stop_the_writer(database):
    waiting = asyncio.ensure_future(database.write(add("a")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await database.write(add("b"))
    assert "b" in await database.read(names)


async def test_after_closing_everything_is_refused(tmp_path):
    database = Database(tmp_path / "test.sqlite")
    database.close()
    database.close()
    with pytest.raises(Unavailable):
        await database.write(names)
    with pytest.raises(Unavailable):
        await database.read(names)


def test_the_file_and_its_log_are_private(tmp_path):
    before = os.umask(0)
    try:
        database = Database(tmp_path / "test.sqlite")
        database.submit(things.create).result()
        files = list(tmp_path.iterdir())
        assert {file.name for file in files} == {"test.sqlite", "test.sqlite-wal", "test.sqlite-shm"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        database.close()
    finally:
        os.umask(before)


async def test_on_a_network_file_system_there_is_no_shared_memory_file(tmp_path):
    database = Database(tmp_path / "test.sqlite", shared_memory=False)
    await database.write(things.create)
    await database.write(add("a"))
    assert (
        await database.read(lambda connection: connection.exec_driver_sql("PRAGMA journal_mode").scalar()) == "delete"
    )
    assert not list(tmp_path.glob("*-shm")) and not list(tmp_path.glob("*-wal"))
    database.close()


async def test_every_commit_is_synchronous(database):
    assert await database.write(lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar()) == 2
