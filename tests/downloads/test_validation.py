"""What is wrong with a download request, in two stages and in the API's words. Source: behaviour, section 4."""

from __future__ import annotations

import time
from typing import Any

import pytest
from support import Answer, Api, column

from cosphere_jupyter.downloads.spec import spec_errors
from cosphere_jupyter.errors import FieldsInvalid
from cosphere_jupyter.handlers.downloader import CREATE_FIELDS
from cosphere_jupyter.handlers.fields import parse_body

ALL = {"ok": "BOOLEAN", "n": "INTEGER", "price": "FLOAT", "word": "STRING", "day": "DATETIME"}
OPERATORS = ("=", "!=", ">", ">=", "<", "<=")
NEITHER = "is not valid under any of the given schemas"
CHOICES = "['>', '>=', '<', '<=', '=', '!=']"
REQUIRED = ["This field is required."]


def schema(path: str, reason: str) -> str:
    return f"JSON did not validate. PATH: '{path}' REASON: {reason}"


def spec(*filters: Any, **changes: Any) -> dict[str, Any]:
    return {"columns": ["n"], "filters": list(filters), **changes}


def where(name: Any = "n", operator: Any = "=", value: Any = 1) -> dict[str, Any]:
    return {"name": name, "operator": operator, "value": value}


@pytest.fixture
def item(owner: Api, run: Any) -> dict[str, Any]:
    """An item with a column of each type. Its executor is not served yet, so that nothing runs."""
    columns = [column(name, kind) for name, kind in ALL.items()]
    body = {"name": "all", "executor_type": "ATHENA", "maintained_by_id": owner.account["id"], "spec": columns}
    created = run(owner.post("/catalogue/items/", body))
    assert created.status == 201, created.body
    return created.json


async def ask(caller: Api, item: Any, spec: Any) -> Answer:
    return await caller.post("/downloader/requests/", {"catalogue_item_id": item["id"], "spec": spec})


# fmt: off
SCHEMA_CASES: list[tuple[Any, str]] = [
    ("x", schema(".", "'x' is not of type 'object'")),
    ([], schema(".", "[] is not of type 'object'")),
    (5, schema(".", "5 is not of type 'object'")),
    ({}, schema(".", "'columns' is a required property")),
    ({"filters": []}, schema(".", "'columns' is a required property")),
    ({"columns": []}, schema(".", "'filters' is a required property")),
    (spec(columns="n"), schema("columns", "'n' is not of type 'array'")),
    (spec(columns=None), schema("columns", "None is not of type 'array'")),
    (spec(columns=["n", 5]), schema("columns.1", "5 is not of type 'string'")),
    (spec(columns=[None]), schema("columns.0", "None is not of type 'string'")),
    (spec(filters=None), schema("filters", "None is not of type 'array'")),
    (spec(filters={}), schema("filters", "{} is not of type 'array'")),
    (spec(5), schema("filters.0", "5 is not of type 'object'")),
    (spec(where(), {}), schema("filters.1", "'name' is a required property")),
    (spec({"value": 1}), schema("filters.0", "'name' is a required property")),
    (spec({"name": "n", "value": 1}), schema("filters.0", "'operator' is a required property")),
    (spec({"name": "n", "operator": "="}), schema("filters.0", "'value' is a required property")),
    (spec(where(5)), schema("filters.0.name", "5 is not of type 'string'")),
    (spec(where("n", ">>")), schema("filters.0.operator", f"'>>' is not one of {CHOICES}")),
    (spec(where("n", "==")), schema("filters.0.operator", f"'==' is not one of {CHOICES}")),
    (spec(where("n", None)), schema("filters.0.operator", f"None is not one of {CHOICES}")),
    (spec(where("n", "= 1 OR 1 =")), schema("filters.0.operator", f"'= 1 OR 1 =' is not one of {CHOICES}")),
    (spec(where(value=None)), schema("filters.0.value", f"None {NEITHER}")),
    (spec(where(value=[1])), schema("filters.0.value", f"[1] {NEITHER}")),
    (spec(where(value={})), schema("filters.0.value", f"{{}} {NEITHER}")),
    (spec(randomize_ratio=None), schema("randomize_ratio", "None is not of type 'number'")),
    (spec(randomize_ratio=True), schema("randomize_ratio", "True is not of type 'number'")),
    (spec(randomize_ratio="0.5"), schema("randomize_ratio", "'0.5' is not of type 'number'")),
    (spec(seed=1.5), schema("seed", "1.5 is not of type 'integer'")),
    (spec(seed=True), schema("seed", "True is not of type 'integer'")),
    (spec(seed="7"), schema("seed", "'7' is not of type 'integer'")),
    (spec(seed=2**63), schema("seed", f"{2**63} is greater than the maximum of {2**63 - 1}")),
    # Only the first: as declared, what is missing last.
    ({"columns": 1, "filters": 1}, schema("columns", "1 is not of type 'array'")),
    ({"filters": 1, "randomize_ratio": "x"}, schema("filters", "1 is not of type 'array'")),
    ({"randomize_ratio": "x"}, schema("randomize_ratio", "'x' is not of type 'number'")),
    (spec(where(5, ">>", None)), schema("filters.0.name", "5 is not of type 'string'")),
    (spec(where("n", ">>", None)), schema("filters.0.operator", f"'>>' is not one of {CHOICES}")),
]
# fmt: on


