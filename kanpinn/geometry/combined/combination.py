"""What two domains are together: the inside, the boundary, the measure, a rule."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch

from kanpinn._support.errors import integer
from kanpinn._support.shapes import Column, Coords, Corner, Mask, Weights
from kanpinn.geometry.boundary import Boundary, Piece
from kanpinn.geometry.box import Box, Face
from kanpinn.geometry.clipped import clip
from kanpinn.geometry.combined import box_cells
from kanpinn.geometry.combined.ball_pairs import pair_pieces, pair_rule
from kanpinn.geometry.combined.bites import (
    bitten,
    common_rule,
    common_volume,
    face_part,
    rest_rule,
    sphere_part,
)
from kanpinn.geometry.combined.overlaps import common_bounds, encloses, exact_overlap, overlap
from kanpinn.geometry.combined.shells import shell_rule
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.scrambled import equal_weights, sampling_error, sobol
from kanpinn.geometry.solid.ball import Ball
from kanpinn.geometry.turned import Turned

KEEP: dict[str, Callable[[bool, bool], bool]] = {
    "union": operator.or_,
    "difference": operator.gt,  # in a and not in b
    "intersection": operator.and_,
}
STEP = 1e-9  # of the first operand's diameter: to either side of a boundary, to see what is there
ROUNDING = 1e-14  # of the first operand's diameter
PROBE = 8  # nodes of the rule of which it is asked whether it is a Gauss rule
Rule = Callable[[int], tuple[Points, Weights]]


@dataclass(frozen=True)
class Combination(Domain):
    """What `combine` makes of two domains.

    Its pieces are those of a and b, under their names, as far as they are boundary of the result,
    with the normals outward from it.

    A tolerance of `contains` widens or narrows the operands, so a narrowed union of touching
    domains has a gap where they touch. `bounds` is a box around it, for boxes the smallest.
    """

    kind: str
    a: Domain
    b: Domain

    @property
    def names(self) -> tuple[str, ...]:
        return self.a.names

    @cached_property
    def bounds(self) -> tuple[Corner, Corner]:
        if self.kind == "intersection":
            return common_bounds(self.a, self.b)
        parts = self._boxes or ((self.a, self.b) if self.kind == "union" else (self.a,))
        lows, highs = zip(*(part.bounds for part in parts), strict=True)
        return torch.stack(lows).amin(dim=0), torch.stack(highs).amax(dim=0)

    @property
    def measure(self) -> float:
        return self._measured[0]

    @property
    def measure_error(self) -> float:
        return self._measured[1]

    @cached_property
    def boundary(self) -> Boundary:
        inside, step = self.contains, STEP * self._diameter
        if self._boxes is not None:
            grid = box_cells.grid_cells(box_leaves(self)) or []
            return Boundary(tuple(box_cells.faces(box_leaves(self), grid, inside, step)))
        if isinstance(self.a, Ball) and isinstance(self.b, Ball) and self.dim == 3:
            return Boundary(tuple(pair_pieces(KEEP[self.kind], self.a, self.b)))
        if self._shell:
            turned = (Turned(piece) for piece in self.b.boundary.pieces)
            return Boundary((*self.a.boundary.pieces, *turned))
        own = (
            clip(piece, self, step, None, self._exact(piece)) for piece in self.a.boundary.pieces
        )
        others = (
            clip(piece, self, step, self.a, self._exact(piece)) for piece in self.b.boundary.pieces
        )
        return Boundary(tuple(piece for piece in (*own, *others) if piece is not None))

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        in_a = self.a.contains(coords, tolerance)
        if self.kind == "union":
            return in_a | self.b.contains(coords, tolerance)
        if self.kind == "intersection":
            return in_a & self.b.contains(coords, tolerance)
        # What is taken away leaves its own boundary behind.
        return in_a & ~self.b.contains(coords, -tolerance - ROUNDING * self._diameter)

    def level(self, coords: Coords) -> Column:
        """The R-conjunction of the operands' levels, f + g - sqrt(f² + g²) (Rvachev and Sheiko).

        Raises:
            InputError: where a level has not the right sign everywhere: for unions, and where
                something else than a ball is taken away.
        """
        if self.kind == "union" or (self.kind == "difference" and not isinstance(self.b, Ball)):
            return super().level(coords)
        f, g = self.a.level(coords), self.b.level(coords)
        if self.kind == "difference":
            g = -g
        return f + g - (f**2 + g**2).sqrt()

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """A Gauss rule where `rule_error` is 0, otherwise the Sobol points of one scrambling.

        The latter are nodes^d, at most 2^20, with equal weights.
        """
        nodes = integer("nodes", nodes)
        if self._rule is not None:
            points, weights = self._rule(nodes)
            # Between box and ball few nodes would not do for a constant.
            return points, weights * (self.measure / weights.sum())
        return equal_weights(self, nodes)

    def rule_error(self, nodes: int) -> float:
        if self._rule is not None:
            return 0.0
        return sampling_error(self, nodes)

    def gauss(self, n: int) -> Points:
        if self._rule is not None:
            return super().gauss(n)
        return self.place(n, sobol(0))[:n]

    @cached_property
    def _measured(self) -> tuple[float, float]:
        if self._boxes is not None:
            return sum((box.measure for box in self._boxes), start=0.0), 0.0
        both = bitten(self.a, self.b)
        common, error = (common_volume(*both), 0.0) if both else overlap(self.a, self.b)
        if self.kind == "intersection":
            return common, error
        error += self.a.measure_error
        if self.kind == "difference":
            return self.a.measure - common, error
        return self.a.measure + self.b.measure - common, error + self.b.measure_error

    @cached_property
    def _boxes(self) -> tuple[Box, ...] | None:
        """Boxes that touch at most and make up the domain, if its operands are boxes."""
        leaves = box_leaves(self)
        cells = box_cells.grid_cells(leaves) if leaves else None
        if cells is None:
            return None
        inside = box_cells.merged(box_cells.chosen(cells, self.contains))
        return tuple(box_cells.as_box(cell, self.names) for cell in inside)

    @property
    def _shell(self) -> bool:
        """Whether it is a box without a ball inside it, or a ball without a box inside it."""
        kinds = {type(self.a), type(self.b)}
        return self.kind == "difference" and kinds == {Box, Ball} and encloses(self.a, self.b)

    @property
    def _bitten(self) -> tuple[Box, Ball] | None:
        """A box and a ball centred in it, if it is what they share or the box without the ball."""
        if self.kind == "union" or (self.kind == "difference" and isinstance(self.a, Ball)):
            return None
        return bitten(self.a, self.b)

    def _exact(self, piece: Piece) -> Rule | None:
        """A Gauss rule on what counts of an operand's piece, where there is one."""
        if self._bitten is None:
            return None
        if isinstance(piece, Face):
            inside = self.kind == "intersection"
            return partial(face_part, *self._bitten, piece.axis, piece.upper, inside)
        return partial(sphere_part, *self._bitten)

    @cached_property
    def _rule(self) -> Rule | None:
        a, b = self.a, self.b
        if self._boxes is not None:
            return partial(box_cells.joined_rule, self._boxes)
        if isinstance(a, Ball) and isinstance(b, Ball) and self.dim == 3:
            return partial(pair_rule, KEEP[self.kind], a, b)
        if self._shell:
            return partial(shell_rule, a, b)
        if self._bitten:
            return partial(rest_rule if self.kind == "difference" else common_rule, *self._bitten)
        if self.kind == "union" and exact_overlap(a, b) == 0:
            # Worth it for Gauss rules only: one draw of Sobol points is spread better than two.
            exact = not a.rule_error(PROBE) and not b.rule_error(PROBE)
            return partial(box_cells.joined_rule, (a, b)) if exact else None
        return None

    @cached_property
    def _diameter(self) -> float:
        low, high = self.a.bounds
        return (high - low).norm().item()


def box_leaves(domain: Domain) -> list[Box]:
    """The boxes that a domain is combined from; none if anything else is among its operands."""
    if isinstance(domain, Box):
        return [domain]
    if not isinstance(domain, Combination):
        return []
    leaves = box_leaves(domain.a), box_leaves(domain.b)
    return leaves[0] + leaves[1] if all(leaves) else []
