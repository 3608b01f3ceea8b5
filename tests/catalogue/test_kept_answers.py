"""Lists and items whose answers are kept: what was written is seen by whoever asks afterwards, whatever it was."""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
import time
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from support import Api, column

from cosphere_jupyter.accounts.tables import accounts, group_members, groups
from cosphere_jupyter.database.schema import now

ITEMS = "/catalogue/items/"
_other = itertools.count()


async def fresh(caller: Api, path: str) -> Any:
    """Ask at an address that nobody has asked at before, so that nothing is kept there."""
    return await caller.get(f"{path}{'&' if '?' in path else '?'}fresh={next(_other)}")


@pytest.fixture
def items(owner: Api, run: Any) -> list[int]:
    body = {"executor_type": "ATHENA", "maintained_by_id": owner.account["id"], "spec": [column()], "tags": ["all"]}
    created = [run(owner.post(ITEMS, {**body, "name": f"item {number}"})) for number in range(4)]
    return [each.json["id"] for each in created]


def outside(services: Any, sql: str) -> None:
    """Change the database behind the server's back."""
    with sqlite3.connect(services.database.path) as connection:
        connection.execute(sql)
    connection.close()


async def test_answers_are_kept_unless_others_write_the_database(owner: Api, services: Any, items: list[int]) -> None:
    paths = (ITEMS, f"{ITEMS}{items[0]}")
    before = [await owner.get(path) for path in paths]
    outside(services, "UPDATE catalogue_items SET description = 'from outside'")
    for path, first in zip(paths, before, strict=True):
        again = await owner.get(path)
        assert (again.status, again.body) == (200, first.body), "it was read again"
        assert again.headers["Content-Type"] == first.headers["Content-Type"] == "application/json"
        assert again.headers["Cache-Control"] == "no-store"
        assert b"from outside" in (await fresh(owner, path)).body
    services.database.changes.is_complete = False
    for path in paths:
        assert b"from outside" in (await owner.get(path)).body


async def test_errors_are_not_kept(owner: Api, services: Any, items: list[int]) -> None:
    path = f"{ITEMS}{items[-1] + 1}"
    for _ in range(2):
        assert (await owner.get(path)).status == 404
    outside(
        services,
        "INSERT INTO catalogue_items (name, name_folded, executor_type, spec, sample, created_at, updated_at) "
        "VALUES ('new', 'new', 'ATHENA', '[]', '[]', '2026-01-01', '2026-01-01')",
    )
    assert (await owner.get(path)).status == 200
    assert (await owner.get(f"{ITEMS}?limit=none")).status == 400
    assert (await owner.get(f"{ITEMS}?limit=none")).status == 400


async def test_a_caller_never_gets_what_was_kept_for_another(
    owner: Api, researcher: Api, anybody: Api, items: list[int]
) -> None:
    await owner.put(f"{ITEMS}{items[0]}/permissions/", {"permissions": []})
    for path in (ITEMS, f"{ITEMS}{items[0]}"):
        for _ in range(2):
            assert (await owner.get(path)).status == 200
            refused = await anybody.get(path)
            assert refused.status == 401
    assert (await researcher.get(f"{ITEMS}{items[0]}")).status == 404
    assert [item["id"] for item in (await researcher.get(ITEMS)).json["items"]] == items[1:]


