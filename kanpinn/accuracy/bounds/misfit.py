"""A bound for the part of an error that is due to boundary values which are not met."""

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.accuracy.bounds.coefficients import Unbounded
from kanpinn.accuracy.bounds.grid import Grid
from kanpinn.accuracy.bounds.multilinear import harmonic
from kanpinn.accuracy.bounds.operator import Operator
from kanpinn.accuracy.bounds.sides import Sides
from kanpinn.accuracy.references.reference import Approximation
from kanpinn.geometry import Domain, Points
from kanpinn.geometry.sampling import sample
from kanpinn.jets import Channels


@dataclass(frozen=True)
class Extension:
    """Bounds of the norms of an extension φ of boundary values m into the domain.

    Args:
        largest: max |m|.
        gradient: ‖∇φ‖.
        flux: ‖A^½ ∇φ‖.
        value: ‖φ‖.
    """

    largest: float
    gradient: float
    flux: float
    value: float


def extension(
    operator: Operator, grid: Grid | None, sides: Sides, jet: Approximation, met: Collection[int]
) -> Extension:
    """Bound the norms of an extension φ = ψ + χ of the misfits m of prescribed values.

    ψ is multilinear in the cells, and nearly harmonic with nearly the values m. What is left has
    the Lipschitz constant K on the boundary. It has an extension to the whole space with the same
    K, which is multiplied by max(0, 1 - d/δ), where d is the distance from the boundary,
    δ = √3 M / K and M its largest value: this is χ, with |∇χ| ≤ K (1 - d/δ) + M/δ.

    Args:
        operator: gives the domain and A.
        grid: the cells.
        sides: the pieces with prescribed values.
        jet: returns the jet of the approximation that misses them.
        met: the indices of the conditions that it satisfies exactly.

    Raises:
        Unbounded: in more than three dimensions, where boundaries are too large for samples.

    Reference: McShane, Extension of range of functions (1934).
    """
    if all(one.number in met for one in sides.fixed):
        return Extension(0.0, 0.0, 0.0, 0.0)
    if grid is None:
        raise Unbounded("boundary values must be built in above three dimensions")
    coords, misfit = _misfits(operator, sides, jet, met)
    largest = float(misfit.abs().max())
    if largest == 0:
        return Extension(0.0, 0.0, 0.0, 0.0)
    psi = harmonic(grid, coords[::2], misfit[::2])  # the other points are fresh
    gradient, flux, value = psi.norms()
    slope, height = _rough_norms(operator.problem.domain, coords, misfit - psi.at(coords))
    steep = math.sqrt(operator.largest_diffusion) * slope
    return Extension(largest, gradient + slope, flux + steep, value + height)


def _misfits(
    operator: Operator, sides: Sides, jet: Approximation, met: Collection[int]
) -> tuple[Tensor, Tensor]:
    """Return points of the pieces with prescribed values, (n, d), and the misfits there, (n,)."""
    problem, count = operator.problem, 2048
    whole, coords, values = sum(one.piece.measure for one in sides.fixed), [], []
    for index, one in enumerate(sides.fixed):
        own = max(16, round(count * one.piece.measure / whole))
        drawn = sample(one.piece, own, "sobol", torch.Generator().manual_seed(53 + index))
        p = Points.cat([drawn, *filter(len, [one.piece.rim])])
        (data, *_) = problem.conditions()[one.number].prescribed(problem.fields)
        found = (data.values(p) - jet(p, Channels(p.names)).value)[:, 0]
        coords.append(p.coords)
        values.append(torch.zeros_like(found) if one.number in met else found)
    return torch.cat(coords), torch.cat(values)


def _rough_norms(domain: Domain, coords: Tensor, values: Tensor) -> tuple[float, float]:
    """Bound ‖∇χ‖ and ‖χ‖ for the extension of boundary values by their Lipschitz constant."""
    largest = float(values.abs().max())
    if largest == 0:
        return 0.0, 0.0
    apart = torch.cdist(coords, coords)
    steepest = float(torch.where(apart > 0, (values[:, None] - values).abs() / apart, 0.0).max())
    apart.fill_diagonal_(math.inf)
    spacing = float(apart.amin(dim=1).quantile(0.99))
    inside = sample(domain, 4096, "sobol", torch.Generator().manual_seed(59)).coords
    distance = (torch.cdist(inside, coords).amin(dim=1) - spacing).clamp_min(0)
    width = math.sqrt(3) * largest / steepest if steepest else math.inf
    share = (1 - distance / width).clamp_min(0)
    slope = torch.where(share > 0, steepest * share + largest / width, 0.0)
    root = math.sqrt(domain.measure)
    return root * float(slope.square().mean().sqrt()), root * largest * float(
        share.square().mean().sqrt()
    )
