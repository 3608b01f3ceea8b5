"""Where contents of bundles lie: ``<root>/<two digits>/<uuid>-<token>``, a file or a folder.

Contents are written aside, below ``<root>/aside``, brought to the disk, and renamed; then the database is told. What
lies there and is known to no bundle is what a crash left, and the sweep removes it. Names are made of uuids and of
tokens of the server: no text of a user ever becomes a part of them. All methods block on the disk: call them in a
thread.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from .ids import is_uuid

ASIDE = "aside"
_LOCATION = re.compile(r"[0-9a-f]{2}/0x[0-9a-f]{32}-[0-9a-f]{16}")


class BundleStore:
    """The folder of all contents; a *location* is a path below it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def aside(self, uuid: str) -> Path:
        """Return a new path at which nothing lies yet, to write contents of a bundle at; its folder is there."""
        _check(uuid)
        folder = self.root / ASIDE
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / f"{uuid}-{secrets.token_hex(8)}"

    def publish(self, uuid: str, path: Path) -> str:
        """Move what lies at ``path`` (on the same file system, and synced) to a new location and return that."""
        _check(uuid)
        location = f"{uuid[2:4]}/{uuid}-{secrets.token_hex(8)}"
        target = self.root / location
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.rename(target)
        for folder in (target.parent, self.root):
            sync_folder(folder)
        return location

    def path(self, location: str) -> Path:
        """Return where the contents of a location lie; ``ValueError`` for what cannot be a location."""
        if not _LOCATION.fullmatch(location):
            raise ValueError(f"no location of contents: {location!r}")
        return self.root / location

    def delete(self, location: str) -> None:
        """Remove contents; they are gone from their location at once."""
        path = self.path(location)
        # Not by the bundle's name: what lies aside by that name is an upload.
        doomed = self.root / ASIDE / f"gone-{secrets.token_hex(8)}"
        doomed.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            path.rename(doomed)
        except FileNotFoundError:
            return
        self.remove(doomed)

    def remove(self, path: Path) -> None:
        """Remove what lies at a path below the store, a file or a folder, if anything does."""
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                make_removable(path)
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def locations(self) -> Iterator[str]:
        """Yield the locations at which something lies."""
        for path in self.root.glob("??/*"):
            yield path.relative_to(self.root).as_posix()

    def leftovers(self) -> list[Path]:
        """Return what lies aside; only while nothing is being written it is left over."""
        folder = self.root / ASIDE
        return list(folder.iterdir()) if folder.is_dir() else []


def uuid_of(name: str) -> str | None:
    """Return the uuid of the bundle that a location, or something aside, is of; None if it is of none."""
    uuid = name.rpartition("/")[2].partition("-")[0]
    return uuid if is_uuid(uuid) else None


def make_removable(folder: Path) -> None:
    """Let the owner remove what lies in a folder: work in it may have taken away permissions of folders."""
    folder.chmod(0o700)
    for path, names, _ in os.walk(folder):
        for inner in [Path(path, name) for name in names]:
            if not inner.is_symlink():
                inner.chmod(0o700)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(uuid: str) -> None:
    if not is_uuid(uuid):
        raise ValueError(f"no uuid: {uuid!r}")
