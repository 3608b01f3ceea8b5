"""Sign-in over HTTP: the CoSphere API's open account commands, and signing in with a password (ours).

Nobody is known to these commands and they look at no credential that a browser adds by itself; a page of another
origin may not call them all the same.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from tornado.web import HTTPError

from ..accounts.sign_in import code_challenge_of
from ..errors import AccessDenied
from .base import SAFE_METHODS
from .cosphere import CosphereHandler
from .fields import Email, Field, FieldError, Password, Text

# What these commands are sent is small, and anybody may send it.
LARGEST_BODY = 64 * 1024

_UUID = re.compile(r"([0-9a-fA-F]{8})-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


class Uuid(Field):
    """A UUID as text, with or without dashes, or as a whole number."""

    def parse(self, value: Any) -> str:
        """Return the UUID in its usual form."""
        try:
            if isinstance(value, int):
                return str(uuid.UUID(int=value))
            if isinstance(value, str):
                return str(uuid.UUID(hex=value))
        except ValueError:
            pass
        raise FieldError("Must be a valid UUID.")


ATTACH_FIELDS: dict[str, Field] = {"request_uuid": Uuid(), "oauth_token": Text(), "email": Email(254)}
PASSWORD_FIELDS: dict[str, Field] = {"request_uuid": Uuid(), "email": Email(254), "password": Password(1024)}
REDEEM_FIELDS: dict[str, Field] = {"request_uuid": Uuid(), "code_verifier": Text(128, required=False)}


def _shortened(text: str) -> str:
    return _UUID.sub(r"\1…", text)


class SignInHandler(CosphereHandler):
    """Base of all that is open to strangers on their way in."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse pages of other origins, and what is too large."""
        await super().prepare()
        if self.request.method not in SAFE_METHODS:
            if not self.check_origin():
                raise AccessDenied("a page of another origin may not do this")
            if len(self.request.body) > LARGEST_BODY:
                raise HTTPError(413)

    def _log(self) -> None:
        """Log the request without the whole UUID: whoever knows it can fetch the token."""
        self.request.uri = _shortened(self.request.uri or "")
        if referer := self.request.headers.get("Referer"):
            self.request.headers["Referer"] = _shortened(referer)
        super()._log()

    @property
    def address(self) -> str:
        """Where the request comes from (what a proxy says of it counts only if Jupyter trusts its headers)."""
        return self.request.remote_ip or "unknown"

    @property
    def accounts_path(self) -> str:
        """The path below which the account commands lie."""
        return f"{self.services.mount(self.base_url)}accounts/"


class AuthRequestsHandler(SignInHandler):
    """``/accounts/auth_requests/``: a program wants to sign somebody in."""

    async def post(self) -> None:
        """CREATE_AUTH_REQUEST. The command has no body; a ``code_challenge`` in one is an addition of ours."""
        challenge = self._challenge()
        agent = self.request.headers.get("User-Agent", "")
        request = await self.services.sign_in.create(self.address, agent, challenge)
        uri = f"{self.accounts_path}auth_requests/{request.uuid}/authenticate/ui/"
        added = {"code_challenge_method": "S256"} if challenge else {}
        self.send_event(
            "AUTH_REQUEST_CREATED",
            "auth_request",
            201,
            authenticate_ui_uri=uri,
            request_uuid=request.uuid,
            **added,
        )

    def _challenge(self) -> str | None:
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError):
            return None
        return code_challenge_of(body.get("code_challenge")) if isinstance(body, dict) else None


class AttachAccountHandler(SignInHandler):
    """``/accounts/auth_requests/attach_account/``: somebody proves who they are by an id token."""

    async def post(self) -> None:
        """ATTACH_ACCOUNT_TO_AUTH_REQUEST."""
        body = await self.body(ATTACH_FIELDS)
        await self.services.openid.attach(body["request_uuid"], body["oauth_token"], body["email"])
        self.send_event("ACCOUNT_TO_AUTH_REQUEST_ATTACHED", "empty")


class AttachPasswordHandler(SignInHandler):
    """``/accounts/auth_requests/attach_password/`` (ours): somebody proves who they are by a password."""

    async def post(self) -> None:
        """ATTACH_ACCOUNT_TO_AUTH_REQUEST by password."""
        if not self.services.settings.password_sign_in:
            raise HTTPError(404)
        body = await self.body(PASSWORD_FIELDS)
        await self.services.sign_in.read(body["request_uuid"])
        account = await self.services.password_verifier.verify_password(body["email"], body["password"], self.address)
        await self.services.sign_in.attach(body["request_uuid"], account.id)
        self.send_event("ACCOUNT_TO_AUTH_REQUEST_ATTACHED", "empty")


class AuthTokensHandler(SignInHandler):
    """``/accounts/auth_tokens/``: the program fetches its token, once."""

    async def post(self) -> None:
        """CREATE_AUTH_TOKEN."""
        token = await self.services.sign_in.redeem(**await self.body(REDEEM_FIELDS))
        self.send_event("AUTH_TOKEN_CREATED", "auth_token", 201, token=token)
