"""The folders in which runs are at work, ``<store>/runs/<uuid>``: work (what becomes the bundle), temporary, control.

Everything blocks on the disk.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ExecutionError
from . import run_files
from .hashing import Measured
from .ids import is_uuid
from .problems import Refused
from .run_child import CONTROL, KILL, TEMPORARY, WORK, measured
from .store import BundleStore

RUNS = "runs"
PUBLISHED = "published.json"
LARGEST_TEXT = 2**20


class RunFolders:
    """One folder per run; a uuid names it, nothing else ever does."""

    def __init__(self, store: BundleStore) -> None:
        self.store = store
        self.root = store.root / RUNS

    def folder(self, uuid: str) -> Path:
        """Return where the folder of a run lies."""
        if not is_uuid(uuid):
            raise ValueError(f"no uuid: {uuid!r}")
        return self.root / uuid

    def work(self, uuid: str) -> Path | None:
        """Return where a run is at work; None if it is not."""
        work = self.folder(uuid) / WORK
        return work if work.exists() else None

    def make(self, uuid: str) -> Path:
        """Make the clean folder of a run."""
        folder = self.folder(uuid)
        run_files.remove(folder)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        for name in (CONTROL, TEMPORARY, WORK):
            (folder / name).mkdir(mode=0o700)
        return folder

    def request_kill(self, uuid: str, reason: str) -> None:
        """Tell the process that watches a run to end it; nothing if there is none."""
        control = self.folder(uuid) / CONTROL
        if control.is_dir():
            aside = control / f"{KILL}.aside"
            aside.write_text(reason)
            aside.replace(control / KILL)

    def placed(self, uuid: str) -> list[str]:
        """Return at which paths parents stand in a run's folder."""
        return run_files.placed(self.folder(uuid) / CONTROL)

    def publish(self, uuid: str, facts: dict[str, Any]) -> str:
        """Move what a run has made into the store and return its location; ``facts`` are what was measured of it.

        Raises:
            ExecutionError: the folder is gone.
        """
        folder = self.folder(uuid)
        if not (folder / WORK).exists():
            raise ExecutionError("the folder of this run is gone")
        location = self.store.publish(uuid, folder / WORK)
        # The task may have been cancelled meanwhile: then `keep` has to know where it went.
        (folder / CONTROL / PUBLISHED).write_text(json.dumps({**facts, "location": location}))
        return location

    def take_back(self, uuid: str) -> None:
        """Remove what was published for a task that was cancelled meanwhile."""
        if (facts := self._published(uuid)) is not None:
            self.store.delete(facts["location"])

    def _published(self, uuid: str) -> dict[str, Any] | None:
        try:
            return dict(json.loads((self.folder(uuid) / CONTROL / PUBLISHED).read_text()))
        except (OSError, ValueError):
            return None

    def keep(self, uuid: str, patterns: Sequence[str]) -> tuple[str, Measured] | None:
        """Publish what a run that was cut off has left; None if there is nothing. No process of it may live."""
        folder = self.folder(uuid)
        work = folder / WORK
        if (facts := self._published(uuid)) is not None:
            is_there = self.store.path(facts["location"]).exists()
            return (facts["location"], as_measured(facts)) if is_there else None
        if not work.exists():
            return None
        if work.is_dir():
            run_files.take_out(work, folder / CONTROL)
            run_files.tidy(work, patterns)
        facts = measured(work)
        return self.publish(uuid, facts), as_measured(facts)

    def remove(self, uuid: str) -> None:
        """Remove the folder of a run."""
        run_files.remove(self.folder(uuid))

    def uuids(self) -> list[str]:
        """Return whose folders there are."""
        return [each.name for each in self.root.iterdir() if is_uuid(each.name)] if self.root.is_dir() else []

    def write(self, uuid: str, subpath: str, text: str) -> None:
        """Put a small file into the folder of a run, through no link and into no parent.

        Raises:
            Refused: there is no such place.
        """
        content = text.encode()
        if len(content) > LARGEST_TEXT:
            raise Refused(f"What is written into a running bundle has at most {LARGEST_TEXT} bytes.")
        parts = [part for part in subpath.split("/") if part not in ("", ".")]
        if not parts or ".." in parts or "\0" in subpath:
            raise Refused(f"Cannot write to {subpath!r} in a bundle.")
        places = [place.split("/") for place in self.placed(uuid)]
        if any(parts[: len(place)] == place or place[: len(parts)] == parts for place in places):
            raise Refused(f"{subpath!r} belongs to a parent of the bundle, which cannot be written.")
        try:
            _write(self.folder(uuid) / WORK, parts, content)
        except OSError:
            raise Refused(f"Cannot write to {subpath!r} in bundle {uuid}.") from None


def _write(folder: Path, parts: Sequence[str], content: bytes) -> None:
    """Open every folder by the one above it: no link on the way is followed, whoever puts one there meanwhile."""
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(parts[-1], flags, 0o600, dir_fd=here)
        with os.fdopen(file, "wb") as out:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError("no file")
            os.ftruncate(file, 0)
            out.write(content)
    finally:
        os.close(here)


def as_measured(facts: dict[str, Any]) -> Measured:
    """Return what a child has measured."""
    return Measured(facts["content_type"], facts["size"], facts["data_hash"])
