"""Table of tasks: the record of truth of the engine."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text

from ..database.schema import Json, UtcDateTime, metadata

tasks = Table(
    "tasks",
    metadata,
    Column("key", String(26), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("owner_id", ForeignKey("accounts.id", ondelete="SET NULL")),
    Column("status", String(16), nullable=False),
    Column("params", Json, nullable=False),
    Column("progress", Json),
    Column("result", Json),
    Column("error", Text),
    # The fencing token: a write of an attempt counts only while it is the task's present one.
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("is_idempotent", Boolean(create_constraint=False), nullable=False),
    Column("cancelled_by", String(254)),
    # The higher runs first.
    Column("priority", Integer, nullable=False, server_default="0"),
    # Runs for a moment, in a warm child process.
    Column("is_quick", Boolean(create_constraint=False), nullable=False, server_default="0"),
    # The owner's own name for the task: asking twice under one name makes one task.
    Column("idempotency_key", String(128)),
    # Where in the result store its output files and a result too big for this table lie.
    Column("result_name", String(256)),
    # [{"name", "file", "size", "sha256", "content_type"}], as published.
    Column("outputs", Json),
    Column("queued_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("completed_at", UtcDateTime),
    CheckConstraint("status IN ('queued', 'executing', 'success', 'error')", name="status"),
    CheckConstraint("(status IN ('success', 'error')) = (completed_at IS NOT NULL)", name="completed"),
    Index("ix_tasks_status_priority_queued_at", "status", "priority", "queued_at"),
    Index("ix_tasks_owner_id_queued_at", "owner_id", "queued_at"),
    Index("ix_tasks_completed_at", "completed_at"),
    Index("uq_tasks_owner_id_idempotency_key", "owner_id", "idempotency_key", unique=True),
)
