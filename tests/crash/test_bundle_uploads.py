"""The server is killed with SIGKILL while contents are sent and unpacked, and started again on what it left."""

from __future__ import annotations

import hashlib
import io
import os
import random
import sqlite3
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from real_server import RealServer

ROUNDS = 6
SENDERS = 4
INTERRUPTED = "Upload failed: the server stopped while the contents were being sent."

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(600)]


def archive(chance: random.Random) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for number in range(chance.choice([3, 400, 1500])):
            info = tarfile.TarInfo(f"d{number % 9}/{number}")
            info.size = 500
            tar.addfile(info, io.BytesIO(chance.randbytes(500)))
    return out.getvalue()


class Sender(threading.Thread):
    """Makes bundles and sends contents to them until the server is gone; remembers what it was told."""

    def __init__(self, server: RealServer, seed: str) -> None:
        super().__init__(daemon=True)
        self.server, self.chance = server, random.Random(seed)
        self.stopped = threading.Event()
        # By uuid: what was sent, None as long as nothing was; and whether the server said that it has it.
        self.sent: dict[str, bytes | None] = {}
        self.done: set[str] = set()

    def run(self) -> None:
        headers = {"Authorization": f"token {self.server.token}"}
        with httpx.Client(base_url=self.server.base, headers=headers, timeout=30, trust_env=False) as http:
            while not self.stopped.is_set():
                try:
                    self.step(http)
                except httpx.HTTPError:
                    time.sleep(0.02)

    def step(self, http: httpx.Client) -> None:
        body = {"data": [{"type": "bundles", "attributes": {"bundle_type": "dataset", "metadata": METADATA}}]}
        made = http.post("/rest/bundles?detached=1&wait_for_upload=1", json=body)
        assert made.status_code == 200, made.text
        uuid = made.json()["data"][0]["id"]
        self.sent[uuid] = None
        if self.chance.random() < 0.15:
            return
        is_archive = self.chance.random() < 0.5
        content = archive(self.chance) if is_archive else self.chance.randbytes(self.chance.choice([0, 9, 5_000_000]))
        self.sent[uuid] = content
        name = "data.tar.gz" if is_archive else "data.bin"
        answer = http.put(f"/rest/bundles/{uuid}/contents/blob/?filename={name}", content=self.pieces(content))
        assert answer.status_code == 200, answer.text
        self.done.add(uuid)

    def pieces(self, content: bytes) -> Iterator[bytes]:
        for start in range(0, len(content), 256 * 1024):
            yield content[start : start + 256 * 1024]
            time.sleep(self.chance.choice([0, 0, 0.01]))


METADATA = {"name": "data", "description": "", "tags": [], "license": "", "source_url": ""}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    made = RealServer(tmp_path)
    yield made
    made.kill()


def test_after_kills_every_bundle_tells_the_truth_and_nothing_is_left_over(server: RealServer) -> None:
    server.start()
    sent: dict[str, bytes | None] = {}
    done: set[str] = set()
    chance = random.Random(20261121)
    for number in range(ROUNDS):
        senders = [Sender(server, f"{number}-{index}") for index in range(SENDERS)]
        for sender in senders:
            sender.start()
        time.sleep(chance.uniform(0.3, 1.5))
        server.kill()
        for sender in senders:
            sender.stopped.set()
        for sender in senders:
            sender.join()
            sent.update(sender.sent)
            done |= sender.done
        check_that_nobody_unpacks(server)
        server.start()
        check(server, sent, done)
    states = [each["state"] for each in bundles(server).values()]
    print({state: states.count(state) for state in set(states)}, f"of {len(sent)} that were told of")
    assert done and states.count("failed") > 0 and "uploading" in states
    server.stop()


def bundles(server: RealServer) -> dict[str, dict[str, Any]]:
    with sqlite3.connect(f"file:{server.data_dir / 'cosphere.sqlite'}?mode=ro", uri=True) as database:
        database.row_factory = sqlite3.Row
        return {row["uuid"]: dict(row) for row in database.execute("SELECT * FROM bundles")}


def check_that_nobody_unpacks(server: RealServer) -> None:
    """Children end with the server, whatever they are at."""
    deadline = time.monotonic() + 10
    while any(is_child_of(server, process) for process in psutil.process_iter(["cmdline", "environ", "status"])):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_child_of(server: RealServer, process: psutil.Process) -> bool:
    command = process.info["cmdline"] or []
    is_alive = process.info["status"] != psutil.STATUS_ZOMBIE
    environment = process.info["environ"] or {}
    is_ours = environment.get("JUPYTER_TOKEN") == server.token
    return is_alive and is_ours and "cosphere_jupyter.bundles.unpacking" in command


def check(server: RealServer, sent: dict[str, bytes | None], done: set[str]) -> None:
    found = bundles(server)
    assert set(sent) <= set(found)
    for uuid, bundle in found.items():
        if uuid in done:
            assert bundle["state"] == "ready", bundle
        if bundle["state"] == "ready":
            check_contents(server, bundle, sent.get(uuid))
        elif bundle["state"] == "failed":
            assert INTERRUPTED in bundle["metadata"] and bundle["location"] is None, bundle
        else:
            # Nothing of it had arrived, so that it may still be sent.
            assert bundle["state"] == "uploading" and uuid not in done, bundle
    folder = server.data_dir / "bundles"
    lying = {path.relative_to(folder).as_posix() for path in folder.glob("??/*")}
    assert lying == {each["location"] for each in found.values() if each["location"]}
    assert list((folder / "aside").iterdir()) == []
    with sqlite3.connect(f"file:{server.data_dir / 'cosphere.sqlite'}?mode=ro", uri=True) as database:
        used = database.execute("SELECT coalesce(sum(disk_used), 0) FROM bundle_usage").fetchone()[0]
    assert used == sum(each["data_size"] for each in found.values())


def check_contents(server: RealServer, bundle: dict[str, Any], content: bytes | None) -> None:
    path = server.data_dir / "bundles" / bundle["location"]
    assert content is not None
    if bundle["content_type"] == "file":
        assert path.read_bytes() == content
        assert bundle["data_hash"] == f"0x{hashlib.sha1(content).hexdigest()}"
        return
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        expected = {member.name: member.size for member in tar}
    lying = {os.path.relpath(each, path): each.stat().st_size for each in path.rglob("*") if each.is_file()}
    assert lying == expected and bundle["data_size"] == sum(expected.values())
