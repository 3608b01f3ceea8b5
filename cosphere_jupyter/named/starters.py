"""Names behind which another feature's own tasks stand."""

from __future__ import annotations

from typing import Any

from ..accounts.service import Account
from ..downloads.service import TASK_NAME as DOWNLOAD
from ..downloads.service import Downloads
from ..downloads.spec import spec_errors
from ..errors import ExecutionError
from ..exports.service import TASK_NAME as EXPORT
from ..exports.service import Exports
from ..tasks.records import Task
from .functions import WrongParameters
from .parameters import Parameters
from .spec import Definition, TaskFacts


class DownloadStarter:
    """``download``: a download request of the CoSphere API, and the task that runs for it."""

    def __init__(self, downloads: Downloads) -> None:
        self._downloads = downloads
        self._parameters = Parameters.of(_download)
        self.facts = TaskFacts(DOWNLOAD, _download.__doc__ or "", self._parameters.describe(), is_idempotent=True)

    async def start(self, definition: Definition, owner: Account) -> Task:
        """Join the equal request if there is one: its task may be running or done already.

        An ``idempotency_key`` is not needed for it, and does nothing.
        """
        values = self._parameters.bind(definition.params)
        if wrong := spec_errors(values["spec"]):
            raise WrongParameters({"spec": wrong})
        request, _ = await self._downloads.read_or_create(values["catalogue_item_id"], values["spec"], owner)
        if request.task is None:
            raise ExecutionError("the task of this download request is gone")
        return request.task


class ExportStarter:
    """``export``: a typed download of the Downloads API, and the task that makes its file."""

    def __init__(self, exports: Exports) -> None:
        self._exports = exports
        self._parameters = Parameters.of(_export)
        self.facts = TaskFacts(EXPORT, _export.__doc__ or "", self._parameters.describe(), is_idempotent=True)

    async def start(self, definition: Definition, owner: Account) -> Task:
        """Make a download. Its file is handed out by the Downloads API only, which asks for permission each time."""
        values = self._parameters.bind(definition.params)
        download = await self._exports.create(
            values["download_type"],
            values.get("info"),
            owner,
            idempotency_key=definition.idempotency_key,
            priority=definition.priority,
        )
        if download.task is None:
            raise ExecutionError("the task of this download is gone")
        return download.task


async def _export(download_type: str, info: dict[str, Any] | None = None) -> None:
    """Make the file of a typed download, as in the Downloads API."""


async def _download(catalogue_item_id: int, spec: dict[str, Any]) -> None:
    """Ask for columns and rows of a table of the catalogue, as in a download request."""
