"""The CodaLab face: how its parameters and bodies are read, how resources are shown, and its errors' shape.

Source: the CodaLab REST API 0.2.0 and its semantics, sections 0 and 1. Programs that say ``X-Requested-With`` (the
command line does) get errors as plain text, which they show as it is; all others get JSON:API's ``errors``. This is
the one place in which the error tree becomes this face's statuses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from tornado.web import HTTPError

from ...accounts.problems import NameTaken
from ...accounts.service import Account
from ...bundles.problems import Refused, Taken
from ...errors import (
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
from ...json_values import is_storable
from ..access import Access
from ..base import LARGEST_BODY, PARSE_ON_LOOP, BaseHandler

# Of the API that is served; programs compare it as integers between dots.
API_VERSION = "0.2.0"
SIGN_IN_FIRST = "User is not authenticated."
LARGEST_INTEGER = 2**63 - 1

Resource = dict[str, Any]


class CodaLabHandler(BaseHandler):
    """Base of the CodaLab face."""

    challenge: ClassVar[str] = 'Bearer realm="cosphere"'

    async def _authorise(self, access: Access) -> None:
        """Find the caller; where anybody may read, a good credential only shows more, and a bad one is still bad."""
        try:
            await super()._authorise(Access.ACCOUNT if access is Access.PUBLIC else access)
        except Unauthenticated as error:
            if access is not Access.PUBLIC or error.reason != "COULD_NOT_FIND_AUTH_TOKEN":
                raise

    @property
    def reader(self) -> Account | None:
        """The caller's account, or None for a caller whom nobody knows."""
        return self.caller.account if self.caller else None

    @property
    def is_command_line(self) -> bool:
        """Whether errors are read as plain text."""
        return "X-Requested-With" in self.request.headers

    # -- reading ---------------------------------------------------------------------------------------------------

    def values(self, name: str) -> list[str]:
        """Return every value of a query parameter, in order."""
        found = [value.decode(errors="replace") for value in self.request.query_arguments.get(name, [])]
        if not all(is_storable(value) for value in found):
            raise Refused(f"Invalid value of {name!r}")
        return found

    def value(self, name: str) -> str | None:
        """Return the last value of a query parameter; None if it is missing."""
        found = self.values(name)
        return found[-1] if found else None

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a parameter that is 0 or 1."""
        text = self.value(name)
        if text is None or text == "":
            return default
        try:
            return bool(_integer(text))
        except ValueError:
            raise Refused(f"{name!r} parameter must be integer boolean") from None

    def integer(self, name: str, default: int) -> int:
        """Return a parameter that is a whole number."""
        text = self.value(name)
        if text is None or text == "":
            return default
        try:
            return _integer(text)
        except ValueError:
            raise Refused(f"Invalid int {text[:40]!r}") from None

    def include(self, known: Iterable[str]) -> set[str] | None:
        """Return what is asked to be included, None if nothing is said; ``known`` are the relationships there are."""
        texts = self.values("include")
        if not texts:
            return None
        asked = {part.strip() for text in texts for part in text.split(",") if part.strip()}
        if unknown := sorted(asked - set(known)):
            raise Refused(f"?include={unknown[0]} not supported")
        return asked

    async def json_body(self) -> Any:
        """Return the JSON of the body, whatever its Content-Type."""
        raw = self.request.body
        if len(raw) > LARGEST_BODY:
            raise HTTPError(413)
        return await self.off_loop_if(len(raw) > PARSE_ON_LOOP, lambda: _parse(raw))

    async def resources(self, *types: str) -> list[Resource]:
        """Return the resources of the body's ``data``, one or a list of them, each of one of the types (if any)."""
        body = await self.json_body()
        if not isinstance(body, dict) or "data" not in body:
            raise Refused("Object must include `data` key.")
        data = body["data"]
        return [_resource(each, types) for each in (data if isinstance(data, list) else [data])]

    async def one_resource(self, *types: str) -> Resource:
        """Return the one resource of the body's ``data``."""
        found = await self.resources(*types)
        if len(found) != 1:
            raise Refused("`data` must be one object.")
        return found[0]

    # -- answering -------------------------------------------------------------------------------------------------

    def send_data(
        self, data: Any, included: Sequence[Resource] | None = None, meta: Mapping[str, Any] | None = None
    ) -> None:
        """Answer with a document of JSON:API; ``included`` is there if anything was asked for, be it empty."""
        document: dict[str, Any] = {"data": data, "meta": {"version": API_VERSION, **(meta or {})}}
        if included is not None:
            document["included"] = unique(included)
        self.send_json(document)

    def send_meta(self, **meta: Any) -> None:
        """Answer with nothing but facts."""
        self.send_json({"meta": {"version": API_VERSION, **meta}})

    def send_nothing(self, status: int = 204) -> None:
        """Answer without a body."""
        self.set_status(status)
        self.clear_header("Content-Type")
        self.finish()

    # -- errors ----------------------------------------------------------------------------------------------------

    def error_answer(self, error: BaseException | None, status: int) -> tuple[int, Any]:
        """Return status and body for an error, as JSON:API has them."""
        status, text = self.describe(error, status)
        return status, {"errors": [{"status": str(status), "detail": text}], "meta": {"version": API_VERSION}}

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an error: as plain text to the command line, as JSON:API to all others."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, Unauthenticated):
            is_bad = error.reason != "COULD_NOT_FIND_AUTH_TOKEN"
            self.set_header("WWW-Authenticate", self.challenge + (', error="invalid_token"' if is_bad else ""))
        if not self.is_command_line:
            super().write_error(status_code, **kwargs)
            return
        status, text = self.describe(error, status_code)
        if status == 405:
            self.set_header("Allow", ", ".join(self.route.allowed_methods()))
        if retry_after := getattr(error, "retry_after", None):
            self.set_header("Retry-After", str(retry_after))
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(text)

    def describe(self, error: BaseException | None, status: int) -> tuple[int, str]:
        """Return status and text for an error; ``status`` is what tornado thinks of it."""
        if isinstance(error, Unauthenticated):
            # The API says 403 of whoever is not known; its command line asks for 401.
            return (401 if self.is_command_line else 403), SIGN_IN_FIRST
        if isinstance(error, HTTPError) and status == 404:
            return 404, f"Not found: {self.request.path!r}"
        return _describe(error, status)


