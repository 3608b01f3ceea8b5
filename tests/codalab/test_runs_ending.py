"""How runs are ended before they end by themselves: killed, or by limits and quotas."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import psutil
import pytest
from codalab.runs import Bench
from support import Api


@pytest.fixture
def bench(services, owner: Api) -> Bench:
    return Bench(services, owner)


async def running(bench: Bench, command: str, **values):
    """Start a command and return its bundle once the command has made the file ``begun``."""
    made = await bench.run(f"{command}", **values)
    found = await bench.reaches(made, lambda found: found.state == "running" or found.state in ("failed", "ready"))
    assert found.state == "running", dict(found.metadata)
    while not (bench.services.runs.live_folder(found) / "begun").exists():
        time.sleep(0.02)
    return found


def sleepers(seconds: int) -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", str(seconds)]]


async def set_usage(bench: Bench, **values) -> None:
    from sqlalchemy import insert

    from cosphere_jupyter.bundles.tables import bundle_usage

    row = {"account_id": 1, "disk_used": 0, "time_used": 0.0, **values}
    await bench.services.database.write(lambda connection: connection.execute(insert(bundle_usage).values(row)))


@pytest.mark.slow
async def test_a_running_bundle_is_killed_with_all_that_it_started_and_keeps_what_it_wrote(bench):
    command = (
        "trap '' TERM; echo kept; setsid sleep 1971 & (trap '' TERM; sleep 1972) & touch begun; sleep 1973; sleep 1973"
    )
    found = await running(bench, command)
    while not (sleepers(1971) and sleepers(1972) and sleepers(1973)):
        time.sleep(0.02)
    begun = time.monotonic()
    await bench.services.runs.kill(found)
    assert (await bench.read(found)).metadata["actions"] == ["kill"]
    ended = await bench.ended(found)
    assert time.monotonic() - begun < 20
    assert (ended.state, ended.metadata["failure_message"]) == ("killed", "Kill requested")
    assert bench.text(ended) == "kept\n" and "begun" in bench.names(ended)
    assert [*sleepers(1971), *sleepers(1972), *sleepers(1973)] == [] and await bench.has_tidied()


async def test_what_waits_is_killed_at_once(bench):
    from cosphere_jupyter.bundles.problems import Refused

    uploading = await bench.store("dataset", state="uploading")
    waiting = await bench.run("true", ("in", uploading.uuid))
    assert waiting.state == "created"
    await bench.services.runs.kill(waiting)
    killed = await bench.read(waiting)
    assert (killed.state, killed.metadata["failure_message"]) == ("killed", "Kill requested")
    await bench.services.runs.kill(uploading)
    assert (await bench.read(uploading)).state == "killed"
    with pytest.raises(Refused, match="Cannot execute this action on a bundle that is in the following states: ready"):
        await bench.services.runs.kill(killed)
    # Both slots are taken: the third waits for one of them.
    busy = [await running(bench, "touch begun; sleep 60") for _ in range(2)]
    queued = await bench.run("echo never")
    await bench.services.runs.kill(queued)
    killed = await bench.read(queued)
    assert (killed.state, killed.location) == ("killed", None)
    for each in busy:
        await bench.services.runs.kill(each)
        assert (await bench.ended(each)).state == "killed"
    assert await bench.has_tidied()


async def test_a_run_whose_task_is_cancelled_is_killed(bench, owner):
    found = await running(bench, "echo kept; touch begun; sleep 60")
    account = await bench.services.accounts.read(1)
    await bench.services.task_list.cancel(found.task_key, account)
    ended = await bench.ended(found)
    assert (ended.state, ended.metadata["failure_message"]) == ("killed", "Kill requested")
    assert bench.text(ended) == "kept\n" and await bench.has_tidied()


async def test_a_run_whose_watcher_dies_has_failed_and_keeps_what_it_wrote(bench):
    found = await running(bench, "echo kept; touch begun; sleep 2971")
    # The command's shell, the one that waits for it, and the child of the server that watches both.
    while not (asleep := sleepers(2971)):
        time.sleep(0.02)
    child = next(each for each in asleep[0].parents() if "cosphere_jupyter.tasks.child" in each.cmdline())
    child.kill()
    ended = await bench.ended(found)
    assert (ended.state, bench.text(ended)) == ("failed", "kept\n")
    assert ended.metadata["failure_message"].startswith(
        "worker killed by signal 9 (out of memory?) once; not run again"
    )
    while sleepers(2971):
        time.sleep(0.02)
    assert await bench.has_tidied()


async def test_a_run_that_takes_more_than_it_asked_for_fails(bench):
    hungry = "python3 -c 'import time; x = b\"x\" * 150_000_000; time.sleep(60)'"
    late = r"Time limit exceeded\. \(Container uptime 0\.\ds > time limit 0\.5s\)"
    for command, limit, said in [
        ("sleep 60", {"request_time": "0.5s"}, late),
        (hungry, {"request_memory": "100m"}, r"Memory limit 100m exceeded\."),
        ("head -c 2000000 /dev/zero | tee a > b; sleep 60", {"request_disk": "3m"}, r"Disk limit 3mb exceeded\."),
        # The command ends by itself: a file cannot grow any more.
        ("head -c 5000000 /dev/zero > a; echo $?", {"request_disk": "1m"}, r"Disk limit 1mb exceeded\."),
    ]:
        ended = await bench.done(command, metadata=limit)
        assert ended.state == "failed", dict(ended.metadata)
        assert re.fullmatch(said, ended.metadata["failure_message"])
        assert {"stdout", "stderr"} <= set(bench.names(ended))
    assert await bench.has_tidied()


async def test_an_owner_s_quotas_end_a_run_as_killed(bench):
    await set_usage(bench, time_quota=100.0, time_used=99.5)
    ended = await bench.done("echo kept; sleep 60")
    said = (ended.state, ended.metadata["failure_message"], bench.text(ended))
    assert said == ("killed", "Kill requested: User time quota exceeded.", "kept\n")


async def test_who_has_no_time_left_starts_no_runs(bench):
    from cosphere_jupyter.errors import QuotaExceeded

    await set_usage(bench, time_quota=3600.0, time_used=5400.0)
    with pytest.raises(QuotaExceeded, match=r"Out of time quota: 1h30m / 1h0m \(150\.0%\)"):
        await bench.run("true")


async def test_a_disk_that_is_full_by_quota_ends_a_run_as_killed(bench, owner):
    given = await owner.put("/accounts/1", {"disk_quota": 1000})
    assert given.status == 200, given.body
    ended = await bench.done("head -c 3000 /dev/zero > a; sleep 60")
    assert (ended.state, ended.metadata["failure_message"]) == ("killed", "Kill requested: User disk quota exceeded.")


def run_alone(folder, change, command, **params):
    """Run a command without a server, with something of the child changed; returns what is known of it."""
    for name in ("work", "temporary", "control"):
        (folder / name).mkdir(parents=True)
    code = f"""
