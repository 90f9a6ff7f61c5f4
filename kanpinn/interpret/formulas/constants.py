"""Recognition of constants: the simplest exact number that agrees with a computed one."""

import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy
from jaxtyping import Float

from kanpinn._support.errors import InputError, number

Array = numpy.ndarray

CHANCE = 0.02  # largest probability of an accidental agreement
# Factors and their description lengths in bits; those of square roots grow with the radicand.
_FACTORS = {
    "1": 0.0,
    "pi": 2.0,
    "1/pi": 3.0,
    "E": 3.0,
    "1/E": 4.0,
    "sqrt(pi)": 4.0,
    "pi**2": 4.0,
    "1/pi**2": 5.0,
    "1/sqrt(pi)": 5.0,
    "log(2)": 4.0,
    "E**2": 5.0,
} | {f"sqrt({n})": 2.0 + math.log2(n) for n in (2, 3, 5, 6, 7, 10, 11, 13, 14, 15)}


@dataclass(frozen=True, eq=False)
class _Table:
    """Positive constants p/q · factor, sorted by value, with their description lengths in bits.

    A term is (p, q, factor).
    """

    values: Float[Array, " n"]
    bits: Float[Array, " n"]
    terms: tuple[tuple[int, int, str], ...]


def recognise(
    value: float | int, tolerance: float | int, chance: float | int = CHANCE
) -> Any | None:
    """Return the simplest sympy number within the tolerance of a value, or None.

    Constants p/q times 1, π, π², e, √n, log 2, … are tried first, the shortest description first;
    then decimals of up to 6 digits and integers. A constant is accepted if the probability that a
    random number near the value is within the tolerance of an equally simple constant is at most
    `chance`. A value no larger than its tolerance is 0, if the tolerance is small against 1.

    Args:
        value: the computed number.
        tolerance: the largest distance between the value and the constant.
        chance: the largest probability of an accidental agreement.

    Raises:
        InputError: if the value is not finite, the tolerance negative or the chance outside (0, 1].
    """
    if not math.isfinite(value):
        raise InputError(f"value must be a finite number, got {value!r}")
    number("tolerance", tolerance)
    number("chance", chance, above=True)
    if chance > 1:
        raise InputError(f"chance must be a probability of at most 1, got {chance!r}")
    import sympy

    value = float(value)
    # The tolerance is at least the rounding error of the float.
    reach = max(float(tolerance), 4 * math.ulp(value))
    if abs(value) <= reach:
        return sympy.Integer(0) if 2 * reach <= chance else None
    found = _tabulated(abs(value), reach, chance) or _decimal(abs(value), reach, chance)
    if found is None:
        return None
    top, bottom, factor = found
    return int(math.copysign(1, value)) * sympy.Rational(top, bottom) * sympy.sympify(factor)


def _tabulated(size: float, reach: float, chance: float) -> tuple[int, int, str] | None:
    table = _table()
    first, last = numpy.searchsorted(table.values, [size - reach, size + reach], side="left")
    if first == last:
        return None
    best = first + int(table.bits[first:last].argmin())
    # The density of equally simple constants near the value, counted on [size/2, 3 size/2].
    low, high = numpy.searchsorted(table.values, [size / 2, 1.5 * size])
    rivals = int((table.bits[low:high] <= table.bits[best]).sum())
    return table.terms[best] if max(rivals, 1) * 2 * reach / size <= chance else None


def _decimal(size: float, reach: float, chance: float) -> tuple[int, int, str] | None:
    """Return the decimal with the fewest digits, at most 6, or an integer of any length."""
    most_digits = 6  # digits of the longest decimal
    leading = math.floor(math.log10(size))
    exponents = [leading - digits for digits in range(most_digits)]
    if leading >= most_digits:
        exponents.append(0)
    low, high = numpy.searchsorted(_table().values, [size / 2, 1.5 * size])
    density = float(high - low) / size  # all constants of the table are simpler
    for exponent in exponents:
        step = Fraction(10) ** exponent
        nearest = round(Fraction(size) / step) * step
        if 2 * reach * (density + 1 / float(step)) > chance:
            return None
        if abs(float(nearest) - size) <= reach:
            return nearest.numerator, nearest.denominator, "1"
    return None


@functools.cache
def _table() -> _Table:
    longest = 12.0  # length of the longest constant in the table
    import sympy

    found: dict[str, tuple[float, float, tuple[int, int, str]]] = {}
    for factor, extra in _FACTORS.items():
        unit = float(sympy.sympify(factor))
        numbers = _rationals(longest - extra) + (_decimals() if factor == "1" else [])
        for top, bottom, bits in numbers:
            value = top / bottom * unit
            entry = (bits + extra, value, (top, bottom, factor))
            key = f"{value:.13e}"  # 1/√2 and √2/2 are one number
            found[key] = min(found.get(key, entry), entry)
    entries = sorted(found.values(), key=lambda entry: entry[1])
    sizes, values, terms = zip(*entries, strict=True)
    return _Table(numpy.array(values), numpy.array(sizes), terms)


def _rationals(most: float) -> list[tuple[int, int, float]]:
    """Return the reduced fractions p/q of length log₂(p) + 1.5 log₂(q) ≤ most, in bits."""
    found = []
    for bottom in range(1, int(2 ** (most / 1.5)) + 1):
        for top in range(1, int(2 ** (most - 1.5 * math.log2(bottom))) + 1):
            if math.gcd(top, bottom) == 1:
                found.append((top, bottom, math.log2(top) + 1.5 * math.log2(bottom)))
    return found


def _decimals() -> list[tuple[int, int, float]]:
    """Return the decimals of up to three digits down to 0.001, with their lengths in bits.

    As decimals they are shorter than as fractions p/q.
    """
    found = []
    for places in (1, 2, 3):
        for digits in range(1, 1000):
            ratio = Fraction(digits, 10**places)
            bits = 1 + math.log2(digits) + 1.5 * places
            found.append((ratio.numerator, ratio.denominator, bits))
    return found
