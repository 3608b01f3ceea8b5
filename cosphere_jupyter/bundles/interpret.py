"""A worksheet as it is to be shown: its lines, and blocks of text, tables, files, pictures and curves.

Everything in blocks is data; whoever shows them escapes it. What the reader may not see is masked, and what is not
there is said to be missing. Source: the CodaLab REST API's semantics, section 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from ..accounts.service import Account
from ..database.engine import Database
from .contents import Contents
from .genpaths import MOST_QUERIES, Genpaths, Query, is_of_file, post_process, value_of
from .ids import is_uuid
from .interpret_directives import BUNDLES, ERROR, SEARCH, WORKSHEETS, WSEARCH, Group, groups_of
from .interpret_files import Budget, FileBlocks
from .interpret_infos import bundle_info, missing_info, shown_by, views_of, worksheet_info
from .problems import Refused
from .search import search_bundles
from .views import BundleView
from .worksheet_search import read_worksheet_for, search_worksheets
from .worksheet_service import Shown, Wanted, show
from .worksheet_sources import written
from .worksheets import Item, read_worksheets

READY = {"code": "ready", "error_message": ""}
MOST_FOUND = 1000
# Searches of one worksheet, and bundles and worksheets that all of them show.
MOST_SEARCHES, MOST_FOUND_BY_ALL = 100, 5000
# What a cell takes besides its text.
_CELL = 64
Info = dict[str, Any]


@dataclass
class _Read:
    """What the database says of a worksheet: with what its groups stand for, in their order."""

    shown: Shown
    lines: list[list[str]]
    groups: list[Group]
    infos: list[list[Info]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Interpreted:
    """A worksheet as it is to be shown. ``raw_to_block`` has a pair (block, item) for each line, or None."""

    shown: Shown
    source: list[str]
    blocks: list[dict[str, Any]]
    raw_to_block: list[tuple[int, int] | None]


class Interpreter:
    """Shows worksheets, and values of files in bundles."""

    def __init__(self, database: Database, contents: Contents) -> None:
        self._database = database
        self._genpaths = Genpaths(contents)
        self._files = FileBlocks(contents, self._genpaths)

    async def worksheet(self, uuid: str, reader: Account | None) -> Interpreted:
        """Return a worksheet as it is to be shown; raises as `Worksheets.read` does."""
        read = await self._database.read(lambda connection: _read(connection, uuid, reader))
        budget = Budget()
        blocks: list[dict[str, Any]] = []
        places: dict[int, tuple[int, int]] = {}
        for group, infos, text in zip(read.groups, read.infos, read.texts, strict=True):
            budget.tell(await asyncio.to_thread(_size, infos))
            made = await self._blocks(group, infos, text, reader, budget)
            for number, item in enumerate(group.items):
                place = (len(blocks) + number, 0) if len(made) > 1 else (len(blocks), number)
                if made:
                    places[item.id] = place if place[0] < len(blocks) + len(made) else (len(blocks), 0)
            blocks += made
        items = read.shown.items[read.shown.worksheets[0].id]
        raw_to_block = [places.get(item.id) for item, lines in zip(items, read.lines, strict=True) for _ in lines]
        return Interpreted(read.shown, [line for lines in read.lines for line in lines], blocks, raw_to_block)

    async def bundles(self, uuids: Sequence[str], reader: Account | None) -> list[BundleView]:
        """Return those of the bundles that exist, as ``reader`` may see them."""
        views = await self._database.read(lambda connection: views_of(connection, uuids, reader))
        return list(views.values())

    async def search(self, keywords: Sequence[str], reader: Account | None) -> tuple[list[Info] | float | str, bool]:
        """Return what is shown of the bundles that keywords find, or the aggregate, and which of both it is."""

        def work(connection: Connection) -> list[BundleView] | float | str:
            found = search_bundles(connection, keywords, reader)
            return list(views_of(connection, found, reader).values()) if isinstance(found, list) else found

        found = await self._database.read(work)
        if isinstance(found, list):
            return [bundle_info(view) for view in found], False
        return found, True

    async def search_worksheets(self, keywords: Sequence[str], reader: Account | None) -> list[Info]:
        """Return what is shown of the worksheets that keywords find."""

        def work(connection: Connection) -> Shown:
            return show(connection, search_worksheets(connection, keywords, reader), reader, Wanted())

        shown = await self._database.read(work)
        return [worksheet_info(each, shown) for each in shown.worksheets]

    async def values(self, queries: Sequence[Query], reader: Account | None) -> list[Any]:
        """Return values of files."""
        return await self._genpaths.read(queries, reader)

    async def table(self, rows: Sequence[Mapping[str, Any]], reader: Account | None) -> list[dict[str, Any]]:
        """Return rows whose cells may be ``[uuid, genpath, post]`` with the values of the files instead."""
        filled = [dict(row) for row in rows]
        await self._fill(filled, reader)
        return filled

    async def _fill(self, rows: list[dict[str, Any]], reader: Account | None) -> None:
        places = await asyncio.to_thread(_places, rows)
        if len(places) > MOST_QUERIES:
            raise Refused(f"at most {MOST_QUERIES} values can be asked for at once")
        values = await self._genpaths.read([query for _, _, query in places], reader)
        for (row, name, _), value in zip(places, values, strict=True):
            row[name] = value

    async def _blocks(
        self, group: Group, infos: list[Info], text: str, reader: Account | None, budget: Budget
    ) -> list[dict[str, Any]]:
        if text:
            return [_markup(text, group.items)]
        if group.kind in (BUNDLES, SEARCH):
            return await self._bundles(group, infos, reader, budget)
        if group.kind in (WORKSHEETS, WSEARCH):
            return [{**_block("subworksheets_block", group.items), "subworksheet_infos": infos}]
        if group.kind == ERROR:
            return [{**_markup(f"ERROR: {group.text}", group.items), "error": True}]
        shown = "\n".join(item.value for item in group.items)
        # Nothing but empty lines separates what stands around it.
        return [_markup(shown.strip("\n"), group.items)] if shown.strip() else []

    async def _bundles(
        self, group: Group, infos: list[Info], reader: Account | None, budget: Budget
    ) -> list[dict[str, Any]]:
        mode = group.display[0]
        if mode in ("table", "record"):
            budget.tell(len(infos) * len(group.schema) * _CELL)
            rows = await asyncio.to_thread(_rows, group, infos, is_record=mode == "record")
            budget.tell(await asyncio.to_thread(_size, rows))
            await self._fill_some(rows, reader)
            return _tables(group, infos, rows) if mode == "table" else _records(group, infos, rows)
        if mode == "hidden":
            return []
        common = {**_block("", group.items), "bundles_spec": _spec(infos)}
        if mode == "graph":
            return [{**common, **await self._files.graph(infos, group.display, reader, budget)}]
        return [
            {
                **common,
                "bundles_spec": _spec([info]),
                **await self._files.block(mode, info, group.display, reader, budget),
            }
            for info in infos
        ]

    async def _fill_some(self, rows: list[dict[str, Any]], reader: Account | None) -> None:
        """Fill in values of files; in what is very long, clients ask for them later, as for a table's contents."""
        if await asyncio.to_thread(lambda: len(_places(rows))) <= MOST_QUERIES:
            await self._fill(rows, reader)


