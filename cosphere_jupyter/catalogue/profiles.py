"""Profiles of local tables: what ``samples_and_distributions`` writes into an item, and what estimates read.

A profile is made by a task, so it can be killed, survives a restart, and is made once however many ask for it. Its
outcome becomes visible in the transaction that ends the task; the stored sample of rows is a file beside the database.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from ..database.engine import Database
from ..database.schema import now
from ..errors import Conflict, ExecutionError, Invalid, NotFound
from ..executors.duckdb.executor import DuckDBExecutor
from ..json_values import is_storable
from ..tasks import records
from ..tasks.engine import Call, TaskEngine
from ..tasks.records import Task
from ..tasks.tables import tasks
from .items import CatalogueItem, read_item
from .spec import sample_errors, spec_errors
from .tables import catalogue_items, catalogue_profiles

TASK_NAME = "profile"
MAX_ATTEMPTS = 10
LOOK_SECONDS = 5.0
FAILED = "COULD_NOT_UPDATE_SAMPLE_AND_DISTRIBUTION"
OUTCOME, SAMPLE = "outcome.json", "sample.parquet"


@dataclass(frozen=True)
class Profile:
    """What is stored of an item's data: ``facts`` is the estimator's part, see `Profiler.run`."""

    item_id: int
    data_version: str
    rows: int
    facts: dict[str, Any]
    sample_name: str
    factor: float


def read_profile(connection: Connection, item_id: int) -> Profile | None:
    """Return the profile of an item, if it has one."""
    query = select(catalogue_profiles).where(catalogue_profiles.c.item_id == item_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Profile(row.item_id, row.data_version, row.rows, row.columns, row.sample_name, row.factor)


def store_factor(connection: Connection, item_id: int, factor: float) -> None:
    """Correct what the estimates of an item's bytes are multiplied with."""
    this = catalogue_profiles.c.item_id == item_id
    connection.execute(update(catalogue_profiles).where(this).values(factor=factor))


class ProfileTask:
    """What the engine does for tasks named ``profile``; see ``TaskKind``."""

    name = TASK_NAME

    def __init__(self, database: Database, duckdb: DuckDBExecutor, folder: Path, scratch: Path) -> None:
        """``folder`` is where stored samples lie, ``scratch`` where an attempt works."""
        self._database = database
        self._duckdb = duckdb
        self._folder = folder
        self._scratch = scratch
        # From publishing to the end of the task; one task of an item runs at a time.
        self._outcomes: dict[int, tuple[str, dict[str, Any]]] = {}

    async def prepare(self, task: Task) -> Call:
        """Say what the child shall look at."""
        try:
            item = await self._database.read(lambda connection: read_item(connection, task.params["item_id"]))
        except NotFound:
            raise ExecutionError("the catalogue item is gone") from None
        return await asyncio.to_thread(self._prepare, task, item)

    def _prepare(self, task: Task, item: CatalogueItem) -> Call:
        try:
            source = self._duckdb.resolve(item.source or "")
        except Invalid as error:
            raise ExecutionError(str(error)) from None
        folder = self._work_of(task)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        params = self._duckdb.profile_params(source, item.spec, folder, folder / "tmp")
        return Call(self._duckdb.profile_entry, params)

    async def publish(self, task: Task, result: Any) -> Any:
        """Keep the stored sample and the outcome until the task ends."""
        outcome = await asyncio.to_thread(self._publish, task)
        name = _sample_name(task)
        self._outcomes[task.params["item_id"]] = (name, {**outcome, "data_version": result["data_version"]})
        return {"rows": result["rows"], "sample_name": name}

    def _publish(self, task: Task) -> dict[str, Any]:
        work = self._work_of(task)
        outcome: dict[str, Any] = orjson.loads((work / OUTCOME).read_bytes())
        errors = spec_errors(outcome["columns"]) or sample_errors(outcome["columns"], outcome["sample"])
        if not is_storable([outcome["columns"], outcome["sample"]]):
            errors = ["a value that JSON cannot hold"]
        if errors:
            raise ExecutionError(f"what was found does not fit the catalogue's rules: {errors[0]}")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        sample = work / SAMPLE
        sample.chmod(0o600)
        with sample.open("rb") as file:
            os.fsync(file.fileno())
        sample.replace(self._folder / _sample_name(task))
        shutil.rmtree(work, ignore_errors=True)
        return outcome

    def on_end(self, connection: Connection, task: Task) -> None:
        """On success the item gets its sample and distributions, in the same transaction."""
        name, outcome = self._outcomes.get(task.params["item_id"], ("", {}))
        if task.state.status == "success" and name == _sample_name(task):
            _store(connection, task.params["item_id"], name, outcome)

    async def discard(self, task: Task) -> None:
        """Remove what an attempt that counts no more has written."""
        await asyncio.to_thread(shutil.rmtree, self._work_of(task), True)
        await asyncio.to_thread((self._folder / _sample_name(task)).unlink, True)

    def forget(self, item_id: int, sample_name: str) -> None:
        """Let go of an outcome that is stored."""
        if self._outcomes.get(item_id, ("", {}))[0] == sample_name:
            del self._outcomes[item_id]

    def _work_of(self, task: Task) -> Path:
        return self._scratch / f"{task.key}-{task.state.attempt}"


