"""What uploads of a former server left behind, and which bundles they were for."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from .records import FAILED, UPLOADING, read_bundles, update_bundle
from .store import uuid_of
from .tables import bundles

INTERRUPTED = "Upload failed: the server stopped while the contents were being sent. Send them again as a new bundle."


def known_locations(connection: Connection) -> set[str]:
    """Return the locations of the contents of all bundles."""
    return set(connection.execute(select(bundles.c.location).where(bundles.c.location.is_not(None))).scalars())


def end_interrupted(connection: Connection, aside: Iterable[str], orphans: Iterable[str]) -> int:
    """Let the bundles fail whose upload was under way; returns how many.

    ``aside`` are the names of what was being written, ``orphans`` the locations of contents that no bundle has.
    """
    written = {uuid for name in aside if (uuid := uuid_of(name))}
    published = {uuid for name in orphans if (uuid := uuid_of(name))}
    waiting = bundles.c.state == UPLOADING
    uuids = connection.execute(select(bundles.c.uuid).where(waiting)).scalars()
    count = 0
    for bundle in read_bundles(connection, uuids).values():
        # Published without a bundle: between the rename and the record. What it has else was there before.
        was_under_way = bundle.uuid in written or (bundle.uuid in published and bundle.location is None)
        if was_under_way or bundle.metadata.get("failure_message"):
            said = {"failure_message": INTERRUPTED, "error_traceback": INTERRUPTED}
            update_bundle(connection, bundle, state=FAILED, metadata=said)
            count += 1
    return count
