"""Solids given by a triangulated surface, as in STL files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import InputError, integer
from kanpinn._support.shapes import Coords, Mask, Vector, Weights
from kanpinn.geometry.boundary import Boundary
from kanpinn.geometry.creases import Creases
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.quadrature import equal_weights, sampling_error, sobol
from kanpinn.geometry.solid.ball import coordinate_names
from kanpinn.geometry.solid.meshes import (
    check_closed,
    check_indices,
    load_mesh,
    named_pieces,
    outward,
    proper_triangles,
    smooth_pieces,
    table,
)
from kanpinn.geometry.solid.patch import Patch
from kanpinn.geometry.solid.triangles import (
    area_vectors,
    edge_turns,
    enclosed_volume,
    solid_rule,
    star_center,
    volumes,
)
from kanpinn.geometry.solid.winding import enclosed, near


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Surface(Domain):
    """The solid inside a closed triangulated surface; `Surface.read("part.stl")` reads a file.

    The measure is exact. `quadrature` is a Gauss rule on the tetrahedra of `cells`, or on those
    between a centre and the triangles if the solid is star-shaped, as convex solids are; otherwise,
    or with more than 20,000 triangles, it consists of Sobol points.

    Args:
        vertices: the vertices (v, 3), finite numbers.
        faces: the vertex indices (f, 3) of the triangles, all counter-clockwise seen from outside
            or all clockwise.
        names: the names of the coordinates; by default ("x", "y", "z").
        name: the name of the boundary piece if sharp is None.
        sharp: an angle in degrees; edges with a larger angle between the normals divide the
            boundary into "facet_0", "facet_1", ... None for one piece.
        pieces: the name of the boundary piece of each triangle, in place of `name` and `sharp`.
        cells: the vertex indices (k, 4) of tetrahedra that fill the solid; None if there are none.

    Raises:
        InputError: if the arrays have wrong shapes or values, the surface is not closed, has
            triangles of both orientations, or encloses no volume, or tetrahedra do not fill it.

    Example:
        >>> import kanpinn as kp
        >>> corners = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
        >>> faces = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
        >>> solid = kp.Surface(corners, faces, sharp=30)
        >>> f"{solid.measure:.4f}", solid.boundary.names
        ('0.1667', ('facet_0', 'facet_1', 'facet_2', 'facet_3'))
    """

    vertices: Tensor
    faces: Tensor
    axes: tuple[str, ...]
    parts: tuple[tuple[str, Tensor], ...]
    cells: Tensor | None

    def __init__(
        self,
        vertices: Any,
        faces: Any,
        *,
        names: Sequence[str] | None = None,
        name: str = "surface",
        sharp: float | int | None = None,
        pieces: Sequence[str] | None = None,
        cells: Any = None,
    ) -> None:
        points = table("vertices", vertices, torch.float64)
        given = table("faces", faces, torch.long)
        kept = proper_triangles(given, len(points))
        check_closed(given[kept])
        triangles = outward(points, given[kept])
        if pieces is None:
            parts = smooth_pieces(points, triangles, name, sharp)
        else:
            parts = named_pieces(pieces, kept)
        object.__setattr__(self, "vertices", points)
        object.__setattr__(self, "faces", triangles)
        object.__setattr__(self, "axes", coordinate_names(names, 3))
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "cells", None if cells is None else self._filled(cells))

    @classmethod
    def read(cls, path: str | Path, **options: Any) -> "Surface":
        """Read the solid from an STL file or another format of trimesh (extra `[geometry3d]`).

        Args:
            path: the path of the file.
            options: `names`, `name` and `sharp`, as for the class.

        Raises:
            InputError: if the file cannot be read, trimesh is missing, or the class raises it.
        """
        mesh = load_mesh(Path(path))
        return cls(mesh.vertices, mesh.faces, **options)

    def __repr__(self) -> str:
        return f"Surface({len(self.vertices)} vertices, {len(self.faces)} triangles)"

    @property
    def names(self) -> tuple[str, ...]:
        return self.axes

    @cached_property
    def measure(self) -> float:
        return enclosed_volume(self._corners)

    @property
    def bounds(self) -> tuple[Vector, Vector]:
        return self._corners.amin(dim=(0, 1)), self._corners.amax(dim=(0, 1))

    @cached_property
    def boundary(self) -> Boundary:
        parts = ((name, self._corners[faces]) for name, faces in self.parts)
        return Boundary(tuple(Patch(name, self.axes, corners) for name, corners in parts))

    def contains(self, coords: Coords, tolerance: float = 0.0) -> Mask:
        """Return which points (n, 3) lie inside, a mask (n,), by winding numbers.

        The result is arbitrary for points on the surface. A tolerance > 0 adds the points within
        this distance of the surface; a tolerance < 0 removes them.
        """
        vertices, faces = self.vertices.to(coords), self.faces.to(coords.device)
        inside = enclosed(coords, vertices, faces)
        if not tolerance:
            return inside
        close = near(coords, vertices, faces, abs(tolerance))
        return inside | close if tolerance > 0 else inside & ~close

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """Return a Gauss rule if `rule_error` is 0, otherwise the Sobol points of one scrambling.

        The Gauss rule has ceil(nodes / k^(1/3))³ points in each of k tetrahedra. There are
        min(nodes³, 2^20) Sobol points, with equal weights.
        """
        nodes = integer("nodes", nodes)
        if self._tetrahedra is None:
            return equal_weights(self, nodes)
        each = math.ceil(nodes / len(self._tetrahedra) ** (1 / 3) - 1e-9)
        coords, weights = solid_rule(self._tetrahedra, each)
        return Points(coords, self.names), weights

    def rule_error(self, nodes: int) -> float:
        return 0.0 if self._tetrahedra is not None else sampling_error(self, nodes)

    def gauss(self, n: int) -> Points:
        """Return the points of the smallest rule with at least n points.

        If there are no tetrahedra, or more than n, they are n Sobol points.
        """
        if self._tetrahedra is None or len(self._tetrahedra) > n:
            return self.place(n, sobol(0))[:n]
        return super().gauss(n)

    def _filled(self, cells: Any) -> Tensor:
        """Return tetrahedra (k, 4), whose volumes must be > 0 and have the solid's as their sum."""
        found = table("cells", cells, torch.long, 4)
        check_indices("cells", found, len(self.vertices))
        each = volumes(self.vertices[found])
        if not (each > 0).all() or abs(each.sum().item() - self.measure) > 1e-9 * self.measure:
            raise InputError(
                "cells must be tetrahedra with volumes > 0 that fill the solid, whose volume is "
                f"{self.measure:g}, got volumes from {each.min():.3g} with the sum {each.sum():g}"
            )
        return found

    @cached_property
    def creases(self) -> Creases:
        """Edges at which neighbouring triangles turn inwards by more than 40 degrees."""
        sharp = math.radians(40)
        edges, turns = edge_turns(self.vertices, self.faces)
        inward = turns > sharp
        segments = self.vertices[edges[inward]]
        low, high = self.bounds
        size = float((high - low).norm())
        ends = segments.flatten(0, 1)
        return Creases.of(segments, math.pi + turns[inward], ends, self.contains, size)

    @cached_property
    def _corners(self) -> Tensor:
        return self.vertices[self.faces]

    @cached_property
    def _tetrahedra(self) -> Tensor | None:
        """The corners (k, 4, 3) of tetrahedra that fill the solid; None if none are known."""
        if self.cells is not None:
            return self.vertices[self.cells]
        triangles = self._corners[area_vectors(self._corners).norm(dim=1) > 0]
        # With more triangles the linear program would take longer than a second.
        if len(triangles) > 20_000:
            return None
        vectors = area_vectors(triangles)
        center = star_center(triangles, vectors / vectors.norm(dim=1, keepdim=True))
        if center is None:
            return None
        return torch.cat([center.expand(len(triangles), 1, 3), triangles], dim=1)
