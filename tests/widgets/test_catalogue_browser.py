"""CatalogueBrowser without a browser, against a real server: traits are set, buttons clicked, the model is read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ipywidgets
import pytest
from real_server import RealServer

from cosphere_jupyter import CatalogueBrowser, Workspace
from cosphere_jupyter.client.errors import ServerUnavailable
from cosphere_jupyter.widgets.browser import PAGE, item
from cosphere_jupyter.widgets.core import descendants

pytestmark = pytest.mark.slow

MANY = 2 * PAGE + 7


@pytest.fixture
def browser(ws: Workspace) -> Iterator[CatalogueBrowser]:
    made = ws.browse()
    assert made.wait(30)
    yield made
    made.close()


def names(browser: CatalogueBrowser) -> list[str]:
    return [each["title"] for each in browser._list.items]


def click(browser: CatalogueBrowser, text: str) -> None:
    """As the front end tells a click."""
    found = [each for each in descendants(browser) if isinstance(each, ipywidgets.Button) and each.description == text]
    assert found, text
    found[0].click()


def choose(browser: CatalogueBrowser, name: str) -> None:
    key = next(each["key"] for each in browser._list.items if each["title"] == name)
    browser._list.set_state({"chosen": [key]})


def test_it_begins_with_all_tables_and_says_what_they_are(browser: CatalogueBrowser) -> None:
    assert names(browser) == ["flights", "weather", "planes", "airports", "airlines"]
    shown = browser._list.items[0]
    assert shown["facts"] == "336,776 rows"
    assert "in 2013" in shown["note"] and "@" in shown["by"]
    assert dict(shown["tags"]) == {
        "2013": "free", "nyc": "free", "14 integer": "kind", "4 text": "kind", "1 time": "kind"
    }  # fmt: skip
    assert browser._status.text == "5 tables"
    assert browser.selection is None and browser._page.layout.display == "none"


def test_typing_searches_and_the_call_is_shown(browser: CatalogueBrowser) -> None:
    for text in ("a", "ai", "airl"):
        browser._search.set_state({"value": text})
    assert browser.wait(30)
    assert names(browser) == ["airlines"]
    assert browser._code.text == 'ws.catalogue.search("airl")'
    assert [each.name for each in eval(browser._code.text, {"ws": browser._workspace})] == names(browser)
    browser.search("", tag="2013")
    assert browser.wait(30)
    assert names(browser) == ["flights", "weather"]
    assert browser._code.text == 'ws.catalogue.search(tag="2013")'
    browser.search("nosuchtable")
    assert browser.wait(30)
    assert browser._list.items == [] and browser._list.empty == "No table is named like that."
    assert browser._status.text == "0 tables"


def test_a_callback_returns_at_once_though_the_server_takes_its_time(
    browser: CatalogueBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = browser._workspace.catalogue.search
    asked: list[str] = []

    def slowly(text: str, **options: Any) -> Any:
        asked.append(text)
        time.sleep(0.3)
        return read(text, **options)

    monkeypatch.setattr(browser._workspace.catalogue, "search", slowly)
    started = time.monotonic()
    for text in ("w", "we", "wea", "weat"):
        browser._search.set_state({"value": text})
    assert time.monotonic() - started < 0.2
    assert browser.wait(30)
    assert names(browser) == ["weather"]
    assert asked[-1] == "weat" and len(asked) <= 2, "only the newest was asked for"


def test_choosing_shows_the_page_of_a_table(browser: CatalogueBrowser) -> None:
    seen: list[Any] = []
    browser.observe(lambda change: seen.append(change["new"].name), "selection")
    choose(browser, "flights")
    page = browser._page
    assert browser.selection.name == "flights" and seen == ["flights"]
    assert browser._code.text == 'ws.catalogue["flights"]'
    assert "336,776 rows" in page._facts.value and "5.27 MB" in page._facts.value
    headings, rows = page._columns.headings, page._columns.rows
    assert headings == ["Column", "Type", "NULLs", "Size", "Distribution"]
    delay = next(row for row in rows if row[0] == "dep_delay")
    assert delay[1:3] == ["INTEGER", "2.5 %"] and delay[4]["bins"]
    assert len(page._sample.rows) == 20 and page._sample.more == "and 80 more rows"
    assert len(page._sample.rows[0]) == len(page._sample.headings) == 19
    assert page._tabs.titles == ("Columns (19)", "Sample (100 rows)")
    choose(browser, "airlines")
    assert seen == ["flights", "airlines"] and len(page._columns.rows) == 2


def test_what_is_chosen_stays_while_something_else_is_searched(browser: CatalogueBrowser) -> None:
    choose(browser, "planes")
    browser.search("weather")
    assert browser.wait(30)
    assert browser.selection.name == "planes" and names(browser) == ["weather"]
    browser.search("")
    assert browser.wait(30)
    assert browser._list.chosen == [str(browser.selection.id)]


def test_enter_in_the_search_chooses_the_first(browser: CatalogueBrowser) -> None:
    browser._search.set_state({"value": "airp"})
    browser._search._handle_custom_msg({"event": "submit"}, [])
    assert browser.wait(30)
    assert browser.selection.name == "airports"


def test_a_table_is_chosen_by_code_also_one_that_is_not_listed(browser: CatalogueBrowser) -> None:
    browser.search("weather")
    browser.wait(30)
    browser.select("planes")
    assert browser.selection.name == "planes"
    browser.select(None)
    assert browser.selection is None and browser._page.layout.display == "none"


def test_the_button_builds_a_request_and_the_way_back_is_there(browser: CatalogueBrowser) -> None:
    assert browser.build() is None, "nothing is chosen"
    choose(browser, "airlines")
    seen: list[Any] = []
    browser.observe(lambda change: seen.append(change["new"]), "builder")
    click(browser, "Build a request")
    builder = browser.builder
    assert seen == [builder] and list(browser.children) == [builder]
    assert builder.table == browser.selection
    browser.go_back()
    assert browser.children[0] is not builder
    click(browser, "Build a request")
    assert browser.builder is builder, "what was built is still there"
    browser.go_back()
    choose(browser, "planes")
    click(browser, "Build a request")
    assert browser.builder.table.name == "planes" and builder.comm is None


def test_it_may_be_used_by_many_threads_at_once(browser: CatalogueBrowser) -> None:
    def use(word: str) -> None:
        for place in range(10):
            browser.search(word[: place % len(word) + 1])
            browser.select(browser.tables[0] if browser.tables else None)

    threads = [threading.Thread(target=use, args=(word,)) for word in ("flights", "weather", "planes")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    browser.search("airlines")
    assert browser.wait(30)
    assert names(browser) == ["airlines"]


def test_an_error_is_shown_in_words_and_goes_away(ws: Workspace, browser: CatalogueBrowser) -> None:
    browser.search("x" * 2000)
    assert browser.wait(30)
    assert "query" in browser._error.text and 'role="alert"' in browser._error.value
    browser.search("weather")
    assert browser.wait(30)
    assert browser._error.text == "" and names(browser) == ["weather"]


def test_nobody_is_asked_to_sign_in_by_a_thread_of_a_widget(real: RealServer) -> None:
    with Workspace(real.url, "wrong-token", sign_in=True) as stranger:
        browser = CatalogueBrowser(stranger)
        assert browser.wait(30)
        assert browser._error.text != ""
        browser.close()


def test_server_text_is_shown_as_text(ws: Workspace, browser: CatalogueBrowser) -> None:
    wild = "<img src=x onerror=alert(1)>"
    made = ws.catalogue.create(name=f"wild {wild}", source="data/airlines.parquet", description=wild, tags=[wild[:60]])
    try:
        browser.search("wild")
        browser.wait(30)
        browser.select(browser.tables[0])
        for each in descendants(browser):
            if isinstance(each, ipywidgets.HTML):
                assert "<img" not in each.value
        assert browser._list.items[0]["title"] == f"wild {wild}"
    finally:
        made.delete()


def test_no_secret_is_in_the_state_of_any_widget(ws: Workspace, browser: CatalogueBrowser) -> None:
    choose(browser, "flights")
    browser.build()
    browser.wait(30)
    token = ws.http.server.token
    assert token
    for each in [browser, *descendants(browser), *descendants(browser.builder)]:
        assert token not in repr(each.get_state())


def test_closing_ends_the_threads_and_the_widgets(ws: Workspace) -> None:
    browser = ws.browse()
    browser.wait(30)
    browser.select(browser.tables[0])
    builder = browser.build()
    assert builder is not None
    builder.wait(30)
    inside = [*descendants(browser), *descendants(builder)]
    browser.close()
    assert {each.comm for each in inside} == {None}
    browser.search("after all")
    assert browser.wait(1)


@pytest.fixture
def many(real: RealServer) -> Iterator[Workspace]:
    with Workspace(real.url, real.token) as ws:
        spec = [
            {"name": "n", "type": "INTEGER", "size": 1, "is_enum": False, "is_nullable": True, "distribution": None}
        ]
        made = [ws.catalogue.create(name=f"page_{n}", executor_type="ATHENA", spec=spec) for n in range(MANY)]
        yield ws
        for each in made:
            each.delete()


def test_of_many_tables_a_page_is_shown_and_more_are_read_when_asked_for(many: Workspace) -> None:
    browser = many.browse("page_")
    assert browser.wait(30)
    assert len(browser.tables) == PAGE and browser._status.text == "the first 50 tables"
    for expected in (2 * PAGE, MANY):
        click(browser, f"Show {PAGE} more")
        assert browser.wait(30)
        assert len(browser.tables) == expected
    assert len({each.name for each in browser.tables}) == MANY
    assert browser._more.layout.display == "none" and browser._status.text == "107 tables"
    assert item(browser.tables[0])["facts"] == "1 column"
    browser.close()


def test_a_table_that_nobody_has_looked_into_is_looked_into_by_a_button(ws: Workspace) -> None:
    fresh = ws.catalogue.create(name="fresh", source="data/airlines.parquet")
    browser = ws.browse("fresh")
    try:
        assert browser.wait(30)
        choose(browser, "fresh")
        assert browser.wait(30) and browser._page.look.layout.display is None
        assert browser._list.items[0]["facts"] == "2 columns" and "Distribution" not in browser._page._columns.headings
        started = time.monotonic()
        click(browser, "Look at the data")
        assert time.monotonic() - started < 0.3
        assert browser._page.look.layout.display == "none" and browser._page.line.text.startswith("The server looks")
        assert browser._code.text == 'ws.catalogue["fresh"].update_samples()'
        assert browser.wait(60)
        assert browser._list.items[0]["facts"] == "16 rows" and "Distribution" in browser._page._columns.headings
        assert browser._page._tabs.titles == ("Columns (2)", "Sample (16 rows)")
        assert browser._page.look.layout.display == "none" and browser._page.line.text == ""
    finally:
        browser.close()
        fresh.delete()


def test_who_may_not_look_into_tables_is_not_offered_to(ws: Workspace) -> None:
    ws._me = replace(ws.me, type="RESEARCHER")
    fresh = ws.catalogue.create(name="not looked into", source="data/airlines.parquet")
    browser = ws.browse("not looked into")
    try:
        assert browser.wait(30)
        choose(browser, "not looked into")
        assert browser.wait(30) and browser._page.look.layout.display == "none"
        # Whoever calls it is told why not, as by any refusal.
        fresh.delete()
        browser.look()
        assert browser.wait(30) and 'role="alert"' in browser._page.line.value
    finally:
        browser.close()


def test_columns_of_a_wide_table_are_searched(ws: Workspace) -> None:
    column = {"type": "INTEGER", "size": None, "is_enum": False, "is_nullable": False, "distribution": None}
    spec = [{"name": f"column {number}", **column} for number in range(2000)]
    wide = ws.catalogue.create(name="wide", executor_type="ATHENA", spec=spec)
    browser = ws.browse("wide")
    try:
        assert browser.wait(30)
        choose(browser, "wide")
        page = browser._page
        assert page._search.layout.display is None and page._columns.more == "and 1,900 more columns"
        assert page._columns.headings == ["Column", "Type", "NULLs"]
        page._search.set_state({"value": "199 Column"})
        assert [row[0] for row in page._columns.rows] == [each["name"] for each in spec if "199" in each["name"]]
        page._search.set_state({"value": "nosuch"})
        assert page._columns.rows == [] and page._columns.more == "No column is named like that."
        browser.select("flights")
        assert page._search.layout.display == "none" and page._search.value == "" and len(page._columns.rows) == 19
    finally:
        browser.close()
        wide.delete()


def test_a_search_that_failed_is_tried_again_by_a_button(
    browser: CatalogueBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, refused = browser._workspace.catalogue.search, [True]

    def sometimes(*given: Any, **options: Any) -> Any:
        if refused:
            raise ServerUnavailable("cannot be reached")
        return search(*given, **options)

    monkeypatch.setattr(browser._workspace.catalogue, "search", sometimes)
    browser.search("air")
    assert browser.wait(30) and browser._error.text == "cannot be reached" and browser._again.layout.display is None
    refused.clear()
    click(browser, "Try again")
    assert browser.wait(30) and browser._error.text == "" and browser._again.layout.display == "none"
    assert names(browser) == ["airports", "airlines"]
