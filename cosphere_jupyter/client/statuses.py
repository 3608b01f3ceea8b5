"""Statuses of tasks as they come: lines of JSON, and what of them is news."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .errors import error_text
from .text import plain

FINAL = ("success", "error")
# So many finished tasks are remembered by a stream that never ends; the server repeats the newest 100 at most.
MOST_FINISHED = 10_000


@dataclass(frozen=True, repr=False)
class TaskStatus:
    """How far a task is, at one moment.

    ``status`` is ``queued``, ``executing``, ``success`` or ``error``. ``progress`` is what the task tells of itself:
    any JSON, None while it tells nothing. ``result`` is what came out of a success, ``details`` what an error left.
    ``name`` and ``parameters`` say what it was asked for, where the server told that; of many or long parameters it
    tells only the short ones: ``parameters_in_part``.
    """

    key: str
    status: str
    progress: Any = None
    result: Any = None
    details: Any = None
    events: Mapping[str, datetime] = field(default_factory=dict)
    name: str | None = None
    parameters: Mapping[str, Any] | None = None
    parameters_in_part: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TaskStatus:
        """Return the status of an answer."""
        status, outcome = str(data["status"]), data.get("result")
        name, parameters = data.get("task_name"), data.get("task_parameters")
        in_part = data.get("task_parameters_in_part")
        return cls(
            str(data["key"]),
            status,
            data.get("progress"),
            outcome if status == "success" else None,
            outcome if status == "error" else None,
            _moments(data.get("events")),
            str(name) if name else None,
            parameters if isinstance(parameters, Mapping) else None,
            in_part if isinstance(in_part, Mapping) else None,
        )

    def __repr__(self) -> str:
        # Without the result: it may be large, and it may hold signed links.
        told = "" if self.progress is None else f" progress={plain(json.dumps(self.progress, default=str), 60)}"
        error = "" if self.error is None else f" error={plain(self.error)}"
        return f"<TaskStatus {plain(self.status)} of {plain(self.key)}{told}{error}>"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will change."""
        return self.status in FINAL

    @property
    def error(self) -> str | None:
        """What went wrong, in the server's words; None unless something did."""
        if self.status != "error":
            return None
        return error_text(self.details) or "the task failed, and the server does not say why"

    @property
    def fraction(self) -> float | None:
        """The share of the work that is done, 0 to 1, where the progress tells one.

        That is ``{"fraction": 0.4}``, a fraction (``0.4``), or a number of per cent (``40``); an integer is per cent.
        """
        if self.status == "success":
            return 1.0
        is_object = isinstance(self.progress, Mapping)
        told = self.progress.get("fraction") if is_object else self.progress
        if isinstance(told, bool) or not isinstance(told, int | float) or not 0 <= told <= 100:
            return None
        is_percent = not is_object and (told > 1 or isinstance(told, int))
        return told / 100 if is_percent else min(float(told), 1.0)


class Lines:
    """Takes bytes as they come and gives the JSON of each line that is whole.

    Only a line feed ends a line: JSON may hold characters that others take for ends of lines, as U+2028.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[Any]:
        """Give what is whole now. Raises ValueError where a line is no JSON."""
        *whole, rest = chunk.split(b"\n")
        if whole:
            whole[0] = b"".join([*self._rest, whole[0]])
            self._rest = []
        if rest:
            self._rest.append(rest)
        for line in whole:
            if line.strip():
                yield json.loads(line)


class News:
    """Keeps what is new of what a stream tells, whatever it repeats: to keep itself alive, or after it broke."""

    def __init__(self, keys: Iterable[str] | None = None) -> None:
        """``keys`` are the tasks that count; None for all."""
        self._keys = None if keys is None else dict.fromkeys(keys)
        self._last: dict[str, Mapping[str, Any]] = {}
        # In the order of their end; a dict serves as an ordered set.
        self._finished: dict[str, None] = {}

    @property
    def is_over(self) -> bool:
        """Whether all tasks that count have ended."""
        return self._keys is not None and len(self._finished) == len(self._keys)

    @property
    def unfinished(self) -> list[str]:
        """The tasks that have not ended, as far as known."""
        return [key for key in (self._last if self._keys is None else self._keys) if key not in self._finished]

    def of(self, value: Any) -> Iterator[TaskStatus]:
        """Give the news in the JSON of a line: one status, or a list of them."""
        for data in value if isinstance(value, list) else [value]:
            if isinstance(data, Mapping) and "key" in data and "status" in data and self._is_new(data):
                yield TaskStatus.from_json(data)

    def _is_new(self, data: Mapping[str, Any]) -> bool:
        key = str(data["key"])
        if key in self._finished or (self._keys is not None and key not in self._keys) or self._last.get(key) == data:
            return False
        if data["status"] in FINAL:
            self._last.pop(key, None)
            self._finished[key] = None
            if self._keys is None and len(self._finished) > MOST_FINISHED:
                del self._finished[next(iter(self._finished))]
        else:
            self._last[key] = data
        return True


def _moments(events: Any) -> dict[str, datetime]:
    found = {}
    for name, text in (events if isinstance(events, Mapping) else {}).items():
        try:
            found[str(name)] = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        except ValueError:
            # What is no time is no event either.
            continue
    return found
