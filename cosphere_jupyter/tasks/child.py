"""The child process in which the work of a task runs: ``python -m cosphere_jupyter.tasks.child [MODULE:FUNCTION …]``.

It reads one JSON object a line from standard input, ``{"entry": "module:function", "params": {…}, "spill": path?}``,
calls ``function(params, report)`` and writes lines to standard output: ``{"progress": …}`` when ``report`` is called
(ten times a second at most), then ``{"result": …}`` or ``{"error": text, "details": …}``. The arguments name functions
that make ready for a call; they are called before the first one and after each.

The child never outlives its server: the end of standard input ends it, and on Linux the kernel does, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import ExecutionError
from .answers import INLINE_LIMIT, LINE_LIMIT, TOO_LONG, Answer, encode, spill

NICENESS = 5
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
REPORT_SECONDS = 0.1


def main() -> None:
    """Serve calls until standard input ends."""
    parent = os.getppid()
    _die_with(parent)
    # What the work reads and prints must not mix with the protocol: the real channels are kept for us alone.
    with os.fdopen(os.dup(0), "rb") as calls, os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        threading.Thread(target=_end_with, args=(calls,), daemon=True).start()
        while True:
            # Before the first call and after each one, when its answer is out: nobody waits for this.
            for entry in sys.argv[1:]:
                _find(entry)()
            if not (line := calls.readline()):
                return
            _serve(json.loads(line), answers)


def _die_with(parent: int) -> None:
    # Notebooks go first: the server that shares these cores must stay quick.
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICENESS)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # What the work leaves behind stays in this process's tree, where it is found and ended with it.
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
        if os.getppid() != parent:
            os._exit(1)


def _end_with(calls: BinaryIO) -> None:
    """End the process when the server has closed its end, also in the middle of a call."""
    waiting = select.poll()
    waiting.register(calls, 0)
    waiting.poll()
    os._exit(0)


def _find(entry: str) -> Callable[..., Any]:
    module, _, name = entry.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


class _Voice:
    """What a call says: progress now and then, from any thread, and one answer."""

    def __init__(self, channel: BinaryIO) -> None:
        self._channel = channel
        self._lock = threading.Lock()
        self._reported = 0.0
        self._pending: Any = None
        self._timer: threading.Timer | None = None
        self._is_over = False

    def report(self, progress: Any) -> None:
        """Tell progress, or keep it until it is time to."""
        encoded = encode({"progress": progress})
        with self._lock:
            wait = self._reported + REPORT_SECONDS - time.monotonic()
            if wait <= 0 and self._timer is None:
                self._tell(encoded)
                return
            self._pending = encoded
            if self._timer is None:
                self._timer = threading.Timer(wait, self._tell_pending)
                self._timer.daemon = True
                self._timer.start()

    def _tell_pending(self) -> None:
        with self._lock:
            self._timer = None
            if not self._is_over:
                self._tell(self._pending)

    def _tell(self, encoded: bytes) -> None:
        # A progress of megabytes is none.
        if len(encoded) <= INLINE_LIMIT:
            self._reported = time.monotonic()
            self._send(encoded)

    def answer(self, encoded: bytes) -> None:
        """Say the last word."""
        with self._lock:
            self._is_over = True
            if self._timer is not None:
                self._timer.cancel()
            self._send(encoded)

    def _send(self, encoded: bytes) -> None:
        self._channel.write(encoded + b"\n")
        self._channel.flush()


def _serve(call: dict[str, Any], channel: BinaryIO) -> None:
    voice = _Voice(channel)
    voice.answer(_answer(call, voice))


def _answer(call: dict[str, Any], voice: _Voice) -> bytes:
    try:
        result = _find(call["entry"])(call["params"], voice.report)
        return _encode_result(result, call.get("spill"))
    except ExecutionError as error:
        return _error(error)
    except MemoryError:
        traceback.print_exc()
        return encode({"error": "the work needs more memory than there is", "details": None})
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return encode({"error": "the disk is full", "details": None})
        return _unexpected(error)
    except Exception as error:
        return _unexpected(error)


def _error(error: ExecutionError) -> bytes:
    try:
        return encode({"error": str(error), "details": error.details})
    except (TypeError, ValueError, ExecutionError):
        return encode({"error": _readable(str(error)), "details": None})


def _unexpected(error: Exception) -> bytes:
    return encode({"error": None, "kind": type(error).__name__, "traceback": _readable(traceback.format_exc())})


def _readable(text: str) -> str:
    """Names of files may hold what is no Unicode."""
    return text.encode(errors="backslashreplace").decode()


def _encode_result(result: Any, spill_to: str | None) -> bytes:
    answer: dict[str, Any] = {}
    if isinstance(result, Answer):
        answer["facts"], result = result.facts, result.result
    encoded = encode(result)
    if spill_to is not None and len(encoded) > INLINE_LIMIT:
        spill(encoded, Path(spill_to))
        return encode({**answer, "spilled": len(encoded)})
    encoded = encode({**answer, "result": result}) if answer else b'{"result":' + encoded + b"}"
    if len(encoded) > LINE_LIMIT:
        raise ExecutionError(TOO_LONG)
    return encoded


if __name__ == "__main__":
    main()
