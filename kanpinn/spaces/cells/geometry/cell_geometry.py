"""The cells of a tree in physical space: their sides, faces and quadrature points.

A cell is a box of the tree, or its part in the domain. On each face between two cells there is a
trace: an unknown polynomial from which the fields of both cells differ little in the least-squares
solution. Each cell has own coordinates, in which its frame is [-1, 1]^d; the frame is the cell's
box, or the bounding box of the cell's part in the domain.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from kanpinn.geometry.domain import Domain, Piece
from kanpinn.geometry.points import Batch, Points
from kanpinn.geometry.rules import gauss_product
from kanpinn.spaces.cells.polynomials import LocalPolynomials, legendre_at
from kanpinn.spaces.cells.tree import Faces, Tree


def physical(domain: Domain, coords: Tensor) -> Tensor:
    """Map tree coordinates to physical coordinates, (..., d).

    In tree coordinates the domain's bounding box is [-1, 1]^d.
    """
    low, high = domain.bounds
    return low + (coords + 1) * ((high - low) / 2)


def in_trees(domain: Domain, coords: Tensor) -> Tensor:
    """Map physical coordinates to tree coordinates, (..., d): the inverse of `physical`."""
    low, high = domain.bounds
    return (coords - low) / ((high - low) / 2) - 1


class CellSide(ABC):
    """A face of a cell: a cell's side, or the part of it where the cell meets one neighbour.

    Attributes:
        axis: the coordinate that is constant on the side.
        upper: whether the side is at the upper end of this coordinate.
    """

    axis: int
    upper: bool

    @abstractmethod
    def traces(self, polynomials: LocalPolynomials, orders: int) -> list[Tensor]:
        """The normal derivatives of a cell's L polynomials, as sums of functions on the face.

        The derivatives have the orders 0 to `orders` - 1, by the cell's own coordinate.

        Args:
            polynomials: the polynomials of the cell.
            orders: the number of orders.

        Returns:
            For each order a matrix (L, face functions). A row has the coefficients of the
            derivative of one polynomial in orthonormal functions on the face. The functions on the
            face are sorted by degree: the first functions span the polynomials of lower degrees.
        """


@dataclass(frozen=True)
class SidePart(CellSide):
    """A rectangular part of a cell's side, in the cell's own coordinates.

    In its own coordinates a cell is [-1, 1]^d.

    Args:
        axis: the coordinate that is constant on the side.
        upper: whether this coordinate is 1 on the side, otherwise it is -1.
        low, high: the corners of the part in the other d - 1 coordinates.
    """

    axis: int
    upper: bool
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def whole(cls, axis: int, upper: bool, dim: int) -> "SidePart":
        """A whole side of a cell.

        Args:
            axis: the coordinate that is constant on the side.
            upper: whether the side is at the upper end of this coordinate.
            dim: the number of coordinates d.
        """
        return cls(axis, upper, (-1.0,) * (dim - 1), (1.0,) * (dim - 1))

    def points(self, nodes: Tensor) -> Tensor:
        """Map the nodes of a rule on [-1, 1]^(d-1), (q, d - 1), to points of this part, (q, d)."""
        low, high = nodes.new_tensor(self.low), nodes.new_tensor(self.high)
        along = low + (nodes + 1) / 2 * (high - low)
        at = nodes.new_full((len(nodes), 1), 1.0 if self.upper else -1.0)
        return torch.cat([along[:, : self.axis], at, along[:, self.axis :]], dim=1)

    def traces(self, polynomials: LocalPolynomials, orders: int) -> list[Tensor]:
        own = restriction(polynomials.on_face, self.low, self.high)[_along(polynomials, self.axis)]
        return [own * one for one in _across(polynomials, self.axis, self.upper, orders)]

    def area(self, widths: Tensor) -> Tensor:
        """The part's area in each of c cells, divided by the area of [-1, 1]^(d-1), (c,).

        Args:
            widths: the widths of the cells' frames (bounding boxes of their parts in the domain),
                (c, d).
        """
        others = torch.cat([widths[:, : self.axis], widths[:, self.axis + 1 :]], dim=1)
        parts = (others.new_tensor(self.high) - others.new_tensor(self.low)) / 2
        return (others * parts / 2).prod(dim=1)


@lru_cache(maxsize=20_000)
def restriction(
    polynomials: LocalPolynomials, low: tuple[float, ...], high: tuple[float, ...]
) -> Tensor:
    """The coefficients of a box's polynomials in the orthonormal polynomials of a part of the box.

    Row i of the result, (L, L), has the coefficients of polynomial i of the box.

    Args:
        polynomials: the polynomials of a box.
        low, high: the corners of the part in the box's own coordinates, (d,) each.
    """
    nodes, weights = polynomials.rule()
    first, last = nodes.new_tensor(low), nodes.new_tensor(high)
    inner = (first + last) / 2 + nodes * ((last - first) / 2)
    return polynomials.values(inner).T @ (polynomials.values(nodes) * weights[:, None])


@lru_cache(maxsize=1000)
def _across(polynomials: LocalPolynomials, axis: int, upper: bool, orders: int) -> list[Tensor]:
    """The derivatives, at a side, of each polynomial's factor in the coordinate across the side.

    A polynomial is a product of factors, one in each coordinate.

    Args:
        polynomials: the L polynomials of a cell.
        axis: the coordinate that is constant on the side.
        upper: whether the side is at the upper end of this coordinate.
        orders: the number of orders of derivatives.

    Returns:
        For each order from 0 to `orders` - 1 a tensor (L, 1).
    """
    end = torch.tensor([1.0 if upper else -1.0], dtype=torch.float64)
    powers = polynomials.powers[:, axis]
    return [one[powers] for one in legendre_at(end, polynomials.degree, orders)[:orders]]


def derivatives_across(
    polynomials: LocalPolynomials, axis: int, local: Tensor, orders: int, onto: Tensor
) -> list[Tensor]:
    """The derivatives of a cell's polynomials across a side, projected onto functions on the face.

    Args:
        polynomials: the polynomials of the cell.
        axis: the coordinate that is constant on the side.
        local: q ≥ 1 points on the side in the cell's own coordinates, (q, d), or points on s sides,
            (s, q, d).
        orders: the number of orders of derivatives, which begin with 0.
        onto: the functions on the face at the points times quadrature weights,
            (q, face functions), or on s faces, (s, q, face functions).

    Returns:
        For each order a tensor (L, face functions), or (s, L, face functions).
    """
    face = polynomials.on_face
    others = [i for i in range(polynomials.dim) if i != axis]
    along = face.values(local[..., others].flatten(0, -2)).unflatten(0, local.shape[:-1])
    matrices = (along.mT @ onto)[..., _along(polynomials, axis), :]
    # Each polynomial is a factor along the side times a factor in the coordinate across the side.
    across = legendre_at(local[..., 0, axis].flatten(), polynomials.degree, orders)
    factors = [one[polynomials.powers[:, axis]].T for one in across[:orders]]
    return [one.view(*matrices.shape[:-1], 1) * matrices for one in factors]


@lru_cache(maxsize=100)
def _along(polynomials: LocalPolynomials, axis: int) -> Tensor:
    """For each polynomial of a cell, the index of its factor along a side, (L,).

    A polynomial of the cell is a product of a polynomial of the face, to which the index refers,
    and of a factor in the coordinate across the side.

    Args:
        polynomials: the L polynomials of the cell.
        axis: the coordinate that is constant on the side.
    """
    numbers = {power: i for i, power in enumerate(map(tuple, polynomials.on_face.powers.tolist()))}
    powers = polynomials.powers.tolist()
    return torch.tensor([numbers[tuple(one[:axis] + one[axis + 1 :])] for one in powers])


INSIDE, OUTSIDE = 0, 1
Ends = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class FaceTraces:
    """The numbers of the traces on faces; several faces may share a trace.

    A trace is an unknown polynomial on a face, to which the cells on both sides are fitted. Where
    several smaller cells meet one side of a larger cell, and no boundary cuts these cells, their
    faces share one trace on the whole side. The larger cell's functions are polynomials on the
    whole side. So a shared trace is as accurate as one trace for each face, and in space it has
    about a quarter as many unknowns.

    Args:
        number: the index of the trace of each face, (F,). Traces of single faces come first.
        larger_cell: for a face with a shared trace the index of the larger cell, otherwise -1,
            (F,).
        single: the number of traces of single faces.
        shared: for each shared trace the index of the larger cell, the coordinate that is constant
            on the side, whether the side is at the upper end of this coordinate, and the index of
            the face at the narrowest of the smaller cells.
    """

    number: Tensor
    larger_cell: Tensor
    single: int
    shared: Sequence[tuple[int, int, bool, int]]

    def __len__(self) -> int:
        return self.single + len(self.shared)

    @classmethod
    def of(cls, tree: Tree, faces: Faces, whole: Tensor) -> "FaceTraces":
        """Number the traces (unknown polynomials) on the faces of a tree.

        Args:
            tree: the cells.
            faces: the faces, or the parts of them in the domain.
            whole: a mask of the cells that no boundary cuts, (N,).
        """
        axis = faces.axis[:, None]
        depth = (tree.level[faces.upper] - tree.level[faces.lower]).scatter(1, axis, 0)
        at_lower = (depth >= 0).all(dim=1)  # the side of the lower cell contains the other side
        larger = torch.where(at_lower, faces.lower, faces.upper)
        keys = (larger * tree.dim + faces.axis) * 2 + at_lower
        nested = (at_lower | (depth <= 0).all(dim=1)) & depth.any(dim=1)
        some = nested & whole[faces.lower] & whole[faces.upper]
        few = keys[some].unique(return_counts=True)
        several = few[0][few[1] > 1]
        is_shared = some & torch.isin(keys, several)
        single = int((~is_shared).sum())
        number = torch.empty_like(keys)
        number[~is_shared] = torch.arange(single)
        number[is_shared] = single + torch.searchsorted(several, keys[is_shared])
        chosen = is_shared.nonzero()[:, 0]
        finest = torch.maximum(tree.level[faces.lower], tree.level[faces.upper]).gather(1, axis)
        chosen = chosen[finest[chosen, 0].argsort(stable=True)]  # narrowest last: `least` keeps it
        least = {int(number[face]): face for face in chosen.tolist()}
        shared = [
            (int(larger[face]), int(faces.axis[face]), bool(at_lower[face]), face)
            for _, face in sorted(least.items())
        ]
        return cls(number, torch.where(is_shared, larger, -1), single, shared)


@dataclass(frozen=True)
class SideTrace:
    """A part of a cell's side, with the trace (unknown polynomial) on it.

    Args:
        side: the part.
        trace: the index of the trace.
        face: the index of the face whose smaller cell determines the weight of differences from
            the trace.
        area: the area of the part, divided by the area of [-1, 1]^(d-1).
        within: the corners of the part in coordinates in which the side of the larger cell is
            [-1, 1]^(d-1), if the trace is shared; None for the trace of a single face.
        width: the width of the smaller cell across the face.
        unit: the width h in the unknowns h^j ∂^j u of the trace: the width of the larger cell
            if the trace is shared, otherwise the width of the smaller cell.
    """

    side: CellSide
    trace: int
    face: int
    area: float
    within: Ends | None
    width: float
    unit: float


@dataclass(frozen=True, eq=False)
class CellGeometry:
    """The cells of a tree in physical space, with their faces.

    Args:
        tree: the cells.
        domain: the domain, whose bounding box contains the tree.
        frames: the lower and upper corners of each cell's frame in tree coordinates, in which the
            domain's bounding box is [-1, 1]^d, (N, 2, d). The frame is the cell itself, or the
            bounding box of the part of the cell that is in the domain. In the cell's own
            coordinates the frame is [-1, 1]^d.
        faces: the parts of the faces between cells that are in the domain.
        is_cut: a mask of the cells that a boundary cuts, (N,).
    """

    tree: Tree
    domain: Domain
    frames: Tensor
    faces: Faces
    is_cut: Tensor

    @classmethod
    def whole(cls, tree: Tree, domain: Domain) -> "CellGeometry":
        """The cells of a tree that fills a box."""
        return cls(tree, domain, tree.boxes, tree.faces, torch.zeros(len(tree), dtype=torch.bool))

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
        """The widths of the frames (boxes around the cells' parts in the domain), (N, d)."""
        return (self.frames[:, 1] - self.frames[:, 0]) * self.half

    @cached_property
    def scale(self) -> Tensor:
        """The derivatives of a cell's own coordinates in [-1, 1] by the physical ones, (N, d)."""
        return 2 / self.extents

    @cached_property
    def traces(self) -> FaceTraces:
        """The numbering of the traces (unknown polynomials) on the faces."""
        return FaceTraces.of(self.tree, self.faces, ~self.is_cut)

    @cached_property
    def sides(self) -> list[list[SideTrace]]:
        """For each cell the parts of its sides that have a trace (unknown polynomial)."""
        faces, traces = self.faces, self.traces
        found: list[list[SideTrace]] = [[] for _ in range(len(self.tree))]
        # The area of each face, divided by the area of [-1, 1]^(d-1).
        sizes = faces.corners.diff(dim=1)[:, 0] * self.half / 2
        areas = sizes.scatter(1, faces.axis[:, None], 1.0).prod(dim=1).tolist()
        widths, numbers = self.lengths.tolist(), traces.number.tolist()
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
                    given = areas[face], within, widths[face], units[face]
                    found[cell].append(SideTrace(side, numbers[face], face, *given))
        for number, (cell, axis, upper, face) in enumerate(traces.shared, traces.single):
            side = SidePart.whole(axis, upper, self.tree.dim)
            area = float(side.area(self.extents[cell][None]))
            within = side.low, side.high
            given = area, within, widths[face], units[face]
            found[cell].append(SideTrace(side, number, face, *given))
        return found

    def _ends(self, cells: Tensor) -> list[Ends]:
        """The corners of each face, in the own coordinates of one of its two cells.

        In own coordinates the cell is [-1, 1]^d. The coordinate across the face is left out.

        Args:
            cells: the index of a cell for each face, (F,).
        """
        low, high = self.frames[cells, :1], self.frames[cells, 1:]
        corners = ((self.faces.corners - low) / (high - low) * 2 - 1).tolist()
        axes = self.faces.axis.tolist()
        return [
            (tuple(low[:axis] + low[axis + 1 :]), tuple(high[:axis] + high[axis + 1 :]))
            for axis, (low, high) in zip(axes, corners, strict=True)
        ]

    def _side(self, cell: int, face: int, whole: SidePart) -> CellSide:
        """The part of a cell's side that is a face.

        Args:
            cell: the index of the cell.
            face: the index of the face.
            whole: a rectangle around the part.
        """
        return whole

    @cached_property
    def lengths(self) -> Tensor:
        """For each face the width of the smaller of its two cells, across the face, (F,)."""
        widths, faces = self.widths, self.faces
        axis = faces.axis[:, None]
        both = [widths[cells].gather(1, axis)[:, 0] for cells in (faces.lower, faces.upper)]
        return torch.minimum(*both)

    def on_boundary(
        self, pieces: Sequence[Piece], polynomials: LocalPolynomials
    ) -> Iterator["CellPoints"]:
        """Yield quadrature points with normals on pieces of the boundary, for groups of cells.

        Args:
            pieces: the pieces of the boundary.
            polynomials: the polynomials of a cell; products of two polynomials are integrated
                accurately.
        """
        rule = polynomials.on_face.rule(3)
        for axis, upper, cells in self.tree.ends:
            if any(piece.side == (axis, upper) for piece in pieces):
                side = SidePart.whole(axis, upper, self.tree.dim)
                yield CellPoints.on_side(self, cells, side, *rule)

    def at_interfaces(self, degree: int) -> Iterator["InterfaceParts"]:
        """Yield the arcs or patches where cells of two regions meet.

        Args:
            degree: the degree of the cells.
        """
        yield from ()

    def across(self, cells: Tensor, normals: Tensor) -> Tensor:
        """The widths of c cells along given unit normals, (c,).

        Args:
            cells: the indices of the cells, (c,).
            normals: the unit normals, (c, d).
        """
        return 1 / (normals / self.widths[cells]).norm(dim=1)

    def coords(self, cells: Tensor, local: Tensor) -> Tensor:
        """The physical coordinates of q points in each of c cells, (c, q, d).

        Args:
            cells: the indices of the cells, (c,).
            local: the points in each cell's own coordinates, in which the cell is [-1, 1]^d: (q, d)
                for all cells or (c, q, d).
        """
        corner = physical(self.domain, self.frames[cells, 0])
        return corner[:, None] + (local + 1) / 2 * self.extents[cells][:, None]

    def local(self, cells: Tensor, coords: Tensor) -> Tensor:
        """Map physical points (c, q, d) to the own coordinates of c cells, (c, q, d).

        In its own coordinates a cell is [-1, 1]^d.

        Args:
            cells: the indices of the cells, (c,).
            coords: the points.
        """
        corner = physical(self.domain, self.frames[cells, 0])
        return (coords - corner[:, None]) * self.scale[cells][:, None] - 1


def joined_regions(parts: Sequence[CellGeometry]) -> dict[str, Any]:
    """Join the cells of several regions; return the arguments of `CellGeometry` by name.

    The cells of the first region come first, then those of the second region, and so on.

    Args:
        parts: the cells of each region.
    """
    starts = accumulate((len(one.tree) for one in parts), initial=0)
    faces = [
        replace(one.faces, lower=one.faces.lower + start, upper=one.faces.upper + start)
        for one, start in zip(parts, starts, strict=False)
    ]
    return {
        "tree": Tree.joined([one.tree for one in parts]),
        "domain": parts[0].domain,
        "frames": torch.cat([one.frames for one in parts]),
        "faces": Faces.joined(faces),
        "is_cut": torch.cat([one.is_cut for one in parts]),
    }


@dataclass(frozen=True, eq=False)
class CellPoints:
    """The points of quadrature rules in c cells, q points in each.

    Args:
        cells: the indices of the cells, (c,).
        local: the points in each cell's own coordinates, in which the cell is [-1, 1]^d: (q, d) if
            these are equal in all cells, otherwise (c, q, d).
        weights: the weights of the rules, (c, q); 0 for padding points.
        points: the points in physical space, the points of the first cell first, (c q,).
        scale: the derivatives of each cell's own coordinates by the physical ones, (c, d).
    """

    cells: Tensor
    local: Tensor
    weights: Tensor
    points: Batch
    scale: Tensor

    @property
    def alike(self) -> bool:
        """True if the points have equal own coordinates in all cells.

        In its own coordinates a cell is [-1, 1]^d.
        """
        return self.local.ndim == 2

    def at(self, place: int) -> Tensor:
        """The points of the cell `cells[place]` in its own coordinates in [-1, 1]^d, (q, d)."""
        return self.local if self.alike else self.local[place]

    def some(self, places: Tensor) -> "CellPoints":
        """The points in k of the cells.

        Args:
            places: the positions of these cells in `cells`, (k,).
        """
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
        """Make the object from points in physical space, the points of the first cell first.

        Args:
            geometry: the cells of the tree.
            cells: the indices of the cells with points, (c,).
            points: the points, (c q,).
            weights: the weights, (c, q).
        """
        coords = points.coords.unflatten(0, weights.shape)
        local, scale = geometry.local(cells, coords), geometry.scale[cells]
        return cls(cells, local, weights, Batch.made_of(points), scale)

    @classmethod
    def inside(
        cls, geometry: CellGeometry, cells: Tensor, local: Tensor, weights: Tensor
    ) -> "CellPoints":
        """Map a quadrature rule on [-1, 1]^d into c cells.

        The rule fills the frame of each cell, the bounding box of the cell's part in the domain.

        Args:
            geometry: the cells of the tree.
            cells: the indices of the cells, (c,).
            local: the points of the rule, (q, d), or a rule for each cell, (c, q, d).
            weights: the weights on [-1, 1]^d, (q,) or (c, q).
        """
        areas = (geometry.extents[cells] / 2).prod(dim=1)
        points = Batch(geometry.coords(cells, local).flatten(0, 1), geometry.domain.names)
        return cls(cells, local, areas[:, None] * weights, points, geometry.scale[cells])

    @classmethod
    def on_side(
        cls, geometry: CellGeometry, cells: Tensor, side: SidePart, nodes: Tensor, weights: Tensor
    ) -> "CellPoints":
        """Map a quadrature rule on [-1, 1]^(d-1) to a side of each of c cells, with normals.

        Args:
            geometry: the cells of the tree.
            cells: the indices of the cells, (c,).
            side: the side or a part of it, in the own coordinates of each of the cells.
            nodes: the points of the rule, (q, d - 1).
            weights: the weights of the rule, (q,).
        """
        local = side.points(nodes)
        coords = geometry.coords(cells, local).flatten(0, 1)
        normals = torch.zeros_like(coords)
        normals[:, side.axis] = 1.0 if side.upper else -1.0
        areas = side.area(geometry.extents[cells])
        points = Batch(coords, geometry.domain.names, normals)
        return cls(cells, local, areas[:, None] * weights, points, geometry.scale[cells])


@dataclass(frozen=True, eq=False)
class InterfaceParts:
    """The c arcs (in space: patches) of an interface between cells, with quadrature points.

    Args:
        piece: the piece of the interface.
        sides: the same quadrature points twice: as points of the c cells inside, and as points of
            the c cells outside. The normals point outwards.
        traces: the basis of the traces (unknown polynomials on the arcs): polynomials of the arc's
            parameter, or of two coordinates along the patch.
        onto: orthonormal functions on each arc or patch at its points, times quadrature weights,
            (c, q, functions); lower degrees come first.
    """

    piece: Piece
    sides: tuple[CellPoints, CellPoints]
    traces: LocalPolynomials
    onto: Tensor


def gauss_inside(
    geometry: CellGeometry, cells: Tensor, contains: Callable[[Tensor], Tensor], count: int
) -> Iterator[CellPoints]:
    """Yield the Gauss points of cells that are inside a domain, in batches of cells.

    The cells of a batch have similar numbers of points. Padding points of weight 0 make these
    numbers equal.

    Args:
        geometry: the cells.
        cells: the indices of the cells, (c,).
        contains: tells which physical points are in the domain, (n, d) → (n,).
        count: the number of points along each coordinate of a cell's bounding box.
    """
    together = 32
    if not len(cells):
        return
    dim = geometry.tree.dim
    unit, weights = gauss_product(count, dim)
    local, weights = 2 * unit - 1, 2**dim * weights
    coords = geometry.coords(cells, local)
    inside = contains(coords.flatten(0, 1)).view(coords.shape[:2])
    for some in inside.sum(dim=1).argsort().split(together):
        longest = int(inside[some].sum(dim=1).max())
        first = (~inside[some]).to(torch.uint8).argsort(dim=1, stable=True)[:, :longest]
        used = inside[some].gather(1, first)
        own = torch.where(used, first, first[:, :1])  # the first point is the padding
        weight = torch.where(used, weights[own], 0)
        yield CellPoints.inside(geometry, cells[some], local[own], weight)
