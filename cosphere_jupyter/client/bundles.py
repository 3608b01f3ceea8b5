"""The bundles of a workspace: finding them, sending contents, running commands on them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import bundle_contents
from .bundle import Bundle, BundleList
from .bundle_face import BundleFace, included, is_uuid, keywords_of, linkage, related, resources
from .display import Html, fields
from .errors import CosphereError
from .text import shortened

if TYPE_CHECKING:
    from .requests import Request
    from .workspace import Workspace

# What may be asked for a run.
LIMITS = ("time", "memory", "disk", "cpus", "gpus", "queue", "priority", "network", "docker_image")
_INCLUDE = ("include", "owner")


class Bundles(Html):
    """The bundles of a workspace.

    >>> ws.bundles["numbers"]                      # by name (yours, the last one of it), or by uuid
    >>> ws.bundles.search(".mine", "state=failed")
    >>> ws.bundles.upload("numbers.csv", tags=["raw"])
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.face = BundleFace(workspace.http)

    def __getitem__(self, spec: str) -> Bundle:
        """Return the bundle of a uuid, the beginning of one, or a name; ``NotFound`` if there is none."""
        return self._of(self.face.get("/bundles", {"specs": str(spec), "include": "owner"}))[0]

    def read(self, uuid: str) -> Bundle:
        """Return the bundle with exactly this uuid."""
        return self._of(self.face.get(f"/bundles/{uuid}", {"include": "owner"}))[0]

    def search(self, *keywords: str) -> Any:
        """Return the bundles of which all keywords are true; 10 at most unless ``.limit=`` says otherwise.

        >>> ws.bundles.search("numbers")                       # in the name or uuid
        >>> ws.bundles.search("type=run state=failed .mine")
        >>> ws.bundles.search("tags=raw", ".limit=100")
        >>> ws.bundles.search(".mine", "size=.sum")            # a number
        """
        document = self.face.get("/bundles", [*keywords_of(keywords), _INCLUDE])  # type: ignore[arg-type]
        if "data" not in document:
            return document["meta"]["result"]
        return BundleList(self._of(document), f"Bundles of {' '.join(keywords) or 'all'}")

    def upload(
        self,
        source: Any,
        name: str | None = None,
        *,
        description: str = "",
        tags: Sequence[str] = (),
        worksheet: Any = None,
        unpack: bool = True,
        progress: bool = True,
    ) -> Bundle:
        """Make a bundle of a file, a folder, bytes or a DataFrame, and return it; you own it, and nobody else reads it.

        Archives (``.tar.gz``, ``.zip``, …) are unpacked there unless ``unpack=False``. On a ``worksheet`` (one of
        ``ws.worksheets``, or its name) it may be read by whoever may read that.
        """
        with bundle_contents.outgoing(source, name, unpack, progress) as (content, found_name):
            metadata = {
                "name": bundle_contents.bundle_name(found_name),
                "description": description,
                "tags": list(tags),
                "license": "",
                "source_url": "",
            }
            bundle = self._create({"bundle_type": "dataset", "metadata": metadata}, worksheet)
            params = {"filename": content.filename, "unpack": int(content.unpack)}
            try:
                self.face.upload(f"/bundles/{bundle.uuid}/contents/blob/", params, content, content.size)
            except BaseException:
                # Half of something is of no use to anybody.
                with suppress(CosphereError):
                    bundle.delete(force=True)
                raise
        return bundle.refresh()

    def run(
        self,
        command: str,
        dependencies: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        description: str = "",
        tags: Sequence[str] = (),
        worksheet: Any = None,
        **limits: Any,
    ) -> Bundle:
        """Run a command on the server and return its bundle, at once; see ``ws.run``."""
        if unknown := sorted(limits.keys() - set(LIMITS)):
            raise TypeError(f"a run has no {unknown[0]!r}; it has {', '.join(LIMITS)}")
        first = re.split(r"\W+", command.strip(), maxsplit=1)[0]
        metadata: dict[str, Any] = {"name": name or bundle_contents.bundle_name(f"run-{first}" if first else "run")}
        metadata |= {"description": description, "tags": list(tags)}
        metadata |= {f"request_{key}": value for key, value in limits.items()}
        wanted = {"bundle_type": "run", "command": command, "metadata": metadata}
        return self._create({**wanted, "dependencies": self._dependencies(dependencies or {})}, worksheet)

    def make(
        self,
        dependencies: Mapping[str, Any],
        *,
        name: str = "make",
        description: str = "",
        tags: Sequence[str] = (),
        worksheet: Any = None,
    ) -> Bundle:
        """Put bundles, or parts of them, together in a new one, and return it; see ``ws.make``."""
        metadata = {"name": name, "description": description, "tags": list(tags)}
        wanted = {"bundle_type": "make", "metadata": metadata, "dependencies": self._dependencies(dependencies)}
        return self._create(wanted, worksheet)

    def freeze(
        self,
        request: Request | int,
        name: str,
        *,
        description: str | None = None,
        tags: Sequence[str] = (),
        worksheet: Any = None,
    ) -> Bundle:
        """Make a bundle of the rows of a request that has succeeded; see ``Request.freeze``."""
        attributes: dict[str, Any] = {"request_id": request if isinstance(request, int) else request.id, "name": name}
        attributes |= {"description": description, "tags": list(tags)}
        if worksheet is not None:
            attributes["worksheet"] = self._worksheet(worksheet)
        body = {"data": {"type": "bundles", "attributes": attributes}}
        return self._of(self.face.send("POST", "/bundles/freeze", body, {"include": "owner"}))[0]

    # -- for the handles -------------------------------------------------------------------------------------------

    def share(self, kind: str, uuid: str, group: str, permission: str) -> None:
        """Let a group do something with a bundle or a worksheet."""
        found = self.face.get(f"/groups/{group}")["data"]["id"]
        row = {
            "type": f"{kind}-permissions",
            "attributes": {"permission_spec": permission},
            "relationships": {kind: linkage(f"{kind}s", uuid), "group": linkage("groups", found)},
        }
        self.face.send("POST", f"/{kind}-permissions", {"data": [row]})

    def included(self, document: Mapping[str, Any]) -> dict[str, Bundle]:
        """Return the bundles that are included in a document and that there are, by uuid."""
        users = included(document, "users")
        found = {uuid: each for uuid, each in included(document, "bundles").items() if "metadata" in each["attributes"]}
        return {uuid: Bundle(self, each, users.get(related(each, "owner") or "")) for uuid, each in found.items()}

    def _of(self, document: Mapping[str, Any]) -> list[Bundle]:
        users = included(document, "users")
        return [Bundle(self, each, users.get(related(each, "owner") or "")) for each in resources(document)]

    def _create(self, attributes: Mapping[str, Any], worksheet: Any) -> Bundle:
        params = {"detached": 1} if worksheet is None else {"worksheet": self._worksheet(worksheet)}
        body = {"data": [{"type": "bundles", "attributes": attributes}]}
        return self._of(self.face.send("POST", "/bundles", body, {**params, "include": "owner"}))[0]

    def _worksheet(self, worksheet: Any) -> str:
        found = worksheet if isinstance(worksheet, str) else worksheet.uuid
        return str(found if is_uuid(found) else self.workspace.worksheets[found].uuid)

    def _dependencies(self, dependencies: Mapping[str, Any]) -> list[dict[str, str]]:
        found = []
        for path, parent in dependencies.items():
            uuid, below = self._target(parent)
            found.append({"child_path": str(path), "parent_uuid": uuid, "parent_path": below})
        return found

    def _target(self, parent: Any) -> tuple[str, str]:
        """Return uuid and path for a bundle, its uuid or name, ``"name/path"``, or a pair of both."""
        if isinstance(parent, tuple):
            return self._target(parent[0])[0], str(parent[1]).strip("/")
        if isinstance(parent, str):
            spec, _, below = parent.partition("/")
            return spec if is_uuid(spec) else self[spec].uuid, below.strip("/")
        return str(parent.uuid), ""

    def __iter__(self) -> Iterator[Bundle]:
        """Go through your own bundles, the newest first."""
        found: BundleList = self.search(".mine", ".last", ".limit=1000")
        return iter(found)

    def __repr__(self) -> str:
        return f"<Bundles of {shortened(self.workspace.url)}: search() finds some>"

    def _repr_html_(self) -> str:
        return fields("Bundles", {"of": self.workspace.url, "": "ws.bundles.search('.mine') finds yours"})
