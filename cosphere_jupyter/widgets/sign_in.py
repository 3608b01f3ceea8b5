"""Signing in, where a notebook has no identity yet: a link, a code to compare, and everything goes on by itself.

The protocol is the client's; see ``client/signing.py``. No password and no token ever comes near a widget: the password
is typed on the workspace's own page, and the token is kept in the memory of the client.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from .._version import __version__
from ..client import signing
from ..client.columns import Account
from ..client.errors import NotSignedIn
from ..client.text import html
from .core import Message, Panel, button, heading, quietly
from .view import file_text

if TYPE_CHECKING:
    from ..client.workspace import Workspace

WAITING = "Waiting. This notebook goes on by itself once you have signed in there."


class Card(ipywidgets.VBox):
    """A link to sign in, with its check code, and who asks."""

    def __init__(self) -> None:
        # Nothing else here brings the styles along.
        style = ipywidgets.HTML(f"<style>{file_text('view.css')}\n{file_text('sign_in.css')}</style>")
        style.layout.display = "none"
        self._invitation = ipywidgets.HTML()
        self.line = Message()
        self.action = ipywidgets.HBox()
        super().__init__([style, self._invitation, self.line, self.action])
        for name in ("cosphere", "cosphere-card", "cosphere-sign-in"):
            self.add_class(name)
        self.clear()

    def clear(self) -> None:
        """Show no link."""
        self._invitation.value = heading("Sign in to the workspace")

    def waiting(self, url: str, code: str) -> None:
        """Show the link and its check code."""
        asks = f"cosphere-jupyter {__version__} on {socket.gethostname()}, process {os.getpid()}"
        self._invitation.value = (
            f"{heading('Sign in to the workspace')}"
            f'<p class="cosphere-steps"><a class="cosphere-link" href="{html(url, 2000)}" target="_blank" '
            'rel="noopener">Open the page to sign in</a> <span>It shows the check code '
            f'<code class="cosphere-check-code">{html(code)}</code></span></p>'
            f'<p class="cosphere-faint">Asked for by {html(asks)}, for {html(url.partition("/accounts/")[0])}</p>'
        )
        self.line.say(WAITING)


class NotebookSignIn(signing.NotebookBoard):
    """The card as the output of a cell that waits; where there are no widgets it is the plain link."""

    def __init__(self) -> None:
        super().__init__()
        self._card: Card | None = None

    def shown(self, url: str, code: str) -> dict[str, Any]:
        """Return the card, and the link in other forms."""
        self._card = Card()
        self._card.waiting(url, code)
        return {**(self._card._repr_mimebundle_() or {}), **super().shown(url, code)}

    def ended(self, text: str) -> None:
        """Show the end in place of the card."""
        super().ended(text)
        if self._card is not None:
            for each in (*self._card.children, self._card):
                each.close()


class SignIn(Panel):
    """Lets somebody sign in to a workspace without blocking the notebook.

    >>> sign_in = SignIn(ws)
    >>> sign_in
    >>> sign_in.account                      # who has signed in, or None
    >>> sign_in.observe(print, "account")

    ``start()`` is the button; ``state`` is ``"ready"``, ``"waiting"``, ``"done"`` or ``"failed"``.
    """

    account = traitlets.Any(None, read_only=True, help="The account that has signed in here, or None.")
    state = traitlets.Enum(["ready", "waiting", "done", "failed"], "ready", read_only=True, help="How far it is.")

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self._stop = threading.Event()
        # Whoever has signed in elsewhere meanwhile has another one: nobody is asked twice.
        self._refused_token = workspace.http.server.token
        self._card = Card()
        self._start = button("Sign in", self.start, "primary")
        self._cancel = button("Cancel", self.cancel, tooltip="Wait no longer")
        self.children = (self._card,)
        self._set("ready", f"{workspace.url} does not know who you are, or no longer.")

    def start(self) -> None:
        """Ask for a link and wait until somebody has signed in there; returns at once."""
        with self._lock:
            if self.state == "waiting":
                return
            self._stop = stop = threading.Event()
            self._set("waiting", "Asking for a link …")
            self._work("sign-in", quietly(self._workspace.http, lambda: self._sign_in(stop)), self._done, self._failed)

    def cancel(self) -> None:
        """Wait no longer, as the button does."""
        self._stop.set()

    # -- what shows the link; called by the thread that waits ------------------------------------------------------

    def waiting(self, url: str, code: str) -> None:
        """Show the link and its check code."""
        with self._lock:
            self._card.waiting(url, code)

    def ended(self, text: str) -> None:
        """Take the link away. What came of it is said when it holds: with ``account`` and ``state``."""
        with self._lock:
            self._card.clear()

    def _sign_in(self, stop: threading.Event) -> Account:
        http, refusal = self._workspace.http, NotSignedIn("nobody has signed in")
        http.find_out_who(self._refused_token, refusal, lambda http, refusal: signing.ask(http, refusal, self, stop))
        return self._workspace.me

    def _done(self, account: Account) -> None:
        self.set_trait("account", account)
        self._set("done", f"Signed in as {account.email}.")

    def _failed(self, error: Exception) -> None:
        self._card.clear()
        self._set("failed", "")
        self._card.line.complain(error)

    def _set(self, state: str, text: str) -> None:
        self._start.description = "Sign in" if state == "ready" else "Ask for a new link"
        actions = {"ready": self._start, "waiting": self._cancel, "failed": self._start}
        self._card.action.children = (actions[state],) if state in actions else ()
        self._card.line.say(text)
        self.set_trait("state", state)

    def close(self) -> None:
        """Wait no longer, and take the widget away."""
        self._stop.set()
        for each in (self._start, self._cancel):
            each.close()
        super().close()


class SignInOffer(ipywidgets.VBox):
    """A card to sign in that is there only while it is needed; afterwards what was refused is done again."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(layout=ipywidgets.Layout(display="none"))
        self._workspace = workspace
        self._refused: dict[str, Callable[[], object]] = {}
        self._card: SignIn | None = None

    def show(self, problem: Exception | None, what: str = "", again: Callable[[], object] | None = None) -> None:
        """Show the card if the problem is that nobody is signed in, else hide it; ``again`` does ``what`` once more."""
        if not isinstance(problem, NotSignedIn):
            self._hide()
            return
        if again is not None:
            self._refused[what] = again
        if self._card is None:
            self._card = SignIn(self._workspace)
            self._card.observe(lambda _: self._go_on(), "account")
            self.set_trait("children", (self._card,))
            self.layout.display = None

    def _go_on(self) -> None:
        refused, self._refused = list(self._refused.values()), {}
        for again in refused:
            # On a thread of its own: the card's lock is held now, and whoever is told takes another one.
            threading.Thread(target=again, name="cosphere-signed-in", daemon=True).start()

    def _hide(self) -> None:
        self._refused = {}
        if self._card is not None:
            self._card.close()
        self._card, self.layout.display = None, "none"
        self.set_trait("children", ())
