"""Contents that are sent to bundles: to the disk as they come, within the owner's quota, unpacked, and then published.

An upload is written aside, brought to the disk and renamed; then one transaction gives it to the bundle, charges it to
the owner and ends the bundle's state. A crash before that leaves something aside, by which the next start knows that an
upload was interrupted. Source: the CodaLab REST API's semantics, section 3.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ..accounts.service import Account
from ..database.engine import Database
from ..errors import AccessDenied, CosphereError, QuotaExceeded, Unavailable
from .access import ALL, demand
from .archives import suffix_of
from .contents import Contents, adopt, release
from .hashing import Measured
from .leftovers import end_interrupted, known_locations
from .problems import Missing, Refused, Taken
from .records import FAILED, FINAL_STATES, KILLED, READY, UPLOADING, Bundle, read_bundle, update_bundle
from .tree import InvalidError
from .unpacking import TooBigError, unpack_in_child
from .usage import disk_left

# What is written to the disk at once.
PIECE = 1024 * 1024
# After so many bytes the disk begins to take them: the end waits for the rest only.
SYNC_EVERY = 32 * 1024 * 1024
# So much of the disk is left to the workspace itself: its database must go on.
RESERVE = 128 * 1024 * 1024
# An archive may be a little larger than what is in it.
SLACK = 1024 * 1024
FINALIZED = "Contents cannot be modified, bundle already finalized."
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


class Uploads:
    """All that is done with contents that are sent."""

    def __init__(self, database: Database, contents: Contents) -> None:
        self._database = database
        self.contents = contents
        # By uuid: a bundle takes one upload at a time.
        self._running: dict[str, Upload] = {}
        self._beginning: set[str] = set()
        # Ends of uploads that nobody waits for.
        self._ending: set[asyncio.Task[None]] = set()

    async def begin(self, uuid: str, options: Options, caller: Account, announced: int | None = None) -> Upload:
        """Begin an upload of ``announced`` bytes, if that is known; needs ALL.

        Raises:
            AccessDenied: the caller may not, or the bundle is frozen or has come to its end.
            Refused, Taken: an option is wrong; the bundle takes no contents, or takes others at present.
            QuotaExceeded: it is known to be too large; the bundle has failed then.
        """
        options.check()
        if uuid in self._running or uuid in self._beginning:
            raise Taken(f"Contents of bundle {uuid} are being uploaded already.")
        self._beginning.add(uuid)
        try:
            bundle, left = await self._database.read(lambda connection: _open_for(connection, uuid, caller))
            if left is not None:
                left = max(0, left - sum(each.count for each in self._of_owner(bundle.owner_id)))
            aside = await asyncio.to_thread(self.contents.store.aside, uuid)
            room = (await asyncio.to_thread(shutil.disk_usage, aside.parent)).free - RESERVE
            upload = Upload(self, bundle, options, aside, left, room)
            await self._checked(upload, announced)
            await upload.open()
            self._running[uuid] = upload
            return upload
        finally:
            self._beginning.discard(uuid)

    async def end(self, uuid: str, options: Options, caller: Account) -> None:
        """End a bundle to which nothing is sent any more; needs ALL."""
        options.check()

        def work(connection: Connection) -> None:
            bundle, _ = _open_for(connection, uuid, caller)
            _finalise(connection, bundle, options)

        await self._database.write(work)

    async def finish(self, upload: Upload) -> None:
        """End an upload; whatever goes wrong, the bundle says so, nothing is left over, and the error is raised."""
        try:
            await upload.finish()
        except (CosphereError, OSError) as error:
            await self.fail(upload, error)
            raise failure_of(error) from error
        else:
            await upload.abort()
        finally:
            self._running.pop(upload.uuid, None)

    async def fail(self, upload: Upload, error: Exception) -> None:
        """End an upload that cannot go on; what the sender did wrong ends the bundle, too."""
        self._running.pop(upload.uuid, None)
        await upload.abort()
        is_senders = isinstance(error, Refused | QuotaExceeded)
        if is_senders or (upload.options.finalize_on_failure and not isinstance(error, AccessDenied | Missing)):
            reason = error.reason if isinstance(error, InvalidUpload) else str(failure_of(error))
            await self._database.write(
                lambda connection: _fail(connection, upload.uuid, str(failure_of(error)), reason)
            )

    def interrupt_soon(self, upload: Upload) -> None:
        """Do what `interrupt` does, without being waited for."""
        ending = asyncio.ensure_future(self.interrupt(upload))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def interrupt(self, upload: Upload) -> None:
        """End an upload whose sender has gone away; without ``finalize_on_failure`` it may be sent again."""
        self._running.pop(upload.uuid, None)
        await upload.abort()
        text = f"Upload failed: the connection was lost after {upload.count} bytes."
        is_end = upload.options.finalize_on_failure
        await self._database.write(lambda connection: _fail(connection, upload.uuid, text, text, is_end))

    async def publish(self, upload: Upload, path: Path, measured: Measured) -> None:
        """Move what was measured to its place and give it to the bundle, in place of what that had."""
        store = self.contents.store
        location = await asyncio.to_thread(store.publish, upload.uuid, path)
        try:
            replaced = await self._database.write(lambda connection: _store(connection, upload, location, measured))
        except BaseException:
            await asyncio.to_thread(store.delete, location)
            raise
        await self.contents.discard(replaced)

    async def sweep(self) -> int:
        """Remove what a former server left behind, before anything is sent; returns how much that was.

        Bundles whose upload was interrupted fail. Those to which nothing was sent yet go on waiting.
        """
        store = self.contents.store
        known = await self._database.read(known_locations)
        aside = await asyncio.to_thread(store.leftovers)
        orphans = [each for each in await asyncio.to_thread(lambda: list(store.locations())) if each not in known]
        await self._database.write(
            lambda connection: end_interrupted(connection, [each.name for each in aside], orphans)
        )
        for path in aside:
            await asyncio.to_thread(store.remove, path)
        for location in orphans:
            await asyncio.to_thread(store.remove, store.root / location)
        return len(aside) + len(orphans)

    async def _checked(self, upload: Upload, announced: int | None) -> None:
        try:
            upload.check(announced or 0)
        except (QuotaExceeded, OSError) as error:
            await self.fail(upload, error)
            raise failure_of(error) from None

    def _of_owner(self, account_id: int) -> list[Upload]:
        return [each for each in self._running.values() if each.owner_id == account_id]


def failure_of(error: Exception) -> CosphereError:
    """Return an error of an upload as it is told: what the sender did wrong begins with ``Upload failed``."""
    if isinstance(error, QuotaExceeded):
        return QuotaExceeded(f"Upload failed: {error}", **error.details)
    if isinstance(error, Refused):
        return Refused(f"Upload failed: {error}")
    if isinstance(error, OSError):
        return Unavailable(f"Upload failed: the server cannot store it ({os.strerror(error.errno or 0)})")
    return error if isinstance(error, CosphereError) else Unavailable("Upload failed")


def _open_for(connection: Connection, uuid: str, caller: Account) -> tuple[Bundle, int | None]:
    """Return a bundle that takes contents, and how many bytes its owner may still store; what it has does not count."""
    bundle = demand(connection, uuid, caller, ALL)
    _check_state(bundle)
    left = disk_left(connection, bundle.owner_id)
    return bundle, None if left is None else left + bundle.data_size


def _check_state(bundle: Bundle) -> None:
    if bundle.frozen_at is not None:
        raise AccessDenied(f"Cannot mutate frozen bundle {bundle.uuid}({bundle.name}).")
    if bundle.state in FINAL_STATES:
        raise AccessDenied(FINALIZED)
    if bundle.state != UPLOADING:
        raise Refused(f"Contents cannot be uploaded to a bundle that is {bundle.state}.")


def _store(connection: Connection, upload: Upload, location: str, measured: Measured) -> list[str]:
    bundle = read_bundle(connection, upload.uuid)
    if bundle is None:
        raise Missing(f"Bundle {upload.uuid} not found")
    _check_state(bundle)
    replaced = release(connection, [bundle])
    left = disk_left(connection, bundle.owner_id)
    if left is not None and measured.size > left:
        raise over_quota(measured.size, left)
    bundle = adopt(connection, bundle, location, measured)
    bundle = update_bundle(connection, bundle, metadata={"failure_message": None, "error_traceback": None})
    _finalise(connection, bundle, upload.options)
    return replaced


def _finalise(connection: Connection, bundle: Bundle, options: Options) -> None:
    if options.finalize_on_success:
        update_bundle(connection, bundle, state=options.state_on_success)


def _fail(connection: Connection, uuid: str, text: str, reason: str, is_end: bool = True) -> None:
    bundle = read_bundle(connection, uuid)
    if bundle is None or bundle.state != UPLOADING:
        return
    changes: dict[str, Any] = {"state": FAILED} if is_end else {}
    update_bundle(connection, bundle, metadata={"failure_message": text, "error_traceback": reason}, **changes)
