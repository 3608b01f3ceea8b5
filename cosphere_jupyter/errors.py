"""Everything that can go wrong in the workspace, as one tree.

::

    CosphereError
    ├── Invalid                 what was sent is wrong
    │   ├── BodyUnreadable      the body is no JSON at all
    │   ├── FieldsInvalid       a field breaks its own rule
    │   ├── QueryInvalid        a query parameter breaks its rule
    │   └── ModelInvalid        the fields are fine, but not together, or not with what is stored
    ├── Unauthenticated         nobody known is calling
    ├── IdentityRefused         what an outside issuer is said to vouch for does not hold
    ├── TooManyAttempts         slower: a limit on guessing or on asking is reached
    ├── AccessDenied            the caller is known and may not do this
    ├── NotFound                no such thing, or not the caller's to see
    ├── Conflict                the state of the thing forbids it
    ├── QuotaExceeded           the caller's share is used up
    ├── Unavailable             not now: a dependency is down, full or elsewhere
    └── ExecutionError          a task's work failed; the text is safe to show

Rooms below the handlers raise these and nothing of HTTP; each face maps the tree to statuses and bodies in one
place. The texts are meant for users: they hold no path outside the user's folders, no SQL and no secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FieldErrors = Mapping[str, Sequence[str]]


class CosphereError(Exception):
    """Base of all errors of the workspace."""


class Invalid(CosphereError):
    """What was sent is wrong. ``errors`` maps a field (or ``__all__``) to messages."""

    def __init__(self, errors: FieldErrors | None = None) -> None:
        super().__init__("; ".join(f"{field}: {' '.join(texts)}" for field, texts in (errors or {}).items()))
        self.errors = errors


class BodyUnreadable(Invalid):
    """The body is not UTF-8 encoded JSON."""


class FieldsInvalid(Invalid):
    """A field of the body breaks its own rule. ``values`` are those of the other fields, where they were read."""

    def __init__(self, errors: FieldErrors, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(errors)
        self.values = values or {}


class QueryInvalid(Invalid):
    """A parameter of the query string breaks its rule."""


class ModelInvalid(Invalid):
    """Each field is fine, but not together with the others or with what is stored."""


class Unauthenticated(CosphereError):
    """Nobody known is calling. ``reason`` is the upper-snake word of the CoSphere API."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class IdentityRefused(CosphereError):
    """What an outside issuer is said to vouch for does not hold; the text says why, without the token."""


class TooManyAttempts(CosphereError):
    """Too many attempts, or requests, in a short time. ``retry_after`` in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many attempts; try again in {retry_after} s")
        self.retry_after = retry_after


class AccessDenied(CosphereError):
    """The caller is known and may not do this."""


class NotFound(CosphereError):
    """No such thing, or not the caller's to see. ``kind`` names the resource."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"no such {kind}")
        self.kind = kind


class Conflict(CosphereError):
    """The state of the thing forbids it. ``event`` says why; ``details`` are facts for the body."""

    def __init__(self, event: str, **details: Any) -> None:
        super().__init__(event)
        self.event = event
        self.details = details


class QuotaExceeded(CosphereError):
    """The caller's share of a resource is used up. ``details`` are figures for the body."""

    def __init__(self, text: str, **details: Any) -> None:
        super().__init__(text)
        self.details = details


class Unavailable(CosphereError):
    """Not now: a dependency is down, full, or served by another process."""

    def __init__(self, text: str, event: str = "SERVICE_UNAVAILABLE", retry_after: int = 5, **details: Any) -> None:
        super().__init__(text)
        self.event = event
        self.retry_after = retry_after
        self.details = details


class ExecutionError(CosphereError):
    """The work of a task failed. The text goes to the user as it is; ``details`` is any JSON for programs, or None."""

    def __init__(self, text: str, details: Any = None) -> None:
        super().__init__(text)
        self.details = details
