"""The tasks API: create, status; and of ours cancel and the list of the caller's tasks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import Finish

from ..errors import AccessDenied
from ..json_values import is_unicode
from ..named.spec import Definition
from ..tasks.records import Task
from .dragon import DragonHandler
from .dragon_statuses import Part
from .fields import Choice, Field, FieldError, Integer, Text

# Limits of one request; the document names none.
MOST_TASKS = 1000
MOST_KEYS = 10_000
LONGEST_KEY = 128
LONGEST_WAIT = 24 * 3600
# Statuses in one answer that is no stream, in bytes; a single one may be longer.
LARGEST_ANSWER = 64 * 1024 * 1024
# What is written at once, and how long the client may take for it, in seconds.
WRITE_BYTES = 64 * 1024
WRITE_SECONDS = 30.0
PAGE = 100
LARGEST_PAGE = 1000

NAME = Text(128)
PRIORITY = Integer(-100, 100, default=0)
IDEMPOTENCY_KEY = Text(100, default=None)
MAX_WAIT = Integer(0, LONGEST_WAIT, default=None)


class TasksHandler(DragonHandler):
    """Base of what takes definitions or keys of tasks."""

    _sent: asyncio.Future[None] | None = None

    # -- definitions -----------------------------------------------------------------------------------------------

    def definitions(self) -> list[Definition]:
        """Return the definitions in ``tasks``: a list, or one for short."""
        given = self._required("tasks")
        given = [given] if isinstance(given, dict) else given
        if not isinstance(given, list):
            raise self.invalid("tasks", "tasks must be a list of task definitions, or one of them")
        if len(given) > MOST_TASKS:
            raise self.invalid("tasks", f"tasks holds more than {MOST_TASKS} task definitions")
        return [self.definition(each, f"tasks[{index}]") for index, each in enumerate(given)]

    def definition(self, given: Any, where: str) -> Definition:
        """Return a task definition: ``task_name``, what is ours, and the task's own parameters beside them."""
        if not isinstance(given, dict):
            raise self.invalid(where, f"{where} is no task definition: an object with a task_name")
        if "task_name" not in given:
            raise self.invalid(f"{where}.task_name", f"{where} has no task_name")
        # Other keys with this beginning belong to other versions of the API.
        params = {name: value for name, value in given.items() if not name.startswith("task_")}
        return Definition(
            self._field(given, "task_name", NAME, where),
            params,
            self._idempotency_key(self._field(params, "idempotency_key", IDEMPOTENCY_KEY, where)),
            self._field(params, "priority", PRIORITY, where),
        )

    async def create(self, definitions: Sequence[Definition]) -> list[Task]:
        """Queue tasks, in this order, all or none."""
        # What is wrong is refused before anything is created.
        self.max_wait()
        key = self.caller.api_key if self.caller else None
        for definition in definitions:
            if key is not None and not key.allows(definition.name):
                raise AccessDenied(f"this API key may not create tasks named '{definition.name}'")
        return await self.services.named.create(definitions, self.account)

    def _field(self, values: dict[str, Any], name: str, field: Field, where: str) -> Any:
        """Return a parsed value; what is ours is taken out of the task's parameters."""
        value = values.pop(name, None) if name != "task_name" else values[name]
        if value is None and not field.required:
            return field.default
        try:
            return field.parse(value)
        except FieldError as error:
            raise self.invalid(f"{where}.{name}", f"{name}: {' '.join(error.messages)}") from None

    def _idempotency_key(self, text: str | None) -> str | None:
        """An API key's tasks are its own: whoever has it must not find out others' by guessing."""
        key = self.caller.api_key if self.caller else None
        return f"{key.id}:{text}" if key and text is not None else text

    # -- keys ------------------------------------------------------------------------------------------------------

    def keys(self, name: str = "tasks") -> list[str]:
        """Return the keys in a parameter: a list, one key, or in a query string also a list as JSON."""
        given = self._required(name)
        if isinstance(given, str) and given.startswith("["):
            given = self._json_list(name, given)
        given = [given] if isinstance(given, str) else given
        if not isinstance(given, list) or not all(_is_key(each) for each in given):
            raise self.invalid(name, f"{name} must be keys of tasks")
        if len(given) > MOST_KEYS:
            raise self.invalid(name, f"{name} holds more than {MOST_KEYS} keys")
        return given

    def _json_list(self, name: str, text: str) -> Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise self.invalid(name, f"{name} must be keys of tasks") from None

    def _required(self, name: str) -> Any:
        value = self.parameters.get(name)
        if value is None:
            raise self.invalid(name, f"{name} is missing")
        return value

    # -- answers ---------------------------------------------------------------------------------------------------

    async def finished(self, keys: Sequence[str], found: Mapping[str, Task]) -> dict[str, Task]:
        """Wait for those of the tasks that were found; with ``max_wait`` (seconds, ours) not for ever."""
        self.counts_as_activity = False
        seconds = self.max_wait()
        waited = [key for key in dict.fromkeys(keys) if key in found]
        return await self.while_connected(self.services.task_list.wait(waited, self.reader, seconds))

    def max_wait(self) -> int | None:
        """Return ``max_wait``, in seconds; None if there is none."""
        seconds: int | None = self.parameter("max_wait", MAX_WAIT)
        return seconds

    async def send_statuses(self, keys: Iterable[str], found: Mapping[str, Task], named: bool = False) -> None:
        """Answer with a list of statuses in the order of the keys."""
        parts = self.statuses.each(keys, found, self.mount, named, LARGEST_ANSWER)
        self.set_header("Content-Type", "application/json")
        self.finish(await self.send_begun(parts))

    async def send_begun(self, parts: AsyncIterator[Part]) -> bytes:
        """Send what comes, a little at a time, and return the end of it: all, if it is short."""
        waiting: list[Part] = []
        size = 0
        async for part in parts:
            for start in range(0, len(part), WRITE_BYTES):
                waiting.append(memoryview(part)[start : start + WRITE_BYTES])
                size += len(waiting[-1])
                if size > WRITE_BYTES:
                    await self.send(b"".join(waiting))
                    waiting, size = [], 0
        return b"".join(waiting)

    @property
    def is_sending(self) -> bool:
        """Whether the client has not taken yet what was sent last."""
        return self._sent is not None and not self._sent.done()

    async def send(self, chunk: bytes) -> None:
        """Write and wait until it is taken; give up on a client that takes nothing."""
        while self._sent is not None and self.is_sending:
            # The line that keeps the stream alive, just now: tornado waits for one write only.
            await self._taken(self._sent)
        self.write(chunk)
        self._sent = self.flush()
        await self._taken(self._sent)
        self._sent = None

    async def _taken(self, sent: asyncio.Future[None]) -> None:
        # Most of the time the system has taken it at once.
        if not sent.done():
            await asyncio.wait([sent], timeout=WRITE_SECONDS)
        if not sent.done() or isinstance(sent.exception(), StreamClosedError):
            # Not finish(), which would wait behind what is not taken.
            self.request.connection.stream.close()  # type: ignore[union-attr]
            raise Finish


