"""What actions and objects are, apart from how they are stored, and how a body that breaks a rule is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..errors import ModelInvalid

RESOURCE = "object"
# Types of actions with their ids in the iffSamples API; what has an id above 0 there is of a lab's own making.
TYPE_IDS = {"sample": -99, "measurement": -98, "simulation": -97, "custom": 1}
TYPE_NAMES = {
    "sample": ("Sample Creation", "Sample"),
    "measurement": ("Measurement", "Measurement"),
    "simulation": ("Simulation", "Simulation"),
    "custom": ("Action", "Object"),
}


class Refused(ModelInvalid):
    """A body breaks a rule. ``message`` says which; ``paths`` are the places in the data, where there are any."""

    def __init__(self, message: str, paths: Sequence[Sequence[str | int]] | None = None) -> None:
        super().__init__({"__all__": [message]})
        self.message = message
        self.paths = paths

    def __str__(self) -> str:
        return self.message


class NotCurrent(Refused):
    """The caller asked for a change of a version (``If-Match``) that is not the current one any more."""

    def __init__(self, version_id: int) -> None:
        super().__init__(f"the current version is {version_id}")


@dataclass(frozen=True)
class Action:
    """A way to make objects: its ``schema`` says what their data look like."""

    id: int
    type: str
    name: str
    description: str
    schema: dict[str, Any]
    is_hidden: bool
    user_id: int | None


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object; ``schema`` and ``data`` are JSON as it is stored."""

    object_id: int
    version_id: int
    action_id: int
    schema: str
    data: str
    user_id: int | None
    created_at: datetime


def is_same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: keys in any order, 1 and 1.0 alike, but true is no 1."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(is_same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(is_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def is_number(value: Any, expected: int) -> bool:
    """Whether a JSON value is the number ``expected``: 3.0 is 3, but true is not 1 and "3" is not 3."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == expected
