"""The bytes of bundles: files, parts of them, their first and last lines, and folders as archives.

Everything is read in threads, a piece ahead of what is sent, so that neither the event loop waits for the disk nor the
receiver for us. Source: the CodaLab REST API's semantics, section 3.
"""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

from tornado.iostream import StreamClosedError
from tornado.web import Finish

from ...bundles.contents import Target
from ...bundles.problems import Refused
from ...bundles.reading import DIRECTORY, FILE, file_chunks, gzipped, is_dense
from ...bundles.summary import TRUNCATION
from ...errors import AccessDenied
from .base import CodaLabHandler

# A reader that takes nothing for so long is gone.
WRITE_SECONDS = 120
LONGEST_LINE = 128

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})")
# What compressing once more makes no smaller.
_COMPRESSED = re.compile(
    r"\.(gz|tgz|bz2|xz|zst|lz4|zip|7z|rar|parquet|jpe?g|png|gif|webp|mp[34]|mkv|webm|ogg|flac|npz|whl|docx|xlsx|pptx)$",
    re.IGNORECASE,
)


class BlobHandler(CodaLabHandler):
    """``/rest/bundles/{uuid}/contents/blob/[path]``."""

    async def get(self, uuid: str, path: str = "") -> None:
        """Send a file, a part of it, its first and last lines, or a folder as ``.tar.gz``."""
        target = await self.services.bundle_contents.find(uuid, path, self.reader)
        if target.node.kind == DIRECTORY:
            await self._send_folder(target)
        elif target.node.kind == FILE:
            await self._send_file(target)
        else:
            raise AccessDenied(f"Cannot download files of this type ({target.node.kind}).")

    async def _send_folder(self, target: Target) -> None:
        if "Range" in self.request.headers:
            raise Refused("Range not supported for directory blobs.")
        if self._head_and_tail() != (0, 0):
            raise Refused("Head and tail not supported for directory blobs.")
        self._describe(target, "application/gzip", "identity", "attachment", f"{target.name}.tar.gz")
        await self._send(lambda: self.services.bundle_contents.archive(target))

    async def _send_file(self, target: Target) -> None:
        head, tail = self._head_and_tail()
        part = self._part()
        if (head or tail) and part:
            raise Refused("Head and range not supported on the same request.")
        content_type, encoding = mimetypes.guess_type(target.name)
        content_type = "application/octet-stream" if encoding else content_type or "text/plain"
        is_gzipped = self._takes_gzip() and not _COMPRESSED.search(target.name)
        self._describe(target, content_type, "gzip" if is_gzipped else "identity", "inline", target.name)
        if head or tail:
            longest, between = self.integer("max_line_length", LONGEST_LINE), self.value("truncation_text")
            if longest < 0:
                raise Refused(f"Invalid int '{longest}'")
            text = await self.services.bundle_contents.summary(
                target, head, tail, longest, TRUNCATION if between is None else between
            )
            await self._send_bytes(lambda: iter([text]), len(text), is_gzipped)
        else:
            await self._send_part(target, part, is_gzipped)

    async def _send_part(self, target: Target, part: tuple[int, int] | None, is_gzipped: bool) -> None:
        descriptor, node = await self.services.bundle_contents.open(target)
        chunks: Iterator[bytes] = iter(())
        try:
            start, end = part or (0, node.size)
            end = max(start, min(end, node.size))
            if is_gzipped and await asyncio.to_thread(is_dense, descriptor, node.size):
                is_gzipped = False
                self.set_header("Content-Encoding", "identity")
            if target.is_final and self._is_known(f'"{node.version}{"-gzip" if is_gzipped else ""}"') and not part:
                self.set_status(304)
                return
            if part and start < end and not is_gzipped:
                # Beyond the end there is no such status: the command line asks there for what may come yet.
                self.set_status(206)
                self.set_header("Content-Range", f"bytes {start}-{end - 1}/{node.size}")
            if part and start >= end:
                is_gzipped = False
                self.set_header("Content-Encoding", "identity")
            chunks = file_chunks(os.dup(descriptor), start, end)
            await self._send_bytes(lambda: chunks, end - start, is_gzipped)
        finally:
            os.close(descriptor)

    # -- what is asked for -----------------------------------------------------------------------------------------

    def _head_and_tail(self) -> tuple[int, int]:
        head, tail = self.integer("head", 0), self.integer("tail", 0)
        if head < 0 or tail < 0:
            raise Refused(f"Invalid int '{min(head, tail)}'")
        return head, tail

    def _part(self) -> tuple[int, int] | None:
        """Return the first byte and that behind the last, None if the whole is asked for."""
        text = self.request.headers.get("Range")
        if text is None:
            return None
        asked = _RANGE.fullmatch(text.strip())
        if asked is None:
            raise Refused("Range must be 'bytes=START-END'.")
        return int(asked[1]), int(asked[2]) + 1

    def _takes_gzip(self) -> bool:
        for each in self.request.headers.get("Accept-Encoding", "").lower().split(","):
            name, _, quality = each.partition(";")
            if name.strip() == "gzip":
                return re.fullmatch(r"\s*q=0(\.0*)?\s*", quality) is None
        return False

    def _is_known(self, etag: str) -> bool:
        self.set_header("ETag", etag)
        known = self.request.headers.get("If-None-Match", "")
        return etag in [each.strip().removeprefix("W/") for each in known.split(",")]

    # -- what is answered ------------------------------------------------------------------------------------------

    def _describe(self, target: Target, content_type: str, encoding: str, disposition: str, name: str) -> None:
        self.set_header("Content-Type", content_type)
        self.set_header("Content-Encoding", encoding)
        self.set_header("Content-Disposition", f"{disposition}; {_filename(name)}")
        self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Target-Type", target.node.kind)
        self.set_header("X-Codalab-Target-Size", str(target.size))
        self.set_header("Cache-Control", "private, no-cache")
        self.set_header("Vary", "Accept-Encoding, Authorization")

    @property
    def content_security_policy(self) -> str:
        """A page that somebody has put into a bundle is shown as if it came from nowhere."""
        return f"{super().content_security_policy}; sandbox"

    async def _send_bytes(self, chunks: Callable[[], Iterator[bytes]], size: int, is_gzipped: bool) -> None:
        if is_gzipped:
            await self._send(lambda: gzipped(chunks()))
            return
        self.set_header("Content-Length", str(size))
        await self._send(chunks, size)

    async def _send(self, chunks: Callable[[], Iterator[bytes]], size: int | None = None) -> None:
        """Send what is read, the next piece being read while one is sent."""
        if self.request.method == "HEAD":
            self.finish()
            return
        reading = chunks()
        ahead = asyncio.ensure_future(asyncio.to_thread(next, reading, None))
        sent = 0
        try:
            while (chunk := await ahead) is not None:
                ahead = asyncio.ensure_future(asyncio.to_thread(next, reading, None))
                await self._write(chunk)
                sent += len(chunk)
        finally:
            await asyncio.gather(ahead, return_exceptions=True)
            if close := getattr(reading, "close", None):
                await asyncio.to_thread(close)
        if size is not None and sent < size:
            # The file became shorter: break the connection rather than pretend.
            self.request.connection.stream.close()  # type: ignore[union-attr]
            raise Finish
        self.finish()

    async def _write(self, chunk: bytes) -> None:
        self.write(chunk)
        try:
            await asyncio.wait_for(self.flush(), WRITE_SECONDS)
        except asyncio.TimeoutError:
            self.request.connection.stream.close()  # type: ignore[union-attr]
            raise Finish from None
        except StreamClosedError:
            raise Finish from None


def _filename(name: str) -> str:
    """Return a name as ``Content-Disposition`` holds it; letters beyond ASCII are told beside it (RFC 6266)."""
    plain = re.sub(r"[^ !#-\[\]-~]", "_", name)
    return f'filename="{plain}"' + ("" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}")