class CreateHandler(TasksHandler):
    """``/v1/create``."""

    async def post(self) -> None:
        """Queue tasks and answer with their statuses; with ``block`` when all of them have ended."""
        definitions, block = self.definitions(), self.flag("block")
        tasks = await self.create(definitions)
        keys, found = [task.key for task in tasks], {task.key: task for task in tasks}
        await self.send_statuses(keys, await self.finished(keys, found) if block else found)


class StatusHandler(TasksHandler):
    """``/v1/status``."""

    async def get(self) -> None:
        """Answer with the statuses of tasks; with ``block`` when all of them have ended."""
        keys, block = self.keys(), self.flag("block")
        found = await self.read_tasks(keys)
        await self.send_statuses(keys, await self.finished(keys, found) if block else found)

    async def post(self) -> None:
        """Answer as GET does, for more keys than a URL can hold."""
        await self.get()


class CancelHandler(TasksHandler):
    """``/v1/cancel`` (ours): tasks that are cancelled end with the status "error"."""

    async def post(self) -> None:
        """End a ``task``, or several ``tasks``, and answer with their statuses; those that had ended stay so."""
        keys = self.keys("task" if "task" in self.parameters else "tasks")
        self.refuse_api_keys()
        await self.send_statuses(keys, await self.services.task_list.cancel_many(keys, self.account))


class TaskListHandler(TasksHandler):
    """``/v1/tasks`` (ours): the caller's tasks."""

    async def get(self) -> None:
        """Answer with the statuses of the caller's tasks, the newest first; each with its ``task_name``."""
        self.refuse_api_keys()
        tasks = await self.services.task_list.bulk_read(
            self.account,
            self.parameter("limit", Integer(1, LARGEST_PAGE, default=PAGE)),
            self.parameter("offset", Integer(0, 2**53, default=0)),
            self.parameter("status", Choice(("queued", "executing", "success", "error"), default=None)),
            self.parameter("task_name", Text(128, default=None)),
        )
        found = {task.key: task for task in tasks}
        await self.send_statuses(found, found, named=True)


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_KEY and is_unicode(value) and "\0" not in value
