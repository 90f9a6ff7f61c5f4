"""The cells of a tree in physical space, with the faces on their sides."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.faces import Faces
from kanpinn.cells.geometry.cell_sides import CellSide, SidePart
from kanpinn.cells.geometry.face_traces import Ends, FaceTraces, SideTrace
from kanpinn.cells.tree import Tree
from kanpinn.geometry.domain import Domain


@dataclass(frozen=True, eq=False)
class CellGeometry:
    """The cells of a tree in physical space.

    Args:
        tree: the cells.
        domain: the domain, whose bounding box contains the tree.
        frames: the lower and upper corners of each cell's frame in the tree's coordinates,
            (N, 2, d). The cell's own coordinates map the frame to [-1, 1]^d. It is the cell itself,
            or the bounding box of the part of the cell that is in the domain.
        faces: the faces between cells, as far as they are in the domain.
    """

    tree: Tree
    domain: Domain
    frames: Tensor
    faces: Faces

    @classmethod
    def whole(cls, tree: Tree, domain: Domain) -> "CellGeometry":
        """The cells of a tree that fills a box."""
        return cls(tree, domain, tree.boxes, tree.faces)

    @cached_property
    def half(self) -> Tensor:
        """Half the widths of the bounding box, (d,)."""
        low, high = self.domain.bounds
        return (high - low) / 2

    @cached_property
    def widths(self) -> Tensor:
        """The widths of the cells, (N, d)."""
        return self.tree.widths * self.half

    @cached_property
    def extents(self) -> Tensor:
        """The widths of the frames, (N, d)."""
        return (self.frames[:, 1] - self.frames[:, 0]) * self.half

    @cached_property
    def scale(self) -> Tensor:
        """The derivatives of a cell's own coordinates in [-1, 1] by the physical ones, (N, d)."""
        return 2 / self.extents

    @property
    def whole_cells(self) -> Tensor:
        """The cells that no boundary cuts, a mask (N,)."""
        return torch.ones(len(self.tree), dtype=torch.bool)

    @cached_property
    def traces(self) -> FaceTraces:
        """The traces on the faces."""
        return FaceTraces.of(self.tree, self.faces, self.whole_cells)

    @cached_property
    def sides(self) -> list[list[SideTrace]]:
        """For each cell the parts of its sides at which there is a trace."""
        faces, traces = self.faces, self.traces
        found: list[list[SideTrace]] = [[] for _ in range(len(self.tree))]
        areas, widths, numbers = (t.tolist() for t in (self.areas, self.lengths, traces.number))
        larger = traces.larger_cell.tolist()
        around = self._ends(traces.larger_cell.clamp_min(0))
        across = self.widths[traces.larger_cell].gather(1, faces.axis[:, None])[:, 0]
        units = torch.where(traces.larger_cell < 0, self.lengths, across).tolist()
        for cells, upper in ((faces.lower, True), (faces.upper, False)):
            ends = self._ends(cells)
            for face, (cell, axis) in enumerate(
                zip(cells.tolist(), faces.axis.tolist(), strict=True)
            ):
                if cell != larger[face]:
                    side = self._side(cell, face, SidePart(axis, upper, *ends[face]))
                    within = None if larger[face] < 0 else around[face]
                    sizes = areas[face], within, widths[face], units[face]
                    found[cell].append(SideTrace(side, numbers[face], face, *sizes))
        for number, (cell, axis, upper, face) in enumerate(traces.shared, traces.single):
            side = SidePart.whole(axis, upper, self.tree.dim)
            area = float(side.area(self.extents[cell][None]))
            within = side.low, side.high
            sizes = area, within, widths[face], units[face]
            found[cell].append(SideTrace(side, number, face, *sizes))
        return found

    def _ends(self, cells: Tensor) -> list[Ends]:
        """The corners of each face in the own coordinates of a cell, but for the one across it.

        cells: one for each face, (F,).
        """
        low, high = self.frames[cells, :1], self.frames[cells, 1:]
        corners = ((self.faces.corners - low) / (high - low) * 2 - 1).tolist()
        axes = self.faces.axis.tolist()
        return [
            (tuple(low[:axis] + low[axis + 1 :]), tuple(high[:axis] + high[axis + 1 :]))
            for axis, (low, high) in zip(axes, corners, strict=True)
        ]

    def _side(self, cell: int, face: int, whole: SidePart) -> CellSide:
        """The part of a cell's side that is a face; whole: a rectangle around it."""
        return whole

    @cached_property
    def lengths(self) -> Tensor:
        """The width across each face of the smaller of its cells, (F,)."""
        widths, faces = self.widths, self.faces
        axis = faces.axis[:, None]
        both = [widths[cells].gather(1, axis)[:, 0] for cells in (faces.lower, faces.upper)]
        return torch.minimum(*both)

    @cached_property
    def areas(self) -> Tensor:
        """The area of each face over that of [-1, 1]^(d-1), (F,)."""
        low, high = self.faces.corners.unbind(1)
        parts = (high - low) * self.half / 2
        return parts.scatter(1, self.faces.axis[:, None], 1.0).prod(dim=1)

    def across(self, cells: Tensor, normals: Tensor) -> Tensor:
        """The widths of cells along unit normals, (c,); normals: (c, d)."""
        return 1 / (normals / self.widths[cells]).norm(dim=1)

    def coords(self, cells: Tensor, local: Tensor) -> Tensor:
        """The physical coordinates of points of each of c cells, (c, q, d).

        local: the points in each cell's own coordinates, (q, d) for all cells or (c, q, d).
        """
        corner = self.physical(self.frames[cells, 0])
        return corner[:, None] + (local + 1) / 2 * self.extents[cells][:, None]

    def physical(self, coords: Tensor) -> Tensor:
        """The physical coordinates of points in the coordinates of the tree, (..., d)."""
        low, _ = self.domain.bounds
        return low + (coords + 1) * self.half

    def local(self, cells: Tensor, coords: Tensor) -> Tensor:
        """The own coordinates of physical points of each of c cells, both (c, q, d)."""
        corner = self.physical(self.frames[cells, 0])
        return (coords - corner[:, None]) * self.scale[cells][:, None] - 1
