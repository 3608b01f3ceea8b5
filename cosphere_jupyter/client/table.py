"""A table of the catalogue: what its columns are, and where its queries begin."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .columns import Account, Column
from .display import Html, catalogue_table
from .errors import ServerUnavailable, UnknownColumn, did_you_mean
from .http import ServerTakesLong
from .permissions import Permissions
from .query import Filter, Query
from .text import plain

if TYPE_CHECKING:
    import pandas as pd

    from .requests import Request
    from .workspace import Workspace

ITEMS = "/catalogue/items/"
# Looking at all of a big table takes its time; who does not wait only hands it in.
PROFILE_SECONDS = 3600.0
HAND_IN_SECONDS = 2.0


class Table(Html):
    """A table of the catalogue: ask it for columns and rows. ``sample_rows`` are some that the server has stored.

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
        self.description = str(data.get("description") or "")
        self.tags = tuple(map(str, data.get("tags") or ()))
        self.executor_type = str(data["executor_type"])
        self.source: str | None = data.get("source")
        self.columns = [Column.from_json(column) for column in data["spec"]]
        self.sample_rows: list[dict[str, Any]] = list(data.get("sample") or [])
        self.created_by = Account.from_json(data.get("created_by"))
        self.updated_by = Account.from_json(data.get("updated_by"))
        self.maintained_by = Account.from_json(data.get("maintained_by"))
        self._spec = data["spec"]

    @property
    def workspace(self) -> Workspace:
        """The workspace it belongs to."""
        return self._workspace

    @property
    def permissions(self) -> Permissions:
        """Who may see it; needs an account of type ADMIN."""
        # Made anew each time: two that hold each other would stay in memory until Python looks for circles.
        return Permissions(self)

    @property
    def path(self) -> str:
        """Where it lies in the API."""
        return f"{ITEMS}{self.id}"

    def refresh(self) -> Table:
        """Read it again and return it."""
        self._take(self._workspace.http.get(self.path))
        return self

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

    # -- where queries begin -----------------------------------------------------------------------------------------

    def select(self, *columns: str | Column) -> Query:
        """Return a query for these columns, in this order; without any for all of them.

        >>> table.select("carrier", "dep_delay")
        """
        return Query(self).select(*columns)

    def where(self, *filters: str | Filter) -> Query:
        """Return a query for all columns of the rows for which all filters hold.

        >>> table.where("dep_delay > 30", table["carrier"] == "UA")
        """
        return self.select().where(*filters)

    def sample(self, ratio: float, seed: int | None = None) -> Query:
        """Return a query for a sample of the rows; ``sample_rows`` are the ones that the catalogue shows.

        >>> table.sample(0.1).to_pandas()
        """
        return self.select().sample(ratio, seed)

    def request(self) -> Request:
        """Ask the server for all of the table."""
        return self.select().request()

    # -- changing it -------------------------------------------------------------------------------------------------

    def update(
        self,
        *,
        spec: Sequence[Mapping[str, Any]] | None = None,
        maintained_by: Account | int | None = None,
        executor_type: str | None = None,
        source: str | None = None,
        description: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> Table:
        """Change what is given, keep the rest, and return this table. Needs an account of type ADMIN.

        With a new ``source`` and no ``spec`` the columns are read from the data again.
        """
        kind = executor_type or self.executor_type
        body: dict[str, Any] = {
            "maintained_by_id": account_id(maintained_by or self.maintained_by or self._workspace.me),
            "executor_type": kind,
        }
        if spec is not None or kind != "DUCKDB" or source is None:
            body["spec"] = self._spec if spec is None else list(spec)
        given = {"source": source, "description": description, "tags": None if tags is None else words(tags)}
        body.update({name: value for name, value in given.items() if value is not None})
        self._take(self._workspace.http.put(self.path, body))
        return self

    # -- what is in it -----------------------------------------------------------------------------------------------

    def update_samples(self, wait: bool = True) -> Table:
        """Let the server look at all rows: columns get sizes and distributions, and the table a sample. Returns it.

        Of a big table that takes a while; without ``wait`` it only begins, and ``refresh()`` shows it when it is done.
        Needs an account of type ADMIN.

        >>> flights.update_samples()
        >>> flights["carrier"].distribution
        ({'value': 'UA', 'count': 58665}, …)
        """
        path = f"{self.path}/samples_and_distributions/"
        deadline = time.monotonic() + PROFILE_SECONDS
        while wait:
            try:
                # Whoever asks again waits for the same work.
                self._workspace.http.put(path, {}, wait=PROFILE_SECONDS, is_repeatable=True)
                return self.refresh()
            except ServerUnavailable as error:
                # A proxy on the way has less patience.
                if error.status != 504 or time.monotonic() > deadline:
                    raise
        try:
            self._workspace.http.put(path, {}, timeout=HAND_IN_SECONDS)
        except ServerTakesLong:
            return self
        return self.refresh()

    async def update_samples_async(self, wait: bool = True) -> Table:
        """``update_samples`` for coroutines."""
        import asyncio

        return await asyncio.to_thread(self.update_samples, wait)

    def sample_frame(self) -> pd.DataFrame:
        """Return ``sample_rows`` as a DataFrame with the columns' types; empty before ``update_samples``."""
        from .frames import sample_frame

        return sample_frame(self.columns, self.sample_rows)

    def delete(self) -> None:
        """Take the table out of the catalogue; its data stay. Needs an account of type ADMIN."""
        self._workspace.http.delete(self.path)
        self._workspace.catalogue.forget_names()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return NotImplemented
        return (self.id, self._workspace.url) == (other.id, other._workspace.url)

    def __hash__(self) -> int:
        return hash((self.id, self._workspace.url))

    def __repr__(self) -> str:
        return f"<Table {self.name!r} {plain(self.executor_type)} {len(self.columns)} columns>"

    def _repr_html_(self) -> str:
        return catalogue_table(self)


def account_id(account: Account | int) -> int:
    """Return the id of an account."""
    return account if isinstance(account, int) else account.id


def words(tags: Sequence[str]) -> list[str]:
    """Return tags as they are sent; one text is no list of tags."""
    if isinstance(tags, str):
        raise TypeError(f"tags are a list of words, as in [{tags!r}]")
    return list(tags)
