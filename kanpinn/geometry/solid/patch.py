"""Pieces of a triangulated surface."""

import math
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from kanpinn._support.errors import integer
from kanpinn._support.shapes import Coords, Vector, Weights
from kanpinn.geometry.boundary import MappedPiece
from kanpinn.geometry.points import Points, morton_order
from kanpinn.geometry.region import Region
from kanpinn.geometry.solid.casting import Hits, cast
from kanpinn.geometry.solid.triangles import area_vectors, smooth_parts, surface_rule


@dataclass(frozen=True, eq=False)
class Patch(MappedPiece):
    """A boundary piece that consists of triangles of a surface.

    Args:
        label: the name of the piece.
        axes: the names of the coordinates.
        triangles: the corners (f, 3, 3) of the triangles, counter-clockwise seen from outside.
    """

    label: str
    axes: tuple[str, ...]
    triangles: Tensor

    @property
    def name(self) -> str:
        return self.label

    @property
    def names(self) -> tuple[str, ...]:
        return self.axes

    @property
    def dim(self) -> int:
        return 2

    @property
    def measure(self) -> float:
        return self._areas.sum().item()

    def image(self, unit: Coords) -> Points:
        """Map points of the unit square to the surface; the first coordinate selects the triangle.

        The triangles are in Morton order, so that neighbours mostly follow each other. The map is
        not continuous, but it scales all areas by `measure`, and evenly distributed points stay
        evenly distributed.
        """
        ends = self._areas.cumsum(dim=0).to(unit)
        target = unit[:, 0].contiguous() * ends[-1]
        chosen = torch.searchsorted(ends, target).clamp(max=len(ends) - 1)
        areas = self._areas.to(unit)[chosen]
        left = ((target - ends[chosen] + areas) / areas).clamp(0, 1).sqrt()
        shares = torch.stack([1 - left, left * (1 - unit[:, 1]), left * unit[:, 1]], dim=1)
        corners, normals = self._corners.to(unit), self._normals.to(unit)
        coords = (shares[:, :, None] * corners[chosen]).sum(dim=1)
        return Points(coords, self.names, normals[chosen])

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return Gauss rules on all f triangles, with ceil(nodes / f^(1/2))² points on each."""
        each = math.ceil(integer("nodes", nodes) / len(self._corners) ** 0.5 - 1e-9)
        coords, weights = surface_rule(self._corners, each)
        return Points(coords, self.names, self._normals.repeat_interleave(each**2, 0)), weights

    @property
    def sheets(self) -> tuple["Patch", ...]:
        return self._sheets

    def in_box(self, low: Vector, high: Vector, nodes: int) -> tuple[Points, Weights]:
        first, last = self._extents
        near = ((first <= high) & (last >= low)).all(dim=1)
        axes = self._normals.abs().argmax(dim=1)
        parts = []
        for axis in range(3):
            own = (near & (axes == axis)).nonzero()[:, 0]
            if len(own):
                start, stop = first[own].amin(dim=0), last[own].amax(dim=0)
                box = torch.maximum(low, start), torch.minimum(high, stop)
                box[0][axis], box[1][axis] = low[axis], high[axis]
                hits = partial(self._hits, own, axis)
                parts.append(cast(hits, self.names, axis, box, nodes))
        none = torch.zeros(0, 3, dtype=torch.float64)
        parts.append((Points(none, self.names, none), none[:, 0]))
        return Points.cat(points for points, _ in parts), torch.cat([w for _, w in parts])

    def _hits(self, chosen: Tensor, axis: int, lines: Coords) -> Hits:
        """Where lines along an axis meet some triangles; an edge belongs to both of its triangles.

        Args:
            chosen: the numbers of the triangles, (t,).
            axis: the axis.
            lines: the other two coordinates of each line, (n, 2).
        """
        corners, normals = self._corners[chosen], self._normals[chosen]
        flat = torch.cat([corners[..., :axis], corners[..., axis + 1 :]], dim=2)
        start, (u, v) = flat[:, 0], (flat[:, i] - flat[:, 0] for i in (1, 2))
        area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
        gap = lines[:, None] - start
        s = (gap[..., 0] * v[:, 1] - gap[..., 1] * v[:, 0]) / area
        t = (u[:, 0] * gap[..., 1] - u[:, 1] * gap[..., 0]) / area
        line, met = ((s >= 0) & (t >= 0) & (s + t <= 1)).nonzero().unbind(1)
        shares = torch.stack([1 - s - t, s, t], dim=2)[line, met]
        return Hits(line, (shares[:, :, None] * corners[met]).sum(dim=1), normals[met])

    @cached_property
    def _sheets(self) -> tuple["Patch", ...]:
        sharp = 40  # degrees: more than between triangles of a curved surface
        _, faces = self._corners.flatten(0, 1).unique(dim=0, return_inverse=True)
        parts = smooth_parts(faces.view(-1, 3), self._normals, sharp)
        return tuple(replace(self, triangles=self._corners[part]) for part in parts)

    @cached_property
    def _extents(self) -> tuple[Tensor, Tensor]:
        """The lowest and the highest coordinates of each triangle, (f, 3) each."""
        return self._corners.amin(dim=1), self._corners.amax(dim=1)

    def gauss(self, n: int) -> Points:
        return Region.gauss(self, n)

    @cached_property
    def _corners(self) -> Tensor:
        corners = self.triangles[area_vectors(self.triangles).norm(dim=1) > 0]
        return corners[morton_order(corners.mean(dim=1))]

    @cached_property
    def _areas(self) -> Weights:
        return area_vectors(self._corners).norm(dim=1)

    @cached_property
    def _normals(self) -> Coords:
        return area_vectors(self._corners) / self._areas[:, None]
