"""Samples, estimates, permissions, tags and polars: small things that the client says and reads at the wire."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from client.workspace_server import WorkspaceServer, column

from cosphere_jupyter import ApiError, Estimate, Permission, ServerUnavailable, Workspace
from cosphere_jupyter.client import table as tables
from cosphere_jupyter.client.table import Table

ROWS = pa.table({"carrier": ["UA", "AA"], "dep_delay": [40, None]})


@pytest.fixture
def table(ws: Workspace) -> Table:
    return ws.catalogue["flights"]


def profile(server: WorkspaceServer) -> None:
    """What the server will find when it looks at the flights."""
    counts = [{"value": "UA", "count": 2}, {"value": None, "count": 1}]
    spec = [{**column("carrier", "STRING", is_enum=True), "distribution": counts, "size": 77}, column("dep_delay")]
    server.profile = {"spec": spec, "sample": [{"carrier": "UA", "dep_delay": 40}, {"carrier": None, "dep_delay": 1}]}


# Samples


def test_samples_and_distributions_are_there_after_an_update(table: Table, server: WorkspaceServer):
    assert (table.sample_rows, table["carrier"].distribution) == ([], None)
    profile(server)
    assert table.update_samples() is table
    assert table.sample_rows == [{"carrier": "UA", "dep_delay": 40}, {"carrier": None, "dep_delay": 1}]
    assert table["carrier"].distribution == ({"value": "UA", "count": 2}, {"value": None, "count": 1})
    assert table["carrier"].size == 77


def test_whoever_does_not_wait_sees_the_samples_after_a_refresh(
    table: Table, server: WorkspaceServer, monkeypatch: pytest.MonkeyPatch
):
    profile(server)
    server.profile_seconds = 0.5
    monkeypatch.setattr(tables, "HAND_IN_SECONDS", 0.1)
    started = time.monotonic()
    table.update_samples(wait=False)
    assert time.monotonic() - started < 0.4
    assert table.sample_rows == []
    time.sleep(0.7)
    assert len(table.refresh().sample_rows) == 2


def test_an_update_waits_longer_than_the_proxies_on_the_way(table: Table, server: WorkspaceServer):
    profile(server)
    left = [2]

    def lose_patience(handler: Any) -> None:
        if left[0] and handler.request.method == "PUT":
            left[0] -= 1
            handler.set_status(504)
            handler.finish("<html>Gateway Timeout</html>")

    server.interceptors.append(lose_patience)
    assert len(asyncio.run(table.update_samples_async()).sample_rows) == 2
    assert len(server.paths("samples_and_distributions")) == 3


def test_an_update_that_fails_says_why(table: Table, server: WorkspaceServer):
    def fail(handler: Any) -> None:
        errors = {"__all__": ["the file is gone"]}
        handler.refuse(400, "COULD_NOT_UPDATE_SAMPLE_AND_DISTRIBUTION", errors=errors)

    server.interceptors.append(fail)
    with pytest.raises(ApiError, match=r"^the file is gone$"):
        table.update_samples()


def test_a_server_that_is_gone_is_no_sample_to_wait_for(table: Table, server: WorkspaceServer):
    server.stop()
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        table.update_samples(wait=False)


def test_a_sample_is_a_frame_with_the_types_of_the_columns(ws: Workspace, server: WorkspaceServer):
    kinds = {"n": "INTEGER", "x": "FLOAT", "s": "STRING", "b": "BOOLEAN", "t": "DATETIME", "z": "DATETIME"}
    row = {"n": 1, "x": 0.5, "s": "a", "b": True, "t": "2013-01-01T05:00:00", "z": "2013-01-01T05:00:00+00:00"}
    server.add_item("kinds", [column(name, kind) for name, kind in kinds.items()], sample=[row, dict.fromkeys(row)])
    frame = ws.catalogue["kinds"].sample_frame()
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "n": "int64[pyarrow]",
        "x": "double[pyarrow]",
        "s": "string[pyarrow]",
        "b": "bool[pyarrow]",
        "t": "timestamp[us][pyarrow]",
        "z": "timestamp[us, tz=UTC][pyarrow]",
    }
    assert frame["t"][0] == pd.Timestamp("2013-01-01T05:00")
    assert frame["z"][0] == pd.Timestamp("2013-01-01T05:00", tz="UTC")
    assert frame.isna().sum().tolist() == [1] * 6


def test_a_sample_of_unusual_values_is_a_frame_all_the_same(ws: Workspace, server: WorkspaceServer):
    row = {"n": 2**64 - 1, "t": "290309-12-22 (BC)", "s": "a"}
    spec = [column("n"), column("t", "DATETIME"), column("s", "STRING")]
    server.add_item("odd", spec, sample=[row])
    assert ws.catalogue["odd"].sample_frame().to_dict("records") == [row]
    assert ws.catalogue["flights"].sample_frame().empty


# Estimates


def test_an_estimate_says_what_a_request_would_send(table: Table, server: WorkspaceServer):
    size, rows, low, high = 320_000_000, 1_200_000, 290_000_000, 390_000_000
    server.estimate = {"estimated_size": size, "rows": rows, "low": low, "high": high, "method": "sample"}
    query = table.select("carrier").where("dep_delay > 30").sample(0.5)
    found = query.estimate()
    assert server.bodies[-1] == {"catalogue_item_id": 1, "spec": query.spec}
    assert repr(found) == str(found) == "about 320 MB (290–390 MB), 1.2 million rows"
    assert found == Estimate(size, rows, low, high, "sample")
    with pytest.raises(AttributeError):
        found.size = 1  # type: ignore[misc]
    assert asyncio.run(query.estimate_async()) == found
    assert server.requests == {}


def test_an_estimate_may_be_a_size_alone(table: Table, server: WorkspaceServer):
    server.estimate = {"estimated_size": 123}
    found = table.select().estimate()
    assert (found, repr(found)) == (Estimate(123), "about 123 B")


def test_an_estimate_of_the_unknown_says_so_and_an_empty_result_is_known(table: Table, server: WorkspaceServer):
    nothing = {"rows": None, "low": None, "high": None, "method": "nothing is known of this table"}
    server.estimate = {"estimated_size": 0, **nothing}
    found = table.select().estimate()
    assert (found.is_known, str(found), found.high) == (False, "unknown", None)
    server.estimate = {"estimated_size": 0, "rows": 0, "low": 0, "high": 0, "method": "counted"}
    found = table.select().estimate()
    assert (found.is_known, str(found)) == (True, "about 0 B, 0 rows")
    assert Estimate(123).is_known


def test_a_request_remembers_its_estimate(table: Table, server: WorkspaceServer):
    request = table.select("carrier").request()
    asked = len(server.seen)
    assert (request.estimated_size, request.estimate().size) == (10, 10)
    assert len(server.seen) == asked
    server.requests[1]["estimated_size"] = None
    assert asyncio.run(request.refresh().estimate_async()) == Estimate(1000)


# Descriptions, tags and permissions


def test_descriptions_and_tags_are_sent_and_read(ws: Workspace, server: WorkspaceServer):
    ws.catalogue.create(name="new", source="x", description="What it is", tags=["iot", "noise"])
    assert server.bodies[-1]["description"] == "What it is"
    assert server.bodies[-1]["tags"] == ["iot", "noise"]
    table = ws.catalogue["flights"]
    assert (table.description, table.tags) == ("", ())
    table.update(description="Flights", tags=("air",))
    assert (table.description, table.tags) == ("Flights", ("air",))
    table.update(tags=[])
    assert (table.description, table.tags) == ("Flights", ())
    with pytest.raises(TypeError, match=r"as in \['iot'\]"):
        table.update(tags="iot")
    found = ws.catalogue.search("temperature", tag="iot")
    assert server.bodies[-1] == {"query": "|temperature", "tag": "iot", "limit": "100"}
    assert "'iot'" in repr(found)


def test_permissions_are_given_and_replaced(ws: Workspace, table: Table):
    everyone = Permission("everyone", 0, "read")
    assert list(table.permissions) == [everyone]
    assert table.permissions.give("none") == [Permission("everyone", 0, "none")]
    table.permissions.give("read", account=ws.me)
    table.permissions.give("write", account=7)
    table.permissions.give("grant", group=3)
    assert list(table.permissions) == [
        Permission("everyone", 0, "none"),
        Permission("account", 7, "write"),
        Permission("group", 3, "grant"),
    ]
    assert table.permissions.replace(everyone) == [everyone]
    for mistake in (lambda: table.permissions.give("all"), lambda: table.permissions.give("read", account=1, group=2)):
        with pytest.raises(ValueError, match=r"a level is one of|not both"):
            mistake()


def test_the_whole_catalogue_is_read_page_by_page(ws: Workspace, server: WorkspaceServer):
    for number in range(1100):
        server.add_item(f"t{number}", [column("a")])
    assert len(list(ws.catalogue)) == 1101
    assert [body.get("offset") for body in server.bodies] == [None, *(str(start) for start in range(100, 1101, 100))]
    assert "and 1,001 more" in ws.catalogue._repr_html_()


def test_a_search_is_read_page_by_page_as_far_as_it_is_wanted(ws: Workspace, server: WorkspaceServer):
    for number in range(250):
        server.add_item(f"t{number}", [column("a")])
    for limit, offset, pages in (
        (None, 0, [(100, None), (100, 100), (100, 200)]),
        (None, 51, [(100, 51), (100, 151), (100, 251)]),
        (120, 3, [(100, 3), (20, 103)]),
        (200, 0, [(100, None), (100, 100)]),
        (7, 0, [(7, None)]),
    ):
        server.bodies.clear()
        found = ws.catalogue.search("t", limit=limit, offset=offset)
        asked = [(int(body["limit"]), int(body["offset"]) if "offset" in body else None) for body in server.bodies]
        assert asked == pages
        names = [table.name for table in found]
        everything = ["flights", *(f"t{number}" for number in range(250))]
        assert names == everything[offset:][:limit]


# Polars


def test_rows_come_as_polars(table: Table, server: WorkspaceServer):
    server.will_answer("flights", ROWS)
    query = table.select("dep_delay", "carrier")
    frame = query.to_polars()
    assert frame.columns == ["dep_delay", "carrier"]
    assert frame["dep_delay"].to_list() == [40, None]
    assert frame.schema["carrier"] == pl.Categorical
    assert frame["carrier"].cast(pl.String).to_list() == ["UA", "AA"]
    assert asyncio.run(query.to_polars_async()).equals(frame)
    assert asyncio.run(query.request().to_polars_async(cache=False)).equals(frame)


def test_without_polars_the_cure_is_named_before_anything_runs(
    table: Table, server: WorkspaceServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match="pip install polars"):
        table.select().to_polars()
    assert server.requests == {}
    request = table.select().request()
    with pytest.raises(ImportError, match="pip install polars"):
        request.to_polars()
