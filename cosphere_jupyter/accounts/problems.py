"""What is said of users and groups that cannot be as somebody wants them: the texts are shown as they are.

Source: the CodaLab API's semantics, sections 1 and 5. What the caller may not do is an ``AccessDenied`` with its text.
"""

from __future__ import annotations

from ..errors import ModelInvalid, NotFound


class Refused(ModelInvalid):
    """A request breaks a rule; the text says which (400)."""

    def __init__(self, text: str) -> None:
        super().__init__({"__all__": [text]})
        self.text = text

    def __str__(self) -> str:
        return self.text


class NameTaken(Refused):
    """There is such a thing of this name already (409)."""


class Missing(NotFound):
    """No such user or group, or not one that the caller knows of; the text says which (404)."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind)
        self.text = text

    def __str__(self) -> str:
        return self.text
