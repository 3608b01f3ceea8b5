"""Bundles on a Jupyter server without a token, as in many containers: everybody on it is its owner."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from real_server import RealServer

from cosphere_jupyter import Workspace

pytestmark = pytest.mark.slow


def test_bundles_runs_and_worksheets_work_without_a_token(tmp_path: Path):
    server = RealServer(tmp_path, "--IdentityProvider.token=", "--ServerApp.password=")
    server.token = ""
    server.start(wait=False)
    try:
        wait(server)
        with Workspace(url=server.url, sign_in=False) as ws:
            bundle = ws.bundles.upload(b"x" * 3_000_000, name="big", progress=False)
            assert len(bundle.read()) == 3_000_000
            page = ws.worksheets.create("page").add("hello", bundle)
            page.source += "\n// the end"
            assert page.source.splitlines()[-1] == "// the end"
            assert ws.run("echo hi").wait(timeout=60, progress=False).text("stdout") == "hi\n"
            page.delete(force=True)
            bundle.delete()
    finally:
        server.stop()


def wait(server: RealServer) -> None:
    for _ in range(300):
        try:
            if httpx.get(f"{server.base}/accounts/me", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail("the server does not answer")
