"""The cells of a tree that a region of the plane cuts, and the parts of their faces inside it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from kanpinn.cells.faces import Faces
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.outline import Arcs, CellLines, Outline
from kanpinn.cells.tree import Tree
from kanpinn.geometry.domain import Domain


@dataclass(frozen=True, eq=False)
class CutGeometry(CellGeometry):
    """The cells of a tree that have a part of a domain in the plane.

    Args:
        arcs: the parts of the regions' boundaries in them; the curves of all regions are numbered
            one after the other.
        is_cut: the cells that are not whole, a mask (N,).
    """

    arcs: Arcs
    is_cut: Tensor

    @property
    def whole_cells(self) -> Tensor:
        return ~self.is_cut

    @classmethod
    def joined(cls, parts: Sequence["CutGeometry"], curves: Sequence[int]) -> "CutGeometry":
        """The cells of all regions of a domain.

        Args:
            parts: the cells of each region.
            curves: the numbers of curves of each region.
        """
        cells = list(accumulate((len(one.tree) for one in parts), initial=0))
        numbers = list(accumulate(curves, initial=0))
        arcs = [
            replace(one.arcs, cell=one.arcs.cell + cell, curve=one.arcs.curve + number)
            for one, cell, number in zip(parts, cells[:-1], numbers[:-1], strict=True)
        ]
        return cls(
            Tree.joined([one.tree for one in parts]),
            parts[0].domain,
            torch.cat([one.frames for one in parts]),
            Faces.joined([one.faces for one in parts], [len(one.tree) for one in parts]),
            Arcs(**_concatenated(arcs)),
            torch.cat([one.is_cut for one in parts]),
        )


@dataclass(frozen=True, eq=False)
class CellCutter:
    """Cuts the cells of trees by the boundary of a region.

    Args:
        outline: the boundary.
        domain: the domain, all of it; its bounding box is that of the trees.
        region: the number of the region.
        sliver: what is thinner than this part of a cell's width counts as nothing.
    """

    outline: Outline
    domain: Domain
    region: int = 0
    sliver: float = 1e-6

    def grid(self, tree: Tree) -> CellLines:
        """The lines of the cells of a tree, all of which are of the region."""
        low, high = self.domain.bounds
        return CellLines(tree, low, (high - low) / 2, self.region)

    def cut(self, tree: Tree) -> CutGeometry:
        """The cells of the region, without those outside of it."""
        tree = tree.only(tree.region == self.region)
        grid, domain = self.grid(tree), self.outline.domain
        arcs, meets = self.outline.arcs(grid, self.sliver)
        boxes = grid.low + (tree.boxes + 1) * grid.half  # (N, 2, 2)
        inside = domain.encloses(boxes.mean(dim=1))
        cut = self._cut(arcs, boxes)
        frames = boxes.clone()
        frames[cut] = self._frames(arcs, boxes, cut)
        widths = boxes[:, 1] - boxes[:, 0]
        thin = ((frames[:, 1] - frames[:, 0]) < self.sliver * widths).any(dim=1)
        kept = torch.where(cut, ~thin, inside)
        tree = tree.only(kept)
        number = torch.where(kept, kept.cumsum(0) - 1, -1)
        arcs = _renumbered(arcs, number)
        near = torch.zeros(len(tree), dtype=torch.bool)
        near[arcs.cell] = True
        faces = self._faces(self.grid(tree), near, meets)
        frames = (frames[kept] - grid.low) / grid.half - 1
        frames = torch.where(cut[kept][:, None, None], frames, tree.boxes)
        return CutGeometry(tree, self.domain, frames, faces, arcs, cut[kept])

    def _cut(self, arcs: Arcs, boxes: Tensor) -> Tensor:
        """The cells that the boundary cuts other than along their sides, a mask (N,)."""
        low, high = boxes[arcs.cell].unbind(1)
        near = self.sliver * (high - low)
        first, last = arcs.ends.unbind(1)
        at_low = ((first - low).abs() <= near) & ((last - low).abs() <= near)
        at_high = ((first - high).abs() <= near) & ((last - high).abs() <= near)
        straight = arcs.turns < self.sliver
        along = (at_low | at_high).any(dim=1) & straight
        cut = torch.zeros(len(boxes), dtype=torch.bool)
        cut[arcs.cell[~along]] = True
        return cut

    def _frames(self, arcs: Arcs, boxes: Tensor, cut: Tensor) -> Tensor:
        """The bounding boxes of the parts of cut cells inside the domain, (c, 2, 2)."""
        cells = cut.nonzero()[:, 0]
        picked = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
        corners = torch.stack([boxes[cells][:, picked[:, axis], axis] for axis in (0, 1)], dim=2)
        # A corner on the boundary may belong to other cells only, so step into the cell.
        middle = boxes[cells].mean(dim=1, keepdim=True)
        moved = corners + 2 * self.sliver * (middle - corners)
        inside = self.outline.domain.encloses(moved.flatten(0, 1)).view(len(cells), 4, 1)
        low = torch.where(inside, corners, torch.inf).amin(dim=1)
        high = torch.where(inside, corners, -torch.inf).amax(dim=1)
        place = torch.full((len(boxes),), -1)
        place[cells] = torch.arange(len(cells))
        here = place[arcs.cell] >= 0
        own = place[arcs.cell[here], None].expand(-1, 2)
        low = low.scatter_reduce(0, own, arcs.ends[here].amin(dim=1), "amin")
        high = high.scatter_reduce(0, own, arcs.ends[here].amax(dim=1), "amax")
        frames = torch.stack([low, high], dim=1)
        return frames.clamp(boxes[cells, :1], boxes[cells, 1:])

    def _faces(self, grid: CellLines, near: Tensor, meets: list[Tensor]) -> Faces:
        """The parts of faces inside the domain.

        Args:
            grid: the cells.
            near: which cells the boundary meets, a mask (N,).
            meets: for x and y the points in which the boundary meets lines of cells, (n, 2) each.
        """
        faces = grid.tree.faces
        corners = grid.low + (faces.corners + 1) * grid.half
        plain = ~(near[faces.lower] | near[faces.upper])
        numbers, parts = [plain.nonzero()[:, 0]], [corners[plain]]
        for axis in (0, 1):
            own = (~plain & (faces.axis == axis)).nonzero()[:, 0]
            found, low, high = _divided(corners[own], meets[axis], axis)
            part = corners[own][found]
            part[:, 0, 1 - axis], part[:, 1, 1 - axis] = low, high
            numbers.append(own[found])
            parts.append(part)
        chosen, corners = torch.cat(numbers), torch.cat(parts)
        across, lower, upper = faces.axis[chosen], faces.lower[chosen], faces.upper[chosen]
        # A part is inside if points beside it in both cells are: on the boundary one is outside.
        widths = torch.minimum(grid.tree.widths[lower], grid.tree.widths[upper]) * grid.half
        step = torch.zeros_like(widths).scatter(1, across[:, None], self.sliver) * widths
        middle = corners.mean(dim=1)
        inside = torch.arange(len(middle)) < int(plain.sum())
        rest = ~inside
        encloses = self.outline.domain.encloses
        inside[rest] = encloses(middle[rest] - step[rest]) & encloses(middle[rest] + step[rest])
        corners = (corners[inside] - grid.low) / grid.half - 1
        return Faces(across[inside], lower[inside], upper[inside], corners)


def _renumbered(arcs: Arcs, number: Tensor) -> Arcs:
    """The arcs of the cells that have a number."""
    cell = number[arcs.cell]
    kept = cell >= 0
    rows = {one.name: getattr(arcs, one.name)[kept] for one in fields(arcs)}
    return Arcs(**rows | {"cell": cell[kept]})


def _concatenated(parts: Sequence[Any]) -> dict[str, Tensor]:
    """The tensors of records of the same kind, those of the first record first."""
    return {
        one.name: torch.cat([getattr(part, one.name) for part in parts]) for one in fields(parts[0])
    }


def _divided(corners: Tensor, points: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """Divide faces of constant x or y at points.

    Args:
        corners: the lower and upper corner of each face, (F, 2, 2).
        points: the points, some of which are on faces, (n, 2).
        axis: 0 for faces of constant x, 1 for those of constant y.

    Returns:
        For each part the number of its face, and its ends in the other coordinate, (p,) each.
    """
    near, rounding = 1e-9, 1e-15  # of the length of a face, and of the coordinates
    at, low, high = corners[:, 0, axis], corners[:, 0, 1 - axis], corners[:, 1, 1 - axis]
    gap = torch.maximum(near * (high - low), rounding * corners.abs().amax(dim=(1, 2)))
    order = points[:, axis].argsort()
    points = points[order]
    first = torch.searchsorted(points[:, axis].contiguous(), at - gap).tolist()
    last = torch.searchsorted(points[:, axis].contiguous(), at + gap).tolist()
    number, lows, highs = [], [], []
    for face, (i, j) in enumerate(zip(first, last, strict=True)):
        along = points[i:j, 1 - axis]
        inner = along[(along > low[face] + gap[face]) & (along < high[face] - gap[face])]
        ends = torch.cat([low[face : face + 1], inner.sort().values, high[face : face + 1]])
        wide = ends.diff() > gap[face]
        lows.append(ends[:-1][wide])
        highs.append(ends[1:][wide])
        number.append(torch.full((int(wide.sum()),), face))
    if not number:
        return torch.zeros(0, dtype=torch.long), at, at
    return torch.cat(number), torch.cat(lows), torch.cat(highs)
