"""The task behind a typed download: one file, made in a child process, published in the result store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from ..accounts.service import Account, read_account
from ..database.engine import Database
from ..errors import ExecutionError
from ..results.folder import FolderStore
from ..sizes import format_size
from ..tasks.engine import Call, Published
from ..tasks.outputs import result_name
from ..tasks.records import Task
from ..tasks.tables import tasks
from .service import TASK_NAME, Download, Exports, may_create, read_of_task
from .types import CONTENT_TYPES


class ExportTask:
    """What the engine does for tasks named ``export``; see ``TaskKind``.

    The task has no outputs: whoever may read the task (an ADMIN, say) may not read the file for that. The file is
    handed out by the download alone, which asks for the permission each time.
    """

    name = TASK_NAME

    def __init__(self, database: Database, store: FolderStore, exports: Exports) -> None:
        self._database = database
        self._store = store
        self._exports = exports

    async def prepare(self, task: Task) -> Call:
        """Make the attempt's folder and let the type say what the child shall write into it."""
        download, caller = await self._database.read(lambda connection: _read(connection, task))
        type_ = self._exports.find_type(download.download_type)
        if type_ is None:
            raise ExecutionError(f"there is no download type named {download.download_type!r} here any more")
        if not await type_.may_read(download.info, caller):
            raise ExecutionError("you may no longer see what this download would hold")
        folder = await asyncio.to_thread(self._store.begin, result_name(task))
        return await type_.prepare(download.info, caller, folder)

    async def publish(self, task: Task, result: Any) -> Published:
        """Write the manifest and make the folder visible; ``ExecutionError`` if the caller's disk quota is used up."""
        await self._database.read(lambda connection: _check_quota(connection, task, result["size"]))
        name = result_name(task)
        file = {
            "name": result["file"],
            "bytes": result["size"],
            "rows": result["rows"],
            "sha256": result["sha256"],
            "content_type": CONTENT_TYPES[Path(result["file"]).suffix.removeprefix(".")],
        }
        manifest = {"id": name.rsplit("/", 1)[-1], "files": [file], "rows": result["rows"], "bytes": result["size"]}
        await asyncio.to_thread(self._store.publish, name, manifest)
        download = await self._database.read(lambda connection: read_of_task(connection, task.key))
        return Published({"download_id": download and download.id, **result}, name)

    def on_end(self, connection: Connection, task: Task) -> None:
        """Nothing: the download reads its task."""

    async def discard(self, task: Task) -> None:
        """Remove the folders of an attempt that did not win."""
        await asyncio.to_thread(self._store.discard, result_name(task))


def _check_quota(connection: Connection, task: Task, size: int) -> None:
    """All files that are kept for an account take no more than its disk quota; results of requests count apart."""
    quota = read_account(connection, task.owner_id).disk_quota if task.owner_id is not None else None
    if quota is None:
        return
    kept = select(tasks.c.result).where(
        tasks.c.owner_id == task.owner_id, tasks.c.name == TASK_NAME, tasks.c.status == "success"
    )
    used = sum(result["size"] for result in connection.execute(kept).scalars())
    if used + size > quota:
        raise ExecutionError(
            f"the files of your downloads take {format_size(used)} and this one {format_size(size)}, and your disk "
            f"quota is {format_size(quota)}: wait until older ones have expired"
        )


def _read(connection: Connection, task: Task) -> tuple[Download, Account]:
    download = read_of_task(connection, task.key)
    if download is None:
        raise ExecutionError("the download of this task is gone")
    caller = read_account(connection, download.account_id)
    if not caller.is_active or not may_create(connection, download.download_type, caller):
        raise ExecutionError(f"you may no longer ask for downloads of type {download.download_type}")
    return download, caller