class CodaLabNotFoundHandler(CodaLabHandler):
    """Paths of this face that nothing serves."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Refuse whatever the method."""
        raise HTTPError(404)


def unique(resources: Iterable[Resource]) -> list[Resource]:
    """Return each resource once, in order."""
    return list({(each["type"], each["id"]): each for each in resources}.values())


def attributes_of(resource: Resource) -> dict[str, Any]:
    """Return the attributes of a resource that was sent."""
    found = resource.get("attributes") or {}
    if not isinstance(found, dict):
        raise Refused("`attributes` must be an object.")
    return found


def related(resource: Resource, name: str) -> Any:
    """Return the id, the list of ids, or None, that a resource that was sent has for a relationship."""
    relationships = resource.get("relationships") or {}
    relation = relationships.get(name) if isinstance(relationships, dict) else None
    data = relation.get("data") if isinstance(relation, dict) else None
    if isinstance(data, list):
        return [_id_of(each) for each in data]
    return None if data is None else _id_of(data)


def _id_of(linkage: Any) -> str:
    found = linkage.get("id") if isinstance(linkage, dict) else None
    if not isinstance(found, str | int) or isinstance(found, bool):
        raise Refused("A relationship must name an `id`.")
    return str(found)


def _resource(data: Any, types: Sequence[str]) -> Resource:
    if not isinstance(data, dict):
        raise Refused("Invalid JSON")
    if not isinstance(data.get("type"), str):
        raise Refused("`data` object must include `type` key.")
    if types and data["type"] not in types:
        raise Refused(f"type must be {types[0]!r}")
    return data


def _integer(text: str) -> int:
    number = int(text) if len(text) <= 20 and text.isascii() else LARGEST_INTEGER + 1
    if abs(number) > LARGEST_INTEGER:
        raise ValueError(text)
    return number


def _parse(raw: bytes) -> Any:
    try:
        body = json.loads(raw.decode())
    except (ValueError, RecursionError):
        raise Refused("Invalid JSON") from None
    if not is_storable(body):
        raise Refused("Invalid JSON")
    return body


def _describe(error: BaseException | None, status: int) -> tuple[int, str]:
    if isinstance(error, BodyUnreadable):
        return 400, "Invalid JSON"
    if isinstance(error, Taken | NameTaken):
        return 409, str(error)
    if isinstance(error, Invalid):
        return 400, str(error)
    if isinstance(error, AccessDenied):
        return 403, str(error)
    if isinstance(error, NotFound):
        return 404, str(error)
    if isinstance(error, Conflict):
        return 400, error.event.replace("_", " ").lower()
    if isinstance(error, QuotaExceeded):
        return 400, str(error)
    if isinstance(error, TooManyAttempts):
        return 429, str(error)
    if isinstance(error, Unavailable):
        return 503, str(error)
    if isinstance(error, HTTPError) and status < 500:
        texts = {403: "Forbidden", 405: "Method not allowed.", 413: "The body is too large."}
        return status, texts.get(status, "The request cannot be served.")
    return 500, "An unexpected error: the server's log tells more."
