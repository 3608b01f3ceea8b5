"""Sending contents: states, quotas while they come, senders that go away, and what a restart finds."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import Any

import pytest
from codalab.bytes_of import CONTENTS, Shelf, special, tar_of, told
from codalab.hostile import FILE_NAMES, PATHS
from codalab.wire import Wire
from support import Api

from cosphere_jupyter.bundles.leftovers import INTERRUPTED

FINALIZED = (403, "Contents cannot be modified, bundle already finalized.")
MEBI = 1024 * 1024


def left_over(shelf: Shelf) -> list[str]:
    """What lies below the store, but is no folder."""
    root = shelf.services.settings.data_dir / "bundles"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


async def settled(shelf: Shelf, uuid: str, state: str, message: str = "") -> Any:
    """Wait until a bundle is in a state and says something, and return it."""
    for _ in range(400):
        found = await shelf.stored(uuid)
        if found.state == state and message in found.metadata.get("failure_message", ""):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


# -- what becomes of what is sent ------------------------------------------------------------------------------------


async def test_what_is_sent_is_what_is_stored_and_its_size_and_hash_are_known(shelf: Shelf) -> None:
    for size in (0, 1, MEBI, 3 * MEBI + 17):
        content = os.urandom(size)
        uuid = await shelf.filled(content, "x.bin")
        stored = await shelf.stored(uuid)
        assert (stored.state, stored.content_type, stored.data_size) == ("ready", "file", size)
        assert stored.metadata["data_size"] == size
        assert stored.data_hash == f"0x{hashlib.sha1(content).hexdigest()}"
        assert (await shelf.blob(uuid)).body == content
        assert (shelf.services.settings.data_dir / "bundles" / "aside").is_dir()
        assert not any(path.startswith("aside") for path in left_over(shelf))


async def test_what_the_command_line_sends_along_is_passed_over(shelf: Shelf) -> None:
    uuid = await shelf.bundle()
    more = {"git": 0, "urls": "", "store": "", "use_azure_blob_beta": 0, "finalize_on_failure": 0, "unpack": 1}
    assert told(await shelf.send(uuid, b"x", "x", state_on_success="ready", finalize_on_success=1, **more)) == (200, "")
    assert (await shelf.stored(uuid)).state == "ready"


async def test_without_a_file_name_a_bundle_is_only_ended(shelf: Shelf) -> None:
    for state in ("ready", "failed", "killed"):
        uuid = await shelf.bundle()
        assert told(await shelf.send(uuid, b"ignored", state_on_success=state)) == (200, "")
        stored = await shelf.stored(uuid)
        assert (stored.state, stored.location, stored.data_size) == (state, None, 0)
    uuid = await shelf.bundle()
    assert told(await shelf.send(uuid, b"", finalize_on_success=0)) == (200, "")
    assert (await shelf.stored(uuid)).state == "uploading"
    assert left_over(shelf) == []


async def test_a_bundle_ends_as_is_asked_for_or_waits_for_more(shelf: Shelf) -> None:
    uuid = await shelf.bundle()
    assert told(await shelf.send(uuid, b"first", "x", finalize_on_success=0)) == (200, "")
    first = await shelf.stored(uuid)
    assert (first.state, await shelf.used()) == ("uploading", 5)
    assert (await shelf.blob(uuid)).body == b"first"
    # What is sent again replaces it, on the disk and in what the owner uses.
    assert told(await shelf.send(uuid, b"the second", "x", state_on_success="killed")) == (200, "")
    second = await shelf.stored(uuid)
    assert (second.state, await shelf.used()) == ("killed", 10)
    assert left_over(shelf) == [second.location] and second.location != first.location


async def test_what_uploads_are_refused_for(shelf: Shelf, anybody: Api, sign_up: Any, owner: Api) -> None:
    from codalab.bytes_of import give

    other = await sign_up("otto@lab.example", name="otto")
    uuid = await shelf.bundle()
    assert told(await shelf.send(uuid, b"x", "x", caller=anybody)) == (401, "User is not authenticated.")
    status, text = told(await shelf.send(uuid, b"x", "x", caller=other))
    assert (status, text[-48:]) == (403, f"on bundle {uuid} (have none, need all)."[-48:])
    await give(shelf, uuid, other)
    assert "(have read, need all)." in told(await shelf.send(uuid, b"x", "x", caller=other))[1]
    unknown = f"0x{'ab' * 16}"
    assert f"on bundle {unknown} (have none, need all)." in told(await shelf.send(unknown, b"x", "x"))[1]
    states = (400, "state_on_success must be one of ready|failed|killed")
    assert told(await shelf.send(uuid, b"x", "x", state_on_success="running")) == states
    assert told(await shelf.send(uuid, b"", state_on_success="x")) == states
    boolean = (400, "'unpack' parameter must be integer boolean")
    assert told(await shelf.send(uuid, b"x", "x", unpack="yes")) == boolean
    for elsewhere in ({"urls": "http://127.0.0.1/x"}, {"git": 1}, {"git": 1, "urls": "https://example.org/x.git"}):
        answer = await shelf.send(uuid, b"", **elsewhere)
        assert told(answer) == (400, "Contents are not fetched from elsewhere here: send them.")
    assert (await shelf.stored(uuid)).state == "uploading"
    for state in ("ready", "failed", "killed"):
        ended = await shelf.bundle(state=state)
        assert told(await shelf.send(ended, b"x", "x")) == FINALIZED
        assert told(await shelf.send(ended, b"")) == FINALIZED
    for state in ("created", "staged", "running"):
        run = await shelf.bundle(state=state, bundle_type="run", command="date")
        text = f"Contents cannot be uploaded to a bundle that is {state}."
        assert told(await shelf.send(run, b"x", "x")) == (400, text)
    path = f"{CONTENTS.format(uuid=uuid)}/blob/x"
    assert (await shelf.caller("PUT", path, raw=b"x")).status == 405
    assert left_over(shelf) == [] and await shelf.used() == 0
    # An ADMIN may do all with every bundle; the owner is charged.
    assert (await shelf.send(uuid, b"xyz", "x", caller=owner)).status == 200
    assert await shelf.used() == 3


async def test_others_than_the_command_line_get_errors_as_json(shelf: Shelf) -> None:
    uuid = await shelf.bundle()
    path = f"{CONTENTS.format(uuid=uuid)}/blob/?filename=%C3%BC%2Fx"
    answer = await shelf.caller("PUT", path, raw=b"x" * 100)
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/json")
    assert answer.json["errors"] == [{"status": "400", "detail": "Invalid filename: 'ü/x'"}]
    ended = await shelf.bundle(state="ready")
    late = await shelf.caller("PUT", f"{CONTENTS.format(uuid=ended)}/blob/?filename=x", raw=b"")
    assert (late.status, late.json["errors"][0]["detail"]) == FINALIZED


async def test_a_frozen_bundle_takes_nothing(shelf: Shelf) -> None:
    from datetime import datetime, timezone

    from cosphere_jupyter.bundles.records import read_bundle, update_bundle

    uuid = await shelf.bundle("ice", state="ready")
    frozen = {"frozen_at": datetime.now(timezone.utc)}
    await shelf.services.database.write(lambda c: update_bundle(c, read_bundle(c, uuid), **frozen))
    assert told(await shelf.send(uuid, b"x", "x")) == (403, f"Cannot mutate frozen bundle {uuid}(ice).")


async def test_no_file_name_becomes_a_path(shelf: Shelf) -> None:
    assert len(FILE_NAMES) >= 30
    uuid = await shelf.bundle()
    for name in FILE_NAMES:
        status, text = told(await shelf.send(uuid, b"x", name))
        assert status == 400 and text.startswith("Invalid "), name
    assert (await shelf.stored(uuid)).state == "uploading" and left_over(shelf) == []
    harmless = [name for name in PATHS if name not in FILE_NAMES]
    assert len(harmless) + len(FILE_NAMES) >= 90
    for name in [*harmless, "a..b", "größe.txt", "$(id)", "a;b|c", "CON", "x" * 255]:
        uuid = await shelf.filled(b"mine", name)
        # Where it lies is made of the uuid.
        location = (await shelf.stored(uuid)).location
        assert location in left_over(shelf) and uuid in location, name
        assert (await shelf.blob(uuid)).body == b"mine"
    assert all(path.count("/") == 1 for path in left_over(shelf))


# -- quotas ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def poor(sign_up: Any, services: Any, run: Any) -> Shelf:
    """Bundles of an account that may store 10,000 bytes."""
    return Shelf(run(sign_up("poor@lab.example", name="poor", disk_quota=10_000)), services)


def too_big(size: int, left: int) -> tuple[int, str]:
    what = f"Bundle size {size} greater than user's disk quota left: {left}"
    return 400, f"Upload failed: Can't save bundle, user disk quota exceeded. {what}"


async def test_what_does_not_fit_is_refused_and_the_bundle_says_so(poor: Shelf) -> None:
    await poor.filled(bytes(6000), "x")
    uuid = await poor.bundle()
    assert told(await poor.send(uuid, bytes(5000), "x")) == too_big(5000, 4000)
    stored = await poor.stored(uuid)
    assert (stored.state, stored.metadata["failure_message"]) == ("failed", too_big(5000, 4000)[1])
    assert stored.metadata["error_traceback"]
    assert (len(left_over(poor)), await poor.used()) == (1, 6000)
    await poor.filled(bytes(4000), "x")
    assert await poor.used() == 10_000
    await poor.filled(b"", "empty")


async def test_what_an_archive_unpacks_to_counts(poor: Shelf) -> None:
    uuid = await poor.bundle()
    status, text = told(await poor.send(uuid, tar_of(("x", bytes(50_000))), "x.tar.gz"))
    assert status == 400 and text.endswith("greater than user's disk quota left: 10000")
    assert ((await poor.stored(uuid)).state, left_over(poor), await poor.used()) == ("failed", [], 0)
    # Every name of a file counts: as archives they would take that much.
    hard = [special(str(number), b"1", "x") for number in range(4)]
    uuid = await poor.bundle()
    assert (await poor.send(uuid, tar_of(("x", bytes(2500)), *hard), "x.tar.gz")).status == 400
    uuid = await poor.filled(tar_of(("x", bytes(2000)), *hard), "x.tar.gz")
    assert ((await poor.stored(uuid)).data_size, await poor.used()) == (10_000, 10_000)


async def test_too_large_an_upload_is_answered_before_it_is_sent(poor: Shelf) -> None:
    uuid = await poor.bundle()
    async with Wire(poor.caller) as wire:
        await wire.put(uuid, "x", length=10**15)
        assert await wire.answer() == too_big(10**15, 10_000)
    assert (await poor.stored(uuid)).state == "failed"


async def test_too_large_an_upload_is_answered_while_it_is_sent(poor: Shelf) -> None:
    uuid = await poor.bundle()
    async with Wire(poor.caller) as wire:
        await wire.put(uuid, "x")
        await wire.chunk(bytes(8000))
        await wire.chunk(bytes(8000))
        # The body has no end yet.
        assert await wire.answer() == too_big(16_000, 10_000)
        # A program that sends all of it before it reads is let do so.
        for _ in range(20):
            await wire.chunk(bytes(MEBI))
        await wire.chunk(b"")
    assert (await poor.stored(uuid)).state == "failed"
    assert (left_over(poor), await poor.used()) == ([], 0)


async def test_uploads_at_the_same_time_share_what_is_left(poor: Shelf) -> None:
    first, second = await poor.bundle(), await poor.bundle()
    async with Wire(poor.caller) as wire:
        await wire.put(first, "x")
        await wire.chunk(bytes(7000))
        await wire.taken(poor, first, 7000)
        assert told(await poor.send(second, bytes(5000), "x")) == too_big(5000, 3000)
        await wire.chunk(b"")
        assert await wire.answer() == (200, "")
    assert await poor.used() == 7000


# -- one at a time, and senders that go away -------------------------------------------------------------------------


async def test_a_bundle_takes_one_upload_at_a_time(shelf: Shelf) -> None:
    uuid = await shelf.bundle()
    async with Wire(shelf.caller) as wire:
        await wire.put(uuid, "x")
        await wire.chunk(b"mine")
        await wire.taken(shelf, uuid, 4)
        text = f"Contents of bundle {uuid} are being uploaded already."
        assert told(await shelf.send(uuid, b"theirs", "x")) == (409, text)
        await wire.chunk(b"")
        assert await wire.answer() == (200, "")
    assert (await shelf.blob(uuid)).body == b"mine"


@pytest.mark.parametrize("is_end", [0, 1])
async def test_a_sender_that_goes_away_leaves_nothing(shelf: Shelf, is_end: int) -> None:
    uuid = await shelf.bundle()
    async with Wire(shelf.caller) as wire:
        await wire.put(uuid, "x", finalize_on_failure=is_end)
        await wire.chunk(bytes(2 * MEBI))
        await wire.taken(shelf, uuid, 2 * MEBI)
    message = f"Upload failed: the connection was lost after {2 * MEBI} bytes."
    await settled(shelf, uuid, "failed" if is_end else "uploading", message)
    assert (left_over(shelf), await shelf.used()) == ([], 0)
    again = await shelf.send(uuid, b"again", "x")
    if is_end:
        assert told(again) == FINALIZED
    else:
        assert told(again) == (200, "")
        assert "failure_message" not in (await shelf.stored(uuid)).metadata


async def test_a_sender_that_falls_silent_is_gone(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cosphere_jupyter.handlers.codalab.uploads.STALL_SECONDS", 0.3)
    uuid = await shelf.bundle()
    async with Wire(shelf.caller) as wire:
        await wire.put(uuid, "x", finalize_on_failure=1)
        await wire.chunk(b"mine")
        assert await wire.is_closed()
    await settled(shelf, uuid, "failed", "Upload failed: the connection was lost after 4 bytes.")
    assert left_over(shelf) == []


async def test_a_bundle_that_goes_away_while_it_is_filled_leaves_nothing(shelf: Shelf) -> None:
    from cosphere_jupyter.bundles.records import delete_bundles

    uuid = await shelf.bundle()
    async with Wire(shelf.caller) as wire:
        await wire.put(uuid, "x")
        await wire.chunk(b"mine")
        await wire.taken(shelf, uuid, 4)
        await shelf.services.database.write(lambda connection: delete_bundles(connection, [uuid]))
        await wire.chunk(b"")
        assert await wire.answer() == (404, f"Bundle {uuid} not found")
    assert (left_over(shelf), await shelf.used()) == ([], 0)


async def test_a_disk_that_is_full_is_told_and_nothing_is_left(shelf: Shelf, monkeypatch: Any) -> None:
    def full(*args: Any) -> Any:
        raise OSError(28, "No space left on device")

    uuid = await shelf.bundle()
    monkeypatch.setattr("cosphere_jupyter.bundles.uploads.os.write", full)
    text = "Upload failed: the server cannot store it (No space left on device)"
    assert told(await shelf.send(uuid, b"x" * 100, "x")) == (503, text)
    assert told(await shelf.send(uuid, b"x" * (3 * MEBI), "x")) == (503, text)
    monkeypatch.undo()
    assert ((await shelf.stored(uuid)).state, left_over(shelf)) == ("uploading", [])
    assert told(await shelf.send(uuid, b"x", "x")) == (200, "")


async def test_the_last_of_the_disk_is_left_to_the_workspace(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    from cosphere_jupyter.bundles.uploads import RESERVE

    uuid = await shelf.bundle()
    usage = type("Usage", (), {"free": RESERVE + 2 * MEBI})
    monkeypatch.setattr("cosphere_jupyter.bundles.uploads.shutil.disk_usage", lambda path: usage)
    full = (503, "Upload failed: the server cannot store it (No space left on device)")
    async with Wire(shelf.caller) as wire:
        await wire.put(uuid, "x", length=3 * MEBI)
        assert await wire.answer() == full
    async with Wire(shelf.caller) as wire:
        await wire.put(uuid, "x")
        await wire.chunk(bytes(3 * MEBI))
        assert await wire.answer() == full
    assert told(await shelf.send(uuid, tar_of(("x", bytes(3 * MEBI))), "x.tar.gz")) == full
    assert told(await shelf.send(uuid, bytes(MEBI), "x")) == (200, "")
    assert len(left_over(shelf)) == 1


async def test_jupyters_limit_of_bodies_is_not_that_of_uploads(shelf: Shelf) -> None:
    uuid = await shelf.bundle()
    async with Wire(shelf.caller) as wire:
        await wire.put(uuid, "x", length=600 * MEBI)
        wire.writer.write(bytes(MEBI))
        await wire.taken(shelf, uuid, MEBI)


# -- what a start finds ----------------------------------------------------------------------------------------------


async def test_a_sweep_ends_what_was_interrupted_and_removes_what_nothing_knows(shelf: Shelf) -> None:
    store = shelf.services.bundle_contents.store
    kept = await shelf.filled(b"kept", "x")
    waiting = await shelf.bundle()
    half, unknown_to_the_record, sent_again = [await shelf.bundle() for _ in range(3)]
    await shelf.send(sent_again, b"whole", "x", finalize_on_success=0)
    store.aside(half).mkdir()
    for uuid in (unknown_to_the_record, sent_again, f"0x{'cd' * 16}"):
        path = store.aside(uuid)
        path.write_text("published, but not yet in the record")
        store.publish(uuid, path)
    assert await shelf.services.uploads.sweep() == 4
    for uuid in (half, unknown_to_the_record):
        stored = await shelf.stored(uuid)
        assert (stored.state, stored.metadata["failure_message"]) == ("failed", INTERRUPTED)
    # Nothing was sent to this one yet; and that one is whole, what lay beside it was its former contents.
    assert [(await shelf.stored(uuid)).state for uuid in (waiting, sent_again)] == ["uploading", "uploading"]
    assert (await shelf.stored(kept)).state == "ready" and (await shelf.blob(kept)).body == b"kept"
    locations = [(await shelf.stored(uuid)).location for uuid in (kept, sent_again)]
    assert left_over(shelf) == sorted(locations)
    assert await shelf.services.uploads.sweep() == 0
