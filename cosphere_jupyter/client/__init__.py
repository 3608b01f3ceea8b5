"""The client: a workspace over HTTP, from a catalogue to a DataFrame. It imports nothing of the server's rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .query import Filter
    from .workspace import Workspace

__all__ = ["Filter", "Workspace"]


def __getattr__(name: str) -> Any:
    # Like the package itself: nothing is loaded before it is used.
    if name == "Workspace":
        from .workspace import Workspace

        return Workspace
    if name == "Filter":
        from .query import Filter

        return Filter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
