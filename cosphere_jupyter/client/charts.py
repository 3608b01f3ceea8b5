"""The distribution of a column as a small picture: SVG without any script or style sheet, or one line of text.

A distribution is what the catalogue says: for numbers the left edges of equal bins, for times bins with their ends, for
all else the most frequent values (older ones have such for times, too). It may come from anywhere, so that what does
not fit is left out rather than trusted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any

from .text import clean, columns_of, fitted, number_text, plain, rows_text, share_text

if TYPE_CHECKING:
    from .columns import Column

# The server makes at most so many bins; of fewer values than SURELY_ALL it lists all.
BINS = 100
SURELY_ALL = 50
TIME_BINS = 60
MOST_BARS = 4
WIDTH, PLOT_WIDTH, PLOT_HEIGHT, LINE = 250, 182, 30, 12
LABEL_COLUMNS, BAR_WIDTH, NOTE_LEFT = 16, 88, 84
# One value takes no more room than one of several.
FEWEST = 8
EPOCH = datetime(1970, 1, 1)
# JupyterLab's own colour where there is one; elsewhere one that is seen on white and on black.
_BLUE = 'fill="#4a8fc7" style="fill:var(--jp-brand-color1,#4a8fc7)"'
_TEXT = 'fill="currentColor"'
_BLOCKS = "▁▂▃▄▅▆▇█"
_FRACTION = re.compile(r"\.([0-9]{1,6})")


@dataclass(frozen=True)
class Shape:
    """What a picture shows. Either ``bins`` (with the texts of both ends) or ``bars`` (value and count) are there.

    ``known`` rows were counted, of ``total``; ``values`` is how many different values the distribution lists. The first
    bin begins at ``start``, each is ``width`` wide: in the column's own unit, for times in seconds since 1970.
    """

    total: int
    known: int
    nulls: int
    values: int
    bins: tuple[int, ...] = ()
    low: str = ""
    high: str = ""
    start: float = 0
    width: float = 0
    bars: tuple[tuple[str, int], ...] = ()

    @property
    def is_part(self) -> bool:
        """Whether there are rows whose values are not listed."""
        return self.known < self.total


def rows_of(columns: Sequence[Column]) -> int | None:
    """Return how many rows a table had when its columns were looked at; None if no column tells for sure."""
    sure = [
        sum(count for _, count in _entries(column))
        for column in columns
        if column.distribution is not None
        and (_is_histogram(column) or _ends(column) or len(column.distribution) < SURELY_ALL)
    ]
    return max(sure, default=None)


def shape(column: Column, rows: int | None = None) -> Shape | None:
    """Return what there is to show of a column, None where nothing is known; ``rows`` are the table's."""
    if column.distribution is None:
        return None
    entries = _entries(column)
    nulls = sum(count for value, count in entries if value is None)
    present = [(value, count) for value, count in entries if value is not None]
    known = nulls + sum(count for _, count in present)
    facts: dict[str, Any] = {"total": max(rows or 0, known), "known": known, "nulls": nulls, "values": len(present)}
    if _is_histogram(column):
        numbers = [(value, count) for value, count in present if _is_number(value)]
        return Shape(**facts, **_number_bins(numbers, column.type == "INTEGER"))
    if column.type == "DATETIME" and not column.is_enum:
        moments = [(moment, count) for value, count in present if (moment := _moment(value)) is not None]
        if bins := _given_bins(moments, _ends(column)):
            return Shape(**facts, **bins)
        if moments:
            return Shape(**facts, **_time_bins(moments))
    return Shape(**facts, bars=tuple((value_text(value), count) for value, count in ranked_values(column)))


def ranked_values(column: Column) -> list[tuple[Any, int]]:
    """Return the values that a distribution lists with their counts, the most frequent first; NULL is none."""
    present = [(value, count) for value, count in _entries(column) if value is not None]
    return sorted(present, key=lambda entry: -entry[1])


