"""Terms of the loss: residuals of equations and conditions, and energies."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Piece, Points
from kanpinn.geometry.points import Batch
from kanpinn.jets import Channels, Jet, find_channels, parts_of_wave, slopes_of, stack_equations
from kanpinn.loss.scales import Scales
from kanpinn.networks.layer import Tape
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem
from kanpinn.pde.problem import Problem

PROBE_POINTS = 5  # differs from the usual d and d + 1, so that shapes show a wrong broadcast


@dataclass(frozen=True, eq=False)
class Term(ABC):
    """One term of the loss, a mean over rows: weight · factor · `total` / number of rows.

    A row is the vector of the residuals (or the density of an energy) at one point or at several
    points that belong together.

    Args:
        name: the name of the term; the terms of one loss have different names.
        points: the collocation points (n, d), with normals and data where they are known.
        weight: the weight of the term in the reported loss.
        channels: the derivatives that the term uses.
        sites: the number of consecutive points in one row: a residual may couple several points.
        factor: the factor of a balance, which multiplies the weight in the loss of optimizers.
        measured: whether the rows compare the fields with measured data.
        pieces: the boundary pieces on which the term's equations hold everywhere, such as those of
            a Dirichlet condition; empty for terms that do not hold on a boundary.
        kinks: the pieces of interfaces on which the term's equations hold everywhere; each row
            belongs to a point inside the interface and a point outside.

    Attributes:
        squares: whether `total` is the sum of the squares of `linearised`.
        has_slope: whether 2 Jᵀr is the gradient of `total`, where r is the value of `linearised`
            and J its Jacobian.
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
        """The number of rows (residual vectors), by which the mean divides."""
        return len(self.points) // self.sites

    def at(self, rows: slice) -> Points:
        """The points that belong to a slice of rows (residual vectors)."""
        return self.points[rows.start * self.sites : rows.stop * self.sites]

    def chosen(self, rows: Tensor) -> Self:
        """A copy of the term with some of its rows (residual vectors) only.

        Args:
            rows: the indices of the rows, (k,).
        """
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
    """The loss term weight · factor · mean ‖r‖² with the vector r of the residuals in each row.

    Args:
        equation: a function of points and the fields' jet that gives residuals (rows, equations).
        mass: the function B of a condition r(u) = λ B u of an eigenvalue problem, as `equation`;
            None for other terms.
    """

    squares: ClassVar[bool] = True

    equation: Callable[[Points, Jet], Tensor]
    mass: Callable[[Points, Jet], Tensor] | None = None

    def residual(self, surrogate: Surrogate, points: Points, tape: Tape | None = None) -> Tensor:
        """The residuals of the equations at points, (rows, equations), without the weight."""
        return self.equation(points, surrogate.jet(points, self.channels, tape))

    @torch.no_grad()
    def equations(self, surrogate: Surrogate) -> int:
        return self.residual(surrogate, self.at(slice(0, 1))).shape[1]

    def times(self, factors: Tensor) -> "ResidualTerm":
        """The term with the residual of each equation multiplied by a factor.

        Args:
            factors: the factors, (equations,).
        """
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
    """The loss terms of those conditions that have collocation points.

    The weight of a term is the product of `weight`, the weight of the condition and a share. For a
    condition on the boundary the share is the condition's fraction of all boundary points, so that
    all conditions on the boundary form one mean. For measurements of a problem with unknowns the
    share is n / S: n is the number of values of the condition, and S is the sum of N/σ² over all
    conditions with measurements, each with N values and the noise σ. For other conditions it is 1.

    Args:
        problem: gives the conditions.
        surrogate: the solution.
        boundary: the points of each condition in `problem.conditions()`; empty for a condition that
            the surrogate satisfies exactly.
        weight: the weight of the boundary in the loss.
        scales: gives the factor of each equation of the conditions; None for factors 1.

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
        # All conditions on the boundary share one mean over the boundary. Other conditions, such as
        # data, have means of their own.
        part = len(points) / surface if condition.surface else 1.0
        if surrogate.has_unknowns and condition.measurements:
            # All data together enter as one mean square Σ ((u - d)/σ)² / Σ 1/σ², however they are
            # split into conditions. With this weight, the solution follows the equation rather than
            # the noise, and confidence intervals account for the remaining effect of the noise. A
            # larger weight of the equation would treat the network's remaining residual as
            # information on the unknowns, and the intervals would be too narrow. With 100 to 10000
            # times the weight, the widths of the intervals were 0.9 to 0.3 times the Cramér–Rao
            # bound (measured with an elliptic equation and Navier–Stokes).
            precision = sum(c.measurements / (c.noise or 1.0) ** 2 for c in conditions)
            part = condition.measurements / precision
        share = weight * condition.weight * part
        what, equation = condition.title, condition.stacked_residual
        term = residual_term(
            name, equation, points, surrogate, what, weight=share, sites=condition.sites
        )
        if scales is not None and not condition.measurements:
            term = term.times(scales.conditions[i])
        measured = condition.measurements > 0
        where, kinks = condition.pieces, condition.kinks
        mass = None if condition.mass is None else condition.stacked_mass
        terms.append(replace(term, measured=measured, pieces=where, kinks=kinks, mass=mass))
    return terms


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
    """The loss term of one equation. A trial evaluation finds the derivatives in the equation.

    Args:
        name, equation, points, weight, sites: see `ResidualTerm`.
        surrogate: the solution, with which the equation is tried at a few points.
        what: the name of the equation in error messages.

    Raises:
        InputError: if the residual has the wrong shape, or contains a derivative that vanishes
            identically for the surrogate's splines.
    """
    rows = torch.arange(PROBE_POINTS) % (len(points) // sites)
    probe = Batch.made_of(points[(rows[:, None] * sites + torch.arange(sites)).flatten()])
    channels, tried = _tried(equation, surrogate, probe)
    # (n, 1) with (n,) would broadcast to (n, n), whose number of columns changes with n.
    if tried.shape[1] != _tried(equation, surrogate, probe[:-sites])[1].shape[1]:
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


@dataclass(frozen=True, eq=False)
class EnergyTerm(Term):
    """The loss term weight · factor · mean of an energy density, which is integrated by quadrature.

    `points.data` are the quadrature weights, (n, 1). Let q be the field's values and derivatives at
    a point and e(q) the density. The Hessian of e, a small matrix, is factored as 2 LᵀL. The
    Jacobian of `linearised` is the derivative of √(quadrature weight) · L q. For linear problems e
    is quadratic in q, and one least-squares step minimises the energy.

    Reference: E and Yu, The deep Ritz method (2018).
    """

    has_slope: ClassVar[bool] = False  # a density need not depend on L q alone

    equation: Callable[[Points, Jet], Tensor]

    def total(self, surrogate: Surrogate, points: Points) -> Tensor:
        assert points.data is not None
        density = self.equation(points, surrogate.jet(points, self.channels))
        return (points.data * density).sum()

    def linearised(self, surrogate: Surrogate, points: Points, tape: Tape) -> Tensor:
        assert points.data is not None
        u = surrogate.jet(points, self.channels, tape)
        root = _root(density_hessian(lambda jet: self.equation(points, jet), u))
        return (points.data / 2).sqrt() * torch.einsum("nkq,nq->nk", root, u.stacked().flatten(1))

    @torch.enable_grad()
    def strength(self, surrogate: Surrogate, count: int = 64) -> float:
        """Return the largest curvature (second derivative) of the density for fields of size 1.

        These fields vary on the scale L of half a side of the domain: their derivatives of order k
        have the size L^-k. For the density a |∇u|²/2 the strength is a / L².

        Args:
            surrogate: gives the domain and the layout of the jet.
            count: the number of points at which the curvature is evaluated.
        """
        rows = torch.linspace(0, len(self.points) - 1, min(count, len(self.points)))
        points = self.points[rows.long()]  # all over the domain
        low, high = surrogate.domain.bounds
        rates = (2 / (high - low)).to(points.coords)
        u = surrogate.jet(points, self.channels).dense()
        sizes = parts_of_wave(self.channels, rates[None]).abs()[..., None]
        wave = u.unstacked(sizes.expand(len(points), -1, u.value.shape[1]))
        curvatures = density_hessian(lambda jet: self.equation(points, jet), wave)
        weighed = curvatures.diagonal(dim1=1, dim2=2) * wave.stacked().flatten(1).square()
        return float(weighed.mean(dim=0).max())


def density_hessian(density: Callable[[Jet], Tensor], u: Jet) -> Tensor:
    """The Hessian ∂²e/∂q² of an energy density e(q) at each of n points, (n, len(q), len(q)).

    Args:
        density: the density e, a function of a jet.
        u: the jet at the points; q are all entries of the stacked jet at a point.
    """
    q = u.stacked().detach().requires_grad_()

    (gradient,) = slopes_of(density(u.unstacked(q)), q, further=True)
    columns = [slopes_of(slope, q)[0].flatten(1) for slope in gradient.flatten(1).unbind(1)]
    return torch.stack(columns, dim=1).detach()


def _root(hessian: Tensor, flat: float = 1e-12) -> Tensor:
    """Return a square root L (n, k, q) of Hessians H: LᵀL = H without negative eigenvalues.

    The eigenvalues of H at each point are sorted. The i-th eigenvalue is left out if it is rounding
    error at all points; k is the number of eigenvalues that remain.

    Args:
        hessian: H at each point, (n, q, q).
        flat: an eigenvalue up to `flat` times the largest absolute eigenvalue at all points counts
            as rounding error.
    """
    values, vectors = torch.linalg.eigh(hessian)
    kept = values.amax(dim=0) > flat * values.abs().max().clamp_min(torch.finfo(values.dtype).tiny)
    scaled = values.clamp_min(0).sqrt()[:, None] * vectors
    return scaled.transpose(1, 2)[:, kept]


def energy_terms(
    problem: Problem,
    surrogate: Surrogate,
    interior: Points,
    boundaries: Sequence[Points],
    weight: float,
) -> Iterator[EnergyTerm]:
    """The loss terms of the energy: the term of the interior, then a term for each boundary energy.

    Args:
        problem: gives the energy density, and the densities of `boundary_energies()`.
        surrogate: the solution.
        interior: the points in the domain, with quadrature weights in `data` whose sum is the
            number of points.
        boundaries: the points of each of `boundary_energies()`, with quadrature weights in `data`.
        weight: the weight of each term.

    Raises:
        InputError: if a density has the wrong shape.
    """
    parts = [("interior", "energy", interior, problem.energy)]
    densities = [density for _, density in problem.boundary_energies()]
    for i, (points, density) in enumerate(zip(boundaries, densities, strict=True)):
        parts.append((f"energy[{i}]", f"boundary_energies()[{i}]", points, density))
    for name, what, points, density in parts:

        def equation(
            p: Points, u: Jet, density: Callable[..., Tensor] = density, what: str = what
        ) -> Tensor:
            """Return the density at points, (n, 1)."""
            values = stack_equations(density(p, *u.components()), len(p), what)
            if values.shape[1] != 1:
                raise InputError(f"{what} must have shape (n, 1), got {tuple(values.shape)}")
            return values

        channels, _ = _tried(equation, surrogate, points[torch.arange(PROBE_POINTS) % len(points)])
        yield EnergyTerm(name, points, weight, channels, equation)


@torch.no_grad()
def _tried(
    equation: Callable[[Points, Jet], Tensor], surrogate: Surrogate, p: Points
) -> tuple[Channels, Tensor]:
    """Evaluate an equation at points; return the derivatives that it uses, and its values.

    Args:
        equation: a function of points and the fields' jet.
        surrogate: the solution, with which the equation is evaluated.
        p: the points.

    Returns:
        The derivatives, as `Channels`, and the values, (rows, equations).
    """
    return find_channels(lambda c: equation(p, surrogate.jet(p, c)), p.names)
