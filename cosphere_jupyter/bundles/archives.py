"""Unpacking archives of strangers: nothing ends up outside the folder, and nothing takes more than it may.

What may stand in an archive: files, folders, symbolic links that stay inside, and hard links to files before them.
Anything else (devices, pipes, absolute paths, ``..``, a file below a link, two of the same name in a zip) makes the
whole archive invalid. Files are created below open folders, component by component, never through a link.

It runs in a child process with limits on memory (see `unpacking`), and imports nothing but the standard library.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from .hashing import Measured
from .tree import MODE_OF_FILES, InvalidError, Tree, member_names

TAR_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2")
SUFFIXES = (*TAR_SUFFIXES, ".zip", ".gz", ".bz2")
CHUNK = 1024 * 1024
# What unpacks to more than this is a bomb if it is also so many times the size of the archive.
SUSPICIOUS_SIZE = 256 * 1024 * 1024
SUSPICIOUS_RATIO = 250
# A path that a link leads to is not longer than this.
LONGEST_LINK = 4096
# What a tar may hold beside the bytes of its files, for each entry: a header, its extensions, padding.
_OVERHEAD = 16 * 1024

_JUNK = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, IndexError, KeyError)


class TooBigError(Exception):
    """The contents do not fit into what is left of the owner's quota; ``size`` is what was reached, in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"at least {size} bytes")
        self.size = size


@dataclass
class Meter:
    """Counts the bytes that an archive unpacks to, and stops when they are too many."""

    archive_size: int
    # What the owner may still store; None: as much as there is.
    most: int | None = None
    count: int = 0

    def add(self, size: int) -> None:
        """Count bytes of files."""
        self.count += size
        if self.most is not None and self.count > self.most:
            raise TooBigError(self.count)
        if self.count > max(SUSPICIOUS_SIZE, SUSPICIOUS_RATIO * self.archive_size):
            raise InvalidError(f"it unpacks to more than {SUSPICIOUS_RATIO} times its own size")


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def suffix_of(filename: str) -> str | None:
    """Return the suffix by which a file is known to be an archive; None if it is none."""
    return next((suffix for suffix in SUFFIXES if filename.endswith(suffix) and filename != suffix), None)


def unpack(archive: Path, suffix: str, target: Path, most: int | None) -> Measured:
    """Unpack an archive to ``target``, where nothing lies yet; on the disk when this returns.

    Raises:
        InvalidError: the archive is broken, or holds what may not be in one; the text says what.
        TooBigError: it unpacks to more than ``most`` bytes.
    """
    meter = Meter(archive.stat().st_size, most)
    try:
        if suffix == ".zip":
            return _unpack_zip(archive, target, meter)
        if suffix in TAR_SUFFIXES:
            return _unpack_tar(archive, _opener(suffix), target, meter)
        return _unpack_file(archive, _opener(suffix), target, meter)
    except (MemoryError, RecursionError):
        raise InvalidError("it cannot be read in the memory there is for that") from None
    except (NotImplementedError, RuntimeError, *_JUNK) as error:
        raise InvalidError(f"{type(error).__name__}: {error}") from None
    except OSError as error:
        # Of a compressed stream that is none; whatever has a number comes from the disk.
        if error.errno is not None:
            raise
        raise InvalidError(str(error)) from None


def _opener(suffix: str) -> Callable[[Path], Any]:
    return bz2.open if suffix.endswith(".bz2") else gzip.open


def _unpack_file(archive: Path, opener: Callable[[Path], Any], target: Path, meter: Meter) -> Measured:
    with opener(archive) as stream, Tree(target.parent) as tree:
        digest = tree.add_file((target.name,), _pieces(stream, meter), 0o644)
        tree.sync()
    return Measured("file", meter.count, f"0x{digest}")


