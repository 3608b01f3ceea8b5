"""How a worksheet looks in a notebook: its blocks as escaped HTML, without scripts and without asking the server."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .text import html

MOST_BLOCKS = 200
MOST_ROWS = 200
MOST_COLUMNS = 40
LONGEST_TEXT = 20_000
LONGEST_CELL = 300
# Pictures that a page may show without running anything that is in them.
_IMAGES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp"}
_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_CELL = 'style="text-align:left;vertical-align:top;overflow-wrap:anywhere;max-width:30em"'
_PRE = 'style="white-space:pre-wrap;overflow-wrap:anywhere;margin:.3em 0"'
_FAINT = 'style="opacity:.7"'
_WIDTH, _HEIGHT = 460, 240
_LEFT, _RIGHT, _BELOW = 56, 12, 24
Block = Mapping[str, Any]


def page(name: str, title: str | None, facts: str, blocks: Sequence[Block]) -> str:
    """Return a worksheet as HTML."""
    shown = "".join(f'<div style="margin:.6em 0">{block_html(each)}</div>' for each in blocks[:MOST_BLOCKS])
    more = _more(len(blocks) - MOST_BLOCKS, "blocks")
    named = f" <span {_FAINT}>{html(name)}</span>" if title else ""
    heading = f'<strong style="font-size:115%">{html(title or name)}</strong>{named}'
    return f"<div><div>{heading}</div><div {_FAINT}>{html(facts)}</div>{shown}{more}</div>"


def block_html(block: Block) -> str:
    """Return one block as HTML; of a kind that is not known, nothing."""
    mode = str(block.get("mode"))
    shown = _SHOWN.get(mode)
    if shown is None:
        return ""
    try:
        return shown(block)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError):
        # A server of another version tells something else.
        return f"<div {_FAINT}>{html(mode)} cannot be shown here</div>"


def _markup(block: Block) -> str:
    text = str(block["text"])[:LONGEST_TEXT]
    return "".join(_lines(text.splitlines()))


def _lines(lines: Sequence[str]) -> list[str]:
    parts: list[str] = []
    plain: list[str] = []
    for line in [*lines, None]:
        match = _HEADING.fullmatch(line) if line is not None else None
        if (match or line is None) and any(each.strip() for each in plain):
            parts.append(f"<div {_PRE}>{_text(plain)}</div>")
        if match or line is None:
            plain = []
        if match:
            size = 135 - 8 * len(match[1])
            parts.append(
                f'<div style="font-size:{size}%;margin:.4em 0 .2em"><strong>{html(match[2], 500)}</strong></div>'
            )
        elif line is not None:
            plain.append(line)
    return parts


def _text(lines: Sequence[str]) -> str:
    return "\n".join(html(line, LONGEST_TEXT) for line in lines).strip("\n")


def _table(block: Block) -> str:
    header = [str(each) for each in block["header"]][:MOST_COLUMNS]
    rows = list(block["rows"])
    head = "".join(f"<th scope='col' {_CELL}>{html(each)}</th>" for each in header)
    body = "".join(
        "<tr>" + "".join(f"<td {_CELL}>{_cell(row.get(name))}</td>" for name in header) + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    more = _more(len(rows) - MOST_ROWS, "rows")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _record(block: Block) -> str:
    rows = "".join(
        f"<tr><th {_CELL}>{html(row['key'])}</th><td {_CELL}>{_cell(row.get('value'))}</td></tr>"
        for row in list(block["rows"])[:MOST_ROWS]
    )
    return f"{_of(block)}<table>{rows}</table>"


def _contents(block: Block) -> str:
    if block.get("lines") is None:
        return f"{_of(block)}{_why(block)}"
    return f"{_of(block)}<pre {_PRE}>{_text([str(line) for line in block['lines']])}</pre>"


def _image(block: Block) -> str:
    data = block.get("image_data")
    kind = _kind_of(str(data)) if data else None
    if kind is None:
        return f"{_of(block)}{_why(block)}"
    size = "".join(f' {side}="{block[side]}"' for side in ("width", "height") if _is_size(block.get(side)))
    # Only letters, digits and +/= : what is not, _kind_of has refused.
    source = f"data:image/{kind};base64,{data}"
    return f'{_of(block)}<img style="max-width:100%" alt="{html(_path(block))}"{size} src="{source}">'


def _graph(block: Block) -> str:
    curves = [each for each in block["trajectories"] if each["points"]]
    points = [point for each in curves for point in each["points"]]
    if not points:
        return f"{_of(block)}<div {_FAINT}>no points</div>"
    (low_x, high_x), (low_y, high_y) = (
        (min(point[axis] for point in points), max(point[axis] for point in points)) for axis in (0, 1)
    )

    def place(point: Sequence[float]) -> str:
        x = (point[0] - low_x) / ((high_x - low_x) or 1)
        y = (point[1] - low_y) / ((high_y - low_y) or 1)
        return f"{_LEFT + x * (_WIDTH - _LEFT - _RIGHT):.1f},{_HEIGHT - _BELOW - y * (_HEIGHT - _BELOW - _RIGHT):.1f}"

    lines = "".join(
        f'<polyline fill="none" stroke="{_colour(number)}" stroke-width="1.5" '
        f'points="{" ".join(place(point) for point in each["points"])}"><title>{html(each["display_name"])}</title>'
        "</polyline>"
        for number, each in enumerate(curves)
    )
    legend = " ".join(
        f'<span style="color:{_colour(number)}">■</span> {html(each["display_name"])}'
        for number, each in enumerate(curves)
    )
    names = f"{html(block.get('ylabel') or 'y')} over {html(block.get('xlabel') or 'x')}"
    svg = (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{names}">'
        f"{_axes((low_x, high_x), (low_y, high_y))}{lines}</svg>"
    )
    return f"<div><div {_FAINT}>{names}</div>{svg}<div>{legend}</div></div>"


def _axes(across: Sequence[float], up: Sequence[float]) -> str:
    """Return a frame, and the ends of both axes."""
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BELOW
    frame = f'<path d="M{_LEFT},{_RIGHT} V{bottom} H{right}" fill="none" stroke="currentColor" stroke-opacity=".4"/>'
    places = [(_LEFT, bottom + 16, "start", across[0]), (right, bottom + 16, "end", across[1])]
    places += [(_LEFT - 5, bottom, "end", up[0]), (_LEFT - 5, _RIGHT + 9, "end", up[1])]
    return frame + "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="11" fill="currentColor">{value:.4g}</text>'
        for x, y, anchor, value in places
    )


def _colour(number: int) -> str:
    return f"hsl({(210 + number * 137) % 360} 65% 50%)"


def _is_size(text: Any) -> bool:
    return isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 5 and 0 < int(text) <= 4000


def _below(block: Block) -> str:
    rows = "".join(
        f"<div>▸ <strong>{html(each.get('title') or each.get('name'))}</strong> "
        f"<span {_FAINT}>{html(each.get('name'))} {html(str(each.get('uuid'))[:10])}</span></div>"
        for each in list(block["subworksheet_infos"])[:MOST_ROWS]
    )
    return f"<div>{rows}</div>"


_SHOWN = {
    "markup_block": _markup,
    "table_block": _table,
    "record_block": _record,
    "contents_block": _contents,
    "image_block": _image,
    "graph_block": _graph,
    "subworksheets_block": _below,
}


def _of(block: Block) -> str:
    """Return whose file is shown."""
    infos = block["bundles_spec"]["bundle_infos"]
    info = infos[0] if infos else {}
    name = (info.get("metadata") or {}).get("name") or info.get("name") or ""
    return f"<div {_FAINT}>{html(name)}{html(_path(block))}</div>"


def _path(block: Block) -> str:
    return str(block.get("target_genpath") or "").rstrip("/")


def _why(block: Block) -> str:
    status = block.get("status") or {}
    return f"<div><em>{html(status.get('error_message') or 'this is not shown here')}</em></div>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        value = f"{value:.10g}"
    return html(value, LONGEST_CELL)


def _more(count: int, what: str) -> str:
    return f"<div><em>and {count:,} more {what}</em></div>" if count > 0 else ""


def _kind_of(data: str) -> str | None:
    """Return the kind of a picture in base64; None for what is no picture, or one that may hold scripts."""
    if not re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", data):
        return None
    try:
        beginning = base64.b64decode(data[:16])
    except binascii.Error:
        return None
    return next((kind for magic, kind in _IMAGES.items() if beginning.startswith(magic)), None)
