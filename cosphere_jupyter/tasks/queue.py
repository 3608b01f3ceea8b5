"""Which of the queued tasks is next: by priority, then fair among accounts, then by age.

Fair is: the account that has the fewest running tasks; among equals, the one whose last turn is the longest ago.

The database is the record of truth of what is queued; this is its index in memory, so that one account's ten thousand
tasks neither hide nor slow down another account's one.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Waiting(NamedTuple):
    """A queued task. ``number`` grows with each task that is stored."""

    number: int
    key: str
    owner_id: int | None
    priority: int
    is_quick: bool


class FairQueue:
    """The queued tasks of one lane."""

    def __init__(self) -> None:
        # A heap for each account.
        self._heaps: defaultdict[int | None, list[tuple[int, int, Waiting]]] = defaultdict(list)
        self._keys: dict[str, int | None] = {}
        # Removed, and still in a heap.
        self._gone: set[str] = set()
        # The turn in which an account last had one of its tasks taken.
        self._served: dict[int | None, int] = {}
        self._turns = 0

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, waiting: Iterable[Waiting]) -> None:
        """Add tasks; those that are known already change nothing."""
        for each in waiting:
            if each.key in self._keys:
                continue
            self._keys[each.key] = each.owner_id
            if each.key in self._gone:
                self._gone.remove(each.key)
            else:
                heapq.heappush(self._heaps[each.owner_id], (-each.priority, each.number, each))

    def remove(self, keys: Iterable[str]) -> None:
        """Forget tasks that are queued no more: they were taken, in this order, or ended."""
        for key in keys:
            if key in self._keys:
                self._turns += 1
                self._served[self._keys.pop(key)] = self._turns
                self._gone.add(key)
        if not self._keys:
            self._served.clear()

    def choose(self, count: int, running: Mapping[int | None, int], limit: int = 0) -> list[Waiting]:
        """Return the next ``count`` tasks, in order; they stay in the queue until they are removed.

        ``running`` counts the running tasks of each account; with a ``limit`` none gets beyond it.
        """
        counts, served, turns = Counter(running), dict(self._served), self._turns
        taken: list[tuple[int, int, Waiting]] = []
        while len(taken) < count:
            heads = [
                (head[0], counts[owner_id], served.get(owner_id, 0), head[1], owner_id)
                for owner_id in list(self._heaps)
                if (not limit or counts[owner_id] < limit) and (head := self._head(owner_id))
            ]
            if not heads:
                break
            # No two tasks have one number: the account is never compared.
            owner_id = min(heads)[-1]
            taken.append(heapq.heappop(self._heaps[owner_id]))
            counts[owner_id] += 1
            turns += 1
            served[owner_id] = turns
        for entry in taken:
            heapq.heappush(self._heaps[entry[2].owner_id], entry)
        return [entry[2] for entry in taken]

    def _head(self, owner_id: int | None) -> tuple[int, int, Waiting] | None:
        heap = self._heaps[owner_id]
        while heap and heap[0][2].key in self._gone:
            self._gone.remove(heapq.heappop(heap)[2].key)
        if not heap:
            del self._heaps[owner_id]
            return None
        return heap[0]
