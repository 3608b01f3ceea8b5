"""A headless Chromium for tests of pages: what it shows, what it asks for, and what it complains about."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = os.environ.get("COSPHERE_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Tab:
    """A page, and everything that it asked for and complained about."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.context.on("request", lambda request: self.requests.append(request.url))
        page.context.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def assert_calm(self, *expected: str) -> None:
        """Nothing left this machine, and the console is empty but for what was expected."""
        own = ("http://127.0.0.1:", "blob:http://127.0.0.1:", "data:", "about:")
        foreign = [url for url in self.requests if not url.startswith(own)]
        assert foreign == []
        assert [text for text in self.complaints if not any(each in text for each in expected)] == []


@asynccontextmanager
async def open_tab(**options: Any) -> AsyncIterator[Tab]:
    """A tab of a new Chromium with an empty profile."""
    from playwright.async_api import async_playwright

    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium, or set COSPHERE_CHROMIUM")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        context = await browser.new_context(**options)
        context.set_default_timeout(30_000)
        try:
            yield Tab(await context.new_page())
        finally:
            await browser.close()
