"""How big the result of a request will be, before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .text import rows_text, size_text, sizes_text

if TYPE_CHECKING:
    from .table import Table

ESTIMATE = "/downloader/requests/estimate/"


@dataclass(frozen=True)
class Estimate:
    """About how many bytes a result will have, and likely bounds; ``rows`` where it could be told.

    Of some tables nothing is known: ``size`` is then 0, and ``is_known`` false.

    >>> query.estimate()
    about 320 MB (290–390 MB), 1.2 million rows
    """

    size: int
    rows: int | None = None
    low: int | None = None
    high: int | None = None
    method: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Estimate:
        """Return the estimate of an answer; all but the size may be missing."""
        rows, low, high = (None if data.get(name) is None else int(data[name]) for name in ("rows", "low", "high"))
        return cls(int(data["estimated_size"]), rows, low, high, str(data.get("method") or ""))

    @property
    def is_known(self) -> bool:
        """Whether anything could be said at all: an empty result has bounds, or a number of rows."""
        return self.size > 0 or self.rows is not None or self.high is not None

    def __str__(self) -> str:
        if not self.is_known:
            return "unknown"
        text = f"about {size_text(self.size)}"
        if self.low is not None and self.high is not None and self.low < self.high:
            text += f" ({sizes_text(self.low, self.high)})"
        return text if self.rows is None else f"{text}, {rows_text(self.rows)}"

    __repr__ = __str__


def estimate(table: Table, spec: Mapping[str, Any]) -> Estimate:
    """Ask the server how big the result of a spec will be."""
    body = {"catalogue_item_id": table.id, "spec": spec}
    return Estimate.from_json(table.workspace.http.post(ESTIMATE, body, is_repeatable=True))
