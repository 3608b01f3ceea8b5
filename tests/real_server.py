"""A real ``jupyter server`` process on a free port of this machine, which tests start, kill and start again."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class RealServer:
    """Jupyter Server with the extension; everything it writes lies below ``folder``."""

    def __init__(self, folder: Path, *options: str, host: str = "server") -> None:
        """``host`` is the Jupyter application that loads the extension: server, lab, notebook or cosphere."""
        self.folder = folder
        self.host = host
        self.root = folder / "root"
        self.data_dir = folder / "workspace"
        self.log = folder / "server.log"
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        self.root.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/base/"

    @property
    def base(self) -> str:
        return f"{self.url}cosphere"

    @property
    def environment(self) -> dict[str, str]:
        """What isolates it from the user's own Jupyter; kernels and commands of the test use the same."""
        folders = {name: str(self.folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
        runtime = {"JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"), "JUPYTER_TOKEN": self.token}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COSPHERE_", "JPY_"))}
        return {**kept, **folders, **runtime, "IPYTHONDIR": str(self.folder / "ipython")}

    def start(self, wait: bool = True) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyter", self.host, "--no-browser", "--ip=127.0.0.1", "--allow-root"),
                    *(f"--port={self.port}", "--ServerApp.port_retries=0", "--ServerApp.base_url=/base/"),
                    *(f"--ServerApp.root_dir={self.root}", f"--CosphereApp.data_dir={self.data_dir}"),
                    *self.options,
                ],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                break
            try:
                if self.call("GET", "/accounts/me", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the server did not come up:\n{self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """SIGKILL: nothing of it can tidy up."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self, seconds: float = 30) -> None:
        """SIGTERM, as operators do."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def call(self, method: str, path: str, body: Any = None, timeout: float = 60, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"token {self.token}", **options.pop("headers", {})}
        url = path if path.startswith("http") else self.base + path
        return httpx.request(method, url, json=body, headers=headers, timeout=timeout, trust_env=False, **options)

    def create_item(self, name: str, source: str) -> dict[str, Any]:
        me = self.call("GET", "/accounts/me").json()
        body = {"name": name, "executor_type": "DUCKDB", "source": source, "maintained_by_id": me["id"]}
        created = self.call("POST", "/catalogue/items/", body)
        assert created.status_code == 201, created.text
        return dict(created.json())

    def request(self, item: dict[str, Any], **spec: Any) -> dict[str, Any]:
        spec = {"columns": [column["name"] for column in item["spec"]], "filters": [], **spec}
        answer = self.call("POST", "/downloader/requests/", {"catalogue_item_id": item["id"], "spec": spec})
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def settled(self, request_id: int, seconds: float = 120) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            request: dict[str, Any] = self.call("GET", f"/downloader/requests/{request_id}?wait=5").json()
            if request["task"]["status"] in ("success", "error"):
                return request
            assert time.monotonic() < deadline, request["task"]
