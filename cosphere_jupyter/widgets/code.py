"""The calls that a person would type for what a widget does."""

from __future__ import annotations

import json

from ..client.query import Query

LONGEST_LINE, INDENT = 88, 4


def search_call(text: str = "", tag: str = "") -> str:
    """Return the call that finds the same tables."""
    words = [quoted(text.strip())] if text.strip() else []
    return f"ws.catalogue.search({', '.join([*words, *([f'tag={quoted(tag)}'] if tag else [])])})"


def table_call(name: str) -> str:
    """Return the call that gives a table."""
    return f"ws.catalogue[{quoted(name)}]"


def look_call(name: str) -> str:
    """Return the call that lets the server look into a table's data."""
    return f"{table_call(name)}.update_samples()"


def query_call(query: Query) -> str:
    """Return the call that makes a query; over several lines if it is long."""
    chain = [("select", [quoted(each) for each in selected(query)])]
    if query.filters:
        chain.append(("where", [quoted(str(each)) for each in query.filters]))
    if query.ratio is not None:
        seed = [] if query.seed is None else [f"seed={query.seed}"]
        chain.append(("sample", [repr(query.ratio), *seed]))
    start = table_call(query.table.name)
    line = start + "".join(_call(name, arguments) for name, arguments in chain)
    if len(line) <= LONGEST_LINE:
        return line
    lines = [start, *(each for name, arguments in chain for each in _lines(name, arguments))]
    return "\n".join(["(", *(f"    {each}" for each in lines), ")"])


def selected(query: Query) -> tuple[str, ...]:
    """Return the names that ``select`` needs: none for all columns as the table has them."""
    every = tuple(column.name for column in query.table.columns)
    return () if query.columns == every else query.columns


def spec_json(query: Query) -> str:
    """Return the JSON of a query's request, readable."""
    return json.dumps(query.spec, indent=2, ensure_ascii=False)


def quoted(text: str) -> str:
    """Return a text as Python writes it, in double quotes where that needs no escape."""
    written = repr(text)
    return written if "'" in text or '"' in text else f'"{written[1:-1]}"'


def _call(name: str, arguments: list[str]) -> str:
    return f".{name}({', '.join(arguments)})"


def _lines(name: str, arguments: list[str]) -> list[str]:
    call = _call(name, arguments)
    if len(call) <= LONGEST_LINE - INDENT:
        return [call]
    rows = [""]
    for each in arguments:
        if rows[-1] and len(rows[-1]) + len(each) > LONGEST_LINE - 2 * INDENT - 2:
            rows.append("")
        rows[-1] += f"{' ' if rows[-1] else ''}{each},"
    return [f".{name}(", *(f"    {row}" for row in rows), ")"]
