"""The cache of loaded results: private, bounded, shared by processes, and never missed when it breaks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pyarrow as pa
import pytest
from client.workspace_server import WorkspaceServer

from cosphere_jupyter import Workspace
from cosphere_jupyter.client import cache as caches
from cosphere_jupyter.client.cache import Cache, choose, parse_size

ROWS = pa.table({"carrier": ["UA", "AA"] * 5000, "dep_delay": range(10_000)})


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def fill(cache: Cache, key: str, table: pa.Table = ROWS) -> Path:
    with cache.filling(key) as filling:
        filling.write(table)
    cache.flush()
    return cache.folder / f"{key}.arrow"


def test_what_was_stored_is_mapped(cache: Cache):
    fill(cache, "a")
    before = pa.total_allocated_bytes()
    table = cache.read("a", 10_000)
    assert table is not None
    assert table.equals(ROWS)
    assert pa.total_allocated_bytes() == before
    assert cache.read("b", 10_000) is None


@pytest.mark.skipif(os.name != "posix", reason="modes of files are those of POSIX")
def test_folders_and_files_are_private(cache: Cache):
    path = fill(cache, "a")
    cache.scratch("b")
    assert path.stat().st_mode & 0o777 == 0o600
    for folder in (cache.folder, cache.folder / "locks", cache.folder / "b.parts"):
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("damage", ["empty", "cut", "zeros", "other rows", "nonsense"])
def test_a_broken_entry_is_dropped_and_read_again(ws: Workspace, server: WorkspaceServer, damage: str):
    server.will_answer("flights", ROWS)
    request = ws.catalogue["flights"].select("carrier", "dep_delay").request()
    first = request.to_pandas()
    assert ws.cache is not None
    [path] = ws.cache.folder.glob("*.arrow")
    whole = path.read_bytes()
    if damage == "other rows":
        ws.cache.write_batches(path.stem, ROWS.schema, ROWS.slice(5).to_batches())
    else:
        # A file that is mapped must not change under the reader: another one takes its place.
        path.unlink()
        broken = {
            "empty": b"",
            "cut": whole[: len(whole) // 2],
            "zeros": b"\0" * len(whole),
            "nonsense": b"ARROW1\0\0" * 99,
        }
        path.write_bytes(broken[damage])
    again = request.to_pandas()
    assert again.equals(first)
    assert len(server.paths(".parquet")) == 2
    assert request.to_pandas().equals(first)
    assert len(server.paths(".parquet")) == 2


def test_the_least_recently_used_entries_go_when_it_is_full(tmp_path: Path):
    size = fill(Cache(tmp_path / "other"), "x").stat().st_size
    cache = Cache(tmp_path / "cache", limit=int(size * 2.5))
    for number, key in enumerate(("a", "b")):
        path = fill(cache, key)
        os.utime(path, (1000 + number, 1000 + number))
    mapped = cache.read("a", 10_000)
    fill(cache, "c")
    assert sorted(path.stem for path in cache.folder.glob("*.arrow")) == ["a", "c"]
    assert cache.read("b", 10_000) is None
    fill(cache, "d")
    # Those who have mapped an entry keep it.
    assert mapped is not None
    assert mapped.equals(ROWS)


def test_what_is_larger_than_the_limit_is_not_stored(tmp_path: Path):
    cache = Cache(tmp_path / "cache", limit="1 kB")
    fill(cache, "a")
    assert list(cache.folder.glob("*")) == [cache.folder / "locks"]


def test_leftovers_of_dead_processes_go_and_other_files_stay(cache: Cache):
    fill(cache, "a")
    old = time.time() - 2 * caches.STALE_SECONDS
    for name in ("a.arrow.123.tmp", "precious.txt"):
        (cache.folder / name).write_text("x")
        os.utime(cache.folder / name, (old, old))
    (cache.folder / "new.arrow.9.tmp").write_text("x")
    os.utime(cache.scratch("dead"), (old, old))
    # Another process, or this one a minute later: it looks at the folder.
    fill(Cache(cache.folder.parent), "b")
    left = {path.name for path in cache.folder.iterdir()}
    assert left == {"a.arrow", "b.arrow", "new.arrow.9.tmp", "precious.txt", "locks"}
    cache.clear()
    assert {path.name for path in cache.folder.iterdir()} == {"precious.txt", "locks"}


def test_a_folder_that_gets_full_is_counted_at_once(tmp_path: Path):
    size = fill(Cache(tmp_path / "one"), "a").stat().st_size
    cache = Cache(tmp_path / "cache", 5 * size + size // 2)
    for number in range(12):
        fill(cache, f"{number:02d}")
        os.utime(cache.folder / f"{number:02d}.arrow", (number + 1, number + 1))
        entries = sorted(path.stem for path in cache.folder.glob("*.arrow"))
        assert entries == [f"{kept:02d}" for kept in range(max(0, number - 4), number + 1)]


def test_large_results_are_stored_by_a_thread_that_can_be_waited_for(cache: Cache, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(caches, "SMALL", 1000)
    with cache.filling("a") as filling:
        filling.write(ROWS)
    # The right to fill it is given back when it is written, so that nobody does it again.
    with cache.filling("a"):
        assert cache.read("a", 10_000) is not None
    assert cache.flush(5)


def test_a_script_that_ends_has_stored_its_results(tmp_path: Path):
    code = f"""
        import pyarrow as pa
        from cosphere_jupyter.client import cache
        cache.SMALL = 0
        with cache.Cache({str(tmp_path)!r}).filling("a") as filling:
            filling.write(pa.table({{"n": range(1000000)}}))
    """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(code)], check=True)
    table = Cache(tmp_path).read("a", 1_000_000)
    assert table is not None


def test_two_processes_fill_an_entry_once(server: WorkspaceServer, tmp_path: Path):
    server.will_answer("flights", ROWS, 4)
    code = f"""
        from cosphere_jupyter import Workspace
        with Workspace({server.url!r}, {server.token!r}, cache={str(tmp_path / "shared")!r}) as ws:
            df = ws.catalogue["flights"].select("carrier", "dep_delay").to_pandas(progress=False)
            assert df["dep_delay"].sum() == {sum(range(10_000))}
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
    assert len(server.paths(".parquet")) == 4
    assert len(list((tmp_path / "shared").rglob("*.arrow"))) == 1


