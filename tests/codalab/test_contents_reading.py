"""Reading folders below HTTP: paths and lines of any kind, and folders that change while they are read."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosphere_jupyter.bundles import reading
from cosphere_jupyter.bundles.hashing import measure
from cosphere_jupyter.bundles.summary import BINARY, summarise


@given(st.lists(st.sampled_from(["a", "b", "..", ".", "", "...", "a b", "\\", "~"]), max_size=9))
@settings(max_examples=200, deadline=None)
def test_a_path_is_what_the_system_makes_of_it_or_leads_out(parts: list[str]) -> None:
    path = "/".join(parts)
    root = "/one/two/three"
    expected = os.path.normpath(f"{root}/{path}")
    try:
        names = reading.components(path)
    except reading.OutsideError:
        # On the way, or from the beginning.
        depth = lowest = 0
        for part in parts:
            depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
            lowest = min(lowest, depth)
        assert path.startswith("/") or lowest < 0
    else:
        assert "/".join([root, *names]) == expected


LINE = st.text(st.sampled_from("aü "), max_size=6)


@given(
    st.lists(LINE, max_size=12), st.booleans(), st.integers(0, 5), st.integers(0, 5), st.integers(0, 12), st.booleans()
)
@settings(max_examples=200, deadline=None)
def test_first_and_last_lines_are_those_of_the_file(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[str],
    ended: bool,
    head: int,
    tail: int,
    longest: int,
    is_binary: bool,
) -> None:
    content = "\n".join(lines).encode() + (b"\n" if ended else b"") + (b"\xff" if is_binary else b"")
    path = tmp_path_factory.mktemp("lines") / "x"
    path.write_bytes(content)
    with path.open("rb") as file:
        found = summarise(file.fileno(), len(content), head, tail, longest, "|")
    # As the system's own tools would, where lines are as short as was said.
    whole = content.splitlines(keepends=True)
    if whole and not whole[-1].endswith(b"\n"):
        whole[-1] += b"\n"
    if len(content) <= (head + tail) * longest:
        is_cut = len(whole) > head + tail
        parts = [*whole[:head], *([b"|"] if head and tail else []), *whole[len(whole) - tail :]] if is_cut else whole
        expected = b"".join(parts)
        if is_binary and b"\xff" in expected:
            expected = BINARY
        assert found == expected
    if found != BINARY:
        known = {*whole, b"|"}
        assert all(part in known or part.removeprefix(b"|") in known for part in found.splitlines(keepends=True))


def test_a_folder_that_becomes_a_link_while_it_is_read_leads_nowhere(tmp_path: Path) -> None:
    """Many times in a second: between looking and opening there is no moment in which it would be followed."""
    root, outside = tmp_path / "bundle", tmp_path / "outside"
    for folder in (root / "sub", outside / "inner"):
        folder.mkdir(parents=True)
    (root / "sub" / "file").write_bytes(b"mine")
    (outside / "file").write_bytes(b"secret")
    (outside / "inner" / "file").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(outside)
    stopped = threading.Event()

    def swap() -> None:
        while not stopped.is_set():
            os.rename(root / "sub", tmp_path / "kept")
            os.rename(tmp_path / "link", root / "sub")
            os.rename(root / "sub", tmp_path / "link")
            os.rename(tmp_path / "kept", root / "sub")

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(1500):
            seen.add(content_of(root, ("sub", "file")))
            seen.add(content_of(root, ("sub", "inner", "file")))
            assert b"secret" not in b"".join(reading.tar_chunks(root, ()))
            shown = reading.describe(root, (), "root", 5)
            assert "inner" not in str(shown)
    finally:
        stopped.set()
        thread.join()
    assert seen == {b"mine", None}


def content_of(root: Path, names: tuple[str, ...]) -> bytes | None:
    try:
        descriptor, node = reading.open_file(root, names)
    except reading.GoneError:
        return None
    return b"".join(reading.file_chunks(descriptor, 0, node.size))


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "r" / "a" / "b").mkdir(parents=True)
    (tmp_path / "r" / "a" / "f").write_bytes(b"x" * 3_000_000)
    (tmp_path / "r" / "l").symlink_to("a")
    before = len(os.listdir("/proc/self/fd"))
    for names in ((), ("a",), ("a", "f"), ("l",), ("l", "f"), ("x", "y"), ("a", "f", "x"), ("a\0",)):
        for work in (
            lambda names=names: reading.look(tmp_path / "r", names),
            lambda names=names: reading.describe(tmp_path / "r", names, "x", 9),
            lambda names=names: b"".join(reading.tar_chunks(tmp_path / "r", names)),
            lambda names=names: next(reading.tar_chunks(tmp_path / "r", names)),
            lambda names=names: content_of(tmp_path / "r", names),
        ):
            try:
                work()
            except reading.GoneError:
                continue
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_hash_of_a_folder_knows_what_counts(tmp_path: Path) -> None:
    def folder(name: str) -> Path:
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "f").write_bytes(b"x")
        (tmp_path / name / "l").symlink_to("sub/f")
        return tmp_path / name

    first = measure(folder("one"))
    same = folder("two")
    os.utime(same / "sub" / "f", (1, 1))
    (same / "sub" / "f").chmod(0o777)
    assert measure(same) == first and first.size == 1
    changes = [
        lambda each: (each / "sub" / "f").write_bytes(b"y"),
        lambda each: (each / "sub" / "f").rename(each / "f"),
        lambda each: (each / "empty").mkdir(),
        lambda each: ((each / "l").unlink(), (each / "l").symlink_to("sub")),
        lambda each: ((each / "l").unlink(), (each / "l").write_bytes(b"sub/f")),
    ]
    hashes = {first.data_hash}
    for number, change in enumerate(changes):
        changed = folder(f"changed{number}")
        change(changed)
        hashes.add(measure(changed).data_hash)
    assert len(hashes) == len(changes) + 1
