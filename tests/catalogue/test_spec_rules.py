"""What is wrong with a spec or a sample, in the API's own words and in its order. Source: behaviour, section 3."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import Api, column

from cosphere_jupyter.catalogue.spec import sample_errors, spec_errors


def schema(path: str, reason: str) -> str:
    return f"JSON did not validate. PATH: '{path}' REASON: {reason}"


def without(*keys: str, **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**column("c"), **changes}.items() if key not in keys}


TYPES = "['INTEGER', 'FLOAT', 'STRING', 'BOOLEAN', 'DATETIME']"
NEITHER = "is not valid under any of the given schemas"

# fmt: off
SCHEMA_CASES: list[tuple[Any, str | None]] = [
    # Shapes.
    ([], None),  # refused later, as a blank field
    ("x", schema(".", "'x' is not of type 'array'")),
    (5, schema(".", "5 is not of type 'array'")),
    (True, schema(".", "True is not of type 'array'")),
    ({"a": 1}, schema(".", "{'a': 1} is not of type 'array'")),
    ([1], schema("0", "1 is not of type 'object'")),
    ([column(), None], schema("1", "None is not of type 'object'")),
    ([column(), []], schema("1", "[] is not of type 'object'")),
    # What must be there, in the order in which it is missed.
    ([{}], schema("0", "'name' is a required property")),
    ([{"name": "c"}], schema("0", "'type' is a required property")),
    ([without("size", "is_nullable", "distribution", "is_enum")], schema("0", "'size' is a required property")),
    ([without("is_nullable", "distribution", "is_enum")], schema("0", "'is_nullable' is a required property")),
    ([without("distribution", "is_enum")], schema("0", "'distribution' is a required property")),
    ([without("is_enum")], schema("0", "'is_enum' is a required property")),
    ([column(), without("type")], schema("1", "'type' is a required property")),
    # Each property.
    ([without(name=5)], schema("0.name", "5 is not of type 'string'")),
    ([without(name=None)], schema("0.name", "None is not of type 'string'")),
    ([without(name="")], None),
    ([column("c"), column("c")], None),
    ([without(description=5)], schema("0.description", "5 is not of type 'string'")),
    ([without(description="what it is")], None),
    ([without(type="TEXT")], schema("0.type", f"'TEXT' is not one of {TYPES}")),
    ([without(type="integer")], schema("0.type", f"'integer' is not one of {TYPES}")),
    ([without(type=None)], schema("0.type", f"None is not one of {TYPES}")),
    ([without(is_enum=1)], schema("0.is_enum", "1 is not of type 'boolean'")),
    ([without(is_enum="true")], schema("0.is_enum", "'true' is not of type 'boolean'")),
    ([without(is_nullable=None)], schema("0.is_nullable", "None is not of type 'boolean'")),
    ([without(size="5")], schema("0.size", f"'5' {NEITHER}")),
    ([without(size=True)], schema("0.size", f"True {NEITHER}")),
    ([without(size=[])], schema("0.size", f"[] {NEITHER}")),
    ([without(size=-5)], None),
    ([without(size=1.5)], None),
    ([without(distribution={})], schema("0.distribution", f"{{}} {NEITHER}")),
    ([without(distribution=5)], schema("0.distribution", f"5 {NEITHER}")),
    ([without(distribution=[])], None),
    ([without(distribution=[{}])], schema("0.distribution", f"[{{}}] {NEITHER}")),
    ([without(distribution=[{"value": 1.5}])], schema("0.distribution", f"[{{'value': 1.5}}] {NEITHER}")),
    ([without(distribution=[{"count": 1}])], schema("0.distribution", f"[{{'count': 1}}] {NEITHER}")),
    ([without(distribution=[{"value": [], "count": 1}])],
        schema("0.distribution", f"[{{'value': [], 'count': 1}}] {NEITHER}")),
    ([without(distribution=[{"value": 1.5, "count": 1, "share": 0.5}])], None),
    # Only the first error: items in order, properties as declared, what is missing last.
    ([without("is_enum", name=5, type="x", size="y")], schema("0.name", "5 is not of type 'string'")),
    ([without("is_enum", type="x", size="y")], schema("0.type", f"'x' is not one of {TYPES}")),
    ([without("name", is_enum=1, size="y")], schema("0.is_enum", "1 is not of type 'boolean'")),
    ([without("name", size="y", is_nullable=1)], schema("0.size", f"'y' {NEITHER}")),
    ([without("name", is_nullable=1, distribution=1)], schema("0.is_nullable", "1 is not of type 'boolean'")),
    ([without("name", distribution=1)], schema("0.distribution", f"1 {NEITHER}")),
    ([without(type="x", description=1)], schema("0.description", "1 is not of type 'string'")),
    ([{"type": "FLOAT"}, 5], schema("0", "'name' is a required property")),
]
# fmt: on


def distributed(kind: str, *values: Any, nullable: bool = False, count: Any = 1) -> dict[str, Any]:
    entries = [{"value": value, "count": count} for value in values]
    return column("c", kind, is_nullable=nullable, distribution=entries)


MISMATCH = "column type and distribution value type mismatch detected for column 'c'"
NOT_UNIQUE = "not unique distribution values for column 'c' detected"
NO_INTEGER = "not integers distribution counts for column 'c' detected"

DISTRIBUTION_CASES: list[tuple[dict[str, Any], list[str]]] = [
    (distributed("INTEGER", 1, 2, -3), []),
    (distributed("INTEGER", 1.0), [MISMATCH]),
    (distributed("INTEGER", "1"), [MISMATCH]),
    (distributed("INTEGER", True), []),
    (distributed("FLOAT", 18.0, 19.1), []),
    (distributed("FLOAT", 18), [MISMATCH]),
    (distributed("FLOAT", True), [MISMATCH]),
    (distributed("STRING", "a", ""), []),
    (distributed("STRING", 1), [MISMATCH]),
    (distributed("DATETIME", "2013-01-01", "no date at all"), []),
    (distributed("DATETIME", 5), [MISMATCH]),
    (distributed("BOOLEAN", True, False), []),
    (distributed("BOOLEAN", 1), [MISMATCH]),
    (distributed("BOOLEAN", "true"), [MISMATCH]),
    (distributed("STRING", None), [MISMATCH]),
    (distributed("STRING", None, "a", nullable=True), []),
    (distributed("STRING", "a", "a"), [NOT_UNIQUE]),
    (distributed("FLOAT", 1.5, 2.5, 1.5), [NOT_UNIQUE]),
    (distributed("STRING", None, None, nullable=True), [NOT_UNIQUE]),
    (distributed("STRING", "a", count=1.0), [NO_INTEGER]),
    (distributed("STRING", "a", count=1.5), [NO_INTEGER]),
    (distributed("STRING", "a", count=-1), []),
    (distributed("INTEGER", "a", "a", count=0.5), [MISMATCH, NOT_UNIQUE, NO_INTEGER]),
]


def test_only_the_first_violation_of_the_schema_is_reported() -> None:
    for spec, message in SCHEMA_CASES:
        assert spec_errors(spec) == ([] if message is None else [message]), spec


def test_a_distribution_is_of_its_columns_type_unique_and_counted_in_integers() -> None:
    for entry, messages in DISTRIBUTION_CASES:
        assert spec_errors([column("other", "STRING"), entry]) == messages, entry
    both = [distributed("INTEGER", "x"), {**distributed("STRING", "a", "a"), "name": "d"}]
    assert spec_errors(both) == [MISMATCH, NOT_UNIQUE.replace("'c'", "'d'")]


def test_what_distributions_break_is_told_after_a_message_of_the_schema() -> None:
    nameless = "JSON did not validate. PATH: '0' REASON: 'type' is a required property"
    wrong = distributed("FLOAT", "t")
    assert spec_errors([{"name": "x"}, wrong]) == [nameless, MISMATCH]
    assert spec_errors([{"name": "x"}, distributed("INTEGER", "a", "a", count=0.5)]) == [
        nameless,
        MISMATCH,
        NOT_UNIQUE,
        NO_INTEGER,
    ]
    # Also of the column itself.
    (sizeless, *_) = spec_errors([{**wrong, "size": "5"}])
    assert spec_errors([{**wrong, "size": "5"}]) == [sizeless, MISMATCH] and "PATH: '0.size'" in sizeless
    assert spec_errors([{**wrong, "distribution": [{"value": "t", "count": "1"}]}])[1:] == [MISMATCH, NO_INTEGER]


def test_of_columns_that_are_too_malformed_only_the_schema_speaks() -> None:
    wrong = distributed("FLOAT", "t")
    odd: list[Any] = [
        5,
        [wrong],
        {key: value for key, value in wrong.items() if key != "name"},
        {key: value for key, value in wrong.items() if key != "is_nullable"},
        *({**wrong, "type": value} for value in ("REAL", None, [], {})),
        *({**wrong, "distribution": value} for value in (5, {}, [5], [[]], [{"value": 1}], [{"count": 1}])),
        *({**wrong, "distribution": [{"value": value, "count": 1}]} for value in ([], {}, [1])),
    ]
    for entry in odd:
        messages = spec_errors([entry])
        assert len(messages) == 1 and messages[0].startswith("JSON did not validate."), entry
    for spec in ("x", 5, {"a": wrong}, True):
        assert len(spec_errors(spec)) == 1, spec


DIFFERENT = "Sample column names and spec names are not identical"


def mismatch(row: int, name: str) -> str:
    return f"column type and sample value type mismatch detected for row number {row} column '{name}'"


SAMPLE_SPEC = [column("n", "INTEGER", is_nullable=False), column("x", "FLOAT"), column("s", "STRING")]
SAMPLE_CASES: list[tuple[list[dict[str, Any]], list[str]]] = [
    ([], []),
    ([{"n": 1, "x": 1.5, "s": "a"}], []),
    ([{"n": 1, "x": None, "s": None}, {"s": "", "x": -0.0, "n": 0}], []),
    ([{}], [DIFFERENT]),
    ([{"n": 1, "x": 1.5}], [DIFFERENT]),
    ([{"n": 1, "x": 1.5, "s": "a", "more": 1}], [DIFFERENT]),
    ([{"n": 1, "x": 1.5, "s": "a"}, {"n": 1, "x": 1.5}], [DIFFERENT]),
    # A key that only some rows have is in no intersection.
    ([{"n": 1, "x": 1.5, "s": "a", "more": 1}, {"n": 1, "x": 1.5, "s": "a"}], []),
    ([{"n": None, "x": 1.5, "s": "a"}], [mismatch(0, "n")]),
    ([{"n": 1, "x": 1.5, "s": "a"}, {"n": 1.0, "x": 1.5, "s": "a"}], [mismatch(1, "n")]),
    ([{"n": 1, "x": 1, "s": "a"}], [mismatch(0, "x")]),
    ([{"n": 1, "x": 1.5, "s": 5}], [mismatch(0, "s")]),
    ([{"n": 1, "x": 1.5, "s": []}], [mismatch(0, "s")]),
    ([{"n": "1", "x": 1, "s": 5}, {"n": "1"}], [DIFFERENT]),
    ([{"n": "1", "x": 1, "s": 5}], [mismatch(0, "n")]),
    ([{"n": True, "x": 1.5, "s": "a"}], []),
]


def test_a_sample_has_the_columns_and_types_of_its_spec() -> None:
    for sample, messages in SAMPLE_CASES:
        assert sample_errors(SAMPLE_SPEC, sample) == messages, sample


@pytest.fixture
def body(owner: Api) -> dict[str, Any]:
    return {"name": "iot", "executor_type": "ATHENA", "maintained_by_id": owner.account["id"], "spec": [column()]}


async def test_over_http_all_of_it_arrives_under_the_right_event(owner: Api, body: dict[str, Any]) -> None:
    spec_cases = [(spec, [message] if message else []) for spec, message in SCHEMA_CASES]
    spec_cases += [([entry], messages) for entry, messages in DISTRIBUTION_CASES]
    number = 0
    existing = (await owner.post("/catalogue/items/", {**body, "name": "existing"})).json["id"]
    update = {key: body[key] for key in ("executor_type", "maintained_by_id")}
    for spec, messages in spec_cases:
        number += 1
        created = await owner.post("/catalogue/items/", {**body, "name": f"item {number}", "spec": spec})
        updated = await owner.put(f"/catalogue/items/{existing}", {**update, "spec": spec})
        for answer, good in ((created, 201), (updated, 200)):
            if messages:
                assert (answer.status, answer.event) == (400, "BODY_DID_NOT_VALIDATE"), spec
                assert answer.errors == {"spec": messages}, spec
            elif spec:
                assert (answer.status, answer.json["spec"]) == (good, spec), (spec, answer.body)
            else:
                assert (answer.status, answer.event) == (400, "BODY_JSON_DID_NOT_PARSE")
                assert answer.errors == {"spec": ["This field cannot be blank."]}
            if answer.status == 400:
                assert answer.json["@authorizer"] == {"account_id": owner.account["id"]}
    for sample, messages in SAMPLE_CASES:
        number += 1
        values = {**body, "name": f"item {number}", "spec": SAMPLE_SPEC, "sample": sample}
        answer = await owner.post("/catalogue/items/", values)
        if messages:
            assert (answer.status, answer.event) == (400, "BODY_JSON_DID_NOT_PARSE"), sample
            assert answer.errors == {"__all__": messages}, sample
        else:
            assert (answer.status, json.dumps(answer.json["sample"])) == (201, json.dumps(sample)), answer.body


async def test_the_shape_of_a_sample_is_checked_before_its_contents(owner: Api, body: dict[str, Any]) -> None:
    cases = {
        "x": schema(".", "'x' is not of type 'array'"),
        5: schema(".", "5 is not of type 'array'"),
        (1,): schema("0", "1 is not of type 'object'"),
        (None,): schema("0", "None is not of type 'object'"),
    }
    for sample, message in cases.items():
        answer = await owner.post("/catalogue/items/", {**body, "sample": sample})
        assert (answer.event, answer.errors) == ("BODY_DID_NOT_VALIDATE", {"sample": [message]}), sample
    answer = await owner.post("/catalogue/items/", {**body, "sample": None})
    assert answer.errors == {"sample": ["This field may not be null."]}
    answer = await owner.post("/catalogue/items/", {**body, "sample": {}})
    assert answer.errors == {"sample": [schema(".", "{} is not of type 'array'")]}
