"""Quadrature rules on those parts of a boundary surface that lie in each of many boxes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn._support.shapes import Weights
from kanpinn.geometry.points import Points
from kanpinn.geometry.rules import gauss_product


@dataclass(frozen=True, eq=False)
class RulesInBoxes:
    """Quadrature rules on the parts of a surface in several boxes, with the points in one table.

    Args:
        box: the number of the box in which each point lies, in ascending order, (n,).
        points: the points of all rules, with normals.
        weights: the positive weights of the points, (n,).
    """

    box: Tensor
    points: Points
    weights: Weights

    @classmethod
    def none(cls, names: tuple[str, ...]) -> "RulesInBoxes":
        """Return rules without points, for coordinates with these names."""
        none = torch.zeros(0, len(names), dtype=torch.float64)
        return cls(torch.zeros(0, dtype=torch.long), Points(none, names, none), none[:, 0])

    @classmethod
    def joined(cls, parts: Sequence["RulesInBoxes"]) -> "RulesInBoxes":
        """Return the rules with the points of all parts, sorted by box.

        The points of one box keep the order of the parts.
        """
        box = torch.cat([part.box for part in parts])
        points = Points.cat(part.points for part in parts)
        every = cls(box, points, torch.cat([part.weights for part in parts]))
        return every.some(box.argsort(stable=True))

    @property
    def normals(self) -> Tensor:
        """The normals at the points, (n, d)."""
        return self.points.outward

    def some(self, kept: Tensor) -> "RulesInBoxes":
        """Return the rules with some of the points, given by a mask (n,) or by indices."""
        return RulesInBoxes(self.box[kept], self.points[kept], self.weights[kept])

    def numbered(self, numbers: Tensor) -> "RulesInBoxes":
        """Return the rules with other numbers of the boxes.

        Args:
            numbers: the new numbers of the boxes 0, ..., B - 1, in ascending order, (B,).
        """
        return RulesInBoxes(numbers[self.box], self.points, self.weights)

    def turned(self) -> "RulesInBoxes":
        """Return these rules with reversed normals."""
        return RulesInBoxes(self.box, self.points.turned(), self.weights)

    def counts(self, boxes: int) -> Tensor:
        """Return the number of points in each box, (boxes,).

        Args:
            boxes: the number of boxes.
        """
        return torch.bincount(self.box, minlength=boxes)

    def extents(self, boxes: int) -> Tensor:
        """Return the lowest and the highest coordinates of the points in each box, (boxes, 2, d).

        They are inf and -inf for boxes without points.

        Args:
            boxes: the number of boxes.
        """
        coords = self.points.coords
        own = self.box[:, None].expand_as(coords)
        ends = [
            coords.new_full((boxes, coords.shape[1]), none).scatter_reduce(0, own, coords, kind)
            for none, kind in ((torch.inf, "amin"), (-torch.inf, "amax"))
        ]
        return torch.stack(ends, dim=1)

    def around(self, boxes: Tensor, pad: float, axes: Sequence[int]) -> Tensor:
        """Shrink each box to the extent of its points plus a margin; keep boxes without points.

        Args:
            boxes: the lower and upper corners of the boxes, (B, 2, d).
            pad: the margin, as a fraction of the width of the box.
            axes: the indices of the coordinates in which boxes are shrunk.

        Returns:
            The lower and upper corners of the shrunk boxes, (B, 2, d).
        """
        room = pad * (boxes[:, 1] - boxes[:, 0])
        ends, found = self.extents(len(boxes)), boxes.clone()
        low = torch.maximum(boxes[:, 0], ends[:, 0] - room)
        high = torch.minimum(boxes[:, 1], ends[:, 1] + room)
        some = self.counts(len(boxes)) > 0
        for axis in axes:
            found[some, 0, axis], found[some, 1, axis] = low[some, axis], high[some, axis]
        return found

    def padded(self, together: int) -> Iterator[tuple[Tensor, Points, Tensor]]:
        """Yield batches of boxes with similar numbers of points, boxes with few points first.

        All boxes of a batch get the same number q of points: the first point of a box is repeated
        with the weight 0.

        Args:
            together: the largest number of boxes in a batch.

        Yields:
            The numbers of k boxes, (k,), their k·q points, box by box, and the weights, (k, q).
        """
        boxes, counts = self.box.unique_consecutive(return_counts=True)
        starts = counts.cumsum(dim=0) - counts
        for some in counts.argsort(stable=True).split(together) if len(boxes) else ():
            place = torch.arange(int(counts[some[-1]]))
            used = place < counts[some, None]
            rows = starts[some, None] + torch.where(used, place, 0)
            weights = torch.where(used, self.weights[rows], 0)
            yield boxes[some], self.points[rows.flatten()], weights


# The n points at which lines meet a surface: the number of the line of each point, in ascending
# order, (n,), the points, (n, 3), and the unit normals of the surface at the points, (n, 3).
Hits = tuple[Tensor, Tensor, Tensor]


def cast(
    hits: Callable[[Tensor, Tensor], Hits],
    names: tuple[str, ...],
    axis: int,
    boxes: Tensor,
    nodes: int,
) -> RulesInBoxes:
    """Return quadrature rules on the parts of a surface in boxes.

    In each box, lines along an axis are cast through the points of a Gauss rule on the box's cross
    section. The weight of a point where a line meets the surface is the Gauss weight divided by the
    cosine of the angle between the surface normal and the axis. If the lines meet the surface only
    in a small part of the cross section, the rule is repeated on this part.

    Args:
        hits: a function that returns the points where lines meet the surface. Its arguments are the
            two coordinates, other than the axis, of q lines in each of k boxes, (k, q, 2), and the
            numbers of these boxes, (k,).
        names: the names of the coordinates.
        axis: the index of the axis along which the lines run.
        boxes: the lower and upper corners, (B, 2, 3). Boxes without an interior have no points.
        nodes: the number of lines along each of the two other coordinates.
    """
    others = [i for i in range(3) if i != axis]
    least, pad = 0.7, 2 / nodes  # fractions of the cross section's widths
    unit, weights = gauss_product(nodes, 2)

    def met(chosen: Tensor, boxes: Tensor) -> RulesInBoxes:
        """The rules in k boxes with the numbers `chosen` (k,) and the corners `boxes` (k, 2, 3)."""
        first, size = boxes[:, 0, others], (boxes[:, 1] - boxes[:, 0])[:, others]
        line, coords, normals = hits(first[:, None] + unit * size[:, None], chosen)
        place, along = line // len(unit), coords[:, axis]
        kept = (along >= boxes[place, 0, axis]) & (along <= boxes[place, 1, axis])
        areas = weights[line % len(unit)] * size.prod(dim=1)[place] / normals[:, axis].abs()
        return RulesInBoxes(place, Points(coords, names, normals), areas).some(kept)

    chosen = (boxes[:, 1] > boxes[:, 0])[:, others].all(dim=1).nonzero()[:, 0]
    boxes = boxes[chosen]
    rules = met(chosen, boxes)
    around = rules.around(boxes, pad, others)
    shares = (around[:, 1] - around[:, 0]) / (boxes[:, 1] - boxes[:, 0])
    narrow = (shares[:, others] <= least).any(dim=1)
    again = met(chosen[narrow], around[narrow]).numbered(narrow.nonzero()[:, 0])
    return RulesInBoxes.joined([rules.some(~narrow[rules.box]), again]).numbered(chosen)
