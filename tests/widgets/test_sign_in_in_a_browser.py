"""Signing in from a notebook whose server does not know it: the card, the page behind its link, and on it goes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_server import RealServer
from widgets.notebooks import open_notebook

pytestmark = pytest.mark.browser

EMAIL, PASSWORD = "rosa@lab.example", "correct horse battery staple"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[RealServer]:
    """A server of others, on which somebody has an account with a password."""
    server = RealServer(tmp_path / "elsewhere")
    server.start()
    created = server.call("POST", "/accounts/", {"email": EMAIL, "password": PASSWORD})
    assert created.status_code == 201, created.text
    yield server
    server.stop()


async def test_somebody_signs_in_with_a_password_and_the_cell_goes_on(
    jupyter: RealServer, elsewhere: RealServer
) -> None:
    code = f"from cosphere_jupyter import Workspace\nws = Workspace({elsewhere.url!r})\nws.me.email"
    async with open_notebook(jupyter, "signs-in", [code]) as notebook:
        page = notebook.page
        await page.evaluate(
            "() => { window.panel.content.activeCellIndex = 0;"
            " window.jupyterapp.commands.execute('notebook:run-cell'); }"
        )
        link = page.get_by_role("link", name="Open the page to sign in")
        await link.wait_for()
        check = await page.locator(".cosphere-check-code").inner_text()
        assert re.fullmatch("[0-9a-f]{8}", check)
        await page.get_by_text(re.compile("^Asked for by cosphere-jupyter")).wait_for()
        async with page.context.expect_page() as opening:
            await link.click()
        opened = await opening.value
        await opened.get_by_text(check).wait_for()
        await opened.get_by_role("button", name="Yes").click()
        await opened.get_by_label("E-mail address").fill(EMAIL)
        await opened.get_by_label("Password").fill(PASSWORD)
        await opened.get_by_role("button", name="Sign in").click()
        await opened.get_by_role("heading", name="DONE").wait_for()
        assert await opened.evaluate("() => window.opener") is None

        await page.get_by_text(f"Signed in as {EMAIL}.").wait_for()
        assert await link.count() == 0, "the link is used"
        await page.wait_for_function("() => window.panel.sessionContext.session.kernel.status === 'idle'")
        assert await notebook.ask("(ws.me.email, ws.me.type)") == (EMAIL, "RESEARCHER")
        await page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        saved = (jupyter.root / "signs-in.ipynb").read_text()
        assert f"Signed in as {EMAIL}." in saved
        token = await notebook.ask("ws.http.server.token")
        for secret in (PASSWORD, token, "auth_requests/", check):
            assert secret not in saved
        notebook.assert_calm()


async def test_a_monitor_offers_to_sign_in_when_the_token_is_good_no_more(
    lab: RealServer, elsewhere: RealServer
) -> None:
    """The widget that does not block: buttons, and other cells that run meanwhile."""
    made = elsewhere.call("GET", "/accounts/")
    [rosa] = [each for each in made.json()["accounts"] if each["email"] == EMAIL]
    token = elsewhere.call("POST", f"/accounts/{rosa['id']}/auth_tokens/", {}).json()["token"]
    connect = f"from cosphere_jupyter import SignIn, Workspace\nws = Workspace({elsewhere.url!r}, {token!r})"
    async with open_notebook(lab, "signs-in-again", [connect, "sign_in = SignIn(ws)\nsign_in"]) as notebook:
        page = notebook.page
        await notebook.run(0)
        await notebook.run(1)
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await page.get_by_role("link", name="Open the page to sign in").wait_for()
        assert await notebook.ask("sign_in.state") == "waiting", "the notebook is free meanwhile"
        await page.get_by_role("button", name="Cancel", exact=True).click()
        await page.get_by_text("Nobody waits any more for this sign-in.").wait_for()
        await page.get_by_role("button", name="Ask for a new link").click()
        link = page.get_by_role("link", name="Open the page to sign in")
        async with page.context.expect_page() as opening:
            await link.click()
        opened = await opening.value
        await opened.get_by_role("button", name="Yes").click()
        await opened.get_by_label("E-mail address").fill(EMAIL)
        await opened.get_by_label("Password").fill(PASSWORD)
        await opened.keyboard.press("Enter")
        await page.get_by_text(f"Signed in as {EMAIL}.").wait_for()
        assert await notebook.ask("(sign_in.state, sign_in.account.email)") == ("done", EMAIL)
        notebook.assert_calm()
