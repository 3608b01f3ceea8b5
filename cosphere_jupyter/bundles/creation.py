"""Making bundles: what may be said of a new one, and where it stands. Works inside the caller's transaction.

What programs send along because they read it of another bundle (state, owner, children, …) is passed over. Source: the
CodaLab REST API's semantics, sections 3 and 7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from ..accounts.service import Account
from .access import ALL, WORKSHEET, permissions_of
from .group_permissions import copy_group_permissions
from .ids import is_uuid, new_uuid
from .metadata import new_metadata
from .problems import Refused, Taken
from .records import BUNDLE_TYPES, CREATED, UPLOADING, Bundle, Dependency, NewBundle, read_bundle, store_bundle
from .tables import worksheet_items, worksheets
from .usage import demand_disk
from .worksheet_service import demand_change
from .worksheets import NewItem, Worksheet, add_items, append_bundle_item

NO_WORKSHEET = "Parent worksheet id must be specified as'worksheet' query parameter"
# Nobody else writes meanwhile.
MOST_AT_ONCE = 500
MOST_DEPENDENCIES = 2000
LONGEST_COMMAND = 64 * 1024
RUN, MAKE = "run", "make"
_CHILD_PATH = r"^[a-zA-Z0-9_\-./]*\Z"
# Takes a run or make in, in the transaction that stores it.
Start = Callable[[Connection, Bundle], Bundle]


@dataclass(frozen=True)
class Placing:
    """Where new bundles stand: on a worksheet unless they are ``detached``, there after the items with a sort key.

    ``shadow`` is the uuid of a bundle beside which they stand wherever it does. ``wait_for_upload``: their contents are
    sent, whatever their type.
    """

    worksheet: str | None = None
    detached: bool = False
    shadow: str | None = None
    after_sort_key: int | None = None
    wait_for_upload: bool = False


def create_bundles(
    connection: Connection, wanted: Sequence[Mapping[str, Any]], placing: Placing, owner: Account
) -> list[Bundle]:
    """Make a bundle of each of some attributes, or none of any; runs and makes are not started.

    Raises:
        AccessDenied: the worksheet is not the caller's to change, or frozen.
        Refused: something that is said of a bundle breaks a rule (`Taken`: there is one of its uuid).
        QuotaExceeded: the caller has used up the disk.
    """
    if len(wanted) > MOST_AT_ONCE:
        raise Refused(f"at most {MOST_AT_ONCE} bundles can be made at once")
    if placing.worksheet is None and not placing.detached:
        raise Refused(NO_WORKSHEET)
    worksheet = None if placing.worksheet is None or placing.detached else _worksheet(connection, placing, owner)
    demand_disk(connection, owner.id)
    return [_create(connection, attributes, placing, worksheet, owner) for attributes in wanted]


def _worksheet(connection: Connection, placing: Placing, owner: Account) -> Worksheet:
    return demand_change(connection, str(placing.worksheet), owner)


def _create(
    connection: Connection,
    attributes: Mapping[str, Any],
    placing: Placing,
    worksheet: Worksheet | None,
    owner: Account,
) -> Bundle:
    new = _checked(attributes, placing, worksheet, owner)
    if read_bundle(connection, new.uuid) is not None:
        raise Taken(f"Bundle {new.uuid} already exists")
    bundle = store_bundle(connection, new)
    if worksheet is not None:
        copy_group_permissions(connection, WORKSHEET, worksheet.id, bundle.id)
        if placing.shadow is None:
            append_bundle_item(connection, worksheet.uuid, bundle.uuid, placing.after_sort_key)
        else:
            _stand_beside(connection, placing.shadow, bundle.uuid, owner)
    return bundle


def _checked(attributes: Mapping[str, Any], placing: Placing, worksheet: Worksheet | None, owner: Account) -> NewBundle:
    bundle_type = attributes.get("bundle_type")
    if bundle_type not in BUNDLE_TYPES:
        raise Refused(f"Invalid bundle_type: {str(bundle_type)[:40]}; it is one of {', '.join(BUNDLE_TYPES)}")
    uuid = attributes.get("uuid")
    if uuid is not None and not is_uuid(uuid):
        raise Refused(f"uuids must match ^0x[0-9a-f]{{32}}$, was {str(uuid)[:100]}")
    is_uploaded = placing.wait_for_upload or bundle_type not in (RUN, MAKE)
    return NewBundle(
        owner_id=owner.id,
        bundle_type=str(bundle_type),
        metadata=new_metadata(str(bundle_type), attributes.get("metadata") or {}),
        state=UPLOADING if is_uploaded else CREATED,
        uuid=uuid or new_uuid(),
        command=_command(attributes.get("command"), str(bundle_type)),
        dependencies=_dependencies(attributes.get("dependencies"), str(bundle_type)),
        is_anonymous=worksheet is not None and worksheet.is_anonymous,
    )


def _command(command: Any, bundle_type: str) -> str | None:
    if bundle_type != RUN:
        return None
    if not isinstance(command, str) or not command.strip() or len(command) > LONGEST_COMMAND:
        raise Refused(f"`command` of a run must be a text of at most {LONGEST_COMMAND} characters.")
    return command


def _dependencies(given: Any, bundle_type: str) -> list[Dependency]:
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > MOST_DEPENDENCIES:
        raise Refused(f"`dependencies` must be a list of at most {MOST_DEPENDENCIES}.")
    dependencies = [_dependency(each) for each in given]
    paths = [each.child_path for each in dependencies]
    for each in dependencies:
        _check_child_path(each.child_path, is_alone=bundle_type == MAKE and len(paths) == 1)
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise Refused(f"child_path must be unique, was twice {twice}")
    return dependencies


def _dependency(given: Any) -> Dependency:
    if not isinstance(given, Mapping):
        raise Refused("A dependency must be an object.")
    uuid = given.get("parent_uuid")
    if not is_uuid(uuid):
        raise Refused(f"parent_uuid must match ^0x[0-9a-f]{{32}}$, was {str(uuid)[:100]}")
    paths = [given.get(name) or "" for name in ("child_path", "parent_path")]
    for path in paths:
        if not isinstance(path, str) or len(path) > 4096:
            raise Refused("Paths of a dependency must be texts of at most 4096 characters.")
    return Dependency(paths[0], str(uuid), paths[1])


def _check_child_path(path: str, is_alone: bool) -> None:
    """Refuse keys that a dependency cannot stand at; one that ``is_alone`` may stand for the whole bundle."""
    if not path and not is_alone:
        raise Refused("child_path empty")
    if not re.match(_CHILD_PATH, path):
        raise Refused(f"child_path must match {_CHILD_PATH}, was {path}")
    if path.startswith("/") or ".." in path.split("/"):
        raise Refused(f"child_path must lead to a place inside the bundle, was {path}")


def _stand_beside(connection: Connection, shadow: str, uuid: str, owner: Account) -> None:
    """Add a bundle after each item that names another one, on all worksheets that the caller may change."""
    rows = connection.execute(
        select(worksheet_items.c.worksheet_id, worksheet_items.c.sort_key, worksheets.c.frozen_at)
        .join_from(worksheet_items, worksheets, worksheets.c.id == worksheet_items.c.worksheet_id)
        .where(worksheet_items.c.bundle_uuid == shadow)
        .order_by(worksheet_items.c.sort_key.desc())
    ).all()
    allowed = permissions_of(connection, list({row.worksheet_id for row in rows}), owner, WORKSHEET)
    for row in rows:
        if allowed[row.worksheet_id] == ALL and row.frozen_at is None:
            add_items(connection, row.worksheet_id, [NewItem("bundle", bundle_uuid=uuid)], row.sort_key)
