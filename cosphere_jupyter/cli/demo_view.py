"""A table of the catalogue as lines of text: what a notebook shows as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..client import charts
from ..client.text import plain, share_text

if TYPE_CHECKING:
    from ..client.columns import Column
    from ..client.table import Table

_NAME = 24


def columns(table: Table) -> Iterator[str]:
    """Return a heading and a line for each column: name, type, share of nulls and distribution."""
    rows = charts.rows_of(table.columns)
    width = min(max([len("column"), *(len(each.name) for each in table.columns)]), _NAME)
    yield f"{'column':<{width}}  {'type':<13}{'nulls':>7}  distribution"
    for each in table.columns:
        kind = f"{each.type}{' enum' if each.is_enum else ''}"
        facts = f"{plain(each.name, width):<{width}}  {kind:<13}{_nulls(each, rows):>7}"
        yield f"{facts}  {charts.line(each, rows)}".rstrip()


def _nulls(column: Column, rows: int | None) -> str:
    found = charts.shape(column, rows)
    return "" if found is None else share_text(found.nulls, found.total)
