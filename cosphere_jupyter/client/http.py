"""HTTP as the client speaks it: who is calling, what is tried again, and errors in the server's words.

No cookies are kept: with one, Jupyter would take later calls for those of a browser and ask for its XSRF token.
A second Jupyter server on the same data answers every call with 503 and the address of the first; calls then go to
that one, if this user can read its token.

Where nobody known is calling, ``sign_in`` may be asked for a token; it is kept in memory only.
"""

from __future__ import annotations

import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .._version import __version__
from .discovery import Server, is_loopback, origin, running_server, workspace_url
from .errors import ApiError, CosphereError, NotSignedIn, ServerNotFound, ServerUnavailable, api_error, is_refusal

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
# After a connection error, and between answers of a server that is busy.
BACK_OFF = (0.1, 0.4, 1.2)
LONGEST_RETRY_AFTER = 5.0
ELSEWHERE = "WORKSPACE_IS_SERVED_ELSEWHERE"
# Nobody is known, or no longer; other tokens are wrong, and whoever gave one should hear of it.
SIGN_IN_EVENTS = ("COULD_NOT_FIND_AUTH_TOKEN", "AUTH_TOKEN_EXPIRED")
SIGNED_IN = "; signed in"
_asks_nobody: ContextVar[bool] = ContextVar("asks_nobody", default=False)


class ServerTakesLong(ServerUnavailable):
    """No answer within the time that was given; the server may still be at it."""


def authorization(token: str) -> str:
    """Return the header for a token: a JWT of the workspace has two dots, Jupyter's and the Hub's have none."""
    return f"Bearer {token}" if token.count(".") == 2 else f"token {token}"


