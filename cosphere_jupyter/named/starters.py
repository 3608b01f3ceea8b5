"""Names behind which another feature's own tasks stand."""

from __future__ import annotations

from typing import Any

from ..accounts.service import Account
from ..downloads.service import TASK_NAME, Downloads
from ..downloads.spec import spec_errors
from ..errors import ExecutionError
from ..tasks.records import Task
from .functions import WrongParameters
from .parameters import Parameters
from .spec import Definition, TaskFacts


class DownloadStarter:
    """``download``: a download request of the CoSphere API, and the task that runs for it."""

    def __init__(self, downloads: Downloads) -> None:
        self._downloads = downloads
        self._parameters = Parameters.of(_download)
        self.facts = TaskFacts(TASK_NAME, _download.__doc__ or "", self._parameters.describe(), is_idempotent=True)

    async def start(self, definition: Definition, owner: Account) -> Task:
        """Join the equal request if there is one: its task may be running or done already.

        An ``idempotency_key`` is not needed for it, and does nothing.
        """
        values = self._parameters.bind(definition.params)
        if wrong := spec_errors(values["spec"]):
            raise WrongParameters({"spec": wrong})
        request, _ = await self._downloads.read_or_create(**values, caller=owner)
        if request.task is None:
            raise ExecutionError("the task of this download request is gone")
        return request.task


async def _download(catalogue_item_id: int, spec: dict[str, Any]) -> None:
    """Ask for columns and rows of a table of the catalogue, as in a download request."""
