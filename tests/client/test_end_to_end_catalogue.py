"""Looking into tables, estimating, and results that have expired, against a real ``jupyter server``."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest
from real_server import RealServer

from cosphere_jupyter import InvalidRequest, NotAllowed, NotFound, Permission, UnknownTable, Workspace
from cosphere_jupyter.client import charts
from cosphere_jupyter.client.table import Table

pytestmark = pytest.mark.slow

SERVER = "real"
ROWS = 50_000
FLIGHTS = f"""
    SELECT range AS n, range / 4 AS half, 'c' || range % 5 AS carrier, range % 3 = 0 AS even,
           TIMESTAMP '2013-01-01' + INTERVAL (range % 500) HOUR AS "time hour",
           CASE WHEN range % 10 = 0 THEN NULL ELSE range % 7 END AS gaps, '<script>' || range AS "<b>note</b>"
    FROM range({ROWS})
"""


@pytest.fixture
def flights(ws: Workspace) -> Table:
    try:
        return ws.catalogue["flights"]
    except UnknownTable:
        return ws.catalogue.create(name="flights", source="flights.parquet", tags=["air"]).update_samples()


def test_the_server_looks_into_a_table_and_the_notebook_shows_it(flights: Table):
    assert len(flights.sample_rows) == 100
    assert charts.rows_of(flights.columns) == ROWS
    for each in flights.columns:
        found = charts.shape(each, ROWS)
        assert found is not None and (found.bins or found.bars)
    carrier, gaps = charts.shape(flights["carrier"]), charts.shape(flights["gaps"])
    assert carrier is not None and dict(carrier.bars) == {f"c{n}": ROWS // 5 for n in range(5)}
    assert gaps is not None and (gaps.nulls, gaps.low, gaps.high, len(gaps.bins)) == (ROWS // 10, "0", "6", 7)
    html = flights._repr_html_()
    assert html.count("<svg") == 7
    assert "50,000 rows" in html and "air" in html
    assert "<script>" not in html and "<b>" not in html
    ElementTree.fromstring(html)


def test_the_sample_has_the_types_of_the_table(flights: Table):
    frame = flights.sample_frame()
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "n": "int64[pyarrow]",
        "half": "double[pyarrow]",
        "carrier": "string[pyarrow]",
        "even": "bool[pyarrow]",
        "time hour": "timestamp[us][pyarrow]",
        "gaps": "int64[pyarrow]",
        "<b>note</b>": "string[pyarrow]",
    }
    assert (frame["half"] == frame["n"] / 4).all()


def test_an_estimate_is_near_what_comes_out(flights: Table):
    query = flights.select("n", "carrier").where("n < 20000")
    found = query.estimate()
    request = query.request().wait(progress=False)
    assert found.rows is not None and found.low is not None and found.high is not None
    assert request.rows == 20_000
    assert 0.8 < found.rows / 20_000 < 1.25
    assert request.size is not None and 0.5 < found.size / request.size < 2
    assert found.method
    assert request.estimate().size == request.estimated_size
    assert asyncio.run(request.estimate_async()).size > 0
    with pytest.raises(InvalidRequest, match="type mismatch"):
        flights.select("n").where("n > 'text'").estimate()


def test_the_rows_come_as_polars(flights: Table):
    frame = flights.select("n", "carrier").where("n < 7").to_polars()
    assert frame.sort("n")["n"].to_list() == list(range(7))
    assert asyncio.run(flights.select("n").where("n < 7").to_polars_async()).height == 7


def test_tags_and_descriptions_are_kept_and_found(ws: Workspace, flights: Table):
    spec = flights._spec
    flights.update(description="Flights of 2013")
    again = ws.catalogue["flights"]
    assert (again.description, again.tags, again._spec) == ("Flights of 2013", ("air",), spec)
    assert len(again.sample_rows) == 100
    assert [each.name for each in ws.catalogue.search(tag="air")] == ["flights"]
    assert list(ws.catalogue.search(tag="water")) == []
    assert "Flights of 2013" in ws.catalogue.search("fli")._repr_html_()


def test_who_may_see_a_table_is_decided_by_its_permissions(real: RealServer, flights: Table):
    created = real.call("POST", "/accounts/", {"email": "eve@lab.example"}).json()["id"]
    token = real.call("POST", f"/accounts/{created}/auth_tokens/").json()["token"]
    with Workspace(real.url, token) as eve:
        assert "flights" in eve.catalogue
        flights.permissions.give("none")
        assert "flights" not in eve.catalogue
        assert Permission("account", created, "read") in flights.permissions.give("read", account=created)
        assert "flights" in eve.catalogue
        with pytest.raises((NotAllowed, NotFound)):
            list(eve.catalogue["flights"].permissions)
    flights.permissions.replace(Permission("everyone", 0, "read"))


def test_a_result_that_has_expired_is_computed_again(tmp_path: Path):
    server = RealServer(tmp_path / "expiring")
    duckdb.sql(f"COPY (SELECT range AS n FROM range(1000)) TO '{server.root / 'n.parquet'}' (FORMAT parquet)")
    server.start()
    try:
        with Workspace(server.url, server.token, cache=False) as ws:
            request = ws.catalogue.create(name="n", source="n.parquet").select().request().wait(progress=False)
            first = request.to_pandas()
            time.sleep(1.1)
            server.stop()
            server.options = ("--CosphereApp.results_ttl=1",)
            server.start()
            found = ws.requests[request.id]
            assert found._data["manifest_uri"] is None
            assert request.to_pandas().equals(first)
            assert found.to_arrow().num_rows == 1000
            assert request.id == found.id
    finally:
        server.stop()
