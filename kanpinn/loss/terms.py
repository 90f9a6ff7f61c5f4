"""The terms of the loss: weighted means of squared residuals, or of an energy."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet
from kanpinn.networks.network import Tape
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.conditions import Condition
from kanpinn.pde.evaluate import find_channels
from kanpinn.pde.problem import Problem, with_source

PROBE_POINTS = 5  # neither d nor d + 1 for the usual d: a wrong broadcast shows in the shape


@dataclass(frozen=True, eq=False)
class Term(ABC):
    """One term of the loss: weight · factor · the mean over its rows of what `total` sums up.

    Args:
        name: of the term; the terms of one loss have different names.
        points: (n, d), with what is known at them.
        weight: of the term in the loss, as it is reported.
        channels: the derivatives that the term uses.
        sites: the points of one row, which follow each other: a residual may tie points together.
        factor: what a balance multiplies the weight by in what optimizers minimise.

    squares: whether the squares of `linearised` sum up to `total`. has_slope: whether 2 Jᵀr is the
    gradient of `total`, r the values of `linearised` and J their Jacobian.
    """

    squares: ClassVar[bool] = False
    has_slope: ClassVar[bool] = True

    name: str
    points: Points
    weight: float
    channels: Channels
    sites: int = field(default=1, kw_only=True)
    factor: float = field(default=1.0, kw_only=True)

    @property
    def rows(self) -> int:
        """The number of rows, over which the mean is taken."""
        return len(self.points) // self.sites

    def at(self, rows: slice) -> Points:
        """The points of some rows."""
        return self.points[rows.start * self.sites : rows.stop * self.sites]

    def chosen(self, rows: Tensor) -> Self:
        """The term with some of its rows only, whose numbers are given, (k,)."""
        sites = torch.arange(self.sites, device=rows.device)
        return replace(self, points=self.points[(rows[:, None] * self.sites + sites).flatten()])

    @abstractmethod
    def total(self, surrogate: Surrogate, points: Points) -> Tensor:
        """The sum over the rows at some of the term's points, a scalar."""

    @abstractmethod
    def linearised(self, surrogate: Surrogate, points: Points, tape: Tape) -> Tensor:
        """(rows, k), whose Jacobian J has 2 JᵀJ for the (Gauss–Newton) Hessian of `total`."""


@dataclass(frozen=True, eq=False)
class ResidualTerm(Term):
    """weight · factor · the mean over its rows of the squared residual.

    Args:
        equation: of points and the fields' jet there; gives the residuals (rows, equations).
        measured: whether the rows are those of data.
    """

    squares: ClassVar[bool] = True

    equation: Callable[[Points, Jet], Tensor]
    measured: bool = field(default=False, kw_only=True)

    def residual(self, surrogate: Surrogate, points: Points, tape: Tape | None = None) -> Tensor:
        """The equations' residuals at points, (rows, equations), without the weight."""
        return self.equation(points, surrogate.jet(points, self.channels, tape))

    linearised = residual  # the Gauss–Newton method linearises the residual itself

    def total(self, surrogate: Surrogate, points: Points) -> Tensor:
        return self.residual(surrogate, points).square().sum()


def build_terms(
    problem: Problem,
    surrogate: Surrogate,
    interior: Points,
    boundary: Sequence[Points],
    weights: Mapping[str, float],
) -> list[ResidualTerm]:
    """The equation's term, then those of the conditions.

    Args:
        problem: whose residual and conditions they are.
        surrogate: of which they are terms.
        interior: the points of the equation.
        boundary: the points of each condition, see `condition_terms`.
        weights: of "interior" and "boundary".

    Raises:
        InputError: where a residual has the wrong shape, or a derivative the splines do not have.
    """
    if type(problem).source is Problem.source:  # derived from the exact solution, which is slow
        source = problem.source
        problem = with_source(problem, lambda p: p.once("source", lambda: source(p)))
    weight = weights["interior"]
    first = residual_term("interior", problem.equation, interior, 1, weight, surrogate, "residual")
    return [first, *condition_terms(problem, surrogate, boundary, weights.get("boundary", 1.0))]


