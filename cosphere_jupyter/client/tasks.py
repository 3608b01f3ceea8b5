"""Tasks: named pieces of work that the server does, how far they are, and what came out."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from .display import Html, fields, text_of
from .errors import NotFound, TaskFailed
from .faces import Face
from .progress import Waiting
from .repeating import repeated
from .saving import save
from .statuses import TaskStatus
from .streams import StatusStream
from .task_groups import TaskGroup, TaskStream, definitions, sent, shown, waiting

if TYPE_CHECKING:
    from .workspace import Workspace

MOUNT = "/v1"
# What an answer says of a task whose status found no room in it.
TOO_MUCH = "the statuses asked for are too long for one answer: ask for fewer keys at once"
# How the link to an output ends: the folder is named by the task's key and its attempt.
_OUTPUT = r"/results/[0-9a-f]{{2}}/[0-9a-f]{{64}}/{key}-\d+/([^/?#]+)"


class Task(Html):
    """A task. Its properties say what was known when it was last heard of.

    >>> task = ws.tasks.create("image.thumb", url="https://example.org/cat.jpg", width=100)
    >>> task.wait().result["width"]
    100
    >>> task.save("cat.jpg")

    In coroutines:

    >>> await task                       # as wait()
    >>> async for status in task:        # everything that it tells until it ends
    ...     print(status.status, status.progress)
    """

    def __init__(self, tasks: Tasks, status: TaskStatus, name: str | None = None) -> None:
        self._tasks = tasks
        # Not every answer names it.
        self._name = status.name or name
        self._parameters, self._in_part = status.parameters, status.parameters_in_part
        self._status = status

    def _take(self, status: TaskStatus) -> None:
        self._name, self._parameters = status.name or self._name, status.parameters or self._parameters
        self._in_part = status.parameters_in_part or self._in_part
        self._status = status

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def key(self) -> str:
        """Its key: ``ws.tasks[key]`` finds it again."""
        return self._status.key

    @property
    def name(self) -> str | None:
        """What it is a task of, as ``image.thumb``; None if this was not told."""
        return self._name

    @property
    def parameters(self) -> Mapping[str, Any] | None:
        """What it was asked for, where the server told it: of tasks that a list or a stream gave."""
        return self._parameters

    @property
    def known_parameters(self) -> Mapping[str, Any]:
        """What is known of ``parameters``: all, or those that are short where the server told no more, or none."""
        return self._parameters or self._in_part or {}

    @property
    def status(self) -> str:
        """``queued``, ``executing``, ``success`` or ``error`` (also when it was cancelled)."""
        return self._status.status

    @property
    def is_final(self) -> bool:
        """Whether it has ended."""
        return self._status.is_final

    @property
    def progress(self) -> Any:
        """What the task tells of how far it is: any JSON; None while it tells nothing."""
        return self._status.progress

    @property
    def fraction(self) -> float | None:
        """The share of the work that is done, 0 to 1, where the progress tells one."""
        return self._status.fraction

    @property
    def result(self) -> Any:
        """What came out: JSON; None before the success. Links to output files in it expire: ``save`` needs none."""
        return self._status.result

    @property
    def error(self) -> str | None:
        """What went wrong, in the server's words; None unless something did."""
        return self._status.error

    @property
    def details(self) -> Any:
        """What an error left for programs, e.g. ``{"parameters": {"url": ["this field is required"]}}``."""
        return self._status.details

    @property
    def events(self) -> dict[str, datetime]:
        """When it was ``queued``, ``started`` and ``completed``, as far as that has happened."""
        return dict(self._status.events)

    @property
    def outputs(self) -> dict[str, str]:
        """Its output files: what ``save`` takes as ``name``, and what the file is called."""
        if not isinstance(self.result, Mapping):
            return {}
        pattern = re.compile(_OUTPUT.format(key=re.escape(self.key)))
        links = {name: value for name, value in self.result.items() if isinstance(value, str)}
        found = {name: pattern.search(urlsplit(link).path) for name, link in links.items() if "/results/" in link}
        return {name: match[1] for name, match in found.items() if match}

    # -- what it does ----------------------------------------------------------------------------------------------

    def refresh(self) -> Task:
        """Ask how far it is, and return it."""
        self._tasks.read([self])
        return self

    def wait(self, timeout: float | None = None, progress: bool = True) -> Task:
        """Wait until it has succeeded, and return it. A bar shows how far it is.

        Raises ``TaskFailed`` with the server's words, or ``TaskTimeout`` (a TimeoutError) after ``timeout`` seconds;
        the task itself then goes on. Interrupting stops the waiting only: ``cancel()`` stops the work.
        """
        stream = self._tasks.stream_of([self])
        stream.drive(self._steps(stream, timeout, progress))
        return self._succeeded()

    def _steps(
        self, stream: StatusStream, timeout: float | None, progress: bool
    ) -> Generator[float, list[TaskStatus] | None, None]:
        with Waiting(self.name or self.key, progress) as bar:

            def show() -> None:
                bar.show("the server does not answer" if stream.is_away else self.status, self.fraction)

            yield from waiting([self], timeout, show)

    def _succeeded(self) -> Task:
        if self.error is not None:
            raise TaskFailed(f"{self.name}: {self.error}" if self.name else self.error, [self])
        return self

    def cancel(self) -> Task:
        """End it, wherever it is, and return it; one that has ended stays as it is. Its status is then ``error``."""
        self._tasks.cancel([self])
        return self

    def again(self) -> Task:
        """Ask for the same once more and return the task that does it; equal requests of rows share one.

        Raises ``NotRepeatable`` where the server does not tell what it was asked for.
        """
        return repeated(self._tasks, self)

    def save(self, path: str | os.PathLike[str], name: str | None = None, progress: bool = True) -> Path:
        """Wait until it has succeeded, fetch an output file, and return where it lies.

        ``path`` is a file, or a folder that is there: the file then keeps its own name. ``name`` chooses the output
        where there are several (see ``outputs``). A file that was there is replaced, and only by one that is whole.
        """
        self.wait(progress=progress)
        where = f"/file/{quote(name, safe='')}" if name else "/file"
        return save(
            self._tasks.workspace.http, lambda: self._tasks.face.link(where, {"task": self.key}), path, progress
        )

    # -- without blocking the event loop ---------------------------------------------------------------------------

    async def wait_async(self, timeout: float | None = None, progress: bool = True) -> Task:
        """``wait`` for coroutines; cancelling it stops the waiting, not the task."""
        stream = self._tasks.stream_of([self])
        await stream.drive_async(self._steps(stream, timeout, progress))
        return self._succeeded()

    def __await__(self) -> Generator[Any, None, Task]:
        return self.wait_async().__await__()

    async def __aiter__(self) -> AsyncGenerator[TaskStatus, None]:
        """Give how far it is now, and each change until its end; a failure is told, not raised."""
        if self.is_final:
            yield self._status
            return
        async with aclosing(self._tasks.stream_of([self]).__aiter__()) as statuses:
            async for status in statuses:
                self._take(status)
                yield status

    async def refresh_async(self) -> Task:
        """``refresh`` for coroutines."""
        return await asyncio.to_thread(self.refresh)

    async def cancel_async(self) -> Task:
        """``cancel`` for coroutines."""
        return await asyncio.to_thread(self.cancel)

    async def save_async(self, path: str | os.PathLike[str], name: str | None = None, progress: bool = True) -> Path:
        """``save`` for coroutines."""
        await self.wait_async(progress=progress)
        return await asyncio.to_thread(self.save, path, name, progress)

    def __repr__(self) -> str:
        return f"<Task {text_of(self._facts())}>"

    def _repr_html_(self) -> str:
        return fields(f"Task {self.name or self.key}", self._facts())

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"key": self.key, "name": self.name, "status": self.status}
        if self.progress is not None and not self.is_final:
            facts["progress"] = shown(self.progress)
        if self.status == "success":
            facts["result"] = shown(self.result)
        if self.outputs:
            facts["outputs"] = ", ".join(self.outputs.values())
        if self.error is not None:
            facts["error"] = self.error
        return {name: value for name, value in facts.items() if value is not None}


