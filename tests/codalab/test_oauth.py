"""OAuth2 as the command line uses it: what is answered to every form, and where its tokens are good."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any

from codalab.conftest import CLIENT, FORM, PASSWORD, Clock, OAuth, as_command_line
from support import Answer, Api
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

TOKEN = re.compile(r"[A-Za-z0-9]{30}")
# One GET of each face; they answer 200 to whoever is known.
FACES = ("/accounts/me", "/catalogue/items/", "/v1/tasks", "/api/download_types", "/api/v1/users/me", "/rest/user")
GOOD = {"grant_type": "password", "username": "rosa", "password": PASSWORD}


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in GOOD.items() if key != name}


def assert_error(answer: Answer, status: int, error: str, description: str | None = None) -> None:
    told = {"error": error, **({"error_description": description} if description else {})}
    assert (answer.status, answer.json) == (status, told), answer.body
    assert_headers(answer)
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def assert_headers(answer: Answer) -> None:
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")


async def test_a_password_gives_a_pair_of_tokens_by_user_name_or_address(oauth: OAuth, rosa: Api) -> None:
    for name in ("ROSA@lab.example", "rosa@lab.example", " rosa ", "rosa"):
        answer = await oauth.password(name)
        assert answer.status == 200, answer.body
    assert_headers(answer)
    pair = answer.json
    assert {key: pair[key] for key in ("expires_in", "token_type", "scope")} == {
        "expires_in": 3600,
        "token_type": "Bearer",
        "scope": "default",
    }
    assert set(pair) == {"access_token", "refresh_token", "expires_in", "token_type", "scope"}
    assert TOKEN.fullmatch(pair["access_token"]) and TOKEN.fullmatch(pair["refresh_token"])
    shown = await rosa.of(f"Bearer {pair['access_token']}").get("/rest/user")
    assert shown.json["data"]["attributes"]["email"] == "rosa@lab.example"


FORMS: list[tuple[Any, str | None, int, str, str | None]] = [
    ({**GOOD, "password": "wrong horse battery"}, CLIENT, 401, "invalid_grant", "Invalid credentials given."),
    ({**GOOD, "username": "nobody"}, CLIENT, 401, "invalid_grant", "Invalid credentials given."),
    ({**GOOD, "username": "nobody@lab.example"}, CLIENT, 401, "invalid_grant", "Invalid credentials given."),
    ({**GOOD, "username": "0"}, CLIENT, 401, "invalid_grant", "Invalid credentials given."),
    ({**GOOD, "username": "ro\0sa"}, CLIENT, 401, "invalid_grant", "Invalid credentials given."),
    (without("password"), CLIENT, 400, "invalid_request", "Request is missing password parameter."),
    ({**GOOD, "password": ""}, CLIENT, 400, "invalid_request", "Request is missing password parameter."),
    (without("username"), CLIENT, 400, "invalid_request", "Request is missing username parameter."),
    (GOOD, None, 401, "invalid_client", None),
    (GOOD, basic("unknown_client:"), 401, "invalid_client", None),
    (GOOD, basic("codalab_cli_client:secret"), 401, "invalid_client", None),
    (GOOD, basic("codalab_cli_client"), 401, "invalid_client", None),
    (GOOD, "Basic !!!", 401, "invalid_client", None),
    (GOOD, "Bearer codalab_cli_client", 401, "invalid_client", None),
    ({**GOOD, "client_id": "unknown"}, None, 401, "invalid_client", None),
    ({**GOOD, "client_id": "codalab_worker_client"}, CLIENT, 401, "invalid_client", None),
    ({**GOOD, "client_secret": "s"}, CLIENT, 401, "invalid_client", None),
    ({**GOOD, "scope": "everything"}, CLIENT, 401, "invalid_scope", None),
    (without("grant_type"), CLIENT, 400, "unsupported_grant_type", None),
    ({**GOOD, "grant_type": "client_credentials"}, CLIENT, 400, "unsupported_grant_type", None),
    ({}, CLIENT, 400, "unsupported_grant_type", None),
    ([*GOOD.items(), ("password", PASSWORD)], CLIENT, 400, "invalid_request", "A parameter is repeated."),
    (b"grant_type=password&username=%ff", CLIENT, 400, "invalid_request", "The body is no form in UTF-8."),
    (b"grant_type=" + b"x" * 70000, CLIENT, 400, "invalid_request", "The body is too large."),
    (
        {"grant_type": "refresh_token"},
        CLIENT,
        400,
        "invalid_request",
        "Request is missing refresh_token parameter.",
    ),
    ({"grant_type": "refresh_token", "refresh_token": "A" * 30}, CLIENT, 401, "invalid_grant", None),
    ({"grant_type": "refresh_token", "refresh_token": "é"}, CLIENT, 401, "invalid_grant", None),
]


async def test_a_form_that_gives_no_token_is_told_why_in_the_words_of_the_rfc(
    oauth: OAuth, rosa: Api, clock: Clock
) -> None:
    for form, client, *expected in FORMS:
        assert_error(await oauth.send("token", form, client), *expected)
        # So that wrong passwords are forgotten.
        clock.pass_seconds(2 * 3600)


CLIENTS: list[tuple[str | None, dict[str, str]]] = [
    (CLIENT, {}),
    (basic("codalab_worker_client:"), {}),
    (None, {"client_id": "codalab_cli_client"}),
    (None, {"client_id": "codalab_cli_client", "client_secret": ""}),
    (CLIENT, {"client_id": "codalab_cli_client", "scope": "default", "unknown": "x", "state": ""}),
]


async def test_the_client_is_named_by_basic_or_in_the_form(oauth: OAuth, rosa: Api) -> None:
    for client, others in CLIENTS:
        answer = await oauth.token(client, **GOOD, **others)
        assert answer.status == 200, (client, others, answer.body)


async def test_only_forms_in_the_body_count(oauth: OAuth, rosa: Api) -> None:
    query = f"?grant_type=password&username=rosa&password={PASSWORD.replace(' ', '+')}"
    in_address = await oauth.api.post(f"/rest/oauth2/token{query}", raw=b"", headers={"Authorization": CLIENT})
    assert_error(in_address, 400, "unsupported_grant_type")
    in_json = await oauth.api.post("/rest/oauth2/token", GOOD, headers={"Authorization": CLIENT})
    assert_error(in_json, 400, "unsupported_grant_type")
    for kind in ("application/json", "text/plain", ""):
        answer = await oauth.send("token", GOOD, CLIENT, **{"Content-Type": kind})
        assert_error(answer, 400, "unsupported_grant_type")
    for kind in (FORM.upper(), f"{FORM}; charset=utf-8"):
        assert (await oauth.send("token", GOOD, CLIENT, **{"Content-Type": kind})).status == 200


async def test_other_methods_and_other_hosts_are_refused(oauth: OAuth) -> None:
    for endpoint in ("token", "revoke"):
        path = f"/rest/oauth2/{endpoint}"
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            answer = await oauth.api(method, path, raw=b"" if method in ("PUT", "PATCH") else None)
            assert (answer.status, answer.headers["Allow"]) == (405, "OPTIONS, POST"), (endpoint, method)
        assert (await oauth.send(endpoint, GOOD, CLIENT, Host="evil.example")).status == 403
        assert (await oauth.api("OPTIONS", path)).status == 200


async def test_an_access_token_is_good_on_every_face(oauth: OAuth, rosa: Api) -> None:
    pair = (await oauth.password("rosa")).json
    bearer = rosa.of(f"Bearer {pair['access_token']}")
    for path in FACES:
        assert (await bearer.get(path)).status == 200, path
    assert (await bearer.get("/accounts/me")).json["id"] == rosa.account["id"]


async def test_what_has_the_shape_of_an_access_token_is_one_or_refused(
    oauth: OAuth, rosa: Api, browser_cookie: str
) -> None:
    pair = (await oauth.password("rosa")).json
    good = pair["access_token"]
    for bad in ("A" * 30, good[:-1] + ("a" if good[-1] != "a" else "b"), good.swapcase(), pair["refresh_token"]):
        for headers in ({}, {"Cookie": browser_cookie}):
            for path in FACES:
                answer = await rosa.of(f"Bearer {bad}").get(path, headers=headers)
                assert answer.status == (403 if path.startswith("/rest") else 401), (bad, path)
    assert (await rosa.of(f"token {good}").get("/accounts/me")).status == 401, "a token of Jupyter is something else"


async def test_the_command_line_is_told_of_a_bad_token_in_plain_text(rosa: Api) -> None:
    for authorization, is_sent in ((f"Bearer {'A' * 30}", True), (None, False)):
        answer = await as_command_line(rosa.of(authorization)).get("/rest/user")
        assert (answer.status, answer.body) == (401, b"User is not authenticated.")
        assert ('error="invalid_token"' in answer.headers["WWW-Authenticate"]) == is_sent


async def test_an_access_token_ends_after_an_hour(oauth: OAuth, rosa: Api, clock: Clock) -> None:
    bearer = rosa.of(f"Bearer {(await oauth.password('rosa')).json['access_token']}")
    clock.pass_seconds(3590)
    assert (await bearer.get("/accounts/me")).status == 200
    clock.pass_seconds(15)
    answer = await eventually_refused(bearer)
    assert (answer.status, answer.event) == (401, "AUTH_TOKEN_EXPIRED")


async def eventually_refused(bearer: Api) -> Answer:
    """Ask until what was known a moment ago is forgotten, which is a second."""
    for _ in range(50):
        answer = await bearer.get("/accounts/me")
        if answer.status != 200:
            return answer
        await asyncio.sleep(0.1)
    return answer


async def test_whatever_raises_the_epoch_of_an_account_ends_its_tokens(oauth: OAuth, owner: Api, rosa: Api) -> None:
    path = f"/accounts/{rosa.account['id']}"
    for change in ({"type": "ADMIN"}, {"is_active": False}, {"password": "another password"}):
        pair = (await oauth.password("rosa")).json
        bearer = rosa.of(f"Bearer {pair['access_token']}")
        assert (await bearer.get("/accounts/me")).status == 200
        assert (await owner.put(path, change)).status == 200
        answer = await bearer.get("/accounts/me")
        assert (answer.status, answer.event) == (401, "AUTH_TOKEN_MISSING_ACCOUNT"), change
        assert_error(await oauth.refresh(pair["refresh_token"]), 401, "invalid_grant")
        if "is_active" in change:
            assert_error(await oauth.password("rosa"), 401, "invalid_grant", "Invalid credentials given.")
            assert (await owner.put(path, {"is_active": True})).status == 200
            assert (await bearer.get("/accounts/me")).status == 401, "what was ended stays so"


async def test_a_change_that_touches_no_right_leaves_tokens_alone(oauth: OAuth, owner: Api, rosa: Api) -> None:
    pair = (await oauth.password("rosa")).json
    assert (await owner.put(f"/accounts/{rosa.account['id']}", {"name": "Rosa Luxemburg"})).status == 200
    assert (await rosa.of(f"Bearer {pair['access_token']}").get("/accounts/me")).json["name"] == "Rosa Luxemburg"


async def test_basic_authentication_takes_user_names_too(rosa: Api) -> None:
    for path in FACES:
        assert (await rosa.of(basic(f"rosa:{PASSWORD}")).get(path)).status == 200, path
    assert (await rosa.of(basic("rosa:wrong horse battery")).get("/accounts/me")).status == 401
    assert (await rosa.of(basic(f"0:{PASSWORD}")).get("/accounts/me")).status == 401, "an id is no name"


async def test_guesses_are_limited_together_by_whichever_name_and_on_whichever_way(oauth: OAuth, rosa: Api) -> None:
    wrong = "wrong horse battery"
    for name in ("rosa", "rosa@lab.example", "rosa"):
        assert (await oauth.password(name, wrong)).status == 401
    for name in ("rosa", "rosa@lab.example"):
        assert (await rosa.of(basic(f"{name}:{wrong}")).get("/accounts/me")).status == 401
    answer = await oauth.password("rosa")
    assert (answer.status, answer.json["error"]) == (429, "invalid_grant")
    assert int(answer.headers["Retry-After"]) >= 1
    assert_headers(answer)
    assert (await rosa.get("/accounts/me")).status == 200, "tokens of before are never locked"


async def test_a_password_that_was_right_a_moment_ago_is_not_hashed_again(
    oauth: OAuth, rosa: Api, services: Any
) -> None:
    for _ in range(5):
        assert (await oauth.password("rosa")).status == 200
    assert services.password_verifier._passwords.verifications == 1


async def test_where_passwords_are_switched_off_nobody_signs_in_but_who_has_may_refresh(
    oauth: OAuth, rosa: Api, services: Any
) -> None:
    pair = (await oauth.password("rosa")).json
    services.basic.is_offered = False
    assert_error(await oauth.password("rosa"), 400, "unauthorized_client", "Nobody signs in with a password here.")
    assert (await oauth.refresh(pair["refresh_token"])).status == 200


async def test_the_last_sign_in_is_shown(oauth: OAuth, rosa: Api) -> None:
    async def last_login() -> Any:
        return (await rosa.get("/rest/user")).json["data"]["attributes"]["last_login"]

    assert await last_login() is None
    await oauth.password("rosa")
    assert re.fullmatch(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", await last_login())


async def test_a_page_of_a_browser_is_asked_for_no_password(oauth: OAuth, rosa: Api) -> None:
    for headers, challenge in (({}, "Basic"), ({"Sec-Fetch-Mode": "cors"}, "Bearer")):
        answer = await oauth.send("token", {**GOOD, "password": "x"}, CLIENT, **headers)
        assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith(f"{challenge} ")
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_password_comes_over_tls_or_from_this_machine(
    oauth: OAuth, rosa: Api, jp_serverapp: Any, services: Any
) -> None:
    socket, port = bind_unused_port()
    server = HTTPServer(jp_serverapp.web_app, xheaders=True)
    server.add_socket(socket)
    proxied = OAuth(f"http://127.0.0.1:{port}{jp_serverapp.base_url}cosphere")
    verified = services.password_verifier._passwords.verifications
    try:
        plain = await proxied.send("token", GOOD, CLIENT, **{"X-Forwarded-For": "192.0.2.7"})
        assert (plain.status, plain.json["error"]) == (403, "invalid_request")
        assert services.password_verifier._passwords.verifications == verified, "it was not looked at"
        headers = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
        assert (await proxied.send("token", GOOD, CLIENT, **headers)).status == 200
    finally:
        server.stop()
        await server.close_all_connections()


async def test_strange_paths_and_parameters_are_the_callers_mistake(oauth: OAuth, owner: Api, rosa: Api) -> None:
    paths = [
        "/rest/users/%00", "/rest/users/%ff", "/rest/users/%2e%2e", "/rest/users/" + "x" * 3000,
        "/rest/groups/%00", "/rest/groups/%ff", "/rest/groups/%2e%2e", "/rest/groups/0x" + "f" * 400,
        "/rest/groups/_%25", "/rest/oauth2", "/rest/oauth2/authorize", "/rest/oauth2/errors", "/rest/user/x",
        "/rest/users?keywords=%ff", "/rest/users?keywords=%00", "/rest/users?keywords=.format=%25%25",
        "/rest/users?keywords=a" + "%25" * 40, "/rest/users?" + "keywords=a&" * 100,
        "/rest/users?keywords=.disk_used_more_than=" + "9" * 300, "/rest/users?keywords=.disk_used_more_than=nan%25",
        "/rest/users?keywords=.joined_before=" + "9" * 50, "/rest/users?keywords=.limit=" + "9" * 5000,
    ]  # fmt: skip
    for caller in (owner, rosa, owner.of(None)):
        for path in paths:
            answer = await caller.get(path)
            assert 200 <= answer.status < 500, (path[:60], answer.body[:200])
            assert answer.headers["Content-Type"] == "application/json", path[:60]
