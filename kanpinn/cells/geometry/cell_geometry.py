"""The cells of a tree in physical space, their sides, and points of quadrature rules in them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from kanpinn.cells.polynomials import LocalPolynomials
from kanpinn.cells.tree import Faces, Tree
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Batch, Points
from kanpinn.jets import Channels


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

    @cached_property
    def sides(self) -> list[list[tuple["Side", int]]]:
        """For each cell the parts of its sides that are faces, and their numbers."""
        faces = self.faces
        found: list[list[tuple[Side, int]]] = [[] for _ in range(len(self.tree))]
        for cells, upper in ((faces.lower, True), (faces.upper, False)):
            low, high = self.frames[cells, :1], self.frames[cells, 1:]
            corners = ((faces.corners - low) / (high - low) * 2 - 1).tolist()
            for number, (cell, axis) in enumerate(
                zip(cells.tolist(), faces.axis.tolist(), strict=True)
            ):
                ends = [tuple(one[:axis] + one[axis + 1 :]) for one in corners[number]]
                found[cell].append((self._side(cell, number, SidePart(axis, upper, *ends)), number))
        return found

    def _side(self, cell: int, face: int, whole: "SidePart") -> "Side":
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


class Side(ABC):
    """A part of a cell's side that is a face of the cell.

    axis: the coordinate that is constant. upper: whether it is at its upper end.
    """

    axis: int
    upper: bool

    @abstractmethod
    def traces(self, polynomials: LocalPolynomials, orders: int) -> list[Tensor]:
        """The derivatives across of a cell's functions, of the orders 0 to `orders` - 1.

        They are given by orthonormal functions on the face, (L, face functions) for each order:
        the first ones of these span the polynomials of lower degrees. The derivatives are those by
        the cell's own coordinate.
        """


@dataclass(frozen=True)
class SidePart(Side):
    """A rectangular part of a cell's side, in the cell's own coordinates.

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
    def whole(cls, axis: int, upper: bool, dim: int) -> "SidePart":
        """A whole side of a cell of d coordinates."""
        return cls(axis, upper, (-1.0,) * (dim - 1), (1.0,) * (dim - 1))

    def points(self, nodes: Tensor) -> Tensor:
        """The points on this part, (q, d); nodes: of a rule on [-1, 1]^(d-1), (q, d - 1)."""
        low, high = nodes.new_tensor(self.low), nodes.new_tensor(self.high)
        along = low + (nodes + 1) / 2 * (high - low)
        at = nodes.new_full((len(nodes), 1), 1.0 if self.upper else -1.0)
        return torch.cat([along[:, : self.axis], at, along[:, self.axis :]], dim=1)

    def traces(self, polynomials: LocalPolynomials, orders: int) -> list[Tensor]:
        return _traces(polynomials, self, orders)

    def area(self, widths: Tensor) -> Tensor:
        """The area of the part over that of [-1, 1]^(d-1), (c,); widths: of the frames, (c, d)."""
        others = torch.cat([widths[:, : self.axis], widths[:, self.axis + 1 :]], dim=1)
        parts = (others.new_tensor(self.high) - others.new_tensor(self.low)) / 2
        return (others * parts / 2).prod(dim=1)


@lru_cache(maxsize=10_000)
def _traces(polynomials: LocalPolynomials, side: SidePart, orders: int) -> list[Tensor]:
    face = polynomials.on_face
    nodes, weights = face.rule()
    onto = face.values(nodes) * weights[:, None]
    return derivatives_across(polynomials, side, side.points(nodes), orders, onto)


def derivatives_across(
    polynomials: LocalPolynomials, side: Side, local: Tensor, orders: int, onto: Tensor
) -> list[Tensor]:
    """The derivatives of a cell's functions across a side, by functions on the face.

    Args:
        polynomials: the functions of the cell.
        side: the side.
        local: points on it in the cell's own coordinates, (q, d).
        orders: the number of orders, from 0.
        onto: the functions on the face at the points, times weights, (q, face functions).

    Returns:
        (L, face functions) for each order.
    """
    direction = tuple(float(i == side.axis) for i in range(polynomials.dim))
    names = tuple(f"x{i}" for i in range(polynomials.dim))
    channels = Channels(names, directions=(direction,), order=max(1, orders - 1))
    jets = polynomials.stacked(channels, local, torch.ones_like(local[0]))
    return [jets[:, j].T @ onto for j in range(orders)]


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
