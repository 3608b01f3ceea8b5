"""Asking for a task once more, by what the server tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import NotRepeatable

if TYPE_CHECKING:
    from .tasks import Task, Tasks

# The tasks behind requests of rows, typed downloads, and a look at a table's data.
REQUEST, DOWNLOAD, PROFILE = "download", "export", "profile"
# Whoever wants one of these asks with these parameters; the server notes more of them.
_ASKED = {REQUEST: ("catalogue_item_id", "spec"), DOWNLOAD: ("download_type", "info")}
# Among so many of the newest tasks one is looked for of which only the key is known.
MOST_LISTED = 1000


def repeated(tasks: Tasks, task: Task) -> Task:
    """Create a task that is asked for the same, and return it."""
    if task.parameters is None or task.name is None:
        task = next((each for each in tasks.list(MOST_LISTED) if each.key == task.key), task)
    if not is_repeatable(task):
        raise NotRepeatable(f"the server does not tell what the task {task.key} was asked for")
    return tasks.create(str(task.name), **_asked(task))


def is_repeatable(task: Task) -> bool:
    """Whether enough is known of a task to ask for it once more."""
    if task.name is None or task.parameters is None or task.name == PROFILE:
        return False
    return all(name in task.parameters for name in _ASKED.get(task.name, ()))


def _asked(task: Task) -> dict[str, Any]:
    given = dict(task.parameters or {})
    names = _ASKED.get(str(task.name))
    return given if names is None else {name: given[name] for name in names}
