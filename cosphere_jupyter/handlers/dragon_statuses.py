"""Statuses of tasks as the tasks API shows them. Source: the Dragon tasks API, "Tasks statuses format"."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from ..errors import NotFound
from ..tasks.records import Task

if TYPE_CHECKING:
    from ..services import Services

Part = bytes | memoryview

# What clients of the first hour look for in the result of a key that has no task.
UNKNOWN = "there is no task with this ID"
TOO_MUCH = "the statuses asked for are too long for one answer: ask for fewer keys at once"
# Encoded statuses that are kept for the next stream that is told of the same change.
MOST_KEPT = 512
LARGEST_KEPT = 16 * 1024
# Parameters that are longer, as JSON, are not told, for streams repeat them; the short ones among them are.
LARGEST_PARAMETERS = 4 * 1024
LARGEST_PARAMETER = 256
# Statuses that are rendered before the event loop gets its next turn.
CHUNK = 200


class StatusRenderer:
    """Makes statuses; for streams it encodes each change of a task once, however many streams are told of it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        # By the task object that all streams are given; it is kept, too, so that its id stays its own.
        self._lines: OrderedDict[tuple[int, str, bool], tuple[Task, bytes]] = OrderedDict()

    def status(self, task: Task, mount: str, named: bool = False) -> dict[str, Any]:
        """Return a task's status; URLs in it begin with ``mount``. ``named`` adds what is ours and its owner's.

        That is ``task_name``, and ``task_parameters``; where these are long, ``task_parameters_in_part``, those of them
        that are short. A result in a file is not in it.
        """
        status: dict[str, Any] = {"status": task.state.status, "key": task.key, "events": events_of(task)}
        if named:
            status["task_name"] = task.name
            if len(orjson.dumps(task.params)) <= LARGEST_PARAMETERS:
                status["task_parameters"] = task.params
            else:
                status["task_parameters_in_part"] = _short(task.params)
        if task.state.status == "executing" and task.progress is not None:
            status["progress"] = task.progress
        if task.state.status == "error":
            status["result"] = task.state.error if task.state.result is None else task.state.result
        elif task.state.status == "success":
            result = task.state.result
            if task.outputs:
                result = {**(result if isinstance(result, dict) else {}), **self._links(task, mount)}
            status["result"] = result
        return status

    async def parts(self, task: Task, mount: str, named: bool = False) -> list[Part]:
        """Return a task's status as JSON, in parts: a result in a file is neither parsed nor copied."""
        status = self.status(task, mount, named)
        content = await self._content(task) if task.state.status == "success" else None
        links = self._links(task, mount)
        if content is None or (links and not content.startswith(b"{")):
            return [orjson.dumps(status)]
        del status["result"]
        head = orjson.dumps(status)[:-1] + b',"result":'
        if not links:
            return [head, content, b"}"]
        return [head, memoryview(content)[:-1], b"," + orjson.dumps(links)[1:] + b"}"]

    async def each(
        self, keys: Iterable[str], tasks: Mapping[str, Task], mount: str, named: bool = False, room: float = math.inf
    ) -> AsyncIterator[Part]:
        """Yield the statuses of these keys as a JSON list, in their order and in parts.

        Keys without a task have one of their own, and so have those that find no more ``room``, in bytes; the first
        always finds it.
        """
        used, is_full = 0, False
        yield b"["
        for number, key in enumerate(keys):
            if number:
                yield b","
            if number % CHUNK == CHUNK - 1:
                await asyncio.sleep(0)
            task = tasks.get(key)
            if task is None:
                yield orjson.dumps(unknown(key))
                continue
            # When there is no more room, no more files are read.
            is_left = is_full and task.state.result is None and task.result_name is not None
            parts = [] if is_left else await self.parts(task, mount, named)
            size = sum(map(len, parts))
            if is_left or (used and used + size > room):
                is_full = True
                parts = [orjson.dumps(unknown(key, TOO_MUCH))]
            else:
                used += size
            for part in parts:
                yield part
        yield b"]"

    async def line(self, task: Task, mount: str, named: bool = False) -> bytes:
        """Return a task's status as a line of a stream."""
        key = (id(task), mount, named)
        if kept := self._lines.get(key):
            return kept[1]
        line = b"".join([*await self.parts(task, mount, named), b"\n"])
        if len(line) <= LARGEST_KEPT:
            self._lines[key] = task, line
            if len(self._lines) > MOST_KEPT:
                self._lines.popitem(last=False)
        return line

    def link(self, task: Task, output: Mapping[str, Any]) -> str:
        """Return the signed address of an output file, below the mount point."""
        return "results/" + self._services.links.sign(str(task.result_name), str(output["file"]))

    async def _content(self, task: Task) -> bytes | None:
        try:
            return await self._services.task_list.big_result_of(task)
        except NotFound:
            # Swept away, as its files are, or damaged: the other keys' answers shall come.
            return None

    def _links(self, task: Task, mount: str) -> dict[str, str]:
        return {output["name"]: mount + self.link(task, output) for output in task.outputs}


def unknown(key: str, text: str = UNKNOWN) -> dict[str, Any]:
    """Return the status of a key that has no task (or none of the caller's): the other keys' answers shall come."""
    return {"status": "error", "key": key, "events": {}, "result": text}


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


def _short(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that are short, as many as there is room for."""
    found, room = {}, LARGEST_PARAMETERS
    for name, value in parameters.items():
        length = len(orjson.dumps({name: value}))
        if length <= min(LARGEST_PARAMETER, room):
            found[name], room = value, room - length
    return found
