"""Everything that can go wrong for a user of the client, as one tree.

::

    CosphereError
    ├── ServerNotFound          no workspace was found; the text lists what was tried
    ├── ApiError                the workspace was asked and said no (status, event, errors)
    │   ├── NotSignedIn         nobody known is calling (401)
    │   ├── NotAllowed          the account may not do this (403)
    │   ├── NotFound            no such thing, or not yours to see (404)
    │   ├── InvalidRequest      what was sent is wrong (400)
    │   ├── ObjectChanged       an object is not any more as it was when it was read (412)
    │   └── ServerUnavailable   not now: down, full, unreachable, or served elsewhere
    ├── UnknownTable            no table of this name; also a KeyError
    ├── UnknownColumn           the table has no such column; also a KeyError
    ├── InvalidFilter           a filter that cannot be read; also a ValueError
    ├── RequestFailed           the work behind a request failed; the server's words
    ├── RequestCancelled        the request was cancelled, or left
    ├── RequestTimeout          waiting took longer than asked for; also a TimeoutError
    ├── TaskFailed              tasks ended with an error; has the tasks
    ├── NotRepeatable           a task cannot be asked for once more; also a ValueError
    ├── TaskTimeout             waiting for tasks took longer than asked for; also a TimeoutError
    ├── DownloadFailed          the file of a typed download could not be made; the server's words
    ├── DownloadTimeout         waiting for it took longer than asked for; also a TimeoutError
    ├── BundleFailed            a bundle has failed or was killed; has the bundle
    ├── BundleTimeout           waiting for it took longer than asked for; also a TimeoutError
    ├── ResultUnreadable        the files of a result could not be fetched whole, or read
    └── ResultTooLarge          the result does not fit into memory; also a MemoryError

No text of these holds a token or a signed link.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any


class CosphereError(Exception):
    """Base of all errors of the client."""

    # KeyError would show the text in quotes.
    __str__ = Exception.__str__


class ServerNotFound(CosphereError):
    """No workspace was found. ``tried`` lists the ways, with what was seen."""

    def __init__(self, tried: Sequence[str]) -> None:
        lines = "".join(f"\n  - {line}" for line in tried)
        super().__init__(
            f"no workspace was found. Tried:{lines}\n"
            'Say where it is: Workspace(url="http://host:8888/", token="…"), or set COSPHERE_URL and COSPHERE_TOKEN.'
        )
        self.tried = tuple(tried)


class ApiError(CosphereError):
    """The workspace was asked and said no.

    ``status`` is HTTP's (None when no answer came), ``event`` the API's own word for what happened, ``errors`` the
    messages by field.
    """

    # Seconds after which the server wants to be asked again, if it says so.
    retry_after: float | None = None

    def __init__(
        self, message: str, *, status: int | None = None, event: str | None = None, errors: Any = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.event = event
        self.errors = errors or {}


class NotSignedIn(ApiError):
    """Nobody known is calling: the token is missing, wrong or has expired."""


class NotAllowed(ApiError):
    """The account may not do this."""


class NotFound(ApiError):
    """No such thing, or not yours to see."""


class InvalidRequest(ApiError):
    """What was sent is wrong; ``errors`` tells by field."""


class ObjectChanged(ApiError):
    """Somebody else has made a version of an object since it was read; ``refresh()`` shows it."""


class ServerUnavailable(ApiError):
    """Not now: the server is down, full, cannot be reached, or the workspace is served elsewhere."""


class UnknownTable(CosphereError, KeyError):
    """No table of this name in the catalogue."""


class UnknownColumn(CosphereError, KeyError):
    """The table has no such column."""


class InvalidFilter(CosphereError, ValueError):
    """A filter that cannot be read. ``text`` and ``position`` tell where it stopped making sense."""

    def __init__(self, message: str, text: str | None = None, position: int = 0) -> None:
        pointer = "" if text is None else f"\n    {text}\n    {' ' * position}^"
        super().__init__(f"{message}{pointer}")
        self.text = text
        self.position = position


class RequestFailed(CosphereError):
    """The work behind a request failed; the text is what the server says."""


class RequestCancelled(CosphereError):
    """The request was cancelled, or left by this account."""


class RequestTimeout(CosphereError, TimeoutError):
    """Waiting took longer than asked for. The request goes on; wait again or cancel it."""


class TaskFailed(CosphereError):
    """One or more tasks ended with an error. ``tasks`` are these tasks; each has its ``error`` and ``details``."""

    def __init__(self, message: str, tasks: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.tasks = tuple(tasks)


class NotRepeatable(CosphereError, ValueError):
    """A task cannot be asked for once more: what it was asked for is not known, or its like begins in another way."""


class TaskTimeout(CosphereError, TimeoutError):
    """Waiting for tasks took longer than asked for. They go on; wait again or cancel them."""


class DownloadFailed(CosphereError):
    """The file of a typed download could not be made; the text is what the server says."""


class DownloadTimeout(CosphereError, TimeoutError):
    """Waiting for a typed download took longer than asked for. It goes on; wait again."""


class BundleFailed(CosphereError):
    """A bundle has failed, or was killed; the text is what the server says. ``bundle`` is that bundle."""

    def __init__(self, message: str, bundle: Any = None) -> None:
        super().__init__(message)
        self.bundle = bundle


class BundleTimeout(CosphereError, TimeoutError):
    """Waiting for a bundle took longer than asked for. It goes on; wait again or kill it."""


class ResultUnreadable(CosphereError):
    """The files of a result could not be fetched whole, or cannot be read."""


class ResultTooLarge(CosphereError, MemoryError):
    """The result does not fit into memory."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidRequest,
    401: NotSignedIn,
    403: NotAllowed,
    404: NotFound,
    412: ObjectChanged,
    422: InvalidRequest,
    502: ServerUnavailable,
    503: ServerUnavailable,
    504: ServerUnavailable,
}
_ENVELOPE = ("@event", "@type", "@authorizer", "errors", "message")


