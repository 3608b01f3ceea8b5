"""Refreshing and revoking: a lost reply can be asked for again, what is stolen ends, and no token is stored."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from codalab.conftest import CLIENT, Clock, OAuth
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import Answer, Api

WORKER = "Basic Y29kYWxhYl93b3JrZXJfY2xpZW50Og=="


def tokens(answer: Answer) -> tuple[str, str]:
    assert answer.status == 200, answer.body
    return answer.json["access_token"], answer.json["refresh_token"]


@pytest.fixture
def is_good(rosa: Api) -> Any:
    """Whether an access token is let in, by a face whose answer nothing remembers."""

    async def ask(access: str) -> bool:
        return (await rosa.of(f"Bearer {access}").get("/accounts/me")).status == 200

    return ask


async def test_each_refresh_gives_another_pair_and_leaves_older_access_tokens_alone(
    oauth: OAuth, rosa: Api, is_good: Any
) -> None:
    pairs = [tokens(await oauth.password("rosa"))]
    for _ in range(4):
        pairs.append(tokens(await oauth.refresh(pairs[-1][1])))
    assert len({token for pair in pairs for token in pair}) == 10
    for access, _ in pairs:
        assert await is_good(access)


async def test_fifty_refreshes_at_once_give_one_pair(oauth: OAuth, rosa: Api, services: Any, is_good: Any) -> None:
    _, refresh = tokens(await oauth.password("rosa"))
    answers = await asyncio.gather(*(oauth.refresh(refresh) for _ in range(50)))
    (pair,) = {tokens(answer) for answer in answers}
    assert await is_good(pair[0])
    assert await stored(services) == 2
    assert (await oauth.refresh(pair[1])).status == 200


async def stored(services: Any) -> int:
    """Return how many pairs the database holds."""
    return int(await services.database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM oauth_tokens").scalar()))


async def test_a_lost_reply_can_be_asked_for_again_for_half_a_minute(oauth: OAuth, rosa: Api, clock: Clock) -> None:
    _, refresh = tokens(await oauth.password("rosa"))
    pair = tokens(await oauth.refresh(refresh))
    clock.pass_seconds(20)
    again = await oauth.refresh(refresh)
    assert tokens(again) == pair
    assert 3570 <= again.json["expires_in"] <= 3580, "the same token has no longer to live"
    clock.pass_seconds(15)
    assert (await oauth.refresh(refresh)).status == 401


async def test_who_comes_late_with_a_used_token_ends_all_that_came_of_the_sign_in(
    oauth: OAuth, rosa: Api, clock: Clock, is_good: Any
) -> None:
    first = tokens(await oauth.password("rosa"))
    others = tokens(await oauth.password("rosa"))
    second = tokens(await oauth.refresh(first[1]))
    clock.pass_seconds(31)
    answer = await oauth.refresh(first[1])
    assert (answer.status, answer.json) == (401, {"error": "invalid_grant"})
    for access, refresh in (first, second):
        assert not await is_good(access)
        assert (await oauth.refresh(refresh)).status == 401
    assert await is_good(others[0]), "another sign-in is none of this one's business"
    assert (await oauth.refresh(others[1])).status == 200


async def test_a_used_token_is_no_longer_replayed_once_its_successor_was_used(
    oauth: OAuth, rosa: Api, is_good: Any
) -> None:
    _, refresh = tokens(await oauth.password("rosa"))
    second = tokens(await oauth.refresh(refresh))
    third = tokens(await oauth.refresh(second[1]))
    assert (await oauth.refresh(refresh)).status == 401
    assert not await is_good(third[0])


async def test_a_race_of_a_thief_and_the_owner_has_one_outcome(oauth: OAuth, rosa: Api) -> None:
    _, refresh = tokens(await oauth.password("rosa"))

    async def chain(length: int) -> list[int]:
        statuses, token = [], refresh
        for _ in range(length):
            answer = await oauth.refresh(token)
            statuses.append(answer.status)
            token = answer.json.get("refresh_token", token)
        return statuses

    outcomes = await asyncio.gather(*(chain(6) for _ in range(10)))
    assert {status for statuses in outcomes for status in statuses} <= {200, 401}
    for statuses in outcomes:
        assert statuses == sorted(statuses), "once a sign-in has ended it stays so"


async def test_a_refresh_token_is_good_for_two_weeks_and_a_sign_in_for_a_month(
    oauth: OAuth, rosa: Api, clock: Clock
) -> None:
    day = 86400
    idle = tokens(await oauth.password("rosa"))[1]
    refresh = tokens(await oauth.password("rosa"))[1]
    clock.pass_seconds(13 * day)
    refresh = tokens(await oauth.refresh(refresh))[1]
    clock.pass_seconds(2 * day)
    assert (await oauth.refresh(idle)).status == 401
    clock.pass_seconds(10 * day)
    refresh = tokens(await oauth.refresh(refresh))[1]
    clock.pass_seconds(4.9 * day)
    refresh = tokens(await oauth.refresh(refresh))[1]
    clock.pass_seconds(0.2 * day)
    assert (await oauth.refresh(refresh)).status == 401


async def test_what_has_ended_long_ago_is_removed_at_a_sign_in(
    oauth: OAuth, rosa: Api, clock: Clock, services: Any
) -> None:
    for _ in range(3):
        await oauth.password("rosa")
    clock.pass_seconds(16 * 86400)
    await oauth.password("rosa")
    assert await stored(services) == 1


async def test_another_client_cannot_refresh_or_revoke(oauth: OAuth, rosa: Api, is_good: Any) -> None:
    access, refresh = tokens(await oauth.password("rosa"))
    answer = await oauth.token(WORKER, grant_type="refresh_token", refresh_token=refresh)
    assert (answer.status, answer.json) == (401, {"error": "invalid_grant"})
    assert (await oauth.revoke(refresh, WORKER)).status == 200
    assert await is_good(access)
    assert (await oauth.refresh(refresh)).status == 200


async def test_revoking_either_token_ends_the_sign_in_at_once(oauth: OAuth, rosa: Api, is_good: Any) -> None:
    for place in (0, 1):
        first = tokens(await oauth.password("rosa"))
        second = tokens(await oauth.refresh(first[1]))
        assert await is_good(first[0]) and await is_good(second[0])
        answer = await oauth.revoke(second[place])
        assert (answer.status, answer.headers["Pragma"]) == (200, "no-cache")
        assert not await is_good(first[0]) and not await is_good(second[0])
        assert (await oauth.refresh(second[1])).status == 401


async def test_revoking_asks_for_the_client_and_says_nothing_of_tokens_that_there_are_not(
    oauth: OAuth, rosa: Api
) -> None:
    for token in ("A" * 30, "é", "x"):
        assert (await oauth.revoke(token)).status == 200
    by_form = await oauth.revoke("A" * 30, None, client_id="codalab_cli_client", token_type_hint="access_token")
    assert by_form.status == 200
    nobody = await oauth.revoke("A" * 30, None)
    assert (nobody.status, nobody.json) == (401, {"error": "invalid_client"})
    nothing = await oauth.send("revoke", {}, CLIENT)
    assert (nothing.status, nothing.json["error"]) == (400, "invalid_request")


async def test_pairs_outlive_the_process(oauth: OAuth, rosa: Api, services: Any) -> None:
    from cosphere_jupyter.accounts.oauth import OAuthTokens
    from cosphere_jupyter.accounts.tokens import read_or_create_key

    access, refresh = tokens(await oauth.password("rosa"))
    pair = tokens(await oauth.refresh(refresh))
    # As after a restart: what is in memory is gone, the key and the database are there.
    key = read_or_create_key(services.settings.data_dir / "keys" / "oauth.key")
    anew = OAuthTokens(services.database, key, services.settings.clock)
    assert (await anew.verify(access)).id == rosa.account["id"]
    replayed = await anew.refresh(refresh, "codalab_cli_client")
    assert (replayed.access, replayed.refresh) == pair


async def test_verifying_an_access_token_writes_nothing(oauth: OAuth, rosa: Api, services: Any, is_good: Any) -> None:
    access, _ = tokens(await oauth.password("rosa"))
    before = services.database.changes.of(["oauth_tokens", "accounts", "account_profiles", "login_failures"])
    for _ in range(3):
        services.oauth.forget()
        assert await is_good(access)
    after = services.database.changes.of(["oauth_tokens", "accounts", "account_profiles", "login_failures"])
    assert before == after


async def test_no_token_and_no_password_stands_in_the_log_or_in_the_data_directory(
    oauth: OAuth, rosa: Api, tmp_path: Path, caplog: Any
) -> None:
    from codalab.conftest import PASSWORD

    access, refresh = tokens(await oauth.password("rosa"))
    pair = tokens(await oauth.refresh(refresh))
    await oauth.password("rosa", "canary-of-a-password")
    await oauth.refresh("canary" * 5)
    await oauth.api.get(f"/rest/oauth2/token?password=canary-of-an-address&refresh_token={refresh}")
    for path in (f"/rest/user?access_token={access}", "/rest/user", "/rest/nothing"):
        await rosa.of(f"Bearer {access}").get(path)
    await oauth.revoke(pair[1])
    await rosa.of(f"Bearer {access}").get("/rest/user")
    log = caplog.text
    assert log.count("/rest/oauth2/") >= 5
    stored = b"".join(path.read_bytes() for path in (tmp_path / "workspace").rglob("*") if path.is_file())
    canaries = ("canary-of-a-password", "canary" * 5, "canary-of-an-address", PASSWORD)
    for text in (access, refresh, *pair, *canaries):
        assert text not in log and text.encode() not in stored, text[:3]


# What a program may do with the tokens of one sign-in, as (step, which of the tokens it has).
STEPS = st.lists(st.tuples(st.sampled_from(["refresh", "late refresh", "revoke"]), st.integers(0, 5)), max_size=8)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_a_sign_in_follows_its_model(run: Any, oauth: OAuth, rosa: Api, clock: Clock, steps: list[Any]) -> None:
    async def follow() -> None:
        """The model: which token follows which, when each was used, and whether the sign-in has ended."""
        known = [tokens(await oauth.password("rosa"))[1]]
        successor: dict[str, str] = {}
        used_at: dict[str, Any] = {}
        has_ended = False
        for step, place in steps:
            token = known[place % len(known)]
            if step == "late refresh":
                clock.pass_seconds(31)
            if step == "revoke":
                assert (await oauth.revoke(token)).status == 200
                has_ended = True
                continue
            answer = await oauth.refresh(token)
            is_used = token in successor
            is_replay = (
                is_used and (clock() - used_at[token]).total_seconds() < 30 and successor[token] not in successor
            )
            if has_ended or (is_used and not is_replay):
                has_ended = True
                assert answer.status == 401
            elif is_replay:
                assert tokens(answer)[1] == successor[token]
            else:
                successor[token] = tokens(answer)[1]
                used_at[token] = clock()
                known.append(successor[token])
        for token in known:
            assert not has_ended or (await oauth.refresh(token)).status == 401

    run(follow())
