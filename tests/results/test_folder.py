"""The result store: nothing is visible before its manifest, and nothing but what a manifest names."""

from __future__ import annotations

import stat

import pytest

from cosphere_jupyter.errors import NotFound
from cosphere_jupyter.results.folder import FolderStore

NAME = f"ab/{'ab' * 32}/KEY-1"
MANIFEST = {"files": [{"name": "part-0.parquet", "bytes": 4, "rows": 1}], "rows": 1, "bytes": 4}


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path / "results")


def write(store, name=NAME):
    folder = store.begin(name)
    (folder / "part-0.parquet").write_bytes(b"PAR1")
    (folder / "leftover.tmp").write_bytes(b"x")
    return folder


def test_a_result_is_invisible_until_it_is_published(store):
    write(store)
    assert not store.exists(NAME)
    with pytest.raises(NotFound):
        store.manifest(NAME)
    with pytest.raises(NotFound):
        store.file(NAME, "part-0.parquet")
    store.publish(NAME, MANIFEST)
    assert store.exists(NAME)
    assert store.manifest(NAME) == MANIFEST
    assert store.file(NAME, "part-0.parquet").read_bytes() == b"PAR1"


def test_files_that_the_manifest_does_not_name_are_not_given(store):
    write(store)
    store.publish(NAME, MANIFEST)
    for name in ("leftover.tmp", "manifest.json", "../x", "..", "part-1.parquet", ""):
        with pytest.raises(NotFound):
            store.file(NAME, name)


def test_folders_are_private_and_files_too(store):
    write(store)
    store.publish(NAME, MANIFEST)
    folder = store.folder(NAME)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("manifest.json", "part-0.parquet")} == {0o600}


@pytest.mark.parametrize(
    "name",
    [
        *("", "..", "../..", "/etc", "ab\\x", "ab/../KEY-1", f"ab/{'ab' * 32}/..", f"ab/{'ab' * 32}/KEY-1/x"),
        *(f"AB/{'ab' * 32}/K-1", f"ab/{'ab' * 31}/K-1"),
        *(f"ab/{'ab' * 32}/K\n-1", f"ab/{'ab' * 32}/K-1\n", f"ab/{'ab' * 32}/K-1\0"),
    ],
)
def test_what_is_no_name_of_ours_is_not_found(store, name):
    with pytest.raises(NotFound):
        store.folder(name)


def test_an_attempt_begins_with_an_empty_folder(store):
    write(store)
    assert list(store.begin(NAME).iterdir()) == []


def test_deleting_takes_all_of_it(store):
    write(store)
    store.publish(NAME, MANIFEST)
    store.delete(NAME)
    assert not store.exists(NAME)
    assert store.names() == []
    store.delete(NAME)


def test_discarding_takes_what_is_half_written(store):
    write(store)
    assert store.names() == [NAME]
    store.discard(NAME)
    assert store.names() == []


def test_pruning_removes_empty_folders_only(store):
    write(store)
    other = f"cd/{'cd' * 32}/KEY-1"
    write(store, other)
    store.publish(other, MANIFEST)
    store.discard(NAME)
    store.prune()
    assert [folder.name for folder in store.root.iterdir()] == ["cd"]
    assert store.exists(other)
