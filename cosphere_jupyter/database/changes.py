"""How often each table has been changed: what tells whether an answer that was kept is still true.

Whoever keeps an answer notes the version of the tables that it depends on *before* it reads them, and gives the answer
out only while that version is the present one. This is exact, because there is no version while a change of one of the
tables is being committed: the counts are raised in the thread that writes, before anybody learns that it has written.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, event
from sqlalchemy.sql import Select, visitors
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.elements import ClauseElement

CONTROL = frozenset(("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "SAVEPOINT job", "RELEASE job", "ROLLBACK TO job"))
"""What only groups other statements."""

Version = tuple[int, ...]

_numbers = itertools.count()


class Changes:
    """Counts the committed changes that one connection, the only one that writes, makes to each table."""

    def __init__(self, connection: Connection, *, is_complete: bool = True) -> None:
        """``is_complete=False`` if others write the same database: then there are no versions."""
        self.is_complete = is_complete
        # Versions of another database are never equal to those of this one.
        self._number = next(_numbers)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._all = 0
        # Of the open transaction, in the writing thread: the tables touched, and whether it may have touched any other.
        self._touched: set[str] = set()
        self._touched_any = False
        self._committing: frozenset[str] = frozenset()
        self._committing_any = False
        event.listen(connection, "before_cursor_execute", self._before_statement)

    def of(self, tables: Iterable[str]) -> Version | None:
        """Return the present version of some tables; None while nobody can tell."""
        with self._lock:
            if not self.is_complete or self._committing_any or not self._committing.isdisjoint(tables):
                return None
            return (self._number, self._all, *(self._counts[table] for table in tables))

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Hold versions of what the transaction has touched back while it is committed, and raise its counts."""
        with self._lock:
            self._committing, self._committing_any = frozenset(self._touched), self._touched_any
        try:
            yield
        finally:
            # Also if it failed: nobody knows then what is on the disk.
            with self._lock:
                self._counts.update(self._committing)
                self._all += self._committing_any
                self._committing, self._committing_any = frozenset(), False
            self.forget()

    def forget(self) -> None:
        """Let go of what a transaction has touched: it is rolled back."""
        self._touched.clear()
        self._touched_any = False

    def _before_statement(
        self, connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        asked = context.invoked_statement
        if isinstance(asked, UpdateBase) and isinstance(asked.table, Table):
            self._touched |= _reach(asked.table, len(asked.table.metadata.tables))
        elif not (isinstance(asked, Select) and not context.compiled.ctes) and statement not in CONTROL:
            # Plain SQL, or whatever else: nobody knows what it does.
            self._touched_any = True


def tables_of(*statements: ClauseElement) -> tuple[str, ...]:
    """Return the names of the tables that statements read, in order."""
    elements = itertools.chain.from_iterable(visitors.iterate(statement) for statement in statements)
    return tuple(sorted({element.name for element in elements if isinstance(element, Table)}))


@cache
def _reach(table: Table, known: int) -> frozenset[str]:
    """Return a table and those whose rows go or change with its rows, by foreign keys; ``known``: of so many tables."""
    reached, waiting = {table.name}, [table]
    while waiting:
        changed = waiting.pop()
        for other in table.metadata.tables.values():
            follows = any((key.ondelete or key.onupdate) and key.column.table is changed for key in other.foreign_keys)
            if follows and other.name not in reached:
                reached.add(other.name)
                waiting.append(other)
    return frozenset(reached)
