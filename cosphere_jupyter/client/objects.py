"""Objects: samples, measurements and what else a lab keeps records of, with all their versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .display import Html, fields, table, text_of
from .object_actions import Action, samples_face
from .object_frames import frame_of
from .object_links import SCHEME, follow, links_in, reference_to
from .object_parts import Comments, ObjectFiles, ObjectPermissions
from .object_values import data_from, value_from

if TYPE_CHECKING:
    import pandas as pd

    from .workspace import Workspace

# How many objects are asked for at once, and made at once.
PAGE = 500
MOST_AT_ONCE = 1000
LONGEST_VALUE = 200


class LabObject(Html):
    """One version of an object: the current one, unless it comes from ``versions``.

    >>> crystal = ws.objects[1]
    >>> crystal.values["mass"].magnitude, crystal.values["mass"].units
    (5, 'mg')
    >>> crystal.update(mass="4.5 mg").version
    1
    >>> [each.values["mass"].magnitude for each in crystal.versions]
    [5, 4.5]
    """

    def __init__(self, objects: Objects, data: Mapping[str, Any]) -> None:
        self._objects = objects
        self._take(data)

    def _take(self, data: Mapping[str, Any]) -> None:
        self._json = data

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def id(self) -> int:
        """Its number: ``ws.objects[id]`` finds it again."""
        return int(self._json["object_id"])

    @property
    def version(self) -> int:
        """The number of this version; the first one is 0."""
        return int(self._json["version_id"])

    @property
    def action_id(self) -> int:
        """The id of the action that it was made with."""
        return int(self._json["action_id"])

    @property
    def schema(self) -> dict[str, Any]:
        """What its data look like."""
        return dict(self._json["schema"])

    @property
    def data(self) -> dict[str, Any]:
        """Its data, as the API has them: ``{"mass": {"_type": "quantity", "magnitude": 5, "units": "mg", …}}``."""
        return dict(self._json["data"])

    @property
    def values(self) -> dict[str, Any]:
        """Its data as Python has them: texts, ``Quantity``, datetimes, lists, and ids for what is referred to."""
        found = value_from(self._json["data"])
        assert isinstance(found, dict)  # noqa: S101
        return found

    @property
    def name(self) -> str:
        """Its name."""
        return str(value_from((self._json["data"] or {}).get("name")) or "")

    @property
    def user_id(self) -> int | None:
        """The id of the account that made this version."""
        return self._json.get("user_id")

    @property
    def created_at(self) -> datetime | None:
        """When this version was made."""
        told = self._json.get("utc_datetime")
        return None if told is None else datetime.strptime(told, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)

    @property
    def links(self) -> dict[str, str]:
        """Where its data lead to something else of the workspace: ``{"data": "cosphere:requests/15"}``."""
        return dict(links_in(self._json["data"]))

    # -- what it does ----------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        """Return a property as Python has it."""
        return self.values[name]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._json["data"])

    def refresh(self) -> LabObject:
        """Read its current version and return it."""
        self._take(self._objects.read(self.id))
        return self

    @property
    def versions(self) -> list[LabObject]:
        """All its versions, the first one first; asks the server."""
        found = self._objects.face.get(f"/objects/{self.id}/versions/")
        return [LabObject(self._objects, data) for data in found]

    def update(
        self, data: Mapping[str, Any] | None = None, /, *, use_new_schema: bool = False, **changes: Any
    ) -> LabObject:
        """Make the next version, and return this object at it; needs write permissions.

        ``data`` are all properties; ``changes`` only those that change, None for one that goes. Values are given as to
        ``create``. With ``use_new_schema`` they are those of the action's schema as it is now.

        Raises ``ObjectChanged`` if somebody else has made a version since this one was read: what they have changed is
        not lost, and ``refresh()`` shows it.
        """
        schema = self._objects.workspace.actions[self.action_id].schema if use_new_schema else self.schema
        whole = {**self.data, **changes} if data is None else {**data, **changes}
        body: dict[str, Any] = {"data": data_from(schema, whole)}
        if use_new_schema:
            body["schema"] = schema
        path, headers = f"/objects/{self.id}/versions/", {"If-Match": f'"{self.id}.{self.version}"'}
        made = self._objects.face.post(path, body, headers=headers)
        self._take(self._objects.face.get(f"{path}{int(made['version_id'])}"))
        return self

    @property
    def permissions(self) -> ObjectPermissions:
        """Who may do what with it."""
        return ObjectPermissions(self._objects.face, self.id)

    @property
    def files(self) -> ObjectFiles:
        """Its files, and links to somewhere else."""
        return ObjectFiles(self._objects.face, self.id)

    @property
    def comments(self) -> Comments:
        """What was said about it."""
        return Comments(self._objects.face, self.id)

    def hide(self, is_hidden: bool = True) -> LabObject:
        """Take it out of all lists and searches, for everybody, or back into them; needs grant permissions."""
        self._objects.face.put(f"/objects/{self.id}/hidden", is_hidden)
        return self

    def referring(self) -> list[LabObject]:
        """Return the objects that refer to this one, such as measurements of it, as far as one may read them."""
        return self._related("referencing_objects")

    def referred(self) -> list[LabObject]:
        """Return the objects that this one refers to, as far as one may read them."""
        return self._related("referenced_objects")

    def _related(self, which: str) -> list[LabObject]:
        found = self._objects.face.get(f"/objects/{self.id}/related_objects")[which]
        return [self._objects[int(each["object_id"])] for each in found]

    def follow(self, name: str) -> Any:
        """Return what a link of its data leads to: a request, a download, a task, a table, a bundle, an object.

        >>> measurement.follow("data").to_pandas()

        ``KeyError`` if there is no link at ``name`` (see ``links``); ``NotFound`` or ``NotAllowed`` for what this
        account may not see: who may read an object need not be allowed to have the data that it names.
        """
        return follow(self._objects.workspace, self.links[name])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabObject):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[str, int, int]:
        return (self._objects.workspace.url, self.id, self.version)

    def __repr__(self) -> str:
        return f"<LabObject {text_of({'id': self.id, 'version': self.version, 'name': self.name})}>"

    def _repr_html_(self) -> str:
        facts = {"version": self.version, "action": self.action_id, "made at": self.created_at, "by user": self.user_id}
        known = self.schema.get("properties") or {}
        rows = [
            (_title(known.get(name), name), name, _text(value))
            for name, value in self.values.items()
            if name != "name" or not self.name
        ]
        shown = fields(
            f"Object {self.id}: {self.name}", {key: value for key, value in facts.items() if value is not None}
        )
        return shown + table("Data", ("", "property", "value"), rows, len(rows))


class ObjectList(Sequence[LabObject], Html):
    """Objects as they were when they were read."""

    def __init__(self, found: Sequence[LabObject]) -> None:
        self._found = found

    def __getitem__(self, index: Any) -> Any:
        """Return one of them, or several for a slice."""
        return ObjectList(self._found[index]) if isinstance(index, slice) else self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def to_pandas(self) -> pd.DataFrame:
        """Return them as ``ws.objects.search`` does."""
        return frame_of([each._json for each in self._found])

    def __repr__(self) -> str:
        return f"<ObjectList of {len(self)}: {', '.join(repr(each) for each in self._found[:5])}>"

    def _repr_html_(self) -> str:
        rows = ((each.id, each.name, each.version, each.action_id, each.created_at) for each in self._found)
        return table(f"{len(self):,} objects", ("id", "name", "version", "action", "changed"), rows, len(self))


class Objects(Html):
    """The objects of the workspace that this account may read.

    >>> crystal = ws.objects.create("Grow", name="Crystal 7")
    >>> ws.objects.create("Weigh", name="First", sample=crystal, mass="5 mg")
    >>> ws.objects.search("mass > 3 mg")
    >>> ws.objects[1]
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.face = samples_face(workspace)

    def create(self, action: Action | str | int, data: Mapping[str, Any] | None = None, /, **values: Any) -> LabObject:
        """Make an object and return it; ``action`` is a handle, a name or an id.

        Properties are given by ``data`` or by their names, as Python has them (``"5 mg"``, ``(5, "mg")`` or a number in
        the schema's units for quantities, datetimes, lists, other objects) or as the API has them (``{"_type": …}``).
        A request, a task, a download or a table as the value of a text becomes a link to it: see ``follow``.

        Raises ``InvalidRequest`` with everything that is wrong.
        """
        [made] = self.create_many(action, [{**(data or {}), **values}])
        return made

    def create_many(self, action: Action | str | int, items: Iterable[Mapping[str, Any]]) -> ObjectList:
        """Make an object of each item and return them; of each thousand all are made, or none.

        >>> ws.objects.create_many("Grow", df.to_dict("records"))
        """
        action = action if isinstance(action, Action) else self.workspace.actions[action]
        bodies = [{"action_id": action.id, "data": data_from(action.schema, item)} for item in items]
        numbers: list[int] = []
        for first in range(0, len(bodies), MOST_AT_ONCE):
            batch = bodies[first : first + MOST_AT_ONCE]
            # What is wrong with one alone is told without its place in a list.
            made = self.face.post("/objects/", batch if len(batch) > 1 else batch[0])
            numbers += [int(each["object_id"]) for each in (made if isinstance(made, list) else [made])]
        # They are the newest, unless somebody else has been quicker since.
        known = {each.id: each for each in self.list(len(numbers)) if each.version == 0} if len(numbers) > 1 else {}
        return ObjectList([known.get(number) or self._first(number) for number in numbers])

    def _first(self, object_id: int) -> LabObject:
        return LabObject(self, self.face.get(f"/objects/{object_id}/versions/0"))

    def __getitem__(self, object_id: int) -> LabObject:
        """Return an object at its current version; ``NotFound`` or ``NotAllowed`` if there is none for this account."""
        return LabObject(self, self.read(int(object_id)))

    def list(
        self,
        limit: int | None = 100,
        *,
        action: Action | int | None = None,
        type: str | None = None,
        offset: int = 0,
        hidden: bool = False,
    ) -> ObjectList:
        """Return the newest objects: of an action, or of a type of actions (sample, measurement, …) only.

        With ``hidden`` those that stand in no other list.
        """
        return self._pages(_wanted(action, type, hidden), limit, offset)

    def find(self, query: str, limit: int | None = None, **only: Any) -> ObjectList:
        """Return the objects that a search finds, newest first; ``only`` are the choices of ``list``.

        >>> ws.objects.find('mass > 3 mg and sample == #15')
        """
        return self._pages({"q": query, **_wanted(**only)}, limit, 0)

    def search(self, query: str = "", limit: int | None = None, **only: Any) -> pd.DataFrame:
        """Return what a search finds as a DataFrame with a column for each property; without a query all objects.

        >>> df = ws.objects.search("mass > 3 mg")
        >>> df["mass"].mean(), df.attrs["units"]["mass"]
        (4.75, 'mg')

        The index is ``object_id``, ``version_id`` and ``action_id`` stand before the properties. Quantities of one
        column are in one unit; ``df.attrs["units"]`` tells which. Raises ``InvalidRequest`` for what is no search.
        """
        found = self.find(query, limit, **only) if query else self._pages(_wanted(**only), limit, 0)
        df = found.to_pandas()
        df.attrs["query"] = query
        return df

    def linked_to(self, what: Any) -> ObjectList:
        """Return the objects whose data link to something of the workspace, given by its handle or its link.

        >>> ws.objects.linked_to(ws.requests[15])
        """
        link = str(reference_to(what))
        if not link.startswith(SCHEME):
            raise ValueError(f"nothing can link to {what!r}")
        simple = {"q": f'"{link}"', "use_advanced_search": "false"}
        return ObjectList([each for each in self._pages(simple, None, 0) if link in each.links.values()])

    def read(self, object_id: int) -> Mapping[str, Any]:
        """Return the JSON of the current version of an object."""
        version = self.face.link(f"/objects/{object_id}").rstrip("/").rpartition("/")[2]
        found: Mapping[str, Any] = self.face.get(f"/objects/{object_id}/versions/{int(version)}")
        return found

    def _pages(self, params: Mapping[str, Any], limit: int | None, offset: int) -> ObjectList:
        found: dict[int, LabObject] = {}
        while limit is None or len(found) < limit:
            size = PAGE if limit is None else min(PAGE, limit - len(found))
            page = self.face.get("/objects/", {**params, "limit": size, "offset": offset})
            # What was made in between has pushed others on to the next page.
            found.update({int(each["object_id"]): LabObject(self, each) for each in page})
            offset += size
            if len(page) < size:
                break
        return ObjectList(list(found.values()))

    def __iter__(self) -> Iterator[LabObject]:
        """Go through all of them, newest first."""
        return iter(self.list(None))

    def __repr__(self) -> str:
        return f"<Objects of {self.workspace.url}: list() reads the newest>"

    def _repr_html_(self) -> str:
        return fields("Objects", {"of": self.workspace.url, "": "ws.objects.list() reads the newest"})


def _wanted(action: Action | int | None = None, type: str | None = None, hidden: bool = False) -> dict[str, Any]:
    action_id = action.id if isinstance(action, Action) else action
    told = {"action_id": action_id, "action_type": type, "hidden": "true" if hidden else None}
    return {key: value for key, value in told.items() if value is not None}


def _title(node: Any, name: str) -> str:
    title = node.get("title", name) if isinstance(node, Mapping) else name
    return str(title.get("en", name)) if isinstance(title, Mapping) else str(title)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(each)}" for name, each in value.items())
    if isinstance(value, list):
        return "; ".join(_text(each) for each in value[:LONGEST_VALUE])
    return str(value)
