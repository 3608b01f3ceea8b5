"""A Jupyter server without a token, as in many containers: everybody on it is its owner."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from real_server import RealServer

from cosphere_jupyter import Workspace

pytestmark = pytest.mark.slow


def test_the_main_job_runs_without_a_token(tmp_path, monkeypatch):
    server = RealServer(tmp_path, "--IdentityProvider.token=", "--ServerApp.password=")
    server.token = ""
    pq.write_table(pa.table({"n": [1, 2, 3]}), server.root / "three.parquet")
    monkeypatch.setenv("COSPHERE_CACHE_DIR", str(tmp_path / "cache"))
    server.start(wait=False)
    try:
        server.token = "none"
        _wait(server)
        ws = Workspace(url=server.url, sign_in=False)
        table = ws.catalogue.create(name="three", source="three.parquet")
        assert table.select("n").where("n > 1").to_pandas()["n"].tolist() == [2, 3]
        table.select("n").request().cancel()
    finally:
        server.stop()


def _wait(server):
    import time

    import httpx

    for _ in range(300):
        try:
            if httpx.get(f"{server.base}/accounts/me", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(server.log.read_text())
