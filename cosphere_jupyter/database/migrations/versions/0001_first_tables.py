"""First tables: accounts, identities, catalogue items, download requests and waiters, tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=True),
        sa.Column("disk_quota", sa.BigInteger(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("type IN ('ADMIN', 'RESEARCHER')", name=op.f("ck_accounts_type")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("email", name=op.f("uq_accounts_email")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "catalogue_items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("name_folded", sa.String(length=768), nullable=False),
        sa.Column("executor_type", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=4096), nullable=True),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("sample", sa.Text(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=True),
        sa.Column("updated_by_id", sa.Integer(), nullable=True),
        sa.Column("maintained_by_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint(
            "executor_type IN ('ATHENA', 'DATABRICKS', 'DUCKDB')",
            name=op.f("ck_catalogue_items_executor_type"),
        ),
        sa.ForeignKeyConstraint(
            ["created_by_id"],
            ["accounts.id"],
            name=op.f("fk_catalogue_items_created_by_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["maintained_by_id"],
            ["accounts.id"],
            name=op.f("fk_catalogue_items_maintained_by_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["updated_by_id"],
            ["accounts.id"],
            name=op.f("fk_catalogue_items_updated_by_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalogue_items")),
        sa.UniqueConstraint("name", name=op.f("uq_catalogue_items_name")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_catalogue_items_created_by_id"), "catalogue_items", ["created_by_id"], unique=False)
    op.create_index(op.f("ix_catalogue_items_maintained_by_id"), "catalogue_items", ["maintained_by_id"], unique=False)
    op.create_index(op.f("ix_catalogue_items_name_folded"), "catalogue_items", ["name_folded"], unique=False)
    op.create_index(op.f("ix_catalogue_items_updated_by_id"), "catalogue_items", ["updated_by_id"], unique=False)
    op.create_table(
        "identities",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("issuer", sa.String(length=256), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_identities_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_identities_issuer_subject")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_identities_account_id"), "identities", ["account_id"], unique=False)
    op.create_table(
        "tasks",
        sa.Column("key", sa.String(length=26), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("is_idempotent", sa.Boolean(), nullable=False),
        sa.Column("cancelled_by", sa.String(length=254), nullable=True),
        sa.Column("queued_at", sa.DateTime(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("completed_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint(
            "(status IN ('success', 'error')) = (completed_at IS NOT NULL)", name=op.f("ck_tasks_completed")
        ),
        sa.CheckConstraint("status IN ('queued', 'executing', 'success', 'error')", name=op.f("ck_tasks_status")),
        sa.ForeignKeyConstraint(["owner_id"], ["accounts.id"], name=op.f("fk_tasks_owner_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_tasks")),
    )
    op.create_index(op.f("ix_tasks_owner_id"), "tasks", ["owner_id"], unique=False)
    op.create_index("ix_tasks_status_queued_at", "tasks", ["status", "queued_at"], unique=False)
    op.create_table(
        "download_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("catalogue_item_id", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("data_version", sa.String(length=64), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=True),
        sa.Column("is_cancelled", sa.Boolean(), nullable=False),
        sa.Column("estimated_size", sa.BigInteger(), nullable=True),
        sa.Column("real_size", sa.BigInteger(), nullable=True),
        sa.Column("executor_job_id", sa.String(length=256), nullable=True),
        sa.Column("blob_name", sa.String(length=512), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("task_key", sa.String(length=26), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["catalogue_item_id"],
            ["catalogue_items.id"],
            name=op.f("fk_download_requests_catalogue_item_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["created_by_id"],
            ["accounts.id"],
            name=op.f("fk_download_requests_created_by_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_download_requests")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_download_requests_fingerprint")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_download_requests_catalogue_item_id"),
        "download_requests",
        ["catalogue_item_id"],
        unique=False,
    )
    op.create_index(op.f("ix_download_requests_created_by_id"), "download_requests", ["created_by_id"], unique=False)
    op.create_index(op.f("ix_download_requests_task_key"), "download_requests", ["task_key"], unique=False)
    op.create_table(
        "download_waiters",
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_download_waiters_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["download_requests.id"],
            name=op.f("fk_download_waiters_request_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("request_id", "account_id", name=op.f("pk_download_waiters")),
    )
    op.create_index(op.f("ix_download_waiters_account_id"), "download_waiters", ["account_id"], unique=False)
