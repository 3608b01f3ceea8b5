"""What the engine does for tasks that are functions: the fallback for all names that no feature has."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ..errors import ExecutionError
from ..results.folder import FolderStore
from ..tasks.answers import Answer
from ..tasks.kinds import Call, Published
from ..tasks.outputs import result_name
from ..tasks.records import Task
from .context import OUTPUTS
from .registry import Registry, is_ours

RUN_ENTRY = "cosphere_jupyter.named.child:run"


class NamedTask:
    """See ``TaskKind``. Output files are written in a scratch folder and become a result all at once."""

    name = ""

    def __init__(self, registry: Registry, store: FolderStore, scratch: Path, fetch_hosts: Sequence[str]) -> None:
        """``scratch`` is a folder for what attempts write; ``fetch_hosts`` may be fetched from though private."""
        self._registry = registry
        self._store = store
        self._scratch = scratch
        self._fetch_hosts = list(fetch_hosts)

    async def prepare(self, task: Task) -> Call:
        """Say which function the child shall run."""
        entry = (await self._registry.entries()).get(task.name)
        if entry is None:
            raise ExecutionError(no_such_task(task.name))
        params = {
            "entry": entry,
            "values": task.params,
            "key": task.key,
            "scratch": str(self._scratch_of(task)),
            "fetch_hosts": self._fetch_hosts,
        }
        return Call(RUN_ENTRY, params, spill=self._spill_of(task), is_foreign=not is_ours(entry))

    async def publish(self, task: Task, result: Any) -> Any:
        """Put the output files, if there are any, into the result store together with a manifest."""
        if not isinstance(result, Answer):
            return result
        name = result_name(task)
        await asyncio.to_thread(self._publish, task, name, result.facts)
        return Published(result.result, name, tuple(result.facts))

    def _publish(self, task: Task, name: str, outputs: list[dict[str, Any]]) -> None:
        scratch = self._scratch_of(task)
        folder = self._store.begin(name)
        for output in outputs:
            _move(scratch / OUTPUTS / output["file"], folder / output["file"])
        files = [{"name": each["file"], "bytes": each["size"], **_facts(each)} for each in outputs]
        self._store.publish(name, {"id": name.rsplit("/", 1)[-1], "task": task.name, "files": files})
        shutil.rmtree(scratch, ignore_errors=True)

    def on_end(self, connection: Connection, task: Task) -> None:
        """Named tasks have no rows besides their own."""

    async def discard(self, task: Task) -> None:
        """Remove what an attempt has written."""
        await asyncio.to_thread(self._discard, task)

    def _discard(self, task: Task) -> None:
        shutil.rmtree(self._scratch_of(task), ignore_errors=True)
        self._spill_of(task).unlink(missing_ok=True)
        self._store.discard(result_name(task))

    def _spill_of(self, task: Task) -> Path:
        return self._scratch / f"{task.key}-{task.state.attempt}.json"

    def _scratch_of(self, task: Task) -> Path:
        return self._scratch / f"{task.key}-{task.state.attempt}"


def no_such_task(name: str) -> str:
    """Return the text of a task that nothing can run."""
    return f"there is no task named '{name[:128]}'"


def _facts(output: dict[str, Any]) -> dict[str, Any]:
    return {key: output[key] for key in ("sha256", "content_type")}


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The result store lies on another disk.
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())
