"""Permissions of objects in the iffSamples face: bodies and answers are bare JSON values.

Source: the API's behaviour, "Permissions endpoints". Reading needs READ, changing GRANT; `permissions/` as a whole, and
that somebody always keeps GRANT, are of this face.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import NotFound
from ..objects.permissions import including
from ..objects.service import Refused
from ..permissions.service import EVERYONE, Level, Subject
from .samples import SamplesHandler

NO_ANONYMOUS = "anonymous users are disabled"
MOST_SUBJECTS = 1000
_KINDS = {"users": "account", "groups": "group"}
_PAIR = ("source_object_id", "target_object_id")


def name_of(level: Level) -> str:
    """Return a level as the API has it."""
    return level.name.lower()


def level_of(value: Any) -> Level:
    """Return the level of a JSON value, or raise ``Refused``."""
    if not isinstance(value, str):
        raise Refused("JSON string body required")
    try:
        return Level[value.upper()]
    except KeyError:
        raise Refused("Permissions name required") from None


def entity_of(given: Mapping[Subject, Level]) -> dict[str, Any]:
    """Return all that is given on an object as it is shown."""
    shown: dict[str, Any] = {
        kind: {str(subject.id): name_of(level) for subject, level in given.items() if subject.type == type_name}
        for kind, type_name in _KINDS.items()
    }
    public = name_of(given.get(EVERYONE, Level.NONE))
    return {**shown, "projects": {}, "authenticated_users": public, "anonymous_users": "none"}


class ObjectPermissionsHandler(SamplesHandler):
    """Base of what says who may do what with an object."""

    async def changed(self, object_id: str) -> Any:
        """Return the body of a change, after it is clear that the caller may make one."""
        await self.services.objects.demand(self.path_id(object_id), self.account, Level.GRANT)
        return await self.json_body()

    async def level(self, object_id: str, subject: Subject) -> Level:
        """Return what a subject was given."""
        return await self.services.object_permissions.of(self.path_id(object_id), subject, self.account)

    async def including(self, given: dict[Subject, Level]) -> dict[Subject, Level]:
        """Return what the query asks for besides what is given directly; instruments there are none."""
        accounts, asked = self.services.accounts, self.request.query_arguments
        groups = await accounts.groups() if "include_groups" in asked else []
        everybody = await accounts.bulk_read() if "include_admins" in asked else []
        return including(given, groups, [each for each in everybody if each.is_admin and each.is_active])

    async def give(self, object_id: str, subject: Subject, level: Level) -> Level:
        """Give a subject a level."""
        await self.services.object_permissions.change(self.path_id(object_id), {subject: level}, self.account)
        return level


class AllPermissionsHandler(ObjectPermissionsHandler):
    """``/objects/{object_id}/permissions/``."""

    async def get(self, object_id: str) -> None:
        """Show all that is given."""
        self.send_json(entity_of(await self.services.object_permissions.read(self.path_id(object_id), self.account)))

    async def put(self, object_id: str) -> None:
        """Replace all that is given."""
        wanted = _wanted(await self.changed(object_id))
        number, service = self.path_id(object_id), self.services.object_permissions
        self.send_json(entity_of(await service.replace(number, wanted, self.account)))


class CopyPermissionsHandler(SamplesHandler):
    """``/objects/permissions/copy/``."""

    async def post(self) -> None:
        """Make what is given on one object all that is given on another, or so for each entry of a list."""
        body = await self.json_body()
        is_list = isinstance(body, list)
        pairs = [_pair(each) for each in (body if is_list else [body])]
        if len(pairs) > MOST_SUBJECTS:
            raise Refused(f"at most {MOST_SUBJECTS} objects at once")
        shown = [entity_of(given) for given in await self.services.object_permissions.copy(pairs, self.account)]
        self.send_json(shown if is_list else shown[0])


class PublicHandler(ObjectPermissionsHandler):
    """``/objects/{object_id}/permissions/public``: whether everybody who is signed in may read."""

    async def get(self, object_id: str) -> None:
        """Show it."""
        self.send_json(await self.level(object_id, EVERYONE) >= Level.READ)

    async def put(self, object_id: str) -> None:
        """Change it."""
        is_public = await self.changed(object_id)
        if not isinstance(is_public, bool):
            raise Refused("JSON boolean body required")
        self.send_json(await self.give(object_id, EVERYONE, Level(is_public)) >= Level.READ)


class AuthenticatedUsersHandler(ObjectPermissionsHandler):
    """``/objects/{object_id}/permissions/authenticated_users``."""

    async def get(self, object_id: str) -> None:
        """Show what everybody may who is signed in."""
        self.send_json(name_of(await self.level(object_id, EVERYONE)))

    async def put(self, object_id: str) -> None:
        """Change it to none or read."""
        level = level_of(await self.changed(object_id))
        self.send_json(name_of(await self.give(object_id, EVERYONE, level)))


class AnonymousUsersHandler(ObjectPermissionsHandler):
    """``/objects/{object_id}/permissions/anonymous_users``: nobody is let in without an account."""

    async def get(self, object_id: str) -> None:
        """Show that they may nothing."""
        await self.services.objects.demand(self.path_id(object_id), self.account, Level.READ)
        self.send_json("none")

    async def put(self, object_id: str) -> None:
        """Refuse."""
        level_of(await self.changed(object_id))
        raise Refused(NO_ANONYMOUS)


class SubjectsHandler(ObjectPermissionsHandler):
    """``/objects/{object_id}/permissions/users|groups|projects/``."""

    async def get(self, object_id: str, kind: str) -> None:
        """Show what is given to each directly."""
        given = await self.services.object_permissions.read(self.path_id(object_id), self.account)
        self.send_json(entity_of(await self.including(given))[kind])


class SubjectHandler(ObjectPermissionsHandler):
    """``/objects/{object_id}/permissions/users|groups|projects/{subject_id}``."""

    async def get(self, object_id: str, kind: str, subject_id: str) -> None:
        """Show what one was given directly."""
        subject = await self._subject(object_id, kind, subject_id, Level.READ)
        level = await self.level(object_id, subject)
        given = await self.services.object_permissions.read(self.path_id(object_id), self.account)
        self.send_json(name_of((await self.including(given)).get(subject, level)))

    async def put(self, object_id: str, kind: str, subject_id: str) -> None:
        """Change it."""
        subject = await self._subject(object_id, kind, subject_id, Level.GRANT)
        await self.level(object_id, subject)
        level = level_of(await self.json_body())
        self.send_json(name_of(await self.give(object_id, subject, level)))

    async def _subject(self, object_id: str, kind: str, subject_id: str, level: Level) -> Subject:
        await self.services.objects.demand(self.path_id(object_id), self.account, level)
        if kind not in _KINDS:
            raise NotFound(f"project {subject_id}")
        return Subject(_KINDS[kind], self.path_id(subject_id))


def _pair(body: Any) -> tuple[int, int]:
    """Return the source and the target of a copy."""
    if not isinstance(body, dict):
        raise Refused("JSON object body required")
    for key in body:
        if key not in _PAIR:
            raise Refused(f"invalid key {key!a}")
    for key in _PAIR:
        if key not in body:
            raise Refused(f"{key} must be set")
        if type(body[key]) is not int:
            raise Refused(f"{key} must be an integer")
    source, target = (body[key] for key in _PAIR)
    return source, target


def _wanted(body: Any) -> dict[Subject, Level]:
    if not isinstance(body, dict):
        raise Refused("JSON object body required")
    wanted: dict[Subject, Level] = {}
    for key, value in body.items():
        if key in _KINDS and isinstance(value, dict) and len(value) <= MOST_SUBJECTS:
            for subject_id, level in value.items():
                if not (subject_id.isascii() and subject_id.isdecimal() and len(subject_id) <= 16):
                    raise Refused(f"{key} must be named by their ids")
                wanted[Subject(_KINDS[key], int(subject_id))] = level_of(level)
        elif key == "projects" and value == {}:
            pass
        elif key == "authenticated_users":
            wanted[EVERYONE] = level_of(value)
        elif key == "anonymous_users":
            if level_of(value) is not Level.NONE:
                raise Refused(NO_ANONYMOUS)
        else:
            raise Refused(f"invalid key {key!a}, or what it holds")
    return wanted
