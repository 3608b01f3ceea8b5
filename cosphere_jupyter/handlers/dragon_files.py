"""The tasks API: files that tasks put out, waited for and redirected to."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from ..named.spec import Definition
from ..tasks.records import Task
from .dragon_statuses import UNKNOWN, output_of
from .dragon_tasks import TasksHandler

# Equal GETs by the same caller within so many seconds make one task: pages load their images again and again.
SAME_SECONDS = 600
# What a query string holds besides a task's parameters.
OURS = ("api_key", "max_wait")
# A client that waited in vain shall wait so many seconds before it asks again.
RETRY_SECONDS = 5
# Equal GETs whose tasks failed so often within SAME_SECONDS are not shared any more.
MOST_FAILURES = 10


class OutputHandler(TasksHandler):
    """Base of what redirects to an output file."""

    async def redirect_to_output(self, key: str, found: Mapping[str, Task], filename: str | None) -> None:
        """Wait for a task; redirect to its file, 404 for a wrong name.

        400 with the status of a failed task, 503 with that of one that has not ended after ``max_wait``.
        """
        task = (await self.finished([key], found)).get(key)
        if task is None:
            self._send_not_found(UNKNOWN)
        elif not task.state.is_final:
            self.set_header("Retry-After", str(RETRY_SECONDS))
            self.send_json(self.statuses.status(task, self.mount), 503)
        elif task.state.status != "success":
            self.send_json(self.statuses.status(task, self.mount), 400)
        elif isinstance(output := output_of(task.outputs, filename), str):
            self._send_not_found(output)
        else:
            # Made of the server's own names only: nothing of the request decides where it leads.
            self.redirect(self.services.mount(self.base_url) + self.statuses.link(task, output), status=302)

    def _send_not_found(self, message: str) -> None:
        self.send_json({"status": "error", "message": message}, 404)


class CreateFileHandler(OutputHandler):
    """``/v1/create_file/{filename}``."""

    # A GET that makes something: what a foreign page can send with the browser's cookie must not do it.
    has_effects = True

    async def get(self, filename: str | None = None) -> None:
        """Make the task that the query string defines and redirect to its output file."""
        self.set_header("X-Robots-Tag", "noindex")
        given = {name: value for name, value in self.parameters.items() if name not in OURS}
        if "task_name" not in given:
            raise self.invalid("task_name", "task_name is missing")
        definition = self.definition(given, "task")
        task = await self._same_or_new(definition)
        await self.redirect_to_output(task.key, {task.key: task}, filename)

    async def post(self, filename: str | None = None) -> None:
        """Make a ``task`` and redirect to its output file."""
        (task,) = await self.create([self.definition(self._required("task"), "task")])
        await self.redirect_to_output(task.key, {task.key: task}, filename)

    async def _same_or_new(self, definition: Definition) -> Task:
        facts = await self.services.named.facts_of(definition.name)
        if definition.idempotency_key is not None or facts is None or not facts.is_idempotent:
            (task,) = await self.create([definition])
            return task
        moment, digest = datetime.now(timezone.utc), _digest(definition)
        for _ in range(MOST_FAILURES):
            (task,) = await self.create([replace(definition, idempotency_key=self._idempotency_key(digest))])
            if task.state.status != "error" or task.queued_at >= moment:
                return task
            # Trying again is what loading a page again is for; all who do share the next task.
            digest = "get:" + hashlib.sha256((digest + task.key).encode()).hexdigest()
        (task,) = await self.create([definition])
        return task


class FileHandler(OutputHandler):
    """``/v1/file/{filename}?task=KEY``."""

    async def get(self, filename: str | None = None) -> None:
        """Wait for a task and redirect to its output file."""
        keys = self.keys("task")
        if len(keys) != 1:
            raise self.invalid("task", "task must be one key")
        await self.redirect_to_output(keys[0], await self.read_tasks(keys), filename)


def _digest(definition: Definition) -> str:
    """Return what equal definitions of the same minutes have in common."""
    facts: list[Any] = [definition.name, definition.params, definition.priority, int(time.time() // SAME_SECONDS)]
    return "get:" + hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
