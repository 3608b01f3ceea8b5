"""Fixtures of the widgets' tests: a real server, JupyterLab and Notebook 7, each with the tables of the demo."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_server import RealServer

from cosphere_jupyter import Workspace
from cosphere_jupyter.cli import demo_data
from cosphere_jupyter.client.table import Table

FOREIGN = ("JUPYTERHUB_", "JPY_", "COSPHERE_")
# No pop-up that asks about news, and nothing that looks for them.
QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own servers and caches is seen or touched."""
    for name in list(os.environ):
        if name.startswith(FOREIGN) and name != "COSPHERE_CHROMIUM":
            monkeypatch.delenv(name)
    monkeypatch.setenv("COSPHERE_CACHE_DIR", str(tmp_path / "cache"))


def serve(folder: Path, host: str = "server", *options: str) -> Iterator[RealServer]:
    """A server with the tables of the demo in its catalogue, each with samples and distributions."""
    server = RealServer(folder, *options, host=host)
    demo_data.prepare(server.root / "data")
    settings = folder / "jupyter_config_dir" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(QUIET))
    try:
        server.start()
        with Workspace(server.url, server.token, cache=False) as workspace:
            for name in demo_data.TABLES:
                created = workspace.catalogue.create(
                    name=name,
                    source=f"data/{name}.parquet",
                    description=f"The {name} of New York City's airports in 2013",
                    tags=["nyc", "2013"] if name in ("flights", "weather") else ["nyc"],
                )
                created.update_samples()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server without any pages, for tests without a browser."""
    yield from serve(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """JupyterLab, with its application object in the page."""
    yield from serve(tmp_path_factory.mktemp("lab"), "lab", "--expose-app-in-browser", "--LabApp.news_url=None")


@pytest.fixture(scope="session")
def notebook7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """Notebook 7, with its application object in the page."""
    yield from serve(tmp_path_factory.mktemp("notebook"), "notebook", "--JupyterNotebookApp.expose_app_in_browser=True")


@pytest.fixture(params=["lab", "notebook7"])
def jupyter(request: Any) -> RealServer:
    """JupyterLab, and then Notebook 7."""
    found: RealServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def ws(real: RealServer) -> Iterator[Workspace]:
    with Workspace(real.url, real.token) as workspace:
        yield workspace


@pytest.fixture
def flights(ws: Workspace) -> Table:
    return ws.catalogue["flights"]
