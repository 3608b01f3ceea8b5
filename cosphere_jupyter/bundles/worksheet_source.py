"""The source of a worksheet: one line for each item, to be edited as a text.

``// …`` is a comment, ``[description]{spec}`` a bundle, ``[description]{{spec}}`` a worksheet, ``% …`` a directive, and
everything else markup. Descriptions are for people only and written anew each time. Comments are kept as directives
whose value begins with ``%``, as other implementations of the API do.

Nothing here knows the database. Source: the CodaLab REST API's semantics, section 4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .worksheet_items import BUNDLE, DIRECTIVE, MARKUP, WORKSHEET, NewItem

COMMENT_MARK = "//"
DIRECTIVE_MARK = "%"
_BUNDLE = re.compile(r"(?:\[.*\])?\s*\{([^{}]*)\}")
_WORKSHEET = re.compile(r"(?:\[.*\])?\s*\{\{([^{}]*)\}\}")
# What ends a line: nothing but this, so that no separator of other writing systems breaks a text.
_LINE_END = re.compile(r"\r\n|\n|\r")
LONGEST_COMMAND = 100


@dataclass(frozen=True)
class Line:
    """A line that was read: an item's type with its text; of bundles and worksheets, what they are named by."""

    type: str
    text: str
    raw: str


def lines_of(source: str) -> list[Line]:
    """Return the lines of a source; an empty one has none."""
    texts = _LINE_END.split(source)
    if texts and not texts[-1]:
        texts.pop()
    return [_line(text) for text in texts]


def items_of_lines(
    lines: Iterable[Line], bundle_of: Callable[[str], str | None], worksheet_of: Callable[[str], str | None]
) -> list[NewItem]:
    """Return lines as items. What a line names and nobody finds (None) stays the text that it is."""
    return [_item(line, bundle_of, worksheet_of) for line in lines]


def source_of(
    items: Iterable[NewItem], bundles: Mapping[str, str] | None = None, worksheets: Mapping[str, str] | None = None
) -> list[list[str]]:
    """Return the lines of each item, mostly one; ``bundles`` and ``worksheets`` are descriptions by uuid."""
    return [_written(item, bundles or {}, worksheets or {}) for item in items]


def description_of(bundle_type: str, name: str, command: str | None) -> str:
    """Return what stands before a bundle's uuid for people: ``run sort -- sort in``."""
    told = " ".join((command or "").split())
    shown = f"{told[: LONGEST_COMMAND - 1]}…" if len(told) > LONGEST_COMMAND else told
    return f"{bundle_type} {name}{f' -- {shown}' if shown else ''}"


def _line(text: str) -> Line:
    if text.startswith(COMMENT_MARK):
        said = text[len(COMMENT_MARK) :]
        # Other programs know it by a first word that is the mark.
        space = "" if not said or said[0].isspace() else " "
        return Line(DIRECTIVE, f"{DIRECTIVE_MARK}{space}{said}", text)
    if found := _WORKSHEET.fullmatch(text.strip()):
        return Line(WORKSHEET, found[1].strip(), text)
    if found := _BUNDLE.fullmatch(text.strip()):
        return Line(BUNDLE, found[1].strip(), text)
    # Two of them are no directive: it could not be told from a comment.
    if text.startswith(DIRECTIVE_MARK) and not text[1:].lstrip().startswith(DIRECTIVE_MARK):
        return Line(DIRECTIVE, text[1:].strip(), text)
    return Line(MARKUP, text, text)


def _item(line: Line, bundle_of: Callable[[str], str | None], worksheet_of: Callable[[str], str | None]) -> NewItem:
    if line.type == BUNDLE and (uuid := bundle_of(line.text)):
        return NewItem(BUNDLE, bundle_uuid=uuid)
    if line.type == WORKSHEET and (uuid := worksheet_of(line.text)):
        return NewItem(WORKSHEET, subworksheet_uuid=uuid)
    if line.type in (BUNDLE, WORKSHEET):
        return NewItem(MARKUP, line.raw)
    return NewItem(line.type, line.text)


def _written(item: NewItem, bundles: Mapping[str, str], worksheets: Mapping[str, str]) -> list[str]:
    if item.type == BUNDLE:
        told = bundles.get(item.bundle_uuid or "", "")
        return [f"[{told}]{{{item.bundle_uuid or ''}}}" if told else f"{{{item.bundle_uuid or ''}}}"]
    if item.type == WORKSHEET:
        told = worksheets.get(item.subworksheet_uuid or "", "")
        named = f"{{{{{item.subworksheet_uuid or ''}}}}}"
        return [f"[{told}]{named}" if told else named]
    # A text that was added by other ways than a source may have several lines.
    lines = _LINE_END.split(item.value)
    if item.type == DIRECTIVE:
        if item.value.startswith(DIRECTIVE_MARK):
            return [f"{COMMENT_MARK}{line[1:] if number == 0 else line}" for number, line in enumerate(lines)]
        return [f"{DIRECTIVE_MARK} {' '.join(line.strip() for line in lines)}".rstrip()]
    return lines
