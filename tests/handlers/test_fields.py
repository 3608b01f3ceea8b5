"""The fields of bodies and queries: each message of the API, and no value that breaks one."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosphere_jupyter.catalogue.spec import SAMPLE_SCHEMA, schema_error, spec_errors
from cosphere_jupyter.downloads import spec as downloads
from cosphere_jupyter.errors import FieldsInvalid, QueryInvalid
from cosphere_jupyter.handlers.fields import (
    Boolean,
    Choice,
    Email,
    Field,
    FieldError,
    Integer,
    Json,
    Password,
    Text,
    parse_body,
    parse_query,
)
from cosphere_jupyter.json_values import DEEPEST, is_storable

# A busy machine is no reason to fail.
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

REQUIRED = "This field is required."

FIELDS: dict[str, Field] = {
    "text": Text(256),
    "blank": Text(256, blank=True),
    "password": Password(1024),
    "email": Email(254),
    "integer": Integer(),
    "bounded": Integer(0, 100),
    "boolean": Boolean(),
    "choice": Choice(("ATHENA", "DUCKDB")),
    "spec": Json(spec_errors),
    "sample": Json(lambda sample: [message] if (message := schema_error(SAMPLE_SCHEMA, sample)) else []),
    "request": Json(downloads.spec_errors),
}

# What Python's json reads: all of JSON, NaN, lone surrogates and integers of any length.
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20)
    | st.sampled_from(["columns", "filters", "STRING", "INTEGER", "=", "1", "1.0", "on", "a@b.example"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "type", "size", "is_enum", "is_nullable", "distribution", "value", "count"])
            | st.sampled_from(["columns", "filters", "operator", "randomize_ratio", "seed"])
            | st.text(st.characters(exclude_categories=()), max_size=5),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@calm
@given(anything)
def test_a_field_takes_a_value_or_refuses_it_with_messages_that_can_be_sent(value: Any) -> None:
    for field in FIELDS.values():
        if value is None:
            continue
        try:
            parsed = field.parse(value)
        except FieldError as error:
            assert error.messages
            for message in error.messages:
                assert message
                message.encode()
        else:
            assert is_storable(parsed) or isinstance(field, Integer)


@calm
@given(anything)
def test_a_body_is_parsed_or_refused_with_messages_for_known_fields(body: Any) -> None:
    try:
        values = parse_body({**FIELDS, "value": Text(required=False)}, body)
    except FieldsInvalid as error:
        assert error.errors
        assert set(error.errors) <= {*FIELDS, "value"} or set(error.errors) == {"non_field_errors"}
    else:
        assert set(values) >= set(FIELDS)


@calm
@given(st.dictionaries(st.sampled_from([*FIELDS, "other"]), st.text(st.characters(exclude_categories=()), max_size=20)))
def test_a_query_is_parsed_or_refused_with_messages_for_known_fields(arguments: dict[str, str]) -> None:
    try:
        parse_query(FIELDS, arguments)
    except QueryInvalid as error:
        assert error.errors and set(error.errors) <= set(FIELDS)


@calm
@given(anything)
def test_what_is_storable_survives_being_stored(value: Any) -> None:
    import orjson

    if is_storable(value):
        assert orjson.loads(orjson.dumps(value)) == value
        assert json.loads(json.dumps(value)) == value


@calm
@given(st.integers(-(2**80), 2**80))
def test_an_integer_may_be_written_as_number_text_or_whole_float(number: int) -> None:
    for value in (number, str(number), f" {number} ", f"{number}.0", f"{number}."):
        assert Integer().parse(value) == number
    if abs(number) < 2**53:
        assert Integer().parse(float(number)) == number or abs(number) >= 10**16


def refusal(field: Field, value: Any) -> list[str]:
    with pytest.raises(FieldError) as caught:
        field.parse(value)
    return caught.value.messages


def test_text_is_trimmed_and_numbers_are_taken_as_their_text() -> None:
    for value, text in {"  iot ": "iot", 5: "5", 5.5: "5.5", -1: "-1", "\t\u00e9\n": "\u00e9"}.items():
        assert Text().parse(value) == text
    for value in (True, False, [], {}, [1], {"a": 1}):
        assert refusal(Text(), value) == ["Not a valid string."], value
    for value in ("", " ", "\t\n"):
        assert refusal(Text(), value) == ["This field may not be blank."], repr(value)
    assert refusal(Text(), "a\0b") == ["Null characters are not allowed."]
    assert refusal(Text(), "\ud800") == ["Not a valid string."]
    assert Text(256).parse(" " + "x" * 256 + " ") == "x" * 256
    assert refusal(Text(256), "x" * 257) == ["Ensure this field has no more than 256 characters."]
    assert Text(4).parse("\U0001f600" * 4) == "\U0001f600" * 4
    assert Password().parse("  two  ") == "  two  "


def test_an_integer_is_whole() -> None:
    for value, number in {"7": 7, 7.0: 7, "7.00": 7, 0: 0, "-3": -3, "+3": 3, " 8 ": 8}.items():
        assert Integer().parse(value) == number, repr(value)
    for value in ("TEXT", "", " ", 1.5, "1.5", True, False, [], {}, [1], "0x10", "1e3", 1e300, math.nan, math.inf, "٫"):
        assert refusal(Integer(), value) == ["A valid integer is required."], repr(value)
    assert refusal(Integer(), "1" * 1001) == ["String value too large."]


def test_a_boolean_has_its_usual_words() -> None:
    for value in (True, 1, "true", "True", "TRUE", "1", "t", "T", "yes", "YES", "y", "Y", "on", "On", "ON"):
        assert Boolean().parse(value) is True, value
    for value in (False, 0, "false", "False", "FALSE", "0", "f", "F", "no", "NO", "n", "N", "off", "Off", "OFF"):
        assert Boolean().parse(value) is False, value
    for value in ("", "null", "None", "2", 2, "tRUE", "yess", [], {}, 1.5, "\ud800"):
        assert refusal(Boolean(), value) == ["Must be a valid boolean."], repr(value)


def test_a_choice_is_taken_letter_by_letter() -> None:
    choice = Choice(("ATHENA", "DATABRICKS"))
    assert choice.parse("ATHENA") == "ATHENA"
    for value, shown in {"SPARK": "SPARK", "athena": "athena", " ATHENA": " ATHENA", "": "", 5: "5"}.items():
        assert refusal(choice, value) == [f'"{shown}" is not a valid choice.']
    assert refusal(choice, True) == ['"True" is not a valid choice.']
    assert refusal(choice, []) == ['"[]" is not a valid choice.']


def test_an_email_address_looks_like_one() -> None:
    for email in ("ada@lab.example", "a.b+c@d-e.co.uk", "root@localhost", "A@B.example", "\u00e9@lab.example"):
        assert Email(254).parse(f" {email} ") == email
    for email in ("ada", "@lab.example", "ada@", "a b@lab.example", "a@lab", "a@@lab.example", "a@lab..example"):
        assert refusal(Email(254), email) == ["Enter a valid email address."], email
    assert refusal(Email(254), "a" * 250 + "@b.example") == ["Ensure this field has no more than 254 characters."]


def test_json_is_finite_shallow_and_within_64_bits() -> None:
    for value in (math.nan, math.inf, [-math.inf], {"a": [math.nan]}, 2**64, -(2**63) - 1, "a\0", {"\0": 1}, "\ud800"):
        assert refusal(Json(lambda _: []), value) == ["Value must be valid JSON."], repr(value)
    nested: Any = 1
    for depth in range(DEEPEST + 10):
        assert is_storable(nested) == (depth < DEEPEST), depth
        nested = [nested]
    assert is_storable([2**64 - 1, -(2**63), 1.5, None, True, {}])


def test_absent_null_and_default_are_three_things() -> None:
    fields = {"must": Text(), "may": Text(required=False), "else": Text(default="x"), "null": Integer(null=True)}
    with pytest.raises(FieldsInvalid) as caught:
        parse_body(fields, {"may": None, "unknown": None})
    assert caught.value.errors == {"must": [REQUIRED], "may": ["This field may not be null."], "null": [REQUIRED]}
    assert parse_body(fields, {"must": "a", "null": None}) == {"must": "a", "else": "x", "null": None}
