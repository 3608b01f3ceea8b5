"""HTTP Basic on every face: whom it lets in, how rarely a password is hashed, and from where it is refused."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest
from support import Answer, Api
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from cosphere_jupyter.accounts.basic import MOST_REMEMBERED, REMEMBERED_SECONDS, BasicAuthentication, Peer, decode
from cosphere_jupyter.errors import Unauthenticated

EMAIL, RIGHT, WRONG = "rosa@lab.example", "correct: horse bättery", "incorrect horse battery"
# One GET of each face; they answer 200 to whoever is known.
FACES = ("/accounts/me", "/v1/tasks", "/api/download_types")


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


@pytest.fixture
def rosa(owner: Api, run: Any) -> Api:
    account = run(owner.post("/accounts/", {"email": EMAIL, "password": RIGHT})).json
    return Api(owner.base, basic(EMAIL, RIGHT), account)


@pytest.fixture
def passwords(services: Any, rosa: Api) -> Any:
    return services.password_verifier._passwords


@pytest.fixture
def behind_a_proxy(jp_serverapp: Any, rosa: Api, run: Any) -> Generator[Api, None, None]:
    """The same server, told by a proxy's headers where requests come from."""
    socket, port = bind_unused_port()

    async def start() -> HTTPServer:
        server = HTTPServer(jp_serverapp.web_app, xheaders=True)
        server.add_socket(socket)
        return server

    server = run(start())
    yield Api(f"http://127.0.0.1:{port}{jp_serverapp.base_url}cosphere", rosa.authorization)
    server.stop()
    run(server.close_all_connections())


async def test_every_face_knows_a_name_and_a_password(rosa: Api) -> None:
    for path in FACES:
        assert (await rosa.get(path)).status == 200, path
    assert (await rosa.get("/accounts/me")).json["id"] == rosa.account["id"]


async def test_a_wrong_password_is_refused_by_every_face_in_one_way(rosa: Api, owner: Api) -> None:
    await owner.post("/accounts/", {"email": "none@lab.example"})
    attempts = [(EMAIL, WRONG), ("unknown@lab.example", RIGHT), ("none@lab.example", RIGHT)]
    for path, (name, password) in zip(FACES, attempts, strict=True):
        answer = await rosa.of(basic(name, password)).get(path)
        assert (answer.status, "WWW-Authenticate" in answer.headers) == (401, True), path
    answer = await rosa.of(basic(EMAIL, "")).get("/accounts/me")
    assert (answer.status, answer.event) == (401, "WRONG_EMAIL_OR_PASSWORD_DETECTED")


async def test_spaces_around_the_name_and_the_case_of_its_letters_do_not_matter(rosa: Api, owner: Api) -> None:
    for name in (f" {EMAIL} ", EMAIL.upper(), "Rosa@Lab.example"):
        assert (await rosa.of(basic(name, RIGHT)).get("/accounts/me")).json["id"] == rosa.account["id"], name
    twin = {"email": "Rosa@lab.example", "password": "another password"}
    assert (await owner.post("/accounts/", twin)).status == 201
    for name, password, status in [(EMAIL, RIGHT, 200), ("rosa@LAB.example", RIGHT, 401), (*twin.values(), 200)]:
        assert (await rosa.of(basic(name, password)).get("/accounts/me")).status == status, name


async def test_the_scheme_may_be_written_in_any_case(rosa: Api) -> None:
    credential = str(rosa.authorization).split()[1]
    for scheme in ("basic", "BASIC", "bAsIc"):
        assert (await rosa.of(f"{scheme} {credential}").get("/accounts/me")).status == 200


async def test_a_password_is_hashed_once_for_many_requests(rosa: Api, passwords: Any) -> None:
    answers = await asyncio.gather(*(rosa.get("/accounts/me") for _ in range(30)))
    assert {answer.status for answer in answers} == {200}
    assert passwords.verifications == 1
    await asyncio.sleep(1.1)
    assert (await rosa.get("/accounts/me")).status == 200
    assert passwords.verifications == 1


async def test_what_was_right_counts_for_five_minutes(services: Any, rosa: Api, passwords: Any) -> None:
    seconds = 0.0
    chain = BasicAuthentication(services.database, services.password_verifier, clock=lambda: seconds)
    credential, here = str(rosa.authorization).split()[1], Peer("127.0.0.1")
    for seconds, expected in ((0.0, 1), (REMEMBERED_SECONDS - 1, 1), (REMEMBERED_SECONDS + 1, 2)):
        chain.forget()
        assert (await chain.authenticate(credential, here)).email == EMAIL
        assert passwords.verifications == expected, seconds
    for number in range(MOST_REMEMBERED + 10):
        chain._remember(await services.accounts.find(EMAIL), str(number))
    assert len(chain._right) == MOST_REMEMBERED


async def test_a_changed_password_ends_the_old_one_at_once(rosa: Api, owner: Api, passwords: Any) -> None:
    path = f"/accounts/{rosa.account['id']}"
    assert (await rosa.get("/accounts/me")).status == 200
    assert (await owner.put(path, {"password": "a new password"})).status == 200
    assert (await rosa.get("/accounts/me")).status == 401
    renewed = rosa.of(basic(EMAIL, "a new password"))
    assert (await renewed.get("/accounts/me")).status == 200
    assert (await owner.put(path, {"is_active": False})).status == 200
    assert (await renewed.get("/accounts/me")).status == 401
    assert (await owner.put(path, {"is_active": True})).status == 200
    assert (await renewed.get("/accounts/me")).status == 200


