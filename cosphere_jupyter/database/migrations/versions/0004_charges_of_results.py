"""Results are charged to the account for whom they were made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("download_requests", sa.Column("charged_to_id", sa.Integer(), nullable=True))
    op.add_column("download_requests", sa.Column("charged_size", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_download_requests_charged_to_id"), "download_requests", ["charged_to_id"], unique=False)
    op.execute(
        "UPDATE download_requests SET charged_size = real_size, charged_to_id = "
        "coalesce((SELECT owner_id FROM tasks WHERE tasks.key = download_requests.task_key), created_by_id) "
        "WHERE blob_name IS NOT NULL"
    )
