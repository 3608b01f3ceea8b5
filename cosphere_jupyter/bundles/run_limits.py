"""What a run may use: limits of the run, of its owner and of the deployment, and what is said when one is reached.

Source: the CodaLab API's semantics, section 7. Sizes in bytes, times in seconds; None is no limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .durations import parse_bytes, parse_seconds, show_bytes, show_seconds

KILL_REQUESTED = "Kill requested"
TIME_QUOTA_EXCEEDED = f"{KILL_REQUESTED}: User time quota exceeded."
DISK_QUOTA_EXCEEDED = f"{KILL_REQUESTED}: User disk quota exceeded."

# What a command sees of the server's environment. Everything else might be a secret of the server's.
INHERITED = ("PATH", "LANG", "LANGUAGE", "TZ", "TERM", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "VIRTUAL_ENV")
INHERITED_PREFIXES = ("LC_",)


@dataclass(frozen=True)
class Limits:
    """What a run may use; the quotas are what its owner has left."""

    time: float | None = None
    memory: int | None = None
    disk: int | None = None
    time_quota: float | None = None
    disk_quota: int | None = None

    def as_params(self) -> dict[str, Any]:
        """Return the limits as JSON."""
        return dict(self.__dict__)

    def broken_by(self, seconds: float, memory: int, disk: int) -> str | None:
        """Return the text for a run that uses more than it may, None if all is well."""
        if self.time is not None and seconds > self.time:
            uptime, limit = show_seconds(seconds), show_seconds(self.time)
            return f"Time limit exceeded. (Container uptime {uptime} > time limit {limit})"
        if self.memory is not None and memory > self.memory:
            return f"Memory limit {show_bytes(self.memory)} exceeded."
        if self.disk is not None and disk > self.disk:
            return f"Disk limit {show_bytes(self.disk)}b exceeded."
        if self.time_quota is not None and seconds > self.time_quota:
            return TIME_QUOTA_EXCEEDED
        if self.disk_quota is not None and disk > self.disk_quota:
            return DISK_QUOTA_EXCEEDED
        return None


@dataclass(frozen=True)
class Ceilings:
    """What a deployment lets no run exceed."""

    time: float | None = None
    memory: int | None = None
    disk: int | None = None


def read_ceilings(time: str, memory: str, disk: str) -> Ceilings:
    """Return what a deployment says of runs, as ``3h``, ``4g`` and ``10g``; ``ValueError`` if it cannot be read."""
    return Ceilings(
        parse_seconds(time) if time.strip() else None,
        parse_bytes(memory) if memory.strip() else None,
        parse_bytes(disk) if disk.strip() else None,
    )


def limits_of(
    metadata: Mapping[str, Any], ceilings: Ceilings, time_left: float | None, disk_left: int | None
) -> Limits:
    """Return the limits of a run by its metadata: what it asks for, at most what the deployment allows.

    Raises:
        ValueError: one of them cannot be read; the text says which.
    """
    return Limits(
        _least(_read(metadata, "request_time", parse_seconds), ceilings.time),
        _least(_read(metadata, "request_memory", parse_bytes), ceilings.memory),
        _least(_read(metadata, "request_disk", parse_bytes), ceilings.disk),
        time_left,
        disk_left,
    )


def _read(metadata: Mapping[str, Any], key: str, parse: Any) -> Any:
    text = metadata.get(key)
    if text is None or not str(text).strip():
        return None
    try:
        found = parse(str(text))
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    return found if found > 0 else None


def _least(*limits: Any) -> Any:
    return min((each for each in limits if each is not None), default=None)


def clean_environment(inherited: Mapping[str, str], home: str, temporary: str, mark: tuple[str, str]) -> dict[str, str]:
    """Return the environment of a command: an allow-list of the server's, and what the API promises.

    ``mark`` is the variable by which the processes of a server that was killed are found.
    """
    kept = {
        name: value for name, value in inherited.items() if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }
    name, value = mark
    return {**kept, "HOME": home, "PWD": home, "TMPDIR": temporary, "CODALAB": "true", name: value}
