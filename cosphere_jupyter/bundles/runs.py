"""Runs and makes: who may start them, what they wait for, ending them, writing into them, their folders.

Source: the CodaLab API's semantics, section 7.
"""

from __future__ import annotations

import asyncio
from functools import partial
from logging import Logger
from pathlib import Path
from typing import Protocol

from jupyter_core.paths import jupyter_runtime_dir
from sqlalchemy import Connection

from ..accounts.service import Account, read_account
from ..database.changes import Version
from ..database.engine import Database
from ..errors import AccessDenied, Unavailable
from ..tasks import records as tasks
from ..tasks.engine import TaskEngine
from . import staging
from .access import user_name_of
from .problems import Refused
from .records import (
    ACTIVE_STATES,
    FINAL_STATES,
    FINALIZING,
    RUNNING,
    Bundle,
    read_bundle,
    read_bundles,
    update_bundle,
)
from .run_folders import RunFolders
from .run_limits import KILL_REQUESTED, read_ceilings
from .running import BundleTask, Place, end
from .staging import MAKE, RUN
from .store import BundleStore
from .tables import bundles
from .usage import read_usage

# Who may start runs, as the setting says it.
NOBODY, OWNER, EVERYONE = "nobody", "owner", "everyone"
ALLOWED = (OWNER, EVERYONE, NOBODY)
ACTION_REFUSED = (
    "Cannot execute this action on a bundle that is in the following states: ready, failed, killed. Kill action can be "
    "executed on bundles in created, uploading, staged, making, starting, running, preparing, or finalizing state."
)
# How often it is asked, without the database, whether bundles have changed; only while something waits for them.
WATCH_SECONDS = 0.2
# How often all that waits is looked at though nothing seems to have changed.
SWEEP_SECONDS = 30.0
RETRY_SECONDS = 1.0
# A run that was told to end and has not is ended together with the process that watches it.
PATIENCE_SECONDS = 6.0
# Keeping what it has left may take longer.
FINALIZING_SECONDS = 60.0
# Bundles that are taken further in one transaction.
AT_ONCE = 50


class RunSettings(Protocol):
    """What the workspace's settings say of runs."""

    @property
    def data_dir(self) -> Path:
        """The workspace's own folder, which no command sees."""

    @property
    def allow_runs(self) -> str:
        """One of `ALLOWED`."""

    @property
    def run_limits(self) -> tuple[str, str, str]:
        """The most time, memory and disk of one run, as ``3h`` and ``2g``; empty: no limit."""


