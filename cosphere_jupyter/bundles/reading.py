"""Reading folders that others have filled, or are filling: no symbolic link is ever followed.

Each component of a path is opened by itself below the one before, so that nothing that changes meanwhile (a folder that
becomes a link) leads outside. All functions block on the disk: call them in a thread.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE, DIRECTORY, LINK, OTHER = "file", "directory", "link", "other"
# What is read and handed on at once, in bytes.
CHUNK = 512 * 1024
SAMPLE = 32 * 1024
# Deeper folders than this are not looked into.
DEEPEST = 100
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe must not make anybody wait for its other end.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class OutsideError(Exception):
    """A path leads out of the contents."""


class GoneError(Exception):
    """Nothing that could be read lies at a path."""


@dataclass(frozen=True)
class Node:
    """What lies at a path: its kind, size in bytes, permission bits, and what identifies its present content."""

    kind: str
    size: int
    mode: int
    version: str
    link: str | None = None


def components(path: str) -> tuple[str, ...]:
    """Return the names that lead to a path below the contents; ``OutsideError`` if it leads out of them."""
    if path.startswith("/"):
        raise OutsideError
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            if not names:
                raise OutsideError
            names.pop()
        elif name not in ("", "."):
            names.append(name)
    return tuple(names)


@contextlib.contextmanager
def parent_of(root: Path, names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Open the folder in which a path's last component stands; gives its descriptor and that component.

    ``GoneError`` if there is none, or a component before the last is no folder (a link to one is none).
    """
    *folders, last = [root.name, *names]
    try:
        descriptor = os.open(root.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise GoneError from None
    try:
        for name in folders:
            try:
                inner = os.open(name, _FOLDER, dir_fd=descriptor)
            except (OSError, ValueError):
                raise GoneError from None
            os.close(descriptor)
            descriptor = inner
        yield descriptor, last
    finally:
        os.close(descriptor)


def look(root: Path, names: Sequence[str]) -> Node:
    """Say what lies at a path; ``GoneError`` if nothing does."""
    with parent_of(root, names) as (folder, name):
        return _look(folder, name)


def open_file(root: Path, names: Sequence[str]) -> tuple[int, Node]:
    """Open the file at a path and return its descriptor, and what it is; ``GoneError`` if there is no file."""
    with parent_of(root, names) as (folder, name):
        return _open_file(folder, name)


def describe(root: Path, names: Sequence[str], name: str, depth: int) -> dict[str, Any]:
    """Return what lies at a path as the API shows it, with what lies in it down to ``depth``."""
    with parent_of(root, names) as (folder, last):
        return _describe(folder, last, name, min(depth, DEEPEST))


def file_chunks(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of an open file from ``start`` to before ``end``, fewer if it became shorter; closes it."""
    try:
        while start < end and (chunk := os.pread(descriptor, min(CHUNK, end - start), start)):
            start += len(chunk)
            yield chunk
    finally:
        os.close(descriptor)


def is_dense(descriptor: int, size: int) -> bool:
    """Whether compressing a file would take long and make it hardly smaller, to judge by samples of a large one."""
    if size < CHUNK:
        return False
    samples = [os.pread(descriptor, SAMPLE, start) for start in (0, (size - SAMPLE) // 2)]
    return all(len(zlib.compress(sample, 1)) > 0.9 * len(sample) for sample in samples)


def gzipped(chunks: Iterable[bytes], level: int = 1) -> Iterator[bytes]:
    """Yield a gzip stream of what comes, in pieces worth sending."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, 31)
    pieces: list[bytes] = []
    waiting = 0
    for chunk in chunks:
        piece = compressor.compress(chunk)
        pieces.append(piece)
        waiting += len(piece)
        if waiting >= CHUNK // 4:
            yield b"".join(pieces)
            pieces, waiting = [], 0
    yield b"".join(pieces) + compressor.flush()


def tar_chunks(root: Path, names: Sequence[str]) -> Iterator[bytes]:
    """Yield a tar archive of what lies in the folder at a path, with paths below it; links stay links."""
    with parent_of(root, names) as (parent, last):
        try:
            folder = os.open(last, _FOLDER, dir_fd=parent)
        except (OSError, ValueError):
            raise GoneError from None
    try:
        yield from _tar_folder(folder, "", 0)
    finally:
        os.close(folder)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def shown(name: str) -> str:
    """Return a name as JSON can hold it: files of runs may be named by any bytes."""
    return os.fsencode(name).decode(errors="replace")


def _look(folder: int, name: str) -> Node:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        link = os.readlink(name, dir_fd=folder) if stat.S_ISLNK(found.st_mode) else None
    except (OSError, ValueError):
        raise GoneError from None
    return _node(found, link)


def _node(found: os.stat_result, link: str | None = None) -> Node:
    kinds = {stat.S_IFREG: FILE, stat.S_IFDIR: DIRECTORY, stat.S_IFLNK: LINK}
    kind = kinds.get(stat.S_IFMT(found.st_mode), OTHER)
    version = f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"
    return Node(kind, found.st_size, found.st_mode & 0o777, version, link)


def _open_file(folder: int, name: str) -> tuple[int, Node]:
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except (OSError, ValueError):
        raise GoneError from None
    node = _node(os.fstat(descriptor))
    if node.kind != FILE:
        os.close(descriptor)
        raise GoneError
    return descriptor, node


def _describe(folder: int, name: str, shown_as: str, depth: int) -> dict[str, Any]:
    node = _look(folder, name)
    answer: dict[str, Any] = {"name": shown_as, "type": node.kind, "size": node.size, "perm": node.mode}
    if node.link is not None:
        answer["link"] = shown(node.link)
    if node.kind == DIRECTORY and depth > 0:
        answer["contents"] = _contents(folder, name, depth - 1)
    return answer


def _names_in(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries)


def _contents(folder: int, name: str, depth: int) -> list[dict[str, Any]]:
    try:
        inner = os.open(name, _FOLDER, dir_fd=folder)
    except OSError:
        return []
    found = []
    try:
        for each in _names_in(inner):
            # What a run removes while it is being listed is not there.
            with contextlib.suppress(GoneError):
                found.append(_describe(inner, each, shown(each), depth))
    finally:
        os.close(inner)
    return found


def _tar_folder(folder: int, prefix: str, depth: int) -> Iterator[bytes]:
    for name in _names_in(folder):
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            continue
        info = tarfile.TarInfo(prefix + name)
        info.mode, info.mtime = found.st_mode & 0o777, int(found.st_mtime)
        kind = _node(found).kind
        if kind == FILE:
            yield from _tar_file(folder, name, info)
        elif kind == LINK:
            with contextlib.suppress(OSError):
                info.type, info.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=folder)
                yield _header(info)
        elif kind == DIRECTORY:
            info.type = tarfile.DIRTYPE
            yield _header(info)
            if depth < DEEPEST:
                yield from _tar_inner(folder, name, f"{prefix}{name}/", depth + 1)


def _tar_inner(folder: int, name: str, prefix: str, depth: int) -> Iterator[bytes]:
    try:
        inner = os.open(name, _FOLDER, dir_fd=folder)
    except OSError:
        return
    try:
        yield from _tar_folder(inner, prefix, depth)
    finally:
        os.close(inner)


def _tar_file(folder: int, name: str, info: tarfile.TarInfo) -> Iterator[bytes]:
    try:
        descriptor, node = _open_file(folder, name)
    except GoneError:
        return
    info.size = node.size
    sent = 0
    chunks = file_chunks(descriptor, 0, node.size)
    try:
        yield _header(info)
        for chunk in chunks:
            sent += len(chunk)
            yield chunk
    finally:
        chunks.close()  # type: ignore[attr-defined]
    # A file that became shorter meanwhile is filled up: the header has told its size.
    missing = node.size - sent
    while missing > 0:
        yield b"\0" * min(CHUNK, missing)
        missing -= CHUNK
    yield b"\0" * (-node.size % tarfile.BLOCKSIZE)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")
