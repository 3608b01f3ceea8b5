"""Whom a credential spoke for a moment ago.

Verifying a token and reading its account costs more than most answers. What was found out is good for a second at
most, and for no time at all once an account changes in this process: then everything is forgotten.
"""

from __future__ import annotations

import hashlib
import time
from typing import Generic, TypeVar

Found = TypeVar("Found")

SECONDS = 1.0
MOST = 1024


class KnownCallers(Generic[Found]):
    """A small memory of what was found by credential; credentials are kept as digests only."""

    def __init__(self) -> None:
        self._found: dict[bytes, tuple[Found, float]] = {}
        self._generation = 0

    @property
    def generation(self) -> int:
        """Changes with every ``forget``: what was read before must not be remembered after."""
        return self._generation

    def find(self, credential: str) -> Found | None:
        """Return what was found, if that was within the last second and nothing has changed since."""
        known = self._found.get(_digest(credential))
        return known[0] if known and known[1] > time.monotonic() else None

    def remember(self, credential: str, found: Found, generation: int) -> None:
        """Keep what was read while ``generation`` was the present one."""
        if generation != self._generation:
            return
        if len(self._found) >= MOST:
            self._found.clear()
        self._found[_digest(credential)] = (found, time.monotonic() + SECONDS)

    def forget(self) -> None:
        """Forget everything: an account has changed."""
        self._generation += 1
        self._found.clear()


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode()).digest()
