"""Fixtures of the client's tests: an environment without the developer's own servers, and a small workspace."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from client.workspace_server import WorkspaceServer, column
from real_server import RealServer

from cosphere_jupyter import Workspace

FOREIGN = ("JUPYTERHUB_", "JPY_", "COSPHERE_")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own servers, profiles and caches is seen or touched."""
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    for name in ("runtime", "config", "data"):
        (tmp_path / "jupyter" / name).mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(f"JUPYTER_{name.upper()}_DIR", str(tmp_path / "jupyter" / name))
    monkeypatch.setenv("COSPHERE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WorkspaceServer]:
    with WorkspaceServer(tmp_path / "results") as running:
        running.add_item(
            "flights",
            [
                column("carrier", "STRING", is_enum=True),
                column("dep_delay"),
                column("air_time", "FLOAT"),
                column("time hour", "DATETIME"),
            ],
        )
        yield running


@pytest.fixture(scope="module")
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A real ``jupyter server``; what the module's ``FLIGHTS`` selects lies there in ``flights.parquet``."""
    server = RealServer(tmp_path_factory.mktemp("real"))
    if select := getattr(request.module, "FLIGHTS", None):
        duckdb.sql(f"COPY ({select}) TO '{server.root / 'flights.parquet'}' (FORMAT parquet)")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def ws(request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """A workspace of the module's ``SERVER``: the fixture ``server``, if it names no other."""
    served = request.getfixturevalue(getattr(request.module, "SERVER", "server"))
    with Workspace(served.url, served.token) as workspace:
        yield workspace


@pytest.fixture
def running(tmp_path: Path) -> Callable[..., Path]:
    """Leave the file of a running Jupyter server."""

    def write(server: WorkspaceServer | str, pid: int | None = None, **values: Any) -> Path:
        pid = pid or os.getpid()
        url, token = (server, "secret") if isinstance(server, str) else (server.url, server.token)
        info = {
            "base_url": "/",
            "hostname": "localhost",
            "password": False,
            "pid": pid,
            "port": 8888,
            "root_dir": "/nowhere",
            "secure": False,
            "sock": "",
            "token": token,
            "url": url,
            "version": "2.21.1",
            **values,
        }
        path = tmp_path / "jupyter" / "runtime" / f"jpserver-{pid}.json"
        path.write_text(json.dumps(info))
        return path

    return write
