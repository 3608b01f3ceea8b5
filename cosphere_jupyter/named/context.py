"""What a task's function may ask for besides its parameters: progress, output files, room for files, downloads."""

from __future__ import annotations

import hashlib
import json
import mimetypes
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .functions import TaskError

# Written beside the output files by the workspace, or served under their folder.
TAKEN = frozenset({"manifest.json", "result.json", "parts.tar"})
OUTPUTS, TEMPORARY = "outputs", "temporary"
OCTETS = "application/octet-stream"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(; ?[\w-]+=[\w.+-]+)*", re.ASCII)
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Fetched:
    """A file that was downloaded: where it lies, from where it came in the end, what the server called it."""

    path: Path
    url: str
    content_type: str


@dataclass(frozen=True)
class _Output:
    name: str
    path: Path
    content_type: str


class TaskContext:
    """Given to a task's function as its parameter ``context``."""

    def __init__(self, key: str, scratch: Path, report: Callable[[Any], None], fetch_hosts: Sequence[str] = ()) -> None:
        """``scratch`` is a folder of this attempt's own, made when it is needed; whoever made the call removes it."""
        self.key = key
        self._scratch = scratch
        self._report = report
        self._fetch_hosts = fetch_hosts
        self._outputs: dict[str, _Output] = {}
        self._is_made = False
        self._is_closed = False

    @property
    def folder(self) -> Path:
        """A folder for temporary files, gone when the task has ended."""
        return self._made(TEMPORARY)

    def progress(self, value: Any) -> None:
        """Tell how far the task is, as any JSON; whoever follows the task sees it at once."""
        check_json(value, "the progress of a task")
        # A thread that outlives its task must not speak for the next one.
        if not self._is_closed:
            self._report(value)

    def output(self, name: str, file_name: str | None = None, content_type: str | None = None) -> Path:
        """Return where to write an output file. It is published when the function has returned, and never in part.

        The file's URL stands in the result under ``name``. ``file_name`` is what the file is called in it (default:
        the name), and tells the ``content_type`` if none is given. Names are letters, digits, "_", "-" and ".".

        Raises:
            ValueError: a name that cannot be, or is there already.
        """
        file_name = name if file_name is None else file_name
        for text in (name, file_name):
            if not _NAME.fullmatch(text):
                raise ValueError(f"{text!r} is no name for an output: letters, digits, '_', '-' and '.' make one")
        used = {output.path.name.lower() for output in self._outputs.values()}
        if name in self._outputs or file_name.lower() in TAKEN | used:
            raise ValueError(f"an output cannot be named {name!r} ({file_name!r}): the name is taken")
        content_type = content_type or mimetypes.guess_type(file_name)[0] or OCTETS
        if not _CONTENT_TYPE.fullmatch(content_type):
            raise ValueError(f"{content_type!r} is no content type")
        output = self._outputs[name] = _Output(name, self._made(OUTPUTS) / file_name, content_type)
        return output.path

    def fetch(self, url: str, most_bytes: int = 50_000_000) -> Fetched:
        """Download a file of the public internet (or of ``CosphereApp.fetch_hosts``) into the temporary folder.

        Raises:
            TaskError: it cannot be had; the text says why.
        """
        from .fetch import Guard

        path = self.folder / f"fetched-{len(list(self.folder.iterdir()))}"
        return Guard(self._fetch_hosts).fetch(url, path, most_bytes)

    def _made(self, part: str) -> Path:
        folder = self._scratch / part
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._is_made = True
        return folder

    def finish(self) -> list[dict[str, Any]]:
        """Return what was written: ``{"name", "file", "size", "sha256", "content_type"}`` each, safe on the disk."""
        return [_written(output) for output in self._outputs.values()]

    def close(self) -> None:
        """Remove the temporary files, and the scratch folder itself if it holds no output."""
        self._is_closed = True
        if self._is_made:
            shutil.rmtree(self._scratch / TEMPORARY, ignore_errors=True)
            with suppress(OSError):
                self._scratch.rmdir()


def _written(output: _Output) -> dict[str, Any]:
    if output.path.is_symlink() or not output.path.is_file():
        raise TaskError(f"the task has announced an output '{output.name}' and not written it")
    digest = hashlib.sha256()
    with output.path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        os.fsync(file.fileno())
        size = file.tell()
    return {
        "name": output.name,
        "file": output.path.name,
        "size": size,
        "sha256": digest.hexdigest(),
        "content_type": output.content_type,
    }


def check_json(value: Any, what: str) -> None:
    """Raise ``TaskError`` unless a value is JSON as every client can read it."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TaskError(f"{what} is no JSON: {_why(error)}") from None


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it has text that is no Unicode"
    return "it is too deeply nested" if isinstance(error, RecursionError) else str(error)
