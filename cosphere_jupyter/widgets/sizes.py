"""How big a result will be, against what the account may keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..client.estimates import Estimate
from ..client.text import html, share_text, size_text
from .core import Message, quietly

if TYPE_CHECKING:
    from ..client.query import Query
    from ..client.workspace import Workspace


class Sized(NamedTuple):
    """An estimate, and the disk quota of whoever asks (None: no limit of their own), in bytes."""

    estimate: Estimate
    quota: int | None


class SizeLine(Message):
    """A line of words, with a bar where there is a quota."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.add_class("cosphere-size")

    def work(self, query: Query) -> Callable[[], Sized]:
        """Return what asks the server."""
        return quietly(self._workspace.http, lambda: Sized(query.estimate(), self._workspace.me.disk_quota))

    def wait_for(self) -> None:
        """Show that the size is being asked for, unless an older one stands there for the moment."""
        if not self.text:
            self.say("Asking how big it will be …")

    def clear(self) -> None:
        """Show nothing."""
        self.say("")

    def show(self, found: Sized) -> None:
        """Show a size."""
        size = found.estimate.size
        text = f"{str(found.estimate)[:1].upper()}{str(found.estimate)[1:]}"
        if found.quota is None or not found.estimate.is_known:
            self.say(text if found.estimate.is_known else "Nobody can tell yet how big it will be")
            return
        is_over = size > found.quota
        quota = size_text(found.quota)
        share = "more than" if is_over else f"{share_text(size, found.quota)} of"
        words = f"{share} your disk quota of {quota}"
        self.say(f"{text}, {words}")
        filled = min(100 * size / found.quota, 100) if found.quota else 100
        kind = "cosphere-over" if is_over else ""
        self.value += (
            f'<div class="cosphere-quota {kind}" role="meter" aria-valuemin="0" aria-valuemax="100" '
            f'aria-valuenow="{filled:.1f}" aria-label="{html(words)}"><div style="width:{filled:.1f}%"></div></div>'
        )

    def fail(self, error: Exception) -> None:
        """Show why there is no size."""
        self.complain(error)

    def _show(self, text: str, kind: str, role: str) -> None:
        super()._show(text, kind, role)
        # What stands below shall not jump while the size is being asked for.
        self.layout.display = None
