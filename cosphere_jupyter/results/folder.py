"""Results in a folder of this machine.

A result is a folder ``<name>/`` with Parquet files and ``manifest.json``. It is written as ``<name>.partial/``; the
manifest is the last file, and the rename of the folder is the only moment at which anything becomes visible.

Names are made by the server (hexadecimal digits and dashes): no text of a user ever becomes a path.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import orjson

from ..errors import NotFound

MANIFEST = "manifest.json"
PARTIAL = ".partial"
_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}/[0-9A-Za-z]+-\d+")


class FolderStore:
    """All methods block on the disk: call them in a thread."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def begin(self, name: str) -> Path:
        """Make an empty folder to write a result in."""
        partial = self._partial(name)
        shutil.rmtree(partial, ignore_errors=True)
        for folder in (self.root, partial.parent.parent, partial.parent, partial):
            folder.mkdir(mode=0o700, exist_ok=True)
        return partial

    def publish(self, name: str, manifest: dict[str, Any]) -> None:
        """Make a written result visible; on disk when this returns."""
        partial = self._partial(name)
        for file in manifest["files"]:
            (partial / file["name"]).chmod(0o600)
        with (partial / MANIFEST).open("xb") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(orjson.dumps(manifest))
            out.flush()
            os.fsync(out.fileno())
        _sync_folder(partial)
        partial.rename(self.folder(name))
        _sync_folder(partial.parent)

    def add(self, name: str, file: dict[str, Any], source: Path) -> None:
        """Move a file into a published result that nobody knows of yet; on disk when this returns.

        ``file`` is what the manifest says of it.
        """
        folder, manifest = self.folder(name), self.manifest(name)
        source.chmod(0o600)
        source.replace(folder / file["name"])
        aside = folder / (MANIFEST + PARTIAL)
        with aside.open("wb") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(orjson.dumps({**manifest, "files": [*manifest["files"], file]}))
            out.flush()
            os.fsync(out.fileno())
        aside.replace(folder / MANIFEST)
        _sync_folder(folder)

    def folder(self, name: str) -> Path:
        """Return where a published result lies; ``NotFound`` for what cannot be a name."""
        if not _NAME.fullmatch(name):
            raise NotFound("result")
        return self.root / name

    def manifest(self, name: str) -> dict[str, Any]:
        """Return the manifest of a published result or raise ``NotFound``."""
        try:
            return dict(orjson.loads((self.folder(name) / MANIFEST).read_bytes()))
        except (OSError, ValueError):
            raise NotFound("result") from None

    def file(self, name: str, file_name: str) -> Path:
        """Return the path of a file that the manifest names, or raise ``NotFound``."""
        return self.entry(name, file_name)[0]

    def entry(self, name: str, file_name: str) -> tuple[Path, dict[str, Any]]:
        """Return the path of a file and what the manifest says of it, or raise ``NotFound``."""
        for file in self.manifest(name)["files"]:
            if file["name"] == file_name:
                return self.folder(name) / file_name, file
        raise NotFound("result")

    def exists(self, name: str) -> bool:
        """Whether the result is published."""
        return (self.folder(name) / MANIFEST).is_file()

    def discard(self, name: str) -> None:
        """Remove what an attempt has written, published or not."""
        shutil.rmtree(self._partial(name), ignore_errors=True)
        self.delete(name)

    def delete(self, name: str) -> None:
        """Remove a published result: it becomes invisible at once, then its files go."""
        folder = self.folder(name)
        doomed = self._partial(name)
        try:
            folder.rename(doomed)
        except FileNotFoundError:
            return
        except OSError:
            shutil.rmtree(doomed, ignore_errors=True)
            folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def names(self) -> list[str]:
        """Return the names of all results, finished or not."""
        return sorted({folder.relative_to(self.root).as_posix().removesuffix(PARTIAL) for folder in self._folders()})

    def prune(self) -> None:
        """Remove folders that hold nothing; only while no attempt runs, which might be about to fill one."""
        for parent in [*self.root.glob("??/*"), *self.root.glob("??")]:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()

    def _folders(self) -> list[Path]:
        return [folder for folder in self.root.glob("??/*/*") if folder.is_dir()]

    def _partial(self, name: str) -> Path:
        folder = self.folder(name)
        return folder.with_name(folder.name + PARTIAL)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
