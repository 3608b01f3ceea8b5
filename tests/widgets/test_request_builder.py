"""RequestBuilder without a browser, against a real server: controls are set, buttons clicked, the query is read."""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import ipywidgets
import pandas as pd
import pytest
from real_server import RealServer

from cosphere_jupyter import InvalidFilter, RequestBuilder, RequestFailed, UnknownColumn, Workspace
from cosphere_jupyter.client.requests import Request
from cosphere_jupyter.client.table import Table
from cosphere_jupyter.widgets.core import descendants
from cosphere_jupyter.widgets.filters import FilterRow

pytestmark = pytest.mark.slow


@pytest.fixture
def builder(ws: Workspace) -> Iterator[RequestBuilder]:
    made = ws.builder("flights")
    assert made.wait(30)
    yield made
    made.close()


def buttons(builder: Any, text: str) -> list[ipywidgets.Button]:
    return [each for each in descendants(builder) if isinstance(each, ipywidgets.Button) and each.description == text]


def click(builder: Any, text: str) -> None:
    buttons(builder, text)[0].click()


def typed(row: FilterRow, value: Any, place: int = 0) -> None:
    """As the front end tells what was typed or chosen in the value of a filter."""
    control = row._input.controls[place]
    if isinstance(control, ipywidgets.Dropdown):
        control.set_state({"index": [text for text, _ in control.options].index(value)})
    else:
        control.value = value


def specs(builder: RequestBuilder) -> list[str]:
    return [str(each) for each in builder.query.filters]


# -- columns -----------------------------------------------------------------------------------------------------------


def test_it_begins_with_all_columns_and_rows(builder: RequestBuilder, flights: Table) -> None:
    assert builder.query == flights.select()
    assert builder._count.text == "19 of 19 chosen"
    assert builder._python.text == 'ws.catalogue["flights"].select()'
    assert builder._size.text.startswith("About 5.") and builder._size.text.endswith("336,776 rows")


def test_columns_are_chosen_in_the_order_of_choosing(builder: RequestBuilder) -> None:
    click(builder, "None")
    assert builder.query is None and builder._count.text == "Choose at least one column."
    assert buttons(builder, "Request")[0].disabled and builder._wrong.text == "No column is chosen."
    assert builder._python.is_stale and builder._json.is_stale, "the code is that of what was chosen before"
    for key in ("dest", "year", "carrier", "year", "nosuch", None):
        builder._columns._handle_custom_msg({"toggle": key}, [])
    assert builder.query.columns == ("dest", "carrier") and builder._wrong.text == ""
    assert builder._python.text == 'ws.catalogue["flights"].select("dest", "carrier")'
    assert not builder._python.is_stale and not builder._json.is_stale
    assert not buttons(builder, "Request")[0].disabled
    builder.columns = ["year", "year", "month"]
    assert builder.columns == ("year", "month")
    with pytest.raises(UnknownColumn):
        builder.columns = ["nosuch"]


def test_a_search_shows_some_columns_and_all_and_none_are_about_these(builder: RequestBuilder) -> None:
    click(builder, "None")
    builder._search.set_state({"value": "delay"})
    assert [each["key"] for each in builder._columns.items] == ["dep_delay", "arr_delay"]
    click(builder, "All")
    builder._search.set_state({"value": "enum"})
    assert {each["key"] for each in builder._columns.items} == {"carrier", "origin", "dest"}
    click(builder, "All")
    assert builder.columns == ("dep_delay", "arr_delay", "carrier", "origin", "dest")
    click(builder, "None")
    assert builder.columns == ("dep_delay", "arr_delay")
    builder._search.set_state({"value": ""})
    click(builder, "All")
    assert len(builder.columns) == 19 and builder.query.columns[0] == "year"


# -- filters -----------------------------------------------------------------------------------------------------------


