"""The task behind a download request: unload a selection into the result store."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ..database.engine import Database
from ..errors import ExecutionError, Invalid, NotFound
from ..executors.duckdb.executor import DuckDBExecutor
from ..results.folder import FolderStore
from ..tasks.engine import Call
from ..tasks.records import Task
from . import spec as rules
from .estimate import learn
from .service import (
    TASK_NAME,
    DownloadRequest,
    charge_result,
    has_quota,
    read_request_of_task,
    result_name,
    store_result,
)


class DownloadTask:
    """What the engine does for tasks named ``download``; see ``TaskKind``."""

    name = TASK_NAME

    def __init__(self, database: Database, store: FolderStore, duckdb: DuckDBExecutor, scratch: Path) -> None:
        """``scratch`` is a folder for what a query spills to disk."""
        self._database = database
        self._store = store
        self._duckdb = duckdb
        self._scratch = scratch

    async def prepare(self, task: Task) -> Call:
        """Make the attempt's folder and say what the child shall unload into it."""
        request, _ = await self._read(task)
        if request.item.executor_type != "DUCKDB":
            raise ExecutionError(
                f"'{request.item.name}' lives on {request.item.executor_type}, and this version of the workspace can "
                "run requests on DUCKDB tables only"
            )
        return await asyncio.to_thread(self._prepare, task, request)

    def _prepare(self, task: Task, request: DownloadRequest) -> Call:
        query = rules.select(request.item, request.spec)
        if isinstance(query, str):
            raise ExecutionError(f"the table has changed since it was asked: {query}")
        try:
            source = self._duckdb.resolve(request.item.source or "")
        except Invalid as error:
            raise ExecutionError(str(error)) from None
        if source.version != request.data_version:
            raise ExecutionError("the data of this table changed after it was asked for; ask again")
        folder = self._store.begin(result_name(task))
        columns = {column["name"]: column["type"] for column in request.item.spec}
        params = self._duckdb.unload_params(source, query, columns, folder, self._scratch_of(task))
        return Call(self._duckdb.unload_entry, params)

    def _scratch_of(self, task: Task) -> Path:
        return self._scratch / f"{task.key}-{task.state.attempt}"

    async def publish(self, task: Task, result: Any) -> Any:
        """Write the manifest and make the folder visible; what is stored is the manifest in short."""
        request, is_limited = await self._read(task)
        if is_limited:
            await self._charge(task, result["bytes"])
        name = result_name(task)
        manifest = {
            "id": name.rsplit("/", 1)[-1],
            "catalogue_item": request.item.name,
            "spec": request.spec,
            "data_version": request.data_version,
            **result,
        }
        await asyncio.to_thread(self._publish, task, name, manifest)
        return {
            "name": name,
            "rows": result["rows"],
            "bytes": result["bytes"],
            "files": [file["name"] for file in result["files"]],
        }

    def _publish(self, task: Task, name: str, manifest: dict[str, Any]) -> None:
        self._store.publish(name, manifest)
        shutil.rmtree(self._scratch_of(task), True)

    async def _charge(self, task: Task, size: int) -> None:
        """Refuse a result that turned out bigger than its owner's share, or make room for it."""
        for name in await self._database.write(lambda connection: charge_result(connection, task, size)):
            await asyncio.to_thread(self._store.delete, name)

    def on_end(self, connection: Connection, task: Task) -> None:
        """On success the request gets its result, in the same transaction, and estimates learn from it."""
        if task.state.status == "success":
            store_result(connection, task)
            with suppress(NotFound):
                learn(connection, read_request_of_task(connection, task))

    async def discard(self, task: Task) -> None:
        """Remove the folders of an attempt that did not win."""
        await asyncio.to_thread(shutil.rmtree, self._scratch_of(task), True)
        await asyncio.to_thread(self._store.discard, result_name(task))

    async def _read(self, task: Task) -> tuple[DownloadRequest, bool]:
        """Return the request of a task, and whether its owner has a disk quota."""
        try:
            return await self._database.read(
                lambda connection: (read_request_of_task(connection, task), has_quota(connection, task))
            )
        except NotFound:
            raise ExecutionError("the download request of this task is gone") from None
