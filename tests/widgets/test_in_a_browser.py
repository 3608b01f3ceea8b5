"""The widgets in a real JupyterLab and a real Notebook 7: mouse, keyboard, and what the kernel has in the end."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest
from real_server import RealServer
from widgets.notebooks import OpenNotebook, open_notebook

pytestmark = pytest.mark.browser

CONNECT = "from cosphere_jupyter import Workspace\nws = Workspace()"
BROWSE = ["browser = ws.browse()", "browser"]


def flights_of(server: RealServer) -> pd.DataFrame:
    return pd.read_parquet(server.root / "data" / "flights.parquet")


async def option(notebook: OpenNotebook, name: str) -> Any:
    found = notebook.page.get_by_role("option", name=re.compile(rf"^{name}\b"))
    await found.wait_for()
    return found


async def ready(notebook: OpenNotebook) -> None:
    await notebook.page.get_by_text(re.compile("^Ready, ")).wait_for()


async def test_from_the_catalogue_to_a_dataframe_by_mouse(jupyter: RealServer) -> None:
    async with open_notebook(jupyter, "by-mouse", [CONNECT, "\n".join(BROWSE)]) as notebook:
        page = notebook.page
        await notebook.run(0)
        await notebook.run(1)
        await page.get_by_label("Search tables").fill("flig")
        await page.get_by_text("1 table", exact=True).wait_for()
        await (await option(notebook, "flights")).click()
        await page.get_by_role("table", name="Columns of flights").wait_for()
        assert await page.get_by_role("group", name=re.compile("^carrier: UA 58,665")).count() == 1
        await page.get_by_role("tab", name=re.compile("Sample")).click()
        await page.get_by_role("table", name="Sample of flights").wait_for()
        assert await page.get_by_role("table", name="Sample of flights").locator("tbody tr").count() == 20
        await page.get_by_role("button", name="Build a request").click()

        await page.get_by_role("button", name="None", exact=True).click()
        for name in ("carrier", "dep_delay"):
            await (await option(notebook, name)).click()
        await page.get_by_text("2 of 19 chosen").wait_for()
        await page.get_by_role("button", name="Add a filter").click()
        await page.get_by_label("Column", exact=True).select_option("carrier")
        await page.get_by_label("Value", exact=True).and_(page.locator("select")).select_option("UA")
        await page.get_by_role("button", name="Add a filter").click()
        await page.get_by_label("Operator").nth(1).select_option(">")
        await page.get_by_label("Value", exact=True).nth(1).fill("thirty")
        await page.get_by_text("'thirty' is no number").wait_for()
        assert await page.get_by_role("button", name="Request", exact=True).is_disabled()
        await page.get_by_label("Value", exact=True).nth(1).fill("30")
        await page.get_by_text("""\"carrier = 'UA'", "dep_delay > 30\"""").wait_for()
        await page.get_by_text(re.compile("^About .* rows$")).wait_for()
        await page.get_by_role("button", name="Request", exact=True).click()
        await ready(notebook)
        await page.get_by_role("button", name="Load as DataFrame").click()
        await page.get_by_text(re.compile("^Loaded: ")).wait_for()

        table = flights_of(jupyter)
        expected = table[(table.carrier == "UA") & (table.dep_delay > 30)]
        frame = "browser.builder.dataframe"
        assert await notebook.ask(f"list({frame}.columns)") == ["carrier", "dep_delay"]
        assert await notebook.ask(f"len({frame}), int({frame}.dep_delay.sum())") == (
            len(expected),
            int(expected.dep_delay.sum()),
        )
        assert await notebook.ask("browser.builder.request.status") == "success"
        notebook.assert_calm()


