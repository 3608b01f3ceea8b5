"""What may stand under each key of a schema, by the type of the node; rules over several keys are `dialect_schemas`'s.

A check takes the value and returns what is wrong with it, or None. Source: the iffSamples schema format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeGuard

import regex

from ..json_values import LARGEST_ID
from .quantities import UnitsInvalid, units_of

Check = Callable[[Any], str | None]

LONGEST_PATTERN = 500
# Its length times all its {repeats}: the engine writes out what is repeated.
LARGEST_PATTERN = 200_000
MOST_TITLE = 1_000
MOST_UNITS = 50
DATE_FORMAT = "Please enter the date and time in the format: YYYY-MM-DD HH:MM:SS"
_DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}|\{,(\d+)\}", re.ASCII)
_TAG = re.compile(r"[a-z0-9_\-äöüß]+")


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a JSON value is a number; true and false are none."""
    return type(value) in (int, float)


def is_id(value: Any) -> bool:
    """Whether a JSON value can be the id of something stored."""
    return type(value) is int and 0 <= value <= LARGEST_ID


def parse_datetime(text: Any) -> datetime | None:
    """Return the naive UTC datetime that a text names in the one format, or None."""
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def tag_error(tag: Any, strict: bool) -> str | None:
    """Return what is wrong with a tag: lower case, ``a-z0-9_-äöüß``, and for ``strict`` more than digits."""
    if not isinstance(tag, str):
        return "each tag must be str"
    if not _TAG.fullmatch(tag):
        return "tags may only contain lower case letters, digits, underscores and hyphens"
    return "tags must not consist of digits only" if strict and tag.isdigit() else None


def a_text(value: Any) -> str | None:
    """Any text."""
    return None if isinstance(value, str) else "must be str"


def a_bool(value: Any) -> str | None:
    """True or false."""
    return None if isinstance(value, bool) else "must be bool"


def a_number(value: Any) -> str | None:
    """An integer or a float."""
    return None if is_number(value) else "must be float or int"


def a_count(value: Any) -> str | None:
    """An integer from 0."""
    return None if is_id(value) else "must be a non-negative int"


def a_dict(value: Any) -> str | None:
    """A JSON object."""
    return None if isinstance(value, dict) else "must be dict"


def a_list(value: Any) -> str | None:
    """A JSON array."""
    return None if isinstance(value, list) else "must be list"


def anything(value: Any) -> str | None:
    """What other programs read, and we keep."""
    return None


def text_in_languages(value: Any) -> str | None:
    """A text, or texts by language, English among them."""
    if isinstance(value, str):
        return None
    if not isinstance(value, dict):
        return "must be str or dict"
    if "en" not in value:
        return 'must include an english translation ("en")'
    if not all(_LANGUAGE.fullmatch(key) for key in value):
        return "must be a dict of language codes and texts"
    return None if all(isinstance(each, str) for each in value.values()) else "must only contain text"


def a_title(value: Any) -> str | None:
    """What a person reads above the value."""
    if error := text_in_languages(value):
        return error
    texts = [value] if isinstance(value, str) else value.values()
    return None if all(len(each) <= MOST_TITLE for each in texts) else f"must be at most {MOST_TITLE} characters"


def a_style(value: Any) -> str | None:
    """How it is shown: a name, or names by place."""
    if isinstance(value, dict):
        return None if all(isinstance(each, str) for each in value.values()) else "must only contain text"
    return None if isinstance(value, str) else "must be str or dict"


def _choices(value: Any) -> str | None:
    if not isinstance(value, list) or not value:
        return "must be a list with at least one choice"
    if error := next((error for each in value if (error := text_in_languages(each))), None):
        return error
    seen = {repr(sorted(each.items())) if isinstance(each, dict) else each for each in value}
    return None if len(seen) == len(value) else "must not contain duplicates"


def _pattern(value: Any) -> str | None:
    if not isinstance(value, str):
        return "must be str"
    if len(value) > LONGEST_PATTERN:
        return f"must be at most {LONGEST_PATTERN} characters"
    if _unrolled(value) > LARGEST_PATTERN:
        return "repeats too much"
    try:
        # Meant for the standard library's engine; matched by one that can be given a time limit.
        re.compile(value)
        regex.compile(value)
    except (re.error, regex.error, RecursionError, OverflowError, ValueError, IndexError):
        return "is no valid regular expression"
    return None


def _unrolled(pattern: str) -> float:
    """Return at most how long a pattern is without its {repeats}."""
    counts = [max(float(each) for each in pair if each) for pair in _REPEAT.findall(pattern)]
    return math.prod([len(pattern), *(each for each in counts if each > 1)])


def _languages(value: Any) -> str | None:
    if value == "all":
        return None
    if not isinstance(value, list) or not value:
        return 'must be "all" or a list of language codes'
    if not all(isinstance(each, str) and _LANGUAGE.fullmatch(each) for each in value):
        return "must only contain language codes"
    if len(set(value)) != len(value):
        return "must not contain duplicates"
    return None if "en" in value else 'must include "en"'


