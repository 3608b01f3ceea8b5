"""The child process in which the work of a task runs: ``python -m cosphere_jupyter.tasks.child [MODULE:FUNCTION …]``.

It reads one JSON object a line from standard input, ``{"entry": "module:function", "params": {…}}``, calls
``function(params, report)`` and writes lines to standard output: ``{"progress": …}`` as often as ``report`` is called,
then ``{"result": …}`` or ``{"error": text, "details": …}``. The arguments name functions that make ready for a call;
they are called before the first one and after each.

The child never outlives its server: the end of standard input ends it, and on Linux the kernel does, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from ..errors import ExecutionError

NICENESS = 5
PR_SET_PDEATHSIG = 1

_sending = threading.Lock()


def main() -> None:
    """Serve calls until standard input ends."""
    parent = os.getppid()
    _die_with(parent)
    # What the work prints must not mix with the protocol: the real standard output is kept for us alone.
    with os.fdopen(os.dup(1), "wb") as channel:
        os.dup2(2, 1)
        calls: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=_read_calls, args=(calls,), daemon=True).start()
        while True:
            # Before the first call and after each one, when its answer is out: nobody waits for this.
            for entry in sys.argv[1:]:
                _find(entry)()
            _serve(calls.get(), channel)


def _die_with(parent: int) -> None:
    # Notebooks go first: the server that shares these cores must stay quick.
    with contextlib.suppress(OSError, AttributeError):
        os.nice(NICENESS)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _read_calls(calls: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:
        calls.put(json.loads(line))
    os._exit(0)


def _find(entry: str) -> Callable[..., Any]:
    module, _, name = entry.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def _serve(call: dict[str, Any], channel: BinaryIO) -> None:
    def send(message: dict[str, Any]) -> None:
        # Progress comes from the work's own threads.
        with _sending:
            channel.write(json.dumps(message).encode() + b"\n")
            channel.flush()

    try:
        result = _find(call["entry"])(call["params"], lambda progress: send({"progress": progress}))
        send({"result": result})
    except ExecutionError as error:
        send({"error": str(error), "details": error.details})
    except Exception as error:
        send({"error": None, "kind": type(error).__name__, "traceback": traceback.format_exc()})


if __name__ == "__main__":
    main()
