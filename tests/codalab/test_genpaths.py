"""Values of files, without a server: what files of each kind are understood as, and what is made of values."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosphere_jupyter.bundles.genpaths import (
    BINARY,
    MOST_YAML,
    Genpaths,
    Query,
    post_process,
    split,
    understood,
    value_of,
    walk,
)

UUID = f"0x{'0f' * 16}"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"err\t0.25\nname\ta\tb\n", {"err": "0.25", "name": "a\tb"}),
        ("a\tb\u2028c\r\nd\te".encode(), {"a": "b\u2028c", "d": "e"}),
        (b'{"train": {"err": [0.5, null, true]}}', {"train": {"err": [0.5, None, True]}}),
        (b"[1, 2]", [1, 2]),
        (b"0.75\n", 0.75),
        ("größe:\n  - ä\n  - 2\n".encode(), {"größe": ["ä", 2]}),
        (b"at: 2026-11-21\nyes: no\n3: x\n", {"at": "2026-11-21", "True": False, "3": "x"}),
        (b"just some words\nof text\n", "just some words\nof text\n"),
        (b"a\tb\nno tab\n", "a\tb\nno tab\n"),
        (b"", ""),
        (b"\xff\x00", BINARY),
        (b'{"x": NaN, "y": 1e999, "z": ' + b"9" * 30 + b"}", {"x": "nan", "y": "inf", "z": f"{int('9' * 30):#x}"}),
    ],
)
def test_files_are_understood_by_how_they_look(content: bytes, found: Any) -> None:
    assert understood(content) == found


@pytest.mark.parametrize(
    "content",
    [
        b"a: &a [x]\nb: *a\n",
        b"a: &a {<<: *a}\n",
        b"!!python/object/apply:os.system ['true']\n",
        b"!!python/name:os.system\n",
        b"x: !!python/tuple [1]\n",
        b"[" * 90_000 + b"]" * 90_000,
        b"- " * 90_000 + b"x",
        b"{" * 5000 + b"}" * 5000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b"k: v\n" * (MOST_YAML // 5 + 1),
        b"x: " + b"9" * 5000 + b"\n",
    ],
)
def test_nothing_grows_or_runs_that_a_file_holds(content: bytes) -> None:
    found = understood(content)
    assert found == content.decode() or len(json.dumps(found)) <= 2 * len(content)
    assert orjson.dumps(found)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.text("{}[]:,-&*!|>'\" \t\n#%@`a1.~?", max_size=60).map(str.encode))
def test_whatever_a_file_holds_is_json_afterwards(content: bytes) -> None:
    assert orjson.dumps(understood(content))


def test_keys_lead_into_mappings_and_lists() -> None:
    data = {"train": {"err": [0.5, 0.25]}, "0": "zero"}
    assert walk(data, split("/stats:train/err/1")[1]) == 0.25
    assert walk(data, ["train", "err", "-1"]) == 0.25
    assert walk(data, ["0"]) == "zero"
    assert walk(data, []) == data
    for missing in (["x"], ["train", "err", "2"], ["train", "err", "x"], ["0", "0"], ["train", "err", "²"]):
        assert walk(data, missing) is None, missing
    assert split("/a/b.json:x/y") == ("a/b.json", ["x", "y"])
    assert split("/") == ("", [])


async def test_one_file_is_not_told_without_end() -> None:
    class Long:
        async def find(self, uuid: str, path: str, reader: Any) -> Any:
            return SimpleNamespace(node=SimpleNamespace(kind="file"))

        async def summary(self, *asked: Any) -> bytes:
            return b"x" * 1_000_000

    found = await Genpaths(Long()).read([Query(UUID, "/"), Query(UUID, "/", "[0:8]")] * 100, None)  # type: ignore[arg-type]
    assert found[:2] == ["x" * 1_000_000, "x" * 8]
    assert sum(len(each or "") for each in found) <= 16_000_000


@pytest.mark.parametrize(
    ("value", "post", "found"),
    [
        (1536, "size", "1.5k"),
        (3700, "duration", "1h1m"),
        (0, "date", "1970-01-01 00:00:00"),
        ("0x0123456789", "[0:8]", "0x012345"),
        ("abcdef", "[-2:]", "ef"),
        (0.12345, "%.2f", "0.12"),
        ("7", "%d runs", "7 runs"),
        ("a/b", "s/b/c", "a/c"),
        ("abc", "s/b/X", "aXc"),
        ("abc", "s/b/", "ac"),
        ("0.987", "%.1f | s/1/one", "one.0"),
        ("3.7", "int", 3),
        # What it cannot work on stays as it is.
        ("words", "%.2f", "words"),
        ("words", "size", "words"),
        (5, "nonsense", 5),
        (5, "%999999d", 5),
        (5, "%*d", 5),
        (5, "%(x)s", 5),
        (1e30, "date", 1e30),
        (None, "%.2f", None),
        (5, None, 5),
        (5, "", 5),
    ],
)
def test_post_processors_make_texts_of_values(value: Any, post: str | None, found: Any) -> None:
    assert post_process(value, post) == found


def test_no_post_processor_makes_a_text_very_long() -> None:
    grown = post_process("a" * 100, "|".join(["s/a/aaaaa"] * 20))
    assert len(grown) == 2500
    long = "a" * 50_000
    assert post_process(long, "s/a/b") == "b" * 50_000 and post_process(long, "s/a/bb") == long


def test_values_of_a_record_are_its_own_or_its_metadatas() -> None:
    info = {
        "uuid": UUID,
        "bundle_type": "run",
        "command": "sort  in",
        "state": "ready",
        "owner": {"id": "0", "user_name": "rosa"},
        "metadata": {"name": "sorted", "tags": ["a", "b"], "data_size": 5, "metadata": "no"},
        "dependencies": [
            {"child_path": "in", "parent_name": "numbers", "parent_uuid": UUID, "parent_path": "x"},
            {"child_path": "", "parent_name": None, "parent_uuid": UUID, "parent_path": ""},
        ],
        "host_worksheets": [{"uuid": UUID, "name": "page"}],
    }
    expected = {
        "uuid": UUID,
        "name": "sorted",
        "tags": "a b",
        "data_size": 5,
        "owner": "rosa",
        "summary": "! sort in",
        "dependencies": "in:numbers/x,:0x0f0f0f",
        "host_worksheets": "page",
        "metadata": "no",
        "nothing": None,
    }
    assert {path: value_of(info, path) for path in expected} == expected
    assert value_of({**info, "bundle_type": "make"}, "summary") == "= in:numbers/x :0x0f0f0f"
    assert value_of({**info, "bundle_type": "dataset"}, "summary") == "[uploaded]"
    private = {"uuid": UUID, "bundle_type": "private", "owner": None, "metadata": {"name": "<private>"}}
    assert value_of(private, "owner") is None and value_of(private, "summary") == ""
