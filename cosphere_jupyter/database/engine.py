"""The database: reads in a small pool of threads, writes in one thread with group commit.

Handlers are async and give a function that takes a SQLAlchemy Core ``Connection``::

    row = await database.read(lambda c: c.execute(select(items).where(items.c.id == 7)).one_or_none())
    item_id = await database.write(lambda c: insert_item(c, …))

A write is acknowledged (its ``await`` returns) only after COMMIT with ``synchronous=FULL``: it survives kill -9 and
a power cut. Writes that wait together share one COMMIT, each in its own savepoint, so one that fails harms no other;
a function may be run again after another one of its group broke the transaction, so it must do nothing but SQL.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from ..errors import Unavailable
from .changes import Changes
from .readers import Readers

T = TypeVar("T")
Work = Callable[[Connection], T]

GROUP_LIMIT = 128
# Reads are quick and hold the interpreter most of their time: more threads only get into each other's way.
READERS = 2


class _Job:
    """A write that waits for its COMMIT."""

    def __init__(self, work: Work[Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self.outcome: Any = None
        self.error: BaseException | None = None

    def run(self, connection: Connection) -> None:
        self.outcome = self.error = None
        try:
            self.outcome = self.work(connection)
        except Exception as error:
            self.error = error

    def deliver(self) -> None:
        if self.error is None:
            self.future.set_result(self.outcome)
        else:
            self.future.set_exception(_translate(self.error))


def _translate(error: BaseException) -> BaseException:
    """Turn a failure of the database itself into Unavailable; everything else stays what it is."""
    if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError):
        return Unavailable(f"the database cannot do this now: {error.orig}", event="DATABASE_ERROR_OCCURRED")
    return error


def _breaks_transaction(error: BaseException | None) -> bool:
    """Whether SQLite may have rolled the whole transaction back by itself (disk full, I/O error, …)."""
    return isinstance(error, DBAPIError) and not isinstance(error, IntegrityError)


class Database:
    """One SQLite file, opened by the one process that owns its directory."""

    def __init__(self, path: Path, *, shared_memory: bool = True, sole_writer: bool = True) -> None:
        """``shared_memory=False`` is for network file systems: rollback journal, one connection for everything.

        ``sole_writer=False`` says that others write this database, too: `changes` then gives no versions.
        """
        self.path = path
        self._shared_memory = shared_memory
        self._engine = self._create_engine()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer_connection = self._connect()
        self.changes = Changes(self._writer_connection, is_complete=sole_writer)
        self._closed = False
        self._writer = threading.Thread(target=self._write_loop, name="cosphere-write", daemon=True)
        self._writer.start()
        self._readers = Readers(READERS if shared_memory else 0, self._connect_reader, _translate)

    # -- the two verbs -------------------------------------------------------------------------------------------

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` in a read transaction and return what it returns."""
        if not self._shared_memory:
            return await self.write(work)
        if self._closed:
            raise Unavailable("the workspace is stopping")
        outcome: T = await self._readers.submit(work)
        return outcome

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in a write transaction; returns after the COMMIT is on disk."""
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Work[T]) -> Future[T]:
        """Queue a write from any thread; the future is done after its COMMIT."""
        if self._closed:
            raise Unavailable("the workspace is stopping")
        job = _Job(work)
        self._jobs.put(job)
        return job.future

    def close(self) -> None:
        """Finish the queued writes and close. The writer goes last: only it ever checkpoints the log."""
        if self._closed:
            return
        self._closed = True
        self._readers.close()
        self._jobs.put(None)
        self._writer.join()
        self._writer_connection.close()
        self._engine.dispose()

    def _connect_reader(self) -> Connection:
        connection = self._connect()
        connection.exec_driver_sql("PRAGMA query_only=ON")
        return connection

    # -- writing -------------------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        while True:
            group = self._next_group()
            ready = [job for job in group if job and job.future.set_running_or_notify_cancel()]
            if ready and not self._commit(ready):
                for job in ready:
                    self._commit_alone(job)
            for job in ready:
                job.deliver()
            if None in group:
                return

    def _next_group(self) -> list[_Job | None]:
        group = [self._jobs.get()]
        while len(group) < GROUP_LIMIT and group[-1] is not None:
            try:
                group.append(self._jobs.get_nowait())
            except queue.Empty:
                break
        return group

    def _commit(self, group: list[_Job]) -> bool:
        """Run a group in one transaction. False if the transaction broke: then nothing of it is stored."""
        if len(group) == 1:
            self._commit_alone(group[0])
            return True
        sql = self._writer_connection.exec_driver_sql
        try:
            sql("BEGIN IMMEDIATE")
            for job in group:
                sql("SAVEPOINT job")
                job.run(self._writer_connection)
                if _breaks_transaction(job.error):
                    self._rollback()
                    return False
                if job.error is not None:
                    sql("ROLLBACK TO job")
                sql("RELEASE job")
            with self.changes.committing():
                sql("COMMIT")
        except DBAPIError:
            self._rollback()
            return False
        return True

    def _commit_alone(self, job: _Job) -> None:
        sql = self._writer_connection.exec_driver_sql
        try:
            sql("BEGIN IMMEDIATE")
            job.run(self._writer_connection)
            if job.error is None:
                with self.changes.committing():
                    sql("COMMIT")
            else:
                self._rollback()
        except DBAPIError as error:
            job.error = error
            self._rollback()

    def _rollback(self) -> None:
        self.changes.forget()
        raw: Any = self._writer_connection.connection.driver_connection
        if raw.in_transaction:
            self._writer_connection.exec_driver_sql("ROLLBACK")

    # -- connections ---------------------------------------------------------------------------------------------

    def _create_engine(self) -> Engine:
        return create_engine("sqlite://", creator=self._open, poolclass=NullPool, isolation_level="AUTOCOMMIT")

    def _connect(self) -> Connection:
        return self._engine.connect()

    def _open(self) -> sqlite3.Connection:
        # Created before SQLite opens it, so that the file (and the log that copies its mode) is private from the start.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        raw = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        if self._shared_memory:
            raw.execute("PRAGMA journal_mode=WAL")
        else:
            # Order matters: an exclusive lock taken first spares the shared-memory file.
            raw.execute("PRAGMA locking_mode=EXCLUSIVE")
            raw.execute("PRAGMA journal_mode=DELETE")
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute("PRAGMA foreign_keys=ON")
        raw.execute("PRAGMA temp_store=MEMORY")
        return raw
