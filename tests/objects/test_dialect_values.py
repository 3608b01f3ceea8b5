"""What data may hold, type by type: each row is one rule of the schema format."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

import pytest
from objects.lab import Lab, boolean, check, data_of, node, problems_of, quantity, schema_of, text

from cosphere_jupyter.objects.dialect import Property, schema_errors, validate

MOMENT = "Please enter the date and time in the format: YYYY-MM-DD HH:MM:SS"
TAG = "tags may only contain lower case letters, digits, underscores and hyphens"
ACCEPTED: list[tuple[str, dict[str, Any], Any]] = [
    ("a text", node("text"), text("x")),
    ("an empty text", node("text"), text("")),
    ("a text in English, as a dict", node("text"), text({"en": "x"})),
    ("a text in two languages", node("text", languages=["en", "de"]), text({"en": "x", "de": "y"})),
    ("a text in one of the languages that is not English", node("text", languages=["en", "de"]), text({"de": "y"})),
    ("a plain text where languages are possible", node("text", languages=["en", "de"]), text("x")),
    ("any language", node("text", languages="all"), text({"fr": "x", "pt-BR": "y"})),
    ("the longest text", node("text", maxLength=3), text("äöü")),
    ("the shortest text", node("text", minLength=3), text("äöü")),
    ("a choice", node("text", choices=["a", "b"]), text("b")),
    ("a choice in languages", node("text", choices=[{"en": "a", "de": "b"}]), text({"en": "a", "de": "b"})),
    ("a pattern matches the beginning", node("text", pattern="[a-z]{2}"), text("ab12")),
    ("markdown", node("text", markdown=True), text("*x*") | {"is_markdown": True}),
    ("markdown that says nothing of it", node("text", markdown=True), text("*x*")),
    ("true", node("bool"), boolean(True)),
    ("false", node("bool"), boolean(False)),
    ("a moment", node("datetime"), {"_type": "datetime", "utc_datetime": "2026-02-28 23:59:59"}),
    ("a leap day", node("datetime"), {"_type": "datetime", "utc_datetime": "2024-02-29 00:00:00"}),
    ("a sample", node("sample"), {"_type": "sample", "object_id": 1}),
    ("a measurement", node("measurement"), {"_type": "measurement", "object_id": 2}),
    ("any object", node("object_reference"), {"_type": "object_reference", "object_id": 3}),
    ("an object of an action", node("object_reference", action_id=3), {"_type": "object_reference", "object_id": 3}),
    ("of several", node("object_reference", action_id=[1, 3]), {"_type": "object_reference", "object_id": 3}),
    ("of any action", node("object_reference", action_id=None), {"_type": "object_reference", "object_id": 3}),
    ("of a type", node("object_reference", action_type_id=-97), {"_type": "object_reference", "object_id": 3}),
    (
        "of an action or a type",
        node("object_reference", action_id=4, action_type_id=-97, filter_operator="or"),
        {"_type": "object_reference", "object_id": 3},
    ),
    (
        "of an action and a type",
        node("object_reference", action_id=3, action_type_id=[-97, -98], filter_operator="and"),
        {"_type": "object_reference", "object_id": 3},
    ),
    ("a user", node("user"), {"_type": "user", "user_id": 2}),
    ("a file", node("file"), {"_type": "file", "file_id": 0}),
    ("a file with an extension", node("file", extensions=[".csv"]), {"_type": "file", "file_id": 0}),
    ("a figure", node("plotly_chart"), {"_type": "plotly_chart", "plotly": {"data": [{"x": [1]}], "layout": {}}}),
    ("an empty array", node("array", items=node("bool")), []),
    ("an array", node("array", items=node("bool"), minItems=1, maxItems=2), [boolean(True), boolean(False)]),
    ("an array of arrays", node("array", items=node("array", items=node("bool"))), [[boolean(True)], []]),
    ("an object", node("object", properties={"a": node("bool")}), {"a": boolean(True)}),
    ("an object without its optional property", node("object", properties={"a": node("bool")}), {}),
]

REFUSED: list[tuple[dict[str, Any], Any, tuple[str | int, ...], str]] = [
    # -- every type ----------------------------------------------------------------------------------------------
    (node("text"), "x", (), "instance must be dict"),
    (node("text"), None, (), "instance must be dict"),
    (node("text"), ["x"], (), "instance must be dict"),
    (node("text"), {"text": "x"}, (), "missing keys in schema: {'_type'}"),
    (node("text"), {"_type": "text"}, (), "missing keys in schema: {'text'}"),
    (node("text"), text("x") | {"extra": 1}, (), "unexpected keys in schema: {'extra'}"),
    (node("text"), boolean(True) | {"text": "x"}, (), "unexpected keys in schema: {'value'}"),
    (node("text"), {"_type": "bool", "text": "x"}, (), 'expected _type "text"'),
    (node("text"), {"_type": None, "text": "x"}, (), 'expected _type "text"'),
    (node("bool"), text("x"), (), 'expected _type "bool"'),
    # -- text ----------------------------------------------------------------------------------------------------
    (node("text"), text(1), (), "text must be str or dict"),
    (node("text"), text(None), (), "text must be str or dict"),
    (node("text"), text({}), (), "text must not be empty"),
    (node("text"), text({"de": "x"}), (), 'language not allowed: "de"'),
    (node("text", languages=["en", "de"]), text({"en": "x", "fr": "y"}), (), 'language not allowed: "fr"'),
    (node("text"), text({"en": 1}), (), "text must only contain text"),
    (node("text", minLength=2), text("x"), (), "The text must be at least 2 characters long."),
    (node("text", maxLength=2), text("xyz"), (), "The text must be at most 2 characters long."),
    (node("text", minLength=1), text(""), (), "The text must be at least 1 characters long."),
    (node("text", maxLength=1), text({"en": "xy"}), (), "The text must be at most 1 characters long."),
    (node("text", choices=["a"]), text("A"), (), "The text must be one of the choices."),
    (node("text", choices=["a"]), text("a "), (), "The text must be one of the choices."),
    (node("text", choices=["a"]), text({"en": "a"}), (), "The text must be one of the choices."),
    (node("text", pattern="^[a-z]+$"), text("ab1"), (), 'The text must match the pattern: "^[a-z]+$".'),
    (node("text", pattern="b"), text("ab"), (), 'The text must match the pattern: "b".'),
    (node("text"), text("x") | {"is_markdown": True}, (), "unexpected keys in schema: {'is_markdown'}"),
    (node("text", markdown=True), text("x") | {"is_markdown": 1}, (), "is_markdown must be bool"),
    # -- bool ----------------------------------------------------------------------------------------------------
    (node("bool"), boolean(1), (), "value must be bool"),
    (node("bool"), boolean("true"), (), "value must be bool"),
    (node("bool"), boolean(None), (), "value must be bool"),
    (node("bool"), True, (), "instance must be dict"),
    # -- datetime ------------------------------------------------------------------------------------------------
    (node("datetime"), {"_type": "datetime", "utc_datetime": "2026-01-01T00:00:00"}, (), MOMENT),
    (node("datetime"), {"_type": "datetime", "utc_datetime": "2026-01-01"}, (), MOMENT),
    (node("datetime"), {"_type": "datetime", "utc_datetime": "2026-02-30 00:00:00"}, (), MOMENT),
    (node("datetime"), {"_type": "datetime", "utc_datetime": "2026-01-01 24:00:00"}, (), MOMENT),
    (node("datetime"), {"_type": "datetime", "utc_datetime": "0000-01-01 00:00:00"}, (), MOMENT),
    (node("datetime"), {"_type": "datetime", "utc_datetime": "2026-1-1 0:0:0"}, (), MOMENT),
    (node("datetime"), {"_type": "datetime", "utc_datetime": "２０２６-01-01 00:00:00"}, (), MOMENT),
    (node("datetime"), {"_type": "datetime", "utc_datetime": "2026-01-01 00:00:00\n"}, (), MOMENT),
    (node("datetime"), {"_type": "datetime", "utc_datetime": 1767225600}, (), MOMENT),
    # -- references ----------------------------------------------------------------------------------------------
    (node("sample"), {"_type": "sample", "object_id": 9}, (), "object does not exist"),
    (node("sample"), {"_type": "sample", "object_id": 2}, (), "object has wrong action type"),
    (node("measurement"), {"_type": "measurement", "object_id": 1}, (), "object has wrong action type"),
    (node("sample"), {"_type": "sample", "object_id": True}, (), "object_id must be int"),
    (node("sample"), {"_type": "sample", "object_id": "1"}, (), "object_id must be int"),
    (node("sample"), {"_type": "sample", "object_id": 1.0}, (), "object_id must be int"),
    (node("sample"), {"_type": "sample", "object_id": -1}, (), "object_id must be int"),
    (node("sample"), {"_type": "sample", "object_id": 2**60}, (), "object_id must be int"),
    (node("sample"), {"_type": "object_reference", "object_id": 1}, (), 'expected _type "sample"'),
    (
        node("object_reference", action_id=1),
        {"_type": "object_reference", "object_id": 3},
        (),
        "object has wrong action",
    ),
    (
        node("object_reference", action_type_id=[-99, -98]),
        {"_type": "object_reference", "object_id": 3},
        (),
        "object has wrong action type",
    ),
    (
        node("object_reference", action_id=3, action_type_id=-98, filter_operator="and"),
        {"_type": "object_reference", "object_id": 3},
        (),
        "object has wrong action type",
    ),
    (
        node("object_reference", action_id=1, filter_operator="or"),
        {"_type": "object_reference", "object_id": 3},
        (),
        "object has wrong action",
    ),
    (node("user"), {"_type": "user", "user_id": 3}, (), "user does not exist"),
    (node("user"), {"_type": "user", "user_id": "self"}, (), "user_id must be int"),
    (node("user"), {"_type": "user", "user_id": False}, (), "user_id must be int"),
    (node("file"), {"_type": "file", "file_id": 7}, (), "file does not exist"),
    (node("file"), {"_type": "file", "file_id": None}, (), "file_id must be int"),
    (
        node("file", extensions=[".csv", ".txt"]),
        {"_type": "file", "file_id": 1},
        (),
        "file must have one of the extensions .csv, .txt",
    ),
    (
        node("plotly_chart"),
        {"_type": "plotly_chart", "plotly": []},
        (),
        "plotly must be a figure: a dict with data, layout and frames",
    ),
    (
        node("plotly_chart"),
        {"_type": "plotly_chart", "plotly": {"data": {}}},
        (),
        "plotly must be a figure: a dict with data, layout and frames",
    ),
    # -- containers ----------------------------------------------------------------------------------------------
    (node("array", items=node("bool"), minItems=2), [boolean(True)], (), "expected at least 2 items"),
    (node("array", items=node("bool"), maxItems=0), [boolean(True)], (), "expected at most 0 items"),
    (node("array", items=node("bool")), {}, (), "instance must be list"),
    (node("array", items=node("bool")), [boolean(True), boolean(1)], (1,), "value must be bool"),
    (node("array", items=node("array", items=node("bool"))), [[], [boolean(0)]], (1, 0), "value must be bool"),
    (node("object", properties={"a": node("bool")}), [], (), "instance must be dict"),
    (node("object", properties={"a": node("bool")}), None, (), "instance must be dict"),
    (node("object", properties={"a": node("bool")}), {"b": boolean(True)}, ("b",), 'unknown property "b"'),
    (node("object", properties={"a": node("bool")}), {"_type": "object"}, ("_type",), 'unknown property "_type"'),
    (node("object", properties={"a": node("bool")}), {"a": None}, ("a",), "instance must be dict"),
    (
        node("object", properties={"a": node("bool")}, required=["a"]),
        {},
        ("a",),
        'missing required property "a"',
    ),
]

TOP_LEVEL = [
    ("tags", {"tags": ["a", "a-b_2", "größe"]}, None),
    ("tags", {"tags": []}, None),
    ("tags", {"tags": ["A"]}, (("tags", 0), TAG)),
    ("tags", {"tags": ["a b"]}, (("tags", 0), TAG)),
    ("tags", {"tags": ["ok", ""]}, (("tags", 1), TAG)),
    ("tags", {"tags": ["a\n"]}, (("tags", 0), TAG)),
    ("tags", {"tags": ["123"]}, (("tags", 0), "tags must not consist of digits only")),
    ("tags", {"tags": [1]}, (("tags", 0), "each tag must be str")),
    ("tags", {"tags": ["a", "a"]}, (("tags",), "duplicate tag")),
    ("tags", {"tags": "a"}, (("tags",), "tags must be list")),
    ("tags", {"tags": None}, (("tags",), "tags must be list")),
    ("hazards", {"hazards": [1, 9]}, None),
    ("hazards", {"hazards": []}, None),
    ("hazards", {"hazards": [0]}, (("hazards",), "each hazard must be an int from 1 to 9")),
    ("hazards", {"hazards": [10]}, (("hazards",), "each hazard must be an int from 1 to 9")),
    ("hazards", {"hazards": [True]}, (("hazards",), "each hazard must be an int from 1 to 9")),
    ("hazards", {"hazards": [1.0]}, (("hazards",), "each hazard must be an int from 1 to 9")),
    ("hazards", {"hazards": [2, 2]}, (("hazards",), "duplicate hazard")),
    ("hazards", {"hazards": {}}, (("hazards",), "hazards must be list")),
]


@pytest.mark.parametrize(("schema", "value"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_what_follows_the_rules_is_accepted_as_it_is(schema: dict[str, Any], value: Any) -> None:
    whole = schema_of(it=schema)
    assert schema_errors(whole) == []
    assert check(whole, data_of(it=value)).data == data_of(it=value)


@pytest.mark.parametrize(("schema", "value", "path", "message"), REFUSED)
def test_what_breaks_a_rule_is_refused_with_its_place(
    schema: dict[str, Any], value: Any, path: tuple[str | int, ...], message: str
) -> None:
    whole = schema_of(it=schema)
    assert schema_errors(whole) == []
    assert (message, ("it", *path)) in [(each.text, each.path) for each in problems_of(whole, data_of(it=value))]


@pytest.mark.parametrize(("type_", "value", "problem"), TOP_LEVEL)
def test_tags_and_hazards(type_: str, value: dict[str, Any], problem: tuple[Any, str] | None) -> None:
    whole = schema_of(required=["name", "hazards"] if type_ == "hazards" else None, **{type_: node(type_)})
    assert schema_errors(whole) == []
    found = problems_of(whole, data_of(**{type_: {"_type": type_, **value}}))
    assert [(each.path, each.text) for each in found] == ([problem] if problem else [])


def test_tags_of_digits_are_accepted_where_nobody_is_strict() -> None:
    data = data_of(tags={"_type": "tags", "tags": ["123"]})
    assert check(schema_of(tags=node("tags")), data, strict=False).data == data


@pytest.mark.parametrize("data", [None, [], "x", 1, True])
def test_the_whole_must_be_an_object(data: Any) -> None:
    assert [str(each) for each in problems_of(schema_of(), data)] == ["instance must be dict"]


def test_the_name_is_required_whatever_the_schema_says() -> None:
    for required in (None, [], ["name"]):
        found = problems_of(schema_of(required=required), {})
        assert [str(each) for each in found] == ['missing required property "name" (at name)']


def test_a_name_inside_is_a_property_like_any_other() -> None:
    inner = node("object", properties={"name": node("text")})
    assert check(schema_of(it=inner), data_of(it={})).data == data_of(it={})


def test_all_problems_are_told_at_once_each_with_its_place() -> None:
    layer = node("object", properties={"thickness": node("quantity", units="nm")}, required=["thickness"])
    schema = schema_of(layers=node("array", items=layer, minItems=3), done=node("bool"))
    found = problems_of(schema, {"layers": [{}, {"thickness": quantity("1")}], "done": boolean("no"), "foo": 1})
    assert [str(each) for each in found] == [
        'missing required property "name" (at name)',
        "expected at least 3 items (at layers)",
        'missing required property "thickness" (at layers -> 0 -> thickness)',
        "magnitude must be float or int (at layers -> 1 -> thickness)",
        "value must be bool (at done)",
        'unknown property "foo" (at foo)',
    ]


def test_nothing_that_is_given_is_changed_or_shared() -> None:
    schema = schema_of(
        mass=node("quantity", units="mg"),
        tags=node("tags"),
        chart=node("plotly_chart"),
        curve=node("timeseries", units="V"),
        title=node("text", languages="all"),
    )
    data = data_of(
        mass=quantity(5),
        tags={"_type": "tags", "tags": ["a"]},
        chart={"_type": "plotly_chart", "plotly": {"data": [{"x": [1]}]}},
        curve={"_type": "timeseries", "data": [[0, 1]]},
        title=text({"en": "x"}),
    )
    before = copy.deepcopy((schema, data))
    completed = check(schema, data).data
    assert (schema, data) == before
    completed["tags"]["tags"].append("b")
    completed["chart"]["plotly"]["data"][0]["x"].append(2)
    completed["curve"]["data"][0].append(3)
    completed["title"]["text"]["de"] = "y"
    completed["name"]["text"] = completed["mass"]["units"] = "other"
    assert (schema, data) == before


def test_an_object_that_is_named_often_is_looked_up_once() -> None:
    lab = Lab()
    schema = schema_of(parts=node("array", items=node("sample")))
    data = data_of(parts=[{"_type": "sample", "object_id": 1}] * 50 + [{"_type": "sample", "object_id": 4}])
    assert validate(schema, data, lookup=lab).references == [1, 4]
    assert lab.asked == [1, 4]


def test_what_is_found_by_searches_is_told_with_its_place() -> None:
    schema = schema_of(
        required=["hazards"],
        hazards=node("hazards"),
        tags=node("tags"),
        layers=node("array", items=node("object", properties={"mass": node("quantity", units="mg")})),
        at=node("datetime"),
        done=node("bool"),
        who=node("user"),
        origin=node("sample"),
        title=node("text", languages="all"),
    )
    data = data_of(
        hazards={"_type": "hazards", "hazards": [3]},
        tags={"_type": "tags", "tags": ["x"]},
        layers=[{"mass": quantity(5)}],
        at={"_type": "datetime", "utc_datetime": "2026-01-02 03:04:05"},
        done=boolean(False),
        who={"_type": "user", "user_id": 2},
        origin={"_type": "sample", "object_id": 4},
        title=text({"en": "x", "de": "y"}),
    )
    found = check(schema, data)
    assert found.references == [4]
    assert found.properties == [
        Property(("name",), "text", text="A name"),
        Property(("hazards",), "other"),
        Property(("hazards",), "hazard", number=3),
        Property(("tags",), "other"),
        Property(("tags",), "tag", text="x"),
        Property(("layers",), "other"),
        Property(("layers", 0), "other"),
        Property(("layers", 0, "mass"), "quantity", text="mg", number=5e-6, dimensionality="[mass]"),
        Property(("at",), "datetime", text="2026-01-02 03:04:05", moment=datetime(2026, 1, 2, 3, 4, 5)),
        Property(("done",), "bool", flag=False),
        Property(("who",), "user", referenced_id=2),
        Property(("origin",), "reference", referenced_id=4),
        Property(("title",), "text", text="x"),
        Property(("title",), "text", text="y"),
    ]
    mass = found.properties[7]
    assert (mass.path_text, mass.pattern, mass.positions) == ("layers.0.mass", "layers.?.mass", "0")
