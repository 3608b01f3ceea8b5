"""What a child process does for downloads of bundles: it packs contents into one file."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cosphere_jupyter.bundles import reading
from cosphere_jupyter.errors import ExecutionError

GONE = "the contents of this bundle are gone"


def pack(params: Mapping[str, Any], report: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Write a folder, or a single file, as ``.tar.gz``.

    ``params``: ``root`` and ``names`` (where the contents lie), ``name`` (of a single file in the archive), ``file``
    (the path to write). Returns ``{"file": name, "rows": 0, "size": bytes, "sha256": hexadecimal digits}``.
    """
    root, names, target = Path(params["root"]), tuple(params["names"]), Path(params["file"])
    digest, size = hashlib.sha256(), 0
    try:
        with target.open("xb") as out:
            for chunk in reading.gzipped(_chunks(root, names, params["name"])):
                out.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            out.flush()
            os.fsync(out.fileno())
    except reading.GoneError:
        raise ExecutionError(GONE) from None
    return {"file": target.name, "rows": 0, "size": size, "sha256": digest.hexdigest()}


def _chunks(root: Path, names: tuple[str, ...], name: str) -> Iterator[bytes]:
    if reading.look(root, names).kind == reading.DIRECTORY:
        yield from reading.tar_chunks(root, names)
        return
    descriptor, node = reading.open_file(root, names)
    info = tarfile.TarInfo(name)
    info.size, info.mode = node.size, node.mode
    yield info.tobuf(tarfile.PAX_FORMAT)
    yield from reading.file_chunks(descriptor, 0, node.size)
    yield b"\0" * (-node.size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)
