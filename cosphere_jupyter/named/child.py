"""What runs in a child process: telling what a task's function takes, and running it.

Only here is the code of a lab imported. Code that changed since is imported anew, so that who edits a task and runs it
again runs what was edited; compiled modules stay what they were until the process ends.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

from ..errors import ExecutionError
from ..tasks.answers import Answer
from .context import TaskContext, check_json
from .functions import CONTEXT, TaskError, marks_of
from .parameters import Parameters

OURS = __name__.partition(".")[0]
Stamp = tuple[int, int]

# Files of the packages that tasks come from, as they were when they were imported.
_stamps: dict[str, Stamp] = {}


def describe(params: Mapping[str, Any], report: Callable[[Any], None] | None = None) -> dict[str, Any]:
    """Return the facts of functions: ``params`` is ``{"entries": ["module:function", …]}``.

    For each entry ``{"parameters", "doc", "is_quick", "is_idempotent", "file": path, "stamp": [mtime_ns, size]}``, or
    ``{"problem": text}`` if it cannot be imported or is no task.
    """
    return {entry: _describe(entry) for entry in params["entries"]}


def _describe(entry: str) -> dict[str, Any]:
    try:
        function = _load(entry)
        marks = marks_of(function)
        file = getattr(sys.modules[function.__module__], "__file__", None) or ""
        return {
            "parameters": Parameters.of(function).describe(),
            "doc": inspect.getdoc(function) or "",
            "is_quick": marks.is_quick,
            "is_idempotent": marks.is_idempotent,
            "file": file,
            "stamp": stamp_of(file),
        }
    except (Exception, SystemExit):
        traceback.print_exc()
        return {"problem": traceback.format_exc(limit=-1).strip().splitlines()[-1]}


def run(params: Mapping[str, Any], report: Callable[[Any], None]) -> Any:
    """Run a function and return its result; if it has made files an `Answer` with them (`TaskContext.finish`).

    ``params``: ``entry``, ``values`` (the parameters as they were sent), ``key``, ``scratch`` (a folder of this call's
    own, that need not be there yet; only the output files are left in it) and ``fetch_hosts``.

    Raises:
        ExecutionError: with a text for the user, and ``details`` if the parameters are wrong.
    """
    function = _load(params["entry"])
    marks = marks_of(function)
    parameters = Parameters.of(function)
    arguments = parameters.bind(params["values"])
    context = TaskContext(params["key"], Path(params["scratch"]), report, params["fetch_hosts"])
    if parameters.has_context:
        arguments[CONTEXT] = context
    try:
        # To make a folder and remove it takes longer than many a quick task.
        with _surroundings(None if marks.is_quick else context.folder):
            result = _call(function, arguments)
        check_json(result, "the result of the task")
        outputs = context.finish()
        return Answer(_with_room_for(outputs, result), outputs) if outputs else result
    finally:
        context.close()
        _remember(params["entry"])


def _call(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    try:
        result = function(**arguments)
        return asyncio.run(result) if inspect.iscoroutine(result) else result
    except SystemExit as error:
        raise TaskError(f"the task has called exit({'' if error.code is None else error.code})") from error
    except ExecutionError as error:
        check_json([str(error), error.details], "what the task says of its error")
        raise


def _with_room_for(outputs: list[dict[str, Any]], result: Any) -> Any:
    """The URL of each output is going to stand in the result under the output's name."""
    result = {} if result is None else result
    if not isinstance(result, dict):
        raise TaskError("a task with output files must return an object or nothing")
    if both := sorted({output["name"] for output in outputs} & set(result)):
        raise TaskError(f"the result of the task has a value {both[0]!r}, and so is an output named")
    return result


@contextmanager
def _surroundings(folder: Path | None) -> Iterator[None]:
    """Temporary files land in ``folder``, if there is one; what a call changes here is not left to the next."""
    environment, temporary = dict(os.environ), tempfile.tempdir
    here = os.open(".", os.O_RDONLY)
    if folder is not None:
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = temporary
        os.fchdir(here)
        os.close(here)
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)


# -- the code of a lab ------------------------------------------------------------------------------------------------


def _load(entry: str) -> Callable[..., Any]:
    module, _, name = entry.partition(":")
    _forget_if_changed(entry)
    try:
        function: Callable[..., Any] = attrgetter(name)(importlib.import_module(module))
    except SystemExit as error:
        raise ImportError(f"{module} has called exit() when it was imported") from error
    _remember(entry)
    return function


def stamp_of(file: str) -> Stamp | None:
    """Return what changes when a file does, or None if it cannot be seen."""
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _remember(entry: str) -> None:
    for file in _modules_beside(entry).values():
        if file not in _stamps and (stamp := stamp_of(file)):
            _stamps[file] = stamp


def _forget_if_changed(entry: str) -> None:
    modules = _modules_beside(entry)
    if any(file in _stamps and _stamps[file] != stamp_of(file) for file in modules.values()):
        for name in [name for name in sys.modules if name.partition(".")[0] == root_of(entry)]:
            _stamps.pop(modules.get(name, ""), None)
            del sys.modules[name]
        importlib.invalidate_caches()


def _modules_beside(entry: str) -> dict[str, str]:
    """The loaded modules of an entry's package with their files; none of ours, which change with the server."""
    root = root_of(entry)
    if root == OURS:
        return {}
    loaded = [(name, module) for name, module in list(sys.modules.items()) if name.partition(".")[0] == root]
    return {name: file for name, module in loaded if (file := getattr(module, "__file__", None))}


def root_of(entry: str) -> str:
    """Return the name of the package that an entry is in."""
    return entry.partition(":")[0].partition(".")[0]
