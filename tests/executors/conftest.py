"""A laboratory: a data folder, and ways to ask for its data which end in a pyarrow table."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cosphere_jupyter.executors.base import Comparison, Query
from cosphere_jupyter.executors.duckdb import DuckDBExecutor, child


class Lab:
    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.work = folder / "work"
        self.data.mkdir()
        self.work.mkdir()
        self.executor = DuckDBExecutor([self.data], [self.data / "workspace"], memory_limit="500MB", threads=2)
        self.numbers = itertools.count()

    def describe(self, source, **limits):
        return json.loads(json.dumps(child.describe(self.params(self.executor.describe_params(source, **limits)))))

    def types(self, source):
        return {column["name"]: column["type"] for column in self.describe(source)["columns"]}

    def unload(self, source, query, types=None, report=None, **params):
        """Return (result, table) of an unload for real; the folder is removed again."""
        found = self.executor.resolve(source)
        folder = self.work / str(next(self.numbers))
        folder.mkdir()
        asked = self.executor.unload_params(found, query, types or self.types(source), folder, folder / "tmp")
        try:
            result = child.unload(self.params({**asked, **params}), report or (lambda progress: None))
            json.dumps(result)
            assert sorted(path.name for path in folder.iterdir()) == sorted(file["name"] for file in result["files"])
            for file in result["files"]:
                assert (folder / file["name"]).stat().st_size == file["bytes"]
            tables = [pq.ParquetFile(folder / file["name"]).read() for file in result["files"]]
            return result, pa.concat_tables(tables)
        finally:
            shutil.rmtree(folder)

    def table(self, source, columns, *filters, ratio=1.0, seed=0, types=None, **params):
        query = Query(tuple(columns), tuple(Comparison(*item) for item in filters), ratio, seed)
        return self.unload(source, query, types, **params)[1]

    def rows(self, source, columns, *filters, **options):
        table = self.table(source, columns, *filters, **options)
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    @staticmethod
    def params(params):
        return json.loads(json.dumps(params))  # they cross a pipe

    def parquet(self, name, **columns):
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
        return path

    def duckdb(self, name, *statements):
        with duckdb.connect(str(self.data / name)) as connection:
            for statement in statements:
                connection.execute(statement)

    def sqlite(self, name, *statements, rows=None):
        connection = sqlite3.connect(self.data / name)
        for statement in statements:
            if rows is not None and "?" in statement:
                connection.executemany(statement, rows)
            else:
                connection.execute(statement)
        connection.commit()
        connection.close()


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    """One laboratory for a module, for tests which only read what a fixture put there."""
    return Lab(tmp_path_factory.mktemp("lab"))
