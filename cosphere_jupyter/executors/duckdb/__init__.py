"""Local tables: DuckDB in a sandboxed child process over Parquet, CSV, JSON, DuckDB and SQLite files."""

from cosphere_jupyter.executors.duckdb.executor import DuckDBExecutor

__all__ = ["DuckDBExecutor"]
