"""Users in the CodaLab face: oneself, others by name, and the search of ADMINs."""

from __future__ import annotations

from ...accounts.profiles import user_id_of
from ...bundles.problems import Refused
from ...errors import AccessDenied
from .base import CodaLabHandler, attributes_of
from .user_documents import own_resource, user_resource

NO_SEARCH = "You don't have access to search for these fields"


class UserHandler(CodaLabHandler):
    """``/user``: who is calling."""

    async def get(self) -> None:
        """Show oneself."""
        self.send_data(own_resource(await self.services.users.read(self.account.id)))

    async def patch(self) -> None:
        """Change what one tells of oneself."""
        sent = attributes_of(await self.one_resource("users"))
        changed = await self.services.users.update([(user_id_of(self.account.id), sent)], by_admin=False)
        self.send_data(own_resource(changed[0]))


class DiskUsedHandler(CodaLabHandler):
    """``/user/increment_disk_used``: what an upload has added; the workspace counts for itself."""

    async def patch(self) -> None:
        """Change nothing."""
        sent = attributes_of(await self.one_resource("user/increment_disk_used"))
        increment = sent.get("disk_used_increment")
        if isinstance(increment, bool) or not isinstance(increment, int | float) or increment <= 0:
            raise Refused("Only positive disk increments are allowed.")
        self.send_data([own_resource(await self.services.users.read(self.account.id))])


class UsersHandler(CodaLabHandler):
    """``/users``."""

    async def get(self) -> None:
        """Find users."""
        if self.reader is None or not self.reader.is_admin:
            raise AccessDenied(NO_SEARCH)
        found = await self.services.users.search(self.values("keywords"))
        if isinstance(found, list):
            self.send_data([own_resource(each) for each in found])
        else:
            self.send_meta(results=found, result=found)

    async def patch(self) -> None:
        """Change users."""
        if not self.account.is_admin:
            raise AccessDenied("Only the root user can update other users.")
        sent = [(_id_of(each), attributes_of(each)) for each in await self.resources("users")]
        changed = await self.services.users.update(sent, by_admin=True)
        self.send_data([own_resource(each) for each in changed])

    async def delete(self) -> None:
        """Let users go."""
        sent = [_id_of(each) for each in await self.resources("users")]
        await self.services.users.delete(self.account, sent)
        self.send_nothing()


class OtherUserHandler(CodaLabHandler):
    """``/users/{id or name}``."""

    async def get(self, spec: str) -> None:
        """Show a user: to ADMINs all that is known."""
        user = await self.services.users.find(spec, self.reader)
        is_full = self.reader is not None and self.reader.is_admin
        self.send_data(own_resource(user) if is_full else user_resource(user.profile))


def _id_of(resource: dict[str, object]) -> str:
    found = resource.get("id")
    if not isinstance(found, str):
        raise Refused("A user is named by its `id`.")
    return found
