"""Sizes and durations as the CodaLab API writes and shows them: ``2g`` of 1024³ bytes, ``1.5h``, ``3d``."""

from __future__ import annotations

import re

_SIZE_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_DURATION_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{0,15})?)"
_SIZE = re.compile(_NUMBER + r"\s*([kmgt]?)i?b?", re.IGNORECASE)
_DURATION = re.compile(_NUMBER + r"\s*([smhdy]?)", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """Return bytes for ``2g``, ``500k`` or ``1048576``; ``ValueError`` for anything else."""
    if (match := _SIZE.fullmatch(text.strip())) is None:
        raise ValueError(f"{text!r} is no size: write a number and k, m, g or t, for example 2g")
    return int(float(match[1]) * _SIZE_UNITS[match[2].lower()])


def parse_seconds(text: str) -> float:
    """Return seconds for ``90``, ``10m`` or ``1.5h``; ``ValueError`` for anything else."""
    if (match := _DURATION.fullmatch(text.strip())) is None:
        raise ValueError(f"{text!r} is no duration: write a number and s, m, h, d or y, for example 3h")
    return float(match[1]) * _DURATION_UNITS[match[2].lower()]


def show_bytes(size: float) -> str:
    """Return bytes as the API's texts have them: ``165``, ``1.5k``, ``2g``."""
    for unit in ("", "k", "m", "g"):
        if size < 100 and size != int(size):
            return f"{size:.1f}{unit}"
        if size < 1024:
            return f"{int(size)}{unit}"
        size /= 1024
    return f"{size:.1f}t" if size < 100 and size != int(size) else f"{int(size)}t"


def show_seconds(seconds: float) -> str:
    """Return a duration as the API's texts have it: ``3.2s``, ``5m0s``, ``1h30m``, ``2d4h``."""
    minutes = int(seconds // 60)
    if minutes == 0:
        return f"{seconds:.1f}s"
    hours, days = minutes // 60, minutes // 1440
    if hours == 0:
        return f"{minutes}m{int(seconds % 60)}s"
    if days == 0:
        return f"{hours}h{minutes % 60}m"
    years = days // 365
    return f"{days}d{hours % 24}h" if years == 0 else f"{years}y{days % 365}d"
