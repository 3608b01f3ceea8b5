"""The CoSphere face's envelope: ``@event``, ``@type``, and on errors after authorisation ``@authorizer``.

Source: CoSphere API 0.2.6, "Envelope". This is the one place in which the error tree becomes this face's statuses.
"""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError

from ..accounts.service import Account
from ..catalogue.service import AccountName
from ..errors import (
    AccessDenied,
    BodyUnreadable,
    Conflict,
    FieldsInvalid,
    IdentityRefused,
    Invalid,
    ModelInvalid,
    NotFound,
    QueryInvalid,
    QuotaExceeded,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
)
from .access import Route
from .base import BaseHandler

_HTTP_EVENTS = {
    403: "ACCESS_DENIED",
    404: "COULD_NOT_FIND_PATH",
    405: "METHOD_NOT_ALLOWED",
    413: "BODY_TOO_LARGE",
}
_INVALID_EVENTS: dict[type[Invalid], str] = {
    FieldsInvalid: "BODY_DID_NOT_VALIDATE",
    QueryInvalid: "QUERY_DID_NOT_VALIDATE",
    # Bad JSON and broken model rules share an event in the API; the latter has ``errors``.
    ModelInvalid: "BODY_JSON_DID_NOT_PARSE",
    BodyUnreadable: "BODY_JSON_DID_NOT_PARSE",
}


class CosphereHandler(BaseHandler):
    """Base of the CoSphere face."""

    def initialize(self, name: str, route: Route | None = None) -> None:
        """Forget the Content-Type: this face's bodies are JSON whatever they say, so tornado shall not parse forms."""
        super().initialize(name, route)
        self.request.headers.pop("Content-Type", None)

    def send_event(self, event: str, kind: str, status: int = 200, **entity: Any) -> None:
        """Answer with an entity in the envelope."""
        self.send_json({"@event": event, "@type": kind, **entity}, status)

    def error_answer(self, error: BaseException | None, status: int) -> tuple[int, Any]:
        """Return status and enveloped body for an error."""
        status, event, extras = _describe(error, status)
        body = {"@event": event, "@type": "error", **extras}
        if self.caller is not None and status not in (401, 403):
            body["@authorizer"] = {"account_id": self.caller.account.id}
        return status, body


def _describe(error: BaseException | None, status: int) -> tuple[int, str, dict[str, Any]]:
    if isinstance(error, Invalid):
        extras = {} if error.errors is None else {"errors": error.errors}
        return 400, _INVALID_EVENTS[type(error)], extras
    if isinstance(error, Unauthenticated):
        return 401, error.reason, {}
    if isinstance(error, AccessDenied):
        return 403, "ACCESS_DENIED", {}
    if isinstance(error, NotFound):
        return 404, f"COULD_NOT_FIND_{error.kind.replace(' ', '').upper()}", {}
    if isinstance(error, Conflict):
        return 400, error.event, dict(error.details)
    if isinstance(error, IdentityRefused):
        # The API's word, whoever issued the token. Why it was refused is for the log: here it would help forgers.
        return 409, "GOOGLE_OAUTH2_USER_INFO_ERROR_DETECTED", {}
    if isinstance(error, TooManyAttempts):
        return 429, "TOO_MANY_ATTEMPTS_DETECTED", {"retry_after": error.retry_after}
    if isinstance(error, QuotaExceeded):
        return 400, "DISK_QUOTA_EXCEEDED", {"message": str(error), **error.details}
    if isinstance(error, Unavailable):
        return 503, error.event, {"message": str(error), **error.details}
    if isinstance(error, HTTPError) and status < 500:
        return status, _HTTP_EVENTS.get(status, "BAD_REQUEST"), {}
    return 500, "GENERIC_ERROR_OCCURRED", {"errors": ["an unexpected error; the server's log tells more"]}


def account_entity(account: Account | AccountName | None) -> dict[str, Any] | None:
    """Return an account as other entities show it (null where it is gone)."""
    if account is None:
        return None
    return {"@type": "account", "id": account.id, "email": account.email, "type": account.type}
