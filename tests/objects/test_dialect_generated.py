"""The dialect under generated schemas and data, and under what is sent to break it."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from objects.generated import changed, changes, wholes
from objects.lab import boolean, check, data_of, node, problems_of, quantity, schema_of, text

from cosphere_jupyter.objects.dialect import schema_errors
from cosphere_jupyter.objects.dialect_problems import MOST_PROBLEMS

calm = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@calm
@given(wholes())
def test_generated_data_follow_their_schema_and_are_completed_once(whole: tuple[dict[str, Any], Any]) -> None:
    schema, data = whole
    before = copy.deepcopy(whole)
    assert schema_errors(schema) == []
    once = check(schema, data)
    assert check(schema, once.data) == once
    assert whole == before


@calm
@given(wholes(), st.data())
def test_any_one_change_is_told_at_its_place(whole: tuple[dict[str, Any], Any], choice: st.DataObject) -> None:
    schema, data = whole
    place, where, new = choice.draw(st.sampled_from(changes(schema, data)))
    found = problems_of(schema, changed(data, place, new))
    assert where in [each.path for each in found]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.just("_type"), inner, max_size=4)
    ),
    max_leaves=12,
)
schema_like = st.recursive(
    json_values | st.builds(node, st.sampled_from("text bool quantity tags sample user file array object".split())),
    lambda inner: st.dictionaries(
        st.sampled_from("type title properties items required units conditions choices default name".split()),
        inner | st.sampled_from(["object", "array", "text", "quantity"]),
        max_size=6,
    ),
    max_leaves=12,
)


@calm
@given(schema_like)
def test_anything_may_be_asked_to_be_a_schema(schema: Any) -> None:
    for whole in (schema, schema_of(it=schema), node("object", properties=schema)):
        for each in schema_errors(whole):
            assert each.text


@calm
@given(wholes(), json_values)
def test_anything_may_be_asked_to_be_data(whole: tuple[dict[str, Any], Any], value: Any) -> None:
    schema, data = whole
    for name in schema["properties"]:
        problems_of(schema, {**data, name: value})
    assert problems_of(schema, value)


def nested(depth: int, inner: Any) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


HOSTILE: list[tuple[Any, tuple[str | int, ...], str]] = [
    (nested(100_000, 1), (), "nested more than 64 deep"),
    (nested(64, 1), (), "nested more than 64 deep"),
    ({"_type": "text", "text": "a\0b"}, ("it", "text"), "null characters are not allowed"),
    ({"_type": "text", "text": "\ud800"}, ("it", "text"), "text is not valid Unicode"),
    ({"_type": "text", "te\ud800xt": "a"}, ("it",), "text is not valid Unicode"),
    ({"_type": "text", "te\0xt": "a"}, ("it",), "null characters are not allowed"),
    ({"_type": "quantity", "magnitude": 10**5000}, ("it", "magnitude"), "integers must have at most 64 bits"),
    ({"_type": "quantity", "magnitude": float("nan")}, ("it", "magnitude"), "numbers must be finite"),
    ({"_type": "quantity", "magnitude": float("-inf")}, ("it", "magnitude"), "numbers must be finite"),
    ({1: 2}, ("it",), "names must be texts"),
    ((), ("it",), "not a JSON value"),
    ({"a": {1, 2}}, ("it", "a"), "not a JSON value"),
    (b"x", ("it",), "not a JSON value"),
    ([0] * 500_000, (), "more than 500000 values"),
]


@pytest.mark.parametrize(("value", "path", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_what_cannot_be_stored_is_refused_before_its_meaning_is_looked_at(
    value: Any, path: tuple[str | int, ...], message: str
) -> None:
    whole = schema_of(it=node("text"))
    assert [(each.text, each.path) for each in problems_of(whole, data_of(it=value))] == [(message, path)]
    assert [each.text for each in schema_errors(schema_of(it=value))] == [message]


def elapsed(schema: dict[str, Any], data: Any) -> float:
    begin = time.process_time()
    problems_of(schema, data)
    return time.process_time() - begin


def test_the_time_is_in_proportion_to_the_size() -> None:
    layer = node("object", properties={"mass": node("quantity", units="mg"), "material": node("text", maxLength=5)})
    schema = schema_of(layers=node("array", items=layer))
    good = {"mass": quantity(1.5), "material": text("Fe")}
    bad = {"mass": quantity("1"), "material": text("too long"), "other": 1}
    for item in (good, bad, {"x" * 50: 1}):
        small, large = (min(elapsed(schema, data_of(layers=[item] * n)) for _ in range(2)) for n in (500, 4_000))
        assert large < 8 * 3 * small + 0.1


def test_there_is_an_end_of_problems() -> None:
    found = problems_of(schema_of(it=node("array", items=node("bool"))), data_of(it=[boolean(1)] * 5_000))
    assert len(found) == MOST_PROBLEMS
    assert len(str(problems_of(schema_of(), data_of(**{"x" * 1_000_000: 1}))[0].text)) < 200


@pytest.mark.parametrize("pattern", [r"(a|aa|a?)*\Z(?<=x)", r"(((a{0,50}){50}){50})b", r"(x+x+)+y", r"^(\w+\s?)*!$"])
def test_no_pattern_takes_longer_than_its_time(pattern: str) -> None:
    schema = schema_of(it=node("array", items=node("text", pattern=pattern)))
    if schema_errors(schema):
        assert "pattern repeats too much" in str(schema_errors(schema)[0])
        return
    begin = time.process_time()
    data = data_of(it=[text("a" * 5_000 + "b" + "x" * 5_000)] * 50)
    assert {each.path[0] for each in problems_of(schema, data)} == {"it"}
    assert time.process_time() - begin < 5
