"""Who may see a catalogue item: ours, in the CoSphere API's envelope."""

from __future__ import annotations

from typing import Any

from ..permissions.service import SUBJECT_TYPES, Level, Permission, Subject
from .cosphere import CosphereHandler
from .fields import Field, Json

MOST_SUBJECTS = 1000
_MISTAKE = (
    'A list of objects is required, such as {"subject_type": "account", "subject_id": 7, "level": "read"} or '
    '{"subject_type": "everyone", "level": "read"}.'
)


def _errors(given: Any) -> list[str]:
    if not isinstance(given, list) or len(given) > MOST_SUBJECTS or not all(_is_permission(each) for each in given):
        return [_MISTAKE]
    if len({_subject(each) for each in given}) != len(given):
        return ["Each subject may be named once."]
    return []


def _is_permission(each: Any) -> bool:
    if not isinstance(each, dict) or each.get("level") not in [level.name.lower() for level in Level]:
        return False
    kind, subject_id = each.get("subject_type"), each.get("subject_id", 0)
    if kind == "everyone":
        return subject_id == 0
    return kind in SUBJECT_TYPES and type(subject_id) is int and 0 < subject_id < 2**53


def _subject(each: dict[str, Any]) -> Subject:
    return Subject(each["subject_type"], each.get("subject_id", 0))


FIELDS: dict[str, Field] = {"permissions": Json(_errors)}


def permissions_of(values: dict[str, Any]) -> list[Permission]:
    """Return what a body of `FIELDS` gives."""
    return [Permission(_subject(each), Level[each["level"].upper()]) for each in values["permissions"]]


def entities_of(given: list[Permission]) -> list[dict[str, Any]]:
    """Return permissions as they are shown."""
    return [
        {"subject_type": each.subject.type, "subject_id": each.subject.id, "level": each.level.name.lower()}
        for each in given
    ]


class ItemPermissionsHandler(CosphereHandler):
    """``/catalogue/items/{item_id}/permissions/``."""

    async def get(self, item_id: str) -> None:
        """READ_CATALOGUEITEM_PERMISSIONS."""
        given = await self.services.catalogue.permissions(self.path_id(item_id))
        self._send("CATALOGUEITEM_PERMISSIONS_READ", given)

    async def put(self, item_id: str) -> None:
        """UPDATE_CATALOGUEITEM_PERMISSIONS: what is sent is all that is given from then on."""
        wanted = permissions_of(await self.body(FIELDS))
        given = await self.services.catalogue.set_permissions(self.path_id(item_id), wanted)
        self._send("CATALOGUEITEM_PERMISSIONS_UPDATED", given)

    def _send(self, event: str, given: list[Permission]) -> None:
        self.send_event(event, "permissions_list", permissions=entities_of(given))
