"""How things look in a notebook and in a terminal: small, escaped, and without asking the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

LONGEST_TEXT = 200
MOST_ROWS = 100


class Html:
    """Something with an HTML form."""

    def _repr_html_(self) -> str:
        raise NotImplementedError


def text_of(facts: Mapping[str, Any]) -> str:
    """Return facts on one line."""
    return " ".join(f"{name}={shortened(value)}" for name, value in facts.items())


def fields(title: str, facts: Mapping[str, Any]) -> str:
    """Return facts as an HTML table of two columns."""
    rows = "".join(
        f'<tr><th style="text-align:left">{_cell(name)}</th><td style="text-align:left">{_cell(value)}</td></tr>'
        for name, value in facts.items()
    )
    return f"<div><strong>{_cell(title)}</strong><table>{rows}</table></div>"


def table(title: str, headings: Sequence[str], rows: Iterable[Sequence[Any]], note: str = "") -> str:
    """Return rows as an HTML table; of many the first are shown."""
    rows = list(rows)
    head = "".join(f'<th style="text-align:left">{_cell(heading)}</th>' for heading in headings)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{_cell(value)}</td>' for value in row) + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    if len(rows) > MOST_ROWS:
        note = f"{note} {len(rows) - MOST_ROWS:,} more are not shown.".strip()
    foot = f"<div><em>{_cell(note)}</em></div>" if note else ""
    inside = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if rows else ""
    return f"<div><strong>{_cell(title)}</strong>{inside}{foot}</div>"


def shortened(value: Any) -> str:
    """Return a value as text of bearable length."""
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def size_text(size: int | None) -> str:
    """Return a number of bytes for people."""
    if size is None:
        return ""
    number, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.3g} {unit}"


def _cell(value: Any) -> str:
    return escape(shortened(value), quote=True)
