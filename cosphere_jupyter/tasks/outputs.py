"""Where the files of a task lie in the result store, and results that are too big for the database.

All functions block on the disk: call them in a thread.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson

from ..errors import NotFound
from ..results.folder import FolderStore
from .answers import INLINE_LIMIT, Spilled, spill
from .records import Task

# The file of a result that is too big for the database.
RESULT_FILE = "result.json"


def result_name(task: Task) -> str:
    """Return the name of an attempt's folder in the store: attempts never share one."""
    digest = hashlib.sha256(task.key.encode()).hexdigest()
    return f"{digest[:2]}/{digest}/{task.key}-{task.state.attempt}"


def is_big(result: Any) -> bool:
    """Whether a result belongs in a file."""
    return isinstance(result, Spilled) or (
        # What is obviously small is not encoded for nothing.
        result is not None and not isinstance(result, bool | int | float) and len(orjson.dumps(result)) > INLINE_LIMIT
    )


def keep_result(store: FolderStore, name: str, result: Any) -> None:
    """Put a big result into the result ``name``, published already or not, as `RESULT_FILE`."""
    is_published = store.exists(name)
    if isinstance(result, Spilled):
        source = result.path
    else:
        source = store.root / f"{name.rsplit('/', 1)[-1]}.result"
        spill(orjson.dumps(result), source)
    try:
        file = {**facts_of(source), "name": RESULT_FILE}
        if is_published:
            store.add(name, file, source)
        else:
            source.replace(store.begin(name) / RESULT_FILE)
            store.publish(name, {"files": [file]})
    finally:
        source.unlink(missing_ok=True)


def facts_of(path: Path) -> dict[str, Any]:
    """Return what a manifest says of a file: ``{"name", "bytes", "sha256"}``."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1024 * 1024):
            digest.update(chunk)
        return {"name": path.name, "bytes": file.tell(), "sha256": digest.hexdigest()}


def read_result(store: FolderStore, name: str) -> bytes | None:
    """Return the big result in the result ``name`` as JSON, None if it has none.

    It is not parsed, which would hold all threads; ``NotFound`` if the files are gone, or not what was written.
    """
    if all(file["name"] != RESULT_FILE for file in store.manifest(name)["files"]):
        return None
    path, facts = store.entry(name, RESULT_FILE)
    try:
        content = path.read_bytes()
    except OSError:
        raise NotFound("result") from None
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise NotFound("result")
    return content
