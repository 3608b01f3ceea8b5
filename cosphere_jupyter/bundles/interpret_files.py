"""Blocks that show files of bundles: their first lines, pictures, and curves of their columns."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..accounts.service import Account
from ..errors import AccessDenied, CosphereError
from .contents import Contents
from .genpaths import Genpaths, Query, split
from .interpret_directives import number_of, options_of, path_of
from .problems import Refused

DEFAULT_LINES = 10
MOST_LINES = 1000
LONGEST_LINE = 500
# Of a picture that is sent along, and of everything from files on one worksheet, in bytes.
LARGEST_IMAGE = 1024 * 1024
MOST_BYTES = 32 * 1024 * 1024
# Files that are looked into for one worksheet.
MOST_FILES = 500
# What one worksheet tells of bundles, in characters: the same bundle may stand in it many times.
MOST_TOLD = 64 * 1024 * 1024
MOST_POINTS = 1000
MOST_CURVES = 50
TOO_MUCH = "there is too much on this worksheet to show this, too"
Block = dict[str, Any]


@dataclass
class Budget:
    """What one worksheet may still take of files."""

    files: int = MOST_FILES
    size: int = MOST_BYTES
    told: int = MOST_TOLD

    def tell(self, size: int) -> None:
        """Take note that so much is told; ``Refused`` if that is too much."""
        self.told -= size
        if self.told < 0:
            raise Refused("This worksheet shows too much at once: there is a limit on what it tells of bundles.")

    def take(self) -> bool:
        """Take one more file, if there is room for it."""
        self.files -= 1
        return self.files >= 0 and self.size > 0


class FileBlocks:
    """Makes blocks of files; what cannot be shown says why in its ``status``."""

    def __init__(self, contents: Contents, genpaths: Genpaths) -> None:
        self._contents = contents
        self._genpaths = genpaths

    async def block(
        self, mode: str, info: Block, display: Sequence[str], reader: Account | None, budget: Budget
    ) -> Block:
        """Return what shows a file of a bundle: ``image``, or the first lines of anything else."""
        options = options_of(display)
        path = path_of(display)
        if mode == "image":
            shape = {"width": options.get("width"), "height": options.get("height")}
            block: Block = {"mode": "image_block", "target_genpath": path, **shape, "image_data": None}
        else:
            most = number_of(options.get("maxlines"), DEFAULT_LINES, MOST_LINES)
            block = {"mode": "contents_block", "target_genpath": path, "max_lines": most, "lines": None}
        if not budget.take():
            return {**block, "status": _status("unknown", TOO_MUCH)}
        filled = {**block, **await self._filled(block, info, path, reader)}
        budget.size -= len(filled.get("image_data") or "") + sum(map(len, filled.get("lines") or ()))
        return filled

    async def _filled(self, block: Block, info: Block, path: str, reader: Account | None) -> Block:
        if "bundle_type" not in info:
            return {"status": _status("not_found", "the bundle is not there")}
        try:
            if ":" in path:
                # A value in a file.
                [value] = await self._genpaths.read([Query(info["uuid"], path)], reader)
                return {"lines": str("" if value is None else value).splitlines(), "status": _status("ready")}
            target = await self._contents.find(info["uuid"], split(path)[0], reader)
            if block["mode"] == "image_block":
                return await self._image(target)
            if target.node.kind == "directory":
                found = await self._contents.info(info["uuid"], split(path)[0], 1, reader)
                lines = [each["name"] for each in found.get("contents", [])][: block["max_lines"]]
            else:
                text = await self._contents.summary(target, block["max_lines"], 0, LONGEST_LINE)
                lines = text.decode(errors="replace").splitlines()
            return {"lines": lines, "status": _status("ready")}
        except AccessDenied as error:
            return {"status": _status("no_permission", str(error))}
        except CosphereError as error:
            return {"status": _status("not_found", str(error))}

    async def _image(self, target: Any) -> Block:
        if target.node.kind != "file" or target.node.size > LARGEST_IMAGE:
            return {"status": _status("error", "it is no file, or too large to be shown here")}
        descriptor, _ = await self._contents.open(target)

        def work() -> str:
            with os.fdopen(descriptor, "rb") as file:
                return base64.b64encode(file.read(LARGEST_IMAGE)).decode()

        return {"image_data": await asyncio.to_thread(work), "status": _status("ready")}

    async def graph(
        self, infos: Sequence[Block], display: Sequence[str], reader: Account | None, budget: Budget
    ) -> Block:
        """Return curves: of each bundle's file of rows, the first column against the others' first."""
        options, path = options_of(display), path_of(display)
        most = number_of(options.get("maxlines"), MOST_POINTS, MOST_POINTS)
        shown = [info for info in infos if "bundle_type" in info][:MOST_CURVES]
        curves = []
        for info in shown:
            rows = await self._rows(info["uuid"], path, reader) if budget.take() else []
            name = (info.get("metadata") or {}).get("name") or info["uuid"]
            points = _points(rows, _column(options.get("x"), 0), _column(options.get("y"), 1))[:most]
            curve = {"bundle_uuid": info["uuid"], "display_name": name, "target_genpath": path, "points": points}
            curves.append(curve)
        return {
            "mode": "graph_block",
            "status": _status("ready"),
            "trajectories": curves,
            "max_lines": most,
            "xlabel": options.get("xlabel"),
            "ylabel": options.get("ylabel"),
        }

    async def _rows(self, uuid: str, path: str, reader: Account | None) -> list[list[str]]:
        try:
            target = await self._contents.find(uuid, split(path)[0], reader)
            if target.node.kind != "file":
                return []
            text = await self._contents.summary(target, MOST_POINTS + 1, 0, LONGEST_LINE)
        except CosphereError:
            return []
        return [line.split("\t") for line in text.decode(errors="replace").splitlines()]


def _points(rows: Sequence[Sequence[str]], x: int, y: int) -> list[list[float]]:
    """Return the points of rows; of a single column, against the number of the row. What is no number is left out."""
    points = []
    for number, row in enumerate(rows):
        texts = [str(number), row[0]] if len(row) == 1 else [row[place] if place < len(row) else "" for place in (x, y)]
        try:
            point = [float(text) for text in texts]
        except ValueError:
            continue
        if all(abs(value) < float("inf") for value in point):
            points.append(point)
    return points


def _column(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 4 else default


def _status(code: str, message: str = "") -> Block:
    return {"code": code, "error_message": message}