import ctypes, json, sys
ctypes.CDLL(None).prctl(36, 1)  # orphans come to this process, as to every child of the server
from cosphere_jupyter.bundles import run_child
{change}
print(json.dumps(run_child.run(json.loads(sys.argv[1]), lambda progress: None)))
"""
    nothing = {"dependencies": [], "limits": {}, "exclude_patterns": [], "mark": ["MARK", "mark"]}
    given = {**nothing, "folder": str(folder), "command": command, "hidden": [str(folder.parent)], **params}
    done = subprocess.run([sys.executable, "-c", code, json.dumps(given)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_walls_parents_are_copies_that_change_nothing(tmp_path):
    """On a machine that lets nobody make namespaces."""
    folder, parent = tmp_path / "run", tmp_path / "parent"
    parent.mkdir()
    (parent / "a.txt").write_text("A\n")
    dependency = {"child_path": "in/data", "parent_uuid": "0x1", "parent_path": "", "root": str(parent)}
    command = "chmod -R u+w in; echo more >> in/data/a.txt; cat in/data/a.txt; setsid sleep 3971 & sleep 3971 & exit 4"
    no_walls = "run_child.has_walls = lambda folder: False"
    facts = run_alone(folder, no_walls, command, dependencies=[dependency])
    assert (facts["exitcode"], facts["failure_message"]) == (4, "Exit code 4")
    assert (parent / "a.txt").read_text() == "A\n"
    assert (folder / "work" / "stdout").read_text().startswith("A\nmore\n")
    assert sorted(each.name for each in (folder / "work").iterdir()) == ["stderr", "stdout"]
    deadline = time.monotonic() + 10
    while sleepers(3971):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_is_ended_before_the_disk_is_full_and_goes_before_the_server_when_memory_is(tmp_path):
    facts = run_alone(tmp_path / "run", "run_child.LEAST_FREE = 2**62", "cat /proc/self/oom_score_adj; sleep 60")
    said = "The disk of the server is nearly full; the run was ended before it was full."
    assert facts["failure_message"] == said
    assert (tmp_path / "run/work/stdout").read_text() == "500\n"
