"""Worksheets: pages of text, bundles and other worksheets, which show what was done and of what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import worksheet_views
from .bundle import Bundle, BundleList
from .bundle_face import BundleFace, Resource, included, keywords_of, linkage, related, resources
from .display import Html, fields, table, text_of
from .text import counted, shortened

if TYPE_CHECKING:
    from .workspace import Workspace

_EVERYTHING = "owner,items,items.bundle,items.bundle.owner,items.subworksheet"


@dataclass(frozen=True)
class WorksheetItem:
    """A line of a worksheet: ``markup`` and ``directive`` have a text, the others name a bundle or a worksheet.

    ``bundle`` is None if there is no such bundle any more; ``uuid`` is what the line names.
    """

    type: str
    text: str = ""
    uuid: str | None = None
    bundle: Bundle | None = None


class Worksheet(Html):
    """A worksheet, as it was when it was last read.

    >>> page = ws.worksheets.create("paper")
    >>> page.add("# Results", bundle, "% display contents /stdout", run)
    >>> page.bundles
    >>> page.source = page.source + "\\n// to be continued"
    """

    def __init__(self, worksheets: Worksheets, document: Mapping[str, Any]) -> None:
        """``document`` is that of one worksheet with its items."""
        self._worksheets = worksheets
        self._take(document)

    def _take(self, document: Mapping[str, Any]) -> None:
        [self._data] = resources(document)
        owner = included(document, "users").get(related(self._data, "owner") or "")
        self._owner = None if owner is None else str(owner["attributes"]["user_name"])
        self._items = _items(document, self._data, self._worksheets.workspace.bundles.included(document))
        # How it is shown is read at once: representations ask nothing.
        self._shown, self._version = self._worksheets.interpreted(self.uuid)

    @property
    def _attributes(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._data["attributes"]
        return found

    @property
    def uuid(self) -> str:
        """Its id: ``ws.worksheets[uuid]`` finds it again."""
        return str(self._data["id"])

    @property
    def name(self) -> str:
        """Its name, which no other worksheet has."""
        return str(self._attributes["name"])

    @property
    def title(self) -> str | None:
        """Its title."""
        return self._attributes.get("title")

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""
        return tuple(map(str, self._attributes.get("tags") or ()))

    @property
    def owner(self) -> str | None:
        """The user name of its owner; None if that is not told."""
        return self._owner

    @property
    def permission(self) -> str:
        """What you may do with it: ``none``, ``read`` or ``all``."""
        return str(self._attributes.get("permission_spec"))

    @property
    def items(self) -> list[WorksheetItem]:
        """Its lines, in order."""
        return list(self._items)

    @property
    def bundles(self) -> BundleList:
        """The bundles on it that there are, in order."""
        return BundleList([each.bundle for each in self._items if each.bundle], f"Bundles of {self.name}")

    @property
    def blocks(self) -> list[dict[str, Any]]:
        """How it is shown, as data: texts, tables with their rows, files, pictures, curves."""
        return list(self._shown["blocks"])

    @property
    def source(self) -> str:
        """All of it as text. What is set replaces everything, unless somebody has changed it since it was read.

        ``// …`` is a comment, ``{name or uuid}`` a bundle, ``{{name or uuid}}`` a worksheet, ``% …`` says how the
        bundles below it are shown, and everything else is text.
        """
        return "\n".join(self._shown["source"])

    @source.setter
    def source(self, text: str) -> None:
        headers = {"If-Match": self._version} if self._version else {}
        self._worksheets.face.send_text(f"/worksheets/{self.uuid}/raw", text, headers)
        self.refresh()

    def add(self, *things: Any) -> Worksheet:
        """Add texts (a line each, also ``% display …``), bundles and worksheets at its end, and return it."""
        items = [item for thing in things for item in self._new(thing)]
        self._worksheets.face.send("POST", "/worksheet-items", {"data": items}, {"uuid": self.uuid})
        return self.refresh()

    def _new(self, thing: Any) -> Iterable[dict[str, Any]]:
        of = {"worksheet": linkage("worksheets", self.uuid)}
        if isinstance(thing, Bundle):
            named = {**of, "bundle": linkage("bundles", thing.uuid)}
            return [{"type": "worksheet-items", "attributes": {"type": "bundle"}, "relationships": named}]
        if isinstance(thing, Worksheet):
            named = {**of, "subworksheet": linkage("worksheets", thing.uuid)}
            return [{"type": "worksheet-items", "attributes": {"type": "worksheet"}, "relationships": named}]
        if not isinstance(thing, str):
            raise TypeError(f"a worksheet holds texts, bundles and worksheets, not {type(thing).__name__}")
        return [
            {"type": "worksheet-items", "attributes": _line(line), "relationships": of} for line in thing.split("\n")
        ]

    def update(self, **attributes: Any) -> Worksheet:
        """Change ``name``, ``title`` or ``tags``, and return it."""
        self._worksheets.change(self.uuid, attributes)
        return self.refresh()

    def share(self, group: str = "public", permission: str = "read") -> Worksheet:
        """Let a group ``read`` it, do ``all`` with it, or ``none``; ``public`` is everyone. Returns it."""
        self._worksheets.workspace.bundles.share("worksheet", self.uuid, group, permission)
        return self.refresh()

    def delete(self, force: bool = False) -> None:
        """Delete it; its bundles stay. One that is not empty needs ``force``."""
        body = {"data": [{"type": "worksheets", "id": self.uuid}]}
        self._worksheets.face.send("DELETE", "/worksheets", body, {"force": int(force)})

    def refresh(self) -> Worksheet:
        """Read it again and return it."""
        self._take(self._worksheets.read(self.uuid))
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Worksheet) and other.uuid == self.uuid

    def __hash__(self) -> int:
        return hash(self.uuid)

    def __repr__(self) -> str:
        return f"<Worksheet {text_of({'uuid': self.uuid[:10], 'name': self.name, 'items': len(self._items)})}>"

    def _repr_html_(self) -> str:
        facts = [f"of {self.owner}" if self.owner else "", counted(len(self._items), "item"), *self.tags]
        return worksheet_views.page(self.name, self.title, " · ".join(filter(None, facts)), self._shown["blocks"])


@dataclass(frozen=True)
class FoundWorksheet:
    """A worksheet that a search has found; ``ws.worksheets[uuid]`` opens it."""

    uuid: str
    name: str
    title: str | None
    owner: str | None
    tags: tuple[str, ...]


class WorksheetList(Sequence[FoundWorksheet], Html):
    """Worksheets that were found, a line each."""

    def __init__(self, found: Sequence[FoundWorksheet]) -> None:
        self._found = list(found)

    def __getitem__(self, index: Any) -> Any:
        """Return one, or a list of some."""
        found = self._found[index]
        return WorksheetList(found) if isinstance(index, slice) else found

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"[{', '.join(f'<{each.name} {each.uuid[:10]}>' for each in self._found)}]"

    def _repr_html_(self) -> str:
        rows = ((each.name, each.title, each.owner, ", ".join(each.tags), each.uuid[:10]) for each in self._found)
        return table(f"Worksheets: {len(self):,}", ("name", "title", "owner", "tags", "uuid"), rows, len(self))


class Worksheets(Html):
    """The worksheets of a workspace.

    >>> ws.worksheets.home                    # your own, there from the beginning
    >>> ws.worksheets["paper"]                # by name or uuid
    >>> ws.worksheets.create("paper", title="What we have found")
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.face = BundleFace(workspace.http)

    def __getitem__(self, spec: str) -> Worksheet:
        """Return the worksheet of a name, a uuid or the beginning of one; ``NotFound`` if there is none."""
        found = self.face.get("/worksheets", {"specs": str(spec), "include": _EVERYTHING})
        return Worksheet(self, found)

    @property
    def home(self) -> Worksheet:
        """Your own worksheet."""
        return self["/"]

    def create(self, name: str, title: str | None = None, tags: Sequence[str] = ()) -> Worksheet:
        """Make a worksheet and return it; everyone may read it, and only you change it."""
        attributes = {"name": name, "title": title, "tags": list(tags)}
        body = {"data": [{"type": "worksheets", "attributes": attributes}]}
        return self[str(resources(self.face.send("POST", "/worksheets", body))[0]["id"])]

    def search(self, *keywords: str) -> WorksheetList:
        """Return the worksheets of which all keywords are true; 10 at most unless ``.limit=`` says otherwise.

        >>> ws.worksheets.search(".mine")
        >>> ws.worksheets.search("tag=draft owner=rosa")
        """
        document = self.face.get("/worksheets", [*keywords_of(keywords), ("include", "owner")])  # type: ignore[arg-type]
        users = included(document, "users")
        return WorksheetList([_found(each, users) for each in resources(document)])

    # -- for the handles -------------------------------------------------------------------------------------------

    def read(self, uuid: str) -> Mapping[str, Any]:
        """Return the document of a worksheet with its items."""
        found: Mapping[str, Any] = self.face.get(f"/worksheets/{uuid}", {"include": _EVERYTHING})
        return found

    def interpreted(self, uuid: str) -> tuple[Mapping[str, Any], str]:
        """Return how a worksheet is shown, and the version that this is of."""
        return self.face.get_with_version(f"/interpret/worksheet/{uuid}")

    def change(self, uuid: str, attributes: Mapping[str, Any]) -> None:
        """Change attributes of a worksheet."""
        resource = {"type": "worksheets", "id": uuid, "attributes": attributes}
        self.face.send("PATCH", "/worksheets", {"data": [resource]})

    def __repr__(self) -> str:
        return f"<Worksheets of {shortened(self.workspace.url)}: search() finds some>"

    def _repr_html_(self) -> str:
        return fields("Worksheets", {"of": self.workspace.url, "": "ws.worksheets.search('.mine') finds yours"})


def _items(document: Mapping[str, Any], data: Resource, bundles: Mapping[str, Bundle]) -> list[WorksheetItem]:
    items = included(document, "worksheet-items")
    found = []
    for each in related(data, "items") or ():
        item = items[each]
        bundle, below = related(item, "bundle"), related(item, "subworksheet")
        text = str(item["attributes"].get("value") or "")
        kind = str(item["attributes"]["type"])
        found.append(WorksheetItem(kind, text, bundle or below, bundles.get(bundle or "")))
    return found


def _line(line: str) -> dict[str, str]:
    if line.startswith("%") and not line[1:].lstrip().startswith("%"):
        return {"type": "directive", "value": line[1:].strip()}
    if line.startswith("//"):
        return {"type": "directive", "value": f"% {line[2:].strip()}"}
    return {"type": "markup", "value": line}


def _found(resource: Resource, users: Mapping[str, Resource]) -> FoundWorksheet:
    attributes, owner = resource["attributes"], users.get(related(resource, "owner") or "")
    name = None if owner is None else str(owner["attributes"]["user_name"])
    tags = tuple(attributes.get("tags") or ())
    return FoundWorksheet(str(resource["id"]), str(attributes["name"]), attributes.get("title"), name, tags)
