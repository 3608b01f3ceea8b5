"""Contents of bundles on their way: what is sent, what is fetched, and rows in files."""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .bundle_face import CHUNK, BundleFace, copy
from .errors import ResultUnreadable
from .exports import rows_of
from .loading import DtypeBackend, to_pandas
from .progress import Downloading
from .saving import safe_name

if TYPE_CHECKING:
    import pandas as pd

ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".zip", ".gz", ".bz2")
ROWS = (".parquet", ".csv", ".arrow", ".json")
# Contents that are opened stay in memory up to this.
IN_MEMORY = 16 * 1024 * 1024
# How a file of rows begins, where its name says nothing.
_BEGINNINGS = {b"PAR1": ".parquet", b"ARROW1": ".arrow"}
_WRONG_IN_NAME = re.compile(r"[^a-zA-Z0-9_.\-]+")


def bundle_name(text: str) -> str:
    """Return a text as the name of a bundle: letters, digits, ``_ . -``, and no digit first."""
    name = _WRONG_IN_NAME.sub("-", text).strip("-.") or "bundle"
    return name if re.match(r"[a-zA-Z_]", name) else f"_{name}"


@dataclass
class Outgoing:
    """What is sent: ``filename`` says how it is unpacked. May be gone through several times."""

    file: IO[bytes]
    filename: str
    size: int
    unpack: bool
    progress: bool

    def __iter__(self) -> Iterator[bytes]:
        self.file.seek(0)
        with Downloading(f"sending {self.filename}", self.size, self.progress) as bar:
            while chunk := self.file.read(CHUNK):
                bar.advance(len(chunk))
                yield chunk


@contextmanager
def outgoing(source: Any, name: str | None, unpack: bool, progress: bool) -> Iterator[tuple[Outgoing, str]]:
    """Give what is to be sent for a path, a folder, bytes or a DataFrame, and the name of its bundle."""
    if isinstance(source, bytes | bytearray | memoryview):
        if name is None:
            raise TypeError("bytes need a name: upload(content, name='numbers.csv')")
        yield Outgoing(BytesIO(source), safe_name(name), len(bytes(source)), False, progress), name
        return
    if hasattr(source, "to_parquet"):
        with tempfile.TemporaryFile() as file:
            source.to_parquet(file)
            yield _of_file(file, f"{name or 'table'}.parquet", False, progress), name or "table"
        return
    path = Path(source).expanduser()
    if path.is_dir():
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
                for each in sorted(path.iterdir()):
                    archive.add(each, each.name)
            yield _of_file(file, f"{path.resolve().name}.tar.gz", True, progress), name or path.resolve().name
        return
    with path.open("rb") as file:
        suffix = next((each for each in ARCHIVES if unpack and path.name.lower().endswith(each)), "")
        yield _of_file(file, path.name, unpack, progress), name or path.name[: len(path.name) - len(suffix)]


def _of_file(file: IO[bytes], filename: str, unpack: bool, progress: bool) -> Outgoing:
    size = file.seek(0, os.SEEK_END)
    return Outgoing(file, safe_name(filename), size, unpack, progress)


