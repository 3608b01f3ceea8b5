"""Finding worksheets: by a spec, which names one, and by keywords, which are all true of what they find.

Whoever may not read a worksheet does not find it. Source: the CodaLab REST API's semantics, sections 4 and 6.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, false, literal, or_, select

from ..accounts.groups import find_group, subject_of_group
from ..accounts.profiles import account_id_of, account_named
from ..accounts.service import Account
from ..errors import Unauthenticated
from ..json_values import LARGEST_ID
from ..permissions.service import Level, resources_given_to, resources_of_groups
from .access import READ, WORKSHEET, demand_level, level_of, may_read, user_name_of
from .ids import is_name, is_uuid, is_uuid_prefix
from .problems import Missing, Refused
from .search_terms import MOST_KEYWORDS, MOST_VALUES, Pattern
from .tables import worksheet_items, worksheet_tags, worksheets
from .worksheets import Worksheet, read_worksheet, store_worksheet, with_tags

HOME = "/"
HOME_PREFIX = "home-"
NAMES = "Names must match ^[a-zA-Z_][a-zA-Z0-9_.\\-]*$, was {}"
LONGEST_NAME = 256
DEFAULT_LIMIT = 10
_TEXTS = {"uuid": worksheets.c.uuid, "name": worksheets.c.name, "title": worksheets.c.title}
_ORDERS: dict[str, ColumnElement[Any]] = {
    **_TEXTS,
    "id": worksheets.c.id,
    # Those that are anonymous stand together: their places do not tell whose they are.
    "owner_id": case((worksheets.c.is_anonymous.is_(False), worksheets.c.owner_id)),
}
_KEYWORD = re.compile(r"([.\w/]*)=(.*)", re.DOTALL)
_ESCAPE = "\\"


# -- specs -----------------------------------------------------------------------------------------------------------


def home_name(connection: Connection, reader: Account) -> str:
    """Return the name of the worksheet that an account begins with."""
    return f"{HOME_PREFIX}{user_name_of(connection, reader)}"


def needs_home(connection: Connection, specs: Sequence[str], reader: Account) -> bool:
    """Whether specs name the caller's home worksheet, and it has not been made yet."""
    is_home = any(spec in ("", HOME, home_name(connection, reader)) for spec in specs)
    return is_home and _home(connection, reader)[1] is None


def make_home(connection: Connection, reader: Account) -> Worksheet:
    """Return the home worksheet of an account, made if it is not there."""
    name, found = _home(connection, reader)
    return found or store_worksheet(connection, name, reader.id)


def _home(connection: Connection, reader: Account) -> tuple[str, Worksheet | None]:
    """Return the name of an account's home worksheet, and the worksheet if it is there."""
    name = home_name(connection, reader)
    found = _named(connection, name)
    if found is None or found.owner_id == reader.id:
        return name, found
    # Somebody else was called so before, or it was given away.
    other = f"{name}-{reader.id}"
    return other, _named(connection, other)


def find_worksheet(connection: Connection, spec: str, reader: Account | None) -> Worksheet:
    """Return the worksheet of a spec: a uuid, the beginning of one, a name, or ``/`` for the caller's home worksheet.

    ``Missing`` where there is none that the caller may read; of a whole uuid it is told that it may not be read.
    """
    if spec in ("", HOME):
        if reader is None:
            raise Unauthenticated("COULD_NOT_FIND_AUTH_TOKEN")
        name, found = _home(connection, reader)
        spec = name if found is None else found.uuid
    if is_uuid(spec):
        return read_worksheet_for(connection, spec, reader)
    if is_uuid_prefix(spec):
        return _by_prefix(connection, spec, reader)
    if not is_name(spec):
        raise Refused(NAMES.format(spec))
    found = _named(connection, spec)
    if found is None or level_of(connection, found.id, reader, WORKSHEET) < READ:
        raise Missing(f"No worksheet found with name '{spec}'")
    return found


def read_worksheet_for(connection: Connection, uuid: str, reader: Account | None) -> Worksheet:
    """Return a worksheet by its uuid; ``Missing`` if there is none, ``AccessDenied`` if the caller may not read it."""
    found = read_worksheet(connection, uuid)
    if found is None:
        raise Missing(f"Could not find worksheet with uuid {uuid}")
    demand_level(connection, uuid, found.id, reader, READ, WORKSHEET)
    return found


def check_name(connection: Connection, name: Any, owner: Account) -> str:
    """Return a name that a worksheet may be given now, or raise ``Refused``."""
    if not is_name(name) or len(name) > LONGEST_NAME:
        raise Refused(NAMES.format(str(name)[:LONGEST_NAME]))
    if name.startswith(HOME_PREFIX) and name != home_name(connection, owner):
        raise Refused(f"Cannot create {name} because this is potentially the home worksheet of another user")
    if _named(connection, name) is not None:
        raise Refused(f"Worksheet with name {name} already exists")
    return str(name)


def _named(connection: Connection, name: str) -> Worksheet | None:
    rows = connection.execute(select(worksheets).where(worksheets.c.name == name)).all()
    return with_tags(connection, rows)[0] if rows else None


def _by_prefix(connection: Connection, prefix: str, reader: Account | None) -> Worksheet:
    fits = worksheets.c.uuid.startswith(prefix) & may_read(worksheets.c.id, reader, WORKSHEET)
    rows = connection.execute(select(worksheets).where(fits).limit(2)).all()
    if not rows:
        raise Missing(f"uuid prefix {prefix} doesn't match any worksheets")
    if len(rows) > 1:
        raise Refused(f"More than one worksheet has uuid prefix {prefix}")
    return with_tags(connection, rows)[0]


# -- keywords --------------------------------------------------------------------------------------------------------


