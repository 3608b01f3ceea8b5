"""An engine on a database of its own, with works that are defined in ``works.py``."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import psutil
import pytest
from sqlalchemy import insert

from cosphere_jupyter.accounts.service import as_account
from cosphere_jupyter.accounts.tables import accounts
from cosphere_jupyter.database.engine import Database
from cosphere_jupyter.database.migrate import migrate
from cosphere_jupyter.database.schema import now
from cosphere_jupyter.results.folder import FolderStore
from cosphere_jupyter.tasks import records
from cosphere_jupyter.tasks.children import Children
from cosphere_jupyter.tasks.engine import Call, TaskEngine
from cosphere_jupyter.tasks.journal import Journal
from cosphere_jupyter.tasks.service import Tasks


@pytest.fixture(autouse=True)
def works_can_be_imported(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


class Work:
    """A kind of task whose parameters name the function to run."""

    name = "work"

    def __init__(self):
        self.ended = []
        self.discarded = []

    async def prepare(self, task):
        spill = task.params.get("spill")
        return Call(f"works:{task.params['function']}", task.params, spill=Path(spill) if spill else None)

    async def publish(self, task, result):
        return result

    def on_end(self, connection, task):
        self.ended.append((task.key, task.state.status))

    async def discard(self, task):
        self.discarded.append(task.key)


class Bench:
    """What the tests do with an engine."""

    def __init__(self, folder, slots=2, idle_seconds=60.0, account_limit=0):
        self.database = Database(folder / "test.sqlite")
        migrate(self.database)
        self.log = logging.getLogger("test")
        self.store = FolderStore(folder / "results")
        pools = {is_foreign: Children(self.log, idle_seconds=idle_seconds) for is_foreign in (False, True)}
        journal = Journal(folder / "begun.log")
        self.engine = TaskEngine(self.database, pools, self.store, journal, slots, self.log, account_limit)
        self.tasks = Tasks(self.database, self.engine, self.store)
        self.work = Work()
        self.engine.register(self.work)

    async def enqueue(self, function, **params):
        names = ("is_idempotent", "max_attempts", "priority", "is_quick", "idempotency_key")
        options = {key: params.pop(key) for key in names if key in params}
        owner_id = params.pop("owner_id", None)
        key = await self.database.write(
            lambda c: records.enqueue(c, "work", {"function": function, **params}, owner_id, **options)
        )
        self.engine.wake()
        return key

    async def read(self, key):
        return await self.database.read(lambda c: records.read_task(c, key))

    async def until(self, key, condition, seconds=20.0):
        """Wait for a condition of a task, woken by the engine."""
        deadline = asyncio.get_running_loop().time() + seconds
        with self.engine.watch(key) as changed:
            while True:
                changed.clear()
                task = await self.read(key)
                if condition(task):
                    return task
                remaining = deadline - asyncio.get_running_loop().time()
                assert remaining > 0, task
                await asyncio.wait_for(changed.wait(), remaining)

    async def ended(self, key, seconds=20.0):
        return await self.until(key, lambda task: task.state.is_final, seconds)

    async def reported(self, key):
        """Wait for the first progress of a task and return it."""
        await self.until(key, lambda task: self.engine.progress_of(task) is not None)
        return self.engine.progress_of(await self.read(key))

    async def cancel(self, key, by="rosa@lab.example"):
        task = await self.database.write(lambda c: records.cancel(c, key, by))
        if task:
            self.engine.kill(key)
        return task

    async def account(self, email, type="RESEARCHER"):
        """Make an account that may own tasks."""
        values = {"email": email, "name": "", "type": type, "is_active": True, "epoch": 0}
        statement = insert(accounts).values(**values, created_at=now(), updated_at=now()).returning(accounts)
        return await self.database.write(lambda c: as_account(c.execute(statement).one()))

    def expect_quick_tasks_to_take_no_time(self):
        """As after some hundred of them: then the quick lane claims ahead."""
        for is_quick, lane in self.engine._lanes:
            for _ in range(100 * is_quick):
                lane.learn(0.0001)

    def result_folders(self):
        """What lies in the result store, finished or not."""
        return self.store.names()

    async def close(self):
        await self.engine.stop()
        await asyncio.to_thread(self.database.close)


@pytest.fixture
def bench(tmp_path, jp_asyncio_loop):
    made = Bench(tmp_path)
    jp_asyncio_loop.run_until_complete(made.engine.start())
    yield made
    jp_asyncio_loop.run_until_complete(made.close())


async def is_gone(pid, seconds):
    """Whether a process ends within some seconds (a zombie has ended)."""
    for _ in range(int(seconds * 20)):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.fixture
def gone():
    return is_gone


@pytest.fixture
def make_bench():
    return Bench
