"""What tasks leave: small and big results, files, a full disk, and how long all that is kept."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import subprocess
from datetime import timedelta

import pytest
from sqlalchemy import select

from cosphere_jupyter.database.schema import now
from cosphere_jupyter.errors import NotFound
from cosphere_jupyter.tasks import outputs, records
from cosphere_jupyter.tasks.answers import INLINE_LIMIT, NO_TEXT, TOO_BIG, UNREADABLE, Answer, Spilled
from cosphere_jupyter.tasks.engine import Published
from cosphere_jupyter.tasks.retention import TaskRetention
from cosphere_jupyter.tasks.tables import tasks


async def test_a_result_below_the_limit_lies_in_the_database(bench):
    task = await bench.ended(await bench.enqueue("big", characters=1000))
    assert task.state.result == {"text": "ö" * 1000}
    assert (task.result_name, task.outputs, bench.result_folders()) == (None, (), [])
    assert await bench.tasks.result_of(task) == task.state.result


@pytest.mark.parametrize("spills", [True, False], ids=["by way of a file", "through the pipe"])
async def test_a_bigger_result_is_a_file_of_the_result_store(bench, tmp_path, spills):
    options = {"spill": str(tmp_path / "scratch" / "spilled.json")} if spills else {}
    task = await bench.ended(await bench.enqueue("big", characters=400_000, **options))
    assert (task.state.status, task.state.result) == ("success", None)
    assert task.result_name == outputs.result_name(task)
    assert await bench.tasks.result_of(task) == {"text": "ö" * 400_000}
    (file,) = bench.store.manifest(task.result_name)["files"]
    content = bench.store.file(task.result_name, "result.json").read_bytes()
    assert file == {"name": "result.json", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert len(content) > INLINE_LIMIT
    assert bench.result_folders() == [task.result_name]
    assert [path.name for path in bench.store.root.iterdir()] == [task.result_name[:2]]
    assert not spills or list((tmp_path / "scratch").iterdir()) == []


async def test_a_result_longer_than_the_pipe_takes_needs_a_file(bench, tmp_path):
    failed = await bench.ended(await bench.enqueue("big", characters=3_000_000))
    assert failed.state.error == "the work's answer is too long to be passed on"
    spilled = await bench.ended(await bench.enqueue("big", characters=3_000_000, spill=str(tmp_path / "s.json")))
    assert await bench.tasks.result_of(spilled) == {"text": "ö" * 3_000_000}


async def test_facts_come_beside_a_result_that_is_a_file(bench, tmp_path, monkeypatch):
    published = []

    async def publish(task, answer):
        published.append(answer)
        return answer.result

    monkeypatch.setattr(bench.work, "publish", publish)
    path = tmp_path / "spilled.json"
    task = await bench.ended(await bench.enqueue("big_with_facts", characters=400_000, spill=str(path)))
    assert published == [Answer(Spilled(path, 400_011), {"small": True})]
    assert await bench.tasks.result_of(task) == {"text": "x" * 400_000}
    await bench.ended(await bench.enqueue("big_with_facts", characters=3, spill=str(path)))
    assert published[1] == Answer({"text": "xxx"}, {"small": True})


async def test_a_big_result_joins_the_files_that_were_published(bench, monkeypatch):
    output = {"name": "thumb", "file": "t.png", "size": 3, "sha256": "0" * 64, "content_type": "image/png"}

    async def publish(task, result):
        name = outputs.result_name(task)
        (bench.store.begin(name) / "t.png").write_bytes(b"png")
        bench.store.publish(name, {"id": "x", "files": [{"name": "t.png", "bytes": 3}]})
        return Published(result, name, (output,))

    monkeypatch.setattr(bench.work, "publish", publish)
    task = await bench.ended(await bench.enqueue("big", characters=400_000))
    manifest = bench.store.manifest(task.result_name)
    assert ([file["name"] for file in manifest["files"]], manifest["id"]) == (["t.png", "result.json"], "x")
    assert task.outputs == (output,)
    assert await bench.tasks.result_of(task) == {"text": "ö" * 400_000}
    small = await bench.ended(await bench.enqueue("big", characters=4))
    assert (small.state.result, small.outputs) == ({"text": "öööö"}, (output,))


async def test_a_big_result_whose_file_is_gone_is_said_to_be_gone(bench):
    task = await bench.ended(await bench.enqueue("big", characters=400_000))
    bench.store.delete(task.result_name)
    with pytest.raises(NotFound):
        await bench.tasks.result_of(task)


async def test_numbers_of_any_length_stay_what_they_are_in_a_big_result(bench, tmp_path):
    content, name = str([10**400] * 1000).encode(), f"ab/{'ab' * 32}/X-1"
    path = tmp_path / "spilled.json"
    path.write_bytes(content)
    outputs.keep_result(bench.store, name, Spilled(path, len(content)))
    assert outputs.read_result(bench.store, name) == content


async def test_a_big_result_whose_file_is_damaged_counts_as_gone(bench):
    task = await bench.ended(await bench.enqueue("big", characters=400_000))
    path = bench.store.file(task.result_name, "result.json")
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(NotFound):
        await bench.tasks.result_of(task)


@pytest.mark.parametrize("params", [{}, {"set": True}], ids=["not a number", "a set"])
async def test_what_is_no_json_is_no_result(bench, params, caplog):
    with caplog.at_level(logging.ERROR):
        task = await bench.ended(await bench.enqueue("not_json", **params))
    assert "failed unexpectedly" in task.state.error
    assert (await bench.ended(await bench.enqueue("echo"))).state.status == "success"


@pytest.mark.parametrize("exponent", [25, 400, 5000])
@pytest.mark.parametrize("options", [{}, {"padding": 300_000}, {"where": "progress"}, {"sign": -1}], ids=str)
async def test_an_integer_that_would_not_be_read_as_it_was_is_refused(bench, tmp_path, exponent, options):
    spill = str(tmp_path / "spilled.json")
    task = await bench.ended(await bench.enqueue("number", exponent=exponent, spill=spill, **options))
    assert task.state.error == TOO_BIG and "beyond 64 bits" in TOO_BIG
    assert (await bench.ended(await bench.enqueue("echo"))).state.status == "success"


@pytest.mark.parametrize("n", [2**64 - 1, -(2**63)])
async def test_integers_of_64_bits_come_out_as_they_went_in(bench, n):
    options = {"exponent": 64, "less": 1} if n > 0 else {"exponent": 63, "sign": -1}
    task = await bench.ended(await bench.enqueue("number", base=2, **options))
    assert task.state.result["nested"] == [{"n": n}]


async def test_text_that_is_no_unicode_is_no_result_and_shown_in_errors(bench, caplog):
    assert (await bench.ended(await bench.enqueue("half_a_pair"))).state.error == NO_TEXT
    assert (await bench.ended(await bench.enqueue("half_a_pair", fails=True))).state.error == "no file \\udcff"
    with caplog.at_level(logging.ERROR):
        broken = await bench.ended(await bench.enqueue("half_a_pair", breaks=True))
    assert "failed unexpectedly (KeyError)" in broken.state.error
    details = await bench.ended(await bench.enqueue("number", exponent=400, where="details"))
    assert (details.state.error, details.state.result) == ("no", None)


async def test_a_line_that_cannot_be_read_ends_the_attempt_and_its_process(bench):
    task = await bench.ended(await bench.enqueue("break_the_protocol", seconds=60))
    assert task.state.error == UNREADABLE
    assert (await bench.ended(await bench.enqueue("echo"))).state.status == "success"


async def test_details_of_an_error_are_kept_for_programs(bench):
    task = await bench.ended(await bench.enqueue("fail_with_details"))
    assert (task.state.error, task.state.result) == ("wrong parameters", {"parameters": {"url": ["is missing"]}})


# -- out of memory, out of disk ----------------------------------------------------------------------------------------


async def test_a_work_that_meets_its_memory_limit_fails_with_words(bench):
    task = await bench.ended(await bench.enqueue("need_memory", limit=2**31))
    assert task.state.error == "the work needs more memory than there is"


async def test_a_work_that_the_system_kills_twice_is_given_up_and_two_hundred_others_do_not_notice(bench):
    deadly = await bench.enqueue("die", is_idempotent=True, max_attempts=9, is_quick=True)
    keys = await bench.database.write(
        lambda c: [
            records.enqueue(c, "work", {"function": "echo", "n": n}, None, is_quick=n % 2 == 0) for n in range(200)
        ]
    )
    also_deadly = await bench.enqueue("die", is_idempotent=True, max_attempts=9)
    found = await bench.tasks.wait([deadly, also_deadly, *keys], None, 120)
    for key in (deadly, also_deadly):
        assert found[key].state.error == "worker killed by signal 9 (out of memory?) twice"
        assert found[key].state.attempt == 2
    assert [found[key].state.result["n"] for key in keys] == list(range(200))
    assert {found[key].state.attempt for key in keys} == {1}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB. Only root can make one."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a full disk can be tried only by who may mount one: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_work_that_fills_the_disk_fails_with_words(bench, small_disk):
    task = await bench.ended(await bench.enqueue("fill", path=str(small_disk / "x"), megabytes=9))
    assert task.state.error == "the disk is full"


async def test_a_big_result_for_which_the_disk_has_no_room_is_an_error(bench, small_disk):
    (small_disk / "ballast").write_bytes(b"x" * 7_900_000)
    spill = await bench.ended(await bench.enqueue("big", characters=400_000, spill=str(small_disk / "spilled.json")))
    assert spill.state.error == "the disk is full"
    bench.store.root = small_disk
    stored = await bench.ended(await bench.enqueue("big", characters=400_000))
    assert stored.state.error == "the disk is full"
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]
    (small_disk / "ballast").unlink()
    again = await bench.ended(await bench.enqueue("big", characters=400_000))
    assert await bench.tasks.result_of(again) == {"text": "ö" * 400_000}


async def test_what_ends_while_the_database_cannot_be_written_is_recorded_later(small_disk, make_bench, caplog):
    bench = make_bench(small_disk)
    await bench.engine.start()
    keys = [await bench.enqueue("sleep", seconds=2), await bench.enqueue("sleep", seconds=2, is_quick=True)]
    for key in keys:
        await bench.reported(key)
    fill(small_disk / "ballast")
    with caplog.at_level(logging.ERROR):
        while "cannot record its end now" not in caplog.text:
            await asyncio.sleep(0.05)
    (small_disk / "ballast").unlink()
    for key in keys:
        task = await bench.ended(key, 60)
        assert (task.state.status, task.state.attempt) == ("success", 1)
    assert (await bench.ended(await bench.enqueue("echo"))).state.status == "success"
    await bench.close()


def fill(path):
    with open(path, "wb", buffering=0) as file:
        for size in (2**16, 2**10, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


# -- how long ----------------------------------------------------------------------------------------------------------


def retention(bench, in_use, days=7):
    return TaskRetention(bench.database, bench.store, days * 86400, in_use, bench.engine.forget_numbers)


async def test_finished_tasks_go_after_a_week_with_their_files_and_others_stay(bench):
    big, small, kept = [await bench.enqueue("big", characters=n) for n in (400_000, 4, 400_000)]
    done = await bench.tasks.wait([big, small, kept], None, 60)
    running = await bench.enqueue("sleep")
    await bench.reported(running)
    expire = retention(bench, select(tasks.c.key).where(tasks.c.key == kept)).expire
    assert await expire() == 0
    assert await expire(now() + timedelta(days=6.9)) == 0
    assert await expire(now() + timedelta(days=7.1)) == 2
    assert set(await bench.tasks.read([big, small, kept, running], None)) == {kept, running}
    assert bench.result_folders() == [done[kept].result_name]
    assert await expire(now() + timedelta(days=9)) == 0
    assert (await bench.ended(await bench.enqueue("echo"))).state.status == "success"


async def test_new_tasks_run_also_when_the_files_of_old_ones_cannot_be_removed(bench, monkeypatch):
    for characters in (4, 4, 400_000):
        await bench.ended(await bench.enqueue("big", characters=characters))

    def fail(name):
        raise OSError("the disk failed")

    monkeypatch.setattr(bench.store, "delete", fail)
    nothing = select(tasks.c.key).where(tasks.c.key == "")
    with pytest.raises(OSError, match="the disk failed"):
        await retention(bench, nothing).expire(now() + timedelta(days=8))
    # Its row has a number that one of the removed ones had.
    assert (await bench.ended(await bench.enqueue("echo"))).state.status == "success"


async def test_without_a_limit_tasks_are_kept_for_ever(bench):
    key = await bench.enqueue("echo")
    await bench.ended(key)
    nothing = select(tasks.c.key).where(tasks.c.key == "")
    assert await retention(bench, nothing, days=0).expire(now() + timedelta(days=9999)) == 0
    assert await bench.read(key) is not None


async def test_more_tasks_than_one_transaction_takes_go_all(bench):
    await bench.database.write(
        lambda c: [records.store_refused(c, "work", {"n": n}, None, "refused") for n in range(1234)]
    )
    nothing = select(tasks.c.key).where(tasks.c.key == "")
    assert await retention(bench, nothing).expire(now() + timedelta(days=8)) == 1234


async def test_the_workspace_sweeps_what_no_task_names_and_spares_what_one_does(services, owner):
    owner_id = owner.account["id"]
    store = services.store

    def enqueue(connection):
        return records.enqueue(connection, "export", {}, owner_id)

    key = await services.database.write(enqueue)
    await services.task_list.wait([key], None, 60)
    named, unnamed = f"ab/{'ab' * 32}/{key}-1", f"cd/{'cd' * 32}/{key}-2"
    for name in (named, unnamed):
        (store.begin(name) / "x").write_bytes(b"x")
        store.publish(name, {"files": [{"name": "x", "bytes": 1}]})
    statement = tasks.update().where(tasks.c.key == key).values(result_name=named)
    await services.database.write(lambda c: c.execute(statement))
    assert await services.downloads.sweep() == [unnamed]
    assert store.exists(named) and not store.exists(unnamed)
    await services.task_retention.expire(now() + timedelta(days=8))
    assert not store.exists(named)
