"""What happens in a child process to a run: its folder is laid out, its command is started, watched and ended.

The command runs in a process group of its own, behind walls where the machine allows them (see ``run_launch``). Who
wants it killed writes the file ``kill`` into the run's control folder, with the reason as its text.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from ..errors import ExecutionError
from . import run_files
from .hashing import measure
from .run_limits import Limits, clean_environment

WORK, TEMPORARY, CONTROL = "work", "temporary", "control"
KILL = "kill"
LAUNCHER = Path(__file__).with_name("run_launch.py")
NOT_STARTED = 125
# How long a process that was asked to end may take.
GRACE_SECONDS = 3.0
# What even KILL does not end (it waits for a disk, say) is not waited for any longer.
GIVE_UP_SECONDS = 30.0
LOOK_SECONDS = 0.1
MEMORY_SECONDS = 0.25
TELL_SECONDS = 2.0
# A folder of many files is measured less often: measuring takes a tenth of the time at most.
DISK_SECONDS = 0.5
DISK_SHARE = 10
# With less room than this on the disk, which is the server's, too, a run is ended (bytes).
LEAST_FREE = 256 * 2**20
DISK_IS_FULL = "The disk of the server is nearly full; the run was ended before it was full."
# What one process may ask of memory at once beyond the limit, which is looked at a few times a second only.
MEMORY_HEADROOM = 2**30

Report = Callable[[Any], None]
# What this process has found out about the machine.
_known: dict[str, bool] = {}


def run(params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Run a command to its end and return what is known of it.

    ``params``: ``folder`` (with the folders work, temporary and control), ``command``, ``dependencies``
    ([{child_path, parent_uuid, parent_path, root: where the parent's contents lie, or null}]), ``limits``
    (`Limits`), ``hidden`` (folders that the command does not see), ``exclude_patterns``, ``mark`` ([variable, value]).

    The answer: ``exitcode`` and ``failure_message`` (either may be null), ``time``, ``time_user``, ``time_system``
    (seconds), ``memory_max`` (bytes), and what `measured` says of ``work``, which then holds what is the bundle.

    Raises:
        ExecutionError: it could not be started.
    """
    return _Run(params, report).run()


