"""What every executor shares: the request as typed values, the columns it may name, and the interface.

All of it is plain data which survives JSON, because requests cross into child processes and into the database.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from cosphere_jupyter.errors import FieldsInvalid
from cosphere_jupyter.json_values import GREATEST_INTEGER, LEAST_INTEGER

TYPES = ("INTEGER", "FLOAT", "STRING", "BOOLEAN", "DATETIME")
OPERATORS = (">", ">=", "<", "<=", "=", "!=")

Value = int | float | str | bool | datetime


@dataclass(frozen=True)
class Column:
    """One column of a catalogue item, as in its ``spec``.

    ``type`` is one of `TYPES`; ``size`` is in bytes as stored (compressed) or None when unknown; ``distribution`` is a
    list of ``{"value": …, "count": …}`` or None.
    """

    name: str
    type: str
    is_enum: bool = False
    is_nullable: bool = True
    size: int | None = None
    distribution: list[dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise FieldsInvalid({"type": [f"{self.type!r} is not one of {', '.join(TYPES)}."]})

    def to_json(self) -> dict[str, Any]:
        """Return the object of the CoSphere API's catalogue item ``spec``."""
        return {
            "name": self.name,
            "type": self.type,
            "size": self.size,
            "is_enum": self.is_enum,
            "is_nullable": self.is_nullable,
            "distribution": self.distribution,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Column:
        """Read what `to_json` wrote; further keys are ignored."""
        return cls(
            name=data["name"],
            type=data["type"],
            is_enum=bool(data.get("is_enum", False)),
            is_nullable=bool(data.get("is_nullable", True)),
            size=data.get("size"),
            distribution=data.get("distribution"),
        )


@dataclass(frozen=True)
class Comparison:
    """``column operator value``, with the value already in the type of the column.

    A datetime is naive UTC with microseconds (an aware one is converted). NaN is refused: nothing compares with it.

    Raises:
        FieldsInvalid: unknown operator, NaN, no usable value, text that is not Unicode, or an order of booleans.
    """

    column: str
    operator: str
    value: Value

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise FieldsInvalid({"filters": [f"{self.operator!r} is not one of {' '.join(OPERATORS)}."]})
        value = self.value
        if isinstance(value, bool):
            if self.operator not in ("=", "!="):
                raise FieldsInvalid(
                    {"filters": [f"operator {self.operator!r} is not allowed for column {self.column!r}."]}
                )
        elif isinstance(value, int):
            if not LEAST_INTEGER <= value <= GREATEST_INTEGER:
                raise FieldsInvalid({"filters": [f"the value for column {self.column!r} is not a 64-bit integer."]})
        elif isinstance(value, float):
            if math.isnan(value):
                raise FieldsInvalid({"filters": [f"the value for column {self.column!r} is not a number."]})
        elif isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                text = f"the value for column {self.column!r} is not valid Unicode text."
                raise FieldsInvalid({"filters": [text]}) from None
        elif isinstance(value, datetime):
            if value.tzinfo is not None:
                object.__setattr__(self, "value", value.astimezone(timezone.utc).replace(tzinfo=None))
        else:
            raise FieldsInvalid({"filters": [f"the value for column {self.column!r} has no usable type."]})

    def to_json(self) -> dict[str, Any]:
        """Return ``{"column", "operator", "value"}``; datetimes and infinities are tagged objects."""
        value: Any = self.value
        if isinstance(value, datetime):
            value = {"datetime": value.isoformat(timespec="microseconds")}
        elif isinstance(value, float) and math.isinf(value):
            value = {"float": "inf" if value > 0 else "-inf"}  # JSON has no infinity
        return {"column": self.column, "operator": self.operator, "value": value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comparison:
        """Read what `to_json` wrote."""
        value = data["value"]
        if isinstance(value, Mapping):
            value = datetime.fromisoformat(value["datetime"]) if "datetime" in value else float(value["float"])
        return cls(data["column"], data["operator"], value)


@dataclass(frozen=True)
class Query:
    """A request: these columns of the rows which satisfy all filters, and of those the fraction ``ratio``.

    ``ratio`` is the fraction of rows *kept*, 0 to 1. The rows of a sample depend on the data and ``seed`` only, not on
    the columns and filters; a smaller ratio keeps a subset of what a larger one keeps.

    Raises:
        FieldsInvalid: no column, a column twice, or a ratio outside 0 to 1.
    """

    columns: tuple[str, ...]
    filters: tuple[Comparison, ...] = ()
    ratio: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.columns:
            raise FieldsInvalid({"columns": ["at least one column must be specified."]})
        if len(set(self.columns)) != len(self.columns):
            raise FieldsInvalid({"columns": ["columns must appear only once."]})
        if not 0 <= self.ratio <= 1:
            raise FieldsInvalid({"ratio": ["the ratio is not between 0 and 1."]})

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object which `from_json` reads back to an equal query."""
        return {
            "columns": list(self.columns),
            "filters": [comparison.to_json() for comparison in self.filters],
            "ratio": self.ratio,
            "seed": self.seed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Query:
        """Read what `to_json` wrote."""
        return cls(
            columns=tuple(data["columns"]),
            filters=tuple(Comparison.from_json(item) for item in data.get("filters", ())),
            ratio=float(data.get("ratio", 1.0)),
            seed=int(data.get("seed", 0)),
        )


@dataclass(frozen=True)
class Compiled:
    """SQL of one engine with positional parameters; no text of a client is in ``sql`` except quoted column names."""

    sql: str
    parameters: list[Any]


class Executor(Protocol):
    """What the catalogue and the downloads ask of an engine whose work runs in child processes.

    Entries are ``"module:function"`` of functions ``f(params, report) -> result`` with JSON-able arguments and result.
    """

    type: str
    describe_entry: str
    unload_entry: str

    def resolve(self, source: str) -> Any:
        """Find what ``source`` names, as of now; the result has ``version``, a text which changes with the data."""

    def describe_params(self, source: Any) -> dict[str, Any]:
        """Return the parameters of ``describe_entry``, whose result is ``{"columns": […], "rows": int | None}``."""

    def unload_params(
        self, source: Any, query: Query, columns: Sequence[Column], folder: Path, temp_folder: Path
    ) -> dict[str, Any]:
        """Return the parameters of ``unload_entry``, which writes ``part-N.parquet`` into the empty ``folder``."""