def _read(connection: Connection, uuid: str, reader: Account | None) -> _Read:
    wanted = Wanted(items=True, group_permissions=True)
    shown = show(connection, [read_worksheet_for(connection, uuid, reader)], reader, wanted)
    items = shown.items[shown.worksheets[0].id]
    groups = groups_of(items)
    read = _Read(shown, written(connection, items, reader), groups)
    named = [item.bundle_uuid for group in groups if group.kind == BUNDLES for item in group.items]
    views = views_of(connection, [uuid for uuid in named if uuid], reader)
    known = {uuid: bundle_info(view) for uuid, view in views.items()}
    searches, left = 0, MOST_FOUND_BY_ALL
    for group in groups:
        if group.kind in (SEARCH, WSEARCH):
            searches += 1
            if searches > MOST_SEARCHES or left <= 0:
                read.infos.append([])
                read.texts.append("ERROR: this worksheet has too many searches")
                continue
        infos, text = _found(connection, group, known, reader)
        if group.kind in (SEARCH, WSEARCH):
            left -= len(infos)
        read.infos.append(infos)
        read.texts.append(text)
    return read


def _found(
    connection: Connection, group: Group, known: Mapping[str, Info], reader: Account | None
) -> tuple[list[Info], str]:
    """Return what is shown of a group's bundles or worksheets, or the text that is shown instead."""
    if group.kind == BUNDLES:
        uuids = [item.bundle_uuid or "" for item in group.items]
        return [known.get(uuid) or missing_info(uuid) for uuid in uuids], ""
    if group.kind == WORKSHEETS:
        return _worksheets(connection, group.items, reader), ""
    try:
        if group.kind == SEARCH:
            found = search_bundles(connection, [*group.keywords], reader)
            if not isinstance(found, list):
                return [], str(found)
            found_views = views_of(connection, found[:MOST_FOUND], reader)
            return [bundle_info(view) for view in found_views.values()], ""
        if group.kind == WSEARCH:
            shown = show(connection, search_worksheets(connection, group.keywords, reader), reader, Wanted())
            return [worksheet_info(each, shown) for each in shown.worksheets[:MOST_FOUND]], ""
    except shown_by as error:
        return [], f"ERROR: {error}"
    return [], ""