def value_text(value: Any) -> str:
    """Return a value of a distribution for people."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    return clean(value) or "(empty)"


def _entries(column: Column) -> list[tuple[Any, int]]:
    found = []
    for entry in column.distribution or ():
        count = entry.get("count")
        if "value" in entry and isinstance(count, int) and count > 0:
            found.append((entry["value"], count))
    return found


def _ends(column: Column) -> list[datetime]:
    """Return the ends of a column's bins of time, if it has any."""
    ends = [_moment(entry["end"]) for entry in column.distribution or () if "end" in entry]
    return [end for end in ends if end is not None] if column.type == "DATETIME" else []


def _is_histogram(column: Column) -> bool:
    return column.type in ("INTEGER", "FLOAT") and not column.is_enum


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 10**300


# -- bins ------------------------------------------------------------------------------------------------------------


def _number_bins(numbers: Sequence[tuple[Any, int]], is_whole: bool) -> dict[str, Any]:
    if not numbers:
        return {}
    edges = sorted(value for value, _ in numbers)
    low, span = edges[0], edges[-1] - edges[0]
    if not span:
        text = number_text(low)
        return {"bins": (sum(count for _, count in numbers),), "low": text, "high": text, "start": low}
    width = _whole_width(edges) if is_whole and all(isinstance(edge, int) for edge in edges) else span / (BINS - 1)
    bins = [0] * (round(span / width) + 1)
    for value, count in numbers:
        bins[round((value - low) / width)] += count
    high = low + width * len(bins) - (1 if is_whole else 0)
    exact = not is_whole or width == 1
    return {
        "bins": tuple(bins),
        "low": number_text(low),
        "high": number_text(high) if exact else f"≤ {number_text(high)}",
        "start": low,
        "width": width,
    }


