"""Tables of actions, objects, their versions, and what belongs to an object."""

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

actions = Table(
    "actions",
    metadata,
    # Numbered from 0, by the transaction that inserts: none is ever deleted.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("type", String(16), nullable=False),
    Column("name", String(100), nullable=False),
    Column("description", Text, nullable=False),
    Column("schema", Json, nullable=False),
    Column("is_hidden", Boolean(create_constraint=False), nullable=False),
    Column("user_id", ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint("type IN ('sample', 'measurement', 'simulation', 'custom')", name="type"),
)

objects = Table(
    "objects",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("action_id", ForeignKey("actions.id"), nullable=False, index=True),
    # The current version: the greatest version_id in object_versions.
    Column("version_id", Integer, nullable=False),
    # Hidden objects stand in no list; whoever has the address still reads them.
    Column("is_hidden", Boolean(create_constraint=False), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

object_versions = Table(
    "object_versions",
    metadata,
    Column("object_id", ForeignKey("objects.id", ondelete="CASCADE"), primary_key=True),
    Column("version_id", Integer, primary_key=True, autoincrement=False),
    Column("schema", Json, nullable=False),
    Column("data", Json, nullable=False),
    Column("user_id", ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("created_at", UtcDateTime, nullable=False),
)

# The values of current versions, for searching: written anew with each version.
object_properties = Table(
    "object_properties",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("object_id", ForeignKey("objects.id", ondelete="CASCADE"), nullable=False),
    # "layers.0.mass", the same as "layers.?.mass", and the positions in it as "0" ("0.2" in arrays of arrays, or "").
    Column("path_text", Text, nullable=False),
    Column("pattern", Text, nullable=False),
    Column("positions", Text, nullable=False),
    # text, bool, quantity, datetime, tag, reference, user or hazard; it says which of the columns below hold the value.
    Column("kind", String(16), nullable=False),
    Column("text", Text),
    # Quantities in base units.
    Column("number", Float),
    Column("dimensionality", String(256)),
    Column("moment", UtcDateTime),
    Column("flag", Boolean(create_constraint=False)),
    Column("reference_id", BigInteger),
    # What ranges are asked of stands in the index, so that none of the rows is looked at.
    Index("ix_object_properties_pattern_number", "pattern", "number", "dimensionality", "object_id"),
    Index("ix_object_properties_pattern_text", "pattern", "text"),
    Index("ix_object_properties_pattern_moment", "pattern", "moment", "kind", "object_id"),
    Index("ix_object_properties_kind_reference_id", "kind", "reference_id"),
    Index("ix_object_properties_kind_text", "kind", "text"),
    Index("ix_object_properties_object_id_pattern", "object_id", "pattern"),
)

object_files = Table(
    "object_files",
    metadata,
    Column("object_id", ForeignKey("objects.id", ondelete="CASCADE"), primary_key=True),
    # Counted from 0 for each object.
    Column("file_id", Integer, primary_key=True, autoincrement=False),
    Column("storage", String(16), nullable=False),
    # As it was sent: a name is data, never a path of ours.
    Column("original_file_name", Text),
    Column("url", Text),
    Column("hash_algorithm", String(16)),
    Column("hash_hexdigest", String(128)),
    # By which the content is found in the folder of files, and its size in bytes.
    Column("content_digest", String(64), index=True),
    Column("size", BigInteger),
    Column("user_id", ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("created_at", UtcDateTime, nullable=False),
    CheckConstraint("storage IN ('database', 'url')", name="storage"),
)

object_comments = Table(
    "object_comments",
    metadata,
    Column("object_id", ForeignKey("objects.id", ondelete="CASCADE"), primary_key=True),
    Column("comment_id", Integer, primary_key=True, autoincrement=False),
    Column("content", Text, nullable=False),
    Column("user_id", ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("created_at", UtcDateTime, nullable=False),
)

object_log = Table(
    "object_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("type", String(64), nullable=False),
    Column("object_id", ForeignKey("objects.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("user_id", ForeignKey("accounts.id", ondelete="SET NULL"), index=True),
    Column("data", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)
