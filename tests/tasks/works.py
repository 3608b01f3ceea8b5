"""Works that the tests run in child processes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import stat
import subprocess
import sys
import time

from cosphere_jupyter.errors import ExecutionError
from cosphere_jupyter.tasks.answers import Answer


def echo(params, report):
    return params


def pid(params, report):
    return os.getpid()


def report_progress(params, report):
    for step in range(5):
        report({"fraction": step / 5})
        time.sleep(0.05)
    return "done"


def fail(params, report):
    raise ExecutionError("the engine's own words")


def fail_with_details(params, report):
    raise ExecutionError("wrong parameters", {"parameters": {"url": ["is missing"]}})


def fail_unexpectedly(params, report):
    raise KeyError("/secret/path")


def print_something(params, report):
    print("this is no protocol")
    subprocess.run([sys.executable, "-c", "print('nor is this')"], check=True)
    return "fine"


def sleep(params, report):
    report({"pid": os.getpid()})
    time.sleep(params.get("seconds", 60))
    return "awake"


def ignore_term(params, report):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report({"pid": os.getpid()})
    while True:
        time.sleep(1)


def hold_the_interpreter(params, report):
    """A loop in C that never gives the interpreter back."""
    report({"pid": os.getpid()})
    ctypes.PyDLL(None).sleep(60)


def start_a_grandchild(params, report):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    grandchild = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    grandchild.stdout.readline()
    report({"pid": os.getpid(), "grandchild": grandchild.pid})
    time.sleep(60)


def die(params, report):
    os.kill(os.getpid(), signal.SIGKILL)


def exit_quietly(params, report):
    sys.stderr.write("last words")
    sys.stderr.flush()
    os._exit(3)


def die_the_first_time(params, report):
    try:
        with open(params["marker"], "x"):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    except FileExistsError:
        pass
    return "second time"


def count_starts(params, report):
    with open(params["log"], "a") as log:
        log.write("start\n")
    time.sleep(params.get("seconds", 0))
    return "counted"


def start_a_family(params, report):
    """A grandchild in a session of its own, and one whose parent is gone."""
    ignoring = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    alone = ignoring + "print(os.getpid(), flush=True); time.sleep(60)"
    orphan = ignoring + "os.fork() and os._exit(0); os.setsid(); print(os.getpid(), flush=True); time.sleep(60)"
    pids = []
    for code in (alone, orphan):
        started = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
        pids.append(int(started.stdout.readline()))
    report({"pid": os.getpid(), "family": pids})
    time.sleep(60)


def write_start(params, report):
    """Say on the disk, once for each attempt, that this attempt began."""
    with open(params["log"], "a") as log:
        log.write(params["name"] + "\n")
    time.sleep(params.get("seconds", 0))
    return params["name"]


def big(params, report):
    return {"text": "ö" * params["characters"]}


def big_with_facts(params, report):
    return Answer({"text": "x" * params["characters"]}, {"small": True})


def not_json(params, report):
    return {"set": {1, 2}} if params.get("set") else float("nan")


def number(params, report):
    """An integer, as an answer or wherever else a work can say it."""
    value = params.get("sign", 1) * (params.get("base", 10) ** params["exponent"] - params.get("less", 0))
    if params.get("where") == "progress":
        report({"n": value})
    if params.get("where") == "details":
        raise ExecutionError("no", {"n": value})
    return {"nested": [{"n": value}], "padding": "x" * params.get("padding", 0)}


def half_a_pair(params, report):
    if params.get("fails"):
        raise ExecutionError("no file \udcff")
    if params.get("breaks"):
        raise KeyError("no file \udcff")
    return ["\ud83d"]


def break_the_protocol(params, report):
    """Write to the server's pipe what is no line of the protocol, whichever descriptor it is."""
    for descriptor in range(3, 12):
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.write(descriptor, b"no json\n")
    time.sleep(params["seconds"])
    return "never read"


def report_often(params, report):
    for step in range(params["steps"]):
        report({"step": step})
    time.sleep(0.5)
    return params["steps"]


def need_memory(params, report):
    resource.setrlimit(resource.RLIMIT_AS, (params["limit"], params["limit"]))
    return len(bytearray(params["limit"]))


def fill(params, report):
    with open(params["path"], "wb") as file:
        for _ in range(params["megabytes"]):
            file.write(b"x" * 2**20)
    return "there was room"
