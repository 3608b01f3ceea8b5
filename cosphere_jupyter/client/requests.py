"""A request: what was asked of the server, how far it is, and what came out."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .display import Html, fields, text_of
from .download import Manifest
from .errors import (
    NotAllowed,
    NotFound,
    RequestCancelled,
    RequestFailed,
    RequestTimeout,
    ResultUnreadable,
    ServerUnavailable,
)
from .estimates import Estimate, estimate
from .frames import need_polars, to_polars
from .loading import DtypeBackend, to_pandas
from .progress import Waiting
from .table import Table
from .text import size_text

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from ..widgets.results import Results
    from .bundle import Bundle
    from .query import Query
    from .workspace import Workspace

REQUESTS = "/downloader/requests/"
# The server answers at the next change; without one after so many seconds. With a bar its clock shall move.
QUIET_SECONDS = 10
SHOWN_SECONDS = 2
# How long a server may be away while somebody waits: requests go on where they were when it comes back.
PATIENCE_SECONDS = 60.0
LONGEST_PAUSE = 2.0


def send(query: Query) -> Request:
    """Send a query to the server and return its request."""
    workspace = query.table.workspace
    return Request(workspace, post(workspace, query.table.id, query.spec), query.columns)


def post(workspace: Workspace, table_id: int, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Send a request and return the answer; an equal one is the same, so that sending it twice does no harm."""
    return workspace.http.post(REQUESTS, {"catalogue_item_id": table_id, "spec": spec}, is_repeatable=True)


