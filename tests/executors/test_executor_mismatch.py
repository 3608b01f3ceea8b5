"""Data that are no more what the catalogue says: told in words of the catalogue, not of the engine."""

from __future__ import annotations

import datetime

import pytest

from cosphere_jupyter.errors import ExecutionError

TEXT = "The table's data no longer match its catalogue entry"
ODD = 'a "b" AS c'


@pytest.fixture
def failure(lab):
    def of(source, columns, types, *filters):
        with pytest.raises(ExecutionError) as failed:
            lab.table(source, columns, *filters, types=types)
        return str(failed.value)

    return of


@pytest.mark.parametrize("name", ["a", "a b", ODD, "É", "x" * 150])
@pytest.mark.parametrize(("kind", "filter_value"), [("INTEGER", 5), ("FLOAT", 1.5), ("BOOLEAN", True)])
def test_the_column_that_does_not_convert_is_named(lab, failure, name, kind, filter_value):
    lab.parquet("a.parquet", **{name: ["1", "/srv/secret/x"], "n": [1, 2]})
    types = {name: kind, "n": "INTEGER"}
    assert failure("a.parquet", [name], types) == f"{TEXT}: column '{name}'."
    assert failure("a.parquet", ["n"], types, (name, "=", filter_value)) == f"{TEXT}: column '{name}'."


@pytest.mark.parametrize("name", ["day", ODD])
def test_dates_are_told_likewise(lab, failure, name):
    lab.parquet("a.parquet", **{name: ["2020-01-01", "soon"], "n": [1, 2]})
    types = {name: "DATETIME", "n": "INTEGER"}
    assert failure("a.parquet", [name], types) == f"{TEXT}: column '{name}'."
    asked = (name, ">", datetime.datetime(2020, 1, 1))
    assert failure("a.parquet", ["n"], types, asked).startswith(TEXT)


def test_text_files_are_told_likewise(lab, failure):
    (lab.data / "a.csv").write_text("n,word\n1,a\nx,b\n")
    (lab.data / "a.jsonl").write_text('{"n": 1}\n{"n": "x"}\n')
    types = {"n": "INTEGER", "word": "STRING"}
    assert failure("a.csv", ["n"], types) == f"{TEXT}: column 'n'."
    assert failure("a.jsonl", ["n"], {"n": "INTEGER"}) == f"{TEXT}."
