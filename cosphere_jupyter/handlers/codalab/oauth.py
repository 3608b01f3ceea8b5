"""The token endpoint of OAuth 2.0 (RFC 6749 with the password and the refresh grant) and revocation (RFC 7009).

Its errors are the RFC's, with the statuses that the CodaLab API's programs know (semantics, section 2): they read 401
as a wrong name or password. Parameters come in the body, as a form; nothing of them may stand in the address, which
servers log.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from tornado.web import HTTPError

from ...accounts.basic import Peer
from ...accounts.oauth import CLIENTS, SCOPE, GrantRefused, TokenPair
from ...errors import AccessDenied, TooManyAttempts, Unauthenticated, Unavailable
from ..base import BaseHandler

FORM = "application/x-www-form-urlencoded"
LONGEST_FORM = 64 * 1024
GRANTS = ("password", "refresh_token")
# Of the API's own server; the RFC has 400 for all but the client.
STATUSES = {"invalid_client": 401, "invalid_grant": 401, "invalid_scope": 401}

Answered = tuple[int, str, str | None]


class OAuthHandler(BaseHandler):
    """What the two endpoints share: the form, the client that sends it, and errors as the RFC has them."""

    challenge: ClassVar[str] = 'Basic realm="cosphere"'
    form: dict[str, str]

    async def prepare(self) -> None:  # type: ignore[override]
        """Read the form; what stands in the address is not looked at, nor logged."""
        self.request.uri = self.request.path
        await super().prepare()
        if self.request.method == "POST":
            self.form = self._read_form()

    def set_default_headers(self) -> None:
        """Also for programs of HTTP/1.0."""
        super().set_default_headers()
        self.set_header("Pragma", "no-cache")

    def client(self) -> str:
        """Return the client that sends the form: one of the known public ones, whose secret is empty."""
        named = {self.form["client_id"]} if "client_id" in self.form else set()
        scheme, _, credential = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            name, secret = _decode(credential.strip())
            named.add(name)
        else:
            secret = ""
        if len(named) != 1 or not named <= set(CLIENTS) or secret or self.form.get("client_secret"):
            raise GrantRefused("invalid_client")
        return named.pop()

    def needed(self, name: str) -> str:
        """Return a parameter that has to be there."""
        if name not in self.form:
            raise GrantRefused("invalid_request", f"Request is missing {name} parameter.")
        return self.form[name]

    def _read_form(self) -> dict[str, str]:
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != FORM:
            return {}
        if len(self.request.body) > LONGEST_FORM:
            raise GrantRefused("invalid_request", "The body is too large.")
        try:
            pairs = parse_qsl(self.request.body.decode(), keep_blank_values=False, errors="strict")
        except ValueError:
            raise GrantRefused("invalid_request", "The body is no form in UTF-8.") from None
        form = dict(pairs)
        if len(form) < len(pairs):
            raise GrantRefused("invalid_request", "A parameter is repeated.")
        return form

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an error; a page's own script is not made to pop up the browser's window for passwords."""
        if "Sec-Fetch-Mode" in self.request.headers:
            self.challenge = 'Bearer realm="cosphere"'  # type: ignore[misc]
        super().write_error(status_code, **kwargs)

    def error_answer(self, error: BaseException | None, status: int) -> tuple[int, Any]:
        """Return an error as the RFC has it."""
        status, word, description = _describe(error, status)
        told = {"error": word, "error_description": description}
        return status, {key: text for key, text in told.items() if text}


class TokenHandler(OAuthHandler):
    """``/oauth2/token``."""

    async def post(self) -> None:
        """Give a pair of tokens."""
        grant = self.form.get("grant_type")
        if grant not in GRANTS:
            raise GrantRefused("unsupported_grant_type")
        client = self.client()
        pair = await (self._by_password(client) if grant == "password" else self._by_refresh(client))
        self.send_json(
            {
                "access_token": pair.access,
                "expires_in": pair.expires_in,
                "token_type": "Bearer",
                "scope": SCOPE,
                "refresh_token": pair.refresh,
            }
        )

    async def _by_password(self, client: str) -> TokenPair:
        name, password = self.needed("username").strip(), self.needed("password")
        self._check_scope()
        if not self.services.basic.is_offered:
            raise GrantRefused("unauthorized_client", "Nobody signs in with a password here.")
        peer = Peer(self.request.remote_ip or "", self.request.protocol == "https")
        account = await self.services.basic.account_of(name, password, peer)
        return await self.services.oauth.issue(account, client)

    async def _by_refresh(self, client: str) -> TokenPair:
        token = self.needed("refresh_token")
        self._check_scope()
        return await self.services.oauth.refresh(token, client)

    def _check_scope(self) -> None:
        if self.form.get("scope", SCOPE) != SCOPE:
            raise GrantRefused("invalid_scope")


class RevokeHandler(OAuthHandler):
    """``/oauth2/revoke``."""

    async def post(self) -> None:
        """End a sign-in; a token that is not good is answered in the same way."""
        client = self.client()
        await self.services.oauth.revoke(self.needed("token"), client)
        self.send_json({})


def _decode(credential: str) -> tuple[str, str]:
    try:
        name, colon, secret = base64.b64decode(credential.encode(), validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        raise GrantRefused("invalid_client") from None
    return name, secret if colon else ":"


def _describe(error: BaseException | None, status: int) -> Answered:
    if isinstance(error, GrantRefused):
        return STATUSES.get(error.error, 400), error.error, error.description
    if isinstance(error, Unauthenticated):
        return 401, "invalid_grant", "Invalid credentials given."
    if isinstance(error, TooManyAttempts):
        return 429, "invalid_grant", f"Too many attempts; try again in {error.retry_after} s."
    if isinstance(error, AccessDenied):
        return 403, "invalid_request", str(error)
    if isinstance(error, Unavailable):
        return 503, "temporarily_unavailable", None
    if isinstance(error, HTTPError) and status < 500:
        return status, "invalid_request", {405: "Method not allowed."}.get(status)
    return 500, "server_error", None
