"""How often a program may ask for its token: once a second for each request, and a few at once after a pause."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from cosphere_jupyter.accounts import limits
from cosphere_jupyter.accounts.limits import POLLS_AT_ONCE, PollLimit
from cosphere_jupyter.errors import TooManyAttempts

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


class Stopped:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.moment

    def go(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def allowed(limit: PollLimit, key: str = "a", polls: int = 2 * POLLS_AT_ONCE) -> int:
    """How many of some polls at one instant pass."""
    passed = 0
    for _ in range(polls):
        try:
            limit.take(key)
            passed += 1
        except TooManyAttempts:
            pass
    return passed


async def test_two_hundred_polls_at_once_are_told_to_slow_down(steps: Any, clock: Any) -> None:
    request, other = await steps.create(), await steps.create()
    answers = await asyncio.gather(*(steps.redeem(request) for _ in range(200)))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) == {404, 429} and statuses[404] <= POLLS_AT_ONCE + 10
    refused = next(answer for answer in answers if answer.status == 429)
    assert (refused.event, refused.json["@type"], refused.json["retry_after"]) == (
        "TOO_MANY_ATTEMPTS_DETECTED",
        "error",
        1,
    )
    assert refused.headers["Retry-After"] == "1"
    # Others do not feel it, and whoever waits as told gets the token.
    assert (await steps.redeem(other)).status == 404
    assert (await steps.attach(request)).status == 200
    clock.pass_seconds(1)
    assert (await steps.redeem(request)).status == 201


async def test_whoever_does_not_know_the_secret_uses_up_nothing_of_who_does(steps: Any) -> None:
    request = await steps.create({"code_challenge": CHALLENGE})
    assert (await steps.attach(request)).status == 200
    answers = await asyncio.gather(*(steps.redeem(request) for _ in range(100)))
    assert {answer.status for answer in answers} == {404, 429}
    assert (await steps.redeem(request, code_verifier=VERIFIER)).status == 201


def test_whoever_asks_once_a_second_is_never_refused_even_after_being_held_up() -> None:
    clock = Stopped()
    limit = PollLimit(clock)
    for second in range(600):
        limit.take("a")
        # Sooner and later by turns, as timers are.
        clock.go(0.6 if second % 2 else 1.4)
    clock.go(POLLS_AT_ONCE)
    for _ in range(POLLS_AT_ONCE):
        limit.take("a")


def test_some_may_come_at_once_and_then_one_a_second() -> None:
    clock = Stopped()
    limit = PollLimit(clock)
    assert allowed(limit) == POLLS_AT_ONCE
    with pytest.raises(TooManyAttempts) as refused:
        limit.take("a")
    assert refused.value.retry_after == 1
    assert allowed(limit, "b") == POLLS_AT_ONCE
    clock.go(0.5)
    assert allowed(limit) == 0
    clock.go(0.5)
    assert allowed(limit) == 1
    clock.go(3600)
    assert allowed(limit) == POLLS_AT_ONCE


def test_a_clock_that_is_put_back_locks_nobody_out() -> None:
    clock = Stopped()
    limit = PollLimit(clock)
    assert allowed(limit) == POLLS_AT_ONCE
    clock.go(-3600)
    limit.take("a")
    clock.go(1)
    limit.take("a")


def test_keys_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_POLLED", 10)
    clock = Stopped()
    limit = PollLimit(clock)
    for number in range(1000):
        limit.take(str(number))
        clock.go(0.5)
    assert len(limit._full_at) <= 10