def test_each_type_has_its_own_operators_and_inputs(builder: RequestBuilder, flights: Table) -> None:
    kinds = {
        "dep_delay": (ipywidgets.Text, 6, ">="),
        "carrier": (ipywidgets.Dropdown, 6, "="),
        "tailnum": (ipywidgets.Combobox, 6, "="),
        "time_hour": (ipywidgets.DatePicker, 6, ">="),
    }
    for name, (kind, operators, first) in kinds.items():
        row = builder.add_filter(name)
        assert isinstance(row._input.controls[0], kind), name
        assert len(row._operators.options) == operators and row.operator == first
        assert row._chart.picture["title"].startswith(name)
    carriers = builder._filters[1]._input.controls[0]
    assert [value for _, value in carriers.options][:2] == ["9E", "AA"] and len(carriers.options) == 16
    assert builder._filters[0]._input.controls[0].placeholder == "-43 … ≤ 1314"


def test_booleans_are_ticked(ws: Workspace) -> None:
    spec = [{"name": "ok", "type": "BOOLEAN", "size": 1, "is_enum": False, "is_nullable": True, "distribution": None}]
    made = ws.catalogue.create(name="flags", executor_type="ATHENA", spec=spec)
    try:
        builder = ws.builder("flags")
        row = builder.add_filter()
        assert [value for _, value in row._operators.options] == ["=", "!="]
        assert specs(builder) == ["ok = true"]
        typed(row, False)
        assert specs(builder) == ["ok = false"]
        builder.close()
    finally:
        made.delete()


def test_what_is_typed_becomes_the_query_and_the_highlight(builder: RequestBuilder) -> None:
    row = builder.add_filter("dep_delay")
    assert builder.query is None and row.message == "a number is missing"
    for text in ("3", "30"):
        typed(row, text)
    assert specs(builder) == ["dep_delay >= 30"] and row.message == ""
    assert row._chart.selection == [30.0, 1315.0]
    row._operators.set_state({"index": 2})
    assert specs(builder) == ["dep_delay < 30"] and row._chart.selection == [-43.0, 30.0]
    typed(row, "3o")
    assert row.message == "'3o' is no number" and 'role="alert"' in row._message.value
    assert builder._wrong.text == "Something is wrong with the filter on dep_delay."
    typed(row, "5000")
    row._operators.set_state({"index": 0})
    assert row.message.startswith("No row had such a value") and specs(builder) == ["dep_delay > 5000"]


def test_a_known_value_is_chosen_from_a_list_or_the_chart(builder: RequestBuilder) -> None:
    row = builder.add_filter("carrier")
    typed(row, "UA")
    assert specs(builder) == ["carrier = 'UA'"] and row._chart.marked == [0]
    row._chart._handle_custom_msg({"pick": 1}, [])
    assert specs(builder) == ["carrier = 'B6'"] and row._chart.marked == [1]
    row.put("!=")
    row._chart._handle_custom_msg({"pick": 2}, [])
    assert specs(builder) == ["carrier != 'EV'"] and 2 not in row._chart.marked and len(row._chart.marked) == 15
    row.put("=", "a value that never was")
    builder.update()
    assert row.message == "No row had such a value when the table was looked at."


def test_days_and_times_are_picked(builder: RequestBuilder) -> None:
    row = builder.add_filter("time_hour")
    assert specs(builder) == ["time_hour >= '2013-01-01'"], "where the distribution begins"
    typed(row, datetime.date(2013, 3, 1))
    assert specs(builder) == ["time_hour >= '2013-03-01'"]
    typed(row, datetime.time(12, 30), place=1)
    assert specs(builder) == ["time_hour >= '2013-03-01T12:30:00'"]
    row.put(value="2013-05-01T02:00:00+02:00")
    builder.update()
    assert specs(builder) == ["time_hour >= '2013-05-01'"]
    typed(row, None)
    assert row.message == "a date is missing" and builder.query is None


def test_a_range_of_the_chart_becomes_two_filters_and_back(builder: RequestBuilder) -> None:
    row = builder.add_filter("dep_delay", ">", 30)
    other = builder.add_filter("month", "=", 1)
    row._chart.set_state({"selection": [-15.0, 55.0]})
    assert specs(builder) == ["dep_delay >= -15", "dep_delay <= 54", "month = 1"]
    builder.remove_filter(other)
    first, second = builder._filters
    assert first._chart.selection == second._chart.selection == [-15.0, 55.0]
    assert second._chart.layout.display == "none", "one chart is enough for a column"
    row._chart.set_state({"selection": [-43.0, 27.0]})
    assert specs(builder) == ["dep_delay <= 26"]
    row._chart.set_state({"selection": []})
    assert specs(builder) == ["dep_delay >= -43"]


