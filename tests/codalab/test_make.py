"""Makes: copies of parts of bundles as a bundle."""

from __future__ import annotations

import pytest
from codalab.runs import Bench
from support import Api


@pytest.fixture
def bench(services, owner: Api) -> Bench:
    return Bench(services, owner)


async def test_parts_of_parents_are_copied_to_their_keys(bench):
    text = await bench.dataset("just text\n")
    tree = await bench.dataset({"train/a.txt": "A\n", "train/deep/b.txt": "B\n", "run.sh": "#!/bin/sh\n"})
    (bench.contents(tree) / "run.sh").chmod(0o755)
    (bench.contents(tree) / "train/near").symlink_to("a.txt")
    (bench.contents(tree) / "train/away").symlink_to("/etc/hostname")
    made = await bench.ended(
        await bench.make(("one", text.uuid), ("data/train", tree.uuid, "train"), ("run", tree.uuid, "run.sh"))
    )
    assert made.state == "ready", dict(made.metadata)
    assert (made.content_type, made.data_size) == ("directory", 10 + 2 + 2 + 10)
    root = bench.contents(made)
    assert (root / "one").read_text() == "just text\n" and (root / "data/train/deep/b.txt").read_text() == "B\n"
    assert (root / "run").stat().st_mode & 0o100 and not (root / "one").stat().st_mode & 0o100
    # Links stay what they are; nothing that they lead to is copied.
    assert (root / "data/train/near").readlink().as_posix() == "a.txt"
    assert (root / "data/train/away").readlink().as_posix() == "/etc/hostname"
    # A copy: what becomes of the parents is no matter.
    (bench.contents(text)).write_text("changed\n")
    assert (root / "one").read_text() == "just text\n"
    assert "exitcode" not in made.metadata and "failure_message" not in made.metadata
    assert await bench.has_tidied()


async def test_one_empty_key_makes_a_copy_of_the_target_itself(bench):
    tree = await bench.dataset({"train/a.txt": "A\n", "b.txt": "B\n"})
    file = await bench.ended(await bench.make(("", tree.uuid, "b.txt")))
    assert (file.state, file.content_type, bench.contents(file).read_text()) == ("ready", "file", "B\n")
    folder = await bench.ended(await bench.make(("", tree.uuid)))
    assert (folder.content_type, folder.data_hash) == ("directory", tree.data_hash)
    again = await bench.ended(await bench.make(("x", file.uuid), ("y", folder.uuid, "train/a.txt")))
    assert (bench.text(again, "x"), bench.text(again, "y")) == ("B\n", "A\n")
    assert await bench.has_tidied()


async def test_links_to_folders_are_copied_as_links(bench, tmp_path):
    (tmp_path / "secret.txt").write_text("not to be seen\n")
    tree = await bench.dataset({"train/a.txt": "A\n"})
    (bench.contents(tree) / "train/away").symlink_to(tmp_path)
    (bench.contents(tree) / "train/around").symlink_to(".")
    for key, path in (("x", ""), ("", ""), ("x", "train"), ("", "train")):
        made = await bench.ended(await bench.make((key, tree.uuid, path)))
        assert (made.state, made.data_size) == ("ready", 2), dict(made.metadata)
        train = bench.contents(made) / key / ("train" if path == "" else "")
        assert (train / "away").readlink() == tmp_path and (train / "around").readlink().as_posix() == "."
    assert await bench.has_tidied()


async def test_parts_that_are_not_there_fail_a_make(bench):
    tree = await bench.dataset({"train/a.txt": "A\n"})
    (bench.contents(tree) / "away").symlink_to("/etc")
    paths = ["none", "../x", "train/a.txt/x", "away", "away/hostname"]
    for key, path in [*(("x", path) for path in paths), *(("", path) for path in paths)]:
        ended = await bench.ended(await bench.make((key, tree.uuid, path)))
        assert (ended.state, ended.metadata["failure_message"]) == ("failed", f"Invalid dependency {tree.uuid}/{path}")
        assert (ended.location, ended.data_size) == (None, 0)
    assert await bench.has_tidied()


async def test_a_make_that_the_disk_quota_has_no_room_for_fails(bench, owner):
    parent = await bench.dataset({"a": "x" * 600, "b": "y" * 600})
    given = await owner.put("/accounts/1", {"disk_quota": 1900})
    assert given.status == 200, given.body
    for dependencies in ([("", parent.uuid)], [("a", parent.uuid, "a"), ("b", parent.uuid, "b")]):
        ended = await bench.ended(await bench.make(*dependencies))
        assert (ended.state, ended.metadata["failure_message"]) == ("failed", "User disk quota exceeded.")
    fits = await bench.ended(await bench.make(("a", parent.uuid, "a")))
    assert fits.state == "ready"
    assert await bench.has_tidied()
