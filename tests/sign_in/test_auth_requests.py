"""The four account commands by contract: answers, messages, order of checks, expiry, limits, races."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import uuid
from collections import Counter
from typing import Any

import pytest
from sign_in.conftest import ATTACH, CREATE, PASSWORD, REDEEM
from support import Api

from cosphere_jupyter.errors import TooManyAttempts

UNKNOWN = "bfbea6b2-7b31-11ea-83d0-4485007e7d04"


async def test_a_request_is_made_for_anybody_whatever_the_body(anybody: Api) -> None:
    for raw in (b"", b"garbage{", b"\xff\xfe", b"[1, 2]", b"null", b'{"request_uuid": 5}', b"[" * 50_000):
        answer = await anybody.post(CREATE, raw=raw)
        assert answer.status == 201
        assert set(answer.json) == {"@event", "@type", "authenticate_ui_uri", "request_uuid"}
        assert (answer.event, answer.json["@type"]) == ("AUTH_REQUEST_CREATED", "auth_request")
        assert uuid.UUID(answer.json["request_uuid"]).version == 4
        assert str(uuid.UUID(answer.json["request_uuid"])) == answer.json["request_uuid"]


async def test_the_uri_of_the_page_is_a_path_of_this_server_that_a_browser_can_open(
    anybody: Api, jp_serverapp: Any
) -> None:
    created = (await anybody.post(CREATE)).json
    expected = f"{jp_serverapp.base_url}cosphere{CREATE}{created['request_uuid']}/authenticate/ui/"
    assert created["authenticate_ui_uri"] == expected
    page = await anybody.get(f"http://127.0.0.1:{jp_serverapp.port}{created['authenticate_ui_uri']}")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=UTF-8")


async def test_a_person_attaches_an_account_and_the_program_fetches_one_token(steps: Any) -> None:
    request = await steps.create()
    early = await steps.redeem(request)
    assert (early.status, early.json) == (404, {"@event": "COULD_NOT_FIND_AUTHREQUEST", "@type": "error"})

    attached = await steps.attach(request)
    assert (attached.status, attached.json) == (200, {"@event": "ACCOUNT_TO_AUTH_REQUEST_ATTACHED", "@type": "empty"})

    redeemed = await steps.redeem(request)
    assert (redeemed.status, redeemed.event, redeemed.json["@type"]) == (201, "AUTH_TOKEN_CREATED", "auth_token")
    assert set(redeemed.json) == {"@event", "@type", "token"}
    me = await steps.me(redeemed)
    assert (me["email"], me["type"]) == ("rosa@lab.example", "RESEARCHER")

    again = await steps.redeem(request)
    assert (again.status, again.event) == (404, "COULD_NOT_FIND_AUTHREQUEST")
    assert (await steps.attach(request)).status == 404


async def test_fields_are_told_by_the_words_of_the_api(anybody: Api) -> None:
    required, invalid = ["This field is required."], ["Must be a valid UUID."]
    attach = [
        ({}, {"request_uuid": required, "oauth_token": required, "email": required}),
        (
            {"email": "jacky@somewhere.org", "request_uuid": "some-uuid"},
            {"oauth_token": required, "request_uuid": invalid},
        ),
        (
            {"request_uuid": None, "oauth_token": "", "email": "nobody"},
            {
                "request_uuid": ["This field may not be null."],
                "oauth_token": ["This field may not be blank."],
                "email": ["Enter a valid email address."],
            },
        ),
        (
            {"request_uuid": [], "oauth_token": [], "email": {}},
            {"request_uuid": invalid, "oauth_token": ["Not a valid string."], "email": ["Not a valid string."]},
        ),
    ]
    for body, errors in attach:
        answer = await anybody.post(ATTACH, body)
        assert (answer.status, answer.event, answer.errors) == (400, "BODY_DID_NOT_VALIDATE", errors), body
        assert "@authorizer" not in answer.json
    for value in ("", "some-uuid", "5", -1, 2**128, 1.5, {}, "ü" * 32, "\ud800"):
        answer = await anybody.post(REDEEM, {"request_uuid": value})
        assert (answer.status, answer.errors) == (400, {"request_uuid": invalid}), value
    for raw, event in ((b"{", "BODY_JSON_DID_NOT_PARSE"), (b"[]", "BODY_DID_NOT_VALIDATE")):
        for path in (ATTACH, REDEEM, PASSWORD):
            answer = await anybody.post(path, raw=raw)
            assert (answer.status, answer.event) == (400, event)


async def test_a_uuid_may_come_without_dashes_or_as_a_number(steps: Any) -> None:
    for spelling in (
        lambda each: each.hex,
        lambda each: each.int,
        lambda each: str(each).upper(),
        lambda each: each.urn,
    ):
        request = uuid.UUID(await steps.create())
        assert (await steps.attach(spelling(request), steps.token(str(request)))).status == 200
        assert (await steps.redeem(spelling(request))).status == 201


async def test_checks_come_in_their_order_request_then_token_then_address(steps: Any) -> None:
    async def tried(request: str, token: str, email: str) -> tuple[int, str]:
        answer = await steps.attach(request, token, email)
        assert set(answer.json) == {"@event", "@type"}
        return answer.status, answer.event

    request = await steps.create()
    good = steps.token(request)
    assert await tried(UNKNOWN, "broken", "other@lab.example") == (404, "COULD_NOT_FIND_AUTHREQUEST")
    refused = (409, "GOOGLE_OAUTH2_USER_INFO_ERROR_DETECTED")
    assert await tried(request, "broken", "other@lab.example") == refused
    assert await tried(request, "some-oauth-token", "rosa@lab.example") == refused
    assert await tried(request, good, "other@lab.example") == (400, "EMAIL_MISMATCH_DETECTED")
    # Nothing of that used the token up; letters' case does not matter.
    assert await tried(request, good, "Rosa@LAB.example") == (200, "ACCOUNT_TO_AUTH_REQUEST_ATTACHED")


async def test_another_person_may_be_attached_before_the_token_is_fetched(steps: Any) -> None:
    request = await steps.create()
    await steps.attach(request)
    other = steps.token(request, sub="olga-2", email="olga@lab.example")
    assert (await steps.attach(request, other, "olga@lab.example")).status == 200
    assert (await steps.me(await steps.redeem(request)))["email"] == "olga@lab.example"


async def test_to_a_request_that_is_ten_minutes_old_nobody_can_be_attached(
    steps: Any, clock: Any, page_of: Any
) -> None:
    request = await steps.create()
    clock.pass_seconds(595)
    assert (await steps.redeem(request)).status == 404
    assert b'data-state="ask"' in (await page_of(request)).body
    clock.pass_seconds(10)
    for _ in range(2):
        refused = await steps.attach(request)
        assert (refused.status, refused.json) == (400, {"@event": "EXPIRED_AUTH_REQUEST_DETECTED", "@type": "error"})
        # Without an account there is no token to be too late for: it is not found, as before.
        missing = await steps.redeem(request)
        assert (missing.status, missing.json) == (404, {"@event": "COULD_NOT_FIND_AUTHREQUEST", "@type": "error"})
    assert b'data-state="expired"' in (await page_of(request)).body


async def test_an_attached_request_expires_after_two_minutes_for_good(steps: Any, clock: Any) -> None:
    request = await steps.create()
    await steps.attach(request)
    clock.pass_seconds(125)
    for answer in (await steps.redeem(request), await steps.redeem(request), await steps.attach(request)):
        assert (answer.status, answer.event) == (400, "EXPIRED_AUTH_REQUEST_DETECTED")


async def test_whoever_is_attached_at_the_last_moment_has_two_minutes_as_well(steps: Any, clock: Any) -> None:
    request = await steps.create()
    clock.pass_seconds(590)
    assert (await steps.attach(request, steps.token(request, moment=clock().timestamp()))).status == 200
    clock.pass_seconds(100)
    assert (await steps.redeem(request)).status == 201


async def test_of_fifty_who_fetch_the_token_at_once_one_gets_it(steps: Any) -> None:
    for _ in range(3):
        request = await steps.create()
        await steps.attach(request)
        answers = await asyncio.gather(*(steps.redeem(request) for _ in range(50)))
        statuses = Counter(answer.status for answer in answers)
        assert statuses == {201: 1, 404: 49}


async def test_an_id_token_attaches_once_even_when_fifty_try_at_once(steps: Any) -> None:
    request = await steps.create()
    token = steps.token(request)
    answers = await asyncio.gather(*(steps.attach(request, token) for _ in range(50)))
    assert Counter(answer.status for answer in answers) == {200: 1, 409: 49}
    assert (await steps.redeem(request)).status == 201


async def test_fifty_first_visits_of_one_person_at_once_make_one_account(steps: Any, owner: Api) -> None:
    requests = [await steps.create() for _ in range(15)]
    answers = await asyncio.gather(*(steps.attach(request) for request in requests for _ in range(1)))
    assert {answer.status for answer in answers} == {200}
    ids = {(await steps.me(await steps.redeem(request)))["id"] for request in requests}
    assert len(ids) == 1


async def test_a_program_with_a_secret_is_the_only_one_that_gets_the_token(steps: Any) -> None:
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    created = (await steps.api.post(CREATE, {"code_challenge": challenge})).json
    assert created["code_challenge_method"] == "S256"
    request = created["request_uuid"]
    await steps.attach(request)
    for wrong in ({}, {"code_verifier": "w" * 43}, {"code_verifier": challenge}, {"code_verifier": "v" * 42}):
        assert (await steps.redeem(request, **wrong)).status == 404
    assert (await steps.redeem(request, code_verifier=verifier)).status == 201
    # What is no challenge is ignored, and that can be seen.
    for nonsense in ("short", 5, None, "é" * 43, "a" * 44):
        assert "code_challenge_method" not in (await steps.api.post(CREATE, {"code_challenge": nonsense})).json


async def test_an_address_makes_twenty_requests_a_minute(steps: Any, clock: Any) -> None:
    for _ in range(20):
        await steps.create()
    refused = await steps.api.post(CREATE)
    assert (refused.status, refused.event, refused.json["@type"]) == (429, "TOO_MANY_ATTEMPTS_DETECTED", "error")
    assert 50 <= int(refused.headers["Retry-After"]) <= 61
    clock.pass_seconds(61)
    await steps.create()


async def test_an_ipv6_network_counts_as_one_address(services: Any, steps: Any) -> None:
    for n in range(20):
        created = await services.sign_in.create(f"2001:db8:0:7::{n:x}", "")
        assert (await services.sign_in.read(created.uuid)).address == f"2001:db8:0:7::{n:x}".replace("::0", "::")
    with pytest.raises(TooManyAttempts):
        await services.sign_in.create("2001:db8:0:7:ffff:ffff:ffff:ffff", "")
    await services.sign_in.create("2001:db8:0:8::1", "")


async def test_a_thousand_may_be_pending_and_old_ones_are_swept_away(steps: Any, services: Any, clock: Any) -> None:
    created = await asyncio.gather(
        *(services.sign_in.create(f"10.{n // 250}.{n % 250}.1", "") for n in range(1100)), return_exceptions=True
    )
    assert sum(not isinstance(each, Exception) for each in created) == 1000
    refused = await steps.api.post(CREATE)
    assert (refused.status, refused.event) == (429, "TOO_MANY_ATTEMPTS_DETECTED")
    assert int(refused.headers["Retry-After"]) <= 601

    clock.pass_seconds(4000)
    await steps.create()
    count = await services.database.read(
        lambda connection: connection.exec_driver_sql("SELECT count(*) FROM auth_requests").scalar()
    )
    assert count == 1


async def test_what_the_account_loses_its_waiting_sign_in_loses_too(steps: Any, owner: Api) -> None:
    request = await steps.create()
    await steps.attach(request)
    accounts = {each["email"]: each["id"] for each in (await owner.get("/accounts/")).json["accounts"]}
    await owner.put(f"/accounts/{accounts['rosa@lab.example']}", {"is_active": False})
    assert (await steps.redeem(request)).status == 404
    other = await steps.create()
    refused = await steps.attach(other)
    assert (refused.status, refused.event) == (403, "ACCESS_DENIED")


@pytest.mark.parametrize("path", [CREATE, ATTACH, PASSWORD, REDEEM])
async def test_pages_of_other_origins_may_not_call_the_open_commands(path: str, steps: Any, jp_serverapp: Any) -> None:
    own = f"http://127.0.0.1:{jp_serverapp.port}"
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{jp_serverapp.port + 1}", own + ".evil.example"):
        answer = await steps.api.post(path, {}, headers={"Origin": origin})
        assert (answer.status, answer.json) == (403, {"@event": "ACCESS_DENIED", "@type": "error"}), origin
    for headers in ({}, {"Origin": own}):
        assert (await steps.api.post(path, {}, headers=headers)).status in (201, 400)
    host = {"Host": "evil.example"}
    assert (await steps.api.post(path, {}, headers=host)).status == 403


class TestAllowedOrigin:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: dict[str, Any]) -> dict[str, Any]:
        jp_server_config["ServerApp"]["allow_origin"] = "https://lab.example"
        return jp_server_config

    async def test_pages_of_an_origin_that_jupyter_allows_may_call(self, steps: Any) -> None:
        assert (await steps.api.post(CREATE, headers={"Origin": "https://lab.example"})).status == 201
        for origin in ("https://evil.example", "https://lab.example.evil.example"):
            assert (await steps.api.post(CREATE, headers={"Origin": origin})).status == 403


async def test_no_log_line_holds_a_whole_uuid_or_a_password(steps: Any, page_of: Any, owner: Api, caplog: Any) -> None:
    with caplog.at_level("DEBUG"):
        request = await steps.create()
        page = f"{owner.base}{CREATE}{request}/authenticate/ui/"
        await page_of(request)
        await steps.api.get(f"{CREATE}{request}/oidc/lab/", headers={"Sec-Fetch-Site": "same-origin"})
        await steps.api.get(f"{CREATE}{request}/oidc/lab/")
        body = {"request_uuid": request, "email": "rosa@lab.example", "password": "a canary in a mine"}
        await steps.api.post(PASSWORD, body, headers={"Referer": page})
        await steps.attach(request, steps.token(request), "other@lab.example")
        await steps.redeem(request)
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if request[:8] in line]) >= 4
    assert not [line for line in lines if request in line or "canary" in line]


async def test_credentials_that_are_sent_along_change_nothing(steps: Any, owner: Api) -> None:
    """Neither a good nor a broken one: nobody is signed in by being signed in already."""
    request = await steps.create()
    for caller in (owner, owner.of("Bearer broken"), owner.of("nonsense")):
        assert (await caller.post(CREATE)).status == 201
        answer = await caller.post(REDEEM, {"request_uuid": request})
        assert (answer.status, "@authorizer" in answer.json) == (404, False)
        assert answer.headers.get_list("Set-Cookie") == []


async def test_a_large_body_is_not_read(anybody: Api) -> None:
    for path in (CREATE, ATTACH, PASSWORD, REDEEM):
        answer = await anybody.post(path, raw=json.dumps({"x": "y" * 70_000}).encode())
        assert (answer.status, answer.event) == (413, "BODY_TOO_LARGE")


async def test_other_methods_are_refused_with_the_right_ones(anybody: Api) -> None:
    for path in (CREATE, ATTACH, PASSWORD, REDEEM):
        answer = await anybody.get(path)
        assert (answer.status, answer.headers["Allow"]) == (405, "OPTIONS, POST")
