"""One upload: what is sent on its way to the disk, counted, hashed, and unpacked if it is an archive."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import QuotaExceeded
from .archives import suffix_of
from .hashing import Measured
from .problems import Refused
from .records import FAILED, KILLED, READY, Bundle
from .tree import InvalidError
from .unpacking import TooBigError, unpack_in_child

if TYPE_CHECKING:
    from .uploads import Uploads

# What is written to the disk at once.
PIECE = 1024 * 1024
# After so many bytes the disk begins to take them: the end waits for the rest only.
SYNC_EVERY = 32 * 1024 * 1024
# An archive may be a little larger than what is in it.
SLACK = 1024 * 1024
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f/\\]")


@dataclass(frozen=True)
class Options:
    """What is to be done with what is sent. Without a ``filename`` nothing is sent, and the bundle is only ended."""

    filename: str | None = None
    unpack: bool = True
    state_on_success: str = READY
    finalize_on_success: bool = True
    finalize_on_failure: bool = False

    def check(self) -> None:
        """Raise ``Refused`` if an option is wrong."""
        if self.state_on_success not in (READY, FAILED, KILLED):
            raise Refused("state_on_success must be one of ready|failed|killed")
        name = self.filename
        if name is not None and (_NOT_IN_NAMES.search(name) or name in (".", "..") or len(name.encode()) > 255):
            raise Refused(f"Invalid filename: {name[:100]!r}")

    @property
    def suffix(self) -> str | None:
        """What kind of archive is to be unpacked; None if the bytes are kept as they are."""
        return suffix_of(self.filename or "") if self.unpack else None


class Upload:
    """Contents on their way into a bundle. ``write`` and ``finish``, or ``abort``, one at a time."""

    def __init__(
        self, uploads: Uploads, bundle: Bundle, options: Options, aside: Path, left: int | None, room: int
    ) -> None:
        """``left`` of the owner's quota (None: there is none), and ``room`` on the disk, in bytes."""
        self.uuid = bundle.uuid
        self.owner_id = bundle.owner_id
        self.options = options
        self.count = 0
        self._uploads = uploads
        self._aside = aside
        self._left = left
        self._room = room
        self._digest = hashlib.sha1(usedforsecurity=False)
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._writing: asyncio.Task[None] | None = None
        self._descriptor: int | None = None
        self._syncing: asyncio.Task[None] | None = None
        self._synced = 0

    async def open(self) -> None:
        """Make the file that the bytes go to."""

        def work() -> int:
            self._aside.mkdir(mode=0o700)
            return os.open(self._sent, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

        self._descriptor = await asyncio.to_thread(work)

    async def write(self, chunk: bytes) -> None:
        """Take bytes; ``QuotaExceeded`` at once if they are more than the owner may store (the upload is then over)."""
        self.count += len(chunk)
        self.check(self.count)
        self._waiting.append(chunk)
        self._waiting_size += len(chunk)
        if self._waiting_size >= PIECE:
            await self._written()
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, self._taken()))
            self._sync_soon()

    def check(self, size: int) -> None:
        """Raise ``QuotaExceeded`` if so many bytes are too many, ``OSError`` if the disk has no room for them."""
        if self._left is not None and size > self._left + (SLACK if self.options.suffix else 0):
            raise over_quota(size, self._left)
        if size > self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def finish(self) -> None:
        """Unpack, publish and give to the bundle what was sent; the bundle is as the options say when this returns."""
        await self._written()
        await asyncio.to_thread(self._write, self._taken())
        if self._syncing is not None:
            await self._syncing
        await asyncio.to_thread(self._close, True)
        path, measured = await self._measured()
        await self._uploads.publish(self, path, measured)

    async def abort(self) -> None:
        """Remove what was written."""
        going_on = [each for each in (self._writing, self._syncing) if each is not None]
        await asyncio.gather(*going_on, return_exceptions=True)
        await asyncio.to_thread(self._close, False)
        await asyncio.to_thread(self._uploads.contents.store.remove, self._aside)

    @property
    def _most(self) -> int:
        """What an archive may unpack to, beside itself."""
        room = max(0, self._room - self.count)
        return room if self._left is None else min(self._left, room)

    @property
    def _sent(self) -> Path:
        return self._aside / "sent"

    async def _measured(self) -> tuple[Path, Measured]:
        suffix = self.options.suffix
        if suffix is None:
            return self._sent, Measured("file", self.count, f"0x{self._digest.hexdigest()}")
        unpacked = self._aside / "unpacked"
        try:
            measured = await unpack_in_child(self._sent, suffix, unpacked, self._most)
        except TooBigError as error:
            if self._left is None or error.size <= self._left:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
            raise over_quota(error.size, self._left) from None
        except InvalidError as error:
            raise InvalidUpload(suffix, str(error)) from None
        return unpacked, measured

    async def _written(self) -> None:
        """Wait until what was handed over is written, and find out whether it could be."""
        if self._writing is not None:
            await self._writing
            self._writing = None

    def _sync_soon(self) -> None:
        if self._syncing is not None and self._syncing.done():
            # A disk that could not take it says so once.
            self._syncing.result()
            self._syncing = None
        if self._syncing is None and self._descriptor is not None and self.count - self._synced >= SYNC_EVERY:
            self._synced = self.count
            self._syncing = asyncio.ensure_future(asyncio.to_thread(os.fsync, self._descriptor))

    def _taken(self) -> list[bytes]:
        taken, self._waiting, self._waiting_size = self._waiting, [], 0
        return taken

    def _write(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            view = memoryview(piece)
            while view and self._descriptor is not None:
                view = view[os.write(self._descriptor, view) :]
            self._digest.update(piece)

    def _close(self, is_whole: bool) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            try:
                if is_whole:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)


class InvalidUpload(Refused):
    """What was sent cannot be unpacked; ``reason`` says what is wrong with it, the message says it as the API does."""

    def __init__(self, suffix: str, reason: str) -> None:
        how = "failed to unzip .zip file." if suffix == ".zip" else "failed to unpack archive."
        super().__init__(f"Invalid archive upload: {how}")
        self.reason = reason


def over_quota(size: int, left: int) -> QuotaExceeded:
    """Return the error that says that contents do not fit."""
    text = (
        f"Can't save bundle, user disk quota exceeded. Bundle size {size} greater than user's disk quota left: {left}"
    )
    return QuotaExceeded(text, disk_left=left, size=size)
