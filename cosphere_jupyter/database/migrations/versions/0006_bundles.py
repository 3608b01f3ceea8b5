"""Bundles, worksheets, what accounts tell of themselves, and tokens of OAuth2; groups with a uuid and an owner."""

from __future__ import annotations

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("groups", sa.Column("uuid", sa.String(length=34), nullable=True))
    op.add_column("groups", sa.Column("owner_id", sa.Integer(), nullable=True))
    _name_groups()
    op.create_index(op.f("ix_groups_owner_id"), "groups", ["owner_id"], unique=False)
    op.create_index(op.f("ix_groups_uuid"), "groups", ["uuid"], unique=True)
    op.create_table(
        "account_profiles",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("user_name", sa.String(length=256), nullable=False),
        sa.Column("first_name", sa.String(length=256), nullable=True),
        sa.Column("last_name", sa.String(length=256), nullable=True),
        sa.Column("affiliation", sa.String(length=256), nullable=True),
        sa.Column("url", sa.String(length=1024), nullable=True),
        sa.Column("notifications", sa.Integer(), nullable=False),
        sa.Column("last_login_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_account_profiles_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account_profiles")),
        sa.UniqueConstraint("user_name", name=op.f("uq_account_profiles_user_name")),
    )
    op.create_table(
        "bundle_usage",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("disk_used", sa.BigInteger(), nullable=False),
        sa.Column("time_used", sa.Float(), nullable=False),
        sa.Column("time_quota", sa.Float(), nullable=True),
        sa.Column("parallel_run_quota", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_bundle_usage_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_bundle_usage")),
    )
    op.create_table(
        "bundles",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uuid", sa.String(length=34), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("bundle_type", sa.String(length=16), nullable=False),
        sa.Column("command", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("frozen_at", sa.DateTime(), nullable=True),
        sa.Column("is_anonymous", sa.Boolean(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data_size", sa.BigInteger(), nullable=False),
        sa.Column("data_hash", sa.String(length=42), nullable=True),
        sa.Column("location", sa.String(length=128), nullable=True),
        sa.Column("content_type", sa.String(length=16), nullable=True),
        sa.Column("task_key", sa.String(length=64), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("bundle_type IN ('dataset', 'run', 'make', 'program')", name=op.f("ck_bundles_bundle_type")),
        sa.CheckConstraint("content_type IN ('file', 'directory')", name=op.f("ck_bundles_content_type")),
        sa.ForeignKeyConstraint(["owner_id"], ["accounts.id"], name=op.f("fk_bundles_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundles")),
        sa.UniqueConstraint("uuid", name=op.f("uq_bundles_uuid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_bundles_created_at"), "bundles", ["created_at"], unique=False)
    op.create_index(op.f("ix_bundles_data_size"), "bundles", ["data_size"], unique=False)
    op.create_index(op.f("ix_bundles_name"), "bundles", ["name"], unique=False)
    op.create_index(op.f("ix_bundles_owner_id"), "bundles", ["owner_id"], unique=False)
    op.create_index(op.f("ix_bundles_state"), "bundles", ["state"], unique=False)
    op.create_index(op.f("ix_bundles_task_key"), "bundles", ["task_key"], unique=False)
    op.create_table(
        "oauth_tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("family", sa.String(length=34), nullable=False),
        sa.Column("access_digest", sa.String(length=64), nullable=False),
        sa.Column("refresh_digest", sa.String(length=64), nullable=False),
        sa.Column("access_expires_at", sa.DateTime(), nullable=False),
        sa.Column("refresh_expires_at", sa.DateTime(), nullable=False),
        sa.Column("refreshed_at", sa.DateTime(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_oauth_tokens_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_tokens")),
        sa.UniqueConstraint("access_digest", name=op.f("uq_oauth_tokens_access_digest")),
        sa.UniqueConstraint("refresh_digest", name=op.f("uq_oauth_tokens_refresh_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_oauth_tokens_account_id"), "oauth_tokens", ["account_id"], unique=False)
    op.create_index(op.f("ix_oauth_tokens_family"), "oauth_tokens", ["family"], unique=False)
    op.create_index(op.f("ix_oauth_tokens_refresh_expires_at"), "oauth_tokens", ["refresh_expires_at"], unique=False)
    op.create_table(
        "worksheets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uuid", sa.String(length=34), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("frozen_at", sa.DateTime(), nullable=True),
        sa.Column("is_anonymous", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["accounts.id"], name=op.f("fk_worksheets_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worksheets")),
        sa.UniqueConstraint("name", name=op.f("uq_worksheets_name")),
        sa.UniqueConstraint("uuid", name=op.f("uq_worksheets_uuid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_worksheets_owner_id"), "worksheets", ["owner_id"], unique=False)
    op.create_index(op.f("ix_worksheets_updated_at"), "worksheets", ["updated_at"], unique=False)
    op.create_table(
        "bundle_dependencies",
        sa.Column("bundle_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("child_path", sa.Text(), nullable=False),
        sa.Column("parent_uuid", sa.String(length=34), nullable=False),
        sa.Column("parent_path", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["bundle_id"], ["bundles.id"], name=op.f("fk_bundle_dependencies_bundle_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("bundle_id", "position", name=op.f("pk_bundle_dependencies")),
    )
    op.create_index(op.f("ix_bundle_dependencies_parent_uuid"), "bundle_dependencies", ["parent_uuid"], unique=False)
    op.create_table(
        "bundle_metadata",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("bundle_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("number", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["bundle_id"], ["bundles.id"], name=op.f("fk_bundle_metadata_bundle_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundle_metadata")),
    )
    op.create_index(op.f("ix_bundle_metadata_bundle_id"), "bundle_metadata", ["bundle_id"], unique=False)
    op.create_index("ix_bundle_metadata_key_number", "bundle_metadata", ["key", "number"], unique=False)
    op.create_index("ix_bundle_metadata_key_value", "bundle_metadata", ["key", "value"], unique=False)
    op.create_table(
        "worksheet_items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("worksheet_id", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("bundle_uuid", sa.String(length=34), nullable=True),
        sa.Column("subworksheet_uuid", sa.String(length=34), nullable=True),
        sa.Column("sort_key", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "type IN ('markup', 'directive', 'bundle', 'worksheet')", name=op.f("ck_worksheet_items_type")
        ),
        sa.ForeignKeyConstraint(
            ["worksheet_id"], ["worksheets.id"], name=op.f("fk_worksheet_items_worksheet_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worksheet_items")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_worksheet_items_bundle_uuid"), "worksheet_items", ["bundle_uuid"], unique=False)
    op.create_index(
        op.f("ix_worksheet_items_subworksheet_uuid"), "worksheet_items", ["subworksheet_uuid"], unique=False
    )
    op.create_index(
        "ix_worksheet_items_worksheet_id_sort_key", "worksheet_items", ["worksheet_id", "sort_key", "id"], unique=False
    )
    op.create_table(
        "worksheet_tags",
        sa.Column("worksheet_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(
            ["worksheet_id"], ["worksheets.id"], name=op.f("fk_worksheet_tags_worksheet_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("worksheet_id", "tag", name=op.f("pk_worksheet_tags")),
    )
    op.create_index(op.f("ix_worksheet_tags_tag"), "worksheet_tags", ["tag"], unique=False)


def _name_groups() -> None:
    groups = sa.table("groups", sa.column("id", sa.Integer()), sa.column("uuid", sa.String()))
    connection = op.get_bind()
    for number in connection.execute(sa.select(groups.c.id)).scalars().all():
        connection.execute(sa.update(groups).where(groups.c.id == number).values(uuid=f"0x{uuid4().hex}"))