class Tasks(Html):
    """The tasks of this account.

    >>> ws.tasks.create("hello", name="John").wait().result
    'Hello John'
    >>> ws.tasks.map("hello", ["John", "Jane"], parameter="name")
    ['Hello John', 'Hello Jane']
    >>> ws.tasks.list(status="executing")
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.face = Face(workspace.http, MOUNT, lambda body: isinstance(body, list | dict))

    def create(self, name: str, /, **parameters: Any) -> Task:
        """Create a task and return it; it runs on the server. What is wrong with its parameters is *its* error.

        ``priority`` (-100 to 100, the higher runs first) and ``idempotency_key`` (asking twice under one makes one
        task) are the tasks API's, and so are names that begin with ``task_``.
        """
        [task] = self.create_many(name, [parameters])
        return task

    def create_many(
        self,
        name: str,
        items: Sequence[Any],
        /,
        *,
        parameter: str | None = None,
        common: Mapping[str, Any] | None = None,
    ) -> TaskGroup:
        """Create a task for each item and return them, in order, without waiting for them.

        With ``parameter`` each item is the value of this one parameter; without, each is a mapping of parameters.
        ``common`` holds those that are the same for all.

        >>> group = ws.tasks.create_many("image.thumb", urls, parameter="url", common={"width": 100})
        >>> group.wait()
        """
        # What is sent twice, because the answer got lost, is created once.
        wanted = definitions(name, items, parameter, common, secrets.token_hex(16))
        found = sent(wanted, lambda batch: self.face.post("/create", {"tasks": batch}, is_repeatable=True))
        return TaskGroup(self, [Task(self, TaskStatus.from_json(data), name) for data in found])

    def map(
        self,
        name: str,
        items: Sequence[Any],
        /,
        *,
        parameter: str | None = None,
        common: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        progress: bool = True,
        return_exceptions: bool = False,
    ) -> list[Any]:
        """Run a task for each item and return their results, in order. One bar shows all.

        The items are those of ``create_many``.

        >>> ws.tasks.map("image.thumb", [{"url": first}, {"url": second, "crop": True}], common={"width": 100})
        >>> ws.tasks.map("hello", ["John", "Jane"], parameter="name")

        Raises ``TaskFailed``, when all have ended, naming the first that failed; with ``return_exceptions`` it stands
        in their places among the results instead. Interrupting and ``timeout`` stop the waiting, not the tasks.
        """
        group = self.create_many(name, items, parameter=parameter, common=common)
        return group.results(timeout, progress, return_exceptions=return_exceptions)

    async def map_async(
        self,
        name: str,
        items: Sequence[Any],
        /,
        *,
        parameter: str | None = None,
        common: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        progress: bool = True,
        return_exceptions: bool = False,
    ) -> list[Any]:
        """``map`` for coroutines."""
        group = await asyncio.to_thread(lambda: self.create_many(name, items, parameter=parameter, common=common))
        return await group.results_async(timeout, progress, return_exceptions=return_exceptions)

    async def create_async(self, name: str, /, **parameters: Any) -> Task:
        """``create`` for coroutines."""
        return await asyncio.to_thread(lambda: self.create(name, **parameters))

    def __getitem__(self, key: str) -> Task:
        """Return the task with this key, or raise ``NotFound``."""
        task = Task(self, TaskStatus(str(key), "queued"))
        self.read([task])
        return task

    def list(
        self, limit: int = 100, *, status: str | None = None, name: str | None = None, offset: int = 0
    ) -> TaskGroup:
        """Return the newest tasks of this account, also those of a ``status`` or a ``name`` only."""
        wanted = {"limit": limit, "offset": offset, "status": status, "task_name": name}
        found = self.face.get("/tasks", {key: value for key, value in wanted.items() if value is not None})
        return TaskGroup(self, [Task(self, TaskStatus.from_json(data), name) for data in found])

    def stream(self, stop: threading.Event | None = None) -> TaskStream:
        """Follow all tasks of this account, also those that come later: the newest 100 first, then each change.

        Iterate over it with ``async for`` or, in a thread of its own, with ``for``; ``close()`` and ``stop`` end it.

        >>> async for task in ws.tasks.stream():
        ...     print(task)
        """
        return TaskStream(StatusStream(self.face, None, stop), lambda status: Task(self, status))

    # -- for the handles -------------------------------------------------------------------------------------------

    def stream_of(self, tasks: Sequence[Task]) -> StatusStream:
        """Return the stream of those of these tasks that have not ended."""
        return StatusStream(self.face, [task.key for task in tasks if not task.is_final])

    def read(self, tasks: Sequence[Task]) -> None:
        """Read these tasks again; ``NotFound`` if one is not there, or not this account's."""
        self._apply(tasks, lambda keys: self.face.post("/status", {"tasks": keys}, is_repeatable=True))

    def cancel(self, tasks: Sequence[Task]) -> None:
        """End these tasks."""
        self._apply(tasks, lambda keys: self.face.post("/cancel", {"tasks": keys}, is_repeatable=True))

    @staticmethod
    def _apply(tasks: Sequence[Task], ask: Callable[[Sequence[str]], Any]) -> None:
        found: dict[str, Any] = {}
        while keys := [task.key for task in tasks if task.key not in found]:
            # The first is always told; others may find no room in an answer, and are asked for again.
            answers = sent(keys, ask)
            found |= {str(data["key"]): data for data in answers if data.get("result") != TOO_MUCH}
        for task in tasks:
            data = found[task.key]
            if not data.get("events"):
                raise NotFound(f"there is no task {task.key}, or it is not yours", status=404)
            task._take(TaskStatus.from_json(data))

    def __repr__(self) -> str:
        return f"<Tasks of {self.workspace.url}: list() reads them>"

    def _repr_html_(self) -> str:
        return fields("Tasks", {"of": self.workspace.url, "": "not read yet: ws.tasks.list() reads them"})
