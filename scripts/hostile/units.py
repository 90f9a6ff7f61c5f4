"""The library's problems in other units, and the change of their errors."""

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from common import script
from common.script import PROBLEMS, solve_job
from torch import Tensor

import kanpinn as kp
from kanpinn.accuracy.norms import ErrorNorm
from kanpinn.accuracy.references import reference_of
from kanpinn.geometry import Domain
from kanpinn.jets import Channels, Jet, MissingChannel, join
from kanpinn.pde import Condition
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.conditions import values_of
from kanpinn.runs.config import SolveJob

NOTCHED = [(-1, -1), (1, -1), (1, 0), (0, 0), (0, 1), (-1, 1)]
# Domains that are no boxes, by the problem's name, for a unit of length a.
SHAPES: dict[str, Callable[[float], Domain]] = {
    "cavity": lambda a: kp.Polygon([(0, 0), (a, 0), (a, a), (0, a)]),
    "disk_hole": lambda a: kp.Disk((0, 0), a) - kp.Disk((0.3 * a, 0.1 * a), 0.3 * a, name="hole"),
    "heat_disk": lambda a: kp.Disk((0, 0), a),
    "lshape": lambda a: kp.Polygon(
        [(a * x, a * y) for x, y in NOTCHED],
        pieces=["y_min", "x_max", "notch_y", "notch_x", "y_max", "x_min"],
    ),
    "plate_hole": lambda a: kp.Box(x=(0, 2 * a), y=(0, 2 * a)) - kp.Disk((0, 0), a, name="hole"),
}


@dataclass(frozen=True)
class Units:
    """The units of a problem: its new numbers are the old ones times these factors.

    Args:
        coordinates: a factor for each coordinate.
        fields: a factor for each field.
        equations: a factor for each equation of the residual; the last one serves all further ones.
    """

    coordinates: tuple[float, ...]
    fields: tuple[float, ...]
    equations: tuple[float, ...] = (1.0,)

    @staticmethod
    def drawn(problem: kp.Problem, even: bool, seed: int, most: int = 4) -> "Units":
        """Draw random powers of ten, of exponents up to `most`.

        Args:
            problem: gives the numbers of coordinates and fields.
            even: whether all coordinates but time have one factor, as on domains that are no boxes.
            seed: of the draw.
            most: the largest exponent.
        """
        rng = random.Random(seed)
        power = lambda: 10.0 ** rng.randint(-most, most)  # noqa: E731
        names, space = problem.domain.names, power()
        coordinates = tuple(space if even and name != "t" else power() for name in names)
        count = len(problem.fields)
        return Units(
            coordinates, tuple(power() for _ in range(count)), tuple(power() for _ in range(8))
        )