class _Counted:
    """The bytes of a tar, as the archive's decompression gives them; never many more than its files may have."""

    def __init__(self, stream: _Readable, meter: Meter) -> None:
        self._stream = stream
        self._meter = meter
        self._count = 0
        self.entries = 1

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._count += len(data)
        rest = self._count - self.entries * _OVERHEAD - 8 * CHUNK
        if rest > max(SUSPICIOUS_SIZE, SUSPICIOUS_RATIO * self._meter.archive_size):
            raise InvalidError(f"it unpacks to more than {SUSPICIOUS_RATIO} times its own size")
        if self._meter.most is not None and rest > self._meter.most:
            raise TooBigError(rest)
        return data


def _unpack_tar(archive: Path, opener: Callable[[Path], Any], target: Path, meter: Meter) -> Measured:
    target.mkdir(mode=0o700)
    with opener(archive) as stream, Tree(target) as tree:
        counted = _Counted(stream, meter)
        with tarfile.open(fileobj=counted, mode="r|", errors="surrogateescape") as tar:  # type: ignore[call-overload]
            for member in tar:
                counted.entries += 1
                _add_member(tree, tar, member, meter)
                # Nobody asks for a member again: their list must not grow with the archive.
                tar.members = []
        # To the end: only there a compressed stream says whether it was whole.
        while counted.read(CHUNK):
            pass
        tree.sync()
        return Measured("directory", tree.size, tree.data_hash)


def _add_member(tree: Tree, tar: tarfile.TarFile, member: tarfile.TarInfo, meter: Meter) -> None:
    names = member_names(member.name)
    if member.isdir():
        tree.add_folder(names)
    elif member.issym():
        tree.add_link(names, member.linkname, replaces=True)
    elif member.islnk():
        meter.add(tree.add_hard_link(names, member_names(member.linkname)))
    elif member.isreg():
        data = tar.extractfile(member)
        if data is None or member.size < 0:
            raise InvalidError(f"{member.name!r} has no content")
        tree.add_file(names, _pieces(data, meter), member.mode, member.mtime, replaces=True)
    else:
        raise InvalidError(f"{member.name!r} is neither a file nor a folder nor a link")


def _unpack_zip(archive: Path, target: Path, meter: Meter) -> Measured:
    target.mkdir(mode=0o700)
    with zipfile.ZipFile(archive) as zipped, Tree(target) as tree:
        members = zipped.infolist()
        _check_places(members)
        for member in members:
            _add_zipped(tree, zipped, member, meter)
        tree.sync()
        return Measured("directory", tree.size, tree.data_hash)


def _check_places(members: list[zipfile.ZipInfo]) -> None:
    """Refuse members that share bytes: bombs are made of them."""
    end = -1
    for member in sorted(members, key=lambda each: each.header_offset):
        if member.header_offset < end:
            raise InvalidError(f"{member.filename!r} overlaps another member")
        end = member.header_offset + 30 + member.compress_size


def _add_zipped(tree: Tree, zipped: zipfile.ZipFile, member: zipfile.ZipInfo, meter: Meter) -> None:
    if "\0" in member.orig_filename or member.flag_bits & 0x1:
        raise InvalidError(f"{member.filename!r} is encrypted, or has no proper name")
    names = member_names(_zip_name(member))
    mode = member.external_attr >> 16 if member.create_system == 3 else 0
    kind = stat.S_IFMT(mode)
    if member.is_dir() or kind == stat.S_IFDIR:
        tree.add_folder(names)
        return
    with zipped.open(member) as data:
        if kind == stat.S_IFLNK:
            link = data.read(LONGEST_LINK + 1).decode(errors="surrogateescape")
            tree.add_link(names, link)
        elif kind in (0, stat.S_IFREG):
            tree.add_file(names, _pieces(data, meter), mode or MODE_OF_FILES)
        else:
            raise InvalidError(f"{member.filename!r} is neither a file nor a folder nor a link")


def _zip_name(member: zipfile.ZipInfo) -> str:
    """Return the name of a member: many programs write UTF-8 without saying so."""
    if member.flag_bits & 0x800:
        return member.filename
    try:
        return member.filename.encode("cp437").decode()
    except UnicodeError:
        return member.filename


def _pieces(stream: IO[bytes] | _Readable, meter: Meter) -> Iterator[bytes]:
    while piece := stream.read(CHUNK):
        meter.add(len(piece))
        yield piece
