"""Trees of boxes that are halved in any coordinates, and the faces between the boxes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor


class TensorTable:
    """A base class for dataclasses whose fields are tensors of equal length, columns of a table."""

    def some(self, kept: Tensor) -> Self:
        """The table with some of its rows.

        Args:
            kept: a mask of the rows, or their indices.
        """
        make, names = cast(Any, type(self)), [one.name for one in fields(cast(Any, self))]
        made: Self = make(*(getattr(self, name)[kept] for name in names))
        return made

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The table with the rows of several tables, one after the other."""
        make, names = cast(Any, cls), [one.name for one in fields(cast(Any, cls))]
        made: Self = make(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
        return made


@dataclass(frozen=True, eq=False)
class Faces(TensorTable):
    """The faces between cells: a face is the overlap of the sides of two neighbouring cells.

    Args:
        axis: the coordinate that is constant on each face, (F,).
        lower, upper: the indices of the cells below and above each face in its coordinate `axis`,
            (F,) each.
        corners: the lower and the upper corner of each face, (F, 2, d).
    """

    axis: Tensor
    lower: Tensor
    upper: Tensor
    corners: Tensor

    def __len__(self) -> int:
        return len(self.axis)


def overlapping(
    roots: Sequence[int], level: np.ndarray, place: np.ndarray, above: np.ndarray, below: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield pairs of boxes that are neighbours along one coordinate, as arrays of indices (2, n).

    The upper side of the first box and the lower side of the second box lie in one plane and
    overlap. If two sides overlap, then in each of the other coordinates the interval of one side
    contains the interval of the other side. So both sides are in one interval of the coarser level,
    by which the pairs are found.

    Args:
        roots: the numbers of boxes of level 0 along the other d - 1 coordinates.
        level, place: the levels and places of the N boxes in these coordinates, as `Tree` defines
            them, (N, d - 1) each.
        above, below: the index of the plane of each box's upper side, and the index of the plane of
            its lower side, (N,) each.
    """
    kinds, kind = np.unique(level, axis=0, return_inverse=True)
    each = [np.flatnonzero(kind.ravel() == number) for number in range(len(kinds))]
    for one, lower in zip(kinds, each, strict=True):
        for other, upper in zip(kinds, each, strict=True):
            common = np.minimum(one, other)
            keys = keys_of(roots, common, place[lower] >> (one - common), above[lower])
            others = keys_of(roots, common, place[upper] >> (other - common), below[upper])
            order = others.argsort()
            others = others[order]
            first = others.searchsorted(keys)
            counts = others.searchsorted(keys, "right") - first
            if counts.any():
                starts = np.repeat(counts.cumsum() - counts - first, counts)
                pairs = upper[order[np.arange(len(starts)) - starts]]
                yield np.stack([np.repeat(lower, counts), pairs])


def keys_of(roots: Sequence[int], level: Any, place: Any, keys: Any) -> Any:
    """Encode the position of each box in the tree, and one more integer, as a single integer, (k,).

    All boxes are of one level. The integers serve to sort boxes and to find them.

    Args:
        roots: the numbers of boxes of level 0 along each coordinate.
        level: how often the boxes are halved in each coordinate, (d,).
        place: the index of each box along each coordinate among boxes of this level, (k, d), a
            tensor or an array.
        keys: the further integer for each box, such as the index of its region, (k,).
    """
    for axis, count in enumerate(roots):
        keys = keys * (count << int(level[axis])) + place[:, axis]
    return keys


@dataclass(frozen=True, eq=False)
class Tree:
    """A mesh of boxes in [-1, 1]^d that are made by halving: the leaves of a tree of boxes.

    Each box of the tree is a leaf, or is halved in one or more coordinates. Where interfaces divide
    the domain into regions, a box has a leaf for each region that meets the box.

    Args:
        roots: the numbers of boxes of level 0 along each coordinate.
        level: how many halvings led to each leaf in each coordinate, (N, d): a leaf of level l has
            2^-l times the width of a root.
        place: the index of each leaf along each coordinate, among boxes of its level, (N, d).
        region: the index of the region of each leaf, (N,).
        around: the indices of the periodic coordinates, whose two ends meet.

    Reference: Samet, The quadtree and related hierarchical data structures (1984).
    """

    roots: tuple[int, ...]
    level: Tensor
    place: Tensor
    region: Tensor
    around: frozenset[int] = frozenset()

    @classmethod
    def uniform(cls, roots: Sequence[int]) -> "Tree":
        """The tree of one region in which no box is halved: its leaves are the boxes of level 0."""
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
        """The number of boxes of each given level that fit along each coordinate, (k, d)."""
        return torch.tensor(self.roots) * 2**level

    @cached_property
    def _sorted(self) -> dict[tuple[int, ...], tuple[Tensor, Tensor]]:
        """For each level sorted integer keys of its leaves, and the indices of these leaves.

        A key is the integer that `keys_of` gives to the place and the region of a leaf. It serves
        to find the leaf at a point. The level with the most leaves comes first.
        """
        found = {}
        sizes, size, counts = self.level.unique(dim=0, return_inverse=True, return_counts=True)
        for number in counts.argsort(descending=True).tolist():
            level, numbers = tuple(sizes[number].tolist()), (size == number).nonzero()[:, 0]
            keys, order = keys_of(
                self.roots, level, self.place[numbers], self.region[numbers]
            ).sort()
            found[level] = keys, numbers[order]
        return found

    def locate(self, x: Tensor, region: Tensor) -> Tensor:
        """The indices of the leaves that contain given points of [-1, 1]^d, (n,).

        A point on a face belongs to the leaf above the face. If no leaf of a point's region
        contains the point, the index of the nearest leaf of this region is returned.

        Args:
            x: the points, (n, d).
            region: the index of the region of each point, (n,).
        """
        found, lost = torch.full((len(x),), -1), torch.arange(len(x))
        for level, (keys, numbers) in self._sorted.items():
            counts = self._counts(torch.tensor([level]))
            place = ((x[lost] + 1) / 2 * counts).floor().long()
            place = place.clamp_min(0).minimum(counts - 1)
            wanted = keys_of(self.roots, level, place, region[lost])
            at = torch.searchsorted(keys, wanted).clamp_max(len(keys) - 1)
            here = keys[at] == wanted
            found[lost[here]] = numbers[at[here]]
            lost = lost[~here]
        if len(lost):
            foreign = region[lost, None] != self.region
            gaps = torch.where(foreign, torch.inf, torch.zeros_like(self.widths[:, 0]))
            for at, (low, high) in zip(
                x[lost].T[..., None], self.boxes.permute(2, 1, 0), strict=True
            ):
                gaps += torch.maximum(low - at, at - high).clamp_min(0).square()
            found[lost] = gaps.argmin(dim=1)
        return found

    def inside(self, boxes: Tensor) -> Tensor:
        """A mask (N,) of the leaves whose midpoint is in one of the given boxes, (b, 2, d)."""
        middles, (low, high) = self.boxes.mean(dim=1)[:, None], boxes.unbind(1)
        return ((middles > low) & (middles < high)).all(dim=2).any(dim=1)

    def everywhere(self, cells: Tensor) -> Tensor:
        """Repeat a mask of leaves, (N,), for all coordinates: a mask (N, d)."""
        return cells[:, None].expand(-1, self.dim)

    def count_when_split(self, chosen: Tensor) -> int:
        """The number of leaves after `split(chosen)`, or a lower bound of this number.

        The number is exact if each box has a single leaf. If a box has leaves in several regions,
        `split` may also halve leaves of the box that are not chosen.

        Args:
            chosen: the coordinates in which each leaf is halved, a mask (N, d).
        """
        return int((2 ** chosen.sum(dim=1)).sum())

    def split(self, chosen: Tensor) -> tuple["Tree", Tensor]:
        """Halve leaves; return the new tree, and the index of each new leaf's parent, (M,).

        If a box has leaves in several regions, all these leaves are halved in the coordinates that
        are chosen for any of these leaves. Leaves that are not halved come first, and each of these
        is its own parent.

        Args:
            chosen: the coordinates in which each leaf is halved, a mask (N, d).
        """
        boxes, box = self._boxes
        marked = torch.zeros(len(boxes), self.dim, dtype=torch.long)
        chosen = marked.index_add(0, box, chosen.long())[box].clamp_max(1)
        parts = []
        for pattern in chosen.unique(dim=0):  # the pattern without halvings is first
            parents = (chosen == pattern).all(dim=1).nonzero()[:, 0]
            axes = [torch.arange(1 + int(halved)) for halved in pattern]
            steps = torch.cartesian_prod(*axes).view(-1, self.dim)
            place = (self.place[parents] << pattern)[:, None] + steps
            parents = parents.repeat_interleave(len(steps))
            parts.append((self.level[parents] + pattern, place.flatten(0, 1), parents))
        level, place, parents = (torch.cat(same) for same in zip(*parts, strict=True))
        return Tree(self.roots, level, place, self.region[parents], self.around), parents

    def only(self, kept: Tensor) -> "Tree":
        """The tree with some of its leaves only.

        Args:
            kept: a mask of the leaves that are kept, (N,).
        """
        return Tree(self.roots, self.level[kept], self.place[kept], self.region[kept], self.around)

    def divided(self, count: int) -> "Tree":
        """A tree in which each box of this tree has a leaf for each of `count` regions."""
        boxes, _ = self._boxes
        level, place = boxes.repeat(count, 1).tensor_split(2, dim=1)
        region = torch.arange(count).repeat_interleave(len(boxes))
        return Tree(self.roots, level, place, region, self.around)

    @classmethod
    def joined(cls, parts: Sequence["Tree"]) -> "Tree":
        """Join the leaves of several trees with the same roots, one tree after another."""
        level, place, region = (
            torch.cat([getattr(part, name) for part in parts])
            for name in ("level", "place", "region")
        )
        return cls(parts[0].roots, level, place, region, parts[0].around)

    @cached_property
    def _boxes(self) -> tuple[Tensor, Tensor]:
        """The distinct boxes among the leaves, and the index of each leaf's box.

        A box has several leaves if it is divided into regions. The result is the level and place of
        each box, (n, 2 d), and the indices, (N,).
        """
        both = torch.cat([self.level, self.place], dim=1)
        if not bool(self.region.any()):
            return both, torch.arange(len(both))
        boxes, box = both.unique(dim=0, return_inverse=True)
        return boxes, box

    @cached_property
    def faces(self) -> Faces:
        """The faces between leaves of the same region.

        A face between the two ends of a periodic coordinate has the coordinate of the upper end.
        """
        parts = []
        for axis in range(self.dim):
            finest = int(self.level[:, axis].max())
            start = self.place[:, axis] << (finest - self.level[:, axis])
            end = start + (1 << (finest - self.level[:, axis]))
            if axis in self.around:
                end %= self.roots[axis] << finest
            planes = torch.cat([torch.stack([self.region, one], dim=1) for one in (end, start)])
            plane = planes.unique(dim=0, return_inverse=True)[1].view(2, -1).numpy()
            others = [i for i in range(self.dim) if i != axis]
            level, place = (one[:, others].numpy() for one in (self.level, self.place))
            sides = overlapping([self.roots[i] for i in others], level, place, *plane)
            pairs = np.concatenate([np.zeros((2, 0), dtype=np.int64), *sides], axis=1)
            pairs = pairs[:, (pairs[0] * len(self) + pairs[1]).argsort()]
            lower, upper = torch.from_numpy(pairs)
            low = torch.maximum(self.boxes[lower, 0], self.boxes[upper, 0])
            high = torch.minimum(self.boxes[lower, 1], self.boxes[upper, 1])
            low[:, axis] = high[:, axis] = self.boxes[lower, 1, axis]
            parts.append((torch.full_like(lower, axis), lower, upper, torch.stack([low, high], 1)))
        return Faces(*(torch.cat(same) for same in zip(*parts, strict=True)))

    @property
    def unbalanced(self) -> Tensor:
        """A mask (N, d): the coordinates in which a leaf is over twice as wide as a neighbour."""
        faces, level = self.faces, self.level
        finer = level[faces.upper] - level[faces.lower]
        found = torch.zeros_like(level).index_add(0, faces.lower, (finer > 1).long())
        return found.index_add(0, faces.upper, (finer < -1).long()) > 0

    @cached_property
    def ends(self) -> list[tuple[int, bool, Tensor]]:
        """For each axis and end (True: the upper end), the indices of the leaves at this end.

        The ends are those of [-1, 1] in this axis. No leaves are at the ends of a periodic
        coordinate.
        """
        last, found = self._counts(self.level) - 1, []
        for axis in range(self.dim):
            for upper in (False, True):
                at = self.place[:, axis] == (last[:, axis] if upper else 0)
                if axis in self.around:
                    at = torch.zeros_like(at)
                found.append((axis, upper, at.nonzero()[:, 0]))
        return found


def gaps(tree: Tree) -> tuple[Tensor, Tensor]:
    """The boxes that fill the part of [-1, 1]^d without leaves, as levels and places, (n, d) each.

    Starting with the roots, a box that contains smaller leaves is halved in a coordinate in which
    all these leaves are smaller than the box. There is always such a coordinate, because the leaves
    come from halvings.

    Args:
        tree: a tree of one region, which defines levels and places.
    """
    whole = Tree.uniform(tree.roots)
    level, place = whole.level, whole.place
    own, leaves = whole.locate(tree.boxes.mean(dim=1), torch.zeros(len(tree)).long()), tree
    found = []
    while len(level):
        depth = torch.full_like(level, -1)
        depth.scatter_reduce_(
            0,
            own[:, None].expand(-1, tree.dim),
            leaves.level - level[own],
            "amin",
            include_self=False,
        )
        empty = depth[:, 0] < 0
        found.append(torch.cat([level[empty], place[empty]], dim=1))
        deepest, axis = depth.max(dim=1)
        halved = deepest > 0
        number = halved.long().cumsum(dim=0) - 1
        kept = halved[own]
        leaves, own = leaves.only(kept), own[kept]
        step = torch.zeros_like(level).scatter(1, axis[:, None], 1)
        finer = (leaves.level - level[own] - step[own]).clamp_min(0)
        upper = ((leaves.place >> finer) & step[own]).sum(dim=1)
        level, place, step = (level + step)[halved], (place << step)[halved], step[halved]
        own = 2 * number[own] + upper
        level = level.repeat_interleave(2, dim=0)
        place = torch.stack([place, place + step], dim=1).flatten(0, 1)
    level, place = torch.cat(found).tensor_split(2, dim=1)
    return level, place