def opened(face: BundleFace, uuid: str, path: str) -> IO[bytes]:
    """Return the file at a path, to be read from its beginning; it is fetched first."""
    file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
    try:
        with face.contents(uuid, path) as response:
            _need_file(response.headers, uuid, path)
            copy(response, file.write)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def saved(face: BundleFace, uuid: str, path: str, name: str, target: str | os.PathLike[str]) -> Path:
    """Fetch what lies at a path and return where it lies then: a file, or a folder with everything in it.

    ``target`` is a folder that is there, in which it gets the name ``name``, or what it shall be itself.
    """
    place = Path(target).expanduser()
    place = place / safe_name(name) if place.is_dir() else place
    if place.is_dir():
        raise FileExistsError(f"{place} is there already; say what it shall be called instead")
    with face.contents(uuid, path) as response, _aside(place) as aside:
        if response.headers.get("Target-Type") == "directory":
            archive = aside / "archive"
            with archive.open("wb") as file:
                copy(response, file.write)
            folder = aside / "folder"
            folder.mkdir()
            unpack(archive, folder)
            folder.rename(place)
            return place
        whole = aside / "file"
        with whole.open("wb") as file:
            copy(response, file.write)
        return whole.replace(place)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive; nothing of it gets out of the folder, whoever made it."""
    if not hasattr(tarfile, "data_filter"):
        raise ResultUnreadable("this Python is too old to unpack archives safely; save single files of it")
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ResultUnreadable(f"the contents cannot be unpacked: {error}") from None


@contextmanager
def _aside(place: Path) -> Iterator[Path]:
    """Give a folder beside a place, from which something can be put there at once."""
    with tempfile.TemporaryDirectory(prefix=".cosphere-", dir=place.parent) as folder:
        yield Path(folder)


def rows_in(info: Mapping[str, Any], path: str) -> list[str]:
    """Return the paths of the files of rows in what lies at a path: itself, or the parts in a folder."""
    if info["type"] != "directory":
        return [path]
    found: list[str] = []
    waiting: list[tuple[str, Mapping[str, Any]]] = [(path, info)]
    while waiting:
        above, folder = waiting.pop()
        for each in folder.get("contents") or ():
            below = f"{above}/{each['name']}" if above else str(each["name"])
            if each["type"] == "directory":
                waiting.append((below, each))
            elif each["type"] == "file":
                found.append(below)
    for kind in ROWS:
        # A manifest is no row.
        fits = [each for each in found if each.lower().endswith(kind) and not each.endswith("manifest.json")]
        if fits and (kind == ".parquet" or len(fits) == 1):
            return sorted(fits, key=_natural)
    shown = ", ".join(sorted(found)[:10]) or "nothing"
    raise ResultUnreadable(f"there are no rows in it, or in several files: {shown}. Give a path to one of them")


def frame(
    face: BundleFace, uuid: str, paths: Sequence[str], name: str, dtype_backend: DtypeBackend, progress: bool
) -> pd.DataFrame:
    """Fetch files of rows and return them as one DataFrame, in their order."""
    with tempfile.TemporaryDirectory(prefix="cosphere-") as folder:
        files = []
        with Downloading(name, len(paths), progress and len(paths) > 1) as bar:
            for number, path in enumerate(paths):
                suffix = Path(path or name).suffix.lower()
                file = Path(folder) / f"{number:06d}{suffix}"
                with file.open("wb") as out, face.contents(uuid, path) as response:
                    _need_file(response.headers, uuid, path)
                    copy(response, out.write)
                files.append(file if suffix in ROWS else _renamed(file))
                bar.advance(1)
        return rows_of(files[0], dtype_backend) if len(files) == 1 else _parts(files, dtype_backend)


def _parts(files: Sequence[Path], dtype_backend: DtypeBackend) -> pd.DataFrame:
    """Return the rows of several Parquet files, one after the other."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        tables = [parquet.read_table(file, partitioning=None) for file in files]
        return to_pandas(pa.concat_tables(tables, promote_options="default"), dtype_backend)
    except (OSError, pa.ArrowException) as error:
        raise ResultUnreadable(f"the files of rows cannot be read as one: {error}") from None


def _renamed(file: Path) -> Path:
    """Give a file the suffix that its first bytes tell; what is anything else is taken for CSV."""
    with file.open("rb") as opened_file:
        beginning = opened_file.read(8)
    suffix = next((suffix for magic, suffix in _BEGINNINGS.items() if beginning.startswith(magic)), ".csv")
    return file.rename(file.with_name(f"{file.stem}{suffix}"))


def _need_file(headers: Mapping[str, str], uuid: str, path: str) -> None:
    if headers.get("Target-Type") == "directory":
        raise IsADirectoryError(f"{path or uuid!r} is a folder: files() lists it, save() fetches it")


def _natural(path: str) -> list[Any]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path)]
