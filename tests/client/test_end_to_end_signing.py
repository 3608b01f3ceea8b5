"""Signing in by a link against a real ``jupyter server``, from a program and from a notebook."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from real_server import RealServer

from cosphere_jupyter import NotSignedIn, Workspace

pytestmark = pytest.mark.slow

EMAIL, PASSWORD = "rosa@lab.example", "correct horse battery staple"


@pytest.fixture(scope="module", autouse=True)
def rosa(real: RealServer) -> None:
    created = real.call("POST", "/accounts/", {"email": EMAIL, "password": PASSWORD})
    assert created.status_code == 201, created.text


def attach(real: RealServer, page: str) -> None:
    """Do what the page behind the link does when somebody enters a password."""
    opened = httpx.get(page, trust_env=False)
    assert opened.status_code == 200
    [uuid] = re.findall(r"auth_requests/([0-9a-f-]{36})/", page)
    assert uuid[:8] in opened.text
    url = f"{real.base}/accounts/auth_requests/attach_password/"
    body = {"request_uuid": uuid, "email": EMAIL, "password": PASSWORD}
    answer = httpx.post(url, json=body, trust_env=False)
    assert answer.status_code == 200, answer.text


def test_a_program_shows_the_link_and_goes_on_when_somebody_has_signed_in(
    real: RealServer, capsys: pytest.CaptureFixture[str]
):
    seen = threading.Event()
    failures: list[BaseException] = []

    def sign_in() -> None:
        told = ""
        try:
            while not (link := re.search(r"workspace: (http\S+)", told)):
                assert not seen.wait(0.05)
                told += capsys.readouterr().err
            attach(real, link[1])
        except BaseException as error:
            failures.append(error)

    user = threading.Thread(target=sign_in)
    user.start()
    try:
        with Workspace(real.url, sign_in=True) as ws:
            assert (ws.me.email, ws.me.type) == (EMAIL, "RESEARCHER")
            assert list(ws.requests) == []
    finally:
        seen.set()
        user.join(20)
    assert failures == []
    assert f"Signed in as {EMAIL}." in capsys.readouterr().err


def test_a_program_that_nobody_sits_at_is_refused(real: RealServer):
    with pytest.raises(NotSignedIn):
        Workspace(real.url)


def test_a_notebook_shows_the_link_and_replaces_it_when_it_is_used(real: RealServer, tmp_path: Path):
    from jupyter_client.manager import KernelManager

    kernel = KernelManager(kernel_name="python3")
    folders = {name: str(tmp_path / name) for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "COSPHERE_CACHE_DIR")}
    kernel.start_kernel(env={**os.environ, **folders}, cwd=str(tmp_path))
    client = kernel.blocking_client()
    client.start_channels()
    shown: list[tuple[str, Any]] = []

    def take(message: dict[str, Any]) -> None:
        content = message["content"]
        # Besides, widgets talk by comms.
        if "data" in content and not message["msg_type"].startswith("comm_"):
            shown.append((message["msg_type"], content))
            link = re.search(r'href="([^"]+)"', content["data"].get("text/html", ""))
            if link:
                attach(real, link[1])

    try:
        client.wait_for_ready(timeout=60)
        code = f"from cosphere_jupyter import Workspace\nws = Workspace({real.url!r})\nws.me.email"
        refused = client.execute_interactive(code, timeout=60, allow_stdin=False, output_hook=take)
        assert (refused["content"]["status"], refused["content"]["ename"]) == ("error", "NotSignedIn")
        assert shown == []
        reply = client.execute_interactive(code, timeout=60, allow_stdin=True, output_hook=take)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", reply
    assert [kind for kind, _ in shown] == ["display_data", "update_display_data", "execute_result"]
    invitation, end, result = (content["data"] for _, content in shown)
    assert "application/vnd.jupyter.widget-view+json" in invitation
    assert 'target="_blank"' in invitation["text/html"] and 'rel="noopener"' in invitation["text/html"]
    assert re.search(r"check code <code>[0-9a-f]{8}</code>", invitation["text/html"])
    assert shown[0][1]["transient"] == shown[1][1]["transient"]
    assert end["text/html"] == f"<div>Signed in as {EMAIL}.</div>"
    assert result["text/plain"] == repr(EMAIL)
