"""Starts the command of a run: ``python -I -S run_launch.py LAUNCH.json``, a small program without any library.

It leads a session of its own. With ``walls`` it makes namespaces first (user, mounts, processes): parents of the run
are mounted read-only, the workspace's own folder cannot be seen, and when the command has ended, nothing that it
started is left. Then it starts bash, waits for it, and writes how it ended to the ``report``.

``LAUNCH.json``: ``work``, ``temporary`` (folders), ``command``, ``environment``, ``walls``, ``hidden`` (folders),
``mounts`` ([[source, target below work], …]), ``file_bytes``, ``data_bytes`` (limits or null), ``report`` (a file).

``python run_launch.py --probe`` ends with 0 if the machine allows such walls, and with something else if not.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

# What ends a launch that never reached its command.
NOT_STARTED = 125
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_REC, MS_PRIVATE = 1024, 2048, 4096, 16384, 1 << 18
# Flags of a mount that may not be dropped when it is mounted again.
KEPT_FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
# chown, dac_override, fowner, fsetid, kill, setgid, setuid, net_bind_service: what root's commands expect of files.
KEPT_CAPABILITIES = {0, 1, 3, 4, 5, 6, 7, 10}
LAST_CAPABILITY = 63
OOM_SCORE = "500"


def main() -> None:
    """Launch what the arguments say."""
    if sys.argv[1] == "--probe":
        sys.exit(_probe())
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123 - nothing but this is needed of pathlib
        launch = json.load(file)
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    _die_with(libc, parent)
    if launch["walls"]:
        _unshare(libc)
    pid = os.fork()
    if pid == 0:
        _become(libc, launch)
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    facts = {
        # As a shell says it.
        "exitcode": code if code >= 0 else 128 - code,
        "time_user": usage.ru_utime,
        "time_system": usage.ru_stime,
        "memory_max": usage.ru_maxrss * 1024,
    }
    aside = launch["report"] + ".aside"
    with open(aside, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(facts, file)
    os.replace(aside, launch["report"])  # noqa: PTH105


def _become(libc: Any, launch: dict[str, Any]) -> None:
    """Turn this process into the command's shell; it does not return."""
    try:
        # In namespaces of its own, the process that waits is not to be seen as the parent.
        if sys.platform == "linux":
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if launch["walls"]:
            _build_walls(libc, launch)
        _limit(launch)
        os.chdir(launch["work"])
        shell = ["/bin/bash", "-c", f"(\n{launch['command']}\n) >stdout 2>stderr"]
        os.execve(shell[0], shell, launch["environment"])  # noqa: S606
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
    os._exit(NOT_STARTED)


def _die_with(libc: Any, parent: int) -> None:
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(NOT_STARTED)


def _limit(launch: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, size in ((resource.RLIMIT_FSIZE, launch["file_bytes"]), (resource.RLIMIT_DATA, launch["data_bytes"])):
        if size is not None:
            hard = resource.getrlimit(kind)[1]
            size = size if hard == resource.RLIM_INFINITY else min(size, hard)
            resource.setrlimit(kind, (size, size))
    if sys.platform == "linux":
        # When memory runs out, the command goes before the server does.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write(OOM_SCORE)
    for name in (signal.SIGPIPE, signal.SIGXFSZ):
        # Python ignores them, and what is ignored stays so.
        signal.signal(name, signal.SIG_DFL)


# -- walls ------------------------------------------------------------------------------------------------------------


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _unshare(libc: Any) -> None:
    user, group = os.getuid(), os.getgid()
    _check(libc.unshare(CLONE_NEWUSER | CLONE_NEWPID), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
            file.write(text)


def _have_own_mounts(libc: Any) -> None:
    """In the command's process only: who waits for it goes on seeing the folder that is hidden from it."""
    _check(libc.unshare(CLONE_NEWNS), "unshare")
    _mount(libc, "none", "/", None, MS_REC | MS_PRIVATE)


def _mount(libc: Any, source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _check(libc.mount(*encoded, flags, None if data is None else data.encode()), f"mount {kind or 'bind'}")


def _build_walls(libc: Any, launch: dict[str, Any]) -> None:
    _have_own_mounts(libc)
    # What lies in the hidden folder is reached by what was opened before it was hidden.
    shown = [launch["work"], launch["temporary"]]
    doors = [os.open(folder, os.O_PATH | os.O_DIRECTORY) for folder in shown]
    parents = [os.open(source, os.O_PATH | os.O_NOFOLLOW) for source, _ in launch["mounts"]]
    hidden = [folder for folder in launch["hidden"] if os.path.isdir(folder)]  # noqa: PTH112
    for folder in hidden:
        # One within another is gone by now.
        if os.path.isdir(folder):  # noqa: PTH112
            _mount(libc, "tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0755")
    for folder, door in zip(shown, doors, strict=True):
        os.makedirs(folder, mode=0o755, exist_ok=True)  # noqa: PTH103
        _mount(libc, f"/proc/self/fd/{door}", folder, None, MS_BIND | MS_REC)
    for (_, target), parent in zip(launch["mounts"], parents, strict=True):
        place = f"{launch['work']}/{target}"
        _mount(libc, f"/proc/self/fd/{parent}", place, None, MS_BIND | MS_REC)
        _make_read_only(libc, place)
    for folder in hidden:
        if os.path.ismount(folder):
            _make_read_only(libc, folder)
    _mount(libc, "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for opened in (*doors, *parents):
        os.close(opened)
    _give_up_power(libc)


def _make_read_only(libc: Any, place: str) -> None:
    kept = os.statvfs(place).f_flag & KEPT_FLAGS
    _mount(libc, "none", place, None, MS_BIND | MS_REMOUNT | MS_RDONLY | kept)


def _give_up_power(libc: Any) -> None:
    """Nobody takes the walls down from within, root neither."""
    for capability in range(LAST_CAPABILITY + 1):
        if capability not in KEPT_CAPABILITIES:
            # Beyond the last that the kernel knows this fails, as it should.
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def _probe() -> int:
    """Try all that walls need on the folder for temporary files, and take it all down again by ending."""
    if sys.platform != "linux":
        return 1
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        _unshare(libc)
        if (pid := os.fork()) == 0:
            code = 1
            try:
                _have_own_mounts(libc)
                _mount(libc, "tmpfs", sys.argv[2], "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=0755")
                _make_read_only(libc, sys.argv[2])
                _mount(libc, "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
                code = 0
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except OSError:
        return 1


if __name__ == "__main__":
    main()