@dataclass
class _Wanted:
    conditions: list[ColumnElement[bool]] = field(default_factory=list)
    orders: list[ColumnElement[Any]] = field(default_factory=list)
    limit: int = DEFAULT_LIMIT
    offset: int = 0


def search_worksheets(connection: Connection, keywords: Sequence[str], reader: Account | None) -> list[Worksheet]:
    """Return the worksheets that all keywords are true of: the caller's own first, then what was changed last."""
    if len(keywords) > MOST_KEYWORDS:
        raise Refused(f"A search has at most {MOST_KEYWORDS} keywords.")
    wanted = _Wanted()
    for keyword in keywords:
        _take(connection, keyword, reader, wanted)
    is_mine = worksheets.c.owner_id == (reader.id if reader else 0)
    orders = wanted.orders or [is_mine.desc(), worksheets.c.updated_at.desc()]
    query = (
        select(worksheets)
        .where(may_read(worksheets.c.id, reader, WORKSHEET), *wanted.conditions)
        .order_by(*orders, worksheets.c.id.desc())
        .limit(wanted.limit)
        .offset(wanted.offset)
    )
    return with_tags(connection, connection.execute(query).all())


def _take(connection: Connection, keyword: str, reader: Account | None, wanted: _Wanted) -> None:
    """Take one keyword into account."""
    Pattern.of(keyword)
    if keyword.count(",") >= MOST_VALUES:
        raise Refused(f"A keyword has at most {MOST_VALUES} values.")
    found = _KEYWORD.fullmatch(keyword)
    key, value = (found[1], found[2]) if found else ("", keyword)
    if found is None and key == "" and value in _FLAGS:
        wanted.conditions.append(_FLAGS[value](reader))
    elif value == ".last" and found is None:
        wanted.orders.append(worksheets.c.id.desc())
    elif key in (".limit", ".offset"):
        setattr(wanted, key[1:], _number(value))
    elif key and value in (".sort", ".sort-"):
        if key not in _ORDERS:
            raise Refused(f"Unknown key: {key}")
        wanted.orders.append(_ORDERS[key].desc() if value.endswith("-") else _ORDERS[key].asc())
    elif key:
        wanted.conditions.append(_condition(connection, key, value, reader))
    elif value:
        pattern = f"%{_pattern(value)}%"
        wanted.conditions.append(or_(*(each.ilike(pattern, escape=_ESCAPE) for each in _TEXTS.values())))


def _mine(reader: Account | None) -> ColumnElement[bool]:
    return false() if reader is None else worksheets.c.owner_id == reader.id


def _not_mine(reader: Account | None) -> ColumnElement[bool]:
    return worksheets.c.owner_id != (reader.id if reader else 0)


def _shared(reader: Account | None) -> ColumnElement[bool]:
    if reader is None:
        return false()
    return worksheets.c.id.in_(resources_of_groups(literal(reader.id), WORKSHEET, Level.READ))


_FLAGS = {".mine": _mine, ".notmine": _not_mine, ".shared": _shared}


def _condition(connection: Connection, key: str, value: str, reader: Account | None) -> ColumnElement[bool]:
    if key in _TEXTS:
        return _fits(_TEXTS[key], value)
    if key == "id":
        ids = [int(each) for each in value.split(",") if each.isascii() and each.isdecimal() and len(each) <= 18]
        return worksheets.c.id.in_([each for each in ids if each <= LARGEST_ID])
    if key == "owner_id":
        return _owned_by([account_id_of(each) for each in value.split(",")], reader)
    if key == "owner":
        return _owned_by([account_named(connection, each) for each in value.split(",")], reader)
    if key in ("tag", "tags"):
        return worksheets.c.id.in_(select(worksheet_tags.c.worksheet_id).where(_fits(worksheet_tags.c.tag, value)))
    if key in ("bundle", "worksheet"):
        items = worksheet_items.c
        return worksheets.c.id.in_(
            select(items.worksheet_id).where(
                _fits(items.bundle_uuid if key == "bundle" else items.subworksheet_uuid, value)
            )
        )
    if key == "group":
        return worksheets.c.id.in_(_of_group(connection, value, reader))
    raise Refused(f"Unknown key: {key[:100]}")


def _owned_by(account_ids: Sequence[int | None], reader: Account | None) -> ColumnElement[bool]:
    """Return the condition that one of some accounts owns it; whose an anonymous one is, no search tells."""
    is_owned = worksheets.c.owner_id.in_([each for each in account_ids if each is not None])
    if reader is not None and reader.is_admin:
        return is_owned
    return is_owned & or_(worksheets.c.is_anonymous.is_(False), _mine(reader))


def _of_group(connection: Connection, spec: str, reader: Account | None) -> Select[tuple[int]]:
    subject = subject_of_group(connection, find_group(connection, spec, reader).uuid)
    if subject is None:
        raise Missing(f"Found no group with name '{spec}'")
    return resources_given_to(WORKSHEET, subject, Level.READ)


def _fits(column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """Return the condition that a column is one of the values that commas separate; wildcards ignore case."""
    values = value.split(",")
    exact = [each for each in values if not _is_pattern(each)]
    patterns = [column.ilike(_pattern(each), escape=_ESCAPE) for each in values if _is_pattern(each)]
    return or_(column.in_(exact), *patterns)


def _is_pattern(text: str) -> bool:
    return "%" in text or ".*" in text


def _pattern(text: str) -> str:
    """Return what LIKE has for a text with the wildcards ``.*`` and ``%``."""
    escaped = text.replace(_ESCAPE, _ESCAPE * 2).replace("_", f"{_ESCAPE}_")
    return escaped.replace(".*", "%")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Refused(f"Invalid int {text[:40]!r}")
    return min(int(text), LARGEST_ID)
