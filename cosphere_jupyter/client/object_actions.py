"""Actions: the kinds of objects that there are, and what the data of each look like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .display import Html, fields, table, text_of
from .errors import NotFound, did_you_mean
from .faces import Face

if TYPE_CHECKING:
    from .workspace import Workspace

MOUNT = "/api/v1"
TYPES = ("sample", "measurement", "simulation", "custom")


def samples_face(workspace: Workspace) -> Face:
    """Return the face of the workspace that has objects and actions."""
    return Face(workspace.http, MOUNT, lambda body: True)


class Action(Html):
    """A way to make objects: its ``schema`` says what their data look like.

    >>> ws.actions["Weigh"].schema["properties"]["mass"]["units"]
    'mg'
    """

    def __init__(self, actions: Actions, data: Mapping[str, Any]) -> None:
        self._actions = actions
        self._take(data)

    def _take(self, data: Mapping[str, Any]) -> None:
        self.id = int(data["action_id"])
        self.name = str(data["name"])
        self.type = str(data["type"])
        self.description = str(data.get("description") or "")
        self.is_hidden = bool(data.get("is_hidden"))
        self.schema: dict[str, Any] = dict(data["schema"])

    def update(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        is_hidden: bool | None = None,
        schema: Mapping[str, Any] | None = None,
    ) -> Action:
        """Change what is given and return this action. Needs an account of type ADMIN.

        Objects keep the schema of their version, until one of them is updated with ``use_new_schema=True``.
        """
        given = {"name": name, "description": description, "is_hidden": is_hidden, "schema": schema}
        body = {key: value for key, value in given.items() if value is not None}
        self._take(self._actions.face.post(f"/actions/{self.id}", body))
        return self

    def refresh(self) -> Action:
        """Read it again and return it."""
        self._take(self._actions.face.get(f"/actions/{self.id}"))
        return self

    def __repr__(self) -> str:
        return f"<Action {text_of({'id': self.id, 'name': self.name, 'type': self.type})}>"

    def _repr_html_(self) -> str:
        rows = list(_properties(self.schema))
        facts = {"id": self.id, "type": self.type, "description": self.description}
        shown = fields(f"Action {self.name}", {key: value for key, value in facts.items() if value != ""})
        return shown + table("Properties", ("property", "title", "type", "units", "required"), rows, len(rows))


class Actions(Html):
    """The actions of the workspace.

    >>> list(ws.actions)
    >>> ws.actions["Weigh"]            # by name, or by id
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.face = samples_face(workspace)

    def __iter__(self) -> Iterator[Action]:
        """Go through all actions, as they are now."""
        return iter([Action(self, data) for data in self.face.get("/actions/")])

    def __getitem__(self, name_or_id: str | int) -> Action:
        """Return the action with this name or id; ``NotFound`` if there is none. Of several, the newest counts."""
        if not isinstance(name_or_id, str):
            return Action(self, self.face.get(f"/actions/{int(name_or_id)}"))
        known = list(self)
        for action in reversed(known):
            if action.name == name_or_id:
                return action
        close = did_you_mean(name_or_id, (action.name for action in known))
        raise NotFound(f"there is no action {name_or_id!r}{close}", status=404)

    def create(
        self, name: str, type: str, schema: Mapping[str, Any], description: str = "", is_hidden: bool = False
    ) -> Action:
        """Make an action and return it; ``type`` is sample, measurement, simulation or custom.

        Needs an account of type ADMIN. Raises ``InvalidRequest`` with all that is wrong with the schema.

        >>> schema = {"title": "Measurement", "type": "object", "required": ["name"], "properties": {
        ...     "name": {"title": "Name", "type": "text"},
        ...     "mass": {"title": "Mass", "type": "quantity", "units": "mg"}}}
        >>> ws.actions.create("Weigh", "measurement", schema)
        """
        body = {"name": name, "type": type, "schema": schema, "description": description, "is_hidden": is_hidden}
        return Action(self, self.face.post("/actions/", body))

    def __repr__(self) -> str:
        return f"<Actions of {self._workspace.url}: list() reads them>"

    def _repr_html_(self) -> str:
        return fields("Actions", {"of": self._workspace.url, "": "list(ws.actions) reads them"})


def _properties(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[Any, ...]]:
    required = schema.get("required") or ()
    for name, node in (schema.get("properties") or {}).items():
        units = node.get("units") or ""
        shown = ", ".join(units) if isinstance(units, list) else units
        yield f"{prefix}{name}", _title(node.get("title")), node.get("type"), shown, "yes" if name in required else ""
        inner, path = node, f"{prefix}{name}"
        while inner.get("type") == "array" and isinstance(inner.get("items"), Mapping):
            inner, path = inner["items"], f"{path}.?"
        if inner.get("type") == "object":
            yield from _properties(inner, f"{path}.")


def _title(title: Any) -> str:
    return str(title.get("en", "")) if isinstance(title, Mapping) else str(title or "")
