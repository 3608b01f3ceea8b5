"""A real server of a lab that has tasks of its own."""

from __future__ import annotations

import textwrap
from pathlib import Path

from real_server import RealServer

TASKS = '''
import time
from pathlib import Path

from cosphere_jupyter.named import TaskContext, TaskError, task


@task(quick=True, idempotent=True)
def double(n: int) -> int:
    """Twice the number; 13 is unlucky."""
    if n == 13:
        raise TaskError("13 is unlucky")
    return 2 * n


@task(idempotent=True)
def nap(seconds: float, context: TaskContext) -> str:
    """Sleep, and tell how much of it is over."""
    for part in range(10):
        context.progress({"fraction": part / 10})
        time.sleep(seconds / 10)
    return "rested"


@task(idempotent=True)
def noted(n: int, folder: str) -> int:
    """Leave a trace of each run, so that a test can count them."""
    with (Path(folder) / f"{n}.txt").open("a") as out:
        out.write("x")
    time.sleep(0.01)
    return n


@task
def files(size: int, context: TaskContext) -> dict[str, int]:
    """Write two files: one of so many bytes, one that is empty."""
    context.output("large", "large.bin").write_bytes(bytes(range(256)) * (size // 256))
    context.output("empty", "empty.txt").write_bytes(b"")
    return {"size": size}


@task
def text(context: TaskContext) -> str:
    """Return what would harm a page or a terminal that shows it."""
    context.progress("<b>\\u202e\\x1b[31m")
    return "<script>alert(1)</script>\\u2028\\x1b[31m"
'''


class LabServer(RealServer):
    """Its environment has a package with the tasks ``lab.double``, ``lab.nap``, ``lab.files`` and ``lab.text``."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, *options)
        self.packages = folder / "packages"
        installed = self.packages / "lab-1.0.dist-info"
        installed.mkdir(parents=True)
        (self.packages / "lab_tasks.py").write_text(textwrap.dedent(TASKS))
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
        names = ("double", "nap", "noted", "files", "text")
        lines = "".join(f"lab.{name} = lab_tasks:{name}\n" for name in names)
        (installed / "entry_points.txt").write_text(f"[cosphere.tasks]\n{lines}")

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "PYTHONPATH": str(self.packages)}
