"""Edges and vertices of a solid at which solutions are singular, and the cells at them."""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.segments import corners_of, farthest, meets
from kanpinn.cells.geometry.singular_corners import SingularCorners
from kanpinn.cells.geometry.singularities import CellsOf, Singularities
from kanpinn.cells.tree import Tree
from kanpinn.geometry.creases import Creases


@dataclass(frozen=True, eq=False)
class SingularEdges(Singularities):
    """The edges at which solutions are singular, and the vertices between them.

    The boundary of a solid turns inwards there, or two faces of an interface meet.

    At the distance r from an edge with the interior angle ω solutions behave like r^λ, λ = π/ω for
    Laplace's equation and values on both sides. As at corners in the plane the rows of each cell
    are multiplied by a power of the distance r. Near a vertex, at the distance R from it, the
    factor is R^β (r/R)^α. Where u = R^q at a vertex, errors by the smallest cells, of the width h,
    fall like h^(2(q + β - 1/2)): faster for a larger β. But then the rows of distant cells outweigh
    those near the vertex. At the vertex of a cube without an octant, with q = 1/4 and 1/2, errors
    were up to 10 times larger for β = 5/4 than for β = 1/2. For β = 3/4, with q = 1/2 and the
    degree 7, they were two thirds of those for β = 1/2. Errors are 3 times those of the best
    approximation. The other two thirds are smooth, and largest in cells at the edges that are not
    small: with smaller cells at all edges these errors fall.

    Cells at a vertex are halved several times at once. So are those at an edge along a coordinate,
    in the other two coordinates, so that they are long and thin. Along other edges that would make
    too many cells.

    Args:
        segments: the edges, (s, 2, 3).
        exponents: λ of each, (s,).
        vertices: the vertices, at which cells are halved several times at once; its power is β.
        power: the exponent α.
        unresolved: the factor by which errors in cells at a vertex exceed their indicators.
        bits: the largest number of halvings of the domain's width across an edge.
    """

    segments: Tensor
    exponents: Tensor
    vertices: SingularCorners
    power: float = 1.0
    unresolved: float = 30.0
    bits: int = 22

    @classmethod
    def of(cls, creases: Creases) -> "SingularEdges":
        """The singular edges of a solid with given creases.

        A vertex with u = R^q is like a corner in the plane with the exponent λ = q + 1/2. The value
        1/2 is taken for q: at the vertex of a cube without one of its octants q is 0.45.
        """
        exponents, beta = torch.ones(len(creases.vertices), dtype=torch.float64), 0.75
        least = 1e-8  # solves take so long that there is none on trees in between
        vertices = SingularCorners(creases.vertices, exponents, beta, least=least)
        return cls(creases.segments, math.pi / creases.angles, vertices)

    def beside(self, segments: Tensor, exponents: Tensor, vertices: Tensor) -> "SingularEdges":
        """These edges and vertices, and further ones; the arguments are those of the class."""
        points = torch.cat([self.vertices.points, vertices])
        ones = torch.ones(len(points), dtype=torch.float64)
        return replace(
            self,
            segments=torch.cat([self.segments, segments]),
            exponents=torch.cat([self.exponents, exponents]),
            vertices=replace(self.vertices, points=points, exponents=ones),
        )

    def weights(self, geometry: CellGeometry) -> Tensor:
        """The factor of each cell's rows, (N,).

        It is a power of the fourth root of two, so that many cells have the same. With powers of
        the root of two errors were up to 1.3 times larger, with powers of two up to three times.
        """
        corners = corners_of(geometry.physical(geometry.frames))
        size = float(geometry.half.max())
        points = self.vertices.points[:, None].expand(-1, 2, -1)
        vertex, edge = (farthest(corners, segments, size) for segments in (points, self.segments))
        exponent = self.vertices.power * vertex.log2()
        exponent += self.power * (edge / vertex).clamp_max(1).log2()
        return 2.0 ** ((4 * exponent).round() / 4)

    def pollution(self, geometry: CellGeometry) -> Tensor:
        """The ratio of the error everywhere to the error in the cell that causes it, (N,).

        As at a corner in the plane it is h^(λ - 1) for cells of the width h at an edge. At vertices
        it is 1, but indicators are larger than errors where polynomials resolve the solution, by
        more than where they do not. For u = R^(1/2) at the vertex of a cube without an octant, and
        degrees 5 to 7, that was a factor of 3 to 24. With `unresolved` cells at vertices become
        small before larger cells are halved.
        """
        found, touched = torch.ones(len(geometry.tree)).double(), self._touched(geometry)
        for number, exponent in enumerate(self.exponents.tolist()):
            parts = (geometry.tree.widths * self._across[number]).amax(dim=1)
            growth = torch.where(touched[:, number], parts ** (exponent - 1), 1.0)
            found = found.maximum(growth)
        at_vertex = self.vertices.touched(geometry).any(dim=1)
        return torch.where(at_vertex, found.clamp_min(self.unresolved), found)

    @cached_property
    def _across(self) -> Tensor:
        """The coordinates across each edge, a mask (s, 3): all, if it is not along a coordinate."""
        along = self.segments.diff(dim=1)[:, 0].abs()
        straight = along > (1 - 1e-9) * along.sum(dim=1, keepdim=True)
        return ~straight

    def _touched(self, geometry: CellGeometry) -> Tensor:
        """Which cells meet which edges, a mask (N, s)."""
        boxes = geometry.physical(geometry.tree.boxes)
        found = [meets(boxes, segment) for segment in self.segments]
        return torch.stack(found, dim=1) if found else torch.zeros(len(boxes), 0).bool()

    def _across_cells(self, geometry: CellGeometry) -> Tensor:
        """The coordinates across the edges that cells meet, a mask (N, 3)."""
        return (self._touched(geometry)[..., None] & self._across).any(dim=1)

    def coordinates(self, geometry: CellGeometry, steep: Tensor) -> Tensor:
        """The coordinates in which cells are halved, if at all, a mask (N, 3).

        At an edge polynomials resolve the solution in no coordinate across it, and their terms tell
        little. So cells there are halved along the edge only if they are not to be halved across.

        Args:
            geometry: the cells.
            steep: the coordinates in which the solution is steep, (N, 3).
        """
        other = self.vertices.coordinates(geometry, steep)
        across = self._across_cells(geometry)
        is_thin = across.any(dim=1) & ~across.all(dim=1)
        touched = (steep & across).any(dim=1, keepdim=True)
        return torch.where(is_thin[:, None], torch.where(touched, across, steep), other)

    def _finest(self, tree: Tree) -> int:
        """The level of the thinnest cells at edges."""
        return self.bits - math.ceil(math.log2(max(tree.roots)))

    def divisible(self, geometry: CellGeometry) -> Tensor:
        tree = geometry.tree
        thinnest = (self._across_cells(geometry) & (tree.level >= self._finest(tree))).any(dim=1)
        return self.vertices.divisible(geometry) & ~thinnest

    def refined(
        self, geometry: CellGeometry, chosen: Tensor, left: float, cells: CellsOf
    ) -> CellGeometry:
        halved = self.vertices.refined(geometry, chosen, left, cells)
        left = max(self.vertices.least, min(self.vertices.contraction, left))
        times = (-math.log2(left) / (2 * self.exponents)).ceil().long()
        thinned, most = chosen.any(dim=1) & ~chosen.all(dim=1), self._finest(geometry.tree)
        return self._thinned(geometry, times, thinned, most, halved, cells)

    def deeper(self, geometry: CellGeometry, cells: CellsOf) -> CellGeometry:
        """The cells when those at vertices and edges are so much smaller that errors are a quarter.

        At edges these are the cells that are thin: others have not been found to have large errors.
        """
        halved, spare, tree = self.vertices.deeper(geometry, cells), 2, geometry.tree
        times, most = (1 / self.exponents).ceil().long(), self._finest(tree) + spare
        thin = tree.level.amin(dim=1) < tree.level.amax(dim=1)
        return self._thinned(geometry, times, thin, most, halved, cells)

    def _thinned(
        self,
        geometry: CellGeometry,
        times: Tensor,
        chosen: Tensor,
        most: int,
        halved: CellGeometry,
        cells: CellsOf,
    ) -> CellGeometry:
        """The cells when those that are chosen are halved several times across edges.

        Args:
            geometry: the cells before.
            times: the numbers of halvings at each edge, (s,).
            chosen: the cells to be halved, if they are at an edge along a coordinate, a mask (N,).
            most: the largest level across an edge.
            halved: the cells of which those at edges are halved further.
            cells: see `refined`.
        """
        thin = ~self._across.all(dim=1)
        chosen = chosen & ~self.vertices.touched(geometry).any(dim=1)
        at = self._touched(geometry) & thin & chosen[:, None]
        steps = (at[..., None] & self._across) * times[:, None]
        if not bool(steps.any()):
            return halved
        goal = torch.where(steps.amax(dim=1) > 0, geometry.tree.level + steps.amax(dim=1), 0)
        goal = goal.clamp_max(most)
        while True:
            tree = halved.tree
            before = geometry.tree.locate(tree.boxes.mean(dim=1), tree.region)
            touched = (self._touched(halved)[:, thin, None] & self._across[thin]).any(dim=1)
            coarse = touched & (tree.level < goal[before])
            if not bool(coarse.any()):
                return halved
            halved = cells(tree.split(coarse)[0])
