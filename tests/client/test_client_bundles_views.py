"""Blocks of worksheets as HTML: whatever a server tells is escaped, shown or said not to be shown."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosphere_jupyter.client.bundle_contents import bundle_name, rows_in
from cosphere_jupyter.client.bundle_face import keywords_of
from cosphere_jupyter.client.errors import ResultUnreadable
from cosphere_jupyter.client.worksheet_views import MOST_BLOCKS, block_html, page

ALLOWED = set("div span strong em table thead tbody tr th td pre img svg path polyline title text bdi h1 h2 h3".split())
EVIL = "</pre><script>alert(1)</script><img src=x onerror='a' \"b\">\u202e"
INFOS = {"bundles_spec": {"bundle_infos": [{"uuid": "0x1", "metadata": {"name": EVIL}}]}}
READY = {"code": "ready", "error_message": ""}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 40).decode()


class Tags(HTMLParser):
    """Collects what an HTML text would make a browser do."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def tags_of(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(text)
    parser.close()
    return parser.seen


def assert_harmless(text: str) -> None:
    for tag, attributes in tags_of(text):
        assert tag in ALLOWED, (tag, text)
        assert not [name for name in attributes if name.startswith("on") or name in ("href", "xlink:href")], attributes
        assert tag == "img" or "src" not in attributes
        if tag == "img":
            assert re.match(r"data:image/(png|jpeg|gif|webp);base64,", attributes.get("src") or "")


BLOCKS: list[dict[str, Any]] = [
    {"mode": "markup_block", "text": f"# {EVIL}\n{EVIL}\n\n## b"},
    {"mode": "table_block", "header": [EVIL, "b"], "rows": [{EVIL: EVIL, "b": 0.1}, {}, {"b": [EVIL]}], **INFOS},
    {"mode": "record_block", "header": ["key", "value"], "rows": [{"key": EVIL, "value": EVIL}], **INFOS},
    {"mode": "contents_block", "target_genpath": f"/{EVIL}", "lines": [EVIL, "b"], "status": READY, **INFOS},
    {"mode": "contents_block", "lines": None, "status": {"code": "x", "error_message": EVIL}, **INFOS},
    {"mode": "image_block", "image_data": PNG, "width": "10", "height": EVIL, "target_genpath": EVIL, **INFOS},
    {"mode": "subworksheets_block", "subworksheet_infos": [{"uuid": EVIL, "name": EVIL, "title": None}]},
    {
        "mode": "graph_block",
        "xlabel": EVIL,
        "trajectories": [{"display_name": EVIL, "points": [[0, 1], [1, 1]]}, {"display_name": "b", "points": []}],
        **INFOS,
    },
]


@pytest.mark.parametrize("block", BLOCKS, ids=[each["mode"] for each in BLOCKS])
def test_whatever_stands_in_a_block_is_text(block: dict[str, Any]):
    shown = block_html(block)
    assert shown and "cannot be shown" not in shown
    assert_harmless(shown)
    assert_harmless(page(EVIL, EVIL, EVIL, [block]))


@pytest.mark.parametrize(
    "data",
    [
        base64.b64encode(b"<svg onload=alert(1)>").decode(),
        base64.b64encode(b"\x89PNG").decode(),
        f'{PNG}" onerror="alert(1)',
        "javascript:alert(1)",
        5,
        None,
    ],
)
def test_nothing_but_pictures_is_shown_as_one(data: Any):
    block = {"mode": "image_block", "image_data": data, "status": {"error_message": "too large"}, **INFOS}
    shown = block_html(block)
    assert "<img" not in shown and "too large" in shown


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats() | st.just(EVIL) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["key", "name", EVIL]), inner),
    max_leaves=6,
)
KEYS = "text header rows bundles_spec lines image_data trajectories subworksheet_infos status target_genpath".split()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([each["mode"] for each in BLOCKS]), st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_blocks_of_another_version_break_nothing(mode: str, values: dict[str, Any]):
    whole = next(each for each in BLOCKS if each["mode"] == mode)
    assert_harmless(block_html({**whole, **values, "mode": mode}))


def test_unknown_blocks_and_very_many_are_left_out():
    assert block_html({"mode": "hologram"}) == ""
    shown = page("p", None, "", [{"mode": "markup_block", "text": "x"}] * (MOST_BLOCKS + 5))
    assert "and 5 more blocks" in shown


def test_points_that_cannot_be_drawn_are_said_to_be():
    for points in ([[0, None]], [["a", "b"]], [[1]], [[float("nan"), 1], [2, 3]], [[10**400, 1], [1, 2]]):
        block = {"mode": "graph_block", "trajectories": [{"display_name": "c", "points": points}], **INFOS}
        assert_harmless(block_html(block))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a.csv", "a.csv"),
        ("my data ✓", "my-data"),
        ("9lives", "_9lives"),
        ("", "bundle"),
        ("../x", "x"),
        ("ä", "bundle"),
    ],
)
def test_names_of_bundles_follow_the_rule(text: str, name: str):
    assert bundle_name(text) == name
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_.\-]*", bundle_name(text))


def test_words_of_a_search_are_keywords():
    texts = [value for _, value in keywords_of(["state=ready 'two words'", ".mine", "don't"])]
    assert texts == ["state=ready", "two words", ".mine", "don't"]
    assert keywords_of([]) == [("keywords", "")]


def test_rows_are_found_in_folders_or_it_is_said_what_is_there():
    def folder(*names: str) -> dict[str, Any]:
        return {"type": "directory", "contents": [{"name": name, "type": "file"} for name in names]}

    assert rows_in({"type": "file"}, "a.csv") == ["a.csv"]
    parts = folder("part-10.parquet", "part-9.parquet", "manifest.json", "readme.csv")
    assert rows_in(parts, "") == ["part-9.parquet", "part-10.parquet"]
    nested = {"type": "directory", "contents": [{"name": "x", **folder("a.csv")}]}
    assert rows_in(nested, "top") == ["top/x/a.csv"]
    with pytest.raises(ResultUnreadable, match=r"a\.csv, b\.csv"):
        rows_in(folder("a.csv", "b.csv"), "")
    with pytest.raises(ResultUnreadable, match="nothing"):
        rows_in(folder(), "")
