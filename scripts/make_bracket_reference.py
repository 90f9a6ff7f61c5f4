"""The reference solution of the library's bracket, by finite elements, and the solve of its file.

What: plane stress on problems/bracket.msh by scikit-fem's elements of degree 4, on triangles whose
edges follow the arcs, on two meshes, whose difference is a generous estimate of the finer one's
error. The file has values and slopes at the points of a quadrature rule. problems/bracket.toml is
solved beside it: error and seconds.

How long: two minutes on one idle core; --smoke: some seconds, its file is of no use.

Writes to --output: bracket.h5, to be copied to problems/, and make_bracket_reference.json.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy
import torch
from common import script
from common.script import PROBLEMS, solve_job
from numpy import ndarray
from numpy.polynomial.legendre import leggauss
from skfem import (
    BilinearForm,
    CellBasis,
    ElementTriP4,
    ElementVector,
    MappingIsoparametric,
    condense,
    solve,
)
from skfem.helpers import ddot, sym_grad, trace

import kanpinn as kp
from kanpinn.accuracy.references.finite_elements import (
    FiniteElements,
    PlanarMesh,
    curved,
    edge_points,
    mesh_of,
)
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
    triangles = curved(mesh)
    mapping = MappingIsoparametric(triangles, ElementTriP4())
    element = ElementVector(ElementTriP4())
    basis = CellBasis(triangles, element, mapping=mapping, intorder=10)

    @BilinearForm
    def stiffness(u, v, _):
        strain, test = sym_grad(u), sym_grad(v)
        traces = poisson_ratio * trace(strain) * trace(test)
        return ((1 - poisson_ratio) * ddot(strain, test) + traces) / (1 - poisson_ratio**2)

    names = numpy.array([curve.name for curve in mesh.curves])[mesh.owners]
    plain = CellBasis(triangles, ElementTriP4(), mapping=mapping, intorder=10)
    held = basis.get_dofs(facets=mesh.triangles.boundary_facets()[names == fixed])
    work = numpy.zeros(basis.N)
    work[basis.element_dofs[1::2]] = _pull(mesh, plain, loaded, load)[plain.element_dofs]
    found = solve(*condense(stiffness.assemble(basis), work, D=held))
    fields = []
    for component in (0, 1):
        values = numpy.zeros(plain.N)
        values[plain.element_dofs] = found[basis.element_dofs[component::2]]
        fields.append(FiniteElements(mesh, plain, values))
    return Displacements(*fields)


def _pull(mesh: PlanarMesh, basis: CellBasis, loaded: str, load: float) -> ndarray:
    """Return the work of the traction (0, -load) on some curves for each basis function of v."""
    share, weights = ((part + shift) / 2 for part, shift in zip(leggauss(8), (1, 0), strict=True))
    total = numpy.zeros(basis.N)
    for number, curve in enumerate(mesh.curves):
        if curve.name == loaded:
            cells, places, _, speeds = edge_points(mesh, basis, number, share)
            phi = numpy.array([basis.elem.lbasis(places, i)[0] for i in range(basis.Nbfun)])
            work = -load * numpy.einsum("ieq,eq->ie", phi, weights * speeds)
            numpy.add.at(total, basis.element_dofs[:, cells], work)
    return total


NAME = Path(__file__).stem
COLUMNS = ("u", "v", "u_x", "u_y", "v_x", "v_y")


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(NAME, __doc__, given)
    domain = kp.Mesh(PROBLEMS / "bracket.msh")
    assert isinstance(domain, Planar)
    points, weights = domain.quadrature(16)
    coarse, fine = (
        plane_stress(domain, size, 0.3, "bolts", "pin", 1.0)(points)
        for size in ((0.5, 0.4) if chosen.smoke else (0.1, 0.05))
    )
    write(chosen.output / "bracket.h5", points, weights.numpy(), fine)
    difference = relative(coarse - fine, fine, weights.numpy())
    error, seconds = own_error(points, weights.numpy(), fine, 1 if chosen.smoke else None)
    print(f"two meshes: {difference:.1e}; cells: {error:.1e} in {seconds:.0f} s")
    limits = {
        "relative L2 difference of two meshes": (difference, 2e-5),
        "relative L2 error of cells": (error, 1e-4),
        "seconds of cells": (seconds, 120.0),
    }
    figures: dict[str, script.Verdict] = {
        what: script.verdict(value, f"<= {limit:g}", None if chosen.smoke else value <= limit)
        for what, (value, limit) in limits.items()
    }
    script.write_verdicts(chosen.output / f"{NAME}.json", figures)


def write(path: Path, points: Points, weights: ndarray, values: ndarray) -> None:
    """Write the reference's file: coordinates, weights, values and slopes."""
    with h5py.File(path, "w") as file:
        names = (*points.names, "weight", *COLUMNS)
        for one, column in zip(names, (*points.coords.T, weights, *values.T), strict=True):
            data = numpy.asarray(column)
            file.create_dataset(one, data=data, compression="gzip", shuffle=True)


def relative(errors: ndarray, exact: ndarray, weights: ndarray) -> float:
    """Return the relative L2 norm of the first two columns of errors."""
    squares = [(weights @ part[:, :2] ** 2).sum() for part in (errors, exact)]
    return float((squares[0] / squares[1]) ** 0.5)


def own_error(
    points: Points, weights: ndarray, exact: ndarray, steps: int | None
) -> tuple[float, float]:
    """Return the error of the solve of the problem's file, and its seconds.

    steps: the largest number of solves; None for as many as it takes.
    """
    method = f'optimizer=[{{type = "adaptive_least_squares", tolerance = 2e-5, steps = {steps}}}]'
    pairs = [] if steps is None else [method, "network.degree=5"]
    job = solve_job("bracket", pairs)
    started = time.perf_counter()
    solution = job.run(())
    seconds = time.perf_counter() - started
    found = solution(torch.as_tensor(points.coords)).numpy()
    return relative(found - exact[:, :2], exact, weights), seconds


if __name__ == "__main__":
    main()
