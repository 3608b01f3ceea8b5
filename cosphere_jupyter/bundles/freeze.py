"""From a download to a bundle: the rows of a request that has succeeded, kept for ever, with where they come from.

The Parquet files get second names where the file system gives such: then nothing is copied, and the bundle keeps its
rows when the result expires. Until the record knows them they lie aside, as uploads do.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ..accounts.service import Account
from ..database.engine import Database
from ..downloads.service import DownloadRequest, Downloads
from ..errors import NotFound
from ..json_values import LARGEST_ID
from ..results.folder import FolderStore
from .contents import Contents, adopt
from .creation import Placing, create_bundles
from .hashing import Entry, Measured, hash_of
from .ids import new_uuid
from .problems import Missing, Refused
from .records import READY, update_bundle
from .store import sync_folder
from .upload import over_quota
from .usage import disk_left

CHUNK = 1024 * 1024
GONE = "the result of this download request is gone; ask for it again"


@dataclass(frozen=True)
class Wanted:
    """What is to be frozen, and what the bundle is called; it stands on a worksheet if one is named by its uuid."""

    request_id: int
    metadata: Mapping[str, Any]
    worksheet: str | None = None

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Wanted:
        """Return what attributes of a resource ask for; ``Refused`` if they are wrong."""
        request_id = attributes.get("request_id")
        if isinstance(request_id, bool) or not isinstance(request_id, int) or not 0 < request_id <= LARGEST_ID:
            raise Refused("request_id must be the id of a download request")
        worksheet = attributes.get("worksheet")
        if worksheet is not None and not isinstance(worksheet, str):
            raise Refused("worksheet must be the uuid of a worksheet")
        said = {key: attributes[key] for key in ("name", "description", "tags") if attributes.get(key) is not None}
        return cls(request_id, said, worksheet)


class Freezing:
    """Makes bundles of results."""

    def __init__(self, database: Database, contents: Contents, downloads: Downloads, results: FolderStore) -> None:
        self._database = database
        self._contents = contents
        self._downloads = downloads
        self._results = results

    async def freeze(self, wanted: Wanted, caller: Account) -> str:
        """Make a bundle of a result and return its uuid.

        Raises:
            Missing: the caller waits for no such request, or may not see its table.
            Refused: it has no result (yet), or what is said of the bundle breaks a rule.
            QuotaExceeded: the rows do not fit into what the caller may store.
        """
        request = await self._request(wanted.request_id, caller)
        await self._demand_room(caller, request.real_size or 0)
        store, uuid = self._contents.store, new_uuid()
        aside = await asyncio.to_thread(store.aside, uuid)
        try:
            measured, files = await asyncio.to_thread(self._fill, aside, request)
            location = await asyncio.to_thread(store.publish, uuid, aside)
        except (FileNotFoundError, NotFound):
            raise Refused(GONE) from None
        finally:
            await asyncio.to_thread(store.remove, aside)
        attributes = {"uuid": uuid, "bundle_type": "dataset", "metadata": _metadata(wanted, request)}
        origin = _origin(request, measured, files)

        def work(connection: Connection) -> None:
            placing = Placing(worksheet=wanted.worksheet, detached=wanted.worksheet is None)
            bundle = create_bundles(connection, [attributes], placing, caller)[0]
            _check_room(connection, caller, measured.size)
            bundle = adopt(connection, bundle, location, measured)
            update_bundle(connection, bundle, state=READY, origin=origin)

        try:
            await self._database.write(work)
        except BaseException:
            await asyncio.to_thread(store.delete, location)
            raise
        return uuid

    async def _request(self, request_id: int, caller: Account) -> DownloadRequest:
        try:
            request = await self._downloads.read(request_id, caller)
        except NotFound:
            raise Missing(f"there is no download request {request_id} that you wait for") from None
        if request.blob_name is not None:
            return request
        if not request.is_settled:
            raise Refused("this download request is not finished; wait for it first")
        error = request.task.state.error if request.task is not None else None
        raise Refused(GONE if error is None else f"this download request has no result: {error}")

    async def _demand_room(self, caller: Account, size: int) -> None:
        await self._database.read(lambda connection: _check_room(connection, caller, size))

    def _fill(self, aside: Path, request: DownloadRequest) -> tuple[Measured, list[dict[str, Any]]]:
        """Put a result's files into a new folder, by second names if possible; on the disk when this returns."""
        name = request.blob_name or ""
        manifest, folder = self._results.manifest(name), self._results.folder(name)
        aside.mkdir(mode=0o700)
        files, entries = [], []
        for file in manifest["files"]:
            source, target = folder / file["name"], aside / file["name"]
            try:
                target.hardlink_to(source)
            except FileNotFoundError:
                raise
            except OSError:
                _copy(source, target)
            sha1, sha256 = _hashes(target)
            entries.append(Entry("file", file["name"], sha1))
            known = {key: file[key] for key in ("name", "rows", "bytes") if key in file}
            files.append({**known, "sha256": sha256})
        sync_folder(aside)
        size = sum(path.stat().st_size for path in aside.iterdir())
        return Measured("directory", size, hash_of(entries)), files


def _metadata(wanted: Wanted, request: DownloadRequest) -> dict[str, Any]:
    description = f"Rows of {request.item.name}, of download request {request.id}"
    return {"description": description, "tags": [], "license": "", "source_url": "", **wanted.metadata}


def _origin(request: DownloadRequest, measured: Measured, files: list[dict[str, Any]]) -> dict[str, Any]:
    """Say where the rows come from. ``rows_hash`` is SHA-256 of the files' own, in order: equal files, equal hash."""
    of_all = hashlib.sha256("".join(file["sha256"] for file in files).encode()).hexdigest()
    return {
        "request_id": request.id,
        "spec": request.spec,
        "catalogue_item_id": request.item.id,
        "catalogue_item": request.item.name,
        "data_version": request.data_version,
        "rows": (request.result or {}).get("rows"),
        "bytes": measured.size,
        "rows_hash": f"sha256:{of_all}",
        "files": files,
    }


def _check_room(connection: Connection, caller: Account, size: int) -> None:
    left = disk_left(connection, caller.id)
    if left is not None and size > left:
        raise over_quota(size, left)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hashes(path: Path) -> tuple[str, str]:
    sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha1.update(chunk)
            sha256.update(chunk)
    return sha1.hexdigest(), sha256.hexdigest()
