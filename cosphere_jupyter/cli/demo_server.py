"""A real Jupyter Server of the demo's own: started as a process, asked until it answers, always stopped."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

START_SECONDS = 120
# A server of an earlier demo may still be on its way out.
IN_USE_SECONDS = 5
STOP_SECONDS = 10
_LOG_LINES_SHOWN = 15
# What would make the new server, or a kernel of it, take itself for a part of the one this was started from.
_FOREIGN = ("JUPYTERHUB_", "JUPYTER_GATEWAY_", "JPY_", "COSPHERE_")


class ServerFailed(Exception):
    """The server did not come up; the text says why and where its log is."""


class DemoServer:
    """A Jupyter Server on a free loopback port; a context manager.

    ``folder/data`` is its root directory, ``folder/workspace`` the data directory of the workspace. Its
    configuration and its runtime files are kept apart from the user's own in ``folder/jupyter``, and what the client
    has loaded in ``folder/cache``.
    """

    def __init__(self, folder: Path, module: str = "jupyter_server", options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.root_dir = folder / "data"
        self.workspace = folder / "workspace"
        self.runtime_dir = folder / "jupyter" / "runtime"
        self.cache = folder / "cache"
        self.log_file = folder / "server.log"
        self.token = secrets.token_hex(24)
        self.url = ""
        self._module = module
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> DemoServer:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What the server's process is given, and what finds it: no argument on a command line holds the token."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        return {
            **kept,
            "JUPYTER_TOKEN": self.token,
            "JUPYTER_RUNTIME_DIR": str(self.runtime_dir),
            "JUPYTER_CONFIG_DIR": str(self.folder / "jupyter" / "config"),
            "COSPHERE_CACHE_DIR": str(self.cache),
        }

    @property
    def sign_in_file(self) -> Path:
        """A page that only this user can read and that opens the server in a browser, signed in."""
        assert self._process is not None  # noqa: S101
        return self.runtime_dir / f"jpserver-{self._process.pid}-open.html"

    def start(self) -> None:
        """Start the server and return once the workspace in it answers."""
        for private in (self.runtime_dir, self.folder / "jupyter" / "config"):
            private.mkdir(parents=True, exist_ok=True)
            private.chmod(0o700)
        self.root_dir.mkdir(exist_ok=True)
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}/"
        command = [
            *(sys.executable, "-m", self._module, "--no-browser", "--ServerApp.ip=127.0.0.1"),
            *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
            f"--ServerApp.root_dir={self.root_dir}",
            f"--CosphereApp.data_dir={self.workspace}",
            *self._options,
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--allow-root")
        self.log_file.touch(mode=0o600)
        # A signal between the birth of the process and our knowing it would leave it behind.
        with self.log_file.open("wb") as log, _undisturbed():
            # A session of its own: Ctrl-C reaches the demo, which then stops the server in order.
            self._process = subprocess.Popen(  # noqa: S603
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait_until_it_answers(self._process)

    def wait(self) -> int:
        """Wait until the server ends by itself."""
        assert self._process is not None  # noqa: S101
        return self._process.wait()

    def stop(self) -> None:
        """Ask the server to end; after a while kill what is left of it and of its kernels and tasks."""
        with _undisturbed():
            if self._process is not None:
                _end(self._process)
            self._process = None

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        import httpx

        started = time.monotonic()
        last = "it did not listen on its port"
        with httpx.Client(base_url=self.url, timeout=5, trust_env=False) as http:
            while time.monotonic() - started < START_SECONDS:
                if process.poll() is not None:
                    raise ServerFailed(
                        f"The Jupyter Server ended at once (exit code {process.returncode}).{self._log()}"
                    )
                try:
                    answer = http.get("cosphere/accounts/me", headers={"Authorization": f"token {self.token}"})
                except httpx.TransportError:
                    time.sleep(0.1)
                    continue
                if answer.status_code == 200:
                    return
                if answer.status_code == 404:
                    raise ServerFailed(f"A Jupyter Server runs, but without cosphere_jupyter in it.{self._log()}")
                last = f"it answers {answer.status_code} {answer.reason_phrase}"
                if answer.status_code != 503:
                    raise ServerFailed(f"The workspace does not work: {last}.{self._log()}")
                if "SERVED_ELSEWHERE" in answer.text and time.monotonic() - started > IN_USE_SECONDS:
                    raise ServerFailed(
                        f"The folder {self.folder} is in use by another demo, at {answer.json().get('url')}. "
                        "Stop that one, or choose another folder with --folder."
                    )
                time.sleep(0.3)
        raise ServerFailed(f"The workspace did not answer within {START_SECONDS} s: {last}.{self._log()}")

    def _log(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        shown = "\n".join(f"    {line}" for line in lines[-_LOG_LINES_SHOWN:]).replace(self.token, "[secret]")
        return f" The end of its log, {self.log_file}:\n{shown}"


def _end(server: subprocess.Popen[bytes]) -> None:
    import psutil

    try:
        family = psutil.Process(server.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    _, left = psutil.wait_procs(family, timeout=1)
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals that ask us to end wait until the block is through."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handlers = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in came:
            signal.raise_signal(number)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
