"""What tables look like in a notebook and in a terminal: whole, quick, harmless, and without asking the server."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import pytest
from client.workspace_server import WorkspaceServer, column

from cosphere_jupyter import Workspace
from cosphere_jupyter.client import charts
from cosphere_jupyter.client.columns import Column
from cosphere_jupyter.client.display import catalogue_list
from cosphere_jupyter.client.table import Table
from cosphere_jupyter.client.text import counted, number_text, rows_text, share_text, size_text, sizes_text

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</text></svg><script>x</script>",
    "\u202egnp.exe",
    "שלום עולם",
    "a\x00b\x1b[31m\nc",
    "]]>&amp;",
    "x" * 100_000,
    "\ud83d",
    "表" * 50,
]


def made(name: str = "c", type: str = "INTEGER", is_enum: bool = False, **counts: Any) -> Column:
    """A column with a distribution: ``values`` are pairs of value and count."""
    entries = [{"value": value, "count": count} for value, count in counts["values"]]
    return Column.from_json({**column(name, type, is_enum), "distribution": entries})


def picture(shown: Column, rows: int | None = None) -> ElementTree.Element:
    return ElementTree.fromstring(charts.svg(shown, rows))


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter() if element.tag.endswith("text")]


# Distributions


def test_frequent_values_are_bars_with_their_counts():
    carriers = made(type="STRING", is_enum=True, values=[("UA", 50), ("AA", 20), ("B6", 7), (None, 3)])
    svg = picture(carriers)
    assert texts(svg) == ["UA", "50", "AA", "20", "B6", "7", "null", "3"]
    widths = [float(rect.get("width", 0)) for rect in svg.iter("{http://www.w3.org/2000/svg}rect")]
    assert widths[0] == pytest.approx(2.5 * widths[1], rel=0.01)
    assert svg.get("role") == "img"
    assert svg[0].text == svg.get("aria-label") == "c: UA 50, AA 20, B6 7; 3 null (3.8 %)"


def test_of_many_values_the_most_frequent_are_shown_and_the_rest_counted():
    shown = texts(picture(made(type="STRING", values=[(f"v{n}", 100 - n) for n in range(60)])))
    assert shown[:2] == ["v0", "100"]
    assert shown[-1] == "and 56 more values"
    part = texts(picture(made(type="STRING", values=[(f"v{n}", 1) for n in range(60)]), 1000))
    assert part[-1] == "and at least 56 more values"


def test_numbers_are_bins_from_the_least_to_the_greatest():
    found = charts.shape(made(values=[(number, number) for number in range(1, 13)]))
    assert found is not None
    assert (found.bins, found.low, found.high) == (tuple(range(1, 13)), "1", "12")
    wide = charts.shape(made(values=[(0, 5), (7, 1), (21, 2), (693, 1)]))
    assert wide is not None
    assert (len(wide.bins), wide.bins[:4], wide.low, wide.high) == (100, (5, 1, 0, 2), "0", "≤ 699")
    parts = charts.shape(made(type="FLOAT", values=[(0.5 * n, 1) for n in range(100) if n not in (3, 4)]))
    assert parts is not None
    assert (len(parts.bins), parts.bins[2:6], parts.low, parts.high) == (100, (1, 0, 0, 1), "0", "50")


def test_a_number_that_never_changes_is_one_bin():
    svg = picture(made(values=[(2013, 336_776)]))
    assert texts(svg) == ["2013"]


def test_dates_are_bins_of_time():
    days = made(type="DATETIME", values=[(f"2013-{month:02}-01T05:00:00+00:00", month) for month in range(1, 13)])
    found = charts.shape(days)
    assert found is not None
    assert (sum(found.bins), len(found.bins), found.low, found.high) == (78, 12, "2013-01-01", "2013-12-01")
    hours = made(type="DATETIME", values=[("2013-01-01T05:00:00.5", 1), ("2013-01-01T07:30:00Z", 1)])
    assert texts(picture(hours)) == ["2013-01-01 05:00", "2013-01-01 07:30"]
    old = made(type="DATETIME", values=[("0044-03-15 (BC)", 2), ("infinity", 1)])
    assert texts(picture(old))[:2] == ["0044-03-15 (BC)", "2"]


def binned(starts: list[str], ends: list[str], others: Sequence[Any] = ()) -> Column:
    """A column of times with bins as the server makes them; ``others`` are values without an end."""
    entries: list[dict[str, Any]] = [
        {"value": start, "end": end, "count": 10} for start, end in zip(starts, ends, strict=True)
    ]
    entries += [{"value": value, "count": 1} for value in others]
    return Column.from_json({**column("c", "DATETIME"), "distribution": entries})


def test_bins_of_time_are_drawn_as_they_are_stored():
    days = [f"2013-01-{day:02}T00:00:00" for day in (1, 5, 13, 17)]
    found = charts.shape(binned(days, ["2013-01-05T00:00:00", *days[2:], "2013-01-18T23:00:00"], [None]))
    assert found is not None
    assert (found.bins, found.low, found.high) == ((10, 10, 0, 10, 10), "2013-01-01", "2013-01-18")
    assert (found.width, found.nulls, found.is_part) == (4 * 86_400, 1, False)
    assert charts.bin_texts(found, "DATETIME")[1] == "2013-01-05 to 2013-01-09: 10 rows (24 %)"
    halves = [f"2013-01-01T05:00:0{n // 2}.{n % 2 * 5}+00:00" for n in range(8)]
    found = charts.shape(binned(halves, [*halves[1:], "2013-01-01T05:00:03.7+00:00"]))
    assert found is not None
    assert (len(found.bins), found.width, found.low, found.high) == (8, 0.5, "2013-01-01 05:00:00", "05:00:03.700")
    text = "2013-01-01 05:00:00.500 to 2013-01-01 05:00:01.000: 10 rows (12 %)"
    assert charts.bin_texts(found, "DATETIME")[1] == text
    for moment in ("2013-01-02", "2013-01-02T03:04:05.678901"):
        svg = picture(binned([moment], [moment]))
        assert texts(svg) == [moment[:10] if len(moment) == 10 else "2013-01-02 03:04"]
    assert charts.rows_of([binned(days, days)]) == 40


def test_bins_of_time_that_are_none_are_drawn_as_values():
    for starts, ends in (
        (["2013-01-01", "2013-02-01"], ["soon", "later"]),
        (["2013-01-02"], ["2013-01-01"]),
        (["2013-01-01T00:00:00", "2013-02-01T00:00:00"], ["2013-01-01T00:00:01", "2013-02-01T00:00:01"]),
    ):
        found = charts.shape(binned(starts, ends))
        assert found is not None
        assert sum(found.bins) == 10 * len(starts)


def test_the_share_of_nulls_is_seen():
    svg = picture(made(values=[(1, 20), (2, 20), (None, 60)]))
    vessel = [rect for rect in svg.iter("{http://www.w3.org/2000/svg}rect") if rect.get("fill") == "currentColor"]
    assert float(vessel[0].get("height", 0)) == pytest.approx(0.6 * 29, abs=0.1)
    assert "60 null (60 %)" in str(svg[0].text)
    assert "null" in texts(svg)


def test_what_is_only_a_part_says_so():
    moments = made(type="DATETIME", values=[("2013-01-01", 10), ("2013-02-01", 10)])
    assert "20 % of rows" in texts(picture(moments, 100))[-1]
    assert "(20 % of the rows)" in charts.line(moments, 100)


def test_nothing_known_is_no_picture_and_an_empty_table_says_so():
    assert charts.svg(Column.from_json(column("c"))) == ""
    assert charts.svg(made(values=[]), 0) == "<em>no rows</em>"
    assert charts.svg(made(type="FLOAT", values=[]), 5) == "<em>no values</em>"
    assert texts(picture(made(type="STRING", values=[(None, 5)]))) == ["null", "5"]


@pytest.mark.parametrize("kind", ["INTEGER", "FLOAT", "STRING", "BOOLEAN", "DATETIME", "NONSENSE"])
def test_a_distribution_that_breaks_the_rules_breaks_nothing(kind: str):
    values = [("x", 1), (True, 2), (None, 1), (-5, 3), (1e308, 1), (-1e308, 1), (2**64, 1), (10**400, 1), (0.1, -4)]
    for enum in (False, True):
        wrong = made(HOSTILE[0], kind, enum, values=[*values, (float("nan"), 1), (float("inf"), 1), ([1], 1)])
        assert "<script" not in charts.svg(wrong)
        assert charts.line(wrong).isprintable()
    broken = {**column("c", kind), "distribution": [{}, 5, {"value": 1}, {"value": 2, "count": "many"}], "size": 1e999}
    assert charts.svg(Column.from_json(broken)) == "<em>no rows</em>"
    assert Column.from_json({**broken, "distribution": "nonsense"}).distribution is None


def test_a_line_of_text_shows_a_distribution_in_a_terminal():
    assert charts.line(made(values=[(1, 1), (2, 4), (3, 8), (5, 2)]), width=8) == "▁▄█ ▂     1 … 5"
    names = made(type="STRING", values=[(f"v{n}", 9 - n) for n in range(6)])
    assert charts.line(names, width=6) == "██▇▆▅▄  v0, v1, v2, v3 and 2 more"


# Tables


def profiled(ws: Workspace, server: WorkspaceServer, **values: Any) -> Table:
    carrier = {**column("carrier", "STRING", is_enum=True), "distribution": [{"value": "UA", "count": 30}]}
    delay = {**column("delay"), "distribution": [{"value": 1, "count": 20}, {"value": None, "count": 10}]}
    sample = [{"carrier": "UA", "delay": None if number % 2 else number} for number in range(25)]
    facts = {"description": "Late ones", "tags": ["air", "new york"], "sample": sample, "source": "late.parquet"}
    server.add_item("late", [carrier, {**delay, "is_nullable": True, "size": 1_234_567}], **{**facts, **values})
    return ws.catalogue["late"]


def test_a_table_shows_all_that_is_known_of_it(ws: Workspace, server: WorkspaceServer):
    html = profiled(ws, server)._repr_html_()
    for part in ("late", "Late ones", "air", "new york", "late.parquet", "30 rows", "2 columns", "rosa@lab.example"):
        assert part in html
    for part in ("STRING enum", "INTEGER", "1.23 MB", "33 %", "Sample: 10 of 25 rows", "<em", "null"):
        assert part in html
    assert html.count("<svg") == 2
    assert html.count("<details>") == 1
    assert "src=" not in html and "url(" not in html and "<script" not in html and "<style" not in html


def test_a_table_is_readable_where_styles_and_pictures_are_taken_away(ws: Workspace, server: WorkspaceServer):
    html = profiled(ws, server)._repr_html_()
    bare = re.sub(r"<[^>]*>", " ", html)
    assert "carrier: UA 30" in bare
    assert "delay: from 1 to 1; 10 null (33 %)" in bare


@pytest.mark.parametrize("evil", HOSTILE)
def test_hostile_names_are_harmless(ws: Workspace, server: WorkspaceServer, evil: str):
    spec = [
        {**column(evil, "STRING"), "distribution": [{"value": evil, "count": 3}], "description": evil},
        {**column("when", "DATETIME"), "distribution": [{"value": evil, "count": 3}]},
    ]
    data = {"name": evil, "id": 1, "executor_type": evil, "source": evil, "spec": spec, "description": evil}
    person = {"id": 1, "email": evil, "type": evil}
    data |= {"tags": [evil], "sample": [{evil: evil, "when": evil}], "maintained_by": person}
    table = Table(ws, data)
    for html in (table._repr_html_(), catalogue_list(evil, [table]), table.select()._repr_html_()):
        html.encode()  # half of a pair cannot be sent to a browser
        assert len(html) < 20_000
        tags = set(re.findall(r"<(/?[a-zA-Z!]\w*)", html))
        known = "div strong table thead tbody tr th td span em details summary bdi svg title text rect path".split()
        assert {tag.strip("/") for tag in tags} <= set(known)
        assert "\x00" not in html and "\x1b" not in html
        if charts.clean(evil)[0] in "\u202eש":
            assert f"<bdi>{charts.clean(evil)}</bdi>" in html
        elements = list(ElementTree.fromstring(html).iter())
        assert not [name for each in elements for name in each.attrib if name.startswith("on") or name == "href"]
    for line in (charts.line(table.columns[0]), repr(table), repr(table.columns[0].distribution)):
        assert "\x1b" not in line and "\u202e" not in line


def test_thousands_of_tables_and_columns_are_shown_quickly_and_in_part(ws: Workspace):
    spec = [
        {**column(f"c{n}"), "distribution": [{"value": bin, "count": 5} for bin in range(100)]} for n in range(3000)
    ]
    rows = [{f"c{n}": n for n in range(3000)}] * 100
    data = {"name": "wide", "id": 1, "executor_type": "DUCKDB", "spec": spec, "sample": rows, "source": "wide.parquet"}
    wide = Table(ws, data)
    started = time.monotonic()
    html = wide._repr_html_()
    many = catalogue_list("Tables: 100,000", [wide] * 100_000)
    assert time.monotonic() - started < 2
    assert "and 2,900 more" in html and "and 2,960 more columns" in html
    assert "and 99,900 more" in many
    assert len(html) < 500_000 and len(many) < 200_000


def test_one_table_is_one_table_and_names_are_texts(ws: Workspace):
    few = ws.catalogue.search("flights")
    assert repr(few[:1]).split(": ", 1)[1].startswith("1 table [") and "0 tables" in repr(few[:0])
    assert counted(1, "table") == "1 table" and counted(2000, "table") == "2,000 tables"
    with pytest.raises(TypeError, match="found by its name, which is a str; this is of type int"):
        ws.catalogue[5]  # type: ignore[index]


# Numbers for people


def test_numbers_are_short():
    assert [size_text(size) for size in (0, 999, 1000, 999_600, 123_456_789, 5 * 10**15)] == [
        *("0 B", "999 B", "1 kB", "1 MB", "123 MB", "5000 TB"),
    ]
    assert sizes_text(290_000_000, 390_000_000) == "290–390 MB"
    assert sizes_text(900_000, 1_200_000) == "900 kB–1.2 MB"
    assert [rows_text(rows) for rows in (0, 1, 7617, 1_234_567)] == [
        "0 rows",
        "1 row",
        "7,617 rows",
        "1.23 million rows",
    ]
    assert [share_text(part, 10_000) for part in (0, 1, 250, 5000, 9_999, 10_000)] == [
        *("0 %", "< 0.1 %", "2.5 %", "50 %", "> 99.9 %", "100 %"),
    ]
    assert [number_text(value) for value in (2013, -43, 336_776, 10**12, 0.1, 12.0, 1e300)] == [
        *("2013", "-43", "336,776", "1e+12", "0.1", "12", "1e+300"),
    ]
