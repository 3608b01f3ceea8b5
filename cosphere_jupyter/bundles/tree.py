"""A folder that is filled from an archive: names are checked, links stay inside, nothing is written through a link.

Only the standard library is imported here: it runs in a child process of its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from .hashing import Entry, hash_of

MOST_ENTRIES = 1_000_000
# Of a path: how many components, and how many bytes each and all of them may have.
DEEPEST, LONGEST_NAME, LONGEST_PATH = 64, 255, 3072
MODE_OF_FILES = 0o644
# More files than these are brought to the disk all at once.
SYNC_EACH = 64
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\")

Names = tuple[str, ...]
T = TypeVar("T")


class InvalidError(Exception):
    """An archive is broken, or holds what may not be in one; the text says what."""


def member_names(name: str) -> Names:
    """Return the components of a member's path; none for the folder itself. ``InvalidError`` if it may not be one."""
    name = _readable(name)
    # Programs on other systems take both kinds of slashes.
    parts = re.split(r"[/\\]", name)
    if "\0" in name or name.startswith("/") or _WINDOWS.match(name) or ".." in parts:
        raise InvalidError(f"{name!r} is not a path below the archive's folder")
    names = tuple(part for part in name.split("/") if part not in ("", "."))
    lengths = [len(os.fsencode(part)) for part in names]
    if len(names) > DEEPEST or max(lengths, default=0) > LONGEST_NAME or sum(lengths) + len(names) > LONGEST_PATH:
        raise InvalidError(f"{name[:80]!r}… is too long a path")
    return names


