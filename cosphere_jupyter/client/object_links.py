"""Links from objects to what else the workspace has: a property of type text, as ``cosphere:requests/15``.

Any program that knows texts reads, writes and searches them, and a schema may demand one::

    {"type": "text", "title": "Data", "pattern": "cosphere:"}

They name a thing of this workspace, not a server: they stay good wherever it is served, and give nobody access.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from .workspace import Workspace

SCHEME = "cosphere:"
# What the workspace calls each collection, and by which attribute of a handle its items are found in it.
_ATTRIBUTES = {
    "Request": ("requests", "id"),
    "TypedDownload": ("downloads", "id"),
    "Task": ("tasks", "key"),
    "Table": ("catalogue", "name"),
    "LabObject": ("objects", "id"),
    "Bundle": ("bundles", "uuid"),
    "Worksheet": ("worksheets", "uuid"),
}
# What an item's name looks like where not any text is one: a bundle's own name would mean another for somebody else.
_UUID = re.compile(r"0x[0-9a-f]{32}")
_NUMBERED = ("requests", "objects")
_NAMES = {
    "requests": re.compile(r"[0-9]{1,16}"),
    "objects": re.compile(r"[0-9]{1,16}"),
    "bundles": _UUID,
    "worksheets": _UUID,
}
_LINKED = re.compile(r".+", re.DOTALL)
_LINK = re.compile(rf"{SCHEME}([a-z]+)/([^/\s?#]{{1,1000}})")


def reference_to(value: Any) -> Any:
    """Return the link to what a handle stands for; anything else as it is."""
    kind = type(value)
    if kind.__name__ not in _ATTRIBUTES or not kind.__module__.startswith(__package__ or "cosphere_jupyter"):
        return value
    collection, attribute = _ATTRIBUTES[kind.__name__]
    return f"{SCHEME}{collection}/{quote(str(getattr(value, attribute)), safe='')}"


def follow(workspace: Workspace, link: str) -> Any:
    """Return the handle that a link leads to; asks the server whether it is there.

    Raises ``ValueError`` for a text that is no link, and ``NotFound`` or ``NotAllowed`` as its collection does.
    """
    match = _LINK.fullmatch(link)
    name = unquote(match[2]) if match else ""
    if match is None or match[1] not in _collections() or not _NAMES.get(match[1], _LINKED).fullmatch(name):
        raise ValueError(f"{link!r} leads to nothing of this workspace")
    collection = getattr(workspace, match[1])
    return collection[int(name) if match[1] in _NUMBERED else name]


def links_in(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Go through the links in data as the API has them: where they stand, as ``runs.0.data``, and what they say."""
    if isinstance(data, list):
        for index, each in enumerate(data):
            yield from links_in(each, f"{path}.{index}" if path else str(index))
    elif isinstance(data, Mapping):
        text = data.get("text") if data.get("_type") == "text" else None
        if isinstance(text, str) and (match := _LINK.fullmatch(text)) and match[1] in _collections():
            yield path, text
        elif "_type" not in data:
            for name, each in data.items():
                yield from links_in(each, f"{path}.{name}" if path else str(name))


def _collections() -> set[str]:
    return {collection for collection, _ in _ATTRIBUTES.values()}
