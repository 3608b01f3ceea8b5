"""What accounts use: kept with every change, equal to the sum of what they have, whatever happens at the same time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from codalab.bytes_of import Shelf, tar_of
from support import Api

from cosphere_jupyter.bundles.contents import release
from cosphere_jupyter.bundles.usage import Usage, charge, charge_time, demand_disk, disk_left, read_usage
from cosphere_jupyter.errors import QuotaExceeded


async def test_nothing_is_used_until_something_is_and_never_less(researcher: Api, services: Any) -> None:
    account_id = researcher.account["id"]

    def work(connection: Any) -> list[Any]:
        seen: list[Any] = [read_usage(connection, account_id), disk_left(connection, account_id)]
        charge(connection, account_id, 500)
        charge(connection, account_id, -200)
        charge_time(connection, account_id, 1.5)
        charge_time(connection, account_id, -7)
        seen.append(read_usage(connection, account_id))
        charge(connection, account_id, -1000)
        return [*seen, read_usage(connection, account_id)]

    assert await services.database.write(work) == [Usage(), None, Usage(300, 1.5), Usage(0, 1.5)]


async def test_a_quota_leaves_the_rest_and_nobody_else_counts(sign_up: Any, services: Any) -> None:
    poor, other = await sign_up("a@lab.example", disk_quota=100), await sign_up("b@lab.example", disk_quota=0)

    def work(connection: Any) -> list[Any]:
        charge(connection, poor.account["id"], 40)
        demand_disk(connection, poor.account["id"])
        seen = [disk_left(connection, each.account["id"]) for each in (poor, other)]
        charge(connection, poor.account["id"], 460)
        seen.append(disk_left(connection, poor.account["id"]))
        for each in (poor, other):
            with pytest.raises(QuotaExceeded) as caught:
                demand_disk(connection, each.account["id"])
            seen.append(str(caught.value))
        return seen

    full = ["Out of disk quota: 500 / 100 (500.0%)", "Out of disk quota: 0 / 0"]
    assert await services.database.write(work) == [60, 0, 0, *full]


async def test_what_is_used_is_what_all_bundles_have(shelf: Shelf, sign_up: Any) -> None:
    other = Shelf(await sign_up("otto@lab.example"), shelf.services)
    sizes = [0, 1, 10, 1000, 54_321]
    uuids = await asyncio.gather(*[shelf.filled(bytes(size), "x") for size in sizes])
    await other.filled(bytes(77), "x")
    folder = await shelf.filled(tar_of(("a", bytes(300)), ("b/c", bytes(40)), ("d/", b"")), "x.tar.gz")
    assert (await shelf.used(), await other.used()) == (sum(sizes) + 340, 77)
    failed = await shelf.bundle()
    assert (await shelf.send(failed, b"junk", "x.zip")).status == 400
    gone = [await shelf.stored(each) for each in (*uuids[2:4], folder)]
    locations = await shelf.services.database.write(lambda connection: release(connection, gone))
    await shelf.services.bundle_contents.discard(locations)
    assert (await shelf.used(), await other.used()) == (1 + 54_321, 77)
    emptied = await shelf.stored(folder)
    assert (emptied.state, emptied.data_size, emptied.data_hash, emptied.location) == ("ready", 0, None, None)
    assert (await shelf.info(folder)).status == 404
    left = [path for path in (shelf.services.settings.data_dir / "bundles").rglob("*") if path.is_file()]
    assert len(left) == len(sizes) - 2 + 1


async def test_contents_are_removed_whatever_their_modes(shelf: Shelf) -> None:
    uuid = await shelf.filled(tar_of(("a/b/c", b"x")), "x.tar.gz")
    store = shelf.services.bundle_contents.store
    location = (await shelf.stored(uuid)).location
    for folder in ("a/b", "a", ""):
        (store.path(location) / folder).chmod(0)
    await shelf.services.bundle_contents.discard([location, location])
    assert not store.path(location).exists() and store.leftovers() == []