def test_a_range_of_days_ends_before_the_next_bin(builder: RequestBuilder) -> None:
    row = builder.add_filter("time_hour")
    start, width = row._chart.picture["start"], row._chart.picture["width"]
    row._chart.set_state({"selection": [start + 10 * width, start + 20 * width]})
    low, high = (datetime.datetime.fromisoformat(str(each.value)) for each in builder.query.filters)
    assert [each.operator for each in builder.query.filters] == [">=", "<"]
    assert abs((high - low).total_seconds() - 10 * width) <= 1


def test_another_column_brings_other_inputs(builder: RequestBuilder) -> None:
    row = builder.add_filter("dep_delay", ">", 30)
    old = list(row._input.controls)
    names = list(row._columns.options)
    row._columns.set_state({"index": names.index("carrier")})
    assert row.column.name == "carrier" and specs(builder) == ["carrier = '9E'"]
    assert [each.comm for each in old] == [None], "the old inputs are gone"
    row._columns.set_state({"index": names.index("dep_delay")})
    assert row.message == "a number is missing"


def test_filters_are_added_where_there_is_none_yet_and_removed(builder: RequestBuilder) -> None:
    builder.columns = ["carrier", "month"]
    for _ in range(3):
        click(builder, "Add a filter")
    assert [row.column.name for row in builder._filters] == ["month", "carrier", "year"]
    click(builder, "Remove")
    assert [row.column.name for row in builder._filters] == ["carrier", "year"]
    builder.remove_filter(builder._filters[1])
    builder.remove_filter(builder._filters[0])
    assert specs(builder) == []
    with pytest.raises(InvalidFilter):
        builder.add_filter("month", ">", object())


# -- samples, estimates, code ------------------------------------------------------------------------------------------


def test_a_sample_and_its_seed(builder: RequestBuilder) -> None:
    builder._sample.set_state({"value": 0.1})
    assert builder.query.spec["randomize_ratio"] == 0.1 and "seed" not in builder.query.spec
    builder._seed.set_state({"value": "7"})
    assert builder._python.text.endswith(".sample(0.1, seed=7)")
    assert json.loads(builder._json.text)["seed"] == 7
    builder._seed.set_state({"value": "seven"})
    assert builder.query is None and builder._seed_wrong.text == "A seed is a whole number, not 'seven'."
    builder._seed.set_state({"value": str(2**64)})
    assert builder._seed_wrong.text == "This seed is too large."
    assert builder._wrong.text == "Something is wrong with the seed of the sample."
    builder.sample(1.0)
    assert "randomize_ratio" not in builder.query.spec


def test_the_size_follows_what_is_asked_for(builder: RequestBuilder) -> None:
    builder.columns = ["carrier"]
    assert builder.wait(30)
    assert builder._size.text == _sentence(builder.query.estimate())
    builder.add_filter("carrier", "=", "UA")
    assert builder.wait(30)
    assert "58,665 rows" in builder._size.text
    builder.select_none()
    assert builder._size.text == ""


def _sentence(estimate: Any) -> str:
    text = str(estimate)
    return text[:1].upper() + text[1:]


