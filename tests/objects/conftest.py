"""A laboratory with three actions, and people who may do more or less with its objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import Api

NAME_ONLY = {
    "title": "Object Information",
    "type": "object",
    "properties": {"name": {"title": "Object Name", "type": "text"}},
    "required": ["name"],
}
MEASURED = {
    "title": "Measurement",
    "type": "object",
    "properties": {
        "name": {"title": "Name", "type": "text", "maxLength": 100},
        "mass": {"title": "Mass", "type": "quantity", "units": "mg"},
        "sample": {"title": "Sample", "type": "sample"},
        "is_good": {"title": "Good", "type": "bool"},
        "notes": {"title": "Notes", "type": "array", "items": {"title": "Note", "type": "text"}},
    },
    "required": ["name"],
}


def text(value: str) -> dict[str, Any]:
    return {"_type": "text", "text": value}


def named(name: str, **properties: Any) -> dict[str, Any]:
    """Return data with a name."""
    return {"name": text(name), **properties}


class Lab:
    """Two actions (0 makes samples, 1 measures), and whatever is asked of the workspace as one caller or another."""

    def __init__(self, owner: Api, sign_up: Callable[..., Any], services: Any) -> None:
        self.owner = owner
        self.sign_up = sign_up
        self.services = services

    async def open(self) -> Lab:
        for name, type_name, schema in [("Grow", "sample", NAME_ONLY), ("Weigh", "measurement", MEASURED)]:
            made = await self.owner.post("/api/v1/actions/", {"name": name, "type": type_name, "schema": schema})
            assert made.status == 201, made.body
        return self

    async def create(self, caller: Api, name: str = "A", action_id: int = 0, **properties: Any) -> int:
        """Make an object and return its id."""
        made = await caller.post("/api/v1/objects/", {"action_id": action_id, "data": named(name, **properties)})
        assert made.status == 201, made.body
        return int(made.headers["Location"].split("/")[-3])

    async def update(self, caller: Api, object_id: int, name: str) -> int:
        """Make a version and return its number."""
        made = await caller.post(f"/api/v1/objects/{object_id}/versions/", {"data": named(name)})
        assert made.status == 201, made.body
        return int(made.headers["Location"].split("/")[-1])

    async def give(self, object_id: int, account: Api, level: str) -> None:
        path = f"/api/v1/objects/{object_id}/permissions/users/{account.account['id']}"
        given = await self.owner.put(path, level)
        assert given.status == 200, given.body

    async def group(self, name: str, *members: Api) -> int:
        """Make a group and return its id."""
        from sqlalchemy import insert

        from cosphere_jupyter.accounts.tables import group_members, groups
        from cosphere_jupyter.database.schema import now

        def work(connection: Any) -> int:
            made = insert(groups).values(name=name, created_at=now()).returning(groups.c.id)
            group_id = int(connection.execute(made).scalar_one())
            for member in members:
                row = {"group_id": group_id, "account_id": member.account["id"], "is_admin": False}
                connection.execute(insert(group_members).values(row))
            return group_id

        made: int = await self.services.database.write(work)
        return made


@pytest.fixture
def lab(owner: Api, sign_up: Callable[..., Any], services: Any, run: Any) -> Lab:
    opened: Lab = run(Lab(owner, sign_up, services).open())
    return opened


@pytest.fixture
def rosa(sign_up: Callable[..., Any], run: Any) -> Api:
    return run(sign_up("rosa@lab.example", name="Rosa"))


@pytest.fixture
def otto(sign_up: Callable[..., Any], run: Any) -> Api:
    return run(sign_up("otto@lab.example", name="Otto"))
