"""Getting the Parquet files of a result: straight from the folder where they lie, or over HTTP.

Over HTTP several files come at once, streamed to disk. A broken connection is taken up where it broke, an expired
link is asked for again, and a file gets its name only when it is whole.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ApiError, ResultUnreadable
from .http import Http
from .progress import Downloading

if TYPE_CHECKING:
    import httpx

PARALLEL = 4
# Attempts in a row in which not one byte came.
ATTEMPTS = 4
BACK_OFF = 0.2
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


@dataclass(frozen=True)
class File:
    """One Parquet file of a result."""

    name: str
    rows: int
    size: int
    uri: str


@dataclass(frozen=True)
class Manifest:
    """What a result consists of; only what a manifest names belongs to it."""

    id: str
    rows: int
    size: int
    files: tuple[File, ...]
    columns: tuple[str, ...]
    folder: str | None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """Return the manifest of an answer."""
        try:
            files = tuple(
                File(str(file["name"]), int(file["rows"]), int(file["bytes"]), str(file.get("uri") or ""))
                for file in data["files"]
            )
            columns = tuple(str(column["name"]) for column in data.get("schema") or ())
            folder = data.get("folder")
            return cls(
                str(data["id"]), int(data["rows"]), int(data["bytes"]), files, columns, str(folder) if folder else None
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ResultUnreadable("the manifest of the result is not what a workspace writes") from None


def local_files(manifest: Manifest) -> list[Path] | None:
    """Return the files of a result in its own folder, if this machine sees that folder and it is the same result."""
    if manifest.folder is None:
        return None
    folder = Path(manifest.folder)
    try:
        if json.loads((folder / "manifest.json").read_bytes())["id"] != manifest.id:
            return None
        paths = [folder / Path(file.name).name for file in manifest.files]
        if any(path.stat().st_size != file.size for path, file in zip(paths, manifest.files, strict=True)):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return paths


class Download:
    """Brings the files of one result into a folder."""

    def __init__(self, http: Http, manifest: Manifest, renewed: Callable[[], Manifest], folder: Path) -> None:
        """``renewed`` gives the manifest with fresh links."""
        self._http = http
        self._manifest = manifest
        self._renewed = renewed
        self._folder = folder
        self._stop = threading.Event()
        self._renewing = threading.Lock()

    def run(self, progress: bool = True) -> list[Path]:
        """Return the paths of the files, in the manifest's order."""
        files = self._manifest.files
        total = sum(file.size for file in files)
        with (
            Downloading("downloading", total, progress) as self._bar,
            ThreadPoolExecutor(PARALLEL, "cosphere-download") as pool,
        ):
            try:
                return list(pool.map(self._fetch, range(len(files))))
            finally:
                # Also when the user interrupts: the other threads end with their next chunk.
                self._stop.set()

    def _fetch(self, number: int) -> Path:
        file = self._manifest.files[number]
        # Not the server's name: nothing that it says becomes a path here.
        target = self._folder / f"{number:05d}.parquet"
        if target.exists() and target.stat().st_size == file.size:
            self._bar.advance(file.size)
            return target
        aside = target.with_suffix(".part")
        had = _size(aside)
        self._bar.advance(min(had, file.size))
        attempts = 0
        problem = ""
        while not self._stop.is_set():
            before = _size(aside)
            problem = self._attempt(number, aside) or ""
            if not problem:
                aside.replace(target)
                return target
            attempts = 0 if _size(aside) > before else attempts + 1
            if attempts >= ATTEMPTS:
                aside.unlink(missing_ok=True)
                self._stop.set()
                raise ResultUnreadable(f"the file {file.name!r} of the result could not be fetched: {problem}")
            time.sleep(BACK_OFF * attempts)
        raise ResultUnreadable("the download was stopped")

    def _attempt(self, number: int, aside: Path) -> str | None:
        """Fetch what is missing of a file; return what went wrong."""
        import httpx

        manifest = self._manifest
        file = manifest.files[number]
        had = _size(aside)
        if had > file.size:
            aside.unlink()
            had = 0
        if had < file.size or file.size == 0:
            # The bytes as they lie there: nothing may be packed on the way.
            headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={had}-"} if had else {})}
            try:
                with self._http.open_link(file.uri, headers) as response:
                    if problem := self._check(response, manifest, had, aside):
                        return problem
                    self._stream(response, aside, file.size)
            except (httpx.TransportError, httpx.InvalidURL, httpx.TooManyRedirects) as error:
                return f"{str(error) or type(error).__name__}"
        size = _size(aside)
        if size != file.size:
            if size > file.size:
                aside.unlink()
            return f"{size:,} bytes came, {file.size:,} were expected"
        return None

    def _check(self, response: httpx.Response, manifest: Manifest, had: int, aside: Path) -> str | None:
        """Prepare the file for what comes; return what is wrong with the answer."""
        status = response.status_code
        if status in (401, 403, 404, 410):
            # The link has expired, or what answers is new and signs with another key.
            self._renew(manifest)
            return f"the link was refused ({status})"
        if status == 206 and (match := _RANGE.fullmatch(response.headers.get("Content-Range", ""))):
            if int(match[1]) == had:
                return None
            status = 416
        if status == 416 or (status == 200 and had):
            # Another part than was asked for, or all of it again.
            aside.unlink(missing_ok=True)
            self._bar.advance(-had)
        return None if status == 200 else f"the answer was {status}"

    def _stream(self, response: httpx.Response, aside: Path, size: int) -> None:
        with aside.open("ab") as out:
            # As it comes, not in pieces of one size: what waits for its piece would be lost when the connection breaks.
            for chunk in response.iter_raw():
                out.write(chunk)
                self._bar.advance(len(chunk))
                if self._stop.is_set() or out.tell() > size:
                    break

    def _renew(self, refused: Manifest) -> None:
        with self._renewing:
            if self._manifest is not refused:
                # Another thread was quicker.
                return
            try:
                renewed = self._renewed()
            except ApiError:
                return
            if renewed.id == self._manifest.id:
                self._manifest = renewed


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
