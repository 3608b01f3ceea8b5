"""Schemas with data that follow them, and changes after which they do not, with the place of what is wrong then."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st
from objects.lab import MEASUREMENT, SAMPLE, node

Pair = tuple[dict[str, Any], Any]
Path = tuple[str | int, ...]

names = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,5}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


def value(type_: str, **keys: Any) -> dict[str, Any]:
    return {"_type": type_, **keys}


def of(schema: dict[str, Any], data: st.SearchStrategy[Any]) -> st.SearchStrategy[Pair]:
    return st.tuples(st.just(schema), data)


@st.composite
def text_pairs(draw: st.DrawFn) -> Pair:
    text = draw(texts)
    keys: dict[str, Any] = draw(
        st.sampled_from(
            [
                {},
                {"minLength": len(text)},
                {"maxLength": len(text)},
                {"choices": [text]},
                {"choices": ["other than all", text]} if text != "other than all" else {},
                {"multiline": True},
                {"languages": ["en", "de"]},
                {"pattern": r"[\s\S]*"},
            ]
        )
    )
    shown: Any = text
    if "choices" not in keys:
        languages = st.sampled_from(keys.get("languages", ["en"]))
        shown = draw(st.just(text) | st.dictionaries(languages, st.just(text), min_size=1))
    return node("text", **keys), value("text", text=shown)


quantity_pairs = st.builds(
    lambda number, units, key: (node("quantity", units=units), value("quantity", **{key: number})),
    st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6),
    st.sampled_from(["mg", "degC", "m/s**2", "", "inch", ["nm", "km"]]),
    st.sampled_from(["magnitude", "magnitude_in_base_units"]),
)
leaf_pairs = st.one_of(
    text_pairs(),
    quantity_pairs,
    of(node("bool"), st.booleans().map(lambda flag: value("bool", value=flag))),
    of(
        node("datetime"),
        st.datetimes().map(lambda moment: value("datetime", utc_datetime=moment.replace(microsecond=0).isoformat(" "))),
    ),
    of(node("sample"), st.sampled_from([1, 4]).map(lambda id_: value("sample", object_id=id_))),
    of(node("measurement"), st.just(value("measurement", object_id=2))),
    of(
        node("object_reference", action_type_id=[SAMPLE, MEASUREMENT]),
        st.sampled_from([1, 2, 4]).map(lambda id_: value("object_reference", object_id=id_)),
    ),
    of(node("user"), st.sampled_from([1, 2]).map(lambda id_: value("user", user_id=id_))),
    of(node("file"), st.just(value("file", file_id=1))),
    of(node("plotly_chart"), st.just(value("plotly_chart", plotly={"data": []}))),
    of(
        node("timeseries", units="V"),
        st.dictionaries(st.integers(0, 9), st.integers(0, 9)).map(
            lambda points: value("timeseries", data=[list(point) for point in points.items()])
        ),
    ),
)


@st.composite
def array_pairs(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    schema, item = draw(inner)
    count = draw(st.integers(0, 3))
    keys = draw(st.sampled_from([{}, {"minItems": count}, {"maxItems": count}, {"minItems": count, "maxItems": count}]))
    return node("array", items=schema, **keys), [copy.deepcopy(item) for _ in range(count)]


@st.composite
def object_pairs(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    properties = draw(st.dictionaries(names, inner, max_size=4))
    present = {name for name in properties if draw(st.booleans())}
    schema = node("object", properties={name: pair[0] for name, pair in properties.items()})
    if draw(st.booleans()):
        schema["required"] = sorted(present)
    return schema, {name: pair[1] for name, pair in properties.items() if name in present}


pairs = st.recursive(leaf_pairs, lambda inner: array_pairs(inner) | object_pairs(inner), max_leaves=8)


@st.composite
def wholes(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A schema of an object with a name, and data that follow it."""
    schema, data = draw(object_pairs(pairs))
    named = {"name": node("text"), "tags": node("tags"), "hazards": node("hazards")}
    values = {
        "name": value("text", text=draw(texts)),
        "tags": value("tags", tags=draw(st.lists(st.sampled_from(["a", "b-1", "ö"]), unique=True))),
        "hazards": value("hazards", hazards=draw(st.lists(st.integers(1, 9), unique=True))),
    }
    schema = {
        **schema,
        "properties": {**schema["properties"], **named},
        "required": sorted({"hazards", *schema.get("required", [])} - {"name", "tags"}),
    }
    return schema, {**data, **values}


def changes(schema: dict[str, Any], data: Any, path: Path = ()) -> list[tuple[Path, Path, Any]]:
    """Ways to spoil data: where to set something, where the problem is then, and what to set (``GONE`` removes)."""
    found: list[tuple[Path, Path, Any]] = []
    if schema["type"] == "object":
        found += [((*path, "not_there"), (*path, "not_there"), value("bool", value=True)), (path, path, [])]
        for name in {*schema.get("required", []), *([] if path else ["name"])}:
            found.append(((*path, name), (*path, name), GONE))
        for name, inner in data.items():
            found += changes(schema["properties"][name], inner, (*path, name))
    elif schema["type"] == "array":
        found += [(path, path, {}), ((*path, 0), (*path, 0), None)] if data else [(path, path, {})]
        if "maxItems" in schema:
            found.append((path, path, [*data, *data, {}]))
        for index, inner in enumerate(data):
            found += changes(schema["items"], inner, (*path, index))
    else:
        found += [(path, path, each) for each in (None, "x", [], {}, {**data, "_type": "other"}, {**data, "more": 1})]
        for key in data:
            if key != "_type":
                found.append(((*path, key), path, None))
    return found


class Gone:
    """Instead of a value: it is removed."""


GONE = Gone()


def changed(data: Any, place: Path, new: Any) -> Any:
    """A copy of data with something else at a place."""
    if not place:
        return new
    whole = copy.deepcopy(data)
    inner = whole
    for each in place[:-1]:
        inner = inner[each]
    if new is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = new
    return whole
