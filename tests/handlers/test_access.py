"""Who may do what: every route and method with every kind of caller, against a table written by hand."""

from __future__ import annotations

import base64
import hmac
import json
import re
import time
from collections.abc import Callable
from typing import Any

from handlers.calls import CALLS, COSPHERE, Row
from support import Answer, Api
from tornado.web import RequestHandler

from cosphere_jupyter.handlers.codalab.oauth import OAuthHandler
from cosphere_jupyter.handlers.routes import ROUTES, handlers
from cosphere_jupyter.handlers.sign_in import SignInHandler

# The way in is for strangers, which tests/sign_in and tests/codalab hold to: what follows is about whom the workspace
# knows.
KNOWN_ROUTES = [route for route in ROUTES if not issubclass(route.handler, SignInHandler | OAuthHandler)]

WITH_BODY = ("POST", "PUT", "PATCH")
VERBS = ("get", "head", "post", "put", "patch", "delete", "options")


def path_of(call: Row) -> str:
    return call.path.partition("?")[0].removeprefix("/")


def is_open(call: Row) -> bool:
    return call.access in ("open", "link")


def lets_pass(call: Row, event: str) -> bool:
    """Whether a caller passes whom the workspace does not know, for a reason."""
    return is_open(call) or (call.access == "public" and event == "COULD_NOT_FIND_AUTH_TOKEN")


def test_every_route_answers_exactly_the_methods_whose_access_it_declares() -> None:
    for route in ROUTES:
        own = {verb.upper() for verb in VERBS if getattr(route.handler, verb) is not getattr(RequestHandler, verb)}
        assert own - {"HEAD", "OPTIONS"} == set(route.access), route.pattern
        assert route.access, f"{route.pattern} declares no access"


def test_every_verb_of_every_handler_tells_jupyter_that_access_is_decided_here() -> None:
    for _, handler, _ in handlers():
        for verb in VERBS:
            method = getattr(handler, verb)
            if method is not getattr(RequestHandler, verb):
                assert getattr(method, "__allow_unauthenticated", False), f"{handler.__name__}.{verb}"


def test_the_table_of_calls_covers_every_route_and_method() -> None:
    uncovered = {(route.pattern, method) for route in KNOWN_ROUTES for method in route.access}
    for call in CALLS:
        matching = [route for route in ROUTES if re.fullmatch(route.pattern, path_of(call))]
        assert len(matching) == 1, call
        uncovered.discard((matching[0].pattern, call.method))
    assert not uncovered


def assert_shape(answer: Answer, call: Row, who: Any, authorised: bool) -> None:
    """What holds for every answer: JSON, no cookie, nothing cached, and its face's shape."""
    what = (call.method, call.path, who, answer.body)
    assert answer.headers.get_list("Set-Cookie") == [], what
    assert answer.headers["Cache-Control"] == "no-store", what
    assert answer.headers["X-Content-Type-Options"] == "nosniff", what
    if answer.status == 301:
        return
    assert answer.headers["Content-Type"] == "application/json", what
    call.face.check_shape(answer, what, authorised)
    if answer.status == 401:
        assert answer.headers["WWW-Authenticate"].startswith(call.face.challenge), what


