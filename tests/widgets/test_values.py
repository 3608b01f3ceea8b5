"""What may be typed into a filter, and which part of a distribution it keeps: beside the API's own rules."""

from __future__ import annotations

import datetime
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosphere_jupyter import Filter, InvalidFilter
from cosphere_jupyter.client.charts import shape
from cosphere_jupyter.client.columns import Column
from cosphere_jupyter.downloads.spec import Mismatch, normalise
from cosphere_jupyter.widgets.values import (
    axis_place,
    axis_value,
    check,
    choices_of,
    hint,
    kept_bars,
    kept_range,
    operators_of,
    range_filters,
    read_number,
)

TYPES = ["INTEGER", "FLOAT", "STRING", "BOOLEAN", "DATETIME"]


def column(kind: str, *counted: tuple[Any, int], is_enum: bool = False) -> Column:
    distribution = tuple({"value": value, "count": count} for value, count in counted)
    return Column("c", kind, is_enum=is_enum, distribution=distribution if counted else None)


DELAYS = column("INTEGER", *((edge, 10) for edge in range(0, 1000, 10)))
CARRIERS = column("STRING", ("UA", 50), ("B6", 30), ("AA", 20), is_enum=True)


@pytest.mark.parametrize("kind", TYPES)
def test_only_booleans_have_two_operators(kind: str) -> None:
    allowed = [each for _, each in operators_of(column(kind))]
    assert allowed == (["=", "!="] if kind == "BOOLEAN" else [">", ">=", "<", "<=", "=", "!="])


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("INTEGER", " 30 ", 30),
        ("INTEGER", "-1,234,567", -1234567),
        ("INTEGER", "3e2", 300),
        ("INTEGER", "\N{MINUS SIGN}5", -5),
        ("FLOAT", "0.5", 0.5),
        ("FLOAT", "7", 7),
    ],
)
def test_numbers_are_read_as_people_write_them(kind: str, text: str, value: Any) -> None:
    found = read_number(column(kind), text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("INTEGER", "", "a number is missing"),
        ("INTEGER", "many", "'many' is no number"),
        ("INTEGER", "1,5", "no number"),
        ("INTEGER", "1.5", "no whole number"),
        ("INTEGER", str(2**64), "too large"),
        ("FLOAT", "1e999", "cannot be compared with inf"),
        ("FLOAT", "nan", "cannot be compared with nan"),
    ],
)
def test_what_is_no_number_is_told_in_words(kind: str, text: str, words: str) -> None:
    with pytest.raises(InvalidFilter, match=words):
        read_number(column(kind), text)


VALUES = st.one_of(
    st.integers(-(2**64), 2**64),
    st.floats(),
    st.booleans(),
    st.text(max_size=20),
    st.datetimes().map(datetime.datetime.isoformat),
    st.dates().map(datetime.date.isoformat),
)


@given(kind=st.sampled_from(TYPES), value=VALUES)
def test_what_passes_here_passes_on_the_server(kind: str, value: Any) -> None:
    """Moments come from a date picker, so that no other text is offered for a DATETIME."""
    try:
        found = check(column(kind), value)
    except InvalidFilter:
        return
    if kind == "DATETIME" and (not isinstance(value, str) or axis_place(column(kind), value) is None):
        return
    try:
        normalise(kind, found)
    except Mismatch:
        # A whole number beyond the largest float is typed by nobody's hand into a column of fractions.
        assert (kind == "FLOAT" and abs(found) > 1e308) or kind == "DATETIME"


def test_known_values_are_offered_when_the_distribution_has_them_all() -> None:
    assert choices_of(CARRIERS, shape(CARRIERS)) == ["AA", "B6", "UA"]
    assert choices_of(CARRIERS, shape(CARRIERS, rows=1000)) is None
    assert choices_of(DELAYS, shape(DELAYS)) is None
    assert choices_of(column("STRING"), None) is None
    many = column("STRING", *((f"v{n}", 1) for n in range(60)))
    assert choices_of(many, shape(many)) is None


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ([], []),
        (["c > 30"], [31, 1000]),
        (["c >= 30"], [30, 1000]),
        (["c < 30"], [0, 30]),
        (["c <= 30"], [0, 31]),
        (["c = 30"], [30, 31]),
        (["c != 30"], []),
        (["c >= 30", "c < 50"], [30, 50]),
        (["c > 5000"], [1000, 1000]),
        (["c < -5"], [0, 0]),
        (["c >= 60", "c < 50"], [60, 60]),
    ],
)
def test_filters_keep_a_part_of_the_axis(filters: list[str], kept: list[float]) -> None:
    found = shape(DELAYS)
    assert found is not None
    assert kept_range(DELAYS, found, map(Filter.parse, filters)) == kept


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        (["c = 'UA'"], [0]),
        (["c != 'UA'"], [1, 2]),
        (["c >= 'B6'"], [0, 1]),
        (["c = 5"], []),
        (["c > 'A'", "c < 'C'"], [1, 2]),
    ],
)
def test_filters_keep_some_of_the_bars(filters: list[str], kept: list[int]) -> None:
    assert kept_bars(CARRIERS, map(Filter.parse, filters)) == kept


def test_a_filter_that_keeps_nothing_is_told() -> None:
    assert "from 0 to" in hint(DELAYS, shape(DELAYS), Filter.parse("c > 5000"))
    assert hint(DELAYS, shape(DELAYS), Filter.parse("c > 50")) == ""
    assert "No row" in hint(CARRIERS, shape(CARRIERS), Filter.parse("c = 'ZZ'"))
    assert hint(CARRIERS, shape(CARRIERS, rows=500), Filter.parse("c = 'ZZ'")) == "", "not all values are known"
    assert hint(CARRIERS, None, Filter.parse("c = 'ZZ'")) == ""


@given(low=st.integers(0, 999), high=st.integers(0, 999))
def test_a_selected_range_and_its_filters_say_the_same(low: int, high: int) -> None:
    low, high = min(low, high), max(low, high) + 1
    found = shape(DELAYS)
    assert found is not None
    made = [Filter("c", operator, value) for operator, value in range_filters(DELAYS, found, [low, high])]
    assert 1 <= len(made) <= 2
    assert kept_range(DELAYS, found, made) == [low, high]


def test_nothing_selected_keeps_all() -> None:
    found = shape(DELAYS)
    assert found is not None
    for nothing in ([], [0.0, 1000.0], [math.nan, 5.0]):
        assert range_filters(DELAYS, found, nothing) == [(">=", 0)]


@given(st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1)))
def test_a_time_lies_where_it_was_put(moment: datetime.datetime) -> None:
    moment = moment.replace(microsecond=0)
    place = axis_place(column("DATETIME"), moment.isoformat())
    assert place is not None
    assert axis_value(column("DATETIME"), place) == moment
    assert axis_place(column("DATETIME"), f"{moment.isoformat()}+02:00") == place - 7200
