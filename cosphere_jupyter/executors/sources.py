"""What a local catalogue item reads: files inside the allowed data folders, as they are now.

A source is written by whoever maintains the item::

    taxi/*.parquet              Parquet (.parquet .pq); ``*``, ``?``, ``[…]`` within a name, ``**`` for any folders
    surveys/2024.csv.gz         CSV (.csv .tsv) and JSON (.json .jsonl .ndjson), plain or .gz or .zst
    lab.duckdb::runs            a table or view of a DuckDB or SQLite file (told apart by content, not by name)
    lab.db::archive.runs        … in a schema

Paths are relative to a data folder, or absolute inside one. Whatever is found must really lie there (links followed),
must not be hidden and must not be in an excluded folder, because a source decides what the engine may open.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from cosphere_jupyter.errors import ExecutionError, ModelInvalid
from cosphere_jupyter.json_values import is_unicode

MAX_FILES = 10_000
MAX_VISITED = 200_000
"""How many directory entries a pattern may look at."""

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
NAMES = "Parquet (.parquet, .pq), CSV (.csv, .tsv) or JSON (.json, .jsonl, .ndjson)"


@dataclass(frozen=True)
class SourceFile:
    """A file as it was found: ``name`` relative to the source's folder, ``size`` in bytes, ``mtime_ns`` since 1970."""

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Source:
    """The files of a source, found and allowed.

    ``kind`` is parquet, csv, json, duckdb or sqlite. ``folder`` is the real path of the data folder. ``files`` are
    sorted by name; for a database the first is the database and the others are its logs. ``table`` is the text after
    ``::``, None for plain files.
    """

    kind: str
    folder: str
    files: tuple[SourceFile, ...]
    table: str | None = None

    @property
    def version(self) -> str:
        """Hex sha256 which changes when a file is added, removed, resized or rewritten; moving the folder keeps it."""
        facts = [self.kind, self.table, [[file.name, file.size, file.mtime_ns] for file in self.files]]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @property
    def paths(self) -> list[str]:
        """Absolute paths of `files`, in order."""
        return [f"{self.folder.rstrip('/')}/{file.name}" for file in self.files]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object for `from_json`."""
        files = [[file.name, file.size, file.mtime_ns] for file in self.files]
        return {"kind": self.kind, "folder": self.folder, "files": files, "table": self.table}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Source:
        """Read what `to_json` wrote."""
        return cls(data["kind"], data["folder"], tuple(SourceFile(*file) for file in data["files"]), data["table"])

    def check(self, data_folders: Sequence[str], moment: str = "after it was requested") -> None:
        """Make sure that the files are still the same ones, and still inside the data folders.

        Raises:
            ExecutionError: a file changed, vanished or leads elsewhere; ``moment`` completes "the data changed …".
        """
        roots = [Path(folder).resolve() for folder in data_folders]
        try:
            if Path(self.folder) not in roots:
                raise ModelInvalid({"source": ["The data folder is not served any more."]})
            now = [_examine(Path(self.folder), file.name, roots, []) for file in self.files if not _is_log(self, file)]
            if self.table is not None:
                now += _logs(Path(self.folder), now[0].name, self.kind)
        except ModelInvalid:
            now = []
        if tuple(now) != self.files:
            raise ExecutionError(f"The data of this table changed {moment}; ask again.")


def resolve(source: str, data_folders: Sequence[str | Path], excluded: Sequence[str | Path] = ()) -> Source:
    """Find the files that ``source`` names (see the module for its grammar).

    The first data folder in which something matches is taken. A file that is named exactly wins over a pattern, so
    ``a[1].parquet`` can be named.

    Raises:
        ModelInvalid: ``{"source": [sentence]}``; no sentence holds a path outside the data folders.
    """
    if not isinstance(source, str) or not source.strip():
        _refuse("Name a file, a pattern of files, or database::table.")
    if "\0" in source or len(source) > 4096 or not is_unicode(source):
        _refuse("The source is not a usable path.")
    roots = [Path(folder).resolve() for folder in data_folders]
    skip = [Path(folder).resolve() for folder in excluded]
    candidates = _candidates(source, data_folders, roots)
    if "::" in source and not any((root / "/".join(parts)).exists() for root, parts in candidates):
        path, _, table = source.rpartition("::")
        return _resolve_table(path, table, data_folders, roots, skip)
    for root, parts in candidates:
        name = "/".join(parts)
        if os.path.lexists(root / name):
            if (root / name).is_dir():
                _refuse(f"'{name}' is a folder; name its files, for example '{name}/*.parquet'.")
            names = [name]
        else:
            names = sorted(_expand(root, parts, skip)) if _is_pattern(name) else []
        if names:
            files = tuple(_examine(root, name, roots, skip) for name in names)
            return Source(_one_format(files), str(root), files)
    return _refuse(f"No file in the data folders matches '{source}'.")


def _resolve_table(
    path: str, table: str, data_folders: Sequence[str | Path], roots: list[Path], skip: list[Path]
) -> Source:
    if not path or not table:
        _refuse("Write a table as database::table, for example 'lab.duckdb::runs'.")
    for root, parts in _candidates(path, data_folders, roots):
        name = "/".join(parts)
        if not os.path.lexists(root / name):
            continue
        file = _examine(root, name, roots, skip)
        kind = _database_kind(root / name)
        if kind is None:
            _refuse(f"'{name}' is neither a DuckDB nor a SQLite database.")
        return Source(kind, str(root), (file, *_logs(root, name, kind)), table)
    return _refuse(f"There is no database '{path}' in the data folders.")


def _candidates(path: str, data_folders: Sequence[str | Path], roots: list[Path]) -> list[tuple[Path, list[str]]]:
    """Return each data folder with the parts of the path below it."""
    found = []
    for given, root in zip(data_folders, roots, strict=True):
        if not path.startswith("/"):
            found.append((root, _parts(path)))
            continue
        for prefix in {str(given), str(root)}:
            prefix = prefix.rstrip("/") + "/"
            if path.startswith(prefix):
                found.append((root, _parts(path[len(prefix) :])))
                break
    if not found:
        _refuse("The source lies outside the data folders.")
    return found


def _parts(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        _refuse("Name a file, not a folder.")
    if ".." in parts:
        _refuse("The source must not contain '..'.")
    if any(part.startswith(".") for part in parts):
        _refuse("Hidden files and folders cannot be used.")
    return parts


def _examine(root: Path, name: str, roots: list[Path], skip: list[Path]) -> SourceFile:
    """Return the file's facts once it is proved to be allowed: a regular file whose real place is in a data folder."""
    if not is_unicode(name):
        _refuse("A file's name is not valid Unicode.")
    if "\\" in name and _is_pattern(name):
        # DuckDB reads every name as a pattern, and has no way to write such a name as a pattern.
        _refuse(f"'{name}' cannot be read: rename it without a backslash.")
    try:
        real = (root / name).resolve(strict=True)
        facts = real.stat()
    except FileNotFoundError:
        _refuse(f"'{name}' does not exist.")
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        _refuse(f"'{name}' cannot be read.")
    inside = [folder for folder in roots if real.is_relative_to(folder)]
    if not inside:
        _refuse(f"'{name}' leads outside the data folders.")
    if any(part.startswith(".") for part in real.relative_to(max(inside, key=lambda folder: len(str(folder)))).parts):
        _refuse("Hidden files and folders cannot be used.")
    if any(real.is_relative_to(folder) for folder in skip):
        _refuse(f"'{name}' belongs to the workspace itself.")
    if not stat.S_ISREG(facts.st_mode):
        _refuse(f"'{name}' is not a regular file.")
    if not os.access(real, os.R_OK):
        _refuse(f"'{name}' cannot be read.")
    return SourceFile(name, facts.st_size, facts.st_mtime_ns)


