"""Table of catalogue items."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, String, Table

from ..database.schema import Json, UtcDateTime, metadata

catalogue_items = Table(
    "catalogue_items",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(256), nullable=False, unique=True),
    # The name case-folded: what a search looks into.
    Column("name_folded", String(768), nullable=False, index=True),
    Column("executor_type", String(16), nullable=False),
    Column("source", String(4096)),
    Column("spec", Json, nullable=False),
    Column("sample", Json, nullable=False),
    Column("created_by_id", ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("updated_by_id", ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("maintained_by_id", ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint("executor_type IN ('ATHENA', 'DATABRICKS', 'DUCKDB')", name="executor_type"),
    sqlite_autoincrement=True,
)
