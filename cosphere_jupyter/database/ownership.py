"""One process owns a data directory.

SQLite up to 3.51.2 can corrupt a write-ahead log that two processes write and checkpoint at once, so exactly one
server opens the database. The lock is the operating system's: it goes with the process, also after kill -9.
``owner.json`` beside it tells everybody else where the owner can be reached.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout


class Ownership:
    """The right to open the database of ``data_dir``; ``acquire`` gets it or says who has it."""

    def __init__(self, data_dir: Path) -> None:
        self._card = data_dir / "owner.json"
        # Not per thread: services start in one thread and stop in another.
        self._lock = FileLock(data_dir / "owner.lock", timeout=0, mode=0o600, thread_local=False)

    @property
    def held(self) -> bool:
        """Whether this process owns the directory now."""
        return self._lock.is_locked

    def acquire(self, card: dict[str, Any]) -> bool:
        """Take the directory and leave ``card`` (pid, url, …) for others. False if another process has it."""
        if not self._lock.is_locked:
            try:
                self._lock.acquire()
            except Timeout:
                return False
        self.announce(card)
        return True

    def announce(self, card: dict[str, Any]) -> None:
        """Write the owner's card, readable for the same user only."""
        aside = self._card.with_suffix(f".{os.getpid()}.tmp")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(card))
        aside.replace(self._card)

    def owner(self) -> dict[str, Any]:
        """Return the card of whoever owns the directory (empty when nobody left one)."""
        try:
            return dict(orjson.loads(self._card.read_bytes()))
        except (OSError, ValueError):
            return {}

    def release(self) -> None:
        """Give the directory back."""
        if self._lock.is_locked:
            self._card.unlink(missing_ok=True)
            self._lock.release()
