"""What differs between versions: found, shown, and applied."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from objects.conftest import Lab, named, text
from support import Api

from cosphere_jupyter.objects.diffs import DiffInvalid, apply, diff_of
from cosphere_jupyter.objects.records import is_same

A, B, C = text("a"), text("b"), text("c")
MG = {"_type": "quantity", "magnitude": 5, "units": "mg", "dimensionality": "[mass]", "magnitude_in_base_units": 5e-06}


def change(before: Any, after: Any) -> dict[str, Any]:
    return {"_before": before, "_after": after}


@pytest.mark.parametrize(
    ("before", "after", "diff"),
    [
        ({"x": A}, {"x": A}, None),
        ({"x": A}, {"x": B}, {"x": change(A, B)}),
        ({"x": A}, {}, {"x": {"_before": A}}),
        ({}, {"x": A}, {"x": {"_after": A}}),
        ({"o": {"x": A, "y": B}}, {"o": {"x": A, "y": C}}, {"o": {"y": change(B, C)}}),
        ({"o": {"x": A}}, {"o": {}}, {"o": {"x": {"_before": A}}}),
        ({"l": [A, B]}, {"l": [A, C]}, {"l": [None, change(B, C)]}),
        ({"l": [A]}, {"l": [A, B, C]}, {"l": [None, {"_after": B}, {"_after": C}]}),
        ({"l": [A, B, C]}, {"l": [A]}, {"l": [None, {"_before": B}, {"_before": C}]}),
        ({"l": []}, {"l": [A]}, {"l": [{"_after": A}]}),
        ({"l": [[A], [B]]}, {"l": [[A], [B, C]]}, {"l": [None, [None, {"_after": C}]]}),
        ({"l": [{"x": A}]}, {"l": [{"x": B}]}, {"l": [{"x": change(A, B)}]}),
        ({"x": A}, {"x": [A]}, {"x": change(A, [A])}),
        ({"x": {"_type": "bool", "value": True}}, {"x": {"_type": "bool", "value": 1}}, {"x": change(
            {"_type": "bool", "value": True}, {"_type": "bool", "value": 1})}),
    ],
)  # fmt: skip
def test_what_differs_is_found_and_can_be_applied(before: Any, after: Any, diff: Any) -> None:
    assert diff_of(before, after) == diff
    if diff is not None:
        kept = deepcopy(before)
        assert apply(before, diff) == after
        assert before == kept


@pytest.mark.parametrize(
    ("diff", "after"),
    [
        ({"l": {"0": change(A, C)}}, {"l": [C, B]}),
        ({"l": {"-1": change(B, C)}}, {"l": [A, C]}),
        ({"l": {"-2": {"_before": A}}}, {"l": [B]}),
        ({"l": {"+0": {"_after": C}}}, {"l": [A, B, C]}),
        ({"l": {"+1": {"_after": A}, "+0": {"_after": C}, "0": change(A, B)}}, {"l": [B, B, C, A]}),
        ({"q": change({"_type": "quantity", "magnitude": 5, "units": "mg"}, A)}, {"q": A}),
    ],
)
def test_items_may_be_named_by_their_position_and_what_was_there_in_short(diff: Any, after: Any) -> None:
    before = {"l": [A, B], "q": MG}
    assert apply(before, diff) == {**before, **after}


@pytest.mark.parametrize(
    "diff",
    [
        *({}, [], None, 7, "x", {"_before": {}}, {"x": {}}, {"x": None}, {"x": {"_after": B}}, {"x": change(B, C)}),
        *({"y": {"_before": A}}, {"y": change(A, B)}, {"y": {"z": {"_after": A}}}, {"x": {"text": change("a", "b")}}),
        *({"l": []}, {"l": [None, None]}, {"l": {}}, {"l": [None, None, None, {"_after": A}]}),
        *({"l": {"2": {"_after": A}}}, {"l": {"+99999999": {"_after": A}}}),
        *({"l": {"-3": change(A, B)}}, {"l": {"x": {"_after": A}}}, {"l": {"-0": change(A, B)}}, {"l": {"00": {}}}),
        *({"l": {"0": change(A, B), "-2": change(A, C)}}, {"l": {"+1": {"_after": A}}}),
        *({"l": {"٠": change(A, B)}}, {"l": [7]}, {"l": {"0": [7]}}, {"l": [{"_before": A, "_after": B, "more": 1}]}),
        {"_before": {"x": A, "l": [A, B]}},
    ],
)  # fmt: skip
def test_what_is_no_diff_of_the_data_is_refused(diff: Any) -> None:
    with pytest.raises(DiffInvalid, match="failed to apply diff"):
        apply({"x": A, "l": [A, B]}, diff)


VALUES = st.sampled_from([A, B, MG, {"_type": "bool", "value": True}])
DATA = st.dictionaries(
    st.sampled_from("xyz"),
    st.recursive(
        VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("uv"), inner, max_size=2)
    ),
)


@given(DATA, DATA)
@settings(max_examples=100, deadline=None)
def test_the_difference_between_any_two_makes_one_of_the_other(before: Any, after: Any) -> None:
    diff = diff_of(before, after)
    assert is_same(before, after) if diff is None else apply(before, diff) == after


# -- over HTTP ---------------------------------------------------------------------------------------------------------


async def test_a_version_is_made_of_what_differs(lab: Lab, rosa: Api) -> None:
    object_id = await lab.create(rosa, "A", 1, notes=[text("one")], mass={"_type": "quantity", "magnitude": 5})
    path = f"/api/v1/objects/{object_id}/versions/"
    diff = {"name": change(text("A"), text("B")), "notes": {"+0": {"_after": text("two")}}}
    made = await rosa.post(path, {"data_diff": diff, "version_id": 1})
    assert (made.status, made.headers["Location"]) == (201, f"/a%40b/cosphere{path}1")
    read = (await rosa.get(f"{path}1?include_diff=1")).json
    assert read["data"] == named("B", notes=[text("one"), text("two")], mass=MG)
    assert read["data_diff"] == {"name": change(text("A"), text("B")), "notes": [None, {"_after": text("two")}]}
    # As it is told, it makes the same of the version before.
    other = await lab.create(rosa, "A", 1, notes=[text("one")], mass={"_type": "quantity", "magnitude": 5})
    again = {"data_diff": read["data_diff"], "data": read["data"]}
    assert (await rosa.post(f"/api/v1/objects/{other}/versions/", again)).status == 201
    assert "data_diff" not in (await rosa.get(f"{path}0?include_diff=1")).json
    assert "data_diff" not in (await rosa.get(f"{path}1?include_diff=")).json
    await rosa.post(path, {"data": read["data"]})
    assert (await rosa.get(f"{path}2?include_diff=true")).json["data_diff"] == {}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"data_diff": {}}, "failed to apply diff"),
        ({"data_diff": 7}, "failed to apply diff"),
        ({"data_diff": None}, "data must be set"),
        ({"data_diff": None, "data": None}, "data must be set"),
        ({"data_diff": {"name": change(text("X"), text("B"))}}, "failed to apply diff"),
        ({"data_diff": {"name": {"_before": text("A")}}}, 'missing required property "name"'),
        ({"data_diff": {"name": change(text("A"), 7)}}, "validation failed:"),
        ({"data_diff": {"x": {"_after": text("B")}}}, 'unknown property "x"'),
        ({"data_diff": {"name": change(text("A"), text("B"))}, "data": named("C")}, "data and data_diff are conflict"),
        ({"data_diff": {"_before": named("A"), "_after": []}}, "validation failed:"),
    ],
)  # fmt: skip
async def test_a_difference_that_does_not_fit_is_told(lab: Lab, rosa: Api, body: Any, message: str) -> None:
    path = f"/api/v1/objects/{await lab.create(rosa, 'A')}/versions/"
    answer = await rosa.post(path, body)
    assert answer.status == 400 and message in answer.json["message"], answer.body
    assert len((await rosa.get(path)).json) == 1
    assert (await rosa.post("/api/v1/objects/", {"action_id": 0, **body})).json["message"] == "invalid key 'data_diff'"


async def test_of_differences_at_once_each_is_kept_or_told_that_it_no_longer_fits(lab: Lab, rosa: Api) -> None:
    object_id = await lab.create(rosa, "A", 1)
    path = f"/api/v1/objects/{object_id}/versions/"
    good = {"_after": {"_type": "bool", "value": True}}
    mass = {"_after": {"_type": "quantity", "magnitude": 5}}
    diffs = [{"is_good": good}, {"mass": mass}, *({"name": change(text("A"), text(name))} for name in "BCD")]
    answers = await asyncio.gather(*(rosa.post(path, {"data_diff": diff}) for diff in diffs))
    assert [each.status for each in answers[:2]] == [201, 201]
    assert sorted(each.status for each in answers[2:]) == [201, 400, 400]
    assert {each.json["message"] for each in answers[2:] if each.status == 400} == {"failed to apply diff"}
    versions = (await rosa.get(path)).json
    assert [each["version_id"] for each in versions] == [0, 1, 2, 3]
    assert versions[-1]["data"].keys() == {"name", "is_good", "mass"}
    winner = next(name for name, answer in zip("BCD", answers[2:], strict=True) if answer.status == 201)
    assert versions[-1]["data"]["name"] == text(winner)
