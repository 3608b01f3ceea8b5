"""Groups in the CodaLab face: they are those of every other face, and this is where they are made."""

from __future__ import annotations

from ...accounts.groups import Group
from ...accounts.profiles import Profile
from ...bundles.problems import Refused
from .base import CodaLabHandler, Resource, attributes_of
from .user_documents import group_resource, people_of, user_resource


class GroupsHandler(CodaLabHandler):
    """``/groups``."""

    async def get(self) -> None:
        """List the caller's groups and ``public``; for an ADMIN all."""
        self.send_groups(*await self.services.groups.bulk_read(self.account))

    async def post(self) -> None:
        """Make groups."""
        names = [_name_of(each) for each in await self.resources("groups")]
        self.send_groups(*await self.services.groups.create(self.account, names))

    async def delete(self) -> None:
        """Delete groups."""
        sent = [_id_of(each) for each in await self.resources("groups")]
        await self.services.groups.delete(self.account, sent)
        self.send_nothing()

    def send_groups(self, groups: list[Group], profiles: dict[int, Profile]) -> None:
        """Answer with groups and who belongs to them."""
        self.send_data([group_resource(each) for each in groups], people_of(groups, profiles))


class GroupHandler(CodaLabHandler):
    """``/groups/{name, uuid or prefix}``."""

    async def get(self, spec: str) -> None:
        """Show a group."""
        groups, profiles = await self.services.groups.read(self.account, spec)
        self.send_data(group_resource(groups[0]), people_of(groups, profiles))


class MembershipHandler(CodaLabHandler):
    """``/groups/{spec}/relationships/members`` and ``…/admins``."""

    async def post(self, spec: str, role: str) -> None:
        """Make users members or admins."""
        users = await self._users()
        added = await self.services.groups.add(self.account, spec, users, is_admin=role == "admins")
        shown = [user_resource(each) for each in added]
        is_one = isinstance((await self.json_body())["data"], dict)
        self.send_data(shown[0] if is_one else shown)

    async def delete(self, spec: str, role: str) -> None:
        """Let users go, whichever of the two they are."""
        await self.services.groups.remove(self.account, spec, await self._users())
        self.send_nothing()

    async def _users(self) -> list[str]:
        return [_id_of(each) for each in await self.resources("users")]


def _name_of(resource: Resource) -> str:
    name = attributes_of(resource).get("name")
    if not isinstance(name, str):
        raise Refused("A group needs a `name`.")
    return name


def _id_of(resource: Resource) -> str:
    found = resource.get("id")
    if not isinstance(found, str):
        raise Refused("What is meant is named by its `id`.")
    return found
