"""The terms of the loss: weighted means of squared residuals, or of an energy."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Self

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Piece, Points
from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels, Jet
from kanpinn.loss.scales import Scales
from kanpinn.networks.layer import Tape
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.conditions import Condition
from kanpinn.pde.evaluate import find_channels

PROBE_POINTS = 5  # neither d nor d + 1 for the usual d: a wrong broadcast shows in the shape


@dataclass(frozen=True, eq=False)
class Term(ABC):
    """One term of the loss: weight · factor · the mean over its rows of the sum in `total`.

    Args:
        name: the name of the term; the terms of one loss have different names.
        points: the collocation points (n, d), with normals and data where they are known.
        weight: the weight of the term in the reported loss.
        channels: the derivatives that the term uses.
        sites: the number of consecutive points in one row: a residual may couple several points.
        factor: the factor of a balance, which multiplies the weight in the loss of optimizers.
        measured: whether the rows compare the fields with measured data.
        pieces: the pieces of a boundary at every point of which the rows hold; empty for others.
        kinks: the pieces of interfaces at every point of which the rows hold; a row belongs to a
            point inside and one outside.

    squares: whether `total` is the sum of the squares of `linearised`. has_slope: whether 2 Jᵀr is
    the gradient of `total`, where r is the value of `linearised` and J its Jacobian.
    """

    squares: ClassVar[bool] = False
    has_slope: ClassVar[bool] = True

    name: str
    points: Points
    weight: float
    channels: Channels
    sites: int = field(default=1, kw_only=True)
    factor: float = field(default=1.0, kw_only=True)
    measured: bool = field(default=False, kw_only=True)
    pieces: tuple[Piece, ...] = field(default=(), kw_only=True)
    kinks: tuple[Piece, ...] = field(default=(), kw_only=True)

    @property
    def rows(self) -> int:
        """The number of rows, by which the mean divides."""
        return len(self.points) // self.sites

    def at(self, rows: slice) -> Points:
        """The points of a slice of rows."""
        return self.points[rows.start * self.sites : rows.stop * self.sites]

    def chosen(self, rows: Tensor) -> Self:
        """The same term with some of its rows only; rows: their indices, (k,)."""
        sites = torch.arange(self.sites, device=rows.device)
        return replace(self, points=self.points[(rows[:, None] * self.sites + sites).flatten()])

    def equations(self, surrogate: Surrogate) -> int:
        """The number of equations in each row; 1 unless the term has residuals."""
        return 1

    @abstractmethod
    def total(self, surrogate: Surrogate, points: Points) -> Tensor:
        """The sum over the rows that belong to `points`, a scalar."""

    @abstractmethod
    def linearised(self, surrogate: Surrogate, points: Points, tape: Tape) -> Tensor:
        """Values (rows, k) whose Jacobian J gives the Gauss–Newton Hessian 2 JᵀJ of `total`.

        Args:
            surrogate: the solution.
            points: some of the term's points.
            tape: records the layers whose Jacobian is wanted.
        """


@dataclass(frozen=True, eq=False)
class ResidualTerm(Term):
    """weight · factor · the mean over its rows of the squared residual.

    Args:
        equation: a function of points and the fields' jet that gives residuals (rows, equations).
    """

    squares: ClassVar[bool] = True

    equation: Callable[[Points, Jet], Tensor]

    def residual(self, surrogate: Surrogate, points: Points, tape: Tape | None = None) -> Tensor:
        """The residuals of the equations at points, (rows, equations), without the weight."""
        return self.equation(points, surrogate.jet(points, self.channels, tape))

    @torch.no_grad()
    def equations(self, surrogate: Surrogate) -> int:
        return self.residual(surrogate, self.at(slice(0, 1))).shape[1]

    def times(self, factors: Tensor) -> "ResidualTerm":
        """The same term with the residual of each equation multiplied by its factor."""
        return replace(self, equation=lambda p, u: self.equation(p, u) * factors.to(u.value))

    linearised = residual  # the Gauss–Newton method linearises the residual itself

    def total(self, surrogate: Surrogate, points: Points) -> Tensor:
        return self.residual(surrogate, points).square().sum()


def condition_terms(
    problem: BoundaryValueProblem,
    surrogate: Surrogate,
    boundary: Sequence[Points],
    weight: float,
    scales: Scales | None = None,
) -> list[ResidualTerm]:
    """The loss terms of the conditions that have points.

    Args:
        problem: gives the conditions.
        surrogate: the solution.
        boundary: the points of each of `problem.conditions()`, empty for a condition that the
            surrogate satisfies exactly.
        weight: the weight of the boundary in the loss.
        scales: give the factors of the conditions' equations; None for 1.

    Raises:
        InputError: if a residual has the wrong shape, or contains a derivative that vanishes
            identically for the surrogate's splines.
    """
    terms = []
    conditions = problem.conditions()
    kept = [i for i, points in enumerate(boundary) if len(points)]
    surface = sum(len(boundary[i]) for i in kept if conditions[i].surface)
    for i in kept:
        condition, points = conditions[i], boundary[i]
        name = "boundary" if len(kept) == 1 else f"boundary[{i}]"
        # All conditions on the boundary share one mean over it; any other has its own mean.
        part = len(points) / surface if condition.surface else 1.0
        if surrogate.has_unknowns and condition.measurements:
            part = _data_part(conditions, i)
        share = weight * condition.weight * part
        what = f"conditions()[{i}]"
        equation = partial(condition.stacked_residual, problem.fields, what)
        term = residual_term(
            name, equation, points, surrogate, what, weight=share, sites=condition.sites
        )
        if scales is not None and not condition.measurements:
            term = term.times(scales.conditions[i])
        measured = condition.measurements > 0
        where, kinks = condition.pieces, condition.kinks
        terms.append(replace(term, measured=measured, pieces=where, kinks=kinks))
    return terms


def _data_part(conditions: Sequence[Condition], index: int) -> float:
    """The weight of one data condition, such that all data together enter as one mean square.

    That mean square is Σ ((u - d)/σ)² / Σ 1/σ², however the data are split into conditions. Added
    to the mean squared residual of the equation, it lets the solution follow the equation rather
    than the noise; confidence intervals account for the remaining effect of the noise. A larger
    weight of the equation would treat the network's remaining residual as information on the
    unknowns, and the intervals would be too narrow. (Measured with an elliptic equation and
    Navier–Stokes: with 100 to 10000 times the weight they had 0.9 to 0.3 of the Cramér–Rao bound's
    width.)
    """
    precision = sum(c.measurements / (c.noise or 1.0) ** 2 for c in conditions)
    return conditions[index].measurements / precision


def residual_term(
    name: str,
    equation: Callable[[Points, Jet], Tensor],
    points: Points,
    surrogate: Surrogate,
    what: str,
    *,
    weight: float = 1.0,
    sites: int = 1,
) -> ResidualTerm:
    """The loss term of one equation, with the channels that a trial evaluation finds it to need.

    Args:
        name, equation, points, weight, sites: those of `ResidualTerm`.
        surrogate: the solution, with which the equation is tried at a few points.
        what: the name of the equation in error messages.

    Raises:
        InputError: if the residual has the wrong shape, or contains a derivative that vanishes
            identically for the surrogate's splines.
    """
    rows = torch.arange(PROBE_POINTS) % (len(points) // sites)
    probe = Batch.made_of(points[(rows[:, None] * sites + torch.arange(sites)).flatten()])
    with torch.no_grad():
        channels, tried = find_channels(
            lambda c: equation(probe, surrogate.jet(probe, c)), points.names
        )
        # (n, 1) with (n,) would broadcast to (n, n), whose number of columns changes with n.
        fewer = probe[:-sites]
        columns = equation(fewer, surrogate.jet(fewer, channels)).shape[1]
    if tried.shape[1] != columns:
        got = tuple(tried.shape)
        raise InputError(
            f"{what} must have shape (n, 1), one column for each equation, got {got} with "
            f"n = {PROBE_POINTS} points: operands of shape (n, 1) and (n,) broadcast to (n, n)"
        )
    degree, order = surrogate.network.max_order, channels.derivative_order
    if degree is not None and degree < order:
        raise InputError(
            f"network.degree = {degree} is below the order {order} of {what}: "
            "its derivative vanishes"
        )
    if degree == order:
        warnings.warn(
            f"network.degree = {degree} equals the order of {what}: the residual is only "
            f"piecewise constant in the splines; a degree of {order + 1} or more is advised",
            stacklevel=2,
        )
    return ResidualTerm(name, points, weight, channels, equation, sites=sites)
