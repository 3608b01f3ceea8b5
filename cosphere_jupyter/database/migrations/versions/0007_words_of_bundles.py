"""Words of bundles, with an index of their pieces; indexes of metadata that name the bundle."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for name in ("bundle_id", "key_number", "key_value"):
        op.drop_index(op.f(f"ix_bundle_metadata_{name}"), table_name="bundle_metadata")
    op.create_index("ix_bundle_metadata_bundle_id_key", "bundle_metadata", ["bundle_id", "key"], unique=False)
    for name in ("number", "value"):
        columns = ["key", name, "bundle_id"]
        op.create_index(f"ix_bundle_metadata_key_{name}", "bundle_metadata", columns, unique=False)
    op.create_table(
        "bundle_words",
        sa.Column("bundle_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["bundle_id"], ["bundles.id"], name=op.f("fk_bundle_words_bundle_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("bundle_id", name=op.f("pk_bundle_words")),
    )
    op.create_index(op.f("ix_bundle_words_label"), "bundle_words", ["label"], unique=False)
    # Nothing has stored bundles before this revision: there are no words to be made of them.
    if op.get_bind().dialect.name == "sqlite":
        _index_words()


def _index_words() -> None:
    """Index every three-letter piece of the words, and keep the index up to date."""
    op.execute(
        "CREATE VIRTUAL TABLE bundle_words_index USING fts5("
        "label, words, content='bundle_words', content_rowid='bundle_id', tokenize='trigram case_sensitive 1')"
    )
    add = "INSERT INTO bundle_words_index (rowid, label, words) VALUES (new.bundle_id, new.label, new.words);"
    remove = (
        "INSERT INTO bundle_words_index (bundle_words_index, rowid, label, words) "
        "VALUES ('delete', old.bundle_id, old.label, old.words);"
    )
    op.execute(f"CREATE TRIGGER bundle_words_insert AFTER INSERT ON bundle_words BEGIN {add} END")
    op.execute(f"CREATE TRIGGER bundle_words_delete AFTER DELETE ON bundle_words BEGIN {remove} END")
    op.execute(f"CREATE TRIGGER bundle_words_update AFTER UPDATE ON bundle_words BEGIN {remove} {add} END")
