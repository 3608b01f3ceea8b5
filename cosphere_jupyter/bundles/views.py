"""Bundles as a caller may see them: with their permissions, owners, parents, children and worksheets, in few queries.

What a caller may not read is masked, and of what others keep private not even the name is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from ..accounts.profiles import Profile, read_profiles
from ..accounts.service import Account
from .access import ALL, NONE, permissions_of
from .group_permissions import GroupPermission, group_permissions_of
from .problems import Missing
from .records import RESOURCE, Bundle, children_of, read_bundles
from .worksheet_items import host_worksheets_for

OWNER, GROUP_PERMISSIONS, CHILDREN, HOST_WORKSHEETS = INCLUDES = (
    "owner",
    "group_permissions",
    "children",
    "host_worksheets",
)
# Generations of descendants that are looked for, and how many bundles at most.
DEEPEST = 100
MOST_DESCENDANTS = 10_000


@dataclass(frozen=True)
class BundleView:
    """A bundle, and what a caller may do with it (0: all but its uuid is hidden).

    ``parents`` are those that may be read, ``owner`` is None if it is hidden; what was not wanted is empty.
    """

    bundle: Bundle
    permission: int
    owner: Profile | None
    parents: Mapping[str, Bundle] = field(default_factory=dict)
    group_permissions: Sequence[GroupPermission] = ()
    children: Sequence[BundleView] = ()
    host_worksheets: Sequence[tuple[str, str]] = ()

    @property
    def is_masked(self) -> bool:
        """Whether the caller may not read it."""
        return self.permission == NONE


def view_bundles(
    connection: Connection, uuids: Iterable[str], reader: Account | None, wanted: Collection[str] = ()
) -> list[BundleView]:
    """Return bundles in this order as ``reader`` may see them; ``Missing`` names the first that is not there.

    ``wanted`` are those of `INCLUDES` that are to be read, too.
    """
    order = list(uuids)
    found = read_bundles(connection, order)
    if missing := [uuid for uuid in order if uuid not in found]:
        raise Missing(f"Bundle {missing[0]} not found")
    views = {view.bundle.uuid: view for view in _view(connection, list(found.values()), reader, wanted)}
    return [views[uuid] for uuid in order]


def with_descendants(connection: Connection, uuids: Sequence[str], reader: Account | None, depth: int) -> list[str]:
    """Return the uuids and those of the descendants down to ``depth`` (1: children) that ``reader`` may see."""
    found = dict.fromkeys(uuids)
    level: Sequence[str] = list(found)
    for _ in range(min(depth, DEEPEST)):
        children = children_of(connection, level)
        fresh = [uuid for each in level for uuid in children.get(each, ()) if uuid not in found]
        level = [each.uuid for each in _readable(connection, dict.fromkeys(fresh), reader)]
        found.update(dict.fromkeys(level))
        if not level or len(found) > MOST_DESCENDANTS:
            break
    # Whoever asks for a bundle twice gets it twice.
    return [*uuids, *list(found)[len(dict.fromkeys(uuids)) :]][: max(len(uuids), MOST_DESCENDANTS)]


def _readable(connection: Connection, uuids: Iterable[str], reader: Account | None) -> list[Bundle]:
    found = read_bundles(connection, uuids)
    permissions = permissions_of(connection, [each.id for each in found.values()], reader)
    return [each for each in found.values() if permissions[each.id] > NONE]


def _view(
    connection: Connection, found: Sequence[Bundle], reader: Account | None, wanted: Collection[str]
) -> list[BundleView]:
    permissions = permissions_of(connection, [each.id for each in found], reader, RESOURCE)
    seen = [each for each in found if permissions[each.id] > NONE]
    uuids, ids = [each.uuid for each in seen], [each.id for each in seen]
    owners = read_profiles(connection, {each.owner_id for each in seen})
    parents = {each.uuid: each for each in _readable(connection, _parents_of(seen), reader)}
    given = group_permissions_of(connection, ids) if GROUP_PERMISSIONS in wanted else {}
    hosts = host_worksheets_for(connection, uuids, reader) if HOST_WORKSHEETS in wanted else {}
    children = _children(connection, uuids, reader) if CHILDREN in wanted else {}

    def view(bundle: Bundle) -> BundleView:
        permission = permissions[bundle.id]
        if permission == NONE:
            return BundleView(bundle, NONE, None)
        is_hidden = bundle.is_anonymous and permission < ALL
        return BundleView(
            bundle,
            permission,
            None if is_hidden else owners.get(bundle.owner_id),
            {
                each.parent_uuid: parents[each.parent_uuid]
                for each in bundle.dependencies
                if each.parent_uuid in parents
            },
            given.get(bundle.id, ()),
            children.get(bundle.uuid, ()),
            hosts.get(bundle.uuid, ()),
        )

    return [view(each) for each in found]


def _parents_of(found: Iterable[Bundle]) -> dict[str, None]:
    return dict.fromkeys(each.parent_uuid for bundle in found for each in bundle.dependencies)


def _children(connection: Connection, uuids: Sequence[str], reader: Account | None) -> dict[str, list[BundleView]]:
    named = children_of(connection, uuids)
    bundles = _readable(connection, dict.fromkeys(child for some in named.values() for child in some), reader)
    views = {view.bundle.uuid: view for view in _view(connection, bundles, reader, ())}
    return {uuid: [views[child] for child in some if child in views] for uuid, some in named.items()}
