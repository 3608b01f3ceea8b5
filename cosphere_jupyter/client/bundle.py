"""Bundles: contents that never change once they are there, and runs that make new ones of them.

Each knows what it was made of: from a result in a notebook one gets back to the request that it began with.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from . import bundle_contents
from .bundle_face import Resource
from .display import Html, fields, table, text_of
from .errors import BundleFailed, BundleTimeout, NotFound, ServerUnavailable
from .loading import DtypeBackend
from .progress import Waiting
from .text import size_text

if TYPE_CHECKING:
    import pandas as pd

    from .bundles import Bundles
    from .requests import Request

FINAL_STATES = ("ready", "failed", "killed")
# Pauses between looks at a bundle that is not ready.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
# How long a server may be away while somebody waits.
PATIENCE_SECONDS = 60.0
# Generations that are gone back, and bundles at most.
MOST_ANCESTORS = 1000


class Bundle(Html):
    """A bundle. Its properties say what was known when it was last read.

    >>> bundle = ws.bundles.upload("numbers.csv")
    >>> run = ws.run("wc -l < data > count", {"data": bundle}).wait()
    >>> run.text("count")
    >>> bundle.to_pandas()
    """

    def __init__(self, bundles: Bundles, data: Resource, owner: Resource | None = None) -> None:
        self._bundles = bundles
        self._data = data
        self._owner = owner

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def _attributes(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._data.get("attributes") or {}
        return found

    @property
    def uuid(self) -> str:
        """Its id: ``ws.bundles[uuid]`` finds it again."""
        return str(self._data["id"])

    @property
    def metadata(self) -> dict[str, Any]:
        """Everything that is said of it: name, description, tags, sizes, times, limits."""
        return dict(self._attributes.get("metadata") or {})

    @property
    def name(self) -> str:
        """Its name; several may have the same."""
        return str(self.metadata.get("name") or "")

    @property
    def description(self) -> str:
        """What somebody wrote about it."""
        return str(self.metadata.get("description") or "")

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""
        return tuple(map(str, self.metadata.get("tags") or ()))

    @property
    def type(self) -> str:
        """``dataset``, ``run``, ``make``, …; ``private`` if you may not read it."""
        return str(self._attributes.get("bundle_type"))

    @property
    def state(self) -> str:
        """``created``, ``uploading``, ``staged``, ``running``, … and at last ``ready``, ``failed`` or ``killed``."""
        return str(self._attributes.get("state"))

    @property
    def details(self) -> str:
        """A sentence about its state: why it waits, or why it has failed."""
        return str(self._attributes.get("state_details") or "")

    @property
    def is_final(self) -> bool:
        """Whether it will never change any more."""
        return self.state in FINAL_STATES

    @property
    def error(self) -> str | None:
        """Why it has failed or was killed, in the server's words."""
        if self.state not in ("failed", "killed"):
            return None
        return str(self.metadata.get("failure_message") or self.details or self.state)

    @property
    def command(self) -> str | None:
        """The command of a run."""
        return self._attributes.get("command")

    @property
    def dependencies(self) -> dict[str, str]:
        """What it was made of: uuids (with a path in it, where there is one) by the paths at which it sees them."""
        found = self._attributes.get("dependencies") or ()
        return {
            str(each["child_path"]): "/".join(filter(None, (str(each["parent_uuid"]), each.get("parent_path"))))
            for each in found
        }

    @property
    def size(self) -> int:
        """The bytes of its contents."""
        return int(self.metadata.get("data_size") or 0)

    @property
    def owner(self) -> str | None:
        """The user name of its owner; None if that is not told."""
        return None if self._owner is None else str(self._owner["attributes"]["user_name"])

    @property
    def created(self) -> datetime | None:
        """When it was made."""
        moment = self.metadata.get("created")
        return None if moment is None else datetime.fromtimestamp(float(moment), timezone.utc)

    @property
    def origin(self) -> dict[str, Any] | None:
        """Of a frozen download: the request, the version of its catalogue item and the hash of the rows."""
        found = self._attributes.get("origin") or self.metadata.get("origin")
        return dict(found) if isinstance(found, Mapping) else None

    @property
    def request(self) -> Request | None:
        """The request of whose rows it was frozen; None if it was made otherwise."""
        number = (self.origin or {}).get("request_id")
        return None if number is None else self._bundles.workspace.requests[int(number)]

    @property
    def parents(self) -> list[Bundle]:
        """The bundles that it was made of, those that are still there."""
        uuids = dict.fromkeys(each.partition("/")[0] for each in self.dependencies.values())
        found = []
        for uuid in uuids:
            with suppress(NotFound):
                found.append(self._bundles[uuid])
        return found

    @property
    def ancestors(self) -> BundleList:
        """Everything that it was made of, and what that was made of, up to where it began."""
        found: dict[str, Bundle] = {}
        waiting = self.parents
        while waiting and len(found) < MOST_ANCESTORS:
            each = waiting.pop(0)
            if each.uuid not in found:
                found[each.uuid] = each
                waiting += each.parents
        return BundleList(list(found.values()), f"What {self.name} was made of")

    # -- what it does ----------------------------------------------------------------------------------------------

    def refresh(self) -> Bundle:
        """Read it again and return it."""
        self._take(self._bundles.read(self.uuid))
        return self

    def _take(self, other: Bundle) -> None:
        self._data, self._owner = other._data, other._owner

    def wait(self, timeout: float | None = None, progress: bool = True) -> Bundle:
        """Wait until it is ready, and return it.

        Raises ``BundleFailed`` with the server's words, or ``BundleTimeout`` (a TimeoutError) after ``timeout``
        seconds; it then goes on, as when the waiting is interrupted. ``kill()`` ends it.
        """
        return self._wait(timeout, progress, threading.Event())

    async def wait_async(self, timeout: float | None = None, progress: bool = True) -> Bundle:
        """``wait`` for coroutines; cancelling it stops the waiting, not the run."""
        stop = threading.Event()
        try:
            return await asyncio.to_thread(self._wait, timeout, progress, stop)
        finally:
            stop.set()

    def _wait(self, timeout: float | None, progress: bool, stop: threading.Event) -> Bundle:
        started = heard = time.monotonic()
        pause = FIRST_PAUSE
        with Waiting(self.name or self.uuid, progress) as bar:
            bar.show(self.state, None)
            while not self.is_final and not stop.is_set():
                left = LONGEST_PAUSE if timeout is None else started + timeout - time.monotonic()
                if left <= 0:
                    raise BundleTimeout(f"{self.name or self.uuid} is still {self.state} after {timeout} s")
                stop.wait(min(pause, left))
                pause = min(1.5 * pause, LONGEST_PAUSE)
                try:
                    self.refresh()
                    heard = time.monotonic()
                    bar.show(f"{self.state}: {self.details}"[:80], None)
                except ServerUnavailable:
                    # What was asked for goes on when the server comes back.
                    if time.monotonic() - heard > PATIENCE_SECONDS:
                        raise
        if self.error is not None:
            raise BundleFailed(f"{self.name or self.uuid}: {self.error}", self)
        return self

    def kill(self) -> Bundle:
        """End a run, and return it; what it has written so far is kept."""
        action = {"type": "bundle-actions", "attributes": {"type": "kill", "uuid": self.uuid}}
        self._bundles.face.send("POST", "/bundle-actions", {"data": [action]})
        return self.refresh()

    def delete(self, recursive: bool = False, force: bool = False) -> None:
        """Delete it: ``recursive`` with what depends on it, ``force`` though it stands on worksheets."""
        params = {"recursive": int(recursive), "force": int(force)}
        self._bundles.face.send("DELETE", "/bundles", {"data": [{"type": "bundles", "id": self.uuid}]}, params)

    def update(self, **metadata: Any) -> Bundle:
        """Change what is said of it (``name``, ``description``, ``tags``, …), and return it."""
        return self._patch({"metadata": metadata})

    def freeze(self) -> Bundle:
        """Let nobody change or delete it, and return it; ``unfreeze()`` takes that back."""
        return self._patch({"frozen": datetime.now(timezone.utc).isoformat()})

    def unfreeze(self) -> Bundle:
        """Let it be changed again, and return it."""
        return self._patch({"frozen": None})

    def _patch(self, attributes: Mapping[str, Any]) -> Bundle:
        body = {"data": [{"type": "bundles", "id": self.uuid, "attributes": attributes}]}
        self._bundles.face.send("PATCH", "/bundles", body)
        return self.refresh()

    def share(self, group: str = "public", permission: str = "read") -> Bundle:
        """Let a group ``read`` it, do ``all`` with it, or ``none``; ``public`` is everyone. Returns it."""
        self._bundles.share("bundle", self.uuid, group, permission)
        return self.refresh()

    # -- what is in it ---------------------------------------------------------------------------------------------

    def info(self, path: str = "", depth: int = 0) -> dict[str, Any]:
        """Return what lies at a path: ``name``, ``type``, ``size``, and ``contents`` down to ``depth``."""
        from urllib.parse import quote

        address = f"/bundles/{self.uuid}/contents/info/{quote(path)}"
        found: dict[str, Any] = self._bundles.face.get(address, {"depth": depth})["data"]
        return found

    def files(self, path: str = "") -> list[str]:
        """Return the names of what lies in a folder, folders with a slash at their end."""
        found = self.info(path, 1).get("contents") or ()
        return sorted(f"{each['name']}/" if each["type"] == "directory" else str(each["name"]) for each in found)

    def open(self, path: str = "") -> IO[bytes]:
        """Return a file, to be read from its beginning; without a path the bundle itself, if it is one file.

        >>> with bundle.open("results/scores.json") as file:
        ...     scores = json.load(file)
        """
        return bundle_contents.opened(self._bundles.face, self.uuid, path)

    def read(self, path: str = "") -> bytes:
        """Return the bytes of a file; also of a run that is not over yet."""
        with self.open(path) as file:
            return file.read()

    def text(self, path: str = "") -> str:
        """Return a file as text: ``run.text("stdout")``."""
        return self.read(path).decode(errors="replace")

    def save(self, target: str | os.PathLike[str] = ".", path: str = "") -> Path:
        """Fetch it, or what lies at a path in it, and return where it lies: a file, or a folder with its files.

        ``target`` is a folder that is there, in which it keeps its own name, or the place that it shall have.
        """
        name = Path(path).name or self.name or self.uuid
        return bundle_contents.saved(self._bundles.face, self.uuid, path, name, target)

    def to_pandas(self, path: str = "", dtype_backend: DtypeBackend = "pyarrow", progress: bool = True) -> pd.DataFrame:
        """Return its rows as a DataFrame: those of a Parquet, CSV, Arrow or JSON file, or of all Parquet files in it.

        ``df.attrs["cosphere"]`` tells the bundle, and of a frozen download the request that it came from.
        """
        paths = bundle_contents.rows_in(self.info(path, 3), path)
        frame = bundle_contents.frame(self._bundles.face, self.uuid, paths, self.name, dtype_backend, progress)
        told = {"bundle": self.uuid, "name": self.name, "url": self._bundles.workspace.url}
        frame.attrs["cosphere"] = {**told, **({"origin": self.origin} if self.origin else {})}
        return frame

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bundle) and other.uuid == self.uuid

    def __hash__(self) -> int:
        return hash(self.uuid)

    def __repr__(self) -> str:
        facts = {"uuid": self.uuid[:10], "name": self.name, "type": self.type, "state": self.state}
        return f"<Bundle {text_of(facts)}>"

    def _repr_html_(self) -> str:
        return fields(f"Bundle {self.name}", self._facts())

    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"uuid": self.uuid, "type": self.type, "state": self.state}
        if self.error or not self.is_final:
            facts["details"] = self.error or self.details
        if self.is_final:
            facts["size"] = size_text(self.size)
        if self.command:
            facts["command"] = self.command
        if self.dependencies:
            facts["made of"] = ", ".join(f"{key}: {value}" for key, value in self.dependencies.items())
        for name, value in (self.origin or {}).items():
            if isinstance(value, str | int | float):
                facts[name.replace("_", " ")] = value
        facts |= {"owner": self.owner, "created": self.created and f"{self.created:%Y-%m-%d %H:%M} UTC"}
        facts |= {"description": self.description, "tags": ", ".join(self.tags)}
        return {name: value for name, value in facts.items() if value}


class BundleList(Sequence[Bundle], Html):
    """Bundles that were found, a line each."""

    def __init__(self, bundles: Sequence[Bundle], title: str = "Bundles") -> None:
        self._bundles = list(bundles)
        self._title = title

    def __getitem__(self, index: Any) -> Any:
        """Return one, or a list of some."""
        found = self._bundles[index]
        return BundleList(found, self._title) if isinstance(index, slice) else found

    def __len__(self) -> int:
        return len(self._bundles)

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self._bundles))}]"

    def _repr_html_(self) -> str:
        headings = ("name", "uuid", "type", "state", "size", "owner", "description")
        rows = (
            (each.name, each.uuid[:10], each.type, each.state, size_text(each.size), each.owner, each.description)
            for each in self._bundles
        )
        return table(f"{self._title}: {len(self):,}", headings, rows, len(self))
