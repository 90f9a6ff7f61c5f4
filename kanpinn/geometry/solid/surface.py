"""Solids given by the triangles of their surface, as STL files hold them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kanpinn._support.errors import integer
from kanpinn._support.shapes import Coords, Mask, Vector, Weights
from kanpinn.geometry.boundary import Boundary
from kanpinn.geometry.domain import Domain
from kanpinn.geometry.points import Points
from kanpinn.geometry.quadrature import equal_weights, sampling_error, sobol
from kanpinn.geometry.solid.ball import coordinate_names
from kanpinn.geometry.solid.meshes import (
    check_closed,
    load_mesh,
    outward,
    proper_triangles,
    smooth_pieces,
    table,
)
from kanpinn.geometry.solid.patch import Patch
from kanpinn.geometry.solid.triangles import area_vectors, cone_rule, enclosed_volume, star_center
from kanpinn.geometry.solid.winding import enclosed, near


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Surface(Domain):
    """The solid inside a closed surface of triangles; `Surface.read("part.stl")` reads one.

    Its measure is exact. Where some point inside sees the whole surface, as in convex solids,
    `quadrature` is a Gauss rule on the tetrahedra from there, otherwise one of Sobol points.

    Args:
        vertices: (v, 3) finite numbers.
        faces: (f, 3) numbers of vertices, each triangle counter-clockwise seen from outside or all
            of them clockwise.
        names: of the coordinates.
        name: of the only piece of the boundary.
        sharp: degrees; edges bent by more divide the boundary into "facet_0", "facet_1", ...

    Raises:
        InputError: where the arrays do not fit, or the surface is not closed, turns its triangles
            both ways, or encloses nothing.
    """

    vertices: Tensor
    faces: Tensor
    axes: tuple[str, ...]
    parts: tuple[tuple[str, Tensor], ...]

    def __init__(
        self,
        vertices: Any,
        faces: Any,
        *,
        names: Sequence[str] | None = None,
        name: str = "surface",
        sharp: float | int | None = None,
    ) -> None:
        points = table("vertices", vertices, torch.float64)
        triangles = proper_triangles(table("faces", faces, torch.long), len(points))
        check_closed(triangles)
        triangles = outward(points, triangles)
        object.__setattr__(self, "vertices", points)
        object.__setattr__(self, "faces", triangles)
        object.__setattr__(self, "axes", coordinate_names(names, 3))
        object.__setattr__(self, "parts", smooth_pieces(points, triangles, name, sharp))

    @classmethod
    def read(cls, path: str | Path, **options: Any) -> "Surface":
        """The solid in an STL file, or another one that trimesh reads (`[geometry3d]`).

        Args:
            path: of the file.
            options: `names`, `name` and `sharp`, as above.

        Raises:
            InputError: where the file cannot be read, trimesh is missing, or as above.
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
        """Which points (n, 3) lie inside, by winding numbers; those on the surface fall either way.

        A tolerance adds those within it of the surface, or takes them away.
        """
        vertices, faces = self.vertices.to(coords), self.faces.to(coords.device)
        inside = enclosed(coords, vertices, faces)
        if not tolerance:
            return inside
        close = near(coords, vertices, faces, abs(tolerance))
        return inside | close if tolerance > 0 else inside & ~close

    def quadrature(self, nodes: int) -> tuple[Points, Weights]:
        """A Gauss rule where `rule_error` is 0, otherwise the Sobol points of one scrambling.

        The nodes per axis are shared by the f triangles: each tetrahedron has (nodes / f^(1/3))³
        points, rounded up. Of Sobol points there are nodes³, at most 2^20, with equal weights.
        """
        nodes = integer("nodes", nodes)
        if self._center is None:
            return equal_weights(self, nodes)
        each = math.ceil(nodes / len(self._solid) ** (1 / 3) - 1e-9)
        coords, weights = cone_rule(self._solid, self._center, each)
        return Points(coords, self.names), weights

    def rule_error(self, nodes: int) -> float:
        return 0.0 if self._center is not None else sampling_error(self, nodes)

    def gauss(self, n: int) -> Points:
        return self.place(n, sobol(0))[:n] if self._center is None else super().gauss(n)

    @cached_property
    def _corners(self) -> Tensor:
        return self.vertices[self.faces]

    @cached_property
    def _solid(self) -> Tensor:
        """The corners (f, 3, 3) of the triangles that have an area."""
        return self._corners[area_vectors(self._corners).norm(dim=1) > 0]

    @cached_property
    def _center(self) -> Tensor | None:
        """A point inside from which the whole surface is visible; None where none is known."""
        # For more triangles the linear program would take longer than a second.
        if len(self._solid) > 20_000:
            return None
        vectors = area_vectors(self._solid)
        return star_center(self._solid, vectors / vectors.norm(dim=1, keepdim=True))
