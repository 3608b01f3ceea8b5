"""The workspace's own tables as downloads: the catalogue that the caller sees, and the caller's history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, and_, or_, select

from ..accounts.service import Account
from ..catalogue.service import AccountName, read_items_after
from ..database.engine import Database
from ..downloads.service import read_requests_after
from ..objects.service import read_versions_after
from ..tasks.records import task_from_row
from ..tasks.tables import tasks
from .types import Column, RowsType

PAGE = 200

CATALOGUE = (
    Column("id", "integer"),
    Column("name"),
    Column("description"),
    Column("tags", "json"),
    Column("executor_type"),
    Column("source"),
    Column("spec", "json"),
    Column("sample", "json"),
    Column("created_by"),
    Column("updated_by"),
    Column("maintained_by"),
)
REQUESTS = (
    Column("id", "integer"),
    Column("catalogue_item_id", "integer"),
    Column("catalogue_item"),
    Column("spec", "json"),
    Column("status"),
    Column("error"),
    Column("is_cancelled", "boolean"),
    Column("estimated_size", "integer"),
    Column("real_size", "integer"),
    Column("rows", "integer"),
    Column("created_by"),
    Column("queued", "time"),
    Column("started", "time"),
    Column("completed", "time"),
)
TASKS = (
    Column("key"),
    Column("name"),
    Column("status"),
    Column("params", "json"),
    Column("result", "json"),
    Column("error"),
    Column("attempt", "integer"),
    Column("priority", "integer"),
    Column("queued", "time"),
    Column("started", "time"),
    Column("completed", "time"),
)
OBJECTS = (
    Column("object_id", "integer"),
    Column("version_id", "integer"),
    Column("is_current", "boolean"),
    Column("is_hidden", "boolean"),
    Column("action_id", "integer"),
    Column("action"),
    Column("type"),
    Column("schema", "json"),
    Column("data", "json"),
    Column("user_id", "integer"),
    Column("created", "time"),
)


def own_tables(database: Database) -> list[RowsType]:
    """Return the types ``catalogue``, ``download_requests``, ``objects`` and ``tasks``."""
    return [
        RowsType(database, "catalogue", "The catalogue items that you may see.", CATALOGUE, catalogue_page),
        RowsType(database, "download_requests", "The download requests that you wait for.", REQUESTS, requests_page),
        RowsType(database, "objects", "The objects that you may read, with all their versions.", OBJECTS, objects_page),
        RowsType(database, "tasks", "Your tasks that are kept, the newest first.", TASKS, tasks_page),
    ]


def catalogue_page(connection: Connection, caller: Account, mark: Any) -> tuple[list[dict[str, Any]], Any]:
    """Return the next visible items, by id."""
    items = read_items_after(connection, caller, mark or 0, PAGE)
    rows = [
        {
            "id": item.id,
            "name": item.name,
            "description": item.description,
            "tags": list(item.tags),
            "executor_type": item.executor_type,
            "source": item.source,
            # As they are stored: nobody looks inside.
            "spec": orjson.Fragment(item.spec_json),
            "sample": orjson.Fragment(item.sample_json),
            "created_by": _email(item.created_by),
            "updated_by": _email(item.updated_by),
            "maintained_by": _email(item.maintained_by),
        }
        for item in items
    ]
    return rows, rows[-1]["id"] if rows else None


def requests_page(connection: Connection, caller: Account, mark: Any) -> tuple[list[dict[str, Any]], Any]:
    """Return the next requests that the caller waits for, by id."""
    rows = [
        {
            "id": request.id,
            "catalogue_item_id": request.item.id,
            "catalogue_item": request.item.name,
            "spec": request.spec,
            "status": request.task and request.task.state.status,
            "error": request.task and request.task.state.error,
            "is_cancelled": request.is_cancelled,
            "estimated_size": request.estimated_size,
            "real_size": request.real_size,
            "rows": (request.result or {}).get("rows"),
            "created_by": _email(request.created_by),
            "queued": request.task and request.task.queued_at,
            "started": request.task and request.task.started_at,
            "completed": request.task and request.task.completed_at,
        }
        for request in read_requests_after(connection, caller, mark or 0, PAGE)
    ]
    return rows, rows[-1]["id"] if rows else None


def tasks_page(
    connection: Connection, caller: Account, mark: tuple[datetime, str] | None
) -> tuple[list[dict[str, Any]], Any]:
    """Return the caller's next tasks, the newest first. A result that is too big for the table is left out."""
    query = select(tasks).where(tasks.c.owner_id == caller.id)
    if mark is not None:
        at, key = mark
        query = query.where(or_(tasks.c.queued_at < at, and_(tasks.c.queued_at == at, tasks.c.key < key)))
    query = query.order_by(tasks.c.queued_at.desc(), tasks.c.key.desc()).limit(PAGE)
    rows = [
        {
            "key": task.key,
            "name": task.name,
            "status": task.state.status,
            "params": task.params,
            "result": task.state.result,
            "error": task.state.error,
            "attempt": task.state.attempt,
            "priority": task.priority,
            "queued": task.queued_at,
            "started": task.started_at,
            "completed": task.completed_at,
        }
        for task in map(task_from_row, connection.execute(query))
    ]
    return rows, (rows[-1]["queued"], rows[-1]["key"]) if rows else None


def objects_page(
    connection: Connection, caller: Account, mark: tuple[int, int] | None
) -> tuple[list[dict[str, Any]], Any]:
    """Return the next versions of readable objects, by object and version."""
    rows = [
        {
            "object_id": row.object_id,
            "version_id": row.version_id,
            "is_current": row.version_id == row.current_id,
            "is_hidden": row.is_hidden,
            "action_id": row.action_id,
            "action": row.name,
            "type": row.type,
            # As they are stored: nobody looks inside.
            "schema": orjson.Fragment(row.schema),
            "data": orjson.Fragment(row.data),
            "user_id": row.user_id,
            "created": row.created_at,
        }
        for row in read_versions_after(connection, caller, mark or (0, 0), PAGE)
    ]
    return rows, (rows[-1]["object_id"], rows[-1]["version_id"]) if rows else None


def _email(account: Account | AccountName | None) -> str | None:
    return None if account is None else account.email
