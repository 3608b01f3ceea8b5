"""What the CodaLab API says of a mistake, word for word: its texts are shown to users as they are.

What the caller may not do is an ``AccessDenied`` with its text, a share that is used up a ``QuotaExceeded``.
"""

from __future__ import annotations

from ..errors import ModelInvalid, NotFound


class Refused(ModelInvalid):
    """A request breaks a rule; the message says which (400)."""

    def __init__(self, message: str) -> None:
        super().__init__({"__all__": [message]})
        self.message = message

    def __str__(self) -> str:
        return self.message


class Missing(NotFound):
    """What a request names is not there, or not for the caller to see; the message says what (404)."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class Taken(Refused):
    """What should be made is there already (409)."""
