"""Tables of bundles, of what is known of them, of worksheets, and of what each account uses.

Permissions on both stand in the workspace's one table of permissions, as resource types ``bundle`` and ``worksheet``;
the owner holds ``grant`` there like anybody else.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from ..database.schema import Json, UtcDateTime, metadata

bundles = Table(
    "bundles",
    metadata,
    # The sequence of creation, which searches call id.
    Column("id", Integer, primary_key=True),
    # "0x" and 32 hexadecimal digits.
    Column("uuid", String(34), nullable=False, unique=True),
    Column("owner_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("bundle_type", String(16), nullable=False),
    Column("command", Text),
    Column("state", String(32), nullable=False, index=True),
    Column("frozen_at", UtcDateTime),
    Column("is_anonymous", Boolean(create_constraint=False), nullable=False),
    # What the API calls metadata, as it is shown.
    Column("metadata", Json, nullable=False),
    # Copies for searching and ordering: the name, and the bytes of the contents.
    Column("name", Text, nullable=False, index=True),
    Column("data_size", BigInteger, nullable=False, index=True),
    # "0x" and 40 hexadecimal digits: SHA-1 of the contents.
    Column("data_hash", String(42)),
    # The folder below the store of bundles that holds the contents (null: there are none), and what they are.
    Column("location", String(128)),
    Column("content_type", String(16)),
    # The task that runs or makes it.
    Column("task_key", String(64), index=True),
    # Of a frozen download: the request, the item's version and the rows' hash.
    Column("origin", Json),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint("bundle_type IN ('dataset', 'run', 'make', 'program')", name="bundle_type"),
    CheckConstraint("content_type IN ('file', 'directory')", name="content_type"),
    sqlite_autoincrement=True,
)

# The values of metadata for searching, one row for each tag of a list: written anew with each change.
bundle_metadata = Table(
    "bundle_metadata",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("bundle_id", ForeignKey("bundles.id", ondelete="CASCADE"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("value", Text, nullable=False),
    Column("number", Float),
    Index("ix_bundle_metadata_bundle_id_key", "bundle_id", "key"),
    # With the bundle, so that searches need not look at the rows themselves.
    Index("ix_bundle_metadata_key_value", "key", "value", "bundle_id"),
    Index("ix_bundle_metadata_key_number", "key", "number", "bundle_id"),
)

# What words are looked for in, in small letters: an index of pieces of three letters, ``bundle_words_index``, is kept
# of both columns by triggers (migration 0007).
bundle_words = Table(
    "bundle_words",
    metadata,
    Column("bundle_id", ForeignKey("bundles.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    # The uuid and the name; then the uuid, the command and every value of the metadata. U+001E stands between them.
    Column("label", Text, nullable=False, index=True),
    Column("words", Text, nullable=False),
)

bundle_dependencies = Table(
    "bundle_dependencies",
    metadata,
    Column("bundle_id", ForeignKey("bundles.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    # The key under which the parent appears, and which part of the parent.
    Column("child_path", Text, nullable=False),
    # Parents may be gone, or never have been.
    Column("parent_uuid", String(34), nullable=False, index=True),
    Column("parent_path", Text, nullable=False),
)

worksheets = Table(
    "worksheets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uuid", String(34), nullable=False, unique=True),
    Column("name", String(256), nullable=False, unique=True),
    Column("title", Text),
    Column("owner_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("frozen_at", UtcDateTime),
    Column("is_anonymous", Boolean(create_constraint=False), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False, index=True),
    # Raised by each change of the items: whoever replaces them says which ones.
    Column("version", Integer, nullable=False),
    sqlite_autoincrement=True,
)

worksheet_items = Table(
    "worksheet_items",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("worksheet_id", ForeignKey("worksheets.id", ondelete="CASCADE"), nullable=False),
    Column("type", String(16), nullable=False),
    Column("value", Text, nullable=False),
    # By uuid: what an item names need not exist.
    Column("bundle_uuid", String(34), index=True),
    Column("subworksheet_uuid", String(34), index=True),
    Column("sort_key", BigInteger, nullable=False),
    CheckConstraint("type IN ('markup', 'directive', 'bundle', 'worksheet')", name="type"),
    Index("ix_worksheet_items_worksheet_id_sort_key", "worksheet_id", "sort_key", "id"),
    sqlite_autoincrement=True,
)

worksheet_tags = Table(
    "worksheet_tags",
    metadata,
    Column("worksheet_id", ForeignKey("worksheets.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(256), primary_key=True, index=True),
)

# What bundles of an account use, kept with every change: never a sum over all of them.
bundle_usage = Table(
    "bundle_usage",
    metadata,
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("disk_used", BigInteger, nullable=False),
    # Seconds that runs took.
    Column("time_used", Float, nullable=False),
    # Null: no limit but the deployment's.
    Column("time_quota", Float),
    Column("parallel_run_quota", Integer),
)
