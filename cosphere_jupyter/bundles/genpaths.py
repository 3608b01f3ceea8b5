"""Generalised paths: one value of a bundle, of its record (``name``, ``data_size``) or of a file in it.

``/stats:train/err`` is the value ``err`` of ``train`` in the file ``stats``, which may be TSV (a key and a value on
each line), JSON or YAML; of any other file, and without keys, it is the text. A post-processor (``size``, ``%.2f``,
``[0:8]``, ``s/a/b``, …; several with ``|`` between them) makes a text of a value.

What files hold comes from anybody: only so much of one is read, YAML makes nothing but plain data, and nothing in it
may refer to something else in it, which could grow without end. Source: the CodaLab REST API's semantics, section 4.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

from ..accounts.service import Account
from ..errors import CosphereError
from .contents import Contents
from .durations import show_bytes, show_seconds
from .ids import is_uuid
from .problems import Refused

MOST_LINES = 10_000
LONGEST_LINE = 100
# Of a file that is to be understood; YAML is slow to read.
MOST_BYTES = MOST_LINES * LONGEST_LINE
MOST_YAML = 200_000
DEEPEST = 50
# Values that are asked for at once, and what is read of files for them.
MOST_QUERIES = 2000
MOST_READ = 16 * MOST_BYTES
BINARY = "<binary>"
LONGEST_POST = 200
# What a post-processor makes longer, it makes so long at most, in characters.
LONGEST_GROWN = 10_000
# Values of files of more bytes are worked on in a thread.
_LONG = 10_000
_SLICE = re.compile(r"\[(-?[0-9]{0,9}):(-?[0-9]{0,9})\]")
_PRINTF = re.compile(r"[^%]{0,50}%[-+ 0#]{0,5}([0-9]{0,3})(\.[0-9]{1,3})?([sdfgeEGr%])[^%]{0,50}")


@dataclass(frozen=True)
class Query:
    """A value of a file that somebody wants to see."""

    bundle_uuid: str
    genpath: str
    post: str | None = None


class Genpaths:
    """Reads values of files, each file once for all queries."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    async def read(self, queries: Sequence[Query], reader: Account | None) -> list[Any]:
        """Return the value of each query; None where there is none, or none that ``reader`` may read."""
        if len(queries) > MOST_QUERIES:
            raise Refused(f"at most {MOST_QUERIES} values can be asked for at once")
        files: dict[tuple[str, str], tuple[Any, int]] = {}
        found = []
        left = untold = MOST_READ
        for query in queries:
            path, keys = split(query.genpath)
            file = (query.bundle_uuid, path)
            if file not in files:
                content = await self._head(*file, reader) if left > 0 else None
                size = len(content or b"")
                left -= size
                files[file] = (None if content is None else await asyncio.to_thread(understood, content), size)
            known, size = files[file]
            value = walk(known, keys)
            if query.post:
                is_long = size > _LONG
                value = (
                    await asyncio.to_thread(post_process, value, query.post)
                    if is_long
                    else post_process(value, query.post)
                )
            # One file may be told many times.
            untold -= len(value) if isinstance(value, str) else size if isinstance(value, Mapping | list) else 0
            found.append(value if untold >= 0 else None)
        return found

    async def _head(self, uuid: str, path: str, reader: Account | None) -> bytes | None:
        """Return the first lines of a file; None if there is none, or none that ``reader`` may read."""
        if not is_uuid(uuid):
            return None
        try:
            target = await self._contents.find(uuid, path, reader)
            if target.node.kind != "file":
                return None
            return await self._contents.summary(target, MOST_LINES, 0, LONGEST_LINE)
        except CosphereError:
            return None


def is_of_file(genpath: str) -> bool:
    """Whether a generalised path leads into a file."""
    return genpath.startswith("/")


def split(genpath: str) -> tuple[str, list[str]]:
    """Return the path of the file, and the keys in it."""
    path, _, keys = genpath.removeprefix("/").partition(":")
    return path, keys.split("/") if keys else []


