"""How many bytes contents have, and their hash.

The hash of a file is SHA-1 of its bytes. That of a folder is SHA-1 of one line per entry, in the order of the paths'
UTF-8 bytes: ``<kind> <path> <what>\\0``, where kind is ``file``, ``directory`` or ``link``, the path is relative and
the third is the file's hash, nothing, or the link's target. Times, owners and modes do not count. The size of a folder
is that of all its files. All functions block on the disk.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Measured:
    """What contents are (``file`` or ``directory``), their bytes, and their hash, as ``0x`` and 40 digits."""

    content_type: str
    size: int
    data_hash: str


@dataclass(frozen=True)
class Entry:
    """One thing in a folder: its kind, its path below the folder, and a file's hash or a link's target."""

    kind: str
    path: str
    what: str = ""


def measure(path: Path) -> Measured:
    """Measure the file or the folder at a path; links are not followed, and what is neither does not count."""
    if path.is_file() and not path.is_symlink():
        size, digest = _hash_file(path)
        return Measured("file", size, f"0x{digest}")
    entries: list[Entry] = []
    total = 0
    for folder, names, files in os.walk(path):
        for name in [*names, *files]:
            inner = Path(folder, name)
            relative = str(inner.relative_to(path))
            mode = inner.lstat().st_mode
            if stat.S_ISLNK(mode):
                entries.append(Entry("link", relative, os.readlink(inner)))  # noqa: PTH115 - as it is, with every slash
            elif stat.S_ISDIR(mode):
                entries.append(Entry("directory", relative))
            elif stat.S_ISREG(mode):
                size, digest = _hash_file(inner)
                total += size
                entries.append(Entry("file", relative, digest))
    return Measured("directory", total, hash_of(entries))


def hash_of(entries: Iterable[Entry]) -> str:
    """Return the hash of a folder by its entries."""
    digest = hashlib.sha1(usedforsecurity=False)
    for path, entry in sorted((os.fsencode(entry.path), entry) for entry in entries):
        digest.update(b"%s %s %s\0" % (entry.kind.encode(), path, os.fsencode(entry.what)))
    return f"0x{digest.hexdigest()}"


def _hash_file(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha1(usedforsecurity=False), 0
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
