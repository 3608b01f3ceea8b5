"""A laboratory for the schema dialect: what values may name, and short ways to write schemas and values."""

from __future__ import annotations

from typing import Any

from cosphere_jupyter.objects.dialect import Problem, ReferencedAction, Validated, ValidationFailed, validate

SAMPLE, MEASUREMENT, SIMULATION = -99, -98, -97


class Lab:
    """Objects 1 to 4 made by actions 1 to 4, users 1 and 2, and the files 0 and 1."""

    ACTIONS = {1: (1, SAMPLE), 2: (2, MEASUREMENT), 3: (3, SIMULATION), 4: (4, SAMPLE)}

    def __init__(self) -> None:
        self.asked: list[int] = []

    def action_of(self, object_id: int) -> ReferencedAction | None:
        self.asked.append(object_id)
        found = self.ACTIONS.get(object_id)
        return ReferencedAction(*found) if found else None

    def has_account(self, account_id: int) -> bool:
        return account_id in (1, 2)

    def file_name(self, file_id: int) -> str | None:
        return {0: "spectrum.CSV", 1: "picture.png"}.get(file_id)


def node(type_: str, **keys: Any) -> dict[str, Any]:
    """A schema of one value."""
    return {"type": type_, "title": "A title", **keys}


def schema_of(*, required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    """A schema of an object with a name and these properties."""
    whole = node("object", properties={"name": node("text"), **properties})
    return whole if required is None else {**whole, "required": required}


def data_of(**values: Any) -> dict[str, Any]:
    """Data with a name and these values."""
    return {"name": text("A name"), **values}


def text(value: Any) -> dict[str, Any]:
    return {"_type": "text", "text": value}


def boolean(value: Any) -> dict[str, Any]:
    return {"_type": "bool", "value": value}


def quantity(magnitude: Any, **keys: Any) -> dict[str, Any]:
    return {"_type": "quantity", "magnitude": magnitude, **keys}


def check(schema: dict[str, Any], data: Any, **keys: Any) -> Validated:
    return validate(schema, data, lookup=Lab(), **keys)


def problems_of(schema: dict[str, Any], data: Any) -> list[Problem]:
    try:
        check(schema, data)
    except ValidationFailed as failed:
        assert failed.problems
        return failed.problems
    return []
