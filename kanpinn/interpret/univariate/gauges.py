"""Gauges: rules that fix the redundant ones of a, b, c, d in c f(a x + b) + d.

Each takes (a, b, c, d) and returns equivalent parameters, using a symmetry of f.
"""

import math
from collections.abc import Callable

Parameters = tuple[float, float, float, float]
Gauge = Callable[[float, float, float, float], Parameters]


def linear(a: float, b: float, c: float, d: float) -> Parameters:
    """For f(u) = u: a = 1, b = 0."""
    return 1.0, 0.0, c * a, d + c * b


def exponential(a: float, b: float, c: float, d: float) -> Parameters:
    """For f(u + s) = exp(s) f(u): b = 0, unless exp(b) would overflow or underflow."""
    largest_exponent = 300.0
    return (a, b, c, d) if abs(b) > largest_exponent else (a, 0.0, c * math.exp(b), d)


def logarithmic(a: float, b: float, c: float, d: float) -> Parameters:
    """For f(λu) = f(u) + log λ, λ > 0: a = ±1."""
    return math.copysign(1.0, a), b / abs(a), c, d + c * math.log(abs(a))


def homogeneous(degree: float | int) -> Gauge:
    """For f(λu) = λ^degree f(u), λ > 0: a = ±1."""
    return lambda a, b, c, d: (math.copysign(1.0, a), b / abs(a), c * abs(a) ** degree, d)


def reflected(sign: float, shift: float = 0.0) -> Gauge:
    """For f(-u) = sign f(u) + shift: a > 0."""
    return lambda a, b, c, d: (-a, -b, sign * c, d + shift * c) if a < 0 else (a, b, c, d)


def periodic(period: float, sign: float = 1.0) -> Gauge:
    """For f(u + period) = sign f(u): |b| ≤ period/2."""

    def reduce(a: float, b: float, c: float, d: float) -> Parameters:
        turns = round(b / period)
        return a, b - turns * period, c * sign**turns, d

    return reduce
