"""Rules for a catalogue item's ``spec`` (its columns) and ``sample`` (some of its rows).

Source: CoSphere API 0.2.6, sections "spec JSON schema" and "sample rules" of its behaviour. Messages are the API's own;
those of the schema are the ``jsonschema`` library's, first error in the order in which the schema is declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMN_TYPES = ("INTEGER", "FLOAT", "STRING", "BOOLEAN", "DATETIME")
BLANK = "This field cannot be blank."

_DISTRIBUTION_ENTRY = {
    "type": "object",
    "properties": {
        "value": {"oneOf": [{"type": kind} for kind in ("null", "number", "string", "boolean")]},
        "count": {"type": "number"},
    },
    "required": ["value", "count"],
}

# The order of keys is the order in which errors are looked for.
SPEC_SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "description": {"type": "string"},
            "type": {"enum": list(COLUMN_TYPES)},
            "is_enum": {"type": "boolean"},
            "size": {"oneOf": [{"type": "null"}, {"type": "number"}]},
            "is_nullable": {"type": "boolean"},
            "distribution": {"oneOf": [{"type": "null"}, {"type": "array", "items": _DISTRIBUTION_ENTRY}]},
        },
        "required": ["name", "type", "size", "is_nullable", "distribution", "is_enum"],
    },
}

SAMPLE_SCHEMA: Mapping[str, Any] = {"type": "array", "items": {"type": "object"}}

# DATETIME is any string here, as in the API; bool passes as INTEGER because it is one in Python.
_PYTHON_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "INTEGER": int,
    "FLOAT": float,
    "STRING": str,
    "DATETIME": str,
    "BOOLEAN": bool,
}


def schema_error(schema: Mapping[str, Any], instance: Any) -> str | None:
    """Return the API's message for the first violation of ``schema``, or None."""
    import jsonschema

    # Bool is checked as no number, and 1.0 as no integer, by the draft itself.
    error = next(iter(jsonschema.Draft4Validator(schema).iter_errors(instance)), None)
    if error is None:
        return None
    path = ".".join(str(part) for part in error.absolute_path) or "."
    return f"JSON did not validate. PATH: '{path}' REASON: {error.message}"


def spec_errors(spec: Any) -> list[str]:
    """Return what is wrong with a spec by itself (field rules).

    That is the schema's first error, and then what is wrong with distributions of columns that are not too malformed.
    """
    message = schema_error(SPEC_SCHEMA, spec)
    if message is None:
        return [text for column in spec if column["distribution"] is not None for text in _distribution_errors(column)]
    columns = filter(_has_distribution, spec if isinstance(spec, list) else [])
    return [message, *(text for column in columns for text in _distribution_errors(column))]


def _has_distribution(column: Any) -> bool:
    """Whether any JSON is a column of whose distribution something can be said."""
    if not isinstance(column, dict):
        return False
    name, kind, entries = column.get("name"), column.get("type"), column.get("distribution")
    return (
        isinstance(name, str)
        and isinstance(kind, str)
        and kind in _PYTHON_TYPES
        and isinstance(column.get("is_nullable"), bool)
        and isinstance(entries, list)
        and all(isinstance(entry, dict) and {"value", "count"} <= entry.keys() for entry in entries)
        and not any(isinstance(entry["value"], list | dict) for entry in entries)
    )


def _distribution_errors(column: Mapping[str, Any]) -> list[str]:
    name, entries = column["name"], column["distribution"]
    errors = []
    if not all(fits(column, entry["value"]) for entry in entries):
        errors.append(f"column type and distribution value type mismatch detected for column '{name}'")
    if len({entry["value"] for entry in entries}) != len(entries):
        errors.append(f"not unique distribution values for column '{name}' detected")
    if not all(type(entry["count"]) is int for entry in entries):
        errors.append(f"not integers distribution counts for column '{name}' detected")
    return errors


def fits(column: Mapping[str, Any], value: Any) -> bool:
    """Whether a value may stand in a column: of its type, or null where the column is nullable."""
    if value is None:
        return bool(column["is_nullable"])
    return isinstance(value, _PYTHON_TYPES[column["type"]])


def sample_errors(spec: Sequence[Mapping[str, Any]], sample: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with a sample beside its spec (model rules); an empty sample always fits."""
    if not sample:
        return []
    columns = {column["name"]: column for column in spec}
    shared = set.intersection(*(set(row) for row in sample))
    if shared != set(columns):
        return ["Sample column names and spec names are not identical"]
    for number, row in enumerate(sample):
        for name, column in columns.items():
            if not fits(column, row[name]):
                return [f"column type and sample value type mismatch detected for row number {number} column '{name}'"]
    return []