async def test_the_first_stage_reports_fields_by_themselves(owner: Api, item: Any) -> None:
    for wrong, message in SCHEMA_CASES:
        assert spec_errors(wrong) == [message], wrong
        answer = await ask(owner, item, wrong)
        assert (answer.status, answer.event) == (400, "BODY_DID_NOT_VALIDATE"), wrong
        assert answer.errors == {"spec": [message]}, wrong
        assert answer.json["@authorizer"] == {"account_id": owner.account["id"]}
    path = "/downloader/requests/"
    cases: list[tuple[dict[str, Any], dict[str, list[str]]]] = [
        ({}, {"spec": REQUIRED, "catalogue_item_id": REQUIRED}),
        ({"spec": spec()}, {"catalogue_item_id": REQUIRED}),
        ({"catalogue_item_id": item["id"]}, {"spec": REQUIRED}),
        ({"catalogue_item_id": None, "spec": None}, {
            "spec": ["This field may not be null."], "catalogue_item_id": ["This field may not be null."]}),
        ({"catalogue_item_id": "TEXT", "spec": spec()}, {"catalogue_item_id": ["A valid integer is required."]}),
        ({"catalogue_item_id": 1.5, "spec": spec()}, {"catalogue_item_id": ["A valid integer is required."]}),
        ({"catalogue_item_id": True, "spec": 5}, {
            "spec": [schema(".", "5 is not of type 'object'")],
            "catalogue_item_id": ["A valid integer is required."]}),
        ({"catalogue_item_id": 1, "spec": spec(randomize_ratio=float("nan"))}, {
            "spec": ["Value must be valid JSON."]}),
        ({"catalogue_item_id": 1, "spec": spec(where(value=float("inf")))}, {"spec": ["Value must be valid JSON."]}),
    ]  # fmt: skip
    for body, errors in cases:
        answer = await owner.post(path, body)
        assert (answer.status, answer.event, answer.errors) == (400, "BODY_DID_NOT_VALIDATE", errors), body


def test_a_million_columns_or_filters_are_refused_without_a_look_at_them() -> None:
    too_many = {
        "columns": "Ensure there are no more than 10000 columns.",
        "filters": "Ensure there are no more than 1000 filters.",
    }
    for part, message in too_many.items():
        # Not even one of them would do.
        body = {"spec": {**spec(), part: ["\0"] * 1_000_000}, "catalogue_item_id": 1}
        started = time.perf_counter()
        with pytest.raises(FieldsInvalid) as refused:
            parse_body(CREATE_FIELDS, body)
        assert time.perf_counter() - started < 0.05
        assert refused.value.errors == {"spec": [message]}
        assert spec_errors(body["spec"]) == [message]
    as_many_as_may_be = {"columns": ["n"] * 10_000, "filters": [where()] * 1_000}
    assert spec_errors(as_many_as_may_be) == []


def mismatch(name: str) -> dict[str, list[str]]:
    return {"__all__": [f"column type and filter value type mismatch detected for column '{name}'"]}


