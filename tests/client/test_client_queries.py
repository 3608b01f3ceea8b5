"""Tables, columns and queries: values that say what to ask, and displays that ask nobody."""

from __future__ import annotations

from typing import Any

import pytest
from client.workspace_server import WorkspaceServer, column

from cosphere_jupyter import Filter, InvalidFilter, InvalidRequest, UnknownColumn, UnknownTable, Workspace
from cosphere_jupyter.client.catalogue import Table, _query


@pytest.fixture
def table(ws: Workspace) -> Table:
    return ws.catalogue["flights"]


def test_a_query_says_in_json_what_it_asks(table: Table):
    query = (
        table.select("carrier", "dep_delay").where("dep_delay > 30").where(Filter("carrier", "=", "UA")).sample(0.1, 5)
    )
    assert query.spec == {
        "columns": ["carrier", "dep_delay"],
        "filters": [
            {"name": "dep_delay", "operator": ">", "value": 30},
            {"name": "carrier", "operator": "=", "value": "UA"},
        ],
        "randomize_ratio": 0.1,
        "seed": 5,
    }


def test_select_without_names_takes_all_columns(table: Table):
    assert table.select().spec == {"columns": ["carrier", "dep_delay", "air_time", "time hour"], "filters": []}


def test_a_table_begins_queries_by_columns_rows_or_a_sample(ws: Workspace, table: Table):
    everything = table.select()
    assert table.where("dep_delay > 30") == everything.where("dep_delay > 30")
    assert table.where("dep_delay > 30").select("carrier") == table.select("carrier").where("dep_delay > 30")
    assert table.sample(0.1, seed=5) == everything.sample(0.1, 5)
    assert table.sample(0.1).where("dep_delay > 1").select(table["carrier"]).spec == {
        "columns": ["carrier"],
        "filters": [{"name": "dep_delay", "operator": ">", "value": 1}],
        "randomize_ratio": 0.1,
    }
    assert everything.select("carrier").select() == everything
    assert table.request().spec == everything.spec
    assert table.sample_rows == []
    for wrong in (5, None, ["carrier"]):
        with pytest.raises(TypeError, match=r"select takes names of columns, as in select\('a', 'b'\)"):
            everything.select(wrong)  # type: ignore[arg-type]
    with pytest.raises(UnknownColumn):
        everything.select("career")


def test_queries_are_values(table: Table):
    query = table.select("carrier")
    query.where("dep_delay > 1")
    query.sample(0.5)
    assert query.spec == {"columns": ["carrier"], "filters": []}
    late = query.where("dep_delay > 1")
    assert late == query.where(table["dep_delay"] > 1)
    assert hash(late) == hash(query.where(table["dep_delay"] > 1))
    assert late != query


def test_columns_make_filters(table: Table):
    delay = table["dep_delay"]
    made = [delay > 1, delay >= 1, delay < 1, delay <= 1, delay == 1, delay != 1, delay > 1]
    assert [str(each) for each in made] == [
        *("dep_delay > 1", "dep_delay >= 1", "dep_delay < 1", "dep_delay <= 1", "dep_delay = 1", "dep_delay != 1"),
        "dep_delay > 1",
    ]
    with pytest.raises(TypeError, match="a < column < b"):
        _ = 1 < delay < 5
    assert table.select(table["time hour"], "carrier").spec["columns"] == ["time hour", "carrier"]


def test_an_unknown_column_suggests_close_names(table: Table):
    for attempt in (
        lambda: table["dep_delai"],
        lambda: table.select("DEP_DELAY"),
        lambda: table.select().where("delay > 3"),
    ):
        with pytest.raises(UnknownColumn, match="did you mean 'dep_delay'"):
            attempt()
    with pytest.raises(KeyError):
        table["nothing like it"]


@pytest.mark.parametrize("ratio", [-0.1, 1.1, "0.1", True, float("nan"), None])
def test_a_sample_is_a_fraction(table: Table, ratio: Any):
    with pytest.raises((ValueError, InvalidFilter)):
        table.select().sample(ratio)


@pytest.mark.parametrize("seed", [1.5, "x", True])
def test_a_seed_is_a_whole_number(table: Table, seed: Any):
    with pytest.raises(ValueError, match="whole number"):
        table.select().sample(0.5, seed=seed)


