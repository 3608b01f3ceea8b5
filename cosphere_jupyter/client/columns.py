"""Accounts and columns, as the catalogue tells them: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .query import Filter
from .text import plain


@dataclass(frozen=True)
class Account:
    """Somebody who may use the workspace; ``type`` is ``ADMIN`` or ``RESEARCHER``.

    ``disk_quota`` is how many bytes their results may take; None where there is no limit, or where it is not told.
    """

    id: int
    email: str
    type: str
    name: str = ""
    disk_quota: int | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Account | None:
        """Return the account of an entity; None for one that is gone."""
        if not data:
            return None
        quota = data.get("disk_quota")
        name = str(data.get("name") or "")
        return cls(int(data["id"]), str(data["email"]), str(data["type"]), name, None if quota is None else int(quota))


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table. Comparing it with a value makes a filter.

    >>> table["dep_delay"] > 30
    Filter('dep_delay > 30')

    ``distribution`` is what ``table.update_samples()`` found: ``{"value": …, "count": …}`` for the most frequent
    values, or, for numbers and times that are no enumeration, for equal bins named by their left edge (those of times
    have an ``end``, too); NULLs count for None.
    """

    name: str
    type: str
    size: int | float | None = None
    is_enum: bool = False
    is_nullable: bool = True
    distribution: tuple[Mapping[str, Any], ...] | None = None
    description: str = ""

    # What a class that defines __eq__ would lose.
    __hash__ = object.__hash__

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Column:
        """Return the column of an entry of an item's spec."""
        distribution = data.get("distribution")
        return cls(
            str(data["name"]),
            str(data.get("type", "")),
            data.get("size"),
            bool(data.get("is_enum")),
            bool(data.get("is_nullable")),
            # As JSON has them: of a page of tables there are hundreds of thousands.
            tuple(entry for entry in distribution if isinstance(entry, dict))
            if isinstance(distribution, list)
            else None,
            str(data.get("description") or ""),
        )

    def __gt__(self, value: Any) -> Filter:
        return self._compare(">", value)

    def __ge__(self, value: Any) -> Filter:
        return self._compare(">=", value)

    def __lt__(self, value: Any) -> Filter:
        return self._compare("<", value)

    def __le__(self, value: Any) -> Filter:
        return self._compare("<=", value)

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]
        return self._compare("=", value)

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]
        return self._compare("!=", value)

    def _compare(self, operator: str, value: Any) -> Filter:
        return Filter(self.name, operator, value)

    def __repr__(self) -> str:
        return f"<Column {plain(self.name)} {plain(self.kind)}>"

    @property
    def kind(self) -> str:
        """The type with its properties, for people."""
        words = [self.type, "enum" if self.is_enum else "", "" if self.is_nullable else "not null"]
        return " ".join(word for word in words if word)
