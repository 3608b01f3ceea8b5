"""Downloading what a URL of a user leads to, without letting it lead into private networks.

A name is resolved once, every address of the answer is checked, and the connection is made to the very address that was
checked; so is each redirect. Only http and https, without credentials, cookies or proxies. A private host can be used
only if an operator names it (``CosphereApp.fetch_hosts``).
"""

from __future__ import annotations

import http.client
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urljoin, urlsplit

from .._version import __version__
from .addresses import is_public, normal_host, read_hosts
from .context import Fetched
from .functions import TaskError

MOST_REDIRECTS = 5
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 5.0
TOTAL_SECONDS = 20.0
PORTS = {"http": 80, "https": 443}

_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK = 64 * 1024
# What stands in a path or a query as it is; a "%" is taken for an escape.
_SAFE = "/%:;@!$&'()*+,=~?[]"
# One text for all of them: what it says must not map the network that the server stands in.
_UNREACHABLE = (
    "its host is unknown, or not of the public internet (an operator can name private ones in CosphereApp.fetch_hosts)"
)

# As socket.getaddrinfo gives it: (family, type, protocol, name, address).
Resolve = Callable[[str, int], Iterable[tuple[Any, ...]]]


class CouldNotDownload(TaskError):
    """A URL leads to nothing that may be had; the text begins with the Dragon API's word for it."""

    def __init__(self, url: str, why: str) -> None:
        shown = re.sub(r"^(\w+://)[^/?#]*@", r"\1…@", url)[:2000]
        super().__init__(f"CouldNotDownloadError: '{shown}': {why}")


class _Refused(Exception):
    """Why a URL is not fetched."""


