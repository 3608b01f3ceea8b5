"""The rules of download requests: who shares one, when it runs, when it is cancelled and revived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..accounts.service import Account, read_account
from ..catalogue.service import Catalogue, CatalogueItem
from ..database.engine import Database
from ..database.schema import now
from ..errors import Conflict, ModelInvalid, NotFound
from ..executors.base import Query
from ..results.folder import FolderStore
from ..tasks import records
from ..tasks.engine import TaskEngine
from ..tasks.hub import Subscription
from ..tasks.records import Task
from . import spec as rules
from .estimate import Estimate, quick_estimate
from .quota import charge, check_quota
from .reading import DownloadRequest as DownloadRequest
from .reading import read_request_of_task as read_request_of_task
from .reading import read_requests_after as read_requests_after
from .reading import requests_from_rows, waited_for
from .retention import is_use_due
from .tables import download_requests, download_waiters

TASK_NAME = "download"
MAX_ATTEMPTS = 10
# How long news of a running task wait for its end.
SETTLING_SECONDS = 0.1


class Versions(Protocol):
    """Says which version of its data an item has now; asking again after a change gives another answer."""

    async def __call__(self, item: CatalogueItem) -> str:
        """Return the version, at most 64 characters."""


class Downloads:
    """All that is done with download requests, for every face."""

    def __init__(
        self, database: Database, catalogue: Catalogue, engine: TaskEngine, store: FolderStore, version_of: Versions
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._engine = engine
        self._store = store
        self._version_of = version_of
        catalogue.before_delete(self._guard_item)

    async def read_or_create(
        self, item_id: int, spec: Mapping[str, Any], caller: Account
    ) -> tuple[DownloadRequest, bool]:
        """Return the request for this selection with ``caller`` among its waiters, and whether it is new.

        An equal request is shared whoever made it; one that was cancelled, failed, or lost its result runs again.
        ``QuotaExceeded`` if there is no room for a result that would be made for the caller, or taken over by them.
        """
        item, query = await self.select(item_id, spec, caller)
        version = await self._version_of(item)
        identity = rules.fingerprint(item, query, version)

        def look(connection: Connection) -> tuple[DownloadRequest | None, Estimate | None]:
            found = self._find_ready(connection, identity, caller)
            return found, None if found else quick_estimate(connection, item, query, version)

        found, expected = await self._database.read(look)
        if found:
            return found, False
        values = {"catalogue_item_id": item.id, "spec": spec, "fingerprint": identity, "data_version": version}
        values["estimated_size"] = expected.size if expected else None
        try:
            request, created, gone = await self._database.write(
                lambda connection: self._join(connection, values, expected, caller)
            )
        except IntegrityError:
            # The item was deleted while its data were looked at.
            raise ModelInvalid(
                {"catalogue_item": [f"catalogue item instance with id {item_id} does not exist."]}
            ) from None
        self._engine.wake([request.task.key] if request.task else [])
        if request.task and request.task.owner_id != caller.id:
            self._engine.hub.share(caller.id, request.task.key)
        await self._remove(gone)
        return request, created

    async def select(self, item_id: int, spec: Mapping[str, Any], caller: Account) -> tuple[CatalogueItem, Query]:
        """Return the item and the query that a well-formed spec asks of it; ``ModelInvalid`` by the model rules."""
        try:
            item = await self._catalogue.read(item_id, caller)
        except NotFound:
            raise ModelInvalid(
                {"catalogue_item": [f"catalogue item instance with id {item_id} does not exist."]}
            ) from None
        query = rules.select(item, spec)
        if isinstance(query, str):
            raise ModelInvalid({"__all__": [query]})
        return item, query

    async def bulk_read(self, caller: Account, limit: int | None = None, offset: int = 0) -> list[DownloadRequest]:
        """Return the requests that the caller waits for, by id."""
        query = waited_for(caller).order_by(download_requests.c.id).limit(limit).offset(offset)
        return await self._database.read(
            lambda connection: requests_from_rows(connection, connection.execute(query).all())
        )

    async def read(self, request_id: int, caller: Account) -> DownloadRequest:
        """Return a request that the caller waits for, or raise ``NotFound``."""
        query = waited_for(caller).where(download_requests.c.id == request_id)
        found = await self._database.read(
            lambda connection: requests_from_rows(connection, connection.execute(query).all())
        )
        if not found:
            raise NotFound("download request")
        return found[0]

    async def wait(self, request_id: int, caller: Account, seconds: float) -> DownloadRequest:
        """Return the request when it is settled, soon after its next change, or after ``seconds``.

        A change that may be the last but one is told `SETTLING_SECONDS` later: who waits for a short task asks once.
        """
        request = await self.read(request_id, caller)
        if request.task is None or request.is_settled:
            return request
        with self._engine.hub.subscribe([request.task.key]) as subscription:
            request = await self.read(request_id, caller)
            if request.task is None or request.is_settled:
                return request
            await self._change_of(request.task, subscription, seconds)
        return await self.read(request_id, caller)

    async def _change_of(self, task: Task, subscription: Subscription, seconds: float) -> None:
        end, is_told = time.monotonic() + seconds, False
        while changes := await subscription.changes(end - time.monotonic()):
            newest = changes[-1]
            if newest.state.is_final:
                return
            if not is_told and (newest.state, newest.progress) != (task.state, task.progress):
                end, is_told = min(end, time.monotonic() + SETTLING_SECONDS), True

    async def leave(self, request_id: int, caller: Account) -> None:
        """Take the caller off the waiters; when nobody is left the request is cancelled and its work killed."""
        key, is_cancelled = await self._database.write(lambda connection: self._leave(connection, request_id, caller))
        if key is not None:
            self._engine.hub.unshare(caller.id, key)
            if is_cancelled:
                self._engine.kill(key)

    async def _remove(self, names: Sequence[str]) -> None:
        """Remove the files of results that no request names any more."""
        for name in names:
            await asyncio.to_thread(self._store.delete, name)

    async def sweep(self) -> list[str]:
        """Remove folders of results that no request and no task names and no attempt writes; returns their names."""
        names = await asyncio.to_thread(self._store.names)
        doubtful = [name for name in names if not self._engine.is_running(task_key_of(name))]
        wanted = await self._database.read(_wanted_results)
        unwanted = [name for name in doubtful if name not in wanted]
        for name in unwanted:
            await asyncio.to_thread(self._store.discard, name)
        return unwanted

    # -- inside transactions ---------------------------------------------------------------------------------------

    def _find_ready(self, connection: Connection, identity: str, caller: Account) -> DownloadRequest | None:
        """The request, if the caller waits for it already and nothing has to be done."""
        query = waited_for(caller).where(
            download_requests.c.fingerprint == identity, download_requests.c.is_cancelled.is_(False)
        )
        found = requests_from_rows(connection, connection.execute(query).all())
        if not found or self._needs_run(found[0]) or is_use_due(found[0].used_at):
            return None
        return found[0]

    def _needs_run(self, request: DownloadRequest) -> bool:
        if request.task is not None and not request.task.state.is_final:
            return False
        return request.blob_name is None or not self._store.exists(request.blob_name)

    def _join(
        self, connection: Connection, values: dict[str, Any], expected: Estimate | None, caller: Account
    ) -> tuple[DownloadRequest, bool, list[str]]:
        by_identity = select(download_requests).where(download_requests.c.fingerprint == values["fingerprint"])
        row = connection.execute(by_identity).one_or_none()
        created = row is None
        if row is None:
            moment = now()
            new = {"created_by_id": caller.id, "is_cancelled": False, "created_at": moment, "updated_at": moment}
            statement = insert(download_requests).values(**values, **new).returning(download_requests.c.id)
            request_id = connection.execute(statement).scalar_one()
            self._add_waiter(connection, request_id, caller)
        else:
            request_id = row.id
            if not self._is_waiter(connection, request_id, caller):
                self._add_waiter(connection, request_id, caller)
        gone = self._revive(connection, request_id, expected, caller)
        by_id = select(download_requests).where(download_requests.c.id == request_id)
        return requests_from_rows(connection, connection.execute(by_id).all())[0], created, gone

    def _is_waiter(self, connection: Connection, request_id: int, caller: Account) -> bool:
        waits = (download_waiters.c.request_id == request_id) & (download_waiters.c.account_id == caller.id)
        return connection.execute(select(download_waiters.c.account_id).where(waits)).first() is not None

    def _add_waiter(self, connection: Connection, request_id: int, caller: Account) -> None:
        row = {"request_id": request_id, "account_id": caller.id, "created_at": now()}
        connection.execute(insert(download_waiters).values(row))

    def _revive(self, connection: Connection, request_id: int, expected: Estimate | None, caller: Account) -> list[str]:
        """Make a request count again, and run if it has no result; returns the results that had to go for its own."""
        this = download_requests.c.id == request_id
        row = connection.execute(select(download_requests).where(this)).one()
        request = requests_from_rows(connection, [row])[0]
        changes: dict[str, Any] = {"is_cancelled": False} if request.is_cancelled else {}
        gone: list[str] = []
        if self._needs_run(request):
            check_quota(connection, caller, expected)
            # What its owner is told of it, and asks again with.
            told = {"catalogue_item_id": request.item.id, "catalogue_item": request.item.name, "spec": request.spec}
            key = records.enqueue(
                connection,
                TASK_NAME,
                {"request_id": request_id, "fingerprint": request.fingerprint, **told},
                caller.id,
                is_idempotent=True,
                max_attempts=MAX_ATTEMPTS,
            )
            changes |= {"task_key": key, "executor_job_id": None, "blob_name": None, "real_size": None, "result": None}
            changes |= {"charged_to_id": None, "charged_size": None}
        else:
            if request.is_cancelled and row.charged_to_id != caller.id:
                gone = charge(connection, caller, request_id, request.real_size or 0)
            if is_use_due(request.used_at):
                changes["used_at"] = now()
        if changes:
            connection.execute(update(download_requests).where(this).values(**changes, updated_at=now()))
        return gone

    def _leave(self, connection: Connection, request_id: int, caller: Account) -> tuple[str | None, bool]:
        """Return the key of the request's task, and whether it was cancelled."""
        row = connection.execute(select(download_requests).where(download_requests.c.id == request_id)).one_or_none()
        if row is None:
            raise NotFound("download request")
        is_last = self._take_off(connection, request_id, caller)
        cancelled = records.cancel(connection, row.task_key, caller.email) if is_last and row.task_key else None
        return row.task_key, cancelled is not None

    def _take_off(self, connection: Connection, request_id: int, caller: Account) -> bool:
        """Take the caller off the waiters; when nobody is left the request is cancelled, and this says so."""
        waiting = download_waiters.c.request_id == request_id
        connection.execute(delete(download_waiters).where(waiting, download_waiters.c.account_id == caller.id))
        if connection.execute(select(func.count()).select_from(download_waiters).where(waiting)).scalar_one():
            return False
        connection.execute(
            update(download_requests)
            .where(download_requests.c.id == request_id)
            .values(is_cancelled=True, updated_at=now())
        )
        return True

    # The requests' tasks, for whoever knows of tasks only; see ``SharedTasks``.

    def waited_for(self, connection: Connection, keys: Sequence[str], caller: Account) -> set[str]:
        """Return those of the keys that are tasks of requests which the caller waits for, and may see."""
        query = waited_for(caller).where(download_requests.c.task_key.in_(keys))
        return {row.task_key for row in connection.execute(query)}

    def keys_of(self, caller: Account) -> Select[tuple[str]]:
        """Return the query of the keys of the tasks of all requests that the caller waits for, and may see."""
        keys = waited_for(caller).with_only_columns(download_requests.c.task_key)
        return keys.where(download_requests.c.task_key.is_not(None))

    def leave_task(self, connection: Connection, key: str, caller: Account) -> bool:
        """Take the caller off the waiters of a task's request; whether others go on waiting for it."""
        this = select(download_requests.c.id).where(download_requests.c.task_key == key)
        request_id = connection.execute(this).scalar()
        return request_id is not None and not self._take_off(connection, request_id, caller)

    def _guard_item(self, connection: Connection, item_id: int) -> Callable[[], Awaitable[None]]:
        """Refuse while somebody waits; returns what removes the results' files once the requests are gone."""
        alive = select(func.count()).where(
            download_requests.c.catalogue_item_id == item_id, download_requests.c.is_cancelled.is_(False)
        )
        count = connection.execute(alive).scalar_one()
        if count:
            # The spelling is the API's.
            raise Conflict("NOT_CANCELLED_DOWNLOAD_REQEUSTS_DETECTED", item_id=item_id, not_cancelled_count=count)
        kept = select(download_requests.c.blob_name).where(
            download_requests.c.catalogue_item_id == item_id, download_requests.c.blob_name.is_not(None)
        )
        names = connection.execute(kept).scalars().all()
        return lambda: self._remove(names)


