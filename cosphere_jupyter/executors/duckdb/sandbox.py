"""A DuckDB connection which can open the files of one request and nothing else.

Used in child processes only. Once locked, it cannot read or write other paths, attach, install or load extensions, see
Python objects or change any setting, whatever SQL would reach it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlglot import exp

from cosphere_jupyter.errors import ExecutionError
from cosphere_jupyter.executors.sources import Source

ATTACHED = "attached"
_spare: list[Any] = []
_used: list[Any] = []


@contextmanager
def opened(memory_limit: str, threads: int, temp_folder: str) -> Iterator[Any]:
    """Give a fresh in-memory database: at most ``memory_limit`` (such as "1GB"), spilling to ``temp_folder``.

    It serves one call and is closed after it (by `prepare`, when nobody waits any more).
    """
    import duckdb

    try:
        connection = _spare.pop() if _spare else _open()
        connection.execute("SET memory_limit = ?", [memory_limit])
        connection.execute("SET threads = ?", [threads])
        connection.execute("SET temp_directory = ?", [temp_folder])
    except duckdb.Error as error:
        raise ExecutionError(f"The engine cannot be started: {error}") from error
    try:
        yield connection
    finally:
        _used.append(connection)


def prepare() -> None:
    """Close what was used and open a database for the next call: together 20 ms that a call need not wait for."""
    while _used:
        _used.pop().close()
    if not _spare:
        _spare.append(_open())


def _open() -> Any:
    import duckdb

    while _used:
        _used.pop().close()
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "allow_persistent_secrets": False,
            "python_enable_replacements": False,
        },
    )
    # Row numbers of text files are only repeatable in the order of the source, and it costs nothing measurable (3.9 s
    # against 4.0 s for 20 million rows).
    connection.execute("SET preserve_insertion_order = true")
    connection.execute("SET TimeZone = 'UTC'")
    # Parquet minima and maxima do not count NaN. DuckDB concludes from them that there is none and drops the guards of
    # the compiler (seen with 2.0.0: "NOT isnan(x)" found a NaN). Row groups are still passed over without this.
    connection.execute("SET disabled_optimizers = 'statistics_propagation'")
    # DESCRIBE and the query read the same footers.
    connection.execute("SET parquet_metadata_cache = true")
    # query_progress() knows nothing unless a bar is wanted; it must not be printed.
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")
    return connection


def attach(connection: Any, source: Source) -> None:
    """Attach the DuckDB file of ``source`` read-only under the name `ATTACHED`; only possible before `lock`."""
    connection.execute(f"ATTACH {_text(source.paths[0])} AS {ATTACHED} (READ_ONLY, TYPE duckdb)")


def lock(connection: Any, files: Iterable[str], folders: Iterable[str]) -> None:
    """Allow exactly ``files`` and what lies in ``folders`` from now on, for good."""
    folders = list(folders)
    allowed = list(folders)  # writing several files into a folder opens the folder by name
    for path in files:
        allowed.append(path)
        if (pattern := literal(path)) != path:
            allowed.append(pattern)
    connection.execute(f"SET allowed_paths = {_texts(allowed)}")
    connection.execute(f"SET allowed_directories = {_texts(folders)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def literal(path: str) -> str:
    """Return a pattern which matches exactly ``path``: DuckDB reads each name it is given as a pattern."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def explain(error: Exception, source: Source, folders: Iterable[str] = (), memory_limit: str = "") -> ExecutionError:
    """Turn an error of the engine into one for people: its message without SQL and without paths of the server."""
    import duckdb

    text = str(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return ExecutionError(f"The query needs more memory than it may use ({memory_limit}).")
    if "No space left" in text or '"errno":"28"' in text.replace(" ", ""):
        return ExecutionError("The disk for results is full; nothing was kept. Ask again when there is room.")
    if "Could not set lock on file" in text or "Conflicting lock" in text:
        name = Path(source.files[0].name).name
        return ExecutionError(f"'{name}' is held by another process that writes to it; close it there and ask again.")
    if isinstance(error, duckdb.ConversionException) or "JSON transform error" in text:
        return ExecutionError(f"The table's data no longer match its catalogue entry{_column_of(text)}.")
    text = re.split(r"\n\s*\n?LINE \d+:|\nStack Trace|\nCandidate|\nCOPY |\nTo see|\n\n", text)[0]
    text = text.replace(source.folder.rstrip("/") + "/", "")
    for folder in folders:
        text = text.replace(folder.rstrip("/") + "/", "").replace(folder, "the result")
    text = re.sub(r"(?<![\w.:/])/(?:[^\s/'\"]+/)+([^\s'\"]*)", r"…/\1", text)
    text = " ".join(text.split())
    return ExecutionError(f"The query failed: {text[:500]}")


def _column_of(text: str) -> str:
    """Return which column could not be converted, as far as the engine's message tells."""
    found = re.search(r'when casting from source column (.*)$|when converting column "(.*)"\. ', text, re.MULTILINE)
    if found is None:
        # What is underlined in the excerpt of the query.
        excerpt = re.search(r"^(LINE 1: .*)\n( *)(\^+)", text, re.MULTILINE)
        marked = excerpt[1][len(excerpt[2]) : len(excerpt[2]) + len(excerpt[3])] if excerpt else ""
        found = re.fullmatch(r'CAST\((?:"\w+"\.)?"((?:[^"]|"")*)"() AS \w+\)', marked)
    name = (found[1] or found[2] or "").replace('""', '"') if found else ""
    return f": column '{name[:200]}'" if name else ""


def _text(value: str) -> str:
    return exp.Literal.string(value).sql("duckdb")


def _texts(values: Iterable[str]) -> str:
    """Return a list of texts as SQL; at once, because each run of the generator costs a quarter of a millisecond."""
    return exp.Array(expressions=[exp.Literal.string(value) for value in values]).sql("duckdb", copy=False)
