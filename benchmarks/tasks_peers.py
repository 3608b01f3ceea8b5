"""The peers of ``tasks.py``, each run by a Python that has it: ``python tasks_peers.py NAME COUNT ROUNDS FOLDER``.

Prints one line of JSON: ``{"version", "seconds": [of each round], "latencies": [seconds]}``. Two processes work.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SINGLES = 60


def measure(submit_and_wait: Callable[[int], None], count: int, rounds: int) -> dict[str, Any]:
    """``submit_and_wait(n)`` submits n tasks that do nothing and returns when all have ended."""
    submit_and_wait(20)
    latencies, seconds = [], []
    for _ in range(SINGLES):
        started = time.perf_counter()
        submit_and_wait(1)
        latencies.append(time.perf_counter() - started)
    for _ in range(rounds):
        started = time.perf_counter()
        submit_and_wait(count)
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds, "latencies": latencies}


def nothing(number: int) -> int:
    return number


def check(results: list[int]) -> None:
    """Nobody gets away with no results."""
    assert results == list(range(len(results)))


# -- dask --------------------------------------------------------------------------------------------------------------


def run_dask(count: int, rounds: int, folder: Path) -> dict[str, Any]:
    from distributed import Client, LocalCluster, __version__

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(folder)) as cluster,
        Client(cluster) as client,
    ):
        measured = measure(lambda n: check(client.gather(client.map(nothing, range(n), pure=False))), count, rounds)
    return {"version": __version__, **measured}


# -- huey --------------------------------------------------------------------------------------------------------------


def make_huey(folder: Path, fsync: bool) -> Any:
    from huey import SqliteHuey

    return SqliteHuey("bench", filename=str(folder / "huey.db"), fsync=fsync)


def run_huey(count: int, rounds: int, folder: Path, fsync: bool = False) -> dict[str, Any]:
    import huey

    worker = subprocess.Popen([sys.executable, __file__, "huey-worker", str(folder), str(int(fsync))])
    try:
        instance = make_huey(folder, fsync)
        task = instance.task()(nothing)

        def submit_and_wait(n: int) -> None:
            results = [task(number) for number in range(n)]
            check([each.get(blocking=True, backoff=1, max_delay=0.005) for each in results])

        measured = measure(submit_and_wait, count, rounds)
    finally:
        worker.terminate()
        worker.wait()
    return {"version": huey.__version__, **measured}


def huey_worker(folder: Path, fsync: bool) -> None:
    from huey.consumer import Consumer

    instance = make_huey(folder, fsync)
    instance.task()(nothing)
    # As eager as it can be set to look for tasks.
    Consumer(instance, workers=2, worker_type="process", initial_delay=0.001, max_delay=0.01, backoff=1.1).run()


# -- Celery ------------------------------------------------------------------------------------------------------------


def make_celery(port: int) -> Any:
    from celery import Celery

    url = f"redis://127.0.0.1:{port}/0"
    app = Celery("bench", broker=url, backend=url)
    # Late acknowledgement: without it a task is lost with its worker.
    app.conf.update(task_acks_late=True, worker_prefetch_multiplier=16, broker_connection_retry_on_startup=True)
    app.task(name="nothing")(nothing)
    return app


def run_celery(count: int, rounds: int, folder: Path, fsync: bool = False) -> dict[str, Any]:
    import celery

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    durable = ["--appendonly", "yes", "--appendfsync", "always"] if fsync else ["--appendonly", "no"]
    redis = subprocess.Popen(
        ["redis-server", "--port", str(port), "--dir", str(folder), "--save", "", *durable], stdout=subprocess.DEVNULL
    )
    worker = None
    try:
        time.sleep(0.5)
        worker = subprocess.Popen(
            [sys.executable, __file__, "celery-worker", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        task = make_celery(port).tasks["nothing"]

        def submit_and_wait(n: int) -> None:
            check([each.get(timeout=120) for each in [task.delay(number) for number in range(n)]])

        measured = measure(submit_and_wait, count, rounds)
    finally:
        if worker is not None:
            worker.terminate()
            worker.wait()
        redis.terminate()
        redis.wait()
    return {"version": celery.__version__, **measured}


PEERS = {
    "dask": run_dask,
    "huey": run_huey,
    "huey-fsync": lambda *given: run_huey(*given, fsync=True),
    "celery": run_celery,
    "celery-fsync": lambda *given: run_celery(*given, fsync=True),
}


def main() -> None:
    name = sys.argv[1]
    if name == "huey-worker":
        huey_worker(Path(sys.argv[2]), sys.argv[3] == "1")
    elif name == "celery-worker":
        os.environ["C_FORCE_ROOT"] = "1"
        make_celery(int(sys.argv[2])).worker_main(["worker", "-c", "2", "-l", "ERROR", "--without-gossip"])
    else:
        print(json.dumps(PEERS[name](int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))))


if __name__ == "__main__":
    main()
