"""Pieces of a triangulated surface."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kanpinn._support.errors import integer
from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.boundary import MappedPiece
from kanpinn.geometry.points import Points, morton_order
from kanpinn.geometry.region import Region
from kanpinn.geometry.solid.triangles import area_vectors, surface_rule


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