class Runs:
    """The runs and makes of the workspace."""

    def __init__(self, database: Database, engine: TaskEngine, place: Place, allowed: str, log: Logger) -> None:
        """``allowed`` is one of `ALLOWED`: who may start runs, which are programs with the server's own rights."""
        self._database = database
        self._engine = engine
        self._place = place
        self._allowed = allowed
        self._log = log
        self._owner_id: int | None = None
        self._kinds = {name: BundleTask(name, database, engine, place, self.demand, log) for name in (RUN, MAKE)}
        for kind in self._kinds.values():
            engine.register(kind)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._is_waiting = True
        self._watching: asyncio.Task[None] | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @classmethod
    def build(
        cls, database: Database, engine: TaskEngine, store: BundleStore, settings: RunSettings, log: Logger
    ) -> Runs:
        """Return the runs of a workspace with these settings; ``ValueError`` if a limit cannot be read."""
        # The workspace's keys, and the tokens of Jupyter servers.
        hidden = (settings.data_dir, Path(jupyter_runtime_dir()))
        place = Place(RunFolders(store), settings.data_dir, hidden, read_ceilings(*settings.run_limits))
        return cls(database, engine, place, settings.allow_runs, log)

    # -- life ------------------------------------------------------------------------------------------------------

    async def begin(self, owner_id: int) -> None:
        """Bring what a former server left to its end, and watch what waits; after the engine has recovered.

        ``owner_id`` is the account of this server's owner.
        """
        self._owner_id = owner_id
        self._loop = asyncio.get_running_loop()
        unfinished = [row["uuid"] for row in await self._database.read(staging.unfinished)]
        # Also folders of bundles that are gone.
        for uuid in dict.fromkeys([*unfinished, *await asyncio.to_thread(self._place.folders.uuids)]):
            try:
                await self._kinds[RUN].settle(uuid)
            except Exception:
                # Whatever a command has made of its folder: the workspace opens.
                self._log.exception("Bundle %s: what a former server left of it cannot be tidied up", uuid)
        self._news.set()
        self._watching = asyncio.ensure_future(self._watch())

    async def stop(self) -> None:
        """Watch nothing any more; runs that are tasks are the engine's."""
        for timer in self._timers.values():
            timer.cancel()
        waiting = [*self._ending, *([self._watching] if self._watching else [])]
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for kind in self._kinds.values():
            await kind.stop()

    # -- starting --------------------------------------------------------------------------------------------------

    def start(self, connection: Connection, bundle: Bundle) -> Bundle:
        """Take a new run or make in, in the transaction that stores it, and return it as it is then.

        Raises:
            AccessDenied: the owner may not start runs here.
            QuotaExceeded: the owner's time is used up.
        """
        account = read_account(connection, bundle.owner_id)
        if bundle.bundle_type == RUN:
            self.demand(connection, account)
            staging.demand_time(read_usage(connection, account.id))
        bundle = staging.stage(connection, bundle)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._news.set)
        return bundle

    def may_run(self, account: Account) -> bool:
        """Whether an account may start runs here."""
        return self._allowed == EVERYONE or (
            self._allowed == OWNER and (account.is_admin or account.id == self._owner_id)
        )

    def demand(self, connection: Connection, account: Account) -> None:
        """Raise ``AccessDenied`` unless an account may start runs here."""
        if not (account.is_active and self.may_run(account)):
            name = user_name_of(connection, account)
            raise AccessDenied(
                f"User {name} may not start runs on this server: its operator has not allowed it "
                "(CosphereApp.allow_runs)."
            )

    # -- waiting ---------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Take what waits further whenever bundles have changed, and now and then at any rate."""
        seen: Version | None = None
        looked = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                await asyncio.wait_for(self._news.wait(), WATCH_SECONDS if self._is_waiting else SWEEP_SECONDS)
            except asyncio.TimeoutError:
                version = self._database.changes.of((bundles.name,))
                if version is not None and version == seen and loop.time() - looked < SWEEP_SECONDS:
                    continue
            self._news.clear()
            seen, looked = self._database.changes.of((bundles.name,)), loop.time()
            try:
                await self._take_further()
            except Exception:
                self._log.exception("Runs that wait cannot be taken further now; trying again")
                await asyncio.sleep(RETRY_SECONDS)
                self._news.set()

    async def _take_further(self) -> None:
        # After the transaction that has called us, if it is still being written.
        await self._database.write(lambda connection: None)
        ripe = await self._database.read(staging.ripe)
        for start in range(0, len(ripe), AT_ONCE):
            await self._database.write(partial(_stage_all, uuids=ripe[start : start + AT_ONCE]))
        self._is_waiting = await self._database.read(staging.is_waiting)
        self._engine.wake()

    # -- ending ----------------------------------------------------------------------------------------------------

    async def kill(self, bundle: Bundle) -> None:
        """End a bundle that has not ended: at once if nothing is at work on it, else within some seconds.

        Raises:
            Refused: it has ended.
        """
        key = await self._database.write(lambda connection: self._kill(connection, bundle.uuid))
        if key is not None:
            self._engine.kill(key, bundle.owner_id)
        await asyncio.to_thread(self._place.folders.request_kill, bundle.uuid, KILL_REQUESTED)
        await self._kinds[RUN].settle(bundle.uuid)
        self._insist(bundle.uuid)

    def _kill(self, connection: Connection, uuid: str) -> str | None:
        """Note the wish; returns the key of the task if it waits for its slot, and has been ended."""
        bundle = read_bundle(connection, uuid)
        if bundle is None or bundle.state in FINAL_STATES:
            raise Refused(ACTION_REFUSED)
        if bundle.task_key is None:
            end(connection, bundle, KILL_REQUESTED)
            return None
        actions = list(bundle.metadata.get("actions") or ())
        bundle = update_bundle(connection, bundle, metadata={"actions": [*actions, "kill"]})
        task = tasks.read_task(connection, bundle.task_key) if bundle.task_key else None
        if task is None or task.state.is_final:
            if bundle.state in ACTIVE_STATES:
                update_bundle(connection, bundle, state=FINALIZING, metadata={"failure_message": KILL_REQUESTED})
            else:
                end(connection, bundle, KILL_REQUESTED)
            return None
        return self._cancel(connection, bundle) if task.state.status == "queued" or bundle.bundle_type == MAKE else None

    def _cancel(self, connection: Connection, bundle: Bundle) -> str | None:
        if bundle.task_key is None:
            return None
        owner = read_account(connection, bundle.owner_id)
        ended = tasks.cancel(connection, bundle.task_key, owner.email)
        if ended is not None:
            self._engine.ended(connection, ended)
        return bundle.task_key

    def _insist(self, uuid: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Look later whether a run that was told to end has ended, and end it by force if not."""

        def look() -> None:
            self._timers.pop(uuid, None)
            ending = asyncio.ensure_future(self._force(uuid, is_last=seconds > PATIENCE_SECONDS))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

        if uuid not in self._timers:
            self._timers[uuid] = asyncio.get_running_loop().call_later(seconds, look)

    async def _force(self, uuid: str, is_last: bool) -> None:
        def work(connection: Connection) -> Bundle | None:
            bundle = read_bundle(connection, uuid)
            if bundle is None or bundle.state in FINAL_STATES:
                return None
            if bundle.state != FINALIZING or is_last:
                self._cancel(connection, bundle)
            return bundle

        try:
            bundle = await self._database.write(work)
        except Unavailable:
            return
        if bundle is None or bundle.task_key is None:
            return
        if bundle.state == FINALIZING and not is_last:
            self._insist(uuid, FINALIZING_SECONDS)
        else:
            self._engine.kill(bundle.task_key, bundle.owner_id)
            if not self._engine.is_running(bundle.task_key):
                await self._kinds[RUN].settle(uuid)

    # -- what a running bundle holds ---------------------------------------------------------------------------------

    async def write(self, bundle: Bundle, subpath: str, text: str) -> None:
        """Put a small file into a running bundle.

        Raises:
            Refused: it does not run, or there is no such place in it.
        """
        if bundle.state in FINAL_STATES:
            raise Refused(ACTION_REFUSED)
        if bundle.state != RUNNING or self.live_folder(bundle) is None:
            raise Refused(f"Cannot write to bundle {bundle.uuid}: it is {bundle.state}, not running.")
        await asyncio.to_thread(self._place.folders.write, bundle.uuid, subpath, text)

    def live_folder(self, bundle: Bundle) -> Path | None:
        """Return the folder in which a run is at work; None if it is not, or not yet."""
        if bundle.bundle_type != RUN or bundle.state not in (RUNNING, FINALIZING) or bundle.location is not None:
            return None
        return self._place.folders.work(bundle.uuid)


def _stage_all(connection: Connection, uuids: list[str]) -> None:
    for bundle in read_bundles(connection, uuids).values():
        staging.stage(connection, bundle)
