"""Points of the boundary of a solid in its cells."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_points import CellPoints
from kanpinn.cells.geometry.cell_sides import SidePart
from kanpinn.cells.geometry.solid_geometry import SolidCutter, SolidGeometry
from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.geometry.boundary import Piece
from kanpinn.geometry.points import Batch, Points


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
        sides: dict[tuple[int, bool], list[int]] = {}
        sampled: list[tuple[int, Points, Tensor]] = []
        boxes = self.cutter.boxes(geometry.tree)
        for cell in (geometry.tree.region == self.cutter.region).nonzero()[:, 0].tolist():
            part, (low, high) = geometry.parts[cell], boxes[cell]
            if number not in part.sheets:
                continue
            points, weights = finder.bounding(number, low, high, self.polynomials.degree + more)
            side = None if part.is_cut else _whole_side(points, weights, high - low)
            if side is not None:
                sides.setdefault(side, []).append(cell)
            elif len(points):
                sampled.append((cell, points, weights))
        sampled += self._lost(number)
        for (axis, upper), cells in sides.items():
            rule = self.polynomials.on_face.rule(more - 1)
            side_part = SidePart.whole(axis, upper, 3)
            yield CellPoints.on_side(geometry, torch.tensor(cells), side_part, *rule)
        yield from self._padded(sampled)

    def _lost(self, number: int) -> Iterator[tuple[int, Points, Tensor]]:
        """Points of the boundary in boxes without a cell, as points of the nearest cells.

        The boxes are halved until they are as small as these cells.
        """
        geometry, few, region = self.geometry, 4, self.cutter.region
        (bottom, top), widths = geometry.domain.bounds, geometry.tree.widths * geometry.half
        boxes = list(geometry.lost[region])
        while boxes:
            low, high = boxes.pop()
            points, weights = self.cutter.finder.bounding(number, low, high, few)
            at = (points.coords - bottom) / (top - bottom) * 2 - 1
            cells = geometry.tree.locate(at, torch.full((len(at),), region))
            large = high - low > 1.5 * widths[cells]
            if bool(large.any()):
                axis = int(large.any(dim=0).long().argmax())
                middle = torch.arange(3) == axis
                halfway = (low + high) / 2
                boxes.append(torch.stack([low, torch.where(middle, halfway, high)]))
                boxes.append(torch.stack([torch.where(middle, halfway, low), high]))
                continue
            for cell in cells.unique().tolist():
                own = cells == cell
                yield cell, points[own], weights[own]

    def _padded(self, sampled: Sequence[tuple[int, Points, Tensor]]) -> Iterator[CellPoints]:
        """Batches of cells with similar numbers of points, filled up by points of weight 0."""
        together = 32
        order = sorted(sampled, key=lambda one: len(one[1]))
        for start in range(0, len(order), together):
            some = order[start : start + together]
            longest = len(some[-1][1])
            rows = [
                torch.arange(longest).where(torch.arange(longest) < len(p), 0) for _, p, _ in some
            ]
            points = Points.cat(p[row] for (_, p, _), row in zip(some, rows, strict=True))
            weights = torch.zeros(len(some), longest, dtype=torch.float64)
            for place, (_, own, weight) in enumerate(some):
                weights[place, : len(own)] = weight
            cells = torch.tensor([cell for cell, _, _ in some])
            yield CellPoints.of(self.geometry, cells, Batch.made_of(points), weights)


def _whole_side(points: Points, weights: Tensor, widths: Tensor) -> tuple[int, bool] | None:
    """The axis and the end of the side of a cell that the boundary covers; None if it does not.

    Args:
        points: n points in one side of a cell.
        weights: their weights, (n,).
        widths: of the cell, (3,).
    """
    if not len(points):
        return None
    assert points.normals is not None
    normal, rounding = points.normals[0], 1e-5
    axis = int(normal.abs().argmax())
    area = widths.prod() / widths[axis]
    if normal.abs().sum() > 1 + rounding or abs(float(weights.sum() / area) - 1) > rounding:
        return None
    return axis, bool(normal[axis] > 0)
