"""Statuses of tasks as the tasks API shows them. Source: the Dragon tasks API, "Tasks statuses format"."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from ..errors import NotFound
from ..tasks.records import Task

if TYPE_CHECKING:
    from ..services import Services

# What clients of the first hour look for in the result of a key that has no task.
UNKNOWN = "there is no task with this ID"
# Encoded statuses that are kept for the next stream that is told of the same change.
MOST_KEPT = 512
LARGEST_KEPT = 16 * 1024
# Parameters that are longer, as JSON, are not told: streams repeat them.
LARGEST_PARAMETERS = 4 * 1024
# Statuses that are rendered before the event loop gets its next turn.
CHUNK = 200


class StatusRenderer:
    """Makes statuses; for streams it encodes each change of a task once, however many streams are told of it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        # By the task object that all streams are given; it is kept, too, so that its id stays its own.
        self._lines: OrderedDict[tuple[int, str, bool], tuple[Task, bytes]] = OrderedDict()

    async def status(self, task: Task, mount: str, named: bool = False) -> dict[str, Any]:
        """Return a task's status; URLs in it begin with ``mount``. ``named`` adds what is ours and its owner's.

        That is ``task_name``, and ``task_parameters`` unless they are long.
        """
        status: dict[str, Any] = {"status": task.state.status, "key": task.key, "events": events_of(task)}
        if named:
            status["task_name"] = task.name
            if len(orjson.dumps(task.params)) <= LARGEST_PARAMETERS:
                status["task_parameters"] = task.params
        if task.state.status == "executing" and task.progress is not None:
            status["progress"] = task.progress
        if task.state.status == "error":
            status["result"] = task.state.error if task.state.result is None else task.state.result
        elif task.state.status == "success":
            status["result"] = await self._result(task, mount)
        return status

    async def all(
        self, keys: Iterable[str], tasks: Mapping[str, Task], mount: str, named: bool = False
    ) -> list[dict[str, Any]]:
        """Return the statuses of these keys, in their order; keys without a task have one of their own."""
        statuses = []
        for number, key in enumerate(keys, 1):
            task = tasks.get(key)
            statuses.append(await self.status(task, mount, named) if task else unknown(key))
            if number % CHUNK == 0:
                await asyncio.sleep(0)
        return statuses

    async def line(self, task: Task, mount: str, named: bool = False) -> bytes:
        """Return a task's status as a line of a stream."""
        key = (id(task), mount, named)
        if kept := self._lines.get(key):
            return kept[1]
        line = orjson.dumps(await self.status(task, mount, named)) + b"\n"
        if len(line) <= LARGEST_KEPT:
            self._lines[key] = task, line
            if len(self._lines) > MOST_KEPT:
                self._lines.popitem(last=False)
        return line

    def link(self, task: Task, output: Mapping[str, Any]) -> str:
        """Return the signed address of an output file, below the mount point."""
        return "results/" + self._services.links.sign(str(task.result_name), str(output["file"]))

    async def _result(self, task: Task, mount: str) -> Any:
        result = task.state.result
        if result is None and task.result_name is not None:
            try:
                result = await self._services.task_list.result_of(task)
            except NotFound:
                # Swept away, as its files are.
                result = None
        if not task.outputs:
            return result
        links = {output["name"]: mount + self.link(task, output) for output in task.outputs}
        return {**(result if isinstance(result, dict) else {}), **links}


def unknown(key: str) -> dict[str, Any]:
    """Return the status of a key that has no task (or none of the caller's): the other keys' answers shall come."""
    return {"status": "error", "key": key, "events": {}, "result": UNKNOWN}


def events_of(task: Task) -> dict[str, str]:
    """Return when the task was queued, started and completed, as far as it has come."""
    moments = {"queued": task.queued_at, "started": task.started_at, "completed": task.completed_at}
    if task.state.status == "queued":
        # A former attempt's start says nothing of the next one.
        moments["started"] = None
    return {name: _iso(moment) for name, moment in moments.items() if moment is not None}


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def output_of(outputs: Sequence[Mapping[str, Any]], filename: str | None) -> Mapping[str, Any] | str:
    """Return the output that a file name means, or why it means none.

    A task with one output gives it whatever the name; of several the name chooses, with or without an extension.
    """
    if len(outputs) == 1:
        return outputs[0]
    if not outputs:
        return "this task has no output files"
    choices = ", ".join(f"'{output['name']}'" for output in outputs)
    if not filename:
        return f"a filename is missing, choose one of: {choices}"
    for wanted in (filename, filename.rpartition(".")[0]):
        for output in outputs:
            if wanted == output["name"]:
                return output
    return f"'{filename}' is not a valid filename, choose one of: {choices}"
