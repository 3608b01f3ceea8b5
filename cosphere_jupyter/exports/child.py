"""What a child process does for downloads: it writes one file, a batch at a time, whatever the size of the data.

Both entries return ``{"file": name, "rows": int, "size": bytes, "sha256": hexadecimal digits}``; the file is on disk
then. ``params`` of both: ``file`` (the path to write; its suffix is the format) and ``spreadsheet`` (see `sinks.Csv`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from cosphere_jupyter.errors import ExecutionError

Report = Callable[[dict[str, Any]], None]
# Bytes of data in memory at once, about: some batches are alive at the same time.
BATCH_BYTES = 8 * 1024 * 1024
BATCH_ROWS = 65_536
CHUNK = 1024 * 1024

GONE = "the result of this download request is gone; ask for it again"


def write_rows(params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Write rows of the database as CSV, JSON lines or Parquet.

    Further ``params``: ``rows`` (a file of JSON lines, which is used up) and ``columns`` (name and kind of each, see
    `types.Column`).
    """
    source, target = Path(params["rows"]), Path(params["file"])
    if target.suffix == ".json":
        with source.open("rb") as file:
            rows = sum(1 for _ in file)
        source.rename(target)
        return _finished(target, rows)
    from cosphere_jupyter.exports import sinks

    names, kinds = zip(*params["columns"], strict=True)
    with sinks.opened(target, sinks.schema_of(names, kinds), params["spreadsheet"]) as sink:
        for lines in _chunks_of_lines(source):
            parsed = [orjson.loads(line) for line in lines]
            columns = [[_value(kind, row[name]) for row in parsed] for name, kind in zip(names, kinds, strict=True)]
            sink.write(sinks.batch_of(columns, sink.schema))
    source.unlink()
    return _finished(target, sink.rows)


def _value(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "time":
        return datetime.fromisoformat(value)
    return orjson.dumps(value).decode() if kind == "json" else value


def _chunks_of_lines(path: Path) -> Iterator[list[bytes]]:
    with path.open("rb") as lines:
        # Whole lines, of about so many bytes together.
        while chunk := lines.readlines(BATCH_BYTES // 8):
            yield chunk


def convert(params: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Write a result as one file of CSV, Parquet or Arrow; ``report`` is called with ``{"fraction": 0.0 to 1.0}``.

    Further ``params``: ``parts`` (paths of the result's Parquet files). A result of one file is a Parquet file
    already: it gets a second name, which costs neither time nor disk.

    Raises:
        ExecutionError: the result has expired meanwhile, or is damaged.
    """
    import pyarrow
    from pyarrow.parquet import ParquetFile, read_metadata

    parts, target = [Path(part) for part in params["parts"]], Path(params["file"])
    try:
        total = sum(read_metadata(part).num_rows for part in parts)
        if target.suffix == ".parquet" and len(parts) == 1:
            _link(parts[0], target)
            return _finished(target, total)
        from cosphere_jupyter.exports import sinks

        with ParquetFile(parts[0]) as first:
            schema = first.schema_arrow
        with sinks.opened(target, schema, params["spreadsheet"]) as sink:
            for part in parts:
                for batch in _batches(part):
                    sink.write(batch)
                    report({"fraction": round(sink.rows / total, 4)})
    except FileNotFoundError:
        raise ExecutionError(GONE) from None
    except pyarrow.ArrowInvalid as error:
        raise ExecutionError(f"the result cannot be read: {error}") from None
    return _finished(target, sink.rows)


def _batches(part: Path) -> Iterator[Any]:
    from pyarrow.parquet import ParquetFile

    # Neither a whole row group ahead nor the file's pages in the system's cache only: read as it is needed.
    with ParquetFile(part, pre_buffer=False, buffer_size=CHUNK) as file:
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            width = max(1, group.total_byte_size // max(1, group.num_rows))
            rows = max(1, min(BATCH_ROWS, BATCH_BYTES // width))
            yield from file.iter_batches(batch_size=rows, row_groups=[number], use_threads=False)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        # Not every file system knows second names.
        shutil.copyfile(source, target)


def _finished(path: Path, rows: int) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
        os.fsync(file.fileno())
    return {"file": path.name, "rows": rows, "size": size, "sha256": digest.hexdigest()}
