"""How things look in a notebook: small, escaped, without scripts, and without asking the server.

Styles stand in the elements and only help: where they are taken away (GitHub, mail) plain tables are left. Colours are
those of the page, so that light and dark themes both do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from . import charts
from .text import html, plain, share_text, size_text

if TYPE_CHECKING:
    from .columns import Column
    from .table import Table

MOST_ROWS = 100
MOST_SAMPLE_ROWS = 10
MOST_SAMPLE_COLUMNS = 40
LONGEST_CELL = 80
LONGEST_DESCRIPTION = 1000
_LEFT = 'style="text-align:left"'
_CELL = 'style="text-align:left;vertical-align:top"'
_NUMBER = 'style="text-align:right;vertical-align:top;white-space:nowrap"'
_UNBROKEN = 'style="text-align:left;vertical-align:top;white-space:nowrap"'
_WRAPPED = 'style="text-align:left;vertical-align:top;overflow-wrap:anywhere;max-width:22em"'
_NAME = 'style="text-align:left;vertical-align:top;overflow-wrap:anywhere;min-width:8em;max-width:22em"'
_FAINT = 'style="opacity:.7"'
_TAG = 'style="border:1px solid currentColor;border-radius:8px;padding:0 6px;margin-left:4px;font-size:85%;opacity:.75"'


class Html:
    """Something with an HTML form."""

    def _repr_html_(self) -> str:
        raise NotImplementedError


def text_of(facts: Mapping[str, Any]) -> str:
    """Return facts on one line."""
    return " ".join(f"{name}={plain(value)}" for name, value in facts.items())


def fields(title: str, facts: Mapping[str, Any]) -> str:
    """Return facts as an HTML table of two columns."""
    rows = "".join(
        f"<tr><th {_LEFT}>{html(name)}</th><td {_LEFT}>{html(value)}</td></tr>" for name, value in facts.items()
    )
    return f"<div><strong>{html(title)}</strong><table>{rows}</table></div>"


def table(title: str, headings: Sequence[str], rows: Iterable[Sequence[Any]], total: int) -> str:
    """Return the first rows of ``total`` as an HTML table."""
    body = "".join(
        "<tr>" + "".join(f"<td {_WRAPPED}>{html(value)}</td>" for value in row) + "</tr>"
        for row in islice(rows, MOST_ROWS)
    )
    inside = _table(headings, body) if body else ""
    return f"<div><strong>{html(title)}</strong>{inside}{_more(total - MOST_ROWS)}</div>"


def catalogue_list(title: str, tables: Sequence[Table]) -> str:
    """Return tables of the catalogue, a line each."""
    rows = (_catalogue_row(each) for each in tables)
    headings = ("table", "description", "columns", "source", "maintained by", "sample")
    body = "".join(islice(rows, MOST_ROWS))
    inside = _table(headings, body) if body else ""
    return f"<div><strong>{html(title)}</strong>{inside}{_more(len(tables) - MOST_ROWS)}</div>"


def _catalogue_row(each: Table) -> str:
    names = ", ".join(column.name for column in each.columns[:50])
    maintainer = each.maintained_by.email if each.maintained_by else ""
    sample = f"{len(each.sample_rows):,} rows" if each.sample_rows else ""
    return (
        f"<tr><td {_NAME}><strong>{html(each.name)}</strong></td>"
        f"<td {_WRAPPED}>{html(each.description)}{_tags(each.tags)}</td>"
        f"<td {_WRAPPED}>{len(each.columns):,}: <span {_FAINT}>{html(names, 100)}</span></td>"
        f"<td {_WRAPPED}>{html(each.executor_type)} {html(each.source)}</td>"
        f"<td {_WRAPPED}>{html(maintainer)}</td><td {_CELL}>{sample}</td></tr>"
    )


def catalogue_table(each: Table) -> str:
    """Return a table of the catalogue with its columns, their distributions and its sample."""
    rows = charts.rows_of(each.columns)
    facts = [
        html(f"{each.executor_type} {each.source or ''}".strip()),
        "" if rows is None else f"{rows:,} rows",
        f"{len(each.columns):,} columns",
        f"maintained by {html(each.maintained_by.email)}" if each.maintained_by else "",
    ]
    described = any(column.description for column in each.columns)
    headings = ["column", "type", "nulls", "size", "distribution", *(["description"] if described else [])]
    body = "".join(_column_row(column, rows, described) for column in each.columns[:MOST_ROWS])
    description = f"<div>{html(each.description, LONGEST_DESCRIPTION)}</div>" if each.description else ""
    return (
        f'<div><div><strong style="font-size:115%">{html(each.name)}</strong>{_tags(each.tags)}</div>{description}'
        f"<div {_FAINT}>{' · '.join(filter(None, facts))}</div>"
        f"{_table(headings, body)}{_more(len(each.columns) - MOST_ROWS)}{_sample(each)}</div>"
    )


def _column_row(column: Column, rows: int | None, described: bool) -> str:
    picture = charts.svg(column, rows)
    kind = f"{column.type}{' enum' if column.is_enum else ''}"
    note = f"<td {_WRAPPED}>{html(column.description)}</td>" if described else ""
    return (
        f"<tr><th scope='row' {_NAME}>{html(column.name)}</th><td {_CELL}>{html(kind)}</td>"
        f"<td {_NUMBER}>{html(null_text(column, rows))}</td><td {_NUMBER}>{size_of(column)}</td>"
        f"<td {_CELL}>{picture}</td>{note}</tr>"
    )


def null_text(column: Column, rows: int | None) -> str:
    """Return the share of NULLs of a column, or whether there may be any."""
    if not column.is_nullable:
        return "not null"
    found = charts.shape(column, rows)
    return "nullable" if found is None else share_text(found.nulls, found.total)


def size_of(column: Column) -> str:
    """Return the bytes of a column for people; an empty text where they are not known."""
    # Infinite or not a number: a size may come from anywhere.
    size = column.size
    return size_text(int(size)) if isinstance(size, int | float) and 0 <= size < 2**63 else ""


def _sample(each: Table) -> str:
    if not each.sample_rows:
        return ""
    columns = each.columns[:MOST_SAMPLE_COLUMNS]
    head = "".join(
        f"<th scope='col' {_aligned(column.type)}>{html(column.name, LONGEST_CELL)}</th>" for column in columns
    )
    body = "".join(
        "<tr>" + "".join(_value(row.get(column.name), column.type) for column in columns) + "</tr>"
        for row in each.sample_rows[:MOST_SAMPLE_ROWS]
    )
    shown = min(len(each.sample_rows), MOST_SAMPLE_ROWS)
    more = _more(len(each.columns) - len(columns), " columns")
    return (
        f"<details><summary>Sample: {shown} of {len(each.sample_rows):,} rows</summary>"
        f'<div style="overflow-x:auto">{_framed(head, body)}{more}</div></details>'
    )


def _value(value: Any, kind: str) -> str:
    if value is None:
        return f'<td {_aligned(kind)}><em style="opacity:.6">null</em></td>'
    if isinstance(value, bool):
        value = charts.value_text(value)
    elif isinstance(value, float):
        value = f"{value:.10g}"
    return f"<td {_aligned(kind)}>{html(value, LONGEST_CELL)}</td>"


def _aligned(kind: str) -> str:
    return {"INTEGER": _NUMBER, "FLOAT": _NUMBER, "DATETIME": _UNBROKEN}.get(kind, _CELL)


def _tags(tags: Sequence[str]) -> str:
    return "".join(f" <span {_TAG}>{html(tag, 64)}</span>" for tag in tags)


def _table(headings: Sequence[str], body: str) -> str:
    return _framed("".join(f"<th scope='col' {_LEFT}>{html(heading)}</th>" for heading in headings), body)


def _framed(head: str, body: str) -> str:
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _more(count: int, what: str = "") -> str:
    return f"<div><em>and {count:,} more{what}</em></div>" if count > 0 else ""
