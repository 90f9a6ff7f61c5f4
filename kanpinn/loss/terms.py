"""The terms of the loss: weighted means of squared residuals, or of an energy."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets.jet import Channels, Jet
from kanpinn.networks.network import Tape
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.conditions import Condition
from kanpinn.pde.evaluate import find_channels
from kanpinn.pde.problem import Problem, with_source

PROBE_POINTS = 5  # neither d nor d + 1 for the usual d: a wrong broadcast shows in the shape


@dataclass(frozen=True, eq=False)
class Term(ABC):
    """One term of the loss, weight · mean over its rows of what `total` sums up.

    `channels` are the derivatives that it uses. A row belongs to `sites` points, which follow each
    other.
    """

    name: str
    points: Points
    weight: float
    channels: Channels
    sites: int = field(default=1, kw_only=True)

    @property
    def rows(self) -> int:
        """What its mean is taken over."""
        return len(self.points) // self.sites

    def at(self, rows: slice) -> Points:
        """The points of some rows."""
        return self.points[rows.start * self.sites : rows.stop * self.sites]

    @property
    def squares(self) -> bool:
        """Whether the squares of `linearised` sum up to `total`."""
        return False

    @property
    def has_slope(self) -> bool:
        """Whether 2 Jᵀr of `linearised`, r its values and J their Jacobian, is ∇`total`."""
        return True

    def chosen(self, rows: Tensor) -> "Term":
        """The term with some of its rows only."""
        sites = torch.arange(self.sites, device=rows.device)
        return replace(self, points=self.points[(rows[:, None] * self.sites + sites).flatten()])

    @abstractmethod
    def total(self, surrogate: Surrogate, points: Points) -> Tensor:
        """The sum over the rows at some of its points."""

    def plain(self, surrogate: Surrogate, points: Points) -> Tensor:
        """`total` without weights of the rows, for what is reported."""
        return self.total(surrogate, points)

    @abstractmethod
    def linearised(self, surrogate: Surrogate, points: Points, tape: Tape) -> Tensor:
        """(rows, k) whose Jacobian J has 2 JᵀJ for the (Gauss–Newton) Hessian of `total`."""


@dataclass(frozen=True, eq=False)
class ResidualTerm(Term):
    """weight · mean over its rows of the squared residual.

    equation(points, jet) gives (rows, equations). measured: whether its rows are those of data.
    """

    equation: Callable[[Points, Jet], Tensor]
    measured: bool = field(default=False, kw_only=True)

    @property
    def squares(self) -> bool:
        return True

    def residual(self, surrogate: Surrogate, points: Points, tape: Tape | None = None) -> Tensor:
        """The equations' residuals at points, (rows, equations), without the weight."""
        return self.equation(points, surrogate.jet(points, self.channels, tape))

    def total(self, surrogate: Surrogate, points: Points) -> Tensor:
        return self.residual(surrogate, points).square().sum()

    def linearised(self, surrogate: Surrogate, points: Points, tape: Tape) -> Tensor:
        return self.residual(surrogate, points, tape)


def build_terms(
    problem: Problem,
    surrogate: Surrogate,
    interior: Points,
    boundary: Sequence[Points],
    weights: Mapping[str, float],
) -> list[ResidualTerm]:
    """The equation's term, then those of the conditions.

    boundary: see `condition_terms`. weights: "interior" and "boundary".
    """
    first = interior_term(problem, surrogate, interior, weights["interior"])
    rest = condition_terms(problem, surrogate, boundary, weights.get("boundary", 1.0))
    return [first, *rest]


def interior_term(
    problem: Problem, surrogate: Surrogate, points: Points, weight: float
) -> ResidualTerm:
    """The equation's term.

    Raises:
        InputError: where the residual has the wrong shape, or a derivative the splines do not have.
    """
    if type(problem).source is Problem.source:
        problem = with_source(problem, remembered(problem.source))
    return _term("interior", problem.equation, points, 1, weight, surrogate, "residual")


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
        term = _term(name, equation, points, condition.sites, share, surrogate, what)
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


def _term(
    name: str,
    equation: Callable[[Points, Jet], Tensor],
    points: Points,
    sites: int,
    weight: float,
    surrogate: Surrogate,
    what: str,
) -> ResidualTerm:
    rows = torch.arange(PROBE_POINTS) % (len(points) // sites)
    probe = points[(rows[:, None] * sites + torch.arange(sites)).flatten()]
    with torch.no_grad():
        channels = find_channels(lambda c: equation(probe, surrogate.jet(probe, c)), points.names)
        _check_columns(lambda p: equation(p, surrogate.jet(p, channels)), probe, sites, what)
    _check_smoothness(surrogate, channels, what)
    return ResidualTerm(name, points, weight, channels, equation, sites=sites)


def _check_columns(
    residual: Callable[[Points], Tensor], probe: Points, sites: int, what: str
) -> None:
    """Refuse (n, n): what (n, 1) gives with (n,), and no number of equations."""
    shapes = [tuple(residual(p).shape) for p in (probe, probe[:-sites])]
    if shapes[0][1] != shapes[1][1]:
        n = len(probe) // sites
        raise InputError(
            f"{what} must have shape (n, 1), one column for each equation, got {shapes[0]} with "
            f"n = {n} points: operands of shape (n, 1) and (n,) broadcast to (n, n)"
        )


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


def remembered(function: Callable[[Points], Tensor]) -> Callable[[Points], Tensor]:
    """The function's values kept for as long as the points they belong to."""
    known: WeakKeyDictionary[Points, Tensor] = WeakKeyDictionary()

    def remembering(p: Points) -> Tensor:
        if p not in known:
            known[p] = function(p)
        return known[p]

    return remembering
