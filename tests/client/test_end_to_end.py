"""The client against a real ``jupyter server`` with the extension in it, as a user meets it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from real_server import RealServer

from cosphere_jupyter import (
    Filter,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotSignedIn,
    RequestCancelled,
    RequestFailed,
    UnknownTable,
    Workspace,
)
from cosphere_jupyter.client.catalogue import Table

pytestmark = pytest.mark.slow

SERVER = "real"
ROWS = 200_000
FLIGHTS = f"""
    SELECT range AS n, range / 4 AS half, 'c' || range % 5 AS carrier, range % 2 = 0 AS even,
           TIMESTAMP '2013-01-01' + INTERVAL (range) MINUTE AS "time hour",
           CASE WHEN range % 10 = 0 THEN NULL ELSE 'text ' || range END AS note
    FROM range({ROWS})
"""


@pytest.fixture
def flights(ws: Workspace) -> Table:
    try:
        return ws.catalogue["flights"]
    except UnknownTable:
        return ws.catalogue.create(name="flights", source="flights.parquet")


@pytest.fixture(scope="module")
def expected() -> pd.DataFrame:
    return duckdb.sql(FLIGHTS).df()


def jwt(real: RealServer, email: str, type: str = "RESEARCHER") -> str:
    created = real.call("POST", "/accounts/", {"email": email, "type": type})
    assert created.status_code == 201, created.text
    return str(real.call("POST", f"/accounts/{created.json()['id']}/auth_tokens/").json()["token"])


def test_the_owner_of_the_server_is_an_admin(ws: Workspace):
    assert ws.me.type == "ADMIN"
    assert "@" in ws.me.email


def test_columns_are_read_from_the_data(flights: Table):
    kinds = {column.name: (column.type, column.is_enum) for column in flights.columns}
    assert kinds == {
        "n": ("INTEGER", False),
        "half": ("FLOAT", False),
        "carrier": ("STRING", True),
        "even": ("BOOLEAN", False),
        "time hour": ("DATETIME", False),
        "note": ("STRING", False),
    }


def test_the_main_job_gives_the_very_rows(flights: Table, expected: pd.DataFrame):
    query = (
        flights.select("note", "n", "carrier", "time hour")
        .where("n >= 1000", "carrier = 'c3'", flights["even"] == True)  # noqa: E712
        .where(Filter("time hour", "<", pd.Timestamp("2013-03-01")), "half != 252")
    )
    request = query.request()
    assert request.status in ("queued", "executing", "success")
    df = request.wait(timeout=60).to_pandas("numpy")
    wanted = expected[
        (expected.n >= 1000)
        & (expected.carrier == "c3")
        & expected.even
        & (expected["time hour"] < "2013-03-01")
        & (expected.half != 252)
    ][["note", "n", "carrier", "time hour"]]
    assert list(df.columns) == list(wanted.columns)
    df = df.sort_values("n", ignore_index=True)
    assert df["n"].tolist() == wanted["n"].tolist()
    assert df["carrier"].tolist() == wanted["carrier"].tolist()
    assert df["time hour"].tolist() == wanted["time hour"].tolist()
    assert df["note"].isna().tolist() == wanted["note"].isna().tolist()
    assert request.rows == len(wanted)
    assert request.size and request.size > 0


def test_all_columns_keep_their_types(flights: Table):
    df = flights.select().to_pandas()
    assert len(df) == ROWS
    assert {name: str(kind) for name, kind in df.dtypes.items()} == {
        "n": "int64[pyarrow]",
        "half": "double[pyarrow]",
        "carrier": "category",
        "even": "bool[pyarrow]",
        "time hour": "timestamp[us][pyarrow]",
        "note": "string[pyarrow]",
    }
    assert df.attrs["cosphere"]["rows"] == ROWS
    assert json.dumps(df.attrs)


def test_equal_requests_are_one_and_each_has_its_order(flights: Table):
    first = flights.select("n", "half").where("n < 10").request()
    second = flights.select("half", "n").where("n < 10").request()
    assert second.id == first.id
    assert list(first.to_pandas().columns) == ["n", "half"]
    assert list(second.to_pandas().columns) == ["half", "n"]


def test_a_sample_keeps_its_fraction_and_its_seed(flights: Table):
    tenth = flights.select("n").sample(0.1).to_pandas()
    assert 0.08 * ROWS < len(tenth) < 0.12 * ROWS
    other = flights.select("n").sample(0.1, seed=5).to_pandas()
    assert set(other["n"]) != set(tenth["n"])
    assert flights.select("n").sample(0).to_pandas().empty


def test_a_result_comes_over_http_when_its_folder_is_not_seen(
    real: RealServer, flights: Table, monkeypatch: pytest.MonkeyPatch
):
    from cosphere_jupyter.client import loading

    request = flights.select("n", "note").where("n < 150000").request()
    near = request.to_arrow(cache=False)
    monkeypatch.setattr(loading, "local_files", lambda manifest: None)
    far = request.to_arrow()
    assert far.num_rows == 150_000
    assert far.sort_by("n").equals(near.sort_by("n"))


def test_an_interrupted_download_goes_on_at_its_byte(flights: Table, tmp_path: Path):
    from cosphere_jupyter.client.download import Download

    request = flights.select("note").where("n < 140000").request().wait()
    manifest = request._result()
    file = manifest.files[0]
    with flights.workspace.http.open_link(file.uri) as response:
        whole = response.read()
    assert len(whole) == file.size
    (tmp_path / "00000.part").write_bytes(whole[:12345])
    with flights.workspace.http.open_link(file.uri, {"Range": "bytes=12345-"}) as response:
        assert response.status_code == 206
    [path, *_] = Download(flights.workspace.http, manifest, request._renewed, tmp_path).run()
    assert path.read_bytes() == whole


def test_the_servers_words_reach_the_user(ws: Workspace, flights: Table):
    with pytest.raises(InvalidRequest, match="type mismatch detected for column 'n'"):
        flights.select("n").where("n > 'text'").request()
    with pytest.raises(InvalidRequest, match="name: catalogue item with this name already exists"):
        ws.catalogue.create(name="flights", source="flights.parquet")
    with pytest.raises(InvalidRequest, match="source"):
        ws.catalogue.create(name="nothing", source="nothing.parquet")
    with pytest.raises(InvalidRequest):
        ws.catalogue.search("x", limit=0)
    with pytest.raises(NotFound):
        ws.requests[999_999]


def test_a_failed_request_says_why(real: RealServer, ws: Workspace):
    source = real.root / "broken.parquet"
    duckdb.sql(f"COPY ({FLIGHTS}) TO '{source}' (FORMAT parquet)")
    table = ws.catalogue.create(name="broken", source="broken.parquet")
    data = bytearray(source.read_bytes())
    data[4 : len(data) // 2] = os.urandom(len(data) // 2 - 4)
    source.write_bytes(bytes(data))
    request = table.select("note").request()
    with pytest.raises(RequestFailed) as caught:
        request.wait(timeout=60)
    assert str(caught.value) == request.error
    assert request.status == "error"
    assert str(real.root) not in str(caught.value)


def test_a_request_can_be_cancelled(ws: Workspace, flights: Table):
    request = flights.select("n", "half").where("n != 77").request()
    assert request.cancel().status == "cancelled"
    with pytest.raises(RequestCancelled):
        request.wait()
    assert request.id not in ws.requests


def test_coroutines_do_the_main_job(flights: Table):
    async def work() -> Any:
        request = await flights.select("n").where("n < 1234").request_async()
        await request.wait_async(timeout=60)
        return await request.to_pandas_async()

    assert len(asyncio.run(work())) == 1234


def test_searching_and_paging(ws: Workspace, flights: Table):
    names = [table.name for table in ws.catalogue.search("FLIGHTS nonsense")]
    assert names == ["flights"]
    assert list(ws.catalogue.search("~flights")) == []
    assert len(ws.catalogue.search(limit=1)) == 1
    assert list(ws.catalogue.search("flights", has_samples=True)) == []
    assert [table.name for table in ws.catalogue.search("flights", has_samples=False)] == ["flights"]
    assert "flights" in ws.catalogue._ipython_key_completions_()
    with pytest.raises(KeyError, match="did you mean 'flights'"):
        ws.catalogue["fligths"]


def test_a_table_is_updated_and_deleted(real: RealServer, ws: Workspace):
    duckdb.sql(f"COPY (SELECT 1 AS a) TO '{real.root / 'small.parquet'}' (FORMAT parquet)")
    table = ws.catalogue.create(name="small", source="flights.parquet")
    assert table.update(source="small.parquet").source == "small.parquet"
    assert [column.name for column in table.columns] == ["a"]
    assert table.update(maintained_by=ws.me).maintained_by == table.created_by
    assert table.select().to_pandas()["a"].tolist() == [1]
    with pytest.raises(InvalidRequest, match="not cancelled download reqeusts detected"):
        table.delete()
    [request] = [each for each in ws.requests if each.table == table]
    request.cancel()
    table.delete()
    assert "small" not in ws.catalogue


def test_a_researcher_may_ask_and_not_administer(real: RealServer, flights: Table):
    with Workspace(real.url, jwt(real, "rosa@lab.example")) as ws:
        assert (ws.me.email, ws.me.type) == ("rosa@lab.example", "RESEARCHER")
        assert len(ws.catalogue["flights"].select("n").where("n < 5").to_pandas()) == 5
        assert len(ws.requests) == 1
        with pytest.raises(NotAllowed):
            ws.catalogue.create(name="mine", source="flights.parquet")


def test_a_wrong_token_is_nobody(real: RealServer):
    for token in ("wrong", "a.b.c", None):
        with pytest.raises(NotSignedIn), Workspace(real.url, token) as ws:
            _ = ws.me


def test_no_secret_is_shown(real: RealServer, ws: Workspace, flights: Table):
    request = flights.select("n").where("n < 3").request().wait()
    df = request.to_pandas()
    shown = [repr(thing) for thing in (ws, ws.http, ws.http.server, flights, request, df.attrs, vars(ws))]
    assert not any(real.token in text or "signature=" in text for text in shown)


# Where the notebook is


def run_in_kernel(server: RealServer, code: str) -> str:
    """Start a kernel through the server's own API, as JupyterLab does, and return what the code prints."""
    from jupyter_client.blocking import BlockingKernelClient

    kernel = server.call("POST", f"{server.url}api/kernels", {"name": "python3"}).json()["id"]
    client = BlockingKernelClient()
    client.load_connection_file(str(server.folder / "runtime" / f"kernel-{kernel}.json"))
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        printed: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            printed.append(
                str(content.get("text") or content.get("evalue") or content.get("data", {}).get("text/plain", ""))
            )

        reply = client.execute_interactive(textwrap.dedent(code), timeout=120, output_hook=take)
        assert reply["content"]["status"] == "ok", printed
        return "".join(printed)
    finally:
        client.stop_channels()
        server.call("DELETE", f"{server.url}api/kernels/{kernel}")