class Request(Html):
    """A request for columns and rows of a table. Its properties say what was known when it was last read.

    >>> request = query.request()
    >>> request.wait().status
    'success'
    >>> df = request.to_pandas()
    """

    def __init__(self, workspace: Workspace, data: Mapping[str, Any], columns: Sequence[str] | None = None) -> None:
        """``columns`` is the order in which they were asked for; an equal request may be stored with another one."""
        self._workspace = workspace
        self._columns = columns
        self._has_left = False
        self._manifest: Manifest | None = None
        self._data = data

    def _take(self, data: Mapping[str, Any]) -> None:
        if self._manifest is not None and data.get("blob_name") != self._data.get("blob_name"):
            self._manifest = None
        self._data = data

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def id(self) -> int:
        """Its number: ``ws.requests[id]`` finds it again."""
        return int(self._data["id"])

    @property
    def status(self) -> str:
        """``queued``, ``executing``, ``success``, ``error`` or ``cancelled``."""
        if self._has_left or self._data.get("is_cancelled"):
            return "cancelled"
        if task := self._data.get("task"):
            return str(task["status"])
        return "success" if self._data.get("manifest_uri") else "queued"

    @property
    def error(self) -> str | None:
        """What went wrong, in the server's words."""
        error = (self._data.get("task") or {}).get("error")
        return None if error is None else str(error)

    @property
    def progress(self) -> float | None:
        """The share of the work that is done, 0 to 1; None while nobody knows."""
        if self.status == "success":
            return 1.0
        fraction = ((self._data.get("task") or {}).get("progress") or {}).get("fraction")
        return None if fraction is None else float(fraction)

    @property
    def spec(self) -> dict[str, Any]:
        """The JSON of what was asked."""
        return dict(self._data["spec"])

    @property
    def table(self) -> Table:
        """The table that was asked, as it was when the request was last read."""
        return Table(self._workspace, self._data["catalogue_item"])

    @property
    def rows(self) -> int | None:
        """How many rows came out; None before the success. Asks the server once."""
        return self._result().rows if self.status == "success" else None

    @property
    def estimated_size(self) -> int | None:
        """About how many bytes the server expected when it was asked; None if it could not tell."""
        size = self._data.get("estimated_size")
        return None if size is None else int(size)

    def estimate(self) -> Estimate:
        """Return what the server expected of this request, and ask it now if it had nothing to go by."""
        if self.estimated_size is not None:
            return Estimate(self.estimated_size, method="noted when it was asked")
        return estimate(self.table, self.spec)

    @property
    def size(self) -> int | None:
        """The bytes of the result's files; None before the success."""
        size = self._data.get("real_size")
        return None if size is None else int(size)

    # -- what it does ----------------------------------------------------------------------------------------------

    def refresh(self) -> Request:
        """Read it again and return it."""
        self._read(0)
        return self

    def _read(self, seconds: int) -> None:
        params = {"wait": seconds} if seconds else None
        self._take(self._workspace.http.get(f"{REQUESTS}{self.id}", params, wait=seconds))

    def wait(self, timeout: float | None = None, progress: bool = True) -> Request:
        """Wait until it has succeeded, and return it. A bar shows how far it is.

        Raises ``RequestFailed`` with the server's words, ``RequestCancelled``, or ``RequestTimeout`` (a TimeoutError)
        after ``timeout`` seconds; the request itself then goes on. Interrupting stops the waiting only: ``cancel()``
        stops the work.
        """
        return self._wait(timeout, progress, threading.Event())

    def _wait(self, timeout: float | None, progress: bool, stop: threading.Event) -> Request:
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.0
        step = 1 if progress else QUIET_SECONDS
        with Waiting(str(self._data["catalogue_item"]["name"]), progress) as bar:
            bar.show(self.status, self.progress)
            while self.status in ("queued", "executing") and not stop.is_set():
                left = QUIET_SECONDS if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise RequestTimeout(f"request {self.id} is still {self.status} after {timeout} s")
                started, before = time.monotonic(), self._data.get("task")
                seconds = int(min(left, step))
                self._read_patiently(seconds, lambda: bar.show("the server does not answer", self.progress), stop)
                bar.show(self.status, self.progress)
                step = SHOWN_SECONDS if progress else QUIET_SECONDS
                # A server that answers at once without any change shall not be asked all the time.
                is_hasty = self._data.get("task") == before and time.monotonic() - started < max(0.5 * seconds, 0.05)
                pause = min(pause * 2 or 0.05, LONGEST_PAUSE) if is_hasty else 0.0
                if pause:
                    stop.wait(min(pause, max(left, 0.0)))
        return self if stop.is_set() else self._succeeded()

    def _read_patiently(self, seconds: int, complain: Callable[[], None], stop: threading.Event) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                self._read(seconds)
                return
            except ServerUnavailable:
                if time.monotonic() > deadline or stop.is_set():
                    raise
                complain()
                stop.wait(1.0)

    def _succeeded(self) -> Request:
        if self.status == "error":
            raise RequestFailed(self.error or "the request failed, and the server does not say why")
        if self.status == "cancelled":
            raise RequestCancelled(f"request {self.id} was cancelled")
        return self

    def cancel(self) -> Request:
        """Leave the request; when nobody else waits for it, its work is stopped."""
        # What is not found is gone already.
        with suppress(NotFound):
            self._workspace.http.delete(f"{REQUESTS}{self.id}")
        self._has_left = True
        return self

    # -- what came out ---------------------------------------------------------------------------------------------

    def to_arrow(self, cache: bool = True, progress: bool = True) -> pa.Table:
        """Wait for the rows and return them as an Arrow table.

        A result that is larger than memory is mapped from disk, if the cache has room for it.
        """
        return self._load(cache, progress, fits_on_disk=True)

    def to_polars(self, cache: bool = True, progress: bool = True) -> pl.DataFrame:
        """Wait for the rows and return them as a polars DataFrame; needs polars."""
        need_polars()
        return to_polars(self._load(cache, progress, fits_on_disk=True))

    def to_pandas(
        self, dtype_backend: DtypeBackend = "pyarrow", cache: bool = True, progress: bool = True
    ) -> pd.DataFrame:
        """Wait for the rows and return them as a DataFrame. The second time takes milliseconds (see ``ws.cache``).

        ``dtype_backend``: ``"pyarrow"`` for columns that keep Arrow's types and need no copy, ``"numpy"`` for the
        classic ones. ``df.attrs["cosphere"]`` tells where the rows came from. Raises ``ResultTooLarge`` (a
        MemoryError) rather than filling the memory.
        """
        if dtype_backend not in ("pyarrow", "numpy"):
            raise ValueError(f"dtype_backend is 'pyarrow' or 'numpy', not {dtype_backend!r}")
        frame = to_pandas(self._load(cache, progress, fits_on_disk=False), dtype_backend)
        frame.attrs["cosphere"] = {
            "request": self.id,
            "catalogue_item": str(self._data["catalogue_item"]["name"]),
            "spec": self.spec,
            "rows": len(frame),
            "result": self._result().id,
            "url": self._workspace.url,
        }
        return frame

    def preview(self) -> Results:
        """Return a widget that shows the rows in pages, as soon as they are there."""
        from ..widgets.results import Results

        return Results(self)

    def freeze(self, name: str, **options: Any) -> Bundle:
        """Wait for the rows and keep them for ever, as a bundle that knows this request; nothing is copied if possible.

        >>> bundle = request.freeze("late-flights")
        >>> bundle.request, bundle.origin

        Options are ``description``, ``tags`` and ``worksheet``.
        """
        return self._workspace.bundles.freeze(self.wait(), name, **options)

    def _load(self, cache: bool, progress: bool, fits_on_disk: bool) -> pa.Table:
        self.wait(progress=progress)
        was_there = self._data.get("manifest_uri")
        try:
            return self._load_once(cache, progress, fits_on_disk)
        except ResultUnreadable:
            self.refresh()
            if was_there and self._data.get("manifest_uri"):
                raise
        # Results are kept for a while only. Another one has other files: begin anew.
        self._manifest = None
        if self.status == "success" and not self._data.get("manifest_uri"):
            self._data = post(self._workspace, self.table.id, self.spec)
        self.wait(progress=progress)
        return self._load_once(cache, progress, fits_on_disk)

    def _load_once(self, cache: bool, progress: bool, fits_on_disk: bool) -> pa.Table:
        return self._workspace.loader.arrow(
            self._result(),
            self._renewed,
            self.table.columns,
            self._columns or self.spec["columns"],
            use_cache=cache,
            progress=progress,
            fits_on_disk=fits_on_disk,
        )

    def _result(self) -> Manifest:
        """Return the manifest: what it says of a result never changes, only its links expire."""
        if self._manifest is None:
            try:
                self._manifest = self._read_manifest()
            except (NotAllowed, NotFound):
                self._manifest = self._renewed()
        return self._manifest

    def _renewed(self) -> Manifest:
        """Return the manifest with fresh links."""
        self.refresh()
        return self._read_manifest()

    def _read_manifest(self) -> Manifest:
        link = self._data.get("manifest_uri")
        if not link:
            raise ResultUnreadable(f"the result of request {self.id} is no longer there; ask for it again")
        return Manifest.from_json(self._workspace.http.link_json(str(link)))

    # -- without blocking the event loop ---------------------------------------------------------------------------

    async def wait_async(self, timeout: float | None = None, progress: bool = True) -> Request:
        """``wait`` for coroutines; cancelling it stops the waiting, not the request."""
        stop = threading.Event()
        try:
            return await asyncio.to_thread(self._wait, timeout, progress, stop)
        finally:
            stop.set()

    async def cancel_async(self) -> Request:
        """``cancel`` for coroutines."""
        return await asyncio.to_thread(self.cancel)

    async def to_arrow_async(self, **options: Any) -> pa.Table:
        """``to_arrow`` for coroutines."""
        await self.wait_async(progress=options.get("progress", True))
        return await asyncio.to_thread(lambda: self.to_arrow(**options))

    async def to_polars_async(self, **options: Any) -> pl.DataFrame:
        """``to_polars`` for coroutines."""
        need_polars()
        await self.wait_async(progress=options.get("progress", True))
        return await asyncio.to_thread(lambda: self.to_polars(**options))

    async def estimate_async(self) -> Estimate:
        """``estimate`` for coroutines."""
        return await asyncio.to_thread(self.estimate)

    async def to_pandas_async(self, **options: Any) -> pd.DataFrame:
        """``to_pandas`` for coroutines."""
        await self.wait_async(progress=options.get("progress", True))
        return await asyncio.to_thread(lambda: self.to_pandas(**options))

    def __repr__(self) -> str:
        return f"<Request {text_of(self._facts())}>"

    def _repr_html_(self) -> str:
        return fields(f"Request {self.id}", self._facts())

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"id": self.id, "status": self.status, "table": self._data["catalogue_item"]["name"]}
        if self.status == "executing" and self.progress is not None:
            facts["progress"] = f"{self.progress:.0%}"
        if self.error and self.status == "error":
            facts["error"] = self.error
        if self._manifest is not None:
            facts["rows"] = f"{self._manifest.rows:,}"
        if self.size is not None:
            facts["size"] = size_text(self.size)
        return facts
