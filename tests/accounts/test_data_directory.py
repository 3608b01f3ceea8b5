"""The workspace's data directory is its owner's alone, whatever the umask says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Api


@pytest.fixture
def careless() -> Iterator[None]:
    """A process whose new files anybody may read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


def wrong_modes(workspace: Path) -> set[str]:
    modes = {entry: stat.S_IMODE(entry.lstat().st_mode) for entry in [workspace, *workspace.rglob("*")]}
    wrong = {entry: mode for entry, mode in modes.items() if mode != (0o700 if entry.is_dir() else 0o600)}
    return {f"{entry.relative_to(workspace)} {mode:o}" for entry, mode in wrong.items()}


async def test_directories_are_0700_and_files_0600(
    careless: None, owner: Api, numbers_item: dict[str, Any], tmp_path: Path
) -> None:
    body = {"catalogue_item_id": numbers_item["id"], "spec": {"columns": ["n"], "filters": []}}
    request = (await owner.post("/downloader/requests/", body)).json
    assert (await owner.settled(request["id"]))["task"]["status"] == "success"
    workspace = tmp_path / "workspace"
    names = {entry.name for entry in workspace.rglob("*")}
    assert {"keys", "results", "jwt.key", "links.key", "cosphere.sqlite", "owner.json", "manifest.json"} <= names
    assert wrong_modes(workspace) == set()


async def test_a_token_outlives_a_restart_because_the_key_is_kept(owner: Api, admin: Api, tmp_path: Path) -> None:
    from cosphere_jupyter.accounts.tokens import TokenSigner, read_or_create_key

    path = tmp_path / "workspace" / "keys" / "jwt.key"
    key = path.read_bytes()
    assert len(key) == 32
    assert read_or_create_key(path) == key
    claims = TokenSigner(key, 86400).verify(admin.authorization.split()[1])
    assert (claims.account_id, claims.email) == (admin.account["id"], "ada@lab.example")


def test_a_key_that_is_too_short_is_not_used(tmp_path: Path) -> None:
    from cosphere_jupyter.accounts.tokens import read_or_create_key

    path = tmp_path / "jwt.key"
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="fewer than 32 bytes"):
        read_or_create_key(path)
