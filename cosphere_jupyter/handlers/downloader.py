"""The download requests of the CoSphere API: read-or-create, read, bulk read and delete."""

from __future__ import annotations

from typing import Any

from ..downloads.service import DownloadRequest
from ..downloads.spec import length_errors, spec_errors
from ..results.folder import MANIFEST
from ..tasks.records import Task
from .accounts import PAGE_FIELDS
from .catalogue import item_entity
from .cosphere import CosphereHandler, account_entity
from .fields import Field, Integer, Json

LONGEST_WAIT = 30

CREATE_FIELDS: dict[str, Field] = {"spec": Json(spec_errors, first=length_errors), "catalogue_item_id": Integer()}
READ_FIELDS: dict[str, Field] = {"wait": Integer(0, LONGEST_WAIT, default=0)}


class _DownloadRequestsFace(CosphereHandler):
    def entity(self, request: DownloadRequest) -> dict[str, Any]:
        """Return a request as the API shows it; ``id``, ``manifest_uri`` and ``task`` are ours."""
        return {
            "@type": "download_request",
            "id": request.id,
            "spec": request.spec,
            "download_uri": self._link(request, _download_name(request)),
            "manifest_uri": self._link(request, MANIFEST),
            "blob_name": request.blob_name,
            "real_size": request.real_size,
            "estimated_size": request.estimated_size,
            "executor_job_id": request.executor_job_id,
            "catalogue_item": item_entity(request.item),
            "created_by": account_entity(request.created_by),
            "is_cancelled": request.is_cancelled,
            "task": self._task(request.task),
        }

    def _link(self, request: DownloadRequest, file_name: str) -> str | None:
        if request.blob_name is None:
            return None
        path = self.services.links.sign(request.blob_name, file_name)
        return f"{self.request.protocol}://{self.request.host}{self.services.mount(self.base_url)}results/{path}"

    def _task(self, task: Task | None) -> dict[str, Any] | None:
        if task is None:
            return None
        return {
            "@type": "task",
            "key": task.key,
            "status": task.state.status,
            "progress": self.services.tasks.progress_of(task),
            "error": task.state.error,
            "queued": task.queued_at,
            "started": task.started_at,
            "completed": task.completed_at,
        }


def _download_name(request: DownloadRequest) -> str:
    """One Parquet file is given as such; several travel in an archive."""
    files = (request.result or {}).get("files", [])
    return str(files[0]) if len(files) == 1 else "parts.tar"


class DownloadRequestsHandler(_DownloadRequestsFace):
    """``/downloader/requests/``."""

    async def get(self) -> None:
        """BULK_READ_DOWNLOADREQUESTS that the caller waits for."""
        requests = await self.services.downloads.bulk_read(self.account, **self.query(PAGE_FIELDS))
        entities = [self.entity(request) for request in requests]
        self.send_event("DOWNLOADREQUESTS_BULK_READ", "download_requests_list", requests=entities)

    async def post(self) -> None:
        """READ_OR_CREATE_DOWNLOADREQUEST: 201 for a new one, 200 for one that was asked for before."""
        values = await self.body(CREATE_FIELDS)
        request, created = await self.services.downloads.read_or_create(
            values["catalogue_item_id"], values["spec"], self.account
        )
        event, status = ("DOWNLOADREQUEST_CREATED", 201) if created else ("DOWNLOADREQUEST_READ", 200)
        self.set_header("Location", f"{self.services.mount(self.base_url)}downloader/requests/{request.id}")
        self.send_json({"@event": event, **self.entity(request)}, status)


class EstimateHandler(CosphereHandler):
    """``/downloader/requests/estimate/``."""

    async def post(self) -> None:
        """ESTIMATE_SIZE_OF_DOWNLOAD_REQUEST; ``rows``, ``low``, ``high`` (bytes) and ``method`` are ours."""
        values = await self.body(CREATE_FIELDS)
        found = await self.services.estimates.estimate(values["catalogue_item_id"], values["spec"], self.account)
        self.send_event(
            "SIZE_OF_DOWNLOAD_REQUEST_ESTIMATED",
            "download_request_estimated_size",
            estimated_size=found.size,
            rows=found.rows,
            low=found.low,
            high=found.high,
            method=found.method,
        )


class DownloadRequestHandler(_DownloadRequestsFace):
    """``/downloader/requests/{request_id}``."""

    async def get(self, request_id: str) -> None:
        """READ_DOWNLOADREQUEST; with ``wait`` (seconds, at most 30) answers at its next change or its end."""
        seconds = self.query(READ_FIELDS)["wait"]
        self.counts_as_activity = not seconds
        request = await self.services.downloads.wait(self.path_id(request_id), self.account, seconds)
        self.send_json({"@event": "DOWNLOADREQUEST_READ", **self.entity(request)})

    async def delete(self, request_id: str) -> None:
        """DELETE_DOWNLOADREQUEST: leave it; the last one to leave cancels it."""
        await self.services.downloads.leave(self.path_id(request_id), self.account)
        self.send_event("DOWNLOADREQUEST_DELETED", "empty")
