"""What is wrong with a schema or with data, collected; and JSON that is refused before its meaning is looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import Invalid
from ..json_values import DEEPEST, GREATEST_INTEGER, LEAST_INTEGER, is_unicode

Path = tuple[str | int, ...]

# More help nobody, and an answer is not much longer than the question.
MOST_PROBLEMS = 1_000
# The values in one schema or one object's data, counted with their containers.
MOST_VALUES = 500_000
SHOWN = 100


class Problem:
    """One thing that is wrong: ``text`` without the place, ``path`` of names and array positions from the root."""

    __slots__ = ("path", "text")

    def __init__(self, text: str, path: Path = ()) -> None:
        self.text = text
        self.path = path

    def __str__(self) -> str:
        return f"{self.text} (at {' -> '.join(map(str, self.path))})" if self.path else self.text

    def __repr__(self) -> str:
        return f"Problem({self.text!r}, {self.path!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and (self.text, self.path) == (other.text, other.path)

    def __hash__(self) -> int:
        return hash((self.text, self.path))


class ValidationFailed(Invalid):
    """Data do not follow their schema. ``problems`` is never empty; the text is the published API's."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__({"data": [str(each) for each in problems]})
        self.problems = list(problems)

    def __str__(self) -> str:
        return "validation failed:" + "".join(f"\n - {each}" for each in self.problems)

    @property
    def error_paths(self) -> list[list[str | int]]:
        """Where the problems are, in their order, each path once."""
        return [list(path) for path in dict.fromkeys(each.path for each in self.problems)]


class Problems:
    """Collects problems, up to ``MOST_PROBLEMS`` of them."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, text: str, path: Path = ()) -> None:
        """Remember one."""
        if len(self.found) < MOST_PROBLEMS:
            self.found.append(Problem(text, path))

    def check_keys(self, value: dict[str, Any], required: set[str], allowed: set[str], path: Path) -> bool:
        """Whether ``value`` has the required keys and none but the allowed ones; what is not so is remembered."""
        if missing := required - value.keys():
            self.add(f"missing keys in schema: {shown_names(missing)}", path)
        if unexpected := value.keys() - allowed - required:
            self.add(f"unexpected keys in schema: {shown_names(unexpected)}", path)
        return not missing and not unexpected


def shown(value: Any) -> str:
    """Return a value for a message, at most about 100 characters of it."""
    text = f'"{value[:SHOWN]}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN + 2 else f"{text[:SHOWN]}…"


def shown_names(names: set[str]) -> str:
    """Return the first few of some names, in order, as the published API writes a set."""
    first = sorted(names)[:20]
    return "{" + ", ".join(f"'{each[:SHOWN]}'" for each in first) + (", …" if len(names) > len(first) else "") + "}"


def unstorable(value: Any) -> Problem | None:
    """Return what forbids to store ``value`` at all, or None; takes time in proportion to its size.

    Stored is JSON of finite numbers, integers of 64 bits, and Unicode texts without U+0000, at most 64 deep.
    """
    level: list[tuple[Path, Any]] = [((), value)]
    left = MOST_VALUES
    for _ in range(DEEPEST):
        below: list[tuple[Path, Any]] = []
        for path, each in level:
            if text := _wrong_here(each):
                return Problem(text, path)
            if isinstance(each, (dict, list)):
                left -= len(each)
                if left < 0:
                    return Problem(f"more than {MOST_VALUES} values")
                below.extend(((*path, key), inner) for key, inner in _inner(each))
        if not below:
            return None
        level = below
    return Problem(f"nested more than {DEEPEST} deep")


def _inner(container: dict[str, Any] | list[Any]) -> Iterator[tuple[str | int, Any]]:
    return iter(container.items()) if isinstance(container, dict) else enumerate(container)


def _wrong_here(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((text for key in value if (text := _wrong_text(key))), None)
    if isinstance(value, str):
        return _wrong_text(value)
    if isinstance(value, float):
        return None if math.isfinite(value) else "numbers must be finite"
    if isinstance(value, int):
        return None if LEAST_INTEGER <= value <= GREATEST_INTEGER else "integers must have at most 64 bits"
    return None if value is None or isinstance(value, list) else "not a JSON value"


def _wrong_text(text: Any) -> str | None:
    if not isinstance(text, str):
        return "names must be texts"
    if "\0" in text:
        return "null characters are not allowed"
    return None if is_unicode(text) else "text is not valid Unicode"
