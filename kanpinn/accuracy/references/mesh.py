"""Triangular meshes whose boundary edges belong to curves."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.spatial import cKDTree
from skfem import MeshTri1

from kanpinn.geometry import Curve


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
