"""Results that were loaded before, on this machine, as files that are mapped into memory.

An entry is an uncompressed Arrow file: opening it takes milliseconds whatever its size, all kernels of this machine
share its pages, and the operating system may drop them when memory is short. Entries are written aside and renamed,
so that nobody sees half of one; the least recently used go when the folder is full. Nothing here is ever missed:
what is gone or broken is read from the result again.

``COSPHERE_CACHE_DIR`` says where, ``COSPHERE_CACHE_LIMIT`` how large ("5GB"), ``COSPHERE_CACHE=0`` switches it off.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .text import size_text

if TYPE_CHECKING:
    import pyarrow as pa

LARGEST_DEFAULT = 20 * 10**9
SHARE_OF_DISK = 0.1
# What is smaller is written at once; the user waits a tenth of a second for it at most.
SMALL = 64 * 10**6
# Files of a process that died while it wrote them.
STALE_SECONDS = 24 * 3600.0
# How long this process goes by what it counted: others write here, too.
COUNT_SECONDS = 60.0
SUFFIX = ".arrow"
_ON_THE_WAY = (".tmp", ".parts")
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_LOCKS = 256
WAIT_SECONDS = 600.0


class Cache:
    """A folder of loaded results. All methods may be called by several threads and processes.

    >>> ws.cache.flush()   # wait until what is being written is written
    >>> ws.cache.clear()
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, limit: int | str | None = None) -> None:
        parent = Path(folder or os.environ.get("COSPHERE_CACHE_DIR") or _default_folder())
        # A folder of its own: the one that was named may hold other things, and this one is swept.
        self.folder = parent.expanduser().absolute() / "cosphere-results"
        limit = os.environ.get("COSPHERE_CACHE_LIMIT") if limit is None else limit
        self._limit = None if limit in (None, "") else parse_size(limit)
        self._writers: set[threading.Thread] = set()
        self._guard = threading.Lock()
        self._total, self._counted_at = 0, -math.inf

    def __repr__(self) -> str:
        limit = "" if self._limit is None else f", at most {size_text(self._limit)}"
        return f"<Cache {self.folder}{limit}>"

    @property
    def limit(self) -> int:
        """The most bytes that may lie here."""
        if self._limit is not None:
            return self._limit
        try:
            return min(LARGEST_DEFAULT, int(shutil.disk_usage(_existing(self.folder)).total * SHARE_OF_DISK))
        except OSError:
            return LARGEST_DEFAULT

    # -- reading and writing ---------------------------------------------------------------------------------------

    def read(self, key: str, rows: int) -> pa.Table | None:
        """Return a table that was stored, mapped into memory, or None. A broken entry is dropped."""
        import pyarrow as pa

        path = self._path(key)
        try:
            source = pa.memory_map(str(path))
        except (OSError, pa.ArrowException):
            return None
        try:
            with pa.ipc.open_file(source) as reader:
                table = reader.read_all()
            table.validate()
            if table.num_rows != rows:
                raise pa.ArrowInvalid("the number of rows is wrong")
        except (OSError, pa.ArrowException, ValueError):
            with suppress(OSError):
                path.unlink()
            return None
        # The time of the last use.
        with suppress(OSError):
            os.utime(path)
        return table

    def write_batches(self, key: str, schema: pa.Schema, batches: Any, size: int = 0) -> bool:
        """Store record batches as they come; tell whether they are stored. Errors of the disk are no errors here.

        ``size`` is about how many bytes will be written; there must be room for it.
        """
        import pyarrow as pa

        path = self._path(key)
        try:
            if not self.make_room(size):
                return False
            descriptor, aside = tempfile.mkstemp(dir=self.folder, prefix=f"{path.name}.", suffix=".tmp")
            os.close(descriptor)
        except OSError:
            return False
        try:
            options = pa.ipc.IpcWriteOptions(compression=None)
            with pa.OSFile(aside, "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
                for batch in batches:
                    writer.write_batch(batch)
            # On Windows a file that is mapped cannot be replaced; then the entry is there already.
            Path(aside).replace(path)
        except BaseException as error:
            with suppress(OSError):
                Path(aside).unlink()
            if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                return False
            raise
        return path.exists()

    def make_room(self, size: int) -> bool:
        """Drop the least recently used entries until ``size`` more bytes fit; tell whether they do."""
        _make_private(self.folder)
        limit = self.limit
        if size > limit or size > shutil.disk_usage(self.folder).free:
            return False
        if self._has_room(size, limit):
            return True
        entries = []
        for path in self.folder.iterdir():
            with suppress(OSError):
                stat = path.stat()
                if path.suffix == SUFFIX:
                    entries.append((stat.st_mtime, stat.st_size, path))
                elif time.time() - stat.st_mtime > STALE_SECONDS and path.suffix in _ON_THE_WAY:
                    _remove(path)
        total = sum(entry[1] for entry in entries) + size
        for _, entry_size, path in sorted(entries):
            if total <= limit:
                break
            # Those who have mapped it keep it.
            with suppress(OSError):
                path.unlink()
                total -= entry_size
        with self._guard:
            self._total, self._counted_at = total, time.monotonic()
        return True

    def _has_room(self, size: int, limit: int) -> bool:
        """Tell whether so much fits by what is known: of a folder that is half empty, the files are counted rarely."""
        with self._guard:
            is_known = time.monotonic() - self._counted_at < COUNT_SECONDS and self._total + size <= limit / 2
            if is_known:
                self._total += size
            return is_known

    def clear(self) -> None:
        """Drop all entries."""
        self.flush()
        with suppress(OSError):
            for path in list(self.folder.iterdir()):
                if path.suffix in (SUFFIX, *_ON_THE_WAY):
                    _remove(path)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything is written; False if it still is not after ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._guard:
            writers = list(self._writers)
        for writer in writers:
            writer.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return not any(writer.is_alive() for writer in writers)

    # -- one at a time ---------------------------------------------------------------------------------------------

    @contextmanager
    def filling(self, key: str) -> Iterator[Filling]:
        """Hold the right to fill an entry: another process that wants it waits, and finds it filled.

        With ``write`` in the background the right is given back when that has ended.
        """
        filling = Filling(self, key)
        try:
            yield filling
        finally:
            filling.end()

    def scratch(self, key: str) -> Path:
        """Return a folder for the files of a result on their way in; what is left of a broken download is used."""
        folder = self.folder / f"{key}.parts"
        _make_private(self.folder)
        _make_private(folder)
        return folder

    def in_background(self, work: Callable[[], Any]) -> None:
        """Run work in a thread that ``flush`` waits for."""

        def run() -> None:
            try:
                work()
            finally:
                with self._guard:
                    self._writers.discard(thread)

        # Not a daemon: a script that ends waits for it.
        thread = threading.Thread(target=run, name="cosphere-cache")
        with self._guard:
            self._writers.add(thread)
        thread.start()

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{SUFFIX}"


class Filling:
    """The right to fill one entry; see ``Cache.filling``."""

    def __init__(self, cache: Cache, key: str) -> None:
        self._cache = cache
        self._key = key
        self._is_handed_over = False
        self._lock = _lock(cache.folder, key)

    def write(self, table: pa.Table) -> None:
        """Store the table; a large one by a thread that gives the right back."""
        if table.nbytes <= SMALL:
            self._store(table)
            return
        self._is_handed_over = True

        def work() -> None:
            try:
                self._store(table)
            finally:
                self._release()

        self._cache.in_background(work)

    def _store(self, table: pa.Table) -> None:
        import pyarrow as pa

        # What cannot be kept is read again another time.
        with suppress(pa.ArrowException, MemoryError):
            self._cache.write_batches(self._key, table.schema, table.to_batches(), table.nbytes)

    def end(self) -> None:
        """Give the right back, unless a thread still writes."""
        if not self._is_handed_over:
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()


def _lock(folder: Path, key: str) -> Any:
    """Take the lock of a key; None where the file system has no locks (then work may be done twice)."""
    from filelock import FileLock, Timeout

    slot = int.from_bytes(key.encode()[-4:], "big") % _LOCKS
    try:
        _make_private(folder)
        _make_private(folder / "locks")
        # A fixed number of files, so that none needs to be removed. Released by another thread than it was taken by.
        lock = FileLock(folder / "locks" / f"{slot:02x}.lock", mode=0o600, thread_local=False)
        while True:
            # In portions: filelock takes waiting without end for a deadlock when a lock of this very thread was handed
            # over to the one that writes.
            with suppress(Timeout):
                lock.acquire(timeout=WAIT_SECONDS)
                return lock
    except (OSError, NotImplementedError):
        return None


def choose(cache: Cache | str | os.PathLike[str] | bool | None) -> Cache | None:
    """Return the cache that ``Workspace(cache=…)`` means: one, a folder, False for none, None for the default."""
    if isinstance(cache, Cache):
        return cache
    if cache is False or (
        cache is None and os.environ.get("COSPHERE_CACHE", "").lower() in ("0", "no", "off", "false")
    ):
        return None
    return Cache(None if cache is None or cache is True else cache)


def parse_size(size: int | str) -> int:
    """Return bytes of 5000000, "5MB" or "0.5 GB"."""
    if isinstance(size, int):
        return size
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?B?)\s*", size)
    unit = match[2].upper() if match else ""
    if match is None or (unit if unit.endswith("B") or not unit else f"{unit}B") not in _UNITS:
        raise ValueError(f"{size!r} is no size; it looks like 500MB or 20GB")
    return int(float(match[1]) * _UNITS[unit if unit.endswith("B") or not unit else f"{unit}B"])


def _default_folder() -> str:
    from platformdirs import user_cache_dir

    return user_cache_dir("cosphere-jupyter")


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _make_private(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if sys.platform != "win32":
            folder.chmod(0o700)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
