"""Edges and vertices of a solid at which solutions are singular, and the cells at them."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kanpinn.cells.geometry.cell_geometry import CellGeometry
from kanpinn.cells.geometry.corners import SingularCorners
from kanpinn.geometry.creases import Creases


@dataclass(frozen=True, eq=False)
class SingularEdges:
    """The edges of a solid at which its boundary turns inwards, and the vertices between them.

    At the distance r from an edge with the interior angle ω solutions behave like r^λ, λ = π/ω for
    Laplace's equation and values on both sides. As at corners in the plane the rows of each cell
    are multiplied by a power of the distance r. Near a vertex, at the distance R from it, the
    factor is R^β (r/R)^α. Where u = R^q at a vertex, errors by the smallest cells, of the width h,
    fall like h^(2(q + β - 1/2)): faster for a larger β. But then the rows of distant cells outweigh
    those near the vertex. At the vertex of a cube without an octant, with q = 1/4 and 1/2, errors
    were up to 10 times larger for β = 5/4 than for β = 1/2. For β = 3/4, with q = 1/2 and the
    degree 7, they were two thirds of those for β = 1/2. Errors are 3 times those of the best
    approximation. What is more than that is smooth, and largest at the edges, in cells that are not
    small there: with smaller cells at all edges they fall. Cells at a vertex are halved several
    times at once; along edges that would make too many cells.

    Args:
        creases: the edges.
        vertices: the vertices, at which cells are halved several times at once; its power is β.
        power: the exponent α.
        unresolved: by how much more of its indicator is an error in a cell at a vertex.
    """

    creases: Creases
    vertices: SingularCorners
    power: float = 1.0
    unresolved: float = 30.0

    @classmethod
    def of(cls, creases: Creases) -> "SingularEdges":
        """The singular edges of a solid with given creases.

        A vertex with u = R^q is like a corner in the plane with the exponent λ = q + 1/2. The value
        1/2 is taken for q: at the vertex of a cube without one of its octants q is 0.45.
        """
        exponents, beta = torch.ones(len(creases.vertices), dtype=torch.float64), 0.75
        least = 1e-8  # solves take so long that there is none on trees in between
        return cls(creases, SingularCorners(creases.vertices, exponents, beta, least=least))

    def weights(self, geometry: CellGeometry) -> Tensor:
        """The factor of each cell's rows, (N,).

        It is a power of the fourth root of two, so that many cells have the same. With powers of
        the root of two errors were up to 1.3 times larger, with powers of two up to three times.
        """
        corners = _corners(geometry.physical(geometry.frames))
        size = float(geometry.half.max())
        points = self.creases.vertices[:, None].expand(-1, 2, -1)
        vertex, edge = (
            _farthest(corners, segments, size) for segments in (points, self.creases.segments)
        )
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
        parts = geometry.tree.widths.amax(dim=1)
        found, boxes = torch.ones_like(parts), geometry.physical(geometry.tree.boxes)
        for segment, angle in zip(self.creases.segments, self.creases.angles, strict=True):
            growth = torch.where(_meets(boxes, segment), parts ** (math.pi / angle - 1), 1.0)
            found = found.maximum(growth)
        at_vertex = self.vertices.touched(geometry).any(dim=1)
        return torch.where(at_vertex, found.clamp_min(self.unresolved), found)


def _corners(boxes: Tensor) -> Tensor:
    """All corners of boxes, (N, 8, 3), from their lower and upper ones, (N, 2, 3)."""
    picked = torch.cartesian_prod(*[torch.arange(2)] * 3)
    return torch.stack([boxes[:, picked[:, axis], axis] for axis in range(3)], dim=2)


def _farthest(corners: Tensor, segments: Tensor, size: float) -> Tensor:
    """The distance of each cell's farthest corner from the nearest of some segments, (N,).

    Args:
        corners: of the cells, (N, 8, 3).
        segments: the two ends of each, (s, 2, 3), which are equal for a point.
        size: the unit of the returned distances, which are at most 1.
    """
    found = torch.full((len(corners),), size, dtype=torch.float64)
    for segment in segments:
        found = found.minimum(_distances(corners, segment).amax(dim=1))
    return found / size


def _distances(points: Tensor, segment: Tensor) -> Tensor:
    """The distances of points from a segment, (N, q); points: (N, q, 3); segment: (2, 3)."""
    start, along = segment[0], segment[1] - segment[0]
    share = ((points - start) @ along / along.square().sum().clamp_min(1e-300)).clamp(0, 1)
    return (points - start - share[..., None] * along).norm(dim=2)


def _meets(boxes: Tensor, segment: Tensor) -> Tensor:
    """Which boxes a segment goes through or touches, a mask (N,); boxes: (N, 2, 3)."""
    start, along = segment[0], segment[1] - segment[0]
    room = 1e-6 * (boxes[:, 1] - boxes[:, 0])
    low, high = boxes[:, 0] - room - start, boxes[:, 1] + room - start
    flat = along.abs() < 1e-12 * along.norm()
    steps = torch.where(flat, 1.0, along)
    one, other = low / steps, high / steps
    first = torch.where(flat, -torch.inf, one.minimum(other)).amax(dim=1).clamp_min(0)
    last = torch.where(flat, torch.inf, one.maximum(other)).amin(dim=1).clamp_max(1)
    return (first <= last) & (~flat | ((low <= 0) & (high >= 0))).all(dim=1)
