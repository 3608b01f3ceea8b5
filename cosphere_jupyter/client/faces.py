"""Calls to the faces of the workspace that speak otherwise than CoSphere's: tasks (``/v1``) and typed downloads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from .discovery import origin
from .errors import NotSignedIn, ServerUnavailable
from .http import READ_SECONDS, Http, json_of

if TYPE_CHECKING:
    import httpx


class Face:
    """One face of a workspace."""

    def __init__(self, http: Http, prefix: str, is_answer: Callable[[Any], bool]) -> None:
        """``prefix`` is its path below the workspace; ``is_answer`` tells whether JSON is an answer of this face."""
        self._http = http
        self._prefix = prefix
        self._is_answer = is_answer

    def get(self, path: str, params: Mapping[str, Any] | None = None, wait: float = 0.0) -> Any:
        """Return the JSON of a GET; ``wait`` is how many seconds the server may take its time."""
        return self._call("GET", path, self._json, True, params=params, timeout=READ_SECONDS + wait)

    def post(self, path: str, body: Any, is_repeatable: bool = False, headers: Mapping[str, str] | None = None) -> Any:
        """Return the JSON of a POST; a repeatable one may arrive twice."""
        return self._call("POST", path, self._json, is_repeatable, json=body, headers=headers or {})

    def put(self, path: str, body: Any) -> Any:
        """Return the JSON of a PUT."""
        return self._call("PUT", path, self._json, True, json=body)

    def link(self, path: str, params: Mapping[str, Any] | None = None) -> str:
        """Return where a GET is redirected to; the link needs no credentials."""
        return str(self._call("GET", path, self._location, True, params=params))

    @contextmanager
    def stream(self, method: str, path: str, body: Any = None) -> Iterator[httpx.Response]:
        """Open an answer that comes bit by bit; only what breaks before the first byte is tried again."""
        # Nothing may be packed on the way: a packer would wait for more.
        options: dict[str, Any] = {"headers": {"Accept-Encoding": "identity"}, "is_stream": True}
        if body is not None:
            options["json"] = body
        with closing(self._call(method, path, _opened, True, **options)) as response:
            yield response

    def _call(
        self, method: str, path: str, take: Callable[[httpx.Response], Any], is_repeatable: bool, **options: Any
    ) -> Any:
        try:
            return self._http.call(method, self._prefix + path, take, is_repeatable, **options)
        except (NotSignedIn, ServerUnavailable) as refusal:
            if refusal.status is None:
                raise
            # These faces do not say whether somebody shall sign in, or who serves the workspace; CoSphere's does, and
            # asking it signs in and follows.
            self._http.get("/accounts/me")
        return self._http.call(method, self._prefix + path, take, is_repeatable, **options)

    def _location(self, response: httpx.Response) -> str | None:
        if not response.is_redirect:
            return None
        asked, found = str(response.request.url), urljoin(str(response.request.url), response.headers["Location"])
        is_ours = urlsplit(found).path.startswith(f"{urlsplit(self._http.server.url).path}/")
        # Elsewhere on the same host is where somebody shall log in; a storage of results is another host.
        return found if is_ours or origin(found) != origin(asked) else None

    def _json(self, response: httpx.Response) -> Any:
        body = json_of(response) if response.is_success else None
        return body if body is not None and self._is_answer(body) else None


def _opened(response: httpx.Response) -> httpx.Response | None:
    return response if response.is_success else None