def format_of(name: str) -> str | None:
    """Return parquet, csv or json by the end of a file's name, None if it has none of the known ends."""
    path = PurePosixPath(name.lower())
    if path.suffix in (".gz", ".zst"):
        kind = FORMATS.get(PurePosixPath(path.stem).suffix)
        return None if kind == "parquet" else kind
    return FORMATS.get(path.suffix)


def _one_format(files: tuple[SourceFile, ...]) -> str:
    kinds = {}
    for file in files:
        kind = format_of(file.name)
        if kind is None:
            hint = " A table of a database is written as database::table." if _looks_like_database(file.name) else ""
            _refuse(f"'{file.name}' is not {NAMES}.{hint}")
        kinds[kind] = file.name
    if len(kinds) > 1:
        names = " and ".join(f"'{name}'" for name in sorted(kinds.values())[:2])
        _refuse(f"The files are of different formats, for example {names}.")
    if not any(file.size for file in files):
        _refuse(f"'{files[0].name}' is empty.")
    return next(iter(kinds))


def _expand(root: Path, parts: list[str], skip: list[Path]) -> set[str]:
    """Return the names below ``root`` which match, without hidden entries and without the excluded folders."""
    found: set[str] = set()
    visited = 0

    def entries(folder: str) -> Iterator[os.DirEntry[str]]:
        nonlocal visited
        try:
            with os.scandir(root / folder) as listing:
                for entry in listing:
                    visited += 1
                    if visited > MAX_VISITED:
                        _refuse("The pattern looks at too many files; name their folder more closely.")
                    if not entry.name.startswith("."):
                        yield entry
        except (FileNotFoundError, NotADirectoryError):
            return
        except PermissionError:
            _refuse(f"The folder '{folder}' cannot be read.")

    def enter(folder: str, name: str, rest: list[str]) -> None:
        path = (root / folder / name).resolve()
        if not any(path.is_relative_to(excluded) for excluded in skip):
            walk(f"{folder}{name}/", rest)

    def walk(folder: str, parts: list[str]) -> None:
        head, rest = parts[0], parts[1:]
        if head == "**":
            walk(folder, rest or ["*"])
            for entry in list(entries(folder)):
                # Links to folders are not followed here: they can lead in circles.
                if entry.is_dir(follow_symlinks=False):
                    enter(folder, entry.name, parts)
            return
        for entry in list(entries(folder)):
            if entry.name != head and not (_is_pattern(head) and fnmatch.fnmatchcase(entry.name, head)):
                continue
            if rest and _is_folder(entry):
                enter(folder, entry.name, rest)
            elif not rest and not _is_folder(entry):
                found.add(folder + entry.name)
                if len(found) > MAX_FILES:
                    _refuse(f"More than {MAX_FILES} files match; name fewer of them.")

    walk("", parts)
    return found


def _database_kind(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(16)
    if head == b"SQLite format 3\0":
        return "sqlite"
    return "duckdb" if head[8:12] == b"DUCK" else None


def _logs(root: Path, name: str, kind: str) -> list[SourceFile]:
    """Return the non-empty logs beside a database: what they hold belongs to its tables."""
    logs = []
    for end in [".wal"] if kind == "duckdb" else ["-journal", "-wal"]:
        try:
            facts = (root / (name + end)).lstat()
        except OSError:
            continue
        if stat.S_ISLNK(facts.st_mode):
            _refuse(f"'{name}{end}' is a link; the log of a database must lie beside it.")
        if facts.st_size:  # a mere reader of SQLite may leave an empty one
            logs.append(SourceFile(name + end, facts.st_size, facts.st_mtime_ns))
    return logs


def _is_log(source: Source, file: SourceFile) -> bool:
    return source.table is not None and file is not source.files[0]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def _is_pattern(text: str) -> bool:
    return any(character in text for character in "*?[")


def _looks_like_database(name: str) -> bool:
    return name.lower().endswith((".duckdb", ".ddb", ".db", ".sqlite", ".sqlite3"))


def _refuse(text: str) -> NoReturn:
    raise ModelInvalid({"source": [text]})
