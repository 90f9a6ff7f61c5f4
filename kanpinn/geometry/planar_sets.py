"""Planar sets as Boolean expressions of conics, and smooth functions that vanish on their
boundaries.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.shapes import Column, Coords
from kanpinn.geometry.conics import Conic
from kanpinn.geometry.curves import Curve, Pair, left_of


class PlanarSet(ABC):
    """A set in the plane, composed of half planes and ellipses by intersection and union."""

    @abstractmethod
    def value(self, coords: Coords) -> Column:
        """Return values (n, 1): > 0 inside, 0 on the boundary with a slope of 1, < 0 outside."""

    @abstractmethod
    def complement(self) -> "PlanarSet":
        """Return the complement of the set."""

    def same(self, other: "PlanarSet") -> bool:
        """Return True if both are the same half plane or ellipse, up to rounding."""
        return self.leaf and type(self) is type(other) and self._equals(other)

    def _equals(self, other: Any) -> bool:
        """Return the same for another leaf of the same type."""
        raise NotImplementedError

    @property
    def factors(self) -> tuple["PlanarSet", ...]:
        """The sets whose intersection is this set; none of them is an intersection itself."""
        return (self,)

    def given(self, leaves: Sequence["PlanarSet"]) -> "PlanarSet | None":
        """Simplify the set, given that it will be intersected with these half planes and ellipses.

        The intersection of the result with them equals that of this set. None if their intersection
        is known to lie in this set.
        """
        return None if any(self.same(leaf) for leaf in leaves) else self

    @property
    def leaf(self) -> bool:
        """True for a half plane, an ellipse or its outside, for which `value` is smooth."""
        return False


@dataclass(frozen=True)
class HalfPlane(PlanarSet):
    """The half plane on the left of the line from a to b; its value is the signed distance."""

    a: Pair
    b: Pair

    def value(self, coords: Coords) -> Column:
        return left_of(self.a, self.b, coords)

    def complement(self) -> PlanarSet:
        return HalfPlane(self.b, self.a)

    leaf = True

    def _equals(self, other: "HalfPlane") -> bool:
        ends = torch.tensor([other.a, other.b], dtype=torch.float64)
        reach = 1e-12 * max(map(abs, (*self.a, *self.b, *other.a, *other.b)))
        along = [(q - p) for p, q in zip(self.a, self.b, strict=True)]
        turned = [(q - p) for p, q in zip(other.a, other.b, strict=True)]
        same_way = along[0] * turned[0] + along[1] * turned[1] > 0
        return same_way and bool(self.value(ends).abs().max() <= reach)


@dataclass(frozen=True)
class Within(PlanarSet):
    """The inside of an ellipse, or its outside if `inside` is False."""

    conic: Conic
    inside: bool = True

    def value(self, coords: Coords) -> Column:
        value = self.conic.level(coords)
        return value if self.inside else -value

    def complement(self) -> PlanarSet:
        return Within(self.conic, not self.inside)

    leaf = True

    def _equals(self, other: "Within") -> bool:
        near = 1e-12 * max(self.conic.axes)
        return self.inside == other.inside and self.conic.equals(other.conic, near)


@dataclass(frozen=True)
class _Joined(PlanarSet):
    """Several sets; the value is a + b ± sqrt(a² + b²), an R-function of two of their values."""

    parts: tuple[PlanarSet, ...]
    sign = 0  # of the root

    def value(self, coords: Coords) -> Column:
        total = self.parts[0].value(coords)
        # Keep the derivative of the root finite at corners, where both values are 0.
        least = torch.finfo(coords.dtype).tiny
        for part in self.parts[1:]:
            value = part.value(coords)
            total = total + value + self.sign * (total.square() + value.square() + least).sqrt()
        return total


@dataclass(frozen=True)
class All(_Joined):
    """An intersection; its value is the R-conjunction a + b - sqrt(a² + b²)."""

    sign = -1

    @property
    def factors(self) -> tuple[PlanarSet, ...]:
        return tuple(factor for part in self.parts for factor in part.factors)

    def complement(self) -> PlanarSet:
        return Some(tuple(part.complement() for part in self.parts))

    def given(self, leaves: Sequence[PlanarSet]) -> PlanarSet | None:
        left = [rest for part in self.parts if (rest := part.given(leaves)) is not None]
        return (All(tuple(left)) if len(left) > 1 else left[0]) if left else None


@dataclass(frozen=True)
class Some(_Joined):
    """A union; its value is the R-disjunction a + b + sqrt(a² + b²)."""

    sign = 1

    def complement(self) -> PlanarSet:
        return All(tuple(part.complement() for part in self.parts))

    def given(self, leaves: Sequence[PlanarSet]) -> PlanarSet | None:
        left = [part.given(leaves) for part in self.parts]
        kept = tuple(part for part in left if part is not None)
        return Some(kept) if len(kept) == len(left) else None


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
