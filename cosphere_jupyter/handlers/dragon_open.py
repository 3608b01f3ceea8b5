"""What thousands of open streams need together: one clock that keeps them alive, and peace from the garbage collector.

A timer for each would be the most of what a stream costs. And a full collection looks at every object there is: with
5,000 streams that held the event loop for half a second, again and again while they were opened.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import Protocol

from tornado.web import Finish

# Proxies close what is silent for a minute, some for half of one.
SECONDS = 20.0
# A stream is looked at once in a round of so many steps.
STEPS = 40
# With every so many further streams, the collector is told to pass over what there is.
FREEZE_EVERY = 250


class Stream(Protocol):
    """What can be kept alive."""

    last: bytes

    @property
    def is_sending(self) -> bool:
        """Whether something is on its way."""

    async def send(self, chunk: bytes) -> None:
        """Send something; ``Finish`` when the client is gone."""


class OpenStreams:
    """Repeats the last line of each open stream every 20 seconds, a few streams at a time."""

    def __init__(self, seconds: float = SECONDS) -> None:
        """``seconds`` is the time of a round."""
        self._seconds = seconds
        self._places: dict[Stream, int] = {}
        self._rounds: list[dict[Stream, None]] = [{} for _ in range(STEPS)]
        self._next = 0
        self._clock: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._frozen = 0

    def __len__(self) -> int:
        return len(self._places)

    def add(self, stream: Stream) -> None:
        """Keep a stream alive from now on."""
        # Behind the one that is next: its first turn comes a whole round later, and all places fill alike.
        place = self._next - 1
        self._places[stream] = place
        self._rounds[place][stream] = None
        if self._clock is None or self._clock.done():
            self._clock = asyncio.ensure_future(self._run())
        if len(self) >= self._frozen + FREEZE_EVERY:
            self._frozen = len(self)
            gc.freeze()

    def remove(self, stream: Stream) -> None:
        """Forget a stream that has ended."""
        del self._rounds[self._places.pop(stream)][stream]
        if len(self) * 4 < self._frozen:
            # What went in circles when it was passed over is garbage by now.
            self._frozen = 0
            gc.unfreeze()

    async def _run(self) -> None:
        while self._places:
            await asyncio.sleep(self._seconds / STEPS)
            streams, self._next = list(self._rounds[self._next]), (self._next + 1) % STEPS
            for number, stream in enumerate(streams, 1):
                if stream in self._places and not stream.is_sending:
                    self._repeat(stream)
                if number % 50 == 0:
                    await asyncio.sleep(0)

    def _repeat(self, stream: Stream) -> None:
        task = asyncio.ensure_future(_send(stream))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


async def _send(stream: Stream) -> None:
    # Who is gone is noticed by the stream itself.
    with contextlib.suppress(Finish):
        await stream.send(stream.last)
