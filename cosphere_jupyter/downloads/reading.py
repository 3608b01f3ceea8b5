"""Download requests as they are read, with their items, accounts and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from ..accounts.service import Account, accounts_by_id
from ..catalogue.service import CatalogueItem, may_see, read_item, read_items
from ..errors import NotFound
from ..tasks import records
from ..tasks.records import Task
from .tables import download_requests, download_waiters


@dataclass(frozen=True)
class DownloadRequest:
    """A request with its item and its present task. ``real_size`` in bytes; ``result`` is the manifest in short."""

    id: int
    spec: dict[str, Any]
    item: CatalogueItem
    created_by: Account | None
    is_cancelled: bool
    estimated_size: int | None
    real_size: int | None
    executor_job_id: str | None
    blob_name: str | None
    result: dict[str, Any] | None
    fingerprint: str
    data_version: str
    used_at: datetime | None
    task: Task | None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is going to change by itself."""
        return self.task is None or self.task.state.is_final


def read_requests_after(connection: Connection, caller: Account, after: int, limit: int) -> list[DownloadRequest]:
    """Return the next requests that an account waits for, by id: what came or went meanwhile moves none of them."""
    query = waited_for(caller).where(download_requests.c.id > after).order_by(download_requests.c.id).limit(limit)
    return requests_from_rows(connection, connection.execute(query).all())


def read_request_of_task(connection: Connection, task: Task) -> DownloadRequest:
    """Return the request whose present task this is, or raise ``NotFound``."""
    found = requests_from_rows(
        connection,
        connection.execute(select(download_requests).where(download_requests.c.task_key == task.key)).all(),
    )
    if not found:
        raise NotFound("download request")
    return found[0]


def waited_for(caller: Account) -> Any:
    """Return the query of the rows of requests that an account waits for, of items that it may see."""
    return (
        select(download_requests)
        .join(download_waiters, download_waiters.c.request_id == download_requests.c.id)
        .where(download_waiters.c.account_id == caller.id, may_see(caller, download_requests.c.catalogue_item_id))
    )


def requests_from_rows(connection: Connection, rows: Sequence[Row[Any]]) -> list[DownloadRequest]:
    """Build requests, with the items, accounts and tasks of all of them in one query each."""
    if len(rows) == 1:
        items = {rows[0].catalogue_item_id: read_item(connection, rows[0].catalogue_item_id)}
    else:
        items = read_items(connection, {row.catalogue_item_id for row in rows}) if rows else {}
    accounts = accounts_by_id(connection, {row.created_by_id for row in rows})
    tasks = records.read_tasks(connection, {row.task_key for row in rows if row.task_key})
    return [
        DownloadRequest(
            id=row.id,
            spec=row.spec,
            item=items[row.catalogue_item_id],
            created_by=accounts.get(row.created_by_id),
            is_cancelled=row.is_cancelled,
            estimated_size=row.estimated_size,
            real_size=row.real_size,
            executor_job_id=row.executor_job_id,
            blob_name=row.blob_name,
            result=row.result,
            fingerprint=row.fingerprint,
            data_version=row.data_version,
            used_at=row.used_at,
            task=tasks.get(row.task_key),
        )
        for row in rows
    ]
