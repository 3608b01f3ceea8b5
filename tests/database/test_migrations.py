"""Migrations lead to exactly the tables that the code uses."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from cosphere_jupyter.database import engine
from cosphere_jupyter.database.engine import Database
from cosphere_jupyter.database.migrate import HEAD, alembic_config, current_revision, migrate
from cosphere_jupyter.database.schema import all_tables
from cosphere_jupyter.errors import Unavailable

PUBLISHED = {
    "0001_first_tables.py": "5321e548a3b2ed89",
    "0002_sign_in_permissions_profiles.py": "8674c31f738a7714",
    "0003_named_tasks_and_typed_downloads.py": "010687c30184d639",
}


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "test.sqlite")
    yield opened
    opened.close()


def test_migrating_an_empty_database_makes_the_tables_of_the_code(database):
    migrate(database)

    def is_ours(thing, name, kind, reflected, compared):
        # The full-text index of the names is no table of the code.
        return not (name or "").startswith("catalogue_names")

    def compare(connection):
        context = MigrationContext.configure(connection, opts={"include_object": is_ours})
        return compare_metadata(context, all_tables())

    differences = database.submit(compare).result()
    assert differences == []
    assert database.submit(current_revision).result() == HEAD


def test_migrating_twice_changes_nothing(database):
    migrate(database)
    migrate(database)
    assert database.submit(current_revision).result() == HEAD


def test_the_revision_in_the_code_is_the_newest_migration():
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == HEAD


def test_a_migration_that_is_interrupted_leaves_nothing(database):
    def interrupted(connection):
        from alembic import command

        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        database.submit(interrupted).result()
    assert database.submit(current_revision).result() is None
    migrate(database)


def test_a_database_of_a_newer_version_is_refused_with_words(database):
    migrate(database)
    database.submit(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'") and None).result()
    with pytest.raises(Unavailable, match="written by a newer version"):
        migrate(database)


def test_a_migration_that_was_published_is_never_changed():
    """Databases know only its number: what has to be different comes as a migration of its own."""
    folder = Path(engine.__file__).parent / "migrations" / "versions"
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in folder.glob("[0-9]*.py")}
    assert found == PUBLISHED
