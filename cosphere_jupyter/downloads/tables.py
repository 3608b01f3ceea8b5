"""Tables of download requests and of the accounts that wait for them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Integer, String, Table, UniqueConstraint

from ..database.schema import Json, UtcDateTime, metadata

download_requests = Table(
    "download_requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("catalogue_item_id", ForeignKey("catalogue_items.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("spec", Json, nullable=False),
    # The canonical form of the request, in a hash: equal requests are one row, also when posted at once.
    Column("fingerprint", String(64), nullable=False),
    Column("data_version", String(64), nullable=False),
    Column("created_by_id", ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("is_cancelled", Boolean(create_constraint=False), nullable=False),
    Column("estimated_size", BigInteger),
    Column("real_size", BigInteger),
    Column("executor_job_id", String(256)),
    Column("blob_name", String(512)),
    # What the manifest says in short: rows, number of files.
    Column("result", Json),
    Column("task_key", String(26), index=True),
    # When the result was made or last asked for: what retention goes by.
    Column("used_at", UtcDateTime, index=True),
    # Whose disk quota the result counts for, and the bytes; see ``quota``. Accounts are never deleted, and SQLite adds
    # foreign keys to no table that is there.
    Column("charged_to_id", Integer, index=True),
    Column("charged_size", BigInteger),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("fingerprint"),
    sqlite_autoincrement=True,
)

download_waiters = Table(
    "download_waiters",
    metadata,
    Column("request_id", ForeignKey("download_requests.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("created_at", UtcDateTime, nullable=False),
)
