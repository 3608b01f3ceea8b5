"""Which named tasks there are: functions in the entry point group ``cosphere.tasks`` of what is installed.

The server reads names only; what a function takes is asked of a child process, which imports it. Packages that are
installed or changed while the server runs are noticed within a second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
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
DESCRIBE_SECONDS = 15.0
LOOK_SECONDS = 1.0
# What cannot be described is tried again after this time, though nothing has changed that can be seen; a package that
# hangs or kills its process takes up more, and waits longer.
TRY_AGAIN_SECONDS = 10.0
TRY_LATER_SECONDS = 60.0
# What changes while it is described is described again, but not for ever.
AGAIN = 3


def is_ours(entry: str) -> bool:
    """Whether an entry is of this package, and not of a lab's."""
    return entry.startswith(f"{child.OURS}.")


@dataclass(frozen=True)
class _Described:
    """What is told of a function, as long as its file has this stamp."""

    facts: Mapping[str, Any]
    file: str = ""
    stamp: Any = None
    until: float = float("inf")

    def facts_of(self, name: str) -> TaskFacts:
        return TaskFacts(name, **self.facts)


_CHANGING = _Described({"problem": "what it comes from is being changed"})


class Registry:
    """The functions that can be run by name."""

    def __init__(self, engine: TaskEngine, log: Logger) -> None:
        self._engine = engine
        self._log = log
        self._lock = asyncio.Lock()
        self._entries: dict[str, str] = {}
        self._described: dict[str, _Described] = {}
        # By the package of a lab: one that is slow to import, or worse, keeps nobody waiting but who asks for it.
        self._describing: dict[str, asyncio.Task[None]] = {}
        self._stamp: Any = None
        self._looked = -LOOK_SECONDS

    async def entries(self) -> Mapping[str, str]:
        """Return ``{name: "module:function"}`` of all that is installed."""
        async with self._lock:
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                await asyncio.to_thread(self._look)
                self._looked = time.monotonic()
            return self._entries

    async def facts(self, names: Collection[str]) -> dict[str, TaskFacts]:
        """Return what is known of these tasks, those that are installed. ``problem`` says why one cannot run."""
        for _ in range(AGAIN):
            installed = await self.entries()
            wanted = {name: installed[name] for name in names if name in installed}
            missing = {entry for entry in wanted.values() if not self._is_known(entry)}
            if not missing:
                break
            self._take_in(child.describe({"entries": [entry for entry in missing if is_ours(entry)]}))
            packages = {child.root_of(entry) for entry in missing if not is_ours(entry)}
            await asyncio.gather(*(asyncio.shield(self._describing_of(package)) for package in packages))
        return {name: self._described.get(entry, _CHANGING).facts_of(name) for name, entry in wanted.items()}

    def _is_known(self, entry: str) -> bool:
        known = self._described.get(entry)
        return known is not None and known.until > time.monotonic()

    def _describing_of(self, package: str) -> asyncio.Task[None]:
        """Return what describes all functions of a package, begun already or not."""
        if package not in self._describing:
            entries = sorted({entry for entry in self._entries.values() if child.root_of(entry) == package})
            describing = self._describing[package] = asyncio.ensure_future(self._describe(entries))
            describing.add_done_callback(lambda _: self._describing.pop(package))
        return self._describing[package]

    async def _describe(self, entries: list[str]) -> None:
        try:
            call = Call(DESCRIBE_ENTRY, {"entries": entries}, is_foreign=True)
            self._take_in(await self._engine.call(call, DESCRIBE_SECONDS))
        except CosphereError as error:
            # They can be run for all that: it may be only this moment.
            problem = f"it cannot be imported: {error}"
            self._take_in({entry: {"problem": problem} for entry in entries}, TRY_LATER_SECONDS)

    def _take_in(self, answers: Mapping[str, Mapping[str, Any]], again: float = TRY_AGAIN_SECONDS) -> None:
        for entry, answer in answers.items():
            if "problem" in answer:
                self._log.warning("The task function %s cannot be described: %s", entry, answer["problem"])
                self._described[entry] = _Described({"problem": answer["problem"]}, until=time.monotonic() + again)
            else:
                facts = {key: answer[key] for key in ("doc", "parameters", "is_quick", "is_idempotent")}
                self._described[entry] = _Described(facts, answer["file"], answer["stamp"])

    # -- looking at what is installed (blocks) ---------------------------------------------------------------------

    def _look(self) -> None:
        stamp = [child.stamp_of(folder or ".") for folder in sys.path]
        if stamp != self._stamp:
            self._entries = self._installed()
            self._described.clear()
            self._stamp = stamp
        for entry, known in list(self._described.items()):
            # None of ours: they change with the server.
            if known.file and not is_ours(entry):
                present = child.stamp_of(known.file)
                if (list(present) if present else None) != known.stamp:
                    self._described.pop(entry, None)

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
