"""Meshes of triangles with curved edges on the curves of a planar domain."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from scipy.spatial import Delaunay, cKDTree
from skfem import MeshTri1

from kanpinn._support.errors import NumericalError
from kanpinn.geometry import Curve, Planar


@dataclass(frozen=True, eq=False)
class CurvedMesh:
    """A triangular mesh of a planar domain.

    curves: the curves that bound the domain. vertices: coordinates, (n, 2). cells: the vertex
    indices of each triangle, ascending, (t, 3). edges: the vertex indices of each boundary edge,
    (b, 2). owners: the index of the curve on which each boundary edge lies, (b,). spans: the
    curve's parameters at the two vertices of each boundary edge, (b, 2).
    """

    curves: tuple[Curve, ...]
    vertices: np.ndarray
    cells: np.ndarray
    edges: np.ndarray
    owners: np.ndarray
    spans: np.ndarray

    @property
    def straight(self) -> MeshTri1:
        """The mesh with straight edges, for scikit-fem."""
        return MeshTri1(np.ascontiguousarray(self.vertices.T), np.ascontiguousarray(self.cells.T))

    def refined(self, marked: np.ndarray | None = None) -> "CurvedMesh":
        """Return a refined mesh, whose new boundary vertices lie on the curves.

        Args:
            marked: the indices of the triangles to refine; their neighbours are divided where
                conformity requires it. None divides every triangle into four.
        """
        fine = self.straight.refined() if marked is None else self.straight.refined(marked)
        vertices, n = fine.p.T.copy(), len(self.vertices)
        parents = self._parents(fine, n)
        edges, owners, spans = [], [], []
        known = {tuple(sorted(e)): i for i, e in enumerate(self.edges.tolist())}
        for a, b in fine.facets[:, fine.boundary_facets()].T.tolist():
            new = b if b >= n else a  # a new vertex is the midpoint of the parent of its edges
            parent = parents[new] if new >= n else known[min(a, b), max(a, b)]
            ends, span = self.edges[parent], self.spans[parent]
            edges.append((a, b))
            owners.append(self.owners[parent])
            spans.append([span.mean() if v >= n else span[ends == v][0] for v in (a, b)])
        found = CurvedMesh(
            self.curves,
            vertices,
            fine.t.T.copy(),
            np.array(edges),
            np.array(owners),
            np.array(spans),
        )
        found._snap(n)
        return found

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

    def _parents(self, fine: MeshTri1, n: int) -> dict[int, int]:
        """Return, for each new boundary vertex, the edge of this mesh whose midpoint it is."""
        new = np.unique(fine.facets[:, fine.boundary_facets()])
        new = new[new >= n]
        if not len(new):
            return {}
        middles = self.vertices[self.edges].mean(axis=1)
        _, parents = cKDTree(middles).query(fine.p.T[new])
        return dict(zip(new.tolist(), parents.tolist(), strict=True))

    def _snap(self, n: int) -> None:
        """Move the boundary vertices with indices ≥ n onto their curves."""
        for number in np.unique(self.owners):
            mine = self.owners == number
            vertices, spans = self.edges[mine].ravel(), self.spans[mine].ravel()
            new = vertices >= n
            self.vertices[vertices[new]] = at(self.curves[number], spans[new])


def at(curve: Curve, t: np.ndarray | float) -> np.ndarray:
    """Return the curve's points (*, 2) at parameters of any shape (*)."""
    flat = torch.as_tensor(np.asarray(t, dtype=np.float64).ravel())
    return curve.at(flat).numpy().reshape(*np.shape(t), 2)


def velocity(curve: Curve, t: np.ndarray | float) -> np.ndarray:
    """Return the curve's derivatives γ' (*, 2) at parameters of any shape (*)."""
    flat = torch.as_tensor(np.asarray(t, dtype=np.float64).ravel())
    return curve.velocity(flat).numpy().reshape(*np.shape(t), 2)


