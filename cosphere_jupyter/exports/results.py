"""The result of a download request as one file: ``{"id": 7, "format": "csv" | "parquet" | "arrow"}``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..accounts.service import Account
from ..catalogue.service import Catalogue
from ..downloads.service import DownloadRequest, Downloads
from ..errors import ExecutionError, FieldsInvalid, NotFound
from ..json_values import LARGEST_ID
from ..results.folder import FolderStore
from ..tasks.engine import Call
from .child import GONE
from .types import DownloadType, Info


class ResultType(DownloadType):
    """An existing result of a request that the caller waits for; CSV unless ``info.format`` says otherwise."""

    name = "download_request"
    description = "The result of a download request that you wait for, as one file; info.id is the request's id."
    formats = ("csv", "parquet", "arrow")

    def __init__(self, downloads: Downloads, catalogue: Catalogue, store: FolderStore) -> None:
        self._downloads = downloads
        self._catalogue = catalogue
        self._store = store

    async def accept(self, info: Mapping[str, Any], caller: Account) -> Info:
        """Return the options and the item that the request is of; ``FieldsInvalid`` if there is no result to be had."""
        options, request_id = self.options(info), info.get("id")
        if isinstance(request_id, bool) or not isinstance(request_id, int) or not 0 < request_id <= LARGEST_ID:
            raise FieldsInvalid({"info.id": ["the id of a download request is required"]})
        try:
            request = await self._downloads.read(request_id, caller)
        except NotFound:
            text = f"there is no download request {request_id} that you wait for"
            raise FieldsInvalid({"info.id": [text]}) from None
        if refusal := _refusal(request):
            raise FieldsInvalid({"info.id": [refusal]})
        return {"id": request_id, "catalogue_item_id": request.item.id, **options}

    async def may_read(self, info: Info, caller: Account) -> bool:
        """Whether the caller may still see the table that the rows are of."""
        try:
            await self._catalogue.read(info["catalogue_item_id"], caller)
        except NotFound:
            return False
        return True

    async def prepare(self, info: Info, caller: Account, folder: Path) -> Call:
        """Name the result's files."""
        try:
            request = await self._downloads.read(info["id"], caller)
        except NotFound:
            raise ExecutionError(f"there is no download request {info['id']} that you wait for any more") from None
        if refusal := _refusal(request):
            raise ExecutionError(refusal)
        try:
            manifest = await asyncio.to_thread(self._store.manifest, request.blob_name or "")
        except NotFound:
            raise ExecutionError(GONE) from None
        source = self._store.folder(request.blob_name or "")
        params = {
            "parts": [str(source / file["name"]) for file in manifest["files"]],
            "file": str(folder / f"{self.name}-{request.id}.{info['format']}"),
            "spreadsheet": info["spreadsheet"],
        }
        return Call("cosphere_jupyter.exports.child:convert", params)


def _refusal(request: DownloadRequest) -> str | None:
    """Say why there is no result to be had."""
    if request.blob_name is not None:
        return None
    if not request.is_settled:
        return "this download request is not finished; wait for it first"
    if request.task is not None and request.task.state.error is not None:
        return f"this download request has no result: {request.task.state.error}"
    return GONE
