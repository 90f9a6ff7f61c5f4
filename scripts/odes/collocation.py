"""Solutions of ordinary differential equations in extended precision, by collocation.

Radau IIA collocation with n stages, in windows whose lengths follow the decay of the Legendre
series. The residual is evaluated in numpy's longdouble, which has 64 bits of mantissa on x86; the
Jacobian and the linear systems of Newton's method are in float64, so that its steps are those of an
iterative refinement.

Reference: Hairer and Wanner, Solving Ordinary Differential Equations II (1996), IV.8.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from numpy import ndarray
from odes.equations import Equation

LONG = numpy.longdouble


@dataclass(frozen=True)
class Solution:
    """The Legendre series of the solution in windows.

    ends: the ends of the windows, (W + 1,). series: for each window (n, m).
    """

    ends: ndarray
    series: Sequence[ndarray]

    def __call__(self, times: ndarray) -> ndarray:
        """The values (k, m) at times within the windows."""
        which = numpy.searchsorted(self.ends[1:-1], times, side="right")
        found = [
            legendre(2 * (t - self.ends[i]) / (self.ends[i + 1] - self.ends[i]) - 1, len(series))
            @ series
            for t, i in zip(times.astype(LONG), which, strict=True)
            for series in [self.series[i]]
        ]
        return numpy.array(found)


def legendre(x: ndarray, count: int) -> ndarray:
    """The Legendre polynomials P_0 … P_(count - 1) at x, on a new last axis."""
    found = [x * 0 + 1, x]
    for j in range(1, count - 1):
        found.append(((2 * j + 1) * x * found[-1] - j * found[-2]) / LONG(j + 1))
    return numpy.stack(found[:count], axis=-1)


@dataclass(frozen=True)
class Scheme:
    """Radau's nodes in [-1, 1], the integrals of their Lagrange polynomials, (n, n), from -1, and
    the matrix (n, n) that turns values at the nodes into a Legendre series."""

    nodes: ndarray
    integrals: ndarray
    series: ndarray


def radau(count: int) -> Scheme:
    """Radau IIA with `count` stages, the last of which is at 1."""
    guess = numpy.polynomial.legendre.legroots([0] * (count - 1) + [-1, 1]).real
    x = numpy.sort(guess).astype(LONG)
    x[-1] = 1
    for _ in range(4):  # Newton's method for P_n - P_(n - 1), whose derivative is from the series
        p = legendre(x[:-1], count + 1)
        degrees = numpy.arange(1, count + 1)
        slopes = degrees * (x[:-1, None] * p[:, 1:] - p[:, :-1]) / (x[:-1, None] ** 2 - 1)
        x[:-1] -= (p[:, -1] - p[:, -2]) / (slopes[:, -1] - slopes[:, -2])
    p = legendre(x, count + 1)
    weights = (1 + x) / (count * p[:, count - 1]) ** 2
    series = (2 * numpy.arange(count) + 1)[:, None] / LONG(2) * weights * p[:, :count].T
    below = numpy.concatenate([-numpy.ones((count, 1), LONG), p[:, : count - 1]], axis=1)
    integrals = (p[:, 1:] - below) / (2 * numpy.arange(count) + 1) @ series
    return Scheme(x, integrals, series)


def solve(equation: Equation, count: int = 24, tolerance: float = 1e-19) -> Solution:
    """Solve up to the end of the equation.

    Args:
        equation: the equation.
        count: the number of stages.
        tolerance: the last coefficients of a window's series, relative to the largest ones so far.
    """
    scheme, end = radau(count), LONG(equation.end)
    state = numpy.array(equation.start, LONG)
    ends, series, size = [LONG(0)], [], abs(state)
    length, guess = LONG(equation.first), numpy.tile(state, (count, 1))
    while ends[-1] < end:
        length = min(length, end - ends[-1])
        values = _window(equation, scheme, state, length, guess)
        if values is None:
            length, guess = length * LONG(0.3), numpy.tile(state, (count, 1))
            continue
        found = scheme.series @ values
        size = numpy.maximum(size, abs(values).max(axis=0))
        error = float((abs(found[-3:]).max(axis=0) / size).max())
        factor = LONG(0.9 * (tolerance / max(error, 1e-30)) ** (1 / count))
        if error <= tolerance:
            ends.append(end if length == end - ends[-1] else ends[-1] + length)
            series.append(found)
            state = values[-1]
        length *= min(LONG(3), max(LONG(0.3), factor))
        guess = numpy.tile(state, (count, 1))
    return Solution(numpy.array(ends), series)


def _window(
    equation: Equation, scheme: Scheme, state: ndarray, length: numpy.longdouble, values: ndarray
) -> ndarray | None:
    """The values at the stages, (n, m), by Newton's method; None where it does not converge."""
    count, m = values.shape
    half, scale, last = length / 2, abs(state).max(), numpy.inf
    for _ in range(30):
        residual = (
            values - state - half * (scheme.integrals @ numpy.array(equation.rates(values.T)).T)
        )
        slopes = equation.slopes(values.T.astype(float))  # (m, m, n)
        jacobian = -numpy.einsum("ij,abj->iajb", (half * scheme.integrals).astype(float), slopes)
        jacobian = jacobian.reshape(count * m, count * m) + numpy.eye(count * m)
        change = numpy.linalg.solve(jacobian, residual.astype(float).ravel()).reshape(count, m)
        values = values - change
        step = float(abs(change).max() / scale)
        if not numpy.isfinite(step) or step > 1e3 * last:
            return None
        if step < 1e-17 or (step < 1e-13 and step > 0.3 * last):
            return values
        last = step
    return None
