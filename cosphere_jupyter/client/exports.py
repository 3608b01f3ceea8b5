"""Typed downloads: a file of a known kind, as the catalogue, that the server makes and keeps for a while.

Not to be taken for ``ws.requests``, which are downloads of rows of a table, and become DataFrames by themselves.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

from .display import Html, fields, text_of
from .errors import DownloadFailed, DownloadTimeout, ResultUnreadable, ServerUnavailable
from .faces import Face
from .loading import DtypeBackend, to_pandas
from .progress import Waiting
from .saving import save

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from .workspace import Workspace

MOUNT = "/api/downloads"
TYPES = "/api/download_types"
# The server answers at the next change; without one after so many seconds. With a bar its clock shall move.
QUIET_SECONDS = 10
SHOWN_SECONDS = 2
# How long a server may be away while somebody waits.
PATIENCE_SECONDS = 60.0
LONGEST_PAUSE = 2.0
_SETTLED = ("done", "failed")


class TypedDownload(Html):
    """A file that the server makes. Its properties say what was known when it was last read.

    >>> download = ws.downloads.create("catalogue", format="parquet")
    >>> download.wait().state
    'done'
    >>> download.save("catalogue.parquet")
    >>> df = download.to_pandas()
    """

    def __init__(self, downloads: TypedDownloads, data: Mapping[str, Any]) -> None:
        self._downloads = downloads
        self._data = data

    @property
    def id(self) -> str:
        """Its id: ``ws.downloads[id]`` finds it again."""
        return str(self._data["id"])

    @property
    def type(self) -> str:
        """What it is a download of: ``catalogue``, ``download_requests``, ``tasks``, ``download_request``, …."""
        return str(self._data["download_type"])

    @property
    def state(self) -> str:
        """``pending``, ``running``, ``done`` or ``failed``."""
        return str(self._data["state"])

    @property
    def url(self) -> str | None:
        """Where its file is, for whoever is signed in as its creator; None unless it is done."""
        url = self._data.get("url")
        return None if url is None else urljoin(self._downloads.workspace.url, str(url))

    @property
    def error(self) -> str | None:
        """Why it failed, in the server's words."""
        if self.state != "failed":
            return None
        return str(self._data.get("error") or "the download failed, and the server does not say why")

    @property
    def progress(self) -> float | None:
        """The share of the work that is done, 0 to 1; None while nobody knows."""
        told = 1.0 if self.state == "done" else self._data.get("progress")
        return float(told) if isinstance(told, int | float) else None

    def refresh(self) -> TypedDownload:
        """Read it again and return it."""
        self._read(0)
        return self

    def _read(self, seconds: int) -> None:
        self._data = self._downloads.read(self.id, seconds)

    def wait(self, timeout: float | None = None, progress: bool = True) -> TypedDownload:
        """Wait until its file is there, and return it. A bar shows how far it is.

        Raises ``DownloadFailed`` with the server's words, or ``DownloadTimeout`` (a TimeoutError) after ``timeout``
        seconds; the server then goes on with it, as when the waiting is interrupted.
        """
        return self._wait(timeout, progress, threading.Event())

    def _wait(self, timeout: float | None, progress: bool, stop: threading.Event) -> TypedDownload:
        deadline = None if timeout is None else time.monotonic() + timeout
        heard, pause = time.monotonic(), 0.0
        with Waiting(self.type, progress) as bar:
            bar.show(self.state, self.progress)
            while self.state not in _SETTLED and not stop.is_set():
                left = QUIET_SECONDS if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise DownloadTimeout(f"download {self.id} is still {self.state} after {timeout} s")
                started, before = time.monotonic(), self._data
                try:
                    self._read(int(min(left, SHOWN_SECONDS if progress else QUIET_SECONDS)))
                    heard = time.monotonic()
                    bar.show(self.state, self.progress)
                except ServerUnavailable:
                    # What was asked for goes on when the server comes back.
                    if time.monotonic() - heard > PATIENCE_SECONDS:
                        raise
                    bar.show("the server does not answer", self.progress)
                # One that answers at once without any change shall not be asked all the time.
                is_hasty = self._data == before and time.monotonic() - started < 0.5
                pause = min(pause * 2 or 0.05, LONGEST_PAUSE) if is_hasty else 0.0
                stop.wait(min(pause, max(left, 0.0)))
        if self.error is not None:
            raise DownloadFailed(self.error)
        return self

    def save(self, path: str | os.PathLike[str], progress: bool = True) -> Path:
        """Wait until its file is there, fetch it, and return where it lies.

        ``path`` is a file, or a folder that is there: the file then keeps its own name. A file that was there is
        replaced, and only by one that is whole.
        """
        self.wait(progress=progress)
        return save(self._downloads.workspace.http, lambda: self._downloads.link(self.id), path, progress)

    def to_pandas(self, dtype_backend: DtypeBackend = "pyarrow", progress: bool = True) -> pd.DataFrame:
        """Wait until its file is there, and return what is in it as a DataFrame.

        Parquet and Arrow files keep their types; those of CSV are guessed (ask for ``format="parquet"`` where that
        matters), those of JSON lines are Python's.
        """
        with tempfile.TemporaryDirectory(prefix="cosphere-") as folder:
            return rows_of(self.save(folder, progress), dtype_backend)

    # -- without blocking the event loop ---------------------------------------------------------------------------

    async def wait_async(self, timeout: float | None = None, progress: bool = True) -> TypedDownload:
        """``wait`` for coroutines; cancelling it stops the waiting only."""
        import asyncio

        stop = threading.Event()
        try:
            return await asyncio.to_thread(self._wait, timeout, progress, stop)
        finally:
            stop.set()

    async def save_async(self, path: str | os.PathLike[str], progress: bool = True) -> Path:
        """``save`` for coroutines."""
        import asyncio

        await self.wait_async(progress=progress)
        return await asyncio.to_thread(self.save, path, progress)

    async def to_pandas_async(self, dtype_backend: DtypeBackend = "pyarrow", progress: bool = True) -> pd.DataFrame:
        """``to_pandas`` for coroutines."""
        import asyncio

        await self.wait_async(progress=progress)
        return await asyncio.to_thread(self.to_pandas, dtype_backend, progress)

    def __repr__(self) -> str:
        return f"<TypedDownload {text_of(self._facts())}>"

    def _repr_html_(self) -> str:
        return fields(f"Download of {self.type}", self._facts())

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"id": self.id, "type": self.type, "state": self.state}
        if self.state == "running" and self.progress is not None:
            facts["progress"] = f"{self.progress:.0%}"
        if self.error is not None:
            facts["error"] = self.error
        return facts