def is_refusal(body: Any) -> bool:
    """Whether a JSON body is how one of the workspace's faces says no.

    CoSphere's has ``@event``, the tasks API's ``status`` "error", the Downloads API's ``errors``, the iffSamples API's
    a ``message`` and, besides, ``error_paths`` at most. What Jupyter itself answers has none of these.
    """
    if not isinstance(body, Mapping):
        return False
    is_told = "message" in body and body.keys() <= {"message", "error_paths"}
    return is_told or "@event" in body or body.get("status") == "error" or "errors" in body


def api_error(status: int, body: Any, where: str) -> ApiError:
    """Return the error for an answer; ``body`` is None when it is none of the workspace (see ``is_refusal``)."""
    kind = _BY_STATUS.get(status, ApiError)
    if not isinstance(body, Mapping):
        # The body is not shown: error pages of Jupyter hold its token.
        text = f"{where} answered {status}, and not as a workspace does. Is cosphere_jupyter installed in that server?"
        return kind(text, status=status)
    event = str(body.get("@event") or "")
    errors = _by_field(body.get("errors"))
    if status == 401 and isinstance(errors, Mapping) and "account" in errors:
        # The tasks API has one status for both: who is calling is known, but has reached a limit.
        kind = NotAllowed
    words = _readable(errors) or str(body.get("message") or "")
    words = words or error_text(body.get("result")) or _humanised(event, body) or f"HTTP status {status}"
    if kind is NotSignedIn:
        words += '. Give a token: Workspace(url="…", token="…"), or set COSPHERE_TOKEN'
    return kind(words, status=status, event=event or None, errors=errors)


def error_text(result: Any) -> str:
    """Return what a failed task says as text: that of parameters that were wrong is an object, others are texts."""
    if isinstance(result, Mapping) and isinstance(result.get("parameters"), Mapping):
        return _readable(result["parameters"])
    if result is None or isinstance(result, str):
        return result or ""
    return json.dumps(result, ensure_ascii=False, default=str)


def _by_field(errors: Any) -> Any:
    """Return the tasks API's list of ``{"name", "location", "description"}`` as messages by field.

    Of the CodaLab API's ``{"status", "detail"}`` the details are left.
    """
    if isinstance(errors, list) and errors and all(isinstance(each, Mapping) and "detail" in each for each in errors):
        return [str(each["detail"]) for each in errors]
    if not isinstance(errors, list) or not all(isinstance(each, Mapping) and "description" in each for each in errors):
        return errors
    found: dict[str, list[str]] = {}
    for each in errors:
        found.setdefault(str(each.get("name") or "__all__"), []).append(str(each["description"]))
    return found


def _readable(errors: Any) -> str:
    if isinstance(errors, Mapping):
        lines = []
        for field, texts in errors.items():
            text = " ".join(map(str, texts)) if isinstance(texts, list | tuple) else str(texts)
            lines.append(text if field in ("__all__", "non_field_errors") else f"{field}: {text}")
        return "; ".join(lines)
    return "; ".join(map(str, errors)) if isinstance(errors, list | tuple) else ""


def _humanised(event: str, body: Mapping[str, Any]) -> str:
    facts = ", ".join(
        f"{name}: {value}"
        for name, value in body.items()
        if name not in _ENVELOPE and isinstance(value, str | int | float)
    )
    words = event.replace("_", " ").lower()
    return f"{words} ({facts})" if words and facts else words


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean …?" for names that look like ``name``, else an empty text.

    Letters' case does not count, and what contains the name is close, too.
    """
    known = list(known)
    folded = {each.casefold(): each for each in known}
    close = [folded[each] for each in get_close_matches(name.casefold(), folded, 3, 0.6)]
    inside = [each for each in known if name and name.casefold() in each.casefold() and each not in close]
    found = (close + inside)[:3]
    return f", did you mean {' or '.join(repr(each) for each in found)}?" if found else ""
