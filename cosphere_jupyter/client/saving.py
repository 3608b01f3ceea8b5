"""Fetching one file behind a link that can be asked for again, into a place of the user's choice."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from .download import Download, File, Manifest
from .errors import ResultUnreadable, ServerUnavailable
from .http import BACK_OFF, Http

if TYPE_CHECKING:
    import httpx

_SIZE = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")
_UNUSABLE = re.compile(r"[^\w.,+=@ -]+")
LONGEST_NAME = 120


def save(http: Http, link: Callable[[], str], path: str | os.PathLike[str], progress: bool = True) -> Path:
    """Fetch the file that ``link()`` leads to and return where it lies then.

    ``path`` is a file, or a folder that is there: the file then keeps its own name. It appears when it is whole; a file
    that was there is replaced. What breaks on the way is taken up where it broke, with a new link if need be.

    Raises ``ResultUnreadable`` if it cannot be fetched whole.
    """
    first = link()
    target = Path(path).expanduser()
    if target.is_dir():
        target = target / file_name(first)
    # Beside its place, for only there it can be put into it at once.
    folder = Path(tempfile.mkdtemp(prefix=".cosphere-", dir=target.parent))
    try:
        size = _size(http, first)
        links = iter([first])

        def manifest() -> Manifest:
            return Manifest("file", 0, size, (File(target.name, 0, size, next(links, None) or link()),), (), None)

        [whole] = Download(http, manifest(), manifest, folder).run(progress)
        whole.replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return target


def file_name(link: str) -> str:
    """Return the name of the file that a link leads to, as one that any folder can hold."""
    return safe_name(unquote(urlsplit(link).path.rpartition("/")[2], errors="replace"))


def safe_name(name: str) -> str:
    """Return a name that somebody gave as one that any folder can hold, and that leads out of none."""
    return _UNUSABLE.sub("_", name).strip(" .")[-LONGEST_NAME:] or "file"


def _size(http: Http, link: str) -> int:
    """Ask for the first byte: the answer tells how many there are, also where HEAD is not allowed."""
    import httpx

    for pause in (*BACK_OFF, None):
        try:
            with http.open_link(link, {"Range": "bytes=0-0", "Accept-Encoding": "identity"}) as response:
                return _told(response)
        except httpx.TransportError as error:
            if pause is None:
                raise ServerUnavailable(f"the file cannot be reached: {str(error) or type(error).__name__}") from None
            time.sleep(pause)
    raise AssertionError


def _told(response: httpx.Response) -> int:
    status = response.status_code
    told = response.headers.get("Content-Length" if status == 200 else "Content-Range", "")
    found = told if status == 200 else match[1] if (match := _SIZE.fullmatch(told)) else ""
    # 416: a file without any byte has no first one.
    if status not in (200, 206, 416) or not found.isdecimal():
        raise ResultUnreadable(f"the file could not be fetched: the answer was {status}")
    return int(found)
