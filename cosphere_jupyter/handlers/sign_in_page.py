"""The page on which a person agrees to a sign-in request, and the way to an issuer and back.

The page is one file with its style and script inside, which run by a nonce; nothing else runs, and nothing is loaded
from elsewhere unless Google's button is configured. What strangers have sent stands in it as escaped text only.
"""

from __future__ import annotations

import secrets
from datetime import timezone
from functools import cache, cached_property
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from tornado.template import Template
from tornado.web import HTTPError

from ..accounts.providers import Provider
from ..accounts.sign_in import SignInRequest
from ..errors import Conflict, CosphereError, IdentityRefused, Invalid, NotFound, Unavailable
from .fields import Field, FieldError, Text
from .sign_in import SignInHandler, Uuid

GOOGLE = "https://accounts.google.com/gsi"

CALLBACK_FIELDS: dict[str, Field] = {
    "state": Text(1024, required=False),
    "code": Text(4096, required=False),
    "iss": Text(1024, required=False),
}


@cache
def _page_file(name: str) -> str:
    return (files(__package__) / "pages" / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    return Template(_page_file("sign_in.html"), whitespace="all")


def _parsed(request_id: str) -> str | None:
    try:
        return Uuid().parse(request_id)
    except FieldError:
        return None


class SignInPage(SignInHandler):
    """Base of what answers with the page."""

    @cached_property
    def _nonce(self) -> str:
        """What this answer's style and script run by."""
        return secrets.token_urlsafe(16)

    @property
    def content_security_policy(self) -> str:
        """What the page may do. Framed only by this very origin: notebooks show it beside the cell that asks."""
        nonce = f"'nonce-{self._nonce}'"
        google = f" {GOOGLE}/" if self._google else ""
        rules = {
            "default-src": "'none'",
            "script-src": nonce + (f" {GOOGLE}/client" if google else ""),
            "style-src": nonce + (f" {GOOGLE}/style" if google else ""),
            "connect-src": f"'self'{google}",
            "frame-src": google.strip() or "'none'",
            # The empty icon, so that no browser asks for another one.
            "img-src": "data:",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'self'",
        }
        return "; ".join(f"{name} {value}" for name, value in rules.items())

    def set_default_headers(self) -> None:
        """The page's own: its address is a secret to other sites, and they may not hold its window."""
        super().set_default_headers()
        self.set_header("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
        # Google looks at the origin (never the path) of the page that its button is on.
        self.set_header("Referrer-Policy", "strict-origin-when-cross-origin" if self._google else "same-origin")
        self.set_header("X-Content-Type-Options", "nosniff")

    @property
    def _google(self) -> Provider | None:
        # Google's own button needs no secret; with one it is like any other issuer.
        for provider in self.services.settings.providers:
            if provider.is_google and not provider.client_secret:
                return provider
        return None

    def send_page(self, state: str, request: SignInRequest | None = None, **more: Any) -> None:
        """Answer with the page in a state: ask, confirm (with ``returned``), expired, or failed (with ``again``)."""
        services, google = self.services, self._google
        values = {
            "nonce": self._nonce,
            "style": _page_file("sign_in.css"),
            "script": _page_file("sign_in.js"),
            "state": state,
            "request": request,
            "host": self.request.host,
            "accounts_path": self.accounts_path,
            "asked_at": request and request.created_at.astimezone(timezone.utc).isoformat("T", "seconds"),
            "seconds_left": self._seconds_left(request),
            "has_password": services.settings.password_sign_in,
            "providers": [each for each in services.settings.providers if each is not google],
            "google": google,
            "google_nonce": request and services.openid.nonce(request.uuid),
            "returned": None,
            "again": None,
        }
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.finish(_template().generate(**{**values, **more}))

    def _seconds_left(self, request: SignInRequest | None) -> int:
        if request is None:
            return 0
        return max(0, int((request.expires_at - self.services.settings.clock()).total_seconds()))

    def page_of(self, request_uuid: str) -> str:
        """Return the path of a request's page."""
        return f"{self.accounts_path}auth_requests/{request_uuid}/authenticate/ui/"

    def send_failure(self, error: CosphereError, again: str | None) -> None:
        """Answer with the page that says that it did not work: a person is looking, not a program."""
        if isinstance(error, Unavailable):
            self.set_status(503)
            self.set_header("Retry-After", str(error.retry_after))
        else:
            self.set_status(400)
        self.send_page("failed", again=again)

    def redirect_uri(self, provider: str) -> str:
        """Return where the issuer sends people back to; each issuer has an address of its own (RFC 9700, 4.4)."""
        return f"{self.request.protocol}://{self.request.host}{self.accounts_path}oidc/{provider}/callback/"


class AuthenticateUiHandler(SignInPage):
    """``/accounts/auth_requests/{id}/authenticate/ui/``: the page."""

    async def get(self, request_id: str) -> None:
        """RENDER_AUTH_REQUEST_AUTHENTICATE_UI: 200 whatever the id; what cannot be signed in to is shown as expired."""
        try:
            request = await self.services.sign_in.read(_parsed(request_id) or "")
        except (NotFound, Conflict):
            self.send_page("expired")
        else:
            self.send_page("ask", request)


class OidcStartHandler(SignInPage):
    """``/accounts/auth_requests/{id}/oidc/{provider}/`` (ours): on to an issuer."""

    async def get(self, request_id: str, provider: str) -> None:
        """Redirect to the issuer; whoever does not come from the page is sent there first, to see who asks."""
        request_uuid = _parsed(request_id)
        if request_uuid is None:
            raise HTTPError(404)
        if not self._comes_from_page():
            self.redirect(self.page_of(request_uuid), status=303)
            return
        try:
            url = await self.services.openid.authorization_url(provider, request_uuid, self.redirect_uri(provider))
        except (NotFound, Conflict):
            self.send_page("expired")
        except Unavailable as error:
            self.send_failure(error, self.page_of(request_uuid))
        else:
            self.redirect(url, status=303)

    def _comes_from_page(self) -> bool:
        headers = self.request.headers
        if site := headers.get("Sec-Fetch-Site"):
            return site == "same-origin"
        # Browsers send that to trustworthy origins only; to others they send at least where a link was.
        return urlsplit(headers.get("Referer", "")).netloc == self.request.host


class OidcCallbackHandler(SignInPage):
    """``/accounts/oidc/{provider}/callback/`` (ours): back from an issuer."""

    async def get(self, provider: str) -> None:
        """Show who has come back, and who asks; the page attaches the account when the person agrees."""
        try:
            query = self.query(CALLBACK_FIELDS)
            if "code" not in query or "state" not in query:
                raise IdentityRefused("the issuer sent nobody back")
            returned = await self.services.openid.finish(
                provider, query["state"], query["code"], self.redirect_uri(provider), query.get("iss")
            )
            request = await self.services.sign_in.read(returned.request_uuid)
        except (NotFound, Conflict):
            self.send_page("expired")
        except (IdentityRefused, Invalid, Unavailable) as error:
            self.log.info("Signing in with %s failed: %s", provider, error)
            self.send_failure(error, self._again(provider))
        else:
            self.send_page("confirm", request, returned=returned)

    def _again(self, provider: str) -> str | None:
        try:
            return self.page_of(self.services.openid.request_of(provider, self.get_query_argument("state", "")))
        except IdentityRefused:
            return None
