"""Contents that are sent to bundles: to the disk as they come, within the owner's quota, unpacked, and then published.

An upload is written aside, brought to the disk and renamed; then one transaction gives it to the bundle, charges it to
the owner and ends the bundle's state. A crash before that leaves something aside, by which the next start knows that an
upload was interrupted. Source: the CodaLab REST API's semantics, section 3.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ..accounts.service import Account
from ..database.engine import Database
from ..errors import AccessDenied, CosphereError, QuotaExceeded, Unavailable
from .access import ALL, demand
from .contents import Contents, adopt, release
from .hashing import Measured
from .leftovers import end_interrupted, known_locations
from .problems import Missing, Refused, Taken
from .records import FAILED, FINAL_STATES, UPLOADING, Bundle, read_bundle, update_bundle
from .upload import InvalidUpload, Options, Upload, over_quota
from .usage import disk_left

# So much of the disk is left to the workspace itself: its database must go on.
RESERVE = 128 * 1024 * 1024
FINALIZED = "Contents cannot be modified, bundle already finalized."


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