def condition_terms(
    problem: Problem, surrogate: Surrogate, boundary: Sequence[Points], weight: float
) -> list[ResidualTerm]:
    """A term for each condition that has points.

    boundary: the points of each of `problem.conditions()`, empty where the surrogate takes the data
    exactly.

    Raises:
        InputError: where a residual has the wrong shape, or a derivative the splines do not have.
    """
    terms = []
    conditions = problem.conditions()
    kept = [i for i, points in enumerate(boundary) if len(points)]
    surface = sum(len(boundary[i]) for i in kept if conditions[i].surface)
    for i in kept:
        condition, points = conditions[i], boundary[i]
        name = "boundary" if len(kept) == 1 else f"boundary[{i}]"
        # Together those on the boundary are one mean over it; any other stands for itself.
        part = len(points) / surface if condition.surface else 1.0
        if problem.unknowns and condition.measurements:
            part = _data_part(conditions, i)
        share = weight * condition.weight * part
        equation, what = problem.condition_equation(i), f"conditions()[{i}]"
        term = residual_term(name, equation, points, condition.sites, share, surrogate, what)
        terms.append(replace(term, measured=condition.measurements > 0))
    return terms


def _data_part(conditions: Sequence[Condition], index: int) -> float:
    """The weight of one of the data, which together are one mean of squares in their own units.

    Σ ((u - d)/σ)² over all of them counts, whatever the conditions that they come in. Beside a mean
    squared residual of the equation that lets the solution follow the equation, not the noise: what
    of the noise it still follows, intervals take into account. A larger weight of the equation
    makes what a network leaves of its residual count as information on the unknowns, which it is
    not: intervals become too narrow. (Measured with an elliptic equation and Navier–Stokes: with
    100 to 10000 times the weight they had 0.9 to 0.3 of the Cramér–Rao bound's width.)
    """
    precision = sum(c.measurements / (c.noise or 1.0) ** 2 for c in conditions)
    return conditions[index].measurements / precision


def residual_term(
    name: str,
    equation: Callable[[Points, Jet], Tensor],
    points: Points,
    sites: int,
    weight: float,
    surrogate: Surrogate,
    what: str,
) -> ResidualTerm:
    """The term of one equation, whose derivatives are found by trying it at a few points.

    Args:
        what: the equation is called in messages; the others are those of `ResidualTerm`.

    Raises:
        InputError: where the residual has the wrong shape, or a derivative the splines do not have.
    """
    rows = torch.arange(PROBE_POINTS) % (len(points) // sites)
    probe = points[(rows[:, None] * sites + torch.arange(sites)).flatten()]
    with torch.no_grad():
        channels = find_channels(lambda c: equation(probe, surrogate.jet(probe, c)), points.names)
        # One row fewer must give one row fewer: (n, 1) with (n,) would broadcast to (n, n).
        shapes = [
            tuple(equation(p, surrogate.jet(p, channels)).shape) for p in (probe, probe[:-sites])
        ]
    if shapes[0][1] != shapes[1][1]:
        raise InputError(
            f"{what} must have shape (n, 1), one column for each equation, got {shapes[0]} with "
            f"n = {PROBE_POINTS} points: operands of shape (n, 1) and (n,) broadcast to (n, n)"
        )
    _check_smoothness(surrogate, channels, what)
    return ResidualTerm(name, points, weight, channels, equation, sites=sites)


def _check_smoothness(surrogate: Surrogate, channels: Channels, what: str) -> None:
    degree, order = surrogate.network.max_order, channels.derivative_order
    if degree is None or degree > order:
        return
    if degree < order:
        raise InputError(
            f"network.degree = {degree} is below the order {order} of {what}: "
            "its derivative vanishes"
        )
    warnings.warn(
        f"network.degree = {degree} equals the order of {what}: the residual is only piecewise "
        f"constant in the splines; a degree of {order + 1} or more is advised",
        stacklevel=2,
    )
