"""Functions that say on the disk, before anything else, that an attempt began."""

import os
import subprocess
import time

from cosphere_jupyter.named import TaskContext, task


def _begin(context: TaskContext, log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{context.key}\n".encode())
    os.close(descriptor)


def _work(context: TaskContext, log: str, number: int) -> int:
    _begin(context, log)
    context.output("made", "made.txt").write_text(context.key)
    return number


@task(quick=True, idempotent=True)
def again(context: TaskContext, log: str, number: int) -> dict:
    return {"number": _work(context, log, number)}


@task(quick=True)
def once(context: TaskContext, log: str, number: int) -> dict:
    return {"number": _work(context, log, number)}


@task(idempotent=True)
def long_again(context: TaskContext, log: str, number: int) -> dict:
    time.sleep(0.1)
    return {"number": _work(context, log, number)}


@task
def long_once(context: TaskContext, log: str, number: int) -> dict:
    _begin(context, log)
    time.sleep(0.1)
    return {"number": number}


@task(quick=True, idempotent=True)
def leave_behind(context: TaskContext, log: str) -> None:
    left = subprocess.Popen(["sleep", "600"], start_new_session=True)
    with open(log, "a") as out:
        out.write(f"{left.pid}\n")
    time.sleep(600)
