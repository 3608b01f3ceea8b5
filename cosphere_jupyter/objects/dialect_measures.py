"""Quantities and series of them: units, dimensionality, and magnitudes completed in both kinds of units."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from .dialect_context import Context, Property
from .dialect_keys import is_number
from .dialect_problems import Path, shown
from .quantities import Number, Units, UnitsInvalid, from_base, is_same, to_base, units_of

TOO_LARGE = "magnitude is too large for a number"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,6}", re.ASCII)


def check_quantity(context: Context, schema: dict[str, Any], value: Any, path: Path) -> dict[str, Any] | None:
    """Check a ``quantity`` and complete it: one of the two magnitudes is enough."""
    optional = ["units", "dimensionality", "magnitude", "magnitude_in_base_units"]
    if not context.frame(value, "quantity", [], optional, path):
        return None
    found = _units(context, schema, value, path)
    given = [key for key in ("magnitude", "magnitude_in_base_units") if key in value]
    if not given:
        context.add("missing keys in schema: either magnitude or magnitude_in_base_units has to be given", path)
    for key in given:
        if not is_number(value[key]):
            context.add(f"{key} must be float or int", path)
            found = None
    if found is None or not given:
        return None
    text, units = found
    magnitudes = _magnitudes(context, value, text, units, path)
    if magnitudes is None:
        return None
    _check_limits(context, schema, magnitudes[1], path)
    context.properties.append(
        Property(path, "quantity", text=text, number=float(magnitudes[1]), dimensionality=units.dimensionality)
    )
    return {
        "_type": "quantity",
        "magnitude": magnitudes[0],
        "magnitude_in_base_units": magnitudes[1],
        "units": text,
        "dimensionality": units.dimensionality,
    }


def _units(context: Context, schema: dict[str, Any], value: dict[str, Any], path: Path) -> tuple[str, Units] | None:
    """Return the units of a value, or else of its schema; None if they are wrong."""
    wanted = schema["units"] if isinstance(schema["units"], str) else schema["units"][0]
    expected = units_of(wanted).dimensionality
    text = value.get("units", wanted)
    if not isinstance(text, str):
        context.add("units must be str", path)
        return None
    try:
        units = context.units(text)
    except UnitsInvalid as error:
        context.add(str(error), path)
        return None
    if units.dimensionality != expected:
        context.add(f'Invalid units, expected units for dimensionality "{expected}"', path)
        return None
    if value.get("dimensionality", expected) != expected:
        given = shown(value["dimensionality"])
        context.add(f'Invalid dimensionality {given}, expected dimensionality "{expected}"', path)
        return None
    return text, units


def _magnitudes(
    context: Context, value: dict[str, Any], text: str, units: Units, path: Path
) -> tuple[Number, Number] | None:
    """Return the magnitude and the one in base units, both as given where given; None if they do not fit."""
    magnitude, in_base = value.get("magnitude"), value.get("magnitude_in_base_units")
    try:
        if magnitude is None:
            return from_base(in_base, units), in_base  # type: ignore[arg-type, return-value]
        computed = to_base(magnitude, units)
        if in_base is None:
            return magnitude, computed
        if is_same(computed, in_base) or is_same(magnitude, from_base(in_base, units)):
            return magnitude, in_base
    except OverflowError:
        context.add(TOO_LARGE, path)
        return None
    context.add(
        f"magnitude and magnitude_in_base_units do not match, {magnitude} {text} is {computed} in base units", path
    )
    return None


def _check_limits(context: Context, schema: dict[str, Any], in_base: Number, path: Path) -> None:
    least, most = schema.get("min_magnitude"), schema.get("max_magnitude")
    if least is not None and in_base < least:
        context.add(f"Must be greater than or equal to {least} in base units", path)
    if most is not None and in_base > most:
        context.add(f"Must be less than or equal to {most} in base units", path)


def check_timeseries(context: Context, schema: dict[str, Any], value: Any, path: Path) -> dict[str, Any] | None:
    """Check a ``timeseries``, and complete each of its points to time, magnitude, magnitude in base units."""
    if not context.frame(value, "timeseries", ["data"], ["units", "dimensionality"], path):
        return None
    found = _units(context, schema, value, path)
    points = value["data"]
    if not isinstance(points, list):
        context.add("data must be list", path)
        return None
    if found is None:
        return None
    text, units = found
    completed = [_point(context, point, text, units, (*path, index)) for index, point in enumerate(points)]
    whole = [each for each in completed if each is not None]
    times = [each[0] for each in whole]
    if len({isinstance(each, str) for each in times}) > 1:
        context.add("times must either all be texts or all be relative seconds", path)
    if len(set(times)) != len(times):
        context.add("duplicate time", path)
    context.properties.append(Property(path, "other"))
    return {**value, "data": whole, "units": text, "dimensionality": units.dimensionality}


def _point(context: Context, point: Any, text: str, units: Units, path: Path) -> list[Any] | None:
    if not isinstance(point, list) or len(point) not in (2, 3):
        context.add("each point must be a list of time, magnitude and optionally magnitude_in_base_units", path)
        return None
    if not is_number(point[0]) and not _is_moment(point[0]):
        context.add("time must be in the format YYYY-MM-DD HH:MM:SS.ffffff, or be relative seconds", path)
        return None
    if not all(is_number(each) for each in point[1:]):
        context.add("magnitude must be float or int", path)
        return None
    pair = dict(zip(("magnitude", "magnitude_in_base_units"), point[1:], strict=False))
    magnitudes = _magnitudes(context, pair, text, units, path)
    return None if magnitudes is None else [point[0], *magnitudes]


def _is_moment(value: Any) -> bool:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return False
    try:
        datetime.strptime(value, "%Y-%m-%d %H:%M:%S.%f")
    except ValueError:
        return False
    return True
