"""The parts of the operands' boundary pieces that bound a combination."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from kanpinn._support.errors import integer
from kanpinn._support.shapes import Coords, Mask, Weights
from kanpinn.geometry.boundary import Derived, MappedPiece, Piece, Turned
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.quadrature import accepted_share, clipped_error, equal_weights, sobol
from kanpinn.geometry.region import Draw, longer
from kanpinn.geometry.rules_in_boxes import RulesInBoxes

Rule = Callable[[int], tuple[Points, Weights]]


@dataclass(frozen=True)
class Clipped(Derived):
    """The part of a piece that bounds a domain: exactly one side of it lies in the domain.

    The normals point to the outer side. With a Gauss rule the measure is exact to rounding;
    otherwise it is estimated by scrambled Sobol points with the standard error `measure_error`.

    Args:
        piece: a boundary piece of an operand.
        domain: the combination.
        step: the distance from the piece at which points on both sides are tested.
        first: earlier operands; points on their boundaries belong to their pieces, not to this one.
        exact: a Gauss rule on the part as a function of nodes, with outward normals; None if there
            is none.
    """

    domain: Domain
    step: float
    first: tuple[Domain, ...] = ()
    exact: Rule | None = field(default=None, compare=False)

    @property
    def measure(self) -> float:
        return self.part[0] * self.piece.measure

    @property
    def measure_error(self) -> float:
        return self.part[1] * self.piece.measure + self.part[0] * self.piece.measure_error

    @cached_property
    def part(self) -> tuple[float, float]:
        """The share of the piece that bounds the domain, and its standard error."""
        if self.exact is not None:
            # With 32 nodes the rule has converged to rounding.
            return self.exact(32)[1].sum().item() / self.piece.measure, 0.0
        return accepted_share(self.piece, lambda points: self.keep(points)[0])

    def keep(self, points: Points) -> tuple[Mask, Points]:
        """Determine which points of the piece bound the domain, and orient the normals outward.

        Args:
            points: n points of the piece with normals.

        Returns:
            The mask (n,) of the bounding points, and all n points with outward normals.
        """
        normals = _normals(points)
        before, after = (points.coords + sign * self.step * normals for sign in (-1, 1))
        here, there = self.domain.contains(before), self.domain.contains(after)
        kept = here != there
        for other in self.first:
            kept &= other.contains(before) == other.contains(after)
        outward = torch.where((there & ~here)[:, None], -normals, normals)
        return kept, Points(points.coords, points.names, outward)

    def place(self, n: int, draw: Draw) -> Points:
        count = self._count(n)
        while True:
            kept, points = self.keep(self.piece.place(count, draw))
            if int(kept.sum()) >= n:
                return points[kept]
            count = longer(count)

    def spread(self, n: int, draw: Draw) -> tuple[Points, Weights]:
        count = self._count(n)
        while True:
            points, more = self.piece.spread(count, draw)
            kept, points = self.keep(points)
            if int(kept.sum()) >= n:
                return points[kept], more[kept]
            count = longer(count)

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a Gauss rule if there is one, otherwise min(nodes^dim, 2^20) Sobol points.

        The Sobol points come from one scrambling and have equal weights. If the whole piece bounds
        the domain, the rule of the piece is used.
        """
        nodes = integer("nodes", nodes)
        if self.exact is not None:
            points, weights = self.exact(nodes)
        elif self.part[0] < 1:
            return equal_weights(self, nodes)
        else:
            points, weights = self.piece.quadrature(nodes)
            points = self.keep(points)[1]
        return points, weights * (self.measure / weights.sum())

    @property
    def sheets(self) -> tuple[Piece, ...]:
        return tuple(replace(self, piece=sheet) for sheet in self.piece.sheets)

    def in_boxes(self, boxes: Tensor, nodes: int) -> RulesInBoxes:
        least, tries, pad = 0.7, 2, 2 / nodes  # part of the points; parts of the boxes' widths
        every, parts = torch.arange(len(boxes)), [RulesInBoxes.none(self.names)]
        while len(boxes):
            rules = self.piece.in_boxes(boxes, nodes)
            kept, points = self.keep(rules.points)
            found = RulesInBoxes(rules.box, points, rules.weights).some(kept)
            counts = found.counts(len(boxes))
            share = counts / rules.counts(len(boxes)).clamp_min(1)
            again = (counts > 0) & (share <= least) & (tries > 0)
            parts.append(found.some(~again[found.box]).numbered(every))
            axes, tries = range(boxes.shape[2]), tries - 1
            boxes, every = found.around(boxes, pad, axes)[again], every[again]
        return RulesInBoxes.joined(parts)

    def rule_error(self, nodes: int) -> float:
        if self.exact is not None:
            return 0.0
        if self.part[0] == 1:
            return self.piece.rule_error(nodes)
        return clipped_error(self.piece, lambda p: self.keep(p)[0], self.part[0], nodes)

    def gauss(self, n: int) -> Points:
        if self.exact is not None:
            return super().gauss(n)
        if self.part[0] < 1:
            return self.place(n, sobol(0))[:n]
        return self.keep(self.piece.gauss(n))[1]

    def _count(self, n: int) -> int:
        """Return the number of points to draw on the piece so that about n bound the domain."""
        return math.ceil(n / self.part[0])


def clip(
    piece: Piece,
    domain: Domain,
    step: float,
    first: tuple[Domain, ...] = (),
    exact: Rule | None = None,
) -> Piece | None:
    """Return the part of an operand's piece that bounds the domain.

    The arguments are those of `Clipped`.

    Returns:
        The piece itself, with normals reversed if necessary, if all of it bounds the domain; None
        if no part of it does; otherwise a `Clipped` piece.
    """
    clipped = Clipped(piece, domain, step, first, exact)
    part, _ = clipped.part
    if part == 0:
        return None
    if abs(part - 1) > 1e-12:
        return clipped
    probe = piece.place(64, sobol(0))
    turned = (_normals(clipped.keep(probe)[1]) != _normals(probe)).any(dim=1)
    if not turned.any():
        return piece
    return Turned(piece) if turned.all() and isinstance(piece, MappedPiece) else clipped


def _normals(points: Points) -> Coords:
    assert points.normals is not None
    return points.normals
