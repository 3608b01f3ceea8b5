"""Comments on objects: written by whoever has WRITE, read by whoever has READ, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from ..accounts.service import Account
from ..database.engine import Database
from ..database.schema import now
from ..errors import NotFound
from ..json_values import is_storable
from ..permissions.service import Level
from .log import COMMENTED, note
from .records import Refused
from .service import demand
from .tables import object_comments

LONGEST = 65536
_KEYS = ("object_id", "comment_id", "content")


@dataclass(frozen=True)
class Comment:
    """What somebody has said about an object; ``comment_id`` counts from 0 for each object."""

    object_id: int
    comment_id: int
    content: str
    user_id: int | None
    created_at: datetime


class ObjectComments:
    """All that is done with comments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def bulk_read(self, object_id: int, caller: Account) -> list[Comment]:
        """Return the comments on an object, the first one first; needs READ."""
        return await self._database.read(lambda connection: _read(connection, object_id, caller))

    async def read(self, object_id: int, comment_id: int, caller: Account) -> Comment:
        """Return one comment; needs READ."""
        for comment in await self.bulk_read(object_id, caller):
            if comment.comment_id == comment_id:
                return comment
        raise NotFound(f"comment {comment_id} of object {object_id}")

    async def create(self, object_id: int, body: Any, caller: Account) -> Comment:
        """Add a comment from a body with its content; needs WRITE. ``Refused`` with the rule that the body breaks."""
        content = _checked(body, object_id)
        return await self._database.write(lambda connection: _create(connection, object_id, content, caller))


def _read(connection: Connection, object_id: int, caller: Account) -> list[Comment]:
    demand(connection, object_id, caller, Level.READ)
    query = select(object_comments).where(object_comments.c.object_id == object_id)
    return [Comment(*row) for row in connection.execute(query.order_by(object_comments.c.comment_id))]


def _create(connection: Connection, object_id: int, content: str, caller: Account) -> Comment:
    demand(connection, object_id, caller, Level.WRITE)
    of_object = object_comments.c.object_id == object_id
    number = connection.execute(select(func.count()).select_from(object_comments).where(of_object)).scalar_one()
    comment = Comment(object_id, number, content, caller.id, now())
    connection.execute(insert(object_comments).values(vars(comment)))
    note(connection, COMMENTED, object_id, caller, {"comment_id": number})
    return comment


def _checked(body: Any, object_id: int) -> str:
    if not isinstance(body, dict):
        raise Refused("JSON object body required")
    if not is_storable(body):
        raise Refused("the body holds what cannot be stored")
    for key in body:
        if key not in _KEYS:
            raise Refused(f"invalid key {key!r}")
    if body.get("object_id", object_id) != object_id:
        raise Refused(f"object_id must be {object_id}")
    if "comment_id" in body:
        raise Refused("comment_id cannot be set")
    if "content" not in body:
        raise Refused("content must be set")
    if not isinstance(body["content"], str):
        raise Refused("content must be a string")
    if not body["content"].strip():
        raise Refused("content must not be empty")
    if len(body["content"]) > LONGEST:
        raise Refused(f"content must have at most {LONGEST} characters")
    return str(body["content"])
