"""How a task stands in the list of the monitor: names, words, sizes, and what can be done with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from ..client.repeating import DOWNLOAD, PROFILE, REQUEST, is_repeatable
from ..client.task_groups import shown
from ..client.tasks import Task
from ..client.text import clean, rows_text, size_text

LONGEST_TITLE, LONGEST_NOTE, LONGEST_ERROR = 120, 160, 600
WORDS = {"queued": "Waiting for its turn", "executing": "Working", "success": "Done", "error": "Failed"}
CANCELLED = "cancelled by "
# Files of rows among those of typed downloads.
ROW_FILES = (".csv", ".parquet", ".arrow", ".json")
# What is typed into parameters of tasks and not meant to be looked at.
_SECRET = re.compile(r"token|secret|passw|key|auth|sign|credential", re.IGNORECASE)


def row(task: Task, heard: float, is_busy: bool = False) -> dict[str, Any]:
    """Return what the list shows of a task; ``heard`` is when it told last, in seconds since 1970.

    While ``is_busy`` the server is doing something with it, and nothing else can be done.
    """
    events = task.events
    is_cancelled = (task.error or "").startswith(CANCELLED)
    return {
        "key": task.key,
        "title": title(task),
        "kind": kind(task),
        "note": clean(_note(task), LONGEST_NOTE),
        "state": "cancelled" if is_cancelled else task.status,
        "words": "Cancelled" if is_cancelled else WORDS.get(task.status, task.status),
        "error": "" if task.error is None or is_cancelled else clean(task.error, LONGEST_ERROR),
        "facts": facts(task),
        "fraction": None if task.is_final else task.fraction,
        "queued": _seconds(events.get("queued")),
        "started": _seconds(events.get("started")),
        "completed": _seconds(events.get("completed")),
        "heard": None if task.is_final else heard,
        "actions": [] if is_busy else list(actions(task)),
    }


def title(task: Task) -> str:
    """Return the name of its table, of its typed download, or its own."""
    parameters = task.known_parameters
    named = {REQUEST: "catalogue_item", PROFILE: "catalogue_item", DOWNLOAD: "download_type"}.get(task.name or "")
    return clean(parameters.get(named or "") or task.name or "a task", LONGEST_TITLE)


def kind(task: Task) -> str:
    """Return what it is, in a word."""
    return {REQUEST: "request", DOWNLOAD: "download", PROFILE: "a look at the data"}.get(task.name or "", "task")


def _note(task: Task) -> str:
    """What tells it from others of its kind."""
    parameters = task.known_parameters
    if task.name == REQUEST:
        return _selection(parameters.get("spec"))
    if task.name == DOWNLOAD:
        info = parameters.get("info")
        return ", ".join(_harmless(info)) if isinstance(info, Mapping) else ""
    return "" if task.name == PROFILE else ", ".join(_harmless(parameters))


def _selection(spec: Any) -> str:
    if not isinstance(spec, Mapping):
        return ""
    columns, filters, ratio = spec.get("columns"), spec.get("filters"), spec.get("randomize_ratio", 1)
    names = [str(each) for each in columns] if isinstance(columns, list) else []
    parts = [", ".join(names) if len(names) <= 4 else f"{len(names):,} columns"]
    for each in filters if isinstance(filters, list) else []:
        if isinstance(each, Mapping):
            parts.append(f"{each.get('name')} {each.get('operator')} {each.get('value')}")
    if isinstance(ratio, int | float) and ratio < 1:
        parts.append(f"{100 * ratio:.3g} % of the rows")
    return " · ".join(filter(None, parts))


def _harmless(parameters: Mapping[str, Any]) -> Iterable[str]:
    """Give parameters as text, without what is secret: that has no business in a widget that is saved."""
    for name, value in parameters.items():
        yield f"{name}={'…' if _SECRET.search(name) else clean(shown(value), 80)}"


def facts(task: Task) -> str:
    """Return how much came out, or the beginning of it."""
    result = task.result
    if not isinstance(result, Mapping):
        return clean(shown(result), 60) if isinstance(result, str | int | float) else ""
    rows, size = result.get("rows"), result.get("bytes", result.get("size"))
    told = [
        rows_text(rows) if isinstance(rows, int) else "",
        size_text(size) if isinstance(size, int) else "",
        *(clean(name, 60) for name in task.outputs.values()),
    ]
    return ", ".join(filter(None, told))


def actions(task: Task) -> Iterable[str]:
    """Give what can be done with a task now: ``cancel``, ``load``, ``save``, ``again``."""
    if not task.is_final:
        yield "cancel"
        return
    if can_load(task):
        yield "load"
    if task.outputs or export_id(task):
        yield "save"
    # An equal request of rows would be this very one, with its result.
    if is_repeatable(task) and (task.name != REQUEST or task.status == "error"):
        yield "again"


def can_load(task: Task) -> bool:
    """Whether rows have come out of it."""
    if task.status != "success":
        return False
    if task.name == REQUEST:
        return request_id(task) is not None
    file = task.result.get("file") if isinstance(task.result, Mapping) else None
    return export_id(task) is not None and str(file).lower().endswith(ROW_FILES)


def request_id(task: Task) -> int | None:
    """Return the id of the request that a task works for."""
    found = task.known_parameters.get("request_id") if task.name == REQUEST else None
    return found if isinstance(found, int) else None


def export_id(task: Task) -> str | None:
    """Return the id of the typed download whose file a task has made."""
    found = task.result.get("download_id") if task.name == DOWNLOAD and isinstance(task.result, Mapping) else None
    return found if isinstance(found, str) else None


def queued_at(task: Task) -> float:
    """Return when a task was asked for, in seconds since 1970."""
    return _seconds(task.events.get("queued")) or 0.0


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
