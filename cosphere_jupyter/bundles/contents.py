"""Contents of bundles: what lies in them, reading them, and how they are stored and taken away.

Reading never follows a symbolic link, whoever made it, and whatever else changes the folder meanwhile (a run may). A
path that is not in a bundle but begins with a dependency's path goes on in the parent. Source: the CodaLab REST API's
semantics, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from sqlalchemy import Connection

from ..database.engine import Database
from .hashing import Measured
from .records import Bundle, update_bundle
from .store import BundleStore
from .usage import charge

# Returns the folder in which a run is at work, None if it is not at work (yet).
LiveFolder = Callable[[Bundle], Path | None]


class Contents:
    """All that is read of contents. ``live`` is set by whoever runs bundles."""

    def __init__(self, database: Database, store: BundleStore, live: LiveFolder = lambda bundle: None) -> None:
        self._database = database
        self.store = store
        self.live = live


def adopt(connection: Connection, bundle: Bundle, location: str, measured: Measured) -> Bundle:
    """Give published contents to a bundle and charge them to its owner; see `release` for what it had before."""
    charge(connection, bundle.owner_id, measured.size)
    return update_bundle(
        connection,
        bundle,
        location=location,
        content_type=measured.content_type,
        data_size=measured.size,
        data_hash=measured.data_hash,
    )


def release(connection: Connection, bundles: Iterable[Bundle]) -> list[str]:
    """Take the contents off bundles, in the record, and off what their owners use.

    Returns the locations: `BundleStore.delete` removes them after the commit, and a sweep what a crash leaves.
    """
    locations = []
    for bundle in bundles:
        charge(connection, bundle.owner_id, -bundle.data_size)
        update_bundle(connection, bundle, location=None, content_type=None, data_size=0, data_hash=None)
        if bundle.location is not None:
            locations.append(bundle.location)
    return locations
