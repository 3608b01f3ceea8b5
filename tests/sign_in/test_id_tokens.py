"""The id-token verifier against a real issuer: what is good is accepted, and nothing else."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from sign_in.issuer import CLIENT, Issuer, Key, base64url, compact, signed, signed_with_secret
from support import Api

GOOD = "good"
REFUSED = (409, "GOOGLE_OAUTH2_USER_INFO_ERROR_DETECTED")
FOREIGN = Key("rsa-1")
FOREIGN_UNKNOWN = Key("unknown-1")


class Maker:
    """Makes tokens for one request."""

    def __init__(self, issuer: Issuer, nonce: str) -> None:
        self.issuer = issuer
        self.nonce = nonce
        self.rsa, self.ec = issuer.keys

    def claims(self, **changes: Any) -> dict[str, Any]:
        return self.issuer.claims_for(self.nonce, **changes)

    def of(self, **changes: Any) -> str:
        return compact(self.rsa, self.claims(**changes))

    def with_header(self, **header: Any) -> str:
        return compact(self.rsa, self.claims(), **header)

    def with_secret(self, secret: bytes) -> str:
        return signed_with_secret(secret, {"alg": "HS256", "kid": self.rsa.kid}, self.claims())

    def pem(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self.rsa.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def raw_claims(self, text: str) -> str:
        """A well-signed token whose claims are this text."""
        return compact(self.rsa, text.encode())


def tampered(token: str, **changes: Any) -> str:
    header, payload, signature = token.split(".")
    claims = {**json.loads(base64.urlsafe_b64decode(payload + "==")), **changes}
    return f"{header}.{base64url(json.dumps(claims).encode())}.{signature}"


def flipped(token: str) -> str:
    content, _, signature = token.rpartition(".")
    return f"{content}.{'B' if signature[10] == 'A' else 'A'}{signature[1:]}"


def seconds(ahead: float) -> int:
    return int(time.time() + ahead)


Make = Callable[[Maker], str]

# fmt: off
BAD: dict[str, Make] = {
    # Not a token.
    "not a token at all":                 lambda m: "some-oauth-token",
    "two parts":                          lambda m: m.of().rpartition(".")[0],
    "four parts":                         lambda m: m.of() + ".x",
    "five parts, as if encrypted":        lambda m: m.of() + ".x.y",
    "no base64":                          lambda m: "é.ü.ß",
    "longer than 8 KiB":                  lambda m: m.of(padding="x" * 8000),
    "claims are a list":                  lambda m: compact(m.rsa, [1]),
    "claims are no JSON":                 lambda m: m.raw_claims("{"),
    "a claim twice":                      lambda m: m.raw_claims(json.dumps(m.claims())[:-1] + ', "sub": "other"}'),
    "header is a list":                   lambda m: signed(m.rsa, [1], m.claims()),
    # Signature.
    "no signature":                       lambda m: m.of().rpartition(".")[0] + ".",
    "a flipped signature":                lambda m: flipped(m.of()),
    "changed claims":                     lambda m: tampered(m.of(), email="ada@lab.example"),
    "another's key under this kid":       lambda m: compact(FOREIGN, m.claims()),
    "a key that is not published":        lambda m: compact(FOREIGN_UNKNOWN, m.claims()),
    "signature of another token":         lambda m: m.of().rpartition(".")[0] + "." + m.of(jti="2").rpartition(".")[2],
    # Algorithm.
    "alg none":                           lambda m: m.with_header(alg="none").rpartition(".")[0] + ".",
    "alg None with a signature":          lambda m: m.with_header(alg="None"),
    "alg missing":                        lambda m: m.with_header(alg=None),
    "alg a list":                         lambda m: m.with_header(alg=["RS256"]),
    "HS256 with the public key":          lambda m: m.with_secret(m.pem()),
    "HS256 with the client id":           lambda m: m.with_secret(CLIENT.encode()),
    "HS256 with nothing":                 lambda m: m.with_secret(b""),
    "RS512 said":                         lambda m: m.with_header(alg="RS512"),
    "PS256 said":                         lambda m: m.with_header(alg="PS256"),
    "rs256 in small letters":             lambda m: m.with_header(alg="rs256"),
    "ES256 said with an RSA key":         lambda m: m.with_header(alg="ES256"),
    "RS256 said with an EC key":          lambda m: compact(m.ec, m.claims(), alg="RS256"),
    # Which key.
    "kid missing":                        lambda m: m.with_header(kid=None),
    "kid empty":                          lambda m: m.with_header(kid=""),
    "kid a number":                       lambda m: m.with_header(kid=1),
    "kid a path":                         lambda m: m.with_header(kid="../../dev/null"),
    "own key in jwk":                     lambda m: compact(FOREIGN, m.claims(), jwk=FOREIGN.jwk),
    "own key in jwk under a new kid":     lambda m: compact(FOREIGN_UNKNOWN, m.claims(), jwk=FOREIGN_UNKNOWN.jwk),
    "own keys by jku":                    lambda m: compact(FOREIGN, m.claims(), jku=f"{m.issuer.url}/jwks"),
    "own certificate by x5u":             lambda m: compact(FOREIGN, m.claims(), x5u=f"{m.issuer.url}/cert"),
    "own certificate in x5c":             lambda m: compact(FOREIGN, m.claims(), x5c=["MIIB"]),
    # Kind of token.
    "an access token":                    lambda m: m.with_header(typ="at+jwt"),
    "a logout token":                     lambda m: m.with_header(typ="logout+jwt"),
    "typ a number":                       lambda m: m.with_header(typ=5),
    "unknown crit":                       lambda m: m.with_header(crit=["x"], x=1),
    "unencoded payload":                  lambda m: m.with_header(b64=False, crit=["b64"]),
    # Issuer and audience.
    "another issuer":                     lambda m: m.of(iss="https://evil.example"),
    "issuer with a slash":                lambda m: m.of(iss=m.issuer.url + "/"),
    "issuer of Google":                   lambda m: m.of(iss="https://accounts.google.com"),
    "issuer missing":                     lambda m: m.of(iss=None),
    "issuer a list":                      lambda m: m.of(iss=[m.issuer.url]),
    "another audience":                   lambda m: m.of(aud="other-client"),
    "audience missing":                   lambda m: m.of(aud=None),
    "audience begins with ours":          lambda m: m.of(aud=CLIENT + "-2"),
    "audience an object":                 lambda m: m.of(aud={CLIENT: True}),
    "others in the audience, no azp":     lambda m: m.of(aud=[CLIENT, "other-client"]),
    "others in the audience, their azp":  lambda m: m.of(aud=[CLIENT, "other-client"], azp="other-client"),
    "our audience, another's azp":        lambda m: m.of(azp="other-client"),
    # Times.
    "exp missing":                        lambda m: m.of(exp=None),
    "expired":                            lambda m: m.of(exp=seconds(-61)),
    "exp as text":                        lambda m: m.of(exp=str(seconds(300))),
    "exp true":                           lambda m: m.of(exp=True),
    "exp beyond all numbers":             lambda m: m.of(exp=10**30),
    "exp infinite":                       lambda m: m.raw_claims(json.dumps(m.claims(exp=float("inf")))),
    "exp not a number":                   lambda m: m.raw_claims(json.dumps(m.claims(exp=float("nan")))),
    "iat missing":                        lambda m: m.of(iat=None),
    "iat in the future":                  lambda m: m.of(iat=seconds(90)),
    "iat too old":                        lambda m: m.of(iat=seconds(-700)),
    "iat as text":                        lambda m: m.of(iat="now"),
    "iat negative":                       lambda m: m.of(iat=-1),
    "not valid yet":                      lambda m: m.of(nbf=seconds(90)),
    "nbf as text":                        lambda m: m.of(nbf="0"),
    # Whose request.
    "nonce missing":                      lambda m: compact(m.rsa, m.issuer.claims_for(None)),
    "nonce of another request":           lambda m: m.of(nonce=m.nonce[::-1]),
    "nonce empty":                        lambda m: m.of(nonce=""),
    "nonce a list":                       lambda m: m.of(nonce=[m.nonce]),
    "nonce half a letter":                lambda m: m.of(nonce="\ud800"),
    # Who.
    "sub missing":                        lambda m: m.of(sub=None),
    "sub empty":                          lambda m: m.of(sub=""),
    "sub a number":                       lambda m: m.of(sub=5),
    "sub too long":                       lambda m: m.of(sub="s" * 256),
    "sub with a line break":              lambda m: m.of(sub="a\nb"),
    "sub with NUL":                       lambda m: m.of(sub="a\0b"),
    "email missing":                      lambda m: m.of(email=None),
    "email no address":                   lambda m: m.of(email="rosa"),
    "email a list":                       lambda m: m.of(email=["rosa@lab.example"]),
    "email not verified":                 lambda m: m.of(email_verified=False),
    "email verified missing":             lambda m: m.of(email_verified=None),
    "email verified as text":             lambda m: m.of(email_verified="true"),
    "email verified as number":           lambda m: m.of(email_verified=1),
}

FINE: dict[str, Make] = {
    "RS256":                              lambda m: m.of(),
    "ES256":                              lambda m: compact(m.ec, m.claims()),
    "typ missing":                        lambda m: m.with_header(typ=None),
    "typ in small letters":               lambda m: m.with_header(typ="jwt"),
    "audience a list of one":             lambda m: m.of(aud=[CLIENT]),
    "others in the audience, our azp":    lambda m: m.of(aud=["other-client", CLIENT], azp=CLIENT),
    "our azp":                            lambda m: m.of(azp=CLIENT),
    "expired a moment ago":               lambda m: m.of(exp=seconds(-30)),
    "issued a moment ahead":              lambda m: m.of(iat=seconds(30)),
    "issued nine minutes ago":            lambda m: m.of(iat=seconds(-540)),
    "fractions of a second":              lambda m: m.of(exp=time.time() + 60.5, iat=time.time()),
    "claims that nobody asked for":       lambda m: m.of(name="Rosa", at_hash="x", nested={"a": [1]}),
    "own jku beside the right key":       lambda m: m.with_header(jku="https://evil.example/jwks", jwk=FOREIGN.jwk),
}
# fmt: on


def test_there_are_forty_mutations_at_least() -> None:
    assert len(BAD) >= 40


async def test_every_mutated_token_is_refused_and_none_is_an_error_of_ours(
    steps: Any, services: Any, caplog: Any
) -> None:
    request = await steps.create()
    maker = Maker(steps.issuer, steps.nonce(request))
    accepted = {}
    for name, make in BAD.items():
        answer = await steps.attach(request, make(maker))
        if (answer.status, answer.event) != REFUSED and not (name == "longer than 8 KiB" and answer.status == 400):
            accepted[name] = answer.body
    assert accepted == {}
    assert (await steps.redeem(request)).status == 404
    assert "Traceback" not in caplog.text


async def test_the_good_ones_are_accepted(steps: Any, clock: Any) -> None:
    refused = {}
    for name, make in FINE.items():
        request = await steps.create()
        answer = await steps.attach(request, make(Maker(steps.issuer, steps.nonce(request))))
        if answer.status != 200:
            refused[name] = answer.body
    assert refused == {}


async def test_a_token_of_one_request_is_no_good_for_another(steps: Any) -> None:
    first, second = await steps.create(), await steps.create()
    answer = await steps.attach(second, steps.token(first))
    assert (answer.status, answer.event) == REFUSED


async def test_the_twin_of_a_used_token_is_used_too(steps: Any) -> None:
    """ECDSA signatures can be changed into others that are as good."""
    request = await steps.create()
    key = steps.issuer.keys[1]
    token = steps.token(request, key=key)
    assert (await steps.attach(request, key.malleated(token))).status == 200
    answer = await steps.attach(request, token)
    assert (answer.status, answer.event) == REFUSED


async def test_a_used_token_stays_used_over_a_restart(steps: Any, services: Any) -> None:
    request = await steps.create()
    token = steps.token(request)
    assert (await steps.attach(request, token)).status == 200
    rows = await services.database.read(
        lambda connection: connection.exec_driver_sql("SELECT digest, expires_at FROM used_id_tokens").all()
    )
    assert len(rows) == 1 and token not in str(rows)


async def test_tokens_age_by_the_clock_of_the_workspace(steps: Any, clock: Any) -> None:
    request = await steps.create()
    token = steps.token(request)
    clock.pass_seconds(500)
    assert (await steps.attach(request, token)).status == 409


OTHER_PURPOSES: list[dict[str, Any]] = [
    {"kty": "EC"},
    {"kty": "oct", "k": base64url(b"k" * 32)},
    {"alg": "RS512"},
    {"alg": "HS256"},
    {"use": "enc"},
    {"key_ops": ["sign"]},
    {"key_ops": "verify"},
    {"n": "AQAB"},
    {"n": None},
    {"n": 5},
    {"e": ""},
]


async def test_a_key_that_is_published_for_something_else_is_not_used(steps: Any) -> None:
    request = await steps.create()
    for change in [*OTHER_PURPOSES, {}]:
        jwk = {name: value for name, value in {**steps.issuer.keys[0].jwk, **change}.items() if value is not None}
        steps.issuer.published = [jwk]
        steps.services.openid.issuers._documents.clear()
        answer = await steps.attach(request)
        assert (answer.status == 200) if change == {} else ((answer.status, answer.event) == REFUSED), change


async def test_a_short_key_is_not_used(steps: Any) -> None:
    weak = Key("weak", bits=1024)
    steps.issuer.keys.append(weak)
    request = await steps.create()
    answer = await steps.attach(request, steps.token(request, key=weak))
    assert (answer.status, answer.event) == REFUSED


async def test_why_a_token_was_refused_is_logged_without_the_token(steps: Any, caplog: Any) -> None:
    request = await steps.create()
    token = steps.token(request, exp=seconds(-100))
    with caplog.at_level("INFO"):
        await steps.attach(request, token)
    assert "the token has expired" in caplog.text
    assert token not in caplog.text and token.rpartition(".")[2] not in caplog.text


class TestWithoutNonce:
    """A provider whose tokens programs get elsewhere."""

    @pytest.fixture
    def providers(self, issuer: Issuer) -> list[dict[str, Any]]:
        return [{**issuer.provider, "requires_nonce": False, "algorithms": ["RS256"], "email_domains": ["lab.example"]}]

    async def test_a_token_without_a_nonce_is_accepted_and_one_with_another_is_not(self, steps: Any) -> None:
        request = await steps.create()
        assert (await steps.attach(request, steps.issuer.token("another"))).status == 409
        assert (await steps.attach(request, steps.issuer.token(None))).status == 200

    async def test_an_algorithm_that_the_provider_does_not_use_is_refused(self, steps: Any) -> None:
        request = await steps.create()
        assert (await steps.attach(request, steps.token(request, key=steps.issuer.keys[1]))).status == 409

    async def test_an_address_of_a_foreign_domain_is_refused(self, steps: Any) -> None:
        request = await steps.create()
        for email in ("rosa@evil.example", "rosa@sub.lab.example", "rosa@lab.example.evil.example"):
            answer = await steps.attach(request, steps.token(request, sub="x", email=email), email)
            assert answer.status == 409, email
        assert (await steps.attach(request, steps.token(request, email="rosa@LAB.example"))).status == 200


async def test_nobody_is_known_without_a_provider(anybody: Api, owner: Api, services: Any, issuer: Issuer) -> None:
    services.openid.providers = ()
    request = (await anybody.post("/accounts/auth_requests/")).json["request_uuid"]
    token = issuer.token(services.openid.nonce(request))
    body = {"request_uuid": request, "oauth_token": token, "email": "rosa@lab.example"}
    answer = await anybody.post("/accounts/auth_requests/attach_account/", body)
    assert (answer.status, answer.event) == REFUSED
    assert not issuer.calls
