"""The catalogue: which tables there are, and what their columns are."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

from .display import Html, fields, shortened, size_text, table
from .errors import CosphereError, UnknownColumn, UnknownTable, did_you_mean
from .query import Filter, Query

if TYPE_CHECKING:
    from .workspace import Workspace

ITEMS = "/catalogue/items/"
# How long names are good for tab completion.
NAMES_SECONDS = 10.0
MOST_NAMES = 10_000


@dataclass(frozen=True)
class Account:
    """Somebody who may use the workspace; ``type`` is ``ADMIN`` or ``RESEARCHER``."""

    id: int
    email: str
    type: str
    name: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Account | None:
        """Return the account of an entity; None for one that is gone."""
        if not data:
            return None
        return cls(int(data["id"]), str(data["email"]), str(data["type"]), str(data.get("name") or ""))


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table. Comparing it with a value makes a filter.

    >>> table["dep_delay"] > 30
    Filter('dep_delay > 30')
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
            None if distribution is None else tuple(distribution),
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
        return f"<Column {self.name} {self.kind}>"

    @property
    def kind(self) -> str:
        """The type with its properties, for people."""
        words = [self.type, "enum" if self.is_enum else "", "" if self.is_nullable else "not null"]
        return " ".join(word for word in words if word)


class Table(Html):
    """A table of the catalogue: ask it for columns and rows.

    >>> flights = ws.catalogue["flights"]
    >>> flights.columns
    >>> df = flights.select("carrier", "dep_delay").where("dep_delay > 30").to_pandas()
    """

    def __init__(self, workspace: Workspace, data: Mapping[str, Any]) -> None:
        self._workspace = workspace
        self._take(data)

    def _take(self, data: Mapping[str, Any]) -> None:
        self.id = int(data["id"])
        self.name = str(data["name"])
        self.executor_type = str(data["executor_type"])
        self.source: str | None = data.get("source")
        self.columns = [Column.from_json(column) for column in data["spec"]]
        self.sample: list[dict[str, Any]] = list(data.get("sample") or [])
        self.created_by = Account.from_json(data.get("created_by"))
        self.updated_by = Account.from_json(data.get("updated_by"))
        self.maintained_by = Account.from_json(data.get("maintained_by"))
        self._spec = data["spec"]

    @property
    def workspace(self) -> Workspace:
        """The workspace it belongs to."""
        return self._workspace

    def __getitem__(self, name: str) -> Column:
        """Return a column by name."""
        for column in self.columns:
            if column.name == name:
                return column
        close = did_you_mean(name, (column.name for column in self.columns))
        raise UnknownColumn(f"the table {self.name!r} has no column {name!r}{close}")

    def _ipython_key_completions_(self) -> list[str]:
        return [column.name for column in self.columns]

    def __iter__(self) -> Iterator[Column]:
        """Go through the columns."""
        return iter(self.columns)

    def check_columns(self, *names: str) -> None:
        """Raise ``UnknownColumn`` for names that are none of the table's."""
        for name in names:
            self[name]

    def select(self, *columns: str | Column) -> Query:
        """Return a query for these columns, in this order; without any for all of them.

        >>> table.select("carrier", "dep_delay")
        """
        for column in columns:
            if not isinstance(column, str | Column):
                raise TypeError(f"select takes names of columns, as in select('a', 'b'), not a {type(column).__name__}")
        names = [column if isinstance(column, str) else column.name for column in columns]
        self.check_columns(*names)
        return Query(self, tuple(names or [column.name for column in self.columns]))

    def update(
        self,
        *,
        spec: Sequence[Mapping[str, Any]] | None = None,
        maintained_by: Account | int | None = None,
        executor_type: str | None = None,
        source: str | None = None,
    ) -> Table:
        """Change what is given, keep the rest, and return this table. Needs an account of type ADMIN.

        With a new ``source`` and no ``spec`` the columns are read from the data again.
        """
        kind = executor_type or self.executor_type
        body: dict[str, Any] = {
            "maintained_by_id": _account_id(maintained_by or self.maintained_by or self._workspace.me),
            "executor_type": kind,
        }
        if spec is not None or kind != "DUCKDB" or source is None:
            body["spec"] = self._spec if spec is None else list(spec)
        if source is not None:
            body["source"] = source
        self._take(self._workspace.http.put(f"{ITEMS}{self.id}", body))
        return self

    def delete(self) -> None:
        """Take the table out of the catalogue; its data stay. Needs an account of type ADMIN."""
        self._workspace.http.delete(f"{ITEMS}{self.id}")
        self._workspace.catalogue.forget_names()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return NotImplemented
        return (self.id, self._workspace.url) == (other.id, other._workspace.url)

    def __hash__(self) -> int:
        return hash((self.id, self._workspace.url))

    def __repr__(self) -> str:
        return f"<Table {self.name!r} {self.executor_type} {len(self.columns)} columns>"

    def _repr_html_(self) -> str:
        note = f"{self.executor_type} {self.source or ''}"
        if self.maintained_by:
            note += f" · maintained by {self.maintained_by.email}"
        rows = [(each.name, each.kind, _size(each), each.description) for each in self.columns]
        return table(self.name, ("column", "type", "size", ""), rows, note)


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
        return f"<{self._title}: {len(self)} tables [{shown}{', …' if len(self) > 20 else ''}]>"

    def _repr_html_(self) -> str:
        return table(f"{self._title}: {len(self)}", ("table", "executor", "columns", "maintained by"), _rows(self))


