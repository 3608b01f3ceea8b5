"""Who wants to know when a task changes, and telling them without holding up the event loop.

A change marks a key as dirty; one pump reads the dirty keys that somebody watches in one database read and gives the
same `Task` objects to all of their subscribers. A slow subscriber gets the newest state of each task, not every one.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from logging import Logger
from typing import Any, TypeVar

from ..errors import Unavailable
from .records import Task

Read = Callable[[list[str]], Awaitable[dict[str, Task]]]
Place = TypeVar("Place", str, int)
# What only grows in the life of a task: whether it has ended, its attempt, whether it waits for the next one.
Age = tuple[bool, int, bool]

# Subscribers that are told before the event loop gets its next turn.
CHUNK = 50
# Keys of one database read.
READ_LIMIT = 500
# Tasks that are held for a subscriber who does not come for them; of further ones only the keys are held.
HELD_LIMIT = 200
RETRY_SECONDS = 1.0


class Subscription:
    """The changes of some tasks, or of all tasks of an account, since it was made."""

    def __init__(self, hub: Hub, number: int) -> None:
        self._hub = hub
        self.number = number
        self._pending: dict[str, Task | None] = {}
        self._seen: dict[str, tuple[Age, Any]] = {}
        # Keys that it follows besides its account's own.
        self.keys: set[str] = set()
        self.changed = asyncio.Event()

    async def changes(self, timeout: float | None = None) -> list[Task]:
        """Wait for changes and return each changed task once, as it is now; empty after ``timeout`` seconds.

        At most `HELD_LIMIT` tasks are returned at once, in the order in which they changed. ``Unavailable`` when the
        workspace stops.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if self._pending and (tasks := await self._hub.collect(self)):
                return tasks
            self._hub.check_open()
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), None if deadline is None else deadline - time.monotonic())
            except asyncio.TimeoutError:
                return []

    def seen(self, tasks: Iterable[Task]) -> None:
        """Say what the subscriber has read by itself: nothing older will be told."""
        for task in tasks:
            self._seen[task.key] = _age(task), task.progress

    def add(self, keys: Iterable[str]) -> None:
        """Follow these tasks as well."""
        self._hub.follow(self, keys)

    def put(self, task: Task) -> None:
        """Take a change; for the hub."""
        known = self._pending.pop(task.key, None)
        is_room = known is not None or len(self._pending) < HELD_LIMIT
        self._pending[task.key] = task if is_room else None
        self.changed.set()

    @property
    def is_complete(self) -> bool:
        """Whether all changes that wait are held, so that none must be read; for the hub."""
        return None not in self._pending.values()

    def take(self) -> dict[str, Task | None]:
        """Give away the changes that are next; for the hub. None stands for a task that must be read."""
        keys = list(self._pending)[:HELD_LIMIT]
        return {key: self._pending.pop(key) for key in keys}

    def is_news(self, task: Task) -> bool:
        """Whether this is newer than what the subscriber has seen, or the same farther on; for the hub."""
        seen, age = self._seen.get(task.key), _age(task)
        if seen is not None and age > seen[0]:
            del self._seen[task.key]
        return seen is None or age > seen[0] or (age == seen[0] and task.progress != seen[1])


def _age(task: Task) -> Age:
    """What only grows in the life of a task."""
    return task.state.is_final, task.state.attempt, task.state.status == "queued"


