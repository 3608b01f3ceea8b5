"""Objects as frames and values as the API has them, without a server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from cosphere_jupyter.client.object_frames import frame_of
from cosphere_jupyter.client.object_links import follow, links_in
from cosphere_jupyter.client.object_values import Quantity, data_from, value_from


def quantity(magnitude: float, units: str, base: float, dimensionality: str = "[mass]") -> dict[str, Any]:
    return {
        "_type": "quantity",
        "magnitude": magnitude,
        "units": units,
        "magnitude_in_base_units": base,
        "dimensionality": dimensionality,
    }


def version(number: int, schema: dict[str, Any] | None = None, **data: Any) -> dict[str, Any]:
    return {"object_id": number, "version_id": 0, "action_id": 0, "schema": schema or {}, "data": data}


def masses(*values: dict[str, Any], units: str | None = None) -> tuple[list[float], dict[str, str]]:
    schema = {"properties": {"m": {"type": "quantity", "units": units}}} if units else None
    df = frame_of([version(number, schema, m=each) for number, each in enumerate(values, 1)])
    return df["m"].tolist(), df.attrs["units"]


def test_units_that_are_the_same_are_kept_as_they_are():
    assert masses(quantity(0.1, "mg", 1.0000000000000001e-07)) == ([0.1], {"m": "mg"})


def test_others_are_converted_to_the_most_frequent_ones_or_the_schemas():
    given = (quantity(2, "g", 0.002), quantity(5, "mg", 5e-06), quantity(7, "mg", 7e-06))
    assert masses(*given) == ([2000, 5, 7], {"m": "mg"})
    assert masses(*given, units="g") == ([2, 0.005, 0.007], {"m": "g"})
    assert masses(*given, units="kg") == ([2000, 5, 7], {"m": "mg"}), "nothing tells how many kg there are in one"


def test_nothing_but_zeros_and_degrees_are_shown_in_base_units():
    assert masses(quantity(0, "g", 0), quantity(0, "mg", 0)) == ([0, 0], {"m": "kg"})
    kelvin = "[temperature]"
    given = quantity(20, "degC", 293.15, kelvin), quantity(68, "degF", 293.15, kelvin)
    assert masses(*given) == ([293.15, 293.15], {"m": "K"})
    speeds = quantity(0, "m/s", 0, "[length] / [time]"), quantity(0, "km/h", 0, "[length] / [time]")
    assert masses(*speeds)[1] == {"m": "m / s"}


def test_what_is_of_another_dimensionality_has_a_column_of_its_own():
    other = version(3, size=quantity(5, "mg", 5e-06))
    lengths = [version(number, size=quantity(number, "nm", number * 1e-9, "[length]")) for number in (1, 2)]
    df = frame_of([*lengths, other])
    assert df["size"].tolist()[:2] == [1, 2] and np.isnan(df["size"][3])
    assert df["size [mass]"][3] == 5
    assert df.attrs["units"] == {"size": "nm", "size [mass]": "mg"}


def test_values_of_several_kinds_and_of_kinds_that_are_unknown_are_kept():
    df = frame_of(
        [
            version(1, x={"_type": "text", "text": {"de": "ja", "en": "yes"}}, y={"_type": "new", "z": 1}),
            version(
                2, x={"_type": "bool", "value": False}, d={"_type": "datetime", "utc_datetime": "9999-12-31 00:00:00"}
            ),
        ]
    )
    assert df["x"].tolist() == ["yes", False] and df["y"][1] == {"_type": "new", "z": 1}
    assert df["d"][2].year == 9999 and df.attrs["units"] == {}


@pytest.mark.parametrize(
    ("given", "magnitude", "units"),
    [
        ("5 mg", 5, "mg"),
        (" -1.5e3 m/s**2 ", -1500.0, "m/s**2"),
        (".5", 0.5, None),
        ("10%", 10, "%"),
        (5, 5, None),
        ((5, "mg"), 5, "mg"),
        (Quantity(5), 5, None),
        (np.float64(2.5), 2.5, None),
        ("heavy", "heavy", None),
    ],
)
def test_quantities_are_written_in_several_ways(given: Any, magnitude: Any, units: str | None):
    told = {} if units is None else {"units": units}
    data = data_from({"type": "quantity", "units": "kg"}, given)
    assert data == {"_type": "quantity", "magnitude": magnitude, **told}
    assert type(data["magnitude"]) is type(magnitude)


def test_what_pandas_has_where_there_is_nothing_is_left_out():
    schema = {
        "type": "object",
        "properties": {"m": {"type": "quantity"}, "n": {"type": "array", "items": {"type": "quantity"}}},
    }
    rows = pd.DataFrame(
        {"m": [1.5, None], "d": pd.to_datetime(["2026-01-01", None]), "x": pd.array([None, 1], "Int64")}
    )
    first, second = (data_from(schema, row) for row in rows.to_dict("records"))
    assert first.keys() == {"m", "d"} and second == {"x": 1}
    assert data_from(schema, {"n": np.array([1, 2])})["n"] == [
        {"_type": "quantity", "magnitude": each} for each in (1, 2)
    ]


def test_what_the_schema_does_not_know_is_passed_on():
    schema = {"type": "object", "properties": {"n": {"type": "array", "items": {"type": "text"}}}}
    assert data_from(schema, {"n": ["a", {"_type": "text", "text": "b"}], "x": 7, "none": None}) == {
        "n": [{"_type": "text", "text": "a"}, {"_type": "text", "text": "b"}],
        "x": 7,
    }
    assert data_from(schema, 7) == 7 and data_from({}, "x") == "x"
    assert value_from({"_type": "quantity", "magnitude_in_base_units": 2}) == Quantity(2)
    assert value_from({"_type": "datetime", "utc_datetime": "soon"}) == "soon"
    assert value_from(None) is None and value_from(7) == 7


@pytest.mark.parametrize(
    "text",
    [
        *("", "cosphere:", "cosphere:requests/", "cosphere:http/close", "cosphere:__class__/x", "cosphere:cache/x"),
        *("cosphere:bundles/numbers", "cosphere:bundles/0xab", "cosphere:worksheets/home", "cosphere:objects/x"),
        *("cosphere:requests/1/2", "cosphere:objects/٣", "http://lab.example/cosphere:requests/1"),
    ],
)
def test_what_is_no_link_leads_nowhere(text: str):
    workspace = type("Nothing", (), {"requests": None, "objects": {3: "three"}})()
    with pytest.raises(ValueError, match="leads to nothing of this workspace"):
        follow(workspace, text)
    nothing_known = ("cosphere:objects", "cosphere:bundles", "cosphere:worksheets")
    assert text.startswith(nothing_known) or not list(links_in({"a": {"_type": "text", "text": text}}))
