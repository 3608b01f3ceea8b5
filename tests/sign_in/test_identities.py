"""Which account an outside identity is: by issuer and subject, never by the address alone. And Google's own rules."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from sign_in.issuer import Issuer, compact
from support import Api

REFUSED = (409, "GOOGLE_OAUTH2_USER_INFO_ERROR_DETECTED")


async def sign_in(steps: Any, **claims: Any) -> dict[str, Any]:
    request = await steps.create()
    email = claims.get("email", "rosa@lab.example")
    attached = await steps.attach(request, steps.token(request, **claims), email)
    if attached.status != 200:
        return {"refused": (attached.status, attached.event)}
    return dict(await steps.me(await steps.redeem(request)))


async def test_the_same_person_is_the_same_account_also_with_a_new_address(steps: Any) -> None:
    first = await sign_in(steps)
    again = await sign_in(steps, email="rosa@elsewhere.example")
    assert again["id"] == first["id"]
    # What the account is called by others stays.
    assert again["email"] == "rosa@lab.example"


async def test_an_account_that_was_made_for_somebody_is_theirs_with_its_type(steps: Any, owner: Api) -> None:
    made = (await owner.post("/accounts/", {"email": "ada@lab.example", "type": "ADMIN"})).json
    me = await sign_in(steps, sub="ada-1", email="ada@lab.example")
    assert (me["id"], me["type"]) == (made["id"], "ADMIN")


async def test_an_address_that_was_given_to_another_person_does_not_open_the_account(steps: Any) -> None:
    await sign_in(steps)
    assert (await sign_in(steps, sub="rosa-2"))["refused"] == REFUSED


async def test_an_address_is_compared_letter_by_letter_among_accounts(steps: Any) -> None:
    first = await sign_in(steps)
    second = await sign_in(steps, sub="rosa-2", email="ROSA@lab.example")
    assert first["id"] != second["id"]


async def test_nobody_outside_can_be_the_owner_of_this_server(steps: Any, owner: Api) -> None:
    email = owner.account["email"]
    assert (await sign_in(steps, sub="x", email=email))["refused"] == REFUSED


async def test_a_person_who_was_deactivated_stays_out(steps: Any, owner: Api) -> None:
    me = await sign_in(steps)
    await owner.put(f"/accounts/{me['id']}", {"is_active": False})
    assert (await sign_in(steps))["refused"] == (403, "ACCESS_DENIED")


async def test_two_first_visits_with_one_address_at_once_make_one_account(steps: Any) -> None:
    requests = [await steps.create() for _ in range(10)]
    tokens = [steps.token(request, sub=f"sub-{n}") for n, request in enumerate(requests)]
    answers = await asyncio.gather(*(steps.attach(*pair) for pair in zip(requests, tokens, strict=True)))
    assert sorted(answer.status for answer in answers) == [200, *[409] * 9]


class TestGoogle:
    """The issuer of this machine stands in for Google: only its name and where its keys are differ."""

    @pytest.fixture
    def google(self, steps: Any, issuer: Issuer) -> Any:
        from cosphere_jupyter.accounts.providers import Provider

        class Google(Provider):
            is_google = True
            issuers = ("https://accounts.google.com", "accounts.google.com")

        known = {
            each.name: getattr(steps.services.openid.providers[0], each.name) for each in dataclasses.fields(Provider)
        }

        def configure(**changes: Any) -> None:
            steps.services.openid.providers = (Google(**{**known, **changes}),)

        configure()
        issuer.user = {"sub": "g-1", "email": "rosa@gmail.com"}
        return configure

    async def test_both_of_its_spellings_are_google_and_no_others(self, steps: Any, google: Any) -> None:
        for spelling in ("https://accounts.google.com", "accounts.google.com"):
            assert (await sign_in(steps, iss=spelling, email="rosa@gmail.com"))["email"] == "rosa@gmail.com"
        for spelling in ("http://accounts.google.com", "https://accounts.google.com/", "google.com"):
            assert (await sign_in(steps, iss=spelling, email="rosa@gmail.com"))["refused"] == REFUSED

    async def test_it_answers_for_its_own_mailboxes_only(self, steps: Any, google: Any) -> None:
        cases = [
            ("rosa@gmail.com", None, True),
            ("rosa@GMAIL.com", None, True),
            ("rosa@lab.example", "lab.example", True),
            ("rosa@lab.example", None, False),
            ("rosa@lab.example", "", False),
            ("rosa@lab.example", True, False),
            ("rosa@notgmail.com", None, False),
            ("rosa@gmail.com.evil.example", None, False),
        ]
        for email, hosted, is_accepted in cases:
            answer = await sign_in(steps, iss="https://accounts.google.com", sub=email, email=email, hd=hosted)
            assert ("refused" not in answer) == is_accepted, (email, hosted)

    async def test_a_hosted_domain_is_the_claim_and_exact(self, steps: Any, google: Any) -> None:
        google(hosted_domains=("lab.example",))
        for hosted in ("LAB.example", "sub.lab.example", None, ["lab.example"], "lab.example"):
            answer = await sign_in(steps, iss="https://accounts.google.com", email="rosa@lab.example", hd=hosted)
            assert ("refused" not in answer) == (hosted == "lab.example"), hosted

    async def test_its_rules_are_not_those_of_others(self, steps: Any, issuer: Issuer) -> None:
        request = await steps.create()
        token = compact(issuer.keys[0], issuer.claims_for(steps.nonce(request), email="rosa@anywhere.example"))
        assert (await steps.attach(request, token, "rosa@anywhere.example")).status == 200
