"""Finding users by keywords, which an ADMIN may do: there are as many as people, so that all of them are looked at.

Source: the CodaLab REST API's semantics, section 6. The words that all searches know are read by `search_terms`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from .durations import parse_bytes, parse_seconds
from .people import User
from .problems import Refused
from .search_terms import Condition, Field, Pattern, Search, Word, format_value, moment_of, parse

_WORDS = ("user_id", "user_name", "first_name", "last_name", "email", "affiliation")
_FIELDS: dict[str, Callable[[User], Any]] = {
    "id": lambda user: user.account.id,
    "user_id": lambda user: user.profile.user_id,
    "user_name": lambda user: user.profile.user_name,
    "first_name": lambda user: user.profile.first_name,
    "last_name": lambda user: user.profile.last_name,
    "email": lambda user: user.account.email,
    "affiliation": lambda user: user.profile.affiliation,
    "url": lambda user: user.profile.url,
    "notifications": lambda user: user.profile.notifications,
    "date_joined": lambda user: user.profile.joined_at,
    "last_login": lambda user: user.profile.last_login_at,
    "disk_used": lambda user: user.usage.disk_used,
    "disk_quota": lambda user: user.disk_quota,
    "time_used": lambda user: user.usage.time_used,
    "time_quota": lambda user: user.time_quota,
    "parallel_run_quota": lambda user: user.parallel_run_quota,
}
_WHEN = re.compile(r"\.(joined|active)_(before|after)=(.*)", re.DOTALL)
_HOW_MUCH = re.compile(r"\.(disk|time)_used_(more|less)_than=(.*)", re.DOTALL)
_SUMMED = ("disk_used", "disk_quota", "time_used", "time_quota", "notifications", "parallel_run_quota")

Test = Callable[[User], bool]


def search(users: Sequence[User], keywords: Sequence[str]) -> list[User] | float | str:
    """Return those of the users whom the keywords find, or the number that the keywords ask for."""
    others = [word for word in keywords if not _WHEN.fullmatch(word) and not _HOW_MUCH.fullmatch(word)]
    asked = parse(others)
    own = [_when(match) for word in keywords if (match := _WHEN.fullmatch(word))]
    own += [_how_much(match) for word in keywords if (match := _HOW_MUCH.fullmatch(word))]
    tests = [*own, *map(_test_of, asked.conditions)]
    found = _in_window([user for user in users if all(test(user) for test in tests)], asked)
    if asked.is_count:
        return format_value(len(found), asked.format)
    if asked.sum_of is not None:
        if asked.sum_of not in _SUMMED:
            raise Refused(f"Unknown key: {asked.sum_of[:40]}")
        return format_value(sum(_FIELDS[asked.sum_of](user) or 0 for user in found), asked.format)
    return found


def _in_window(found: list[User], asked: Search) -> list[User]:
    value = _field(asked.order_by)
    known = sorted((user for user in found if value(user) is not None), key=value, reverse=asked.descending)
    ordered = [*known, *(user for user in found if value(user) is None)]
    end = None if asked.limit is None else asked.offset + asked.limit
    return ordered[asked.offset : end]


def _field(key: str) -> Callable[[User], Any]:
    if key not in _FIELDS:
        raise Refused(f"Unknown key: {key[:40]}")
    return _FIELDS[key]


def _test_of(condition: Condition) -> Test:
    if isinstance(condition, Word):
        matches = _matcher(condition.pattern)
        return lambda user: any(matches(_text(_FIELDS[key](user))) for key in _WORDS)
    if isinstance(condition, Field):
        value = _field(condition.key)
        several = [_matcher(pattern) for pattern in condition.values]
        if condition.key == "id":  # what the API calls the id of a user is none of our numbers
            value = _FIELDS["user_id"]
        return lambda user: any(matches(_text(value(user))) for matches in several)
    raise Refused("This keyword finds bundles, not users.")


def _matcher(pattern: Pattern) -> Callable[[str], bool]:
    if pattern.exact is not None:
        return lambda text: text == pattern.exact
    parts = [part.casefold() for part in pattern.parts]
    return lambda text: _has_in_order(text.casefold(), parts)


def _has_in_order(text: str, parts: Sequence[str]) -> bool:
    """Whether a text begins with the first part, ends with the last, and has the others between them, in order."""
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else "" if value is None else str(value)


def _when(match: re.Match[str]) -> Test:
    value = _FIELDS["date_joined" if match[1] == "joined" else "last_login"]
    moment, is_before = moment_of(match[3]), match[2] == "before"

    def test(user: User) -> bool:
        then = value(user)
        return then is not None and (then <= moment if is_before else then >= moment)

    return test


def _how_much(match: re.Match[str]) -> Test:
    used, quota = _FIELDS[f"{match[1]}_used"], _FIELDS[f"{match[1]}_quota"]
    is_more, text = match[2] == "more", match[3].strip()
    try:
        is_share = text.endswith("%")
        if is_share:
            limit = float(text[:-1]) / 100
        else:
            limit = float(parse_bytes(text) if match[1] == "disk" else parse_seconds(text))
    except ValueError:
        raise Refused(f"Invalid amount {text[:40]!r}: write for example 50% or 2g") from None

    def test(user: User) -> bool:
        amount = used(user) / quota(user) if is_share else used(user)
        return bool(amount > limit if is_more else amount < limit)

    return test
