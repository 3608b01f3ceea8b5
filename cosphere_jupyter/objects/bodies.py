"""What may be sent to make a version: the checks in their order, each with its text.

Source: the iffSamples API, "Creating a new object" and "Updating an object", and what servers of it answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection

from ..errors import NotFound
from ..json_values import is_storable
from .actions import read_action
from .dialect import Property, Validated, ValidationFailed, validate
from .diffs import DiffInvalid, apply
from .lookup import WorkspaceLookup
from .records import NotCurrent, Refused, is_number, is_same

_FOREIGN_KEYS = ("fed_object_id", "fed_version_id", "component_id")
KEYS = ("object_id", "version_id", "action_id", "schema", "data", *_FOREIGN_KEYS)


@dataclass(frozen=True)
class Current:
    """The version that is there already; ``data`` are JSON."""

    object_id: int
    version_id: int
    action_id: int
    schema: dict[str, Any]
    data: str


@dataclass(frozen=True)
class Checked:
    """A version that may be stored: ``schema`` and ``data`` as JSON, ``properties`` for searching.

    ``action_schema`` is what the action's schema was when it was checked.
    """

    action_id: int
    schema: str
    data: str
    properties: list[Property]
    action_schema: dict[str, Any]


def check_new(connection: Connection, body: Any) -> Checked:
    """Return what a body makes a new object of, or raise ``Refused`` with the first rule that it breaks."""
    given = _checked_keys(body)
    if "object_id" in given:
        raise Refused("object_id cannot be set")
    if "version_id" in given and not is_number(given["version_id"], 0):
        raise Refused("version_id must be 0")
    if "action_id" not in given:
        raise Refused("action_id must be set")
    action_id = given["action_id"]
    if type(action_id) is not int:
        raise Refused("action_id must be an integer")
    try:
        action = read_action(connection, action_id)
    except NotFound as error:
        raise Refused(f"{error.kind} does not exist") from None
    if "schema" in given and not is_same(given["schema"], action.schema):
        raise Refused(f"schema must be:\n{_indented(action.schema)}")
    if given.get("data") is None:
        raise Refused("data must be set")
    valid = _validated(connection, given["data"], action.schema, None)
    return _checked(action.id, action.schema, valid, action.schema)


def check_next(connection: Connection, current: Current, body: Any, expected: int | None) -> Checked:
    """Return what a body makes the next version of, or raise ``Refused`` with the first rule that it breaks.

    ``expected`` is the version that the caller knows as the current one, if it says so: ``NotCurrent`` if it is not.
    """
    if expected is not None and expected != current.version_id:
        raise NotCurrent(current.version_id)
    given = _checked_keys(body, (*KEYS, "data_diff"))
    following = {"object_id": current.object_id, "version_id": current.version_id + 1, "action_id": current.action_id}
    for key, value in following.items():
        if key in given and not is_number(given[key], value):
            raise Refused(f"{key} must be {value}")
    action = read_action(connection, current.action_id)
    schema = current.schema
    if "schema" in given and not is_same(given["schema"], schema):
        if not is_same(given["schema"], action.schema):
            raise Refused(f"schema must be either:\n{_indented(schema)}\nor:\n{_indented(action.schema)}")
        schema = action.schema
    return _checked(action.id, schema, _next_data(connection, given, current, schema), action.schema)


def _next_data(connection: Connection, given: dict[str, Any], current: Current, schema: dict[str, Any]) -> Validated:
    data, diff = given.get("data"), given.get("data_diff")
    if data is None and diff is None:
        raise Refused("data must be set")
    made = None
    if diff is not None:
        try:
            changed = apply(orjson.loads(current.data), diff)
        except DiffInvalid as invalid:
            raise Refused(str(invalid)) from None
        made = _validated(connection, changed, schema, current.object_id)
    if data is None:
        assert made is not None  # noqa: S101
        return made
    valid = _validated(connection, data, schema, current.object_id)
    if made is not None and not is_same(made.data, valid.data):
        raise Refused("data and data_diff are conflicting")
    return valid


def _checked_keys(body: Any, keys: Sequence[str] = KEYS) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Refused("JSON object body required")
    if not is_storable(body):
        raise Refused("numbers must be finite and have 64 bits at most, texts be free of U+0000, and 64 levels suffice")
    for key in body:
        if key not in keys:
            raise Refused(f"invalid key {key!r}")
    for key in _FOREIGN_KEYS:
        if body.get(key) is not None:
            raise Refused(f"{key} must be null")
    return body


def _validated(connection: Connection, data: Any, schema: dict[str, Any], object_id: int | None) -> Validated:
    try:
        return validate(schema, data, lookup=WorkspaceLookup(connection, object_id))
    except ValidationFailed as failed:
        raise Refused(str(failed), failed.error_paths) from None


def _checked(action_id: int, schema: dict[str, Any], valid: Validated, action_schema: dict[str, Any]) -> Checked:
    schema_json, data_json = (orjson.dumps(each).decode() for each in (schema, valid.data))
    return Checked(action_id, schema_json, data_json, valid.properties, action_schema)


def _indented(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=4)
