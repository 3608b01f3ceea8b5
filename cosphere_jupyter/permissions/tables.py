"""Table of permissions: levels of subjects on resources."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table

from ..database.schema import metadata

permissions = Table(
    "permissions",
    metadata,
    Column("resource_type", String(32), primary_key=True),
    Column("resource_id", Integer, primary_key=True),
    # account, group or everyone (then subject_id is 0).
    Column("subject_type", String(16), primary_key=True),
    Column("subject_id", Integer, primary_key=True),
    # none 0 < read 1 < write 2 < grant 3
    Column("level", Integer, nullable=False),
    CheckConstraint("level BETWEEN 0 AND 3", name="level"),
    CheckConstraint("subject_type IN ('account', 'group', 'everyone')", name="subject_type"),
    Index("ix_permissions_subject", "subject_type", "subject_id", "resource_type", "level"),
)