async def test_guesses_are_limited_and_the_account_works_on_where_it_is_known(rosa: Api, passwords: Any) -> None:
    assert (await rosa.get("/accounts/me")).status == 200
    wrong = [rosa.of(basic(EMAIL, f"{WRONG} {number}")) for number in range(100)]
    statuses = Counter(answer.status for answer in await asyncio.gather(*(each.get("/accounts/me") for each in wrong)))
    assert set(statuses) == {401, 429} and sum(statuses.values()) == 100
    assert passwords.verifications - 1 == statuses[401] <= 10
    refused = await wrong[0].get("/v1/tasks")
    assert refused.status in (401, 429) and int(refused.headers["Retry-After"]) >= 1
    assert (await rosa.get("/accounts/me")).status == 200


async def test_guesses_count_together_with_those_of_the_sign_in_page(rosa: Api, passwords: Any) -> None:
    anybody = rosa.of(None)
    request = (await anybody.post("/accounts/auth_requests/", {})).json
    url = next(value for value in request.values() if isinstance(value, str) and "auth_requests/" in value)
    uuid = url.partition("auth_requests/")[2].partition("/")[0]
    for number in range(5):
        assert (await rosa.of(basic(EMAIL, f"{WRONG} {number}")).get("/accounts/me")).status == 401
    body = {"request_uuid": uuid, "email": EMAIL, "password": RIGHT}
    assert (await anybody.post("/accounts/auth_requests/attach_password/", body)).status == 429


async def test_an_unknown_name_takes_a_hash_as_long_as_a_known_one(rosa: Api, passwords: Any) -> None:
    for number, name in enumerate((EMAIL, "unknown@lab.example")):
        started = time.process_time()
        assert (await rosa.of(basic(name, WRONG)).get("/accounts/me")).status == 401
        assert passwords.verifications == number + 1
        assert time.process_time() - started > 0.005


@pytest.mark.parametrize(
    "credential",
    [
        b"",
        b"no colon",
        b"rosa@lab.example:with\x00nul",
        b"rosa@lab.example\n:password",
        b"rosa@lab.example:tab\there",
        b"rosa@lab.example:\x7f",
        "rosa@lab.example:\x85".encode(),
        b"rosa@lab.example:\xff\xfe",
        b"rosa@lab.example:\xed\xa0\x80",
        b"x" * 9000 + b":y",
    ],
)
async def test_what_is_no_name_and_password_is_refused_unseen(credential: bytes, rosa: Api, passwords: Any) -> None:
    header = f"Basic {base64.b64encode(credential).decode()}"
    assert (await rosa.of(header).get("/accounts/me")).status == 401
    assert passwords.verifications == 0


@pytest.mark.parametrize("text", ["x", "====", "cm9zYTp4eA", "cm9zYTp4eA==x", "cm9zYTp4_A==", "cm9z.Tp4eA==", "~"])
async def test_base64_is_taken_strictly(text: str, rosa: Api) -> None:
    answer = await rosa.of(f"Basic {text}").get("/accounts/me")
    assert (answer.status, answer.event) == (401, "COULD_NOT_FIND_AUTH_TOKEN")
    with pytest.raises(Unauthenticated):
        decode(text)


def test_the_first_colon_ends_the_name() -> None:
    assert decode(base64.b64encode(b"a:b:c:").decode()) == ("a", "b:c:")
    assert decode(base64.b64encode(b":").decode()) == ("", "")


async def test_a_password_from_elsewhere_must_come_over_tls(behind_a_proxy: Api, passwords: Any) -> None:
    far = {"X-Real-Ip": "192.0.2.7"}
    refused = await behind_a_proxy.get("/accounts/me", headers={**far, "X-Scheme": "http"})
    assert (refused.status, refused.event) == (403, "ACCESS_DENIED")
    assert passwords.verifications == 0
    assert (await behind_a_proxy.get("/accounts/me", headers={**far, "X-Scheme": "https"})).status == 200
    # Also once it is known.
    assert (await behind_a_proxy.get("/accounts/me", headers={**far, "X-Scheme": "http"})).status == 403
    assert (await behind_a_proxy.get("/accounts/me")).status == 200


def test_this_machine_has_several_addresses() -> None:
    for address in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "0.0.0.0"):
        assert Peer(address).may_send_passwords, address
    for address in ("192.0.2.7", "::ffff:192.0.2.7", "fe80::1%eth0", "10.0.0.1", "", "unknown"):
        assert not Peer(address).may_send_passwords, address
        assert Peer(address, is_encrypted=True).may_send_passwords, address


async def test_a_foreign_page_cannot_use_the_password_that_a_browser_knows(owner: Api, rosa: Api) -> None:
    own = owner.base.partition("/a%40b")[0]

    async def post(**headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await rosa.post("/downloader/requests/", {}, headers=named)

    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://[::"},
        {"Origin": f"{own}.evil.example"},
        {"Origin": own, "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "anything"},
    ):
        assert (await post(**headers)).status == 403, headers
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        assert (await rosa.get("/accounts/me", headers=named)).status == 200, headers
    for headers in ({}, {"Origin": own}, {"Origin": own, "Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}):
        assert (await post(**headers)).status == 400, headers


async def test_a_link_that_makes_a_task_takes_no_password(rosa: Api) -> None:
    answer = await rosa.get("/v1/create_file/cat.jpg")
    assert answer.status == 403


class TestWithoutPasswords:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: dict[str, Any]) -> dict[str, Any]:
        jp_server_config["CosphereApp"]["password_sign_in"] = False
        return jp_server_config

    async def test_nobody_comes_in_with_one(self, rosa: Api, passwords: Any) -> None:
        assert (await rosa.get("/accounts/me")).status == 401
        assert passwords.verifications == 0
