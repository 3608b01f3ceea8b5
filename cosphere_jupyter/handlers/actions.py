"""Actions and their types in the iffSamples face; creating actions is ours. Instruments there are none."""

from __future__ import annotations

from typing import Any

from ..errors import NotFound
from ..objects.service import TYPE_IDS, TYPE_NAMES, entity_of
from .samples import SamplesHandler


def type_entity(name: str) -> dict[str, Any]:
    """Return a type of actions as it is shown."""
    title, object_name = TYPE_NAMES[name]
    return {"type_id": TYPE_IDS[name], "name": title, "object_name": object_name, "admin_only": False}


class ActionsHandler(SamplesHandler):
    """``/actions/``."""

    async def get(self) -> None:
        """List all actions."""
        found = await self.services.actions.bulk_read()
        self.send_json([entity_of(action) for action in found])

    async def post(self) -> None:
        """Create an action."""
        action = await self.services.actions.create(await self.json_body(), self.account)
        self.send_created(entity_of(action), "actions", action.id)


class ActionHandler(SamplesHandler):
    """``/actions/{action_id}``."""

    async def get(self, action_id: str) -> None:
        """Show an action."""
        self.send_json(entity_of(await self.services.actions.read(self.path_id(action_id))))

    async def post(self, action_id: str) -> None:
        """Change name, description, is_hidden or schema."""
        await self.services.actions.read(self.path_id(action_id))
        action = await self.services.actions.update(self.path_id(action_id), await self.json_body())
        self.send_json(entity_of(action))


class ActionTypesHandler(SamplesHandler):
    """``/action_types/``."""

    def get(self) -> None:
        """List the types."""
        self.send_json([type_entity(name) for name in TYPE_IDS])


class ActionTypeHandler(SamplesHandler):
    """``/action_types/{type_id}``."""

    def get(self, type_id: str) -> None:
        """Show a type."""
        for name, known_id in TYPE_IDS.items():
            if str(known_id) == type_id:
                self.send_json(type_entity(name))
                return
        raise NotFound(f"action type {type_id}")


class NoneOfTheseHandler(SamplesHandler):
    """Lists of what a workspace does not have: instruments, projects, locations."""

    def get(self) -> None:
        """Show that there are none."""
        self.send_json([])
