"""Who may use a route: declared for each method in the table of routes, checked in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Access(Enum):
    """What a caller must be."""

    OPEN = "anybody"
    PUBLIC = "anybody, as far as everyone may see it; a credential that is sent has to be good"
    SIGNED_LINK = "whoever holds a link that the workspace has signed"
    TASK_KEY = "any active account, or, where the operator opens statuses, whoever knows a task's key"
    ACCOUNT = "any active account"
    ADMIN = "an account of type ADMIN"


@dataclass(frozen=True)
class Route:
    """One row of the table: a pattern below the mount point, its handler, and each method's access."""

    pattern: str
    handler: type
    access: Mapping[str, Access]

    def allowed_methods(self) -> list[str]:
        """Return what goes into ``Allow``."""
        head = ["HEAD"] if "GET" in self.access else []
        return sorted({*self.access, *head, "OPTIONS"})
