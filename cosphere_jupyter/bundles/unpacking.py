"""Unpacking an archive in a child process of its own, which ends with the server, and with it whatever it may take.

The child gets its order as one line of JSON on standard input, and answers with one line on standard output; the input
stays open for as long as anybody waits for the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from .archives import InvalidError, Measured, TooBigError, unpack

# Of the child, in bytes; archives of a million entries take about half of it.
MEMORY = 2 * 1024**3
# Seconds of a processor, and one more for so many bytes of the archive: some headers take very long to read.
LEAST_SECONDS, BYTES_IN_A_SECOND = 300, 1024 * 1024
LONGEST_ANSWER = 64 * 1024


async def unpack_in_child(archive: Path, suffix: str, target: Path, most: int | None) -> Measured:
    """Unpack an archive to ``target``; see `archives.unpack` for what it raises. A cancelled call ends the child."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cosphere_jupyter.bundles.unpacking",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=LONGEST_ANSWER,
        start_new_session=True,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a child process without pipes")
    order = {"archive": str(archive), "suffix": suffix, "target": str(target), "most": most}
    line = b""
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        with contextlib.suppress(ConnectionError, ValueError):
            line = await process.stdout.readline()
    finally:
        if not line and process.returncode is None:
            # Not by the process's own kill(), which would take its end away from whoever waits for it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    return _outcome(json.loads(line) if line else {})


def _outcome(answer: dict[str, Any]) -> Measured:
    if "measured" in answer:
        return Measured(**answer["measured"])
    if "size" in answer:
        raise TooBigError(answer["size"])
    if "invalid" in answer:
        raise InvalidError(answer["invalid"])
    if "error" in answer:
        raise OSError(answer["error"], os.strerror(answer["error"]))
    raise InvalidError("the process that unpacked it ended without an answer")


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _main() -> None:
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    archive = Path(order["archive"])
    seconds = LEAST_SECONDS + archive.stat().st_size // BYTES_IN_A_SECOND
    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, seconds)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))
    try:
        found = unpack(archive, order["suffix"], Path(order["target"]), order["most"])
        answer: dict[str, Any] = {"measured": vars(found)}
    except TooBigError as error:
        answer = {"size": error.size}
    except InvalidError as error:
        answer = {"invalid": str(error)[:1000]}
    except OSError as error:
        answer = {"error": error.errno}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    # Not at leisure: the other thread waits for an end of input that comes when this process is gone.
    os._exit(0)


if __name__ == "__main__":
    _main()
