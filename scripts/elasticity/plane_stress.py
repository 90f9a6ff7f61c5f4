"""Plane stress by finite elements of degree 4 on triangles with exact arcs."""

from dataclasses import dataclass

import numpy
import torch
from numpy import ndarray
from numpy.polynomial.legendre import leggauss
from skfem import BilinearForm, CellBasis, ElementTriP4, ElementVector, MeshTri1, condense, solve
from skfem.helpers import ddot, sym_grad, trace

from kanpinn.accuracy.references.finite_elements import Blending, FiniteElements
from kanpinn.accuracy.references.meshing import CurvedMesh, mesh_of, velocity
from kanpinn.geometry import Planar, Points
from kanpinn.jets import Channels


@dataclass(frozen=True)
class Displacements:
    """Two fields on one mesh.

    Args:
        u, v: the displacements along x and y.
    """

    u: FiniteElements
    v: FiniteElements

    def __call__(self, points: Points) -> ndarray:
        """Return values and slopes u, v, u_x, u_y, v_x, v_y at n points, (n, 6)."""
        channels = Channels(points.names, gradient=True)
        jets = [field.jet(points, channels) for field in (self.u, self.v)]
        slopes = [jet.gradient[..., 0] for jet in jets if jet.gradient is not None]
        return torch.cat([*(jet.value for jet in jets), *slopes], dim=1).numpy()


def plane_stress(
    domain: Planar, size: float, poisson_ratio: float, fixed: str, loaded: str, load: float
) -> Displacements:
    """Solve for the displacements of a body that is fixed on some curves and loaded on others.

    Args:
        domain: the body.
        size: the length of the elements' edges.
        poisson_ratio: ν; Young's modulus is 1.
        fixed: the name of the curves on which the displacements are 0.
        loaded: the name of those with the traction (0, -load); the others are free.
        load: the load per length.
    """
    mesh = mesh_of(domain, size)
    straight, mapping = mesh.straight, Blending(mesh)
    element = ElementVector(ElementTriP4())
    basis = CellBasis(straight, element, mapping=mapping, intorder=10)

    @BilinearForm
    def stiffness(u, v, _):
        strain, test = sym_grad(u), sym_grad(v)
        traces = poisson_ratio * trace(strain) * trace(test)
        return ((1 - poisson_ratio) * ddot(strain, test) + traces) / (1 - poisson_ratio**2)

    names = numpy.array([curve.name for curve in mesh.curves])[mesh.owners]
    work = _work(mesh, basis, numpy.flatnonzero(names == loaded), load)
    held = basis.get_dofs(facets=_facets(straight, mesh.edges[names == fixed]))
    found = solve(*condense(stiffness.assemble(basis), work, D=held))
    plain = CellBasis(straight, ElementTriP4(), mapping=mapping, intorder=10)
    fields = []
    for component in (0, 1):
        values = numpy.zeros(plain.N)
        values[plain.element_dofs] = found[basis.element_dofs[component::2]]
        fields.append(FiniteElements(mesh, plain, values))
    return Displacements(*fields)


def _facets(straight: MeshTri1, edges: ndarray) -> ndarray:
    """Return the numbers of scikit-fem's edges that join the same nodes, (n,); edges: (n, 2)."""
    numbers = {tuple(sorted(pair)): i for i, pair in enumerate(straight.facets.T.tolist())}
    return numpy.array([numbers[tuple(sorted(pair))] for pair in edges.tolist()])


def _work(mesh: CurvedMesh, basis: CellBasis, edges: ndarray, load: float) -> ndarray:
    """Return the work of the traction (0, -load) on boundary edges for each basis function."""
    share, weights = ((part + shift) / 2 for part, shift in zip(leggauss(8), (1, 0), strict=True))
    corners = numpy.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    total = numpy.zeros(basis.N)
    for edge in edges:
        cell, a, b = mesh.places[edge]
        first, last = mesh.spans[edge]
        curve = mesh.curves[mesh.owners[edge]]
        along = velocity(curve, first + (last - first) * share) * (last - first)
        lengths = weights * numpy.hypot(*along.T)
        at = numpy.outer(corners[a], 1 - share) + numpy.outer(corners[b], share)
        for i in range(1, basis.Nbfun, 2):  # those of v
            values, _ = ElementTriP4().lbasis(at, i // 2)
            total[basis.element_dofs[i, cell]] -= load * (values * lengths).sum()
    return total
