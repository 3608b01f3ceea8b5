"""Who does an id token speak for? OpenID Connect Core 1.0, 3.1.3.7, and the stricter rules of this project.

The signature is checked with PyJWT against the configured issuer's own keys; every claim is checked here, by type and
value, against the injected clock. Nothing in a token chooses where keys come from: ``jku``, ``x5u``, ``jwk`` and
``x5c`` are not looked at.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ..errors import IdentityRefused
from .providers import Provider
from .service import is_email

LONGEST_TOKEN = 8 * 1024
LEEWAY = 60
OLDEST = 600
SMALLEST_RSA = 2048
KEY_TYPES = {"RS256": "RSA", "ES256": "EC"}

# Finds the keys of an issuer that have a key id (several, if the issuer is careless).
FindKeys = Callable[[Provider, str], Awaitable[list[Mapping[str, Any]]]]


@dataclass(frozen=True)
class Identity:
    """Somebody, as an issuer knows them: ``(issuer, subject)`` is the key, the e-mail address an attribute.

    ``replayable_until`` is when the token itself has become too old to be shown again.
    """

    issuer: str
    subject: str
    email: str
    replayable_until: datetime


def unverified_parties(token: str) -> tuple[str, list[str]]:
    """Return whom a token claims to be from and for: this only chooses the provider whose rules then decide."""
    if len(token) > LONGEST_TOKEN or token.count(".") != 2:
        raise IdentityRefused("this is no id token")
    try:
        claims = _claims(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    except (ValueError, RecursionError):
        raise IdentityRefused("the token cannot be read") from None
    issuer, audience = claims.get("iss"), claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    return issuer if isinstance(issuer, str) else "", [each for each in audiences if isinstance(each, str)]


def digest_of(token: str) -> str:
    """Return what a token is remembered by: its signed part, because an ECDSA signature has a twin that is as good."""
    return hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()


async def verify_id_token(
    provider: Provider, token: str, nonce: str, find_keys: FindKeys, moment: datetime
) -> Identity:
    """Return whom a token speaks for, or raise ``IdentityRefused``; ``Unavailable`` if the keys cannot be had."""
    if len(token) > LONGEST_TOKEN:
        raise IdentityRefused("the token is too long")
    algorithm, key_id = _header(provider, token)
    usable = [key for key in await find_keys(provider, key_id) if _is_usable(key, algorithm)]
    if not usable:
        raise IdentityRefused("the issuer has no such key for this algorithm")
    claims = _signed_claims(token, usable[0], algorithm)
    _check_parties(provider, claims)
    issued = _check_times(claims, moment.timestamp())
    _check_nonce(provider, claims, nonce)
    return Identity(
        issuer=provider.issuer,
        subject=_subject(claims),
        email=_email(provider, claims),
        replayable_until=datetime.fromtimestamp(issued, timezone.utc) + timedelta(seconds=OLDEST + 2 * LEEWAY),
    )


# -- signature -----------------------------------------------------------------------------------------------------


def _header(provider: Provider, token: str) -> tuple[str, str]:
    import jwt

    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise IdentityRefused("the token cannot be read") from None
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if algorithm not in provider.algorithms:
        raise IdentityRefused("the token is signed with an algorithm that is not allowed")
    if not isinstance(key_id, str) or not key_id:
        raise IdentityRefused("the token does not name its key")
    if not isinstance(kind, str) or kind.upper() != "JWT":
        # An access token (at+jwt), a logout token, …: signed by the same issuer, and no proof of identity.
        raise IdentityRefused("this is another kind of token")
    if "crit" in header or "b64" in header:
        raise IdentityRefused("the token demands extensions")
    return str(algorithm), key_id


def _is_usable(key: Mapping[str, Any], algorithm: str) -> bool:
    operations = key.get("key_ops", ["verify"])
    return (
        key.get("kty") == KEY_TYPES[algorithm]
        and key.get("alg", algorithm) == algorithm
        and key.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and (algorithm != "ES256" or key.get("crv") == "P-256")
    )


def _signed_claims(token: str, key: Mapping[str, Any], algorithm: str) -> dict[str, Any]:
    import jwt

    # Of a key only its public part is read.
    public = {name: key[name] for name in ("kty", "n", "e", "crv", "x", "y") if name in key}
    try:
        loaded = jwt.PyJWK(public, algorithm)
        if algorithm == "RS256" and loaded.key.key_size < SMALLEST_RSA:
            raise IdentityRefused("the issuer's key is too short")
        return _claims(jwt.api_jws.decode_complete(token, loaded, algorithms=[algorithm])["payload"])
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise IdentityRefused("the signature is wrong") from None


def _claims(payload: bytes) -> dict[str, Any]:
    claims = json.loads(payload.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    if not isinstance(claims, dict):
        raise ValueError("claims are an object")
    return claims


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a claim stands twice")
    return dict(pairs)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


# -- claims --------------------------------------------------------------------------------------------------------


def _check_parties(provider: Provider, claims: Mapping[str, Any]) -> None:
    if claims.get("iss") not in provider.issuers:
        raise IdentityRefused("the token is from another issuer")
    audience, party = claims.get("aud"), claims.get("azp")
    audiences = audience if isinstance(audience, list) else [audience]
    if provider.client_id not in audiences:
        raise IdentityRefused("the token is for another client")
    if (len(audiences) > 1 or party is not None) and party != provider.client_id:
        raise IdentityRefused("the token was issued to another client")


def _check_times(claims: Mapping[str, Any], moment: float) -> float:
    expires, issued = _instant(claims, "exp"), _instant(claims, "iat")
    if expires <= moment - LEEWAY:
        raise IdentityRefused("the token has expired")
    if issued > moment + LEEWAY:
        raise IdentityRefused("the token is from the future")
    if issued < moment - OLDEST - LEEWAY:
        raise IdentityRefused("the token was issued too long ago")
    if "nbf" in claims and _instant(claims, "nbf") > moment + LEEWAY:
        raise IdentityRefused("the token is not valid yet")
    return issued


def _instant(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**53:
        raise IdentityRefused(f"the token has no usable {name}")
    return float(value)


def _check_nonce(provider: Provider, claims: Mapping[str, Any], nonce: str) -> None:
    given = claims.get("nonce")
    if given is None and not provider.requires_nonce:
        return
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(errors="replace"), nonce.encode()):
        raise IdentityRefused("the token was made for another sign-in request")


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject.isprintable() or not 0 < len(subject) <= 255:
        raise IdentityRefused("the token has no usable sub")
    return subject


def _email(provider: Provider, claims: Mapping[str, Any]) -> str:
    email, hosted = claims.get("email"), claims.get("hd")
    if not isinstance(email, str) or not is_email(email):
        raise IdentityRefused("the token has no e-mail address")
    if claims.get("email_verified") is not True:
        raise IdentityRefused("the issuer has not verified the e-mail address")
    domain = email.rpartition("@")[2].casefold()
    if provider.is_google and domain != "gmail.com" and not (isinstance(hosted, str) and hosted):
        # Anybody can have a Google account with a foreign address; Google does not answer for who reads it today.
        raise IdentityRefused("Google does not run this mailbox")
    if provider.hosted_domains and hosted not in provider.hosted_domains:
        raise IdentityRefused("the account is not of an allowed hosted domain")
    if provider.email_domains and domain not in [each.casefold() for each in provider.email_domains]:
        raise IdentityRefused("the e-mail address is not of an allowed domain")
    return email
