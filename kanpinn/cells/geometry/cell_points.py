"""Points of quadrature rules in some cells, or on their sides."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.cell_sides import SidePart
from kanpinn.geometry.points import Batch, Points


@dataclass(frozen=True, eq=False)
class CellPoints:
    """Points of some cells.

    Args:
        cells: the numbers of the cells, (c,).
        local: the points in each cell's own coordinates, (q, d) if they are in the same places of
            each cell, otherwise (c, q, d).
        weights: of a quadrature rule, (c, q); 0 for points that only fill up.
        points: the points in physical space, those of the first cell first, (c q,).
        scale: the derivatives of each cell's own coordinates by the physical ones, (c, d).
    """

    cells: Tensor
    local: Tensor
    weights: Tensor
    points: Batch
    scale: Tensor

    @property
    def alike(self) -> bool:
        """Whether the points are in the same places of each cell."""
        return self.local.ndim == 2

    def at(self, place: int) -> Tensor:
        """The points of cell number `place` here in its own coordinates, (q, d)."""
        return self.local if self.alike else self.local[place]

    def some(self, places: Tensor) -> "CellPoints":
        """The points of some of the cells; places: the numbers of these cells here, (k,)."""
        count = self.weights.shape[1]
        rows = (places[:, None] * count + torch.arange(count)).flatten()
        local = self.local if self.alike else self.local[places]
        points = Batch.made_of(self.points[rows])
        return CellPoints(
            self.cells[places], local, self.weights[places], points, self.scale[places]
        )

    @classmethod
    def of(
        cls, geometry: CellGeometry, cells: Tensor, points: Points, weights: Tensor
    ) -> "CellPoints":
        """Points in physical space as those of some cells; weights: (c, q)."""
        coords = points.coords.unflatten(0, weights.shape)
        local, scale = geometry.local(cells, coords), geometry.scale[cells]
        return cls(cells, local, weights, Batch.made_of(points), scale)

    @classmethod
    def inside(
        cls, geometry: CellGeometry, cells: Tensor, local: Tensor, weights: Tensor
    ) -> "CellPoints":
        """Points of a rule on [-1, 1]^d, moved into some cells."""
        coords = geometry.coords(cells, local).flatten(0, 1)
        areas = (geometry.extents[cells] / 2).prod(dim=1)
        points = Batch(coords, geometry.domain.names)
        return cls(cells, local, areas[:, None] * weights, points, geometry.scale[cells])

    @classmethod
    def on_side(
        cls, geometry: CellGeometry, cells: Tensor, side: SidePart, nodes: Tensor, weights: Tensor
    ) -> "CellPoints":
        """Points of a rule on [-1, 1]^(d-1), moved to a side of some cells, with normals."""
        local = side.points(nodes)
        coords = geometry.coords(cells, local).flatten(0, 1)
        normals = torch.zeros_like(coords)
        normals[:, side.axis] = 1.0 if side.upper else -1.0
        areas = side.area(geometry.extents[cells])
        points = Batch(coords, geometry.domain.names, normals)
        return cls(cells, local, areas[:, None] * weights, points, geometry.scale[cells])
