"""The page as HTTP sends it, and the way to an issuer and back, step by step."""

from __future__ import annotations

import dataclasses
import html
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sign_in.conftest import ATTACH, CREATE
from sign_in.issuer import SECRET, Issuer
from support import Answer, Api

SAME = {"Sec-Fetch-Site": "same-origin"}


def attribute(page: Answer, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', page.body.decode())
    assert found, name
    return html.unescape(found[1])


def state(page: Answer) -> str:
    return attribute(page, "data-state")


async def test_any_id_gives_the_page_and_none_stands_in_it_as_it_was_sent(anybody: Api, page_of: Any) -> None:
    for request_id in ("some-uuid", "x", "-", "__proto__", "0" * 500, "bfbea6b2-7b31-11ea-83d0-4485007e7d04"):
        page = await page_of(request_id)
        assert (page.status, state(page)) == (200, "expired"), request_id
        assert request_id.encode() not in page.body or len(request_id) < 3, request_id
    for path in (
        f"{CREATE}%3Cscript%3E/authenticate/ui/",
        f"{CREATE}a%2Fb/authenticate/ui/",
        f"{CREATE}/authenticate/ui/",
    ):
        answer = await anybody.get(path)
        assert (answer.status, answer.event) == (404, "COULD_NOT_FIND_PATH")


async def test_the_page_says_who_asks(steps: Any, page_of: Any, jp_serverapp: Any) -> None:
    created = await steps.api.post(CREATE, headers={"User-Agent": "python-httpx/0.28 on lab-7"})
    request = created.json["request_uuid"]
    page = await page_of(request)
    text = html.unescape(page.body.decode())
    for shown in (
        "127.0.0.1",
        "python-httpx/0.28 on lab-7",
        f"127.0.0.1:{jp_serverapp.port}",
        request[:8],
        "start this?",
    ):
        assert shown in text, shown
    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00">', text)
    # Also by the other spellings of its id.
    assert state(await page_of(request.replace("-", "").upper())) == "ask"


async def test_what_a_stranger_calls_itself_is_text(steps: Any, page_of: Any) -> None:
    agent = "\"'><script>alert(1)</script>{{ 1 }}{% raw x %}‮evil" + "x" * 300
    created = await steps.api.post(CREATE, headers={"User-Agent": agent.encode().decode("latin1")})
    page = (await page_of(created.json["request_uuid"])).body.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page and "{{ 1 }}" in page
    assert "‮" not in page and "x" * 257 not in page


async def test_nothing_runs_on_the_page_but_what_is_its_own(steps: Any, page_of: Any) -> None:
    request = await steps.create()
    first, second = await page_of(request), await page_of(request)
    policy = dict(rule.split(" ", 1) for rule in first.headers["Content-Security-Policy"].split("; "))
    nonce = re.fullmatch(r"'nonce-([\w-]{22})'", policy["script-src"])
    assert nonce and policy == {
        "default-src": "'none'",
        "script-src": f"'nonce-{nonce[1]}'",
        "style-src": f"'nonce-{nonce[1]}'",
        "connect-src": "'self'",
        "frame-src": "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'self'",
    }
    assert first.headers["Content-Security-Policy"] != second.headers["Content-Security-Policy"]
    expected = {
        "Content-Type": "text/html; charset=UTF-8",
        "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    assert {name: first.headers[name] for name in expected} == expected
    text = first.body.decode()
    assert all(f'nonce="{nonce[1]}"' in tag for tag in re.findall(r"<(?:script|style)[^>]*>", text))
    assert not re.search(r"\son\w+=|javascript:|\sstyle=", text)
    assert not re.search(r'(?:src|href)="(?!data:,|/a%40b/)', text)
    head = await steps.api("HEAD", f"{CREATE}{request}/authenticate/ui/")
    assert (head.status, head.body) == (200, b"")


class TestGoogle:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: dict[str, Any]) -> dict[str, Any]:
        jp_server_config["CosphereApp"]["google_client_id"] = "id.apps.googleusercontent.com"
        return jp_server_config

    async def test_its_own_button_is_on_the_page_bound_to_the_request(self, steps: Any, page_of: Any) -> None:
        request = await steps.create()
        page = await page_of(request)
        text = page.body.decode()
        assert 'src="https://accounts.google.com/gsi/client"' in text
        assert "platform.js" not in text and "gapi" not in text
        assert attribute(page, "data-google-client") == "id.apps.googleusercontent.com"
        assert attribute(page, "data-google-nonce") == steps.nonce(request)
        assert "Continue with google" not in text
        policy = page.headers["Content-Security-Policy"]
        assert "https://accounts.google.com/gsi/client" in policy and "https://accounts.google.com/gsi/style" in policy
        # Google checks where its button is.
        assert page.headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
        assert "accounts.google.com" not in (await page_of("gone")).body.decode()


# -- to the issuer and back ------------------------------------------------------------------------------------------


class Way:
    """A browser's way to the issuer and back."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def start(self, request: str, headers: dict[str, str] = SAME, provider: str = "lab") -> Answer:
        return await self.api.get(f"{CREATE}{request}/oidc/{provider}/", headers=headers)

    async def issuer(self, request: str) -> str:
        """Go to the issuer; return where it sends the browser back to."""
        start = await self.start(request)
        assert start.status == 303, start.body
        back = await self.api.get(start.headers["Location"])
        assert back.status == 302
        return str(back.headers["Location"])


@pytest.fixture
def way(anybody: Api) -> Way:
    return Way(anybody)


async def test_a_person_goes_to_the_issuer_comes_back_agrees_and_is_signed_in(steps: Any, way: Way) -> None:
    request = await steps.create()
    page = await steps.api.get(await way.issuer(request))
    assert (page.status, state(page)) == (200, "confirm")
    assert (attribute(page, "data-request"), attribute(page, "data-email")) == (request, "rosa@lab.example")
    text = page.body.decode()
    assert "Did you start this?" in text and request[:8] in text and "127.0.0.1" in text
    # Nothing is granted before the person agrees: a link to the issuer alone gives nobody a token.
    assert (await steps.redeem(request)).status == 404

    assert (await steps.attach(request, attribute(page, "data-token"))).status == 200
    assert (await steps.me(await steps.redeem(request)))["email"] == "rosa@lab.example"


async def test_the_issuer_is_asked_by_the_code_flow_with_pkce_and_nonce(
    steps: Any, way: Way, jp_serverapp: Any, issuer: Issuer
) -> None:
    request = await steps.create()
    first, second = await way.start(request), await way.start(request)
    url = urlsplit(first.headers["Location"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    mount = f"http://127.0.0.1:{jp_serverapp.port}{jp_serverapp.base_url}cosphere"
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{issuer.url}/authorize"
    assert query["redirect_uri"] == f"{mount}/accounts/oidc/lab/callback/"
    assert (query["response_type"], query["scope"]) == ("code", "openid email profile")
    assert (query["nonce"], query["code_challenge_method"]) == (steps.nonce(request), "S256")
    assert request not in first.headers["Location"] and request.replace("-", "") not in first.headers["Location"]
    again = parse_qs(urlsplit(second.headers["Location"]).query)
    assert query["state"] != again["state"][0] and query["code_challenge"] != again["code_challenge"][0]


async def test_who_does_not_come_from_the_page_is_sent_there_first(steps: Any, way: Way, jp_serverapp: Any) -> None:
    own = f"http://127.0.0.1:{jp_serverapp.port}/x"
    request = await steps.create()
    page = f"{jp_serverapp.base_url}cosphere{CREATE}{request}/authenticate/ui/"
    sites = [{"Sec-Fetch-Site": site} for site in ("none", "cross-site", "same-site", "nonsense")]
    for headers in [{}, *sites, {"Referer": "http://evil.example/"}, {"Sec-Fetch-Site": "cross-site", "Referer": own}]:
        start = await way.start(request, headers)
        assert (start.status, start.headers["Location"]) == (303, page), headers


async def test_a_browser_that_says_no_more_than_where_it_was_is_believed(
    steps: Any, way: Way, jp_serverapp: Any
) -> None:
    start = await way.start(await steps.create(), {"Referer": f"http://127.0.0.1:{jp_serverapp.port}/page"})
    assert "/authorize?" in start.headers["Location"]


async def test_what_does_not_exist_leads_nowhere(steps: Any, way: Way, clock: Any) -> None:
    assert (await way.start("some-uuid")).status == 404
    assert state(await way.start("bfbea6b2-7b31-11ea-83d0-4485007e7d04")) == "expired"
    request = await steps.create()
    assert state(await way.start(request, provider="nobody")) == "expired"
    clock.pass_seconds(601)
    assert state(await way.start(request)) == "expired"


async def test_a_state_that_is_not_ours_is_refused(steps: Any, way: Way) -> None:
    request = await steps.create()
    back = await way.issuer(request)
    query = parse_qs(urlsplit(back).query)
    code, good = query["code"][0], query["state"][0]
    other = (await way.issuer(await steps.create())).split("state=")[1].split("&")[0]
    callback = "/accounts/oidc/lab/callback/"
    for bad in ("", "x", good[:-1], good + "x", "." + good, good.replace("lab.", "labs."), "....", "é" * 20):
        page = await steps.api.get(callback + f"?code={code}&state={html.escape(bad)}".replace("é", "%C3%A9"))
        assert (page.status, state(page)) == (400, "failed"), bad
    for query_string in ("", f"?state={good}", f"?code={code}", f"?error=access_denied&state={good}"):
        page = await steps.api.get(callback + query_string)
        assert (page.status, state(page)) == (400, "failed"), query_string
    # Another request's state with this code: PKCE binds them.
    assert state(await steps.api.get(f"{callback}?code={code}&state={other}")) == "failed"


async def test_another_issuer_may_not_answer(steps: Any, way: Way) -> None:
    back = await way.issuer(await steps.create())
    page = await steps.api.get(re.sub(r"iss=[^&]*", "iss=https%3A%2F%2Fevil.example", back))
    assert (page.status, state(page)) == (400, "failed")
    assert (await steps.api.get(back.replace("/oidc/lab/", "/oidc/other/"))).status == 200  # shown as expired


async def test_a_code_is_good_once_and_the_page_offers_to_try_again(steps: Any, way: Way, jp_serverapp: Any) -> None:
    request = await steps.create()
    back = await way.issuer(request)
    assert state(await steps.api.get(back)) == "confirm"
    again = await steps.api.get(back)
    assert (again.status, state(again)) == (400, "failed")
    assert f'href="{jp_serverapp.base_url}cosphere{CREATE}{request}/authenticate/ui/"' in again.body.decode()


async def test_a_wrong_token_from_the_issuer_signs_nobody_in(steps: Any, way: Way, issuer: Issuer) -> None:
    request = await steps.create()
    changes = [
        {"nonce": "x"},
        {"nonce": None},
        {"aud": "x"},
        {"email_verified": False},
        {"iss": "https://evil.example"},
    ]
    for claims in changes:
        back = await way.issuer(request)
        issuer.claims = claims
        page = await steps.api.get(back)
        assert (page.status, state(page)) == (400, "failed"), claims
        assert b"data-token" not in page.body


async def test_nonsense_from_the_token_endpoint_is_no_error_of_ours(steps: Any, way: Way, issuer: Issuer) -> None:
    back = await way.issuer(await steps.create())
    for answer in ({}, {"id_token": 5}, {"id_token": "x"}, {"error": "invalid_grant"}):
        issuer.token_answer = {**answer, "token_type": "Bearer"}
        page = await steps.api.get(back)
        assert (page.status, state(page)) == (400, "failed"), answer


async def test_an_issuer_that_is_away_is_503_for_people_too(steps: Any, way: Way, issuer: Issuer) -> None:
    request = await steps.create()
    back = await way.issuer(request)
    issuer.token_status = 500
    page = await steps.api.get(back)
    assert (page.status, state(page), page.headers["Retry-After"]) == (503, "failed", "5")


async def test_a_request_that_expires_on_the_way_is_shown_as_expired(steps: Any, way: Way, clock: Any) -> None:
    back = await way.issuer(await steps.create())
    clock.pass_seconds(601)
    page = await steps.api.get(back)
    assert state(page) in ("expired", "failed") and b"data-token" not in page.body


class TestConfidentialClient:
    @pytest.fixture
    def providers(self, issuer: Issuer) -> list[dict[str, Any]]:
        issuer.client_secret = SECRET
        return [{**issuer.provider, "client_secret": SECRET}]

    async def test_the_secret_goes_to_the_issuer_and_nowhere_else(
        self, steps: Any, way: Way, page_of: Any, caplog: Any
    ) -> None:
        request = await steps.create()
        with caplog.at_level("DEBUG"):
            page = await steps.api.get(await way.issuer(request))
            shown = await page_of(request)
        assert state(page) == "confirm"
        assert SECRET.encode() not in page.body + shown.body
        assert all(
            SECRET not in record.getMessage() for record in caplog.records if "Config" not in record.getMessage()
        )


async def test_a_google_with_a_secret_is_like_any_other_issuer(steps: Any, services: Any, page_of: Any) -> None:
    from cosphere_jupyter.accounts.providers import read_providers

    entry = {"name": "google", "issuer": "https://accounts.google.com", "client_id": "x", "client_secret": "y"}
    services.settings = dataclasses.replace(services.settings, providers=read_providers([entry]))
    page = (await page_of(await steps.create())).body
    assert b"Continue with google" in page and b"gsi/client" not in page


async def test_the_address_of_a_server_elsewhere_can_be_said(steps: Any, services: Any, way: Way) -> None:
    first = services.openid.providers[0]
    elsewhere = "https://lab.example/cosphere/accounts/oidc/lab/callback/"
    services.openid.providers = (dataclasses.replace(first, redirect_uri=elsewhere, hosted_domains=("lab.example",)),)
    query = parse_qs(urlsplit((await way.start(await steps.create())).headers["Location"]).query)
    assert (query["redirect_uri"], query["hd"]) == ([elsewhere], ["lab.example"])


async def test_attaching_needs_no_cookie_of_jupyter(steps: Any) -> None:
    request = await steps.create()
    body = {"request_uuid": request, "oauth_token": steps.token(request), "email": "rosa@lab.example"}
    answer = await steps.api.post(ATTACH, body, headers={"Cookie": "_xsrf=wrong; username-x=wrong"})
    assert (answer.status, answer.headers.get_list("Set-Cookie")) == (200, [])


def test_the_files_of_the_page_are_part_of_the_package() -> None:
    from importlib.resources import files

    pages = files("cosphere_jupyter.handlers") / "pages"
    assert {each.name for each in pages.iterdir()} >= {"sign_in.html", "sign_in.css", "sign_in.js"}
