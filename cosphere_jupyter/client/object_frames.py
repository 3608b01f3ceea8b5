"""Objects as a DataFrame: one column per property, quantities as numbers in one unit."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .object_values import value_from

if TYPE_CHECKING:
    import pandas as pd

FIXED = ("version_id", "action_id")
_BASE = {
    "[mass]": "kg",
    "[length]": "m",
    "[time]": "s",
    "[temperature]": "K",
    "[current]": "A",
    "[substance]": "mol",
    "[luminosity]": "cd",
}
_DTYPES = {
    "text": "string",
    "bool": "boolean",
    "datetime": "datetime64[us, UTC]",
    "quantity": "float64",
    "sample": "Int64",
    "measurement": "Int64",
    "object_reference": "Int64",
    "user": "Int64",
    "file": "Int64",
}


def frame_of(versions: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return versions, as the API has them, as a DataFrame with the index ``object_id``.

    Its columns are ``version_id``, ``action_id``, and each property by its name; those of objects inside as
    ``layer.mass``, and a property that is called as one of ours as ``properties.action_id``. Arrays are lists in one
    column. ``df.attrs["units"]`` has the units of each column of quantities, and those in arrays as
    ``layers.?.thickness``: those of all its values where they are the same, else the schema's or the most frequent
    ones, to which the others are converted; where that is not possible, the base units of the SI. What is of another
    dimensionality than most of a column stands in a column of its own, as ``size [mass]``.
    """
    import pandas as pd

    units = _Units()
    for version in versions:
        units.see(version["data"], version.get("schema") or {}, "")
    rows, kinds = [], dict[str, set[str]]()
    for version in versions:
        row: dict[str, Any] = {name: version[name] for name in FIXED}
        for path, data in _flat(version["data"]):
            name, value = _cell(path, data, units)
            row[name] = value
            kinds.setdefault(name, set()).add(str(data.get("_type")) if isinstance(data, Mapping) else "list")
        rows.append(row)
    index = pd.Index([int(version["object_id"]) for version in versions], name="object_id", dtype="int64")
    columns = {name: _column([row.get(name) for row in rows], kinds[name], index) for name in kinds}
    fixed = {name: pd.Series([row[name] for row in rows], index, dtype="int64") for name in FIXED}
    df = pd.DataFrame({**fixed, **columns}, index=index)
    df.attrs["units"] = {name: unit for name, unit in units.names().items() if "?" in name or name in df.columns}
    return df


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, Mapping) and "_type" not in value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield (f"properties.{name}" if not prefix and name in (*FIXED, "object_id") else f"{prefix}{name}"), value


def _cell(path: str, data: Any, units: _Units) -> tuple[str, Any]:
    if isinstance(data, list):
        return path, units.converted(data, path)
    if isinstance(data, Mapping) and data.get("_type") == "quantity":
        return units.column(path, data), units.magnitude(path, data)
    return path, value_from(data)


def _column(values: list[Any], kinds: set[str], index: pd.Index) -> pd.Series:
    import pandas as pd

    kind = next(iter(kinds)) if len(kinds) == 1 else ""
    return pd.Series(values, index, dtype=_DTYPES.get(kind, "object"))


@dataclass
class _Scale:
    """What the values of one place and dimensionality become: their base units times ``factor`` are ``units``."""

    units: str
    # None: they have these units already.
    factor: float | None = None


class _Units:
    """Which units the quantities of each place have, and what all of them are shown in."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        self._wanted: dict[str, str] = {}
        self._scales: dict[tuple[str, str], _Scale] = {}

    def see(self, data: Any, schema: Mapping[str, Any], path: str) -> None:
        if isinstance(data, list):
            for each in data:
                self.see(each, schema.get("items") or {}, f"{path}.?")
        elif isinstance(data, Mapping) and data.get("_type") == "quantity":
            self._seen[path][str(data.get("dimensionality"))].append(data)
            told = schema.get("units")
            first = told[0] if isinstance(told, list) and told else told
            if isinstance(first, str):
                self._wanted.setdefault(path, first)
        elif isinstance(data, Mapping) and "_type" not in data:
            known = schema.get("properties") or {}
            for name, each in data.items():
                shown = f"properties.{name}" if not path and name in (*FIXED, "object_id") else name
                self.see(each, known.get(name) or {}, f"{path}.{shown}" if path else shown)

    def column(self, path: str, data: Mapping[str, Any]) -> str:
        dimensionality = str(data.get("dimensionality"))
        return path if dimensionality == self._main(path) else f"{path} {dimensionality}"

    def magnitude(self, path: str, data: Mapping[str, Any]) -> float | None:
        scale = self._scale(path, str(data.get("dimensionality")))
        if scale.factor is None or scale.units == data.get("units"):
            return _number(data.get("magnitude", data.get("magnitude_in_base_units")))
        base = _number(data.get("magnitude_in_base_units"))
        # Without the last digit, which the way over base units may have changed.
        return None if base is None else float(f"{base * scale.factor:.15g}")

    def converted(self, data: Any, path: str) -> Any:
        """Return what is in an array as Python has it, with numbers for quantities."""
        if isinstance(data, list):
            return [self.converted(each, f"{path}.?") for each in data]
        if not isinstance(data, Mapping):
            return data
        if "_type" not in data:
            return {name: self.converted(each, f"{path}.{name}") for name, each in data.items()}
        return self.magnitude(path, data) if data["_type"] == "quantity" else value_from(data)

    def names(self) -> dict[str, str]:
        found = {}
        for path, by_dimensionality in self._seen.items():
            for dimensionality, seen in by_dimensionality.items():
                found[self.column(path, seen[0])] = self._scale(path, dimensionality).units
        return found

    def _main(self, path: str) -> str:
        counts = {dimensionality: len(seen) for dimensionality, seen in self._seen[path].items()}
        return max(counts, key=lambda each: counts[each])

    def _scale(self, path: str, dimensionality: str) -> _Scale:
        key = path, dimensionality
        if key not in self._scales:
            self._scales[key] = _scale_of(self._seen[path][dimensionality], self._wanted.get(path), dimensionality)
        return self._scales[key]


def _scale_of(seen: Sequence[Mapping[str, Any]], wanted: str | None, dimensionality: str) -> _Scale:
    frequent = [units for units, _ in Counter(str(each.get("units") or "") for each in seen).most_common()]
    if len(frequent) == 1:
        return _Scale(frequent[0])
    base = dimensionality if dimensionality != "dimensionless" else ""
    for name, unit in _BASE.items():
        base = base.replace(name, unit)
    # Degrees have an offset: no factor leads to them.
    if "[temperature]" not in dimensionality:
        for units in sorted(frequent, key=lambda each: each != wanted):
            pairs = [
                (_number(each.get("magnitude")), _number(each.get("magnitude_in_base_units")))
                for each in seen
                if each.get("units") == units
            ]
            given = [(magnitude, in_base) for magnitude, in_base in pairs if magnitude and in_base]
            if given:
                magnitude, in_base = max(given, key=lambda pair: abs(pair[0]))
                return _Scale(units, magnitude / in_base)
    return _Scale(base, 1.0)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
