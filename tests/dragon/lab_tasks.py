"""Functions of a lab, which the tests of the tasks API install: slow ones, ones with files, ones that fail."""

import time
from pathlib import Path

from cosphere_jupyter.named import TaskContext, TaskError, task


@task
def steps(count: int, context: TaskContext) -> str:
    for number in range(count):
        context.progress({"step": number})
        time.sleep(0.05)
    return "done"


@task
def until(path: str, context: TaskContext) -> str:
    """Run until a file is there; what is in it is the result."""
    context.progress("waiting")
    while not Path(path).exists():
        time.sleep(0.01)
    return Path(path).read_text()


@task
def sizes(context: TaskContext) -> dict:
    for name in ("small", "large"):
        context.output(name, f"{name}.txt", "text/plain").write_text(name * 10)
    return {"count": 2}


@task(idempotent=True)
def one_file(text: str, context: TaskContext) -> None:
    context.output("output", "output.txt", "text/plain").write_text(text)


@task(idempotent=True)
def from_file(path: str, context: TaskContext) -> None:
    if not Path(path).exists():
        raise TaskError("not yet")
    context.output("output", "output.txt", "text/plain").write_text(Path(path).read_text())


@task
def big(size: int) -> str:
    return "x" * size


@task
def fail(text: str) -> None:
    raise TaskError(text)
