"""The calls that widgets show: run as they stand, they make what the widget made."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cosphere_jupyter import Filter
from cosphere_jupyter.client.query import Query
from cosphere_jupyter.client.table import Table
from cosphere_jupyter.widgets.code import LONGEST_LINE, query_call, quoted, search_call, spec_json, table_call

NAMES = st.text(min_size=1, max_size=12)
VALUES = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.text(max_size=20))


def table(names: list[str], name: str = "flights") -> Table:
    workspace: Any = SimpleNamespace(url="http://127.0.0.1/cosphere")
    spec = [{"name": each, "type": "STRING"} for each in names]
    return Table(workspace, {"id": 1, "name": name, "executor_type": "DUCKDB", "spec": spec})


def run(code: str, made: Table) -> Any:
    return eval(code, {"ws": SimpleNamespace(catalogue={made.name: made})})


@given(
    name=NAMES,
    names=st.lists(NAMES, min_size=1, max_size=30, unique=True),
    ratio=st.none() | st.floats(0, 1),
    seed=st.none() | st.integers(),
    data=st.data(),
)
def test_the_code_makes_the_same_query(
    name: str, names: list[str], ratio: float | None, seed: int | None, data: Any
) -> None:
    made = table(names, name)
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    operators = st.sampled_from([">", ">=", "<", "<=", "=", "!="])
    filters = data.draw(st.lists(st.builds(Filter, st.sampled_from(names), operators, VALUES), max_size=4))
    query = made.select(*chosen).where(*filters)
    query = query if ratio is None else query.sample(ratio, seed)
    found: Query = run(query_call(query), made)
    assert json.dumps(found.spec) == json.dumps(query.spec)


def test_a_short_query_is_one_line_and_a_long_one_is_broken_between_its_calls() -> None:
    made = table([f"column_{n}" for n in range(60)])
    assert query_call(made.select("column_1")) == 'ws.catalogue["flights"].select("column_1")'
    assert query_call(made.select()) == 'ws.catalogue["flights"].select()'
    long = query_call(made.select(*[f"column_{n}" for n in range(50)]).where("column_1 = 'x'").sample(0.5, seed=7))
    lines = long.splitlines()
    assert max(map(len, lines)) <= LONGEST_LINE
    assert lines[1] == '    ws.catalogue["flights"]' and lines[-2] == "    .sample(0.5, seed=7)"


def test_searches_and_tables_are_calls_too() -> None:
    assert search_call() == "ws.catalogue.search()"
    assert search_call(" fli ", "air") == 'ws.catalogue.search("fli", tag="air")'
    assert table_call('the "best"') == "ws.catalogue['the \"best\"']"


@given(st.text())
def test_any_text_is_quoted_as_python_reads_it(text: str) -> None:
    assert eval(quoted(text)) == text


def test_the_json_is_that_of_the_request() -> None:
    query = table(["a", "ü"]).select("ü").where("a = 'é'")
    assert json.loads(spec_json(query)) == query.spec
    assert "ü" in spec_json(query)