async def test_from_the_catalogue_to_a_request_by_keyboard(lab: RealServer) -> None:
    async with open_notebook(lab, "by-keyboard", [CONNECT, "\n".join(BROWSE)]) as notebook:
        page, keys = notebook.page, notebook.page.keyboard
        await notebook.run(0)
        await notebook.run(1)
        await option(notebook, "flights")
        await page.get_by_label("Search tables").focus()
        await keys.type("air")
        await page.get_by_text("2 tables").wait_for()
        await keys.press("Tab")
        await keys.press("Tab")
        assert await focused(notebook) == "Tables"
        await keys.press("ArrowDown")
        await page.get_by_role("table", name="Columns of airlines").wait_for()
        await keys.press("Home")
        await page.get_by_role("table", name="Columns of airports").wait_for()
        assert await notebook.ask("browser.selection.name") == "airports"
        await keys.press("Tab")
        assert await focused(notebook) == "Build a request"
        await keys.press("Enter")

        await page.get_by_label("Search columns").focus()
        for _ in range(2):
            await keys.press("Tab")
        assert await focused(notebook) == "None"
        await keys.press("Enter")
        await page.get_by_text("Choose at least one column.").wait_for()
        await keys.press("Tab")
        assert await focused(notebook) == "Columns"
        await keys.press(" ")
        await keys.press("End")
        await keys.press("Enter")
        await page.get_by_text("2 of 8 chosen").wait_for()
        await keys.press("Tab")
        assert await focused(notebook) == "Add a filter"
        await keys.press("Enter")
        await page.get_by_label("Column", exact=True).focus()
        await keys.type("alt")
        await page.get_by_role("group", name=re.compile("^alt: ")).focus()
        # From the third bin two further, as a range.
        for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight"):
            await keys.press(key)
        await page.get_by_text(re.compile(r'"alt >= \d+", "alt <= \d+"')).wait_for()
        assert await page.get_by_label("Value", exact=True).count() == 2
        low, high = [int(each) for each in await notebook.ask("[f.value for f in browser.builder.filters]")]
        await page.get_by_role("button", name="Request", exact=True).focus()
        await keys.press("Enter")
        await ready(notebook)
        table = pd.read_parquet(lab.root / "data" / "airports.parquet")
        expected = table[(table["alt"] >= low) & (table["alt"] <= high)]
        assert await notebook.ask("browser.builder.request.rows") == len(expected) > 0
        assert await notebook.ask("list(browser.builder.query.columns)") == [table.columns[0], table.columns[-1]]
        notebook.assert_calm()


async def focused(notebook: OpenNotebook) -> str:
    """What a screen reader would call what has the focus."""
    found: str = await notebook.page.evaluate(
        "() => document.activeElement.getAttribute('aria-label') || document.activeElement.textContent.trim()"
    )
    return found


async def test_a_distribution_tells_and_takes_ranges_and_values(jupyter: RealServer) -> None:
    cells = [CONNECT, "builder = ws.builder('flights')\nbuilder.columns = ['carrier']\nbuilder"]
    async with open_notebook(jupyter, "distribution", cells) as notebook:
        page = notebook.page
        await notebook.run(0)
        await notebook.run(1)
        await notebook.ask("builder.add_filter('month', '>=', 1).message")
        chart = page.get_by_role("group", name=re.compile("^month: from 1 to 12"))
        box = await chart.locator(".cosphere-field").bounding_box()
        assert box is not None
        step, middle = box["width"] / 12, box["y"] + box["height"] / 2

        await page.mouse.move(box["x"] + 2.5 * step, middle)
        await page.get_by_text("3: 28,834 rows (8.6 %)").wait_for()
        await page.mouse.down()
        await page.mouse.move(box["x"] + 6.5 * step, middle, steps=4)
        await page.mouse.up()
        await page.get_by_text('"month >= 3", "month <= 7"').wait_for()
        assert await notebook.ask("[str(f) for f in builder.filters]") == ["month >= 3", "month <= 7"]
        # What is selected is drawn over the rest.
        part = chart.locator("svg svg")
        assert abs(float(await part.get_attribute("width")) - 5 * 182 / 12) < 0.1
        await chart.locator(".cosphere-field").dblclick()
        await page.get_by_text('.where("month >= 1")').wait_for()

        await notebook.ask("builder.add_filter('carrier').message")
        await page.get_by_role("group", name=re.compile("^carrier")).get_by_text("EV", exact=True).hover(force=True)
        await page.get_by_role("group", name=re.compile("^carrier")).locator(".cosphere-pick").nth(2).click()
        await page.get_by_text("carrier = 'EV'").wait_for()
        assert await notebook.ask("str(builder.filters[-1])") == "carrier = 'EV'"
        notebook.assert_calm()


async def test_code_is_copied(lab: RealServer) -> None:
    cells = [CONNECT, "builder = ws.builder('airlines')\nbuilder"]
    async with open_notebook(lab, "copied", cells, permissions=["clipboard-read", "clipboard-write"]) as notebook:
        page = notebook.page
        await notebook.run(0)
        await notebook.run(1)
        await page.get_by_role("button", name="Copy: This request in Python").click()
        await page.get_by_text("Copied", exact=True).wait_for()
        code = await page.evaluate("() => navigator.clipboard.readText()")
        assert code == 'ws.catalogue["airlines"].select()'
        assert await notebook.ask(f"len({code}.to_pandas(progress=False))") == 16
        notebook.assert_calm()


async def test_widgets_live_on_while_a_cell_runs(lab: RealServer) -> None:
    """What threads find out is shown while the kernel's main thread is busy."""
    busy = "import time\nbuilder.submit()\ntime.sleep(20)"
    cells = [CONNECT, "builder = ws.builder('flights')\nbuilder", busy]
    async with open_notebook(lab, "busy", cells) as notebook:
        page = notebook.page
        await notebook.run(0)
        await notebook.run(1)
        await page.get_by_text(re.compile("^About ")).wait_for()
        await page.evaluate(
            "() => { window.panel.content.activeCellIndex = 2;"
            " window.jupyterapp.commands.execute('notebook:run-cell'); }"
        )
        await ready(notebook)
        assert await page.evaluate("() => window.panel.sessionContext.session.kernel.status") == "busy"
        await page.evaluate("() => window.panel.sessionContext.session.kernel.interrupt()")
        notebook.assert_calm()