def _whole_width(edges: Sequence[int]) -> float:
    """Return how many integers a bin holds: the smallest number that the edges allow."""
    span = edges[-1] - edges[0]
    least = -(-(span + 1) // BINS)
    for width in (least, least + 1):
        if all((edge - edges[0]) % width == 0 for edge in edges):
            return width
    return max(span / (BINS - 1), 1)


def _given_bins(moments: Sequence[tuple[datetime, int]], ends: Sequence[datetime]) -> dict[str, Any] | None:
    """Return bins as they are stored, with the empty ones between them; None if these are no bins."""
    if not moments or len(moments) != len(ends):
        return None
    first, last = min(moments)[0], max(ends)
    width = (min(ends) - first).total_seconds()
    places = [round((moment - first).total_seconds() / width) if width > 0 else 0 for moment, _ in moments]
    if last < first or max(places) >= BINS:
        return None
    bins = [0] * (max(places) + 1)
    for place, (_, count) in zip(places, moments, strict=True):
        bins[place] += count
    in_days = width >= 86_400 or first.time() == last.time() == datetime.min.time()
    if len(bins) > 1 and width < 60 and first.date() == last.date():
        # Both ends would look the same to the minute, and there is no room for two days with seconds.
        low, high = first.isoformat(" ", "seconds"), last.time().isoformat(_precision(width))
    else:
        low, high = (_moment_text(moment, in_days) for moment in (first, last))
    return {"bins": tuple(bins), "low": low, "high": high, "start": (first - EPOCH).total_seconds(), "width": width}


def _time_bins(moments: Sequence[tuple[datetime, int]]) -> dict[str, Any]:
    first, last = min(moments)[0], max(moments)[0]
    span = (last - first).total_seconds()
    bins = [0] * (min(TIME_BINS, len({moment for moment, _ in moments})) if span else 1)
    for moment, count in moments:
        place = (moment - first).total_seconds() / span if span else 0.0
        bins[min(int(place * len(bins)), len(bins) - 1)] += count
    in_days = span >= 3 * 86_400 or first.time() == last.time() == datetime.min.time()
    low, high = (_moment_text(moment, in_days) for moment in (first, last))
    start, width = (first - EPOCH).total_seconds(), span / len(bins)
    return {"bins": tuple(bins), "low": low, "high": high, "start": start, "width": width}


def _moment_text(moment: datetime, in_days: bool, width: float = 60) -> str:
    # isoformat, as strftime writes the year 12 differently on each system.
    return moment.date().isoformat() if in_days else moment.isoformat(" ", _precision(width))


def _precision(width: float) -> str:
    return "minutes" if width >= 60 else "seconds" if width >= 1 else "milliseconds"


def _moment(value: Any) -> datetime | None:
    try:
        # Python 3.10 reads neither Z nor fractions of any length.
        fraction = _FRACTION.match(str(value), 19)
        moment = datetime.fromisoformat(str(value)[:19].rstrip("Z"))
        return moment.replace(microsecond=int(fraction[1].ljust(6, "0"))) if fraction else moment
    except ValueError:
        return None


def bin_texts(found: Shape, kind: str) -> list[str]:
    """Return what each bin of a column of type ``kind`` holds, for people: ``30 to 43: 1,234 rows``."""
    return [
        f"{_bin_text(found, place, kind)}: {rows_text(count)}{_share_of(count, found)}"
        for place, count in enumerate(found.bins)
    ]


def bar_texts(found: Shape) -> list[str]:
    """Return what each bar tells, for people: ``UA: 58,665 rows (17 %)``."""
    return [f"{clean(value, 60)}: {rows_text(count)}{_share_of(count, found)}" for value, count in found.bars]


def _bin_text(found: Shape, place: int, kind: str) -> str:
    if not found.width:
        return found.low
    left, right = found.start + place * found.width, found.start + (place + 1) * found.width
    if kind == "DATETIME":
        in_days = found.width >= 86_400 or not (left % 86_400 or right % 86_400)
        first, last = (_moment_text(EPOCH + timedelta(seconds=each), in_days, found.width) for each in (left, right))
        return first if first == last else f"{first} to {last}"
    if kind == "INTEGER" and isinstance(left, int):
        return number_text(left) if found.width == 1 else f"{number_text(left)} to {number_text(right - 1)}"
    return f"{number_text(left)} to {number_text(right)}"


def _share_of(count: int, found: Shape) -> str:
    return f" ({share_text(count, found.total)})" if found.total else ""


# -- pictures --------------------------------------------------------------------------------------------------------


def svg(column: Column, rows: int | None = None) -> str:
    """Return the distribution of a column as inline SVG; an empty text where nothing is known."""
    found = shape(column, rows)
    if found is None:
        return ""
    if not found.known:
        return "<em>no rows</em>" if rows == 0 or not found.total else "<em>no values</em>"
    body, height = _vertical(found) if found.bins else _horizontal(found)
    title = escape(f"{clean(column.name, 80)}: {words(found)}", quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-size="10" font-family="sans-serif" direction="ltr" '
        f'style="display:block;overflow:visible">'
        f"<title>{title}</title>{body}</svg>"
    )


def words(found: Shape) -> str:
    """Return what a picture shows, in words."""
    if found.bins:
        told = f"from {found.low} to {found.high}"
    else:
        shown = ", ".join(f"{clean(value, 40)} {count:,}" for value, count in found.bars[:MOST_BARS])
        more = found.values - MOST_BARS
        told = shown + (f" and {more:,} more values" if more > 0 else "") if shown else "no values"
    if found.nulls:
        told += f"; {found.nulls:,} null ({share_text(found.nulls, found.total)})"
    if found.is_part:
        told += f"; {share_text(found.known, found.total)} of the rows are shown"
    return told


def _vertical(found: Shape) -> tuple[str, int]:
    highest, step = max(found.bins), PLOT_WIDTH / max(len(found.bins), FEWEST)
    gap = 1.0 if step >= 4 else 0.0
    path = []
    for place, count in enumerate(found.bins):
        if count:
            # A bin that holds something is seen, however little it is.
            height = max(count / highest * PLOT_HEIGHT, 1.0)
            path.append(f"M{place * step:.1f} {PLOT_HEIGHT}v-{height:.1f}h{step - gap:.1f}v{height:.1f}z")
    base = PLOT_HEIGHT + 0.5
    parts = [
        f'<path d="{"".join(path)}" {_BLUE}/>',
        f'<path d="M0 {base}h{PLOT_WIDTH}" stroke="currentColor" stroke-opacity=".35"/>',
        _label(0, PLOT_HEIGHT + 11, found.low, "start"),
    ]
    if found.high != found.low:
        parts.append(_label(PLOT_WIDTH, PLOT_HEIGHT + 11, found.high, "end"))
    if found.nulls:
        parts.append(_gauge(found))
    if found.is_part:
        note = f"the most frequent values: {share_text(found.known, found.total)} of rows"
        parts.append(_label(0, PLOT_HEIGHT + 11 + LINE, note, "start", ".65"))
    return "".join(parts), PLOT_HEIGHT + 15 + found.is_part * LINE


def _gauge(found: Shape) -> str:
    """Draw the share of NULLs as a vessel: full would be all of the rows."""
    left, height = PLOT_WIDTH + 22, max(found.nulls / found.total * (PLOT_HEIGHT - 1), 1.0)
    middle = left + 6
    return (
        f'<rect x="{left}" y="{PLOT_HEIGHT - height:.1f}" width="12" height="{height:.1f}" {_TEXT} fill-opacity=".5"/>'
        f'<rect x="{left + 0.5}" y="0.5" width="11" height="{PLOT_HEIGHT - 0.5}" fill="none" '
        f'stroke="currentColor" stroke-opacity=".35"/>{_label(middle, PLOT_HEIGHT + 11, "null", "middle", ".65")}'
    )


def _horizontal(found: Shape) -> tuple[str, int]:
    bars = found.bars[: MOST_BARS if len(found.bars) > MOST_BARS + 1 else MOST_BARS + 1]
    lines = [(text, count, False) for text, count in bars]
    if found.nulls:
        lines.append(("null", found.nulls, True))
    highest = max(count for _, count, _ in lines)
    labels = [fitted(text, LABEL_COLUMNS) for text, _, _ in lines]
    left = round(max(map(label_width, labels))) + 5
    parts = []
    for place, (label, (_, count, is_null)) in enumerate(zip(labels, lines, strict=True)):
        top, width = place * LINE, max(count / highest * BAR_WIDTH, 1.0)
        paint = f'{_TEXT} fill-opacity=".5"' if is_null else _BLUE
        parts.append(
            _label(left - 4, top + 9, label, "end", ".65" if is_null else "1")
            + f'<rect x="{left}" y="{top + 1.5}" width="{width:.1f}" height="{LINE - 3}" {paint}/>'
            + _label(left + width + 3, top + 9, f"{count:,}", "start", ".65")
        )
    more = found.values - len(bars)
    if more > 0:
        note = f"and {'at least ' if found.is_part else ''}{more:,} more value{'' if more == 1 else 's'}"
        parts.append(_label(min(left, NOTE_LEFT), len(lines) * LINE + 9, note, "start", ".65"))
    return "".join(parts), (len(lines) + (more > 0)) * LINE + 1


def label_width(text: str) -> float:
    """Return about how many pixels a label takes, rather too many than too few."""
    return columns_of(text) * 6.3 + sum(1.2 for each in text if each.isupper() or each in "mw")


def _label(x: float, y: float, text: str, anchor: str, opacity: str = "1") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" {_TEXT} fill-opacity="{opacity}">'
        f"{escape(text, quote=True)}</text>"
    )


