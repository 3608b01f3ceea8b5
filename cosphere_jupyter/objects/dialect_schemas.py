"""The rules of a schema that look at several of its keys, and at its place in the whole."""

from __future__ import annotations

import re
from typing import Any

from .conditions import check_conditions
from .dialect_keys import (
    BY_TYPE,
    COMMON,
    REQUIRED_KEYS,
    ROOT_ONLY,
    Check,
    a_dict,
    a_list,
    a_number,
    a_text,
    is_id,
    is_number,
    parse_datetime,
    tag_error,
    text_in_languages,
)
from .dialect_problems import Path, Problem, Problems, shown, unstorable

LONGEST_NAME = 100
ITEMS = "[?]"
_STRICT_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?", re.ASCII)
_EXPORT_KEY = re.compile(r"[a-z]+_export")
# Types that stand at one place only: there search and web pages look for them.
_ONE_PLACE = {"tags": "tags", "hazards": "hazards"}


def schema_errors(schema: Any, strict: bool = True) -> list[Problem]:
    """Return what is wrong with a schema: an empty list for one that data can be validated against.

    ``strict`` is for new and edited schemas: names are ASCII letters, digits and underscores, begin with a letter and
    end with no underscore. Paths name properties; the items of an array are ``[?]``.
    """
    if problem := unstorable(schema):
        return [problem]
    checker = _Checker(strict)
    checker.root(schema)
    return checker.problems.found


def required_names(schema: dict[str, Any], path: Path) -> list[str]:
    """Return what an object must have: what its schema says, and for the whole its name."""
    required: list[str] = schema.get("required", [])
    return required if path or "name" in required else ["name", *required]


