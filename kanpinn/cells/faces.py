"""The faces between boxes that are halved in any coordinate: where sides of two overlap."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces between cells: each is where a side of one and a side of another one overlap.

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

    @classmethod
    def joined(cls, parts: Sequence["Faces"], counts: Sequence[int]) -> "Faces":
        """The faces of several lists of cells; counts: the numbers of cells in each list."""
        starts = list(accumulate(counts, initial=0))[:-1]
        return cls(
            torch.cat([one.axis for one in parts]),
            torch.cat([one.lower + start for one, start in zip(parts, starts, strict=True)]),
            torch.cat([one.upper + start for one, start in zip(parts, starts, strict=True)]),
            torch.cat([one.corners for one in parts]),
        )

    @classmethod
    def between(
        cls, places: "BoxPlaces", boxes: Tensor, region: Tensor, around: frozenset[int]
    ) -> "Faces":
        """The faces between boxes that do not overlap.

        A coordinate goes around a circle if both of its ends are neighbours. Then a face at these
        ends has the coordinates of the upper one.

        Args:
            places: the boxes among those of the same size.
            boxes: their lower and upper corners, (N, 2, d).
            region: the numbers of their regions, (N,); boxes of two regions have no faces.
            around: the coordinates that go around a circle.
        """
        parts = []
        for axis in range(places.level.shape[1]):
            lower, upper = places.adjacent(axis, region, axis in around)
            low = torch.maximum(boxes[lower, 0], boxes[upper, 0])
            high = torch.minimum(boxes[lower, 1], boxes[upper, 1])
            low[:, axis] = high[:, axis] = boxes[lower, 1, axis]
            parts.append((torch.full_like(lower, axis), lower, upper, torch.stack([low, high], 1)))
        return cls(*(torch.cat(same) for same in zip(*parts, strict=True)))


@dataclass(frozen=True, eq=False)
class BoxPlaces:
    """Boxes that are made by halving, as places among all boxes of the same size.

    Args:
        roots: the numbers of boxes of level 0 along each coordinate.
        level: how often each box is halved in each coordinate, (N, d).
        place: its place along each coordinate, (N, d).
    """

    roots: Sequence[int]
    level: Tensor
    place: Tensor

    def adjacent(self, axis: int, region: Tensor, around: bool) -> tuple[Tensor, Tensor]:
        """The pairs of boxes of which the upper side of one overlaps the lower side of the other.

        Args:
            axis: the coordinate that is constant on these sides.
            region: the numbers of the boxes' regions, (N,); both of a pair have the same.
            around: whether both ends of the coordinate are neighbours.

        Returns:
            The first and the second box of each pair, (F,) each.
        """
        finest = int(self.level[:, axis].max())
        start = self.place[:, axis] << (finest - self.level[:, axis])
        end = start + (1 << (finest - self.level[:, axis]))
        if around:
            end %= self.roots[axis] << finest
        planes = torch.cat([torch.stack([region, one], dim=1) for one in (end, start)])
        _, plane = planes.unique(dim=0, return_inverse=True)
        others = [i for i in range(self.level.shape[1]) if i != axis]
        sides = _Sides(
            [self.roots[i] for i in others],
            *(one[:, others].numpy() for one in (self.level, self.place)),
            *plane.view(2, -1).numpy(),
        )
        none = np.zeros((2, 0), dtype=np.int64)
        pairs = torch.from_numpy(np.concatenate([none, *sides.overlapping()], axis=1))
        lower, upper = pairs[:, (pairs[0] * len(region) + pairs[1]).argsort()]
        return lower, upper


@dataclass(frozen=True, eq=False)
class _Sides:
    """The sides of boxes across one coordinate, by the other coordinates.

    Args:
        roots: the numbers of boxes of level 0 along the other coordinates.
        level, place: of the boxes in these, (N, d - 1) each.
        above, below: the number of the plane of the upper and of the lower side of each box, (N,).
    """

    roots: Sequence[int]
    level: np.ndarray
    place: np.ndarray
    above: np.ndarray
    below: np.ndarray

    def overlapping(self) -> Iterator[np.ndarray]:
        """The boxes whose upper and whose lower sides overlap, in arrays (2, n).

        In each coordinate one of two sides that overlap is a part of the other, or the same. So
        both have the same place among the larger ones.
        """
        kinds, kind = np.unique(self.level, axis=0, return_inverse=True)
        each = [np.flatnonzero(kind.ravel() == number) for number in range(len(kinds))]
        for one, lower in zip(kinds, each, strict=True):
            for other, upper in zip(kinds, each, strict=True):
                common = np.minimum(one, other)
                keys = self._keys(self.above[lower], self.place[lower] >> (one - common), common)
                own = self._keys(self.below[upper], self.place[upper] >> (other - common), common)
                order = own.argsort()
                own = own[order]
                first = own.searchsorted(keys)
                counts = own.searchsorted(keys, "right") - first
                if counts.any():
                    starts = np.repeat(counts.cumsum() - counts - first, counts)
                    found = upper[order[np.arange(len(starts)) - starts]]
                    yield np.stack([np.repeat(lower, counts), found])

    def _keys(self, plane: np.ndarray, place: np.ndarray, level: np.ndarray) -> np.ndarray:
        """One number for each plane and place among the sides of a level, (k,)."""
        keys = plane
        for axis, count in enumerate(self.roots):
            keys = keys * (count << int(level[axis])) + place[:, axis]
        return keys
