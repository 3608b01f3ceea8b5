"""Values against their schemas: containers, and the types that need nothing of the workspace.

Each check returns the completed value, made anew, or None after it has remembered what is wrong.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from .conditions import are_fulfilled
from .dialect_context import Context, Property
from .dialect_keys import DATE_FORMAT, parse_datetime, tag_error
from .dialect_measures import check_quantity, check_timeseries
from .dialect_problems import Path, shown
from .dialect_references import check_file, check_reference, check_user
from .dialect_schemas import required_names

Completed = dict[str, Any] | list[Any] | None
Check = Callable[[Context, dict[str, Any], Any, Path], Completed]


def check_value(context: Context, schema: dict[str, Any], value: Any, path: Path) -> Completed:
    """Check a value of any type."""
    return _CHECKS[schema["type"]](context, schema, value, path)


def _object(context: Context, schema: dict[str, Any], value: Any, path: Path) -> Completed:
    if not isinstance(value, dict):
        context.add("instance must be dict", path)
        return None
    properties = schema["properties"]
    fulfilled = {
        name: are_fulfilled(conditions, value)
        for name, inner in properties.items()
        if (conditions := inner.get("conditions"))
    }
    for name in required_names(schema, path):
        if name not in value and fulfilled.get(name, True):
            context.add(f"missing required property {shown(name)}", (*path, name))
    if path:
        context.properties.append(Property(path, "other"))
    completed: dict[str, Any] = {}
    for name, inner in value.items():
        place = (*path, name)
        if name not in properties:
            context.add(f"unknown property {shown(name)}", place)
        elif not fulfilled.get(name, True):
            context.add(f"conditions for property {shown(name)} not fulfilled", place)
        else:
            completed[name] = check_value(context, properties[name], inner, place)
    return completed


def _array(context: Context, schema: dict[str, Any], value: Any, path: Path) -> Completed:
    if not isinstance(value, list):
        context.add("instance must be list", path)
        return None
    if len(value) < schema.get("minItems", 0):
        context.add(f"expected at least {schema['minItems']} items", path)
    if len(value) > schema.get("maxItems", len(value)):
        context.add(f"expected at most {schema['maxItems']} items", path)
    context.properties.append(Property(path, "other"))
    return [check_value(context, schema["items"], each, (*path, index)) for index, each in enumerate(value)]


def _text(context: Context, schema: dict[str, Any], value: Any, path: Path) -> Completed:
    optional = ["is_markdown"] if schema.get("markdown") else []
    if not context.frame(value, "text", ["text"], optional, path):
        return None
    text = value["text"]
    if not isinstance(value.get("is_markdown", False), bool):
        context.add("is_markdown must be bool", path)
    if isinstance(text, dict):
        if not _is_in_languages(context, schema, text, path):
            return None
        texts = text
    elif isinstance(text, str):
        texts = {"en": text}
    else:
        context.add("text must be str or dict", path)
        return None
    if "choices" in schema and text not in schema["choices"]:
        context.add("The text must be one of the choices.", path)
    for each in texts.values():
        _check_text(context, schema, each, path)
        context.properties.append(Property(path, "text", text=each))
    return {**value, "text": dict(text) if isinstance(text, dict) else text}


def _is_in_languages(context: Context, schema: dict[str, Any], texts: dict[str, Any], path: Path) -> bool:
    languages = schema.get("languages", ["en"])
    if not texts:
        context.add("text must not be empty", path)
    elif languages != "all" and "choices" not in schema and (unknown := texts.keys() - set(languages)):
        context.add(f"language not allowed: {shown(min(unknown))}", path)
    elif not all(isinstance(each, str) for each in texts.values()):
        context.add("text must only contain text", path)
    else:
        return True
    return False


def _check_text(context: Context, schema: dict[str, Any], text: str, path: Path) -> None:
    if len(text) < schema.get("minLength", 0):
        context.add(f"The text must be at least {schema['minLength']} characters long.", path)
    if len(text) > schema.get("maxLength", len(text)):
        context.add(f"The text must be at most {schema['maxLength']} characters long.", path)
    if pattern := schema.get("pattern"):
        matches = context.matches(pattern, text)
        if matches is None:
            context.add("It takes too long to compare the text with the pattern.", path)
        elif not matches:
            context.add(f"The text must match the pattern: {shown(pattern)}.", path)


def _bool(context: Context, schema: dict[str, Any], value: Any, path: Path) -> Completed:
    if not context.frame(value, "bool", ["value"], [], path):
        return None
    if not isinstance(value["value"], bool):
        context.add("value must be bool", path)
        return None
    context.properties.append(Property(path, "bool", flag=value["value"]))
    return dict(value)


def _datetime(context: Context, schema: dict[str, Any], value: Any, path: Path) -> Completed:
    if not context.frame(value, "datetime", ["utc_datetime"], [], path):
        return None
    moment = parse_datetime(value["utc_datetime"])
    if moment is None:
        context.add(DATE_FORMAT, path)
        return None
    context.properties.append(Property(path, "datetime", text=value["utc_datetime"], moment=moment))
    return dict(value)


def _tags(context: Context, schema: dict[str, Any], value: Any, path: Path) -> Completed:
    if not context.frame(value, "tags", ["tags"], [], path):
        return None
    tags = value["tags"]
    if not isinstance(tags, list):
        context.add("tags must be list", path)
        return None
    for index, each in enumerate(tags):
        if error := tag_error(each, context.strict):
            context.add(error, (*path, index))
    context.properties.append(Property(path, "other"))
    names = [each for each in tags if isinstance(each, str)]
    for each in dict.fromkeys(names):
        context.properties.append(Property(path, "tag", text=each))
    if len(set(names)) != len(names):
        context.add("duplicate tag", path)
    return {**value, "tags": list(tags)}


def _hazards(context: Context, schema: dict[str, Any], value: Any, path: Path) -> Completed:
    if not context.frame(value, "hazards", ["hazards"], [], path):
        return None
    hazards = value["hazards"]
    if not isinstance(hazards, list):
        context.add("hazards must be list", path)
        return None
    numbers = [each for each in hazards if type(each) is int and 1 <= each <= 9]
    if len(numbers) != len(hazards):
        context.add("each hazard must be an int from 1 to 9", path)
    if len(set(numbers)) != len(numbers):
        context.add("duplicate hazard", path)
    context.properties.append(Property(path, "other"))
    for each in dict.fromkeys(numbers):
        context.properties.append(Property(path, "hazard", number=each))
    return {**value, "hazards": list(hazards)}


def _plotly_chart(context: Context, schema: dict[str, Any], value: Any, path: Path) -> Completed:
    if not context.frame(value, "plotly_chart", ["plotly"], [], path):
        return None
    chart = value["plotly"]
    keys: dict[str, type] = {"data": list, "layout": dict, "frames": list}
    if not isinstance(chart, dict) or not all(isinstance(chart.get(key, kind()), kind) for key, kind in keys.items()):
        context.add("plotly must be a figure: a dict with data, layout and frames", path)
        return None
    context.properties.append(Property(path, "other"))
    return {**value, "plotly": copy.deepcopy(chart)}


_CHECKS: dict[str, Check] = {
    "object": _object,
    "array": _array,
    "text": _text,
    "bool": _bool,
    "quantity": check_quantity,
    "datetime": _datetime,
    "tags": _tags,
    "hazards": _hazards,
    "sample": check_reference,
    "measurement": check_reference,
    "object_reference": check_reference,
    "user": check_user,
    "file": check_file,
    "timeseries": check_timeseries,
    "plotly_chart": _plotly_chart,
}
