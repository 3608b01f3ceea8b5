"""Keys of an issuer over HTTP: kept, renewed, rotated, and what happens when the issuer is away or misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sign_in.issuer import Issuer, Key

from cosphere_jupyter.accounts.issuers import Issuers
from cosphere_jupyter.accounts.providers import Provider, read_providers
from cosphere_jupyter.errors import Unavailable

DAY = 86400.0


class Seconds:
    """A clock that only tests turn."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def issuers(seconds: Seconds) -> Iterator[Issuers]:
    issuers = Issuers(seconds)
    yield issuers
    issuers.close()


@pytest.fixture
def provider(issuer: Issuer) -> Provider:
    return read_providers([issuer.provider])[0]


async def kids(issuers: Issuers, provider: Provider, kid: str = "rsa-1") -> list[Any]:
    return [key["kid"] for key in await issuers.keys(provider, kid)]


async def test_fifty_who_need_the_keys_at_once_fetch_them_once(
    issuers: Issuers, provider: Provider, issuer: Issuer
) -> None:
    assert await asyncio.gather(*(kids(issuers, provider) for _ in range(50))) == [["rsa-1"]] * 50
    assert issuer.calls == {"/jwks": 1, "/.well-known/openid-configuration": 1}


@pytest.mark.parametrize(
    ("cache_control", "kept"),
    [
        ("max-age=600", 600),
        ("public, max-age=7200, must-revalidate", 7200),
        ("s-maxage=9000, max-age=600", 600),
        ("max-age=5", 300),
        ("max-age=99999999", DAY),
        ("no-store", 300),
        ("", 300),
        ("max-age=-5", 300),
        ("max-age=nonsense", 300),
    ],
)
async def test_keys_are_kept_as_long_as_the_issuer_says_within_bounds(
    issuers: Issuers, provider: Provider, issuer: Issuer, seconds: Seconds, cache_control: str, kept: float
) -> None:
    issuer.cache_control = cache_control
    await kids(issuers, provider)
    seconds.now += kept - 1
    await kids(issuers, provider)
    assert issuer.calls["/jwks"] == 1
    seconds.now += 2
    await kids(issuers, provider)
    assert issuer.calls["/jwks"] == 2


async def test_a_new_key_is_found_and_an_unknown_one_makes_one_look_a_minute(
    issuers: Issuers, provider: Provider, issuer: Issuer, seconds: Seconds
) -> None:
    await kids(issuers, provider)
    issuer.keys = [Key("rsa-2")]
    assert await kids(issuers, provider, "rsa-2") == []
    seconds.now += 61
    assert await kids(issuers, provider, "rsa-2") == ["rsa-2"]
    assert await kids(issuers, provider, "rsa-1") == []
    for n in range(20):
        assert await kids(issuers, provider, f"made up {n}") == []
    assert issuer.calls["/jwks"] == 2


async def test_old_keys_do_for_a_day_when_the_issuer_is_away(
    issuers: Issuers, provider: Provider, issuer: Issuer, seconds: Seconds
) -> None:
    await kids(issuers, provider)
    issuer.jwks_status = issuer.discovery_status = 500
    seconds.now += 600 + DAY - 60
    assert await kids(issuers, provider) == ["rsa-1"]
    seconds.now += 61
    with pytest.raises(Unavailable) as caught:
        await kids(issuers, provider)
    assert caught.value.retry_after > 0
    issuer.jwks_status = issuer.discovery_status = 200
    seconds.now += 11
    assert await kids(issuers, provider) == ["rsa-1"]


async def test_an_unknown_key_is_not_called_wrong_while_the_issuer_is_away(
    issuers: Issuers, provider: Provider, issuer: Issuer, seconds: Seconds
) -> None:
    await kids(issuers, provider)
    issuer.jwks_status = 500
    seconds.now += 61
    for _ in range(5):
        with pytest.raises(Unavailable):
            await kids(issuers, provider, "rsa-2")
    assert issuer.calls["/jwks"] == 2
    assert await kids(issuers, provider) == ["rsa-1"]


async def test_an_issuer_that_failed_is_left_alone_for_ten_seconds(
    issuers: Issuers, provider: Provider, issuer: Issuer, seconds: Seconds
) -> None:
    issuer.jwks_status = 503
    for _ in range(5):
        with pytest.raises(Unavailable):
            await kids(issuers, provider)
    assert issuer.calls["/jwks"] == 1
    issuer.jwks_status = 200
    seconds.now += 11
    assert await kids(issuers, provider) == ["rsa-1"]


