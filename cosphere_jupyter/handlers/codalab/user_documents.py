"""How users are shown in the CodaLab face."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from ...accounts.profiles import Profile


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
