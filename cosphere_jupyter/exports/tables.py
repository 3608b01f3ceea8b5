"""Table of typed downloads (the table ``download_requests`` is the CoSphere API's)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table

from ..database.schema import Json, UtcDateTime, metadata

typed_downloads = Table(
    "typed_downloads",
    metadata,
    # A UUID version 4.
    Column("id", String(36), primary_key=True),
    Column("download_type", String(64), nullable=False),
    Column("info", Json, nullable=False),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    # Its task decides about the state; gone with the task's retention.
    Column("task_key", ForeignKey("tasks.key", ondelete="SET NULL"), index=True),
    Column("created_at", UtcDateTime, nullable=False),
)