def mesh_of(domain: Planar, size: float) -> CurvedMesh:
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
    """A mesh that is being refined: vertices, and boundary edges as in `CurvedMesh`."""

    domain: Planar
    size: float
    vertices: np.ndarray = field(init=False)
    edges: np.ndarray = field(init=False)
    owners: np.ndarray = field(init=False)
    spans: np.ndarray = field(init=False)
    joints: int = field(init=False)  # the first `joints` vertices are ends of curves

    def __post_init__(self) -> None:
        curves = self.domain.curves
        ends = np.array([end for c in curves for end in (c.start, c.stop)], dtype=np.float64)
        near = np.abs(ends[:, None] - ends[None]).max(axis=2) <= 1e-9 * self.domain.scale
        firsts, which = np.unique(near.argmax(axis=1), return_inverse=True)
        vertices, self.joints = [*ends[firsts]], len(firsts)
        edges: list[tuple[int, int]] = []
        spans: list[tuple[float, float]] = []
        owners: list[int] = []
        for number, curve in enumerate(curves):
            t = _division(curve, self.size)
            inner = list(range(len(vertices), len(vertices) + len(t) - 2))
            vertices += [*at(curve, t[1:-1])]
            chain = [which[2 * number], *inner, which[2 * number + 1]]
            edges += pairwise(chain)
            spans += pairwise(t)
            owners += [number] * (len(t) - 1)
        self.vertices, self.edges = np.array(vertices), np.array(edges)
        self.owners, self.spans = np.array(owners), np.array(spans)

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

    def finished(self) -> CurvedMesh:
        """Return the mesh of the triangles inside the domain.

        Raises:
            NumericalError: if its boundary edges differ from those of the draft.
        """
        cells = self._triangles()
        used, numbers = np.unique(cells, return_inverse=True)
        new = np.full(len(self.vertices), -1)
        new[used] = np.arange(len(used))
        edges = new[self.edges]
        mesh = CurvedMesh(
            self.domain.curves,
            self.vertices[used],
            np.sort(numbers.reshape(cells.shape), axis=1),
            edges,
            self.owners,
            self.spans,
        )
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
        (ax, ay), (bx, by) = self.vertices[self.edges].transpose(1, 2, 0)
        winding = []
        for part in np.array_split(points, max(1, len(points) * len(ax) // 2**21)):  # memory
            x, y = part[:, :1], part[:, 1:]
            up, down = (ay <= y) & (by > y), (by <= y) & (ay > y)
            left = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            winding.append((up & (left > 0)).sum(axis=1) - (down & (left < 0)).sum(axis=1))
        return np.concatenate(winding) > 0

    def _encroached(self, points: np.ndarray | None = None) -> np.ndarray:
        """Return which boundary edges are encroached upon, (b,).

        points: (n, 2), the points that may encroach; by default the vertices.
        """
        ends = self.vertices[self.edges]
        middles, radii = ends.mean(axis=1), np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / 2
        if points is not None:
            distance = cKDTree(points).query(middles)[0]
            return distance < radii * (1 - 1e-9)
        distance = cKDTree(self.vertices).query(middles)[0]
        return distance < radii * (1 - 1e-9)

    def _halve(self, which: np.ndarray) -> None:
        """Divide boundary edges in two.

        which: (b,), True for the edges to divide. An edge with exactly one end at a joint of curves
        is divided at a distance size · 2^k from this joint, so that edges that meet at a sharp
        corner become equally long and do not encroach upon each other. Other edges are halved.
        """
        spans, ends = self.spans[which], self.edges[which]
        corner = ends < self.joints
        lengths = np.linalg.norm(np.diff(self.vertices[ends], axis=1)[:, 0], axis=1)
        share = self.size * 2.0 ** np.round(np.log2(lengths / 2 / self.size)) / lengths
        share = np.where(corner[:, 0], share, 1 - share)
        share = np.where(corner.sum(axis=1) == 1, share, 0.5)
        t = spans[:, 0] + share * (spans[:, 1] - spans[:, 0])
        owners = self.owners[which]
        curves = [self.domain.curves[number] for number in owners]
        points = np.array([at(curve, x) for curve, x in zip(curves, t, strict=True)])
        new = len(self.vertices) + np.arange(len(t))
        self.vertices = np.concatenate([self.vertices, points])
        halves = [np.stack([ends[:, 0], new], 1), np.stack([new, ends[:, 1]], 1)]
        self.edges = np.concatenate([self.edges[~which], *halves])
        halves = [np.stack([spans[:, 0], t], 1), np.stack([t, spans[:, 1]], 1)]
        self.spans = np.concatenate([self.spans[~which], *halves])
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
    """Return parameters that divide a curve into parts of length ≤ `size` that turn by ≤ 30°."""
    t = curve.even(torch.linspace(0, 1, samples + 1, dtype=torch.float64)).numpy()
    along = velocity(curve, t)
    angles = np.unwrap(np.arctan2(along[:, 1], along[:, 0]))
    cost = np.maximum(curve.measure / samples / size, np.abs(np.diff(angles)) / (math.pi / 6))
    closed = math.dist(curve.start, curve.stop) < 1e-9 * curve.measure
    count = max(1 + 2 * closed, math.ceil(cost.sum() - 1e-9))
    reached = np.concatenate([[0], np.cumsum(cost)])
    inner = np.interp(np.linspace(0, reached[-1], count + 1)[1:-1], reached, t)
    return np.array([0.0, *inner, 1.0])


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
