"""Conditions: a property stands only where the values beside it allow it."""

from __future__ import annotations

from typing import Any

import pytest
from objects.lab import boolean, data_of, node, problems_of, schema_of, text

from cosphere_jupyter.objects.dialect import schema_errors

SIBLINGS = {
    "kind": node("text", choices=["a", "b", {"en": "c", "de": "d"}]),
    "free": node("text"),
    "flag": node("bool"),
    "who": node("user"),
    "what": node("object_reference"),
    "origin": node("sample"),
}
IS_A = {"type": "choice_equals", "property_name": "kind", "choice": "a"}
IS_SET = {"type": "bool_equals", "property_name": "flag", "value": True}
USER_1 = {"_type": "user", "user_id": 1}
SAMPLE_1 = {"_type": "sample", "object_id": 1}


def schema(*conditions: Any, required: list[str] | None = None) -> dict[str, Any]:
    return schema_of(required=required, **SIBLINGS, it=node("bool", conditions=list(conditions)))


HOLD: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    (IS_A, {"kind": text("a")}, True),
    (IS_A, {"kind": text("b")}, False),
    (IS_A, {}, False),
    ({**IS_A, "choice": {"en": "c", "de": "d"}}, {"kind": text({"en": "c", "de": "d"})}, True),
    ({**IS_A, "choice": None}, {}, True),
    ({**IS_A, "choice": None}, {"kind": text("a")}, False),
    (IS_SET, {"flag": boolean(True)}, True),
    (IS_SET, {"flag": boolean(False)}, False),
    (IS_SET, {}, False),
    ({**IS_SET, "value": False}, {}, False),
    ({"type": "user_equals", "property_name": "who", "user_id": 1}, {"who": USER_1}, True),
    ({"type": "user_equals", "property_name": "who", "user_id": 2}, {"who": USER_1}, False),
    ({"type": "user_equals", "property_name": "who", "user_id": None}, {}, True),
    ({"type": "object_equals", "property_name": "origin", "object_id": 1}, {"origin": SAMPLE_1}, True),
    ({"type": "object_equals", "property_name": "origin", "object_id": 4}, {"origin": SAMPLE_1}, False),
    (
        {"type": "object_equals", "property_name": "what", "object_id": 3},
        {"what": {"_type": "object_reference", "object_id": 3}},
        True,
    ),
    ({"type": "any", "conditions": [IS_A, IS_SET]}, {"flag": boolean(True)}, True),
    ({"type": "any", "conditions": [IS_A, IS_SET]}, {}, False),
    ({"type": "any", "conditions": []}, {}, False),
    ({"type": "all", "conditions": [IS_A, IS_SET]}, {"kind": text("a"), "flag": boolean(True)}, True),
    ({"type": "all", "conditions": [IS_A, IS_SET]}, {"kind": text("a")}, False),
    ({"type": "all", "conditions": []}, {}, True),
    ({"type": "not", "condition": IS_A}, {}, True),
    ({"type": "not", "condition": IS_A}, {"kind": text("a")}, False),
    ({"type": "not", "condition": {"type": "any", "conditions": [IS_A, IS_SET]}}, {"kind": text("b")}, True),
]

WRONG: list[tuple[Any, str]] = [
    (1, "invalid condition: 1"),
    ({}, "invalid condition: {}"),
    ({"type": "equals"}, "invalid condition: {'type': 'equals'}"),
    ({"type": []}, "invalid condition: {'type': []}"),
    ({"type": "not"}, "missing keys in schema: {'condition'}"),
    ({"type": "any", "conditions": {}}, "conditions must be list"),
    ({"type": "any", "conditions": [1]}, "invalid condition: 1"),
    ({**IS_A, "extra": 1}, "unexpected keys in schema: {'extra'}"),
    ({**IS_A, "property_name": "nothing"}, 'unknown property in condition: "nothing"'),
    ({**IS_A, "property_name": ["kind"]}, "unknown property in condition: ['kind']"),
    ({**IS_A, "property_name": "flag"}, 'condition choice_equals does not fit the type of property "flag"'),
    ({**IS_A, "choice": "z"}, 'condition needs one of the choices of property "kind"'),
    ({**IS_A, "property_name": "free"}, 'condition needs one of the choices of property "free"'),
    ({**IS_SET, "value": 1}, "value of condition must be bool"),
    ({**IS_SET, "value": None}, "value of condition must be bool"),
    (
        {"type": "user_equals", "property_name": "who", "user_id": "self"},
        "user_id of condition must be int or null",
    ),
    (
        {"type": "object_equals", "property_name": "what", "object_id": True},
        "object_id of condition must be int or null",
    ),
]


@pytest.mark.parametrize(("condition", "siblings", "holds"), HOLD)
def test_a_property_stands_where_its_condition_holds_and_is_absent_elsewhere(
    condition: dict[str, Any], siblings: dict[str, Any], holds: bool
) -> None:
    whole = schema(condition, required=["it"])
    assert schema_errors(whole) == []
    with_it = [str(each) for each in problems_of(whole, data_of(**siblings, it=boolean(True)))]
    without = [str(each) for each in problems_of(whole, data_of(**siblings))]
    assert with_it == ([] if holds else ['conditions for property "it" not fulfilled (at it)'])
    assert without == (['missing required property "it" (at it)'] if holds else [])


def test_several_conditions_must_all_hold() -> None:
    whole = schema(IS_A, IS_SET)
    assert problems_of(whole, data_of(kind=text("a"), flag=boolean(True), it=boolean(True))) == []
    assert problems_of(whole, data_of(kind=text("a"), it=boolean(True))) != []


def test_values_of_the_wrong_kind_fulfil_no_condition() -> None:
    for flag in (boolean(1), True, [], None, {"_type": "bool"}):
        paths = [each.path for each in problems_of(schema(IS_SET), data_of(flag=flag, it=boolean(True)))]
        assert paths == [("flag",), ("it",)]


@pytest.mark.parametrize(("condition", "message"), WRONG)
def test_wrong_conditions_are_told(condition: Any, message: str) -> None:
    assert [str(each) for each in schema_errors(schema(condition))] == [f"{message} (at it)"]


def test_conditions_are_a_list_of_limited_depth_and_not_for_the_name() -> None:
    whole = schema_of(it=node("bool", conditions={}))
    assert [str(each) for each in schema_errors(whole)] == ["conditions must be list (at it)"]
    deep: dict[str, Any] = IS_A
    for _ in range(16):
        deep = {"type": "not", "condition": deep}
    assert [str(each) for each in schema_errors(schema(deep))] == ["conditions must be nested at most 16 deep (at it)"]
    name = node("text", conditions=[IS_SET])
    assert "name must not have conditions (at name)" in map(str, schema_errors(schema_of(**SIBLINGS, name=name)))
