"""Ranges of quantities and moments are searched in the index alone."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for name, more in (("number", "dimensionality"), ("moment", "kind")):
        index = f"ix_object_properties_pattern_{name}"
        op.drop_index(index, table_name="object_properties")
        op.create_index(index, "object_properties", ["pattern", name, more, "object_id"], unique=False)
