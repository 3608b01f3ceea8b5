"""Download types: what can be asked for by name, and how the file of each is written.

A feature makes one more type by a `DownloadType`, or a `RowsType` if it is a table that the database gives by pages::

    columns = [Column("id", "integer"), Column("text")]
    exports.register(RowsType(database, "notes", "Your notes.", columns, page_of_notes))
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
from sqlalchemy import Connection

from ..accounts.service import Account
from ..database.engine import Database
from ..errors import FieldsInvalid
from ..permissions.service import Level
from ..tasks.engine import Call

RESOURCE = "download_type"
ROWS = "rows.jsonl"
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.file",
    "gz": "application/gzip",
}

Info = dict[str, Any]


class DownloadType:
    """A type of download: who may ask for it unless an ADMIN says otherwise, and how its file is made."""

    name: str
    description: str
    formats: tuple[str, ...]
    # What everyone who is signed in may do by default. READ: see own downloads; WRITE: also ask for new ones.
    default_level = Level.WRITE

    async def accept(self, info: Mapping[str, Any], caller: Account) -> Info:
        """Return ``info`` as it is stored, complete with defaults; ``FieldsInvalid`` if it is wrong.

        Keys that are not known are ignored. Fields are named as in the body: ``info.format``.
        """
        return self.options(info)

    def options(self, info: Mapping[str, Any]) -> Info:
        """Return what every type knows: ``format`` and, for CSV, ``spreadsheet``; ``FieldsInvalid`` if one is wrong."""
        errors = {}
        given, spreadsheet = info.get("format", self.formats[0]), info.get("spreadsheet", False)
        if given not in self.formats:
            errors["info.format"] = [f"must be one of: {', '.join(self.formats)}"]
        if not isinstance(spreadsheet, bool):
            errors["info.spreadsheet"] = ["must be true or false"]
        if errors:
            raise FieldsInvalid(errors)
        return {"format": given, "spreadsheet": spreadsheet}

    async def may_read(self, info: Info, caller: Account) -> bool:
        """Whether the creator may still have the file, besides the permission for the type; asked at every read."""
        return True

    async def prepare(self, info: Info, caller: Account, folder: Path) -> Call:
        """Say what a child shall do to write one file into ``folder`` (empty); see `child` for what it returns.

        Raises:
            ExecutionError: the file cannot be made; the text goes to the caller.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Column:
    """A column of a `RowsType`. ``json`` is an object or list: text in CSV and Parquet, itself in JSON lines."""

    name: str
    kind: Literal["integer", "text", "boolean", "time", "json"] = "text"


# Returns the rows after a mark (None: the first), and the mark of the last of them; no rows: that was all.
Page = Callable[[Connection, Account, Any], tuple[list[dict[str, Any]], Any]]


class RowsType(DownloadType):
    """A table of what the database knows: CSV, JSON lines or Parquet.

    The one process that has the database open writes the rows into a file, a page at a time; a child does the rest.
    """

    formats = ("csv", "json", "parquet")

    def __init__(self, database: Database, name: str, description: str, columns: Sequence[Column], page: Page) -> None:
        self.name = name
        self.description = description
        self._database = database
        self._columns = columns
        self._page = page

    async def prepare(self, info: Info, caller: Account, folder: Path) -> Call:
        """Write the rows of today, as the caller may see them."""
        rows_path = folder / ROWS
        await asyncio.to_thread(rows_path.touch)
        rows, mark = await self._read(caller, None)
        while rows:
            await asyncio.to_thread(_append, rows_path, rows)
            rows, mark = await self._read(caller, mark)
        params = {
            "rows": str(rows_path),
            "columns": [[column.name, column.kind] for column in self._columns],
            "file": str(folder / f"{self.name}.{info['format']}"),
            "spreadsheet": info["spreadsheet"],
        }
        return Call("cosphere_jupyter.exports.child:write_rows", params)

    async def _read(self, caller: Account, mark: Any) -> tuple[list[dict[str, Any]], Any]:
        return await self._database.read(lambda connection: self._page(connection, caller, mark))


def _append(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("ab") as out:
        out.write(b"".join(orjson.dumps(row) + b"\n" for row in rows))


class Types:
    """The registry, by name."""

    def __init__(self) -> None:
        self._types: dict[str, DownloadType] = {}

    def register(self, type_: DownloadType) -> None:
        """Add a type; ``ValueError`` if its name, or the number of its name, is taken."""
        if number_of(type_.name) in map(number_of, self._types):
            raise ValueError(f"there is a download type like {type_.name!r} already")
        self._types[type_.name] = type_

    def find(self, name: str) -> DownloadType | None:
        """Return the type with this name."""
        return self._types.get(name)

    def all(self) -> list[DownloadType]:
        """Return all types by name."""
        return [self._types[name] for name in sorted(self._types)]


def number_of(name: str) -> int:
    """Return the number that stands for a type in the table of permissions: 31 bits of its name's hash."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1
