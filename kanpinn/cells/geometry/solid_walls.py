"""Points of the boundary of a solid in its cells."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.geometry.cell_sides import SidePart
from kanpinn.cells.geometry.solid_geometry import SolidCutter, SolidGeometry
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.points import Batch
from kanpinn.geometry.rules_in_boxes import RulesInBoxes


@dataclass(frozen=True, eq=False)
class SolidWalls:
    """Points of the boundary in the cells of a solid.

    Args:
        geometry: the cells.
        cutter: gives the smooth parts of the boundary of a region.
        polynomials: the functions of a cell.
    """

    geometry: SolidGeometry
    cutter: SolidCutter
    polynomials: LocalPolynomials

    def of(self, pieces: Sequence[Piece]) -> Iterator[CellPoints]:
        """The points on some pieces, separately for each smooth part of these.

        All cells with a whole side on the boundary have their points at the same places of it.
        """
        for number, (_, piece) in enumerate(self.cutter.solid.sheets):
            if piece in pieces:
                yield from self._of_sheet(number)

    def _of_sheet(self, number: int) -> Iterator[CellPoints]:
        geometry, finder = self.geometry, self.cutter.finder
        more = 4  # the number of points along each coordinate above the degree
        near = torch.tensor([number in part.sheets for part in geometry.parts], dtype=torch.bool)
        near &= geometry.tree.region == self.cutter.region
        cells, boxes = near.nonzero()[:, 0], self.cutter.boxes(geometry.tree)[near]
        rules = finder.bounding(number, boxes, self.polynomials.degree + more)
        is_side, axes, upper = _whole_sides(rules, boxes)
        is_side &= ~geometry.is_cut[cells]
        for axis, end in itertools.product(range(3), (False, True)):
            own = is_side & (axes == axis) & (upper == end)
            if bool(own.any()):
                rule = self.polynomials.on_face.rule(more - 1)
                yield CellPoints.on_side(geometry, cells[own], SidePart.whole(axis, end, 3), *rule)
        sampled = rules.some(~is_side[rules.box]).numbered(cells)
        together = 32
        every = RulesInBoxes.joined([sampled, *self._lost(number)])
        for some, points, weights in every.padded(together):
            yield CellPoints.of(geometry, some, Batch.made_of(points), weights)

    def _lost(self, number: int) -> Iterator[RulesInBoxes]:
        """Points of the boundary in boxes without a cell, as points of the nearest cells.

        The boxes are halved until they are as small as these cells.
        """
        geometry, few, region = self.geometry, 4, self.cutter.region
        (bottom, top), widths = geometry.domain.bounds, geometry.tree.widths * geometry.half
        boxes = geometry.lost[region]
        while len(boxes):
            rules = self.cutter.finder.bounding(number, boxes, few)
            at = (rules.points.coords - bottom) / (top - bottom) * 2 - 1
            cells = geometry.tree.locate(at, torch.full((len(at),), region))
            size = boxes[:, 1] - boxes[:, 0]
            wider = torch.zeros(len(boxes), 3, dtype=torch.long)
            wider.index_add_(0, rules.box, (size[rules.box] > 1.5 * widths[cells]).long())
            large = (wider > 0).any(dim=1)
            own = ~large[rules.box]
            yield RulesInBoxes.joined(
                [RulesInBoxes(cells[own], rules.points[own], rules.weights[own])]
            )
            boxes = _halves(boxes[large], (wider[large] > 0).long().argmax(dim=1))


def _whole_sides(rules: RulesInBoxes, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which cells have a side that the boundary covers, and the axis and the end of that side.

    Args:
        rules: on the boundary in each cell.
        boxes: the corners of the cells, (c, 2, 3).

    Returns:
        A mask (c,), the axes, (c,), and whether it is the upper end, (c,).
    """
    rounding, counts = 1e-5, rules.counts(len(boxes))
    first = (counts.cumsum(dim=0) - counts).clamp_max(max(0, len(rules.box) - 1))
    normals = rules.normals[first] if len(rules.box) else torch.zeros_like(boxes[:, 0])
    axes = normals.abs().argmax(dim=1)
    widths = boxes[:, 1] - boxes[:, 0]
    sizes = widths.prod(dim=1) / widths.gather(1, axes[:, None])[:, 0]
    areas = torch.zeros_like(sizes).index_add(0, rules.box, rules.weights)
    covered = (areas / sizes - 1).abs() <= rounding
    straight = normals.abs().sum(dim=1) <= 1 + rounding
    upper = normals.gather(1, axes[:, None])[:, 0] > 0
    return (counts > 0) & covered & straight, axes, upper


def _halves(boxes: Tensor, axes: Tensor) -> Tensor:
    """Both halves of boxes, (2 n, 2, 3).

    Args:
        boxes: their corners, (n, 2, 3).
        axes: the coordinate in which each one is halved, (n,).
    """
    halved = torch.nn.functional.one_hot(axes, 3).bool()
    middle, low, high = boxes.mean(dim=1), boxes[:, 0], boxes[:, 1]
    lower = torch.stack([low, torch.where(halved, middle, high)], dim=1)
    return torch.cat([lower, torch.stack([torch.where(halved, middle, low), high], dim=1)])
