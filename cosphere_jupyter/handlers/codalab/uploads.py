"""Contents sent to bundles by PUT: to the disk as they come.

Who may not send them, or sends too many, is told at once; what comes all the same is taken and thrown away for a while,
because many programs read the answer only after they have sent everything. Source: the CodaLab REST API's semantics,
sections 0 and 3.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from tornado.escape import utf8
from tornado.web import HTTPError, stream_request_body

from ...bundles.problems import Refused
from ...bundles.records import READY
from ...bundles.upload import Options, Upload
from ...bundles.uploads import failure_of
from ...errors import CosphereError
from .blobs import BlobHandler

# The quota decides, and the disk: tornado's own limit is out of the way.
LARGEST_UPLOAD = 2**62
# After a refusal so much is taken, for so long.
DRAIN_BYTES = 256 * 1024 * 1024
DRAIN_SECONDS = 20.0
# A sender that sends nothing for so long is gone.
STALL_SECONDS = 600.0
# Command lines keep sending single bytes while they wait for the answer: they must not meet a closed connection.
LINGER_SECONDS = 2.0
NOT_ENABLED = "Contents are not fetched from elsewhere here: send them."


@stream_request_body
class BlobRootHandler(BlobHandler):
    """``/rest/bundles/{uuid}/contents/blob/``: all contents, and sending them."""

    _upload: Upload | None = None
    _asked = Options()
    # An answer that is on its way while the body still comes.
    _is_refused = False
    _is_received = False
    _drained = 0
    _drains_until = 0.0
    _heard_at = 0.0
    _stall: asyncio.TimerHandle | None = None

    async def prepare(self) -> None:  # type: ignore[override]
        """Find out whether contents may be sent, before they are."""
        if self.request.method != "PUT":
            await super().prepare()
            return
        self.request.connection.set_max_body_size(LARGEST_UPLOAD)  # type: ignore[union-attr]
        try:
            await super().prepare()
            self._asked = self._read_options()
            if self._asked.filename is not None:
                await self._begin()
        except (CosphereError, HTTPError) as error:
            self._refuse(error)

    async def data_received(self, chunk: bytes) -> None:
        """Take a part of the body."""
        self._heard_at = time.monotonic()
        if self._is_refused:
            self._drain(len(chunk))
        elif self._upload is not None:
            try:
                await self._upload.write(chunk)
            except (CosphereError, OSError) as error:
                upload, self._upload = self._upload, None
                await self.services.uploads.fail(upload, error)
                self._refuse(failure_of(error))

    async def put(self, uuid: str) -> None:
        """Unpack and publish what was sent, and end the bundle; without a file name only that."""
        self._is_received = True
        if self._is_refused:
            super().finish()
            return
        upload, self._upload = self._upload, None
        if upload is not None:
            await self.services.uploads.finish(upload)
        elif self._asked.filename is None:
            await self.services.uploads.end(uuid, self._asked, self.account)
        self.send_nothing(200)

    def finish(self, chunk: Any = None) -> Any:
        """Send the answer; while the body still comes, the request is not over by that."""
        if self.request.method == "PUT" and not self._headers_written:
            self.set_header("Connection", "close")
        if self.request.method != "PUT" or self._is_received or not self._is_refused:
            return super().finish(chunk)
        if chunk is not None:
            body = utf8(chunk)
            self.set_header("Content-Length", str(len(body)))
            self.write(body)
            self.flush()
        return None

    def on_connection_close(self) -> None:
        """Let the bundle know that its contents will not come."""
        super().on_connection_close()
        upload, self._upload = self._upload, None
        if upload is not None:
            self.services.uploads.interrupt_soon(upload)

    def on_finish(self) -> None:
        """Close the connection a moment later, if it is to be kept: what still comes on it is no request."""
        super().on_finish()
        if self._stall is not None:
            self._stall.cancel()
        if self.request.method == "PUT":
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._close)

    def _read_options(self) -> Options:
        if any(self.values("urls")) or self.flag("git"):
            raise Refused(NOT_ENABLED)
        return Options(
            filename=self.value("filename") or None,
            unpack=self.flag("unpack", True),
            state_on_success=self.value("state_on_success") or READY,
            finalize_on_success=self.flag("finalize_on_success", True),
            finalize_on_failure=self.flag("finalize_on_failure", False),
        )

    async def _begin(self) -> None:
        length = self.request.headers.get("Content-Length", "")
        announced = int(length) if length.isdecimal() and len(length) < 20 else None
        uuid = self.path_kwargs["uuid"]
        self._upload = await self.services.uploads.begin(uuid, self._asked, self.account, announced)
        self._heard_at = time.monotonic()
        self._watch()

    def _refuse(self, error: CosphereError | HTTPError) -> None:
        """Answer with an error, at once if the body comes without waiting for that."""
        headers = self.request.headers
        is_coming = "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"
        if not is_coming or "Expect" in headers:
            raise error
        self._is_refused = True
        self._drains_until = time.monotonic() + DRAIN_SECONDS
        self.send_error(getattr(error, "status_code", 500), exc_info=(type(error), error, None))

    def _drain(self, size: int) -> None:
        self._drained += size
        if self._drained > DRAIN_BYTES or time.monotonic() > self._drains_until:
            super().finish()

    def _watch(self) -> None:
        """Break the connection if nothing comes any more."""
        waited = time.monotonic() - self._heard_at
        if waited >= STALL_SECONDS:
            self._close()
        elif self._upload is not None:
            loop = asyncio.get_running_loop()
            self._stall = loop.call_later(STALL_SECONDS - waited, self._watch)

    def _close(self) -> None:
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