def _units(value: Any) -> str | None:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(each, str) for each in texts):
        return "must be str or a list of str"
    if len(set(texts)) != len(texts):
        return "must not contain duplicates"
    if len(texts) > MOST_UNITS:
        return f"must be at most {MOST_UNITS}"
    try:
        dimensionalities = {units_of(each).dimensionality for each in texts}
    except UnitsInvalid as error:
        return f"are wrong: {error}"
    return None if len(dimensionalities) == 1 else "must all have the same dimensionality"


def _display_digits(value: Any) -> str | None:
    return None if type(value) is int and 0 <= value <= 27 else "must be an int from 0 to 27"


def _calculation(value: Any) -> str | None:
    if not isinstance(value, dict) or not {"property_names", "formula"} <= value.keys() <= {
        "property_names",
        "formula",
        "digits",
    }:
        return "must be a dict with property_names and formula"
    names = value["property_names"]
    if not isinstance(names, (list, dict)) or not all(isinstance(each, str) for each in names):
        return "must have names of properties"
    if not isinstance(value["formula"], str):
        return "must have a text as formula"
    return None if "digits" not in value else _display_digits(value["digits"])


def _extensions(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(each, str) and each.startswith(".") for each in value):
        return None
    return "must be a list of texts that start with a dot"


def _ids(value: Any) -> str | None:
    """One id, several, or null for any; the ids of built-in types are negative."""
    if value is None or type(value) is int:
        return None
    if isinstance(value, list) and value and all(type(each) is int for each in value):
        return None
    return "must be int, list of int or null"


def _filter_operator(value: Any) -> str | None:
    return None if value in ("and", "or") else 'must be "and" or "or"'


def _notebook_templates(value: Any) -> str | None:
    if not isinstance(value, list):
        return "must be list"
    for each in value:
        if not isinstance(each, dict) or each.keys() != {"title", "url", "params"}:
            return "must be dicts with title, url and params"
        if error := text_in_languages(each["title"]):
            return f"title {error}"
        url = each["url"]
        if not isinstance(url, str) or not url.endswith(".ipynb") or _leads_away(url):
            return "url must be relative and end with .ipynb"
        params = each["params"]
        if not isinstance(params, dict) or not all(key.isidentifier() and _is_source(params[key]) for key in params):
            return 'params must give "object_id" or a path for each name of a variable'
    return None


def _leads_away(url: str) -> bool:
    return url.startswith(("/", "\\")) or ":" in url or ".." in re.split(r"[/\\]", url)


def _is_source(value: Any) -> bool:
    return value == "object_id" or (
        isinstance(value, list) and bool(value) and all(type(each) in (str, int) for each in value)
    )


def _dicts(value: Any) -> str | None:
    is_so = isinstance(value, list) and all(isinstance(each, dict) for each in value)
    return None if is_so else "must be a list of dicts"


# Checked where the other keys are known: by `dialect_schemas`.
_later = anything

COMMON: dict[str, Check] = {
    "type": a_text,
    "title": a_title,
    "note": text_in_languages,
    "tooltip": text_in_languages,
    "default": _later,
    "conditions": _later,
    "may_copy": a_bool,
    "style": a_style,
}

BY_TYPE: dict[str, dict[str, Check]] = {
    "object": {
        "properties": a_dict,
        "propertyOrder": _later,
        "required": _later,
        "template": lambda value: None if type(value) is int else "must be int",
        "recipes": _dicts,
        "show_more": _later,
    },
    "array": {"items": a_dict, "minItems": a_count, "maxItems": a_count, "defaultItems": a_count},
    "text": {
        "minLength": a_count,
        "maxLength": a_count,
        "choices": _choices,
        "pattern": _pattern,
        "multiline": a_bool,
        "markdown": a_bool,
        "placeholder": text_in_languages,
        "languages": _languages,
    },
    "bool": {},
    "quantity": {
        "units": _units,
        "min_magnitude": a_number,
        "max_magnitude": a_number,
        "display_digits": _display_digits,
        "placeholder": text_in_languages,
        "calculation": _calculation,
    },
    "datetime": {},
    "tags": {},
    "hazards": {},
    "sample": {},
    "measurement": {},
    "object_reference": {"action_id": _ids, "action_type_id": _ids, "filter_operator": _filter_operator},
    "user": {},
    "file": {"extensions": _extensions, "preview": a_bool},
    "timeseries": {"units": _units, "display_digits": _display_digits},
    "plotly_chart": {},
}

ROOT_ONLY: dict[str, Check] = {
    "displayProperties": _later,
    "batch": a_bool,
    "batch_name_format": a_text,
    "notebookTemplates": _notebook_templates,
    "workflow_view": a_dict,
    "workflow_views": _dicts,
    "workflow_show_more": a_list,
}

REQUIRED_KEYS = {
    "object": {"properties"},
    "array": {"items"},
    "quantity": {"units"},
    "timeseries": {"units"},
}
