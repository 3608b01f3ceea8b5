"""The rules of typed downloads: who may ask for which, what state one is in, and who gets its file."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select

from ..accounts.service import Account
from ..database.engine import Database
from ..database.schema import now
from ..errors import AccessDenied, FieldsInvalid, NotFound
from ..permissions.service import (
    EVERYONE,
    Level,
    Permission,
    check_subjects,
    decide,
    give,
    level_of,
    permissions_on,
)
from ..results.folder import FolderStore
from ..tasks import records
from ..tasks.engine import TaskEngine
from ..tasks.records import Task
from .tables import typed_downloads
from .types import RESOURCE, DownloadType, Info, Types, number_of

TASK_NAME = "export"
# What kills its process is stopped by the crash budget before: these are ends of the server.
MAX_ATTEMPTS = 10
EXPIRED = "the file of this download has expired; ask for it again"
# A download whose file is gone is remembered for so long: until then its id answers with what became of it.
REMEMBERED = timedelta(days=90)

State = Literal["pending", "running", "done", "failed"]
_STATES: dict[str, State] = {"queued": "pending", "executing": "running", "success": "done", "error": "failed"}


@dataclass(frozen=True)
class Download:
    """A download with its task (None when that is gone). ``is_gone``: it was done, and its file is there no more."""

    id: str
    download_type: str
    info: Info
    account_id: int
    created_at: datetime
    task: Task | None
    is_gone: bool = False

    @property
    def state(self) -> State:
        """``pending``, ``running``, ``done`` (only then there is a file) or ``failed``."""
        return "failed" if self.task is None or self.is_gone else _STATES[self.task.state.status]

    @property
    def error(self) -> str | None:
        """Why it failed."""
        if self.task is None or self.is_gone:
            return EXPIRED
        return self.task.state.error

    @property
    def is_settled(self) -> bool:
        """Whether nothing is going to change by itself, but that the file expires."""
        return self.state in ("done", "failed")


class Exports:
    """All that is done with typed downloads, for every face."""

    def __init__(self, database: Database, engine: TaskEngine, store: FolderStore) -> None:
        self._database = database
        self._engine = engine
        self._store = store
        self._types = Types()

    def register(self, *types: DownloadType) -> None:
        """Offer further types."""
        for each in types:
            self._types.register(each)

    def find_type(self, name: str) -> DownloadType | None:
        """Return the type with this name."""
        return self._types.find(name)

    # -- downloads -------------------------------------------------------------------------------------------------

    async def create(
        self,
        download_type: str,
        info: Mapping[str, Any] | None,
        caller: Account,
        *,
        idempotency_key: str | None = None,
        priority: int = 0,
    ) -> Download:
        """Store a new download and its task, and return it.

        Asking twice under one ``idempotency_key`` gives the same download, as long as its task is kept.

        Raises:
            FieldsInvalid: no such type, or wrong ``info`` (then nothing is stored).
            AccessDenied: the caller may not ask for this type.
        """
        wanted = self._types.find(download_type)
        if wanted is None:
            known = ", ".join(each.name for each in self._types.all())
            raise FieldsInvalid({"download_type": [f"there is no such download type; there are: {known}"]})
        await self._database.read(lambda connection: _demand(connection, download_type, caller, Level.WRITE))
        stored = await wanted.accept(info or {}, caller)
        row = {"id": str(uuid.uuid4()), "download_type": download_type, "info": stored, "account_id": caller.id}
        key = None if idempotency_key is None else f"{TASK_NAME}-{hashlib.sha256(idempotency_key.encode()).hexdigest()}"
        download = await self._database.write(lambda connection: _create(connection, row, caller, key, priority))
        if download.task is not None:
            self._engine.wake([download.task.key], caller.id)
        return download

    async def read(self, download_id: str, caller: Account) -> Download:
        """Return a download of the caller's.

        Raises:
            NotFound: there is no such download.
            AccessDenied: somebody else asked for it, or the caller may see this type (or these data) no more.
        """
        download = await self._database.read(lambda connection: _read(connection, download_id, caller))
        type_ = self._types.find(download.download_type)
        if type_ is not None and not await type_.may_read(download.info, caller):
            raise AccessDenied("you may no longer see what this download holds")
        return await asyncio.to_thread(self._look, download)

    async def wait(self, download_id: str, caller: Account, seconds: float) -> Download:
        """Return the download when it is settled, at its next change, or after ``seconds``."""
        download = await self.read(download_id, caller)
        if download.task is None or download.is_settled or not seconds:
            return download
        with self._engine.watch(download.task.key) as changed:
            download = await self.read(download_id, caller)
            if download.is_settled:
                return download
            try:
                await asyncio.wait_for(changed.wait(), seconds)
            except asyncio.TimeoutError:
                return download
        return await self.read(download_id, caller)

    async def file(self, download_id: str, caller: Account) -> tuple[str, str]:
        """Return the names of the result and of the file in it; ``NotFound`` unless the download is done."""
        download = await self.read(download_id, caller)
        if download.task is None or download.task.result_name is None or download.state != "done":
            raise NotFound("file")
        return download.task.result_name, str(download.task.state.result["file"])

    async def sweep(self) -> None:
        """Forget downloads whose task is gone since long."""
        old = typed_downloads.c.task_key.is_(None), typed_downloads.c.created_at < now() - REMEMBERED
        found = select(typed_downloads.c.id).where(*old).limit(1)
        if await self._database.read(lambda connection: connection.execute(found).first()):
            await self._database.write(lambda connection: connection.execute(delete(typed_downloads).where(*old)))

    def progress_of(self, download: Download) -> Any:
        """Return how far the work is, from 0 to 1; None where that is not known."""
        progress = self._engine.progress_of(download.task) if download.task is not None else None
        return progress.get("fraction") if isinstance(progress, dict) else None

    def _look(self, download: Download) -> Download:
        task = download.task
        if task is None or task.result_name is None or self._store.exists(task.result_name):
            return download
        return replace(download, is_gone=True)

    # -- types -----------------------------------------------------------------------------------------------------

    async def types(self, caller: Account) -> list[tuple[DownloadType, Level]]:
        """Return the types that the caller may see, by name, with the caller's level on each."""
        every = self._types.all()

        def levels(connection: Connection) -> list[Level]:
            return [level_of(connection, RESOURCE, number_of(each.name), caller) for each in every]

        found = zip(every, await self._database.read(levels), strict=True)
        return [(each, level) for each, level in found if level >= Level.READ]

    async def permissions(self, name: str) -> list[Permission]:
        """Return what is given on a type; ``NotFound`` if there is none of this name."""
        number = self._number(name)
        return await self._database.read(lambda connection: permissions_on(connection, RESOURCE, number))

    async def set_permissions(self, name: str, given: Sequence[Permission]) -> list[Permission]:
        """Say who may see (read) and ask for (write) downloads of a type; ``ModelInvalid`` names unknown subjects."""
        number = self._number(name)

        def change(connection: Connection) -> list[Permission]:
            check_subjects(connection, given)
            decide(connection, RESOURCE, number, given)
            return permissions_on(connection, RESOURCE, number)

        return await self._database.write(change)

    async def give_defaults(self) -> None:
        """Give everyone the default level on types that nobody has decided about: they are new here."""

        def missing(connection: Connection) -> list[DownloadType]:
            return [
                each for each in self._types.all() if not permissions_on(connection, RESOURCE, number_of(each.name))
            ]

        def give_them(connection: Connection) -> None:
            for each in missing(connection):
                give(connection, RESOURCE, number_of(each.name), Permission(EVERYONE, each.default_level))

        if await self._database.read(missing):
            await self._database.write(give_them)

    def _number(self, name: str) -> int:
        if self._types.find(name) is None:
            raise NotFound("download type")
        return number_of(name)


