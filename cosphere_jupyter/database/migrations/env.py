"""Alembic's environment: run inside the transaction of the one connection that writes."""

from __future__ import annotations

from alembic import context

from cosphere_jupyter.database.schema import all_tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=all_tables(),
    # The caller's transaction holds the whole upgrade: it is there or not there, never half.
    transactional_ddl=False,
)
context.run_migrations()
