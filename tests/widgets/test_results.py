"""Results in pages: what is sent, what is sorted, and what text becomes of values."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from cosphere_jupyter import Results, Workspace
from cosphere_jupyter.client.table import Table
from cosphere_jupyter.widgets.results import MOST_COLUMNS, PAGE
from cosphere_jupyter.widgets.results_pages import cells, pages_of

# What the catalogue knows of a column that nobody has looked at.
EMPTY: dict[str, Any] = {"distribution": []}


def shown(results: Results) -> list[list[Any]]:
    assert results.wait(20)
    return list(results._table.rows)


def state(results: Results) -> str:
    return str(results._state.text)


@pytest.fixture
def numbers() -> Results:
    return Results(pa.table({"n": list(range(95)), "word": [None if n % 10 == 0 else f"w{n % 3}" for n in range(95)]}))


def test_one_page_is_sent_at_a_time(numbers: Results) -> None:
    assert shown(numbers) == [[str(n), None if n % 10 == 0 else f"w{n % 3}"] for n in range(PAGE)]
    assert (numbers.rows, numbers.pages, state(numbers)) == (95, 5, "1–20 of 95 rows")
    numbers.page = 5
    assert [row[0] for row in shown(numbers)] == [str(n) for n in range(80, 95)]
    assert state(numbers) == "81–95 of 95 rows"
    assert list(numbers.selection["n"]) == list(range(80, 95))
    numbers.page = 99
    assert numbers.page == 5


def test_the_buttons_turn_pages_and_stop_at_the_ends(numbers: Results) -> None:
    first, back, on, last = numbers._buttons
    shown(numbers)
    assert (first.disabled, back.disabled, on.disabled, last.disabled) == (True, True, False, False)
    on.click()
    assert shown(numbers)[0][0] == "20"
    last.click()
    assert shown(numbers)[0][0] == "80"
    assert (first.disabled, on.disabled) == (False, True)
    back.click()
    first.click()
    assert shown(numbers)[0][0] == "0"
    numbers._number.value = 3
    assert shown(numbers)[0][0] == "40"


def test_rows_are_sorted_by_a_column_with_nulls_last(numbers: Results) -> None:
    numbers.page = 4
    numbers.sort("n", descending=True)
    assert [row[0] for row in shown(numbers)[:3]] == ["94", "93", "92"]
    assert numbers.page == 1
    numbers.sort("word")
    rows = shown(numbers)
    assert rows[0] == ["3", "w0"], "those that are equal stay as they came"
    numbers.page = 5
    assert [row[1] for row in shown(numbers)][-10:] == [None] * 10
    numbers.sort(None)
    assert shown(numbers)[0][0] == "0"
    with pytest.raises(KeyError, match="no column 'no'"):
        numbers.sort("no")


def test_frames_are_sorted_and_paged_like_tables() -> None:
    frame = pd.DataFrame({"x": [3.5, None, 1.0], "y": ["b", "a", "c"]}, index=[7, 7, 9])
    results = Results(frame)
    assert shown(results) == [["3.5", "b"], [None, "a"], ["1", "c"]]
    results.sort("x")
    assert [row[1] for row in shown(results)] == ["c", "b", "a"]
    results.sort("y", descending=True)
    assert [row[1] for row in shown(results)] == ["c", "b", "a"]
    assert results.dataframe is frame


def test_a_column_that_has_no_order_is_told(numbers: Results) -> None:
    results = Results(pa.table({"all": [[1], [2]], "n": [1, 2]}))
    shown(results)
    results.sort("all")
    assert shown(results) == [["[1]", "1"], ["[2]", "2"]]
    assert results._error.text
    results.sort("n", descending=True)
    assert shown(results)[0][1] == "2"
    assert results._error.text == ""


def test_values_are_readable_texts_and_nulls_are_nulls() -> None:
    moment = datetime.datetime(2013, 1, 1, 5, tzinfo=datetime.timezone.utc)
    table = pa.table(
        {
            "text": pa.array(["<b>x</b>", "a\nb\u202e"]),
            "float": pa.array([0.1 + 0.2, float("nan")]),
            "infinite": pa.array([float("inf"), None]),
            "bool": [True, None],
            "int": pa.array([2**63, 0], pa.uint64()),
            "time": pa.array([moment, None], pa.timestamp("us", "UTC")),
            "far": pa.array([2**58, 0], pa.timestamp("us")),
            "date": [datetime.date(2013, 1, 2), None],
            "bytes": pa.array([b"\x00\xff", None]),
            "decimal": pa.array([Decimal("1.50"), None]),
            "enum": pa.array(["a", None]).dictionary_encode(),
            "nested": [{"a": 1}, None],
        }
    )
    first, second = cells(table)
    assert first[:2] == ["<b>x</b>", "0.3"]
    assert first[2:6] == ["∞", "true", str(2**63), "2013-01-01 05:00:00Z"]
    assert first[6].startswith("11103-"), "times of years that Python does not know"
    assert first[7:] == ["2013-01-02", "00 ff", "1.50", "a", "{'a': 1}"]
    assert second[:2] == ["a b\u202e", "NaN"]
    assert [second[place] for place in (2, 3, 5, 7, 8, 9, 10, 11)] == [None] * 8
    names = [kind for _, kind in pages_of(table).columns]
    assert names[3:6] == ["bool", "uint64", "timestamp[us, tz=UTC]"] and names[10] == "string"


def test_values_of_several_types_in_a_frame_become_texts() -> None:
    results = Results(pd.DataFrame({"mixed": [1, "a", None, {"b": 2}]}))
    assert [row[0] for row in shown(results)] == ["1", "a", None, "{'b': 2}"]


def test_no_rows_no_columns_and_many_columns() -> None:
    empty = Results(pa.table({"n": pa.array([], pa.int64())}))
    assert (shown(empty), empty.pages, state(empty)) == ([], 1, "0 rows")
    assert shown(Results(pd.DataFrame())) == []
    wide = Results(pa.table({f"c{n}": [n] for n in range(MOST_COLUMNS + 5)}))
    assert len(shown(wide)[0]) == MOST_COLUMNS
    assert wide._table.more == "and 5 more columns"


def test_columns_of_one_name_are_told_apart_by_their_place() -> None:
    table = pa.Table.from_arrays([pa.array([2, 1]), pa.array([3, 4])], names=["n", "n"])
    results = Results(table)
    assert shown(results) == [["2", "3"], ["1", "4"]]
    results.sort("n")
    assert shown(results) == [["1", "4"], ["2", "3"]]


def test_a_request_is_previewed_without_waiting_and_tells_its_call(ws: Workspace, flights: Table) -> None:
    request = flights.select("carrier", "dep_delay").where("dep_delay > 1000").request()
    heard: list[Any] = []
    results = request.preview()
    results.observe(lambda change: heard.append(change["new"]), "selection")
    rows = shown(results)
    assert results.request is request
    assert results.rows == len(rows) == 5
    assert len(heard) == 1 and list(heard[0].columns) == ["carrier", "dep_delay"]
    assert results._code.text == f"ws.requests[{request.id}].to_pandas()"
    results.sort("dep_delay", descending=True)
    assert shown(results)[0][1] == "1301"
    code = results._code.text
    assert code == f'ws.requests[{request.id}].to_pandas().sort_values("dep_delay", ascending=False)'
    assert eval(code, {"ws": ws})["dep_delay"].iloc[0] == 1301
    assert len(results.dataframe) == 5


def test_a_request_that_fails_is_told_in_the_server_s_words(ws: Workspace) -> None:
    made = ws.catalogue.create(
        name="elsewhere",
        executor_type="ATHENA",
        spec=[{"name": "n", "type": "INTEGER", "is_enum": False, "is_nullable": True, "size": 1, **EMPTY}],
        sample=[],
    )
    try:
        results = made.select().request().preview()
        assert results.wait(20)
        assert "ATHENA" in results._error.text
        assert results.selection is None and results.rows is None
    finally:
        for request in ws.requests:
            if request.table.name == "elsewhere":
                request.cancel()
        made.delete()


def test_a_closed_preview_ends_its_threads(numbers: Results) -> None:
    shown(numbers)
    numbers.close()
    assert numbers.comm is None and numbers._table.comm is None
