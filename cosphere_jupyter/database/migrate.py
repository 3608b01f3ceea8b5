"""Bring a database to the schema of this version.

Alembic does the work. It costs a third of a second to import, so a database that is already there is recognised by
its revision alone; a test holds ``HEAD`` equal to the newest migration.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Unavailable

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

    from .engine import Database

HEAD = "0008"


def alembic_config() -> Config:
    """Return Alembic's configuration; the connection is handed over in ``attributes``."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def migrate(database: Database) -> None:
    """Upgrade to ``HEAD`` if need be; blocks, so call it in a thread. A newer database is refused."""
    if database.submit(current_revision).result() != HEAD:
        database.submit(_upgrade).result()


def current_revision(connection: Connection) -> str | None:
    """Return the revision that the database says it is at (None for an empty one)."""
    from sqlalchemy import inspect

    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = alembic_config()
    config.attributes["connection"] = connection
    revision = current_revision(connection)
    try:
        if revision is not None:
            ScriptDirectory.from_config(config).get_revision(revision)
    except CommandError:
        raise Unavailable(
            f"the workspace's database is at revision {revision}, which this version ({HEAD}) does not know: "
            "it was written by a newer version of cosphere-jupyter"
        ) from None
    command.upgrade(config, "head")
