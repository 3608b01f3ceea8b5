"""The life of a task as a pure function: no clock, no database, no process.

::

    queued ───────Claimed──────► executing ──Succeeded──► success
      │  ▲                          │ │ │
      │  └──Returned, Lost, Crashed─┘ │ └──Failed, Lost, Crashed──► error
      └─────────────CancelRequested───┴─────────────────────────►  error

The attempt number fences every event of an attempt: what a former attempt, or the attempt of a cancelled task, still
has to say is answered with ``None`` and changes nothing. ``success`` and ``error`` are final.
Source: the Dragon tasks API, whose four status words are a closed list.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Status = Literal["queued", "executing", "success", "error"]
CRASH_BUDGET = 2


@dataclass(frozen=True)
class TaskState:
    """What decides about a task's next step. ``result`` of an error is what programs may read of it, or None."""

    status: Status = "queued"
    attempt: int = 0
    max_attempts: int = 1
    crashes: int = 0
    is_idempotent: bool = False
    result: Any = None
    error: str | None = None
    cancelled_by: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether nothing can happen to the task any more."""
        return self.status in ("success", "error")


@dataclass(frozen=True)
class Claimed:
    """A runner takes the task: its next attempt begins."""


@dataclass(frozen=True)
class Succeeded:
    """The attempt ended well; ``result_name`` and ``outputs`` tell what it left in the result store."""

    attempt: int
    result: Any
    result_name: str | None = None
    outputs: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Failed:
    """The attempt ended with an error of the work itself; trying again would not help. ``details``: any JSON."""

    attempt: int
    error: str
    details: Any = None


@dataclass(frozen=True)
class Crashed:
    """The attempt's process died; ``how`` completes "worker …", e.g. "killed by signal 9 (out of memory?)"."""

    attempt: int
    how: str


@dataclass(frozen=True)
class Lost:
    """The attempt's runner is gone: the server was stopped or killed while the task was executing."""

    attempt: int


@dataclass(frozen=True)
class Returned:
    """The attempt was claimed and never begun: it did nothing."""

    attempt: int


@dataclass(frozen=True)
class CancelRequested:
    """Somebody who may wants the task ended. ``by`` is an e-mail address."""

    by: str


Event = Claimed | Succeeded | Failed | Crashed | Lost | Returned | CancelRequested


def transition(state: TaskState, event: Event) -> TaskState | None:
    """Return the state after ``event``, or None if the event counts no more (fenced off, or the task is final)."""
    if state.is_final:
        return None
    if isinstance(event, CancelRequested):
        return replace(state, status="error", error=f"cancelled by {event.by}", cancelled_by=event.by)
    if isinstance(event, Claimed):
        return replace(state, status="executing", attempt=state.attempt + 1) if state.status == "queued" else None
    if state.status != "executing" or event.attempt != state.attempt:
        return None
    if isinstance(event, Succeeded):
        return replace(state, status="success", result=event.result)
    if isinstance(event, Failed):
        return replace(state, status="error", error=event.error, result=event.details)
    if isinstance(event, Returned):
        return replace(state, status="queued", max_attempts=state.max_attempts + 1)
    if isinstance(event, Crashed):
        return _after_crash(replace(state, crashes=state.crashes + 1), event.how)
    return _again(state, "the server stopped while the task was running")


def _after_crash(state: TaskState, how: str) -> TaskState:
    times = {1: "once", 2: "twice"}.get(state.crashes, f"{state.crashes} times")
    if state.crashes >= CRASH_BUDGET:
        return replace(state, status="error", error=f"worker {how} {times}")
    return _again(state, f"worker {how} {times}")


def _again(state: TaskState, why: str) -> TaskState:
    """Queue another attempt if the work may be repeated, else end with the reason."""
    if not state.is_idempotent:
        return replace(state, status="error", error=f"{why}; not run again because it may have side effects")
    if state.attempt >= state.max_attempts:
        return replace(state, status="error", error=f"{why}; given up after {state.attempt} attempts")
    return replace(state, status="queued")
