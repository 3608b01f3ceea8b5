"""A notebook that is open in a real browser, in JupyterLab or Notebook 7: cells are run, and the kernel is asked.

The page's own application object does what a person would do with menus, so that no test hangs on where Jupyter shows
what. What is tested, the widgets, is used by mouse and keyboard.
"""

from __future__ import annotations

import ast
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from real_server import RealServer
from sign_in.browser import Tab, open_tab

SECONDS = 120_000
# What Notebook 7.6 itself complains about when it opens any notebook, also one without widgets.
ITS_OWN = {
    "lab": (),
    "notebook": (
        "Menu entry for command",
        "[yjs#509] Not same Y.Doc",
        "Cannot read properties of undefined (reading 'schema')",
    ),
}

_OPEN = """async (path) => {
  const app = window.jupyterapp;
  await app.restored;
  const panel = path ? await app.commands.execute('docmanager:open', {path}) : app.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  app.shell.activateById(panel.id);
  if (path) app.commands.execute('application:toggle-left-area').catch(() => null);
  window.panel = panel;
}"""
_IDLE = "() => window.panel?.sessionContext?.session?.kernel?.status === 'idle'"
_RUN = """async (place) => {
  window.panel.content.activeCellIndex = place;
  await window.jupyterapp.commands.execute('notebook:run-cell');
}"""
_RAN = """(place) => {
  const cell = window.panel.content.model.cells.get(place);
  return cell.executionCount != null && cell.executionState !== 'running';
}"""
_OUTPUTS = "(place) => window.panel.content.model.cells.get(place).outputs.toJSON()"
_ASK = """async (expression) => {
  const kernel = window.panel.sessionContext.session.kernel;
  const reply = await kernel.requestExecute(
    {code: '', store_history: false, user_expressions: {asked: expression}}).done;
  return reply.content.user_expressions.asked;
}"""


class OpenNotebook:
    """A notebook in a tab. ``page`` is Playwright's."""

    def __init__(self, tab: Tab, host: str) -> None:
        self.tab = tab
        self.host = host
        self.page = tab.page

    async def run(self, place: int) -> list[dict[str, Any]]:
        """Run a cell, wait for its end, and return its outputs."""
        await self.page.evaluate(_RUN, place)
        await self.page.wait_for_function(_RAN, arg=place, timeout=SECONDS)
        outputs: list[dict[str, Any]] = await self.page.evaluate(_OUTPUTS, place)
        assert [each for each in outputs if each["output_type"] == "error"] == []
        return outputs

    async def ask(self, expression: str) -> Any:
        """The value of a Python expression in the kernel: anything that ``repr`` writes as a literal."""
        found = await self.page.evaluate(_ASK, expression)
        assert found["status"] == "ok", found
        return ast.literal_eval(found["data"]["text/plain"])

    async def open(self, name: str) -> None:
        """Open a notebook in the page, which is new or was just loaded again; its kernel is up then."""
        await self.page.wait_for_function("() => window.jupyterapp?.restored", timeout=SECONDS)
        if self.host == "notebook":
            await self.page.wait_for_function("() => window.jupyterapp.shell.currentWidget?.context", timeout=SECONDS)
        await self.page.evaluate(_OPEN, f"{name}.ipynb" if self.host == "lab" else None)
        await self.page.wait_for_function(_IDLE, timeout=SECONDS)

    def assert_calm(self) -> None:
        """Nothing left this machine, and nothing but what Jupyter says by itself is in the console."""
        self.tab.assert_calm(*ITS_OWN[self.host])

    async def change_theme(self, name: str) -> None:
        """Change the theme, as the menu does: ``JupyterLab Light`` or ``JupyterLab Dark``."""
        await self.page.evaluate(
            "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name
        )
        is_light = "true" if name.endswith("Light") else "false"
        await self.page.wait_for_selector(f'body[data-jp-theme-light="{is_light}"]', state="attached")


@asynccontextmanager
async def open_notebook(
    server: RealServer, name: str, cells: Sequence[str], **options: Any
) -> AsyncIterator[OpenNotebook]:
    """Write a notebook into the server's folder and open it in a browser of its own; its kernel is up then."""
    path = f"{name}.ipynb"
    (server.root / path).write_text(json.dumps(written(cells)))
    options = {"viewport": {"width": 1200, "height": 1000}, **options}
    async with open_tab(**options) as tab:
        tab.page.set_default_timeout(60_000)
        where = "lab?reset&" if server.host == "lab" else f"notebooks/{path}?"
        await tab.page.goto(f"{server.url}{where}token={server.token}")
        notebook = OpenNotebook(tab, server.host)
        await notebook.open(name)
        try:
            yield notebook
        except BaseException:
            await tab.page.screenshot(path=str(server.folder / f"{name}.png"))
            print(f"{server.folder / name}.png shows the page; it complained: {tab.complaints}")
            raise
        finally:
            await tab.page.evaluate("() => window.panel.sessionContext.shutdown()")


def written(cells: Sequence[str]) -> dict[str, Any]:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{place}",
                "metadata": {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for place, source in enumerate(cells)
        ],
    }
