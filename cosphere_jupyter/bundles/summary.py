"""The first and the last lines of a file, without reading all of a big one.

Source: the CodaLab REST API's semantics, section 3: of a file that is larger than the wanted lines may be long, only
that many bytes are read at each end, and lines that are not whole there are dropped.
"""

from __future__ import annotations

import codecs
import os

TRUNCATION = "...."
BINARY = b"<binary>"
# Of no end more is read than this, in bytes, however many lines are asked for.
MOST = 16 * 1024 * 1024


def summarise(descriptor: int, size: int, head: int, tail: int, longest: int, truncation: str = TRUNCATION) -> bytes:
    """Return the first ``head`` and the last ``tail`` lines of an open file, with ``truncation`` between them.

    ``longest`` is how many bytes a line is expected to have at most. What is no UTF-8 is ``<binary>``.
    """
    if size > min((head + tail) * longest, MOST):
        beginning = _read(descriptor, 0, min(head * longest, MOST))
        if not _is_text(beginning):
            # Be it without any whole line.
            return BINARY
        first = _whole_first_lines(beginning)
        last = _whole_last_lines(descriptor, size, min(tail * longest, MOST))
        is_cut = True
    else:
        first = last = _ended(_read(descriptor, 0, size).splitlines(keepends=True))
        is_cut = len(first) > head + tail
    if is_cut:
        middle = [truncation.encode()] if head and tail else []
        found = b"".join([*first[:head], *middle, *last[len(last) - min(tail, len(last)) :]])
    else:
        found = b"".join(first)
    try:
        found.decode()
    except UnicodeDecodeError:
        return BINARY
    return found


def _is_text(beginning: bytes) -> bool:
    """Whether bytes are UTF-8, the last letter of which may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return True


def _whole_first_lines(beginning: bytes) -> list[bytes]:
    lines = beginning.splitlines(keepends=True)
    return lines if not lines or lines[-1].endswith(b"\n") else lines[:-1]


def _whole_last_lines(descriptor: int, size: int, length: int) -> list[bytes]:
    if not length:
        return []
    # With one byte more, so that a line is known to begin where the end does.
    ending = _read(descriptor, max(0, size - length - 1), length + 1)
    return _ended(ending.split(b"\n", 1)[1].splitlines(keepends=True)) if b"\n" in ending else []


def _ended(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1] + b"\n"] if lines and not lines[-1].endswith(b"\n") else lines


def _read(descriptor: int, start: int, length: int) -> bytes:
    pieces = []
    while length > 0 and (piece := os.pread(descriptor, length, start)):
        pieces.append(piece)
        start += len(piece)
        length -= len(piece)
    return b"".join(pieces)
