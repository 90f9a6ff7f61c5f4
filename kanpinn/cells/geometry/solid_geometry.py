"""The cells of a tree that contain a part of a solid, and the parts of their faces in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.faces import Faces
from kanpinn.cells.gaps import gaps
from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_sides import CellSide, SidePart
from kanpinn.cells.geometry.sampled_side import SampledFaces, SampledSide
from kanpinn.cells.geometry.solid_parts import CellPart, PartFinder, narrowed
from kanpinn.cells.tree import Tree
from kanpinn.geometry.solid.divide3d import SolidPart


@dataclass(frozen=True, eq=False)
class SolidGeometry(CellGeometry):
    """The cells of a tree that contain a part of a solid.

    Args:
        parts: the part of the solid in each cell.
        sampled: the faces of which only a part is in the solid, a mask (F,).
        step: the distance from a face at which points on both sides of it are tested, divided by
            the width of the smaller cell.
        solids: the parts into which interfaces divide the solid, one for each region.
        lost: boxes without a cell of a region in which a part of it is bounded that was too small
            for a cell: their corners in physical space, (n, 2, 3) for each region.
    """

    parts: Sequence[CellPart]
    sampled: Tensor
    step: float
    solids: Sequence[SolidPart]
    lost: Sequence[Tensor]

    @classmethod
    def joined(cls, parts: Sequence["SolidGeometry"]) -> "SolidGeometry":
        """The cells of all regions; parts: those of each region."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            Tree.joined([one.tree for one in parts]),
            parts[0].domain,
            torch.cat([one.frames for one in parts]),
            Faces.joined([one.faces for one in parts], [len(one.tree) for one in parts]),
            [part for one in parts for part in one.parts],
            torch.cat([one.sampled for one in parts]),
            parts[0].step,
            [solid for one in parts for solid in one.solids],
            [lost for one in parts for lost in one.lost],
        )

    @cached_property
    def is_cut(self) -> Tensor:
        """The cells that the boundary cuts, a mask (N,)."""
        return torch.tensor([part.is_cut for part in self.parts], dtype=torch.bool)

    @property
    def whole_cells(self) -> Tensor:
        return ~self.is_cut

    @cached_property
    def _rows(self) -> Tensor:
        """The number of each face among the sampled ones, -1 for the others, (F,)."""
        return torch.where(self.sampled, self.sampled.long().cumsum(dim=0) - 1, -1)

    @cached_property
    def _faces(self) -> SampledFaces:
        numbers = self.sampled.nonzero()[:, 0]
        return SampledFaces(numbers, self, self.solids, self.step * self.lengths[numbers])

    def _side(self, cell: int, face: int, whole: SidePart) -> CellSide:
        row = int(self._rows[face])
        return whole if row < 0 else SampledSide(whole.axis, whole.upper, row, self._faces)