@pytest.mark.parametrize(
    "misbehave",
    [
        {"jwks_status": 404},
        {"jwks_body": b"no JSON"},
        {"jwks_body": b"[]"},
        {"jwks_body": b"{}"},
        {"jwks_body": b'{"keys": [' + b'"' + b"x" * 300_000 + b'"]}'},
        {"jwks_body": b"[" * 100_000},
        {"redirect_jwks_to": "/jwks?again"},
        {"discovery_status": 500},
        {"discovery_extra": {"issuer": "https://somebody.example"}},
        {"discovery_extra": {"jwks_uri": None}},
        {"discovery_extra": {"jwks_uri": "file:///etc/passwd"}},
        {"discovery_extra": {"jwks_uri": "http://lab.example/jwks"}},
        {"discovery_extra": {"jwks_uri": "https://user@127.0.0.1/jwks"}},
    ],
    ids=lambda each: str(each)[:50],
)
async def test_an_issuer_that_misbehaves_is_unavailable(
    issuers: Issuers, provider: Provider, issuer: Issuer, misbehave: dict[str, Any]
) -> None:
    for name, value in misbehave.items():
        setattr(issuer, name, value)
    with pytest.raises(Unavailable):
        await kids(issuers, provider)
    assert issuer.calls["/jwks"] <= 1


@pytest.mark.parametrize("body", [b'{"keys": 5}', b'{"keys": [1, null, "x", {}, {"kid": 5}]}', b'{"keys": {}}'])
async def test_nonsense_among_the_keys_is_passed_over(
    issuers: Issuers, provider: Provider, issuer: Issuer, body: bytes
) -> None:
    issuer.jwks_body = body
    assert await kids(issuers, provider) == []


async def test_an_issuer_that_hangs_costs_five_seconds_and_then_nothing(
    issuers: Issuers, provider: Provider, issuer: Issuer
) -> None:
    issuer.delay = 8
    loop = asyncio.get_running_loop()
    begun = loop.time()
    results = await asyncio.gather(*(kids(issuers, provider) for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in results] == [Unavailable] * 5
    assert 4 < loop.time() - begun < 7.5
    assert issuer.calls.total() == 1


async def test_over_http_an_issuer_that_is_away_is_503_and_comes_back(steps: Any, issuer: Issuer, clock: Any) -> None:
    issuer.discovery_status = 500
    request = await steps.create()
    token = steps.token(request)
    away = await steps.attach(request, token)
    assert (away.status, away.event) == (503, "SERVICE_UNAVAILABLE")
    assert away.headers["Retry-After"] == "10"
    issuer.discovery_status = 200
    steps.services.openid.issuers._documents.clear()
    assert (await steps.attach(request, token)).status == 200


async def test_the_event_loop_does_not_wait_for_an_issuer(steps: Any, issuer: Issuer) -> None:
    request = await steps.create()
    token = steps.token(request)
    issuer.delay = 0.5
    slow = asyncio.ensure_future(steps.attach(request, token))
    await asyncio.sleep(0.1)
    begun = asyncio.get_running_loop().time()
    assert (await steps.redeem(request)).status == 404
    assert asyncio.get_running_loop().time() - begun < 0.4
    assert not slow.done()
    assert (await slow).status == 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "needs name"),
        ({"name": "Lab!"}, "name of a provider"),
        ({"issuer": "http://lab.example"}, "https URL"),
        ({"issuer": "https://user:secret@lab.example"}, "https URL"),
        ({"issuer": "lab.example"}, "https URL"),
        ({"client_id": ""}, "needs client_id"),
        ({"client_id": 5}, "must be text"),
        ({"hosted_domains": "lab.example"}, "list of texts"),
        ({"algorithms": ["HS256"]}, "RS256, ES256"),
        ({"algorithms": []}, "RS256, ES256"),
        ({"requires_nonce": "no"}, "true or false"),
        ({"clientid": "x"}, "unknown keys of a provider: clientid"),
    ],
    ids=str,
)
def test_a_wrong_configuration_is_told_at_the_start(change: dict[str, Any], message: str) -> None:
    from traitlets import TraitError

    from cosphere_jupyter.app import CosphereApp

    entry = {"name": "lab", "issuer": "https://lab.example", "client_id": "x", **change}
    with pytest.raises(TraitError, match=message):
        CosphereApp(oidc_providers=[entry])


def test_google_is_one_configuration_among_others() -> None:
    lab = {
        "name": "lab",
        "issuer": "http://localhost:8080/realms/lab",
        "client_id": "x",
        "hosted_domains": ["a.example"],
    }
    providers = read_providers([lab], "id.apps.googleusercontent.com")
    assert [(each.name, each.is_google, each.is_local) for each in providers] == [
        ("lab", False, True),
        ("google", True, False),
    ]
    assert providers[1].issuers == ("https://accounts.google.com", "accounts.google.com")
    with pytest.raises(ValueError, match="name of its own"):
        read_providers([{**lab, "name": "google"}], "id")
