"""Named tasks: functions that a workspace offers to everybody as tasks.

What a lab's own package imports; it loads nothing but the standard library. ``docs/own-tasks.md`` shows its use::

    from cosphere_jupyter.named import task

    @task(quick=True, idempotent=True)
    def count_words(text: str, longest: int = 100) -> dict: ...
"""

from .context import Fetched, TaskContext
from .functions import TaskError, WrongParameters, task

__all__ = ["Fetched", "TaskContext", "TaskError", "WrongParameters", "task"]
