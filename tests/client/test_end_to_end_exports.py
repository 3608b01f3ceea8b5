"""Typed downloads against a real ``jupyter server``: made there, fetched whole, read as DataFrames."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from real_server import RealServer

from cosphere_jupyter import (
    DownloadFailed,
    DownloadTimeout,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotSignedIn,
    TypedDownload,
    Workspace,
)
from cosphere_jupyter.client.saving import file_name

pytestmark = pytest.mark.slow

ROWS = """
    SELECT range AS n, range / 4 AS half, 'c' || range % 5 AS word, range % 2 = 0 AS even,
           TIMESTAMP '2013-01-01' + INTERVAL (range) MINUTE AS moment,
           CASE WHEN range % 10 = 0 THEN NULL WHEN range % 10 = 1 THEN '' ELSE 'text ' || range END AS note
    FROM range(20_000)
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    server = RealServer(tmp_path_factory.mktemp("real"))
    duckdb.sql(f"COPY ({ROWS}) TO '{server.root / 'flights.parquet'}' (FORMAT parquet)")
    server.start()
    server.create_item("flights", "flights.parquet")
    yield server
    server.stop()


@pytest.fixture
def ws(real: RealServer) -> Iterator[Workspace]:
    with Workspace(real.url, real.token) as workspace:
        yield workspace


@pytest.fixture(scope="module")
def expected() -> pd.DataFrame:
    return duckdb.sql(ROWS).df()


def test_the_catalogue_is_made_and_saved(ws: Workspace, tmp_path: Path):
    download = ws.downloads.create("catalogue")
    assert (download.type, download.error) == ("catalogue", None)
    assert download.wait(timeout=60) is download
    assert (download.state, download.progress) == ("done", 1.0)
    assert download.url == f"{ws.url}/api/downloads/{download.id}/file"
    path = download.save(tmp_path)
    assert path == tmp_path / "catalogue.csv"
    assert "flights" in path.read_text()
    # Nothing else is left there, and what is there already is replaced.
    other = tmp_path / "mine.txt"
    other.write_text("old")
    assert download.save(str(other)) == other
    assert other.read_bytes() == path.read_bytes()
    assert sorted(set(os.listdir(tmp_path)) - {"jupyter", "cache"}) == ["catalogue.csv", "mine.txt"]


def test_it_is_found_again_by_its_id(ws: Workspace):
    download = ws.downloads.create("catalogue").wait()
    found = ws.downloads[download.id]
    assert isinstance(found, TypedDownload)
    assert (found.id, found.type, found.state) == (download.id, "catalogue", "done")


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_the_catalogue_becomes_a_frame(ws: Workspace, format: str):
    df = ws.downloads.create("catalogue", format=format).to_pandas()
    assert df["name"].tolist() == ["flights"]
    assert df["executor_type"].tolist() == ["DUCKDB"]
    spec = df["spec"][0] if format == "json" else json.loads(df["spec"][0])
    assert [column["name"] for column in spec] == ["n", "half", "word", "even", "moment", "note"]


@pytest.mark.parametrize("format", ["csv", "parquet", "arrow"])
def test_the_rows_of_a_request_come_back_as_they_are(ws: Workspace, expected: pd.DataFrame, format: str):
    request = ws.catalogue["flights"].select().request().wait()
    df = ws.downloads.create("download_request", id=request.id, format=format).to_pandas("numpy")
    df = df.sort_values("n", ignore_index=True)
    assert list(df.columns) == list(expected.columns)
    for name in ("n", "half", "word", "even", "moment"):
        assert df[name].tolist() == expected[name].tolist(), name
    notes = [None if pd.isna(note) else note for note in df["note"]]
    assert notes == [None if pd.isna(note) else note for note in expected["note"]]


def test_the_backends_of_frames_are_those_of_requests(ws: Workspace):
    df = ws.downloads.create("catalogue", format="parquet").to_pandas()
    assert str(df["id"].dtype) == "int64[pyarrow]"


def test_coroutines_do_the_same(ws: Workspace, tmp_path: Path):
    async def work() -> tuple[str, Path, pd.DataFrame]:
        download = ws.downloads.create("catalogue", format="parquet")
        await download.wait_async()
        return download.state, await download.save_async(tmp_path / "c.parquet"), await download.to_pandas_async()

    state, path, df = asyncio.run(work())
    assert (state, len(df), path.read_bytes()[:4]) == ("done", 1, b"PAR1")


