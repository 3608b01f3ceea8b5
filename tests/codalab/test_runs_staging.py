"""What runs wait for, and what is said meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from codalab.runs import Bench
from support import Api

NOBODY = "0x" + "0" * 31 + "f"
USE_FLAG = "(Please use the --allow-failed-dependencies flag to depend on results of failed or killed bundles) "


@pytest.fixture
def bench(services, owner: Api) -> Bench:
    return Bench(services, owner)


async def tasks_of(bench: Bench) -> int:
    return len(await bench.services.task_list.bulk_read(await bench.services.accounts.read(1)))


async def test_a_run_waits_for_its_parents_without_a_task_and_begins_when_they_are_ready(bench):
    uploading = await bench.store("dataset", state="uploading", metadata={"name": "slow"})
    first = await bench.run("cat in; echo first", ("in", uploading.uuid))
    second = await bench.run("cat in/stdout", ("in", first.uuid))
    third = await bench.make(("copy", second.uuid, "stdout"))
    assert {each.state for each in (first, second, third)} == {"created"}
    assert first.metadata["staged_status"] == f"Waiting for parent bundles: slow({uploading.uuid}) is uploading."
    assert f"run({first.uuid}) is created" in second.metadata["staged_status"]
    await asyncio.sleep(0.5)
    assert await tasks_of(bench) == 0
    data = await bench.dataset("data\n")
    changes = {"location": data.location, "content_type": "file", "state": "ready"}
    await bench.update(uploading, **changes)
    assert bench.text(await bench.ended(first)) == "data\nfirst\n"
    assert bench.text(await bench.ended(second)) == "data\nfirst\n"
    assert bench.text(await bench.ended(third), "copy") == "data\nfirst\n"
    assert await tasks_of(bench) == 3


async def test_parents_that_are_missing_or_may_not_be_read_fail_a_run_at_once(bench, researcher):
    parent = await bench.dataset("text")
    missing = await bench.run("true", ("in", NOBODY), ("x", parent.uuid), ("y", NOBODY))
    assert (missing.state, missing.metadata["failure_message"]) == ("failed", f"Missing parent bundles: {NOBODY}")
    # Who may not read it makes a bundle of it: refused in the words of every other refusal.
    refused = await bench.make(("in", parent.uuid), account=researcher)
    said = refused.metadata["failure_message"]
    assert refused.state == "failed" and said.startswith("User rosa(0x")
    assert said.endswith(f"does not have sufficient permissions on bundle {parent.uuid} (have none, need read).")


async def test_parents_that_failed_or_were_killed_fail_a_run_unless_it_allows_them(bench):
    failed = await bench.done("echo partial; exit 1")
    killed = await bench.store("dataset", state="killed")
    texts = [
        (await bench.run("true", ("a", failed.uuid)), f"Parent bundles failed: {failed.uuid} {USE_FLAG}"),
        (await bench.run("true", ("a", killed.uuid)), f"Parent bundles were killed: {killed.uuid} {USE_FLAG}"),
        (
            await bench.make(("a", failed.uuid), ("b", killed.uuid)),
            f"Parent bundles failed: {failed.uuid} Parent bundles were killed: {killed.uuid} {USE_FLAG}",
        ),
    ]
    for bundle, text in texts:
        assert (bundle.state, bundle.metadata["failure_message"]) == ("failed", text)
    allowed = await bench.done("cat a/stdout", ("a", failed.uuid), metadata={"allow_failed_dependencies": True})
    assert (allowed.state, bench.text(allowed)) == ("ready", "partial\n")
    # Of the one that was killed there is nothing.
    nothing = await bench.done("true", ("a", killed.uuid), metadata={"allow_failed_dependencies": True})
    assert nothing.metadata["failure_message"] == f"Invalid dependency {killed.uuid}"


async def test_a_parent_that_fails_or_goes_later_fails_those_that_wait(bench):
    from cosphere_jupyter.bundles.records import delete_bundles

    parents = [await bench.store("dataset", state="uploading") for _ in range(2)]
    waiting = [await bench.run("true", ("in", parent.uuid)) for parent in parents]
    await bench.update(parents[0], state="failed")
    await bench.services.database.write(lambda connection: delete_bundles(connection, [parents[1].uuid]))
    ended = [await bench.ended(each) for each in waiting]
    assert [each.metadata["failure_message"] for each in ended] == [
        f"Parent bundles failed: {parents[0].uuid} {USE_FLAG}",
        f"Missing parent bundles: {parents[1].uuid}",
    ]


async def test_a_bundle_cannot_wait_for_itself(bench):
    own = "0x" + "a" * 32
    made = await bench.run("true", ("in", own), uuid=own)
    assert (made.state, made.metadata["failure_message"]) == ("failed", f"Missing parent bundles: {own}")


async def test_no_more_runs_of_an_account_than_its_quota_run_at_once(bench):
    from sqlalchemy import insert

    from cosphere_jupyter.bundles.tables import bundle_usage

    row = {"account_id": 1, "disk_used": 0, "time_used": 0.0, "parallel_run_quota": 1}
    await bench.services.database.write(lambda connection: connection.execute(insert(bundle_usage).values(row)))
    first = await bench.run("until [ -e go ]; do sleep 0.02; done")
    second = await bench.run("echo second")
    why = "Waiting: 1 of your runs are running, and your parallel run quota is 1."
    assert (second.state, second.metadata["staged_status"], second.task_key) == ("staged", why, None)
    running = await bench.reaches(first, lambda found: found.state == "running")
    await bench.services.runs.write(running, "go", "go")
    assert (await bench.ended(first)).state == "ready"
    assert bench.text(await bench.ended(second)) == "second\n"


async def test_what_waited_when_the_server_stopped_goes_on_with_the_next(bench):
    """The watching part only: it is begun again, as a server does."""
    runs = bench.services.runs
    uploading = await bench.store("dataset", state="uploading")
    waiting = await bench.run("echo on", ("in", uploading.uuid))
    await runs.stop()
    data = await bench.dataset("data\n")
    await bench.update(uploading, location=data.location, content_type="file", state="ready")
    # One that a server was at work on when it was killed, as the record has it then; and a folder of nothing.
    lost = await bench.store("run", state="running", task_key="GONE", command="sleep 60")
    folder = runs._place.folders.make(lost.uuid)
    (folder / "work" / "stdout").write_text("so far\n")
    runs._place.folders.make(NOBODY)
    await runs.begin(1)
    assert bench.text(await bench.ended(waiting)) == "on\n"
    cut_off = await bench.ended(lost)
    assert (cut_off.state, bench.text(cut_off)) == ("failed", "so far\n")
    assert cut_off.metadata["failure_message"] == "The server stopped while this was at work; it was not run again."
    assert await bench.has_tidied()
