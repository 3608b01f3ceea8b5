"""What marks a function as a task, and what it raises to tell its user something."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from ..errors import ExecutionError

Function = TypeVar("Function", bound=Callable[..., Any])

CONTEXT = "context"
# Keys of a task's definition that are no parameters of its function; clients send others that begin with "task_".
RESERVED = ("url_callback", "url_errback", "idempotency_key", "priority")
RESERVED_PREFIX = "task_"
_MARK = "__cosphere_task__"


class TaskError(ExecutionError):
    """Ends a task with a text that its user reads; ``details`` is any JSON for programs.

    Every other exception of a task's function is a mistake of its author: its traceback goes to the server's log.
    """


class WrongParameters(TaskError):
    """The parameters do not fit; ``errors`` maps each to what is wrong with it, as in ``{"url": ["…"]}``."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__(
            "wrong parameters: " + "; ".join(f"{name}: {', '.join(texts)}" for name, texts in errors.items()),
            {"parameters": {name: list(texts) for name, texts in errors.items()}},
        )


@dataclass(frozen=True)
class Marks:
    """What the decorator says of a function."""

    is_quick: bool
    is_idempotent: bool


def is_reserved(name: str) -> bool:
    """Whether a key of a definition is none of its task's parameters."""
    return name in RESERVED or name.startswith(RESERVED_PREFIX)


@overload
def task(function: Function) -> Function: ...


@overload
def task(*, quick: bool = False, idempotent: bool = False) -> Callable[[Function], Function]: ...


def task(function: Any = None, *, quick: bool = False, idempotent: bool = False) -> Any:
    """Mark a function as a task; it stays the function that it is.

    ``quick`` tells that it runs for a moment only, ``idempotent`` that it may run again when the server or its process
    died half-way. Its parameters are checked against their annotations: str, int, float, bool, Literal, Optional,
    unions, list[…], dict[str, …] and Any. A parameter named ``context`` gets a `TaskContext`. What it returns must be
    JSON; ``async def`` functions work as well.

    Raises:
        TypeError: what is marked is no function, or has parameters that a task cannot have.
    """

    def mark(marked: Function) -> Function:
        if not inspect.isfunction(marked):
            raise TypeError("only functions can be tasks")
        for parameter in inspect.signature(marked).parameters.values():
            _check(marked, parameter)
        setattr(marked, _MARK, Marks(quick, idempotent))
        return marked

    return mark if function is None else mark(function)


def _check(function: Callable[..., Any], parameter: inspect.Parameter) -> None:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise TypeError(f"{function.__name__}: the parameters of a task have names; {parameter} has none")
    if is_reserved(parameter.name):
        raise TypeError(f"{function.__name__}: the name {parameter.name!r} is taken by the tasks API")


def marks_of(function: Any) -> Marks:
    """Return what the decorator said; ``TypeError`` if there was none."""
    marks = getattr(function, _MARK, None)
    if not isinstance(marks, Marks):
        raise TypeError(f"{function!r} is not marked as a task (cosphere_jupyter.named.task)")
    return marks
