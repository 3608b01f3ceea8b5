"""Reading off the event loop: a few threads that take what waits together.

A hop between the loop and a thread costs more than most reads. Reads that wait at the same moment therefore share one
transaction and one way back; a slow one does not keep the answers of the others.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

Work = Callable[[Connection], Any]

GROUP_LIMIT = 16
# Answers are held back for company no longer than this.
PATIENCE = 0.001


class _Read:
    def __init__(self, work: Work) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.outcome: Any = None
        self.error: BaseException | None = None

    def run(self, connection: Connection, translate: Callable[[BaseException], BaseException]) -> None:
        try:
            self.outcome = self.work(connection)
        except Exception as error:
            self.error = translate(error)

    def deliver(self) -> None:
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.outcome)
        else:
            self.future.set_exception(self.error)


class Readers:
    """Threads with a connection each; ``connect`` opens one, ``translate`` turns the database's errors into ours."""

    def __init__(
        self, count: int, connect: Callable[[], Connection], translate: Callable[[BaseException], BaseException]
    ) -> None:
        self._connect = connect
        self._translate = translate
        self._reads: queue.SimpleQueue[_Read | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._loop, name=f"cosphere-read-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work) -> asyncio.Future[Any]:
        """Queue a read from the event loop."""
        read = _Read(work)
        self._reads.put(read)
        return read.future

    def close(self) -> None:
        """Finish what waits and close the connections."""
        for _ in self._threads:
            self._reads.put(None)
        for thread in self._threads:
            thread.join()

    def _loop(self) -> None:
        connection: Connection | None = None
        while (first := self._reads.get()) is not None:
            group = [first]
            while len(group) < GROUP_LIMIT:
                try:
                    following = self._reads.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    # The sign to end is for one thread: this one, after its group.
                    self._reads.put(None)
                    break
                group.append(following)
            connection = self._run(group, connection)
        if connection is not None:
            connection.close()

    def _run(self, group: list[_Read], connection: Connection | None) -> Connection | None:
        try:
            connection = connection or self._connect()
            # Begun after all of the group were asked for: none of them misses what was written before.
            connection.exec_driver_sql("BEGIN")
        except Exception as error:
            for read in group:
                read.error = self._translate(error)
            _hand_over(group)
            return connection
        done: list[_Read] = []
        started = time.monotonic()
        for read in group:
            read.run(connection, self._translate)
            done.append(read)
            if time.monotonic() - started > PATIENCE:
                _hand_over(done)
                done, started = [], time.monotonic()
        connection.exec_driver_sql("ROLLBACK")
        _hand_over(done)
        return connection


def _hand_over(reads: list[_Read]) -> None:
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[_Read]] = defaultdict(list)
    for read in reads:
        by_loop[read.loop].append(read)
    for loop, own in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_deliver, own)


def _deliver(reads: list[_Read]) -> None:
    for read in reads:
        read.deliver()
