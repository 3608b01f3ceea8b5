"""What there is to know of a named task, and what a caller wants of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..accounts.service import Account
from ..tasks.records import Task


@dataclass(frozen=True)
class Definition:
    """A task that a caller wants: ``params`` as they were sent, without the name of the task.

    Two definitions of one owner with the same ``idempotency_key`` are one task. The higher ``priority`` runs first.
    """

    name: str
    params: Mapping[str, Any]
    idempotency_key: str | None = None
    priority: int = 0


@dataclass(frozen=True)
class TaskFacts:
    """What is told of a name; ``parameters`` are ``{name: {"type", "required", "default"}}``.

    ``problem`` says why the task cannot run as things are, for who installed it; None if it can.
    """

    name: str
    doc: str = ""
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    is_quick: bool = False
    is_idempotent: bool = False
    problem: str | None = None


class Starter(Protocol):
    """A name whose task another feature makes, by its own rules and in its own transactions."""

    @property
    def facts(self) -> TaskFacts:
        """What is told of it."""

    async def start(self, definition: Definition, owner: Account) -> Task:
        """Return the task that does what is wanted: a new one, or one that does it already.

        ``Invalid`` and ``ExecutionError`` become a task that has failed with this error.
        """
