"""The executor of local tables, as the server sees it: what to ask a child process for. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cosphere_jupyter.executors import sources
from cosphere_jupyter.executors.base import Column, Query
from cosphere_jupyter.executors.sources import Source


class DuckDBExecutor:
    """Catalogue items of type DUCKDB: files in ``data_folders``, without what lies in ``excluded`` folders.

    ``memory_limit`` is DuckDB's per query ("1GB"); ``threads`` per query.
    """

    type = "DUCKDB"
    warm_entry = "cosphere_jupyter.executors.duckdb.child:warm"
    describe_entry = "cosphere_jupyter.executors.duckdb.child:describe"
    unload_entry = "cosphere_jupyter.executors.duckdb.child:unload"
    profile_entry = "cosphere_jupyter.executors.duckdb.child:profile"
    estimate_entry = "cosphere_jupyter.executors.duckdb.child:estimate"

    def __init__(
        self,
        data_folders: Sequence[str | Path],
        excluded: Sequence[str | Path] = (),
        memory_limit: str = "1GB",
        threads: int = 2,
    ) -> None:
        self.data_folders = [str(Path(folder).resolve()) for folder in data_folders]
        self.excluded = [str(Path(folder).resolve()) for folder in excluded]
        self.memory_limit = memory_limit
        self.threads = threads

    def resolve(self, source: str) -> Source:
        """Find the files of ``source`` (blocking: reads folders).

        Raises:
            ModelInvalid: ``{"source": […]}``, see `sources.resolve`.
        """
        return sources.resolve(source, self.data_folders, self.excluded)

    def describe_params(self, source: str | Source, **limits: Any) -> dict[str, Any]:
        """Return the parameters of `describe_entry`; a text is resolved first.

        Raises:
            ModelInvalid: ``{"source": […]}``, see `sources.resolve`.
        """
        return {**self._params(self.resolve(source) if isinstance(source, str) else source), "limits": limits}

    def unload_params(
        self,
        source: Source,
        query: Query,
        columns: Sequence[Column] | Mapping[str, str],
        folder: str | Path,
        temp_folder: str | Path,
    ) -> dict[str, Any]:
        """Return the parameters of `unload_entry`, which fills the existing, empty ``folder``.

        ``columns`` are the catalogue's: `Column` objects, or types by name. ``temp_folder`` need not exist.
        """
        types = dict(columns) if isinstance(columns, Mapping) else {column.name: column.type for column in columns}
        return {
            **self._params(source),
            "query": query.to_json(),
            "columns": types,
            "folder": str(folder),
            "temp_folder": str(temp_folder),
        }

    def profile_params(
        self, source: Source, columns: Sequence[Mapping[str, Any]], folder: Path, temp_folder: Path, **limits: Any
    ) -> dict[str, Any]:
        """Return the parameters of `profile_entry`, which fills the existing, empty ``folder``.

        ``columns`` are the catalogue's, as in its ``spec``; ``limits`` are in `profiling.LIMITS`.
        """
        return {
            **self._params(source),
            "columns": [dict(column) for column in columns],
            "folder": str(folder),
            "temp_folder": str(temp_folder),
            "limits": limits,
        }

    def estimate_params(
        self,
        source: Source,
        query: Query,
        columns: Mapping[str, str],
        sample: Path | None,
        seconds: float,
        *,
        exact: bool = True,
    ) -> dict[str, Any]:
        """Return the parameters of `estimate_entry`: counts only if ``exact``, and for ``seconds`` at most."""
        return {
            **self._params(source),
            "query": query.to_json(),
            "columns": dict(columns),
            "sample": None if sample is None else str(sample),
            "seconds": seconds,
            "exact": exact,
        }

    def _params(self, source: Source) -> dict[str, Any]:
        return {
            "source": source.to_json(),
            "data_folders": self.data_folders,
            "memory_limit": self.memory_limit,
            "threads": self.threads,
        }
