"""Functions of a lab, which tests install as tasks of a workspace."""

import asyncio
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from cosphere_jupyter.named import TaskContext, TaskError, WrongParameters, task


@task
def echo(value):
    return value


@task
async def later(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "later"


@task
def refuse(details=None):
    raise TaskError("the sample is empty", details)


@task
def refuse_oddly():
    raise TaskError("x", {1, 2})


@task
def break_down():
    raise KeyError("/home/rosa/secret")


@task
def leave():
    sys.exit(3)


@task
def odd_result(kind: str):
    return {
        "set": lambda: {1},
        "nan": lambda: math.nan,
        "bytes": lambda: {"a": [b"x"]},
        "text": lambda: "\ud800",
        "object": object,
        "deep": lambda: deep(),
        "key": lambda: {(1, 2): 3},
    }[kind]()


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


@task
def big(size: int):
    return "x" * size


@task
def steps(context: TaskContext, wait: float = 0.3):
    for step in range(4):
        context.progress({"step": step, "of": [4]})
        time.sleep(wait)


@task
def odd_progress(context):
    context.progress({1, 2})


@task
def files(context: TaskContext, names: list[str]) -> dict:
    for name in names:
        context.output(name, f"{name}.txt").write_text(name * 1000)
    return {"count": len(names)}


@task
def one_file(context: TaskContext):
    context.output("table", "table.csv").write_text("a,b")


@task
def file_of_type(context: TaskContext, name: str, file_name: str | None = None, content_type: str | None = None):
    context.output(name, file_name, content_type).write_bytes(b"x")


@task
def two_files(context: TaskContext, first: str, second: str):
    for name, file_name in (("a", first), ("b", second)):
        context.output(name, file_name).write_bytes(b"x")


@task
def unwritten(context: TaskContext):
    context.output("table")


@task
def linked(context: TaskContext):
    context.output("table").symlink_to("/etc/passwd")


@task
def file_and_text(context: TaskContext):
    context.output("table").write_bytes(b"x")
    return "done"


@task
def file_and_value(context: TaskContext):
    context.output("table").write_bytes(b"x")
    return {"table": 1}


@task
def write_and_wait(context: TaskContext):
    context.output("table").write_bytes(b"x" * 100_000)
    context.progress(os.getpid())
    time.sleep(60)


@task(idempotent=True)
def write_and_wait_once(context: TaskContext, marker: str):
    context.output("table").write_bytes(b"x" * 100_000)
    if not Path(marker).exists():
        context.progress(os.getpid())
        time.sleep(60)


@task
def temporary(context: TaskContext):
    kept = Path(tempfile.mkdtemp()) / "a"
    kept.write_text("x")
    (context.folder / "b").write_text("y")
    inner = subprocess.run(
        [sys.executable, "-c", "import tempfile; print(tempfile.mkstemp()[1])"], capture_output=True, text=True
    ).stdout.strip()
    return [str(kept), str(context.folder / "b"), inner]


@task
def change_surroundings():
    before = [os.getcwd(), os.environ.get("LAB_MARK"), tempfile.gettempdir()]
    os.chdir("/")
    os.environ["LAB_MARK"] = "left"
    print("what it prints does not matter")
    return before


@task
def read_input():
    return sys.stdin.read() + subprocess.run(["cat"], capture_output=True, text=True).stdout


@task
def talk_on(context: TaskContext, seconds: float):
    def talk():
        for _ in range(int(seconds * 100)):
            context.progress("from before")
            time.sleep(0.01)

    threading.Thread(target=talk, daemon=True).start()


@task
def fetch(context: TaskContext, url: str):
    found = context.fetch(url, most_bytes=100)
    return [found.path.read_text(), found.content_type]


@task
def judge(sides: list[int]):
    if sum(sides) > 10:
        raise WrongParameters({"sides": ["must be 10 together"]})


def unmarked(): ...


not_a_function = 5
