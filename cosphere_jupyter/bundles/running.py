"""The tasks behind runs and makes: what the engine does for them, and how a bundle's row follows.

A task ends well when its command has come to an end, whatever its exit code: that is the bundle's affair. Source: the
CodaLab API's semantics, section 7.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from logging import Logger
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import Connection

from ..accounts.service import Account, read_account
from ..database.engine import Database
from ..errors import ExecutionError, Unavailable
from ..tasks import records as tasks
from ..tasks.children import MARK
from ..tasks.engine import Call, TaskEngine
from ..tasks.records import Task
from .contents import adopt
from .hashing import Measured
from .records import (
    ACTIVE_STATES,
    FAILED,
    FINAL_STATES,
    FINALIZING,
    KILLED,
    MAKING,
    PREPARING,
    READY,
    RUNNING,
    STARTING,
    Bundle,
    read_bundle,
    read_bundles,
    update_bundle,
)
from .run_folders import RunFolders, as_measured
from .run_limits import KILL_REQUESTED, Ceilings, limits_of
from .staging import MAKE, RUN, WAITING_STATES, problem_of
from .usage import charge_time, disk_left, read_usage

ENTRIES = {RUN: "cosphere_jupyter.bundles.run_child:run", MAKE: "cosphere_jupyter.bundles.run_child:make"}
# What a child says it is doing, as state and sentence of the bundle.
STAGES = {
    "preparing": (PREPARING, "Preparing the folder and the parents."),
    "running": (RUNNING, "Running job in container."),
    "finalizing": (FINALIZING, "Uploading results."),
}
FINISHED = "Finished"
GONE = "the bundle of this task is gone, or has ended"
CUT_OFF = "The server stopped while this was at work; it was not run again."
# How often what a run uses is stored while nothing else changes.
STORE_SECONDS = 5.0


# Raises ``AccessDenied`` unless an account may start runs.
Demand = Callable[[Connection, Account], None]


@dataclass(frozen=True)
class Place:
    """Where runs are at work: their folders, the workspace's own folder, the deployment's limits."""

    folders: RunFolders
    data_dir: Path
    # Folders that no command sees.
    hidden: tuple[Path, ...] = ()
    ceilings: Ceilings = field(default_factory=Ceilings)


class BundleTask:
    """What the engine does for tasks named ``run`` or ``make``; see ``TaskKind``."""

    def __init__(
        self, name: str, database: Database, engine: TaskEngine, place: Place, demand: Demand, log: Logger
    ) -> None:
        """``demand`` is asked before a run begins."""
        self.name = name
        self._demand = demand
        self._database = database
        self._engine = engine
        self._place = place
        self._log = log
        self._following: set[asyncio.Task[None]] = set()
        # Who keeps what a run has left does it alone.
        self._settling: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def prepare(self, task: Task) -> Call:
        """Make the folder, note that the bundle begins, and say what the child shall do."""
        uuid = task.params["uuid"]
        if await self._database.read(lambda connection: bundle_of(connection, task)) is None:
            raise ExecutionError(GONE)
        # The folder first: whoever wants it killed from now on leaves word there.
        folder = await asyncio.to_thread(self._place.folders.make, uuid)
        params = await self._database.write(lambda connection: self._begin(connection, task))
        following = asyncio.ensure_future(self._follow(task))
        self._following.add(following)
        following.add_done_callback(self._following.discard)
        mark = [MARK, str(self._place.data_dir)]
        params |= {"folder": str(folder), "hidden": [str(each) for each in self._place.hidden], "mark": mark}
        return Call(ENTRIES[self.name], params, is_foreign=True)

    def _begin(self, connection: Connection, task: Task) -> dict[str, Any]:
        bundle = bundle_of(connection, task)
        if bundle is None or bundle.state in FINAL_STATES:
            raise ExecutionError(GONE)
        if "kill" in bundle.metadata.get("actions", ()):
            raise ExecutionError(KILL_REQUESTED)
        if bundle.bundle_type == RUN:
            self._demand(connection, read_account(connection, bundle.owner_id))
        if (problem := problem_of(connection, bundle)) is not None:
            raise ExecutionError(problem)
        usage = read_usage(connection, bundle.owner_id)
        time_left = None if usage.time_quota is None else max(0.0, usage.time_quota - usage.time_used)
        try:
            limits = limits_of(bundle.metadata, self._place.ceilings, time_left, disk_left(connection, bundle.owner_id))
        except ValueError as error:
            raise ExecutionError(str(error)) from None
        self._note_begin(connection, bundle)
        return {
            "command": bundle.command or "",
            "dependencies": self._dependencies(connection, bundle),
            "limits": limits.as_params(),
            "exclude_patterns": _patterns(bundle),
        }

    def _note_begin(self, connection: Connection, bundle: Bundle) -> None:
        if bundle.bundle_type == MAKE:
            update_bundle(connection, bundle, state=MAKING)
            return
        moment, host = int(time.time()), socket.gethostname()
        metadata = {
            "started": moment,
            "last_updated": moment,
            "remote": host,
            "remote_history": [*bundle.metadata.get("remote_history", ()), host],
            "run_status": "Starting.",
            "docker_image": bundle.metadata.get("request_docker_image") or None,
        }
        update_bundle(connection, bundle, state=STARTING, metadata=metadata)

    def _dependencies(self, connection: Connection, bundle: Bundle) -> list[dict[str, Any]]:
        parents = read_bundles(connection, [each.parent_uuid for each in bundle.dependencies])
        store = self._place.folders.store
        found = []
        for each in bundle.dependencies:
            location = parents[each.parent_uuid].location
            root = None if location is None else str(store.path(location))
            found.append({**each.__dict__, "root": root})
        return found

    # -- while it runs -----------------------------------------------------------------------------------------------

    async def _follow(self, task: Task) -> None:
        """Write what the child says of its work into the bundle; in the end its folder goes."""
        try:
            await self._note_progress(task)
            await self.settle(task.params["uuid"])
        except Unavailable:
            # The workspace stops.
            return

    async def _note_progress(self, task: Task) -> None:
        stage, stored = None, 0.0
        with self._engine.hub.subscribe([task.key]) as subscription:
            while True:
                for seen in await subscription.changes():
                    if seen.state.is_final or seen.state.attempt != task.state.attempt:
                        return
                    progress = seen.progress or {}
                    is_due = time.monotonic() - stored > STORE_SECONDS
                    if progress.get("stage") in STAGES and (progress["stage"] != stage or is_due):
                        stage, stored = progress["stage"], time.monotonic()
                        await self._note(task, progress)

    async def _note(self, task: Task, progress: Mapping[str, Any]) -> None:
        await self._database.write(lambda connection: self._store_progress(connection, task, progress))

    def _store_progress(self, connection: Connection, task: Task, progress: Mapping[str, Any]) -> None:
        bundle = bundle_of(connection, task)
        if bundle is None or bundle.state not in ACTIVE_STATES or bundle.state == FINALIZING:
            return
        state, status = STAGES[progress["stage"]]
        usage = {key: progress[key] for key in ("time", "memory", "memory_max") if key in progress}
        metadata = {**usage, "run_status": status, "last_updated": int(time.time())}
        update_bundle(connection, bundle, state=state, metadata=metadata)

    # -- its end -----------------------------------------------------------------------------------------------------

    async def publish(self, task: Task, result: Any) -> dict[str, Any]:
        """Move what was made into the store; the record follows in the transaction in which the task ends."""
        uuid = task.params["uuid"]
        measured = {key: result[key] for key in ("content_type", "size", "data_hash")}
        location = await asyncio.to_thread(self._place.folders.publish, uuid, measured)
        return {**result, "uuid": uuid, "location": location}

    def on_end(self, connection: Connection, task: Task) -> None:
        """Bring the bundle to its final state; one that was cut off is *finalizing* until what it left is kept."""
        bundle = bundle_of(connection, task)
        if bundle is None or bundle.state in FINAL_STATES:
            return
        if task.state.status == "success":
            self._finish(connection, bundle, task.state.result)
            return
        message = KILL_REQUESTED if task.state.cancelled_by else task.state.error or "the work failed"
        if bundle.state in WAITING_STATES:
            end(connection, bundle, message)
        else:
            update_bundle(connection, bundle, state=FINALIZING, metadata={"failure_message": message})

    def _finish(self, connection: Connection, bundle: Bundle, result: Mapping[str, Any]) -> None:
        bundle = adopt(connection, bundle, result["location"], as_measured(dict(result)))
        if bundle.bundle_type == MAKE:
            update_bundle(connection, bundle, state=READY)
            return
        charge_time(connection, bundle.owner_id, result["time"])
        keys = ("time", "time_user", "time_system", "memory_max", "exitcode")
        facts = {key: result[key] for key in keys if result[key] is not None}
        facts |= {"last_updated": int(time.time()), "memory": None, "time_running": result["time"]}
        end(connection, bundle, result["failure_message"], **facts)

    async def discard(self, task: Task) -> None:
        """Keep what an attempt has left that was cut off, if its task has ended; else the next start does."""
        await self.settle(task.params["uuid"], is_dead=True)

    async def settle(self, uuid: str, is_dead: bool = False) -> None:
        """Bring a bundle whose task has ended without a result to its end, with what there is of contents.

        ``is_dead``: its processes are known to have ended; else nothing is done while they may not have.
        """
        lock = self._settling.setdefault(uuid, asyncio.Lock())
        async with lock:
            await self._settle(uuid, is_dead)

    async def _settle(self, uuid: str, is_dead: bool) -> None:
        bundle, is_over = await self._database.read(lambda connection: _to_settle(connection, uuid))
        if bundle is None:
            if is_over:
                await asyncio.to_thread(self._place.folders.remove, uuid)
            return
        if not is_dead and bundle.task_key is not None and self._engine.is_running(bundle.task_key):
            return
        kept = await asyncio.to_thread(self._keep, bundle)

        def work(connection: Connection) -> None:
            found, _ = _to_settle(connection, uuid)
            if found is None:
                return
            if kept is not None:
                found = adopt(connection, found, *kept)
            charge_time(connection, found.owner_id, float(found.metadata.get("time") or 0))
            end(connection, found, found.metadata.get("failure_message") or CUT_OFF)

        await self._database.write(work)
        await asyncio.to_thread(self._place.folders.remove, uuid)

    def _keep(self, bundle: Bundle) -> tuple[str, Measured] | None:
        folders = self._place.folders
        if bundle.bundle_type == MAKE:
            # Half of a copy is nothing.
            folders.take_back(bundle.uuid)
            return None
        try:
            return folders.keep(bundle.uuid, _patterns(bundle))
        except (OSError, ExecutionError, RecursionError) as error:
            self._log.warning("Bundle %s: what it has left cannot be kept: %s", bundle.uuid, error)
            return None

    async def stop(self) -> None:
        """Follow nothing any more."""
        for following in list(self._following):
            following.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)


def bundle_of(connection: Connection, task: Task) -> Bundle | None:
    """Return the bundle that a task is for; None if it is gone, or belongs to another task."""
    bundle = read_bundle(connection, task.params["uuid"])
    return bundle if bundle is not None and bundle.task_key == task.key else None


def _patterns(bundle: Bundle) -> list[str]:
    return [str(each) for each in bundle.metadata.get("exclude_patterns") or ()]


def end(connection: Connection, bundle: Bundle, message: str | None, **facts: Any) -> None:
    """Bring a bundle to its final state; ``message`` says what went wrong, if anything did."""
    state = READY if message is None else KILLED if KILL_REQUESTED in message else FAILED
    status = {"run_status": FINISHED} if bundle.bundle_type == RUN and bundle.state not in WAITING_STATES else {}
    metadata = {**facts, **status, "failure_message": message, "staged_status": None}
    update_bundle(connection, bundle, state=state, metadata=metadata)


def _to_settle(connection: Connection, uuid: str) -> tuple[Bundle | None, bool]:
    """Return a bundle that is at work by its record, but whose task has ended or is gone; and if it is over at all."""
    bundle = read_bundle(connection, uuid)
    if bundle is None or bundle.state in FINAL_STATES:
        return None, True
    task = tasks.read_task(connection, bundle.task_key) if bundle.task_key else None
    is_cut_off = bundle.state in ACTIVE_STATES and (task is None or task.state.is_final)
    return (bundle if is_cut_off else None), False