class Tree:
    """The folder ``root``, which is there and empty; a context manager."""

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, _FOLDER)
        self._kinds: dict[Names, str] = {(): "directory"}
        self._files: dict[Names, tuple[int, str]] = {}
        self._links: dict[Names, str] = {}
        # The folder that was written to last, which most entries share with the one before.
        self._open: tuple[Names, int] | None = None

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *exc: object) -> None:
        self._close_folder()
        os.close(self._root)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(size for size, _ in self._files.values())

    @property
    def data_hash(self) -> str:
        """The hash of what was written, as `hash_of` has it."""
        return hash_of(self._entry(names, kind) for names, kind in self._kinds.items() if names)

    def add_folder(self, names: Names) -> None:
        """Make a folder, and those above it; one that is there already stays as it is."""
        if names and self._kinds.get(names) != "directory":
            folder = self._folder(names[:-1])
            self._note(names, "directory")
            _make(lambda: os.mkdir(names[-1], 0o700, dir_fd=folder), names)

    def add_file(
        self, names: Names, pieces: Iterable[bytes], mode: int, mtime: float | None = None, replaces: bool = False
    ) -> str:
        """Write a file and return its SHA-1; of the mode, who may read, write and execute counts.

        ``replaces`` says whether it may take the place of an earlier file or link.
        """
        folder = self._prepare(names, "file", replaces)
        digest, size = hashlib.sha1(usedforsecurity=False), 0
        descriptor = _make(lambda: os.open(names[-1], _NEW_FILE, 0o600, dir_fd=folder), names)
        with os.fdopen(descriptor, "wb") as out:
            for piece in pieces:
                out.write(piece)
                digest.update(piece)
                size += len(piece)
            out.flush()
            os.fchmod(descriptor, mode & 0o777 | 0o600)
            if mtime is not None:
                with contextlib.suppress(OverflowError, OSError, ValueError):
                    os.utime(descriptor, (mtime, mtime))
            if len(self._kinds) <= SYNC_EACH:
                os.fsync(descriptor)
        self._files[names] = (size, digest.hexdigest())
        return digest.hexdigest()

    def add_link(self, names: Names, target: str, replaces: bool = False) -> None:
        """Make a symbolic link whose target is in the folder: ``..`` only at its beginning, and not too often."""
        target = _readable(target)
        parts = [part for part in target.split("/") if part not in ("", ".")]
        ups = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
        is_inside = ups <= len(names) - 1 and ".." not in parts[ups:]
        if not target or "\0" in target or target.startswith("/") or not is_inside or len(target) > LONGEST_PATH:
            raise InvalidError(f"the link {'/'.join(names)!r} leads out of the archive's folder")
        folder = self._prepare(names, "link", replaces)
        _make(lambda: os.symlink(target, names[-1], dir_fd=folder), names)
        self._links[names] = target

    def add_hard_link(self, names: Names, target: Names) -> int:
        """Let a second name stand for a file that was written before; returns the file's size."""
        if self._kinds.get(target) != "file" or names == target:
            raise InvalidError(f"the link {'/'.join(names)!r} leads to no file before it")
        folder = self._prepare(names, "file", True)
        source = os.dup(self._folder(target[:-1]))
        try:
            folder = self._folder(names[:-1])
            link = functools.partial(os.link, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
            _make(functools.partial(link, target[-1], names[-1]), names)
        finally:
            os.close(source)
        self._files[names] = self._files[target]
        return self._files[names][0]

    def sync(self) -> None:
        """Bring everything to the disk."""
        if len(self._kinds) > SYNC_EACH and not _sync_file_system(self._root):
            os.sync()
        for names in [names for names, kind in self._kinds.items() if kind == "directory"][: SYNC_EACH + 1]:
            os.fsync(self._folder(names))

    def _entry(self, names: Names, kind: str) -> Entry:
        what = self._files[names][1] if kind == "file" else self._links.get(names, "")
        return Entry(kind, "/".join(names), what)

    def _prepare(self, names: Names, kind: str, replaces: bool) -> int:
        """Make room for a file or a link and return the folder that it is for."""
        if not names:
            raise InvalidError("the archive's folder is no folder")
        folder = self._folder(names[:-1])
        if names in self._kinds:
            if self._kinds[names] == "directory" or not replaces:
                raise InvalidError(f"{'/'.join(names)!r} stands in it twice")
            os.unlink(names[-1], dir_fd=folder)
            self._files.pop(names, None)
            self._links.pop(names, None)
        self._note(names, kind)
        return folder

    def _note(self, names: Names, kind: str) -> None:
        self._kinds[names] = kind
        if len(self._kinds) > MOST_ENTRIES:
            raise InvalidError(f"it holds more than {MOST_ENTRIES} entries")

    def _folder(self, names: Names) -> int:
        """Return the descriptor of a folder, which is made if need be; a link or a file in the way is an error."""
        if not names:
            return self._root
        if self._open is not None and self._open[0] == names:
            return self._open[1]
        for count in range(1, len(names) + 1):
            kind = self._kinds.get(names[:count])
            if kind not in (None, "directory"):
                raise InvalidError(f"{'/'.join(names[:count])!r} is no folder, but something is to lie in it")
        descriptor = os.dup(self._root)
        for count, name in enumerate(names, start=1):
            if names[:count] not in self._kinds:
                self._note(names[:count], "directory")
                _make(functools.partial(os.mkdir, name, 0o700, dir_fd=descriptor), names)
            inner = os.open(name, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        self._close_folder()
        self._open = (names, descriptor)
        return descriptor

    def _close_folder(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None


def _make(make: Callable[[], T], names: Names) -> T:
    """Make something; a name that the file system does not take is the archive's fault."""
    try:
        return make()
    except (FileExistsError, NotADirectoryError, ValueError, UnicodeError) as error:
        raise InvalidError(f"{'/'.join(names)!r} cannot be made: {type(error).__name__}") from None


def _readable(name: str) -> str:
    """Return a name as text: bytes that are no UTF-8 are taken for Latin-1."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("latin-1")
    return name


def _sync_file_system(descriptor: int) -> bool:
    """Bring all of a file system to the disk, where the system can do that; False elsewhere."""
    try:
        return int(ctypes.CDLL(None, use_errno=True).syncfs(descriptor)) == 0
    except (AttributeError, OSError):
        return False
