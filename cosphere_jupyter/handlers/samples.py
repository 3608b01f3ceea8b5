"""The iffSamples face: HTTP Basic, JSON whatever the Content-Type, and errors as ``{"message": text}``.

Source: the iffSamples API, "Authentication". This is the one place in which the error tree becomes this face's
statuses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from tornado.web import HTTPError

from ..errors import (
    AccessDenied,
    BodyUnreadable,
    Conflict,
    Invalid,
    NotFound,
    QuotaExceeded,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
)
from ..json_values import LARGEST_ID
from ..objects.service import NotCurrent, Refused
from .access import Route
from .base import LARGEST_BODY, PARSE_ON_LOOP, BaseHandler

UNREADABLE = "Failed to decode JSON object"

_HTTP_TEXTS = {
    403: "this may not be done from another page",
    404: "there is nothing at this address",
    405: "this method is not served here",
    413: "the body is too large",
}


class SamplesHandler(BaseHandler):
    """Base of the iffSamples face."""

    challenge: ClassVar[str] = 'Basic realm="cosphere", charset="UTF-8"'

    def initialize(self, name: str, route: Route | None = None) -> None:
        """Forget the Content-Type: bodies are JSON whatever they say, so tornado shall not parse forms."""
        super().initialize(name, route)
        self.request.headers.pop("Content-Type", None)

    async def json_body(self) -> Any:
        """Return the JSON of the body, or raise ``BodyUnreadable``."""
        raw = self.request.body
        if len(raw) > LARGEST_BODY:
            raise HTTPError(413)
        return await self.off_loop_if(len(raw) > PARSE_ON_LOOP, lambda: _parse(raw))

    def argument(self, name: str) -> str | None:
        """Return the first value of a query parameter, or None."""
        values = self.request.query_arguments.get(name)
        return values[0].decode(errors="replace") if values else None

    @staticmethod
    def path_id(text: str) -> int:
        """Return an id from a path; what is too long for one is an id that nothing has, which 0 is not here."""
        return int(text) if len(text) <= 16 and int(text) <= LARGEST_ID else LARGEST_ID

    def path_of(self, *parts: Any) -> str:
        """Return the path of a resource of this face, from the server's root."""
        return "/".join([f"{self.services.mount(self.base_url)}api/v1", *map(str, parts)])

    def send_created(self, body: Mapping[str, Any], *parts: Any) -> None:
        """Answer that something was made, and where it is."""
        self.set_header("Location", self.path_of(*parts))
        self.send_json(body, 201)

    def error_answer(self, error: BaseException | None, status: int) -> tuple[int, Any]:
        """Return status and body for an error."""
        status, message = _describe(error, status)
        if isinstance(error, Refused) and error.paths is not None:
            return status, {"message": message, "error_paths": error.paths}
        return status, {"message": message}

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an error; a page's own script is not made to pop up the browser's window for passwords."""
        if "Sec-Fetch-Mode" in self.request.headers:
            self.challenge = 'Bearer realm="cosphere"'  # type: ignore[misc]
        super().write_error(status_code, **kwargs)


class SamplesNotFoundHandler(SamplesHandler):
    """Paths of this face that nothing serves."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse whatever the method."""
        raise HTTPError(404)


def _parse(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode())
    except (ValueError, RecursionError):
        raise BodyUnreadable from None


def _describe(error: BaseException | None, status: int) -> tuple[int, str]:
    if isinstance(error, BodyUnreadable):
        return 400, UNREADABLE
    if isinstance(error, NotCurrent):
        return 412, str(error)
    if isinstance(error, Invalid):
        return 400, str(error)
    if isinstance(error, Unauthenticated):
        return 401, f"you are not known: {error.reason.replace('_', ' ').lower()}"
    if isinstance(error, AccessDenied):
        return 403, str(error)
    if isinstance(error, NotFound):
        return 404, f"{error.kind} does not exist"
    if isinstance(error, Conflict):
        return 400, error.event.replace("_", " ").lower()
    if isinstance(error, TooManyAttempts):
        return 429, str(error)
    if isinstance(error, QuotaExceeded):
        return 400, str(error)
    if isinstance(error, Unavailable):
        return 503, str(error)
    if isinstance(error, HTTPError) and status < 500:
        return status, _HTTP_TEXTS.get(status, "the request cannot be served")
    return 500, "an unexpected error; the server's log tells more"
