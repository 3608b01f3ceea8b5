"""The widgets at scale: how soon the catalogue is seen, and how soon a keystroke's answer is, with 10,000 tables.

``python benchmarks/widgets.py [--items 10000] [--no-browser]``. The server and its HTTP are real. In the kernel a
keystroke is the change of the search's trait as the front end sends it, and the end is the change of the list's; in the
browser (a headless Chromium with JupyterLab) both are what a person sees.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import threading
import time
from contextlib import closing
from typing import Any

import catalogue
from common import ROOT, machine, percentile, served, timed, verdict

WORDS = ["flights", "weather", "genome", "iot_12", "taxi", "runs_99", "nosuchtable", "sensors", "e", "patients"]
# As many tables as the server has looked into: 20 columns with distributions of 100 bins, and 100 rows.
LOOKED_AT = 200


def fill(path: str, count: int) -> None:
    """Tables without anything known, and some with everything: of these a page has megabytes."""
    catalogue.fill(path, count)
    bins = [{"value": place * 10, "count": 1000 + place} for place in range(100)]
    column = {"type": "INTEGER", "size": 123456, "is_enum": False, "is_nullable": True, "distribution": bins}
    spec = json.dumps([{"name": f"column_{place}", **column} for place in range(20)])
    sample = json.dumps([{f"column_{place}": row * place for place in range(20)} for row in range(100)])
    with closing(sqlite3.connect(path)) as database, database:
        for number in range(1, LOOKED_AT + 1):
            name = f"looked_at_{number}"
            row = (name, name, spec, sample, number)
            database.execute(
                "UPDATE catalogue_items SET name = ?, name_folded = ?, spec = ?, sample = ? WHERE id = ?", row
            )


def in_the_kernel(server: Any) -> dict[str, list[float]]:
    from cosphere_jupyter import Workspace

    found: dict[str, list[float]] = {"made": [], "first list": [], "keystroke": [], "keystroke, tables looked at": []}
    with Workspace(server.url, server.token) as ws:
        for _ in range(10):
            seconds, browser = timed(ws.browse)
            found["made"].append(seconds * 1000)
            seconds, _ = timed(lambda browser=browser: browser.wait(60))
            found["first list"].append(seconds * 1000)
            browser.close()
        browser = ws.browse()
        browser.wait(60)
        for name, words in (("keystroke", WORDS), ("keystroke, tables looked at", ["looked_at"])):
            for word in words * 3:
                for end in range(1, len(word) + 1):
                    begun = time.process_time()
                    found[name].append(keystroke(browser, word[:end]))
                    # Of the whole page, which comes after what is seen at once; other programs do not count here.
                    found.setdefault(f"{name}: processor", []).append((time.process_time() - begun) * 1000)
        browser.close()
    return found


def keystroke(browser: Any, text: str) -> float:
    """Milliseconds from a keystroke to the list that is filtered by it: its first tables, as many as are seen."""
    seen, show = threading.Event(), browser._show
    browser._show = lambda *arguments: (show(*arguments), seen.set())
    try:
        seconds, is_seen = timed(lambda: (browser._search.set_state({"value": text}), seen.wait(60))[1])
    finally:
        browser._show = show
    assert is_seen and browser.wait(60) and not browser._error.text
    return seconds * 1000


async def in_the_browser(server: Any) -> dict[str, float]:
    # This file has the name of the folder.
    sys.path.insert(0, str(ROOT / "tests" / "widgets"))
    from notebooks import open_notebook

    connect = "from cosphere_jupyter import Workspace\nws = Workspace()\nimport cosphere_jupyter.widgets.browser"
    async with open_notebook(server, "benchmark", [connect, "browser = ws.browse()\nbrowser"]) as notebook:
        page = notebook.page
        await notebook.run(0)
        first = await page.evaluate(_SEEN, ["run", ""])
        typed = []
        for word in ("weather_1", "genome_2", "taxi_3", "runs_4", "events_5"):
            typed.append(await page.evaluate(_SEEN, ["type", word]))
        notebook.assert_calm()
    return {"first paint": first, "keystroke": percentile(typed, 0.5)}


# From running the cell, or from typing, to a list that is painted and holds what was typed.
_SEEN = """async ([what, word]) => {
  const seen = () => [...document.querySelectorAll('.cosphere-option .cosphere-name')].map((node) => node.textContent);
  const begun = performance.now();
  if (what === 'run') {
    window.panel.content.activeCellIndex = 1;
    window.jupyterapp.commands.execute('notebook:run-cell');
  } else {
    const field = document.querySelector('.cosphere input[type=text]');
    field.value = word;
    field.dispatchEvent(new Event('input', {bubbles: true}));
  }
  for (;;) {
    await new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
    const names = seen();
    if (names.length && names.every((name) => name.includes(word))) return performance.now() - begun;
    if (performance.now() - begun > 60000) throw new Error(`not seen: ${word}`);
  }
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--no-browser", action="store_true", help="only what happens in the kernel")
    options = parser.parse_args()
    print(machine())
    host = "server" if options.no_browser else "lab"
    flags = () if options.no_browser else ("--expose-app-in-browser", "--LabApp.news_url=None")
    with served(*flags, host=host) as server:
        server.stop()
        fill(str(server.data_dir / "cosphere.sqlite"), options.items)
        server.start()
        kernel = in_the_kernel(server)
        seen = {} if options.no_browser else asyncio.run(in_the_browser(server))
    print(f"\n  in the kernel, ms, {options.items:,} tables{'':<14} p50       p95       worst")
    for name, times in kernel.items():
        print(f"  {name:<42} {percentile(times, 0.5):9.1f} {percentile(times, 0.95):9.1f} {max(times):9.1f}")
    print()
    for name in ("keystroke", "keystroke, tables looked at"):
        verdict(f"{name} to filtered list, p95", percentile(kernel[name], 0.95), 100, at_least=False, unit="ms")
    for name, milliseconds in seen.items():
        print(f"  in the browser: {name:<42} {milliseconds:9.0f} ms")


if __name__ == "__main__":
    main()
