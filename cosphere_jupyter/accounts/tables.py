"""Tables of accounts, their groups, the outside identities that map to them, and how they sign in."""

from __future__ import annotations

from uuid import uuid4

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

from ..database.schema import Json, UtcDateTime, metadata

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

groups = Table(
    "groups",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(256), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    # The name by which the CodaLab API knows it ("0x" and 32 hexadecimal digits), and which account made it.
    Column("uuid", String(34), index=True, unique=True, default=lambda: f"0x{uuid4().hex}"),
    # No foreign key: SQLite cannot add one to a table that is there.
    Column("owner_id", Integer, index=True),
    sqlite_autoincrement=True,
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("is_admin", Boolean(create_constraint=False), nullable=False),
)

auth_requests = Table(
    "auth_requests",
    metadata,
    Column("uuid", String(36), primary_key=True),
    # pending (no account) -> attached -> redeemed; expired by its age.
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), index=True),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("attached_at", UtcDateTime),
    # Who asked, for the page on which a person agrees.
    Column("requester_ip", String(64), nullable=False),
    Column("requester_agent", String(256), nullable=False),
    Column("code_challenge", String(128)),
)

used_id_tokens = Table(
    "used_id_tokens",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

# Failed sign-ins by account, address and both: counted before a password is looked at, also over restarts.
login_failures = Table(
    "login_failures",
    metadata,
    Column("bucket", String(320), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("blocked_until", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False, index=True),
)

task_credentials = Table(
    "task_credentials",
    metadata,
    # The public part, by which a credential is found and revoked: cs_<id>_<random>.
    Column("id", String(8), primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    # SHA-256 of the whole credential: it holds 160 random bits and more, so that no slow hash is needed.
    Column("digest", String(64), nullable=False),
    # For API keys: origins as "https://host:port", and the tasks that may be created (all, if empty).
    Column("referers", Json, nullable=False),
    Column("task_names", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    CheckConstraint("kind IN ('secret', 'api_key')", name="kind"),
)

# What an account tells of itself in the CodaLab API. Made in the transaction that makes the account.
profiles = Table(
    "account_profiles",
    metadata,
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("user_name", String(256), nullable=False, unique=True),
    Column("first_name", String(256)),
    Column("last_name", String(256)),
    Column("affiliation", String(256)),
    Column("url", String(1024)),
    Column("notifications", Integer, nullable=False),
    Column("last_login_at", UtcDateTime),
)

oauth_tokens = Table(
    "oauth_tokens",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account_id", ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("client_id", String(64), nullable=False),
    # Of the account, when it signed in: a raised epoch ends every token.
    Column("epoch", Integer, nullable=False),
    # All pairs that came of one sign-in by refreshing: they end together.
    Column("family", String(34), nullable=False, index=True),
    # SHA-256 of the tokens, which hold 170 random bits.
    Column("access_digest", String(64), nullable=False, unique=True),
    Column("refresh_digest", String(64), nullable=False, unique=True),
    Column("access_expires_at", UtcDateTime, nullable=False),
    Column("refresh_expires_at", UtcDateTime, nullable=False, index=True),
    # When it was first used for a refresh: for a moment afterwards a lost reply may be asked for again.
    Column("refreshed_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)
