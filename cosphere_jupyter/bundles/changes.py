"""Changing bundles: their metadata, freezing, giving them away. Works inside the caller's transaction.

Source: the CodaLab REST API's semantics, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from ..accounts.profiles import account_named
from ..accounts.service import Account
from ..database.schema import now
from ..errors import AccessDenied, QuotaExceeded
from ..permissions.service import Level, Permission, Subject, change_level
from .access import ALL, RESOURCE, demand
from .metadata import changed_metadata
from .problems import Missing, Refused
from .records import FINAL_STATES, Bundle, update_bundle
from .search_terms import moment_of
from .usage import charge, disk_left


@dataclass(frozen=True)
class Change:
    """What is changed of a bundle: what is missing in ``attributes`` stays. ``owner`` is a user id or user name."""

    uuid: str
    attributes: Mapping[str, Any]
    owner: str | None = None


def change_bundle(connection: Connection, change: Change, caller: Account) -> Bundle:
    """Change a bundle and return it; state, command and the like are nobody's to change and are passed over.

    Raises:
        AccessDenied: the caller may not, or the bundle is frozen, or not yet to be frozen.
        Missing: the new owner is nobody.
        Refused: what is said breaks a rule.
    """
    bundle = demand(connection, change.uuid, caller, ALL)
    attributes = change.attributes
    is_told = "frozen" in attributes
    wanted_frozen = attributes.get("frozen") is not None
    if not is_told or wanted_frozen:
        check_not_frozen(bundle)
    columns: dict[str, Any] = {}
    if is_told:
        columns["frozen_at"] = _freezing(bundle, attributes["frozen"])
    if "is_anonymous" in attributes:
        if not isinstance(attributes["is_anonymous"], bool):
            raise Refused("`is_anonymous` must be true or false.")
        columns["is_anonymous"] = attributes["is_anonymous"]
    if attributes.get("metadata") is not None:
        columns["metadata"] = changed_metadata(bundle, attributes["metadata"])
    if change.owner is not None:
        columns["owner_id"] = _give_away(connection, bundle, change.owner)
    return update_bundle(connection, bundle, **columns)


def check_not_frozen(bundle: Bundle) -> None:
    """Raise ``AccessDenied`` if a bundle is frozen."""
    if bundle.frozen_at is not None:
        raise AccessDenied(f"Cannot mutate frozen bundle {bundle.uuid}({bundle.name}).")


def _freezing(bundle: Bundle, frozen: Any) -> Any:
    if frozen is None:
        return None
    if not isinstance(frozen, str):
        raise Refused("`frozen` must be an ISO-8601 datetime string, or null.")
    moment_of(frozen)
    if bundle.state not in FINAL_STATES:
        raise AccessDenied(f"Cannot freeze bundle {bundle.uuid}({bundle.name}), bundle is not in a final state.")
    return now()


def _give_away(connection: Connection, bundle: Bundle, owner: str) -> int:
    """Make somebody else the owner, with all that the contents take of a quota; returns who it is."""
    account_id = account_named(connection, owner)
    if account_id is None:
        raise Missing(f"User {owner} not found")
    if account_id == bundle.owner_id:
        return account_id
    left = disk_left(connection, account_id)
    if left is not None and bundle.data_size > left:
        raise QuotaExceeded(
            f"Can't change the owner, user disk quota exceeded. Bundle size {bundle.data_size} greater than user's "
            f"disk quota left: {left}"
        )
    charge(connection, bundle.owner_id, -bundle.data_size)
    charge(connection, account_id, bundle.data_size)
    for each, level in ((bundle.owner_id, Level.NONE), (account_id, Level.GRANT)):
        change_level(connection, RESOURCE, bundle.id, Permission(Subject("account", each), level))
    return account_id