def _resolve(host: str, port: int) -> Iterable[tuple[Any, ...]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


@dataclass(frozen=True)
class _Target:
    """A URL taken apart: ``host`` normalised, ``path`` with its query, percent-encoded."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


class Guard:
    """Fetches what may be fetched. Blocks: for child processes only."""

    def __init__(
        self,
        allowed_hosts: Iterable[str] = (),
        *,
        resolve: Resolve = _resolve,
        is_allowed: Callable[[str], bool] = is_public,
        ports: Iterable[int] = (80, 443),
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        """``allowed_hosts`` may be private and have other ``ports``; ``is_allowed`` judges all other addresses."""
        self._allowed_hosts = read_hosts(allowed_hosts)
        self._resolve = resolve
        self._is_allowed = is_allowed
        self._ports = frozenset(ports)
        self._total_seconds = total_seconds

    def fetch(self, url: str, path: Path, most_bytes: int) -> Fetched:
        """Download ``url`` into the new file ``path``; ``CouldNotDownload`` says why it cannot be had."""
        deadline = _Deadline(self._total_seconds)
        try:
            with deadline.enforced():
                return self._follow(url, path, most_bytes, deadline)
        except _Refused as refusal:
            raise CouldNotDownload(url, str(refusal)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            late = f"it took longer than {self._total_seconds:g} s"
            raise CouldNotDownload(url, late if deadline.is_over else _why(error)) from None

    def _follow(self, url: str, path: Path, most_bytes: int, deadline: _Deadline) -> Fetched:
        for _ in range(MOST_REDIRECTS + 1):
            target = _parse(url.strip())
            with self._get(target, deadline) as response:
                if response.status not in _REDIRECTS:
                    _save(response, path, most_bytes, deadline)
                    return Fetched(path, url, response.headers.get_content_type())
                url = urljoin(url, response.headers.get("Location", ""))
        raise _Refused(f"it was redirected more than {MOST_REDIRECTS} times")

    @contextmanager
    def _get(self, target: _Target, deadline: _Deadline) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(target.host, target.port)
        # It never connects by itself: the socket leads to an address that was checked.
        connection.auto_open = 0
        with self._connect(target, deadline) as connection.sock:
            headers = {
                "Host": target.authority,
                "User-Agent": f"cosphere-jupyter/{__version__}",
                "Accept-Encoding": "identity",
                "Connection": "close",
            }
            connection.request("GET", target.path, headers=headers)
            with connection.getresponse() as response:
                yield response

    def _connect(self, target: _Target, deadline: _Deadline) -> socket.socket:
        addresses = self._addresses(target, deadline)
        failure: OSError | None = None
        for family, kind, protocol, _, address in addresses:
            raw = socket.socket(family, kind, protocol)
            deadline.guards(raw)
            try:
                raw.settimeout(deadline.at_most(CONNECT_SECONDS))
                raw.connect(address)
                raw.settimeout(deadline.at_most(SILENCE_SECONDS))
                return _with_tls(raw, target.host, deadline) if target.scheme == "https" else raw
            except OSError as error:
                raw.close()
                failure = error
        raise failure or _Refused(_UNREACHABLE)

    def _addresses(self, target: _Target, deadline: _Deadline) -> list[tuple[Any, ...]]:
        is_named = bool(self._allowed_hosts & {(target.host, None), (target.host, target.port)})
        if not is_named and target.port not in self._ports:
            raise _Refused(f"port {target.port} of its host is not open to tasks (see CosphereApp.fetch_hosts)")
        try:
            found = deadline.run(lambda: list(self._resolve(target.host, target.port)))
        except (OSError, UnicodeError):
            raise _Refused(_UNREACHABLE) from None
        if not found or not (is_named or all(self._is_allowed(address[0]) for *_, address in found)):
            raise _Refused(_UNREACHABLE)
        return found


def _parse(url: str) -> _Target:
    if any(letter < " " or letter in "\x7f\\" for letter in url):
        raise _Refused("a URL has no control characters or backslashes")
    if url.partition(":")[0].lower() not in PORTS:
        raise _Refused("only http and https can be fetched")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = normal_host(parts.hostname or "")
    except ValueError:
        raise _Refused("this is no URL") from None
    if "@" in parts.netloc:
        raise _Refused("a URL with a name or a password is not fetched")
    path = quote(parts.path or "/", safe=_SAFE)
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    return _Target(parts.scheme, host, PORTS[parts.scheme] if port is None else port, path + query)


def _with_tls(raw: socket.socket, host: str, deadline: _Deadline) -> socket.socket:
    context = ssl.create_default_context()
    secure = context.wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
    deadline.guards(secure)
    try:
        secure.do_handshake()
    except OSError:
        secure.close()
        raise
    return secure


def _save(response: http.client.HTTPResponse, path: Path, most_bytes: int, deadline: _Deadline) -> None:
    if response.status != 200:
        raise _Refused(f"its server answered {response.status} {response.reason}"[:200])
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise _Refused("its server sent it encoded, though that was not asked for")
    too_big = _Refused(f"it has more than {most_bytes} bytes")
    expected = response.length
    if expected is not None and expected > most_bytes:
        raise too_big
    size = 0
    with path.open("xb") as file:
        while chunk := response.read(_CHUNK):
            size += len(chunk)
            if size > most_bytes:
                raise too_big
            _write(file, chunk)
    # A connection that was broken at the deadline looks like one that has ended.
    deadline.at_most(0)
    if expected is not None and size < expected:
        raise _Refused("the connection broke off")


def _write(file: BinaryIO, chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise TaskError(f"the downloaded file cannot be kept: {error.strerror}") from error


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "its server does not answer"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of its server is not good: {error.verify_message}"
    if isinstance(error, ConnectionRefusedError):
        return "its server refuses connections"
    if isinstance(error, OSError):
        return "the connection failed"
    return "its server does not speak HTTP as it should"


class _Deadline:
    """An end for all of a download, also for a server that sends a byte now and then."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._socket: socket.socket | None = None

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    def at_most(self, seconds: float) -> float:
        """Return ``seconds``, or what is left if that is less; ``TimeoutError`` if nothing is."""
        if self.is_over:
            raise TimeoutError
        return min(seconds, self._end - time.monotonic())

    def guards(self, connection: socket.socket) -> None:
        """Break this connection when the time is up."""
        self._socket = connection

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Watch over the connections of this block."""
        timer = threading.Timer(max(0.0, self._end - time.monotonic()), self._break)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _break(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def run(self, work: Callable[[], Any]) -> Any:
        """Return what ``work`` returns or raises; ``TimeoutError`` if it takes too long (resolvers know no limit)."""
        answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def answer() -> None:
            try:
                answers.put((work(), None))
            except Exception as error:
                answers.put((None, error))

        threading.Thread(target=answer, daemon=True).start()
        try:
            result, error = answers.get(timeout=self.at_most(CONNECT_SECONDS))
        except queue.Empty:
            raise TimeoutError from None
        if error is not None:
            raise error
        return result
