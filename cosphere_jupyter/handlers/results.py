"""Results over HTTP: manifests and Parquet files behind signed links, with ranges, never holding the event loop."""

from __future__ import annotations

import asyncio
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tornado.iostream import StreamClosedError
from tornado.web import Finish

from ..accounts.task_credentials import as_written, origin_of
from ..errors import AccessDenied
from ..results.folder import MANIFEST
from .cosphere import CosphereHandler
from .fields import Field, Text

ARCHIVE = "parts.tar"
# Read in a thread, written and flushed one by one: another request waits for one chunk at most.
CHUNK = 256 * 1024
# A reader that takes nothing for so long is gone.
WRITE_SECONDS = 60

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

LINK_FIELDS: dict[str, Field] = {"expires": Text(20), "signature": Text(64)}


class ResultHandler(CosphereHandler):
    """``/results/{name}/{file}?expires=…&signature=…``: one file of a result, or all of them as an archive."""

    _allowed_origin: str | None = None

    async def prepare(self) -> None:  # type: ignore[override]
        """Find out whether the page may read the answer, as it may read those of the tasks that lead here."""
        origin = origin_of(self.request.headers.get("Origin", ""))
        if origin is not None:
            await self.services.ready()
            if await self.services.task_credentials.knows(origin):
                self._allowed_origin = origin
        await super().prepare()

    def set_default_headers(self) -> None:
        """What a page may read depends on its origin, also for caches."""
        super().set_default_headers()
        self.set_header("Vary", "Origin")

    def set_cors_headers(self) -> None:
        """Let pages read the file whose origin is in the whitelist of an API key."""
        super().set_cors_headers()
        if self._allowed_origin is not None:
            self.set_header("Access-Control-Allow-Origin", as_written(self._allowed_origin))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an error that a whitelisted page can read."""
        self.set_cors_headers()
        super().write_error(status_code, **kwargs)

    async def get(self, name: str, file_name: str) -> None:
        """Send the manifest, a Parquet file (``Range`` works), or ``parts.tar``."""
        link = self._link()
        self.services.links.check(name, file_name, **link)
        if file_name == MANIFEST:
            await self._send_manifest(name)
        elif file_name == ARCHIVE:
            await self._send_archive(name)
        else:
            await self._send_file(name, file_name)

    def error_answer(self, error: BaseException | None, status: int) -> tuple[int, Any]:
        """Say what is wrong with a link: it is all that its holder has."""
        status, body = super().error_answer(error, status)
        return status, {**body, "message": str(error)} if isinstance(error, AccessDenied) else body

    def _link(self) -> dict[str, str]:
        link = self.query(LINK_FIELDS)
        if not link["expires"].isdecimal():
            raise AccessDenied("this link was not signed by this workspace")
        return link

    async def _send_manifest(self, name: str) -> None:
        manifest = await asyncio.to_thread(self.services.store.manifest, name)
        mount = f"{self.request.protocol}://{self.request.host}{self.services.mount(self.base_url)}results/"
        files = [{**file, "uri": mount + self.services.links.sign(name, file["name"])} for file in manifest["files"]]
        self.send_json({**manifest, "files": files, "folder": str(self.services.store.folder(name))})

    async def _send_file(self, name: str, file_name: str) -> None:
        path, facts = await asyncio.to_thread(self.services.store.entry, name, file_name)
        size = (await asyncio.to_thread(path.stat)).st_size
        start, end = self._range(size)
        self.set_header("Content-Type", facts.get("content_type", "application/vnd.apache.parquet"))
        self.set_header("Content-Disposition", f'attachment; filename="{path.name}"')
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Content-Length", str(end - start))
        if self.request.method != "HEAD":
            with await asyncio.to_thread(path.open, "rb") as file:
                await asyncio.to_thread(file.seek, start)
                await self._stream(file, end - start)
        self.finish()

    def _range(self, size: int) -> tuple[int, int]:
        """Return first and last byte (exclusive) to send, and set status and headers for a part (RFC 9110, 14)."""
        asked = _RANGE.fullmatch(self.request.headers.get("Range", ""))
        if asked is None or asked.groups() == ("", ""):
            # No range, several, or nonsense: a server may always send the whole.
            return 0, size
        first, last = asked.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last) + 1, size) if first and last else size
        if start >= end:
            self.set_status(416)
            self.set_header("Content-Range", f"bytes */{size}")
            raise Finish
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        return start, end

    async def _send_archive(self, name: str) -> None:
        manifest = await asyncio.to_thread(self.services.store.manifest, name)
        folder = self.services.store.folder(name)
        members = [_Member(folder / file["name"], file["bytes"]) for file in manifest["files"]]
        total = sum(member.size_in_archive for member in members) + 2 * tarfile.BLOCKSIZE
        self.set_header("Content-Type", "application/x-tar")
        self.set_header("Content-Disposition", f'attachment; filename="{ARCHIVE}"')
        self.set_header("Content-Length", str(total))
        if self.request.method != "HEAD":
            for member in members:
                await self._write(member.header)
                with await asyncio.to_thread(member.path.open, "rb") as file:
                    await self._stream(file, member.size)
                await self._write(member.padding)
            await self._write(b"\0" * 2 * tarfile.BLOCKSIZE)
        self.finish()

    async def _stream(self, file: BinaryIO, size: int) -> None:
        for length in _chunks(size):
            chunk = await asyncio.to_thread(file.read, length)
            if not chunk:
                # Shorter than the manifest says: break the connection rather than pretend.
                self.request.connection.stream.close()  # type: ignore[union-attr]
                raise Finish
            await self._write(chunk)

    async def _write(self, chunk: bytes) -> None:
        self.write(chunk)
        try:
            await asyncio.wait_for(self.flush(), WRITE_SECONDS)
        except (StreamClosedError, asyncio.TimeoutError):
            raise Finish from None


class _Member:
    """A file on its way into an uncompressed archive: Parquet is compressed already."""

    def __init__(self, path: Path, size: int) -> None:
        info = tarfile.TarInfo(path.name)
        info.size = size
        self.path = path
        self.size = size
        self.header = info.tobuf(tarfile.GNU_FORMAT)
        self.padding = b"\0" * (-size % tarfile.BLOCKSIZE)

    @property
    def size_in_archive(self) -> int:
        return len(self.header) + self.size + len(self.padding)


def _chunks(size: int) -> Iterator[int]:
    while size > 0:
        yield min(CHUNK, size)
        size -= CHUNK
