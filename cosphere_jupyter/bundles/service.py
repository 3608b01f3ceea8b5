"""All that is done with bundles as records, for every face: finding, making, changing and deleting them.

Changes are whole or nothing: of a list that names several bundles, one that is refused leaves all as they are. What is
read comes as `BundleView`. Source: the CodaLab REST API's semantics, sections 3 and 6.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection

from ..accounts.service import Account
from ..database.engine import Database
from .access import ALL, demand
from .changes import Change, change_bundle, check_not_frozen
from .creation import Placing, create_bundles
from .deletion import Deletion, remove_bundles
from .group_permissions import GroupPermission, set_group_permission
from .ids import is_uuid
from .problems import Refused
from .records import CREATED, Bundle
from .search import made_by, search_bundles
from .specs import BundleFinder
from .views import BundleView, view_bundles, with_descendants
from .worksheet_search import find_worksheet

__all__ = ["BundleView", "Bundles", "Change", "Deletion", "Placing"]

MOST_SPECS, MOST_NAMES = 5000, 500


class Runner(Protocol):
    """Who starts runs and makes, ends them, and writes into them."""

    def start(self, connection: Connection, bundle: Bundle) -> Bundle:
        """Take a new run or make in, in the transaction that stores it."""

    async def kill(self, bundle: Bundle) -> None:
        """End a bundle that has not ended."""

    async def write(self, bundle: Bundle, subpath: str, text: str) -> None:
        """Put a small file into a running bundle."""


class Bundles:
    """All that is done with bundles. ``reader`` is None for a caller whom nobody knows."""

    def __init__(self, database: Database, runs: Runner, discard: Callable[[Iterable[str]], Awaitable[None]]) -> None:
        """``discard`` removes contents by their locations, after the record has forgotten them."""
        self._database = database
        self._runs = runs
        self._discard = discard

    # -- reading ---------------------------------------------------------------------------------------------------

    async def read(
        self, uuids: Sequence[str], reader: Account | None, wanted: Collection[str] = ()
    ) -> list[BundleView]:
        """Return bundles in this order, masked where the caller may not read; ``Missing`` if one is not there."""
        return await self._database.read(lambda connection: view_bundles(connection, uuids, reader, wanted))

    async def search(
        self, keywords: Sequence[str], reader: Account | None, wanted: Collection[str] = (), depth: int = 0
    ) -> list[BundleView] | float | str:
        """Return what keywords find, then its descendants down to ``depth``; of an aggregate, its value."""

        def work(connection: Connection) -> list[BundleView] | float | str:
            found = search_bundles(connection, keywords, reader)
            if not isinstance(found, list):
                return found
            return view_bundles(connection, with_descendants(connection, found, reader, depth), reader, wanted)

        return await self._database.read(work)

    async def find(
        self,
        specs: Sequence[str],
        worksheet: str | None,
        reader: Account | None,
        wanted: Collection[str] = (),
        depth: int = 0,
    ) -> list[BundleView]:
        """Return the bundles of specs, one for each, then their descendants; ``worksheet`` is where names are of."""
        if len(specs) > MOST_SPECS or sum(not is_uuid(spec) for spec in specs) > MOST_NAMES:
            raise Refused(f"at most {MOST_SPECS} uuids and {MOST_NAMES} names can be asked for at once")

        def work(connection: Connection) -> list[BundleView]:
            base = find_worksheet(connection, worksheet, reader) if worksheet else None
            finder = BundleFinder(connection, base, reader)
            found = [finder.find(spec) for spec in specs]
            return view_bundles(connection, with_descendants(connection, found, reader, depth), reader, wanted)

        return await self._database.read(work)

    async def made_by(
        self, command: str, dependencies: Any, owner: Account, wanted: Collection[str] = (), depth: int = 0
    ) -> list[BundleView]:
        """Return the caller's own bundles of a command and exactly these dependencies, the oldest first.

        ``dependencies`` is a list of ``{"child_path", "parent_uuid"}``.
        """
        parents = _parents(dependencies)

        def work(connection: Connection) -> list[BundleView]:
            found = made_by(connection, command, parents, owner)
            return view_bundles(connection, with_descendants(connection, found, owner, depth), owner, wanted)

        return await self._database.read(work)

    # -- changing --------------------------------------------------------------------------------------------------

    async def create(
        self, attributes: Sequence[Mapping[str, Any]], placing: Placing, owner: Account, wanted: Collection[str] = ()
    ) -> list[BundleView]:
        """Make bundles and start those that run; they are shown as they are before that. See `create_bundles`."""

        def work(connection: Connection) -> list[BundleView]:
            made = create_bundles(connection, attributes, placing, owner)
            views = view_bundles(connection, [each.uuid for each in made], owner, wanted)
            for bundle in made:
                if bundle.state == CREATED:
                    self._runs.start(connection, bundle)
            return views

        return await self._database.write(work)

    async def update(
        self, changes: Sequence[Change], caller: Account, wanted: Collection[str] = ()
    ) -> list[BundleView]:
        """Change bundles; see `change_bundle`."""

        def work(connection: Connection) -> list[BundleView]:
            for change in changes:
                change_bundle(connection, change, caller)
            return view_bundles(connection, dict.fromkeys(each.uuid for each in changes), caller, wanted)

        return await self._database.write(work)

    async def delete(self, uuids: Sequence[str], caller: Account, how: Deletion) -> list[str]:
        """Delete bundles and return which; see `remove_bundles`."""
        gone, locations = await self._database.write(lambda connection: remove_bundles(connection, uuids, caller, how))
        await self._discard(locations)
        return gone

    async def set_permissions(
        self, given: Sequence[tuple[str, str, int]], caller: Account
    ) -> list[tuple[str, GroupPermission]]:
        """Set what groups may do: triples of a bundle's uuid, a group's and the permission; 0 takes it away."""

        def work(connection: Connection) -> list[tuple[str, GroupPermission]]:
            made = []
            for uuid, group, permission in given:
                bundle = demand(connection, uuid, caller, ALL)
                made.append((uuid, set_group_permission(connection, bundle.id, group, permission, caller)))
            return made

        return await self._database.write(work)

    async def kill(self, uuid: str, caller: Account) -> None:
        """End a bundle that has not ended; ``Refused`` if it has."""
        bundle = await self._database.read(lambda connection: demand(connection, uuid, caller, ALL))
        await self._runs.kill(bundle)

    async def write(self, uuid: str, subpath: str, text: str, caller: Account) -> None:
        """Put a small file into a running bundle."""
        bundle = await self._database.read(lambda connection: demand(connection, uuid, caller, ALL))
        check_not_frozen(bundle)
        await self._runs.write(bundle, subpath, text)


def _parents(dependencies: Any) -> list[tuple[str, str]]:
    if not isinstance(dependencies, list) or not all(isinstance(each, Mapping) for each in dependencies):
        raise Refused("`dependencies` must be a list of objects.")
    return sorted((str(each.get("child_path", "")), str(each.get("parent_uuid", ""))) for each in dependencies)
