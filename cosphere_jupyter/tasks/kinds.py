"""What a feature tells the engine about its tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection

from .records import Task


@dataclass(frozen=True)
class Call:
    """What a child process is to do: ``entry`` is "module:function".

    ``spill`` is the file for a result of more than 256 KB, which then comes as a `Spilled`; without it a result of
    more than 4 MB is an error. ``is_foreign`` keeps code that is not the workspace's own to processes of its own.
    """

    entry: str
    params: dict[str, Any]
    spill: Path | None = None
    is_foreign: bool = False


@dataclass(frozen=True)
class Published:
    """What ``TaskKind.publish`` returns if it has put something into the result store under ``result_name``.

    ``outputs`` are ``{"name", "file", "size" (bytes), "sha256", "content_type"}``, one for each file it speaks of.
    """

    result: Any
    result_name: str | None = None
    outputs: tuple[dict[str, Any], ...] = ()


class TaskKind(Protocol):
    """What a feature tells the engine about its tasks."""

    name: str

    async def prepare(self, task: Task) -> Call:
        """Say what the child shall do. ``ExecutionError`` ends the task."""

    async def publish(self, task: Task, result: Any) -> Any:
        """Make the outcome visible (rename files, write a manifest); returns the result to store, or `Published`.

        ``result`` is what the function returned: an `Answer` if it was one. What is returned may be bigger than the
        database takes, also a `Spilled`: the engine adds it to the files of the result.
        """

    def on_end(self, connection: Connection, task: Task) -> None:
        """Write the feature's own rows, in the transaction in which the task ends (``task`` as it is then)."""

    async def discard(self, task: Task) -> None:
        """Remove what an attempt that counts no more has left."""