async def test_names_and_texts_of_the_catalogue_stay_texts(lab: RealServer) -> None:
    wild = "<img src=x onerror=\"document.title='broken in'\">"
    make = (
        f"wild = {wild!r}\n"
        "spec = [{'name': wild, 'type': 'STRING', 'size': 1, 'is_enum': True, 'is_nullable': True,\n"
        "         'description': wild,\n"
        "         'distribution': [{'value': wild, 'count': 3}, {'value': 'plain', 'count': 2}]}]\n"
        "made = ws.catalogue.create(name='wild ' + wild, executor_type='ATHENA', spec=spec, sample=[{wild: wild}],\n"
        "                           description=wild, tags=[wild[:60]])\n"
        "browser = ws.browse('wild')\nbrowser"
    )
    async with open_notebook(lab, "wild", [CONNECT, make]) as notebook:
        page = notebook.page
        await notebook.run(0)
        await notebook.run(1)
        try:
            await (await option(notebook, "wild")).click()
            await page.get_by_role("table", name="Columns of wild").wait_for()
            assert await page.evaluate(OVERFLOWING) == []
            await page.get_by_role("tab", name=re.compile("Sample")).click()
            await page.get_by_role("table", name="Sample of wild").wait_for()
            assert await page.evaluate(OVERFLOWING) == [] and await page.evaluate(UNNAMED) == []
            await page.get_by_role("button", name="Build a request").click()
            await page.get_by_role("button", name="Add a filter").click()
            await page.get_by_label("Value", exact=True).wait_for()
            assert await page.get_by_role("slider", name="Share of rows").count() == 1
            assert await page.evaluate(OVERFLOWING) == [] and await page.evaluate(UNNAMED) == []
            assert await page.locator(".cosphere img, .cosphere script").count() == 0
            assert "broken in" not in await page.title()
        finally:
            await notebook.ask("made.delete()")
        # No server runs such a table, so that its size cannot be told.
        notebook.assert_calm()


# Controls without a name for screen readers, and texts that stand over their neighbours.
UNNAMED = """() => [...document.querySelectorAll(
  '.cosphere :is(input, select, button, [tabindex]:not(li, [tabindex="-1"]), [contenteditable])')]
  .filter((node) => node.checkVisibility() && !node.getAttribute('aria-label')
    && ![...(node.labels ?? [])].some((each) => each.textContent.trim()) && !node.textContent.trim())
  .map((node) => node.outerHTML.slice(0, 120))"""
OVERFLOWING = """() => [...document.querySelectorAll('.cosphere :is(th, td, .cosphere-tag, .cosphere-name, h3)')]
  .filter((node) => {
    const style = getComputedStyle(node), is_shown = node.checkVisibility() && style.display !== 'inline';
    return is_shown && style.overflowX === 'visible' && node.scrollWidth > node.clientWidth + 1
      && !node.querySelector('svg');
  })
  .map((node) => node.outerHTML.slice(0, 120))"""

LOOKS = """() => {
  const light = (color) => {
    const [r, g, b] = color.map((v) => {
      v /= 255;
      return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  // What colours amount to on one another, as the browser paints them.
  const painted = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) {
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const poor = [];
  for (const node of document.querySelectorAll('.cosphere *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || node.closest(':disabled, .cosphere-unseen, title, option')) continue;
    if (!node.checkVisibility({opacityProperty: true})) continue;
    const style = getComputedStyle(node), behind = [];
    for (let each = node; each; each = each.parentElement) behind.unshift(getComputedStyle(each).backgroundColor);
    const own_color = node instanceof SVGElement ? style.fill : style.color;
    const ground = painted(behind), text = painted([`rgb(${ground})`, own_color]);
    const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${node.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
async def test_everything_can_be_read_in_both_themes(lab: RealServer, theme: str) -> None:
    """Contrast of 4.5 to 1 at least (WCAG 2.1, AA)."""
    async with open_notebook(lab, "contrast", [CONNECT, "\n".join(BROWSE)]) as notebook:
        page = notebook.page
        await notebook.change_theme(theme)
        await notebook.run(0)
        await notebook.run(1)
        await (await option(notebook, "flights")).click()
        await page.get_by_role("table", name="Columns of flights").wait_for()
        assert await page.evaluate(LOOKS) == []
        await page.get_by_role("button", name="Build a request").click()
        await page.get_by_role("button", name="Add a filter").click()
        await page.get_by_text("a number is missing").wait_for()
        assert await page.evaluate(LOOKS) == []
        notebook.assert_calm()
