"""Unions, differences and intersections of domains that are not planar."""

from dataclasses import dataclass
from functools import cached_property, partial

import torch

from kanpinn._support.errors import integer
from kanpinn._support.shapes import Column, Coords, Mask, Vector, Weights
from kanpinn.geometry.boundary import Boundary, Walls
from kanpinn.geometry.box import Box
from kanpinn.geometry.combined.cell_rules import cells_rule
from kanpinn.geometry.combined.cells import CellSet
from kanpinn.geometry.combined.clipped import clip
from kanpinn.geometry.combined.pieces import pieces_of
from kanpinn.geometry.combined.wall_creases import wall_creases
from kanpinn.geometry.creases import Creases
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.quadrature import accepted_share, equal_weights, sampling_error, sobol


@dataclass(frozen=True)
class Combination(Domain):
    """The union, difference or intersection of two domains.

    The boundary consists of those parts of the pieces of a and b that bound the result, under the
    names of the pieces and with normals outward from the result.

    The tolerance of `contains` enlarges or shrinks each operand, so a shrunk union of touching
    domains has a gap where they touch. `bounds` is a box that contains the result; for combinations
    of boxes it is the smallest one.

    Args:
        kind: "union", "difference" (a without b) or "intersection".
        a: the first domain.
        b: the second domain, with the same coordinates.
    """

    kind: str
    a: Domain
    b: Domain

    @property
    def names(self) -> tuple[str, ...]:
        return self.a.names

    @property
    def operands(self) -> tuple[Domain, ...]:
        return self.a.operands + self.b.operands

    @cached_property
    def walls(self) -> Walls | None:
        first, second = self.a.walls, self.b.walls
        return None if first is None or second is None else first | second

    @cached_property
    def bounds(self) -> tuple[Vector, Vector]:
        if self._cells is not None and (boxes := self._cells.boxes):
            ends = torch.tensor(boxes, dtype=torch.float64)
            return ends[:, :, 0].amin(dim=0), ends[:, :, 1].amax(dim=0)
        (low, high), (low_b, high_b) = self.a.bounds, self.b.bounds
        if self.kind == "union":
            return torch.minimum(low, low_b), torch.maximum(high, high_b)
        if self.kind == "intersection":
            return torch.maximum(low, low_b), torch.minimum(high, high_b)
        return low, high

    @property
    def measure(self) -> float:
        return self._measured[0]

    @property
    def measure_error(self) -> float:
        return self._measured[1]

    @cached_property
    def boundary(self) -> Boundary:
        if self._cells is None:
            step = 1e-9 * self._diameter
            own = (clip(piece, self, step) for piece in self.a.boundary.pieces)
            others = (clip(piece, self, step, (self.a,)) for piece in self.b.boundary.pieces)
            return Boundary(tuple(piece for piece in (*own, *others) if piece is not None))
        return Boundary(tuple(pieces_of(self, self._cells)))

    @cached_property
    def creases(self) -> Creases:
        if self._cells is None or self.dim != 3:
            return Creases.none()
        return wall_creases(self, self._cells.walls)

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        inside = self.a.contains(coords, tolerance)
        # The second operand can be expensive: it decides only where the first one does not.
        undecided = ~inside if self.kind == "union" else inside.clone()
        if self.kind == "difference":
            # The result is closed: points on the boundary of b belong to it, also if rounded.
            margin = -tolerance - 1e-14 * self._diameter
            inside[undecided] = ~self.b.contains(coords[undecided], margin)
        else:
            inside[undecided] = self.b.contains(coords[undecided], tolerance)
        return inside

    def level(self, coords: Coords) -> Column:
        """Return f + g - sqrt(f² + g²), the R-conjunction of the levels (Rvachev and Sheiko).

        Raises:
            InputError: for unions, and for differences unless `signed_level` of b is True, as for
                balls: the result would not have the right sign everywhere.
        """
        if self.kind == "union" or (self.kind == "difference" and not self.b.signed_level):
            return super().level(coords)
        f, g = self.a.level(coords), self.b.level(coords)
        if self.kind == "difference":
            g = -g
        return f + g - (f**2 + g**2).sqrt()

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a Gauss rule if `rule_error` is 0, otherwise the Sobol points of one scrambling.

        Gauss rules on combinations of boxes are exact for polynomials of degree 2·nodes - 1. On
        combinations of boxes and balls they are scaled to be exact for constants, and converge
        geometrically. There are min(nodes^d, 2^20) Sobol points, with equal weights.
        """
        nodes = integer("nodes", nodes)
        if self._cells is not None:
            coords, weights = cells_rule(self._cells, nodes)
            points = Points(coords, self.names)
        elif self._apart:
            both = [part.quadrature(nodes) for part in (self.a, self.b)]
            points = Points.cat(points for points, _ in both)
            weights = torch.cat([weights for _, weights in both])
        else:
            return equal_weights(self, nodes)
        return points, weights * (self.measure / weights.sum())

    def rule_error(self, nodes: int) -> float:
        return 0.0 if self._cells is not None or self._apart else sampling_error(self, nodes)

    def gauss(self, n: int) -> Points:
        if self._cells is not None or self._apart:
            return super().gauss(n)
        return self.place(n, sobol(0))[:n]

    @property
    def simplified(self) -> Domain | None:
        """An equal simpler domain (an operand or a box) if any, otherwise itself; None if empty."""
        first, second = self.a, self.b
        if self.kind != "difference":
            for inner, outer in ((first, second), (second, first)):
                if inner == outer or outer.contains_box(*inner.bounds):
                    return outer if self.kind == "union" else inner
        # Rounding errors may give an empty result a measure of this size.
        least = 1e-12 * first.measure
        if not self.measure > least:
            return None
        if self._cells is None:
            return first if self.kind == "difference" and self._distant else self
        if (box := self._only_box) is not None:
            return box
        whole = (first,) if self.kind == "difference" else (first, second)
        return next((one for one in whole if abs(one.measure - self.measure) <= least), self)

    @cached_property
    def _cells(self) -> CellSet | None:
        """Its cells between planes and spheres; None for other walls and for balls above 3-D."""
        if self.walls is None or (self.walls.spheres and self.dim > 3):
            return None
        return CellSet(self.dim, self.walls, self.contains, self._diameter)

    @property
    def _only_box(self) -> Box | None:
        boxes = self._cells.boxes if self._cells is not None else None
        return self._box(boxes[0]) if boxes and len(boxes) == 1 else None

    def _box(self, ranges: list[tuple[float, float]]) -> Box:
        return Box(**dict(zip(self.names, ranges, strict=True)))

    @cached_property
    def _measured(self) -> tuple[float, float]:
        """The measure and its standard error."""
        if self._cells is not None:
            if self._cells.boxes is not None:
                return sum((self._box(box).measure for box in self._cells.boxes), start=0.0), 0.0
            # With 32 nodes the rules have converged to rounding.
            return cells_rule(self._cells, 32, last=1)[1].sum().item(), 0.0
        a, b = self.a, self.b
        # Sample the smaller domain: if the other one contains it, the estimate is exact.
        small, large = sorted((a, b), key=lambda domain: domain.measure)
        part, error = (
            (0.0, 0.0) if self._distant else accepted_share(small, partial(_contained, large))
        )
        common = part * small.measure
        error = error * small.measure + part * small.measure_error
        if self.kind == "intersection":
            return common, error
        if self.kind == "difference":
            return a.measure - common, error + a.measure_error
        return a.measure + b.measure - common, error + a.measure_error + b.measure_error

    @property
    def _distant(self) -> bool:
        """True if the interiors of the operands' bounding boxes are disjoint."""
        (low_a, high_a), (low_b, high_b) = self.a.bounds, self.b.bounds
        return bool((torch.maximum(low_a, low_b) >= torch.minimum(high_a, high_b)).any())

    @cached_property
    def _apart(self) -> bool:
        """True for a union of two domains with Gauss rules and disjoint bounding boxes."""
        # Without Gauss rules one draw of Sobol points is more even than one draw per operand.
        exact = not self.a.rule_error(8) and not self.b.rule_error(8)
        return self.kind == "union" and self._distant and exact

    @cached_property
    def _diameter(self) -> float:
        low, high = self.a.bounds
        return (high - low).norm().item()


def _contained(domain: Domain, points: Points) -> Mask:
    return domain.contains(points.coords)
