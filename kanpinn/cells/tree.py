"""Trees of boxes: the cells of a local discretization."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.faces import BoxPlaces, Faces


@dataclass(frozen=True, eq=False)
class Tree:
    """The leaves of a tree of boxes in [-1, 1]^d: each is a leaf, or halved in some coordinates.

    Where interfaces divide the domain into regions, a box has a leaf for each region that it meets.

    Args:
        roots: the numbers of boxes of level 0 along each coordinate.
        level: how often each leaf is halved in each coordinate, (N, d): with the level l it has
            2^-l times the width of a root.
        place: its place among the boxes of the same size along each coordinate, (N, d).
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
        region = torch.zeros(len(place), dtype=torch.long)
        return cls(tuple(roots), torch.zeros_like(place), place, region)

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
        """The numbers of boxes of levels (k, d) along each coordinate, (k, d)."""
        return torch.tensor(self.roots) * 2**level

    @cached_property
    def _sorted(self) -> dict[tuple[int, ...], tuple[Tensor, Tensor]]:
        """For each size of leaves their keys in order, and their numbers; many leaves first."""
        found = {}
        sizes, size, counts = self.level.unique(dim=0, return_inverse=True, return_counts=True)
        for number in counts.argsort(descending=True).tolist():
            level, numbers = tuple(sizes[number].tolist()), (size == number).nonzero()[:, 0]
            keys, order = self._keys(level, self.place[numbers], self.region[numbers]).sort()
            found[level] = keys, numbers[order]
        return found

    def _keys(self, level: Sequence[int], place: Tensor, region: Tensor) -> Tensor:
        """One number for each region and place among the boxes of a size, (k,)."""
        keys = region
        for axis, count in enumerate(self.roots):
            keys = keys * (count << level[axis]) + place[:, axis]
        return keys

    def locate(self, x: Tensor, region: Tensor) -> Tensor:
        """The numbers of the leaves that contain points of [-1, 1]^d, (n,).

        A point on a face belongs to the leaf above it. A point in no leaf of its region belongs to
        the nearest one.

        Args:
            x: the points, (n, d).
            region: the regions that they belong to, (n,).
        """
        found, lost = torch.full((len(x),), -1), torch.arange(len(x))
        for level, (keys, numbers) in self._sorted.items():
            counts = self._counts(torch.tensor([level]))
            place = ((x[lost] + 1) / 2 * counts).floor().long()
            wanted = self._keys(level, place.clamp_min(0).minimum(counts - 1), region[lost])
            at = torch.searchsorted(keys, wanted).clamp_max(len(keys) - 1)
            here = keys[at] == wanted
            found[lost[here]] = numbers[at[here]]
            lost = lost[~here]
        if len(lost):
            foreign = region[lost, None] != self.region
            gaps = torch.where(foreign, torch.inf, torch.zeros_like(self.low[:, 0]))
            for at, (low, high) in zip(
                x[lost].T[..., None], self.boxes.permute(2, 1, 0), strict=True
            ):
                gaps += torch.maximum(low - at, at - high).clamp_min(0).square()
            found[lost] = gaps.argmin(dim=1)
        return found

    def inside(self, boxes: Tensor) -> Tensor:
        """The leaves whose middles are in one of some boxes (b, 2, d), a mask (N,)."""
        middles, (low, high) = self.boxes.mean(dim=1)[:, None], boxes.unbind(1)
        return ((middles > low) & (middles < high)).all(dim=2).any(dim=1)

    def everywhere(self, cells: Tensor) -> Tensor:
        """Mark all coordinates of some leaves, a mask (N, d); cells: a mask (N,)."""
        return cells[:, None].expand(-1, self.dim)

    def count_when_split(self, chosen: Tensor) -> int:
        """The number of leaves after `split`, for one region; chosen: a mask (N, d)."""
        return int((2 ** chosen.sum(dim=1)).sum())

    def split(self, chosen: Tensor) -> tuple["Tree", Tensor]:
        """The tree in which leaves are halved in some coordinates, and each leaf's parent.

        A box is halved in all of its regions, in the coordinates that are chosen in any of them.
        The leaves that are kept come first; their parents are they themselves.

        chosen: the coordinates in which each leaf is halved, a mask (N, d).
        """
        boxes, box = self._boxes
        marked = torch.zeros(len(boxes), self.dim, dtype=torch.long)
        chosen = marked.index_add(0, box, chosen.long())[box].clamp_max(1)
        parts = []
        for pattern in chosen.unique(dim=0):  # that without any halving is the first
            parents = (chosen == pattern).all(dim=1).nonzero()[:, 0]
            axes = [torch.arange(1 + int(halved)) for halved in pattern]
            steps = torch.cartesian_prod(*axes).view(-1, self.dim)
            place = (self.place[parents] << pattern)[:, None] + steps
            parents = parents.repeat_interleave(len(steps))
            parts.append((self.level[parents] + pattern, place.flatten(0, 1), parents))
        level, place, parents = (torch.cat(same) for same in zip(*parts, strict=True))
        return Tree(self.roots, level, place, self.region[parents], self.around), parents

    def only(self, kept: Tensor) -> "Tree":
        """The tree without some of its leaves; kept: a mask (N,)."""
        return Tree(self.roots, self.level[kept], self.place[kept], self.region[kept], self.around)

    def divided(self, count: int) -> "Tree":
        """The tree in which each box is a leaf of each of a number of regions."""
        boxes, _ = self._boxes
        level, place = boxes.repeat(count, 1).tensor_split(2, dim=1)
        region = torch.arange(count).repeat_interleave(len(boxes))
        return Tree(self.roots, level, place, region, self.around)

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
        """The levels and places of all boxes, each once, (n, 2 d), and each leaf's box, (N,)."""
        both = torch.cat([self.level, self.place], dim=1)
        if not bool(self.region.any()):
            return both, torch.arange(len(both))
        boxes, box = both.unique(dim=0, return_inverse=True)
        return boxes, box

    @cached_property
    def faces(self) -> Faces:
        """The faces between leaves of the same region."""
        places = BoxPlaces(self.roots, self.level, self.place)
        return Faces.between(places, self.boxes, self.region, self.around)

    @cached_property
    def ends(self) -> list[tuple[int, bool, Tensor]]:
        """For each axis and each of its ends (True the upper one) the leaves that touch it."""
        last, found = self._counts(self.level) - 1, []
        for axis in range(self.dim):
            for upper in (False, True):
                at = self.place[:, axis] == (last[:, axis] if upper else 0)
                if axis in self.around:
                    at = torch.zeros_like(at)
                found.append((axis, upper, at.nonzero()[:, 0]))
        return found
