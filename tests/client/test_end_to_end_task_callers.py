"""Tasks and typed downloads where somebody has to sign in again, or another server has the workspace."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import httpx
import pytest
from client.lab_server import LabServer
from real_server import RealServer

from cosphere_jupyter import NotSignedIn, Workspace
from cosphere_jupyter.client.http import Http

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    server = LabServer(tmp_path_factory.mktemp("lab"), "--CosphereApp.max_tasks=2", "--CosphereApp.token_lifetime=2")
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_whoever_has_to_sign_in_again_goes_on(lab: LabServer, monkeypatch: pytest.MonkeyPatch):
    account = lab.call("POST", "/accounts/", {"email": "rosa@lab.example", "type": "RESEARCHER"}).json()

    def token() -> str:
        return str(lab.call("POST", f"/accounts/{account['id']}/auth_tokens/").json()["token"])

    asked: list[str | None] = []

    def sign_in(http: Http, refusal: NotSignedIn) -> str:
        asked.append(refusal.event)
        return token()

    with Workspace(lab.url, token()) as ws:
        monkeypatch.setattr(ws.http, "_sign_in", sign_in)
        time.sleep(3)
        assert ws.tasks.create("hello", name="Rosa").wait().result == "Hello Rosa"
        assert asked
        time.sleep(3)
        assert "hello" in ws.downloads.create("tasks", format="json").to_pandas()["name"].tolist()
        time.sleep(3)
        # Also where the stream is what is refused.
        task = ws.tasks.create("lab.nap", seconds=0.1)
        time.sleep(3)
        assert task.wait().result == "rested"
    assert set(asked) == {"AUTH_TOKEN_EXPIRED"}
    assert len(asked) >= 4


def test_a_second_server_on_the_same_data_leads_to_the_tasks_of_the_first(lab: LabServer):
    second = RealServer(lab.folder)
    second.start(wait=False)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if second.call("GET", "/accounts/me").status_code == 503:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        code = """
            import sys
            from cosphere_jupyter import Workspace
            with Workspace(sys.argv[1], sys.argv[2]) as ws:
                print(ws.tasks.create("hello", name="John").wait().result, len(ws.tasks.list(limit=1)))
            with Workspace(sys.argv[1], sys.argv[2]) as ws:
                print(ws.downloads.create("catalogue").wait().state, ws)
        """
        command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), second.url, second.token]
        done = subprocess.run(command, env=lab.environment, capture_output=True, text=True, timeout=120)
    finally:
        second.stop()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Hello John 1\ndone <Workspace ")
    assert f"{lab.url}cosphere" in done.stdout and "followed to process" in done.stdout
