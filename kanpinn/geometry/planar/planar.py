"""Domains in the plane that are bounded by line segments and arcs of ellipses."""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from kanpinn._support.errors import InputError, NumericalError, integer
from kanpinn._support.shapes import Column, Coords, Mask, Vector, Weights
from kanpinn.geometry.boundary import Boundary
from kanpinn.geometry.curves.curve import Curve, Pair
from kanpinn.geometry.curves.sides import Side, abscissa
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.planar.forms import PlanarSet
from kanpinn.geometry.planar.levels import LevelProduct, fitted_level, joined_level
from kanpinn.geometry.planar.outlines import (
    check_crossings,
    check_ends,
    join_tolerance,
    straight_form,
)
from kanpinn.geometry.planar.slabs import Slab, slab_rule, slabs
from kanpinn.geometry.planar.triangles import Triangles
from kanpinn.geometry.points import Points
from kanpinn.geometry.quadrature import sobol


@dataclass(frozen=True, repr=False)
class Planar(Domain):
    """A planar domain on the left of its boundary curves.

    Outer curves run counter-clockwise, those around holes clockwise. The curves may be given in any
    order; the end of each curve is the start of another one.

    Args:
        curves: the pieces of the boundary.
        form: the domain as a set, for its level function; if None, the level function joins those
            of all curves, unless all of them are straight.
        label: the repr of the domain; None lists the curves.
        triangles: triangles that fill the domain, on which `quadrature` is then a product of Gauss
            rules; None for one on horizontal slabs between the curves.

    Raises:
        InputError: if the curves do not form closed loops, cross each other, have different
            coordinates, or do not enclose an area > 0.

    Example:
        >>> import kanpinn as kp
        >>> corners = [(0, 0), (2, 0), (1, 1)]
        >>> sides = [kp.Segment(a, b) for a, b in zip(corners, corners[1:] + corners[:1])]
        >>> kp.Planar(tuple(sides)).measure
        1.0
    """

    curves: tuple[Curve, ...]
    form: PlanarSet | None = field(default=None, compare=False)
    label: str | None = field(default=None, compare=False)
    triangles: Triangles | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.curves:
            raise InputError("a planar domain must have at least one curve, got none")
        if len({curve.names for curve in self.curves}) > 1:
            raise InputError("the curves of a planar domain must have the same coordinates")
        (lx, ly), (hx, hy) = self._box
        if not min(hx - lx, hy - ly) > 2 * join_tolerance(self.scale):
            raise InputError(
                f"a planar domain from ({lx:g}, {ly:g}) to ({hx:g}, {hy:g}) is too small beside "
                "its coordinates to be resolved: move it towards the origin, or scale an axis"
            )
        check_ends(self.curves, self._joints[0])
        # A smaller area counts as 0, because of rounding.
        if not self.measure > 1e-14 * math.dist(*self._box) ** 2:
            raise InputError(
                "the curves of a planar domain must run around it counter-clockwise and around "
                f"its holes clockwise, and enclose an area > 0, got {self.measure:.3g}"
            )
        check_crossings(self.curves, self.scale)

    def __repr__(self) -> str:
        return self.label or f"Planar({', '.join(map(repr, self.curves))})"

    @property
    def names(self) -> tuple[str, ...]:
        return self.curves[0].names

    @cached_property
    def measure(self) -> float:
        (lx, ly), (hx, hy) = self._box
        middle = ((lx + hx) / 2, (ly + hy) / 2)  # keeps rounding errors of the sum small
        return math.fsum(curve.moment(middle) for curve in self.curves)

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        low, high = torch.tensor(self._box, dtype=torch.float64)
        return low, high

    @property
    def boundary(self) -> Boundary:
        return Boundary(self.curves)

    @cached_property
    def scale(self) -> float:
        """The largest absolute value of the coordinates, the scale of rounding errors."""
        (lx, ly), (hx, hy) = self._box
        return max(map(abs, (lx, ly, hx, hy)))

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        inside = self.encloses(coords)
        # Boundary points belong to the domain, so allow for the rounding of their coordinates.
        reach = abs(tolerance) or 64 * torch.finfo(coords.dtype).eps * self.scale
        close = self._distance(coords, reach) <= reach
        return inside & ~close if tolerance < 0 else inside | close

    def encloses(self, coords: Coords) -> Mask:
        """Return a mask (n,) of the points with a positive winding number.

        The result is arbitrary for points on the boundary.
        """
        # The number of point-side pairs per batch bounds the memory.
        rows = max(1, 2**21 // self._sides.shape[1])
        return torch.cat([self._winding(part) > 0 for part in coords.split(rows)])

    def level(self, coords: Coords) -> Column:
        if self._product is not None:
            return self._product(coords)
        value = joined_level(self.curves, coords)
        return torch.where(self.encloses(coords)[:, None], value, -value)

    @property
    def smooth_level(self) -> bool:
        return self._product is not None and self._product.smooth

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a rule of nodes² points in each slab, or of about 4 nodes² in all triangles."""
        if self.triangles is None:
            coords, weights = slab_rule(self._slabs, nodes)
        else:
            each = math.ceil(2 * integer("nodes", nodes) / len(self.triangles) ** 0.5)
            coords, weights = self.triangles.rule(max(2, each))
        return Points(coords, self.names), weights * (self.measure / weights.sum())

    def gauss(self, n: int) -> Points:
        """Return the points of the smallest rule with at least n points.

        If there are more than n triangles, they are n Sobol points.
        """
        if self.triangles is None:
            return super().gauss(n)
        if len(self.triangles) > n:
            return self.place(n, sobol(0))[:n]
        each = math.ceil((n / len(self.triangles)) ** 0.5)
        return Points(self.triangles.rule(each)[0], self.names)

    @cached_property
    def sides(self) -> list[Side]:
        """The monotone parts of the boundary; adjacent ones have exactly equal end heights."""
        heights = self._joints[1]
        ends = zip(self.curves, heights[0::2], heights[1::2], strict=True)
        return [side for curve, first, last in ends for side in curve.sides(first, last)]

    @cached_property
    def formula(self) -> PlanarSet | None:
        """The domain as a set: from its edges if all curves are straight, otherwise `form`."""
        return straight_form(self.curves) or self.form

    @cached_property
    def _product(self) -> LevelProduct | None:
        """The level function as a product; None without a formula or if `fitted_level` fails."""
        if self.formula is None:
            return None
        nodes = 8  # Gauss nodes per direction on each slab and curve
        inside, rim = self.quadrature(nodes)[0], self.boundary.quadrature(nodes)[0]
        return fitted_level(self.formula, inside.coords, rim.coords)

    @cached_property
    def _slabs(self) -> list[Slab]:
        parts = slabs(self.sides)
        filled = math.fsum(cell.area for cell in parts)
        if abs(filled - self.measure) > 1e-9 * math.dist(*self._box) ** 2:
            raise NumericalError(f"the area of {self!r} is {self.measure}, of its slabs {filled}")
        return parts

    @cached_property
    def _box(self) -> tuple[Pair, Pair]:
        low = np.min([curve.bounds[0] for curve in self.curves], axis=0)
        high = np.max([curve.bounds[1] for curve in self.curves], axis=0)
        return (float(low[0]), float(low[1])), (float(high[0]), float(high[1]))

    @cached_property
    def _joints(self) -> tuple[list[int], list[float]]:
        """The index and the height y of the joint at the start and the end of each curve."""
        ends = np.array([end for curve in self.curves for end in (curve.start, curve.stop)])
        gaps = np.abs(ends[:, None] - ends[None]).max(axis=2)
        which = (gaps <= join_tolerance(self.scale)).argmax(axis=1)
        return which.tolist(), ends[which, 1].tolist()

    @cached_property
    def _sides(self) -> Tensor:
        rows = [(s.low, s.high, 1 if s.up else -1, s.cx, s.cy, s.p, s.q, s.A) for s in self.sides]
        return torch.tensor(rows, dtype=torch.float64).T

    def _winding(self, coords: Coords) -> Tensor:
        """Return the winding numbers (n,): the signed count of sides to the right of each point."""
        low, high, up, *shape = self._sides.to(coords)
        y = coords[:, 1:]
        point, side = ((low <= y) & (y < high)).nonzero().unbind(1)  # sides at a point's height
        ahead = abscissa(y[point, 0], *(one[side] for one in shape)) > coords[point, 0]
        return up.new_zeros(len(coords)).index_add(0, point, up[side] * ahead)

    def _distance(self, coords: Coords, within: float) -> Weights:
        """Return the distances (n,) from the boundary; those above `within` may be infinite."""
        least = coords.new_full((len(coords),), math.inf)
        for curve in self.curves:
            rows = curve.near(coords, within).nonzero()[:, 0]
            if len(rows):
                gap = (coords[rows] - curve.nearest(coords[rows])).norm(dim=1)
                least[rows] = torch.minimum(least[rows], gap)
        return least