@dataclass(frozen=True)
class DownloadType:
    """A type of downloads: its ``formats``, the first of which is the default, and whether one may ask for new ones."""

    name: str
    description: str
    formats: tuple[str, ...]
    may_create: bool

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DownloadType:
        """Return the type of an answer."""
        formats = tuple(str(each) for each in data["formats"])
        return cls(str(data["name"]), str(data["description"]), formats, data["level"] in ("write", "grant"))


class TypedDownloads(Html):
    """Files that the server makes for this account.

    >>> ws.downloads.create("catalogue").save("catalogue.csv")
    >>> ws.downloads["0e7f3a52-…"]
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._face = Face(workspace.http, MOUNT, lambda body: isinstance(body, dict) and "download" in body)
        self._types = Face(workspace.http, TYPES, lambda body: isinstance(body, dict) and "download_types" in body)

    def create(self, download_type: str, /, **info: Any) -> TypedDownload:
        """Ask for a file and return it; the server makes it. What ``info`` may hold depends on the type.

        >>> ws.downloads.create("catalogue", format="parquet")                  # csv, json or parquet
        >>> ws.downloads.create("download_request", id=15, format="arrow")      # csv, parquet or arrow

        Raises ``InvalidRequest`` for a type or parameters that there are not, ``NotAllowed`` for a type that this
        account may not ask for.
        """
        body = {"download": {"download_type": download_type, "info": info}}
        # What is sent twice, because the answer got lost, is made once.
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        return TypedDownload(self, self._face.post("", body, is_repeatable=True, headers=headers)["download"])

    def __getitem__(self, download_id: str) -> TypedDownload:
        """Return the download with this id, or raise ``NotFound``; ``NotAllowed`` if it is somebody else's."""
        return TypedDownload(self, self.read(str(download_id)))

    def types(self) -> list[DownloadType]:
        """Return the types of downloads that this account may see."""
        return [DownloadType.from_json(each) for each in self._types.get("")["download_types"]]

    # -- for the handles -------------------------------------------------------------------------------------------

    def read(self, download_id: str, seconds: int = 0) -> Mapping[str, Any]:
        """Return the JSON of a download: at its next change, or after so many seconds."""
        params = {"wait": seconds} if seconds else None
        found: Mapping[str, Any] = self._face.get(f"/{quote(download_id, safe='')}", params, seconds)["download"]
        return found

    def link(self, download_id: str) -> str:
        """Return a link to the file of a download."""
        return self._face.link(f"/{quote(download_id, safe='')}/file")

    def __repr__(self) -> str:
        return f"<TypedDownloads of {self.workspace.url}>"

    def _repr_html_(self) -> str:
        return fields("Typed downloads", {"of": self.workspace.url})


# -- files of rows ---------------------------------------------------------------------------------------------------


def rows_of(path: Path, dtype_backend: DtypeBackend) -> pd.DataFrame:
    """Return the rows of a file by its name's ending: Parquet, Arrow, CSV or lines of JSON."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ResultUnreadable(f"{path.name!r} is no file of rows; save() fetches it as it is")
    return reader(path, dtype_backend)


def _of_arrow(read: Callable[[Path], pa.Table]) -> Callable[[Path, DtypeBackend], pd.DataFrame]:
    def frame(path: Path, dtype_backend: DtypeBackend) -> pd.DataFrame:
        import pyarrow as pa

        try:
            table = read(path)
        except (OSError, pa.ArrowException) as error:
            raise ResultUnreadable(f"the file {path.name!r} cannot be read: {error}") from None
        return to_pandas(table, dtype_backend)

    return frame


def _csv(path: Path) -> pa.Table:
    from pyarrow import csv

    # Nothing at all is null, and "" an empty text.
    options = csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""])
    return csv.read_csv(path, parse_options=csv.ParseOptions(newlines_in_values=True), convert_options=options)


def _parquet(path: Path) -> pa.Table:
    from pyarrow import parquet

    return parquet.read_table(path, partitioning=None)


def _arrow(path: Path) -> pa.Table:
    from pyarrow import ipc

    with ipc.open_file(str(path)) as file:
        return file.read_all()


def _json(path: Path, dtype_backend: DtypeBackend) -> pd.DataFrame:
    import pandas as pd

    with path.open(encoding="utf-8") as lines:
        return pd.DataFrame([json.loads(line) for line in lines if line.strip()])


_READERS: dict[str, Callable[[Path, DtypeBackend], pd.DataFrame]] = {
    ".csv": _of_arrow(_csv),
    ".parquet": _of_arrow(_parquet),
    ".arrow": _of_arrow(_arrow),
    ".json": _json,
}