def understood(content: bytes) -> Any:
    """Return what a file holds as JSON can have it: mappings and lists of TSV, JSON and YAML, else the text."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return BINARY
    lines = text.removesuffix("\n").split("\n")
    if all("\t" in line for line in lines):
        return dict(line.removesuffix("\r").split("\t", 1) for line in lines)
    try:
        return _plain(json.loads(text))
    except (ValueError, RecursionError):
        pass
    return _yaml(text)


def walk(found: Any, keys: Sequence[str]) -> Any:
    """Return what stands under keys, of lists under numbers; None if nothing does."""
    for key in keys:
        if isinstance(found, Mapping):
            found = found.get(key)
        elif isinstance(found, list) and re.fullmatch(r"-?[0-9]{1,9}", key) and -len(found) <= int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found


def value_of(info: Mapping[str, Any], genpath: str) -> Any:
    """Return a value of a bundle's record: of what is shown of it, or of its metadata; None if there is none."""
    if genpath == "summary":
        return _summary(info)
    if genpath == "owner":
        return (info.get("owner") or {}).get("user_name")
    if genpath == "dependencies":
        return ",".join(_dependency(each) for each in info.get("dependencies", ()))
    if genpath in ("host_worksheets", "children"):
        return " ".join(str(each.get("name") or each.get("uuid")) for each in info.get(genpath) or ())
    metadata = info.get("metadata") or {}
    found = info[genpath] if genpath in info and genpath != "metadata" else metadata.get(genpath)
    return " ".join(map(str, found)) if isinstance(found, list | tuple) else found


def post_process(value: Any, post: str | None) -> Any:
    """Return what a post-processor makes of a value; what it cannot work on stays as it is."""
    if not post or value is None:
        return value
    for each in post[:LONGEST_POST].split("|"):
        try:
            value = _processed(value, each.strip())
        except (ValueError, TypeError, OverflowError, OSError):
            continue
    return value


def _processed(value: Any, post: str) -> Any:
    if post == "size":
        return show_bytes(float(value))
    if post == "duration":
        return show_seconds(float(value))
    if post == "date":
        return datetime.fromtimestamp(float(value), timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    if post in ("int", "float"):
        return _plain(int(float(value)) if post == "int" else float(value))
    if match := _SLICE.fullmatch(post):
        start, end = (int(each) if each not in ("", "-") else None for each in match.groups())
        return str(value)[start:end]
    if post.startswith("s/"):
        _, old, new, *_ = [*post.split("/"), "", ""]
        return _replaced(str(value), old, new) if old else value
    if match := _PRINTF.fullmatch(post):
        kind = match[3]
        return post % (str(value) if kind in "sr" else int(float(value)) if kind == "d" else float(value))
    return value


def _replaced(text: str, old: str, new: str) -> str:
    """Return a text with ``new`` for all of ``old``; ``ValueError`` if it grew too long, as a few steps can make it."""
    grown = len(text) + text.count(old) * (len(new) - len(old))
    if grown > max(len(text), LONGEST_GROWN):
        raise ValueError("too long")
    return text.replace(old, new)


def _summary(info: Mapping[str, Any]) -> str:
    """Return what a bundle is in a few words: its command, what it is made of, or that it was uploaded."""
    kind = info.get("bundle_type")
    if kind == "run":
        return f"! {' '.join(str(info.get('command') or '').split())}"
    if kind == "make":
        return f"= {' '.join(_dependency(each) for each in info.get('dependencies', ()))}"
    return "[uploaded]" if kind in ("dataset", "program") else ""


def _dependency(each: Mapping[str, Any]) -> str:
    parent = each.get("parent_name") or str(each.get("parent_uuid"))[:8]
    path = f"/{each['parent_path']}" if each.get("parent_path") else ""
    return f"{each.get('child_path') or ''}:{parent}{path}"


def _yaml(text: str) -> Any:
    import yaml  # type: ignore[import-untyped]

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if len(text) > MOST_YAML or not _is_simple(yaml.parse(text, Loader=loader)):
            return text
        found = yaml.load(text, Loader=loader)  # noqa: S506
        return text if found is None or isinstance(found, str) else _plain(found)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError):
        return text


def _is_simple(events: Iterable[Any]) -> bool:
    """Whether a YAML document refers to nothing in it and is not nested deeply, before anything is built of it."""
    depth = 0
    for event in events:
        kind = type(event).__name__
        depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        # A stream and a document are around it.
        if kind == "AliasEvent" or depth > DEEPEST + 2:
            return False
    return True


def _plain(value: Any, depth: int = 0) -> Any:
    """Return data as any JSON has them: no numbers that it has not, keys that are texts; ``ValueError``: too deep."""
    if depth > DEEPEST:
        raise ValueError("nested too deeply")
    if isinstance(value, Mapping):
        return {str(key): _plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each, depth + 1) for each in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else f"{value:#x}"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, date):
        return value.isoformat()
    return BINARY if isinstance(value, bytes) else str(value)
