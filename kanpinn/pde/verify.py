"""Residuals of a problem's exact solution, and densities of conserved quantities."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import (
    Channels,
    Jet,
    ResidualFunction,
    find_channels,
    random_jets,
    stack_equations,
)
from kanpinn.pde.exact_solution import exact_columns, exact_jet
from kanpinn.pde.problem import Problem

JetAt = Callable[[Points, Channels], Jet]


@dataclass(frozen=True)
class Defect:
    """The residual of a function in the equation or one condition of a problem.

    Args:
        name: the name of the residual, such as "Poisson.conditions()[0]".
        size: the root mean square of the residual at sampled points.
        relative: `size` divided by an estimate of the size of the equation's terms.
    """

    name: str
    size: float
    relative: float

    @property
    def is_rounding(self) -> bool:
        """True if the relative residual is at most 1e-8; False also for NaN."""
        return self.relative <= 1e-8


def exact_defects(problem: Problem) -> Iterator[Defect]:
    """Yield the exact solution's residuals in the equation and in each condition.

    Measurements with noise, and all measurements of problems with unknowns, are left out.

    Yields:
        One defect for the equation and each condition; none where the problem has no exact solution
        or an unknown number has no exact value.

    Raises:
        InputError: where a residual has the wrong shape.
    """
    if problem.exact is None:
        return
    if not problem.unknowns:
        yield from defects_of(problem, functools.partial(exact_jet, problem))
    elif all(unknown.exact is not None for unknown in problem.numbers.values()):
        yield from defects_of(problem, functools.partial(exact_columns, problem))


def defects_of(problem: Problem, jet: JetAt) -> Iterator[Defect]:
    """Yield a function's residuals in the equation and in each condition of a problem.

    Measurements with noise, and all measurements of problems with unknowns, are left out.

    Args:
        problem: the problem.
        jet: returns the function's jet at points with the given channels, with a column for each
            field and then each unknown number.

    Yields:
        One defect for the equation and each condition.

    Raises:
        InputError: where a residual has the wrong shape.
    """
    kind, few = type(problem).__name__, Collocation(64, 64, "sobol")
    inside = sample(problem.domain, few.interior, few.sampler)
    size = float(jet(inside, Channels(inside.names)).value.detach().square().mean().sqrt())
    yield _defect(jet, problem.equation, inside, 1, size, f"{kind}.residual")
    for index, condition in enumerate(problem.conditions()):
        if condition.measurements and (condition.noise is not None or problem.unknowns):
            continue  # noise keeps the residual from vanishing
        at = condition.points(few, 1.0, torch.Generator().manual_seed(0))
        name = f"{kind}.conditions()[{index}]"
        equation = functools.partial(condition.stacked_residual, problem.fields, name)
        yield _defect(jet, equation, at, condition.sites, size, name)


def _defect(
    jet: JetAt, equation: ResidualFunction, p: Points, sites: int, scale: float, name: str
) -> Defect:
    """Return the defect at points; `scale` is the root mean square of the function's values."""
    p = Batch.made_of(p)  # which keeps a source that is derived at the points
    channels, (u, values) = find_channels(lambda c: (u := jet(p, c), equation(p, u)), p.names)
    # A result (n, n) by accidental broadcasting differs from n equations in that its number of
    # columns changes with n, so it is evaluated at two n. A face may have only one point, so points
    # are repeated.
    few = [p[torch.arange(n * sites) % len(p)] for n in (2, 3)]
    if len({equation(points, jet(points, channels)).shape[1] for points in few}) > 1:
        raise InputError(
            f"{name} must have shape (n, 1), one column for each equation, got (n, n): "
            "operands of shape (n, 1) and (n,) broadcast to (n, n)"
        )
    # The terms of the equation cancel for u, but not for 0 and 2u, which therefore show their size.
    parts = [values, equation(p, u * 0), equation(p, u * 2), *u.parts()]
    size, *terms = [float(part.detach().square().mean().sqrt()) for part in parts]
    largest = max(scale, *terms)
    return Defect(name, size, size / largest if largest else size)


Densities = Callable[..., Mapping[str, Tensor]]


def densities_at(what: str, densities: Densities, p: Points, u: Jet) -> dict[str, Tensor]:
    """Return the densities of a solution at n points by name, (n,) each.

    Args:
        what: the name of the method, "Class.invariants", for messages.
        densities: a problem's method `invariants` or `outflow`.
        p: the points.
        u: the jet of all columns there.

    Raises:
        InputError: where the method returns no columns by name.
    """
    n, found = len(p), densities(p, *u.components())
    if not isinstance(found, Mapping) or not found or not all(isinstance(k, str) for k in found):
        raise InputError(
            f'{what} must return a dict from names to densities, {{"mass": u.value}}, got {found!r}'
        )
    columns = {name: stack_equations(one, n, f"{what}[{name!r}]") for name, one in found.items()}
    for name, column in columns.items():
        if column.shape[1] != 1:
            raise InputError(
                f"{what}[{name!r}] must have shape (n, 1) with n = {n} points here, "
                f"got {tuple(column.shape)}"
            )
    return {name: column[:, 0] for name, column in columns.items()}


def check_densities(problem: Problem) -> None:
    """Try the methods `invariants` and `outflow` of a problem that has the first, on random jets.

    Raises:
        InputError: where they do not return columns by name, or `outflow` has other names.
    """
    p, name = sample(problem.domain, 5, "uniform"), type(problem).__name__
    p = Points(p.coords, p.names, torch.ones_like(p.coords))  # an outflow takes normals
    known: tuple[str, ...] = ()
    for method, densities in (("invariants", problem.invariants), ("outflow", problem.outflow)):
        if densities is None:
            continue
        found = _names(f"{name}.{method}", densities, p, len(problem.columns))
        if known and (other := [name for name in found if name not in known]):
            raise InputError(
                f"{name}.{method} has {other[0]!r}, which is none of the invariants "
                f"{', '.join(known)}"
            )
        known = found


def _names(what: str, densities: Densities, p: Points, m: int) -> tuple[str, ...]:
    """Return the names of the densities, from those of a random jet of m columns."""
    found: dict[str, Tensor] = {}

    def stacked(p: Points, u: Jet) -> Tensor:
        found.update(densities_at(what, densities, p, u))
        return torch.stack([*found.values()], dim=1)

    random_jets(stacked, p, m)
    return tuple(found)