def tasks_in_use() -> Select[Any]:
    """Return the query for the keys of the tasks that requests name: these are kept as long as the requests are."""
    return select(download_requests.c.task_key).where(download_requests.c.task_key.is_not(None))


def _wanted_results(connection: Connection) -> set[str]:
    query = select(download_requests.c.blob_name).where(download_requests.c.blob_name.is_not(None))
    return {*connection.execute(query).scalars(), *records.result_names(connection)}


def task_key_of(result_name: str) -> str:
    """Return the key of the task that wrote (or writes) a result."""
    return result_name.rsplit("/", 1)[-1].rsplit("-", 1)[0]


def result_name(task: Task) -> str:
    """Return where an attempt puts its result: attempts never share a folder."""
    fingerprint = task.params["fingerprint"]
    return f"{fingerprint[:2]}/{fingerprint}/{task.key}-{task.state.attempt}"


def has_quota(connection: Connection, task: Task) -> bool:
    """Whether the owner of a task has a disk quota, so that `charge_result` may refuse what it has made."""
    return task.owner_id is not None and read_account(connection, task.owner_id).disk_quota is not None


def charge_result(connection: Connection, task: Task, size: int) -> list[str]:
    """Charge what a task has made, before it is visible, to the task's owner; see ``quota.charge``."""
    request = read_request_of_task(connection, task)
    if task.owner_id is None:
        return []
    return charge(connection, read_account(connection, task.owner_id), request.id, size)


def store_result(connection: Connection, task: Task) -> None:
    """Write what a successful task has made into its request."""
    result = task.state.result
    values = {
        "blob_name": result["name"],
        "real_size": result["bytes"],
        "executor_job_id": result["name"].rsplit("/", 1)[-1],
        "result": result,
        "charged_to_id": task.owner_id,
        "charged_size": None if task.owner_id is None else result["bytes"],
        "used_at": now(),
        "updated_at": now(),
    }
    connection.execute(update(download_requests).where(download_requests.c.task_key == task.key).values(values))
