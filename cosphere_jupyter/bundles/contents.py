"""Contents of bundles: what lies in them, reading them, and how they are stored and taken away.

Reading never follows a symbolic link, whoever made it, and whatever else changes the folder meanwhile (a run may). A
path that is not in a bundle but begins with a dependency's path goes on in the parent. Source: the CodaLab REST API's
semantics, section 3.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ..accounts.service import Account
from ..database.engine import Database
from . import reading
from .access import READ, demand
from .hashing import Measured
from .problems import Missing, Refused
from .records import CREATED, FINAL_STATES, PREPARING, STAGED, STARTING, Bundle, update_bundle
from .store import BundleStore
from .summary import TRUNCATION, summarise
from .usage import charge

# Returns the folder in which a run is at work, None if it is not at work (yet).
LiveFolder = Callable[[Bundle], Path | None]
# A path may lead from one bundle to its parent, and on to that one's parent, so many times.
MOST_STEPS = 32
_NOT_RUNNING_YET = (CREATED, STAGED, STARTING, PREPARING)


@dataclass(frozen=True)
class Target:
    """What a path leads to, in the bundle or in a parent of it: ``names`` below the folder (or file) ``root``."""

    bundle: Bundle
    root: Path
    names: tuple[str, ...]
    node: reading.Node

    @property
    def name(self) -> str:
        """What a download of it is called: the bundle's name, or the last part of the path."""
        return self.names[-1] if self.names else self.bundle.name or self.bundle.uuid

    @property
    def size(self) -> int:
        """Its bytes; of folders only that of the whole bundle is known, others count as 0."""
        if self.node.kind == reading.DIRECTORY:
            return 0 if self.names else self.bundle.data_size
        return self.node.size

    @property
    def is_final(self) -> bool:
        """Whether it will never change any more."""
        return self.bundle.state in FINAL_STATES


class Contents:
    """All that is read of contents. ``live`` is set by whoever runs bundles."""

    def __init__(self, database: Database, store: BundleStore, live: LiveFolder = lambda bundle: None) -> None:
        self._database = database
        self.store = store
        self.live = live

    async def info(self, uuid: str, path: str, depth: int, caller: Account | None) -> dict[str, Any]:
        """Return what lies at a path as the API shows it, with what lies in it down to ``depth``; needs READ.

        Raises:
            AccessDenied: the caller may not read the bundle, or the parent that the path leads to.
            Missing: nothing lies there.
            Refused: ``depth`` is negative.
        """
        if depth < 0:
            raise Refused("Depth must be at least 0")
        target = await self.find(uuid, path, caller)
        name = target.names[-1] if target.names else target.bundle.uuid
        try:
            found = await asyncio.to_thread(reading.describe, target.root, target.names, name, depth)
        except reading.GoneError:
            raise _nothing_at(path, uuid) from None
        resolved = {"bundle_uuid": target.bundle.uuid, "subpath": "/".join(target.names)}
        return {**found, "resolved_target": resolved}

    async def find(self, uuid: str, path: str, caller: Account | None) -> Target:
        """Return what a path leads to, or raise as `info` does."""
        here, rest = uuid, path
        for _ in range(MOST_STEPS):
            names = _names(here, rest)
            bundle = await self._database.read(partial(demand, uuid=here, account=caller, level=READ))
            root, onwards = self.root_of(bundle), _in_parent(bundle, names)
            try:
                # While it runs, what stands at a dependency's path is a place for the parent, and nothing of its own.
                if root is not None and (onwards is None or bundle.location is not None):
                    return Target(bundle, root, names, await asyncio.to_thread(reading.look, root, names))
            except reading.GoneError:
                pass
            if onwards is None:
                if root is None and bundle.state in _NOT_RUNNING_YET:
                    raise Missing(f"Bundle {bundle.uuid} hasn't started running yet, files not available")
                break
            here, rest = onwards
        raise _nothing_at(path, uuid)

    def root_of(self, bundle: Bundle) -> Path | None:
        """Return where the contents of a bundle lie at present; None if it has none."""
        if bundle.location is not None:
            return self.store.path(bundle.location)
        return None if bundle.state in FINAL_STATES else self.live(bundle)

    async def open(self, target: Target) -> tuple[int, reading.Node]:
        """Open a file; returns its descriptor, which the caller closes, and what it is now."""
        try:
            return await asyncio.to_thread(reading.open_file, target.root, target.names)
        except reading.GoneError:
            raise _nothing_at("/".join(target.names), target.bundle.uuid) from None

    async def summary(
        self, target: Target, head: int, tail: int, longest: int = 128, truncation: str = TRUNCATION
    ) -> bytes:
        """Return the first and the last lines of a file; see `summarise`."""
        descriptor, node = await self.open(target)

        def work() -> bytes:
            with os.fdopen(descriptor, "rb"):
                return summarise(descriptor, node.size, head, tail, longest, truncation)

        return await asyncio.to_thread(work)

    def archive(self, target: Target) -> Iterator[bytes]:
        """Yield a folder as a compressed tar archive; blocks on the disk. ``Missing`` if it is gone meanwhile."""
        try:
            yield from reading.gzipped(reading.tar_chunks(target.root, target.names))
        except reading.GoneError:
            raise _nothing_at("/".join(target.names), target.bundle.uuid) from None

    async def discard(self, locations: Iterable[str]) -> None:
        """Remove contents that the record no longer knows; see `release`."""
        for location in locations:
            await asyncio.to_thread(self.store.delete, location)


def _names(uuid: str, path: str) -> tuple[str, ...]:
    try:
        return reading.components(path)
    except reading.OutsideError:
        raise Missing(f"{uuid}/{path} is not inside the bundle.") from None


def _nothing_at(path: str, uuid: str) -> Missing:
    return Missing(f"Path {path!r} in bundle {uuid} not found")


def _in_parent(bundle: Bundle, names: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the parent, and the path in it, that a path of a bundle leads to; None if it leads to none."""
    for each in bundle.dependencies:
        child = tuple(part for part in each.child_path.split("/") if part not in ("", "."))
        if child and names[: len(child)] == child:
            return each.parent_uuid, "/".join([*filter(None, [each.parent_path]), *names[len(child) :]])
    return None


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
