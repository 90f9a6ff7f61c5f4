"""Energies as terms of the loss: the Ritz form of a problem, integrated by quadrature."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kanpinn._support.errors import InputError
from kanpinn.geometry import Points
from kanpinn.jets import Jet
from kanpinn.loss.terms import PROBE_POINTS, Term
from kanpinn.networks.layer import Tape
from kanpinn.networks.surrogate import Surrogate
from kanpinn.pde.evaluate import find_channels, jets_of_fields, stack_equations
from kanpinn.pde.problem import Problem


@dataclass(frozen=True, eq=False)
class EnergyTerm(Term):
    """weight · mean of an energy density over quadrature points, whose weights are `points.data`.

    The quadrature weights have the shape (n, 1). Let q be the field's value and derivatives at a
    point and e(q) the density. Its Hessian, a small positive matrix, is factored as 2 LᵀL; the
    Jacobian of `linearised` is that of √(quadrature weight) · L q. For linear problems e is
    quadratic in q, and one least-squares step minimises the energy.

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
        root = _root(_hessian(lambda jet: self.equation(points, jet), u))
        return (points.data / 2).sqrt() * torch.einsum("nkq,nq->nk", root, _flat(u.parts()))

    @torch.enable_grad()
    def strength(self, surrogate: Surrogate, count: int = 64) -> float:
        """Return the largest curvature of the density for fields of size 1.

        Such a field varies on the scale L of half a side of the domain: its derivatives of order k
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
        sizes = u.with_parts([_sizes(part, rates) for part in u.parts()])
        curvatures = _hessian(lambda jet: self.equation(points, jet), sizes).diagonal(
            dim1=1, dim2=2
        )
        return float((curvatures * _flat(sizes.parts()).square()).mean(dim=0).max())


def _sizes(part: Tensor, rates: Tensor) -> Tensor:
    """Return the sizes of a jet's values (n, m), of its gradient or of its other derivatives.

    Args:
        part: one of the tensors of a jet.
        rates: the rates of change along the coordinates, (d,).
    """
    sizes = torch.ones_like(part)
    if part.ndim == 4:  # derivatives along lines
        orders = torch.arange(1, part.shape[2] + 1).to(part)
        return sizes * (rates.max() ** orders)[:, None]
    if part.ndim == 3 and part.shape[1] == len(rates):
        return sizes * rates[:, None]
    return sizes * rates.max() ** 2 if part.ndim == 3 else sizes


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.flatten(1) for part in parts], dim=1)


def _hessian(density: Callable[[Jet], Tensor], u: Jet) -> Tensor:
    """∂²e/∂q² at each point, (n, len(q), len(q)), where q is all entries of the jet."""
    leaves = [part.detach().requires_grad_() for part in u.parts()]
    slopes = _flat(_gradients(density(u.with_parts(leaves)).sum(), leaves))
    columns = [_flat(_gradients(slope.sum(), leaves)) for slope in slopes.unbind(1)]
    return torch.stack(columns, dim=1).detach()


def _gradients(total: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    if not total.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(
        total, leaves, create_graph=True, allow_unused=True, materialize_grads=True
    )
    return list(found)


def _root(hessian: Tensor, flat: float = 1e-12) -> Tensor:
    """L (n, k, q) with LᵀL = H, where negative eigenvalues of H are replaced by zero.

    k counts the directions in which the curvature at some point exceeds `flat` times the largest
    curvature at all points; smaller curvatures are rounding errors.
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
    """The loss terms of the energy: the interior's, then those of `boundary_energies()`.

    All points carry quadrature weights in `data`; those of the interior sum to their number.

    Raises:
        InputError: if a density has the wrong shape.
    """
    yield _term(problem, surrogate, "interior", interior, problem.energy, weight, "energy")
    densities = [density for _, density in problem.boundary_energies()]
    for i, (points, density) in enumerate(zip(boundaries, densities, strict=True)):
        what = f"boundary_energies()[{i}]"
        yield _term(problem, surrogate, f"energy[{i}]", points, density, weight, what)


def _term(
    problem: Problem,
    surrogate: Surrogate,
    name: str,
    points: Points,
    density: Callable[..., Tensor],
    weight: float,
    what: str,
) -> EnergyTerm:
    def equation(p: Points, u: Jet) -> Tensor:
        found = stack_equations(density(p, *jets_of_fields(u)), len(p), what)
        if found.shape[1] != 1:
            raise InputError(f"{what} must have shape (n, 1), got {tuple(found.shape)}")
        return found

    probe = points[torch.arange(PROBE_POINTS) % len(points)]
    with torch.no_grad():
        channels, _ = find_channels(
            lambda c: equation(probe, surrogate.jet(probe, c)), points.names
        )
    return EnergyTerm(name, points, weight, channels, equation)