class _Checker:
    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.problems = Problems()

    def root(self, schema: Any) -> None:
        if not isinstance(schema, dict) or schema.get("type") != "object":
            self.problems.add("invalid schema (root must be an object)")
            return
        self.node(schema, ())
        properties = schema.get("properties")
        if isinstance(properties, dict):
            self._name(properties.get("name"))

    def node(self, schema: Any, path: Path) -> None:
        if not isinstance(schema, dict):
            self.problems.add("schema must be dict", path)
            return
        type_ = schema.get("type")
        if not isinstance(type_, str) or type_ not in BY_TYPE:
            self.problems.add("missing type" if type_ is None else f"invalid type: {shown(type_)}", path)
            return
        self._keys(schema, type_, path)
        if (place := _ONE_PLACE.get(type_)) and path != (place,):
            self.problems.add(f'{type_} must be a top-level property named "{place}"', path)
        if type_ == "object":
            self._object(schema, path)
        elif type_ == "array":
            self._array(schema, path)
        else:
            self._ranges(schema, type_, path)
        if "default" in schema and (error := _default_error(schema, type_, self.strict)):
            self.problems.add(f"default {error}", path)

    def _keys(self, schema: dict[str, Any], type_: str, path: Path) -> None:
        checks: dict[str, Check] = {**COMMON, **BY_TYPE[type_], **({} if path else ROOT_ONLY)}
        exports = {key for key in schema if _EXPORT_KEY.fullmatch(key)}
        self.problems.check_keys(schema, {"type", "title", *REQUIRED_KEYS.get(type_, ())}, {*checks, *exports}, path)
        for key, check in checks.items():
            if key in schema and (error := check(schema[key])):
                self.problems.add(f"{key} {error}", path)

    # -- containers ----------------------------------------------------------------------------------------------

    def _object(self, schema: dict[str, Any], path: Path) -> None:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return
        for name, inner in properties.items():
            if error := self._name_error(name):
                self.problems.add(error, (*path, name[:LONGEST_NAME]))
            self.node(inner, (*path, name[:LONGEST_NAME]))
            if isinstance(inner, dict) and "conditions" in inner:
                check_conditions(inner["conditions"], properties, self.problems, (*path, name[:LONGEST_NAME]))
        for key in ("required", "propertyOrder", "displayProperties", "show_more"):
            if key in schema and (key != "displayProperties" or not path):
                self._known_names(key, schema[key], properties, path)
        hazards = properties.get("hazards")
        if not path and isinstance(hazards, dict) and hazards.get("type") == "hazards":
            required = schema.get("required")
            if not isinstance(required, list) or "hazards" not in required:
                self.problems.add("hazards must be required", ("hazards",))

    def _known_names(self, key: str, names: Any, properties: dict[str, Any], path: Path) -> None:
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            self.problems.add(f"{key} must be a list of names", path)
            return
        for name in dict.fromkeys(names):
            if name not in properties:
                self.problems.add(f"unknown {key} property: {shown(name)}", path)
        if len(set(names)) != len(names):
            self.problems.add(f"duplicate {key} property", path)

    def _name_error(self, name: str) -> str | None:
        if not name:
            return "property names must not be empty"
        if len(name) > LONGEST_NAME:
            return f"property names must be at most {LONGEST_NAME} characters"
        if "__" in name:
            return 'property names must not contain "__"'
        if self.strict and not _STRICT_NAME.fullmatch(name):
            return "property names must be letters, digits and underscores, begin with a letter, end with no underscore"
        return None

    def _name(self, name: Any) -> None:
        """Every object is listed by its name."""
        if not isinstance(name, dict) or name.get("type") != "text":
            self.problems.add('missing text property "name"', ("name",))
        elif name.get("multiline") or name.get("markdown"):
            self.problems.add("name must not be multiline or markdown", ("name",))
        elif name.get("conditions"):
            self.problems.add("name must not have conditions", ("name",))

    def _array(self, schema: dict[str, Any], path: Path) -> None:
        if "items" in schema:
            self.node(schema["items"], (*path, ITEMS))
            if isinstance(schema["items"], dict) and "conditions" in schema["items"]:
                self.problems.add("items of an array must not have conditions", (*path, ITEMS))
        self._in_order(schema, "minItems", "maxItems", path)
        self._in_order(schema, "minItems", "defaultItems", path)
        self._in_order(schema, "defaultItems", "maxItems", path)

    # -- leaves --------------------------------------------------------------------------------------------------

    def _ranges(self, schema: dict[str, Any], type_: str, path: Path) -> None:
        if type_ == "text":
            self._in_order(schema, "minLength", "maxLength", path)
            others = [key for key in ("multiline", "markdown", "pattern") if schema.get(key)]
            if "choices" in schema and others:
                self.problems.add(f"choices must not be combined with {others[0]}", path)
            if schema.get("markdown") and schema.get("multiline"):
                self.problems.add("text must not both be multiline and markdown", path)
        elif type_ == "quantity":
            self._in_order(schema, "min_magnitude", "max_magnitude", path)

    def _in_order(self, schema: dict[str, Any], lower: str, upper: str, path: Path) -> None:
        least, most = schema.get(lower), schema.get(upper)
        if is_number(least) and is_number(most) and least > most:
            self.problems.add(f"{lower} must not be greater than {upper}", path)


def _default_error(schema: dict[str, Any], type_: str, strict: bool) -> str | None:
    value = schema["default"]
    if type_ == "text":
        choices = schema.get("choices")
        if isinstance(choices, list) and value not in choices:
            return "must be one of the choices"
        return text_in_languages(value)
    if type_ == "bool":
        return None if isinstance(value, bool) else "must be bool"
    if type_ in ("quantity", "timeseries"):
        return a_number(value)
    if type_ == "datetime":
        return None if parse_datetime(value) else "must be a date and time in the format: YYYY-MM-DD HH:MM:SS"
    if type_ == "user":
        return None if value == "self" or is_id(value) else 'must be "self" or int'
    if type_ == "tags":
        if error := a_list(value):
            return error
        return next((error for each in value if (error := tag_error(each, strict))), None)
    if type_ == "object":
        return a_dict(value)
    if type_ == "array":
        return a_list(value)
    return "is not possible for this type" if a_text(value) is None or value is not None else None
