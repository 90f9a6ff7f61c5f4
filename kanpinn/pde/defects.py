"""Residuals of a problem's exact solution, to check that it solves the problem."""

import functools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.points import Batch
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Channels, JetFunction, ResidualFunction, find_channels
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.problem import Problem, exact_columns, exact_jet


@dataclass(frozen=True)
class Defect:
    """The size of a function's residual in the equation or in one condition of a problem.

    Args:
        name: the name of the residual, such as "Poisson.conditions()[0]".
        size: the root mean square of the residual at sampled points.
        relative: `size` divided by an estimate of the root mean square of the residual's terms.
    """

    name: str
    size: float
    relative: float

    @property
    def words(self) -> str:
        """The message to the user that the exact solution has this residual."""
        size = f"{self.size:.1e} (root mean square), {self.relative:.1e} of the terms"
        return f"the exact solution does not satisfy {self.name}: its residual is {size}"

    @property
    def is_rounding(self) -> bool:
        """True if the relative residual is at most 1e-8; False also for NaN."""
        return self.relative <= 1e-8


def exact_defects(problem: Problem) -> Iterator[Defect]:
    """Yield the sizes of the exact solution's residuals in the equation and in each condition.

    Measurements with noise, and all measurements of problems with unknowns, are left out.

    Yields:
        One `Defect` for the equation and for each condition; nothing if the problem has no exact
        solution, or an unknown parameter has no exact value.

    Raises:
        InputError: if a residual has the wrong shape.
    """
    known = all(unknown.exact is not None for unknown in problem.numbers.values())
    if problem.exact is not None and known:
        yield from defects_of(problem, functools.partial(exact_columns, problem))


def warn_of_contradictions(problem: Problem) -> None:
    """Warn if the exact solution does not solve the problem, or is not finite in the domain.

    Errors computed with such an exact solution would be meaningless. A residual passes if it is at
    most 1e-6 of the equation's terms, since the exact solution may be a truncated series, or if it
    is not finite, as next to a corner.

    Raises:
        InputError: if the exact solution raises an exception or has the wrong shape.
    """
    few, name = sample(problem.domain, 64, "sobol"), type(problem).__name__
    measured = [problem.fields.index(one) for one in problem.error_fields or problem.fields]
    values = exact_jet(problem, few, Channels(few.names)).value[:, measured]
    if bad := int((~values.isfinite()).any(dim=1).sum()):
        words = f"{name}.exact is not finite at {bad} of {len(few)} points"
        warnings.warn(f"{words}: errors are not known", stacklevel=3)
        return
    try:
        wrong = [one for one in exact_defects(problem) if one.relative > 1e-6]
    except Exception:  # the user's own functions may fail at these points, but not at others
        return
    for one in wrong:
        warnings.warn(one.words, stacklevel=3)


def defects_of(problem: Problem, jet: JetFunction) -> Iterator[Defect]:
    """Yield the sizes of a function's residuals in the equation and each condition of a problem.

    Measurements with noise, and all measurements of problems with unknowns, are left out.

    Args:
        problem: the problem.
        jet: returns the function's jet (values and derivatives) at points, with the derivatives
            that the channels name and with a column for each field and then for each unknown
            scalar parameter.

    Yields:
        One `Defect` for the equation and for each condition.

    Raises:
        InputError: if a residual has the wrong shape.
    """
    problem = stated(problem)
    kind, few = type(problem).__name__, Collocation(64, 64, "sobol")
    inside = sample(problem.domain, few.interior, few.sampler)
    size = float(jet(inside, Channels(inside.names)).value.detach().square().mean().sqrt())
    yield _defect(jet, problem.equation, inside, 1, size, f"{kind}.residual")
    for condition in problem.conditions():
        if condition.measurements and (condition.noise is not None or problem.unknowns):
            continue  # noise keeps the residual from vanishing
        at = condition.points(few, 1.0, torch.Generator().manual_seed(0))
        name = f"{kind}.{condition.title}"
        yield _defect(jet, condition.stacked_residual, at, condition.sites, size, name)


def _defect(
    jet: JetFunction, equation: ResidualFunction, p: Points, sites: int, scale: float, name: str
) -> Defect:
    """Return the size of a function's residual in the equation or a condition.

    The relative residual is the root mean square residual of the function u divided by the largest
    of several root mean squares: the residual of the function 0, the residual of 2u, u and each of
    its derivatives at the points, and u in the domain (`scale`). The residuals of 0 and 2u show the
    sizes of the terms. If all these root mean squares are 0, the residual is not divided.

    Args:
        jet: returns the function's jet (values and derivatives) at points for given channels.
        equation: the residual of the equation or condition, from points and a jet.
        p: the points at which the residual is evaluated.
        sites: the number of consecutive points that one row of the residual combines.
        scale: the root mean square of the function's values.
        name: the name of the residual, for messages.
    """
    p = Batch.made_of(p)  # a batch caches a source that is derived from `exact`
    channels, (u, values) = find_channels(lambda c: (u := jet(p, c), equation(p, u)), p.names)
    # A result (n, n) from accidental broadcasting looks like n equations, but its number of columns
    # changes with n. Therefore the residual is evaluated for two values of n; points are repeated,
    # since a face may have only one point.
    few = [p[torch.arange(n * sites) % len(p)] for n in (2, 3)]
    if len({equation(points, jet(points, channels)).shape[1] for points in few}) > 1:
        raise InputError(
            f"{name} must have shape (n, 1), one column for each equation, got (n, n): "
            "operands of shape (n, 1) and (n,) broadcast to (n, n)"
        )
    # The terms of the equation cancel for the solution u. The residuals of 0 and of 2u show how
    # large the terms are.
    parts = [values, equation(p, u * 0), equation(p, u * 2), *u.parts()]
    size, *terms = [float(part.detach().square().mean().sqrt()) for part in parts]
    largest = max(scale, *terms)
    return Defect(name, size, size / largest if largest else size)
