"""What differs between two versions, and data made from a version and what shall differ.

A diff of an object has the keys that differ. That of an array is a list with null for each item that stays, or an
object by positions: ``"0"``, ``"-1"`` from the end, ``"+0"`` for the first one that is added. Anything else differs by
``{"_before": …, "_after": …}``; without one of these there is nothing before, or after.

Source: the iffSamples API's behaviour, "data_diff".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .records import is_same

BEFORE, AFTER = "_before", "_after"
FAILED = "failed to apply diff"
MOST_ADDED = 10_000
_POSITION = re.compile(r"(?P<sign>[-+]?)(?P<number>0|[1-9]\d{0,8})")
_NOTHING: Any = object()


class DiffInvalid(ValueError):
    """A diff that is none, or not of these data."""


def diff_of(before: Any, after: Any) -> dict[str, Any] | list[Any] | None:
    """Return what differs between two JSON values of a version; None if they are the same."""
    if _is_object(before) and _is_object(after):
        changes = {name: _diff(before.get(name, _NOTHING), after.get(name, _NOTHING)) for name in {**before, **after}}
        return {name: each for name, each in changes.items() if each is not None} or None
    if isinstance(before, list) and isinstance(after, list):
        count = max(len(before), len(after))
        items = [_diff(_item(before, index), _item(after, index)) for index in range(count)]
        return items if any(each is not None for each in items) else None
    return _diff(before, after)


def apply(before: Any, diff: Any) -> Any:
    """Return what a diff makes of data; ``DiffInvalid`` if it says otherwise what was there, or is none."""
    made = _applied(before, diff)
    if made is _NOTHING:
        raise DiffInvalid(FAILED)
    return made


def _diff(before: Any, after: Any) -> Any:
    if before is not _NOTHING and after is not _NOTHING:
        if is_same(before, after):
            return None
        if (_is_object(before) and _is_object(after)) or (isinstance(before, list) and isinstance(after, list)):
            return diff_of(before, after)
    told = {BEFORE: before, AFTER: after}
    return {key: value for key, value in told.items() if value is not _NOTHING}


def _applied(before: Any, diff: Any) -> Any:
    if isinstance(diff, Mapping) and diff and diff.keys() <= {BEFORE, AFTER}:
        if not _is_told(before, diff.get(BEFORE, _NOTHING)):
            raise DiffInvalid(FAILED)
        return diff.get(AFTER, _NOTHING)
    if isinstance(before, list):
        return _applied_to_items(before, diff)
    if not _is_object(before) or not isinstance(diff, Mapping) or not diff:
        raise DiffInvalid(FAILED)
    made = dict(before)
    for name, change in diff.items():
        _put(made, name, _applied(before.get(name, _NOTHING), change))
    return made


def _applied_to_items(before: list[Any], diff: Any) -> list[Any]:
    places: dict[int, Any] = {}
    if isinstance(diff, list):
        places = {index: change for index, change in enumerate(diff) if change is not None}
    elif isinstance(diff, Mapping):
        for key, change in diff.items():
            place = _place(key, len(before))
            if place in places:
                raise DiffInvalid(FAILED)
            places[place] = change
    if not places:
        raise DiffInvalid(FAILED)
    added = max(places) + 1 - len(before)
    if added > MOST_ADDED:
        raise DiffInvalid(FAILED)
    items = [*before, *[_NOTHING] * added]
    for place, change in places.items():
        items[place] = _applied(items[place], change)
    # What is added leaves no hole; what goes may go anywhere.
    if any(each is _NOTHING for each in items[len(before) :]):
        raise DiffInvalid(FAILED)
    return [each for each in items if each is not _NOTHING]


def _place(key: str, length: int) -> int:
    match = _POSITION.fullmatch(key) if key.isascii() else None
    if match is None or key == "-0":
        raise DiffInvalid(FAILED)
    number = int(match["number"])
    place = {"": number, "+": length + number, "-": length - number}[match["sign"]]
    if place < 0 or (match["sign"] == "" and place >= length):
        raise DiffInvalid(FAILED)
    return place


def _put(made: dict[str, Any], name: str, value: Any) -> None:
    if value is _NOTHING:
        made.pop(name, None)
    else:
        made[name] = value


def _is_told(before: Any, told: Any) -> bool:
    """Whether a value is what a diff says of it; of a quantity, say, it need not say what is computed."""
    if before is _NOTHING or told is _NOTHING:
        return before is told
    if isinstance(before, Mapping) and isinstance(told, Mapping) and "_type" in before and "_type" in told:
        return told.keys() <= before.keys() and all(is_same(before[key], value) for key, value in told.items())
    return is_same(before, told)


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping) and "_type" not in value


def _item(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else _NOTHING
