"""What JSON of the workspace may hold: one rule for what is taken, what is stored and what is shown.

The catalogue shows no value that its clients could not send back, say in a filter.
"""

from __future__ import annotations

import math
from typing import Any

# What JSON is written and read with here holds integers of 64 bits, signed or not.
LEAST_INTEGER, GREATEST_INTEGER = -(2**63), 2**64 - 1
# Beyond it, programs that read numbers as floats would take one id for another.
LARGEST_ID = 2**53 - 1
# Deeper JSON is refused: what stores and validates it works by recursion.
DEEPEST = 64


def is_unicode(text: str) -> bool:
    """Whether the text can be encoded: JSON may hold half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_storable(value: Any) -> bool:
    """Whether parsed JSON can be stored and sent: finite numbers, integers of 64 bits, no NUL, at most 64 deep."""
    level = [value]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below.extend(each)
                below.extend(each.values())
            elif isinstance(each, list):
                below.extend(each)
            elif not _is_storable_scalar(each):
                return False
        if not below:
            return True
        level = below
    return False


def _is_storable_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" not in value and is_unicode(value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or LEAST_INTEGER <= value <= GREATEST_INTEGER
