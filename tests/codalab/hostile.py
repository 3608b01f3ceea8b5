"""Archives that are made to do harm, or to be read in two ways, and names that are made to lead elsewhere."""

from __future__ import annotations

import bz2
import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from codalab.bytes_of import special, tar_of

OUTSIDE = "../../../../canary"


def zip_of(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of members: name or ``ZipInfo``, and bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as zipped:
        for info, content in members:
            zipped.writestr(info, content)
    return out.getvalue()


def zipped_special(name: str, kind: int) -> zipfile.ZipInfo:
    """Return a member of a zip that is no file."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    return info


def tars() -> Iterator[tuple[str, bytes]]:
    """Yield hostile tar archives, each with what it tries."""
    file = ("a.txt", b"fine")
    yield "a path upwards", tar_of(file, (OUTSIDE, b"x"))
    yield "a path that goes down and further up", tar_of(("a/b/../../../canary", b"x"))
    yield "an absolute path", tar_of(("/tmp/canary", b"x"))
    yield "a path of another system", tar_of(("C:\\canary", b"x"))
    yield "a path upwards with backslashes", tar_of(("..\\..\\canary", b"x"))
    yield "only dots", tar_of(("..", b"x"))
    yield "a link upwards", tar_of(special("out", tarfile.SYMTYPE, OUTSIDE))
    yield "an absolute link", tar_of(special("out", tarfile.SYMTYPE, "/etc/passwd"))
    yield "a link to nowhere by two steps", tar_of(special("a/out", tarfile.SYMTYPE, "b/../../.."))
    yield "a link without a target", tar_of(special("out", tarfile.SYMTYPE, ""))
    yield "a file below a link", tar_of(special("d", tarfile.SYMTYPE, "."), ("d/canary", b"x"))
    yield "a folder in place of a link", tar_of(("e/f", b""), special("d", tarfile.SYMTYPE, "e"), ("d/f/g", b"x"))
    yield "a file in place of a folder", tar_of(("d/f", b""), ("d", b"x"))
    yield "a file below a file", tar_of(("d", b"x"), ("d/f", b"x"))
    yield "a link in place of the root", tar_of(special(".", tarfile.SYMTYPE, "e"))
    yield "a file in place of the root", tar_of(("./", b"x"))
    yield "a hard link upwards", tar_of(special("out", tarfile.LNKTYPE, OUTSIDE))
    yield "an absolute hard link", tar_of(special("out", tarfile.LNKTYPE, "/etc/passwd"))
    yield "a hard link to nothing", tar_of(special("out", tarfile.LNKTYPE, "a.txt"))
    yield "a hard link to itself", tar_of(file, special("a.txt", tarfile.LNKTYPE, "a.txt"))
    yield "a hard link to a link", tar_of(special("l", tarfile.SYMTYPE, "a"), special("out", tarfile.LNKTYPE, "l"))
    yield "a character device", tar_of(special("null", tarfile.CHRTYPE, devmajor=1, devminor=3))
    yield "a block device", tar_of(special("disk", tarfile.BLKTYPE, devmajor=8, devminor=0))
    yield "a pipe", tar_of(special("pipe", tarfile.FIFOTYPE))
    yield "a member of no known kind", tar_of(special("what", b"Z"))
    yield "a name of 300 letters", tar_of(("n" * 300, b"x"))
    yield "a path of a thousand folders", tar_of(("d/" * 1000 + "f", b"x"))
    yield "a name with a zero in it", tar_of(special("a", tarfile.REGTYPE, pax_headers={"path": "a\0b"}))
    yield "a file of which hardly anything is stored", gzip.compress(_sparse())
    yield "a header that needs all memory", gzip.compress(_huge_header())
    yield "half of an archive", tar_of(("a.txt", bytes(range(256)) * 400))[:-2000]
    yield "a wrong checksum", _with_wrong_end(tar_of(file))
    yield "no archive at all", b"this is a text"
    yield "nothing", b""


def zips() -> Iterator[tuple[str, bytes]]:
    """Yield hostile zips."""
    yield "a path upwards", zip_of((OUTSIDE, b"x"))
    yield "an absolute path", zip_of(("/tmp/canary", b"x"))
    yield "a path upwards with backslashes", zip_of(("..\\canary", b"x"))
    yield "a drive", zip_of(("C:/canary", b"x"))
    yield "a link upwards", zip_of((zipped_special("out", stat.S_IFLNK), OUTSIDE.encode()))
    yield "an absolute link", zip_of((zipped_special("out", stat.S_IFLNK), b"/etc/passwd"))
    yield "a file below a link", zip_of((zipped_special("d", stat.S_IFLNK), b"."), ("d/f", b"x"))
    yield "a device", zip_of((zipped_special("null", stat.S_IFCHR), b""))
    yield "a pipe", zip_of((zipped_special("pipe", stat.S_IFIFO), b""))
    yield "the same name, written in two ways", zip_of(("a.txt", b"one"), ("./a.txt", b"two"))
    yield "members that share their bytes", _overlapping()
    yield "an encrypted member", _encrypted()
    yield "half of an archive", zip_of(("a.txt", b"x" * 1000))[:-40]
    yield "a broken member", _broken()
    yield "no archive at all", b"PK\3\4 this is a text"


def single_files() -> Iterator[tuple[str, str, bytes]]:
    """Yield compressed files that are none: what, a file name, bytes."""
    yield "no gzip", "a.txt.gz", b"this is a text"
    yield "half of a gzip", "a.txt.gz", gzip.compress(bytes(range(256)) * 100)[:-10]
    yield "no bzip2", "a.txt.bz2", b"this is a text"
    yield "half of a bzip2", "a.txt.bz2", bz2.compress(bytes(range(256)) * 100)[:-10]


def bombs(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield archives of which each unpacks to so many zeros: a suffix, and bytes."""
    zeros = bytes(size)
    yield ".tar.gz", tar_of(("zeros", zeros))
    yield ".tar.bz2", tar_of(("zeros", zeros), mode="w:bz2")
    yield ".zip", zip_of(("zeros", zeros))
    yield ".gz", gzip.compress(zeros)
    yield ".bz2", bz2.compress(zeros)
    # What is no file takes room in memory.
    header = special("pax", tarfile.XHDTYPE)
    header.size = size
    yield ".tar.gz", gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + zeros)


