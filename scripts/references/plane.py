"""Fourier spectral solutions of evolution equations that are periodic in two dimensions of space.

The method is that of `references.spectral`, for several fields whose linear parts are independent.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy
from numpy import ndarray
from references.spectral import factors_of, step_of


@dataclass(frozen=True)
class PlaneCase:
    """u_t = L u + N(u) for m fields on a square, its resolution, and the points of its file.

    Args:
        low, high: the ends of a period in x and in y.
        linear: L at the squares of wave numbers, (…) → (m, …).
        nonlinear: N at values of the fields, (m, …) → (m, …).
        initial: the fields at t = 0 at x and y, (…), (…) → (m, …).
        fields: their names.
        end: the end of the time.
        modes, step: of the spectral solution, the modes of each coordinate.
        target: the largest relative L2 difference from half the resolution, whose error is some 16
            times as large.
        points, times: the numbers of points of each coordinate and of times in the file.
        digits: after the point are kept.
    """

    low: float
    high: float
    linear: Callable[[ndarray], ndarray]
    nonlinear: Callable[[ndarray], ndarray]
    initial: Callable[[ndarray, ndarray], ndarray]
    fields: tuple[str, ...]
    end: float
    modes: int
    step: float
    target: float
    points: int = 32
    times: int = 12
    digits: int = 9

    def coarser(self) -> "PlaneCase":
        """Return the case with half the modes and steps twice as long."""
        return replace(self, modes=self.modes // 2, step=2 * self.step)

    def grid(self) -> tuple[ndarray, ndarray]:
        """Return x and y at the grid points of a period, (modes, modes) each."""
        line = self.low + (self.high - self.low) * numpy.arange(self.modes) / self.modes
        x, y = numpy.meshgrid(line, line, indexing="ij")
        return x, y

    def rule(self) -> tuple[ndarray, ndarray]:
        """Return the times of the file, of a Gauss rule, and their weights."""
        nodes, weights = numpy.polynomial.legendre.leggauss(self.times)
        return (1 + nodes) * self.end / 2, weights / 2


def solve(case: PlaneCase) -> dict[str, ndarray]:
    """Solve a case and return its fields at the points and times of its file, (x, y, t)."""
    n, length = case.modes, case.high - case.low
    k = 2 * math.pi * numpy.fft.fftfreq(n, length / n)
    squares = (k**2)[:, None] + (k[: n // 2 + 1] ** 2)[None]
    linear = case.linear(squares)
    u = numpy.fft.rfft2(case.initial(*case.grid()))
    found = []
    for begin, end in itertools.pairwise([0.0, *case.rule()[0]]):
        count = math.ceil((end - begin) / case.step * (1 - 1e-12))
        factors = factors_of(linear, (end - begin) / count)
        for _ in range(count):
            u = step_of(
                lambda v: numpy.fft.rfft2(case.nonlinear(numpy.fft.irfft2(v, (n, n)))), u, factors
            )
        stride = n // case.points
        found.append(numpy.fft.irfft2(u, (n, n))[:, ::stride, ::stride])
    return dict(zip(case.fields, numpy.stack(found, axis=-1), strict=True))


def write(path: Path, case: PlaneCase, fields: Mapping[str, ndarray]) -> None:
    """Write points with weights."""
    times, weights = case.rule()
    line = case.low + (case.high - case.low) * numpy.arange(case.points) / case.points
    x, y, t = numpy.meshgrid(line, line, times, indexing="ij")
    columns = {"x": x, "y": y, "t": t, "weight": numpy.broadcast_to(weights, x.shape)}
    path.unlink(missing_ok=True)
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file.create_dataset(name, data=column, compression="gzip", shuffle=True)
        for name, values in fields.items():
            file.create_dataset(name, data=values, scaleoffset=case.digits)


def difference(
    case: PlaneCase, found: Mapping[str, ndarray], exact: Mapping[str, ndarray]
) -> float:
    """Return the relative L2 difference of two solutions at the points of the file."""
    _, weights = case.rule()
    error = sum((weights * (found[name] - u) ** 2).sum() for name, u in exact.items())
    return float((error / sum((weights * u**2).sum() for u in exact.values())) ** 0.5)


def allen_cahn2d(width: float = 0.05, radius: float = 0.6) -> PlaneCase:
    """Return the case of u_t = Δu + (u - u³) / ε², with a circle that shrinks."""

    def initial(x: ndarray, y: ndarray) -> ndarray:
        squares = numpy.sin(math.pi * x / 2) ** 2 + numpy.sin(math.pi * y / 2) ** 2
        inside = radius**2 - 4 / math.pi**2 * squares
        return numpy.tanh(inside / (2 * math.sqrt(2) * radius * width))[None]

    return PlaneCase(
        -1.0,
        1.0,
        lambda k2: (1 / width**2 - k2)[None],
        lambda u: -(u**3) / width**2,
        initial,
        ("u",),
        end=0.15,
        modes=256,
        step=5e-5,
        target=1e-7,
    )


def gray_scott() -> PlaneCase:
    """Return the case of two substances that react and diffuse from one spot."""

    def initial(x: ndarray, y: ndarray) -> ndarray:
        def spot(a: float, b: float) -> ndarray:
            c, s = (1 - numpy.cos(math.pi * (x - a))), (1 - numpy.cos(math.pi * (y - b)))
            return numpy.exp(-16 * (c + s))

        return numpy.stack([1 - spot(-0.05, -0.02), spot(0.05, 0.02)])

    def reaction(w: ndarray) -> ndarray:
        u, v = w
        rate = 1000 * u * v**2
        return numpy.stack([40 - rate, rate])

    return PlaneCase(
        -1.0,
        1.0,
        lambda k2: numpy.stack([-0.2 * k2 - 40, -0.1 * k2 - 100]),
        reaction,
        initial,
        ("u", "v"),
        end=1.0,
        modes=192,
        step=1e-4,
        target=2e-6,
    )


CASES: Mapping[str, Callable[[], PlaneCase]] = {
    "allen_cahn2d": allen_cahn2d,
    "gray_scott": gray_scott,
}


def smoke(case: PlaneCase) -> PlaneCase:
    """Return the case with few modes and steps."""
    return replace(case, modes=64, step=case.end / 200)