class Http:
    """Calls to one workspace; may be used by several threads at once."""

    def __init__(self, server: Server, sign_in: Callable[[Http, NotSignedIn], str] | None = None) -> None:
        """``sign_in`` returns a token for whoever sits there, or raises ``NotSignedIn``."""
        self._given = server
        self._lock = threading.Lock()
        self._sign_in = sign_in
        self._signing_in = threading.Lock()
        # How many times somebody has signed in: it may be somebody else each time.
        self.sign_ins = 0
        self._use(server)

    def __repr__(self) -> str:
        return f"Http({self.server!r})"

    def close(self) -> None:
        """Close the connections."""
        self._close()

    # -- calls -----------------------------------------------------------------------------------------------------

    def get(self, path: str, params: Mapping[str, Any] | None = None, wait: float = 0.0) -> dict[str, Any]:
        """Return the JSON of a GET; ``wait`` is how many seconds the server may take its time."""
        return self._call("GET", path, True, params=params, timeout=READ_SECONDS + wait)

    def post(self, path: str, body: Any, is_repeatable: bool = False) -> dict[str, Any]:
        """Return the JSON of a POST; a repeatable one may arrive twice."""
        return self._call("POST", path, is_repeatable, json=body)

    def put(
        self, path: str, body: Any, *, timeout: float = READ_SECONDS, wait: float = 0.0, is_repeatable: bool = False
    ) -> dict[str, Any]:
        """Return the JSON of a PUT. Raises ``ServerTakesLong`` when none came after ``timeout`` + ``wait`` seconds."""
        return self._call("PUT", path, is_repeatable, json=body, timeout=timeout + wait)

    def delete(self, path: str) -> dict[str, Any]:
        """Return the JSON of a DELETE."""
        return self._call("DELETE", path, False)

    def call(
        self, method: str, path: str, take: Callable[[httpx.Response], Any], is_repeatable: bool, **options: Any
    ) -> Any:
        """Return what ``take`` makes of an answer; None of it means that the call was refused.

        For the faces that speak otherwise than CoSphere's. With ``is_stream`` the body of an answer that succeeds is
        not read yet: whoever takes the response closes it. Other options are httpx's.
        """
        return self._call(method, path, is_repeatable, take=take, **options)

    @contextmanager
    def without_signing_in(self) -> Iterator[None]:
        """Ask nobody to sign in while this lasts: who is not known is refused."""
        before = _asks_nobody.set(True)
        try:
            yield
        finally:
            _asks_nobody.reset(before)

    @contextmanager
    def open_link(self, link: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        """Open a signed link, without any credentials: it may lead to another server.

        Raises what httpx raises; the text of those holds no link.
        """
        with self._links.stream("GET", self._reachable(link), headers=headers) as response:
            yield response

    def link_json(self, link: str) -> dict[str, Any]:
        """Return the JSON behind a signed link."""
        import httpx

        def once() -> dict[str, Any]:
            with self.open_link(link) as response:
                response.read()
                if response.status_code != 200:
                    raise api_error(response.status_code, _envelope(response), "the link to the result")
                body = response.json()
            if not isinstance(body, dict):
                raise ValueError("no object")
            return body

        for pause in (*BACK_OFF, None):
            try:
                return once()
            except httpx.TransportError as error:
                if pause is None:
                    raise self._unreachable(error) from None
                time.sleep(pause)
            except ValueError:
                raise ServerUnavailable("the manifest of the result is no JSON object") from None
        raise AssertionError

    def answers(self) -> bool:
        """Whether a workspace answers here at all, also one that refuses this caller."""
        import httpx

        try:
            response = self._client.get(f"{self.server.url}/accounts/me", timeout=CONNECT_SECONDS)
        except (httpx.TransportError, httpx.InvalidURL):
            return False
        return _envelope(response) is not None

    # -- how -------------------------------------------------------------------------------------------------------

    def _use(self, server: Server) -> None:
        import httpx

        headers = {"Accept": "application/json", "User-Agent": f"cosphere-jupyter/{__version__}"}
        # Proxies of the environment are for the world outside.
        is_near = is_loopback(urlsplit(server.url).hostname or "")
        timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        # A stream holds its connection as long as its tasks run; others shall not wait for that.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        options: dict[str, Any] = {"timeout": timeout, "trust_env": not is_near, "limits": limits}
        if server.socket:
            options["transport"] = httpx.HTTPTransport(uds=server.socket, limits=limits)
        signed_in = {**headers, "Authorization": authorization(server.token)} if server.token else headers
        self.server = server
        self._client = httpx.Client(headers=signed_in, cookies=_no_cookies(), **options)
        self._links = httpx.Client(headers=headers, cookies=_no_cookies(), follow_redirects=True, **options)
        self._close = weakref.finalize(self, _close_both, self._client, self._links)

    def _call(self, method: str, path: str, is_repeatable: bool, **options: Any) -> Any:
        # Twice: following to another server may change the token, too.
        for _ in range(2):
            token = self.server.token
            try:
                return self._call_where_it_is(method, path, is_repeatable, **options)
            except NotSignedIn as refusal:
                if self._sign_in is None or refusal.event not in SIGN_IN_EVENTS or _asks_nobody.get():
                    raise
                self.find_out_who(token, refusal, self._sign_in)
        return self._call_where_it_is(method, path, is_repeatable, **options)

    def find_out_who(self, token: str | None, refusal: NotSignedIn, ask: Callable[[Http, NotSignedIn], str]) -> None:
        """Let ``ask`` get another token than the one that was refused; of several threads one asks."""
        with self._signing_in:
            if self.server.token != token:
                return
            with self.without_signing_in():
                new = ask(self, refusal)
            with self._lock:
                is_given = self.server == self._given
                signed_in = replace(self.server, token=new, way=f"{self.server.way.removesuffix(SIGNED_IN)}{SIGNED_IN}")
                self._given = signed_in if is_given else replace(self._given, token=new)
                self._use(signed_in)
                self.sign_ins += 1

    def _call_where_it_is(self, method: str, path: str, is_repeatable: bool, **options: Any) -> Any:
        used = self.server
        try:
            return self._try(method, path, is_repeatable, **options)
        except ServerTakesLong:
            raise
        except ServerUnavailable as error:
            if error.event == ELSEWHERE:
                if not self._follow(error):
                    # Its owner may be stopping; then ours takes over.
                    time.sleep(1.0)
            elif used == self._given or error.status is not None:
                raise
            else:
                # The server that was followed is gone; ours may have taken over.
                self._move(used, self._given)
        try:
            return self._try(method, path, is_repeatable, **options)
        except ServerUnavailable as error:
            raise _elsewhere(error) if error.event == ELSEWHERE else error from None

    def _try(
        self,
        method: str,
        path: str,
        is_repeatable: bool,
        *,
        take: Callable[[httpx.Response], Any] | None = None,
        is_stream: bool = False,
        **options: Any,
    ) -> Any:
        import httpx

        take = take or _answer
        pauses = list(BACK_OFF)
        while True:
            try:
                response = self._send(method, path, is_stream, options)
            except (httpx.TransportError, httpx.InvalidURL) as error:
                if not is_repeatable or not pauses or isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
                    raise self._unreachable(error) from None
                time.sleep(pauses.pop(0))
                continue
            if not response.is_error and (answer := take(response)) is not None:
                return answer
            refusal = self._error(response, _refusal(response))
            refusal.retry_after = retry_after = _seconds(response.headers.get("Retry-After"))
            if response.status_code != 503 or retry_after is None or not pauses or refusal.event == ELSEWHERE:
                raise refusal
            pauses.pop(0)
            time.sleep(min(retry_after, LONGEST_RETRY_AFTER))

    def _send(self, method: str, path: str, is_stream: bool, options: Mapping[str, Any]) -> httpx.Response:
        proof = {} if self.server.token or method == "GET" else _own_page()
        headers = {**proof, **options.get("headers", {})}
        request = self._client.build_request(method, f"{self.server.url}{path}", **{**options, "headers": headers})
        response = self._client.send(request, stream=is_stream)
        if is_stream and not response.is_success:
            with closing(response):
                response.read()
        return response

    def _error(self, response: httpx.Response, body: Any) -> ApiError:
        if response.is_redirect:
            target = response.headers.get("Location", "").partition("?")[0]
            return ServerUnavailable(
                f"{self.server.url} leads to {target}: no workspace is there. Give the URL of the Jupyter server",
                status=response.status_code,
            )
        error = api_error(response.status_code, body, self.server.url)
        if error.event == ELSEWHERE and isinstance(body, dict):
            error.errors = {"pid": body.get("pid"), "url": body.get("url")}
        return error

    def _follow(self, error: ServerUnavailable) -> bool:
        """Go on with the server that has the workspace, if this user can read its token."""
        pid, url = error.errors.get("pid"), error.errors.get("url")
        used = self.server
        owner = running_server(pid)
        if owner is None or owner.url == used.url:
            return False
        if url:
            try:
                # It knows best where it can be reached, but a token goes only where its file says.
                stated = workspace_url(str(url))
                owner = replace(owner, url=stated) if origin(stated) == origin(owner.url) else owner
            except ServerNotFound:
                pass
        if used.token and used.token.count(".") == 2:
            # A JWT is the workspace's own: it says who is calling there, too.
            owner = replace(owner, token=used.token)
        self._move(used, replace(owner, way=f"{self._given.way}; followed to process {pid}, which has the workspace"))
        return True

    def _move(self, used: Server, other: Server) -> None:
        with self._lock:
            # Connections of other threads that are in use now are left to end by themselves.
            if self.server == used:
                self._use(other)

    def _reachable(self, link: str) -> str:
        """Return a link of this workspace with the origin that we know works.

        Behind a proxy, or in a container, a server may not know how it is reached.
        """
        ours, theirs = urlsplit(self.server.url), urlsplit(link)
        if not theirs.path.startswith(f"{ours.path}/"):
            return link
        return theirs._replace(scheme=ours.scheme, netloc=ours.netloc).geturl()

    def _unreachable(self, error: Exception) -> ServerUnavailable:
        import httpx

        if isinstance(error, httpx.ReadTimeout):
            return ServerTakesLong(f"{self.server.url} has not answered in time")
        return ServerUnavailable(f"{self.server.url} cannot be reached: {str(error) or type(error).__name__}")


def _elsewhere(error: ServerUnavailable) -> ServerUnavailable:
    url = error.errors.get("url")
    return ServerUnavailable(
        f"this workspace is served by another Jupyter server: {url or 'process {}'.format(error.errors.get('pid'))}. "
        f'Its token cannot be read here; give it: Workspace(url="{url or "…"}", token="…")',
        status=error.status,
        event=error.event,
        errors=error.errors,
    )


def _own_page() -> dict[str, str]:
    """Headers for a Jupyter server that knows everybody, as in many containers.

    It still wants to see that no foreign page sends what changes something: a header equal to a cookie.
    """
    pair = secrets.token_hex(16)
    return {"Cookie": f"_xsrf={pair}", "X-XSRFToken": pair}


def _no_cookies() -> CookieJar:
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _close_both(*clients: httpx.Client) -> None:
    for client in clients:
        client.close()


def json_of(response: httpx.Response) -> Any:
    """Return the JSON of an answer; None if it is none."""
    try:
        return response.json()
    except ValueError:
        return None


def _envelope(response: httpx.Response) -> dict[str, Any] | None:
    """Return the body if it is one of the workspace."""
    body = json_of(response)
    return body if isinstance(body, dict) and "@event" in body else None


def _answer(response: httpx.Response) -> dict[str, Any] | None:
    return _envelope(response) if response.is_success else None


def _refusal(response: httpx.Response) -> dict[str, Any] | None:
    """Return the body if it is how one of the workspace's faces says no."""
    body = json_of(response)
    return body if is_refusal(body) else None


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        # A date: busy for longer than anybody here waits.
        return None


def reachable(server: Server) -> bool:
    """Whether a workspace answers at this address."""
    http = Http(server)
    try:
        return http.answers()
    except CosphereError:
        return False
    finally:
        http.close()
