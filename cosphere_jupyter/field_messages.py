"""What is said of fields wherever they are checked: the CoSphere API's own words ("Standard field messages")."""

from __future__ import annotations

REQUIRED = "This field is required."
NULL = "This field may not be null."
BLANK = "This field may not be blank."
NOT_TEXT = "Not a valid string."
NULL_CHARACTERS = "Null characters are not allowed."


def at_least(number: int, things: str = "characters") -> str:
    """Say that a field is too short."""
    return f"Ensure this field has at least {number} {things}."


def at_most(number: int, things: str = "characters") -> str:
    """Say that a field is too long."""
    return f"Ensure this field has no more than {number} {things}."
