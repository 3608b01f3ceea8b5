"""The server is killed with SIGKILL at random moments under load, and started again on what it left."""

from __future__ import annotations

import io
import os
import random
import sqlite3
import threading
import time

import httpx
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from real_server import RealServer

ROUNDS = 30
CLIENTS = 6

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(900)]


class Witness:
    """What the clients were told: accounts created, requests made, tasks seen at their end."""

    def __init__(self):
        self.lock = threading.Lock()
        self.emails = set()
        self.requests = {}
        self.ended = {}
        self.wrong = []

    def saw(self, request):
        task = request["task"]
        with self.lock:
            self.requests[request["id"]] = request["spec"]
            if task["status"] in ("success", "error"):
                known = self.ended.setdefault(task["key"], (task["status"], task["completed"], request["blob_name"]))
                if known != (task["status"], task["completed"], request["blob_name"]):
                    self.wrong.append(f"task {task['key']} ended twice: {known} and {task}")
            if (task["status"] == "success") != (request["blob_name"] is not None):
                self.wrong.append(f"status and result disagree: {request}")


class Client(threading.Thread):
    """Writes and reads until the server is gone."""

    def __init__(self, server, item, witness, seed):
        super().__init__(daemon=True)
        self.server, self.item, self.witness, self.random = server, item, witness, random.Random(seed)
        self.stopped = threading.Event()

    def run(self):
        headers = {"Authorization": f"token {self.server.token}"}
        with httpx.Client(base_url=self.server.base, headers=headers, timeout=20, trust_env=False) as http:
            while not self.stopped.is_set():
                try:
                    self.step(http)
                except httpx.HTTPError:
                    time.sleep(0.02)

    def step(self, http):
        # The Jupyter server keeps nothing of a caller with a token, and neither do we.
        http.cookies.clear()
        choice = self.random.random()
        if choice < 0.4:
            email = f"a{self.random.getrandbits(64):x}@lab.example"
            if http.post("/accounts/", json={"email": email}).status_code == 201:
                with self.witness.lock:
                    self.witness.emails.add(email)
        elif choice < 0.8:
            spec = {
                "columns": ["n", "x"],
                "filters": [{"name": "n", "operator": ">=", "value": self.random.randrange(400)}],
                "randomize_ratio": self.random.choice([1, 0.5]),
            }
            answer = http.post("/downloader/requests/", json={"catalogue_item_id": self.item["id"], "spec": spec})
            if answer.status_code in (200, 201):
                self.witness.saw(answer.json())
        else:
            for request in http.get("/downloader/requests/").json().get("requests", []):
                self.witness.saw(request)


@pytest.fixture
def server(tmp_path):
    made = RealServer(tmp_path)
    yield made
    made.kill()


def test_thirty_kills_lose_no_acknowledged_write_and_every_task_ends_once(server):
    rows = 300_000
    pq.write_table(
        pa.table({"n": pa.array(range(rows), pa.int64()), "x": [random.random() for _ in range(rows)]}),
        server.root / "numbers.parquet",
        row_group_size=20_000,
    )
    server.start()
    item = server.create_item("numbers", "numbers.parquet")
    witness = Witness()
    chance = random.Random(20130101)
    kills = 0
    for number in range(ROUNDS):
        clients = [Client(server, item, witness, f"{number}-{index}") for index in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(chance.uniform(0.2, 1.2))
        if number % 5 == 4:
            let_running_tasks_end(server)
        server.kill()
        kills += 1
        for client in clients:
            client.stopped.set()
        for client in clients:
            client.join()
        check_what_lies_there(server)
        server.start()
        check_what_was_promised(server, witness)
    check_the_end(server, witness, rows)
    server.stop()
    print(
        f"{kills} kills: {len(witness.emails)} accounts and {len(witness.requests)} requests acknowledged, 0 lost; "
        f"{len(witness.ended)} tasks ended once each"
    )
    assert kills == ROUNDS and len(witness.emails) > ROUNDS and len(witness.ended) > ROUNDS


def let_running_tasks_end(server):
    """On a busy machine no attempt might live long enough, and after ten of them a task is given up."""
    for request in server.call("GET", "/downloader/requests/").json()["requests"]:
        if request["task"]["status"] == "executing":
            server.settled(request["id"])


def check_what_lies_there(server):
    """Between kill and start: no child survives for long, and every visible result is whole."""
    deadline = time.monotonic() + 5
    while left := children_of_the_workspace(server):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    for manifest in (server.data_dir / "results").glob("??/*/*/manifest.json"):
        folder = manifest.parent
        if folder.suffix == ".partial":
            continue
        for file in httpx.Response(200, content=manifest.read_bytes()).json()["files"]:
            assert (folder / file["name"]).stat().st_size == file["bytes"], file
            assert pq.ParquetFile(folder / file["name"]).metadata.num_rows == file["rows"]


def children_of_the_workspace(server):
    found = []
    for process in psutil.process_iter(["cmdline", "status", "ppid"]):
        command = process.info["cmdline"] or []
        is_child = "cosphere_jupyter.tasks.child" in command and process.info["ppid"] != os.getpid()
        if is_child and process.info["status"] != psutil.STATUS_ZOMBIE and process.info["ppid"] == 1:
            found.append(process.pid)
    return found


def check_what_was_promised(server, witness):
    emails = {account["email"] for account in server.call("GET", "/accounts/").json()["accounts"]}
    assert witness.emails <= emails, witness.emails - emails
    requests = {each["id"]: each for each in server.call("GET", "/downloader/requests/").json()["requests"]}
    assert set(witness.requests) <= set(requests), set(witness.requests) - set(requests)
    for request in requests.values():
        witness.saw(request)
    assert witness.wrong == []


def check_the_end(server, witness, rows):
    """All tasks come to their end; results are right; the store holds nothing else."""
    for request_id, spec in witness.requests.items():
        request = server.settled(request_id)
        witness.saw(request)
        assert request["task"]["status"] == "success", request["task"]
        least = spec["filters"][0]["value"]
        table = pq.read_table(io.BytesIO(server.call("GET", request["download_uri"]).content))
        values = table.column("n").to_pylist()
        assert min(values) >= least and len(set(values)) == len(values)
        assert spec["randomize_ratio"] != 1 or len(values) == rows - least
    assert witness.wrong == []
    server.stop()
    with sqlite3.connect(server.data_dir / "cosphere.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM tasks WHERE completed_at IS NULL").fetchone() == (0,)
        wanted = {row[0] for row in database.execute("SELECT blob_name FROM download_requests")}
    server.start()
    results = server.data_dir / "results"
    found = {folder.relative_to(results).as_posix() for folder in results.glob("??/*/*")}
    assert found == wanted
    assert list((server.data_dir / "tmp").iterdir()) == []
