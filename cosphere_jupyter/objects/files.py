"""Files of objects: bytes that the workspace keeps, or links to somewhere else.

Bytes lie in a folder below the data directory, named by their SHA-256, so that what is the same is kept once; they are
on the disk before the database knows of them. A name that was sent is data and never becomes part of a path.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Row, func, insert, select

from ..accounts.service import Account, read_account
from ..database.engine import Database
from ..database.schema import now
from ..errors import AccessDenied, NotFound, QuotaExceeded
from ..json_values import is_storable
from ..permissions.service import Level
from ..sizes import format_size
from .log import UPLOADED, note
from .records import Refused
from .service import demand
from .tables import object_files

STORAGES = ("local_reference", "database", "url")
ALGORITHMS = ("sha256", "sha512")
LONGEST_NAME = 4096
LONGEST_URL = 8192
_KEYS = ("object_id", "file_id", "storage", "original_file_name", "base64_content", "hash", "url", "filepath")
_SCHEMES = ("http", "https", "ftp", "sftp")
_PART = re.compile(r"[0-9a-f]{2}")
_CONTENT = re.compile(r"[0-9a-f]{64}(\.[0-9a-f]{16}\.partial)?")
_HOST = re.compile(r"[\w.~-]+|[0-9A-Fa-f:.]+")


@dataclass(frozen=True)
class ObjectFile:
    """A file of an object: with ``url``, or with a name, a hash and a size in bytes."""

    object_id: int
    file_id: int
    storage: str
    original_file_name: str | None
    url: str | None
    hash_algorithm: str | None
    hash_hexdigest: str | None
    content_digest: str | None
    size: int | None
    user_id: int | None
    created_at: datetime


class ObjectFiles:
    """All that is done with files of objects."""

    def __init__(self, database: Database, folder: Path) -> None:
        """``folder`` is where the bytes lie."""
        self._database = database
        self._folder = folder

    async def bulk_read(self, object_id: int, caller: Account) -> list[ObjectFile]:
        """Return the files of an object by id; needs READ."""

        def work(connection: Connection) -> list[ObjectFile]:
            demand(connection, object_id, caller, Level.READ)
            rows = connection.execute(_files().where(object_files.c.object_id == object_id))
            return [_from_row(row) for row in rows]

        return await self._database.read(work)

    async def read(self, object_id: int, file_id: int, caller: Account) -> tuple[ObjectFile, bytes]:
        """Return a file and its bytes (none for a link); needs READ."""

        def work(connection: Connection) -> ObjectFile:
            demand(connection, object_id, caller, Level.READ)
            is_it = (object_files.c.object_id == object_id) & (object_files.c.file_id == file_id)
            row = connection.execute(_files().where(is_it)).one_or_none()
            if row is None:
                raise NotFound(f"file {file_id} of object {object_id}")
            return _from_row(row)

        file = await self._database.read(work)
        if file.content_digest is None:
            return file, b""
        return file, await asyncio.to_thread(self._path(file.content_digest).read_bytes)

    async def create(self, object_id: int, body: Any, caller: Account) -> ObjectFile:
        """Keep a file, or a link to one; needs WRITE.

        Raises:
            Refused: the body breaks a rule, or the hash is not that of the content.
            AccessDenied: a path of this machine is asked for.
            QuotaExceeded: with this file those of the caller would take more than the caller's disk quota.
        """
        values, content = await asyncio.to_thread(_checked, body, object_id)
        if content is not None:
            size = len(content)
            await self._database.read(lambda connection: _check_quota(connection, caller.id, size))
            await asyncio.to_thread(self._keep, values["content_digest"], content)
        return await self._database.write(lambda connection: _create(connection, object_id, values, caller))

    async def sweep(self) -> int:
        """Remove contents that no file has, and what was not written to its end; return how many there were.

        Only while nobody stores a file: what is stored is on the disk before the database knows of it.
        """
        removed = 0
        for part in await asyncio.to_thread(_parts, self._folder):
            known = await self._database.read(partial(_digests, part=part.name))
            removed += await asyncio.to_thread(_remove_others, part, known)
        return removed

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest

    def _keep(self, digest: str, content: bytes) -> None:
        """Write the bytes aside and rename them: under their name there is all or nothing."""
        path = self._path(digest)
        if path.exists():
            return
        for folder in (self._folder, path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        aside = path.with_name(f"{digest}.{secrets.token_hex(8)}.partial")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        aside.replace(path)
        for folder in (path.parent, self._folder, self._folder.parent):
            _sync(folder)


def _parts(folder: Path) -> list[Path]:
    """Return the folders in which contents lie, each named by the two letters that they begin with."""
    return sorted(each for each in folder.iterdir() if _PART.fullmatch(each.name)) if folder.is_dir() else []


def _remove_others(folder: Path, known: set[str]) -> int:
    # What is not named as ours stays: somebody has put it there.
    leftovers = [each for each in folder.iterdir() if _CONTENT.fullmatch(each.name) and each.name not in known]
    for each in leftovers:
        each.unlink(missing_ok=True)
    return len(leftovers)


def _digests(connection: Connection, part: str) -> set[str]:
    digest = object_files.c.content_digest
    query = select(digest).where(digest >= part, digest < f"{part}g").distinct()
    return {str(each) for each in connection.execute(query).scalars()}


def _check_quota(connection: Connection, account_id: int, size: int) -> None:
    """All that an account has stored in files of objects takes no more than its disk quota, also what is stored twice.

    Results of requests, files of downloads and bundles count apart.
    """
    quota = read_account(connection, account_id).disk_quota
    if quota is None:
        return
    sizes = select(func.coalesce(func.sum(object_files.c.size), 0)).where(object_files.c.user_id == account_id)
    used = int(connection.execute(sizes).scalar_one())
    if used + size > quota:
        raise QuotaExceeded(
            f"your files of objects take {format_size(used)} and this one {format_size(size)}, and your disk quota is "
            f"{format_size(quota)}",
            disk_used=used,
            disk_quota=quota,
        )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files() -> Any:
    return select(object_files).order_by(object_files.c.file_id)


def _from_row(row: Row[Any]) -> ObjectFile:
    return ObjectFile(**row._mapping)


def _create(connection: Connection, object_id: int, values: dict[str, Any], caller: Account) -> ObjectFile:
    demand(connection, object_id, caller, Level.WRITE)
    if values.get("size"):
        _check_quota(connection, caller.id, values["size"])
    highest = select(func.max(object_files.c.file_id)).where(object_files.c.object_id == object_id)
    last = connection.execute(highest).scalar()
    file_id = 0 if last is None else last + 1
    stamps = {"object_id": object_id, "file_id": file_id, "user_id": caller.id, "created_at": now()}
    row = connection.execute(insert(object_files).values(**values, **stamps).returning(*object_files.c)).one()
    note(connection, UPLOADED, object_id, caller, {"file_id": file_id})
    return _from_row(row)


def _checked(body: Any, object_id: int) -> tuple[dict[str, Any], bytes | None]:
    """Return the columns of a file, and its content, or raise ``Refused`` with the first rule that a body breaks."""
    if not isinstance(body, dict):
        raise Refused("JSON object body required")
    if not is_storable(body):
        raise Refused("the body holds what cannot be stored")
    for key in body:
        if key not in _KEYS:
            raise Refused(f"invalid key {key!r}")
    if body.get("object_id", object_id) != object_id:
        raise Refused(f"object_id must be {object_id}")
    if "file_id" in body:
        raise Refused("file_id cannot be set")
    if "storage" not in body:
        raise Refused("storage must be set")
    if body["storage"] not in STORAGES:
        raise Refused("storage must be 'local_reference', 'database' or 'url'")
    if body["storage"] == "local_reference":
        raise AccessDenied("files of this machine cannot be referred to")
    if body["storage"] == "url":
        return {"storage": "url", "url": _url(body.get("url"))}, None
    return _stored(body)


def _url(url: Any) -> str:
    if not isinstance(url, str) or len(url) > LONGEST_URL or any(letter.isspace() or letter < " " for letter in url):
        raise Refused("url must be a valid url")
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in _SCHEMES and parts.port != 0 and _HOST.fullmatch(parts.hostname or "") is not None
    except ValueError:
        is_valid = False
    if not is_valid:
        raise Refused("url must be a valid url")
    return url


def _stored(body: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    name = body.get("original_file_name")
    if not isinstance(name, str) or not name or len(name) > LONGEST_NAME:
        raise Refused("original_file_name must be set for files with database storage")
    if "base64_content" not in body:
        raise Refused("base64_content must be set for files with database storage")
    try:
        content = base64.b64decode(body["base64_content"].encode(), validate=True)
    except (AttributeError, binascii.Error, ValueError):
        raise Refused("base64_content must be base64 encoded") from None
    algorithm, expected = _hash(body.get("hash"))
    digest = hashlib.new(algorithm, content).hexdigest()
    if expected is not None and expected != digest:
        raise Refused(f"hash hexdigest mismatch, expected: {digest}")
    values = {
        "storage": "database",
        "original_file_name": name,
        "hash_algorithm": algorithm,
        "hash_hexdigest": digest,
        "content_digest": digest if algorithm == "sha256" else hashlib.sha256(content).hexdigest(),
        "size": len(content),
    }
    return values, content


def _hash(given: Any) -> tuple[str, str | None]:
    """Return the algorithm and the hexdigest that a body names; without one, SHA-256 and None."""
    if given is None:
        return "sha256", None
    if not isinstance(given, dict) or set(given) != {"algorithm", "hexdigest"}:
        raise Refused("hash must be an object with algorithm and hexdigest")
    if given["algorithm"] not in ALGORITHMS:
        raise Refused(f"only the following hash algorithms are supported: {', '.join(ALGORITHMS)}")
    if not isinstance(given["hexdigest"], str):
        raise Refused("hash hexdigest must be a string")
    return given["algorithm"], given["hexdigest"].lower()
