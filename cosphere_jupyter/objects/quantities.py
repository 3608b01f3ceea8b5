"""Physical units: their dimensionality, and magnitudes in base units and back, without the artefacts of floats.

pint knows the units; ours are added to its own. One registry per process, made when the first unit is asked for. What
is known of a unit is computed once, so that converting a number is decimal arithmetic and needs no lock.
"""

from __future__ import annotations

import math
import re
import threading
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pint

Number = int | float

UNKNOWN = "Invalid/Unknown units"
# Gas flow at standard conditions, and parts per million and per billion by volume and by weight.
OWN_UNITS = (
    "sccm = centimeter ** 3 / minute",
    "ppmv = 1e-6",
    "ppmw = 1e-6",
    "ppb = 1e-9",
    "ppbv = 1e-9",
    "ppbw = 1e-9",
)
LONGEST_UNITS = 100
RENEWED_AFTER = 20_000
# The product of all exponents in one text: more is no unit, but work.
GREATEST_EXPONENT = 1_000
# Names, products, quotients, brackets, and numbers as exponents or as the 1 of 1/s.
_TOKEN = re.compile(
    r"\s*(?:(?P<name>[^\W\d]\w*|[°%])|(?P<number>\d+(?:\.\d+)?)|(?P<power>\*\*|\^)|(?P<other>[-*/·⋅()²³]))"
)
_CONTEXT = Context(prec=28)
_lock = threading.Lock()
_registry: pint.UnitRegistry[Any] | None = None
_asked = 0


class UnitsInvalid(ValueError):
    """No such unit, or none that can be converted to base units by a factor and an offset."""


@dataclass(frozen=True)
class Units:
    """What is known of a unit: in base units, ``x`` of it are ``offset + x * factor``."""

    dimensionality: str
    factor: Decimal
    offset: Decimal


def units_of(text: str) -> Units:
    """Return what is known of units such as ``mg`` or ``m/s**2``; ``""`` and ``"1"`` are dimensionless.

    ``UnitsInvalid`` for what is no unit.
    """
    text = text.strip()
    if len(text) > LONGEST_UNITS or (known := _known_units(text)) is None:
        raise UnitsInvalid(UNKNOWN)
    return known


def to_base(magnitude: Number, units: Units) -> Number:
    """Return a magnitude in base units; OverflowError if no float holds it."""
    with localcontext(_CONTEXT):
        return _number(units.offset + _decimal(magnitude) * units.factor, like=magnitude)


def from_base(magnitude_in_base_units: Number, units: Units) -> Number:
    """Return a magnitude in ``units``; OverflowError if no float holds it."""
    with localcontext(_CONTEXT):
        return _number((_decimal(magnitude_in_base_units) - units.offset) / units.factor, like=magnitude_in_base_units)


def is_same(first: Number, second: Number) -> bool:
    """Whether two magnitudes differ by rounding only."""
    return math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-300)


def _decimal(number: Number) -> Decimal:
    # The digits that were written, not the nearest binary fraction.
    return Decimal(repr(number))


def _number(value: Decimal, like: Number) -> Number:
    """Return an int for an int, when nothing is lost; a float otherwise."""
    if isinstance(like, int) and value == value.to_integral_value() and abs(value) <= 2**53:
        return int(value)
    number = float(value)
    if not math.isfinite(number):
        raise OverflowError("too large for a number")
    return number


def _is_safe(text: str) -> bool:
    """Whether a text is at most made of units: pint would also compute powers of numbers, for as long as it takes."""
    position, exponents, previous = 0, 1.0, ""
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return False
        position = token.end()
        if number := token["number"]:
            if previous == "power":
                exponents *= max(float(number), 1.0)
            elif number != "1":
                return False
            if exponents > GREATEST_EXPONENT:
                return False
        elif token["power"] and previous == "number":
            return False
        # The sign of an exponent stands between it and its power.
        if not (token["other"] == "-" and previous == "power"):
            previous = token.lastgroup or ""
    return True


@lru_cache(maxsize=4096)
def _known_units(text: str) -> Units | None:
    if not _is_safe(text):
        return None
    try:
        with _lock, localcontext(_CONTEXT):
            registry = _the_registry()
            unit = registry.dimensionless if text in ("", "1") else registry.parse_units(text)
            zero, one, seven = (
                Decimal(registry.Quantity(Decimal(each), unit).to_base_units().magnitude) for each in (0, 1, 7)
            )
            factor = one - zero
            # Not so for logarithmic units.
            is_linear = factor != 0 and abs(zero + 7 * factor - seven) <= abs(seven) * Decimal("1e-20")
            known = Units(str(unit.dimensionality), factor.normalize(), zero.normalize())
    except Exception:
        # pint and the tokenizer below it have errors of many kinds for what is no unit.
        return None
    return known if is_linear else None


def _the_registry() -> pint.UnitRegistry[Any]:
    """Return the registry; now and then a new one, as it forgets nothing that it was ever asked for."""
    global _registry, _asked
    _asked += 1
    if _registry is None or _asked > RENEWED_AFTER:
        import pint

        registry: pint.UnitRegistry[Any] = pint.UnitRegistry(non_int_type=Decimal)
        for definition in OWN_UNITS:
            registry.define(definition)
        _registry, _asked = registry, 0
    return _registry
