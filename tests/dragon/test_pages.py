"""Web pages: whose key is good, which may read answers, and what they may send before they ask (CORS, Referer)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dragon.conftest import GOOD, create
from hypothesis import given
from hypothesis import strategies as st
from support import Api

from cosphere_jupyter.accounts.task_credentials import Page, as_written, origin_of

HELLO = {"task_name": "hello", "name": "John"}

# Referers, or origins, that come from a page of https://good.example.
SAME = ["https://good.example", "https://good.example/", "https://good.example:443/a?b#c", "HTTPS://Good.EXAMPLE/x"]
OTHER = [
    "http://good.example/",
    "https://good.example:8443/",
    "https://good.example.evil.com/",
    "https://good.example@evil.com/",
    "https://evil.com/https://good.example/",
    "https://evil.com?https://good.example",
    "https://evil.com#https://good.example",
    "https://evil.com\\@good.example/",
    "https://good.example\\.evil.com/",
    "https://good.example%2eevil.com/",
    "https://agood.example/",
    "https://www.good.example/",
    "https://good.example./",
    "https://good",
    "https:good.example",
    "//good.example/",
    "good.example",
    "https://",
    "null",
    "",
    "*",
    "file:///good.example",
    "https://user:password@good.example/",
    "https://good.example:443:443/",
    "https://good.example:0443000/",
    "https://[good.example]/",
    "https://good.exаmple/",  # a Cyrillic letter
    "https://good.example /",
    "javascript:https://good.example",
]


async def test_an_api_key_is_good_for_pages_of_its_whitelist_only(anybody: Api, api_key: str) -> None:
    body = {"tasks": HELLO, "api_key": api_key}
    for referer in SAME:
        assert (await anybody.post("/v1/create", body, headers={"Referer": referer})).status == 200, referer
    for referer in OTHER:
        header = referer.encode().decode("latin-1")
        answer = await anybody.post("/v1/create", body, headers={"Referer": header})
        assert (answer.status, answer.json["status"]) == (401, "error"), referer
        assert "Access-Control-Allow-Origin" not in answer.headers
    for headers in (
        {},
        {"Referrer": GOOD},
        {"Referer": GOOD, "Origin": "https://evil.com"},
        {"Referer": "https://evil.com/", "Origin": GOOD},
        {"Referer": GOOD, "Origin": "null"},
    ):
        assert (await anybody.post("/v1/create", body, headers=headers)).status == 401, headers
    assert (await anybody.post("/v1/create", body, headers={"Origin": GOOD})).status == 200, "where no Referer is sent"


async def test_each_key_has_its_own_whitelist(anybody: Api, credential: Callable[..., Any]) -> None:
    one = await credential("api_key", referers=["https://one.example", "http://localhost:3000"])
    two = await credential("api_key", referers=["https://two.example"])
    matrix = {
        (one, "https://one.example"): 200,
        (one, "http://localhost:3000"): 200,
        (one, "http://localhost"): 401,
        (one, "http://localhost:3001"): 401,
        (one, "https://two.example"): 401,
        (two, "https://two.example"): 200,
        (two, "https://one.example"): 401,
    }
    for (key, origin), status in matrix.items():
        headers = {"Referer": f"{origin}/", "Origin": origin}
        answer = await anybody.post("/v1/create", {"tasks": HELLO, "api_key": key}, headers=headers)
        assert answer.status == status, origin


def assert_readable(answer: Any, origin: str | None) -> None:
    assert answer.headers["Vary"] == "Origin"
    assert answer.headers.get("Access-Control-Allow-Origin") == origin
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_whitelisted_pages_can_read_answers_and_errors(anybody: Api, api_key: str) -> None:
    page = {"Origin": GOOD, "Referer": f"{GOOD}/"}
    calls: list[tuple[str, str, Any, int]] = [
        ("POST", "/v1/create", {"tasks": HELLO, "api_key": api_key}, 200),
        ("POST", "/v1/create", {"api_key": api_key}, 400),
        ("POST", "/v1/create", {"tasks": HELLO, "api_key": "wrong"}, 401),
        ("POST", "/v1/create", {"tasks": HELLO}, 401),
        ("POST", "/v1/cancel", {"tasks": "A", "api_key": api_key}, 403),
        ("POST", "/v1/create_file/x", {"task": HELLO, "api_key": api_key}, 404),
        ("PUT", "/v1/create", {}, 405),
        ("POST", "/v1/create_stream", {"tasks": HELLO, "api_key": api_key}, 200),
    ]
    for method, path, body, status in calls:
        answer = await anybody(method, path, body, headers=page)
        assert answer.status == status, (path, answer.body)
        assert_readable(answer, GOOD)
    answer = await anybody.get(f"/v1/status?tasks=A&api_key={api_key}", headers=page)
    assert_readable(answer, GOOD)


async def test_whitelisted_pages_can_read_output_files_and_others_can_not(
    anybody: Api, api_key: str, owner: Api
) -> None:
    (task,) = await create(owner, {"task_name": "one_file", "text": "hello"}, block=True)
    link = task["result"]["output"]
    for url, status in ((link, 200), (link + "0", 403)):
        answer = await anybody.get(url, headers={"Origin": GOOD})
        assert answer.status == status, answer.body
        assert_readable(answer, GOOD)
        for others in ({"Origin": "https://evil.com"}, {"Origin": "null"}, {}):
            assert_readable(await anybody.get(url, headers=others), None)


async def test_other_pages_can_read_nothing(anybody: Api, api_key: str, owner: Api, browser: Any) -> None:
    for origin in OTHER[1:]:
        header = {"Origin": origin.encode().decode("latin-1")}
        for answer in (
            await anybody.post("/v1/create", {"tasks": HELLO}, headers=header),
            await owner.get("/v1/tasks", headers=header),
            await anybody("OPTIONS", "/v1/create", headers=header),
        ):
            assert_readable(answer, None)
    # What a browser sends by itself is for Jupyter's own pages, whatever the whitelist says.
    listed = await anybody.get("/v1/tasks", headers={"Cookie": browser.cookie, "Origin": GOOD})
    assert listed.status == 200
    assert_readable(listed, None)


async def test_a_page_may_ask_first(anybody: Api, api_key: str, owner: Api) -> None:
    headers = {
        "Origin": GOOD,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    for path in ("/v1/create", "/v1/create/", "/v1/status", "/v1/create_file/a.jpg", "/v1/status_stream"):
        answer = await anybody("OPTIONS", path, headers=headers)
        assert answer.status == 200 and answer.body == b""
        assert_readable(answer, GOOD)
        assert "POST" in answer.headers["Access-Control-Allow-Methods"].split(", ")
        assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
    refused = await anybody("OPTIONS", "/v1/create", headers={**headers, "Origin": "https://good.example.evil.com"})
    assert_readable(refused, None)
    assert "Access-Control-Allow-Headers" not in refused.headers
    await owner.delete(f"/accounts/task_credentials/{api_key.split('_')[1]}")
    assert_readable(await anybody("OPTIONS", "/v1/create", headers=headers), None)


async def test_a_foreign_page_cannot_make_a_browser_create_anything(anybody: Api, browser: Any, owner: Api) -> None:
    cookie = {"Cookie": browser.cookie}
    text = {"Content-Type": "text/plain"}
    attempts: list[tuple[str, str, Any, dict[str, str]]] = [
        ("POST", "/v1/create", {"tasks": HELLO}, {**text, "Origin": "https://evil.com"}),
        ("POST", "/v1/create", {"tasks": HELLO}, {**text, "Origin": "null"}),
        ("POST", "/v1/create", {"tasks": HELLO}, {**text, "Sec-Fetch-Mode": "no-cors"}),
        ("POST", "/v1/create", {"tasks": HELLO}, text),
        ("POST", "/v1/cancel", {"tasks": "A"}, text),
    ]
    for method, path, body, headers in attempts:
        answer = await anybody(method, path, body, headers={**cookie, **headers})
        assert answer.status in (403, 404), (path, headers, answer.body)
    for headers in ({}, {"Referer": "https://evil.com/"}, {"Sec-Fetch-Site": "same-origin"}):
        answer = await anybody.get("/v1/create_file/x?task_name=hello&name=x", headers={**cookie, **headers})
        assert (answer.status, answer.json["status"]) == (403, "error"), headers
    assert (await owner.get("/v1/tasks")).json == []
    allowed = await anybody.post("/v1/create", {"tasks": HELLO}, headers={**cookie, "X-XSRFToken": browser.xsrf})
    assert allowed.status == 200, "a page of Jupyter itself may"


async def test_a_page_of_another_origin_reads_nothing_by_jupyter_s_token_either(owner: Api) -> None:
    await create(owner, HELLO)
    answer = await owner.get("/v1/tasks", headers={"Origin": "https://evil.com"})
    assert_readable(answer, None)


@given(
    st.sampled_from(["http", "https"]),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z0-9]{1,8}){0,3}", fullmatch=True),
    st.integers(1, 65535),
)
def test_an_origin_is_scheme_host_and_port(scheme: str, host: str, port: int) -> None:
    origin = f"{scheme}://{host}:{port}"
    assert origin_of(origin) == origin
    assert origin_of(f"{origin}/any/path?query#part") == origin
    assert origin_of(origin.upper()) == origin
    assert origin_of(as_written(origin)) == origin
    default = {"http": 80, "https": 443}[scheme]
    assert (origin_of(f"{scheme}://{host}") == origin) == (port == default)
    assert Page(f"{origin}/x").is_among([origin])
    for more in (f"{origin}0", f"{origin}@evil.com", f"x{origin}", f"{origin}\\", f" {origin}", f"{origin}\n"):
        assert not Page(more).is_among([origin]) or origin_of(more) == origin


@given(st.text(max_size=60))
def test_no_text_is_taken_for_an_origin_by_mistake(text: str) -> None:
    found = origin_of(text)
    assert found is None or text.lower().startswith(("http://", "https://"))
    assert origin_of(f"https://good.example{text}") in (None, "https://good.example:443") or text[:1] not in "/?#"
