"""The reference solution of the library's bracket, by finite elements, and the solve of its file.

What: plane stress on problems/bracket.msh by scikit-fem's elements of degree 4, on triangles with
quadratic edges along the arcs, on two meshes, whose difference is a generous estimate of the finer
one's error. The file has values and slopes at the points of a quadrature rule. The problem's file
is solved beside it: error and seconds.

How long: two minutes on one idle core; --smoke: some seconds, its file is of no use.

Writes to --output: bracket.h5, to be copied to problems/, and make_bracket_reference.json.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy
import torch
from common import script
from common.elements import bent, elasticity, relative
from common.script import PROBLEMS, solve_job
from matplotlib.tri import Triangulation
from numpy import ndarray
from scipy.spatial import cKDTree
from skfem import (
    CellBasis,
    ElementTriP1,
    ElementTriP4,
    ElementVector,
    FacetBasis,
    LinearForm,
    MeshTri,
    MeshTri2,
    condense,
    solve,
)

import kanpinn as kp
from kanpinn.geometry import Planar, Points


def nearest(domain: Planar, x: ndarray) -> tuple[ndarray, ndarray]:
    """Return the points of the boundary nearest to x (2, n), and their curves' names (n,)."""
    coords = torch.from_numpy(x.T.copy())
    near = [curve.nearest(coords).numpy() for curve in domain.curves]
    gaps = [numpy.linalg.norm(points - x.T, axis=1) for points in near]
    which = numpy.argmin(gaps, axis=0)
    names = numpy.array([curve.name for curve in domain.curves])
    return numpy.stack(near)[which, numpy.arange(len(which))].T, names[which]


def mesh_of(domain: Planar, refinements: int) -> MeshTri2:
    """Return the triangles of the bracket's Gmsh file, refined, with curved edges at the boundary.

    Each refinement divides each triangle in four. The vertices on the boundary and the middles of
    the boundary's edges are on the curves of the domain.
    """
    loaded = MeshTri.load(PROBLEMS / "bracket.msh")
    mesh, onto = MeshTri(loaded.p, loaded.t), lambda x: nearest(domain, x)[0]
    for _ in range(refinements):
        mesh = bent(mesh, mesh.refined(), mesh.boundary_facets(), onto)
    return bent(mesh, MeshTri2.from_mesh(mesh), mesh.boundary_facets(), onto)


def plane_stress(
    domain: Planar,
    refinements: int,
    points: Points,
    poisson_ratio: float,
    fixed: str,
    loaded: str,
    load: float,
) -> ndarray:
    """Solve for the displacements of a body that is fixed on some curves and loaded on others.

    Args:
        domain: the body.
        refinements: how often its triangles are divided in four.
        points: the n points at which the displacements (u, v) along x and y are wanted.
        poisson_ratio: ν; Young's modulus is 1.
        fixed: the name of the curves on which the displacements are 0.
        loaded: the name of those with the traction (0, -load); the others are free.
        load: the load per length.

    Returns:
        Values and slopes u, v, u_x, u_y, v_x, v_y at the points, (n, 6).
    """
    mesh = mesh_of(domain, refinements)
    element = ElementVector(ElementTriP4())
    basis = CellBasis(mesh, element, intorder=10)

    mu = 1 / (2 * (1 + poisson_ratio))
    stiffness = elasticity(mu, 2 * mu * poisson_ratio / (1 - poisson_ratio))
    rim = mesh.boundary_facets()
    _, names = nearest(domain, mesh.p[:, mesh.facets[:, rim]].mean(axis=1))
    pulled = FacetBasis(mesh, element, facets=rim[names == loaded], intorder=10)
    work = LinearForm(lambda v, _: -load * v[1]).assemble(pulled)
    held = basis.get_dofs(facets=rim[names == fixed])
    found = solve(*condense(stiffness.assemble(basis), work, D=held))
    return sampled(basis, found, points.coords.numpy().T)


def sampled(basis: CellBasis, found: ndarray, x: ndarray) -> ndarray:
    """Return values and slopes u, v, u_x, u_y, v_x, v_y at points x (2, n) of the mesh, (n, 6)."""
    corners = basis.mesh.p[:, basis.mesh.t]
    finder = Triangulation(basis.mesh.p[0], basis.mesh.p[1], basis.mesh.t.T).get_trifinder()
    cells = numpy.asarray(finder(*x), dtype=int)
    beyond = cells < 0  # a chord: the triangle is next to the point
    cells[beyond] = cKDTree(corners.mean(axis=1).T).query(x[:, beyond].T)[1]
    local = basis.mapping.invF(x[:, :, None], tind=cells)
    values, slopes = numpy.zeros((2, x.shape[1])), numpy.zeros((2, 2, x.shape[1]))
    for i in range(basis.Nbfun):
        (field,) = basis.elem.gbasis(basis.mapping, local, i, tind=cells)
        factors = found[basis.element_dofs[i, cells]]
        values += factors * field.value[:, :, 0]
        slopes += factors * field.grad[:, :, :, 0]
    return numpy.concatenate([values, slopes.reshape(4, -1)]).T


NAME = Path(__file__).stem
COLUMNS = ("u", "v", "u_x", "u_y", "v_x", "v_y")


def main(given: Sequence[str] | None = None) -> None:
    chosen = script.options(NAME, __doc__, given)
    domain = kp.Mesh(PROBLEMS / "bracket.msh")
    assert isinstance(domain, Planar)
    basis = CellBasis(mesh_of(domain, 0), ElementTriP1(), intorder=4)
    coords = basis.global_coordinates().value.reshape(2, -1).T.copy()
    points, weights = Points(torch.from_numpy(coords), domain.names), basis.dx.flatten()
    coarse, fine = (
        plane_stress(domain, refinements, points, 0.3, "bolts", "pin", 1.0)
        for refinements in ((0, 0) if chosen.smoke else (1, 2))
    )
    write(chosen.output / "bracket.h5", points, weights, fine)
    difference = relative((coarse - fine)[:, :2], fine[:, :2], weights)
    error, seconds = own_error(points, weights, fine, 1 if chosen.smoke else None)
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
    return relative(found - exact[:, :2], exact[:, :2], weights), seconds


if __name__ == "__main__":
    main()