class Hub:
    """One per process. ``read`` returns tasks by their keys as they are now."""

    def __init__(self, read: Read, log: Logger) -> None:
        self._read = read
        self._log = log
        self._by_key: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._by_owner: defaultdict[int, set[Subscription]] = defaultdict(set)
        self._made = 0
        # In the order in which they changed; None: must be read.
        self._dirty: dict[str, Task | None] = {}
        self._pump: asyncio.Task[None] | None = None
        self._is_closed = False
        # Who reads holds it until what was read is handed over: nobody is told an older state after a newer one.
        self._reading = asyncio.Lock()

    @contextmanager
    def subscribe(self, keys: Iterable[str] = (), owner_id: int | None = None) -> Iterator[Subscription]:
        """Tell of changes of these tasks and of all tasks of an account, also future ones.

        Subscribe first and read the present state then: a change between the two is not lost.
        """
        self._made += 1
        subscription = Subscription(self, self._made)
        self.follow(subscription, keys)
        if owner_id is not None:
            self._by_owner[owner_id].add(subscription)
        try:
            yield subscription
        finally:
            for key in subscription.keys:
                _remove(self._by_key, key, subscription)
            if owner_id is not None:
                _remove(self._by_owner, owner_id, subscription)

    def follow(self, subscription: Subscription, keys: Iterable[str]) -> None:
        """Let a subscription follow these tasks as well."""
        for key in keys:
            subscription.keys.add(key)
            self._by_key[key].add(subscription)

    def share(self, owner_id: int, key: str) -> None:
        """Let whoever follows an account's tasks follow a task of somebody else, and tell of it now."""
        for subscription in self._by_owner.get(owner_id, ()):
            self.follow(subscription, [key])
        self.changed(key)

    def unshare(self, owner_id: int, key: str) -> None:
        """Take `share` back."""
        for subscription in self._by_owner.get(owner_id, ()):
            if key in subscription.keys:
                subscription.keys.discard(key)
                _remove(self._by_key, key, subscription)

    def changed(self, key: str, owner_id: int | None = None, task: Task | None = None) -> None:
        """Say that a task has changed, after the commit that says so.

        ``owner_id`` None: whose it is, is not known. ``task`` is what was just committed, which spares reading it.
        """
        is_owner_watching = bool(self._by_owner) if owner_id is None else owner_id in self._by_owner
        if self._is_closed or not (is_owner_watching or key in self._by_key):
            return
        # Of something that must be read anyway, what is read is the newest.
        self._dirty[key] = None if self._dirty.get(key, task) is None else task
        if self._pump is None or self._pump.done():
            self._pump = asyncio.ensure_future(self._tell())

    async def collect(self, subscription: Subscription) -> list[Task]:
        """Return the tasks that wait for a subscriber; see `Subscription.changes`."""
        if subscription.is_complete:
            # Nothing to read: thousands need not queue up behind a change that is being handed over to them.
            waiting, found = subscription.take(), {}
        else:
            async with self._reading:
                waiting = subscription.take()
                found = await self._read([key for key, task in waiting.items() if task is None])
        tasks = [task or found.get(key) for key, task in waiting.items()]
        return [task for task in tasks if task is not None and subscription.is_news(task)]

    def check_open(self) -> None:
        """Raise ``Unavailable`` once nothing more will be told."""
        if self._is_closed:
            raise Unavailable("the workspace is stopping")

    def close(self) -> None:
        """Tell nothing more, and let nobody wait for it."""
        self._is_closed = True
        if self._pump is not None:
            self._pump.cancel()
        for subscription in set().union(*self._by_key.values(), *self._by_owner.values()):
            subscription.changed.set()

    async def _tell(self) -> None:
        while self._dirty:
            changed = {key: self._dirty.pop(key) for key in list(self._dirty)[:READ_LIMIT]}
            # Who subscribes during the read will read for itself what it finds.
            last = self._made
            try:
                async with self._reading:
                    unread = [key for key, task in changed.items() if task is None]
                    found = await self._read(unread) if unread else {}
                    tasks = [task for key in changed if (task := changed[key] or found.get(key))]
                    await self._hand_over([(task, each) for task in tasks for each in self._who(task, last)])
            except Exception:
                self._log.exception("Changes of tasks could not be read; trying again")
                await asyncio.sleep(RETRY_SECONDS)
                self._dirty = {**changed, **self._dirty}

    def _who(self, task: Task, last: int) -> list[Subscription]:
        own = self._by_owner.get(task.owner_id, ()) if task.owner_id is not None else ()
        return [each for each in {*self._by_key.get(task.key, ()), *own} if each.number <= last]

    async def _hand_over(self, changes: list[tuple[Task, Subscription]]) -> None:
        for start in range(0, len(changes), CHUNK):
            for task, subscription in changes[start : start + CHUNK]:
                subscription.put(task)
            await asyncio.sleep(0)


def _remove(places: defaultdict[Place, set[Subscription]], place: Place, subscription: Subscription) -> None:
    places[place].discard(subscription)
    if not places[place]:
        del places[place]
