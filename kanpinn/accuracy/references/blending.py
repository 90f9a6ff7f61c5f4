"""The map from the reference triangle to triangles whose curved edges are exact.

Mesh generators and scikit-fem have isoparametric elements only, whose boundary is a polynomial. On
a disk with elements of degree 4, a quadratic boundary gives 8 to 32 times the error of this map.
"""

from collections.abc import Iterator

import numpy as np
from skfem.mapping import Mapping

from kanpinn.accuracy.references.mesh import CurvedMesh, at, velocity
from kanpinn.geometry import Segment

# The gradients of the barycentric coordinates on the reference triangle (0, 0), (1, 0), (0, 1).
SLOPES = np.array([[-1.0, -1.0], [1.0, 0.0], [0.0, 1.0]])


class Blending(Mapping):
    """x = Σ λ_i v_i + Σ λ_a λ_b d(s) / (s (1 - s)), s = (1 + λ_b - λ_a) / 2.

    λ are barycentric coordinates and v_i the vertices. The second sum is over the curved edges from
    a to b; d(s) is the vector from the chord to the curve. Boundary edges therefore lie exactly on
    the curves, and the map is as smooth as these.

    Reference: Szabó & Babuška 1991, section 6.3.
    """

    def __init__(self, mesh: CurvedMesh) -> None:
        self.mesh = mesh
        self._places = mesh.places
        self._bent = np.full((3, len(mesh.cells)), -1)  # the curved edges of each triangle
        curved = np.array([not isinstance(curve, Segment) for curve in mesh.curves])
        for edge in np.flatnonzero(curved[mesh.owners]):
            bent = self._bent[:, self._places[edge, 0]]
            bent[(bent >= 0).sum()] = edge
        self._known: tuple = (None, None, None)

    def F(self, X: np.ndarray, tind: np.ndarray | None = None) -> np.ndarray:
        """Map reference points (2, q) or (2, cells, q) to points (2, cells, q)."""
        cells, shares = self._shares(X, tind)
        x = np.einsum("eic,ieq->ceq", self.mesh.vertices[self.mesh.cells[cells]], shares)
        for rows, a, b, bump, _ in self._bumps(cells, shares):
            x[:, rows] += shares[a, rows] * shares[b, rows] * bump
        return x

    def DF(self, X: np.ndarray, tind: np.ndarray | None = None) -> np.ndarray:
        """Return the Jacobian ∂x_i / ∂X_j, (2, 2, cells, q)."""
        cells, shares = self._shares(X, tind)
        corners = self.mesh.vertices[self.mesh.cells[cells]]
        D = np.einsum("eic,ij->cje", corners, SLOPES)[..., None].repeat(shares.shape[2], axis=3)
        for rows, a, b, bump, slope in self._bumps(cells, shares):
            one, other = shares[a, rows], shares[b, rows]
            for j in range(2):
                da, db = SLOPES[a, j][:, None], SLOPES[b, j][:, None]
                D[:, j, rows] += (da * other + db * one) * bump
                D[:, j, rows] += one * other * (db - da) / 2 * slope
        return D

    def detDF(self, X: np.ndarray, tind: np.ndarray | None = None) -> np.ndarray:
        """Return the determinant of `DF`, (cells, q)."""
        D = self.DF(X, tind)
        return D[0, 0] * D[1, 1] - D[0, 1] * D[1, 0]

    def invDF(self, X: np.ndarray, tind: np.ndarray | None = None) -> np.ndarray:
        """Return the inverse Jacobian ∂X_i / ∂x_j, (2, 2, cells, q)."""
        # scikit-fem calls this once for each basis function: keep the last result.
        if self._known[0] is not X or self._known[1] is not tind:
            D = self.DF(X, tind)
            inverse = np.array([[D[1, 1], -D[0, 1]], [-D[1, 0], D[0, 0]]])
            self._known = X, tind, inverse / (D[0, 0] * D[1, 1] - D[0, 1] * D[1, 0])
        return self._known[2]

    def invF(self, x: np.ndarray, tind: np.ndarray | None = None) -> np.ndarray:
        """Return the reference points of points (2, cells, q), found by Newton's method."""
        X = np.full_like(x, 1 / 3)
        for _ in range(30):
            step = np.einsum("ijeq,jeq->ieq", self.invDF(X, tind), x - self.F(X, tind))
            X = X + step
            if np.abs(step).max(initial=0) < 1e-14:
                break
        return X

    def _shares(self, X: np.ndarray, tind: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the triangles (cells,) and the barycentric coordinates (3, cells, q) in them."""
        cells = np.arange(len(self.mesh.cells)) if tind is None else tind
        X = X if X.ndim == 3 else np.broadcast_to(X[:, None], (2, len(cells), X.shape[1]))
        return cells, np.stack([1 - X[0] - X[1], X[0], X[1]])

    def _bumps(self, cells: np.ndarray, shares: np.ndarray) -> Iterator[tuple]:
        """Yield, per curve, the terms of the second sum: rows, a, b, bump and slope.

        rows are positions in `cells`; a and b are the local vertices (rows,) of the curved edges;
        bump is d / (s (1 - s)) and slope its derivative, (2, rows, q) each.
        """
        mesh = self.mesh
        for edges in self._bent[:, cells]:
            owners = np.where(edges >= 0, mesh.owners[edges], -1)
            for number in np.unique(owners[owners >= 0]).tolist():
                rows = np.flatnonzero(owners == number)
                a, b = self._places[edges[rows], 1:].T
                s = (1 + shares[b, rows] - shares[a, rows]) / 2
                s = np.clip(s, 1e-7, 1 - 1e-7)  # at the ends of the edge it would be 0 / 0
                bump, slope = _bump(mesh, edges[rows], s, number)
                yield rows, a, b, bump, slope


def _bump(
    mesh: CurvedMesh, edges: np.ndarray, s: np.ndarray, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return d / (s (1 - s)) and its derivative by s, (2, edges, q), on edges of one curve.

    s: (edges, q). number: the index of the curve.
    """
    (first, last), (start, stop) = (
        mesh.spans[edges].T,
        mesh.vertices[mesh.edges[edges]].swapaxes(0, 1),
    )
    t, width = first[:, None] + s * (last - first)[:, None], (last - first)[:, None, None]
    chord = (stop - start)[:, None]
    d = at(mesh.curves[number], t) - start[:, None] - s[..., None] * chord
    slope = width * velocity(mesh.curves[number], t) - chord
    w = (1 / (s * (1 - s)))[..., None]
    steep = slope * w - d * (1 - 2 * s)[..., None] * w**2
    return np.moveaxis(d * w, 2, 0), np.moveaxis(steep, 2, 0)
