"""Servers and child processes are killed with SIGKILL at random while thousands of tasks go through them.

Takes two minutes and the time for what is left to run then; ``COSPHERE_CHAOS_SECONDS=600`` makes it longer, and
``COSPHERE_CHAOS_SEED`` (default: a new one each time, printed) gives other moments.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest
from real_server import RealServer

SECONDS = float(os.environ.get("COSPHERE_CHAOS_SECONDS", "120"))
SEED = int(os.environ.get("COSPHERE_CHAOS_SEED") or random.randrange(10**6))
LEAST_TASKS = 3000
BATCH = 40
# So many wait at most: kills shall meet tasks in all states until the end.
OPEN_LIMIT = 400
# Most are quick.
NAMES = [*["again"] * 11, *["once"] * 9, "long_again", "long_once"]
# What may be said of a task that did not succeed.
ENDS = (
    "worker killed by signal 9 (out of memory?) twice",
    "worker killed by signal 9 (out of memory?) once; not run again because it may have side effects",
    "the server stopped while the task was running; not run again because it may have side effects",
    "the server stopped while the task was running; given up after 10 attempts",
)

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(SECONDS * 3 + 600)]


class Clients(threading.Thread):
    """Creates tasks, asks for statuses, and remembers what was promised."""

    def __init__(self, server, log):
        super().__init__(daemon=True)
        self.server, self.log, self.random = server, str(log), random.Random(SEED)
        self.stopped = threading.Event()
        self.keys: dict[int, str] = {}
        self.names: dict[str, str] = {}
        self.ended: dict[str, tuple] = {}
        self.wrong: list[str] = []

    def run(self):
        headers = {"Authorization": f"token {self.server.token}"}
        with httpx.Client(base_url=self.server.base, headers=headers, timeout=20, trust_env=False) as http:
            while not self.stopped.is_set():
                try:
                    http.cookies.clear()
                    if len(self.names) - len(self.ended) < OPEN_LIMIT:
                        self.create(http)
                    self.look(http, [key for key in self.names if key not in self.ended])
                    # What has ended must stay as it is.
                    self.look(http, self.random.sample(list(self.ended), min(len(self.ended), 20)))
                except httpx.HTTPError:
                    time.sleep(0.05)

    def create(self, http):
        """What was not acknowledged is asked for again, under the same idempotency key."""
        first = len(self.keys)
        names = [NAMES[number % len(NAMES)] for number in range(first, first + BATCH)]
        tasks = [
            {"task_name": name, "log": self.log, "number": number, "idempotency_key": f"chaos-{number}"}
            for number, name in enumerate(names, first)
        ]
        answer = http.post("/v1/create", json={"tasks": tasks})
        if answer.status_code == 200:
            for number, (name, status) in enumerate(zip(names, answer.json(), strict=True), first):
                self.keys[number] = status["key"]
                self.names[status["key"]] = name
                self.saw(status)

    def look(self, http, keys):
        answer = http.post("/v1/status", json={"tasks": keys}) if keys else None
        if answer is not None and answer.status_code == 200:
            for status in answer.json():
                self.saw(status)

    def saw(self, status):
        if status["status"] in ("success", "error"):
            result = status["result"]["number"] if status["status"] == "success" else status["result"]
            end = (status["status"], result, status["events"])
            if self.ended.setdefault(status["key"], end) != end:
                self.wrong.append(f"{status['key']} ended twice: {self.ended[status['key']]} and {end}")
        elif status["key"] in self.ended:
            self.wrong.append(f"{status['key']} had ended and is {status['status']}")


class Killer:
    """Kills what comes before it, and counts."""

    def __init__(self, server):
        self.server, self.random, self.count = server, random.Random(SEED + 1), Counter()

    def work(self, seconds):
        end = time.monotonic() + seconds
        next_server = time.monotonic() + 4
        while time.monotonic() < end:
            time.sleep(self.random.uniform(0.1, 1.5))
            if time.monotonic() > next_server:
                self.server.kill()
                self.count["servers"] += 1
                self.server.start()
                next_server = time.monotonic() + self.random.uniform(3, 10)
            else:
                self.kill_a_child()

    def kill_a_child(self):
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self.server.process.pid).children()
            ours = [child for child in children if "cosphere_jupyter.tasks.child" in child.cmdline()]
            if ours:
                self.random.choice(ours).kill()
                self.count["children"] += 1


@pytest.fixture
def server(tmp_path, monkeypatch):
    lab = tmp_path / "lab"
    info = lab / "chaos-1.dist-info"
    info.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("chaos_lab.py"), lab)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos\nVersion: 1\n")
    entries = [f"{name} = chaos_lab:{name}" for name in dict.fromkeys([*NAMES, "leave_behind"])]
    (info / "entry_points.txt").write_text("\n".join(["[cosphere.tasks]", *entries, ""]))
    monkeypatch.setenv("PYTHONPATH", str(lab))
    made = RealServer(tmp_path, "--CosphereApp.max_tasks=2")
    made.start()
    yield made
    made.stop()


def test_every_task_ends_once_whatever_is_killed(server, tmp_path):
    print(f"COSPHERE_CHAOS_SEED={SEED}")
    log = tmp_path / "begun"
    clients, killer = Clients(server, log), Killer(server)
    clients.start()
    killer.work(SECONDS)
    while len(clients.keys) < LEAST_TASKS:
        killer.work(5)
    clients.stopped.set()
    clients.join()
    wait_until_all_have_ended(server, clients)
    assert clients.wrong == []
    server.stop()
    rows = check_the_record(server, clients, log)
    check_the_store(server, rows)
    kinds = Counter((name, rows[key]["status"]) for key, name in clients.names.items())
    print(f"{len(rows)} tasks, killed: {dict(killer.count)}; {dict(sorted(kinds.items()))}")
    assert killer.count["servers"] >= SECONDS / 20 and killer.count["children"] >= SECONDS / 10
    assert all(kinds[name, "success"] for name in NAMES)


def test_what_a_task_has_started_does_not_outlive_a_killed_server_for_long(server, tmp_path):
    log = tmp_path / "left"
    (created,) = server.call("POST", "/v1/create", {"tasks": {"task_name": "leave_behind", "log": str(log)}}).json()
    left = pids_in(log, 1)
    server.kill()
    assert psutil.pid_exists(left[0])
    server.start()
    assert not psutil.pid_exists(left[0]) or psutil.Process(left[0]).status() == psutil.STATUS_ZOMBIE
    # The second attempt is another process; cancelling ends it.
    again = pids_in(log, 2)
    server.call("POST", "/v1/cancel", {"task": created["key"]})
    deadline = time.monotonic() + 10
    while psutil.pid_exists(again[1]) and psutil.Process(again[1]).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pids_in(log, count):
    deadline = time.monotonic() + 60
    while not log.exists() or len(log.read_text().split()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [int(pid) for pid in log.read_text().split()]


def wait_until_all_have_ended(server, clients):
    deadline = time.monotonic() + 300
    headers = {"Authorization": f"token {server.token}"}
    with httpx.Client(base_url=server.base, headers=headers, timeout=60, trust_env=False) as http:
        while open_keys := [key for key in clients.names if key not in clients.ended]:
            assert time.monotonic() < deadline, f"{len(open_keys)} tasks never end, e.g. {open_keys[:3]}"
            clients.look(http, open_keys[:5000])
            time.sleep(0.2)


def check_the_record(server, clients, log):
    """One row for each task that was asked for; one attempt at most of what has side effects."""
    with contextlib.closing(sqlite3.connect(server.data_dir / "cosphere.sqlite")) as database:
        database.row_factory = sqlite3.Row
        assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        rows = {row["key"]: row for row in database.execute("SELECT * FROM tasks")}
    begun = Counter(log.read_text().split())
    # A batch that was stored, but not acknowledged before the end, is there as well.
    assert set(clients.names) <= set(rows) and len(rows) - len(clients.names) in (0, BATCH)
    assert len({row["idempotency_key"] for row in rows.values()}) == len(rows)
    for key, row in rows.items():
        if key in clients.ended:
            assert row["status"] == clients.ended[key][0], key
        assert row["status"] in ("success", "error") and row["completed_at"], dict(row)
        assert row["status"] == "success" or row["error"] in ENDS, dict(row)
        assert begun[key] <= (row["attempt"] if row["is_idempotent"] else 1), (dict(row), begun[key])
        assert row["status"] == "error" or begun[key] >= 1, dict(row)
    assert set(begun) <= set(rows)
    return rows


def check_the_store(server, rows):
    """What is published is what successful tasks name, once each and whole; nothing else lies there."""
    results = server.data_dir / "results"
    named = {row["result_name"]: key for key, row in rows.items() if row["result_name"]}
    assert {key for key, row in rows.items() if row["status"] == "success" and row["name"] != "long_once"} == {
        *named.values()
    }
    server.start()
    server.stop()
    found = {folder.relative_to(results).as_posix() for folder in results.glob("??/*/*")}
    assert found == set(named)
    for name, key in named.items():
        assert (results / name / "made.txt").read_text() == key
    assert list((server.data_dir / "tmp").iterdir()) == []
