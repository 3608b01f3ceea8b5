"""Bundle specs: how a person names one bundle. Source: the CodaLab REST API's semantics, section 6.

A spec is a uuid, the beginning of one, a name (that of the item added last), ``name^2`` or ``^2`` (the second-last
item), each within a worksheet; ``worksheet/spec`` names the worksheet, too. Without a worksheet, names are those of
the caller's own bundles. Only what the caller may read is found.
"""

from __future__ import annotations

import fnmatch
import re

from sqlalchemy import Connection, select

from ..accounts.service import Account
from .access import may_read
from .ids import is_uuid, is_uuid_prefix
from .problems import Missing, Refused
from .tables import bundles
from .worksheet_search import find_worksheet
from .worksheets import Worksheet, last_bundles

_NAME = r"(?:[a-zA-Z_%]|\.\*)(?:[a-zA-Z0-9_.\-%]|\.\*)*"
_SPEC = re.compile(rf"(?P<name>{_NAME})?(?:\^(?P<index>[0-9]{{0,9}}))?")
LONGEST = 1000
# Of own bundles of one name, more than anybody counts.
MOST_OWN = 1000


def find_bundle(connection: Connection, spec: str, worksheet: Worksheet | None, reader: Account | None) -> str:
    """Return the uuid that one spec means; see `BundleFinder.find`."""
    return BundleFinder(connection, worksheet, reader).find(spec)


class BundleFinder:
    """Finds bundles by specs; what it has read of a worksheet it remembers, for the next ones."""

    def __init__(self, connection: Connection, worksheet: Worksheet | None, reader: Account | None) -> None:
        """``worksheet`` is where names are of that say nothing else."""
        self._connection = connection
        self._worksheet = worksheet
        self._reader = reader
        self._worksheets: dict[str, Worksheet] = {}
        self._items: dict[int, list[tuple[str, str]]] = {}

    def find(self, spec: str) -> str:
        """Return the uuid that a spec means, of a whole uuid itself.

        Raises:
            Missing: nothing has this name or begins like this.
            Refused: the spec is none, or means several bundles, or an item that is not there.
        """
        spec, worksheet = spec.strip(), self._worksheet
        if len(spec) > LONGEST:
            raise Refused("Invalid bundle_spec: it is too long")
        if "/" in spec:
            of_worksheet, _, spec = spec.rpartition("/")
            # The command line's ``worksheet//spec`` is the same.
            worksheet = self._find_worksheet(of_worksheet.rstrip("/"))
        if is_uuid(spec):
            return spec
        if is_uuid_prefix(spec):
            return _by_prefix(self._connection, spec, self._reader)
        match = _SPEC.fullmatch(spec)
        if match is None or not spec:
            raise Refused(f"Invalid bundle_spec: {spec}")
        name, index = match["name"], match["index"]
        found = self._candidates(name, worksheet)
        if name is not None and not found:
            raise Missing(f"bundle spec {name} doesn't match any bundles")
        number = int(index or 1)
        if not 1 <= number <= len(found):
            what = f"{len(found)} bundles" if name is None else f"bundle spec {name} matches {len(found)} bundles"
            raise Refused(f"{what}, index {number} out of bounds")
        return found[number - 1]

    def _find_worksheet(self, spec: str) -> Worksheet:
        if spec not in self._worksheets:
            self._worksheets[spec] = find_worksheet(self._connection, spec, self._reader)
        return self._worksheets[spec]

    def _candidates(self, name: str | None, worksheet: Worksheet | None) -> list[str]:
        """Return the uuids that a name, or none, may mean, what was added or made last first."""
        if worksheet is None:
            return [] if self._reader is None else _own(self._connection, name, self._reader)
        if worksheet.id not in self._items:
            self._items[worksheet.id] = last_bundles(self._connection, worksheet.id)
        fits = [uuid for uuid, its_name in self._items[worksheet.id] if name is None or _is_like(its_name, name)]
        return fits if name is None else _readable(self._connection, fits, self._reader)


def _by_prefix(connection: Connection, prefix: str, reader: Account | None) -> str:
    # "g" comes after all digits.
    is_one = (bundles.c.uuid >= prefix) & (bundles.c.uuid < f"{prefix}g")
    found = connection.execute(select(bundles.c.uuid).where(is_one, may_read(bundles.c.id, reader)).limit(2)).all()
    if not found:
        raise Missing(f"uuid prefix {prefix} doesn't match any bundles")
    if len(found) > 1:
        raise Refused(f"More than one bundle has uuid prefix {prefix}")
    return str(found[0].uuid)


def _own(connection: Connection, name: str | None, reader: Account) -> list[str]:
    own = select(bundles.c.uuid, bundles.c.name).where(bundles.c.owner_id == reader.id)
    if name is not None and not _is_wild(name):
        own = own.where(bundles.c.name == name)
    found = []
    for row in connection.execute(own.order_by(bundles.c.id.desc())):
        if name is None or _is_like(row.name, name):
            found.append(str(row.uuid))
        if len(found) == MOST_OWN:
            break
    return found


def _readable(connection: Connection, uuids: list[str], reader: Account | None) -> list[str]:
    readable: set[str] = set()
    for start in range(0, len(uuids), 500):
        among = bundles.c.uuid.in_(uuids[start : start + 500])
        query = select(bundles.c.uuid).where(among, may_read(bundles.c.id, reader))
        readable.update(connection.execute(query).scalars())
    return [uuid for uuid in uuids if uuid in readable]


def _is_wild(name: str) -> bool:
    return "%" in name or ".*" in name


def _is_like(name: str, wanted: str) -> bool:
    if not _is_wild(wanted):
        return name == wanted
    pattern = wanted.replace(".*", "*").replace("%", "*")
    return fnmatch.fnmatchcase(name.lower(), pattern.lower())
