"""The references that are made: their equations, points and resolutions."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy
from numpy import ndarray
from references import equations
from references.spectral import Equation


@dataclass(frozen=True)
class Case:
    """An equation, its resolution, and the points of its file.

    Args:
        equation: the equation.
        x, t: the grid of the file.
        weights: of the points, (x, t), if errors are weighted means over them; None if splines of
            `degree` interpolate between them.
        modes, step: of the spectral solution.
        degree: of the splines.
        targets: the largest relative L2 errors, each up to a time.
        periodic: whether the splines are periodic in x.
        digits: after the point are kept, which makes a file small.
    """

    equation: Equation
    x: ndarray
    t: ndarray
    modes: int
    step: float
    targets: Mapping[float, float]
    weights: ndarray | None = None
    degree: int = 0
    periodic: bool = False
    digits: int = 9

    def coarser(self) -> "Case":
        """Return the case with half the modes and steps twice as long."""
        return replace(self, modes=self.modes // 2, step=2 * self.step)


def spaced(low: float, high: float, count: int, density: Callable[[ndarray], ndarray]) -> ndarray:
    """Return points from one end to the other, with distances proportional to 1 / density."""
    fine = numpy.linspace(low, high, 400001)
    rho = density(fine)
    total = numpy.concatenate([[0], numpy.cumsum(rho[1:] + rho[:-1])])
    points = numpy.interp(numpy.linspace(0, total[-1], count), total, fine)
    points[[0, -1]] = low, high
    return points


def _interfaces(x: ndarray) -> ndarray:
    """Return a density that is large where the solution changes fast.

    That is at ±1/2 and 0, between the phases, and at ±1, where the initial values have a kink.
    """
    layers = 10 * numpy.exp(-(((abs(x) - 0.5) / 0.055) ** 2))
    return 1 + layers + 1.5 * numpy.exp(-((x / 0.15) ** 2)) + 0.2 / (1 - abs(x) + 3e-4)


def allen_cahn() -> Case:
    x = spaced(-1, 1, 385, _interfaces)
    t = spaced(0, 1, 129, lambda t: 1 + 0.1 / (t + 1e-5))
    return Case(equations.allen_cahn(), x, t, 65536, 1e-3, {1: 5e-10}, degree=7, digits=10)


def kuramoto_sivashinsky() -> Case:
    x, t = numpy.linspace(0, 2 * math.pi, 257), numpy.linspace(0, 1, 257)
    targets = {0.5: 5e-9, 1: 5e-7}  # the chaos between these times amplifies errors
    equation = equations.kuramoto_sivashinsky()
    return Case(equation, x, t, 512, 2.5e-5, targets, degree=9, periodic=True)


def schroedinger() -> Case:
    """Return the case of the Schrödinger equation, with points in place of splines.

    Waves from the kink at ±5 fill the domain and are too fast in time for splines.
    """
    nodes, weights = numpy.polynomial.legendre.leggauss(80)
    x, t = -5 + 10 * (numpy.arange(200) + 0.5) / 200, (1 + nodes) * math.pi / 4
    return Case(
        equations.schroedinger(),
        x,
        numpy.concatenate([[0], t]),
        4096,
        2.5e-5,
        {math.pi / 2: 1e-6},
        weights=numpy.concatenate([[0], weights]),
    )


def zabusky_kruskal() -> Case:
    """Return the case of the Korteweg–de Vries equation whose wave decays into solitons.

    Points in place of splines, which would need many more points for ten digits.
    """
    nodes, weights = numpy.polynomial.legendre.leggauss(64)
    x, t = -1 + 2 * (numpy.arange(256) + 0.5) / 256, (1 + nodes) / 2
    return Case(
        equations.zabusky_kruskal(),
        x,
        numpy.concatenate([[0], t]),
        768,
        1e-5,
        {1: 1e-10},
        weights=numpy.concatenate([[0], weights]),
        digits=12,
    )


CASES: Mapping[str, Callable[[], Case]] = {
    "allen_cahn": allen_cahn,
    "kuramoto_sivashinsky": kuramoto_sivashinsky,
    "schroedinger": schroedinger,
    "zabusky_kruskal": zabusky_kruskal,
}


def smoke(case: Case) -> Case:
    """Return the case with few modes and steps."""
    return replace(case, modes=min(case.modes, 512), step=2e-3)
