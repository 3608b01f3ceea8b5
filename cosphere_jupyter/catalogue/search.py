"""The catalogue's search grammar: words folded left to right, without precedence or brackets.

``word`` or ``|word`` = OR, ``&word`` = AND, ``~word`` = AND NOT, each a case-insensitive substring of the name; white
space after an operator is skipped. So ``iot ~features | temp`` is ``(iot AND NOT features) OR temp``; ``%`` and ``_``
mean themselves. Source: CoSphere API 0.2.6, "Listing".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, literal_column, not_, or_, select, true

from ..errors import QueryInvalid
from ..field_messages import at_most
from .tables import catalogue_items, catalogue_names

# Each word nests the condition one deeper.
MOST_WORDS = 64
# The index knows pieces of three letters.
INDEXED_LENGTH = 3


@dataclass(frozen=True)
class Term:
    """One step of a search: ``operator`` is ``|``, ``&`` or ``~``; ``word`` is case-folded and may be empty."""

    operator: str
    word: str


def parse(query: str) -> list[Term]:
    """Return the terms of a query in order; ``QueryInvalid`` if it has too many."""
    words = re.sub(r"([&|~])\s+", r"\1", query).split()
    if len(words) > MOST_WORDS:
        raise QueryInvalid({"query": [at_most(MOST_WORDS, "words")]})
    return [Term(word[0], word[1:].casefold()) if word[0] in "&|~" else Term("|", word.casefold()) for word in words]


def condition(terms: list[Term]) -> ColumnElement[bool] | None:
    """Return the terms as SQL over the items' case-folded names; None when there are none."""
    folded: ColumnElement[bool] | None = None
    for term in terms:
        found = _contains(term.word)
        if term.operator == "~":
            folded = not_(found) if folded is None else and_(folded, not_(found))
        elif folded is None:
            folded = found
        else:
            folded = and_(folded, found) if term.operator == "&" else or_(folded, found)
    return folded


def _contains(word: str) -> ColumnElement[bool]:
    if not word:
        return true()
    if len(word) >= INDEXED_LENGTH and "\0" not in word:
        phrase = '"' + word.replace('"', '""') + '"'
        indexed = select(catalogue_names.c.rowid).where(literal_column("catalogue_names").op("MATCH")(phrase))
        return catalogue_items.c.id.in_(indexed)
    # Not LIKE: nothing to escape.
    return func.instr(catalogue_items.c.name_folded, word) > 0
