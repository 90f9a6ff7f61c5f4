"""The evolutions that codes are compared on, stated for each of them, with solutions at the end."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy
import torch
from common.problem_files import solve_job
from numpy import ndarray
from references import equations, spectral

import kanpinn as kp

Slopes = Sequence[ndarray | float]


@dataclass(frozen=True)
class Case:
    """An evolution to its last moment.

    Errors are relative L2 errors over space at this moment, where no code has to interpolate.

    Args:
        name: of its file in problems/.
        equation: for Fourier modes.
        last: the last moment; the first one is 0.
        rates: u_t from u, u_x, … up to the fourth derivative, of all fields (m, n) each.
        slopes: for each derivative of order 0 to 4 that occurs, its order and the derivatives by it
            of u_t, (m, m, n).
        resolutions: modes and steps of the spectral codes, from coarse to fine.
        truth: modes and steps of the solution that errors are measured against; None where there is
            a formula.
        fields: the number of fields.
        tolerances: of the march, and of SciPy's methods.
        walls: whether the values at both ends are 0, for codes that are not periodic.
    """

    name: str
    equation: spectral.Equation
    last: float
    rates: Callable[[Sequence[ndarray]], ndarray]
    slopes: Callable[[Sequence[ndarray]], Mapping[int, ndarray]]
    resolutions: Sequence[tuple[int, float]]
    truth: tuple[int, float] | None
    fields: int = 1
    tolerances: Sequence[float] = (1e-3, 1e-5, 1e-7, 1e-9)
    walls: bool = False

    @property
    def points(self) -> ndarray:
        """Points in space, more of them in the middle, where Burgers' equation has its shock."""
        low, high = self.equation.low, self.equation.high
        xi = numpy.linspace(-1, 1, 1201)[1:-1]
        even = (low + high) / 2 + (high - low) / 2 * xi
        near = (low + high) / 2 + (high - low) / 2 * numpy.sinh(5 * xi) / math.sinh(5)
        return numpy.sort(numpy.concatenate([even, near]))

    def problem(self) -> kp.Problem:
        """The library's problem up to the last moment."""
        found = type(solve_job(self.name).problem)()
        names, (low, high) = found.domain.names, found.domain.bounds
        ends = {n: (float(a), float(b)) for n, a, b in zip(names, low, high, strict=True)}
        found.domain = kp.Box(**(ends | {"t": (0.0, self.last)}))
        return found

    def exact(self) -> ndarray:
        """The solution at the points, (m, n)."""
        if self.truth is not None:
            return fields_of(spectral_values(self, *self.truth), self.fields)
        x = torch.from_numpy(self.points)
        p = kp.Points(torch.stack([x, torch.full_like(x, self.last)], dim=1), ("x", "t"))
        formula = self.problem().exact
        assert formula is not None
        return torch.as_tensor(formula(p)).T.numpy()

    def error(self, found: ndarray, exact: ndarray) -> float:
        """The relative L2 error of values at the points, (m, n)."""
        weights = numpy.gradient(self.points)
        gap, size = ((weights * u**2).sum() for u in (found - exact, exact))
        return float(math.sqrt(gap / size))


def spectral_values(case: Case, modes: int, step: float) -> ndarray:
    """The solution at the points by Fourier modes and ETDRK4 steps, (n,)."""
    first = min(1e-6, case.last / 1000)  # short first steps for what is smoothed
    times = [0.0, first, case.last] if case.name == "allen_cahn" else [0.0, case.last]
    return spectral.solve(case.equation, numpy.array(times), modes, step)(case.points)[:, -1]


def fields_of(values: ndarray, fields: int) -> ndarray:
    """Real fields (m, n) from complex values (n,)."""
    return numpy.stack([values.real, values.imag][:fields])


def burgers() -> Case:
    nu = 0.01 / math.pi
    return Case(
        "burgers",
        equations.burgers(nu),
        1.0,
        lambda u: -u[0] * u[1] + nu * u[2],
        lambda u: {0: -u[1][None], 1: -u[0][None], 2: numpy.full_like(u[0], nu)[None]},
        [(512, 4e-3), (1024, 1e-3), (2048, 4e-4), (4096, 1e-4)],
        None,
        walls=True,
    )


def allen_cahn() -> Case:
    return Case(
        "allen_cahn",
        equations.allen_cahn(),
        1.0,
        lambda u: 1e-4 * u[2] + 5 * (u[0] - u[0] ** 3),
        lambda u: {0: 5 - 15 * u[0][None] ** 2, 2: numpy.full_like(u[0], 1e-4)[None]},
        [(1024, 2e-2), (2048, 1e-2), (8192, 4e-3), (16384, 2e-3)],
        (16384, 5e-4),
    )


def kuramoto_sivashinsky() -> Case:
    a, b, c = 100 / 16, 100 / 16**2, 100 / 16**4
    return Case(
        "kuramoto_sivashinsky",
        equations.kuramoto_sivashinsky(),
        0.5,
        lambda u: -a * u[0] * u[1] - b * u[2] - c * u[4],
        lambda u: {
            0: -a * u[1][None],
            1: -a * u[0][None],
            2: numpy.full_like(u[0], -b)[None],
            4: numpy.full_like(u[0], -c)[None],
        },
        [(192, 5e-4), (256, 2e-4), (384, 5e-5), (384, 2e-5)],
        (384, 6.25e-6),
    )


def zabusky_kruskal() -> Case:
    d = 0.022**2
    return Case(
        "zabusky_kruskal",
        equations.zabusky_kruskal(),
        1.0,
        lambda u: -u[0] * u[1] - d * u[3],
        lambda u: {0: -u[1][None], 1: -u[0][None], 3: numpy.full_like(u[0], -d)[None]},
        [(192, 2e-3), (256, 5e-4), (384, 2e-4), (512, 5e-5)],
        (768, 1e-5),
    )


def schroedinger() -> Case:
    """Return the case with a kink on the period, which nothing smooths."""

    def slopes(u: Sequence[ndarray]) -> Mapping[int, ndarray]:
        r, s = u[0]
        by_values = [[-2 * r * s, -(r**2) - 3 * s**2], [3 * r**2 + s**2, 2 * r * s]]
        turned = numpy.zeros_like(by_values)
        turned[0, 1], turned[1, 0] = -0.5, 0.5
        return {0: numpy.array(by_values), 2: turned}

    def rates(u: Sequence[ndarray]) -> ndarray:
        density = (u[0] ** 2).sum(axis=0)
        return numpy.stack([-u[2][1] / 2 - density * u[0][1], u[2][0] / 2 + density * u[0][0]])

    return Case(
        "schroedinger",
        equations.schroedinger(),
        math.pi / 2,
        rates,
        slopes,
        [(256, 4e-3), (512, 1e-3), (1024, 4e-4), (2048, 2e-4)],
        (4096, 1e-4),
        fields=2,
        tolerances=(1e-3, 1e-4, 1e-5),
    )


CASES: Mapping[str, Callable[[], Case]] = {
    one.__name__: one
    for one in (burgers, allen_cahn, kuramoto_sivashinsky, zabusky_kruskal, schroedinger)
}


def smoke(case: Case) -> Case:
    """Return the case with few modes and long steps, over a hundredth of the time."""
    truth = None if case.truth is None else (128, 1e-3)
    coarse = [(64, 5e-3)]
    return replace(
        case, last=case.last / 100, resolutions=coarse, truth=truth, tolerances=case.tolerances[:1]
    )
