"""What a search means, in plain Python over the data themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cosphere_jupyter.objects.query import Comparison, Contains, FileNamed, Items, Not, Path, Query, Several, Tagged
from cosphere_jupyter.objects.query_tokens import Day, Flag, Magnitude, Null, Reference, Text

REFERENCES = ("sample", "measurement", "object_reference")


@dataclass(frozen=True)
class World:
    """Completed data by object, which of them the caller may read, and the names of their files."""

    data: dict[int, dict[str, Any]]
    readable: frozenset[int]
    files: dict[int, list[str]]

    def matches(self, query: Query, object_id: int, value: Any) -> bool:
        """Whether ``value``, an object's data or an item of them, is what a query asks for."""
        if isinstance(query, Several):
            parts = [self.matches(each, object_id, value) for each in query.parts]
            return any(parts) if query.operator == "or" else all(parts)
        if isinstance(query, Not):
            return not self.matches(query.part, object_id, value)
        if isinstance(query, Tagged):
            return query.tag in self.data[object_id].get("tags", {}).get("tags", [])
        if isinstance(query, FileNamed):
            return any(query.text in each if query.is_part else query.text == each for each in self.files[object_id])
        if isinstance(query, Items):
            found = self.reach(object_id, value, query.path, whole=True)
            return any(self.matches(query.part, id_, each) for id_, each in found)
        found = self.reach(object_id, value, query.path, whole=False)
        if isinstance(query, Contains):
            return any(query.text in each for _, leaf in found for each in texts_of(leaf))
        if isinstance(query.value, Null):
            return (query.operator == "==") is not bool(list(found))
        return any(fits(query, leaf) for _, leaf in found)

    def reach(self, object_id: int, value: Any, path: Path, whole: bool) -> Iterator[tuple[int, Any]]:
        """What stands at a path; ``whole``: a reference at its end stands for the object that it names."""
        if not path:
            yield object_id, value
            return
        name, rest = path[0], path[1:]
        if isinstance(value, list):
            if name == "?":
                for each in value:
                    yield from self.reach(object_id, each, rest, whole)
            elif name.isdecimal() and int(name) < len(value):
                yield from self.reach(object_id, value[int(name)], rest, whole)
        elif isinstance(value, dict) and "_type" not in value and name.removeprefix("*") in value:
            inner = value[name.removeprefix("*")]
            if name.startswith("*") and (rest or whole):
                if isinstance(inner, dict) and inner.get("_type") in REFERENCES and inner["object_id"] in self.readable:
                    yield from self.reach(inner["object_id"], self.data[inner["object_id"]], rest, whole)
            else:
                yield from self.reach(object_id, inner, rest, whole)


def texts_of(leaf: Any) -> list[str]:
    if not isinstance(leaf, dict) or leaf.get("_type") != "text":
        return []
    return list(leaf["text"].values()) if isinstance(leaf["text"], dict) else [leaf["text"]]


def fits(query: Comparison, leaf: Any) -> bool:
    type_ = leaf.get("_type") if isinstance(leaf, dict) else None
    value = query.value
    if isinstance(value, Text):
        return value.text in texts_of(leaf)
    if isinstance(value, Flag):
        return type_ == "bool" and (leaf["value"] == value.flag) == (query.operator == "==")
    if isinstance(value, Reference):
        return type_ in (*REFERENCES, "user") and value.id in (leaf.get("object_id"), leaf.get("user_id"))
    if isinstance(value, Magnitude):
        if type_ != "quantity" or leaf["dimensionality"] != value.dimensionality:
            return False
        number = leaf["magnitude_in_base_units"]
        return compared(
            query.operator, 0 if math.isclose(number, value.number, rel_tol=1e-11) else number - value.number
        )
    if isinstance(value, Day):
        if type_ != "datetime":
            return False
        day = datetime.fromisoformat(leaf["utc_datetime"]).date()
        return compared(query.operator, (day - value.day).days)
    raise AssertionError(value)


def compared(operator: str, difference: float) -> bool:
    return {
        "==": difference == 0,
        "!=": difference != 0,
        "<": difference < 0,
        "<=": difference <= 0,
        ">": difference > 0,
        ">=": difference >= 0,
    }[operator]


def simply_contains(value: Any, text: str) -> bool:
    """Whether any text below, except the names of types, contains a text."""
    if isinstance(value, dict):
        values = [each for key, each in value.items() if key not in ("_type", "dimensionality")]
        return any(simply_contains(each, text) for each in values)
    if isinstance(value, list):
        return any(simply_contains(each, text) for each in value)
    return isinstance(value, str) and text.lower() in value.lower()
