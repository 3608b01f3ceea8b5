"""Reading the fields of a JSON body or a query string, with the messages of the CoSphere API.

A body is described by a dict of fields; ``parse_body`` returns the parsed values or raises ``FieldsInvalid`` with the
messages of all fields at once. Unknown fields are ignored. Source: the API's behaviour, "Standard field messages".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..accounts.service import is_email
from ..errors import FieldsInvalid, QueryInvalid
from ..field_messages import BLANK, NOT_TEXT, NULL, NULL_CHARACTERS, REQUIRED, at_most
from ..json_values import is_storable, is_unicode

NOT_INTEGER = "A valid integer is required."
NOT_BOOLEAN = "Must be a valid boolean."
NOT_JSON = "Value must be valid JSON."

TRUE = frozenset({"t", "T", "y", "Y", "yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "1"})
FALSE = frozenset({"f", "F", "n", "N", "no", "NO", "false", "False", "FALSE", "off", "Off", "OFF", "0", "0.0"})

_ZERO_FRACTION = re.compile(r"\.0*\s*$")
_MISSING: Any = object()


ErrorsOf = Callable[[Any], list[str]]


class FieldError(ValueError):
    """One or more messages about one field."""

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = list(messages)


class Field:
    """A field of a body; subclasses say what its value may be."""

    def __init__(self, *, required: bool = True, null: bool = False, default: Any = _MISSING) -> None:
        """Without a ``default`` an absent optional field is absent from the result, too."""
        self.required = required and default is _MISSING
        self.null = null
        self.default = default

    def parse(self, value: Any) -> Any:
        """Return the parsed value or raise ``FieldError``."""
        raise NotImplementedError


class Text(Field):
    """Text, trimmed; numbers are taken as their text."""

    def __init__(self, longest: int = 65536, *, blank: bool = False, **options: Any) -> None:
        """``longest`` in characters."""
        super().__init__(**options)
        self.longest = longest
        self.blank = blank

    def parse(self, value: Any) -> str:
        """Return the trimmed text."""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise FieldError(NOT_TEXT)
        text = self.trim(value if isinstance(value, str) else repr(value))
        if not text and not self.blank:
            raise FieldError(BLANK)
        if "\0" in text:
            raise FieldError(NULL_CHARACTERS)
        if not is_unicode(text):
            raise FieldError(NOT_TEXT)
        if len(text) > self.longest:
            raise FieldError(at_most(self.longest))
        return text

    def trim(self, text: str) -> str:
        """Return the text without surrounding white space."""
        return text.strip()


class Password(Text):
    """Text whose spaces count."""

    def trim(self, text: str) -> str:
        """Return the text as it is."""
        return text


class Email(Text):
    """An e-mail address."""

    def parse(self, value: Any) -> str:
        """Return the address, trimmed, its letters as they are."""
        text = super().parse(value)
        if not is_email(text):
            raise FieldError("Enter a valid email address.")
        return text


class Integer(Field):
    """A whole number; ``"7"`` and ``7.0`` will do."""

    def __init__(self, lowest: int | None = None, highest: int | None = None, **options: Any) -> None:
        """Bounds are inclusive."""
        super().__init__(**options)
        self.lowest = lowest
        self.highest = highest

    def parse(self, value: Any) -> int:
        """Return the number."""
        if isinstance(value, str) and len(value) > 1000:
            raise FieldError("String value too large.")
        try:
            number = int(_ZERO_FRACTION.sub("", str(value)))
        except ValueError:
            raise FieldError(NOT_INTEGER) from None
        if self.lowest is not None and number < self.lowest:
            raise FieldError(f"Ensure this value is greater than or equal to {self.lowest}.")
        if self.highest is not None and number > self.highest:
            raise FieldError(f"Ensure this value is less than or equal to {self.highest}.")
        return number


class Boolean(Field):
    """True or false, in JSON or in one of the usual words."""

    def parse(self, value: Any) -> bool:
        """Return the truth value."""
        text = str(value) if isinstance(value, str | bool | int) else ""
        if text in TRUE:
            return True
        if text in FALSE:
            return False
        raise FieldError(NOT_BOOLEAN)


class Choice(Field):
    """One of some words, letter by letter."""

    def __init__(self, choices: Sequence[str], **options: Any) -> None:
        """``choices`` are the words."""
        super().__init__(**options)
        self.choices = choices

    def parse(self, value: Any) -> str:
        """Return the word."""
        if isinstance(value, str) and value in self.choices:
            return value
        if not is_storable(value):
            # Half a surrogate pair, say: the message could not be sent.
            raise FieldError(NOT_JSON)
        raise FieldError(f'"{value}" is not a valid choice.')


class Json(Field):
    """Any JSON that can be stored; ``errors_of`` returns further messages about it."""

    def __init__(self, errors_of: ErrorsOf, *, first: ErrorsOf | None = None, **options: Any) -> None:
        """``errors_of`` is called with storable JSON only; ``first`` is quick and looks at whatever was sent."""
        super().__init__(**options)
        self.errors_of = errors_of
        self.first = first

    def parse(self, value: Any) -> Any:
        """Return the value as it is."""
        if self.first is not None and (messages := self.first(value)):
            raise FieldError(*messages)
        if not is_storable(value):
            raise FieldError(NOT_JSON)
        if messages := self.errors_of(value):
            raise FieldError(*messages)
        return value


Fields = Mapping[str, Field]
FieldsFor = Callable[[dict[str, Any]], Fields]


def parse_body(fields: Fields | FieldsFor, body: Any) -> dict[str, Any]:
    """Return the values of ``fields`` in a parsed JSON body, or raise ``FieldsInvalid``.

    Where one field decides which others must be there, ``fields`` is a function of the body.
    """
    if body is None:
        raise FieldsInvalid({"non_field_errors": ["No data provided"]})
    if not isinstance(body, dict):
        kind = type(body).__name__
        raise FieldsInvalid({"non_field_errors": [f"Invalid data. Expected a dictionary, but got {kind}."]})
    values, errors = _parse(fields(body) if callable(fields) else fields, body)
    if errors:
        raise FieldsInvalid(errors, values)
    return values


def parse_query(fields: Fields, arguments: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of ``fields`` in a query string, or raise ``QueryInvalid``."""
    values, errors = _parse(fields, arguments)
    if errors:
        raise QueryInvalid(errors)
    return values


def _parse(fields: Fields, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    values: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, field in fields.items():
        try:
            value = _parse_one(field, given.get(name, _MISSING))
        except FieldError as error:
            errors[name] = error.messages
        else:
            if value is not _MISSING:
                values[name] = value
    return values, errors


def _parse_one(field: Field, value: Any) -> Any:
    if value is _MISSING:
        if field.required:
            raise FieldError(REQUIRED)
        return field.default
    if value is None:
        if field.null:
            return None
        raise FieldError(NULL)
    return field.parse(value)
