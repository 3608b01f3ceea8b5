"""The rules of named tasks: what a definition becomes, and which names there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from ..accounts.service import Account
from ..database.engine import Database
from ..errors import AccessDenied, Conflict, ExecutionError, Invalid, NotFound, QuotaExceeded
from ..tasks import records
from ..tasks.engine import TaskEngine
from ..tasks.records import Task
from .functions import WrongParameters
from .kind import no_such_task
from .registry import Registry
from .spec import Definition, Starter, TaskFacts

# As many as a download gets: what kills its process is stopped by the crash budget before.
MAX_ATTEMPTS = 10
LONGEST_NAME = 128


@dataclass(frozen=True)
class _Refusal:
    """A definition that cannot become a task that runs; it becomes one that has failed."""

    definition: Definition
    error: ExecutionError


@dataclass(frozen=True)
class _Run:
    definition: Definition
    facts: TaskFacts


_Plan = Task | _Refusal | _Run


class NamedTasks:
    """All that is done with names of tasks, for every face."""

    def __init__(self, database: Database, engine: TaskEngine, registry: Registry) -> None:
        self._database = database
        self._engine = engine
        self._registry = registry
        self._starters: dict[str, Starter] = {}

    def offer(self, starter: Starter) -> None:
        """Offer another feature's task by name."""
        self._starters[starter.facts.name] = starter

    async def names(self) -> Mapping[str, TaskFacts]:
        """Return every task that can be created by name, with what is known of it."""
        functions = await self._registry.facts(await self._registry.entries())
        offered = {name: starter.facts for name, starter in self._starters.items()}
        return dict(sorted({**functions, **offered}.items()))

    async def facts_of(self, name: str) -> TaskFacts | None:
        """Return what is known of one name; None if there is no such task."""
        if starter := self._starters.get(name):
            return starter.facts
        return (await self._registry.facts([name])).get(name)

    async def create(self, definitions: Sequence[Definition], owner: Account) -> list[Task]:
        """Store a task for each definition and return them in order; they run as soon as there is room.

        A name that does not exist, or parameters that a feature refuses, give a task that has failed at once. The
        parameters of functions are looked at when they run.

        Raises:
            Conflict: an idempotency key was used for another task already; nothing is stored.
        """
        names = {definition.name for definition in definitions} - {*self._starters}
        facts = await self._registry.facts(names)
        plans = [await self._plan(definition, facts, owner) for definition in definitions]
        tasks = await self._database.write(lambda connection: _store(connection, plans, owner))
        self._engine.wake([task.key for task in tasks], owner.id)
        return tasks

    async def _plan(self, definition: Definition, facts: Mapping[str, TaskFacts], owner: Account) -> _Plan:
        starter = self._starters.get(definition.name)
        if starter is None:
            if definition.name in facts:
                return _Run(definition, facts[definition.name])
            return _Refusal(definition, ExecutionError(no_such_task(definition.name)))
        try:
            return await starter.start(definition, owner)
        except Invalid as error:
            return _Refusal(definition, WrongParameters(error.errors or {}))
        except ExecutionError as error:
            return _Refusal(definition, error)
        except (AccessDenied, Conflict, NotFound, QuotaExceeded) as error:
            return _Refusal(definition, ExecutionError(str(error)))


def _store(connection: Connection, plans: Sequence[_Plan], owner: Account) -> list[Task]:
    keys = [plan.key if isinstance(plan, Task) else _enqueue(connection, plan, owner) for plan in plans]
    stored = records.read_tasks(connection, keys)
    for key, plan in zip(keys, plans, strict=True):
        if not isinstance(plan, Task) and not _is_meant(stored[key], plan.definition):
            raise Conflict("IDEMPOTENCY_KEY_WAS_USED_FOR_ANOTHER_TASK_ALREADY")
    return [stored[key] for key in keys]


def _is_meant(task: Task, definition: Definition) -> bool:
    return (task.name, task.params) == (definition.name[:LONGEST_NAME], dict(definition.params))


def _enqueue(connection: Connection, plan: _Refusal | _Run, owner: Account) -> str:
    definition = plan.definition
    if isinstance(plan, _Refusal):
        return records.store_refused(
            connection,
            definition.name[:LONGEST_NAME],
            dict(definition.params),
            owner.id,
            str(plan.error),
            plan.error.details,
            idempotency_key=definition.idempotency_key,
        )
    return records.enqueue(
        connection,
        definition.name,
        dict(definition.params),
        owner.id,
        is_idempotent=plan.facts.is_idempotent,
        max_attempts=MAX_ATTEMPTS if plan.facts.is_idempotent else 1,
        priority=definition.priority,
        is_quick=plan.facts.is_quick,
        idempotency_key=definition.idempotency_key,
    )
