"""The catalogue: which tables there are."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from .columns import Account, Column
from .display import Html, catalogue_list, fields
from .errors import CosphereError, UnknownTable, did_you_mean
from .table import ITEMS, Table, account_id, words
from .text import counted

if TYPE_CHECKING:
    from .workspace import Workspace

__all__ = ["Account", "Catalogue", "Column", "Table", "TableList"]

# How long names are good for tab completion, and of how many tables.
NAMES_SECONDS = 10.0
MOST_NAMES = 1000
PAGE = 100
JUST_NOW = 1.0
# Of how many tables a name that is not there may be a slip of the pen, and the pieces that these are found by.
MOST_CLOSE = 100
PIECE, MOST_PIECES = 3, 20


class TableList(Sequence[Table], Html):
    """Tables that a search found."""

    def __init__(self, tables: Sequence[Table], title: str) -> None:
        self._tables = list(tables)
        self._title = title

    @overload
    def __getitem__(self, index: int) -> Table: ...
    @overload
    def __getitem__(self, index: slice) -> TableList: ...
    def __getitem__(self, index: int | slice) -> Table | TableList:
        """Return one table by its place, or some."""
        if isinstance(index, slice):
            return TableList(self._tables[index], self._title)
        return self._tables[index]

    def __len__(self) -> int:
        return len(self._tables)

    def __repr__(self) -> str:
        shown = ", ".join(repr(each.name) for each in self._tables[:20])
        return f"<{self._title}: {counted(len(self), 'table')} [{shown}{', …' if len(self) > 20 else ''}]>"

    def _repr_html_(self) -> str:
        return catalogue_list(f"{self._title}: {len(self):,}", self._tables)


class Catalogue(Collection[Table], Html):
    """All tables of the workspace, by name.

    >>> ws.catalogue.search("flights")
    >>> flights = ws.catalogue["flights"]
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: list[Table] | None = None
        self._counted_at = -math.inf
        self._names: list[str] | None = None
        self._read_at = 0.0

    def search(
        self,
        text: str = "",
        *,
        tag: str | None = None,
        has_samples: bool | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> TableList:
        """Return the tables whose name contains one of the words of ``text``; without it all tables.

        ``tag`` keeps those with this tag, ``has_samples`` those with (or without) sample rows; ``limit`` and ``offset``
        page.

        >>> ws.catalogue.search("temperature", tag="iot")
        """
        params = {"query": _query(text), "tag": tag, "has_samples": has_samples}
        tables = self._read_pages(params, limit, offset)
        title = f"Tables named like {text!r}" if text.split() else "Tables"
        return TableList(tables, title if tag is None else f"{title} with the tag {tag!r}")

    def __getitem__(self, name: str) -> Table:
        """Return the table of exactly this name, or raise ``UnknownTable`` (a KeyError) with close names."""
        if not isinstance(name, str):
            raise TypeError(f"a table is found by its name, which is a str; this is of type {type(name).__name__}")
        for found in self._read({"name": name}) if name.strip() else []:
            if found.name == name:
                return found
        raise UnknownTable(f"no table {name!r} in the catalogue{did_you_mean(name, self._names_like(name))}")

    def _names_like(self, name: str) -> list[str]:
        """Return names that have a piece of this one: of many tables not all are read for a slip of the pen."""
        text = "".join(name.split())
        pieces = [text[place : place + PIECE] for place in range(max(len(text) - PIECE + 1, 1))]
        query = _query(" ".join(pieces[:MOST_PIECES]))
        return [each.name for each in self._read({"query": query, "limit": MOST_CLOSE})] if query else []

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(found.name == name for found in self._read({"name": name}))

    def __iter__(self) -> Iterator[Table]:
        """Go through all tables, as they are now."""
        self._known = self._read_pages({})
        self._counted_at = time.monotonic()
        return iter(self._known)

    def __len__(self) -> int:
        # list() goes through all and then asks how many there are.
        if self._known is None or time.monotonic() - self._counted_at > JUST_NOW:
            list(iter(self))
        return len(self._known or ())

    def create(
        self,
        *,
        name: str,
        executor_type: str = "DUCKDB",
        source: str | None = None,
        spec: Sequence[Mapping[str, Any]] | None = None,
        maintained_by: Account | int | None = None,
        sample: Sequence[Mapping[str, Any]] = (),
        description: str = "",
        tags: Sequence[str] = (),
    ) -> Table:
        """Put a table into the catalogue. Needs an account of type ADMIN.

        A ``DUCKDB`` table reads files (Parquet, CSV, JSON) below the server's data folders; without ``spec`` its
        columns are read from them. ``maintained_by`` is you, if nobody else is named.

        >>> ws.catalogue.create(name="taxi", source="taxi/*.parquet")
        """
        body: dict[str, Any] = {
            "name": name,
            "executor_type": executor_type,
            "maintained_by_id": account_id(maintained_by or self._workspace.me),
            "sample": list(sample),
        }
        if source is not None:
            body["source"] = source
        if spec is not None:
            body["spec"] = list(spec)
        if description:
            body["description"] = description
        if tags:
            body["tags"] = words(tags)
        created = Table(self._workspace, self._workspace.http.post(ITEMS, body))
        self.forget_names()
        return created

    def forget_names(self) -> None:
        """Read the names again for the next completion."""
        self._names = None
        self._counted_at = -math.inf

    def _read_pages(self, params: Mapping[str, Any], limit: int | None = None, offset: int = 0) -> list[Table]:
        """Read ``limit`` tables (None: all) from ``offset`` on, some at a time: each comes with all of its sample."""
        found: list[Table] = []
        while True:
            wanted = PAGE if limit is None else min(PAGE, limit - len(found))
            page = self._read({**params, "limit": wanted, "offset": offset + len(found) or None})
            found.extend(page)
            if len(page) < wanted or len(found) == limit:
                return found

    def _read(self, params: Mapping[str, Any]) -> list[Table]:
        query = {name: _parameter(value) for name, value in params.items() if value is not None}
        return [Table(self._workspace, item) for item in self._workspace.http.get(ITEMS, query)["items"]]

    def _ipython_key_completions_(self) -> list[str]:
        if self._names is None or time.monotonic() - self._read_at > NAMES_SECONDS:
            try:
                # Pressing Tab asks nobody to sign in.
                with self._workspace.http.without_signing_in():
                    self._names = [each.name for each in self._read({"limit": MOST_NAMES})]
            except CosphereError:
                return []
            self._read_at = time.monotonic()
        return self._names

    def __repr__(self) -> str:
        if self._known is None:
            return f"<Catalogue of {self._workspace.url} (not read yet: search() reads it)>"
        return f"<Catalogue of {self._workspace.url} ({counted(len(self._known), 'table')} when last read)>"

    def _repr_html_(self) -> str:
        if self._known is None:
            return fields("Catalogue", {"of": self._workspace.url, "": "not read yet: .search() shows all tables"})
        title = f"Catalogue of {self._workspace.url}: {counted(len(self._known), 'table')} when last read"
        return catalogue_list(title, self._known)


def _query(text: str) -> str | None:
    """Return words as the API's search grammar has them: any of them, each as it is written.

    Each word gets the operator *or*, so that one that begins with an operator means itself. The grammar joins a word
    that ends in an operator with the next one, and has no way to say otherwise: such ends are left out.
    """
    words = [word.rstrip("&|~") for word in text.split()]
    return " ".join(f"|{word}" for word in words if word) or None


def _parameter(value: Any) -> Any:
    return ("true" if value else "false") if isinstance(value, bool) else value
