"""Pieces of a triangulated surface."""

import math
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from kanpinn._support.errors import integer
from kanpinn._support.shapes import Coords, Weights
from kanpinn.geometry.boundary import MappedPiece
from kanpinn.geometry.points import Points, morton_order
from kanpinn.geometry.region import Region
from kanpinn.geometry.rules_in_boxes import RulesInBoxes
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

    def in_boxes(self, boxes: Tensor, nodes: int) -> RulesInBoxes:
        most = 2**22  # pairs of boxes and triangles, which bounds the memory
        parts, axes = [RulesInBoxes.none(self.names)], self._normals.abs().argmax(dim=1)
        for some in torch.arange(len(boxes)).split(max(1, most // len(self._corners))):
            for axis in range(3):
                own = (axes == axis).nonzero()[:, 0]
                if len(own):
                    found = self._in_boxes(own, axis, boxes[some], nodes)
                    parts.append(found.numbered(some))
        return RulesInBoxes.joined(parts)

    def _in_boxes(self, own: Tensor, axis: int, boxes: Tensor, nodes: int) -> RulesInBoxes:
        """The rules on parts of some triangles, which are steepest along an axis.

        Args:
            own: the numbers of the triangles, (t,).
            axis: the axis.
            boxes, nodes: see `in_boxes`.
        """
        first, last = self._extents[0][own], self._extents[1][own]
        near = ((first <= boxes[:, None, 1]) & (last >= boxes[:, None, 0])).all(dim=2)
        box, place = near.nonzero().unbind(dim=1)
        rows = box[:, None].expand(-1, 3)
        start = torch.full_like(boxes[:, 0], torch.inf)
        start = start.scatter_reduce(0, rows, first[place], "amin")
        stop = torch.full_like(boxes[:, 1], -torch.inf)
        stop = stop.scatter_reduce(0, rows, last[place], "amax")
        some = torch.stack([boxes[:, 0].maximum(start), boxes[:, 1].minimum(stop)], dim=1)
        some[:, :, axis] = boxes[:, :, axis]
        hits = partial(self._hits, (box, own[place]), axis)
        return cast(hits, self.names, axis, some, nodes)

    def _hits(self, near: tuple[Tensor, Tensor], axis: int, lines: Tensor, boxes: Tensor) -> Hits:
        """Where lines along an axis meet triangles; an edge belongs to both of its triangles.

        Args:
            near: pairs of boxes and triangles that may meet: the numbers of both, (p,) each.
            axis: the axis.
            lines: the other two coordinates of q lines in each of k boxes, (k, q, 2).
            boxes: the numbers of these boxes, (k,).
        """
        each, most = lines.shape[1], 2**20  # lines with a triangle, which bounds the memory
        asked = torch.isin(near[0], boxes)
        place, triangle = torch.searchsorted(boxes, near[0][asked]), near[1][asked]
        found = [
            self._met(triangle[some], axis, lines[place[some]], each * place[some])
            for some in torch.arange(len(place)).split(max(1, most // each))
        ]
        line, coords, normals = (torch.cat(one) for one in zip(*found, strict=True))
        order = line.argsort(stable=True)
        return Hits(line[order], coords[order], normals[order])

    def _met(
        self, triangles: Tensor, axis: int, lines: Tensor, first: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Which of q lines meet each of some triangles, and the points and normals there.

        Args:
            triangles: their numbers, (p,).
            axis: that of the lines.
            lines: their other two coordinates, (p, q, 2).
            first: the number of the first of the lines, (p,).
        """
        corners = self._corners[triangles]
        flat = torch.cat([corners[..., :axis], corners[..., axis + 1 :]], dim=2)
        start, (u, v) = flat[:, :1], (flat[:, i, None] - flat[:, 0, None] for i in (1, 2))
        area = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
        gap = lines - start
        s = (gap[..., 0] * v[..., 1] - gap[..., 1] * v[..., 0]) / area
        t = (u[..., 0] * gap[..., 1] - u[..., 1] * gap[..., 0]) / area
        met, line = ((s >= 0) & (t >= 0) & (s + t <= 1)).nonzero().unbind(dim=1)
        shares = torch.stack([1 - s - t, s, t], dim=2)[met, line]
        coords = (shares[:, :, None] * corners[met]).sum(dim=1)
        return first[met] + line, coords, self._normals[triangles[met]]

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
