"""The monitor in a real JupyterLab and a real Notebook 7: from the catalogue to a named DataFrame, and hard times."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from client.lab_server import LabServer
from real_server import RealServer
from widgets.notebooks import SECONDS, OpenNotebook, open_notebook
from widgets.test_in_a_browser import LOOKS

pytestmark = pytest.mark.browser

CONNECT = "from cosphere_jupyter import Workspace\nws = Workspace()"
BROWSE = "browser = ws.browse()\nbrowser"
MONITOR = "monitor = ws.monitor()\nmonitor"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[LabServer]:
    """Another server than the one that the notebook runs in: it can be killed without the kernel."""
    server = LabServer(tmp_path / "elsewhere")
    server.start()
    yield server
    server.stop()


def connect_to(server: RealServer) -> str:
    return f"from cosphere_jupyter import Workspace\nws = Workspace({server.url!r}, {server.token!r})"


def row(notebook: OpenNotebook, text: str | re.Pattern[str]) -> Any:
    """The newest task whose row has this text."""
    tasks = notebook.page.get_by_role("list", name="Tasks and downloads")
    return tasks.get_by_role("listitem").filter(has_text=text).first


async def test_the_whole_way_by_mouse(jupyter: RealServer) -> None:
    """Browse, build, request, monitor, DataFrame."""
    async with open_notebook(jupyter, "the-whole-way", [CONNECT, BROWSE, MONITOR]) as notebook:
        page = notebook.page
        for place in range(3):
            await notebook.run(place)
        await page.get_by_role("option", name=re.compile(r"^flights\b")).click()
        await page.get_by_role("button", name="Build a request").click()
        await page.get_by_role("button", name="None", exact=True).click()
        for name in ("origin", "dest", "arr_delay"):
            await page.get_by_role("option", name=re.compile(rf"^{name}\b")).click()
        await page.get_by_role("button", name="Add a filter").click()
        await page.get_by_label("Column", exact=True).select_option("arr_delay")
        await page.get_by_label("Operator").select_option("≥")
        await page.get_by_placeholder("-86 … ≤ 1285").fill("400")
        await page.get_by_text(re.compile("^About .* rows")).wait_for()
        await page.get_by_role("button", name="Request", exact=True).click()

        asked = row(notebook, "origin, dest, arr_delay · arr_delay >= 400")
        await asked.get_by_role("button", name="Load as DataFrame: flights").click()
        name = page.get_by_label("Name of the variable")
        await name.wait_for()
        assert await name.input_value() == "flights_df"
        await name.fill("for")
        await page.get_by_text("“for” is a word of Python itself.").wait_for()
        assert await page.get_by_role("button", name="Load", exact=True).is_disabled()
        await name.fill("very_late")
        await page.get_by_role("button", name="Load", exact=True).click()
        flights = pd.read_parquet(jupyter.root / "data" / "flights.parquet")
        expected = flights[flights.arr_delay >= 400]
        await page.get_by_text(f"The variable very_late holds {len(expected)} rows, 3 columns.").wait_for()
        asked_in_kernel = "(list(very_late.columns), len(very_late), int(very_late.arr_delay.sum()))"
        assert await notebook.ask(asked_in_kernel) == (
            ["origin", "dest", "arr_delay"],
            len(expected),
            int(expected.arr_delay.sum()),
        )
        assert await notebook.ask("very_late.equals(browser.builder.dataframe)")
        assert await page.get_by_role("table", name="Rows").locator("tbody tr").count() == 20
        await page.get_by_label("Sort by").select_option("arr_delay")
        await page.get_by_role("button", name="Descending").click()
        await (
            page.get_by_role("table", name="Rows")
            .get_by_text(str(int(expected.arr_delay.max())), exact=True)
            .wait_for()
        )
        notebook.assert_calm()


async def test_the_monitor_by_keyboard(jupyter: RealServer) -> None:
    make = "request = ws.catalogue['airlines'].select('name').where(\"carrier = 'UA'\").request().wait()"
    async with open_notebook(jupyter, "monitor-by-keyboard", [CONNECT, make, MONITOR]) as notebook:
        page, keys = notebook.page, notebook.page.keyboard
        for place in range(3):
            await notebook.run(place)
        button = row(notebook, "name · carrier = UA").get_by_role("button", name="Load as DataFrame: airlines")
        await button.wait_for()
        await page.get_by_role("button", name="Failed", exact=True).focus()
        for _ in range(20):
            await keys.press("Tab")
            if await button.evaluate("(node) => node === document.activeElement"):
                break
        await keys.press("Enter")
        name = page.get_by_label("Name of the variable")
        await name.wait_for()
        # The field has the focus, and letters mean no commands of the notebook.
        await page.wait_for_function("() => document.activeElement?.tagName === 'INPUT'")
        await keys.press("Control+a")
        await keys.type("united")
        await keys.press("Enter")
        await page.get_by_text("The variable united holds 1 row, 1 column.").wait_for()
        assert await notebook.ask("united.name.tolist()") == ["United Air Lines Inc."]
        assert await notebook.ask("monitor.request.id == request.id")
        notebook.assert_calm()


async def test_a_long_request_is_cancelled_and_asked_for_again(lab: RealServer, big_parquet: Path) -> None:
    big = lab.root / "data" / "big.parquet"
    if not big.exists():
        os.link(big_parquet, big)
    make = (
        "table = ws.catalogue.create(name='big', source='data/big.parquet')\n"
        "request = table.select().where('x >= 0', 'y >= 0', 'z >= 0').request()"
    )
    async with open_notebook(lab, "cancelled", [CONNECT, MONITOR, make]) as notebook:
        page = notebook.page
        for place in range(3):
            await notebook.run(place)
        long = row(notebook, "big")
        await long.get_by_role("progressbar").wait_for()
        await long.get_by_role("button", name="Cancel: big").click()
        await long.get_by_text("Cancelled").wait_for()
        # Whoever pressed the button with the keyboard goes on from the next one.
        assert await page.evaluate("() => document.activeElement.getAttribute('aria-label')") == "Retry: big"
        assert await notebook.ask("request.id in [each.id for each in ws.requests]") is False
        assert await notebook.ask("ws.tasks.list(1)[0].error.startswith('cancelled by ')")
        await long.get_by_role("button", name="Retry: big").click()
        # It is the newest now.
        await page.get_by_role("button", name="Cancel: big").click()
        await page.get_by_text("Cancelled", exact=True).nth(1).wait_for()
        assert await notebook.ask("table.delete()") is None
        notebook.assert_calm()


async def test_the_server_is_killed_and_started_again_under_the_monitor(lab: RealServer, elsewhere: LabServer) -> None:
    make = "nap = ws.tasks.create('lab.nap', seconds=8.0)"
    async with open_notebook(lab, "killed", [connect_to(elsewhere), MONITOR, make]) as notebook:
        page = notebook.page
        for place in range(3):
            await notebook.run(place)
        nap = row(notebook, "lab.nap")
        await nap.get_by_text(re.compile(r"^[1-9]\d? %$")).wait_for()
        elsewhere.kill()
        alert = page.get_by_role("alert").filter(has_text="The server does not answer.")
        await alert.wait_for()
        assert await nap.is_visible(), "what was known stays"
        elsewhere.start()
        await alert.wait_for(state="hidden")
        await nap.get_by_text("Done").wait_for()
        await nap.get_by_text("rested").wait_for()
        notebook.assert_calm()


async def test_seconds_are_counted_by_the_page_and_nothing_is_sent_for_them(
    lab: RealServer, elsewhere: LabServer
) -> None:
    make = "nap = ws.tasks.create('lab.nap', seconds=60.0)"
    async with open_notebook(lab, "seconds", [connect_to(elsewhere), MONITOR, make]) as notebook:
        page = notebook.page
        for place in range(3):
            await notebook.run(place)
        nap = row(notebook, "lab.nap")
        await nap.get_by_text("0 %").wait_for()
        await page.evaluate(
            "() => { window.heard = 0; const kernel = window.panel.sessionContext.session.kernel;"
            " kernel.anyMessage.connect((_, each) => { if (each.direction === 'recv') window.heard += 1; }); }"
        )
        for seconds in (2, 3, 4):
            await nap.get_by_text(f"{seconds} s", exact=True).wait_for()
        assert await page.evaluate("() => window.heard") == 0
        await nap.get_by_role("button", name="Cancel: lab.nap").click()
        await nap.get_by_text("Cancelled").wait_for()
        notebook.assert_calm()


async def test_it_survives_a_reload_of_the_page_and_a_restart_of_the_kernel(
    lab: RealServer, elsewhere: LabServer
) -> None:
    async with open_notebook(lab, "survives", [connect_to(elsewhere), MONITOR]) as notebook:
        page = notebook.page
        for place in range(2):
            await notebook.run(place)
        await notebook.ask("ws.tasks.create('hello', name='Ada').key")
        await row(notebook, "Hello Ada").wait_for()
        await page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        saved = (lab.root / "survives.ipynb").read_text()
        outputs = json.dumps([cell["outputs"] for cell in json.loads(saved)["cells"]] + [json.loads(saved)["metadata"]])
        assert "widget-view" in outputs and elsewhere.token not in outputs

        await page.reload()
        await notebook.open("survives")
        await row(notebook, "Hello Ada").wait_for()
        await notebook.ask("ws.tasks.create('hello', name='Grace').key")
        await row(notebook, "Hello Grace").wait_for()

        await page.evaluate("() => window.panel.sessionContext.restartKernel()")
        await page.wait_for_function(
            "() => window.panel.sessionContext.session.kernel.status === 'idle'", timeout=SECONDS
        )
        for place in range(2):
            await notebook.run(place)
        for name in ("Ada", "Grace"):
            await row(notebook, f"Hello {name}").wait_for()
        # What JupyterLab itself says when a page is loaded again, and when a kernel is restarted.
        notebook.tab.assert_calm("Connection lost, reconnecting", "Could not restore the debugger state")


async def test_texts_of_tasks_stay_texts(lab: RealServer, elsewhere: LabServer) -> None:
    wild = "<img src=x onerror=\"document.title='broken in'\">"
    make = (
        f"ws.tasks.create('hello', name={wild!r}).wait()\nws.tasks.create('lab.text').wait()\nws.tasks.create({wild!r})"
    )
    async with open_notebook(lab, "wild-tasks", [connect_to(elsewhere), MONITOR, make]) as notebook:
        page = notebook.page
        for place in range(3):
            await notebook.run(place)
        await row(notebook, "<script>alert(1)</script>").wait_for()
        await row(notebook, "Hello <img").wait_for()
        await row(notebook, re.compile("^<img")).wait_for()
        assert await page.locator(".cosphere img, .cosphere script, .cosphere-view img").count() == 0
        assert "broken in" not in await page.title()
        notebook.assert_calm()


async def test_hundreds_of_tasks_stay_quick(lab: RealServer, elsewhere: LabServer) -> None:
    make = "group = ws.tasks.create_many('lab.double', list(range(20, 320)), parameter='n')\nlen(group)"
    async with open_notebook(lab, "hundreds", [connect_to(elsewhere), MONITOR, make]) as notebook:
        page = notebook.page
        await notebook.run(0)
        await notebook.run(1)
        await notebook.run(2)
        started = time.monotonic()
        await page.get_by_text("nothing running").wait_for(timeout=SECONDS)
        assert time.monotonic() - started < 90
        tasks = page.get_by_role("list", name="Tasks and downloads").get_by_role("listitem")
        assert await tasks.count() == 50
        await page.get_by_role("button", name="Show 50 more").click()
        await tasks.nth(99).wait_for()
        assert await tasks.count() == 100
        notebook.assert_calm()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
async def test_tasks_rows_and_signing_in_can_be_read_in_both_themes(
    lab: RealServer, elsewhere: LabServer, theme: str
) -> None:
    """Contrast of 4.5 to 1 at least (WCAG 2.1, AA)."""
    tasks = ["ws.tasks.create('lab.double', n=13)", "nap = ws.tasks.create('lab.nap', seconds=60.0)"]
    make = "\n".join([*tasks, "ws.downloads.create('catalogue')"])
    card = "from cosphere_jupyter import SignIn\nsign_in = SignIn(ws)\nsign_in.start()\nsign_in"
    async with open_notebook(lab, "readable", [connect_to(elsewhere), MONITOR, make, card]) as notebook:
        page = notebook.page
        await notebook.change_theme(theme)
        for place in range(4):
            await notebook.run(place)
        await page.get_by_role("link", name="Open the page to sign in").wait_for()
        await row(notebook, "13 is unlucky").wait_for()
        await row(notebook, "catalogue").get_by_role("button", name="Load as DataFrame: catalogue").click()
        await page.get_by_label("Name of the variable").fill("for")
        await page.get_by_text("“for” is a word of Python itself.").wait_for()
        assert await page.evaluate(LOOKS) == []
        await page.get_by_label("Name of the variable").fill("catalogue")
        await page.get_by_role("button", name="Load", exact=True).click()
        await page.get_by_text("The variable catalogue holds").wait_for()
        await page.get_by_role("table", name="Rows").wait_for()
        assert await page.evaluate(LOOKS) == []
        notebook.assert_calm()