class InUnits(kp.Problem):
    """A problem in other units; its solution is that of the problem itself, in these units.

    Args:
        problem: the problem.
        units: the new units.
        shape: the domain in space for a unit of length, if it is no box.

    Raises:
        TypeError: for a condition whose data cannot be stated in other units.
    """

    def __init__(
        self, problem: kp.Problem, units: Units, shape: Callable[[float], Domain] | None = None
    ) -> None:
        self.original, self.units = stated(problem, kp.Problem), units
        self.fields = problem.fields
        self.free_constant, self.error_fields = problem.free_constant, problem.error_fields
        self.factors = torch.tensor(units.coordinates, dtype=torch.float64)
        self.sizes = torch.tensor(units.fields, dtype=torch.float64)
        low, high = (end.tolist() for end in problem.domain.bounds)
        names, a = problem.domain.names, units.coordinates
        ranges = {n: (f * x, f * y) for n, f, x, y in zip(names, a, low, high, strict=True)}
        if shape is None:
            self.domain = kp.Box(**ranges)
        elif problem.domain.dim > 2:
            self.domain = shape(a[0]).over(**{names[-1]: ranges[names[-1]]})
        else:
            self.domain = shape(a[0])

    def back(self, p: kp.Points) -> kp.Points:
        """Return points in the original units; normals are those of axes or of equal factors."""
        return kp.Points(p.coords / self.factors.to(p.coords), p.names, p.normals, p.data)

    def jets(self, fields: Sequence[Jet]) -> list[Jet]:
        """Return the jets of fields in the original units."""
        sizes = [*self.units.fields, *[1.0] * (len(fields) - len(self.fields))]
        return [self._jet(u, size) for u, size in zip(fields, sizes, strict=True)]

    def _jet(self, u: Jet, size: float) -> Jet:
        a, kind = self.factors.to(u.value)[:, None], u.channels.second
        second, lines = u.second, u.lines
        if kind == "laplacian" and a.min() < a.max():
            raise MissingChannel(Channels(u.channels.names, second="diagonal"))
        if second is not None:
            scale = a[:1] ** 2 if kind == "laplacian" else a**2
            scale = (a * a.T).reshape(-1, 1) if kind == "hessian" else scale
            second = second * scale / size
        directions = tuple(
            tuple(v / f for v, f in zip(one, self.units.coordinates, strict=True))
            for one in u.channels.directions
        )
        directions = tuple(tuple(float(f"{v:.12g}") for v in one) for one in directions)
        channels = replace(u.channels, directions=directions)
        gradient = None if u.gradient is None else u.gradient * a / size
        lines = None if lines is None else lines / size
        return Jet(channels, u.value / size, gradient, second, lines)

    def within(self, function: Callable[..., Any], p: kp.Points, fields: Sequence[Jet]) -> Any:
        """Return a function of points and jets, evaluated in the original units."""
        try:
            return function(self.back(p), *self.jets(fields))
        except MissingChannel as missing:
            needed, a = missing.needed, self.units.coordinates
            lines = tuple(
                tuple(v * f for v, f in zip(one, a, strict=True)) for one in needed.directions
            )
            raise MissingChannel(replace(needed, directions=lines)) from None

    def residual(self, p: kp.Points, *fields: Jet) -> Any:
        found = self.within(self.original.residual, p, fields)
        parts = found if isinstance(found, (tuple, list)) else (found,)
        scales = [*self.units.equations, *[self.units.equations[-1]] * len(parts)]
        return tuple(c * getattr(part, "value", part) for c, part in zip(scales, parts))  # noqa: B905

    def conditions(self) -> list[Condition]:
        return [self._condition(one) for one in self.original.conditions()]

    def _condition(self, one: Condition) -> Condition:
        there = self.domain.boundary
        about = [self.fields.index(name) for name in one.about or self.fields]
        sizes = self.sizes[about]
        time = self.units.coordinates[-1]
        match one:
            case kp.Dirichlet():
                value = self._data(one.target, sizes)
                return replace(
                    one, boundary=there[one.boundary.names], value=value if one.value != 0 else 0.0
                )
            case kp.Initial():
                rate = None
                if one.rate is not None:
                    rates = partial(values_of, one.rate, what="an initial rate")
                    rate = self._data(rates, sizes / time)
                return replace(
                    one, domain=self.domain, value=self._data(one.target, sizes), rate=rate
                )
            case kp.Periodic():
                return replace(one, domain=self.domain)
            case kp.Integral() if one.density is None:
                whole = one.value * float(sizes[0] * self.factors.prod())
                return replace(one, over=self.domain, value=whole)
            case kp.Neumann() | kp.Robin() | kp.Constraint():
                place = one.on if isinstance(one, kp.Constraint) else one.boundary
                where = self.domain if isinstance(place, Domain) else there[place.names]
                equation = partial(self.within, one.residual)
                return kp.Constraint(where, lambda p, *u: equation(p, u), field=one.field)
        raise TypeError(f"no other units for a {type(one).__name__}")

    def _data(self, target: Callable[..., Tensor], sizes: Tensor) -> Callable[[kp.Points], Tensor]:
        return lambda p: target(self.back(p), len(sizes)) * sizes.to(p.coords)

    def l2_relative(self, solution: kp.Solution, recipe: Any = None) -> float:
        """Return the error of a solution of this problem, measured in the original units."""
        norm = ErrorNorm(self.original, reference_of(self.original, recipe))

        def jet(p: kp.Points, channels: Channels) -> Jet:
            there = kp.Points(p.coords * self.factors.to(p.coords), p.names)
            u = solution.surrogate.evaluate(there, channels)
            return join(self.jets([u[i] for i in range(u.value.shape[1])]))

        return norm.converged(jet).l2_relative


LEAST = 1e-11  # errors below are rounding
# Problems that are not stated in other units: their data, inputs or measurements have fixed ones,
# or they need more than minutes.
LEFT_OUT = (
    "inverse_",
    "lshape_singular",
    "poisson100d",
    "poisson10d_coupled",
    "drum",
    "oscillator",
    "fit_",
)


def figures(chosen: argparse.Namespace, failures: list[str]) -> dict[str, script.Verdict]:
    """Solve every problem in its own units and in random ones, and compare the errors."""
    files = sorted(path.stem for path in PROBLEMS.glob("*.toml"))
    names = [name for name in files if not name.startswith(LEFT_OUT)]
    names = ["disk_hole"] if chosen.smoke else names
    ratios = []
    for name in names:
        found = errors(name, chosen.units, chosen.seed, 0.5 if chosen.smoke else 1e-7)
        first, *others = (max(error, LEAST) for error in found)
        ratio = max(max(first / other, other / first) for other in others)
        ratios.append(ratio)
        if not ratio <= 2:
            listed = ", ".join(f"{error:.1e}" for error in found)
            failures.append(f"{name} in {len(found)} units has the errors {listed}")
    far = sum(not ratio <= 2 for ratio in ratios)
    return {
        "units: problems whose error changes by more than 2": script.verdict(
            far, f"0 of {len(ratios)}", far == 0
        ),
        "units: the largest change": script.verdict(max(ratios), "2", max(ratios) <= 2),
    }


def errors(name: str, count: int, seed: int, tolerance: float) -> list[float]:
    """Return the relative L2 errors of `auto` in the problem's own units and in drawn ones.

    Args:
        name: of the problem file.
        count: the number of draws.
        seed: of the draws.
        tolerance: at which the trials end.
    """
    job, shape = solve_job(name), SHAPES.get(name)
    problem = job.problem
    own = Units((1.0,) * problem.domain.dim, (1.0,) * len(problem.fields))
    drawn = [Units.drawn(problem, shape is not None, seed + i) for i in range(count)]
    return [_error(job, InUnits(problem, units, shape), tolerance) for units in (own, *drawn)]


def _error(job: SolveJob, problem: InUnits, tolerance: float) -> float:
    seconds = 60.0
    found = kp.solve(problem, tolerance=tolerance, budget=seconds, errors=False)
    return problem.l2_relative(found, job.reference)
