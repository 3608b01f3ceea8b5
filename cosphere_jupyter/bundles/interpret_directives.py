"""What the lines of a worksheet say: groups of items, and how each group is to be shown.

``% schema s`` begins a list of columns, ``% add name [path [post]]`` adds one, ``% addschema other`` those of another;
``% display table s``, ``record``, ``image``, ``contents``, ``html`` or ``graph`` say how the next bundles are shown;
``% search …`` and ``% wsearch …`` stand for what they find. Pure: nothing is read here.

Source: the CodaLab REST API's semantics, section 4.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .worksheet_items import BUNDLE, DIRECTIVE, MARKUP, Item
from .worksheet_source import DIRECTIVE_MARK

Column = tuple[str, str, str | None]
Schema = tuple[Column, ...]

DEFAULT = "default"
DISPLAYS = ("table", "record", "image", "contents", "html", "graph", "hidden")
ERROR = "error"
BUNDLES, WORKSHEETS, SEARCH, WSEARCH = "bundles", "worksheets", "search", "wsearch"

_UUID: Column = ("uuid[0:8]", "uuid", "[0:8]")
_NAME: Column = ("name", "name", None)
_SUMMARY: Column = ("summary", "summary", None)
_SIZE: Column = ("data_size", "data_size", "size")
_STATE: Column = ("state", "state", None)
_DESCRIPTION: Column = ("description", "description", None)
_TIME: Column = ("time", "time", "duration")
_CREATED: Column = ("created", "created", "date")
_OWNER: Column = ("owner", "owner", None)
BUILT_IN: Mapping[str, Schema] = {
    DEFAULT: (_UUID, _NAME, _SUMMARY, _SIZE, _STATE, _DESCRIPTION),
    "dataset": (_UUID, _NAME, _SIZE, _DESCRIPTION, _OWNER, _CREATED),
    "program": (_UUID, _NAME, _SIZE, _DESCRIPTION, _OWNER, _CREATED),
    "make": (_UUID, _NAME, _SUMMARY, _SIZE, _STATE, _DESCRIPTION),
    "run": (_UUID, _NAME, _SUMMARY, _SIZE, _STATE, _TIME, _DESCRIPTION),
}
# A worksheet's own; nothing else grows with a line that names another schema.
MOST_COLUMNS = 200


@dataclass(frozen=True)
class Group:
    """Items that are shown together. ``kind``: markup, bundles, worksheets, search, wsearch or error.

    ``display`` are the words after ``display``; ``schema`` is what it names, or the default one. ``keywords`` are those
    of a search, ``text`` is what is wrong.
    """

    kind: str
    items: tuple[Item, ...]
    display: tuple[str, ...] = ("table",)
    schema: Schema = BUILT_IN[DEFAULT]
    keywords: tuple[str, ...] = ()
    text: str = ""


@dataclass
class _Reader:
    groups: list[Group] = field(default_factory=list)
    schemas: dict[str, Schema] = field(default_factory=lambda: dict(BUILT_IN))
    current: str | None = None
    display: tuple[str, ...] = ("table",)
    waiting: list[Item] = field(default_factory=list)
    kind: str = MARKUP

    def take(self, item: Item) -> None:
        if item.type == DIRECTIVE:
            self._directive(item)
            return
        kind = MARKUP if item.type == MARKUP else BUNDLES if item.type == BUNDLE else WORKSHEETS
        if kind != self.kind:
            self.flush()
            self.kind = kind
        self.waiting.append(item)

    def flush(self) -> None:
        """Close the group that is open; what was said of the display of bundles holds for one group."""
        if self.waiting:
            items = tuple(self.waiting)
            self.waiting = []
            if self.kind == BUNDLES:
                self._bundles(BUNDLES, items)
            else:
                self.groups.append(Group(self.kind, items))

    def _bundles(self, kind: str, items: tuple[Item, ...], keywords: tuple[str, ...] = ()) -> None:
        display, self.display = self.display, ("table",)
        names = [name for name in display[1:] if "=" not in name] if display[0] in ("table", "record") else []
        if unknown := [name for name in names if name not in self.schemas]:
            self.groups.append(Group(ERROR, (), text=f"no such schema: {unknown[0]}"))
            names = []
        columns = [column for name in names or [DEFAULT] for column in self.schemas[name]]
        self.groups.append(Group(kind, items, display, tuple(columns[:MOST_COLUMNS]), keywords))

    def _directive(self, item: Item) -> None:
        words = [] if item.value.startswith(DIRECTIVE_MARK) else words_of(item.value)
        if not words:
            # A comment separates nothing.
            return
        self.flush()
        command, *rest = words
        if command in (SEARCH, WSEARCH):
            if command == SEARCH:
                self._bundles(SEARCH, (item,), tuple(rest))
            else:
                self.groups.append(Group(WSEARCH, (item,), keywords=tuple(rest)))
        elif (problem := self._say(command, rest)) is not None:
            self.groups.append(Group(ERROR, (item,), text=problem))

    def _say(self, command: str, rest: Sequence[str]) -> str | None:
        """Take a directive that shows nothing by itself; returns what is wrong with it."""
        if command == "schema" and len(rest) == 1:
            self.current = rest[0]
            self.schemas[self.current] = ()
        elif command in ("add", "addschema") and self.current is None:
            return f"`{command}` must stand below `schema`"
        elif command == "add" and 1 <= len(rest) <= 3:
            name, path, post = [*rest, rest[0], None][:3] if len(rest) == 1 else [*rest, None][:3]
            self._extend([(str(name), str(path), post)])
        elif command == "addschema" and len(rest) == 1:
            if rest[0] not in self.schemas:
                return f"no such schema: {rest[0]}"
            self._extend(self.schemas[rest[0]])
        elif command == "display" and rest and rest[0] in DISPLAYS:
            self.display = tuple(rest)
        elif command == "display" and rest and rest[0] == DEFAULT:
            self.display = ("table",)
        else:
            return f"unknown directive: {' '.join([command, *rest])[:200]}"
        return None

    def _extend(self, columns: Iterable[Column]) -> None:
        name = self.current or ""
        self.schemas[name] = (*self.schemas[name], *columns)[:MOST_COLUMNS]


def groups_of(items: Iterable[Item]) -> list[Group]:
    """Return the groups of items, in order; directives that only say how something is shown are in none."""
    reader = _Reader()
    for item in items:
        reader.take(item)
    reader.flush()
    return reader.groups


def words_of(text: str) -> list[str]:
    """Return the words of a directive; quotes keep several together."""
    try:
        return shlex.split(text)
    except ValueError:
        # A quote without its other one, as in don't.
        return text.split()


def options_of(display: Sequence[str]) -> dict[str, str]:
    """Return what stands as ``key=value`` in a display's words."""
    return dict(word.split("=", 1) for word in display[1:] if "=" in word)


def path_of(display: Sequence[str]) -> str:
    """Return the generalised path that a display shows, with a slash before it; ``/`` is the whole bundle."""
    named = next((word for word in display[1:] if "=" not in word), "")
    return f"/{named.lstrip('/')}"


def number_of(text: str | None, default: int, most: int) -> int:
    """Return a number of an option, within bounds; what is none is the default."""
    return min(max(int(text), 1), most) if text and re.fullmatch(r"[0-9]{1,9}", text) else default
