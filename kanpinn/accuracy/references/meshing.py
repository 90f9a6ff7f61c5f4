"""Meshes of triangles whose boundary vertices lie on the curves of a planar domain."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import shapely
import torch
from scipy.spatial import Delaunay, cKDTree
from skfem import MeshTri1

from kanpinn._support.errors import NumericalError
from kanpinn.geometry import Curve, Planar


@dataclass(frozen=True, eq=False)
class PlanarMesh:
    """A triangular mesh of a planar domain.

    Args:
        curves: the curves that bound the domain.
        vertices: coordinates, (n, 2).
        cells: the vertex indices of each triangle, ascending, (t, 3).
        edges: the vertex indices of each boundary edge, in the direction of its curve, (b, 2).
        owners: the index of the curve of each boundary edge, (b,).
    """

    curves: tuple[Curve, ...]
    vertices: np.ndarray
    cells: np.ndarray
    edges: np.ndarray
    owners: np.ndarray

    @property
    def straight(self) -> MeshTri1:
        """The mesh for scikit-fem."""
        return MeshTri1(np.ascontiguousarray(self.vertices.T), np.ascontiguousarray(self.cells.T))

    def refined(self, marked: np.ndarray | None = None) -> "PlanarMesh":
        """Return a refined mesh, whose new boundary vertices lie on the curves.

        Args:
            marked: the indices of the triangles to refine; their neighbours are divided where
                conformity requires it. None divides every triangle into four.
        """
        fine = self.straight.refined() if marked is None else self.straight.refined(marked)
        vertices, n = fine.p.T.copy(), len(self.vertices)
        new = np.unique(fine.facets[:, fine.boundary_facets()])
        new = new[new >= n]
        # A new boundary vertex is the midpoint of an edge of this mesh, which it divides.
        middle = np.full(len(self.edges), -1)
        middle[cKDTree(self.vertices[self.edges].mean(axis=1)).query(vertices[new])[1]] = new
        whole, (a, b) = middle < 0, self.edges[middle >= 0].T
        halves, owners = middle[~whole], self.owners[~whole]
        edges = [self.edges[whole], np.stack([a, halves], 1), np.stack([halves, b], 1)]
        for number in np.unique(owners):
            here = halves[owners == number]
            vertices[here] = projected(self.curves[number], vertices[here])
        owners = np.concatenate([self.owners[whole], owners, owners])
        return PlanarMesh(self.curves, vertices, fine.t.T.copy(), np.concatenate(edges), owners)

    def touching(self, vertex: int) -> np.ndarray:
        """Return the indices of the triangles that have this vertex."""
        return np.flatnonzero((self.cells == vertex).any(axis=1))

    @cached_property
    def places(self) -> np.ndarray:
        """The triangle of each boundary edge and which of its corners are the ends, (b, 3)."""
        sides = np.sort(self.cells[:, [[0, 1], [1, 2], [0, 2]]], axis=2).reshape(-1, 2)
        known = {pair: i // 3 for i, pair in enumerate(map(tuple, sides.tolist()))}
        cells = np.array([known[min(a, b), max(a, b)] for a, b in self.edges.tolist()])
        corners = self.cells[cells][:, None] == self.edges[:, :, None]
        return np.concatenate([cells[:, None], corners.argmax(axis=2)], axis=1)


def projected(curve: Curve, points: np.ndarray) -> np.ndarray:
    """Return the nearest points on a curve, of any shape (*, 2)."""
    flat = torch.from_numpy(np.ascontiguousarray(points.reshape(-1, 2)))
    return curve.nearest(flat).numpy().reshape(points.shape)


def mesh_of(domain: Planar, size: float) -> PlanarMesh:
    """Return a mesh with edges not much longer than `size`, shorter where the boundary needs it.

    Args:
        domain: the domain, which is planar.
        size: a length, in the units of the coordinates.
    Raises:
        NumericalError: if refinement takes more than 400 rounds, or 50,000 vertices.
    """
    draft = Draft(domain, size)
    for _ in range(400):
        if not draft.improve():
            return draft.finished()
        if len(draft.vertices) > 50_000:
            break
    raise NumericalError(
        f"{domain!r} takes more than {len(draft.vertices)} vertices to be meshed: "
        "its boundary comes too close to itself, or size is too small"
    )


@dataclass
class Draft:
    """A mesh that is being refined: vertices, and boundary edges as in `PlanarMesh`."""

    domain: Planar
    size: float
    vertices: np.ndarray = field(init=False)
    edges: np.ndarray = field(init=False)
    owners: np.ndarray = field(init=False)
    joints: int = field(init=False)  # the first `joints` vertices are ends of curves

    def __post_init__(self) -> None:
        curves = self.domain.curves
        ends = np.array([end for c in curves for end in (c.start, c.stop)], dtype=np.float64)
        near = np.abs(ends[:, None] - ends[None]).max(axis=2) <= 1e-9 * self.domain.scale
        firsts, which = np.unique(near.argmax(axis=1), return_inverse=True)
        vertices, self.joints = [*ends[firsts]], len(firsts)
        edges: list[tuple[int, int]] = []
        owners: list[int] = []
        for number, curve in enumerate(curves):
            points = _division(curve, self.size)
            inner = range(len(vertices), len(vertices) + len(points))
            vertices += [*points]
            chain = [which[2 * number], *inner, which[2 * number + 1]]
            edges += pairwise(chain)
            owners += [number] * (len(points) + 1)
        self.vertices, self.edges = np.array(vertices), np.array(edges)
        self.owners = np.array(owners)

    def improve(self) -> bool:
        """Do one round of refinement; return False if there was nothing to refine."""
        if (crowded := self._encroached()).any():
            self._halve(crowded)
            return True
        cells = self._triangles()
        centers, radii, shortest = _circles(self.vertices[cells])
        bad = (radii > 1.3 * shortest) & ~self._sharp(cells)  # an angle below 23°
        bad |= radii > 0.62 * self.size  # an equilateral triangle has 0.58 times its edge
        if not bad.any():
            return False
        chosen = _apart(centers[bad], radii[bad])
        crowded = self._encroached(chosen)
        if crowded.any():
            self._halve(crowded)
            return True
        chosen = chosen[self._inside(chosen)]
        self.vertices = np.concatenate([self.vertices, chosen])
        return bool(len(chosen))

    def finished(self) -> PlanarMesh:
        """Return the mesh of the triangles inside the domain.

        Raises:
            NumericalError: if its boundary edges differ from those of the draft.
        """
        cells = self._triangles()
        used, numbers = np.unique(cells, return_inverse=True)
        new = np.full(len(self.vertices), -1)
        new[used] = np.arange(len(used))
        edges = new[self.edges]
        cells = np.sort(numbers.reshape(cells.shape), axis=1)
        mesh = PlanarMesh(self.domain.curves, self.vertices[used], cells, edges, self.owners)
        straight = mesh.straight
        rim = straight.facets[:, straight.boundary_facets()].T
        if {*map(tuple, np.sort(edges, axis=1).tolist())} != {*map(tuple, rim.tolist())}:
            raise NumericalError(f"the mesh of {self.domain!r} does not fit its boundary")
        return mesh

    def _triangles(self) -> np.ndarray:
        cells = Delaunay(self.vertices).simplices
        corners = self.vertices[cells]
        sides = corners[:, [1, 2]] - corners[:, [0]]
        area = np.abs(sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0])
        cells = cells[area > 1e-10 * np.square(sides).sum(axis=(1, 2))]
        return cells[self._inside(self.vertices[cells].mean(axis=1))]

    def _inside(self, points: np.ndarray) -> np.ndarray:
        """Return which points (n, 2) lie inside the polygon of the boundary edges, (n,)."""
        polygon = shapely.build_area(shapely.multilinestrings([*self.vertices[self.edges]]))
        shapely.prepare(polygon)
        inside: np.ndarray = shapely.contains_xy(polygon, *points.T)
        return inside

    def _encroached(self, points: np.ndarray | None = None) -> np.ndarray:
        """Return which boundary edges are encroached upon by points (n, 2), or vertices: (b,)."""
        ends = self.vertices[self.edges]
        middles, radii = ends.mean(axis=1), np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / 2
        distance, _ = cKDTree(self.vertices if points is None else points).query(middles)
        return distance < radii * (1 - 1e-9)

    def _halve(self, which: np.ndarray) -> None:
        """Divide boundary edges in two.

        which: (b,), True for the edges to divide. An edge with exactly one end at a joint of curves
        is divided at a distance size · 2^k from this joint, so that edges that meet at a sharp
        corner become equally long and do not encroach upon each other. Other edges are halved.
        """
        ends, owners = self.edges[which], self.owners[which]
        corner = ends < self.joints
        lengths = np.linalg.norm(np.diff(self.vertices[ends], axis=1)[:, 0], axis=1)
        share = self.size * 2.0 ** np.round(np.log2(lengths / 2 / self.size)) / lengths
        share = np.where(corner[:, 0], share, 1 - share)
        share = np.where(corner.sum(axis=1) == 1, share, 0.5)
        first, last = self.vertices[ends].swapaxes(0, 1)
        points = first + share[:, None] * (last - first)
        for number in np.unique(owners):
            here = owners == number
            points[here] = projected(self.domain.curves[number], points[here])
        new = len(self.vertices) + np.arange(len(points))
        self.vertices = np.concatenate([self.vertices, points])
        halves = [np.stack([ends[:, 0], new], 1), np.stack([new, ends[:, 1]], 1)]
        self.edges = np.concatenate([self.edges[~which], *halves])
        self.owners = np.concatenate([self.owners[~which], owners, owners])

    def _sharp(self, cells: np.ndarray) -> np.ndarray:
        """Return which triangles have two boundary edges, (t,).

        They fill a corner, whose angle bounds their quality.
        """
        size = len(self.vertices)
        edges = np.sort(self.edges, axis=1)
        sides = np.sort(cells[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 3, 2), axis=2)
        on = np.isin(sides @ [size, 1], edges @ [size, 1])
        return on.sum(axis=1) >= 2


def _division(curve: Curve, size: float, samples: int = 2048) -> np.ndarray:
    """Return points (n, 2) that divide a curve into parts ≤ `size` that turn by ≤ 30°."""
    t = curve.even(torch.linspace(0, 1, samples + 1, dtype=torch.float64))
    along = curve.velocity(t).numpy()
    angles = np.unwrap(np.arctan2(along[:, 1], along[:, 0]))
    cost = np.maximum(curve.measure / samples / size, np.abs(np.diff(angles)) / (math.pi / 6))
    closed = math.dist(curve.start, curve.stop) < 1e-9 * curve.measure
    count = max(1 + 2 * closed, math.ceil(cost.sum() - 1e-9))
    reached = np.concatenate([[0], np.cumsum(cost)])
    inner = np.interp(np.linspace(0, reached[-1], count + 1)[1:-1], reached, t.numpy())
    return curve.at(torch.from_numpy(inner)).numpy()


def _circles(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return circumcentres (t, 2), circumradii and shortest edges (t,) of triangles (t, 3, 2)."""
    a, (b, c) = corners[:, 0], (corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice = 2 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    bb, cc = np.square(b).sum(axis=1), np.square(c).sum(axis=1)
    offset = (
        np.stack([c[:, 1] * bb - b[:, 1] * cc, b[:, 0] * cc - c[:, 0] * bb], 1) / twice[:, None]
    )
    shortest = np.sqrt(np.minimum(np.minimum(bb, cc), np.square(b - c).sum(axis=1)))
    return a + offset, np.linalg.norm(offset, axis=1), shortest


def _apart(centers: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return centres chosen from the largest circle down, such that no circle contains another's.

    centers: (n, 2). radii: (n,).
    """
    order = np.argsort(-radii)
    centers, radii = centers[order], radii[order]
    left, chosen = np.ones(len(centers), dtype=bool), []
    tree = cKDTree(centers)
    for i in range(len(centers)):
        if left[i]:
            chosen.append(i)
            left[tree.query_ball_point(centers[i], radii[i])] = False
    return centers[chosen]
