"""Calls to the CodaLab face of the workspace (``/rest``): documents of JSON:API, and contents as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .errors import NotAllowed, ResultUnreadable, ServerUnavailable
from .faces import Face
from .http import Http, json_of

if TYPE_CHECKING:
    import httpx

MOUNT = "/rest"
# The API says 403 of a caller whom nobody knows, too.
SIGN_IN_FIRST = "User is not authenticated."
# What has been sent is unpacked before there is an answer.
UPLOAD_SECONDS = 3600.0
CHUNK = 1024 * 1024
Resource = Mapping[str, Any]
_UUID = re.compile(r"0x[0-9a-f]{32}")


class BundleFace(Face):
    """The CodaLab face of a workspace."""

    def __init__(self, http: Http) -> None:
        super().__init__(http, MOUNT, lambda body: isinstance(body, dict) and "errors" not in body)

    def send(self, method: str, path: str, body: Any, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the JSON of a call that changes something; nothing at all counts as ``{}``."""
        found: dict[str, Any] = self._call(method, path, _json_or_nothing, False, json=body, params=params)
        return found

    def get_with_version(self, path: str) -> tuple[dict[str, Any], str]:
        """Return the JSON of a GET, and what its header ``ETag`` says."""

        def take(response: httpx.Response) -> Any:
            body = self._json(response)
            return None if body is None else (body, response.headers.get("ETag", ""))

        found: tuple[dict[str, Any], str] = self._call("GET", path, take, True)
        return found

    def send_text(self, path: str, text: str, headers: Mapping[str, str]) -> None:
        """Post a text."""
        sent = {"Content-Type": "text/plain; charset=utf-8", **headers}
        self._call("POST", path, _json_or_nothing, False, content=text.encode(), headers=sent)

    def upload(self, path: str, params: Mapping[str, Any], content: Iterable[bytes], size: int) -> None:
        """Put contents of ``size`` bytes; ``content`` may be gone through again, if somebody has to sign in."""
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        options: dict[str, Any] = {"content": content, "headers": headers, "timeout": UPLOAD_SECONDS}
        self._call("PUT", path, _json_or_nothing, False, params=params, **options)

    @contextmanager
    def contents(self, uuid: str, path: str, query: str = "") -> Iterator[httpx.Response]:
        """Open the contents at a path of a bundle."""
        import httpx

        address = f"/bundles/{uuid}/contents/blob/{quote(path)}{query}"
        try:
            with self.stream("GET", address) as response:
                yield response
        except httpx.TransportError as error:
            raise ServerUnavailable(f"the contents of {uuid} broke off: {str(error) or type(error).__name__}") from None

    def _call(
        self, method: str, path: str, take: Callable[[httpx.Response], Any], is_repeatable: bool, **options: Any
    ) -> Any:
        try:
            return super()._call(method, path, take, is_repeatable, **options)
        except NotAllowed as refusal:
            if SIGN_IN_FIRST not in str(refusal):
                raise
            # Asking who one is signs in; whoever cannot is told so there.
            self._http.get("/accounts/me")
        return super()._call(method, path, take, is_repeatable, **options)


def resources(document: Mapping[str, Any]) -> list[Resource]:
    """Return the resources of a document, one or several."""
    data = document.get("data")
    return list(data) if isinstance(data, list) else [] if data is None else [data]


def included(document: Mapping[str, Any], type_name: str) -> dict[str, Resource]:
    """Return the resources of a type that are included in a document, by id."""
    found = document.get("included") or ()
    return {str(each["id"]): each for each in found if each.get("type") == type_name}


def related(resource: Resource, name: str) -> Any:
    """Return the id, the list of ids, or None, that a resource has for a relationship."""
    data = ((resource.get("relationships") or {}).get(name) or {}).get("data")
    if isinstance(data, list):
        return [str(each["id"]) for each in data]
    return None if data is None else str(data["id"])


def linkage(type_name: str, uuid: str) -> dict[str, Any]:
    """Return a relationship to one thing."""
    return {"data": {"type": type_name, "id": uuid}}


def keywords_of(keywords: Sequence[str]) -> list[tuple[str, str]]:
    """Return parameters for keywords; words of a text are keywords of their own, as on a command line."""
    import shlex

    found: list[str] = []
    for each in keywords:
        try:
            found += shlex.split(each)
        except ValueError:
            found += each.split()
    return [("keywords", each) for each in found or [""]]


def is_uuid(text: str) -> bool:
    """Whether a text is the uuid of a bundle or a worksheet."""
    return _UUID.fullmatch(text) is not None


def copy(response: httpx.Response, write: Callable[[bytes], Any]) -> int:
    """Write what an answer holds, and return how many bytes that were; fewer than announced are an error."""
    count = 0
    for chunk in response.iter_raw(CHUNK):
        write(chunk)
        count += len(chunk)
    told = response.headers.get("Content-Length", "")
    if told.isdecimal() and int(told) != count:
        raise ResultUnreadable(f"{count:,} of {int(told):,} bytes have arrived")
    return count


def _json_or_nothing(response: httpx.Response) -> Any:
    if not response.is_success:
        return None
    body = json_of(response)
    return body if isinstance(body, dict) else {} if not response.content else None
