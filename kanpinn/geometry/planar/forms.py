"""Sets in the plane as intersections and unions of half planes and ellipses.

Reference: Rvachev and Sheiko, R-functions in boundary value problems in mechanics (1995).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from kanpinn._support.shapes import Column, Coords
from kanpinn.geometry.curves.conics import Conic
from kanpinn.geometry.curves.curve import Pair
from kanpinn.geometry.curves.segments import left_of


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

    @property
    def leaf(self) -> bool:
        return True

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

    @property
    def leaf(self) -> bool:
        return True

    def _equals(self, other: "Within") -> bool:
        return self.inside == other.inside and self.conic.equals(
            other.conic, 1e-12 * max(self.conic.axes)
        )


@dataclass(frozen=True)
class All(PlanarSet):
    """An intersection; its value is the R-conjunction a + b - sqrt(a² + b²)."""

    parts: tuple[PlanarSet, ...]

    @property
    def factors(self) -> tuple[PlanarSet, ...]:
        return tuple(factor for part in self.parts for factor in part.factors)

    def value(self, coords: Coords) -> Column:
        return _folded(self.parts, coords, -1)

    def complement(self) -> PlanarSet:
        return Some(tuple(part.complement() for part in self.parts))

    def given(self, leaves: Sequence[PlanarSet]) -> PlanarSet | None:
        left = [rest for part in self.parts if (rest := part.given(leaves)) is not None]
        return (All(tuple(left)) if len(left) > 1 else left[0]) if left else None


@dataclass(frozen=True)
class Some(PlanarSet):
    """A union; its value is the R-disjunction a + b + sqrt(a² + b²)."""

    parts: tuple[PlanarSet, ...]

    def value(self, coords: Coords) -> Column:
        return _folded(self.parts, coords, 1)

    def complement(self) -> PlanarSet:
        return All(tuple(part.complement() for part in self.parts))

    def given(self, leaves: Sequence[PlanarSet]) -> PlanarSet | None:
        left = [part.given(leaves) for part in self.parts]
        kept = tuple(part for part in left if part is not None)
        return Some(kept) if len(kept) == len(left) else None


def _folded(parts: Sequence[PlanarSet], coords: Coords, sign: int) -> Column:
    total = parts[0].value(coords)
    # Keep the derivative of the root finite at corners, where both values are 0.
    least = torch.finfo(coords.dtype).tiny
    for part in parts[1:]:
        value = part.value(coords)
        total = total + value + sign * (total.square() + value.square() + least).sqrt()
    return total
