"""Users and groups in the iffSamples face: all of them, to everybody who is signed in."""

from __future__ import annotations

from typing import Any

from ..accounts.service import Account, Group
from ..errors import NotFound
from .samples import SamplesHandler


def user_entity(account: Account, is_for_admin: bool) -> dict[str, Any]:
    """Return an account as it is shown: to ADMINs with its address and whether it is active."""
    shown = {"user_id": account.id, "name": account.name, "orcid": None, "affiliation": None, "role": None}
    if is_for_admin:
        shown |= {"email": account.email, "is_hidden": False, "is_active": account.is_active, "is_readonly": False}
    return shown


class UsersHandler(SamplesHandler):
    """``/users/``."""

    async def get(self) -> None:
        """List all accounts."""
        found = await self.services.accounts.bulk_read()
        self.send_json([user_entity(each, self.account.is_admin) for each in found])


class UserHandler(SamplesHandler):
    """``/users/{user_id}`` and ``/users/me``."""

    async def get(self, user_id: str) -> None:
        """Show an account."""
        account = self.account
        if user_id != "me":
            try:
                account = await self.services.accounts.read(self.path_id(user_id))
            except NotFound:
                raise NotFound(f"user {user_id}") from None
        self.send_json(user_entity(account, self.account.is_admin))


class GroupsHandler(SamplesHandler):
    """``/groups/``."""

    async def get(self) -> None:
        """List all groups."""
        found = await self.services.accounts.groups()
        self.send_json([self.group_entity(group) for group in found])

    def group_entity(self, group: Group) -> dict[str, Any]:
        """Return a group as it is shown."""
        members = [{"user_id": each, "href": self.path_of("users", each)} for each in group.member_ids]
        return {"group_id": group.id, "name": group.name, "description": "", "member_users": members}


class GroupHandler(GroupsHandler):
    """``/groups/{group_id}``."""

    async def get(self, group_id: str) -> None:  # type: ignore[override]
        """Show a group."""
        for group in await self.services.accounts.groups():
            if group.id == self.path_id(group_id):
                self.send_json(self.group_entity(group))
                return
        raise NotFound(f"group {group_id}")