@dataclass(frozen=True, eq=False)
class SolidCutter:
    """Cuts the cells of trees by the boundary of a solid, or of a part of it between interfaces.

    Args:
        solid: the part.
        region: its number.
        known: the parts of cells that have been found, by level and place; None for boxes without
            a part.
        bounded: whether sheets bound the region in boxes without a cell, by level and place.
    """

    solid: SolidPart
    region: int = 0
    known: dict[tuple[int, ...], CellPart | None] = field(default_factory=dict)
    bounded: dict[tuple[int, ...], bool] = field(default_factory=dict)

    @cached_property
    def finder(self) -> PartFinder:
        """Finds the parts of single cells."""
        return PartFinder(self.solid)

    def boxes(self, tree: Tree) -> Tensor:
        """The corners of the cells in physical space, (N, 2, 3)."""
        low, high = self.solid.domain.bounds
        return low + (tree.boxes + 1) / 2 * (high - low)

    def parts(self, tree: Tree) -> list[CellPart | None]:
        """The part of the solid in each cell; None if there is none."""
        keys, boxes = _keys(tree), self.boxes(tree)
        rows = [row for row, key in enumerate(keys) if key not in self.known]
        new = self.finder.parts(boxes[rows])
        self.known.update(zip((keys[row] for row in rows), new, strict=True))
        return [self.known[key] for key in keys]

    def cut(self, tree: Tree) -> SolidGeometry:
        """The cells of the region that contain a part of the solid."""
        tree = tree.only(tree.region == self.region)
        found = self.parts(tree)
        kept = torch.tensor([part is not None for part in found], dtype=torch.bool)
        tree, parts = tree.only(kept), [part for part in found if part is not None]
        low, high = self.solid.domain.bounds
        frames = (torch.stack([part.frame for part in parts]) - low) / (high - low) * 2 - 1
        is_cut = torch.tensor([part.is_cut for part in parts], dtype=torch.bool)
        frames = torch.where(is_cut[:, None, None], frames, tree.boxes)
        faces, sampled = self._divided(tree, frames, is_cut)
        return SolidGeometry(
            tree,
            self.solid.domain,
            frames,
            faces,
            parts,
            sampled,
            self.finder.sliver,
            [self.solid],
            [self._lost(tree)],
        )

    def _lost(self, tree: Tree) -> Tensor:
        """The boxes without a cell in which sheets bound the region, (n, 2, 3).

        tree: the cells of the region.
        """
        level, place = gaps(tree)
        without = Tree(tree.roots, level, place, torch.zeros(len(level), dtype=torch.long))
        boxes, keys = self.boxes(without), _keys(without)
        rows = [row for row, key in enumerate(keys) if key not in self.bounded]
        new = self.finder.are_bounded(boxes[rows]).tolist()
        self.bounded.update(zip((keys[row] for row in rows), new, strict=True))
        return boxes[torch.tensor([self.bounded[key] for key in keys], dtype=torch.bool)]

    def _divided(self, tree: Tree, frames: Tensor, is_cut: Tensor) -> tuple[Faces, Tensor]:
        """The faces in the solid, and which of them are not whole rectangles, a mask (F,).

        Args:
            tree: the cells.
            frames: the corners of their frames in the tree's coordinates, (N, 2, 3).
            is_cut: the cells that the boundary cuts, a mask (N,).
        """
        faces, (bottom, top) = tree.faces, self.solid.domain.bounds
        half = (top - bottom) / 2
        near = is_cut[faces.lower] | is_cut[faces.upper]
        numbers = near.nonzero()[:, 0]
        axis, lower, upper = faces.axis[numbers], faces.lower[numbers], faces.upper[numbers]
        rows = torch.arange(len(numbers))
        at = faces.corners[numbers, 0, axis]
        low = torch.stack([frames[lower, 0], frames[upper, 0], faces.corners[numbers, 0]]).amax(0)
        high = torch.stack([frames[lower, 1], frames[upper, 1], faces.corners[numbers, 1]]).amin(0)
        near_side = 1e-9
        reached = (frames[lower, 1, axis] >= at - near_side) & (
            frames[upper, 0, axis] <= at + near_side
        )
        low[rows, axis] = high[rows, axis] = at
        reached &= ((high - low) > 0).sum(dim=1) == 2
        numbers, axis, low, high = numbers[reached], axis[reached], low[reached], high[reached]
        width = torch.minimum(tree.widths[lower], tree.widths[upper])[reached]
        across = torch.zeros_like(width).scatter(1, axis[:, None], 1.0)
        step = self.finder.sliver * (across * width * half)
        low, high = bottom + (low + 1) * half, bottom + (high + 1) * half
        low, high, share = narrowed(self.solid, low, high, step, self.finder.nodes)
        kept = share > 0
        corners = (torch.stack([low, high], dim=1) - bottom) / half - 1
        plain = (~near).nonzero()[:, 0]
        chosen = torch.cat([plain, numbers[kept]])
        every = torch.cat([faces.corners[plain], corners[kept]])
        sampled = torch.cat([torch.zeros(len(plain), dtype=torch.bool), share[kept] < 1])
        return Faces(faces.axis[chosen], faces.lower[chosen], faces.upper[chosen], every), sampled


def _keys(tree: Tree) -> list[tuple[int, ...]]:
    """The levels and the place of each cell."""
    return [tuple(key) for key in torch.cat([tree.level, tree.place], dim=1).tolist()]
