"""Whether a function, such as a problem's exact solution, satisfies the problem."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.geometry.sampling import Collocation, sample
from kanpinn.jets import Channels, Jet
from kanpinn.pde.evaluate import find_channels
from kanpinn.pde.problem import Problem, exact_columns

Equation = Callable[[Points, Jet], Tensor]
JetAt = Callable[[Points, Channels], Jet]


@dataclass(frozen=True)
class Defect:
    """A function's residual in one equation.

    Args:
        name: the equation's name, such as "Poisson.conditions()[0]".
        size: the residual's root mean square at sampled points.
        relative: the same over that of the equation's terms.
    """

    name: str
    size: float
    relative: float

    @property
    def is_rounding(self) -> bool:
        """Whether the residual is rounding; False also for what is not a number."""
        return self.relative <= 1e-8


def exact_defects(problem: Problem) -> Iterator[Defect]:
    """The exact solution's residual in the equation and each condition; none where there is none.

    Measurements are left out where they have noise.

    Raises:
        InputError: where a residual has the wrong shape.
    """
    known = all(unknown.exact is not None for unknown in problem.numbers.values())
    if problem.has_exact and known:
        yield from defects_of(problem, functools.partial(exact_columns, problem))


def defects_of(problem: Problem, jet: JetAt) -> Iterator[Defect]:
    """A function's residual in the equation and each condition of a problem.

    Args:
        problem: the problem.
        jet: gives the function's jet, all fields and unknown numbers, at points.

    Raises:
        InputError: where a residual has the wrong shape.
    """
    kind, few = type(problem).__name__, Collocation(64, 64, "sobol")
    inside = sample(problem.domain, few.interior, few.sampler)
    size = _rms(jet(inside, Channels(inside.names)).value)
    yield _defect(jet, problem.equation, inside, 1, size, f"{kind}.residual")
    for index, condition in enumerate(problem.conditions()):
        if condition.measurements and (condition.noise is not None or problem.unknowns):
            continue  # noise
        at = condition.points(few, 1.0, torch.Generator().manual_seed(0))
        equation, name = problem.condition_equation(index), f"{kind}.conditions()[{index}]"
        yield _defect(jet, equation, at, condition.sites, size, name)


def _defect(
    jet: JetAt, equation: Equation, p: Points, sites: int, scale: float, name: str
) -> Defect:
    """The residual at points; scale: the root mean square of the function's own values."""
    channels = find_channels(lambda c: equation(p, jet(p, c)), p.names)
    # (n, n) is told from n equations by another n; a face may have only one point.
    few = [p[torch.arange(n * sites) % len(p)] for n in (2, 3)]
    if len({equation(points, jet(points, channels)).shape[1] for points in few}) > 1:
        raise InputError(
            f"{name} must have shape (n, 1), one column for each equation, got (n, n): "
            "operands of shape (n, 1) and (n,) broadcast to (n, n)"
        )
    u = jet(p, channels)
    size = _rms(equation(p, u))
    # What the equation's terms amount to: they cancel for u itself, not for 0 and 2u.
    terms = [scale, _rms(equation(p, u * 0)), _rms(equation(p, u * 2)), *map(_rms, u.parts())]
    return Defect(name, size, size / max(terms) if max(terms) else size)


def _rms(values: Tensor) -> float:
    return float(torch.sqrt(values.detach().square().mean()))
