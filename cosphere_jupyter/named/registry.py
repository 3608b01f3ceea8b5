"""Which named tasks there are: functions in the entry point group ``cosphere.tasks`` of what is installed.

The server reads names only; what a function takes is asked of a child process, which imports it. Packages that are
installed or changed while the server runs are noticed within a second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from logging import Logger
from typing import Any

from ..errors import CosphereError
from ..tasks.engine import TaskEngine
from ..tasks.kinds import Call
from . import child
from .spec import TaskFacts

GROUP = "cosphere.tasks"
DESCRIBE_ENTRY = "cosphere_jupyter.named.child:describe"
DESCRIBE_SECONDS = 20.0
LOOK_SECONDS = 1.0
# A function that cannot be described is tried again after this time, though nothing has changed that can be seen.
TRY_AGAIN_SECONDS = 10.0


def is_ours(entry: str) -> bool:
    """Whether an entry is of this package, and not of a lab's."""
    return entry.startswith(f"{child.OURS}.")


@dataclass
class _Described:
    facts: TaskFacts
    entry: str
    file: str = ""
    stamp: Any = None
    until: float = field(default=float("inf"))


class Registry:
    """The functions that can be run by name."""

    def __init__(self, engine: TaskEngine, log: Logger) -> None:
        self._engine = engine
        self._log = log
        self._lock = asyncio.Lock()
        self._entries: dict[str, str] = {}
        self._described: dict[str, _Described] = {}
        self._stamp: Any = None
        self._looked = -LOOK_SECONDS

    async def entries(self) -> Mapping[str, str]:
        """Return ``{name: "module:function"}`` of all that is installed."""
        async with self._lock:
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                await asyncio.to_thread(self._look)
                self._looked = time.monotonic()
            return self._entries

    async def facts(self, names: Iterable[str]) -> dict[str, TaskFacts]:
        """Return what is known of these tasks, those that are installed. ``problem`` says why one cannot run."""
        entries = await self.entries()
        wanted = {name: entries[name] for name in names if name in entries}
        async with self._lock:
            now = time.monotonic()
            missing = {
                name: entry
                for name, entry in wanted.items()
                if (known := self._described.get(name)) is None or known.entry != entry or known.until < now
            }
            if missing:
                self._described |= await self._describe(missing)
            return {name: self._described[name].facts for name in wanted}

    async def _describe(self, entries: Mapping[str, str]) -> dict[str, _Described]:
        ours = [entry for entry in entries.values() if is_ours(entry)]
        labs = sorted({*entries.values()} - {*ours})
        answers: dict[str, dict[str, Any]] = child.describe({"entries": ours}) if ours else {}
        if labs:
            try:
                call = Call(DESCRIBE_ENTRY, {"entries": labs}, is_foreign=True)
                answers |= await self._engine.call(call, DESCRIBE_SECONDS)
            except CosphereError as error:
                # One that hangs or kills the process must not take the others along for good: they can run.
                answers |= {entry: {"problem": f"it cannot be imported: {error}"} for entry in labs}
        return {name: self._as_described(name, entry, answers[entry]) for name, entry in entries.items()}

    def _as_described(self, name: str, entry: str, answer: dict[str, Any]) -> _Described:
        if problem := answer.get("problem"):
            self._log.warning("The task %r (%s) cannot be described: %s", name, entry, problem)
            until = time.monotonic() + TRY_AGAIN_SECONDS
            return _Described(TaskFacts(name, problem=problem), entry, until=until)
        facts = TaskFacts(name, answer["doc"], answer["parameters"], answer["is_quick"], answer["is_idempotent"])
        return _Described(facts, entry, answer["file"], answer["stamp"])

    # -- looking at what is installed (blocks) ---------------------------------------------------------------------

    def _look(self) -> None:
        stamp = [child.stamp_of(folder or ".") for folder in sys.path]
        if stamp != self._stamp:
            self._entries = self._installed()
            self._described.clear()
            self._stamp = stamp
        for name, known in list(self._described.items()):
            # None of ours: they change with the server.
            if known.file and not is_ours(known.entry):
                present = child.stamp_of(known.file)
                if (list(present) if present else None) != known.stamp:
                    del self._described[name]

    def _installed(self) -> dict[str, str]:
        found: dict[str, str] = {}
        # Ours first: no other package takes their names.
        points = metadata.entry_points(group=GROUP)
        for point in sorted(points, key=lambda point: (not is_ours(point.value), point.value)):
            value = point.value.partition("[")[0].strip()
            if self._engine.is_taken(point.name):
                self._log.warning("The task %r of %s does not run: the name is the workspace's own", point.name, value)
                continue
            if found.setdefault(point.name, value) != value:
                self._log.warning(
                    "The task %r is there twice: %s runs, %s does not", point.name, found[point.name], value
                )
        return found