def test_what_cannot_be_asked_for_is_refused_with_the_choices(ws: Workspace):
    with pytest.raises(
        InvalidRequest, match=r"there is no such download type; there are: bundle, catalogue, "
    ) as caught:
        ws.downloads.create("nonsense")
    assert caught.value.status == 422
    with pytest.raises(InvalidRequest, match=r"download\.info\.format: must be one of: csv, json, parquet"):
        ws.downloads.create("catalogue", format="xls")
    with pytest.raises(InvalidRequest, match="there is no download request 999 that you wait for"):
        ws.downloads.create("download_request", id=999)


def test_the_types_are_told(ws: Workspace):
    found = {each.name: each for each in ws.downloads.types()}
    assert {"catalogue", "download_requests", "tasks", "download_request"} <= set(found)
    assert found["catalogue"].formats == ("csv", "json", "parquet") and found["catalogue"].may_create


def test_others_get_nothing(real: RealServer, ws: Workspace):
    download = ws.downloads.create("catalogue").wait()
    created = real.call("POST", "/accounts/", {"email": "rosa@lab.example", "type": "RESEARCHER"}).json()
    token = real.call("POST", f"/accounts/{created['id']}/auth_tokens/").json()["token"]
    with Workspace(real.url, token) as other:
        with pytest.raises(NotAllowed, match="somebody else's"):
            other.downloads[download.id]
        with pytest.raises(NotFound):
            other.downloads["0e7f3a52-0000-4000-8000-000000000000"]
        assert other.downloads.create("tasks", format="json").to_pandas().shape[0] >= 1
        real.call("PUT", "/api/download_types/catalogue/permissions/", {"permissions": []})
        try:
            with pytest.raises(NotAllowed, match="may not ask for downloads of type catalogue"):
                other.downloads.create("catalogue")
        finally:
            everyone = {"subject_type": "everyone", "subject_id": 0, "level": "write"}
            real.call("PUT", "/api/download_types/catalogue/permissions/", {"permissions": [everyone]})
    with Workspace(real.url, "wrong") as nobody, pytest.raises(NotSignedIn):
        nobody.downloads.create("catalogue")


def test_waiting_has_an_end(ws: Workspace):
    download = ws.downloads.create("catalogue")
    if download.state in ("pending", "running"):
        with pytest.raises(DownloadTimeout, match=r"is still (pending|running) after 0 s"):
            download.wait(timeout=0)
    assert download.wait().state == "done"


def test_a_file_that_is_gone_is_told(real: RealServer, ws: Workspace, tmp_path: Path):
    download = ws.downloads.create("catalogue").wait()
    key = real.call("GET", f"/api/downloads/{download.id}").json()["download"]["task"]
    digest = hashlib.sha256(key.encode()).hexdigest()
    shutil.rmtree(real.data_dir / "results" / digest[:2] / digest)
    assert download.refresh().state == "failed"
    with pytest.raises(DownloadFailed, match="has expired; ask for it again"):
        download.save(tmp_path / "late.csv")
    assert not (tmp_path / "late.csv").exists()


@pytest.mark.parametrize(
    ("link", "name"),
    [
        ("http://host/cosphere/results/ab/cd/K-1/thumb.jpg?signature=abc", "thumb.jpg"),
        ("http://host/x/..%2F..%2Fetc%2Fpasswd", "_.._etc_passwd"),
        ("http://host/x/..", "file"),
        ("http://host/", "file"),
        ("http://host/x/a%00b%0a.csv", "a_b_.csv"),
        ("http://host/x/gr%C3%BC%C3%9Fe.csv", "grüße.csv"),
    ],
)
def test_no_name_of_a_server_leads_out_of_the_folder(link: str, name: str):
    assert file_name(link) == name


def test_nothing_shown_holds_a_link_or_a_token(real: RealServer, ws: Workspace):
    download = ws.downloads.create("catalogue").wait()
    texts = [repr(download), download._repr_html_(), repr(ws.downloads), ws.downloads._repr_html_(), str(download.url)]
    assert not any(real.token in text or "signature=" in text for text in texts)
    assert download.id in repr(download) and "done" in download._repr_html_()
