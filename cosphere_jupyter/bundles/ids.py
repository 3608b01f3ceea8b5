"""Names of bundles, worksheets and groups in the CodaLab API: ``0x`` and 32 hexadecimal digits."""

from __future__ import annotations

import re
from uuid import uuid4

UUID_PATTERN = r"0x[0-9a-f]{32}"
_UUID = re.compile(UUID_PATTERN)
_PREFIX = re.compile(r"0x[0-9a-f]{1,31}")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.\-]*")


def new_uuid() -> str:
    """Return a uuid that nothing has."""
    return f"0x{uuid4().hex}"


def is_uuid(text: object) -> bool:
    """Whether ``text`` is a whole uuid."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def is_uuid_prefix(text: str) -> bool:
    """Whether ``text`` is the beginning of uuids, and no whole one."""
    return _PREFIX.fullmatch(text) is not None


def is_name(text: object) -> bool:
    """Whether ``text`` may be the name of a bundle, a worksheet or a group."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None
