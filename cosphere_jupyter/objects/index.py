"""The index of values: one row for each value of each current version, written with the version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timezone
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select

from .dialect import Property
from .tables import object_properties, objects

# How many ids one statement names.
MOST_IDS = 500


def index(connection: Connection, object_id: int, properties: Sequence[Property], *, is_new: bool = False) -> None:
    """Make ``properties`` all that is found of an object; of one that ``is_new`` nothing is found yet."""
    if not is_new:
        connection.execute(_leave(), {"of_id": object_id})
    rows = [
        {
            "object_id": object_id,
            "path_text": each.path_text,
            "pattern": each.pattern,
            "positions": each.positions,
            "kind": each.kind,
            "text": each.text,
            "number": each.number,
            "dimensionality": each.dimensionality,
            "moment": each.moment and each.moment.replace(tzinfo=timezone.utc),
            "flag": each.flag,
            "reference_id": each.referenced_id,
        }
        for each in properties
    ]
    if rows:
        connection.execute(_enter(), rows)


# Put together once.
@cache
def _leave() -> Any:
    return delete(object_properties).where(object_properties.c.object_id == bindparam("of_id"))


@cache
def _enter() -> Any:
    return insert(object_properties)


def referencing(
    connection: Connection, object_ids: Sequence[int], readable: ColumnElement[bool]
) -> dict[int, list[int]]:
    """Return which readable objects refer to each of these; ``readable`` is a condition on the table of objects."""
    table = object_properties.c
    found: dict[int, list[int]] = {object_id: [] for object_id in object_ids}
    for first in range(0, len(object_ids), MOST_IDS):
        named = table.reference_id.in_(object_ids[first : first + MOST_IDS])
        query = (
            select(table.reference_id, table.object_id)
            .distinct()
            .join(objects, objects.c.id == table.object_id)
            .where(table.kind == "reference", named, readable)
            .order_by(table.object_id)
        )
        for object_id, referring_id in connection.execute(query):
            found[object_id].append(referring_id)
    return found


def references_of(connection: Connection, object_id: int) -> tuple[list[int], list[int]]:
    """Return the ids of the objects that refer to an object, and of those that it refers to, in current versions."""
    table = object_properties.c
    is_reference = table.kind == "reference"
    to_it = select(table.object_id).where(is_reference, table.reference_id == object_id).distinct()
    # What is referred to exists: it was checked, and no object is ever deleted.
    from_it = select(objects.c.id).where(
        objects.c.id.in_(select(table.reference_id).where(is_reference, table.object_id == object_id))
    )
    found = (sorted(connection.execute(query).scalars()) for query in (to_it, from_it))
    return next(found), next(found)