class Profiles:
    """Makes profiles and keeps the folder of their samples in order."""

    def __init__(self, database: Database, engine: TaskEngine, task: ProfileTask, folder: Path) -> None:
        self._database = database
        self._engine = engine
        self._task = task
        self._folder = folder

    async def update(self, item_id: int, caller_id: int) -> None:
        """Compute an item's sample, sizes and distributions, or wait for who does already; returns when it is stored.

        Raises:
            NotFound: no such item.
            Conflict: `FAILED`; the item is what it was.
        """
        key = await self._database.write(lambda connection: _find_or_enqueue(connection, item_id, caller_id))
        self._engine.wake([key], caller_id)
        task = await self._end_of(key)
        if task.state.status != "success":
            await self._database.read(lambda connection: read_item(connection, item_id))
            raise _failure(item_id, task.state.error or "unknown")
        name = task.state.result["sample_name"]
        self._task.forget(item_id, name)
        await self.sweep()
        if not await self._database.read(lambda connection: _is_stored(connection, item_id, name, task)):
            raise _failure(item_id, "the item was changed meanwhile; ask again")

    async def _end_of(self, key: str) -> Task:
        with self._engine.watch(key) as changed:
            while True:
                changed.clear()
                task = await self._database.read(lambda connection: records.read_task(connection, key))
                if task is None:
                    raise NotFound("catalogue item")
                if task.state.is_final:
                    return task
                try:
                    # Looks again by itself, so that nobody waits for a workspace that has stopped.
                    await asyncio.wait_for(changed.wait(), LOOK_SECONDS)
                except asyncio.TimeoutError:
                    continue

    def sample_of(self, profile: Profile) -> Path:
        """Return where the stored sample of a profile lies."""
        return self._folder / profile.sample_name

    async def sweep(self) -> list[str]:
        """Remove stored samples that no profile names and no attempt is about to; returns their names."""
        names = await asyncio.to_thread(lambda: [path.name for path in self._folder.glob("*")])
        doubtful = [name for name in names if not self._engine.is_running(name.split("-")[0])]
        query = select(catalogue_profiles.c.sample_name)
        wanted = await self._database.read(lambda connection: set(connection.execute(query).scalars()))
        unwanted = [name for name in doubtful if name not in wanted]
        for name in unwanted:
            await asyncio.to_thread((self._folder / name).unlink, True)
        return unwanted


def _failure(item_id: int, text: str) -> Conflict:
    return Conflict(FAILED, item_id=item_id, errors={"__all__": [text]})


def _sample_name(task: Task) -> str:
    return f"{task.key}-{task.state.attempt}.parquet"


def _find_or_enqueue(connection: Connection, item_id: int, caller_id: int) -> str:
    item = read_item(connection, item_id)
    if item.executor_type != "DUCKDB":
        raise _failure(item_id, f"this version of the workspace cannot look at the data of {item.executor_type} tables")
    waiting = select(tasks.c.key, tasks.c.params).where(
        tasks.c.name == TASK_NAME, tasks.c.status.in_(("queued", "executing"))
    )
    for row in connection.execute(waiting):
        if row.params["item_id"] == item_id:
            return str(row.key)
    params = {"item_id": item_id, "catalogue_item": item.name}
    return records.enqueue(connection, TASK_NAME, params, caller_id, is_idempotent=True, max_attempts=MAX_ATTEMPTS)


def _store(connection: Connection, item_id: int, sample_name: str, outcome: Mapping[str, Any]) -> None:
    try:
        item = read_item(connection, item_id)
    except NotFound:
        return
    found = {column["name"]: column for column in outcome["columns"]}
    if any(not _is_of(column, found.get(column["name"])) for column in item.spec):
        return  # the item is another one by now
    spec = [
        {**column, **{key: found[column["name"]][key] for key in ("size", "is_nullable", "distribution")}}
        for column in item.spec
    ]
    names = {column["name"] for column in spec}
    sample = [{name: value for name, value in row.items() if name in names} for row in outcome["sample"]]
    this = catalogue_items.c.id == item_id
    connection.execute(update(catalogue_items).where(this).values(spec=spec, sample=sample))
    connection.execute(delete(catalogue_profiles).where(catalogue_profiles.c.item_id == item_id))
    values = {
        "item_id": item_id,
        "data_version": outcome["data_version"],
        "rows": outcome["rows"],
        "columns": outcome["estimator"],
        "sample_name": sample_name,
        "factor": 1.0,  # what was learnt corrected the profile before
        "created_at": now(),
    }
    connection.execute(insert(catalogue_profiles).values(values))


def _is_of(column: Mapping[str, Any], found: Mapping[str, Any] | None) -> bool:
    """Whether what was found is about this column, as it is in the item now."""
    return found is not None and all(found[key] == column[key] for key in ("type", "is_enum"))


def _is_stored(connection: Connection, item_id: int, sample_name: str, task: Task) -> bool:
    """Whether this task's profile was stored: it still is, or a later one is there."""
    read_item(connection, item_id)
    query = select(catalogue_profiles.c.sample_name, catalogue_profiles.c.created_at)
    row = connection.execute(query.where(catalogue_profiles.c.item_id == item_id)).one_or_none()
    return row is not None and (
        row.sample_name == sample_name or task.completed_at is None or row.created_at > task.completed_at
    )
