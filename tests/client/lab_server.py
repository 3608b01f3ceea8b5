"""A real server of a lab that has tasks of its own, and a network on the way to it that breaks when told."""

from __future__ import annotations

import socket
import textwrap
import threading
from collections.abc import Callable
from contextlib import suppress
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


@task(quick=True, idempotent=True)
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


class Network:
    """Passes bytes on to a server; ``breaks`` says after how many bytes of the answer to which request it breaks."""

    def __init__(self, server: RealServer) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[_Connection] = []
        self.breaks: list[tuple[bytes, int]] = []
        self.is_down = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return self._server.url.replace(f":{self._server.port}/", f":{self._listener.getsockname()[1]}/")

    def go_down(self) -> None:
        """Break all connections, and all that come until ``is_down`` is set back."""
        self.is_down = True
        for each in self._connections:
            each.hang_up()

    def close(self) -> None:
        self.go_down()
        # Closing alone does not wake the thread that accepts.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._server.port))
                except OSError:
                    near.close()
                    continue
                self._connections.append(_Connection(self, near, far))
                if self.is_down:
                    self._connections[-1].hang_up()


class _Connection:
    def __init__(self, network: Network, near: socket.socket, far: socket.socket) -> None:
        self._network = network
        # Bytes that may still come back; None: all.
        self._left: int | None = None
        self._ends = 2
        self._sockets = (near, far)
        self._lock = threading.Lock()
        for source, target, look in ((near, far, self._asked), (far, near, self._answered)):
            threading.Thread(target=self._pass, args=(source, target, look), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, look: Callable[[bytes], bytes | None]) -> None:
        with suppress(OSError):
            while chunk := source.recv(65536):
                passed = look(chunk)
                target.sendall(chunk if passed is None else passed)
                if passed is not None:
                    break
        self.hang_up()
        with self._lock:
            self._ends -= 1
            if not self._ends:
                for each in self._sockets:
                    each.close()

    def hang_up(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _asked(self, chunk: bytes) -> None:
        found = next((each for each in self._network.breaks if each[0] in chunk), None)
        if found is not None:
            self._network.breaks.remove(found)
            self._left = found[1]

    def _answered(self, chunk: bytes) -> bytes | None:
        """Return what is passed of a chunk if the connection breaks now."""
        if self._left is None:
            return None
        if len(chunk) >= self._left:
            return chunk[: self._left]
        self._left -= len(chunk)
        return None
