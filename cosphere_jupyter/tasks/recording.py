"""What the engine writes: the transactions of its turns, and ends of attempts one by one when a turn will not do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from logging import Logger
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ..database.engine import Database
from ..errors import Unavailable
from . import records
from .kinds import TaskKind
from .lanes import Attempt, Lane
from .queue import Waiting
from .records import Task
from .states import Event, Failed


class Kinds:
    """The kinds of tasks by name, and the one for all other names."""

    def __init__(self) -> None:
        self._by_name: dict[str, TaskKind] = {}
        self.fallback: TaskKind | None = None

    def add(self, kind: TaskKind) -> None:
        """Make tasks of this kind runnable."""
        self._by_name[kind.name] = kind

    def has(self, name: str) -> bool:
        """Whether a kind has this very name."""
        return name in self._by_name

    def of(self, task: Task) -> TaskKind | None:
        """Return the kind of a task."""
        return self._by_name.get(task.name, self.fallback)

    def ended(self, connection: Connection, task: Task) -> None:
        """Let the feature of a task that has ended write its own rows."""
        if task.state.is_final and (kind := self.of(task)):
            kind.on_end(connection, task)


class End(NamedTuple):
    """How an attempt ended."""

    attempt: Attempt
    event: Event


@dataclass(frozen=True)
class Turn:
    """What a turn writes. ``after`` is the number of the last task that the queues know; None: read no new ones."""

    ends: list[End]
    progress: Mapping[tuple[str, int], Any]
    after: int | None
    lanes: Iterable[tuple[bool, Lane]]


@dataclass(frozen=True)
class Outcome:
    """What was written: the tasks of the turn's ends, and for each lane what was chosen and what could be claimed."""

    ended: list[Task]
    claims: list[tuple[Lane, list[Waiting], list[Task]]]
    last: int


class Recorder:
    """Writes turns and ends."""

    def __init__(self, database: Database, kinds: Kinds, log: Logger) -> None:
        self._database = database
        self._kinds = kinds
        self._log = log

    async def take(self, turn: Turn) -> Outcome:
        """Write a turn, all of it or nothing."""
        return await self._database.write(lambda connection: self._take(connection, turn))

    def _take(self, connection: Connection, turn: Turn) -> Outcome:
        """Runs again if the transaction broke: it adds to the queues, but takes nothing from them."""
        ended = records.apply_events(connection, [(end.attempt.of, end.event) for end in turn.ends])
        for task in ended:
            self._kinds.ended(connection, task)
        records.store_progress(connection, turn.progress)
        waiting = [] if turn.after is None else records.read_waiting(connection, turn.after)
        claims = []
        for is_quick, lane in turn.lanes:
            lane.add(each for each in waiting if each.is_quick == is_quick)
            chosen = lane.choose()
            claims.append((lane, chosen, records.claim(connection, [each.key for each in chosen])))
        return Outcome(ended, claims, waiting[-1].number if waiting else 0)

    async def end(self, end: End) -> Task | None:
        """Write one end; None if it counts no more. ``Unavailable`` if it must be tried again."""
        try:
            return await self._database.write(lambda connection: self._end(connection, end))
        except Unavailable:
            raise
        except Exception:
            self._log.exception("Task %s: its end could not be recorded as it was", end.attempt.of.key)
            return await self._end_somehow(end.attempt.of)

    def _end(self, connection: Connection, end: End) -> Task | None:
        task = records.apply_event(connection, end.attempt.of.key, end.event)
        if task is not None:
            self._kinds.ended(connection, task)
        return task

    async def _end_somehow(self, task: Task) -> Task | None:
        """End a task whose feature could not write its own rows: it must not stay *executing* for ever."""
        text = "the work ended, but what it made could not be recorded; the server's log tells more"
        failed = Failed(task.state.attempt, text)
        return await self._database.write(lambda connection: records.apply_event(connection, task.key, failed))

    async def recover(self, begun: Collection[str] | None) -> list[Task]:
        """Tell what was running under a former server that it is lost, and return it."""
        return await self._database.write(lambda connection: self._recover(connection, begun))

    def _recover(self, connection: Connection, begun: Collection[str] | None) -> list[Task]:
        recovered = records.recover(connection, begun)
        for task in recovered:
            self._kinds.ended(connection, task)
        return recovered
