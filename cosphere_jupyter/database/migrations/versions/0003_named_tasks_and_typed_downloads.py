"""Tasks with priority, outputs and idempotency keys; secrets and API keys; typed downloads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("tasks", sa.Column("priority", sa.Integer(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("is_quick", sa.Boolean(), server_default="0", nullable=False))
    op.add_column("tasks", sa.Column("idempotency_key", sa.String(length=128), nullable=True))
    op.add_column("tasks", sa.Column("result_name", sa.String(length=256), nullable=True))
    op.add_column("tasks", sa.Column("outputs", sa.Text(), nullable=True))
    op.create_index("ix_tasks_status_priority_queued_at", "tasks", ["status", "priority", "queued_at"], unique=False)
    op.create_index("ix_tasks_owner_id_queued_at", "tasks", ["owner_id", "queued_at"], unique=False)
    op.create_index(op.f("ix_tasks_completed_at"), "tasks", ["completed_at"], unique=False)
    op.create_index("uq_tasks_owner_id_idempotency_key", "tasks", ["owner_id", "idempotency_key"], unique=True)
    op.drop_index("ix_tasks_status_queued_at", table_name="tasks")
    op.drop_index("ix_tasks_owner_id", table_name="tasks")
    op.create_table(
        "task_credentials",
        sa.Column("id", sa.String(length=8), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("referers", sa.Text(), nullable=False),
        sa.Column("task_names", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint("kind IN ('secret', 'api_key')", name=op.f("ck_task_credentials_kind")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_task_credentials_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_credentials")),
    )
    op.create_index(op.f("ix_task_credentials_account_id"), "task_credentials", ["account_id"], unique=False)
    op.create_table(
        "typed_downloads",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("download_type", sa.String(length=64), nullable=False),
        sa.Column("info", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("task_key", sa.String(length=26), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_typed_downloads_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["task_key"], ["tasks.key"], name=op.f("fk_typed_downloads_task_key"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_typed_downloads")),
    )
    op.create_index(op.f("ix_typed_downloads_account_id"), "typed_downloads", ["account_id"], unique=False)
    op.create_index(op.f("ix_typed_downloads_task_key"), "typed_downloads", ["task_key"], unique=False)
