"""Reading and replacing the source of a worksheet.

Reading what lines name takes a while and happens in a reading thread; the transaction that writes looks whether the
worksheet still has the items that were there, so that nothing that somebody else added meanwhile is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, select

from ..accounts.service import Account
from ..database.engine import Database
from ..errors import CosphereError
from .access import RESOURCE as BUNDLE_RESOURCE
from .access import WORKSHEET, may_read
from .ids import is_uuid
from .problems import Refused
from .specs import find_bundle
from .tables import bundles, worksheets
from .worksheet_search import find_worksheet
from .worksheet_service import MOST_ITEMS, demand_change
from .worksheet_source import Line, description_of, items_of_lines, lines_of, source_of
from .worksheets import Item, NewItem, Worksheet, last_bundles, replace_items

_AT_ONCE = 500


class WorksheetSources:
    """The sources of worksheets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replace(self, uuid: str, source: str, caller: Account, expected: int | None = None) -> None:
        """Make a text the source of a worksheet; needs ``all``.

        ``Refused`` if the worksheet is changed meanwhile, or is not at the version ``expected`` any more.
        """

        def read(connection: Connection) -> tuple[int, list[NewItem]]:
            found = demand_change(connection, uuid, caller)
            return found.version, parsed(connection, found, source, caller)

        version, items = await self._database.read(read)

        def write(connection: Connection) -> None:
            found = demand_change(connection, uuid, caller)
            if found.version != version or expected not in (None, version):
                raise Refused(f"Worksheet {found.uuid}({found.name}) was updated concurrently!")
            replace_items(connection, found.id, items)

        await self._database.write(write)


def parsed(connection: Connection, worksheet: Worksheet, source: str, reader: Account) -> list[NewItem]:
    """Return the items of a source; names of bundles are those on the worksheet itself first, then ``reader``'s own."""
    lines: Sequence[Line] = lines_of(source)
    if len(lines) > MOST_ITEMS:
        raise Refused(f"a source may have {MOST_ITEMS} lines at most")
    known = {name: uuid for uuid, name in reversed(last_bundles(connection, worksheet.id))}
    return items_of_lines(lines, _bundles(connection, worksheet, known, reader), _worksheets(connection, reader))


def written(connection: Connection, items: Sequence[Item], reader: Account | None) -> list[list[str]]:
    """Return the lines of each item; bundles and worksheets that ``reader`` may not read are not described."""
    named_bundles = [item.bundle_uuid for item in items if item.bundle_uuid]
    named_worksheets = [item.subworksheet_uuid for item in items if item.subworksheet_uuid]
    described: dict[str, str] = {}
    for start in range(0, len(named_bundles), _AT_ONCE):
        among = bundles.c.uuid.in_(named_bundles[start : start + _AT_ONCE])
        query = select(bundles).where(among, may_read(bundles.c.id, reader, BUNDLE_RESOURCE))
        for row in connection.execute(query):
            described[row.uuid] = description_of(row.bundle_type, row.name, row.command)
    titled: dict[str, str] = {}
    for start in range(0, len(named_worksheets), _AT_ONCE):
        among = worksheets.c.uuid.in_(named_worksheets[start : start + _AT_ONCE])
        query = select(worksheets).where(among, may_read(worksheets.c.id, reader, WORKSHEET))
        titled.update((row.uuid, f"worksheet {row.name}") for row in connection.execute(query))
    return source_of(items, described, titled)


def _bundles(
    connection: Connection, worksheet: Worksheet, known: dict[str, str], reader: Account
) -> Callable[[str], str | None]:
    unknown: set[str] = set()

    def find(spec: str) -> str | None:
        if is_uuid(spec):
            # It need not exist.
            return spec
        if spec not in known and spec not in unknown:
            # What is not on the worksheet yet may be one of the writer's own.
            for place in (worksheet, None):
                try:
                    known[spec] = find_bundle(connection, spec, place, reader)
                    break
                except CosphereError:
                    unknown.add(spec)
        return known.get(spec)

    return find


def _worksheets(connection: Connection, reader: Account) -> Callable[[str], str | None]:
    known: dict[str, str | None] = {}

    def find(spec: str) -> str | None:
        if spec and spec not in known:
            try:
                known[spec] = spec if is_uuid(spec) else find_worksheet(connection, spec, reader).uuid
            except CosphereError:
                known[spec] = None
        return known.get(spec)

    return find
