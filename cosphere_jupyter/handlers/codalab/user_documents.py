"""How users and groups are shown in the CodaLab face."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ...accounts.groups import Group
from ...accounts.profiles import Profile, user_id_of
from ...bundles.people import User


def moment(instant: datetime | None) -> str | None:
    """Return an instant as the API shows those of users: ``Sat Nov 21 01:12:59 2026``, in UTC, in no other language."""
    return None if instant is None else time.asctime(instant.timetuple())


def user_resource(profile: Profile, joined: datetime | None = None) -> dict[str, Any]:
    """Return what everybody may see of a user; ``joined`` is when the account was made."""
    return {
        "type": "users",
        "id": profile.user_id,
        "attributes": {
            "user_name": profile.user_name,
            "first_name": profile.first_name,
            "last_name": profile.last_name,
            "affiliation": profile.affiliation,
            "url": profile.url,
            "date_joined": moment(joined or profile.joined_at),
            "avatar_id": None,
        },
    }


def own_resource(user: User) -> dict[str, Any]:
    """Return what a user, and every ADMIN, may see of a user."""
    shown = user_resource(user.profile)
    shown["attributes"] |= {
        "has_access": user.account.is_active,
        "email": user.account.email,
        "notifications": user.profile.notifications,
        "time_quota": user.time_quota,
        "parallel_run_quota": user.parallel_run_quota,
        "time_used": int(user.usage.time_used),
        "disk_quota": user.disk_quota,
        "disk_used": user.usage.disk_used,
        "last_login": moment(user.profile.last_login_at),
        "is_root_user": user.account.is_admin,
        "protected_mode": False,
    }
    return shown


def group_resource(group: Group) -> dict[str, Any]:
    """Return a group, with who belongs to it as relationships."""
    owner = None if group.owner_id is None else _linkage(group.owner_id)
    return {
        "type": "groups",
        "id": group.uuid,
        "attributes": {"name": group.name, "user_defined": group.is_user_defined},
        "relationships": {
            "owner": {"data": owner},
            "admins": {"data": [_linkage(each) for each in group.admin_ids]},
            "members": {"data": [_linkage(each) for each in group.member_ids]},
        },
    }


def people_of(groups: list[Group], profiles: Mapping[int, Profile]) -> list[dict[str, Any]]:
    """Return the users who belong to groups, for ``included``."""
    ids = sorted({each for group in groups for each in group.people} & profiles.keys())
    return [user_resource(profiles[each]) for each in ids]


def _linkage(account_id: int) -> dict[str, str]:
    return {"type": "users", "id": user_id_of(account_id)}