# -- for terminals ---------------------------------------------------------------------------------------------------


def line(column: Column, rows: int | None = None, width: int = 20) -> str:
    """Return the distribution of a column as one line of text for a terminal."""
    found = shape(column, rows)
    if found is None:
        return ""
    if found.bins:
        size = -(-len(found.bins) // width)
        groups = [found.bins[start : start + size] for start in range(0, len(found.bins), size)]
        # The last group may have fewer bins.
        counts = [sum(group) / len(group) for group in groups]
        ends = found.low if found.low == found.high else f"{found.low} … {found.high}"
        part = f" ({share_text(found.known, found.total)} of the rows)" if found.is_part else ""
        return f"{_blocks(counts):<{width}}  {ends}{part}"
    if not found.bars:
        return f"{'':<{width}}  no values"
    shown = ", ".join(plain(value, 16) for value, _ in found.bars[:MOST_BARS])
    more = found.values - MOST_BARS
    return f"{_blocks([count for _, count in found.bars[:width]]):<{width}}  {shown}" + (
        f" and {'at least ' if found.is_part else ''}{more:,} more" if more > 0 else ""
    )


def _blocks(counts: Sequence[float]) -> str:
    highest = max(counts)
    return "".join(_BLOCKS[math.ceil(count / highest * len(_BLOCKS)) - 1] if count else " " for count in counts)