def may_create(connection: Connection, name: str, caller: Account) -> bool:
    """Whether an account may ask for downloads of a type."""
    return level_of(connection, RESOURCE, number_of(name), caller) >= Level.WRITE


def read_of_task(connection: Connection, key: str) -> Download | None:
    """Return the download that a task makes."""
    return _find(connection, typed_downloads.c.task_key == key)


def _demand(connection: Connection, name: str, caller: Account, level: Level) -> None:
    if level_of(connection, RESOURCE, number_of(name), caller) < level:
        what = "ask for" if level is Level.WRITE else "see"
        raise AccessDenied(f"you may not {what} downloads of type {name}")


def _find(connection: Connection, condition: ColumnElement[bool]) -> Download | None:
    row = connection.execute(select(typed_downloads).where(condition)).one_or_none()
    return None if row is None else _from_row(connection, row)


def _from_row(connection: Connection, row: Row[Any]) -> Download:
    task = records.read_task(connection, row.task_key) if row.task_key else None
    return Download(row.id, row.download_type, row.info, row.account_id, row.created_at, task)


def _read(connection: Connection, download_id: str, caller: Account) -> Download:
    download = _find(connection, typed_downloads.c.id == download_id)
    if download is None:
        raise NotFound("download")
    # Also an ADMIN's: whoever administers the workspace need not read what others fetch from it.
    if download.account_id != caller.id:
        raise AccessDenied("this download is somebody else's")
    _demand(connection, download.download_type, caller, Level.READ)
    return download


def _create(
    connection: Connection, row: dict[str, Any], caller: Account, idempotency_key: str | None, priority: int
) -> Download:
    # Again, and in the transaction that stores it: it may have been taken back since.
    _demand(connection, row["download_type"], caller, Level.WRITE)
    key = records.enqueue(
        connection,
        TASK_NAME,
        {"download_type": row["download_type"], "info": row["info"]},
        caller.id,
        is_idempotent=True,
        max_attempts=MAX_ATTEMPTS,
        priority=priority,
        idempotency_key=idempotency_key,
    )
    known = read_of_task(connection, key)
    if known is not None:
        if (known.download_type, known.info) != (row["download_type"], row["info"]):
            raise FieldsInvalid({"Idempotency-Key": ["was used for another download already"]})
        return known
    connection.execute(insert(typed_downloads).values(**row, task_key=key, created_at=now()))
    created = read_of_task(connection, key)
    assert created is not None  # noqa: S101  # it was stored above
    return created
