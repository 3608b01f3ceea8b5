"""A laboratory for profiles: the child's function on real files, and what it leaves in its folder."""

from __future__ import annotations

import itertools
import json
import sqlite3
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cosphere_jupyter.catalogue.spec import sample_errors, spec_errors
from cosphere_jupyter.executors.duckdb import DuckDBExecutor, child


class Found:
    """An outcome: ``columns`` and ``facts`` (the estimator's) by name, ``sample`` and ``rows``."""

    def __init__(self, outcome, folder):
        self.rows = outcome["rows"]
        self.spec = outcome["columns"]
        self.sample = outcome["sample"]
        self.columns = {column["name"]: column for column in outcome["columns"]}
        self.facts = outcome["estimator"]["columns"]
        self.estimator = outcome["estimator"]
        self.stored = folder / "sample.parquet"

    def distribution(self, name):
        entries = self.columns[name]["distribution"]
        return [(entry["value"], entry["count"]) for entry in entries]


class Lab:
    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.work = folder / "work"
        self.data.mkdir()
        self.work.mkdir()
        self.executor = DuckDBExecutor([self.data], memory_limit="500MB", threads=2)
        self.numbers = itertools.count()

    def describe(self, name):
        return child.describe(plain(self.executor.describe_params(name)))["columns"]

    def profile(self, name, spec=None, **limits):
        """Profile a source for real; what is found must satisfy every rule of the catalogue."""
        spec = spec or self.describe(name)
        folder = self.work / str(next(self.numbers))
        folder.mkdir()
        params = self.executor.profile_params(self.executor.resolve(name), spec, folder, folder / "tmp", **limits)
        reports = []
        result = child.profile(plain(params), reports.append)
        outcome = json.loads((folder / child.OUTCOME).read_text())
        assert result == {"rows": outcome["rows"], "data_version": self.executor.resolve(name).version}
        assert [column["name"] for column in outcome["columns"]] == [column["name"] for column in spec]
        assert spec_errors(outcome["columns"]) == []
        assert sample_errors(outcome["columns"], outcome["sample"]) == []
        fractions = [report["fraction"] for report in reports]
        assert fractions == sorted(fractions) and all(0 <= fraction <= 1 for fraction in fractions)
        return Found(outcome, folder)

    def parquet(self, name, table, **options):
        if not isinstance(table, pa.Table):
            table = pa.table(table)
        pq.write_table(table, self.data / name, **options)
        return name

    def duckdb(self, name, *statements):
        with duckdb.connect(str(self.data / name)) as connection:
            for statement in statements:
                connection.execute(statement)

    def sqlite(self, name, *statements):
        connection = sqlite3.connect(self.data / name)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()


def plain(params):
    return json.loads(json.dumps(params))  # they cross a pipe


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path)


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    """One laboratory for tests that make many small files."""
    return Lab(tmp_path_factory.mktemp("profiles"))
