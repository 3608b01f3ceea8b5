"""What a child process answers with, and what becomes of answers that are too big for the pipe and the database.

Loads little but the standard library: the child imports it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ExecutionError

# Results up to this size, in bytes of JSON, travel through the pipe and lie in the database; others are files.
INLINE_LIMIT = 256 * 1024
# A line of the protocol.
LINE_LIMIT = 4 * 1024 * 1024
TOO_LONG = "the work's answer is too long to be passed on"
UNREADABLE = "the work's answer cannot be read"
TOO_BIG = "the work's answer holds an integer beyond 64 bits, which JSON readers round or refuse: give it as text"
NO_TEXT = "the work's answer holds text that is no Unicode (half of a surrogate pair)"


@dataclass(frozen=True)
class Answer:
    """What a function may return that has something to tell the server beside its result.

    ``facts`` (JSON, small) always travel through the pipe; ``result`` may become a `Spilled`.
    """

    result: Any
    facts: Any = None


@dataclass(frozen=True)
class Spilled:
    """A result of more than `INLINE_LIMIT`: a file of JSON, ``size`` in bytes. The server never looks into it."""

    path: Path
    size: int


def encode(value: Any) -> bytes:
    """Return JSON without spaces; ``TypeError`` or ``ValueError`` if it is none.

    ``ExecutionError`` if it is JSON that cannot be read again as it was: integers from -2**63 to 2**64 - 1 can.
    """
    _check(value)
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _check(value: Any) -> None:
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ExecutionError(NO_TEXT) from None
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ExecutionError(TOO_BIG)
    elif isinstance(value, dict):
        for key, each in value.items():
            # Keys that are numbers become text.
            if isinstance(key, str):
                _check(key)
            _check(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _check(each)


def spill(encoded: bytes, path: Path) -> None:
    """Write a big result where it cannot be taken for a whole one before it is one; on disk when this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    try:
        with aside.open("wb") as file:
            file.write(encoded)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
