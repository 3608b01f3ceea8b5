"""The requests of an account."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from .display import Html, fields, table
from .requests import REQUESTS, Request
from .text import size_text

if TYPE_CHECKING:
    from .workspace import Workspace


class Requests(Collection[Request], Html):
    """The requests that this account waits for, or has waited for.

    >>> list(ws.requests)
    >>> ws.requests[15].to_pandas()
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: list[Request] | None = None

    def __getitem__(self, request_id: int) -> Request:
        """Return the request with this id, or raise ``NotFound``."""
        return Request(self._workspace, self._workspace.http.get(f"{REQUESTS}{int(request_id)}"))

    def __iter__(self) -> Iterator[Request]:
        """Go through all requests, as they are now."""
        found = self._workspace.http.get(REQUESTS)["requests"]
        self._known = [Request(self._workspace, data) for data in found]
        return iter(self._known)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, request: object) -> bool:
        wanted = request.id if isinstance(request, Request) else request
        return any(found.id == wanted for found in self)

    def __repr__(self) -> str:
        known = "not read yet: list() reads them" if self._known is None else f"{len(self._known)} when last read"
        return f"<Requests of {self._workspace.url} ({known})>"

    def _repr_html_(self) -> str:
        if self._known is None:
            return fields("Requests", {"of": self._workspace.url, "": "not read yet: list(ws.requests) reads them"})
        rows = [
            (each.id, each.status, each.table.name, ", ".join(each.spec["columns"]), size_text(each.size))
            for each in self._known
        ]
        title = f"Requests: {len(rows)} when last read"
        return table(title, ("id", "status", "table", "columns", "size"), rows, len(rows))
