"""Actions, objects with versions, and what belongs to an object."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "actions",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=False),
        sa.Column("is_hidden", sa.Boolean(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("type IN ('sample', 'measurement', 'simulation', 'custom')", name=op.f("ck_actions_type")),
        sa.ForeignKeyConstraint(["user_id"], ["accounts.id"], name=op.f("fk_actions_user_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_actions")),
    )
    op.create_index(op.f("ix_actions_user_id"), "actions", ["user_id"], unique=False)
    op.create_table(
        "objects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("action_id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("is_hidden", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["action_id"], ["actions.id"], name=op.f("fk_objects_action_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_objects")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_objects_action_id"), "objects", ["action_id"], unique=False)
    op.create_table(
        "object_comments",
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("comment_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["object_id"], ["objects.id"], name=op.f("fk_object_comments_object_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts.id"], name=op.f("fk_object_comments_user_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("object_id", "comment_id", name=op.f("pk_object_comments")),
    )
    op.create_index(op.f("ix_object_comments_user_id"), "object_comments", ["user_id"], unique=False)
    op.create_table(
        "object_files",
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("file_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("storage", sa.String(length=16), nullable=False),
        sa.Column("original_file_name", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("hash_algorithm", sa.String(length=16), nullable=True),
        sa.Column("hash_hexdigest", sa.String(length=128), nullable=True),
        sa.Column("content_digest", sa.String(length=64), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.CheckConstraint("storage IN ('database', 'url')", name=op.f("ck_object_files_storage")),
        sa.ForeignKeyConstraint(
            ["object_id"], ["objects.id"], name=op.f("fk_object_files_object_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts.id"], name=op.f("fk_object_files_user_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("object_id", "file_id", name=op.f("pk_object_files")),
    )
    op.create_index(op.f("ix_object_files_content_digest"), "object_files", ["content_digest"], unique=False)
    op.create_index(op.f("ix_object_files_user_id"), "object_files", ["user_id"], unique=False)
    op.create_table(
        "object_log",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["object_id"], ["objects.id"], name=op.f("fk_object_log_object_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["accounts.id"], name=op.f("fk_object_log_user_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_object_log")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_object_log_object_id"), "object_log", ["object_id"], unique=False)
    op.create_index(op.f("ix_object_log_user_id"), "object_log", ["user_id"], unique=False)
    op.create_table(
        "object_properties",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("path_text", sa.Text(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("positions", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("number", sa.Float(), nullable=True),
        sa.Column("dimensionality", sa.String(length=256), nullable=True),
        sa.Column("moment", sa.DateTime(), nullable=True),
        sa.Column("flag", sa.Boolean(), nullable=True),
        sa.Column("reference_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["object_id"], ["objects.id"], name=op.f("fk_object_properties_object_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_object_properties")),
    )
    op.create_index(
        "ix_object_properties_kind_reference_id", "object_properties", ["kind", "reference_id"], unique=False
    )
    op.create_index("ix_object_properties_kind_text", "object_properties", ["kind", "text"], unique=False)
    op.create_index(
        "ix_object_properties_object_id_pattern", "object_properties", ["object_id", "pattern"], unique=False
    )
    op.create_index("ix_object_properties_pattern_moment", "object_properties", ["pattern", "moment"], unique=False)
    op.create_index("ix_object_properties_pattern_number", "object_properties", ["pattern", "number"], unique=False)
    op.create_index("ix_object_properties_pattern_text", "object_properties", ["pattern", "text"], unique=False)
    op.create_table(
        "object_versions",
        sa.Column("object_id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("schema", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["object_id"], ["objects.id"], name=op.f("fk_object_versions_object_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts.id"], name=op.f("fk_object_versions_user_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("object_id", "version_id", name=op.f("pk_object_versions")),
    )
    op.create_index(op.f("ix_object_versions_user_id"), "object_versions", ["user_id"], unique=False)