class Catalogue(Collection[Table], Html):
    """All tables of the workspace, by name.

    >>> ws.catalogue.search("flights")
    >>> flights = ws.catalogue["flights"]
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._known: list[Table] | None = None
        self._read_at = 0.0

    def search(
        self, text: str = "", *, has_samples: bool | None = None, limit: int | None = None, offset: int = 0
    ) -> TableList:
        """Return the tables whose name contains one of the words of ``text``; without it all tables.

        ``has_samples`` keeps those with (or without) sample rows; ``limit`` and ``offset`` page.
        """
        tables = self._read(
            {"query": _query(text), "has_samples": has_samples, "limit": limit, "offset": offset or None}
        )
        return TableList(tables, f"Tables named like {text!r}" if text.split() else "Tables")

    def __getitem__(self, name: str) -> Table:
        """Return the table of exactly this name, or raise ``UnknownTable`` (a KeyError) with close names."""
        if not isinstance(name, str):
            raise TypeError(f"a table is found by its name, not by a {type(name).__name__}")
        for found in self._read({"name": name}) if name.strip() else []:
            if found.name == name:
                return found
        names = [each.name for each in self]
        raise UnknownTable(f"no table {name!r} in the catalogue{did_you_mean(name, names)}")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(found.name == name for found in self._read({"name": name}))

    def __iter__(self) -> Iterator[Table]:
        """Go through all tables, as they are now."""
        self._known, self._read_at = self._read({"limit": MOST_NAMES}), time.monotonic()
        return iter(self._known)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def create(
        self,
        *,
        name: str,
        executor_type: str = "DUCKDB",
        source: str | None = None,
        spec: Sequence[Mapping[str, Any]] | None = None,
        maintained_by: Account | int | None = None,
        sample: Sequence[Mapping[str, Any]] = (),
    ) -> Table:
        """Put a table into the catalogue. Needs an account of type ADMIN.

        A ``DUCKDB`` table reads files (Parquet, CSV, JSON) below the server's data folders; without ``spec`` its
        columns are read from them. ``maintained_by`` is you, if nobody else is named.

        >>> ws.catalogue.create(name="taxi", source="taxi/*.parquet")
        """
        body: dict[str, Any] = {
            "name": name,
            "executor_type": executor_type,
            "maintained_by_id": _account_id(maintained_by or self._workspace.me),
            "sample": list(sample),
        }
        if source is not None:
            body["source"] = source
        if spec is not None:
            body["spec"] = list(spec)
        created = Table(self._workspace, self._workspace.http.post(ITEMS, body))
        self.forget_names()
        return created

    def forget_names(self) -> None:
        """Read the names again for the next completion."""
        self._read_at = 0.0

    def _read(self, params: Mapping[str, Any]) -> list[Table]:
        query = {name: _parameter(value) for name, value in params.items() if value is not None}
        return [Table(self._workspace, item) for item in self._workspace.http.get(ITEMS, query)["items"]]

    def _ipython_key_completions_(self) -> list[str]:
        if self._known is None or time.monotonic() - self._read_at > NAMES_SECONDS:
            try:
                list(self)
            except CosphereError:
                return []
        return [each.name for each in self._known or []]

    def __repr__(self) -> str:
        known = (
            "not read yet: search() reads it" if self._known is None else f"{len(self._known)} tables when last read"
        )
        return f"<Catalogue of {self._workspace.url} ({known})>"

    def _repr_html_(self) -> str:
        if self._known is None:
            return fields("Catalogue", {"of": self._workspace.url, "": "not read yet: .search() shows all tables"})
        title = f"Catalogue of {self._workspace.url}: {len(self._known)} tables when last read"
        return table(title, ("table", "executor", "columns", "maintained by"), _rows(self._known))


def _rows(tables: Sequence[Table]) -> list[tuple[Any, ...]]:
    return [
        (
            each.name,
            each.executor_type,
            shortened(", ".join(column.name for column in each.columns)),
            each.maintained_by.email if each.maintained_by else "",
        )
        for each in tables
    ]


def _query(text: str) -> str | None:
    """Return words as the API's search grammar has them: any of them, each as it is written.

    Each word gets the operator *or*, so that one that begins with an operator means itself. The grammar joins a word
    that ends in an operator with the next one, and has no way to say otherwise: such ends are left out.
    """
    words = [word.rstrip("&|~") for word in text.split()]
    return " ".join(f"|{word}" for word in words if word) or None


def _parameter(value: Any) -> Any:
    return ("true" if value else "false") if isinstance(value, bool) else value


def _account_id(account: Account | int) -> int:
    return account if isinstance(account, int) else account.id


def _size(column: Column) -> str:
    return size_text(int(column.size)) if isinstance(column.size, int | float) else ""
