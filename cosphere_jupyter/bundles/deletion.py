"""Deleting bundles, and what stands in the way. Works inside the caller's transaction.

Source: the CodaLab REST API's semantics, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import Connection

from ..accounts.service import Account
from .access import ALL, denied, permissions_of
from .changes import check_not_frozen
from .contents import release
from .problems import Refused
from .records import ACTIVE_STATES, Bundle, children_of, delete_bundles, read_bundles
from .worksheet_items import host_worksheets, host_worksheets_for

# Nobody else writes meanwhile.
MOST_AT_ONCE = 2000
_SHOWN = 20


@dataclass(frozen=True)
class Deletion:
    """How bundles are deleted: with what depends on them (``recursive``), in spite of guards (``force``).

    ``data_only`` takes the contents only, ``dry_run`` nothing.
    """

    recursive: bool = False
    force: bool = False
    data_only: bool = False
    dry_run: bool = False


def remove_bundles(
    connection: Connection, uuids: Sequence[str], caller: Account, how: Deletion
) -> tuple[list[str], list[str]]:
    """Delete bundles, and return their uuids and the locations of contents that are to be removed after the commit.

    Raises:
        AccessDenied: one of them is not the caller's to change, not there, or frozen.
        Refused: one is at work, others depend on it, or several worksheets show it.
    """
    wanted = list(dict.fromkeys(uuids))
    if how.recursive:
        wanted = _with_all_descendants(connection, wanted)
    if len(wanted) > MOST_AT_ONCE:
        raise Refused(f"at most {MOST_AT_ONCE} bundles can be deleted at once")
    found = read_bundles(connection, wanted)
    permissions = permissions_of(connection, [each.id for each in found.values()], caller)
    asked = set(uuids)
    for uuid in wanted:
        have = permissions[found[uuid].id] if uuid in found else 0
        if have < ALL:
            # Of what only depends on them, and is private, no more is told than that it stands in the way.
            raise denied(connection, uuid if have or uuid in asked else "<private>", caller, have, ALL)
    bundles = [found[uuid] for uuid in wanted]
    _check(connection, bundles, caller, how)
    if how.dry_run:
        return wanted, []
    locations = release(connection, bundles)
    if not how.data_only:
        delete_bundles(connection, wanted)
    return wanted, locations


def _with_all_descendants(connection: Connection, uuids: Sequence[str]) -> list[str]:
    found = dict.fromkeys(uuids)
    level: Sequence[str] = uuids
    while level and len(found) <= MOST_AT_ONCE:
        below = chain.from_iterable(children_of(connection, level).values())
        level = [uuid for uuid in dict.fromkeys(below) if uuid not in found]
        found.update(dict.fromkeys(level))
    return list(found)


def _check(connection: Connection, bundles: Sequence[Bundle], caller: Account, how: Deletion) -> None:
    for bundle in bundles:
        check_not_frozen(bundle)
    if active := [each.uuid for each in bundles if each.state in ACTIVE_STATES]:
        raise Refused(
            f"Can't delete bundles: {' '.join(active)}. For run bundles, kill them first. Bundles stuck not running "
            "will eventually automatically be moved to a state where they can be deleted."
        )
    if not how.force:
        _check_dependants(connection, [each.uuid for each in bundles], caller)
        if not how.data_only:
            _check_worksheets(connection, [each.uuid for each in bundles], caller)


def _check_dependants(connection: Connection, uuids: Sequence[str], caller: Account) -> None:
    children = children_of(connection, uuids)
    left = dict.fromkeys(each for some in children.values() for each in some if each not in set(uuids))
    if not left:
        return
    named = read_bundles(connection, list(left)[:_SHOWN])
    permissions = permissions_of(connection, [each.id for each in named.values()], caller)
    # Of what others keep private it is told that it is there, for it stands in the way, and no more.
    lines = [f"{each.name}({each.uuid})" if permissions[each.id] else "<private>" for each in named.values()]
    if len(left) > _SHOWN:
        lines.append(f"… and {len(left) - _SHOWN} more")
    raise Refused(
        f"Can't delete bundles {' '.join(uuids)} because the following bundles depend on them:\n  " + "\n  ".join(lines)
    )


def _check_worksheets(connection: Connection, uuids: Sequence[str], caller: Account) -> None:
    readable = host_worksheets_for(connection, uuids, caller)
    for uuid, hosts in host_worksheets(connection, uuids).items():
        if len(hosts) > 1:
            lines = [f"{name}({of})" if (of, name) in readable[uuid] else "<private>" for of, name in hosts]
            raise Refused(
                f"Can't delete bundle {uuid} because it appears in multiple worksheets (--force to override):\n  "
                + "\n  ".join(lines)
            )
