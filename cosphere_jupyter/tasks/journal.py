"""Which attempts have begun: what tells, after a kill -9, whether a task that was claimed may have had side effects.

Claims are committed some tasks ahead, so that no process waits for the disk. The line that an attempt has begun needs
no disk: what is written survives the end of the server's process, and after a crash of the machine (another boot)
every claimed attempt counts as begun.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path

# Written anew when it has grown to so many bytes.
LARGEST = 4 * 1024 * 1024


class Journal:
    """One file, written by the process that owns the data directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._size = 0

    def read(self) -> set[str] | None:
        """Return what has begun under the former server; None if that cannot be known."""
        try:
            boot, *lines = self._path.read_text().split("\n")
        except (OSError, ValueError):
            return None
        return set(lines) if boot == _boot() else None

    def open(self, running: Iterable[str] = ()) -> None:
        """Begin a new journal with what is running now; ``OSError`` if it cannot be written: the old one goes on."""
        aside, text = self._path.with_suffix(".new"), "\n".join([_boot(), *running]).encode()
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            _write(descriptor, text)
            aside.replace(self._path)
        except OSError:
            os.close(descriptor)
            aside.unlink(missing_ok=True)
            raise
        self.close()
        self._descriptor, self._size = descriptor, len(text)

    def begin(self, attempt: str, running: Callable[[], Iterable[str]]) -> None:
        """Say that an attempt begins now; ``OSError`` if that cannot be written: then it must not begin.

        ``running`` tells all that have begun and not ended, for a new journal.
        """
        if self._size > LARGEST:
            # A longer one serves as well while the disk has no room for another.
            with contextlib.suppress(OSError):
                self.open(running())
        line = f"\n{attempt}".encode()
        _write(self._descriptor, line)
        self._size += len(line)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _write(descriptor: int, content: bytes) -> None:
    if os.write(descriptor, content) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _boot() -> str:
    """What names the time since the machine was started."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    import psutil

    return str(int(psutil.boot_time()))
