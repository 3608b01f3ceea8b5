"""The chart widget's model: the same shape as the plain picture, what is selected, and what a front end may send."""

from __future__ import annotations

import json
import re
from typing import Any

import anywidget
import pytest

from cosphere_jupyter import Distribution
from cosphere_jupyter.client.charts import rows_of, shape, svg
from cosphere_jupyter.client.columns import Column
from cosphere_jupyter.client.table import Table
from cosphere_jupyter.widgets import view
from cosphere_jupyter.widgets.monitor_list import Field, TaskList

pytestmark = pytest.mark.slow


def column(kind: str, *counted: tuple[Any, int], name: str = "c", is_enum: bool = False) -> Column:
    return Column(name, kind, is_enum=is_enum, distribution=tuple({"value": v, "count": n} for v, n in counted))


def test_it_shows_what_the_plain_picture_shows(flights: Table) -> None:
    rows = rows_of(flights.columns)
    for each in flights.columns:
        found, shown = shape(each, rows), Distribution(each, rows).picture
        assert found is not None
        if found.bins:
            assert shown["bins"] == list(found.bins)
            assert (shown["low"], shown["high"]) == (found.low, found.high)
            assert len(shown["texts"]) == len(found.bins)
        else:
            drawn = [(bar["label"], f"{bar['count']:,}") for bar in shown["bars"]]
            plain = svg(each, rows)
            assert all(label in plain and count in plain for label, count in drawn)
        assert f'aria-label="{shown["title"]}"' in svg(each, rows)


def test_each_bin_says_in_words_what_it_holds(flights: Table) -> None:
    rows = rows_of(flights.columns)
    month = Distribution(flights["month"], rows).picture["texts"]
    assert month[0] == "1: 27,004 rows (8.0 %)" and month[11].startswith("12: ")
    delay = Distribution(flights["dep_delay"], rows).picture
    assert delay["texts"][0].startswith("-43 to -30: ")
    hours = Distribution(flights["time_hour"], rows).picture
    assert hours["texts"][0].startswith("2013-01-0")
    carrier = Distribution(flights["carrier"], rows).picture
    assert carrier["bars"][0]["text"] == "UA: 58,665 rows (17 %)"


@pytest.mark.parametrize(
    ("shown", "title"),
    [
        (column("INTEGER"), "no rows"),
        (Column("c", "STRING"), None),
        (column("FLOAT", ("strange", 3)), "no values"),
        (column("BOOLEAN", (None, 5)), "c: no values; 5 null (100 %)"),
    ],
)
def test_what_has_no_shape_is_said_in_words(shown: Column, title: str | None) -> None:
    assert Distribution(shown).picture.get("title") == title


def test_nothing_of_its_state_is_anything_but_json(flights: Table) -> None:
    for each in flights.columns:
        state = Distribution(each, 5, can_select=True).get_state()
        layout = state.pop("layout")
        assert layout.startswith("IPY_MODEL_")
        json.dumps(state)


def test_names_of_columns_stay_text() -> None:
    wild = column("STRING", ("<script>alert(1)</script>", 3), name="<b>\x00\n", is_enum=True)
    shown = Distribution(wild).picture
    assert shown["title"].startswith("<b>  : ")
    assert "innerHTML" not in view.MODULE and "insertAdjacentHTML" not in view.MODULE


def test_the_module_asks_for_nothing_outside() -> None:
    for text in (view.MODULE, view.STYLES):
        text = text.replace("http://www.w3.org/2000/svg", "").replace("xmlns='http://", "")
        assert not [
            word
            for word in ("http", "//cdn", "import ", "fetch(", "@import", "XMLHttp")
            if word in text.replace("// ", "")
        ]


def test_there_is_one_module_and_nothing_in_it_has_the_name_of_another() -> None:
    kinds = {each for each in subclasses(anywidget.AnyWidget) if each.__module__.startswith("cosphere_jupyter")}
    assert {view.Distribution, TaskList, Field} < kinds
    assert {told(each._esm) for each in kinds} == {view.MODULE} and {told(each._css) for each in kinds} == {view.STYLES}
    names = re.findall(r"^(?:function|const|let) (\w+)", view.MODULE, re.MULTILINE)
    assert sorted(names) == sorted(set(names)) and {"chart", "renderTasks", "guard"} <= set(names)


def told(declared: Any) -> Any:
    """What a class says; anywidget may have made a trait of it already."""
    return getattr(declared, "default_value", declared)


def subclasses(kind: type) -> set[Any]:
    return {each for child in kind.__subclasses__() for each in ({child} | subclasses(child))}


def test_a_selected_range_is_a_trait_that_can_be_observed(flights: Table) -> None:
    chart = Distribution(flights["dep_delay"], can_select=True)
    seen: list[Any] = []
    chart.observe(lambda change: seen.append(change["new"]), "selection")
    chart.set_state({"selection": [30.0, 60.0]})
    chart.selection = []
    assert seen == [[30.0, 60.0], []]
    chart.selection = [1.0, 2.0]
    chart.show(flights["month"])
    assert chart.selection == []


def test_a_pick_is_told_and_nonsense_of_a_front_end_is_not(flights: Table) -> None:
    chart = Distribution(flights["carrier"], can_select=True)
    picked: list[int] = []
    chart.on_pick(picked.append)
    for message in ({"pick": 2}, {"pick": 99}, {"pick": -1}, {"pick": "1"}, {}, "text", None):
        chart._handle_custom_msg(message, [])
    assert picked == [2]
