"""From a result to a DataFrame: Parquet → Arrow → pandas, and the second time by a memory map.

Always by Arrow: it reads files in parallel and keeps types, nulls and categories. A DataFrame made of it shares its
memory, so that ten million rows of a cached result are there in a few hundredths of a second.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .cache import Cache
from .columns import Column
from .download import Download, Manifest, local_files
from .errors import ResultTooLarge, ResultUnreadable
from .http import Http
from .text import size_text

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

DtypeBackend = Literal["pyarrow", "numpy"]
# Raise it when the same result would be laid out in another way: older entries are then no longer found.
LAYOUT = 1
# Rows of a batch, when a table is passed through memory in pieces.
BATCH_ROWS = 256 * 1024
# What reading needs besides the table itself.
OVERHEAD = 1.3
TEXT_BYTES = 64
# Bytes of a file that one thread reads in no time.
SMALL_FILE = 1_000_000


class Loader:
    """Loads results of one workspace."""

    def __init__(self, http: Http, cache: Cache | None) -> None:
        self._http = http
        self._cache = cache

    def arrow(
        self,
        manifest: Manifest,
        renewed: Callable[[], Manifest],
        columns: Sequence[Column],
        order: Sequence[str],
        *,
        use_cache: bool = True,
        progress: bool = True,
        fits_on_disk: bool = True,
    ) -> pa.Table:
        """Return a result as an Arrow table with the columns of ``order``.

        ``columns`` are the table's in the catalogue. With ``fits_on_disk`` a result that is larger than memory is
        passed through it in pieces into the cache and mapped from there.
        """
        reading = _Reading(self._http, manifest, renewed, columns, progress)
        cache = self._cache if use_cache else None
        if cache is None:
            table = reading.table(None)
        else:
            table = cache.read(reading.key, manifest.rows)
            if table is None:
                table = self._fill(cache, reading, fits_on_disk)
        try:
            return table.select(list(order))
        except KeyError as error:
            raise ResultUnreadable(f"the files of the result lack a column: {error}") from None

    def _fill(self, cache: Cache, reading: _Reading, fits_on_disk: bool) -> pa.Table:
        with cache.filling(reading.key) as filling:
            # Another kernel may have done it while this one waited.
            table = cache.read(reading.key, reading.manifest.rows)
            if table is not None:
                return table
            try:
                table = reading.table(cache)
            except ResultTooLarge:
                if not fits_on_disk or not reading.through_memory(cache):
                    raise
                table = cache.read(reading.key, reading.manifest.rows)
                if table is None:
                    raise
            else:
                filling.write(table)
            return table


class _Reading:
    """One way of one result into Arrow."""

    def __init__(
        self,
        http: Http,
        manifest: Manifest,
        renewed: Callable[[], Manifest],
        columns: Sequence[Column],
        progress: bool,
    ) -> None:
        self.manifest = manifest
        self._http = http
        self._renewed = renewed
        self._progress = progress
        self._columns = [column for column in columns if not manifest.columns or column.name in manifest.columns]
        # Few different texts: each is kept once, and rows hold its number.
        self._enums = sorted(each.name for each in self._columns if each.is_enum and each.type == "STRING")

    @property
    def key(self) -> str:
        """The name of the result in the cache: its id, and all that decides how its table looks."""
        files = [(file.name, file.size) for file in self.manifest.files]
        facts = json.dumps([self.manifest.id, self.manifest.rows, files, self._enums, LAYOUT])
        readable = re.sub(r"[^0-9A-Za-z-]", "", self.manifest.id)[:64]
        return f"{readable}-{hashlib.sha256(facts.encode()).hexdigest()[:32]}"

    def table(self, cache: Cache | None) -> pa.Table:
        """Return the table in memory, or raise ``ResultTooLarge``."""
        if not self.manifest.files:
            return self._empty()
        with self._files(cache) as paths:
            return _reading_errors(lambda: self._read(paths))

    def _read(self, paths: list[Path]) -> pa.Table:
        if len(paths) == 1 and self.manifest.size <= SMALL_FILE:
            table = self._read_small(paths[0])
        else:
            dataset = self._dataset(paths, self._enums)
            self._check_memory(dataset.schema, paths)
            table = dataset.to_table()
        self._check_rows(table.num_rows)
        return _narrowed(table.unify_dictionaries())

    def _read_small(self, path: Path) -> pa.Table:
        """Read one small file without the machinery that reads many at once, which takes milliseconds."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(path, read_dictionary=self._enums, coerce_int96_timestamp_unit="us") as file:
            self._check_memory(file.schema_arrow, [path])
            return file.read(use_threads=False)

    def _check_memory(self, schema: pa.Schema, paths: list[Path]) -> None:
        check_memory(_needed(schema, self.manifest.rows, paths), "to_arrow() maps such a result from disk")

    def through_memory(self, cache: Cache) -> bool:
        """Put the table into the cache piece by piece; tell whether it is there."""
        with self._files(cache) as paths:
            # Every piece has its own numbering of texts, which one file cannot hold: texts stay texts.
            dataset = self._dataset(paths, [])
            batches = dataset.to_batches(batch_size=BATCH_ROWS, batch_readahead=2, fragment_readahead=1)
            return _reading_errors(
                lambda: cache.write_batches(
                    self.key, dataset.schema, batches, _needed(dataset.schema, self.manifest.rows, paths)
                )
            )

    @contextmanager
    def _files(self, cache: Cache | None) -> Iterator[list[Path]]:
        if (paths := local_files(self.manifest)) is not None:
            yield paths
            return
        folder = _scratch(cache, self.key)
        paths = Download(self._http, self.manifest, self._renewed, folder).run(self._progress)
        # What a broken download left stays for the next one; what is whole has been read.
        try:
            yield paths
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _dataset(self, paths: list[Path], enums: Sequence[str]) -> Any:
        import pyarrow.dataset as ds

        options = ds.ParquetReadOptions(dictionary_columns=list(enums), coerce_int96_timestamp_unit="us")
        # No partitioning: names of folders are no data.
        return ds.dataset([str(path) for path in paths], format=ds.ParquetFileFormat(options), partitioning=None)

    def _check_rows(self, rows: int) -> None:
        if rows != self.manifest.rows:
            raise ResultUnreadable(
                f"the files of the result hold {rows:,} rows, its manifest says {self.manifest.rows:,}"
            )

    def _empty(self) -> pa.Table:
        import pyarrow as pa

        types = {
            "INTEGER": pa.int64(),
            "FLOAT": pa.float64(),
            "BOOLEAN": pa.bool_(),
            "DATETIME": pa.timestamp("us"),
        }
        schema = pa.schema([(column.name, types.get(column.type, pa.string())) for column in self._columns])
        return schema.empty_table()


