"""What a schema is: each row is one rule of the schema format."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from objects.lab import data_of, node, problems_of, schema_of, text

from cosphere_jupyter.objects.dialect import schema_errors

# The published document's own.
EXAMPLE = {
    "title": "Object Information",
    "type": "object",
    "properties": {"name": {"title": "Object Name", "type": "text"}},
}

GOOD: list[dict[str, Any]] = [
    node("text", note="n", tooltip={"en": "t"}, may_copy=False, style="wide", dataverse_export=[1], scicat_export={}),
    node("text", style={"form": "a", "view": "b"}),
    node("text", minLength=1, maxLength=1, default="x", placeholder={"en": "p", "de": "q"}),
    node("text", choices=["a", {"en": "b", "de": "c"}], default="a"),
    node("text", multiline=True),
    node("text", markdown=True),
    node("text", languages=["en", "de"], pattern=r"^\d{3}$"),
    node("text", languages="all"),
    node("bool", default=True),
    node("quantity", units="mg", min_magnitude=0, max_magnitude=0.5, display_digits=3, default=1e-6),
    node("quantity", units=["mg", "kg"], placeholder="p"),
    node("quantity", units="", calculation={"property_names": ["a"], "formula": "a * 2", "digits": 2}),
    node("datetime", default="2026-01-01 00:00:00"),
    node("sample"),
    node("measurement"),
    node("object_reference", action_id=[1, 2], action_type_id=-99, filter_operator="or"),
    node("object_reference", action_id=None),
    node("user", default="self"),
    node("user", default=1),
    node("file", extensions=[".csv"], preview=True),
    node("timeseries", units=["V", "mV"], display_digits=0),
    node("plotly_chart"),
    node("array", items=node("text"), minItems=0, maxItems=9, defaultItems=1, style="table", default=[]),
    node("object", properties={}, required=[], propertyOrder=[], default={}),
    node("object", properties={"a": node("bool")}, required=["a"], show_more=["a"], template=-3, recipes=[{}]),
]

BAD: list[tuple[dict[str, Any], tuple[str, ...], str]] = [
    # -- every node ----------------------------------------------------------------------------------------------
    ({"type": "text"}, (), "missing keys in schema: {'title'}"),
    ({"title": "x"}, (), "missing type"),
    ({"title": "x", "type": "number"}, (), 'invalid type: "number"'),
    ({"title": "x", "type": ["text"]}, (), "invalid type: ['text']"),
    (node("text", title=1), (), "title must be str or dict"),
    (node("text", title={"de": "x"}), (), 'title must include an english translation ("en")'),
    (node("text", title={"en": 1}), (), "title must only contain text"),
    (node("text", title={"en": "x", "": "y"}), (), "title must be a dict of language codes and texts"),
    (node("text", title="x" * 1001), (), "title must be at most 1000 characters"),
    (node("text", note=1), (), "note must be str or dict"),
    (node("text", may_copy=1), (), "may_copy must be bool"),
    (node("text", style=[]), (), "style must be str or dict"),
    (node("text", style={"a": 1}), (), "style must only contain text"),
    (node("text", foo=1, bar=2), (), "unexpected keys in schema: {'bar', 'foo'}"),
    (node("bool", minLength=1), (), "unexpected keys in schema: {'minLength'}"),
    (node("object", properties={}, displayProperties=[]), (), "unexpected keys in schema: {'displayProperties'}"),
    (node("object", properties={}, batch=True), (), "unexpected keys in schema: {'batch'}"),
    # -- text ----------------------------------------------------------------------------------------------------
    (node("text", minLength=-1), (), "minLength must be a non-negative int"),
    (node("text", maxLength=1.5), (), "maxLength must be a non-negative int"),
    (node("text", minLength=True), (), "minLength must be a non-negative int"),
    (node("text", minLength=2, maxLength=1), (), "minLength must not be greater than maxLength"),
    (node("text", choices=[]), (), "choices must be a list with at least one choice"),
    (node("text", choices=["a", 1]), (), "choices must be str or dict"),
    (node("text", choices=["a", "a"]), (), "choices must not contain duplicates"),
    (node("text", choices=["a"], multiline=True), (), "choices must not be combined with multiline"),
    (node("text", choices=["a"], pattern="a"), (), "choices must not be combined with pattern"),
    (node("text", multiline=True, markdown=True), (), "text must not both be multiline and markdown"),
    (node("text", pattern="("), (), "pattern is no valid regular expression"),
    (node("text", pattern=1), (), "pattern must be str"),
    (node("text", pattern="(?R)"), (), "pattern is no valid regular expression"),
    (node("text", pattern="a" * 501), (), "pattern must be at most 500 characters"),
    (node("text", pattern="(((a{1000}){1000}){1000})"), (), "pattern repeats too much"),
    (node("text", pattern="(a{,60000}){60000}"), (), "pattern repeats too much"),
    (node("text", languages=[]), (), 'languages must be "all" or a list of language codes'),
    (node("text", languages=["de"]), (), 'languages must include "en"'),
    (node("text", languages=["en", "en"]), (), "languages must not contain duplicates"),
    (node("text", languages=["en", "?"]), (), "languages must only contain language codes"),
    (node("text", default=1), (), "default must be str or dict"),
    (node("text", choices=["a"], default="b"), (), "default must be one of the choices"),
    # -- bool, datetime, user --------------------------------------------------------------------------------------
    (node("bool", default="true"), (), "default must be bool"),
    (node("datetime", default="today"), (), "default must be a date and time in the format: YYYY-MM-DD HH:MM:SS"),
    (node("user", default="me"), (), 'default must be "self" or int'),
    (node("sample", default=1), (), "default is not possible for this type"),
    # -- quantity --------------------------------------------------------------------------------------------------
    (node("quantity"), (), "missing keys in schema: {'units'}"),
    (node("quantity", units="qqq"), (), "units are wrong: Invalid/Unknown units"),
    (node("quantity", units=1), (), "units must be str or a list of str"),
    (node("quantity", units=[]), (), "units must be str or a list of str"),
    (node("quantity", units=["mg", "s"]), (), "units must all have the same dimensionality"),
    (node("quantity", units=["mg", "mg"]), (), "units must not contain duplicates"),
    (node("quantity", units="m", min_magnitude="0"), (), "min_magnitude must be float or int"),
    (node("quantity", units="m", max_magnitude=False), (), "max_magnitude must be float or int"),
    (
        node("quantity", units="m", min_magnitude=2, max_magnitude=1.5),
        (),
        "min_magnitude must not be greater than max_magnitude",
    ),
    (node("quantity", units="m", display_digits=28), (), "display_digits must be an int from 0 to 27"),
    (node("quantity", units="m", default="1"), (), "default must be float or int"),
    (node("quantity", units="m", calculation={}), (), "calculation must be a dict with property_names and formula"),
    # -- others ----------------------------------------------------------------------------------------------------
    (node("timeseries"), (), "missing keys in schema: {'units'}"),
    (node("file", extensions=["csv"]), (), "extensions must be a list of texts that start with a dot"),
    (node("object_reference", action_id=[]), (), "action_id must be int, list of int or null"),
    (node("object_reference", action_id=True), (), "action_id must be int, list of int or null"),
    (node("object_reference", filter_operator="xor"), (), 'filter_operator must be "and" or "or"'),
    (node("tags"), (), 'tags must be a top-level property named "tags"'),
    (node("hazards"), (), 'hazards must be a top-level property named "hazards"'),
    # -- containers ------------------------------------------------------------------------------------------------
    (node("array"), (), "missing keys in schema: {'items'}"),
    (node("array", items=[]), (), "items must be dict"),
    (node("array", items={"type": "text"}), ("[?]",), "missing keys in schema: {'title'}"),
    (node("array", items=node("tags")), ("[?]",), 'tags must be a top-level property named "tags"'),
    (node("array", items=node("text", conditions=[])), ("[?]",), "items of an array must not have conditions"),
    (node("array", items=node("text"), minItems=2, maxItems=1), (), "minItems must not be greater than maxItems"),
    (
        node("array", items=node("text"), minItems=2, defaultItems=1),
        (),
        "minItems must not be greater than defaultItems",
    ),
    (node("array", items=node("text"), default={}), (), "default must be list"),
    (node("object"), (), "missing keys in schema: {'properties'}"),
    (node("object", properties=[]), (), "properties must be dict"),
    (node("object", properties={"a": None}), ("a",), "schema must be dict"),
    (node("object", properties={}, required=["b"]), (), 'unknown required property: "b"'),
    (node("object", properties={"a": node("bool")}, required=["a", "a"]), (), "duplicate required property"),
    (node("object", properties={}, required="a"), (), "required must be a list of names"),
    (node("object", properties={}, propertyOrder=["b"]), (), 'unknown propertyOrder property: "b"'),
    (node("object", properties={}, propertyOrder=[1]), (), "propertyOrder must be a list of names"),
    (node("object", properties={}, show_more=["b"]), (), 'unknown show_more property: "b"'),
    (node("object", properties={}, template="x"), (), "template must be int"),
    (node("object", properties={}, default=[]), (), "default must be dict"),
    (node("object", properties={"": node("bool")}), ("",), "property names must not be empty"),
    (node("object", properties={"a__b": node("bool")}), ("a__b",), 'property names must not contain "__"'),
    (
        node("object", properties={"a" * 101: node("bool")}),
        ("a" * 100,),
        "property names must be at most 100 characters",
    ),
]

ROOTS: list[tuple[Any, str]] = [
    (None, "invalid schema (root must be an object)"),
    ([], "invalid schema (root must be an object)"),
    (node("array", items=node("text")), "invalid schema (root must be an object)"),
    (node("object", properties={}), 'missing text property "name" (at name)'),
    (node("object", properties={"name": node("bool")}), 'missing text property "name" (at name)'),
    (schema_of(name=node("text", multiline=True)), "name must not be multiline or markdown (at name)"),
    (schema_of(name=node("text", markdown=True)), "name must not be multiline or markdown (at name)"),
    (schema_of(tags=node("text"), Tags=node("tags")), 'tags must be a top-level property named "tags" (at Tags)'),
    (schema_of(hazards=node("hazards")), "hazards must be required (at hazards)"),
    ({**schema_of(), "displayProperties": ["b"]}, 'unknown displayProperties property: "b"'),
    ({**schema_of(), "displayProperties": ["name", "name"]}, "duplicate displayProperties property"),
    ({**schema_of(), "batch": 1}, "batch must be bool"),
    ({**schema_of(), "notebookTemplates": {}}, "notebookTemplates must be list"),
    ({**schema_of(), "notebookTemplates": [{}]}, "notebookTemplates must be dicts with title, url and params"),
    *(
        (
            {**schema_of(), "notebookTemplates": [{"title": "t", "url": url, "params": {}}]},
            "notebookTemplates url must be relative and end with .ipynb",
        )
        for url in ("/a.ipynb", "http://x/a.ipynb", "../a.ipynb", "a/..\\a.ipynb", "a.txt", 1)
    ),
    (
        {**schema_of(), "notebookTemplates": [{"title": "t", "url": "a.ipynb", "params": {"1x": "object_id"}}]},
        'notebookTemplates params must give "object_id" or a path for each name of a variable',
    ),
]


def at(path: tuple[str, ...]) -> str:
    return f" (at {' -> '.join(('it', *path))})"


@pytest.mark.parametrize("schema", GOOD, ids=lambda schema: " ".join(schema))
def test_what_follows_the_rules_is_a_schema(schema: dict[str, Any]) -> None:
    assert schema_errors(schema_of(it=schema)) == []


@pytest.mark.parametrize(("schema", "path", "message"), BAD)
def test_what_breaks_a_rule_is_told_with_its_place(schema: dict[str, Any], path: tuple[str, ...], message: str) -> None:
    for strict in (True, False):
        assert message + at(path) in [str(each) for each in schema_errors(schema_of(it=schema), strict)]


@pytest.mark.parametrize(("schema", "message"), ROOTS)
def test_rules_of_the_root(schema: Any, message: str) -> None:
    assert message in [str(each) for each in schema_errors(schema)]


def test_the_documents_own_example_is_a_schema_and_its_name_is_required() -> None:
    assert schema_errors(EXAMPLE) == schema_errors(EXAMPLE, strict=False) == []
    assert problems_of(EXAMPLE, {"name": text("Example Object")}) == []
    assert [str(each) for each in problems_of(EXAMPLE, {})] == ['missing required property "name" (at name)']


def test_a_root_with_all_its_keys() -> None:
    schema = schema_of(
        required=["name", "hazards"], hazards=node("hazards"), tags=node("tags", default=["a"]), it=node("bool")
    )
    schema |= {
        "propertyOrder": ["it", "name"],
        "displayProperties": ["it"],
        "batch": True,
        "batch_name_format": "{:d}",
        "notebookTemplates": [{"title": {"en": "t"}, "url": "a/b.ipynb", "params": {"x": "object_id", "y": ["it", 0]}}],
        "workflow_view": {},
        "workflow_views": [{}],
        "workflow_show_more": ["x"],
    }
    before = copy.deepcopy(schema)
    assert schema_errors(schema) == []
    assert schema == before


@pytest.mark.parametrize("name", ["a b", "1a", "a_", "_a", "ä", "a-b", "a.b", "?", "a\n"])
def test_strict_names_are_for_new_schemas_only(name: str) -> None:
    found = [str(each) for each in schema_errors(schema_of(**{name: node("bool")}))]
    rule = "property names must be letters, digits and underscores, begin with a letter, end with no underscore"
    assert found == [f"{rule} (at {name})"]
    assert schema_errors(schema_of(**{name: node("bool")}), strict=False) == []
    assert problems_of(schema_of(**{name: node("bool")}), data_of()) == []


def test_default_tags_of_digits_are_refused_in_new_schemas_only() -> None:
    schema = schema_of(tags=node("tags", default=["12"]))
    assert [str(each) for each in schema_errors(schema)] == ["default tags must not consist of digits only (at tags)"]
    assert schema_errors(schema, strict=False) == []


def test_all_problems_of_a_schema_are_told_at_once() -> None:
    inner = node("object", properties={"x": node("quantity", units="qqq", foo=1), "y": {"type": "text"}})
    schema = schema_of(it=node("array", items=inner, minItems=-1))
    assert [str(each) for each in schema_errors(schema)] == [
        "minItems must be a non-negative int (at it)",
        "unexpected keys in schema: {'foo'} (at it -> [?] -> x)",
        "units are wrong: Invalid/Unknown units (at it -> [?] -> x)",
        "missing keys in schema: {'title'} (at it -> [?] -> y)",
    ]
