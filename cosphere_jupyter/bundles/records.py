"""Bundles as they are stored: reading, storing, changing and deleting rows, inside the caller's transaction.

No rule stands here: who may do what, and which metadata there may be, is for those who call. The table of metadata's
values, for searching, and the copies of name and size are kept with each change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from ..database.schema import now
from ..permissions.service import Level, Permission, Subject, forget_all, give
from .ids import new_uuid as new_uuid
from .metadata_index import label_of, values_of, words_of
from .tables import bundle_dependencies, bundle_metadata, bundle_words, bundles, worksheet_items

RESOURCE = "bundle"
BUNDLE_TYPES = ("dataset", "run", "make", "program")

CREATED, UPLOADING, STAGED, READY, FAILED, KILLED = "created", "uploading", "staged", "ready", "failed", "killed"
MAKING, STARTING, PREPARING, RUNNING, FINALIZING = "making", "starting", "preparing", "running", "finalizing"
WORKER_OFFLINE = "worker_offline"
# Something is at work on the contents.
ACTIVE_STATES = (MAKING, STARTING, PREPARING, RUNNING, FINALIZING)
FINAL_STATES = (READY, FAILED, KILLED)
# What a database is asked for at once.
_AT_ONCE = 500


@dataclass(frozen=True)
class Dependency:
    """A parent of a bundle, or a part of it, and the path at which the bundle sees it."""

    child_path: str
    parent_uuid: str
    parent_path: str = ""


@dataclass(frozen=True)
class Bundle:
    """A bundle as it is stored; ``metadata`` is that of the API. ``data_size`` in bytes."""

    id: int
    uuid: str
    owner_id: int
    bundle_type: str
    command: str | None
    state: str
    frozen_at: datetime | None
    is_anonymous: bool
    metadata: Mapping[str, Any]
    name: str
    data_size: int
    # "0x" and 40 hexadecimal digits: SHA-1 of the contents.
    data_hash: str | None
    # The folder below the store of bundles, and whether a ``file`` or a ``directory`` lies in it.
    location: str | None
    content_type: str | None
    task_key: str | None
    origin: Any
    created_at: datetime
    updated_at: datetime
    dependencies: tuple[Dependency, ...] = ()


@dataclass(frozen=True)
class NewBundle:
    """What a bundle is made of; its owner gets GRANT on it."""

    owner_id: int
    bundle_type: str
    metadata: Mapping[str, Any]
    state: str = CREATED
    uuid: str = field(default_factory=new_uuid)
    command: str | None = None
    dependencies: Sequence[Dependency] = ()
    is_anonymous: bool = False
    data_size: int = 0
    data_hash: str | None = None
    location: str | None = None
    content_type: str | None = None
    task_key: str | None = None
    origin: Any = None


def read_bundle(connection: Connection, uuid: str) -> Bundle | None:
    """Return a bundle, None if there is none."""
    return read_bundles(connection, [uuid]).get(uuid)


def read_bundles(connection: Connection, uuids: Iterable[str]) -> dict[str, Bundle]:
    """Return the bundles with these uuids, those that there are, in this order."""
    wanted = list(dict.fromkeys(uuids))
    rows: dict[str, Row[Any]] = {}
    for part in _parts(wanted):
        rows.update((row.uuid, row) for row in connection.execute(select(bundles).where(bundles.c.uuid.in_(part))))
    parents = dependencies_of(connection, [row.id for row in rows.values()])
    return {uuid: _as_bundle(rows[uuid], parents.get(rows[uuid].id, ())) for uuid in wanted if uuid in rows}


def dependencies_of(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[Dependency, ...]]:
    """Return the dependencies of bundles by their ids, in the order in which they were given."""
    found: dict[int, list[Dependency]] = {}
    table = bundle_dependencies.c
    for part in _parts(ids):
        query = select(bundle_dependencies).where(table.bundle_id.in_(part)).order_by(table.bundle_id, table.position)
        for row in connection.execute(query):
            parent = Dependency(row.child_path, row.parent_uuid, row.parent_path)
            found.setdefault(row.bundle_id, []).append(parent)
    return {bundle_id: tuple(parents) for bundle_id, parents in found.items()}


def children_of(connection: Connection, uuids: Iterable[str]) -> dict[str, list[str]]:
    """Return, for each uuid that has any, the uuids of the bundles that depend on it, the oldest first."""
    found: dict[str, list[str]] = {}
    query = select(bundle_dependencies.c.parent_uuid, bundles.c.uuid, bundles.c.id).join_from(
        bundle_dependencies, bundles, bundles.c.id == bundle_dependencies.c.bundle_id
    )
    for part in _parts(list(dict.fromkeys(uuids))):
        of_part = query.where(bundle_dependencies.c.parent_uuid.in_(part)).distinct().order_by(bundles.c.id)
        for row in connection.execute(of_part):
            found.setdefault(row.parent_uuid, []).append(row.uuid)
    return found


def store_bundle(connection: Connection, new: NewBundle) -> Bundle:
    """Store a bundle and return it; the metadata gets ``created`` and ``data_size``. ``IntegrityError``: uuid taken."""
    moment = now()
    metadata = {**new.metadata, "created": int(moment.timestamp()), "data_size": new.data_size}
    values = {name: getattr(new, name) for name in _COLUMNS_OF_NEW}
    values |= {"metadata": metadata, "name": str(metadata.get("name") or ""), "frozen_at": None}
    values |= {"created_at": moment, "updated_at": moment}
    bundle_id = connection.execute(insert(bundles).values(values).returning(bundles.c.id)).scalar_one()
    parents = tuple(new.dependencies)
    if parents:
        rows = [
            {
                "bundle_id": bundle_id,
                "position": position,
                "child_path": each.child_path,
                "parent_uuid": each.parent_uuid,
                "parent_path": each.parent_path,
            }
            for position, each in enumerate(parents)
        ]
        connection.execute(insert(bundle_dependencies), rows)
    _index(connection, bundle_id, {}, metadata)
    words = {"label": label_of(new.uuid, values["name"]), "words": words_of(new.uuid, new.command, metadata)}
    connection.execute(insert(bundle_words).values(bundle_id=bundle_id, **words))
    give(connection, RESOURCE, bundle_id, Permission(Subject("account", new.owner_id), Level.GRANT))
    return Bundle(id=bundle_id, dependencies=parents, **values)


def update_bundle(connection: Connection, bundle: Bundle, **changes: Any) -> Bundle:
    """Change columns of a bundle and return it as it is then.

    ``metadata`` is merged with what is stored (not with what ``bundle`` remembers); a value None takes the key away.
    ``data_size`` and the metadata's value of that name are one, and so are the names.
    """
    wanted = dict(changes)
    given = dict(wanted.pop("metadata", {}))
    if "data_size" in wanted:
        given["data_size"] = wanted["data_size"]
    if given:
        stored = connection.execute(select(bundles.c.metadata).where(bundles.c.id == bundle.id)).scalar_one()
        metadata = {key: value for key, value in {**stored, **given}.items() if value is not None}
        _index(connection, bundle.id, stored, metadata)
        wanted |= {"metadata": metadata, "name": str(metadata.get("name") or "")}
        if metadata != stored:
            words = words_of(bundle.uuid, wanted.get("command", bundle.command), metadata)
            label = label_of(bundle.uuid, wanted["name"])
            is_it = bundle_words.c.bundle_id == bundle.id
            connection.execute(update(bundle_words).where(is_it).values(label=label, words=words))
        wanted["data_size"] = int(metadata.get("data_size") or 0)
    wanted["updated_at"] = now()
    connection.execute(update(bundles).where(bundles.c.id == bundle.id).values(wanted))
    return replace(bundle, **wanted)


def delete_bundles(connection: Connection, uuids: Iterable[str]) -> None:
    """Delete bundles with all that is said of them, also on worksheets; contents are not touched."""
    for part in _parts(list(uuids)):
        ids = list(connection.execute(select(bundles.c.id).where(bundles.c.uuid.in_(part))).scalars())
        connection.execute(delete(worksheet_items).where(worksheet_items.c.bundle_uuid.in_(part)))
        connection.execute(delete(bundle_words).where(bundle_words.c.bundle_id.in_(ids)))
        connection.execute(delete(bundle_metadata).where(bundle_metadata.c.bundle_id.in_(ids)))
        connection.execute(delete(bundle_dependencies).where(bundle_dependencies.c.bundle_id.in_(ids)))
        connection.execute(delete(bundles).where(bundles.c.id.in_(ids)))
        forget_all(connection, RESOURCE, ids)


_COLUMNS_OF_NEW = (
    "uuid",
    "owner_id",
    "bundle_type",
    "command",
    "state",
    "is_anonymous",
    "data_size",
    "data_hash",
    "location",
    "content_type",
    "task_key",
    "origin",
)


def _as_bundle(row: Row[Any], parents: tuple[Dependency, ...]) -> Bundle:
    return Bundle(**row._mapping, dependencies=parents)


def _index(connection: Connection, bundle_id: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Write the values for searching anew, of the keys that changed."""
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    if gone := sorted(changed & before.keys()):
        is_gone = bundle_metadata.c.key.in_(gone)
        connection.execute(delete(bundle_metadata).where(bundle_metadata.c.bundle_id == bundle_id, is_gone))
    rows = [
        {"bundle_id": bundle_id, "key": key, "value": text, "number": number}
        for key in sorted(changed & after.keys())
        for text, number in values_of(key, after[key])
    ]
    if rows:
        connection.execute(insert(bundle_metadata), rows)


def _parts(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
