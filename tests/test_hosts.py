"""The extension works in each Jupyter application because it is installed, and says clearly who owns a directory."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
import textwrap

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from real_server import RealServer

pytestmark = pytest.mark.slow


def add_data(server):
    pq.write_table(pa.table({"n": [1, 2, 3]}), server.root / "three.parquet")
    return server.create_item("three", "three.parquet")


@pytest.mark.parametrize("host", ["server", "lab", "notebook", "cosphere"])
def test_the_main_job_runs_in_each_host_without_any_set_up(tmp_path, host):
    server = RealServer(tmp_path, host=host)
    server.start()
    try:
        request = server.settled(server.request(add_data(server))["id"])
        assert request["task"]["status"] == "success"
        assert server.call("GET", request["download_uri"]).content[:4] == b"PAR1"
    finally:
        server.stop()


def test_the_data_directory_is_private(tmp_path):
    server = RealServer(tmp_path)
    server.start()
    try:
        server.settled(server.request(add_data(server))["id"])
    finally:
        server.stop()
    for path in [server.data_dir, *server.data_dir.rglob("*")]:
        # Folders between a result's name and the store's root hold nothing readable.
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, (path, oct(mode))


def test_of_two_servers_on_one_directory_the_second_says_where_the_first_is_and_takes_over(tmp_path):
    first = RealServer(tmp_path / "first")
    second = RealServer(tmp_path / "second")
    second.data_dir = first.data_dir
    first.start()
    second.start(wait=False)
    try:
        item = add_data(first)
        refused = _until_it_answers(second)
        assert refused.status_code == 503
        assert refused.json()["@event"] == "WORKSPACE_IS_SERVED_ELSEWHERE"
        assert str(first.port) in refused.json()["url"] and refused.json()["pid"] == first.process.pid
        first.kill()
        assert second.call("GET", f"/catalogue/items/{item['id']}").json()["name"] == "three"
    finally:
        first.stop()
        second.stop()


def _until_it_answers(server):
    import time

    import httpx

    for _ in range(300):
        try:
            return server.call("GET", "/accounts/me")
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(server.log.read_text())


def test_a_request_that_was_running_when_the_server_was_restarted_is_finished_by_the_next_one(tmp_path, big_parquet):
    server = RealServer(tmp_path, "--CosphereApp.duckdb_threads=1")
    shutil.copy(big_parquet, server.root / "big.parquet")
    server.start()
    try:
        request = server.request(server.create_item("big", "big.parquet"))
        for _ in range(200):
            task = server.call("GET", f"/downloader/requests/{request['id']}?wait=1").json()["task"]
            if task["status"] == "executing" and task["progress"]:
                break
        assert task["status"] == "executing"
        server.stop()
        server.start()
        ended = server.settled(request["id"])
        assert ended["task"]["status"] == "success" and ended["task"]["key"] == request["task"]["key"]
        assert ended["executor_job_id"] == f"{request['task']['key']}-2"
        manifest = server.call("GET", ended["manifest_uri"]).json()
        assert manifest["rows"] == 12_000_000
        # A result of this size lies in one file or several; all of it can be had in one piece.
        head = server.call("HEAD", ended["download_uri"])
        assert int(head.headers["Content-Length"]) >= manifest["bytes"]
    finally:
        server.stop()


def test_importing_the_package_loads_nothing_heavy():
    program = """
        import sys
        import cosphere_jupyter
        heavy = {"pandas", "pyarrow", "sqlalchemy", "boto3", "duckdb", "httpx", "sqlglot", "alembic", "jsonschema"}
        print(sorted(heavy & set(sys.modules)))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_loading_the_extension_into_a_server_loads_nothing_that_belongs_to_a_child():
    program = """
        import sys
        import cosphere_jupyter.app, cosphere_jupyter.handlers.routes, cosphere_jupyter.services
        print(sorted({"pandas", "pyarrow", "boto3", "duckdb", "httpx", "sqlglot"} & set(sys.modules)))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
