"""Signing in by a link: the browser says who it is, and this process goes on by itself.

The workspace is asked for a link; whoever opens it signs in there, while this process asks once a second for the token.
Only the process that asked can fetch it: it holds a secret (the verifier) of which the workspace knows the hash. The
token stays in memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable
from html import escape
from typing import Any, Protocol
from urllib.parse import urljoin

from .discovery import origin
from .errors import ApiError, NotFound, NotSignedIn, ServerUnavailable
from .http import Http
from .text import html, plain

AUTH_REQUESTS = "/accounts/auth_requests/"
AUTH_TOKENS = "/accounts/auth_tokens/"
# How long a link is good, and how often is asked whether somebody has used it.
LIFE_SECONDS = 600.0
POLL_SECONDS = 1.0
CODE_LENGTH = 8
_GIVEN_UP = "Nobody waits any more for this sign-in."


class SignIn:
    """Gets a token from whoever sits there. ``wanted`` None: where somebody does."""

    def __init__(self, wanted: bool | None = None, notebook: Callable[[], Board] | None = None) -> None:
        """``notebook`` makes what shows the link in a notebook."""
        self._wanted = wanted
        self._notebook = notebook or NotebookBoard

    def __call__(self, http: Http, refusal: NotSignedIn) -> str:
        """Show a link, wait until somebody has signed in there, and return the token, or raise ``NotSignedIn``."""
        board = _board(self._wanted, self._notebook)
        if board is None:
            raise refusal
        return ask(http, refusal, board)


def ask(http: Http, refusal: NotSignedIn, board: Board, stop: threading.Event | None = None) -> str:
    """Show a link on a board, wait until somebody has signed in there, and return the token, or raise ``NotSignedIn``.

    Setting ``stop`` ends the waiting; then ``NotSignedIn`` is raised, too.
    """
    if http.server.socket:
        raise refusal
    verifier = secrets.token_urlsafe(48)
    try:
        asked = http.post(AUTH_REQUESTS, {"code_challenge": challenge_of(verifier)}, is_repeatable=True)
    except ServerUnavailable:
        raise
    except ApiError as error:
        raise _refusal(f"{refusal} (signing in by a link does not work there: {error})", refusal) from None
    uuid = str(asked["request_uuid"])
    board.waiting(_page(http, str(asked["authenticate_ui_uri"]), refusal), uuid[:CODE_LENGTH])
    try:
        token = _poll(http, {"request_uuid": uuid, "code_verifier": verifier}, stop or threading.Event(), refusal)
    except BaseException as error:
        board.ended(str(error) if isinstance(error, ApiError) else _GIVEN_UP)
        raise
    board.ended(f"Signed in as {email}." if (email := _email_in(token)) else "Signed in.")
    return token


def challenge_of(verifier: str) -> str:
    """Return what the workspace may know of a verifier (RFC 7636, S256)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _page(http: Http, path: str, refusal: NotSignedIn) -> str:
    url = urljoin(http.server.url, path)
    if origin(url) != origin(http.server.url):
        raise _refusal(f"{http.server.url} names a page of another server to sign in at; it is not shown", refusal)
    return url


def _poll(http: Http, body: dict[str, str], stop: threading.Event, refusal: NotSignedIn) -> str:
    deadline = time.monotonic() + LIFE_SECONDS
    pause = POLL_SECONDS
    while True:
        if stop.wait(min(pause, max(deadline - time.monotonic(), 0.0))):
            raise _refusal(_GIVEN_UP, refusal)
        pause = POLL_SECONDS
        try:
            return str(http.post(AUTH_TOKENS, body)["token"])
        except (NotFound, ServerUnavailable) as error:
            # Not yet; or a server that is away for a moment.
            last: ApiError = error
        except ApiError as error:
            if error.status != 429:
                raise _too_late(error) from None
            pause, last = max(error.retry_after or 0.0, POLL_SECONDS), error
        if time.monotonic() >= deadline:
            raise _too_late(last)


def _too_late(error: ApiError) -> NotSignedIn:
    is_expired = error.event == "EXPIRED_AUTH_REQUEST_DETECTED" or isinstance(error, NotFound) or error.status == 429
    if is_expired:
        return _refusal("nobody signed in while the link was good; ask again for a new one", error)
    return _refusal(f"signing in failed: {error}", error)


def _refusal(text: str, error: ApiError) -> NotSignedIn:
    return NotSignedIn(text, status=error.status, event=error.event, errors=error.errors)


def _email_in(token: str) -> str:
    """Return the address that a token names, for display only."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims.get("email") or "")
    except (IndexError, ValueError, AttributeError):
        return ""


# -- where the link is shown -----------------------------------------------------------------------------------------


class Board(Protocol):
    """Shows where to sign in, and later what became of it."""

    def waiting(self, url: str, code: str) -> None:
        """Show the link and its check code."""

    def ended(self, text: str) -> None:
        """Show the end in place of the link."""


class NotebookBoard:
    """An output of the cell that runs; its link is gone once it is used."""

    def __init__(self) -> None:
        self._handle: Any = None

    def waiting(self, url: str, code: str) -> None:
        """Show the link and its check code."""
        from IPython.display import display

        self._handle = display(self.shown(url, code), raw=True, display_id=True)

    def shown(self, url: str, code: str) -> dict[str, Any]:
        """Return the link and its check code in forms that a notebook can show."""
        style = "color:var(--jp-content-link-color,#1a73c7);font-weight:600;text-decoration:underline"
        shown = (
            f'<div><a href="{escape(url, quote=True)}" target="_blank" rel="noopener" style="{style}">Sign in to the '
            f"workspace</a> in a new tab; this cell then goes on by itself. The page shows the check code "
            f"<code>{html(code)}</code>.</div>"
        )
        return {"text/html": shown, "text/plain": _invitation(url, code)}

    def ended(self, text: str) -> None:
        """Show the end in place of the link."""
        self._handle.update({"text/html": f"<div>{html(text)}</div>", "text/plain": plain(text)}, raw=True)


class TerminalBoard:
    """Lines of the terminal, beside what the program itself prints."""

    def waiting(self, url: str, code: str) -> None:
        """Show the link and its check code."""
        self._write(_invitation(url, code))

    def ended(self, text: str) -> None:
        """Show the end below the link."""
        self._write(plain(text))

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _invitation(url: str, code: str) -> str:
    return f"Sign in to the workspace: {plain(url, 2000)}\nThe page shows the check code {plain(code)}. Waiting …"


def _board(wanted: bool | None, notebook: Callable[[], Board]) -> Board | None:
    """Return where somebody would see a link; None where nobody would, or none is wanted."""
    if wanted is False:
        return None
    kernel = _kernel()
    if kernel is not None:
        # Programs that run notebooks answer no questions, and say so.
        return notebook() if wanted or getattr(kernel, "_allow_stdin", True) else None
    return TerminalBoard() if wanted or (_is_terminal(sys.stdin) and _is_terminal(sys.stderr)) else None


def _kernel() -> Any:
    """Return the kernel that this process is, if it is one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False
