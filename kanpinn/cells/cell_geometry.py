"""The cells of a tree in physical space, their sides, and points of quadrature rules in them."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.tree import Tree
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Batch


@dataclass(frozen=True, eq=False)
class CellGeometry:
    """The cells of a tree in physical space.

    Args:
        tree: the cells.
        domain: the domain, whose bounding box the tree fills.
    """

    tree: Tree
    domain: Domain

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
    def scale(self) -> Tensor:
        """The derivatives of a cell's own coordinates in [-1, 1] by the physical ones, (N, d)."""
        return 2 / self.widths

    def across(self, cells: Tensor, normals: Tensor) -> Tensor:
        """The widths of cells along unit normals, (c,); normals: (c, d)."""
        return 1 / (normals / self.widths[cells]).norm(dim=1)

    def coords(self, cells: Tensor, local: Tensor) -> Tensor:
        """The physical coordinates of points (q, d) of each of c cells, (c, q, d)."""
        low, _ = self.domain.bounds
        corner = low + (self.tree.low[cells] + 1) * self.half
        return corner[:, None] + (local + 1) / 2 * self.widths[cells][:, None]


@dataclass(frozen=True)
class Side:
    """A part of a cell's side, in the cell's own coordinates.

    Args:
        axis: the coordinate that is constant.
        upper: whether it is 1 there, otherwise -1.
        low, high: the corners of the part in the other coordinates.
    """

    axis: int
    upper: bool
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def whole(cls, axis: int, upper: bool, dim: int) -> "Side":
        """A whole side of a cell of d coordinates."""
        return cls(axis, upper, (-1.0,) * (dim - 1), (1.0,) * (dim - 1))

    def points(self, nodes: Tensor) -> Tensor:
        """The points of the cell, (q, d), for those of the part in [-1, 1]^(d-1), (q, d - 1)."""
        low, high = nodes.new_tensor(self.low), nodes.new_tensor(self.high)
        along = low + (nodes + 1) / 2 * (high - low)
        at = nodes.new_full((len(nodes), 1), 1.0 if self.upper else -1.0)
        return torch.cat([along[:, : self.axis], at, along[:, self.axis :]], dim=1)

    def area(self, widths: Tensor) -> Tensor:
        """The factor from areas on [-1, 1]^(d-1) to those of the part, for widths (c, d), (c,)."""
        others = torch.cat([widths[:, : self.axis], widths[:, self.axis + 1 :]], dim=1)
        parts = (others.new_tensor(self.high) - others.new_tensor(self.low)) / 2
        return (others * parts / 2).prod(dim=1)


@dataclass(frozen=True, eq=False)
class CellPoints:
    """Points of some cells, in the same places of each.

    Args:
        cells: the numbers of the cells, (c,).
        local: the points in each cell's own coordinates, (q, d).
        weights: of a quadrature rule, (c, q).
        points: the points in physical space, those of the first cell first, (c q,).
        scale: the derivatives of each cell's own coordinates by the physical ones, (c, d).
    """

    cells: Tensor
    local: Tensor
    weights: Tensor
    points: Batch
    scale: Tensor

    @classmethod
    def inside(
        cls, geometry: CellGeometry, cells: Tensor, local: Tensor, weights: Tensor
    ) -> "CellPoints":
        """Points of a rule on [-1, 1]^d, moved into some cells."""
        coords = geometry.coords(cells, local).flatten(0, 1)
        areas = (geometry.widths[cells] / 2).prod(dim=1)
        points = Batch(coords, geometry.domain.names)
        return cls(cells, local, areas[:, None] * weights, points, geometry.scale[cells])

    @classmethod
    def on_side(
        cls, geometry: CellGeometry, cells: Tensor, side: Side, nodes: Tensor, weights: Tensor
    ) -> "CellPoints":
        """Points of a rule on [-1, 1]^(d-1), moved to a side of some cells, with normals."""
        local = side.points(nodes)
        coords = geometry.coords(cells, local).flatten(0, 1)
        normals = torch.zeros_like(coords)
        normals[:, side.axis] = 1.0 if side.upper else -1.0
        areas = side.area(geometry.widths[cells])
        points = Batch(coords, geometry.domain.names, normals)
        return cls(cells, local, areas[:, None] * weights, points, geometry.scale[cells])