class Changes:
    """Everything that can change what a caller sees of the catalogue, each over the way that it really happens."""

    def __init__(self, services: Any, owner: Api, researcher: Api, others: dict[str, Any], items: list[int]) -> None:
        self.services, self.owner, self.researcher, self.items = services, owner, researcher, items
        self.local, self.group = others["local"], others["group"]

    async def permissions(self, chance: random.Random) -> None:
        me = self.researcher.account["id"]
        subject = chance.choice([None, ("everyone", 0), ("account", me), ("group", self.group)])
        given = [{"subject_type": subject[0], "subject_id": subject[1], "level": "read"}] if subject else []
        path = f"{ITEMS}{chance.choice(self.items)}/permissions/"
        assert (await self.owner.put(path, {"permissions": given})).status == 200

    async def membership(self, chance: random.Random) -> None:
        row = {"group_id": self.group, "account_id": self.researcher.account["id"]}

        def change(connection: Any) -> None:
            if not connection.execute(delete(group_members)).rowcount:
                connection.execute(insert(group_members).values(**row, is_admin=False))

        await self.services.database.write(change)

    async def tags(self, chance: random.Random) -> None:
        await self.update(chance, tags=chance.sample(["a", "b", "all"], chance.randrange(4)))

    async def description(self, chance: random.Random) -> None:
        await self.update(chance, description=f"text {chance.random()}")

    async def update(self, chance: random.Random, **changes: Any) -> None:
        body = {"executor_type": "ATHENA", "maintained_by_id": self.owner.account["id"], "spec": [column()]}
        answer = await self.owner.put(f"{ITEMS}{chance.choice(self.items)}", {**body, **changes})
        assert answer.status == 200, answer.body

    async def account(self, chance: random.Random) -> None:
        values = chance.choice([{"email": f"mail{chance.random()}@lab.example"}, {"type": "ADMIN"}, {"type": "ADMIN"}])
        mine = accounts.c.id == self.owner.account["id"]
        await self.services.database.write(lambda connection: connection.execute(update(accounts).where(mine), values))

    async def come_and_go(self, chance: random.Random) -> None:
        body = {"executor_type": "ATHENA", "maintained_by_id": self.researcher.account["id"], "spec": [column()]}
        created = await self.owner.post(ITEMS, {**body, "name": f"item {chance.random()}"})
        if chance.random() < 0.7:
            await self.owner.delete(f"{ITEMS}{created.json['id']}")

    async def profile(self, chance: random.Random) -> None:
        if chance.random() < 0.3:
            path = f"{ITEMS}{self.local}/samples_and_distributions/"
            assert (await self.owner.put(path)).status == 200


@pytest.mark.parametrize("seed", range(3))
async def test_after_any_change_a_kept_address_answers_as_a_fresh_one(
    owner: Api, researcher: Api, services: Any, items: list[int], numbers_item: dict[str, Any], seed: int
) -> None:
    chance = random.Random(seed)
    values = {"name": "lab", "created_at": now()}
    added = insert(groups).values(values).returning(groups.c.id)
    group = await services.database.write(lambda connection: connection.execute(added).scalar_one())
    changes = Changes(services, owner, researcher, {"local": numbers_item["id"], "group": group}, items)
    verbs = [
        changes.permissions,
        changes.membership,
        changes.tags,
        changes.description,
        changes.account,
        changes.come_and_go,
        changes.profile,
    ]
    paths = [ITEMS, f"{ITEMS}?tag=a", f"{ITEMS}?query=item", f"{ITEMS}?limit=2&offset=1", f"{ITEMS}?has_samples=true"]
    paths += [f"{ITEMS}{item}" for item in (items[0], numbers_item["id"])]
    differences = 0
    seen: dict[Any, bytes] = {}
    for _ in range(25):
        verb = chance.choice(verbs)
        await verb(chance)
        for caller, path in itertools.product((owner, researcher), paths):
            kept, true = await caller.get(path), await fresh(caller, path)
            assert (kept.status, kept.body) == (true.status, true.body), (verb.__name__, path)
            differences += seen.get((caller, path), kept.body) != kept.body
            seen[caller, path] = kept.body
    assert differences > 20, "hardly anything was changed"


async def test_under_fire_nobody_reads_what_is_older_than_the_last_acknowledged_write(
    owner: Api, researcher: Api, services: Any, items: list[int]
) -> None:
    path = f"{ITEMS}{items[0]}"
    body = {"executor_type": "ATHENA", "maintained_by_id": owner.account["id"], "spec": [column()]}
    acknowledged, reads, repeats = 0, 0, 0
    started = time.monotonic()

    def goes_on() -> bool:
        # On a busy machine it takes longer until enough has happened.
        is_enough = acknowledged > 20 and repeats > 100 and reads > repeats
        return time.monotonic() < started + (3 if is_enough else 60)

    async def write() -> None:
        nonlocal acknowledged
        number = 0
        while goes_on():
            number += 1
            assert (await owner.put(path, {**body, "description": str(number)})).status == 200
            acknowledged = number
            # Let some answers be kept before the next one.
            await asyncio.sleep(random.random() * 0.02)

    async def read(caller: Api, address: str) -> None:
        nonlocal reads, repeats
        newest = 0
        while goes_on():
            before = acknowledged
            answer = (await caller.get(address)).json
            item = answer["items"][0] if "items" in answer else answer
            found = int(item.get("description", 0))
            assert found >= max(before, newest), "an older state than was known already"
            reads, repeats, newest = reads + 1, repeats + (found == newest), found

    readers = [read(caller, address) for caller in (owner, researcher) for address in (path, ITEMS, f"{ITEMS}?limit=1")]
    await asyncio.gather(write(), *readers)
    assert acknowledged > 20 and repeats > 100 and reads > repeats
    stored = await services.database.read(lambda connection: connection.execute(select(accounts.c.id)).all())
    assert len(stored) == 2
