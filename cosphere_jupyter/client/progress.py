"""The bars of waiting and downloading: in a notebook a widget, in a terminal a line."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any

# What is quicker than this needs no bar.
DELAY_SECONDS = 0.4
_WAITING = "{l_bar}{bar}| [{elapsed}{postfix}]"


class Waiting:
    """A bar for the share of a request's work that is done; a context manager."""

    def __init__(self, name: str, is_shown: bool) -> None:
        self._started = time.monotonic()
        self._bar = _bar(is_shown, total=1.0, desc=name, bar_format=_WAITING)

    def __enter__(self) -> Waiting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, status: str, fraction: float | None) -> None:
        """Show where the work is."""
        if self._bar is None:
            return
        self._bar.set_postfix_str(status, refresh=False)
        done = 1.0 if status == "success" else min(max(fraction or 0.0, 0.0), 1.0)
        self._bar.update(max(0.0, done - self._bar.n))
        if time.monotonic() - self._started >= DELAY_SECONDS:
            self._bar.refresh()


class Counting:
    """A bar for how many of several tasks have ended; a context manager."""

    def __init__(self, name: str, total: int, is_shown: bool) -> None:
        self._started = time.monotonic()
        self._bar = _bar(is_shown, total=total, desc=name, unit="task")

    def __enter__(self) -> Counting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, ended: int, words: str) -> None:
        """Show how many have ended, and what else is to be told."""
        if self._bar is None:
            return
        self._bar.set_postfix_str(words, refresh=False)
        self._bar.update(ended - self._bar.n)
        if time.monotonic() - self._started >= DELAY_SECONDS:
            self._bar.refresh()


class Downloading:
    """A bar for bytes; a context manager. May be advanced by several threads."""

    def __init__(self, name: str, total: int, is_shown: bool) -> None:
        self._lock = threading.Lock()
        self._bar = _bar(is_shown, total=total, desc=name, unit="B", unit_scale=True)

    def __enter__(self) -> Downloading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, count: int) -> None:
        """Add bytes that have arrived."""
        if self._bar is not None:
            with self._lock:
                self._bar.update(count)


def _bar(is_shown: bool, **options: Any) -> Any:
    if not is_shown:
        return None
    import warnings

    with warnings.catch_warnings():
        # Without ipywidgets in the kernel the bar is one of text; nobody needs to read about it each time.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

        return tqdm(leave=False, delay=DELAY_SECONDS, **options)