def test_a_notebook_finds_its_server_and_who_it_is(real: RealServer, flights: Table, tmp_path: Path):
    told = run_in_kernel(
        real,
        f"""
        import os
        os.environ["COSPHERE_CACHE_DIR"] = {str(tmp_path / "cache")!r}
        from cosphere_jupyter import Workspace
        ws = Workspace()
        print(ws, ws.me.type)
        df = ws.catalogue["flights"].select("n").where("n < 12").request().wait().to_pandas()
        print("rows:", len(df))
        df2 = await ws.catalogue["flights"].select("n").where("n < 13").request().to_pandas_async()
        print("rows:", len(df2))
        """,
    )
    assert "the Jupyter server of this notebook" in told
    assert f"{real.url}cosphere" in told
    assert "ADMIN" in told
    assert "rows: 12" in told
    assert "rows: 13" in told
    assert real.token not in told


def test_a_second_server_on_the_same_data_leads_to_the_first(real: RealServer, flights: Table):
    second = RealServer(real.folder)
    assert second.data_dir == real.data_dir
    second.start(wait=False)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if second.call("GET", "/accounts/me").status_code == 503:
                    break
            except OSError:
                pass
            except Exception as error:
                assert "Connect" in type(error).__name__, error
            time.sleep(0.1)
        code = f"""
            from cosphere_jupyter import Workspace
            ws = Workspace(url={second.url!r}, token={second.token!r})
            print(ws.me.type, ws, len(ws.catalogue["flights"].select("n").where("n < 21").to_pandas(cache=False)))
        """
        command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
        done = subprocess.run(command, env=real.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"ADMIN <Workspace {real.url}cosphere")
        assert "followed to process" in done.stdout
        assert done.stdout.rstrip().endswith("21")
    finally:
        second.stop()


def test_waiting_outlives_a_restart_of_the_server(tmp_path: Path):
    server = RealServer(tmp_path / "restarted", "--CosphereApp.max_tasks=1")
    duckdb.sql(f"COPY (SELECT range AS n FROM range(1000)) TO '{server.root / 'n.parquet'}' (FORMAT parquet)")
    server.start()
    try:
        with Workspace(server.url, server.token) as ws:
            request = ws.catalogue.create(name="n", source="n.parquet").select().request()
            server.kill()
            server.start(wait=False)
            assert request.wait(timeout=60).status == "success"
            assert len(request.to_pandas()) == 1000
    finally:
        server.stop()
