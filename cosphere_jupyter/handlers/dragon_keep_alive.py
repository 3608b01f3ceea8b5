"""Keeping streams alive: one clock for all of them, since a timer for each would be the most of what a stream costs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Protocol

from tornado.web import Finish

# Proxies close what is silent for a minute, some for half of one.
SECONDS = 20.0
# A stream is looked at once in a round of so many steps.
STEPS = 40


class Stream(Protocol):
    """What can be kept alive."""

    last: bytes

    @property
    def is_sending(self) -> bool:
        """Whether something is on its way."""

    async def send(self, chunk: bytes) -> None:
        """Send something; ``Finish`` when the client is gone."""


class KeepAlive:
    """Repeats the last line of each open stream every 20 seconds, a few streams at a time."""

    def __init__(self, seconds: float = SECONDS) -> None:
        """``seconds`` is the time of a round."""
        self._seconds = seconds
        self._places: list[dict[Stream, None]] = [{} for _ in range(STEPS)]
        self._next = 0
        self._clock: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def keeping(self, stream: Stream) -> Iterator[None]:
        """Keep a stream alive for a while."""
        # Behind the one that is next: its first turn comes a whole round later, and all places fill alike.
        place = self._places[self._next - 1]
        place[stream] = None
        if self._clock is None or self._clock.done():
            self._clock = asyncio.ensure_future(self._run())
        try:
            yield
        finally:
            del place[stream]

    async def _run(self) -> None:
        while any(self._places):
            await asyncio.sleep(self._seconds / STEPS)
            place, self._next = self._places[self._next], (self._next + 1) % STEPS
            for number, stream in enumerate(list(place), 1):
                if stream in place and not stream.is_sending and stream.last:
                    self._repeat(stream)
                if number % 50 == 0:
                    await asyncio.sleep(0)

    def _repeat(self, stream: Stream) -> None:
        task = asyncio.ensure_future(_send(stream))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


async def _send(stream: Stream) -> None:
    # What is gone is noticed by the stream itself.
    with contextlib.suppress(Finish):
        await stream.send(stream.last)
