"""The keywords by which bundles are searched, read into conditions, an order, a window and an aggregate.

All conditions hold of what is found. ``.*`` and ``%`` stand for any text; where one stands, and where a part of a text
is looked for, the case of letters does not count. Source: the CodaLab REST API's semantics, section 6.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from .durations import show_bytes, show_seconds
from .problems import Refused

DEFAULT_LIMIT = 10
MOST_KEYWORDS = 64
MOST_VALUES = 500
LONGEST = 10_000
# LIKE takes a time that grows with each wildcard.
MOST_WILDCARDS = 12
NOT_A_MOMENT = (
    "Unable to parse datetime. Datetime must be specified as an ISO-8601 datetime string, such as "
    "2026-11-21 or 2026-11-21T01:13:41+00:00."
)
_LARGEST = 2**63 - 1
_WILDCARD = re.compile(r"\.\*|%")
_PRINTF = re.compile(r"[^%]{0,20}%[-+ 0#]?\d{0,2}(\.\d{1,2})?[dfegs][^%]{0,20}")
_SYNONYMS = {"type": "bundle_type", "size": "data_size", "worksheet": "host_worksheet"}


@dataclass(frozen=True)
class Pattern:
    """A text to be compared with: ``parts`` of it with any text between them; one part is the text itself."""

    parts: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Pattern:
        """Return the pattern that a text of a keyword means."""
        parts = tuple(_WILDCARD.split(text))
        if len(text) > LONGEST or len(parts) > MOST_WILDCARDS + 1:
            raise Refused(f"A keyword has at most {LONGEST} characters and {MOST_WILDCARDS} wildcards.")
        return cls(parts)

    @property
    def exact(self) -> str | None:
        """The text, if no wildcard stands in it."""
        return self.parts[0] if len(self.parts) == 1 else None

    def anywhere(self) -> Pattern:
        """Return the pattern of texts that contain this one."""
        return Pattern(("", *self.parts, ""))


@dataclass(frozen=True)
class Word:
    """A text that the uuid or the name contains; ``everywhere``: uuid, command or any metadata."""

    pattern: Pattern
    everywhere: bool = False


@dataclass(frozen=True)
class Field:
    """A column, a key of metadata or a relation that is, or matches, any of some values."""

    key: str
    values: tuple[Pattern, ...]


@dataclass(frozen=True)
class Flag:
    """``mine``, ``shared`` or ``floating``."""

    name: str


@dataclass(frozen=True)
class Created:
    """When a bundle was made: at ``moment`` or before it, or at it or after it."""

    moment: datetime
    is_before: bool


Condition = Word | Field | Flag | Created


@dataclass(frozen=True)
class Search:
    """What keywords mean. ``sum_of`` and ``is_count`` ask for a number instead of a list; no ``limit``: all of them."""

    conditions: tuple[Condition, ...] = ()
    order_by: str = "id"
    descending: bool = False
    limit: int | None = DEFAULT_LIMIT
    offset: int = 0
    is_count: bool = False
    sum_of: str | None = None
    format: str | None = None

    @property
    def is_aggregate(self) -> bool:
        """Whether a number is asked for."""
        return self.is_count or self.sum_of is not None


@dataclass
class _Reading:
    search: Search = field(default_factory=Search)

    def set(self, **changes: object) -> None:
        self.search = replace(self.search, **changes)  # type: ignore[arg-type]

    def add(self, condition: Condition) -> None:
        self.set(conditions=(*self.search.conditions, condition))


def parse(keywords: Sequence[str]) -> Search:
    """Return what keywords mean, read from the first to the last; ``Refused`` if one of them is wrong."""
    if len(keywords) > MOST_KEYWORDS:
        raise Refused(f"A search has at most {MOST_KEYWORDS} keywords.")
    reading = _Reading()
    for keyword in keywords:
        key, equals, value = keyword.partition("=")
        if not equals:
            _read_word(reading, keyword)
        elif key in (".limit", ".offset"):
            reading.set(**{key[1:]: whole_number(value)})
        elif key in (".before", ".after"):
            reading.add(Created(moment_of(value), key == ".before"))
        elif key == ".format":
            reading.set(format=_checked_format(value))
        elif key == "":
            reading.add(Word(Pattern.of(value).anywhere(), everywhere=True))
        else:
            _read_field(reading, _SYNONYMS.get(key, key), value)
    return reading.search


def _read_word(reading: _Reading, word: str) -> None:
    if word in (".mine", ".shared", ".floating"):
        reading.add(Flag(word[1:]))
    elif word == ".last":
        reading.set(order_by="id", descending=True)
    elif word == ".count":
        reading.set(is_count=True, sum_of=None, limit=None)
    elif word:
        reading.add(Word(Pattern.of(word).anywhere()))


def _read_field(reading: _Reading, key: str, value: str) -> None:
    if value in (".sort", ".sort-"):
        reading.set(order_by=key, descending=value == ".sort-")
    elif value == ".sum":
        reading.set(sum_of=key, is_count=False, limit=None)
    else:
        values = value.split(",")
        if len(values) > MOST_VALUES:
            raise Refused(f"A keyword has at most {MOST_VALUES} values.")
        reading.add(Field(key, tuple(map(Pattern.of, values))))


def whole_number(text: str) -> int:
    """Return a number that is not negative, or raise ``Refused``."""
    if not re.fullmatch(r"[0-9]{1,30}", text):
        raise Refused(f"Invalid int {text[:40]!r}")
    return min(int(text), _LARGEST)


def moment_of(text: str) -> datetime:
    """Return an instant as ISO 8601 writes it, in UTC if it says nothing else, or raise ``Refused``."""
    try:
        text = re.sub(r"[zZ]$", "+00:00", text.strip())
        # A plus that stood in a URL as it is has become a space.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
        # Whole seconds are compared: also the next one must be a moment.
        moment + timedelta(seconds=1)
        return moment
    except (ValueError, OverflowError):
        raise Refused(NOT_A_MOMENT) from None


def format_value(value: float, form: str | None) -> float | str:
    """Return the number that an aggregate gives, or its text if a form is asked for (``size``, ``%.2f``, …)."""
    if form is None:
        return value
    if form == "size":
        return show_bytes(value)
    if form == "duration":
        return show_seconds(value)
    if form == "date":
        try:
            return datetime.fromtimestamp(value, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        except (ValueError, OverflowError, OSError):
            raise Refused(f"{value} is no date") from None
    return form % value


def _checked_format(form: str) -> str:
    if form not in ("size", "date", "duration") and not _PRINTF.fullmatch(form):
        raise Refused(f"Invalid format {form[:40]!r}: size, date, duration, or one such as %.2f")
    return form
