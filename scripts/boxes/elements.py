"""Quartic triangles by scikit-fem, refined where their true error is largest."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from boxes.problems import Case, Weak
from skfem import Basis, BilinearForm, ElementTriP4, LinearForm, MeshTri, condense, solve
from skfem.helpers import dot, grad

from kanpinn.geometry import Points

ORDER = 10  # of the quadrature


@dataclass(frozen=True)
class OnMesh:
    """A finite element solution: triangles, unknowns, relative L2 error, seconds since the start.

    The seconds are those of the processor for this mesh and all coarser ones.
    """

    cells: int
    unknowns: int
    error: float
    seconds: float


def refined(case: Case, limit: float) -> Iterator[OnMesh]:
    """Solve on one mesh after another, until all together have taken more than `limit` seconds.

    The smallest set of triangles that causes half of the squared error of the gradient is refined.
    This is the true error, against the exact solution, so that no estimate of the error could lead
    to better meshes. The seconds to compute it do not count.
    """
    assert case.weak is not None
    mesh, seconds = first_mesh(case), 0.0
    while seconds < limit:
        begun = time.process_time()
        basis = Basis(mesh, ElementTriP4(), intorder=ORDER)
        values = _solution(case, case.weak, basis)
        seconds += time.process_time() - begun
        error, shares = _errors(case, basis, values)
        yield OnMesh(mesh.t.shape[1], basis.N, error, seconds)
        begun = time.process_time()
        mesh = mesh.refined(_largest(shares))
        seconds += time.process_time() - begun


def first_mesh(case: Case) -> MeshTri:
    """The halves of 4 × 4 squares of the bounding box that lie in the domain."""
    domain, squares = case.problem.domain, 4
    (left, low), (right, high) = (corner.tolist() for corner in domain.bounds)
    sides = np.linspace(left, right, squares + 1), np.linspace(low, high, squares + 1)
    mesh = MeshTri.init_tensor(*sides)
    middles = torch.from_numpy(mesh.p[:, mesh.t].mean(axis=1).T.copy())
    outside = (~domain.contains(middles)).nonzero()[:, 0].numpy()
    return mesh.remove_elements(outside) if len(outside) else mesh


def _largest(shares: np.ndarray) -> np.ndarray:
    """The smallest set of triangles with half of the sum of the shares."""
    falling = np.argsort(-shares)
    reached = np.cumsum(shares[falling])
    return falling[: int(np.searchsorted(reached, 0.5 * reached[-1])) + 1]


def _solution(case: Case, weak: Weak, basis: Basis) -> np.ndarray:
    @BilinearForm
    def form(u, v, w):
        x, y = weak.velocity
        found = weak.diffusion * dot(grad(u), grad(v)) + (x * u.grad[0] + y * u.grad[1]) * v
        return found if weak.reaction is None else found + _at(case, w.x, weak.reaction) * u * v

    @LinearForm
    def load(v, w):
        return _at(case, w.x, weak.source) * v

    known, walls = basis.zeros(), basis.get_dofs()
    known[walls] = _at(case, basis.doflocs[:, walls.flatten()], case.exact)
    return solve(*condense(form.assemble(basis), load.assemble(basis), x=known, D=walls))


def _at(case: Case, x: np.ndarray, function: Callable) -> np.ndarray:
    """The values of a function of points; x: their coordinates, (2, …)."""
    return function(_points(case, x)).numpy().reshape(x.shape[1:])


def _points(case: Case, x: np.ndarray) -> Points:
    coords = torch.from_numpy(np.ascontiguousarray(np.asarray(x).reshape(2, -1).T))
    return Points(coords, case.problem.domain.names)


def _errors(case: Case, basis: Basis, values: np.ndarray) -> tuple[float, np.ndarray]:
    """The relative L2 error, and the squared errors of the gradient by triangles."""
    places = np.asarray(basis.global_coordinates())
    coords = _points(case, places).coords.requires_grad_()
    exact = case.exact(Points(coords, case.problem.domain.names))
    (slopes,) = torch.autograd.grad(exact.sum(), coords)
    true = exact.detach().numpy().reshape(places.shape[1:])
    found = basis.interpolate(values)
    squares = [((e**2) * basis.dx).sum() for e in (np.asarray(found) - true, true)]
    missed = found.grad - slopes.numpy().T.reshape(places.shape)
    return math.sqrt(squares[0] / squares[1]), ((missed**2).sum(axis=0) * basis.dx).sum(axis=1)
