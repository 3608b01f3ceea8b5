"""Filters: their text, their values, and what they say when they cannot be read."""

from __future__ import annotations

import datetime
import enum
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosphere_jupyter import Filter, InvalidFilter
from cosphere_jupyter.client.query import OPERATORS

NAMES = st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text)
VALUES = st.one_of(st.text(max_size=30), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
FILTERS = st.builds(Filter, NAMES, st.sampled_from(OPERATORS), VALUES)


# The grammar


@given(FILTERS)
def test_a_filter_read_from_its_own_text_is_the_same_filter(filter: Filter):
    again = Filter.parse(str(filter))
    assert again == filter
    assert type(again.value) is type(filter.value)
    assert str(again) == str(filter)


@given(FILTERS, st.sampled_from(["", " ", "\t", "\n  "]))
def test_white_space_around_the_parts_does_not_count(filter: Filter, space: str):
    name, operator, value = (
        str(Filter(filter.name, "=", 0))[:-4],
        filter.operator,
        str(filter)[len(str(Filter(filter.name, filter.operator, 0))) - 1 :],
    )
    assert Filter.parse(f"{space}{name}{space}{operator}{space}{value}{space}") == filter


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_an_error_that_points_into_it(text: str):
    try:
        filter = Filter.parse(text)
    except InvalidFilter as error:
        assert error.text is None or 0 <= error.position <= len(text)
    else:
        assert filter.operator in OPERATORS


@pytest.mark.parametrize(
    ("text", "name", "operator", "value"),
    [
        ("dep_delay > 30", "dep_delay", ">", 30),
        ("dep_delay>=-30", "dep_delay", ">=", -30),
        ("a == 1", "a", "=", 1),
        ("a = +1.5e3", "a", "=", 1500.0),
        ("a < .5", "a", "<", 0.5),
        ("a <= 1.", "a", "<=", 1.0),
        ("carrier = 'UA'", "carrier", "=", "UA"),
        ("name != 'O''Hare'", "name", "!=", "O'Hare"),
        ("name = ''", "name", "=", ""),
        ("\"time hour\" > '2013-01-31T12:00'", "time hour", ">", "2013-01-31T12:00"),
        ("`odd``name` = true", "odd`name", "=", True),
        ('"say ""hi""" = FALSE', 'say "hi"', "=", False),
        ("größe > 1", "größe", ">", 1),
    ],
)
def test_what_the_grammar_reads(text: str, name: str, operator: str, value: Any):
    filter = Filter.parse(text)
    assert (filter.name, filter.operator, filter.value) == (name, operator, value)
    assert type(filter.value) is type(value)


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "begins with a column"),
        ("> 3", 0, "begins with a column"),
        ("'a' > 3", 0, "not in '…'"),
        ("dep_delay", 9, "after the column"),
        ("dep_delay ~ 3", 10, "after the column"),
        ("a <> 3", 2, "written !="),
        ("a >", 3, "a number, a 'text', true or false"),
        ("carrier = UA", 10, "single quotes: 'UA'"),
        ('carrier = "UA"', 10, "double quotes are for columns"),
        ("carrier = 'UA", 10, "has no end"),
        ("a = null", 4, "cannot be compared with null"),
        ("a > 3 and b < 4", 6, "give several as .where"),
        ("a > 3 or b < 4", 6, "ask twice"),
        ("a > 2013-01-31", 8, "date or time stands in single quotes"),
        ("a > 3 4", 6, "should end here"),
        ("a > 1e999", 4, "too large"),
        ("a > " + "9" * 5000, 4, "too many digits"),
    ],
)
def test_an_error_says_what_is_wrong_and_points_at_the_place(text: str, position: int, words: str):
    with pytest.raises(InvalidFilter) as caught:
        Filter.parse(text)
    assert words in str(caught.value)
    assert caught.value.position == position
    lines = str(caught.value).splitlines()
    assert lines[-2].index(text[:10] if text else "") == 4 or not text
    assert lines[-1].index("^") == 4 + position


# Values


class Colour(str, enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (datetime.date(2013, 1, 2), "2013-01-02"),
        (datetime.datetime(2013, 1, 2, 3, 4, 5, 6), "2013-01-02T03:04:05.000006"),
        (datetime.datetime(2013, 1, 2, tzinfo=datetime.timezone.utc), "2013-01-02T00:00:00+00:00"),
        (pd.Timestamp("2013-01-02 03:04"), "2013-01-02T03:04:00"),
        (pd.Timestamp("2013-01-02 03:04", tz="UTC"), "2013-01-02T03:04:00+00:00"),
        (np.datetime64("2013-01-02T03:04:05"), "2013-01-02T03:04:05"),
        (np.datetime64("2013-01-02T03", "h"), "2013-01-02T03:00:00"),
        (np.datetime64("2013"), "2013-01-01"),
        (Colour.RED, "red"),
    ],
)
def test_values_of_numpy_pandas_and_datetime_become_json(value: Any, sent: Any):
    filter = Filter("a", ">", value)
    assert filter.value == sent
    assert type(filter.value) is type(sent)
    assert json.loads(json.dumps(filter.spec)) == {"name": "a", "operator": ">", "value": sent}


@pytest.mark.parametrize(
    "value", [None, math.nan, math.inf, np.float64("nan"), pd.NaT, np.datetime64("NaT"), [1], {"a": 1}, b"x", object()]
)
def test_values_that_no_filter_can_have_are_refused(value: Any):
    with pytest.raises(InvalidFilter, match="filter on 'a'"):
        Filter("a", "=", value)


def test_an_unknown_operator_is_refused():
    with pytest.raises(InvalidFilter, match="no operator"):
        Filter("a", "like", 1)


# Filters as Python values


def test_filters_have_no_truth_and_say_how_to_combine_them():
    with pytest.raises(TypeError, match=r"\.where\(first, second\)"):
        bool(Filter("a", ">", 1) and Filter("b", ">", 1))
    with pytest.raises(TypeError, match="neither true nor false"):
        not Filter("a", ">", 1)


def test_equal_filters_are_equal_and_json_decides():
    assert Filter("a", "==", 1) == Filter("a", "=", np.int8(1))
    assert len({Filter("a", "=", 1), Filter("a", "=", True), Filter("a", "=", 1.0), Filter("a", "=", "1")}) == 4
    assert Filter("a", "=", 1) != "a = 1"


def test_filters_cannot_be_changed():
    with pytest.raises(AttributeError):
        Filter("a", "=", 1).value = 2  # type: ignore[misc]
