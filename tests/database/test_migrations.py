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
    "0004_charges_of_results.py": "cc4625902cbf29de",
    "0005_objects.py": "7da88a182cf75aa8",
    "0006_bundles.py": "78c83680b8b96f80",
    "0007_words_of_bundles.py": "e36949771546f527",
    "0008_searches_of_objects.py": "a142452c306bf31d",
}


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "test.sqlite")
    yield opened
    opened.close()


def test_migrating_an_empty_database_makes_the_tables_of_the_code(database):
    migrate(database)

    def is_ours(thing, name, kind, reflected, compared):
        # The full-text indexes of names and words are no tables of the code.
        return not (name or "").startswith(("catalogue_names", "bundle_words_index"))

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


def test_results_of_before_are_charged_to_whom_they_were_made_for(database):
    def before(connection):
        from alembic import command

        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for account in (1, 2):
            connection.exec_driver_sql(
                "INSERT INTO accounts (id, name, email, type, is_active, epoch, created_at, updated_at) "
                f"VALUES ({account}, '', '{account}@lab.example', 'RESEARCHER', 1, 0, '2026-01-01', '2026-01-01')"
            )
        connection.exec_driver_sql(
            "INSERT INTO catalogue_items (id, name, name_folded, executor_type, spec, sample, created_at, updated_at) "
            "VALUES (1, 'a', 'a', 'ATHENA', '[]', '[]', '2026-01-01', '2026-01-01')"
        )
        connection.exec_driver_sql(
            "INSERT INTO tasks (key, name, owner_id, params, status, attempt, max_attempts, crashes, is_idempotent, "
            "queued_at, completed_at) VALUES ('K', 'download', 2, '{}', 'success', 1, 1, 0, 1, '2026', '2026')"
        )
        requests = [(1, "'K'", "'blob'", 70), (2, "'gone'", "'blob'", 80), (3, "'K'", "NULL", "NULL")]
        for number, key, blob, size in requests:
            connection.exec_driver_sql(
                "INSERT INTO download_requests (id, catalogue_item_id, spec, fingerprint, data_version, created_by_id, "
                "is_cancelled, real_size, blob_name, task_key, created_at, updated_at) "
                f"VALUES ({number}, 1, '{{}}', '{number}', '', 1, 0, {size}, {blob}, {key}, '2026', '2026')"
            )

    database.submit(before).result()
    migrate(database)
    found = database.submit(
        lambda c: c.exec_driver_sql("SELECT id, charged_to_id, charged_size FROM download_requests ORDER BY id").all()
    ).result()
    assert [tuple(row) for row in found] == [(1, 2, 70), (2, 1, 80), (3, None, None)]


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
