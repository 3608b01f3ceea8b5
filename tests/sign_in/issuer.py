"""An OpenID Connect issuer on this machine, and tokens of it, good ones and others."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

CLIENT = "cosphere-tests"
SECRET = "a secret: with / signs"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Key:
    """A private key with the id and the JWK that the issuer publishes."""

    def __init__(self, kid: str, algorithm: str = "RS256", bits: int = 2048) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.private: Any
        if algorithm == "RS256":
            self.private = rsa.generate_private_key(65537, bits)
            numbers = self.private.public_key().public_numbers()
            public = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        else:
            self.private = ec.generate_private_key(ec.SECP256R1())
            point = self.private.public_key().public_numbers()
            public = {
                "kty": "EC",
                "crv": "P-256",
                "x": base64url(point.x.to_bytes(32, "big")),
                "y": base64url(point.y.to_bytes(32, "big")),
            }
        self.jwk: dict[str, Any] = {**public, "kid": kid, "alg": algorithm, "use": "sig"}

    def sign(self, content: bytes) -> bytes:
        if self.algorithm == "RS256":
            return bytes(self.private.sign(content, padding.PKCS1v15(), hashes.SHA256()))
        r, s = decode_dss_signature(self.private.sign(content, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def malleated(self, token: str) -> str:
        """The twin of an ES256 token: another text whose signature is good, too."""
        content, _, signature = token.rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        s = P256_ORDER - int.from_bytes(raw[32:], "big")
        encode_dss_signature(int.from_bytes(raw[:32], "big"), s)
        return f"{content}.{base64url(raw[:32] + s.to_bytes(32, 'big'))}"


@dataclass
class Issuer:
    """What the issuer publishes and how it behaves; tests change it as they like."""

    port: int = 0
    keys: list[Key] = field(default_factory=list)
    published: list[dict[str, Any]] | None = None
    jwks_status: int = 200
    jwks_body: bytes | None = None
    discovery_status: int = 200
    discovery_extra: dict[str, Any] = field(default_factory=dict)
    cache_control: str = "public, max-age=600"
    redirect_jwks_to: str = ""
    delay: float = 0.0
    token_status: int = 200
    token_answer: dict[str, Any] | None = None
    client_secret: str = ""
    user: dict[str, Any] = field(default_factory=lambda: {"sub": "rosa-1", "email": "rosa@lab.example"})
    # Changes to the claims of tokens that the token endpoint gives.
    claims: dict[str, Any] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def provider(self) -> dict[str, Any]:
        return {"name": "lab", "issuer": self.url, "client_id": CLIENT, "label": "the Lab"}

    def claims_for(self, nonce: str | None, /, moment: float | None = None, **changes: Any) -> dict[str, Any]:
        issued = int(time.time() if moment is None else moment)
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "exp": issued + 300,
            "iat": issued,
            "nonce": nonce,
            "email_verified": True,
            **self.user,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, nonce: str | None, /, key: Key | None = None, **changes: Any) -> str:
        return compact(key or self.keys[0], self.claims_for(nonce, **changes))

    # -- serving -----------------------------------------------------------------------------------------------------

    def start(self) -> HTTPServer:
        """Serve on a free port, or again on the one it had."""
        sockets = bind_sockets(self.port, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        options = {"issuer": self}
        server = HTTPServer(
            Application(
                [
                    ("/.well-known/openid-configuration", Discovery, options),
                    ("/jwks", Jwks, options),
                    ("/authorize", Authorize, options),
                    ("/token", Token, options),
                ]
            )
        )
        server.add_sockets(sockets)
        return server


def compact(key: Key, claims: Any, **header: Any) -> str:
    """A signed token; a header field that is None is left out."""
    full = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT", **header}
    return signed(key, {name: value for name, value in full.items() if value is not None}, claims)


def signed(key: Key, header: Any, claims: Any) -> str:
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    content = f"{base64url(json.dumps(header).encode())}.{base64url(payload)}"
    return f"{content}.{base64url(key.sign(content.encode()))}"


def signed_with_secret(secret: bytes, header: dict[str, Any], claims: dict[str, Any], hash_name: str = "sha256") -> str:
    content = f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(claims).encode())}"
    return f"{content}.{base64url(hmac.new(secret, content.encode(), hash_name).digest())}"


class IssuerHandler(RequestHandler):
    def initialize(self, issuer: Issuer) -> None:
        self.issuer = issuer

    async def prepare(self) -> None:
        self.issuer.calls[self.request.path] += 1
        if self.issuer.delay:
            await asyncio.sleep(self.issuer.delay)

    def set_default_headers(self) -> None:
        self.clear_header("Server")


class Discovery(IssuerHandler):
    def get(self) -> None:
        url = self.issuer.url
        self.set_status(self.issuer.discovery_status)
        self.set_header("Cache-Control", self.issuer.cache_control)
        endpoints = {"authorization_endpoint": f"{url}/authorize", "token_endpoint": f"{url}/token"}
        self.finish({"issuer": url, "jwks_uri": f"{url}/jwks", **endpoints, **self.issuer.discovery_extra})


class Jwks(IssuerHandler):
    def get(self) -> None:
        if self.issuer.redirect_jwks_to:
            self.redirect(self.issuer.redirect_jwks_to)
            return
        self.set_status(self.issuer.jwks_status)
        self.set_header("Cache-Control", self.issuer.cache_control)
        published = self.issuer.published
        keys = [key.jwk for key in self.issuer.keys] if published is None else published
        body = self.issuer.jwks_body
        self.finish(json.dumps({"keys": keys}).encode() if body is None else body)


class Authorize(IssuerHandler):
    """Asks nothing: whoever comes is the issuer's one user."""

    def get(self) -> None:
        query = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        assert query["client_id"] == CLIENT and query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = base64url(hashlib.sha256(query["state"].encode()).digest())
        self.issuer.codes[code] = query
        self.redirect(
            f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state'], 'iss': self.issuer.url})}"
        )


class Token(IssuerHandler):
    def post(self) -> None:
        if self.issuer.token_answer is not None or self.issuer.token_status != 200:
            self.set_status(self.issuer.token_status)
            self.finish(self.issuer.token_answer or {"error": "server_error"})
            return
        asked = self.issuer.codes.pop(self.get_body_argument("code"), None)
        verifier = self.get_body_argument("code_verifier").encode()
        if (
            asked is None
            or base64url(hashlib.sha256(verifier).digest()) != asked["code_challenge"]
            or self.get_body_argument("redirect_uri") != asked["redirect_uri"]
            or not self._knows_secret()
        ):
            self.set_status(400)
            self.finish({"error": "invalid_grant"})
            return
        token = self.issuer.token(asked["nonce"], **self.issuer.claims)
        self.finish({"access_token": "unused", "token_type": "Bearer", "id_token": token})

    def _knows_secret(self) -> bool:
        if not self.issuer.client_secret:
            return self.get_body_argument("client_id") == CLIENT
        from urllib.parse import quote_plus

        pair = f"{quote_plus(CLIENT)}:{quote_plus(self.issuer.client_secret)}"
        return self.request.headers.get("Authorization") == f"Basic {base64.b64encode(pair.encode()).decode()}"
