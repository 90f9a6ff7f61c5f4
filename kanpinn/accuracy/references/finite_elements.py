"""A finite element solution that can be evaluated at any points."""

import numpy as np
import torch
from matplotlib.tri import Triangulation
from scipy.spatial import cKDTree
from skfem import CellBasis

from kanpinn.accuracy.references.mesh import CurvedMesh
from kanpinn.accuracy.references.reference import Reference
from kanpinn.geometry import Points
from kanpinn.jets import Channels, Jet


class FiniteElements(Reference):
    """A finite element solution u = Σ values_i φ_i.

    Args:
        mesh: the triangles.
        basis: scikit-fem's basis functions φ_i on them.
        values: the coefficients of the basis functions, (unknowns,).

    Attributes:
        error: the estimated relative L2 error; None before it has been estimated.
        gradient_error: the estimated relative H1 error; None before it has been estimated.
    """

    error: float | None = None
    gradient_error: float | None = None

    def __init__(self, mesh: CurvedMesh, basis: CellBasis, values: np.ndarray) -> None:
        self.mesh, self.basis, self.values = mesh, basis, values
        degree = basis.elem.maxdeg
        self.source = f"finite elements of degree {degree} with {len(values)} unknowns"
        self._finder = Triangulation(
            mesh.vertices[:, 0], mesh.vertices[:, 1], mesh.cells
        ).get_trifinder()
        self._rim = np.unique(mesh.places[:, 0])
        self._tree = cKDTree(mesh.vertices[mesh.cells[self._rim]].mean(axis=1))

    def jet(self, points: Points, channels: Channels) -> Jet:
        coords = points.coords.detach().cpu().double().numpy()
        chunk = 2**13  # points evaluated at once, to bound the memory
        parts = [self._evaluate(coords[i : i + chunk]) for i in range(0, len(coords), chunk)]
        value, slope = (torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True))
        gradient = slope[..., None] if channels.gradient else None
        return Jet(channels, value[:, None], gradient).map(lambda t: t.to(points.coords))

    def _evaluate(self, coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values (n,) and gradients (n, 2) at points (n, 2)."""
        basis, cells = self.basis, self._cells(coords)
        X = basis.mapping.invF(coords.T[:, :, None], cells)
        inverse = basis.mapping.invDF(X, cells)
        value, slope = np.zeros(len(coords)), np.zeros((2, len(coords)))
        for i in range(basis.Nbfun):
            phi, dphi = basis.elem.lbasis(X, i)
            factor = self.values[basis.element_dofs[i, cells]]
            value += factor * phi[:, 0]
            slope += factor * dphi[..., 0]
        return value, np.einsum("ijn,in->nj", inverse[..., 0], slope)

    def _cells(self, coords: np.ndarray) -> np.ndarray:
        """Return the triangle of each point, (n,).

        A point between a curved boundary edge and its chord belongs to the triangle of that chord.
        """
        cells = np.asarray(self._finder(coords[:, 0], coords[:, 1]), dtype=int)
        outside = np.flatnonzero(cells < 0)
        if len(outside):
            count = min(8, len(self._rim))  # candidate boundary triangles for each point
            near = self._rim[self._tree.query(coords[outside], count)[1]]
            near = near.reshape(len(outside), -1)
            cells[outside] = near[np.arange(len(outside)), self._excess(coords[outside], near)]
        return cells

    def _excess(self, coords: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Return which of k triangles (n, k) is nearest to each point, (n,).

        The distance outside a triangle is its size times the most negative barycentric coordinate.
        """
        mesh = self.mesh
        corners = mesh.vertices[mesh.cells[near]]
        frame = np.stack([corners[:, :, i] - corners[:, :, 0] for i in (1, 2)], axis=3)
        xy = np.linalg.solve(frame, (coords[:, None] - corners[:, :, 0])[..., None])[..., 0]
        shares = np.concatenate([1 - xy.sum(axis=2, keepdims=True), xy], axis=2)
        size = np.sqrt(np.abs(np.linalg.det(frame)))
        return (shares.min(axis=2) * size).argmax(axis=1)
