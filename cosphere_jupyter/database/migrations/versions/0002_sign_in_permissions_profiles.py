"""Sign-in, groups and permissions, profiles, descriptions and tags, retention."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "groups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_groups")),
        sa.UniqueConstraint("name", name=op.f("uq_groups_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "login_failures",
        sa.Column("bucket", sa.String(length=320), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("blocked_until", sa.DateTime(), nullable=True),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("bucket", name=op.f("pk_login_failures")),
    )
    op.create_index(op.f("ix_login_failures_updated_at"), "login_failures", ["updated_at"], unique=False)
    op.create_table(
        "permissions",
        sa.Column("resource_type", sa.String(length=32), nullable=False),
        sa.Column("resource_id", sa.Integer(), nullable=False),
        sa.Column("subject_type", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.Integer(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "subject_type IN ('account', 'group', 'everyone')", name=op.f("ck_permissions_subject_type")
        ),
        sa.CheckConstraint("level BETWEEN 0 AND 3", name=op.f("ck_permissions_level")),
        sa.PrimaryKeyConstraint(
            "resource_type", "resource_id", "subject_type", "subject_id", name=op.f("pk_permissions")
        ),
    )
    op.create_index(
        "ix_permissions_subject", "permissions", ["subject_type", "subject_id", "resource_type", "level"], unique=False
    )
    op.create_table(
        "used_id_tokens",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_used_id_tokens")),
    )
    op.create_index(op.f("ix_used_id_tokens_expires_at"), "used_id_tokens", ["expires_at"], unique=False)
    op.create_table(
        "auth_requests",
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("attached_at", sa.DateTime(), nullable=True),
        sa.Column("requester_ip", sa.String(length=64), nullable=False),
        sa.Column("requester_agent", sa.String(length=256), nullable=False),
        sa.Column("code_challenge", sa.String(length=128), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_auth_requests_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_auth_requests")),
    )
    op.create_index(op.f("ix_auth_requests_account_id"), "auth_requests", ["account_id"], unique=False)
    op.create_index(op.f("ix_auth_requests_created_at"), "auth_requests", ["created_at"], unique=False)
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_group_members_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name=op.f("fk_group_members_group_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_id", "account_id", name=op.f("pk_group_members")),
    )
    op.create_index(op.f("ix_group_members_account_id"), "group_members", ["account_id"], unique=False)
    op.create_table(
        "catalogue_profiles",
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("data_version", sa.String(length=64), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("columns", sa.Text(), nullable=False),
        sa.Column("sample_name", sa.String(length=256), nullable=False),
        sa.Column("factor", sa.Float(), server_default="1", nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"], ["catalogue_items.id"], name=op.f("fk_catalogue_profiles_item_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_catalogue_profiles")),
    )
    op.add_column("catalogue_items", sa.Column("description", sa.Text(), server_default="", nullable=False))
    op.add_column("catalogue_items", sa.Column("tags", sa.Text(), server_default="[]", nullable=False))
    op.add_column("download_requests", sa.Column("used_at", sa.DateTime(), nullable=True))
    op.create_index(op.f("ix_download_requests_used_at"), "download_requests", ["used_at"], unique=False)
    op.create_table(
        "catalogue_tags",
        sa.Column("item_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"], ["catalogue_items.id"], name=op.f("fk_catalogue_tags_item_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("item_id", "tag", name=op.f("pk_catalogue_tags")),
    )
    op.create_index("ix_catalogue_tags_tag", "catalogue_tags", ["tag", "item_id"], unique=False)
    # Who could see an item before there were permissions goes on seeing it.
    op.execute(
        "INSERT INTO permissions (resource_type, resource_id, subject_type, subject_id, level) "
        "SELECT 'catalogue_item', id, 'everyone', 0, 1 FROM catalogue_items"
    )
    if op.get_bind().dialect.name == "sqlite":
        _index_names()


def _index_names() -> None:
    """Index every three-letter piece of the names, and keep the index up to date."""
    op.execute(
        "CREATE VIRTUAL TABLE catalogue_names USING fts5("
        "name_folded, content='catalogue_items', content_rowid='id', tokenize='trigram case_sensitive 1')"
    )
    op.execute("INSERT INTO catalogue_names (catalogue_names) VALUES ('rebuild')")
    add = "INSERT INTO catalogue_names (rowid, name_folded) VALUES (new.id, new.name_folded);"
    remove = (
        "INSERT INTO catalogue_names (catalogue_names, rowid, name_folded) VALUES ('delete', old.id, old.name_folded);"
    )
    op.execute(f"CREATE TRIGGER catalogue_names_insert AFTER INSERT ON catalogue_items BEGIN {add} END")
    op.execute(f"CREATE TRIGGER catalogue_names_delete AFTER DELETE ON catalogue_items BEGIN {remove} END")
    op.execute(
        f"CREATE TRIGGER catalogue_names_update AFTER UPDATE OF name_folded ON catalogue_items BEGIN {remove} {add} END"
    )
