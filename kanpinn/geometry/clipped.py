"""The part of a piece that is boundary of a combination."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from kanpinn._support.errors import integer
from kanpinn._support.shapes import Mask, Weights
from kanpinn.geometry.boundary import Derived, Piece
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.region import SHORT, Draw
from kanpinn.geometry.scrambled import MOST, equal_weights, share, single_error, sobol

WHOLE = 1e-12  # by so much may the share of a whole piece differ from 1
ENOUGH = 32  # nodes by which a Gauss rule has converged
Rule = Callable[[int], tuple[Points, Weights]]


@dataclass(frozen=True)
class Clipped(Derived):
    """Those points of a piece at which just one side of it is inside a domain.

    Their normals point to the other side. The measure is an estimate by scrambled Sobol points,
    `measure_error` its standard error, 0 where the whole piece counts.

    Args:
        piece: of the boundary of an operand.
        domain: the combination.
        step: how far to either side it is looked whether the domain is there.
        first: an operand that has the points on its boundary to itself, or None.
        exact: a Gauss rule on what counts of the piece, where there is one.
    """

    domain: Domain
    step: float
    first: Domain | None = None
    exact: Rule | None = None

    @property
    def measure(self) -> float:
        return self.part[0] * self.piece.measure

    @property
    def measure_error(self) -> float:
        return self.part[1] * self.piece.measure + self.part[0] * self.piece.measure_error

    @cached_property
    def part(self) -> tuple[float, float]:
        """The share of the piece that counts, with its standard error."""
        if self.exact is not None:
            return self.exact(ENOUGH)[1].sum().item() / self.piece.measure, 0.0
        return share(self.piece, lambda points: self.keep(points)[0])

    def keep(self, points: Points) -> tuple[Mask, Points]:
        """Which of the piece's points count, (n,), and all of them with their normals outward."""
        normals = _normals(points)
        before, after = (points.coords + sign * self.step * normals for sign in (-1, 1))
        here, there = self.domain.contains(before), self.domain.contains(after)
        kept = here != there
        if self.first is not None:
            kept &= self.first.contains(before) == self.first.contains(after)
        outward = torch.where((there & ~here)[:, None], -normals, normals)
        return kept, Points(points.coords, points.names, outward)

    def count(self, n: int) -> int:
        """How many points of the piece to draw for about n that count."""
        return math.ceil(n / self.part[0])

    def place(self, n: int, draw: Draw) -> Points:
        count = self.count(n)
        while True:
            kept, points = self.keep(self.piece.place(count, draw))
            if int(kept.sum()) >= n:
                return points[kept]
            count = longer(count)

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """A Gauss rule where there is one, otherwise the Sobol points of one scrambling.

        The latter are nodes^dim, at most 2^20, with equal weights.
        """
        nodes = integer("nodes", nodes)
        if self.exact is None and self.part[0] < 1:
            return equal_weights(self, nodes)
        points, weights = (self.exact or self.piece.quadrature)(nodes)
        weights = weights * (self.measure / weights.sum())
        return self.keep(points)[1], weights

    def rule_error(self, nodes: int) -> float:
        if self.exact is not None or self.part[0] == 1:
            return self.piece.rule_error(nodes)
        draws = self.count(min(nodes**self.dim, MOST))
        return self.piece.measure * single_error(self.piece, lambda p: self.keep(p)[0], draws)

    def gauss(self, n: int) -> Points:
        if self.exact is not None:
            return super().gauss(n)
        if self.part[0] < 1:
            return self.place(n, sobol(0))[:n]
        return self.keep(self.piece.gauss(n))[1]


def clip(
    piece: Piece, domain: Domain, step: float, first: Domain | None, exact: Rule | None
) -> Piece | None:
    """The part of an operand's piece that is boundary of the domain: all, some or nothing of it."""
    clipped = Clipped(piece, domain, step, first, exact)
    part, _ = clipped.part
    if part == 0:
        return None
    probe = piece.place(64, sobol(0))
    unturned = torch.equal(_normals(clipped.keep(probe)[1]), _normals(probe))
    return piece if abs(part - 1) <= WHOLE and unturned else clipped


def longer(count: int) -> int:
    """The next length of a draw of which too few points count."""
    return count + max(1, math.ceil(count * SHORT))


def _normals(points: Points) -> torch.Tensor:
    assert points.normals is not None
    return points.normals
