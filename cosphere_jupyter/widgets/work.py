"""Threads for widgets: of one kind of work only the newest piece counts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

log = logging.getLogger("cosphere_jupyter")

# A thread without work ends by itself, so that widgets that nobody looks at any more cost nothing.
IDLE_SECONDS = 5.0


class _Piece(NamedTuple):
    number: int
    begins: float
    work: Callable[[], Any]
    tell: Callable[[Any], None]


class Newest:
    """Does work on a thread of its own, one piece at a time.

    A newer piece takes the place of one that has not begun; the outcome of one that is no longer the newest is not
    told. So whoever asks at each keystroke gets the answer to the last one, and a slow server is asked no faster than
    it answers.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._waiting: _Piece | None = None
        self._number = 0
        self._is_busy = False
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], Any], tell: Callable[[Any], None], delay: float = 0.0) -> None:
        """Do ``work`` after ``delay`` seconds and tell what it returned, or the exception that it raised.

        Returns at once; both run on the thread.
        """
        with self._changed:
            if self._is_closed:
                return
            self._number += 1
            self._waiting = _Piece(self._number, time.monotonic() + delay, work, tell)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"cosphere-{self._name}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def forget(self) -> None:
        """Drop what waits, and tell nothing of what is being done."""
        with self._changed:
            self._number += 1
            self._waiting = None
            self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to do; tell whether that came to be within ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting is None and not self._is_busy, timeout)

    def close(self) -> None:
        """Take no more work, and let the thread end; does not wait for it."""
        self.forget()
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while (piece := self._next()) is not None:
            try:
                outcome = piece.work()
            except Exception as error:
                outcome = error
            try:
                if self._is_newest(piece):
                    piece.tell(outcome)
            except Exception:
                # An observer of the user's has failed: no reason for the widget to stop.
                log.exception("what was told of %s went wrong", self._name)
            finally:
                with self._changed:
                    self._is_busy = False
                    self._changed.notify_all()

    def _is_newest(self, piece: _Piece) -> bool:
        with self._changed:
            return piece.number == self._number

    def _next(self) -> _Piece | None:
        """Return the newest piece once it is due; None when the thread shall end."""
        idle_until = time.monotonic() + IDLE_SECONDS
        with self._changed:
            while not self._is_closed:
                now, piece = time.monotonic(), self._waiting
                if piece is not None and piece.begins <= now:
                    self._waiting, self._is_busy = None, True
                    return piece
                if piece is None and now >= idle_until:
                    break
                self._changed.wait((piece.begins if piece else idle_until) - now)
            self._thread = None
            return None
