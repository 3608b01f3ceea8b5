"""What validating values needs beside them: the workspace, the problems so far, rows for searching, and limits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

import regex

from .dialect_problems import Path, Problems
from .quantities import Units, UnitsInvalid, units_of

T = TypeVar("T")

# How long one pattern, and all the patterns of one object, may be looked for, in seconds.
PATTERN_TIME, PATTERNS_TIME = 0.1, 0.5
# How many different units one object may have: each new one takes about a millisecond.
MOST_UNITS = 200


class ReferencedAction(NamedTuple):
    """What an object was made by."""

    action_id: int
    type_id: int


class Lookup(Protocol):
    """What values may name in the workspace."""

    def action_of(self, object_id: int) -> ReferencedAction | None:
        """Return the action that made an object; None without such an object."""

    def has_account(self, account_id: int) -> bool:
        """Whether there is an account of this id."""

    def file_name(self, file_id: int) -> str | None:
        """Return the name of a file of the object that is validated; None without such a file."""


@dataclass(frozen=True)
class Property:
    """A value of an object for the search index.

    ``path`` holds the names of properties and the positions in arrays. ``kind`` says which field holds the value:

    ==================  ===========================================================================================
    text                ``text``; one row for each language
    bool                ``flag``
    quantity            ``number`` in base units, ``dimensionality``, and the units as ``text``
    datetime            ``moment``, naive UTC, and as it was written as ``text``
    tag                 ``text``; one row for each tag, all of the path ``("tags",)``
    hazard              ``number``; one row for each, all of the path ``("hazards",)``
    reference, user     ``referenced_id``
    other               none: arrays, objects and types that are not searched, so that their presence is known
    ==================  ===========================================================================================
    """

    path: Path
    kind: str
    text: str | None = None
    number: float | None = None
    dimensionality: str | None = None
    moment: datetime | None = None
    flag: bool | None = None
    referenced_id: int | None = None

    @property
    def path_text(self) -> str:
        """The path as searches write it: ``layers.0.mass``."""
        return ".".join(map(str, self.path))

    @property
    def pattern(self) -> str:
        """The path with ``?`` for each position: ``layers.?.mass``."""
        return ".".join("?" if isinstance(each, int) else each for each in self.path)

    @property
    def positions(self) -> str:
        """The positions alone: ``0``, or ``0.2`` in arrays of arrays."""
        return ".".join(str(each) for each in self.path if isinstance(each, int))


class Context:
    """One validation: collects its problems and its properties."""

    def __init__(self, lookup: Lookup, strict: bool) -> None:
        self.lookup = lookup
        self.strict = strict
        self.problems = Problems()
        self.properties: list[Property] = []
        self._pattern_time = PATTERNS_TIME
        self._units: set[str] = set()
        self._known: dict[tuple[str, int], Any] = {}

    def add(self, text: str, path: Path) -> None:
        """Remember a problem."""
        self.problems.add(text, path)

    def ask(self, question: Callable[[int], T], id_: int) -> T:
        """Return the lookup's answer, asked once for each id."""
        key = (question.__name__, id_)
        if key not in self._known:
            self._known[key] = question(id_)
        answer: T = self._known[key]
        return answer

    def units(self, text: str) -> Units:
        """Return what is known of units; ``UnitsInvalid`` for what is none, or where there are too many of them."""
        self._units.add(text)
        if len(self._units) > MOST_UNITS:
            raise UnitsInvalid(f"more than {MOST_UNITS} different units")
        return units_of(text)

    def frame(self, value: Any, type_: str, required: Iterable[str], optional: Iterable[str], path: Path) -> bool:
        """Whether a value has its type and exactly its keys; what is not so is remembered."""
        if not isinstance(value, dict):
            self.add("instance must be dict", path)
            return False
        is_whole = self.problems.check_keys(value, {"_type", *required}, set(optional), path)
        if "_type" in value and value["_type"] != type_:
            self.add(f'expected _type "{type_}"', path)
            return False
        return is_whole

    def matches(self, pattern: str, text: str) -> bool | None:
        """Whether a text begins with what a pattern describes; None when the time for that is used up."""
        if self._pattern_time <= 0:
            return None
        begin = time.monotonic()
        try:
            return regex.match(pattern, text, timeout=min(PATTERN_TIME, self._pattern_time)) is not None
        except TimeoutError:
            return None
        finally:
            self._pattern_time -= time.monotonic() - begin