def _narrowed(table: pa.Table) -> pa.Table:
    """Return the table with the numbers of texts as small as pandas wants them, so that it need not convert them."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        column = table.column(place)
        if not pa.types.is_dictionary(field.type) or not column.num_chunks:
            continue
        texts = len(column.chunk(0).dictionary)
        index = next((kind for kind, most in ((pa.int8(), 2**7), (pa.int16(), 2**15)) if texts < most - 1), None)
        if index is not None:
            chunks = [
                pa.DictionaryArray.from_arrays(each.indices.cast(index), each.dictionary) for each in column.chunks
            ]
            table = table.set_column(place, field.name, pa.chunked_array(chunks))
    return table


def _reading_errors(read: Callable[[], Any]) -> Any:
    import pyarrow as pa

    try:
        return read()
    except MemoryError as error:
        if isinstance(error, ResultTooLarge):
            raise
        raise ResultTooLarge(f"there is not enough memory for this result: {error}") from None
    except (OSError, pa.ArrowException) as error:
        raise ResultUnreadable(f"the files of the result cannot be read: {error}") from error


def _scratch(cache: Cache | None, key: str) -> Path:
    if cache is not None:
        try:
            return cache.scratch(key)
        except OSError:
            pass
    return Path(tempfile.mkdtemp(prefix="cosphere-"))


# -- memory ----------------------------------------------------------------------------------------------------------


def _needed(schema: pa.Schema, rows: int, paths: list[Path]) -> int:
    """Return about how many bytes the table takes in memory.

    The schema tells for most columns; when texts might matter, the first group of rows is read and measured.
    """
    widths = [_width(field.type) for field in schema]
    rough = int(rows * sum(TEXT_BYTES if width is None else width for width in widths))
    if None not in widths or rough < available_memory() / 8:
        return rough
    import pyarrow.parquet as pq

    with pq.ParquetFile(paths[0]) as file:
        group = file.read_row_group(0) if file.num_row_groups else file.schema_arrow.empty_table()
    return int(rows * group.nbytes / group.num_rows) if group.num_rows else rough


def _width(kind: pa.DataType) -> float | None:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return 4.2
    try:
        return kind.bit_width / 8 + 0.125
    except ValueError:
        return None


def check_memory(needed: float, advice: str) -> None:
    """Raise ``ResultTooLarge`` if so many bytes are not free."""
    free = available_memory()
    if needed * OVERHEAD > free:
        raise ResultTooLarge(
            f"this result takes about {size_text(int(needed))} in memory, and {size_text(free)} are free. Ask for "
            f"fewer columns or rows (select, where, sample); {advice}"
        )


def available_memory() -> int:
    """Return how many bytes this process may still take, also in a container."""
    limits = [_container_memory()]
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        match = re.search(r"MemAvailable:\s+(\d+) kB", text)
        limits.append(int(match[1]) * 1024 if match else None)
    except OSError:
        import psutil

        limits.append(int(psutil.virtual_memory().available))
    return min((limit for limit in limits if limit is not None), default=sys.maxsize)


def _container_memory() -> int | None:
    """Return what is left of the limit of this container, when there is one."""
    try:
        root = Path("/sys/fs/cgroup")
        limit, used = int((root / "memory.max").read_text()), int((root / "memory.current").read_text())
        # The kernel gives cached files up when memory is short.
        cached = re.search(r"^inactive_file (\d+)", (root / "memory.stat").read_text(), re.MULTILINE)
        return max(0, limit - used + int(cached[1] if cached else 0))
    except (OSError, ValueError):
        return None


# -- pandas ----------------------------------------------------------------------------------------------------------


def to_pandas(table: pa.Table, dtype_backend: DtypeBackend = "pyarrow") -> pd.DataFrame:
    """Return an Arrow table as a DataFrame.

    ``pyarrow``: columns keep their Arrow types and share the table's memory. ``numpy``: the classic types of pandas,
    copied. In both, columns of few different texts become categories.
    """
    import pandas as pd
    import pyarrow as pa

    if dtype_backend == "pyarrow":
        return table.to_pandas(
            types_mapper=lambda kind: None if pa.types.is_dictionary(kind) else pd.ArrowDtype(kind),
            ignore_metadata=True,
        )
    if dtype_backend != "numpy":
        raise ValueError(f"dtype_backend is 'pyarrow' or 'numpy', not {dtype_backend!r}")
    check_memory(table.nbytes, "dtype_backend='pyarrow' needs no copy")
    return table.to_pandas(ignore_metadata=True)
