"""What keywords mean, in plain Python over a list: the other opinion to which searches in SQL are held."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

ROOT, ROSA, OTTO = 1, 2, 3
NUMERIC = {"time", "exitcode", "request_cpus", "created", "request_network", "request_memory"}
SYNONYMS = {"type": "bundle_type", "size": "data_size", "worksheet": "host_worksheet"}


@dataclass
class Known:
    """A bundle, and what stands in other tables about it."""

    id: int
    uuid: str
    owner: int
    bundle_type: str
    state: str
    command: str | None
    metadata: dict[str, Any]
    is_public: bool = False
    is_in_group: bool = False
    is_anonymous: bool = False
    worksheets: tuple[str, ...] = ()
    dependencies: tuple[tuple[str, str], ...] = ()

    def texts(self, key: str) -> list[str]:
        value = self.metadata.get(key)
        if value is None:
            return []
        return [str(each) for each in value] if isinstance(value, list) else [str(value)]


@dataclass
class World:
    """All bundles; ``members`` are in the one group, ``worksheets`` are those that everyone may read."""

    bundles: list[Known]
    names: dict[str, int]
    user_ids: dict[str, int]
    members: tuple[int, ...]
    readable_worksheets: tuple[str, ...] = ()
    found: list[Known] = field(default_factory=list)

    def may_read(self, bundle: Known, reader: int | None) -> bool:
        in_group = bundle.is_in_group and reader in self.members
        return reader == ROOT or bundle.is_public or bundle.owner == reader or in_group

    def search(self, keywords: Sequence[str], reader: int | None) -> Any:
        """Return uuids in order, or the number of an aggregate."""
        order, down, limit, offset, aggregate = "id", False, 10, 0, None
        found = [each for each in self.bundles if self.may_read(each, reader)]
        for keyword in keywords:
            key, equals, value = keyword.partition("=")
            key = SYNONYMS.get(key, key)
            if keyword == ".last":
                order, down = "id", True
            elif keyword == ".count":
                aggregate, limit = "count", None
            elif key == ".limit":
                limit = int(value)
            elif key == ".offset":
                offset = int(value)
            elif value in (".sort", ".sort-") and key:
                order, down = key, value.endswith("-")
            elif value == ".sum":
                aggregate, limit = key, None
            else:
                found = [each for each in found if self._holds(keyword, key, bool(equals), value, each, reader)]
        # Without the value that orders, none is found; the aggregate is of what a list would show.
        if order not in ("id", "data_size", "name", "state", "bundle_type", "owner_id") and (
            aggregate is None or limit is not None or offset
        ):
            found = [each for each in found if order in each.metadata]
        found = sorted(found, key=lambda each: (_rank(each, order), each.id), reverse=down)
        found = found[offset:] if limit is None else found[offset : offset + limit]
        if aggregate is None:
            return [each.uuid for each in found]
        if aggregate == "count":
            return len(found)
        return sum(_number(each, aggregate) or 0 for each in found)

    def _holds(self, keyword: str, key: str, equals: bool, value: str, each: Known, reader: int | None) -> bool:
        if not equals:
            return self._word_holds(keyword, each, reader)
        if key == "":
            texts = [each.uuid, each.command or "", *(text for name in each.metadata for text in each.texts(name))]
            return any(_contains(text, value) for text in texts)
        if key in (".before", ".after"):
            created, moment = each.metadata["created"], datetime.fromisoformat(value)
            asked = moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
            return created <= asked if key == ".before" else created >= asked
        values = value.split(",")
        if key in ("owner", "owner_id"):
            ids = self.names if key == "owner" else self.user_ids
            is_told = not each.is_anonymous or reader in (ROOT, each.owner)
            return is_told and any(ids.get(one) == each.owner for one in values)
        if key == "group":
            return each.is_public if value == "public" else each.is_in_group
        if key == "host_worksheet":
            seen = [text for text in each.worksheets if reader == ROOT or text in self.readable_worksheets]
            return any(_is(text, one) for text in seen for one in values)
        if key.startswith("dependency"):
            under = key.partition("/")[2]
            parents = [uuid for path, uuid in each.dependencies if not under or path == under]
            return any(_is(parent, one) for parent in parents for one in values)
        return any(_field_is(each, key, one) for one in values)

    def _word_holds(self, word: str, each: Known, reader: int | None) -> bool:
        if word == ".mine":
            return each.owner == reader
        if word == ".shared":
            return each.is_in_group and reader in self.members
        if word == ".floating":
            return not each.worksheets
        return _contains(each.uuid, word) or _contains(each.metadata["name"], word)


def _field_is(each: Known, key: str, value: str) -> bool:
    columns = {"uuid": each.uuid, "state": each.state, "bundle_type": each.bundle_type, "command": each.command}
    if key in columns:
        return columns[key] is not None and _is(str(columns[key]), value)
    if key in ("id", "data_size"):
        number = each.id if key == "id" else each.metadata["data_size"]
        return _is(str(number), value) or _as_number(key, value) == number
    if key in NUMERIC and (wanted := _as_number(key, value)) is not None:
        return _number(each, key) == wanted
    return any(_is(text, value) for text in each.texts(key))


def _is(text: str, value: str) -> bool:
    if "%" not in value and ".*" not in value:
        return text == value
    return re.fullmatch(_pattern(value), text.lower(), re.DOTALL) is not None


def _contains(text: str, value: str) -> bool:
    return re.search(_pattern(value), text.lower(), re.DOTALL) is not None


def _pattern(value: str) -> str:
    return ".*".join(re.escape(part) for part in value.lower().replace(".*", "%").split("%"))


def _as_number(key: str, text: str) -> float | None:
    if key == "request_memory":
        return float(text[:-1]) * {"m": 2**20, "g": 2**30}[text[-1]] if re.fullmatch(r"\d+[mg]", text) else None
    if key == "request_network":
        return {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}.get(text.lower())
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else None


def _number(each: Known, key: str) -> float | None:
    value = each.metadata.get(key)
    if isinstance(value, str):
        return _as_number(key, value)
    return None if value is None else float(value)


def _rank(each: Known, order: str) -> Any:
    if order == "id":
        return each.id
    if order == "owner_id":
        return 0 if each.is_anonymous else each.owner
    if order in ("name", "state", "bundle_type"):
        return each.metadata["name"] if order == "name" else getattr(each, order)
    number = _number(each, order)
    return (number is not None, number or 0.0)