def make(params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Copy parts of parents into a folder, or one part to its place if its key is empty.

    ``params`` as of `run`, without a command; ``limits`` says the room. Returns what `measured` does.

    Raises:
        ExecutionError: there is no such part of a parent, or no room.
    """
    folder = Path(params["folder"])
    work, dependencies = folder / WORK, params["dependencies"]
    room = Limits(**params["limits"]).disk_quota
    if len(dependencies) == 1 and not dependencies[0]["child_path"].strip("/"):
        only = dependencies[0]
        source = run_files.find_source(only["root"], only["parent_uuid"], only["parent_path"])
        work.rmdir()
        run_files.copy(source, work, room)
        return measured(work)
    total = 0
    for source, path in run_files.spread(dependencies):
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        total += run_files.copy(source, work / path, None if room is None else room - total)
        report({"stage": "making", "bytes": total})
    return measured(work)


def measured(work: Path) -> dict[str, Any]:
    """Bring a folder (or file) to the disk and return ``content_type``, ``size`` (bytes) and ``data_hash`` of it."""
    run_files.sync(work)
    return asdict(measure(work))


class _Run:
    """One run of a command."""

    def __init__(self, params: Mapping[str, Any], report: Report) -> None:
        folder = Path(params["folder"])
        self._work, self._temporary, self._control = (folder / name for name in (WORK, TEMPORARY, CONTROL))
        self._params = params
        self._report = report
        self._limits = Limits(**params["limits"])
        self._usage: dict[str, Any] = {"memory_max": 0, "disk": 0, "free": LEAST_FREE}
        self._next = {"memory": 0.0, "disk": 0.0, "tell": 0.0}

    def run(self) -> dict[str, Any]:
        self._report({"stage": "preparing"})
        parents = run_files.spread(self._params["dependencies"])
        walls = has_walls(str(self._temporary))
        run_files.place(self._work, self._control, parents, copies=not walls)
        launch = self._launch_file(parents if walls else [], walls)
        started = time.monotonic()
        with (self._control / "launch.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-I", "-S", str(LAUNCHER), str(launch)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**_mark(self._params), "PATH": os.environ.get("PATH", "/usr/bin:/bin")},
                start_new_session=True,
            )
        failure = None
        try:
            failure = self._watch(process, started)
        finally:
            _end(process)
        seconds = time.monotonic() - started
        facts = self._how_it_ended()
        self._report({"stage": "finalizing"})
        run_files.take_out(self._work, self._control)
        run_files.tidy(self._work, self._params["exclude_patterns"])
        contents = measured(self._work)
        self._usage["disk"] = contents["size"]
        if facts["exitcode"] is not None and failure is None:
            # A file may have grown to its limit between two looks, and have ended the command by that.
            failure = self._limits.broken_by(0, 0, self._usage["disk"])
        if failure is None and facts["exitcode"] != 0:
            failure = f"Exit code {facts['exitcode']}"
        memory = max(facts["memory_max"], self._usage["memory_max"])
        return {**facts, **contents, "failure_message": failure, "time": seconds, "memory_max": memory}

    def _launch_file(self, parents: Iterable[tuple[Path, str]], walls: bool) -> Path:
        environment = clean_environment(
            os.environ, str(self._work), str(self._temporary), next(iter(_mark(self._params).items()))
        )
        limits = self._limits
        disk = min((each for each in (limits.disk, limits.disk_quota) if each is not None), default=None)
        launch = {
            "work": str(self._work),
            "temporary": str(self._temporary),
            "command": self._params["command"],
            "environment": environment,
            "walls": walls,
            "hidden": self._params["hidden"],
            "mounts": [[str(source), path] for source, path in parents],
            # One more than is allowed tells that the limit was reached.
            "file_bytes": None if disk is None else disk + 1,
            "data_bytes": None if limits.memory is None else 2 * limits.memory + MEMORY_HEADROOM,
            "report": str(self._control / "ended.json"),
        }
        path = self._control / "launch.json"
        path.write_text(json.dumps(launch))
        return path

    def _watch(self, process: subprocess.Popen[bytes], started: float) -> str | None:
        """Wait for the end; returns why it was killed, if it must be."""
        self._report({"stage": "running"})
        while True:
            try:
                process.wait(LOOK_SECONDS)
                return None
            except subprocess.TimeoutExpired:
                pass
            moment = time.monotonic()
            if (reason := killed_by(self._control)) is not None:
                return reason
            self._look(moment)
            usage = self._usage
            broken = self._limits.broken_by(moment - started, usage.get("memory", 0), usage["disk"])
            if broken is not None:
                return broken
            if usage["free"] < LEAST_FREE:
                return DISK_IS_FULL
            if moment >= self._next["tell"]:
                self._next["tell"] = moment + TELL_SECONDS
                self._report({"stage": "running", "time": moment - started, **usage})

    def _look(self, moment: float) -> None:
        usage, limits = self._usage, self._limits
        if moment >= self._next["memory"]:
            self._next["memory"] = moment + MEMORY_SECONDS
            processes = descendants()
            memory = _memory_of(processes)
            if limits.memory is not None and memory > limits.memory:
                # What processes share counts once.
                memory = _memory_of(processes, exactly=True)
            usage |= {"memory": memory, "memory_max": max(memory, usage["memory_max"])}
        if moment >= self._next["disk"]:
            begun = time.monotonic()
            usage["disk"] = run_files.size_of(self._work, run_files.placed(self._control))
            usage["free"] = shutil.disk_usage(self._work).free
            took = time.monotonic() - begun
            self._next["disk"] = moment + max(DISK_SECONDS, DISK_SHARE * took)

    def _how_it_ended(self) -> dict[str, Any]:
        try:
            facts = dict(json.loads((self._control / "ended.json").read_text()))
        except (OSError, ValueError):
            facts = {"exitcode": None, "time_user": 0.0, "time_system": 0.0, "memory_max": 0}
        words = (self._control / "launch.log").read_text(errors="replace").strip()
        if facts["exitcode"] in (None, NOT_STARTED) and words:
            raise ExecutionError(f"The command could not be started: {words[-500:]}")
        return facts


def _mark(params: Mapping[str, Any]) -> dict[str, str]:
    name, value = params["mark"]
    return {name: value}


def has_walls(folder: str) -> bool:
    """Whether this machine lets a command have namespaces of its own; ``folder`` is an empty one to try it on, once."""
    if "walls" not in _known:
        probe = [sys.executable, "-I", "-S", str(LAUNCHER), "--probe", folder]
        try:
            tried = subprocess.run(probe, capture_output=True, timeout=30, check=False)  # noqa: S603
            _known["walls"] = tried.returncode == 0
        except (OSError, subprocess.SubprocessError):
            return False
    return _known["walls"]


def killed_by(control: Path) -> str | None:
    """Return why a run shall end, None if it may go on."""
    try:
        return (control / KILL).read_text()
    except OSError:
        return None


def descendants() -> list[psutil.Process]:
    """Return all that this process has started, and what those have."""
    with suppress(psutil.Error):
        return list(psutil.Process().children(recursive=True))
    return []


def _memory_of(processes: Iterable[psutil.Process], exactly: bool = False) -> int:
    total = 0
    for process in processes:
        with suppress(psutil.Error, OSError, AttributeError):
            total += process.memory_full_info().pss if exactly else process.memory_info().rss
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the launcher and all that the command has left: TERM, and KILL after a grace."""
    if process.poll() is None:
        # The launcher itself stays: it tells how the command ended.
        _signal(descendants(), signal.SIGTERM, without=process.pid)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    if process.poll() is None:
        _signal(descendants(), signal.SIGKILL, without=process.pid)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS / 3)
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while (left := [each for each in descendants() if each.is_running()]) and time.monotonic() < deadline:
        _signal(left, signal.SIGKILL)
        process.poll()
        _reap(left, process.pid)
        time.sleep(0.01)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)


def _signal(processes: Iterable[psutil.Process], number: int, without: int | None = None) -> None:
    for process in processes:
        if process.pid != without:
            with suppress(psutil.Error):
                process.send_signal(number)


def _reap(processes: Iterable[psutil.Process], launcher: int) -> None:
    """Orphans of the command are this process's own children by now; their ends must be taken note of."""
    for process in processes:
        if process.pid != launcher:
            with suppress(OSError):
                os.waitpid(process.pid, os.WNOHANG)
