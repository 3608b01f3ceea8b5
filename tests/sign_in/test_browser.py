"""The page in a real browser: by keyboard, in a frame beside a cell, to an issuer and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from sign_in.browser import Tab, open_tab
from sign_in.conftest import CREATE
from support import Api

pytestmark = pytest.mark.browser

EMAIL, RIGHT = "rosa@lab.example", "correct horse battery"


@pytest.fixture
def rosa(owner: Api, run: Callable[..., Any]) -> Any:
    return run(owner.post("/accounts/", {"email": EMAIL, "password": RIGHT})).json


@pytest.fixture
def url_of(owner: Api) -> Callable[[str], str]:
    return lambda request: f"{owner.base}{CREATE}{request}/authenticate/ui/"


async def has_focus(tab: Tab) -> str:
    return str(await tab.page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))


async def test_a_person_signs_in_with_the_keyboard_and_the_notebook_goes_on(steps: Any, rosa: Any, url_of: Any) -> None:
    request = await steps.create()

    async def notebook() -> Any:
        while (answer := await steps.redeem(request)).status == 404:
            await asyncio.sleep(0.1)
        return answer

    polling = asyncio.ensure_future(notebook())
    async with open_tab() as tab:
        keyboard = tab.page.keyboard
        await tab.page.goto(url_of(request))
        await tab.page.get_by_text("Did you start this?").wait_for()
        assert await tab.page.get_by_text(request[:8]).is_visible()
        await keyboard.press("Tab")
        assert await has_focus(tab) == "Yes, it was me"
        await keyboard.press("Enter")
        assert await has_focus(tab) == "email"
        await keyboard.type(EMAIL)
        await keyboard.press("Tab")
        assert await has_focus(tab) == "password"
        await keyboard.type(RIGHT)
        await keyboard.press("Enter")
        await tab.page.get_by_role("heading", name="DONE").wait_for()
        tab.assert_calm()
    answer = await asyncio.wait_for(polling, 30)
    assert (await steps.me(answer))["id"] == rosa["id"]


async def test_a_wrong_password_is_told_and_can_be_corrected(steps: Any, rosa: Any, url_of: Any) -> None:
    request = await steps.create()
    async with open_tab() as tab:
        await tab.page.goto(url_of(request))
        await tab.page.get_by_role("button", name="Yes").click()
        await tab.page.get_by_label("E-mail address").fill(EMAIL)
        await tab.page.get_by_label("Password").fill("incorrect horse")
        await tab.page.get_by_role("button", name="Sign in").click()
        alert = tab.page.get_by_role("alert").filter(has_text="password is wrong")
        await alert.wait_for()
        assert await has_focus(tab) == "password"
        assert await tab.page.get_by_label("Password").input_value() == ""
        await tab.page.keyboard.type(RIGHT)
        await tab.page.keyboard.press("Enter")
        await tab.page.get_by_role("heading", name="DONE").wait_for()
        # The browser itself notes every answer that is no success.
        tab.assert_calm("status of 401")
    assert (await steps.redeem(request)).status == 201


async def test_too_many_attempts_are_told_with_the_time_to_wait(steps: Any, rosa: Any, url_of: Any) -> None:
    request = await steps.create()
    for _ in range(5):
        await steps.attach_password(request, EMAIL, "incorrect horse")
    async with open_tab() as tab:
        await tab.page.goto(url_of(request))
        await tab.page.get_by_role("button", name="Yes").click()
        await tab.page.get_by_label("E-mail address").fill(EMAIL)
        await tab.page.get_by_label("Password").fill(RIGHT)
        # Blocked for a second: fails at once, or not any more on a slow machine; both are told.
        await tab.page.keyboard.press("Enter")
        shown = tab.page.get_by_text("Too many attempts").or_(tab.page.get_by_role("heading", name="DONE"))
        await shown.first.wait_for()
        tab.assert_calm("status of 429")


async def test_no_grants_nothing(steps: Any, url_of: Any) -> None:
    request = await steps.create()
    async with open_tab() as tab:
        await tab.page.goto(url_of(request))
        await tab.page.get_by_role("button", name="No", exact=True).click()
        await tab.page.get_by_role("heading", name="Nothing was granted").wait_for()
        tab.assert_calm()
    assert (await steps.redeem(request)).status == 404


async def test_an_old_request_is_shown_as_expired(steps: Any, url_of: Any, clock: Any) -> None:
    request = await steps.create()
    clock.pass_seconds(598)
    async with open_tab() as tab:
        await tab.page.goto(url_of(request))
        # By itself, while somebody looks at it.
        await tab.page.get_by_role("heading", name="EXPIRED").wait_for()
        tab.assert_calm()


async def test_a_person_goes_to_the_issuer_and_comes_back(steps: Any, url_of: Any) -> None:
    request = await steps.create()
    async with open_tab() as tab:
        await tab.page.goto(url_of(request))
        await tab.page.get_by_role("button", name="Yes").click()
        await tab.page.get_by_role("link", name="Continue with the Lab").click()
        await tab.page.get_by_text("Let it in as rosa@lab.example?").wait_for()
        assert f"127.0.0.1:{steps.issuer.port}/authorize" in " ".join(tab.requests)
        await tab.page.get_by_role("button", name="Yes").click()
        await tab.page.get_by_role("heading", name="DONE").wait_for()
        tab.assert_calm()
    assert (await steps.me(await steps.redeem(request)))["email"] == EMAIL


async def test_a_link_to_the_issuer_alone_leads_to_the_page(steps: Any, owner: Api) -> None:
    request = await steps.create()
    async with open_tab() as tab:
        await tab.page.goto(f"{owner.base}{CREATE}{request}/oidc/lab/")
        await tab.page.get_by_text("Did you start this?").wait_for()
        assert tab.page.url.endswith("/authenticate/ui/")
        assert not steps.issuer.calls["/authorize"]


async def test_a_frame_of_500_by_200_beside_a_cell_is_enough(steps: Any, rosa: Any, url_of: Any, owner: Api) -> None:
    """Framed by a page of this very origin, as a notebook is."""
    request = await steps.create()
    frame = f'<link rel="icon" href="data:,"><iframe src="{url_of(request)}" width="500" height="200"></iframe>'
    async with open_tab(viewport={"width": 600, "height": 400}) as tab:
        await tab.page.route("**/framing", lambda route: route.fulfill(body=frame, content_type="text/html"))
        await tab.page.goto(f"{owner.base}/framing")
        inner = tab.page.frame_locator("iframe")
        yes = inner.get_by_role("button", name="Yes")
        await yes.wait_for()
        assert await fits(tab)
        await yes.click()
        link = inner.get_by_role("link", name="Continue with the Lab")
        assert await link.get_attribute("target") == "_blank"
        assert await fits(tab)
        async with tab.page.context.expect_page() as opened:
            await link.click()
        other = await opened.value
        await other.get_by_text("Let it in as rosa@lab.example?").wait_for()
        await inner.get_by_role("heading", name="Go on in the new tab").wait_for()
        await other.get_by_role("button", name="Yes").click()
        await other.get_by_role("heading", name="DONE").wait_for()
        tab.assert_calm()
    assert (await steps.redeem(request)).status == 201


async def fits(tab: Tab) -> bool:
    frame = tab.page.frames[1]
    return bool(
        await frame.evaluate("document.documentElement.scrollHeight <= 200 && document.body.scrollWidth <= 500")
    )


async def test_a_page_of_another_origin_cannot_frame_it(steps: Any, url_of: Any) -> None:
    frame = f'<link rel="icon" href="data:,"><iframe src="{url_of(await steps.create())}"></iframe>'
    async with open_tab() as tab:
        await tab.page.route("**/evil", lambda route: route.fulfill(body=frame, content_type="text/html"))
        await tab.page.goto(f"http://127.0.0.1:{steps.issuer.port}/evil")
        await tab.page.wait_for_load_state("networkidle")
        assert len(tab.page.frames) == 2 and tab.page.frames[1].url.startswith("chrome-error:")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_on_the_page_can_be_read(steps: Any, url_of: Any, scheme: str) -> None:
    """Contrast of 4.5 to 1 at least (WCAG 2.1, AA), in both colour schemes."""
    request = await steps.create()
    async with open_tab(color_scheme=scheme) as tab:
        await tab.page.goto(url_of(request))
        for _ in range(2):
            poor = await tab.page.evaluate(CONTRASTS)
            assert poor == []
            if await tab.page.get_by_role("button", name="Yes").is_visible():
                await tab.page.get_by_role("button", name="Yes").click()


CONTRASTS = """() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map(Number).map((v) => {
      v /= 255;
      return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (!/rgba\\(.*, 0\\)/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const poor = [];
  for (const node of document.querySelectorAll("main *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${node.textContent.trim()}: ${ratio.toFixed(2)}`);
  }
  return poor;
}"""
