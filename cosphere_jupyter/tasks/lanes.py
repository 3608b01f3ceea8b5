"""Attempts and the lanes in which they run: one for long tasks, one of its own for quick ones."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

from .children import Child
from .queue import FairQueue, Waiting
from .records import Task, attempt_name

# A quick lane claims ahead what its processes are likely to do within this time.
AHEAD_SECONDS = 0.01
AHEAD_LIMIT = 32
# Attempts of a lane that are claimed and not recorded: where publishing is slower than working, it is waited for.
CARE_LIMIT = 100
# How much the last call counts in the mean duration of calls.
MEMORY = 0.2


class Attempt:
    """An attempt that is in this process's care: from its claim until its end is recorded."""

    def __init__(self, of: Task, lane: Lane, waiting: Waiting) -> None:
        """``waiting`` is its place in the queue, should it have to go back there."""
        self.of = of
        self.lane = lane
        self.waiting = waiting
        self.name = attempt_name(of)
        self.task: asyncio.Task[None] | None = None
        self.child: Child | None = None
        self.is_killed = False
        self.is_begun = False
        self.has_slot = False
        self.progress: Any = None
        self._told = 0.0
        self._telling: asyncio.TimerHandle | None = None

    def kill(self) -> None:
        """End the process, if there is one already."""
        self.is_killed = True
        if self.child is not None:
            self.child.kill()

    def release_slot(self) -> None:
        """Let the next attempt of the lane begin."""
        if self.has_slot:
            self.has_slot = False
            self.lane.end(self)

    def tell_progress(self, seconds: float, tell: Callable[[], None]) -> None:
        """Tell of progress at most every so many seconds, and of the last one at any rate."""
        if self._telling is not None:
            return

        def tell_now() -> None:
            self._telling = None
            self._told = time.monotonic()
            tell()

        wait = self._told + seconds - time.monotonic()
        if wait <= 0:
            tell_now()
        else:
            self._telling = asyncio.get_running_loop().call_later(wait, tell_now)

    def forget_progress(self) -> None:
        """Tell nothing more of it: the attempt has ended."""
        if self._telling is not None:
            self._telling.cancel()


class Lane:
    """What runs at once, at most ``slots``, and what is claimed ahead so that no process waits for the disk.

    A turn adds and chooses in the thread of its transaction while the event loop begins and ends attempts.
    """

    def __init__(self, slots: int, account_limit: int = 0, *, is_ahead: bool = False) -> None:
        """``account_limit`` is for the tasks of one account, 0 for none; ``is_ahead`` allows claims ahead."""
        self.slots = slots
        self.account_limit = account_limit
        self.ready: deque[Attempt] = deque()
        self.running: Counter[int | None] = Counter()
        self.in_care = 0
        self._queue = FairQueue()
        self._lock = threading.Lock()
        self.is_ahead = is_ahead
        self._mean_seconds = 1.0

    @property
    def has_free_slot(self) -> bool:
        """Whether another attempt may begin."""
        return self.running.total() < self.slots

    def learn(self, seconds: float) -> None:
        """Take note of how long a call took."""
        self._mean_seconds += MEMORY * (seconds - self._mean_seconds)

    def add(self, waiting: Iterable[Waiting]) -> None:
        """Put tasks into the queue."""
        for each in waiting:
            # One by one: nobody waits until ten thousand are in.
            with self._lock:
                self._queue.add([each])

    def remove(self, keys: Iterable[str]) -> None:
        """Take tasks out of the queue that were claimed or have ended."""
        with self._lock:
            self._queue.remove(keys)

    def take(self, attempt: Attempt) -> None:
        """Take a claimed attempt into our care: it begins when it is its turn."""
        with self._lock:
            self.in_care += 1
            self.ready.append(attempt)

    def begin(self) -> Attempt:
        """Give the first of the ready attempts a slot, and return it."""
        with self._lock:
            attempt = self.ready.popleft()
            attempt.has_slot = True
            self.running[attempt.of.owner_id] += 1
            return attempt

    def end(self, attempt: Attempt) -> None:
        """Take an attempt's slot back."""
        with self._lock:
            self.running[attempt.of.owner_id] -= 1

    def choose(self) -> list[Waiting]:
        """Return the tasks to claim now."""
        with self._lock:
            return self._choose()

    def _choose(self) -> list[Waiting]:
        ahead = min(int(self.slots * AHEAD_SECONDS / max(self._mean_seconds, 1e-6)), AHEAD_LIMIT)
        room = self.slots + (ahead if self.is_ahead else 0) - self.running.total() - len(self.ready)
        room = min(room, max(CARE_LIMIT, self.slots) - self.in_care)
        if room <= 0 or not len(self._queue):
            return []
        busy = self.running + Counter(attempt.of.owner_id for attempt in self.ready)
        return self._queue.choose(room, busy, self.account_limit)
