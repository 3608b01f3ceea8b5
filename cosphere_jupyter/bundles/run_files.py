"""The folder of a run: parents are put into it and taken out again, what is not wanted goes, its size is measured.

Everything blocks on the disk, and follows no link that a command might have left.
"""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ExecutionError

PLACED = "placed.json"
# More files than these are brought to the disk with all else that waits for it: that is quicker.
ONE_BY_ONE = 500
# Levels of folders, and bytes of a path, that contents may have.
DEEPEST = 200
LONGEST = 3000
_CHUNK = 1024 * 1024
# ioctl of Linux: share the blocks of another file, where the file system can.
_FICLONE = 0x40049409


def target_name(parent_uuid: str, parent_path: str) -> str:
    """Return how the API names a part of a bundle: ``0x…/path``."""
    return f"{parent_uuid}/{parent_path}" if parent_path else parent_uuid


def find_source(root: str | None, parent_uuid: str, parent_path: str) -> Path:
    """Return where a part of a parent lies, whose contents are at ``root`` (None: it has none).

    Raises:
        ExecutionError: there is no such part, or a link leads out of the parent.
    """
    wrong = ExecutionError(f"Invalid dependency {target_name(parent_uuid, parent_path)}")
    if root is None:
        raise wrong
    parts = [part for part in parent_path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in parent_path:
        raise wrong
    try:
        top = Path(root).resolve(strict=True)
        found = top.joinpath(*parts).resolve(strict=True)
    except (OSError, RuntimeError):
        raise wrong from None
    if found != top and top not in found.parents:
        raise wrong
    return found


def spread(dependencies: Sequence[Mapping[str, Any]]) -> list[tuple[Path, str]]:
    """Return (source, path in the run's folder) for each dependency; one at ``.`` gives all that it holds.

    Raises:
        ExecutionError: a part of a parent is missing, or two want the same place.
    """
    found: dict[str, Path] = {}
    for each in dependencies:
        source = find_source(each["root"], each["parent_uuid"], each["parent_path"])
        parts = [part for part in each["child_path"].split("/") if part not in ("", ".")]
        if ".." in parts:
            raise ExecutionError(f"A dependency's key leads out of the run: {each['child_path']}")
        if parts:
            _take(found, "/".join(parts), source)
        elif source.is_dir():
            for entry in sorted(source.iterdir()):
                if not entry.is_symlink():
                    _take(found, entry.name, entry)
        else:
            raise ExecutionError(f"Invalid dependency {target_name(each['parent_uuid'], each['parent_path'])}")
    return [(source, path) for path, source in found.items()]


def _take(found: dict[str, Path], path: str, source: Path) -> None:
    for other in found:
        if path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/"):
            raise ExecutionError(f"Two dependencies want the same place: {other} and {path}")
    found[path] = source


def place(work: Path, control: Path, parents: Sequence[tuple[Path, str]], copies: bool) -> None:
    """Put parents into a run's folder: as copies that nobody may write, or as empty places to mount them on."""
    (control / PLACED).write_text(json.dumps([path for _, path in parents]))
    for source, path in parents:
        target = work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if copies:
            copy(source, target)
            _protect(target)
        elif source.is_dir():
            target.mkdir()
        else:
            target.touch()


def placed(control: Path) -> list[str]:
    """Return what `place` has put into a run's folder."""
    try:
        return list(json.loads((control / PLACED).read_text()))
    except (OSError, ValueError):
        return []


def take_out(work: Path, control: Path) -> None:
    """Remove the parents from a run's folder, and the folders that were made for them if nothing else is in them."""
    for path in placed(control):
        target = work / path
        if any(folder.is_symlink() for folder in target.parents if folder != work and work in folder.parents):
            continue
        remove(target)
        for folder in target.parents:
            if folder == work or not _remove_if_empty(folder):
                break
    (control / PLACED).unlink(missing_ok=True)


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder, also one that is protected; what is not there is no matter."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        _open_up(path)
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except (OSError, RecursionError):
        # Folders nested so deep that no path leads there.
        _remove_by_names(path)


def _remove_by_names(folder: Path) -> None:
    """Remove a folder however deep it is, going down and up by single names; nobody else may be at work in it."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    here = os.open(folder, flags)
    # The names on the way down, and the folders that are left beside each of them.
    way = [(folder.name, _remove_files(here))]
    try:
        while way:
            name, left = way[-1]
            if left:
                inner = left.pop()
                os.chmod(inner, 0o700, dir_fd=here)
                above, here = here, os.open(inner, flags, dir_fd=here)
                os.close(above)
                way.append((inner, _remove_files(here)))
            else:
                below, here = here, os.open("..", flags, dir_fd=here)
                os.close(below)
                os.rmdir(name, dir_fd=here)
                way.pop()
    finally:
        os.close(here)


def _remove_files(here: int) -> list[str]:
    """Remove the files in an open folder, and return the names of the folders in it."""
    with os.scandir(here) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            os.unlink(name, dir_fd=here)
    return [name for name, is_folder in found if is_folder]


def _open_up(folder: Path) -> None:
    """Let us read and change every folder below this one."""
    folder.chmod(0o700)
    for inner, _, _ in os.walk(folder):
        for entry in list(os.scandir(inner)):
            if entry.is_dir(follow_symlinks=False):
                Path(entry.path).chmod(0o700)


def _protect(target: Path) -> None:
    for inner, _, files in os.walk(target) if target.is_dir() else [(str(target.parent), [], [target.name])]:
        for name in files:
            path = Path(inner, name)
            if not path.is_symlink():
                path.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)
        if target.is_dir():
            Path(inner).chmod(0o555)


def tidy(work: Path, patterns: Iterable[str]) -> None:
    """Remove what matches one of the patterns, and what is neither file, folder nor link; make all of it readable."""
    wanted = [[part for part in pattern.split("/") if part not in ("", ".")] for pattern in patterns]
    # What is removed here is not walked into.
    for path, relative in _walk(work):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        is_plain = stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)
        if not is_plain or any(_matches(relative, parts) for parts in wanted if parts):
            remove(path)


def _walk(work: Path) -> Iterator[tuple[Path, list[str]]]:
    """Return what lies below a folder with its path in parts; folders are opened up before they are entered.

    Raises:
        ExecutionError: folders are nested so deep that nobody could read what lies in them.
    """
    work.chmod(0o700)
    waiting: list[tuple[Path, list[str]]] = [(work, [])]
    while waiting:
        folder, relative = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            # It matched, and is gone.
            continue
        for entry in entries:
            path, parts = Path(entry.path), [*relative, entry.name]
            if len(parts) > DEEPEST or len(os.fsencode(path)) > LONGEST:
                raise ExecutionError(f"It wrote folders that are nested more than {DEEPEST} deep, or too long a path.")
            if entry.is_dir(follow_symlinks=False):
                path.chmod(0o700)
                waiting.append((path, parts))
            elif entry.is_file(follow_symlinks=False):
                path.chmod(0o700 if entry.stat(follow_symlinks=False).st_mode & 0o111 else 0o600)
            yield path, parts


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path is what a pattern means; ``**`` stands for any number of folders."""
    # Places in the pattern up to which the path fits: so many ``**`` as one likes cost no more than one.
    places = _beyond_any(pattern, {0})
    for part in path:
        fits = {
            at if pattern[at] == "**" else at + 1 for at in places if at < len(pattern) and _is_like(part, pattern[at])
        }
        places = _beyond_any(pattern, fits)
    return len(pattern) in places


def _is_like(part: str, wanted: str) -> bool:
    return wanted == "**" or fnmatch.fnmatchcase(part, wanted)


def _beyond_any(pattern: Sequence[str], places: set[int]) -> set[int]:
    """Return the places, and those behind every ``**`` that stands there, for it may stand for nothing."""
    found = set(places)
    for at in range(len(pattern)):
        if at in found and pattern[at] == "**":
            found.add(at + 1)
    return found


def size_of(work: Path, without: Iterable[str] = ()) -> int:
    """Return the bytes of all files below a folder, without those at some paths; what vanishes meanwhile is nothing."""
    skipped, total = {str(work / path) for path in without}, 0
    waiting = [str(work)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.path in skipped:
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
                continue
            try:
                total += entry.stat(follow_symlinks=False).st_size
            except OSError:
                continue
    return total


def sync(path: Path) -> None:
    """Bring a file, or a folder with all that is in it, to the disk."""
    paths = [path]
    if path.is_dir():
        paths = [path, *(inner for inner, _ in _walk(path) if not inner.is_symlink())]
    if len(paths) > ONE_BY_ONE:
        os.sync()
        return
    for each in paths:
        descriptor = os.open(each, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def copy(source: Path, target: Path, room: int | None = None) -> int:
    """Copy a file or a folder, sharing blocks where the file system can; links stay links. Returns the bytes.

    Raises:
        ExecutionError: there is less room (bytes) than it takes.
    """
    if source.is_symlink():
        # Before all else: a link to a folder is no folder, and may lead anywhere.
        target.symlink_to(os.readlink(source))  # noqa: PTH115 - as it stands there
        return 0
    if source.is_dir():
        target.mkdir(exist_ok=True)
        total = 0
        for entry in sorted(source.iterdir()):
            total += copy(entry, target / entry.name, None if room is None else room - total)
        return total
    size = source.stat().st_size
    if room is not None and size > room:
        raise ExecutionError("User disk quota exceeded.")
    with source.open("rb") as taken, target.open("xb") as given:
        if not _share(given.fileno(), taken.fileno()):
            shutil.copyfileobj(taken, given, _CHUNK)
    target.chmod(0o700 if source.stat().st_mode & 0o100 else 0o600)
    return size


def _share(given: int, taken: int) -> bool:
    try:
        import fcntl

        fcntl.ioctl(given, _FICLONE, taken)
    except (OSError, ImportError):
        return False
    return True
