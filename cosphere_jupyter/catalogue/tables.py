"""Tables of catalogue items and of what was learnt about their data."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    column,
    table,
)

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
    Column("description", Text, nullable=False, server_default=""),
    Column("tags", Json, nullable=False, server_default="[]"),
    Column("created_by_id", ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("updated_by_id", ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("maintained_by_id", ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint("executor_type IN ('ATHENA', 'DATABRICKS', 'DUCKDB')", name="executor_type"),
    sqlite_autoincrement=True,
)

# The index of the tags: the same words as in the items' rows, one a row.
catalogue_tags = Table(
    "catalogue_tags",
    metadata,
    Column("item_id", ForeignKey("catalogue_items.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(64), primary_key=True),
    Index("ix_catalogue_tags_tag", "tag", "item_id"),
)

# SQLite's full-text index of all three-letter pieces of the names, kept up to date by triggers (see migration 0002):
# a substring is found without reading 100,000 names. Not part of the metadata: it is an index, not a table of ours.
catalogue_names = table("catalogue_names", column("rowid", Integer), column("name_folded", String))

catalogue_profiles = Table(
    "catalogue_profiles",
    metadata,
    Column("item_id", ForeignKey("catalogue_items.id", ondelete="CASCADE"), primary_key=True),
    Column("data_version", String(64), nullable=False),
    Column("rows", BigInteger, nullable=False),
    # What the estimator knows of each column: bytes, nulls, distinct values, bounds, quantiles, frequent values.
    Column("columns", Json, nullable=False),
    # The stored sample's file in the workspace's own directory.
    Column("sample_name", String(256), nullable=False),
    # Real bytes over estimated bytes of the requests so far, as a moving average.
    Column("factor", Float, nullable=False, server_default="1"),
    Column("created_at", UtcDateTime, nullable=False),
)
