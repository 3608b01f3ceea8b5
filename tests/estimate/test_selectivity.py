"""What fraction of rows filters keep, by what is known of each column: rules, and generated columns with an oracle."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosphere_jupyter.downloads.selectivity import Knowledge, fraction
from cosphere_jupyter.executors.base import Comparison, Query


def knowledge(values, rows=None, kind="INTEGER", top=100):
    """What a profile would know of a column with these values."""
    ordered = sorted(values)
    counts = Counter(values).most_common(top)
    cuts = [ordered[min(len(ordered) - 1, index * len(ordered) // 50)] for index in range(51)] if ordered else []
    facts = {
        "type": kind,
        "usable": len(values),
        "distinct": len(set(values)),
        "least": ordered[0] if ordered else None,
        "greatest": ordered[-1] if ordered else None,
        "quantiles": cuts,
        "top": [list(each) for each in counts],
    }
    return Knowledge.of_profile(rows or len(values), facts)


def kept(known, *filters):
    return known.fraction([Comparison("c", operator, value) for operator, value in filters])


def test_two_bounds_of_a_column_are_one_range():
    known = knowledge(list(range(10_000)))
    assert kept(known, (">=", 5_000), ("<", 5_100)) == pytest.approx(0.01, abs=1e-3)
    assert kept(known, (">=", 5_100), ("<", 5_000)) == 0
    assert kept(known, (">", 100), (">=", 9_000)) == pytest.approx(0.1, abs=1e-3)


def test_contradictions_and_repetitions_of_equality():
    known = knowledge([1] * 50 + [2] * 50)
    assert kept(known, ("=", 1), ("=", 2)) == 0
    assert kept(known, ("=", 1), ("=", 1)) == 0.5
    assert kept(known, ("=", 1), ("!=", 1)) == 0
    assert kept(known, ("=", 1), (">", 1)) == 0
    assert kept(known, ("!=", 1), ("!=", 2)) == 0
    assert kept(known, (">=", 1), ("<=", 1)) == 0.5


def test_nulls_never_match():
    known = knowledge([1] * 25, rows=100)
    assert kept(known, ("=", 1)) == kept(known, (">=", 0)) == kept(known, ("!=", 5)) == 0.25
    assert knowledge([], rows=100).fraction([Comparison("c", "=", 1)]) == 0


def test_values_outside_what_there_is_do_not_match():
    known = knowledge(list(range(1000)), top=0)
    assert kept(known, ("=", -1)) == kept(known, ("<", 0)) == kept(known, (">", 999)) == 0
    assert kept(known, ("=", 500)) == pytest.approx(0.001)


def test_columns_are_taken_as_independent_and_unknown_ones_by_a_rule():
    known = {"a": knowledge([0, 1]), "b": None}
    query = Query(("a",), (Comparison("a", "=", 0), Comparison("b", "=", 1), Comparison("gone", ">", 1)))
    assert fraction(query, known) == pytest.approx(0.5 * 0.1 / 3)
    assert fraction(Query(("a",)), known) == 1


def test_the_apis_own_distribution_is_enough():
    histogram = [{"value": edge, "count": 10} for edge in range(0, 1000, 10)] + [{"value": None, "count": 1000}]
    column = {"name": "c", "type": "INTEGER", "is_enum": False, "distribution": histogram}
    known = Knowledge.of_column(2000, column)
    assert kept(known, ("<", 500)) == pytest.approx(0.25, abs=0.01)
    assert kept(known, (">=", 990)) == pytest.approx(0.005, abs=0.01)
    words = [{"value": "a", "count": 30}, {"value": "b", "count": 10}]
    column = {"name": "c", "type": "STRING", "is_enum": True, "distribution": words}
    known = Knowledge.of_column(40, column)
    assert (kept(known, ("=", "a")), kept(known, ("!=", "a")), kept(known, (">", "a"))) == (0.75, 0.25, 0.25)
    assert Knowledge.of_column(40, {**column, "distribution": None}) is None
    assert Knowledge.of_column(40, {**column, "distribution": []}) is None


def test_bins_are_cut_where_their_values_would_lie():
    skewed = [{"value": 0, "count": 900}, {"value": 10, "count": 100}]
    known = Knowledge.of_column(1000, {"name": "c", "type": "INTEGER", "is_enum": False, "distribution": skewed})
    assert [kept(known, ("<", value)) for value in (0, 5, 10, 15, 20, 30)] == pytest.approx(
        [0, 0.45, 0.9, 0.95, 1, 1], abs=0.01
    )


def test_bins_of_time_are_told_from_values_by_their_ends():
    start, step = datetime(2013, 1, 1), timedelta(days=4)
    starts = [start + number * step for number in range(91) if number != 50]
    entries = [
        {"value": each.isoformat(), "end": min(each + step, datetime(2013, 12, 31)).isoformat(), "count": 10}
        for each in starts
    ]
    entries += [{"value": "infinity", "count": 3}, {"value": None, "count": 897}]
    column = {"name": "c", "type": "DATETIME", "is_enum": False, "distribution": entries}
    known = Knowledge.of_column(1800, column)
    assert (known.usable, known.top) == (900, {})
    for month in range(1, 13):
        passed = (datetime(2013, month, 1) - start).days / 364
        assert kept(known, ("<", datetime(2013, month, 1))) == pytest.approx(passed / 2, abs=0.01)
    assert kept(known, (">", datetime(2014, 1, 1))) == kept(known, ("<", start)) == 0
    # What was stored before there were bins are values.
    old = [{"value": "2013-01-01T00:00:00", "count": 30}, {"value": "2013-02-01T00:00:00", "count": 10}]
    known = Knowledge.of_column(40, {**column, "distribution": old})
    assert kept(known, ("=", start)) == 0.75
    assert kept(known, (">", start)) == 0.25
    enum = Knowledge.of_column(900, {**column, "is_enum": True, "distribution": entries[:90]})
    assert kept(enum, ("=", start)) == pytest.approx(1 / 90)


VALUES = st.lists(st.integers(-20, 20), min_size=1, max_size=300)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.sampled_from([">", ">=", "<", "<=", "=", "!="]), st.integers(-25, 25))
def test_it_is_exact_when_all_values_are_known(values, operator, value):
    truth = {
        ">": lambda each: each > value,
        ">=": lambda each: each >= value,
        "<": lambda each: each < value,
        "<=": lambda each: each <= value,
        "=": lambda each: each == value,
        "!=": lambda each: each != value,
    }[operator]
    assert kept(knowledge(values), (operator, value)) == pytest.approx(sum(map(truth, values)) / len(values))


@settings(max_examples=200, deadline=None)
@given(VALUES, st.floats(-30, 30), st.floats(-30, 30))
def test_a_wider_range_never_keeps_less(values, one, other):
    known = knowledge([float(value) for value in values], kind="FLOAT", top=3)
    low, high = sorted([one, other])
    assert 0 <= kept(known, ("<", low)) <= kept(known, ("<", high)) <= 1
    assert kept(known, (">", high)) <= kept(known, (">", low))
    assert kept(known, (">", low), ("<", high)) <= kept(known, ("<", high)) + 1e-9