def test_what_is_no_filter_is_refused_with_a_lesson(table: Table):
    with pytest.raises(InvalidFilter, match="write it"):
        table.select().where(True)  # type: ignore[arg-type]
    with pytest.raises(InvalidFilter, match="not a tuple"):
        table.select().where(("dep_delay", ">", 3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"select\('a', 'b'\)"):
        table.select(["carrier"])  # type: ignore[arg-type]


# The catalogue


def test_a_table_is_found_by_its_exact_name(ws: Workspace, server: WorkspaceServer):
    assert ws.catalogue["flights"].name == "flights"
    assert server.bodies[-1] == {"name": "flights"}
    assert "flights" in ws.catalogue
    assert "flight" not in ws.catalogue


def test_an_unknown_table_is_a_key_error_that_suggests_close_names(ws: Workspace):
    with pytest.raises(UnknownTable, match="no table 'fligths' in the catalogue, did you mean 'flights'") as caught:
        ws.catalogue["fligths"]
    assert isinstance(caught.value, KeyError)
    assert str(caught.value) == "no table 'fligths' in the catalogue, did you mean 'flights'?"
    with pytest.raises(KeyError, match="no table ''"):
        ws.catalogue[""]
    with pytest.raises(TypeError, match="by its name"):
        ws.catalogue[0]  # type: ignore[index]


def test_a_search_sends_words_as_they_are_written(ws: Workspace, server: WorkspaceServer):
    found = ws.catalogue.search("iot ~temp  a&b |x end& ", has_samples=False, limit=5, offset=10)
    assert server.bodies[-1] == {
        "query": "|iot |~temp |a&b ||x |end",
        "has_samples": "false",
        "limit": "5",
        "offset": "10",
    }
    assert list(found) == []
    found = ws.catalogue.search("flights")
    assert [each.name for each in found] == ["flights"]
    assert found[0].columns[0].is_enum
    assert list(found[:1]) == list(found)


def test_a_search_for_nothing_lists_all(ws: Workspace, server: WorkspaceServer):
    ws.catalogue.search()
    assert server.bodies[-1] == {"limit": "100"}
    assert _query(" & | ") is None
    assert len(ws.catalogue) == 1
    assert [table.name for table in ws.catalogue] == ["flights"]


def test_tab_completes_names_of_tables_and_columns(ws: Workspace, server: WorkspaceServer):
    assert ws.catalogue._ipython_key_completions_() == ["flights"]
    asked = len(server.seen)
    assert ws.catalogue._ipython_key_completions_() == ["flights"]
    assert len(server.seen) == asked
    assert "time hour" in ws.catalogue["flights"]._ipython_key_completions_()


def test_tab_completion_never_raises(server: WorkspaceServer):
    with Workspace(server.url, "wrong") as stranger:
        assert stranger.catalogue._ipython_key_completions_() == []


def test_a_table_is_created_by_me_unless_said_otherwise(ws: Workspace, server: WorkspaceServer):
    created = ws.catalogue.create(name="taxi", source="taxi/*.parquet")
    assert created.name == "taxi"
    assert server.bodies[-1] == {
        "name": "taxi",
        "executor_type": "DUCKDB",
        "maintained_by_id": 7,
        "source": "taxi/*.parquet",
        "sample": [],
    }
    with pytest.raises(InvalidRequest, match=r"^name: catalogue item with this name already exists\.$"):
        ws.catalogue.create(name="taxi", source="x", maintained_by=3)
    assert server.bodies[-1]["maintained_by_id"] == 3


def test_an_update_keeps_what_is_not_given(ws: Workspace, server: WorkspaceServer):
    table = ws.catalogue["flights"]
    assert table.update(maintained_by=ws.me) is table
    assert server.bodies[-1]["spec"][0]["name"] == "carrier"
    assert "source" not in server.bodies[-1]
    table.update(source="other.parquet")
    assert server.bodies[-1] == {"maintained_by_id": 7, "executor_type": "DUCKDB", "source": "other.parquet"}
    table.update(spec=[column("only")])
    assert [each.name for each in table.columns] == ["only"]
    table.delete()
    assert "flights" not in ws.catalogue


def test_me_is_asked_once(ws: Workspace, server: WorkspaceServer):
    assert (ws.me.id, ws.me.email, ws.me.type) == (7, "rosa@lab.example", "ADMIN")
    assert ws.me is ws.me
    assert len(server.paths("/accounts/me")) == 1


# Displays


def test_no_display_asks_the_server(ws: Workspace, server: WorkspaceServer):
    table = ws.catalogue["flights"]
    found = ws.catalogue.search("flights")
    query = table.select("carrier").where("dep_delay > 30").sample(0.25, seed=1)
    request = query.request()
    asked = len(server.seen)
    for thing in (ws, ws.catalogue, ws.requests, table, found, query, request, table["carrier"], ws.cache, ws.http):
        assert "secret" not in repr(thing)
        html = getattr(thing, "_repr_html_", str)()
        assert "secret" not in html
    assert len(server.seen) == asked
    assert repr(query) == "<Query table=flights columns=carrier where=dep_delay > 30 sample=0.25 of the rows, seed 1>"
    assert repr(request) == "<Request id=1 status=queued table=flights>"
    assert repr(ws) == f"<Workspace {server.url}cosphere (the given url)>"


def test_displays_after_reading_show_what_was_read(ws: Workspace):
    list(ws.catalogue)
    ws.catalogue["flights"].select().request()
    list(ws.requests)
    assert "flights" in ws.catalogue._repr_html_()
    assert "flights" in ws.requests._repr_html_()
    assert "1 when last read" in repr(ws.requests)


def test_everything_in_html_is_escaped(ws: Workspace, server: WorkspaceServer):
    evil = "<script>alert('x')</script>"
    server.add_item(evil, [column(evil)], source=evil)
    table = ws.catalogue[evil]
    query = table.select().where(Filter(evil, "=", evil))
    request = query.request()
    server.requests[1]["task"].update(status="error", error=evil)
    request.refresh()
    list(ws.catalogue), list(ws.requests)
    for thing in (table, ws.catalogue.search(evil), ws.catalogue, query, request, ws.requests):
        html = thing._repr_html_()
        assert "<script" not in html
        assert "&lt;script&gt;" in html


def test_many_rows_are_shown_in_part(ws: Workspace, server: WorkspaceServer):
    server.add_item("wide", [column(f"c{number}") for number in range(250)])
    assert "and 150 more" in ws.catalogue["wide"]._repr_html_()
