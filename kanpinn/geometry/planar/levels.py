"""Level functions that vanish on a boundary: products over sets, and joins over curves.

Reference: Rvachev and Sheiko, R-functions in boundary value problems in mechanics (1995);
Sukumar and Srivastava, Exact imposition of boundary conditions with distance functions (2022).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.shapes import Column, Coords
from kanpinn.geometry.curves.curve import Curve
from kanpinn.geometry.planar.forms import All, PlanarSet


@dataclass(frozen=True)
class LevelProduct:
    """The level function scale · Π factor / size, from points (n, 2) to values (n, 1).

    Args:
        factors: the sets whose intersection is the domain.
        sizes: the largest value of each factor in the domain.
        scale: the factor that makes the largest slope on the boundary 1.
    """

    factors: tuple[PlanarSet, ...]
    sizes: tuple[float, ...]
    scale: float

    @property
    def smooth(self) -> bool:
        """True if the product has derivatives of all orders everywhere."""
        return all(factor.leaf for factor in self.factors)

    def __call__(self, coords: Coords) -> Column:
        total = torch.full_like(coords[:, :1], self.scale)
        for factor, size in zip(self.factors, self.sizes, strict=True):
            total = total * (factor.value(coords) / size)
        return total


def distinct_factors(form: PlanarSet) -> list[PlanarSet]:
    """Write a set as an intersection of half planes, ellipses and unions, without duplicates.

    A product in which a half plane or ellipse occurs twice would vanish to second order at the
    boundary.
    """
    flat = form.factors
    leaves: list[PlanarSet] = []
    for factor in flat:
        if factor.leaf and not any(factor.same(other) for other in leaves):
            leaves.append(factor)
    left = [factor.given(leaves) for factor in flat if not factor.leaf]
    unions = [factor for factor in left if factor is not None]
    if all(len(factor.factors) == 1 and not factor.leaf for factor in unions):
        return [*leaves, *unions]
    return distinct_factors(All((*leaves, *unions)))


def fitted_level(form: PlanarSet, inside: Tensor, rim: Tensor) -> LevelProduct | None:
    """Return the level function of a domain as a product, after a check at points.

    Args:
        form: the domain as a set.
        inside: points (n, 2) in the domain.
        rim: points (m, 2) on its boundary.

    Returns:
        The product, with a largest slope of 1 on the boundary; None unless all factors are > 0 at
        all inner points, and exactly one factor is 0 at each boundary point.
    """
    parts = distinct_factors(form)
    values = torch.cat([part.value(torch.cat([inside, rim])) for part in parts], dim=1)
    sizes = values.max(dim=0).values
    within, around = (values / sizes).split([len(inside), len(rim)])
    nearest = around.abs().min(dim=1)
    # Near a boundary point one factor is the distance to first order; the others give the slope.
    others = around.scatter(1, nearest.indices[:, None], 1.0)
    zero = 1e-9  # relative to the largest value of a factor
    if not (within.min() > 0 and nearest.values.max() < zero < others.min()):
        return None
    slopes = others.prod(dim=1) / sizes[nearest.indices]
    return LevelProduct(tuple(parts), tuple(sizes.tolist()), 1 / float(slopes.max()))


def joined_level(curves: Sequence[Curve], coords: Coords) -> Column:
    """Return 1 / Σ 1/φ_i (n, 1), which is ≥ 0 and vanishes on the curves only, with slope 1 there.

    φ_i is the distance from curve i to first order near it, and > 0 elsewhere.

    Reference: Biswas and Shapiro, Approximate distance fields with non-vanishing gradients (2004).
    """
    inverse = torch.stack([1 / _trimmed(curve, coords) for curve in curves])
    return 1 / inverse.sum(dim=0)


def _trimmed(curve: Curve, coords: Coords) -> Column:
    """Return sqrt(f² + ((sqrt(t² + f⁴) - t) / 2)²) for the part t ≥ 0 of the curve f = 0."""
    assert curve.level is not None
    f, t = curve.level(coords), curve.extent(coords)
    # Keep φ > 0: its second derivatives on the curve contain 1/φ⁴ and must stay finite.
    least = torch.finfo(coords.dtype).tiny ** 0.4
    if t is None:
        return (f.square() + least).sqrt()
    beyond = ((t.square() + f.pow(4) + least).sqrt() - t) / 2
    return (f.square() + beyond.square() + least).sqrt()
