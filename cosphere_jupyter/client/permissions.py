"""Who may see a table. An ADMIN always may; others by what is given to everyone, to their groups, or to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .columns import Account
    from .table import Table

LEVELS = ("none", "read", "write", "grant")


@dataclass(frozen=True)
class Permission:
    """``level`` (none, read, write or grant) for an ``account``, a ``group``, or, with the id 0, for ``everyone``."""

    subject_type: str
    subject_id: int
    level: str

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Permission:
        """Return the permission of an answer."""
        return cls(str(data["subject_type"]), int(data.get("subject_id") or 0), str(data["level"]))

    @property
    def spec(self) -> dict[str, Any]:
        """Its JSON."""
        return {"subject_type": self.subject_type, "subject_id": self.subject_id, "level": self.level}


class Permissions:
    """The permissions of a table; needs an account of type ADMIN.

    >>> list(table.permissions)
    [Permission(subject_type='everyone', subject_id=0, level='read')]
    >>> table.permissions.give("none")               # to everyone
    >>> table.permissions.give("read", account=7)    # by its id, or the account itself
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def __iter__(self) -> Iterator[Permission]:
        """Go through what is given, as it is now."""
        return iter(self._taken(self._table.workspace.http.get(self._path)))

    def give(self, level: str, *, account: Account | int | None = None, group: int | None = None) -> list[Permission]:
        """Give a level to an account, a group, or else to everyone; what others have stays. Returns all of them."""
        if level not in LEVELS:
            raise ValueError(f"a level is one of {', '.join(LEVELS)}, not {level!r}")
        if account is not None and group is not None:
            raise ValueError("give names an account or a group, not both")
        if account is not None:
            subject = ("account", account if isinstance(account, int) else account.id)
        else:
            subject = ("everyone", 0) if group is None else ("group", group)
        others = [each for each in self if (each.subject_type, each.subject_id) != subject]
        return self.replace(*others, Permission(*subject, level))

    def replace(self, *permissions: Permission) -> list[Permission]:
        """Make these all that is given, and return them as they are now."""
        body = {"permissions": [each.spec for each in permissions]}
        return self._taken(self._table.workspace.http.put(self._path, body))

    @property
    def _path(self) -> str:
        return f"{self._table.path}/permissions/"

    @staticmethod
    def _taken(answer: Mapping[str, Any]) -> list[Permission]:
        return [Permission.from_json(each) for each in answer["permissions"]]

    def __repr__(self) -> str:
        return f"<Permissions of {self._table.name!r}: list() reads them>"
