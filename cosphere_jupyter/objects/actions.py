"""Actions: what kinds of objects there are and what their data look like."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from ..accounts.service import Account
from ..database.engine import Database
from ..database.schema import now
from ..errors import NotFound
from ..json_values import LARGEST_ID, is_storable
from .dialect import schema_errors
from .records import TYPE_IDS, Action, Refused, is_number, is_same
from .tables import actions

LONGEST_NAME = 100
LONGEST_DESCRIPTION = 65536
EDITABLE = ("name", "description", "is_hidden", "schema")
SHOWN = ("action_id", "instrument_id", "user_id", "type", "type_id", *EDITABLE)


class Actions:
    """All that is done with actions, for the face and the command line."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def bulk_read(self) -> list[Action]:
        """Return all actions by id."""
        query = select(actions).order_by(actions.c.id)
        return await self._database.read(lambda connection: [_from_row(row) for row in connection.execute(query)])

    async def read(self, action_id: int) -> Action:
        """Return one action or raise ``NotFound``."""
        return await self._database.read(lambda connection: read_action(connection, action_id))

    async def create(self, body: Any, caller: Account) -> Action:
        """Store an action from a body with name, type, schema and, if need be, description and is_hidden.

        ``Refused`` with the first rule that the body breaks, or with all that is wrong with the schema.
        """
        given = _checked(body, (*EDITABLE, "type"))
        for key in ("name", "type", "schema"):
            if key not in given:
                raise Refused(f"{key} must be set")
        values = {"description": "", "is_hidden": False, **given}
        return await self._database.write(lambda connection: _create(connection, values, caller))

    async def update(self, action_id: int, body: Any) -> Action:
        """Change name, description, is_hidden or schema; other keys may only say what is so already.

        Objects keep the schema of their version: they take the new one with a version that names it.
        """
        before = await self.read(action_id)
        given = _checked(body, SHOWN)
        shown = entity_of(before)
        for key in given.keys() - set(EDITABLE):
            if not is_same(given[key], shown[key]) and not is_number(given[key], shown[key] or 0):
                raise Refused(f"{key} must be {shown[key]}")
        changes = {key: value for key, value in given.items() if key in EDITABLE}
        return await self._database.write(lambda connection: _update(connection, action_id, changes))


def entity_of(action: Action) -> dict[str, Any]:
    """Return an action as the API shows it."""
    return {
        "action_id": action.id,
        "instrument_id": None,
        "user_id": action.user_id,
        "type": action.type,
        "type_id": TYPE_IDS[action.type],
        "name": action.name,
        "description": action.description,
        "is_hidden": action.is_hidden,
        "schema": action.schema,
    }


def read_action(connection: Connection, action_id: int) -> Action:
    """Return one action or raise ``NotFound``."""
    found = (
        abs(action_id) <= LARGEST_ID and connection.execute(select(actions).where(actions.c.id == action_id)).first()
    )
    if not found:
        raise NotFound(f"action {action_id}")
    return _from_row(found)


def _from_row(row: Row[Any]) -> Action:
    return Action(row.id, row.type, row.name, row.description, row.schema, row.is_hidden, row.user_id)


def _checked(body: Any, allowed: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise Refused("JSON object body required")
    for key in body:
        if key not in allowed:
            raise Refused(f"invalid key {key!a}")
    if not is_storable(body):
        raise Refused("the body holds what cannot be stored")
    if "name" in body and not (isinstance(body["name"], str) and 1 <= len(body["name"].strip()) <= LONGEST_NAME):
        raise Refused(f"name must be a text of 1 to {LONGEST_NAME} characters")
    if "type" in body and body["type"] not in list(TYPE_IDS):
        raise Refused(f"type must be one of {', '.join(TYPE_IDS)}")
    description = body.get("description", "")
    if not isinstance(description, str) or len(description) > LONGEST_DESCRIPTION:
        raise Refused(f"description must be a text of at most {LONGEST_DESCRIPTION} characters")
    if not isinstance(body.get("is_hidden", False), bool):
        raise Refused("is_hidden must be true or false")
    if "schema" in body and (problems := schema_errors(body["schema"], strict=True)):
        texts = "".join(f"\n - {problem}" for problem in problems)
        raise Refused(f"invalid schema:{texts}", [list(problem.path) for problem in problems])
    return body


def _create(connection: Connection, values: dict[str, Any], caller: Account) -> Action:
    action_id = connection.execute(select(func.coalesce(func.max(actions.c.id) + 1, 0))).scalar_one()
    moment = now()
    stamps = {"user_id": caller.id, "created_at": moment, "updated_at": moment}
    connection.execute(insert(actions).values(id=action_id, **values, **stamps))
    return read_action(connection, action_id)


def _update(connection: Connection, action_id: int, changes: dict[str, Any]) -> Action:
    connection.execute(update(actions).where(actions.c.id == action_id).values(updated_at=now(), **changes))
    return read_action(connection, action_id)