def not_allowed(operator: str, name: str) -> dict[str, list[str]]:
    return {"__all__": [f"operator '{operator}' not allowed for column '{name}' detected"]}


async def test_the_second_stage_reports_the_first_broken_rule_in_order(owner: Api, item: Any) -> None:
    none = {"__all__": ["at least one column must be specified in 'columns'"]}
    twice = {"__all__": ["columns must appear only once in 'columns'"]}
    unknown = {"__all__": ["unknown columns in 'columns' detected: 'a', 'b'"]}
    unknown_filter = {"__all__": ["unknown columns in 'filters' detected: 'y', 'zz'"]}
    ratio = {"__all__": ["'randomize_ratio' not in allowed [0, 1] range detected"]}
    bad = [where("zz"), where("y")]
    cases: list[tuple[dict[str, Any], dict[str, list[str]]]] = [
        (spec(columns=[]), none),
        (spec(*bad, columns=[], randomize_ratio=5.0), none),
        (spec(columns=["n", "word", "n"]), twice),
        (spec(*bad, columns=["b", "b"], randomize_ratio=5.0), twice),
        (spec(*bad, columns=["n", "b", "a"], randomize_ratio=5.0), unknown),
        (spec(columns=["N"]), {"__all__": ["unknown columns in 'columns' detected: 'N'"]}),
        (spec(columns=["n "]), {"__all__": ["unknown columns in 'columns' detected: 'n '"]}),
        (spec(columns=["*"]), {"__all__": ["unknown columns in 'columns' detected: '*'"]}),
        (spec(where("n", "=", "x"), *bad, randomize_ratio=5.0), unknown_filter),
        (spec(where("n", "=", "x"), where("ok", ">", True), randomize_ratio=5.0), mismatch("n")),
        (spec(where("ok", ">", True), where("n", "=", "x"), randomize_ratio=5.0), not_allowed(">", "ok")),
        (spec(where("ok", ">", 5)), mismatch("ok")),
        (spec(where("ok", ">", True), randomize_ratio=5.0), not_allowed(">", "ok")),
        (spec(randomize_ratio=5.0), ratio),
    ]
    for wrong, errors in cases:
        answer = await ask(owner, item, wrong)
        assert (answer.status, answer.event) == (400, "BODY_JSON_DID_NOT_PARSE"), wrong
        assert answer.errors == errors, wrong
        assert answer.json["@authorizer"] == {"account_id": owner.account["id"]}
    for number in (58495, 0, -1, 2**63, 10**30):
        # An item that does not exist is told before anything about its columns.
        answer = await ask(owner, {"id": number}, spec(columns=[]))
        text = f"catalogue item instance with id {number} does not exist."
        assert (answer.event, answer.errors) == ("BODY_JSON_DID_NOT_PARSE", {"catalogue_item": [text]})
    assert (await owner.get("/downloader/requests/")).json["requests"] == [], "nothing was stored for any of these"


# fmt: off
FITTING: dict[str, list[Any]] = {
    "ok": [True, False],
    # true counts as an INTEGER, as in the API.
    "n": [0, -1, 5, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, True, False],
    # Ours: integers are accepted for FLOAT.
    "price": [0.0, -0.0, 0, 5, -5, 1.5, 1e308, 5e-324, 2**63],
    "word": ["", " ", "5", "even", "O'Brien", "a,b", "%", "\u2603", "true"],
    "day": ["2013-01-01", "2013-01-01 12:30", "2013-01-01T12:30:59", "2013-01-01T12:30:59.123456", "2013-01-01T12:30Z",
            "2013-01-01T12:30:59.123456789+05:30", "2013-01-01 12:30:59 -0800", "2013-01-01T12:00+02",
            "0001-01-01", "9999-12-31T23:59:59.999999"],
}
MISFITS: dict[str, list[Any]] = {
    # Ours: falsy values are checked like all others.
    "ok": [0, 1, 0.0, "", "true", 1.5],
    "n": [1.0, 0.0, 1.5, "", "5", "x"],
    "price": ["", "5.0", True, False, "nan"],
    "word": [0, 1, 0.0, 1.5, True, False],
    "day": [0, 1, 20130101, 1.5, True, False, "", "yesterday", "2013", "2013-01", "20130101", "01/02/2013",
            "2013-02-29", "2013-13-01", "2013-01-00", "2013-01-01T24:00", "2013-01-01T12:60", "2013-01-01T12:00+24:00",
            "2013-01-01T12:00+01:99",
            "2013-01-01T12:00:00 Europe/Warsaw", "0001-01-01T00:00+01:00", "9999-12-31T23:30-01:00", "-2013-01-01",
            "0000-01-01", "2013-01-01; DROP TABLE x"],
}
# fmt: on