def test_keystrokes_ask_for_one_size_and_return_at_once(
    builder: RequestBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    post = builder.table.workspace.http.post
    monkeypatch.setattr(
        builder.table.workspace.http, "post", lambda *a, **k: (asked.append(a), time.sleep(0.2), post(*a, **k))[-1]
    )
    row = builder.add_filter("dep_delay", ">", 0)
    builder.wait(30)
    asked.clear()
    started = time.monotonic()
    for text in ("1", "12", "120"):
        typed(row, text)
    assert time.monotonic() - started < 0.2
    assert builder.wait(30)
    assert [each[1]["spec"]["filters"][0]["value"] for each in asked] == [120]


def test_the_size_stands_against_the_quota(real: RealServer) -> None:
    made = real.call("POST", "/accounts/", {"email": "quota@lab.example", "disk_quota": 10_000_000}).json()
    token = real.call("POST", f"/accounts/{made['id']}/auth_tokens/").json()["token"]
    with Workspace(real.url, token) as ws:
        builder = ws.builder("flights")
        assert builder.wait(30)
        assert builder._size.text.endswith("% of your disk quota of 10 MB")
        assert 'role="meter"' in builder._size.value and "cosphere-over" not in builder._size.value
        real.call("PUT", f"/accounts/{made['id']}", {"disk_quota": 1_000_000})
        ws._me = None
        builder.sample(0.9)
        assert builder.wait(30)
        assert "more than your disk quota of 1 MB" in builder._size.text and "cosphere-over" in builder._size.value
        builder.close()


def test_it_begins_with_a_query(ws: Workspace, flights: Table) -> None:
    query = flights.select("dest", "carrier").where("carrier = 'UA'", "dep_delay > 30").sample(0.25, seed=3)
    builder = ws.builder(query)
    assert builder.query == query
    assert query == eval(builder._python.text, {"ws": ws})
    builder.close()


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_request_is_sent_watched_and_loaded(builder: RequestBuilder, real: RealServer) -> None:
    seen: list[str] = []
    builder.observe(lambda change: seen.append(change["name"]), ["request", "dataframe"])
    assert builder.dataframe is None
    builder.columns = ["carrier", "dep_delay"]
    builder.add_filter("dep_delay", ">", 30)
    builder.add_filter("carrier", "=", "UA")
    started = time.monotonic()
    click(builder, "Request")
    assert time.monotonic() - started < 0.3
    assert builder.wait(60)
    assert isinstance(builder.request, Request) and builder.request.status == "success"
    assert builder.state.startswith("Ready, ")
    click(builder, "Load as DataFrame")
    assert builder.wait(60)
    frame = builder.dataframe
    assert frame is builder.dataframe, "it is loaded once"
    assert seen == ["request", "dataframe"]
    expected = pd.read_parquet(real.root / "data" / "flights.parquet")
    expected = expected[(expected.dep_delay > 30) & (expected.carrier == "UA")]
    assert len(frame) == len(expected) and list(frame.columns) == ["carrier", "dep_delay"]
    assert int(frame.dep_delay.sum()) == int(expected.dep_delay.sum())
    assert builder.state == f"Loaded: {len(frame):,} rows, 2 columns in .dataframe"
    assert builder._running._changed.text == ""
    builder.sample(0.5)
    assert builder._running._changed.text == "The form has changed since then."
    builder.sample(1.0)
    assert builder._running._changed.text == ""


def test_only_the_newest_request_is_watched(builder: RequestBuilder) -> None:
    for name in ("year", "month", "day"):
        builder.columns = [name]
        builder.submit()
    assert builder.wait(60)
    assert builder.request.spec["columns"] == ["day"] and builder.state.startswith("Ready")


def test_nothing_is_sent_while_something_is_wrong(builder: RequestBuilder) -> None:
    builder.select_none()
    builder.submit()
    assert builder.wait(30)
    assert builder.request is None and builder.state == ""


def test_a_request_is_cancelled(builder: RequestBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.columns = ["tailnum", "flight"]
    monkeypatch.setattr(Request, "wait", _never)
    builder.submit()
    deadline = time.monotonic() + 30
    while builder.request is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    builder.cancel()
    assert builder.wait(30)
    assert builder.state == "Cancelled" and builder.request.status == "cancelled"


def _never(request: Request, timeout: float | None = None, progress: bool = True) -> Request:
    from cosphere_jupyter import RequestTimeout

    time.sleep(0.05)
    raise RequestTimeout("not yet")


def test_a_request_that_fails_says_why(builder: RequestBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: Request, timeout: float | None = None, progress: bool = True) -> Request:
        raise RequestFailed("the disk is full")

    monkeypatch.setattr(Request, "wait", fail)
    builder.submit()
    assert builder.wait(30)
    assert builder.state == "the disk is full" and 'role="alert"' in builder._running._line.value


def test_many_threads_may_change_it_at_once(builder: RequestBuilder) -> None:
    def change(name: str) -> None:
        for _ in range(5):
            row = builder.add_filter(name)
            builder.sample(0.5, seed=len(name))
            builder.remove_filter(row)

    threads = [threading.Thread(target=change, args=(name,)) for name in ("carrier", "origin", "time_hour")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert builder.wait(30)
    assert specs(builder) == [] and builder.query is not None
