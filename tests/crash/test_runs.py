"""The server is killed with SIGKILL while runs and makes are at work, wait, or are being uploaded for."""

from __future__ import annotations

import random
import sqlite3
import time

import psutil
import pytest
from codalab.command_line import DATASET, CommandLine, tar_gz
from real_server import RealServer

PASSWORD = "correct horse battery"
ROUNDS = 6
FINAL = ("ready", "failed", "killed")
# A run that was cut off says one of these.
CUT_OFF = ("the server stopped while the task was running", "The server stopped while this was at work")

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def server(tmp_path):
    made = RealServer(tmp_path, "--CosphereApp.allow_runs=everyone", "--CosphereApp.max_tasks=2")
    made.start()
    yield made
    made.stop()


def sleepers(seconds):
    return [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", str(seconds)]]


def sign_in(server):
    signed_in = CommandLine(server.base).sign_in("rosa", PASSWORD)
    signed_in.work()
    return signed_in


def test_after_a_kill_every_bundle_is_in_a_true_state_and_nothing_is_left_behind(server):
    account = {"email": "rosa@lab.example", "name": "rosa", "password": PASSWORD}
    assert server.call("POST", "/accounts/", account).status_code == 201
    rosa = sign_in(server)
    tree = rosa.upload("tree", tar_gz(**{f"f{n}": f"{n}\n" for n in range(50)}), "tree.tar.gz", is_dir=1)
    chance = random.Random(20261121)
    cut_off, begun, later = [], [], []
    for number in range(ROUNDS):
        # Two that run when it is killed, what waits for them and for a slot, and short ones at any point.
        running = [rosa.run(f"echo so far; setsid sleep 4971 & sleep 4971 # {n}", ("in", tree)) for n in range(2)]
        for uuid in running:
            rosa.wait_for(uuid, "running")
        cut_off += running
        later += [rosa.run("cat in/stdout", ("in", running[0])), rosa.make(("a", tree, "f1"), name=f"make{number}")]
        begun += [rosa.run(f"cat in/f{number}", ("in", tree), name=f"short{number}")]
        waits = rosa.create("dataset", {**DATASET, "name": "unsent"}, [("wait_for_upload", 1)])
        begun.append(rosa.run("cat in", ("in", waits), name="patient"))
        time.sleep(chance.uniform(0, 0.5))
        server.kill()
        server.start()
        rosa = sign_in(server)
        assert sleepers(4971) == []
        for uuid in running:
            found = rosa.wait(uuid)
            assert found["state"] == "failed" and found["metadata"]["failure_message"].startswith(CUT_OFF), found
            assert rosa.cat(uuid, "stdout") == "so far\n"
            assert {each["name"] for each in rosa.info(uuid, depth=1)["contents"]} == {"stdout", "stderr"}
        # What waited for a slot goes on; what waits for contents still does, until they are there.
        patient = rosa.attributes(begun[-1])
        assert patient["state"] == "created" and "unsent" in patient["state_details"], patient
        assert rosa.put(waits, b"at last\n", filename="unsent", unpack=0).status == 200
        assert rosa.wait(begun[-1])["state"] == "ready" and rosa.cat(begun[-1], "stdout") == "at last\n"
    for uuid in later + begun:
        found = rosa.wait(uuid)
        assert found["state"] == "ready" or found["metadata"]["failure_message"], found
    makes = [found for found in map(rosa.attributes, later) if found["bundle_type"] == "make"]
    assert {found["state"] for found in makes} == {"ready"}
    # Its parent failed with the server.
    assert all(rosa.attributes(uuid)["state"] == "failed" for uuid in later[::2])
    server.stop()
    check_what_lies_there(server)


def check_what_lies_there(server):
    store = server.data_dir / "bundles"
    with sqlite3.connect(server.data_dir / "cosphere.sqlite") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        unfinished = database.execute("SELECT state FROM bundles WHERE state NOT IN ('ready', 'failed', 'killed')")
        assert unfinished.fetchall() == []
        known = {row[0] for row in database.execute("SELECT location FROM bundles WHERE location IS NOT NULL")}
        used = database.execute("SELECT disk_used FROM bundle_usage").fetchone()
        assert used == database.execute("SELECT sum(data_size) FROM bundles").fetchone()
    # A crash between publishing and recording leaves what the next start removes; there has been one since.
    assert {path.relative_to(store).as_posix() for path in store.glob("??/*")} == known
    for folder in ("runs", "aside"):
        assert list((store / folder).glob("*")) == []