def _sparse() -> bytes:
    """A file of eight gigabytes of which nothing is stored."""
    info = tarfile.TarInfo("big")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 0)
    header[483:495] = b"%011o\0" % (8 * 1024**3 - 1)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(1024)


def _huge_header() -> bytes:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 4 * 1024**3
    # Zeros are as good as anything, and they compress well.
    return info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024 * 1024)


def _with_wrong_end(packed: bytes) -> bytes:
    return packed[:-8] + zlib.crc32(b"other").to_bytes(4, "little") + packed[-4:]


def _overlapping() -> bytes:
    """Two entries of the directory that stand for one member."""
    packed = bytearray(zip_of(("a", b"x" * 100), ("b", b"x" * 100)))
    first, second = (packed.index(b"PK\1\2"), packed.rindex(b"PK\1\2"))
    packed[second + 42 : second + 46] = packed[first + 42 : first + 46]
    return bytes(packed)


def _encrypted() -> bytes:
    packed = bytearray(zip_of(("a", b"secret")))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        packed[packed.index(signature) + place] |= 1
    return bytes(packed)


def _broken() -> bytes:
    packed = bytearray(zip_of(("a", b"x" * 1000), method=zipfile.ZIP_STORED))
    packed[100] ^= 0xFF
    return bytes(packed)


# Paths of contents that lead nowhere, or would lead out of a folder if anybody believed them.
PATHS = [
    *("..", "../", "../..", "../../etc/passwd", "a/../..", "a/../../b", "./..", "./../x", "a/./../../x", "a//../../x"),
    *("sub/../../a.txt", "sub/inner/../../../a.txt", "../aside", "../../cosphere.sqlite", "../../keys/jwt.key"),
    *("/", "//", "/etc/passwd", "//etc/passwd", "/../etc/passwd", "/proc/self/environ", "/dev/null", "///"),
    *("a.txt/..", "a.txt/../..", "a.txt/x", "a.txt/a.txt", "missing", "missing/x", "sub/missing", "SUB", "A.TXT"),
    *("\0", "a.txt\0", "a.txt\0.png", "sub\0/inner", "..\0/x", "a\nb", "a\r\nSet-Cookie: x=1", "\x7f", "\x1b[31m"),
    *("..\\..\\x", "..\\a.txt", "sub\\inner", "C:\\x", "C:/x", "\\\\host\\share", "%2e%2e/x", "%2e%2e%2fx", "..%2fx"),
    *("..;/x", ".../x", "....//x", "~", "~root/.ssh/id_rsa", "$HOME", "*", "?", "a.tx?", "sub/*", "a.txt ", " a.txt"),
    *("․․/x", "‥/x", "．．/x", "a．txt", "\u202etxt.a", "é", "e\u0301", "n" * 256, "n" * 5000, "d/" * 2000, "😀"),
    *(
        "link",
        "link/a.txt",
        "loop/loop/x",
        "out/passwd",
        "dirlink/inner",
        "-",
        "--",
        "-rf",
        "con",
        "nul",
        "a.txt:stream",
    ),
]
# File names with which nothing can be sent.
FILE_NAMES = [name for name in PATHS if any(letter in name for letter in "/\\\0\n\r\x7f\x1b") or len(name) > 255]
FILE_NAMES += ["..", ".", "a/b.tar.gz", "../../x.tar.gz", "x\t.zip", "/etc/cron.d/x", "é" * 200]
