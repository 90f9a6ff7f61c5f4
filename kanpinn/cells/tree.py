"""Trees of boxes: the cells of a local discretization, and the faces between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces between cells, each in the sides of two of them.

    Args:
        axis: the coordinate that is constant on each face, (F,).
        lower, upper: the cells on either side, (F,) each; `lower` is that of smaller coordinates.
        corners: the lower and the upper corner of each face, (F, 2, d).
    """

    axis: Tensor
    lower: Tensor
    upper: Tensor
    corners: Tensor

    def __len__(self) -> int:
        return len(self.axis)


@dataclass(frozen=True, eq=False)
class Tree:
    """The leaves of a tree of boxes in [-1, 1]^d: each box is a leaf, or halved into 2^d boxes.

    Where interfaces divide the domain into regions, a box has a leaf for each region that it meets.

    Args:
        roots: the numbers of boxes of level 0 along each coordinate.
        level: the level of each leaf, (N,); a box of level l has 2^-l times the width of a root.
        place: its place among the boxes of its level along each coordinate, (N, d).
        region: the number of its region, (N,).
        around: the coordinates that go around a circle, in which both ends are neighbours.

    Reference: Samet, The quadtree and related hierarchical data structures (1984).
    """

    roots: tuple[int, ...]
    level: Tensor
    place: Tensor
    region: Tensor
    around: frozenset[int] = frozenset()

    @classmethod
    def uniform(cls, roots: Sequence[int]) -> "Tree":
        """The tree whose leaves are its roots, of one region."""
        axes = [torch.arange(count) for count in roots]
        place = torch.cartesian_prod(*axes).view(-1, len(axes))
        level, region = torch.zeros(2, len(place), dtype=torch.long)
        return cls(tuple(roots), level, place, region)

    def __len__(self) -> int:
        return len(self.level)

    @property
    def dim(self) -> int:
        """The number of coordinates d."""
        return len(self.roots)

    @cached_property
    def widths(self) -> Tensor:
        """The widths of the leaves, (N, d)."""
        return 2 / self._counts(self.level).double()

    @cached_property
    def low(self) -> Tensor:
        """The lower corners of the leaves, (N, d)."""
        return self.place * self.widths - 1

    @cached_property
    def boxes(self) -> Tensor:
        """The lower and the upper corner of each leaf, (N, 2, d)."""
        return torch.stack([self.low, self.low + self.widths], dim=1)

    def _counts(self, level: Tensor) -> Tensor:
        """The numbers of boxes of levels (k,) along each coordinate, (k, d)."""
        return torch.tensor(self.roots) * 2 ** level[:, None]

    @cached_property
    def _sorted(self) -> dict[int, tuple[Tensor, Tensor]]:
        """For each level the keys of its leaves in order, and their numbers."""
        found = {}
        for level in self.level.unique().tolist():
            numbers = (self.level == level).nonzero()[:, 0]
            keys, order = self._keys(level, self.place[numbers], self.region[numbers]).sort()
            found[level] = keys, numbers[order]
        return found

    def _keys(self, level: int, place: Tensor, region: Tensor) -> Tensor:
        """One number for each region and place among the boxes of a level, (k,)."""
        keys = region
        for axis, count in enumerate(self.roots):
            keys = keys * (count << level) + place[:, axis]
        return keys

    def leaves_at(self, level: int, place: Tensor, region: Tensor) -> Tensor:
        """The numbers of leaves of a level, (k,); -1 where there is none.

        Args:
            level: the level.
            place: the places among the boxes of the level, (k, d).
            region: the regions, (k,).
        """
        none = torch.full_like(place[:, 0], -1)
        if level not in self._sorted:
            return none
        keys, numbers = self._sorted[level]
        wanted = self._keys(level, place, region)
        at = torch.searchsorted(keys, wanted).clamp_max(len(keys) - 1)
        return torch.where(keys[at] == wanted, numbers[at], none)

    def locate(self, x: Tensor, region: Tensor) -> Tensor:
        """The numbers of the leaves that contain points of [-1, 1]^d, (n,).

        A point on a face belongs to the leaf above it. A point in no leaf of its region belongs to
        the nearest one.

        Args:
            x: the points, (n, d).
            region: the regions that they belong to, (n,).
        """
        found = torch.full((len(x),), -1)
        for level in self._sorted:
            counts = self._counts(torch.tensor([level]))
            place = ((x + 1) / 2 * counts).floor().long()
            here = self.leaves_at(level, place.clamp_min(0).minimum(counts - 1), region)
            found = torch.where(here < 0, found, here)
        lost = (found < 0).nonzero()[:, 0]
        if len(lost):
            foreign = region[lost, None] != self.region
            gaps = torch.where(foreign, torch.inf, torch.zeros_like(self.low[:, 0]))
            for at, (low, high) in zip(
                x[lost].T[..., None], self.boxes.permute(2, 1, 0), strict=True
            ):
                gaps += torch.maximum(low - at, at - high).clamp_min(0).square()
            found[lost] = gaps.argmin(dim=1)
        return found

    def split(self, chosen: Tensor) -> tuple["Tree", Tensor]:
        """The tree in which some leaves are halved in every coordinate, and each leaf's parent.

        A box is halved in all of its regions. The leaves that are kept come first; their parents
        are they themselves.

        chosen: a mask (N,).
        """
        boxes, box = self._boxes
        chosen = torch.zeros(len(boxes), dtype=torch.long).index_add(0, box, chosen.long())[box] > 0
        kept, halved = (~chosen).nonzero()[:, 0], chosen.nonzero()[:, 0]
        corners = torch.cartesian_prod(*[torch.arange(2)] * self.dim).view(-1, self.dim)
        place = (2 * self.place[halved, None] + corners).flatten(0, 1)
        level = (self.level[halved] + 1).repeat_interleave(len(corners))
        tree = Tree(
            self.roots,
            torch.cat([self.level[kept], level]),
            torch.cat([self.place[kept], place]),
            torch.cat([self.region[kept], self.region[halved].repeat_interleave(len(corners))]),
            self.around,
        )
        return tree, torch.cat([kept, halved.repeat_interleave(len(corners))])

    def only(self, kept: Tensor) -> "Tree":
        """The tree without some of its leaves; kept: a mask (N,)."""
        return Tree(self.roots, self.level[kept], self.place[kept], self.region[kept], self.around)

    def divided(self, count: int) -> "Tree":
        """The tree in which each box is a leaf of each of a number of regions."""
        boxes, _ = self._boxes
        level, *place = boxes.repeat(count, 1).T
        region = torch.arange(count).repeat_interleave(len(boxes))
        return Tree(self.roots, level, torch.stack(place, dim=1), region, self.around)

    @property
    def undivided(self) -> "Tree":
        """The tree of the same boxes with one region."""
        return self.divided(1)

    @classmethod
    def joined(cls, parts: Sequence["Tree"]) -> "Tree":
        """The leaves of trees with the same roots, those of the first tree first."""
        level, place, region = (
            torch.cat([getattr(part, name) for part in parts])
            for name in ("level", "place", "region")
        )
        return cls(parts[0].roots, level, place, region, parts[0].around)

    @cached_property
    def _boxes(self) -> tuple[Tensor, Tensor]:
        """The levels and places of all boxes, each once, (n, 1 + d), and each leaf's box, (N,)."""
        both = torch.cat([self.level[:, None], self.place], dim=1)
        if not bool(self.region.any()):
            return both, torch.arange(len(both))
        boxes, box = both.unique(dim=0, return_inverse=True)
        return boxes, box

    @cached_property
    def _neighbours(self) -> list[tuple[int, int, Tensor, Tensor]]:
        """For each axis and direction, -1 or 1, the neighbours of all leaves that are not smaller.

        Neighbours belong to the same region. The first tensor has the number of the neighbour, -1
        where there is none or it is smaller, (N,); the last one tells which leaves are at the end
        of the box, (N,).
        """
        found, counts = [], self._counts(self.level)
        for axis in range(self.dim):
            for sign in (-1, 1):
                place = self.place.clone()
                place[:, axis] += sign
                if axis in self.around:
                    place[:, axis] %= counts[:, axis]
                outside = (place[:, axis] < 0) | (place[:, axis] >= counts[:, axis])
                beside = torch.full_like(self.level, -1)
                for level in self.level.unique().tolist():
                    own = ((self.level == level) & ~outside).nonzero()[:, 0]
                    for coarser in range(level, -1, -1):
                        at = self.leaves_at(
                            coarser, place[own] >> (level - coarser), self.region[own]
                        )
                        beside[own] = torch.where(beside[own] < 0, at, beside[own])
                found.append((axis, sign, beside, outside))
        return found

    @cached_property
    def faces(self) -> Faces:
        """The faces between the leaves: whole sides of the smaller of two leaves."""
        parts = []
        for axis, sign, beside, _ in self._neighbours:
            whole = beside >= 0
            if sign < 0:  # two leaves of the same size find each other: once is enough
                whole = whole & (self.level[beside] < self.level)
            own = whole.nonzero()[:, 0]
            pair = (own, beside[own])[::sign]
            corners = torch.stack([self.low[own], self.low[own] + self.widths[own]], dim=1)
            corners[..., axis] = corners[:, (sign + 1) // 2, axis, None]
            parts.append((torch.full_like(own, axis), *pair, corners))
        return Faces(*(torch.cat(same) for same in zip(*parts, strict=True)))

    @cached_property
    def ends(self) -> list[tuple[int, bool, Tensor]]:
        """For each axis and each of its ends (True the upper one) the leaves that touch it."""
        return [(axis, sign > 0, at.nonzero()[:, 0]) for axis, sign, _, at in self._neighbours]
