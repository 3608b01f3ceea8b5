"""Worksheets as they are to be shown, and values of files, in the CodaLab face; no JSON:API.

Source: the CodaLab REST API's semantics, section 4. Everything that is answered is data, never HTML.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from ...bundles.genpaths import Query
from ...bundles.interpret import Interpreted
from ...bundles.interpret_infos import worksheet_info
from ...bundles.problems import Refused
from .base import API_VERSION, CodaLabHandler


class _InterpretHandler(CodaLabHandler):
    def send_answer(self, **answer: Any) -> None:
        """Answer; programs look for the API's version in whatever is JSON."""
        self.send_json({**answer, "meta": {"version": API_VERSION}})


class InterpretWorksheetHandler(CodaLabHandler):
    """``/interpret/worksheet/<uuid>``."""

    async def get(self, uuid: str) -> None:
        """Show a worksheet as blocks."""
        found = await self.services.interpreter.worksheet(uuid, self.reader)
        self.set_header("ETag", f'"{found.shown.worksheets[0].version}"')
        self.send_rendered(await asyncio.to_thread(lambda: orjson.dumps(_document(found))))


class InterpretSearchHandler(_InterpretHandler):
    """``/interpret/search``."""

    async def post(self) -> None:
        """Search for bundles."""
        keywords = _texts(await self.json_body(), "keywords")
        result, is_aggregate = await self.services.interpreter.search(keywords, self.reader)
        self.send_answer(response={"result": result, "is_aggregate": is_aggregate})


class InterpretWorksheetSearchHandler(_InterpretHandler):
    """``/interpret/wsearch``."""

    async def post(self) -> None:
        """Search for worksheets."""
        keywords = _texts(await self.json_body(), "keywords")
        self.send_answer(response=await self.services.interpreter.search_worksheets(keywords, self.reader))


class FileGenpathsHandler(_InterpretHandler):
    """``/interpret/file-genpaths``."""

    async def post(self) -> None:
        """Return values of files, in the order of the queries."""
        queries = [_query(each) for each in _list(await self.json_body(), "queries")]
        self.send_answer(data=await self.services.interpreter.values(queries, self.reader))


class GenpathTableContentsHandler(_InterpretHandler):
    """``/interpret/genpath-table-contents``."""

    async def post(self) -> None:
        """Return rows with the values of files in their cells."""
        rows = _list(await self.json_body(), "contents")
        if not all(isinstance(row, dict) for row in rows):
            raise Refused("`contents` must be a list of objects.")
        self.send_answer(contents=await self.services.interpreter.table(rows, self.reader))


def _document(found: Interpreted) -> dict[str, Any]:
    [worksheet] = found.shown.worksheets
    info = worksheet_info(worksheet, found.shown)
    given = found.shown.group_permissions[worksheet.id]
    return {
        **info,
        "edit_permission": info["permission"] == 2,
        "enable_chat": False,
        "group_permissions": [
            {
                "id": each.id,
                "group_uuid": each.group_uuid,
                "group_name": each.group_name,
                "permission": each.permission,
                "permission_spec": each.permission_spec,
            }
            for each in given
        ],
        "source": found.source,
        "blocks": found.blocks,
        "raw_to_block": found.raw_to_block,
        "meta": {"version": API_VERSION},
        "block_to_raw": {f"{place[0]},{place[1]}": n for n, place in enumerate(found.raw_to_block) if place},
    }


def _list(body: Any, name: str) -> list[Any]:
    if not isinstance(body, dict) or not isinstance(body.get(name), list):
        raise Refused(f"`{name}` must be a list.")
    found: list[Any] = body[name]
    return found


def _texts(body: Any, name: str) -> list[str]:
    found = _list(body, name)
    if not all(isinstance(each, str) for each in found):
        raise Refused(f"`{name}` must be a list of texts.")
    return found


def _query(each: Any) -> Query:
    if not isinstance(each, dict) or not isinstance(each.get("genpath"), str):
        raise Refused("A query must have `bundle_uuid` and `genpath`.")
    post = each.get("post")
    if not isinstance(each.get("bundle_uuid"), str) or not isinstance(post, str | None):
        raise Refused("A query must have `bundle_uuid` and `genpath`.")
    if not each["genpath"].startswith("/"):
        raise Refused(f"Not file genpath: {each['genpath'][:100]}")
    return Query(each["bundle_uuid"], each["genpath"], post)
