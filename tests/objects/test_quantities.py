"""Units, and magnitudes completed in base units without artefacts of floats."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from objects.lab import check, data_of, node, problems_of, quantity, schema_of

from cosphere_jupyter.objects.dialect import schema_errors
from cosphere_jupyter.objects.quantities import UnitsInvalid, from_base, is_same, to_base, units_of

UNITS = [
    ("mg", 5, 5e-06, "[mass]"),
    ("mg", 0.1, 1e-07, "[mass]"),
    ("mg", 0.3, 3e-07, "[mass]"),
    ("g", 1000, 1, "[mass]"),
    ("kg", 5, 5, "[mass]"),
    ("kg", 5.0, 5.0, "[mass]"),
    ("km", 5, 5000, "[length]"),
    ("km", 0.1, 100.0, "[length]"),
    ("m", 2**60, float(2**60), "[length]"),
    ("", 0.25, 0.25, "dimensionless"),
    ("1", 3, 3, "dimensionless"),
    ("%", 5, 0.05, "dimensionless"),
    ("degC", 25, 298.15, "[temperature]"),
    ("°C", -273.15, 0.0, "[temperature]"),
    ("degF", 32, 273.15, "[temperature]"),
    ("m**2", 3, 3, "[length] ** 2"),
    ("mm^2", 3, 3e-06, "[length] ** 2"),
    ("µm", 1, 1e-06, "[length]"),
    ("m/s**2", 1, 1, "[length] / [time] ** 2"),
    ("1/cm", 1, 100, "1 / [length]"),
    ("J/(kg*K)", 2, 2, "[length] ** 2 / [time] ** 2 / [temperature]"),
    ("inch", 7, 0.1778, "[length]"),
    ("hour", 1, 3600, "[time]"),
    ("sccm", 60, 1e-06, "[length] ** 3 / [time]"),
    ("ppmv", 1, 1e-06, "dimensionless"),
    ("ppmw", 1, 1e-06, "dimensionless"),
    ("ppb", 1, 1e-09, "dimensionless"),
    ("ppbv", 1, 1e-09, "dimensionless"),
    ("ppbw", 1, 1e-09, "dimensionless"),
]
NO_UNITS = ["qqq", "10 mg", "3", "dB", "m**9**9", "9**9**9", "(m", "m)", "m**", "**m", "import os", "a.b", "m;s", "\0"]
NO_UNITS += ["m" * 101, "m**1001", "((m**40)**40)", "lambda: 0", "m-s", "-m", "None", "\ud800", "m\n;", "1e3 m", "m**²"]


@pytest.mark.parametrize(("units", "magnitude", "in_base", "dimensionality"), UNITS)
def test_a_quantity_is_completed(units: str, magnitude: Any, in_base: Any, dimensionality: str) -> None:
    schema = schema_of(it=node("quantity", units=units))
    whole = {
        "_type": "quantity",
        "magnitude": magnitude,
        "magnitude_in_base_units": in_base,
        "units": units,
        "dimensionality": dimensionality,
    }
    completed = check(schema, data_of(it=quantity(magnitude))).data["it"]
    assert completed == whole
    assert type(completed["magnitude"]) is type(magnitude)
    assert type(completed["magnitude_in_base_units"]) is type(in_base)
    assert check(schema, data_of(it=whole)).data["it"] == whole
    from_its_base = check(schema, data_of(it={"_type": "quantity", "magnitude_in_base_units": in_base})).data["it"]
    assert from_its_base["magnitude"] == pytest.approx(magnitude, rel=1e-15)


@pytest.mark.parametrize("text", NO_UNITS, ids=range(len(NO_UNITS)))
def test_what_is_no_unit_is_refused_in_a_moment(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(UnitsInvalid, match="Invalid/Unknown units"):
        units_of(text)
    assert time.process_time() - begin < 2


MASS = {"units": "mg"}
REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (MASS, {}, "missing keys in schema: either magnitude or magnitude_in_base_units has to be given"),
    (MASS, {"units": "mg"}, "missing keys in schema: either magnitude or magnitude_in_base_units has to be given"),
    (MASS, {"magnitude": "1"}, "magnitude must be float or int"),
    (MASS, {"magnitude": True}, "magnitude must be float or int"),
    (MASS, {"magnitude": None}, "magnitude must be float or int"),
    (MASS, {"magnitude_in_base_units": False}, "magnitude_in_base_units must be float or int"),
    (MASS, {"magnitude": 1, "magnitude_in_base_units": []}, "magnitude_in_base_units must be float or int"),
    (MASS, {"magnitude": 1, "units": "qqq"}, "Invalid/Unknown units"),
    (MASS, {"magnitude": 1, "units": None}, "units must be str"),
    (MASS, {"magnitude": 1, "units": "nm"}, 'Invalid units, expected units for dimensionality "[mass]"'),
    (
        MASS,
        {"magnitude": 1, "dimensionality": "[length]"},
        'Invalid dimensionality "[length]", expected dimensionality "[mass]"',
    ),
    (
        MASS,
        {"magnitude": 1, "magnitude_in_base_units": 1},
        "magnitude and magnitude_in_base_units do not match, 1 mg is 1e-06 in base units",
    ),
    ({"units": "km"}, {"magnitude": 1e308}, "magnitude is too large for a number"),
    ({"units": "nm"}, {"magnitude_in_base_units": 1e308}, "magnitude is too large for a number"),
    ({"units": "m", "min_magnitude": 2}, {"magnitude": 1}, "Must be greater than or equal to 2 in base units"),
    ({"units": "m", "max_magnitude": 2}, {"magnitude": 2.5}, "Must be less than or equal to 2 in base units"),
    ({"units": "mm", "max_magnitude": 2}, {"magnitude": 2001}, "Must be less than or equal to 2 in base units"),
    (MASS, {"magnitude": 1, "value": 1}, "unexpected keys in schema: {'value'}"),
]


@pytest.mark.parametrize(("keys", "value", "message"), REFUSED)
def test_a_quantity_that_breaks_a_rule_is_refused(keys: dict[str, Any], value: dict[str, Any], message: str) -> None:
    found = problems_of(schema_of(it=node("quantity", **keys)), data_of(it={"_type": "quantity", **value}))
    assert [str(each) for each in found] == [f"{message} (at it)"]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**30])
def test_numbers_that_json_does_not_know_are_refused(number: float) -> None:
    found = problems_of(schema_of(it=node("quantity", units="m")), data_of(it=quantity(number)))
    assert [each.path for each in found] == [("it", "magnitude")]


def test_units_may_be_any_of_the_same_dimensionality_and_are_the_schemas_first_if_not_said() -> None:
    schema = schema_of(it=node("quantity", units=["mg", "kg"], min_magnitude=1, max_magnitude=2))
    assert check(schema, data_of(it=quantity(1500, units="g"))).data["it"]["magnitude_in_base_units"] == 1.5
    assert check(schema, data_of(it=quantity(1_000_000))).data["it"]["units"] == "mg"


def test_an_object_has_no_more_units_than_are_looked_up_in_a_moment() -> None:
    schema = schema_of(it=node("array", items=node("quantity", units="mg")))
    data = data_of(it=[quantity(1, units=f"unit{n}") for n in range(5_000)])
    begin = time.process_time()
    found = [each.text for each in problems_of(schema, data)]
    assert time.process_time() - begin < 3
    assert (found.count("Invalid/Unknown units"), found.count("more than 200 different units")) == (200, 800)
    many = node("quantity", units=[f"unit{n}" for n in range(51)])
    assert [str(each) for each in schema_errors(schema_of(it=many))] == ["units must be at most 50 (at it)"]


POINTS: list[tuple[list[Any], str | None]] = [
    ([[0, 1], [0.5, 2]], None),
    ([["2026-01-01 00:00:00.5", 1], ["2026-01-01 00:00:01.000000", 2]], None),
    ([], None),
    ([[0, 1, 0.001]], None),
    ([[0, 1], ["2026-01-01 00:00:00.0", 1]], "times must either all be texts or all be relative seconds (at it)"),
    ([[0, 1], [0, 2]], "duplicate time (at it)"),
    ([[0]], "each point must be a list of time, magnitude and optionally magnitude_in_base_units (at it -> 0)"),
    ([[0, 1], 1], "each point must be a list of time, magnitude and optionally magnitude_in_base_units (at it -> 1)"),
    (
        [["2026-01-01 00:00:00", 1]],
        "time must be in the format YYYY-MM-DD HH:MM:SS.ffffff, or be relative seconds (at it -> 0)",
    ),
    (
        [["2026-02-30 00:00:00.0", 1]],
        "time must be in the format YYYY-MM-DD HH:MM:SS.ffffff, or be relative seconds (at it -> 0)",
    ),
    ([[True, 1]], "time must be in the format YYYY-MM-DD HH:MM:SS.ffffff, or be relative seconds (at it -> 0)"),
    ([[0, "1"]], "magnitude must be float or int (at it -> 0)"),
    (
        [[0, 1, 1]],
        "magnitude and magnitude_in_base_units do not match, 1 mV is 0.001 in base units (at it -> 0)",
    ),
]


@pytest.mark.parametrize(("points", "message"), POINTS)
def test_a_series_of_quantities(points: list[Any], message: str | None) -> None:
    schema = schema_of(it=node("timeseries", units="mV"))
    data = data_of(it={"_type": "timeseries", "data": points})
    if message:
        assert [str(each) for each in problems_of(schema, data)] == [message]
        return
    completed = check(schema, data).data["it"]
    assert completed["units"] == "mV"
    assert [point[:2] for point in completed["data"]] == [point[:2] for point in points]
    assert [point[2] for point in completed["data"]] == [pytest.approx(point[1] / 1000) for point in points]
    assert check(schema, data_of(it=completed)).data["it"] == completed


GREATEST = 1.7976931348623157e308
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@example(GREATEST, "mg")
@example(5e-324, "sccm")
@settings(deadline=None, max_examples=1000)
@given(numbers, st.sampled_from(["mg", "degC", "degF", "inch", "km", "sccm", "%", "m/s**2", "year"]))
def test_what_is_completed_is_complete_and_stays_as_it_is(number: float, units: str) -> None:
    schema = schema_of(it=node("quantity", units=units))
    data = data_of(it=quantity(number))
    if problems_of(schema, data):
        assert abs(number) > 1e300
        return
    once = check(schema, data)
    assert check(schema, once.data) == once
    assert once.data["it"]["magnitude"] == number
    if abs(number) > 1e300:
        # Rounded up, the greatest float is none any more.
        return
    back = from_base(once.data["it"]["magnitude_in_base_units"], units_of(units))
    assert is_same(back, number) or abs(back - number) <= 1e-12 * abs(to_base(0, units_of(units)) + abs(number)) * 1e3


def test_many_threads_may_ask_for_units_at_once() -> None:
    found: list[object] = []

    def ask() -> None:
        for power in range(20, 40):
            found.append(units_of(f"km**{power}").factor)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 120
    assert len(set(found)) == 20
