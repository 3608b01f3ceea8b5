"""Answers kept as the bytes that were sent, for as long as nothing that they depend on has changed.

An answer is kept with the version of its tables from before it was read (see ``database.changes``), for one caller and
one address, and given out only while that version is the present one: no change that was acknowledged is ever missed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

Version = tuple[int, ...]

MOST = 256
MOST_BYTES = 16 * 1024 * 1024
LARGEST = 1024 * 1024


class RenderedBodies:
    """At most 256 bodies and 16 MB, none above 1 MB; those that were given out longest ago go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[Version, bytes]] = OrderedDict()
        self._bytes = 0

    def find(self, key: Hashable, version: Version | None) -> bytes | None:
        """Return the body that was kept at this very version."""
        kept = self._kept.get(key)
        if kept is None or version is None or kept[0] != version:
            return None
        self._kept.move_to_end(key)
        return kept[1]

    def keep(self, key: Hashable, version: Version | None, body: bytes) -> None:
        """Keep a body that was read after ``version`` was the present one; with None there is nothing to keep."""
        self._drop(key)
        if version is None or len(body) > LARGEST:
            return
        self._kept[key] = (version, body)
        self._bytes += len(body)
        while len(self._kept) > MOST or self._bytes > MOST_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        if key in self._kept:
            self._bytes -= len(self._kept.pop(key)[1])