def _worksheets(connection: Connection, items: Iterable[Item], reader: Account | None) -> list[Info]:
    uuids = [item.subworksheet_uuid or "" for item in items]
    found = read_worksheets(connection, uuids)
    shown = show(connection, list(found.values()), reader, Wanted())
    infos = {each.uuid: worksheet_info(each, shown) for each in shown.worksheets}
    return [infos.get(uuid) or {"uuid": uuid, "name": "<missing>", "title": None} for uuid in uuids]


def _size(value: Any) -> int:
    """Return about how many characters a value takes as JSON."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list | tuple) else 8


def _rows(group: Group, infos: Sequence[Info], is_record: bool) -> list[dict[str, Any]]:
    """Return the rows of a table, or those of all records, one after the other."""
    if is_record:
        return [{"key": name, "value": _cell(info, path, post)} for info in infos for name, path, post in group.schema]
    return [{name: _cell(info, path, post) for name, path, post in group.schema} for info in infos]


def _tables(group: Group, infos: list[Info], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    header = list(dict.fromkeys(name for name, _, _ in group.schema))
    block = {**_block("table_block", group.items), "bundles_spec": _spec(infos), "status": READY}
    return [{**block, "header": header, "rows": rows}]


def _records(group: Group, infos: list[Info], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    block = {**_block("record_block", group.items), "status": READY, "header": ["key", "value"]}
    width = len(group.schema)
    return [
        {**block, "bundles_spec": _spec([info]), "rows": rows[number * width : (number + 1) * width]}
        for number, info in enumerate(infos)
    ]


def _places(rows: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], str, Query]]:
    """Return the cells of rows that name values of files."""
    return [(row, name, query) for row in rows for name, cell in row.items() if (query := _query(cell))]


def _cell(info: Info, path: str, post: str | None) -> Any:
    if is_of_file(path):
        return [info["uuid"], path, post] if info.get("bundle_type") not in (None, "private") else None
    return post_process(value_of(info, path), post)


def _query(cell: Any) -> Query | None:
    """Return what a cell asks for, if it names a value of a file."""
    if not isinstance(cell, list | tuple) or len(cell) != 3 or not is_uuid(cell[0]):
        return None
    uuid, path, post = cell
    if not isinstance(path, str) or not is_of_file(path) or not isinstance(post, str | None):
        return None
    return Query(uuid, path, post)


def _markup(text: str, items: Sequence[Item]) -> dict[str, Any]:
    return {**_block("markup_block", items), "text": text}


def _block(mode: str, items: Sequence[Item]) -> dict[str, Any]:
    return {
        "mode": mode,
        "is_refined": True,
        "ids": [item.id for item in items],
        "sort_keys": [item.sort_key for item in items],
    }


def _spec(infos: list[Info]) -> dict[str, Any]:
    return {"spec_type": "list", "fetch_status": READY, "bundle_infos": infos}
