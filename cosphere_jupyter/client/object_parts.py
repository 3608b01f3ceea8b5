"""What belongs to an object: its files, its comments, and who may do what with it."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .columns import Account
from .display import Html, fields
from .permissions import LEVELS, Permission
from .saving import safe_name

if TYPE_CHECKING:
    from .faces import Face

_SUBJECTS = {"users": "account", "groups": "group"}


class ObjectFile(Html):
    """A file of an object, or a link to somewhere else (``url``)."""

    def __init__(self, face: Face, data: Mapping[str, Any]) -> None:
        self._face = face
        self.object_id = int(data["object_id"])
        self.file_id = int(data["file_id"])
        self.name: str | None = data.get("original_file_name")
        self.url: str | None = data.get("url")
        self.hash: Mapping[str, str] = data.get("hash") or {}

    def read(self) -> bytes:
        """Return what is in it; ``ValueError`` for a link: the workspace does not have that."""
        if self.url is not None:
            raise ValueError(f"this is a link: {self.url}")
        found = self._face.get(f"/objects/{self.object_id}/files/{self.file_id}")
        return base64.b64decode(found["base64_content"])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it to a file, or into a folder that is there under its own name, and return where it lies."""
        path = Path(path).expanduser()
        where = path / safe_name(self.name or "") if path.is_dir() else path
        aside = where.with_name(f".{where.name}.{secrets.token_hex(8)}.partial")
        aside.write_bytes(self.read())
        return aside.replace(where)

    def __repr__(self) -> str:
        return f"<ObjectFile {self.file_id} of object {self.object_id}: {self.name or self.url}>"

    def _repr_html_(self) -> str:
        return fields(f"File {self.file_id} of object {self.object_id}", {"name": self.name, "url": self.url})


class ObjectFiles(Html):
    """The files of an object.

    >>> obj.files.add("spectrum.csv")
    >>> [file.name for file in obj.files]
    """

    def __init__(self, face: Face, object_id: int) -> None:
        self._face = face
        self._path = f"/objects/{object_id}/files/"

    def __iter__(self) -> Iterator[ObjectFile]:
        """Go through them, as they are now."""
        return iter([ObjectFile(self._face, data) for data in self._face.get(self._path)])

    def __getitem__(self, file_id: int) -> ObjectFile:
        """Return the file with this id (from 0 for each object), or raise ``NotFound``."""
        return ObjectFile(self._face, self._face.get(f"{self._path}{int(file_id)}"))

    def add(self, source: str | os.PathLike[str] | bytes, name: str | None = None) -> ObjectFile:
        """Keep a file, given by its path or as bytes with a ``name``; needs write permissions."""
        if isinstance(source, bytes):
            if name is None:
                raise TypeError("bytes need a name: files.add(content, 'spectrum.csv')")
            content = source
        else:
            content, name = Path(source).expanduser().read_bytes(), name or Path(source).name
        encoded = base64.b64encode(content).decode()
        body = {"storage": "database", "original_file_name": name, "base64_content": encoded}
        return ObjectFile(self._face, self._face.post(self._path, body))

    def add_link(self, url: str) -> ObjectFile:
        """Keep a link to what lies somewhere else; needs write permissions."""
        return ObjectFile(self._face, self._face.post(self._path, {"storage": "url", "url": url}))

    def __repr__(self) -> str:
        return f"<ObjectFiles {self._path}: list() reads them>"

    def _repr_html_(self) -> str:
        return fields("Files", {"of": self._path, "": "list(….files) reads them"})


@dataclass(frozen=True)
class Comment:
    """What somebody has said about an object."""

    comment_id: int
    content: str
    user_id: int | None
    created_at: datetime

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comment:
        """Return the comment of an answer."""
        moment = datetime.strptime(data["utc_datetime"], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=timezone.utc)
        return cls(int(data["comment_id"]), str(data["content"]), data.get("user_id"), moment)


class Comments(Html):
    """The comments on an object; none is ever changed.

    >>> obj.comments.add("Grew over night.")
    """

    def __init__(self, face: Face, object_id: int) -> None:
        self._face = face
        self._path = f"/objects/{object_id}/comments/"

    def __iter__(self) -> Iterator[Comment]:
        """Go through them, as they are now, the first one first."""
        return iter([Comment.from_json(data) for data in self._face.get(self._path)])

    def add(self, content: str) -> Comment:
        """Say something; needs write permissions."""
        return Comment.from_json(self._face.post(self._path, {"content": content}))

    def __repr__(self) -> str:
        return f"<Comments {self._path}: list() reads them>"

    def _repr_html_(self) -> str:
        return fields("Comments", {"of": self._path, "": "list(….comments) reads them"})


class ObjectPermissions(Html):
    """Who may do what with an object: read it, write new versions, or grant permissions.

    >>> obj.permissions.give("read")                  # to everyone who is signed in
    >>> obj.permissions.give("write", account=7)
    >>> list(obj.permissions)
    """

    def __init__(self, face: Face, object_id: int) -> None:
        self._face = face
        self._path = f"/objects/{object_id}/permissions/"

    def __iter__(self) -> Iterator[Permission]:
        """Go through what is given now, directly."""
        return iter(_taken(self._face.get(self._path)))

    def give(self, level: str, *, account: Account | int | None = None, group: int | None = None) -> list[Permission]:
        """Give a level to an account, a group, or else to everyone (none or read); returns all that is given then."""
        if level not in LEVELS:
            raise ValueError(f"a level is one of {', '.join(LEVELS)}, not {level!r}")
        if account is not None and group is not None:
            raise ValueError("give names an account or a group, not both")
        where = "authenticated_users" if group is None else f"groups/{int(group)}"
        if account is not None:
            where = f"users/{account if isinstance(account, int) else account.id}"
        self._face.put(f"{self._path}{where}", level)
        return list(self)

    def replace(self, *permissions: Permission) -> list[Permission]:
        """Make these all that is given, and return them; somebody must keep grant."""
        body: dict[str, Any] = {"users": {}, "groups": {}, "authenticated_users": "none"}
        for each in permissions:
            if each.subject_type == "everyone":
                body["authenticated_users"] = each.level
            else:
                body["users" if each.subject_type == "account" else "groups"][str(each.subject_id)] = each.level
        return _taken(self._face.put(self._path, body))

    def copy_from(self, other: Any) -> list[Permission]:
        """Make what is given on another object (or the one with this id) all that is given on this one."""
        source = other if isinstance(other, int) else other.id
        body = {"source_object_id": source, "target_object_id": int(self._path.split("/")[2])}
        self._face.post("/objects/permissions/copy/", body)
        return list(self)

    def __repr__(self) -> str:
        return f"<ObjectPermissions {self._path}: list() reads them>"

    def _repr_html_(self) -> str:
        return fields("Permissions", {"of": self._path, "": "list(….permissions) reads them"})


def _taken(answer: Mapping[str, Any]) -> list[Permission]:
    given = [
        Permission(subject, int(subject_id), str(level))
        for kind, subject in _SUBJECTS.items()
        for subject_id, level in answer[kind].items()
    ]
    public = str(answer["authenticated_users"])
    return [*([Permission("everyone", 0, public)] if public != "none" else []), *given]
