"""Tasks per second and the latency of one, against dask, huey and Celery: tasks that do nothing, two processes.

``python benchmarks/tasks.py [--count 3000] [--rounds 3]``. The peers get a virtual environment of their own (made once,
from PyPI, in the benchmarks' data folder); Celery needs a ``redis-server`` on the path. Who keeps tasks on the disk
with fsync survives a power cut; without fsync, a kill of its process; dask keeps them in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import DATA, ROOT, in_process, machine, percentile, verdict

PACKAGES = ["distributed", "huey", "celery[redis]"]
FSYNC, DISK, MEMORY = "disk, fsync", "disk", "memory"
PEERS = {
    "dask": ("dask LocalCluster", MEMORY),
    "huey": ("huey on SQLite", DISK),
    "huey-fsync": ("huey on SQLite", FSYNC),
    "celery": ("Celery on Redis", MEMORY),
    "celery-fsync": ("Celery on Redis", FSYNC),
}


# -- ours --------------------------------------------------------------------------------------------------------------


def nothing(params: dict[str, Any], report: Any) -> int:
    return int(params["number"])


class Nothing:
    """The kind of tasks that do nothing."""

    name = "nothing"

    async def prepare(self, task: Any) -> Any:
        from cosphere_jupyter.tasks.engine import Call

        return Call("tasks:nothing", task.params)

    async def publish(self, task: Any, result: Any) -> Any:
        return result

    def on_end(self, connection: Any, task: Any) -> None:
        pass

    async def discard(self, task: Any) -> None:
        pass


def ours(count: int, rounds: int, one_by_one: bool) -> dict[str, Any]:
    """Run our engine as the server does: its database with synchronous=FULL, its warm processes."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    return asyncio.run(_ours(count, rounds, one_by_one))


async def _ours(count: int, rounds: int, one_by_one: bool) -> dict[str, Any]:
    from tasks_peers import SINGLES

    from cosphere_jupyter.database.engine import Database
    from cosphere_jupyter.database.migrate import migrate
    from cosphere_jupyter.results.folder import FolderStore
    from cosphere_jupyter.tasks import records
    from cosphere_jupyter.tasks.children import Children
    from cosphere_jupyter.tasks.engine import TaskEngine
    from cosphere_jupyter.tasks.journal import Journal
    from cosphere_jupyter.tasks.service import Tasks

    clock = asyncio.get_running_loop().time
    with TemporaryDirectory(prefix="cosphere-bench-") as name:
        folder, log = Path(name), logging.getLogger("bench")
        database, store = Database(folder / "cosphere.sqlite"), FolderStore(folder / "results")
        migrate(database)
        pools = {foreign: Children(log) for foreign in (False, True)}
        engine = TaskEngine(database, pools, store, Journal(folder / "begun.log"), 2, log)
        engine.register(Nothing())
        await engine.start()
        tasks = Tasks(database, engine, store)

        def enqueue(connection: Any, number: int) -> str:
            return records.enqueue(connection, "nothing", {"number": number}, None, is_quick=True)

        async def submit_and_wait(n: int) -> None:
            if one_by_one:
                keys = [await database.write(lambda c, number=number: enqueue(c, number)) for number in range(n)]
            else:
                keys = await database.write(lambda c: [enqueue(c, number) for number in range(n)])
            engine.wake()
            done = await tasks.wait(keys, None, None)
            assert [done[key].state.result for key in keys] == list(range(n))

        await submit_and_wait(20)
        latencies, seconds = [], []
        for _ in range(SINGLES):
            started = clock()
            await submit_and_wait(1)
            latencies.append(clock() - started)
        for _ in range(rounds):
            started = clock()
            await submit_and_wait(count)
            seconds.append(clock() - started)
        await engine.stop()
        await asyncio.to_thread(database.close)
    return {"version": "", "seconds": seconds, "latencies": latencies}


# -- the table ---------------------------------------------------------------------------------------------------------


def peers_python() -> str:
    """The Python of an environment with the peers, made if it is not there."""
    folder = DATA / "task-peers"
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        print(f"Installing {', '.join(PACKAGES)} into {folder} (once) …", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", "--no-input", *PACKAGES], check=True)
        (folder / "done").touch()
    return str(python)


def peer(python: str, name: str, count: int, rounds: int) -> dict[str, Any]:
    with TemporaryDirectory(prefix="cosphere-bench-") as folder:
        done = subprocess.run(
            [python, str(Path(__file__).with_name("tasks_peers.py")), name, str(count), str(rounds), folder],
            capture_output=True,
            text=True,
            timeout=900,
        )
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=3000)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    print(machine())
    given = options.count, options.rounds
    rows = []
    for label, one_by_one in (("ours, created at once", False), ("ours, created one by one", True)):
        found = in_process("tasks:ours", count=given[0], rounds=given[1], one_by_one=one_by_one)
        rows.append((label, FSYNC, found))
    python = peers_python()
    for name, (label, kept) in PEERS.items():
        if name.startswith("celery") and shutil.which("redis-server") is None:
            print(f"  {label} ({kept}): NOT MEASURED, there is no redis-server (apt-get install redis-server)")
            continue
        found = peer(python, name, *given)
        rows.append((f"{label} {found['version']}", kept, found))
    show(rows, options.count)


def show(rows: list[tuple[str, str, dict[str, Any]]], count: int) -> None:
    print(
        f"\n{count:,} tasks, all submitted, then all waited for; best of the rounds. Latency: submit to result of one."
    )
    print(f"{'':<28}{'kept in':<14}{'tasks/s':>9}{'ratio':>7}{'best ms':>9}{'p50 ms':>8}{'p95 ms':>8}")
    best = [count / min(found["seconds"]) for _, _, found in rows]
    for (label, kept, found), rate in zip(rows, best, strict=True):
        singles = [each * 1e3 for each in found["latencies"]]
        print(
            f"{label:<28}{kept:<14}{rate:>9,.0f}{best[0] / rate:>7.2f}{min(singles):>9.2f}"
            f"{percentile(singles, 0.5):>8.2f}{percentile(singles, 0.95):>8.2f}"
        )
    print("(ratio: how many times as many tasks ours runs)\n")
    others = [(label, kept, found, rate) for (label, kept, found), rate in zip(rows[2:], best[2:], strict=True)]
    latency = percentile(rows[0][2]["latencies"], 0.5)
    for label, kept, found, rate in others:
        if kept != MEMORY:
            verdict(f"tasks/s against {label} ({kept}), one by one", best[1] / rate, 1.0, at_least=True, unit="x")
            ratio = percentile(found["latencies"], 0.5) / latency
            verdict(f"latency of {label} ({kept}) against ours", ratio, 1.0, at_least=True, unit="x")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "benchmarks"))
    main()
