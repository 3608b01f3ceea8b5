"""Signing in with a password: one answer to every wrong one, and no more guesses than allowed."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections import Counter
from typing import Any

import pytest
from argon2 import PasswordHasher
from support import Answer, Api

from cosphere_jupyter.accounts.limits import FailureLimits, network_of
from cosphere_jupyter.accounts.passwords import LONGEST_QUEUE, Passwords
from cosphere_jupyter.errors import TooManyAttempts, Unauthenticated, Unavailable

EMAIL, RIGHT, WRONG = "rosa@lab.example", "correct horse battery", "incorrect horse battery"
WRONG_ANSWER = (401, {"@event": "WRONG_EMAIL_OR_PASSWORD_DETECTED", "@type": "error"})


@pytest.fixture
def rosa(owner: Api, run: Any) -> dict[str, Any]:
    return dict(run(owner.post("/accounts/", {"email": EMAIL, "password": RIGHT})).json)


@pytest.fixture
def passwords(services: Any, steps: Any) -> Passwords:
    return services.password_verifier._passwords


def told(answer: Answer) -> tuple[int, Any]:
    return answer.status, answer.json


async def test_the_right_password_attaches_the_account(steps: Any, rosa: Any) -> None:
    request = await steps.create()
    answer = await steps.attach_password(request, EMAIL, RIGHT)
    assert told(answer) == (200, {"@event": "ACCOUNT_TO_AUTH_REQUEST_ATTACHED", "@type": "empty"})
    assert (await steps.me(await steps.redeem(request)))["id"] == rosa["id"]


async def test_every_wrong_attempt_gets_the_same_answer(steps: Any, owner: Api, rosa: Any, clock: Any) -> None:
    await owner.post("/accounts/", {"email": "none@lab.example"})
    gone = (await owner.post("/accounts/", {"email": "gone@lab.example", "password": RIGHT})).json
    await owner.put(f"/accounts/{gone['id']}", {"is_active": False})
    request = await steps.create()
    attempts = [
        (EMAIL, WRONG),
        (EMAIL, "short"),
        (EMAIL, "x" * 1024),
        (EMAIL, RIGHT + " "),
        (EMAIL.upper(), RIGHT),
        ("unknown@lab.example", RIGHT),
        ("none@lab.example", RIGHT),
        ("gone@lab.example", RIGHT),
    ]
    for email, password in attempts:
        assert told(await steps.attach_password(request, email, password)) == WRONG_ANSWER, (email, password)
        clock.pass_seconds(20)
    assert (await steps.redeem(request)).status == 404


async def test_fields_and_the_request_come_before_the_password(
    steps: Any, rosa: Any, clock: Any, passwords: Any
) -> None:
    unknown = "bfbea6b2-7b31-11ea-83d0-4485007e7d04"
    assert (await steps.attach_password(unknown, EMAIL, RIGHT)).status == 404
    assert (await steps.attach_password("x", "y", "")).errors == {
        "request_uuid": ["Must be a valid UUID."],
        "email": ["Enter a valid email address."],
        "password": ["This field may not be blank."],
    }
    request = await steps.create()
    clock.pass_seconds(601)
    expired = await steps.attach_password(request, EMAIL, RIGHT)
    assert (expired.status, expired.event) == (400, "EXPIRED_AUTH_REQUEST_DETECTED")
    assert passwords.verifications == 0


async def test_a_password_is_the_same_in_both_ways_to_write_its_letters(steps: Any, owner: Api) -> None:
    await owner.post("/accounts/", {"email": "zoe@lab.example", "password": "Zoe\u0308 und Zoë"})
    request = await steps.create()
    assert (await steps.attach_password(request, "zoe@lab.example", "Zo\u00eb und Zoe\u0308")).status == 200


async def test_of_a_hundred_wrong_passwords_at_once_few_are_looked_at(
    steps: Any, rosa: Any, passwords: Passwords
) -> None:
    request = await steps.create()
    answers = await asyncio.gather(*(steps.attach_password(request, EMAIL, f"{WRONG} {n}") for n in range(100)))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) == {401, 429} and sum(statuses.values()) == 100
    assert passwords.verifications == statuses[401] <= 10
    refused = next(answer for answer in answers if answer.status == 429)
    assert (refused.event, refused.json["@type"]) == ("TOO_MANY_ATTEMPTS_DETECTED", "error")
    assert int(refused.headers["Retry-After"]) == refused.json["retry_after"] >= 1


async def test_of_a_hundred_at_once_with_the_right_one_among_them_few_are_looked_at(
    services: Any, steps: Any, rosa: Any, passwords: Passwords
) -> None:
    """From a hundred networks: what counts then is the account."""
    verify = services.password_verifier.verify_password
    tried = (verify(EMAIL, RIGHT if n == 99 else WRONG, f"10.{n}.0.1") for n in range(100))
    results = await asyncio.gather(*tried, return_exceptions=True)
    assert {type(each) for each in results} == {Unauthenticated, TooManyAttempts}
    assert passwords.verifications <= 10


async def test_guessing_many_accounts_from_one_network_is_limited_too(
    services: Any, steps: Any, passwords: Passwords
) -> None:
    verify = services.password_verifier.verify_password
    tried = (verify(f"{n}@lab.example", WRONG, f"10.0.0.{n}") for n in range(100))
    results = await asyncio.gather(*tried, return_exceptions=True)
    assert Counter(type(each) for each in results)[Unauthenticated] == passwords.verifications <= 10


async def test_waiting_doubles_from_a_second_to_fifteen_minutes(services: Any, steps: Any, clock: Any) -> None:
    limits = FailureLimits(services.database, clock)
    for _ in range(5):
        await limits.begin("eve", "192.0.2.1")
    waits = []
    for _ in range(12):
        with pytest.raises(TooManyAttempts) as caught:
            await limits.begin("eve", "192.0.2.1")
        waits.append(caught.value.retry_after)
        clock.pass_seconds(waits[-1])
        await limits.begin("eve", "192.0.2.1")
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


async def test_a_blocked_attempt_does_not_make_the_wait_longer(services: Any, steps: Any, clock: Any) -> None:
    limits = FailureLimits(services.database, clock)
    for _ in range(5):
        await limits.begin("eve", "192.0.2.1")
    for _ in range(50):
        with pytest.raises(TooManyAttempts) as caught:
            await limits.begin("eve", "192.0.2.1")
        assert caught.value.retry_after == 1


async def test_success_forgives_this_account_from_this_network_and_nothing_else(
    services: Any, steps: Any, clock: Any
) -> None:
    limits = FailureLimits(services.database, clock)

    async def failures() -> dict[str, int]:
        rows = await services.database.read(
            lambda connection: connection.exec_driver_sql("SELECT bucket, failures FROM login_failures").all()
        )
        return {bucket.partition(":")[0]: count for bucket, count in rows}

    for _ in range(4):
        await limits.begin("rosa", "192.0.2.1")
    attempt = await limits.begin("rosa", "192.0.2.1")
    assert await failures() == {"account": 5, "network": 5, "both": 5}
    await limits.succeed(attempt)
    assert await failures() == {"account": 4, "network": 4}
    # The block that the attempt itself set is gone, too.
    await limits.begin("rosa", "192.0.2.1")
    with pytest.raises(TooManyAttempts):
        await limits.begin("rosa", "192.0.2.1")


async def test_many_right_passwords_in_a_row_are_never_blocked(services: Any, steps: Any, rosa: Any) -> None:
    for _ in range(12):
        account = await services.password_verifier.verify_password(EMAIL, RIGHT, "192.0.2.7")
        assert account.id == rosa["id"]


async def test_a_quiet_hour_is_forgiven_and_a_restart_is_not(services: Any, steps: Any, clock: Any) -> None:
    for _ in range(5):
        await FailureLimits(services.database, clock).begin("eve", "192.0.2.1")
    with pytest.raises(TooManyAttempts):
        await FailureLimits(services.database, clock).begin("eve", "192.0.2.1")
    clock.pass_seconds(3601)
    for _ in range(5):
        await FailureLimits(services.database, clock).begin("eve", "192.0.2.1")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("nonsense", "unknown"),
        ("", "unknown"),
    ],
)
def test_an_address_counts_for_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


async def test_the_names_that_were_tried_are_not_stored(services: Any, steps: Any) -> None:
    await steps.attach_password(await steps.create(), "my-secret@lab.example", WRONG)
    rows = await services.database.read(
        lambda connection: connection.exec_driver_sql("SELECT * FROM login_failures").all()
    )
    assert len(rows) == 3 and "my-secret" not in str(rows)


async def test_too_many_at_once_wait_for_nothing_and_are_not_counted(services: Any, steps: Any, rosa: Any) -> None:
    verify = services.password_verifier.verify_password
    tried = (verify(f"{n}@lab.example", WRONG, f"10.{n}.0.1") for n in range(LONGEST_QUEUE * 2))
    results = Counter(type(each) for each in await asyncio.gather(*tried, return_exceptions=True))
    assert set(results) == {Unauthenticated, Unavailable} and results[Unavailable] > 0
    counted = await services.database.read(
        lambda connection: connection.exec_driver_sql(
            "SELECT count(*) FROM login_failures WHERE failures > 0 AND bucket LIKE 'both:%'"
        ).scalar()
    )
    assert counted == results[Unauthenticated]


async def test_an_unknown_account_takes_as_long_as_a_known_one(
    services: Any, steps: Any, rosa: Any, clock: Any
) -> None:
    verify = services.password_verifier.verify_password
    times: dict[str, list[float]] = {EMAIL: [], "unknown@lab.example": []}
    for n in range(40):
        for email in times:
            begun = time.perf_counter()
            with pytest.raises(Unauthenticated):
                await verify(email, WRONG, f"10.{n}.0.1")
            times[email].append(time.perf_counter() - begun)
        clock.pass_seconds(1800)
    known, unknown = (statistics.median(each) for each in times.values())
    # Half as long would be no hash at all; the machine that tests run on is busy.
    assert 0.75 < known / unknown < 1.33


async def test_a_hash_of_old_parameters_is_made_anew(services: Any, steps: Any, rosa: Any, clock: Any) -> None:
    old = PasswordHasher(memory_cost=8192, time_cost=1, parallelism=1).hash(RIGHT)

    async def stored(sql: str, *values: Any) -> Any:
        return await services.database.write(lambda connection: connection.exec_driver_sql(sql, values).scalar())

    await stored("UPDATE accounts SET password_hash = ? WHERE email = ? RETURNING 1", old, EMAIL)
    request = await steps.create()
    assert (await steps.attach_password(request, EMAIL, RIGHT)).status == 200
    new = await stored("SELECT password_hash FROM accounts WHERE email = ?", EMAIL)
    assert "m=19456,t=2,p=1" in new
    # Nothing that was proved with the old one ends.
    assert (await steps.redeem(request)).status == 201
    assert (await steps.attach_password(await steps.create(), EMAIL, RIGHT)).status == 200


async def test_a_broken_hash_is_a_wrong_password(services: Any, steps: Any, rosa: Any) -> None:
    await services.database.write(
        lambda connection: connection.exec_driver_sql("UPDATE accounts SET password_hash = 'nonsense'")
    )
    assert told(await steps.attach_password(await steps.create(), EMAIL, RIGHT)) == WRONG_ANSWER


async def test_nobody_else_waits_for_a_hash(steps: Any, rosa: Any, passwords: Passwords) -> None:
    """While the one thread is held up, everything but passwords goes on."""
    held = threading.Event()
    passwords._thread.submit(held.wait, 30)
    request = await steps.create()
    signing_in = asyncio.ensure_future(steps.attach_password(request, EMAIL, RIGHT))
    for _ in range(5):
        assert (await steps.redeem(request)).status == 404
        await steps.create()
    assert not signing_in.done()
    held.set()
    assert (await signing_in).status == 200


class TestSwitchedOff:
    @pytest.fixture
    def jp_server_config(self, jp_server_config: dict[str, Any]) -> dict[str, Any]:
        jp_server_config["CosphereApp"]["password_sign_in"] = False
        return jp_server_config

    async def test_no_password_is_taken_and_none_is_asked_for(self, steps: Any, rosa: Any, page_of: Any) -> None:
        request = await steps.create()
        assert (await steps.attach_password(request, EMAIL, RIGHT)).status == 404
        page = (await page_of(request)).body
        assert b'type="password"' not in page and b"Continue with the Lab" in page
