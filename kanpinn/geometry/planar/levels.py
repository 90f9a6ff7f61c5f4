"""Smooth functions that vanish on a boundary, as products of formulas.

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
    """The level function scale · Π factor / size.

    Args:
        factors: sets whose intersection the domain is.
        sizes: the largest value of each factor in the domain.
        scale: makes the largest slope on the boundary 1.
    """

    factors: tuple[PlanarSet, ...]
    sizes: tuple[float, ...]
    scale: float

    @property
    def smooth(self) -> bool:
        """Whether the product has derivatives of all orders everywhere."""
        return all(factor.leaf for factor in self.factors)

    def __call__(self, coords: Coords) -> Column:
        total = torch.full_like(coords[:, :1], self.scale)
        for factor, size in zip(self.factors, self.sizes, strict=True):
            total = total * (factor.value(coords) / size)
        return total


def distinct_factors(form: PlanarSet) -> list[PlanarSet]:
    """Half planes, ellipses and unions whose intersection a set is, no half plane or ellipse twice.

    A product that has one twice would vanish to second order at the boundary.
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
    """The level function of a domain as a product, checked at points.

    Args:
        form: the domain as a set.
        inside: points (n, 2) in the domain.
        rim: points (m, 2) on its boundary.

    Returns:
        The product, whose largest slope on the boundary is 1; None unless all factors are > 0 at
        all points inside, and just one is 0 at each point of the boundary.
    """
    parts = distinct_factors(form)
    values = torch.cat([part.value(torch.cat([inside, rim])) for part in parts], dim=1)
    sizes = values.max(dim=0).values
    within, around = (values / sizes).split([len(inside), len(rim)])
    nearest = around.abs().min(dim=1)
    # Next to the boundary one factor is the distance from it.
    others = around.scatter(1, nearest.indices[:, None], 1.0)
    zero = 1e-9  # of the largest value
    if not (within.min() > 0 and nearest.values.max() < zero < others.min()):
        return None
    slopes = others.prod(dim=1) / sizes[nearest.indices]
    return LevelProduct(tuple(parts), tuple(sizes.tolist()), 1 / float(slopes.max()))


def joined_level(curves: Sequence[Curve], coords: Coords) -> Column:
    """1 / Σ 1/φ_i (n, 1), which is ≥ 0 and vanishes on the curves only, with a slope of 1 there.

    φ_i is the distance from curve i to first order near it, and > 0 elsewhere.

    Reference: Biswas and Shapiro, Approximate distance fields with non-vanishing gradients (2004).
    """
    inverse = torch.stack([1 / _trimmed(curve, coords) for curve in curves])
    return 1 / inverse.sum(dim=0)


def _trimmed(curve: Curve, coords: Coords) -> Column:
    """sqrt(f² + ((sqrt(t² + f⁴) - t) / 2)²) for the part t ≥ 0 of the curve f = 0."""
    assert curve.level is not None
    f, t = curve.level(coords), curve.extent(coords)
    # Keeps φ off 0: second derivatives on the curve have 1/φ⁴ in them and must stay finite.
    least = torch.finfo(coords.dtype).tiny ** 0.4
    if t is None:
        return (f.square() + least).sqrt()
    beyond = ((t.square() + f.pow(4) + least).sqrt() - t) / 2
    return (f.square() + beyond.square() + least).sqrt()
