"""Runs and makes that are killed, joined and cancelled at any moment: each comes to one end, and its record is true."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import psutil
import pytest
from codalab.runs import FINAL, Bench
from support import Api

SEED = 20261121
COUNT = 24
SLEEP = ["sleep", "5971"]


@pytest.mark.slow
async def test_whatever_is_killed_when_each_comes_to_one_true_end(services: Any, owner: Api) -> None:
    from sqlalchemy import select

    from cosphere_jupyter.bundles.problems import Refused
    from cosphere_jupyter.bundles.tables import bundles
    from cosphere_jupyter.bundles.usage import read_usage

    bench, chance = Bench(services, owner), random.Random(SEED)
    tree = await bench.dataset({f"f{n}": f"{n}\n" for n in range(20)})
    account = await services.accounts.read(1)
    commands = ["cat in/f1", "echo so; exit 3", f"echo so; {' '.join(SLEEP)}", "echo so; sleep 0.2"]

    async def one(number: int) -> tuple[str, Any]:
        await asyncio.sleep(chance.uniform(0, 1.5))
        if number % 4 == 3:
            made = await bench.make(("a", tree.uuid, "f1"), ("b", tree.uuid))
        else:
            made = await bench.run(chance.choice(commands), ("in", tree.uuid))
        how = "kill" if made.command == commands[2] else chance.choice(["kill", "cancel", "leave", "twice"])
        await asyncio.sleep(chance.choice([0, 0.05, 0.3, 1.0]) * chance.random())
        if how == "cancel":
            key = (await bench.read(made)).task_key
            await services.task_list.cancel(key, account)
        elif how in ("kill", "twice"):
            for _ in range(1 if how == "kill" else 2):
                try:
                    await services.runs.kill(made)
                except Refused:
                    assert (await bench.read(made)).state in FINAL
        return how, await bench.ended(made, 100)

    for how, ended in await asyncio.gather(*(one(number) for number in range(COUNT))):
        said = ended.metadata.get("failure_message")
        assert (ended.state == "ready") == (said is None), ended
        assert (ended.state == "killed") == (said == "Kill requested"), ended
        assert ended.state != "killed" or how != "leave", ended
        if ended.state == "ready":
            assert ended.location and (ended.bundle_type == "make" or bench.text(ended) in ("1\n", "so\n"))
        # Nothing more becomes of it.
        assert await bench.read(ended) == ended
    assert await bench.has_tidied()
    assert [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == SLEEP] == []
    store = bench.store_of_contents
    rows = await services.database.read(lambda connection: connection.execute(select(bundles)).all())
    assert sorted(row.location for row in rows if row.location) == sorted(store.locations())
    used = await services.database.read(lambda connection: read_usage(connection, 1))
    assert used.disk_used == sum(row.data_size for row in rows)
