"""Conditions of properties: rules over their siblings. Where they do not hold, the property must be absent.

Source: the iffSamples schema format, "Conditional properties". A ``null`` instead of an id or a choice means that the
sibling is absent.
"""

from __future__ import annotations

from typing import Any

from .dialect_keys import a_bool, is_id, text_in_languages
from .dialect_problems import Path, Problems, shown

DEEPEST_CONDITION = 16

# By kind: the types of the sibling that it looks at, and the key of what the sibling is compared with.
_EQUALS: dict[str, tuple[set[str], str]] = {
    "choice_equals": ({"text"}, "choice"),
    "user_equals": ({"user"}, "user_id"),
    "bool_equals": ({"bool"}, "value"),
    "object_equals": ({"sample", "measurement", "object_reference"}, "object_id"),
}
_VALUE_KEYS = {"choice_equals": "text", "user_equals": "user_id", "bool_equals": "value", "object_equals": "object_id"}


def check_conditions(conditions: Any, siblings: dict[str, Any], problems: Problems, path: Path) -> None:
    """Remember what is wrong with the conditions of a property whose siblings have these schemas."""
    if not isinstance(conditions, list):
        problems.add("conditions must be list", path)
        return
    for each in conditions:
        _check(each, siblings, problems, path, DEEPEST_CONDITION)


def are_fulfilled(conditions: list[dict[str, Any]], data: dict[str, Any]) -> bool:
    """Whether all of a property's conditions hold for the values beside it. The conditions are checked ones."""
    return all(_holds(each, data) for each in conditions)


def _check(condition: Any, siblings: dict[str, Any], problems: Problems, path: Path, left: int) -> None:
    kind = condition.get("type") if isinstance(condition, dict) else None
    if left == 0:
        problems.add(f"conditions must be nested at most {DEEPEST_CONDITION} deep", path)
    elif kind in ("any", "all"):
        if problems.check_keys(condition, {"type", "conditions"}, set(), path):
            if not isinstance(condition["conditions"], list):
                problems.add("conditions must be list", path)
                return
            for each in condition["conditions"]:
                _check(each, siblings, problems, path, left - 1)
    elif kind == "not":
        if problems.check_keys(condition, {"type", "condition"}, set(), path):
            _check(condition["condition"], siblings, problems, path, left - 1)
    elif isinstance(kind, str) and kind in _EQUALS:
        if problems.check_keys(condition, {"type", "property_name", _EQUALS[kind][1]}, set(), path):
            _check_equals(condition, kind, siblings, problems, path)
    else:
        problems.add(f"invalid condition: {shown(condition)}", path)


def _check_equals(
    condition: dict[str, Any], kind: str, siblings: dict[str, Any], problems: Problems, path: Path
) -> None:
    types, key = _EQUALS[kind]
    name, value = condition["property_name"], condition[key]
    sibling = siblings.get(name) if isinstance(name, str) else None
    if not isinstance(sibling, dict):
        problems.add(f"unknown property in condition: {shown(name)}", path)
    elif sibling.get("type") not in types:
        problems.add(f"condition {kind} does not fit the type of property {shown(name)}", path)
    elif kind == "choice_equals":
        choices = sibling.get("choices")
        if value is not None and (text_in_languages(value) or not isinstance(choices, list) or value not in choices):
            problems.add(f"condition needs one of the choices of property {shown(name)}", path)
    elif kind == "bool_equals":
        if error := a_bool(value):
            problems.add(f"value of condition {error}", path)
    elif value is not None and not is_id(value):
        problems.add(f"{key} of condition must be int or null", path)


def _holds(condition: dict[str, Any], data: dict[str, Any]) -> bool:
    kind = condition["type"]
    if kind == "any":
        return any(_holds(each, data) for each in condition["conditions"])
    if kind == "all":
        return all(_holds(each, data) for each in condition["conditions"])
    if kind == "not":
        return not _holds(condition["condition"], data)
    expected = condition[_EQUALS[kind][1]]
    value = data.get(condition["property_name"])
    if not isinstance(value, dict):
        return expected is None
    given = value.get(_VALUE_KEYS[kind])
    # true == 1 in Python, not in JSON.
    return type(given) is type(expected) and bool(given == expected)