async def test_a_filters_value_is_of_its_columns_type(owner: Api, item: Any) -> None:
    assert FITTING.keys() == MISFITS.keys() == ALL.keys()
    for name, values in MISFITS.items():
        for value in values:
            answer = await ask(owner, item, spec(where(name, "=", value)))
            assert (answer.status, answer.event) == (400, "BODY_JSON_DID_NOT_PARSE"), (name, value, answer.body)
            assert answer.errors == mismatch(name), (name, value)
    for name, values in FITTING.items():
        for value in values:
            answer = await ask(owner, item, spec(where(name, "=", value)))
            assert answer.status in (200, 201), (name, value, answer.body)
    for value in (2**64, -(2**63) - 1, 10**30):
        # No database holds them, so the whole spec is refused.
        assert (await ask(owner, item, spec(where("n", "=", value)))).errors == {"spec": ["Value must be valid JSON."]}


async def test_every_operator_fits_every_type_but_an_order_of_booleans(owner: Api, item: Any) -> None:
    values = {"ok": [True, False], "n": [0, 7], "price": [0, 0.5], "word": ["", "a"], "day": ["2013-01-01"]}
    for name in ALL:
        for operator in OPERATORS:
            for value in values[name]:
                answer = await ask(owner, item, spec(where(name, operator, value)))
                if name == "ok" and operator not in ("=", "!="):
                    assert answer.errors == not_allowed(operator, "ok"), (operator, value)
                else:
                    assert answer.status in (200, 201), (name, operator, value, answer.body)


async def test_the_ratio_lies_between_0_and_1_however_it_is_written(owner: Api, item: Any) -> None:
    for value in (0, 1, 0.0, 1.0, -0.0, 0.5, 1e-300, 5e-324, 0.9999999999999999):
        answer = await ask(owner, item, spec(randomize_ratio=value))
        assert answer.status in (200, 201), (value, answer.body)
    # Ours: integers are checked as well.
    for value in (-1, 2, 50, -0.1, 1.1, 1.0000000000000002, -5e-324, 1e308, -(2**63), 2**64 - 1):
        answer = await ask(owner, item, spec(randomize_ratio=value))
        assert (answer.status, answer.event) == (400, "BODY_JSON_DID_NOT_PARSE"), value
        assert answer.errors == {"__all__": ["'randomize_ratio' not in allowed [0, 1] range detected"]}, value


async def test_further_keys_are_allowed_and_stored(owner: Api, item: Any) -> None:
    wanted = {**spec({**where(), "note": [1, 1.0]}), "why": {"because": None}}
    answer = await ask(owner, item, wanted)
    assert (answer.status, answer.json["spec"]) == (201, wanted)


async def test_columns_of_odd_names_can_be_asked_for(owner: Api, item: Any) -> None:
    names = ["", " ", "a'b", 'a"b', "a,b", "\u2603", "select", "n; --", "a\nb", "x" * 1000]
    body = {"name": "odd", "executor_type": "ATHENA", "maintained_by_id": owner.account["id"]}
    odd = (await owner.post("/catalogue/items/", {**body, "spec": [column(name, "STRING") for name in names]})).json
    answer = await ask(owner, odd, spec(*(where(name, "=", name) for name in names), columns=names))
    assert (answer.status, answer.json["spec"]["columns"]) == (201, names)
    # Of two columns with one name the last one counts.
    twice = [column("c", "INTEGER"), column("c", "STRING")]
    double = (await owner.post("/catalogue/items/", {**body, "name": "double", "spec": twice})).json
    assert (await ask(owner, double, spec(where("c", "=", "x"), columns=["c"]))).status == 201
    assert (await ask(owner, double, spec(where("c", "=", 1), columns=["c"]))).errors == mismatch("c")
