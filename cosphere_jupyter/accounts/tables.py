"""Tables of accounts and of the outside identities that map to them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    UniqueConstraint,
)

from ..database.schema import UtcDateTime, metadata

accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("name", String(256), nullable=False),
    Column("type", String(16), nullable=False),
    Column("password_hash", String(256)),
    Column("disk_quota", BigInteger),
    Column("is_active", Boolean(create_constraint=False), nullable=False),
    # Raised by a change of password or type: tokens carry the epoch they were made in.
    Column("epoch", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    CheckConstraint("type IN ('ADMIN', 'RESEARCHER')", name="type"),
    sqlite_autoincrement=True,
)

identities = Table(
    "identities",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("issuer", String(256), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("issuer", "subject"),
    sqlite_autoincrement=True,
)