def test_a_process_killed_while_it_downloads_is_no_obstacle(server: WorkspaceServer, tmp_path: Path):
    server.will_answer("flights", ROWS)
    code = f"""
        import os, signal
        from cosphere_jupyter import Workspace
        from cosphere_jupyter.client.download import Download
        Download.run = lambda self, progress: os.kill(os.getpid(), signal.SIGKILL)
        ws = Workspace({server.url!r}, {server.token!r}, cache={str(tmp_path / "shared")!r})
        ws.catalogue["flights"].select("carrier", "dep_delay").to_pandas(progress=False)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], timeout=60)
    assert killed.returncode == -9
    with Workspace(server.url, server.token, cache=tmp_path / "shared") as ws:
        assert len(ws.catalogue["flights"].select("carrier", "dep_delay").to_pandas()) == 10_000


# Where, how large, whether at all


def test_the_environment_says_where_and_how_large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("COSPHERE_CACHE_DIR", str(tmp_path / "here"))
    monkeypatch.setenv("COSPHERE_CACHE_LIMIT", "1.5 GB")
    cache = choose(None)
    assert cache is not None
    assert cache.folder == tmp_path / "here" / "cosphere-results"
    assert cache.limit == 1_500_000_000
    assert Cache(tmp_path, limit=5).limit == 5


def test_the_limit_is_a_part_of_the_disk(tmp_path: Path):
    import shutil

    limit = Cache(tmp_path / "not" / "there" / "yet").limit
    assert limit == min(20 * 10**9, int(shutil.disk_usage(tmp_path).total * 0.1))


@pytest.mark.parametrize("off", ["0", "off", "NO", "false"])
def test_the_cache_can_be_switched_off(
    monkeypatch: pytest.MonkeyPatch, server: WorkspaceServer, tmp_path: Path, off: str
):
    server.will_answer("flights", ROWS)
    monkeypatch.setenv("COSPHERE_CACHE", off)
    with Workspace(server.url, server.token) as ws:
        assert ws.cache is None
        for _ in range(2):
            assert len(ws.catalogue["flights"].select("dep_delay").to_pandas()) == 10_000
    assert len(server.paths(".parquet")) == 2
    assert not (tmp_path / "cache").exists()
    assert choose(True) is not None
    assert choose(False) is None


@pytest.mark.parametrize(
    ("text", "size"), [(5, 5), ("5", 5), ("5kB", 5000), ("1.5 GB", 1_500_000_000), ("2M", 2_000_000)]
)
def test_sizes_are_read(text: int | str, size: int):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "5 XB", "-1"])
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(ValueError, match="no size"):
        parse_size(text)


def test_a_folder_that_cannot_be_written_is_no_obstacle(server: WorkspaceServer, tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    server.will_answer("flights", ROWS)
    with Workspace(server.url, server.token, cache=tmp_path / "file") as ws:
        assert len(ws.catalogue["flights"].select("dep_delay").to_pandas()) == 10_000
        ws.cache.clear()  # type: ignore[union-attr]
