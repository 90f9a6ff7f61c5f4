"""The library's ordinary differential equations, written independently of the library."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy
from numpy import ndarray


@dataclass(frozen=True)
class Equation:
    """u' = f(u) from a start at t = 0.

    Args:
        fields: the names of the m fields.
        rates: f, (m, …) → m arrays (…).
        slopes: its Jacobian, (m, …) → (m, m, …).
        start: u at t = 0.
        end: the last moment.
        first: the length of the first window.
        stiff: whether explicit methods need too many steps.
        logarithmic: the first moment from which on errors are means over log t; None for means
            over t.
    """

    fields: Sequence[str]
    rates: Callable[[ndarray], list[ndarray]]
    slopes: Callable[[ndarray], ndarray]
    start: Sequence[float]
    end: float
    first: float
    stiff: bool = False
    logarithmic: float | None = None


def lotka_volterra() -> Equation:
    def rates(u: ndarray) -> list[ndarray]:
        r, f = u
        both = r * f
        return [(11 * r - 4 * both) / 10, (both - 4 * f) / 10]

    def slopes(u: ndarray) -> ndarray:
        r, f = u
        return numpy.array([[1.1 - 0.4 * f, -0.4 * r], [0.1 * f, 0.1 * r - 0.4]])

    return Equation(("prey", "predators"), rates, slopes, (10, 10), 40.0, 0.1)


def lorenz() -> Equation:
    def rates(u: ndarray) -> list[ndarray]:
        x, y, z = u
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 * z / 3]

    def slopes(u: ndarray) -> ndarray:
        x, y, z = u
        o = 0 * x
        return numpy.array([[o - 10, o + 10, o], [28 - z, o - 1, -x], [y, x, o - 8 / 3]])

    return Equation(("x", "y", "z"), rates, slopes, (1, 1, 1), 20.0, 0.01)


def van_der_pol(mu: float = 1000.0) -> Equation:
    def rates(u: ndarray) -> list[ndarray]:
        y, v = u
        return [v, mu * (1 - y**2) * v - y]

    def slopes(u: ndarray) -> ndarray:
        y, v = u
        o = 0 * y
        return numpy.array([[o, o + 1], [-2 * mu * y * v - 1, mu * (1 - y**2)]])

    return Equation(("u", "v"), rates, slopes, (2, 0), 2.0 * mu, 1e-4, stiff=True)


def robertson() -> Equation:
    def rates(u: ndarray) -> list[ndarray]:
        a, b, c = u
        slow, fast, square = a / 25, 10_000 * b * c, 30_000_000 * b**2
        return [fast - slow, slow - fast - square, square]

    def slopes(u: ndarray) -> ndarray:
        a, b, c = u
        o = 0 * a
        slow, by_b, by_c, square = o + 0.04, 1e4 * c, 1e4 * b, 6e7 * b
        return numpy.array([[-slow, by_b, by_c], [slow, -by_b - square, -by_c], [o, square, o]])

    return Equation(("a", "b", "c"), rates, slopes, (1, 0, 0), 1e11, 1e-6, True, 1e-5)


EQUATIONS: Mapping[str, Callable[[], Equation]] = {
    "lotka_volterra": lotka_volterra,
    "lorenz": lorenz,
    "van_der_pol": van_der_pol,
    "robertson": robertson,
}
