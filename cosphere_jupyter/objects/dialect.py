"""The schema dialect of the iffSamples API: is a schema one, and do data follow it?

It is not JSON Schema. A node has a ``type`` and a ``title``; values are ``{"_type": …, …}``, except that objects and
arrays stand as they are. The whole is an object with a text ``name``, which every object must have, also where the
schema does not say so. Source: the iffSamples API and the schema format behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .dialect_context import Context, Lookup, Property, ReferencedAction
from .dialect_problems import Problem, ValidationFailed, unstorable
from .dialect_schemas import schema_errors
from .dialect_values import check_value

__all__ = [
    "Lookup",
    "Problem",
    "Property",
    "ReferencedAction",
    "Validated",
    "ValidationFailed",
    "schema_errors",
    "validate",
]


@dataclass(frozen=True)
class Validated:
    """Data that follow their schema.

    ``data`` is complete (quantities have both magnitudes, units and dimensionality) and shares nothing with what was
    given. ``references`` are the ids of the objects that it names, each once. ``properties`` is for the search index.
    """

    data: dict[str, Any]
    references: list[int]
    properties: list[Property]


def validate(schema: dict[str, Any], data: Any, *, lookup: Lookup, strict: bool = True) -> Validated:
    """Check data against a schema without `schema_errors`, and complete them.

    ``strict`` also refuses tags of digits only, which no search finds. Raises ``ValidationFailed`` with all problems.
    """
    if problem := unstorable(data):
        raise ValidationFailed([problem])
    context = Context(lookup, strict)
    completed = check_value(context, schema, data, ())
    if context.problems.found or not isinstance(completed, dict):
        raise ValidationFailed(context.problems.found)
    named = (each.referenced_id for each in context.properties if each.kind == "reference")
    references = list(dict.fromkeys(each for each in named if each is not None))
    return Validated(completed, references, context.properties)