async def test_each_call_is_answered_to_each_caller_as_the_table_says(
    owner: Api,
    sign_up: Callable[..., Any],
    forge: Callable[..., str],
    browser: Any,
) -> None:
    researcher, admin = await sign_up("rosa@lab.example"), await sign_up("ada@lab.example", "ADMIN")
    disabled, promoted, renewed = [await sign_up(f"{name}@lab.example") for name in ("dis", "pro", "new")]
    await owner.put(f"/accounts/{disabled.account['id']}", {"is_active": False})
    await owner.put(f"/accounts/{promoted.account['id']}", {"type": "ADMIN"})
    await owner.put(f"/accounts/{renewed.account['id']}", {"password": "another password"})
    signed = forge(admin.account)
    broken = signed[:-4] + ("AAAA" if not signed.endswith("AAAA") else "BBBB")
    now = int(time.time())

    def bearer(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    own_origin = owner.base.partition("/a%40b")[0]
    cookie = {"Cookie": browser.cookie}
    with_xsrf = {**cookie, "X-XSRFToken": browser.xsrf}
    # Headers, and what the call is answered with: None where it passes, else status and event.
    missing, mangled = (401, "COULD_NOT_FIND_AUTH_TOKEN"), (401, "AUTH_TOKEN_WAS_BROKEN")
    lacking, nobody = (401, "AUTH_TOKEN_MISSING_FIELDS_DETECTED"), (401, "AUTH_TOKEN_MISSING_ACCOUNT")
    refused = {
        "nobody": ({}, missing),
        "broken token": (bearer(broken), mangled),
        "no token at all": (bearer("nonsense"), mangled),
        "signed with another key": (bearer(forge(admin.account, key=b"k" * 32)), mangled),
        "expired": (bearer(forge(admin.account, exp=now - 5)), (401, "AUTH_TOKEN_EXPIRED")),
        "no id": (bearer(forge(admin.account, id=None)), lacking),
        "no email": (bearer(forge(admin.account, email=None)), lacking),
        "no type": (bearer(forge(admin.account, type=None)), lacking),
        "gone": (bearer(forge({**admin.account, "id": 99_999})), nobody),
        "other email": (bearer(forge({**admin.account, "email": "Ada@lab.example"})), nobody),
        "type made up": (bearer(forge({**researcher.account, "type": "ADMIN"})), nobody),
        "promoted since": ({"Authorization": promoted.authorization}, nobody),
        "disabled since": ({"Authorization": disabled.authorization}, nobody),
        "password changed since": ({"Authorization": renewed.authorization}, nobody),
        "another scheme": ({"Authorization": "Digest cm9zYTpyb3Nh"}, missing),
        "wrong Jupyter token": ({"Authorization": "token wrong"}, mangled),
        "wrong token beside a good cookie": ({**bearer("wrong"), **cookie}, mangled),
        "wrong JWT beside a good cookie": ({**bearer(broken), **cookie}, mangled),
    }
    passing = {
        "ADMIN": {"Authorization": admin.authorization},
        "the owner by Jupyter's token": {"Authorization": owner.authorization},
        "the owner by Jupyter's token as Bearer": bearer(owner.authorization.split()[1]),
        "the owner by cookie with XSRF token": with_xsrf,
        "the owner by cookie from Jupyter's own page": {**with_xsrf, "Origin": own_origin},
        "ADMIN from a foreign page": {"Authorization": admin.authorization, "Origin": "https://evil.example"},
    }
    anybody = owner.of(None)
    for call in CALLS:
        body = {"raw": b"{}"} if call.method in WITH_BODY else {}
        for name, (headers, (status, event)) in refused.items():
            answer = await anybody(call.method, call.path, headers=headers, **body)
            what = (call, name, answer.body)
            assert_shape(answer, call, name, authorised=False)
            expected = call.face.unknown if status == 401 else status
            assert answer.status == (call.status if lets_pass(call, event) else expected), what
            if not lets_pass(call, event):
                call.face.check_event(answer, event, what)
        for name, headers in passing.items():
            answer = await anybody(call.method, call.path, headers=headers, **body)
            assert_shape(answer, call, name, authorised=not is_open(call))
            assert answer.status == call.status, (call, name, answer.body)
            if "Jupyter's token" not in name:
                # Jupyter itself lets other origins read what was asked with its token.
                assert "Access-Control-Allow-Origin" not in answer.headers, (call, name)
        # A researcher is refused what only an ADMIN may, and nothing else.
        answer = await researcher(call.method, call.path, **body)
        assert_shape(answer, call, "RESEARCHER", authorised=not is_open(call))
        assert answer.status == (403 if call.access == "admin" else call.status), (call, "RESEARCHER", answer.body)
        # A cookie is sent by the browser whichever page asks: it reads only, unless Jupyter's XSRF token comes along.
        ambient = {
            "cookie alone": (cookie, 403),
            "cookie with a wrong XSRF token": ({**cookie, "X-XSRFToken": "2|11111111|wrong|1"}, 403),
            "cookie from a foreign page": ({**cookie, "Origin": "https://evil.example"}, 403),
            "cookie and XSRF token from a foreign page": ({**with_xsrf, "Origin": "https://evil.example"}, 403),
        }
        for name, (headers, unsafe) in ambient.items():
            answer = await anybody(call.method, call.path, headers=headers, **body)
            expected = call.status if call.method == "GET" or is_open(call) else unsafe
            if call.has_effects and call.method == "GET":
                # Jupyter's word for a GET that comes from elsewhere.
                expected = 403
            assert answer.status == expected, (call, name, answer.body)
            assert answer.headers.get_list("Set-Cookie") == [], (call, name)
            assert "Access-Control-Allow-Origin" not in answer.headers, (call, name)
        # A name that is not this server's: somebody else's page, by rebinding DNS.
        for host in ("evil.example", "127.0.0.1.evil.example", "evil.example:80"):
            headers = {"Authorization": admin.authorization, "Host": host}
            answer = await anybody(call.method, call.path, headers=headers, **body)
            assert answer.status == 403, (call, host)
            call.face.check_event(answer, "ACCESS_DENIED", (call, host))
            assert_shape(answer, call, host, authorised=False)


async def test_the_caller_is_known_before_the_body_is_read(owner: Api, researcher: Api, admin: Api) -> None:
    garbage = b"{not json"
    anybody = owner.of(None)
    for call in CALLS:
        if call.method not in WITH_BODY:
            continue
        unknown = await anybody(call.method, call.path, raw=garbage)
        assert unknown.status == call.face.unknown, call
        call.face.check_event(unknown, "COULD_NOT_FIND_AUTH_TOKEN", call)
        if call.access == "admin":
            denied = await researcher(call.method, call.path, raw=garbage)
            assert denied.status == 403, call
            call.face.check_event(denied, "ACCESS_DENIED", call)
        answer = await admin(call.method, call.path, raw=garbage)
        if call.path.endswith(("/auth_tokens/", "/samples_and_distributions/")):
            # A command without a body does not look at it.
            assert answer.event in ("COULD_NOT_FIND_ACCOUNT", "COULD_NOT_FIND_CATALOGUEITEM")
            continue
        if call.path.endswith(("/contents/blob/", "/raw")):
            # Whatever is sent are the contents, or the source.
            assert answer.status == call.status, call
            continue
        expected = call.status if call.face.looks_first and call.status == 404 else call.face.unreadable
        assert answer.status == expected, call
        call.face.check_event(answer, "BODY_JSON_DID_NOT_PARSE", call)
        if call.face is COSPHERE:
            assert answer.json["@authorizer"] == {"account_id": admin.account["id"]}, call


async def test_the_query_is_read_after_the_caller_is_known(owner: Api, researcher: Api) -> None:
    for path in ("/catalogue/items/?has_samples=2", "/downloader/requests/?limit=-1"):
        assert (await owner.of(None).get(path)).status == 401
        answer = await researcher.get(path)
        assert (answer.status, answer.event) == (400, "QUERY_DID_NOT_VALIDATE")
        assert answer.json["@authorizer"] == {"account_id": researcher.account["id"]}
    assert (await researcher.get("/accounts/?limit=-1")).json == {"@event": "ACCESS_DENIED", "@type": "error"}


async def test_undeclared_methods_are_refused_before_anybody_is_asked_who_they_are(owner: Api) -> None:
    anybody = owner.of(None)
    for route in KNOWN_ROUTES:
        path, face = next((call.path, call.face) for call in CALLS if re.fullmatch(route.pattern, path_of(call)))
        allowed = {*route.access, "OPTIONS", *(["HEAD"] if "GET" in route.access else [])}
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO"):
            if method in allowed:
                continue
            answer = await anybody(method, path, raw=b"{}" if method in WITH_BODY else None)
            assert answer.status == 405, (method, path, answer.body)
            assert set(answer.headers["Allow"].split(", ")) == allowed, (method, path)
            if method != "HEAD":
                face.check_event(answer, "METHOD_NOT_ALLOWED", (method, path))
        options = await anybody("OPTIONS", path)
        assert (options.status, options.body) == (200, b""), path
        assert set(options.headers["Allow"].split(", ")) == allowed, path


async def test_head_answers_as_get_without_a_body(owner: Api, numbers_item: dict[str, Any]) -> None:
    paths = ["/accounts/me", "/catalogue/items/", f"/catalogue/items/{numbers_item['id']}", "/downloader/requests/"]
    for path in [*paths, "/catalogue/items/424242", "/catalogue/items"]:
        get, head = await owner.get(path), await owner("HEAD", path)
        assert (head.status, head.body) == (get.status, b""), path
        assert head.headers["Content-Length"] == get.headers["Content-Length"], path
    assert (await owner.of(None)("HEAD", "/accounts/me")).status == 401


async def test_a_collection_without_its_slash_leads_to_it(owner: Api, researcher: Api) -> None:
    for path in ("/catalogue/items", "/downloader/requests", "/accounts"):
        answer = await researcher.get(f"{path}?limit=1&query=%2F%2Fevil")
        assert answer.status == 301
        assert answer.headers["Location"] == f"/a%40b/cosphere{path}/?limit=1&query=%2F%2Fevil"
        assert (await researcher.post(path, {})).status == 405


def signed_by_hand(header: dict[str, Any], payload: dict[str, Any], key: bytes) -> str:
    def encoded(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    text = ".".join(encoded(json.dumps(part).encode()) for part in (header, payload))
    digest = "sha512" if header.get("alg") == "HS512" else "sha256"
    return f"{text}.{encoded(hmac.digest(key, text.encode(), digest))}"


async def test_tokens_beyond_the_one_kind_that_is_made_here_are_refused(
    owner: Api, admin: Api, forge: Callable[..., str], key: bytes
) -> None:
    import jwt

    account, now = admin.account, int(time.time())

    def payload(**changes: Any) -> dict[str, Any]:
        claims = {"id": account["id"], "email": account["email"], "type": "ADMIN", "epoch": 0, "exp": now + 600}
        return {**claims, **changes}

    async def answer_to(token: str) -> tuple[int, str]:
        answer = await owner.of(f"Bearer {token}").get("/accounts/me")
        return answer.status, answer.event

    good = (200, "ACCOUNT_READ")
    assert await answer_to(forge(account)) == good
    # Tokens of before named no issuer, or no audience.
    assert await answer_to(jwt.encode(payload(), key)) == good
    assert await answer_to(jwt.encode(payload(iss="cosphere"), key)) == good
    assert await answer_to(jwt.encode(payload(iss="cosphere", aud=["lab", "cosphere"]), key)) == good
    tokens = {
        "HS512": jwt.encode(payload(), key * 2, algorithm="HS512"),
        "HS384": jwt.encode(payload(), key * 2, algorithm="HS384"),
        "HS512 with the same key": signed_by_hand({"alg": "HS512", "typ": "JWT"}, payload(), key),
        "HS256 in lower case": signed_by_hand({"alg": "hs256", "typ": "JWT"}, payload(), key),
        "no alg": signed_by_hand({"typ": "JWT"}, payload(), key),
        "alg null": signed_by_hand({"alg": None}, payload(), key),
        "alg none": jwt.encode(payload(), None, algorithm="none"),
        "alg none with a signature": jwt.encode(payload(), None, algorithm="none") + forge(account).split(".")[2],
        "no exp": forge(account, exp=None),
        "exp in 10**30": forge(account, exp=10**30),
        "exp in a year": forge(account, exp=now + 365 * 86400),
        "exp as text": jwt.PyJWT().encode(payload(exp=str(now + 600)), key),
        "exp no number": jwt.PyJWT().encode(payload(exp="soon"), key),
        "exp null": jwt.PyJWT().encode(payload(exp=None), key),
        "exp a list": jwt.PyJWT().encode(payload(exp=[1]), key),
        "exp infinite": jwt.PyJWT().encode(payload(exp=float("inf")), key),
        "exp not a number": jwt.PyJWT().encode(payload(exp=float("nan")), key),
        "not yet": forge(account, iat=now + 3600),
        "unknown critical header": jwt.encode(payload(), key, headers={"crit": ["x"], "x": 1}),
        "id as text": forge({**account, "id": str(account["id"])}),
        "id as list": forge({**account, "id": [account["id"]]}),
        "id true": forge({**account, "id": True}),
        "email a number": forge({**account, "email": 7}),
        "type a list": forge({**account, "type": ["ADMIN"]}),
        "another issuer": forge(account, iss="https://accounts.example"),
        "issuer null": signed_by_hand({"alg": "HS256"}, payload(iss=None), key),
        "issuer a list": signed_by_hand({"alg": "HS256"}, payload(iss=["cosphere"]), key),
        "another audience": forge(account, aud="cosphere-tasks"),
        "other audiences": forge(account, aud=["a", "b"]),
        "no audience of several": forge(account, aud=[]),
        "audience null": signed_by_hand({"alg": "HS256"}, payload(aud=None), key),
        "audience an object": forge(account, aud={"cosphere": 1}),
        "payload a list": jwt.PyJWS().encode(b"[1]", key),
        "payload no JSON": jwt.PyJWS().encode(b"\xff\xfe", key),
        "payload deep": jwt.PyJWS().encode(b"[" * 3000 + b"]" * 3000, key),
        "dots alone": "..",
        "9 KB": forge(account, jti="x" * 9000),
    }
    for name, token in tokens.items():
        assert await answer_to(token) == (401, "AUTH_TOKEN_WAS_BROKEN"), name
    for name, claims in {
        "id beyond 64 bits": {"id": 2**70},
        "id negative": {"id": -1},
        "id zero": {"id": 0},
        "epoch of before": {"epoch": -1},
        "epoch to come": {"epoch": 1},
        "epoch as text": {"epoch": "0"},
        "no epoch": {"epoch": None},
    }.items():
        assert await answer_to(forge(account, **claims)) == (401, "AUTH_TOKEN_MISSING_ACCOUNT"), name


async def test_only_one_well_formed_authorization_header_counts(owner: Api, admin: Api, browser: Any) -> None:
    token = admin.authorization.split()[1]
    good = ["Bearer", "bearer", "BEARER", "bEaReR"]
    for scheme in good:
        assert (await owner.of(f"{scheme} {token}").get("/accounts/me")).status == 200, scheme
    assert (await owner.of(f"Bearer   {token}").get("/accounts/me")).status == 200
    for header in [
        "Bearer",
        f"Bearer {token} x",
        "Bearer a b",
        f"Bearer {token}, Bearer {token}",
        f"Bearer {token},Basic x",
        "Basic x",
        "Basic",
        token,
        f"Bearer:{token}",
        f"JWT {token}",
        "Bearer \u00e9",
        f'Bearer "{token}"',
    ]:
        answer = await owner.of(header).get("/accounts/me")
        assert (answer.status, answer.event) == (401, "COULD_NOT_FIND_AUTH_TOKEN"), header
        # It is a credential, though a bad one: the cookie beside it is not looked at.
        beside = await owner.of(header).get("/accounts/me", headers={"Cookie": browser.cookie})
        assert beside.status == 401, header
    for path in (f"/accounts/me?access_token={token}", f"/accounts/me?token={token}"):
        assert (await owner.of(None).get(path)).status == 401, "a JWT counts in the header only"


async def test_an_account_is_shown_its_own_requests_only(
    sign_up: Callable[..., Any], owner: Api, numbers_item: dict[str, Any]
) -> None:
    one, two = await sign_up("one@lab.example"), await sign_up("two@lab.example", "ADMIN")
    requests = {}
    for caller, columns in ((one, ["n"]), (two, ["word"])):
        body = {"catalogue_item_id": numbers_item["id"], "spec": {"columns": columns, "filters": []}}
        requests[caller] = (await caller.post("/downloader/requests/", body)).json["id"]
    for caller, other in ((one, two), (two, one)):
        assert (await caller.get(f"/downloader/requests/{requests[caller]}")).status == 200
        hidden = await caller.get(f"/downloader/requests/{requests[other]}")
        assert (hidden.status, hidden.event) == (404, "COULD_NOT_FIND_DOWNLOADREQUEST")
        listed = (await caller.get("/downloader/requests/")).json["requests"]
        assert [each["id"] for each in listed] == [requests[caller]]
        assert json.dumps(requests[caller]) == str(listed[0]["id"])
