"""All rooms of one workspace, put together: what the settings build and the handlers use.

Nothing here opens a file before ``ready()`` is first awaited, so that a server starts as fast without us as with us.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from logging import Logger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ExecutionError, ModelInvalid, Unavailable
from .workspace_bundles import BundleRooms

if TYPE_CHECKING:
    from .accounts.providers import Provider
    from .accounts.service import Account

SWEEP_RESULTS_SECONDS = 300.0
# After a failed opening: everybody who asks gets the same answer for so long.
TRY_AGAIN_SECONDS = 5.0
DESCRIBE_SECONDS = 60.0


@dataclass(frozen=True)
class Settings:
    """What can be set; the traits of ``CosphereApp`` say it with help texts. Sizes in bytes, times in seconds."""

    data_dir: Path
    data_folders: tuple[Path, ...]
    max_tasks: int = 2
    max_tasks_per_account: int = 0
    duckdb_memory_limit: str = ""
    duckdb_threads: int = 0
    token_lifetime: int = 86400
    link_lifetime: int = 300
    results_ttl: int = 30 * 86400
    tasks_ttl: int = 7 * 86400
    results_max_size: int = 0
    child_idle_seconds: float = 60.0
    # Private hosts that tasks may fetch from, as host or host:port.
    fetch_hosts: tuple[str, ...] = ()
    # Whether whoever knows a task's key may read its status without a credential.
    open_task_statuses: bool = False
    # Who may start runs: owner, everyone or nobody; and the most time, memory and disk of one run.
    allow_runs: str = "owner"
    run_limits: tuple[str, str, str] = ("", "", "")
    # With what people may sign in on the page, besides what Jupyter itself knows them by.
    password_sign_in: bool = True
    providers: tuple[Provider, ...] = ()
    # The present instant, for everything of sign-in that expires.
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(timezone.utc))
    # What others learn of the process that owns the data directory.
    card: Callable[[], dict[str, Any]] = field(default=lambda: {"pid": os.getpid()})


class Services(BundleRooms):
    """The workspace. Attributes are there once ``ready()`` has returned."""

    def __init__(self, settings: Settings, log: Logger, *, runs_tasks: bool = True) -> None:
        """``runs_tasks=False`` is for the command line: it opens the directory for a moment and starts nothing."""
        self.settings = settings
        self.log = log
        self._runs_tasks = runs_tasks
        # Where queries spill what does not fit into memory; emptied at each start.
        self._scratch = settings.data_dir / "tmp"
        self._lock = asyncio.Lock()
        self._is_ready = False
        self._is_stopped = False
        self._refusal: Unavailable | None = None
        self._refused_until = 0.0
        self._sweeper: asyncio.Task[None] | None = None

    @staticmethod
    def mount(base_url: str) -> str:
        """Return the path below which everything is served, with slashes at both ends."""
        return f"{base_url.rstrip('/')}/cosphere/"

    async def ready(self) -> None:
        """Open the workspace if this has not happened; ``Unavailable`` if another process has it."""
        if self._is_ready:
            return
        async with self._lock:
            if self._is_stopped:
                raise Unavailable("the workspace is stopping")
            if not self._is_ready:
                await self._open()
                self._is_ready = True

    async def stop(self) -> None:
        """Kill running work (the next start takes it up again), finish writes, give the directory back."""
        async with self._lock:
            self._is_stopped = True
            if not self._is_ready:
                return
            self._is_ready = False
            if self._sweeper:
                self._sweeper.cancel()
            await self.runs.stop()
            await self.tasks.stop()
            self.accounts.close()
            self.openid.close()
            await asyncio.to_thread(self._close_database)

    def _close_database(self) -> None:
        self.database.close()
        self._ownership.release()

    # -- opening ---------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        if self._refusal is not None and time.monotonic() < self._refused_until:
            raise self._refusal
        try:
            await self._open_all()
        except Unavailable:
            await self._abandon()
            raise
        except Exception as error:
            await self._abandon()
            self.log.exception("The workspace in %s cannot be opened", self.settings.data_dir)
            text = "this workspace cannot be opened; the server's log says why"
            self._refusal = Unavailable(text, event="WORKSPACE_CANNOT_BE_OPENED")
            self._refused_until = time.monotonic() + TRY_AGAIN_SECONDS
            raise self._refusal from error

    async def _open_all(self) -> None:
        from .accounts.profiles import make_missing_profiles

        await asyncio.to_thread(self._take_directory)
        await asyncio.to_thread(self._open_database)
        self._build()
        await make_missing_profiles(self.database)
        await self._announce(await self.accounts.owner())
        if self._runs_tasks:
            await self._start()

    async def _abandon(self) -> None:
        """Let go of whatever a failed opening has got hold of."""
        if hasattr(self, "tasks"):
            await self.tasks.stop()
            del self.tasks
        if hasattr(self, "openid"):
            self.openid.close()
            del self.openid
        if hasattr(self, "accounts"):
            self.accounts.close()
            del self.accounts
        if hasattr(self, "database"):
            await asyncio.to_thread(self.database.close)
            del self.database
        if hasattr(self, "_ownership"):
            self._ownership.release()

    async def _start(self) -> None:
        await asyncio.to_thread(self._end_leftovers)
        await asyncio.to_thread(self._clear_scratch)
        await asyncio.to_thread(self.store.prune)
        await self.retention.expire()
        await self.task_retention.expire()
        await self.downloads.sweep()
        await self.profiles.sweep()
        await self.exports.sweep()
        await self.exports.give_defaults()
        await self.object_files.sweep()
        await self.uploads.sweep()
        await self.tasks.start()
        await self.runs.begin((await self.accounts.owner()).id)
        self._sweeper = asyncio.ensure_future(self._sweep_results())

    def _end_leftovers(self) -> None:
        from .tasks.children import end_leftovers

        if count := end_leftovers(str(self.settings.data_dir)):
            self.log.warning("Ended %d processes that tasks of a former server had left running", count)

    def _clear_scratch(self) -> None:
        for leftover in self._scratch.iterdir():
            shutil.rmtree(leftover, ignore_errors=True)

    async def _announce(self, account: Account) -> None:
        """Keep the card up to date for whom ``jupyter cosphere account`` speaks while the server runs."""
        self.task_credentials.forget()
        self.basic.forget()
        self.oauth.forget()
        owner = await self.accounts.owner()
        if account.id == owner.id:
            claims = {"id": owner.id, "email": owner.email, "type": owner.type, "epoch": owner.epoch}
            await asyncio.to_thread(self._ownership.announce, {**self.settings.card(), "account": claims})

    def _take_directory(self) -> None:
        from .database.ownership import Ownership

        data_dir = self.settings.data_dir
        for folder in (data_dir, data_dir / "keys", data_dir / "results", self._scratch):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        self._ownership = Ownership(data_dir)
        if not self._ownership.acquire(self.settings.card()):
            owner = self._ownership.owner()
            where = owner.get("url") or f"process {owner.get('pid', 'unknown')}"
            raise Unavailable(
                f"this workspace is served by another Jupyter server: {where}",
                event="WORKSPACE_IS_SERVED_ELSEWHERE",
                retry_after=1,
                url=owner.get("url"),
                pid=owner.get("pid"),
            )

    def _open_database(self) -> None:
        from .database.engine import Database
        from .database.filesystem import is_network, mount_type
        from .database.migrate import migrate

        kind = mount_type(self.settings.data_dir)
        if is_network(kind):
            self.log.warning(
                "The workspace's data directory %s lies on a network file system (%s): its database works without a "
                "write-ahead log there, which is slower. Set CosphereApp.data_dir to a folder of this machine.",
                self.settings.data_dir,
                kind,
            )
        self.database = Database(self.settings.data_dir / "cosphere.sqlite", shared_memory=not is_network(kind))
        migrate(self.database)

    def _build(self) -> None:
        from .accounts.basic import BasicAuthentication
        from .accounts.groups import Groups
        from .accounts.identity import IdentityChain
        from .accounts.limits import FailureLimits
        from .accounts.oauth import OAuthTokens
        from .accounts.openid import OpenIdSignIn
        from .accounts.passwords import Passwords
        from .accounts.service import Accounts
        from .accounts.sign_in import SignIn
        from .accounts.task_credentials import TaskCredentials
        from .accounts.tokens import TokenSigner, read_or_create_key
        from .accounts.verification import PasswordVerifier
        from .catalogue.profiles import Profiles, ProfileTask
        from .catalogue.service import Catalogue
        from .downloads.estimate import Estimates
        from .downloads.retention import Retention
        from .downloads.service import Downloads, tasks_in_use
        from .downloads.task import DownloadTask
        from .executors.duckdb.executor import DuckDBExecutor
        from .exports.results import ResultType
        from .exports.rows import own_tables
        from .exports.service import Exports
        from .exports.task import ExportTask
        from .named.kind import NamedTask
        from .named.registry import Registry
        from .named.service import NamedTasks
        from .named.starters import DownloadStarter, ExportStarter
        from .objects.actions import Actions
        from .objects.comments import ObjectComments
        from .objects.files import ObjectFiles
        from .objects.log import ObjectLog
        from .objects.permissions import ObjectPermissions
        from .objects.service import Objects
        from .permissions.service import forget_subject
        from .results.folder import FolderStore
        from .results.links import LinkSigner
        from .tasks.children import Children
        from .tasks.engine import TaskEngine
        from .tasks.journal import Journal
        from .tasks.retention import TaskRetention
        from .tasks.service import Tasks

        settings, keys = self.settings, self.settings.data_dir / "keys"
        signer = TokenSigner(read_or_create_key(keys / "jwt.key"), settings.token_lifetime)
        passwords = Passwords()
        self.accounts = Accounts(self.database, signer, passwords, self._announce)
        self.task_credentials = TaskCredentials(self.database)
        self.sign_in = SignIn(self.database, self.accounts, settings.clock)
        self.openid = OpenIdSignIn(
            self.database,
            self.sign_in,
            settings.providers,
            read_or_create_key(keys / "sign_in.key"),
            settings.clock,
            self.log,
        )
        limits = FailureLimits(self.database, settings.clock)
        self.password_verifier = PasswordVerifier(self.database, passwords, limits)
        self.basic = BasicAuthentication(self.database, self.password_verifier, settings.password_sign_in)
        self.oauth = OAuthTokens(self.database, read_or_create_key(keys / "oauth.key"), settings.clock)
        self.identity = IdentityChain(self.accounts, self.oauth, self.task_credentials, self.basic)
        self.groups = Groups(self.database, forget_subject)
        self.links = LinkSigner(read_or_create_key(keys / "links.key"), settings.link_lifetime)
        self.store = FolderStore(settings.data_dir / "results")
        self.duckdb = DuckDBExecutor(
            data_folders=settings.data_folders,
            excluded=(settings.data_dir,),
            memory_limit=settings.duckdb_memory_limit or _memory_share(settings.max_tasks),
            threads=settings.duckdb_threads or os.cpu_count() or 1,
        )
        # Code of others never runs in a process that the workspace's own work uses afterwards.
        idle = settings.child_idle_seconds
        mark = str(settings.data_dir)
        pools = {
            False: Children(self.log, (self.duckdb.warm_entry,), idle, mark),
            True: Children(self.log, (), idle, mark),
        }
        journal = Journal(settings.data_dir / "begun.log")
        self.tasks = TaskEngine(
            self.database, pools, self.store, journal, settings.max_tasks, self.log, settings.max_tasks_per_account
        )
        self.catalogue = Catalogue(self.database, self._describe)
        self.downloads = Downloads(self.database, self.catalogue, self.tasks, self.store, self._version_of)
        self.task_list = Tasks(self.database, self.tasks, self.store, shared=self.downloads)
        self.retention = Retention(self.database, self.store, settings.results_ttl, settings.results_max_size)
        self.task_retention = TaskRetention(
            self.database, self.store, settings.tasks_ttl, tasks_in_use(), self.tasks.forget_numbers
        )
        self.tasks.register(DownloadTask(self.database, self.store, self.duckdb, self._scratch))
        samples = settings.data_dir / "profiles"
        profiling = ProfileTask(self.database, self.duckdb, samples, self._scratch)
        self.tasks.register(profiling)
        self.profiles = Profiles(self.database, self.tasks, profiling, samples)
        self.estimates = Estimates(self.database, self.downloads, self.tasks, self.duckdb, self.profiles)
        self.exports = Exports(self.database, self.tasks, self.store)
        self.exports.register(*own_tables(self.database), ResultType(self.downloads, self.catalogue, self.store))
        self.tasks.register(ExportTask(self.database, self.store, self.exports))
        registry = Registry(self.tasks, self.log)
        self.tasks.register_fallback(NamedTask(registry, self.store, self._scratch, settings.fetch_hosts))
        self.named = NamedTasks(self.database, self.tasks, registry)
        self.named.offer(DownloadStarter(self.downloads))
        self.named.offer(ExportStarter(self.exports))
        self.actions = Actions(self.database)
        self.objects = Objects(self.database)
        self.object_permissions = ObjectPermissions(self.database)
        self.object_files = ObjectFiles(self.database, settings.data_dir / "files")
        self.object_comments = ObjectComments(self.database)
        self.object_log = ObjectLog(self.database)
        self._build_bundles()

    # -- what one room needs of another ----------------------------------------------------------------------------

    async def _describe(self, source: str) -> list[dict[str, Any]]:
        from .tasks.engine import Call

        params = await asyncio.to_thread(self.duckdb.describe_params, source)
        try:
            found = await self.tasks.call(Call(self.duckdb.describe_entry, params), DESCRIBE_SECONDS)
        except ExecutionError as error:
            raise ModelInvalid({"source": [str(error)]}) from None
        return list(found["columns"])

    async def _version_of(self, item: Any) -> str:
        if item.executor_type != "DUCKDB":
            return ""
        source = await asyncio.to_thread(self.duckdb.resolve, item.source)
        return str(source.version)

    async def _sweep_results(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_RESULTS_SECONDS)
            try:
                await self.task_retention.expire()
                gone = [*await self.retention.expire(), *await self.downloads.sweep()]
                await self.profiles.sweep()
                await self.exports.sweep()
            except Exception:
                self.log.exception("The result store could not be swept")
            else:
                if gone:
                    self.log.info("Removed %d results: expired, or named by nothing", len(gone))


def _memory_share(tasks: int) -> str:
    """Return what one query may use: six tenths of the machine's memory, shared among the tasks that run at once."""
    import psutil

    return f"{int(psutil.virtual_memory().total * 0.6 / max(tasks, 1) / 2**20)}MiB"
