"""Archives that are sent: what comes out of good ones, and that nothing comes out of bad ones."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import stat
import tarfile
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from codalab.bytes_of import Shelf, special, tar_of
from codalab.hostile import bombs, single_files, tars, zip_of, zipped_special, zips
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosphere_jupyter.bundles.archives import InvalidError, TooBigError, suffix_of, unpack
from cosphere_jupyter.bundles.hashing import measure

UNPACK = "Upload failed: Invalid archive upload: failed to unpack archive."
UNZIP = "Upload failed: Invalid archive upload: failed to unzip .zip file."


def everything_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def bytes_below(services: Any) -> list[Path]:
    """All files of the store of bundles."""
    return [path for path in (services.settings.data_dir / "bundles").rglob("*") if not path.is_dir()]


async def refuse(shelf: Shelf, cases: Iterable[tuple[str, str, bytes]], text: str) -> int:
    """Send hostile archives, each to a bundle of its own; returns how many."""
    outside = everything_below(shelf.services.settings.data_dir) - {"begun.log"}
    count = 0
    for what, filename, content in cases:
        uuid = await shelf.bundle(what)
        answer = await shelf.send(uuid, content, filename)
        assert (answer.status, answer.body.decode()) == (400, text), (what, answer.body)
        stored = await shelf.stored(uuid)
        assert (stored.state, stored.location, stored.data_size) == ("failed", None, 0), what
        assert stored.metadata["failure_message"] == text, what
        told = stored.metadata["error_traceback"]
        assert told and str(shelf.services.settings.data_dir) not in told, (what, told)
        assert bytes_below(shelf.services) == [], what
        count += 1
    left = everything_below(shelf.services.settings.data_dir) - outside
    assert not {path for path in left if "canary" in path}
    assert not Path("/tmp/canary").exists()
    assert await shelf.used() == 0
    return count


@pytest.mark.slow
async def test_hostile_tar_archives_are_refused_as_a_whole(shelf: Shelf) -> None:
    cases = [(what, "data.tar.gz", content) for what, content in tars()]
    assert await refuse(shelf, cases, UNPACK) >= 30


@pytest.mark.slow
async def test_hostile_zips_are_refused_as_a_whole(shelf: Shelf) -> None:
    assert await refuse(shelf, [(what, "data.zip", content) for what, content in zips()], UNZIP) >= 15


@pytest.mark.slow
async def test_compressed_files_that_are_none_are_refused(shelf: Shelf) -> None:
    assert await refuse(shelf, single_files(), UNPACK) == 4


async def test_a_tar_becomes_a_folder_also_with_one_file_and_keeps_links_modes_and_times(shelf: Shelf) -> None:
    program = tarfile.TarInfo("bin/run.sh")
    program.mode, program.size, program.mtime = 0o6755, 9, 1_000_000_000
    packed = tar_of(
        special("./", tarfile.DIRTYPE, mode=0o700),
        (program, b"#!/bin/sh"),
        special("bin/again", tarfile.LNKTYPE, "bin/run.sh"),
        special("bin/up", tarfile.SYMTYPE, "../data/ü.txt"),
        ("data/ü.txt", b"old"),
        ("data/ü.txt", b"new"),
        ("empty", b""),
    )
    uuid = await shelf.filled(packed, "data.tar.gz")
    info = (await shelf.info(uuid, depth=9)).json["data"]
    assert info["type"] == "directory" and info["name"] == uuid
    tree = {each["name"]: each for each in info["contents"]}
    assert set(tree) == {"bin", "data", "empty"}
    inner = {each["name"]: each for each in tree["bin"]["contents"]}
    # Neither setuid nor setgid is kept.
    assert {name: (each["type"], each.get("link"), each["perm"]) for name, each in inner.items()} == {
        "run.sh": ("file", None, 0o755),
        "again": ("file", None, 0o755),
        "up": ("link", "../data/ü.txt", 0o777),
    }
    assert (await shelf.blob(uuid, "data/ü.txt")).body == b"new"
    stored = await shelf.stored(uuid)
    assert (stored.state, stored.content_type, stored.data_size) == ("ready", "directory", 9 + 9 + 3)
    path = shelf.services.bundle_contents.store.path(stored.location)
    assert measure(path).data_hash == stored.data_hash
    assert (path / "bin" / "run.sh").stat().st_mtime == 1_000_000_000
    assert not (path / "bin" / "run.sh").stat().st_mode & (stat.S_ISUID | stat.S_ISGID)


async def test_every_suffix_is_unpacked_unless_it_is_not_to_be(shelf: Shelf) -> None:
    one = ("only.txt", b"content")
    folders = {
        "a.tar.gz": tar_of(one),
        "a.tgz": tar_of(one),
        "a.tar.bz2": tar_of(one, mode="w:bz2"),
        "a.zip": zip_of(one),
    }
    for filename, content in folders.items():
        uuid = await shelf.filled(content, filename)
        info = (await shelf.info(uuid, depth=1)).json["data"]
        assert (info["type"], [each["name"] for each in info["contents"]]) == ("directory", ["only.txt"]), filename
        assert (await shelf.blob(uuid, "only.txt")).body == b"content"
    for filename, content in {"a.gz": gzip.compress(b"content"), "a.txt.bz2": bz2.compress(b"content")}.items():
        uuid = await shelf.filled(content, filename)
        assert (await shelf.info(uuid)).json["data"]["type"] == "file", filename
        assert (await shelf.blob(uuid)).body == b"content", filename
    for filename, content in {**folders, "a.tar": tar_of(one, mode="w"), ".gz": b"x"}.items():
        uuid = await shelf.bundle()
        assert (await shelf.send(uuid, content, filename, unpack=0)).status == 200
        assert (await shelf.blob(uuid)).body == content, filename
    assert suffix_of("a.tar") is None and suffix_of(".gz") is None


def test_names_are_read_whatever_their_encoding(tmp_path: Path) -> None:
    latin = tarfile.TarInfo("caf\udce9.txt")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        tar.addfile(latin, io.BytesIO())
    (tmp_path / "a.tar.gz").write_bytes(out.getvalue())
    unpack(tmp_path / "a.tar.gz", ".tar.gz", tmp_path / "tar", None)
    assert os.listdir(tmp_path / "tar") == ["café.txt"]

    unsaid = bytearray(zip_of(("grün.txt", b"x")))
    for signature, place in ((b"PK\3\4", 7), (b"PK\1\2", 9)):
        unsaid[unsaid.index(signature) + place] &= ~0x08
    (tmp_path / "a.zip").write_bytes(unsaid)
    unpack(tmp_path / "a.zip", ".zip", tmp_path / "zip", None)
    assert os.listdir(tmp_path / "zip") == ["grün.txt"]


def test_a_zip_keeps_links_that_stay_inside_and_folders(tmp_path: Path) -> None:
    packed = zip_of(("d/", b""), ("d/f", b"x"), (zipped_special("l", stat.S_IFLNK), b"d/f"))
    (tmp_path / "a.zip").write_bytes(packed)
    measured = unpack(tmp_path / "a.zip", ".zip", tmp_path / "out", None)
    assert (tmp_path / "out" / "l").readlink() == Path("d/f")
    assert (measured.size, measured.data_hash) == (1, measure(tmp_path / "out").data_hash)


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cosphere_jupyter.bundles.tree.MOST_ENTRIES", 50)
    for suffix, packed in {
        ".tar.gz": tar_of(*[(f"d/{n}", b"") for n in range(50)]),
        ".zip": zip_of(*[(f"{n}/f", b"") for n in range(30)]),
    }.items():
        (tmp_path / f"a{suffix}").write_bytes(packed)
        with pytest.raises(InvalidError, match="more than 50 entries"):
            unpack(tmp_path / f"a{suffix}", suffix, tmp_path / f"out{suffix}", None)


def test_bombs_are_stopped_before_they_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 16 * 1024 * 1024
    monkeypatch.setattr("cosphere_jupyter.bundles.archives.SUSPICIOUS_SIZE", size // 16)
    for number, (suffix, packed) in enumerate(bombs(size)):
        (tmp_path / f"a{suffix}").write_bytes(packed)
        (tmp_path / f"{number}").mkdir()
        with pytest.raises(InvalidError):
            unpack(tmp_path / f"a{suffix}", suffix, tmp_path / f"{number}" / "out", None)
        written = [path.stat().st_size for path in (tmp_path / f"{number}").rglob("*") if path.is_file()]
        assert sum(written) < size / 2, suffix


def test_what_unpacks_to_more_than_is_left_stops_there(tmp_path: Path) -> None:
    content = os.urandom(1000)
    for suffix, packed in {
        ".tar.gz": tar_of(("a", content), ("b", content), ("c", content)),
        ".zip": zip_of(("a", content), ("b", content), ("c", content)),
        ".gz": gzip.compress(content * 3),
    }.items():
        (tmp_path / f"a{suffix}").write_bytes(packed)
        with pytest.raises(TooBigError) as caught:
            unpack(tmp_path / f"a{suffix}", suffix, tmp_path / f"out{suffix}", 1500)
        assert caught.value.size > 1500
        found = unpack(tmp_path / f"a{suffix}", suffix, tmp_path / f"fits{suffix}", 3000)
        assert found.size == 3000


async def test_a_process_that_dies_while_it_unpacks_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cosphere_jupyter.bundles.unpacking import unpack_in_child

    # The interpreter ends at once: it finds no such module.
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    (tmp_path / "a.zip").write_bytes(zip_of(("a", b"x")))
    with pytest.raises(InvalidError, match="ended without an answer"):
        await unpack_in_child(tmp_path / "a.zip", ".zip", tmp_path / "out", None)
    monkeypatch.delenv("PYTHONHOME")
    assert (await unpack_in_child(tmp_path / "a.zip", ".zip", tmp_path / "out", None)).size == 1


# -- any archive at all ----------------------------------------------------------------------------------------------

NAME = st.text(st.sampled_from("ab./\\ü\0"), min_size=1, max_size=12)
MEMBER = st.tuples(
    NAME,
    st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]),
    st.text(st.sampled_from("ab./"), max_size=8),
)


def check_links(folder: Path) -> None:
    """Assert that whoever follows the links of a folder stays in it."""
    root = os.path.realpath(folder)
    for path in folder.rglob("*"):
        assert (os.path.realpath(path) + "/").startswith(root + "/"), path


@given(st.lists(MEMBER, max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_tar_writes_anything_outside_and_what_is_measured_is_what_lies_there(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bytes, str]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    place = folder / "deep" / "place"
    place.mkdir(parents=True)
    (folder / "a").write_text("canary")
    packed = tar_of(*[special(name, kind, link, pax_headers={"path": name}) for name, kind, link in members])
    (place / "x.tar.gz").write_bytes(packed)
    try:
        measured = unpack(place / "x.tar.gz", ".tar.gz", place / "out", None)
    except InvalidError:
        pass
    else:
        assert measured == measure(place / "out")
        check_links(place / "out")
    assert {path.name for path in folder.iterdir()} == {"a", "deep"}
    assert {path.name for path in place.iterdir()} <= {"x.tar.gz", "out"}
    assert (folder / "a").read_text() == "canary"


@given(st.lists(st.tuples(NAME, st.booleans(), st.text(st.sampled_from("ab./"), max_size=8)), max_size=8))
@settings(max_examples=40, deadline=None)
def test_no_zip_writes_anything_outside(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[str, bool, str]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        for name, is_link, link in members:
            info = zipped_special("x", stat.S_IFLNK if is_link else stat.S_IFREG)
            info.filename = info.orig_filename = name
            with warnings.catch_warnings():
                # Of two members of one name.
                warnings.simplefilter("ignore")
                zipped.writestr(info, link)
    (folder / "x.zip").write_bytes(out.getvalue())
    try:
        measured = unpack(folder / "x.zip", ".zip", folder / "out", None)
    except InvalidError:
        pass
    else:
        assert measured == measure(folder / "out")
        check_links(folder / "out")
    assert {path.name for path in folder.iterdir()} <= {"x.zip", "out"}
