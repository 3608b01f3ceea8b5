"""The workspace: where everything that a user can do begins."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from . import cache as caches
from .bundles import Bundles
from .cache import Cache
from .catalogue import Catalogue
from .columns import Account
from .discovery import discover
from .display import Html, fields
from .errors import ApiError, NotSignedIn
from .exports import TypedDownloads
from .http import Http, reachable
from .loading import Loader
from .object_actions import Actions
from .objects import Objects
from .request_list import Requests
from .signing import Board, SignIn
from .tasks import Tasks
from .worksheets import Worksheets

if TYPE_CHECKING:
    from ..widgets.browser import CatalogueBrowser
    from ..widgets.builder import RequestBuilder
    from ..widgets.monitor import TaskMonitor
    from .bundle import Bundle
    from .query import Query
    from .table import Table


class Workspace(Html):
    """A workspace: a catalogue of tables, and what was asked of them.

    In a notebook it finds its own Jupyter server, and who you are:

    >>> ws = Workspace()
    >>> flights = ws.catalogue["flights"]
    >>> df = flights.select("carrier", "dep_delay").where("dep_delay > 30").to_pandas()

    Elsewhere say where it is. ``url`` is that of the Jupyter server or of its ``…/cosphere``; ``token`` is the token of
    the Jupyter server, of a JupyterHub, or one of the workspace's own:

    >>> ws = Workspace(url="http://host:8888/", token="…")

    ``cache`` is where results are kept that were loaded before: a folder, False for nowhere.

    Where the server does not know you, a link to sign in is shown, and everything goes on by itself once you have. The
    token is kept in memory only. ``sign_in=False`` raises ``NotSignedIn`` instead, and so does a process that nobody
    sits at; ``sign_in=True`` shows the link there, too.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        cache: Cache | str | os.PathLike[str] | bool | None = None,
        sign_in: bool | None = None,
    ) -> None:
        self.http = Http(discover(url, token, reachable), SignIn(sign_in, _sign_in_card))
        self.cache = caches.choose(cache)
        self.catalogue = Catalogue(self)
        self.requests = Requests(self)
        self.tasks = Tasks(self)
        self.downloads = TypedDownloads(self)
        self.actions = Actions(self)
        self.objects = Objects(self)
        self.bundles = Bundles(self)
        self.worksheets = Worksheets(self)
        self.loader = Loader(self.http, self.cache)
        self._opening = threading.Lock()
        self._monitor: TaskMonitor | None = None
        self._me: Account | None = None
        self._sign_ins_of_me = 0
        if self.http.server.token is None:
            self._introduce()

    def _introduce(self) -> None:
        """Find out whether anybody is known; sign in if not."""
        try:
            _ = self.me
        except NotSignedIn:
            self.close()
            raise
        except ApiError:
            # Whoever uses it will hear of it.
            pass

    @property
    def url(self) -> str:
        """Where the workspace is; ends in ``/cosphere``."""
        return self.http.server.url

    @property
    def me(self) -> Account:
        """The account that this workspace acts for (asked once, and again after signing in)."""
        if self._me is None or self._sign_ins_of_me != self.http.sign_ins:
            account = Account.from_json(self.http.get("/accounts/me"))
            assert account is not None  # noqa: S101
            self._me, self._sign_ins_of_me = account, self.http.sign_ins
        return self._me

    def browse(self, text: str = "", tag: str = "") -> CatalogueBrowser:
        """Return a widget to look through the catalogue, and to build requests; it begins with this search."""
        from ..widgets.browser import CatalogueBrowser

        return CatalogueBrowser(self, text, tag)

    def builder(self, table: str | Table | Query) -> RequestBuilder:
        """Return a widget to build a request for a table, given by its name; a query is what it begins with."""
        from ..widgets.builder import RequestBuilder

        return RequestBuilder(self.catalogue[table] if isinstance(table, str) else table)

    def monitor(self, show: Literal["all", "running", "failed"] | None = None) -> TaskMonitor:
        """Return a widget that shows all tasks and downloads of this account, live; the same one while it is open."""
        from ..widgets.monitor import TaskMonitor

        with self._opening:
            if self._monitor is None or self._monitor.is_closed:
                self._monitor = TaskMonitor(self)
        if show is not None:
            self._monitor.show = show
        return self._monitor

    def run(self, command: str, dependencies: Mapping[str, Any] | None = None, **options: Any) -> Bundle:
        """Run a command on the server and return its bundle, at once; ``wait()`` waits for what comes out.

        >>> run = ws.run("python train.py", {"train.py": script, "data": numbers}, memory="4g", time="2h")
        >>> run.wait().text("stdout")

        ``dependencies`` are bundles by the paths at which the command sees them: handles, uuids, names, ``name/path``,
        or a pair of one and a path. Everything that the command leaves in its folder is in the bundle. Options are
        ``name``, ``description``, ``tags``, ``worksheet``, and limits: ``time``, ``memory``, ``disk``, ``cpus``, ….
        """
        return self.bundles.run(command, dependencies, **options)

    def make(self, dependencies: Mapping[str, Any], **options: Any) -> Bundle:
        """Put bundles, or parts of them, together in a new one, and return it.

        >>> ws.make({"train": "numbers/part-1.csv", "model": (run, "model.bin")}, name="both")
        """
        return self.bundles.make(dependencies, **options)

    def close(self) -> None:
        """Close the connections, and wait until results that are being kept are written."""
        if self._monitor is not None:
            self._monitor.close()
        if self.cache is not None:
            self.cache.flush()
        self.http.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Workspace {self.url} ({self.http.server.way})>"

    def _repr_html_(self) -> str:
        facts = {"url": self.url, "found": self.http.server.way}
        if self._me is not None:
            facts["account"] = f"{self._me.email} ({self._me.type})"
        return fields("Workspace", facts)


def _sign_in_card() -> Board:
    from ..widgets.sign_in import NotebookSignIn

    return NotebookSignIn()
