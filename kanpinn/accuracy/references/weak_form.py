"""The weak form of a linear equation of second order, assembled and solved by scikit-fem.

a : ∇²u + b · ∇u + c u = f is multiplied by -v and integrated by parts,

    ∫ (a ∇u) · ∇v + (div a - b) · ∇u v - c u v - ∮ (a ∇u · n) v = -∫ f v.
"""

from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu
from skfem import (
    BilinearForm,
    CellBasis,
    ElementTriP1,
    ElementTriP2,
    ElementTriP3,
    ElementTriP4,
    LinearForm,
)

from kanpinn._support.errors import InputError
from kanpinn.accuracy.references.blending import Blending
from kanpinn.accuracy.references.boundary_conditions import BoundaryConditions, on_curve
from kanpinn.accuracy.references.coefficients import coefficients_of
from kanpinn.accuracy.references.finite_elements import FiniteElements
from kanpinn.accuracy.references.mesh import CurvedMesh, velocity
from kanpinn.geometry.points import Batch
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.pde.problem import Problem

ELEMENTS = {1: ElementTriP1, 2: ElementTriP2, 3: ElementTriP3, 4: ElementTriP4}
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # of the reference triangle


def finite_element_solution(
    problem: Problem, conditions: BoundaryConditions, mesh: CurvedMesh, degree: int
) -> FiniteElements:
    """Assemble and solve the weak form, and return the finite element solution.

    Args:
        problem: one linear equation of second order in the plane.
        conditions: its boundary conditions, by curve.
        mesh: the triangles.
        degree: of the polynomials, 1 to 4.

    Raises:
        InputError: if the problem is not linear, if the solution is unique only up to a constant
            that nothing fixes, or if a mean is given although the solution is unique without it.
    """
    basis = CellBasis(
        mesh.straight, ELEMENTS[degree](), mapping=Blending(mesh), intorder=2 * degree + 1
    )
    matrix, right = _inside(problem, basis)
    for number, essential in enumerate(conditions.essential):
        if not essential:
            more, flux = _natural(problem, conditions, number, mesh, basis)
            matrix, right = matrix + more, right + flux
    fixed, values = _prescribed(conditions, mesh, basis)
    solution = _solved(matrix, right, fixed, values, _mean(problem, conditions, basis))
    return FiniteElements(mesh, basis, solution)


@BilinearForm
def _form(u: Any, v: Any, w: Any) -> Any:
    x, y = u.grad
    flux = (w.xx * x + w.xy * y) * v.grad[0] + (w.xy * x + w.yy * y) * v.grad[1]
    return flux + (w.x * x + w.y * y - w.c * u) * v


@LinearForm
def _load(v: Any, w: Any) -> Any:
    return -w.f * v


@LinearForm
def _integral(v: Any, w: Any) -> Any:
    return 1.0 * v


def _inside(problem: Problem, basis: CellBasis) -> tuple[csc_array, np.ndarray]:
    """Return the matrix (N, N) and the right-hand side (N,) of the integrals over the domain."""
    x = np.asarray(basis.global_coordinates())
    points = Batch(torch.from_numpy(x.reshape(2, -1).T.copy()), problem.domain.names)
    found = coefficients_of(problem.equation, points, "residual")
    shape = x.shape[1:]
    second, first = found.second.numpy(), (found.divergence - found.first).numpy()
    named = {
        "xx": second[:, 0, 0],
        "xy": second[:, 0, 1],
        "yy": second[:, 1, 1],
        "x": first[:, 0],
        "y": first[:, 1],
        "c": found.zeroth.numpy(),
        "f": found.right.numpy(),
    }
    w = {name: values.reshape(shape) for name, values in named.items()}
    return csc_array(_form.assemble(basis, **w)), _load.assemble(basis, **w)


def _natural(
    problem: Problem,
    conditions: BoundaryConditions,
    number: int,
    mesh: CurvedMesh,
    basis: CellBasis,
) -> tuple[csc_array, np.ndarray]:
    """Return ∮ α u v (N, N) and ∮ g v (N,) over one curve, where a ∇u · n = g - α u."""
    edges = np.flatnonzero(mesh.owners == number)
    cells, a, b = mesh.places[edges].T
    s, weights = (part.numpy() for part in gauss_legendre(basis.elem.maxdeg + 1))
    first, last = mesh.spans[edges].T
    t = first[:, None] + s * (last - first)[:, None]
    curve = mesh.curves[number]
    speed = np.linalg.norm(velocity(curve, t), axis=2) * np.abs(last - first)[:, None]
    points = on_curve(curve, t.ravel())
    second = coefficients_of(problem.equation, points, "residual").second.numpy()
    alpha, g = (part.reshape(t.shape) for part in conditions.flux(number, t.ravel(), second))
    X = np.moveaxis(CORNERS[a, None] * (1 - s)[:, None] + CORNERS[b, None] * s[:, None], 2, 0)
    phi = np.array([basis.elem.lbasis(X, i)[0] for i in range(basis.Nbfun)])
    ds, dofs = weights * speed, basis.element_dofs[:, cells]
    local = np.einsum("ieq,jeq,eq->ije", phi, phi, alpha * ds)
    rows, columns = np.broadcast_arrays(dofs[:, None], dofs[None])
    matrix = coo_array((local.ravel(), (rows.ravel(), columns.ravel())), shape=(basis.N,) * 2)
    right = np.bincount(dofs.ravel(), np.einsum("ieq,eq->ie", phi, g * ds).ravel(), basis.N)
    return csc_array(matrix), right


def _prescribed(
    conditions: BoundaryConditions, mesh: CurvedMesh, basis: CellBasis
) -> tuple[np.ndarray, np.ndarray]:
    """Return the unknowns (indices) on curves with an essential condition, and their values."""
    known: dict[int, float] = {}
    for number, essential in enumerate(conditions.essential):
        if essential:
            dofs, t = _on_curve(mesh, basis, number)
            known |= dict(zip(dofs.tolist(), conditions.values(number, t).tolist(), strict=True))
    return np.array(list(known), dtype=int), np.array(list(known.values()), dtype=float)


def _on_curve(mesh: CurvedMesh, basis: CellBasis, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the unknowns on a curve, and the curve parameters of their nodes."""
    edges = np.flatnonzero(mesh.owners == number)
    cells, a, b = mesh.places[edges].T
    nodes = basis.elem.doflocs
    shares = np.stack([1 - nodes.sum(axis=1), *nodes.T])  # barycentric, (3, nodes)
    on, of = np.nonzero(np.isclose(shares[a] + shares[b], 1))
    first, last = mesh.spans[edges[on]].T
    return basis.element_dofs[of, cells[on]], first + shares[b[on], of] * (last - first)


def _mean(
    problem: Problem, conditions: BoundaryConditions, basis: CellBasis
) -> tuple[np.ndarray, float] | None:
    """Return (w, m) of the constraint w · values = m that fixes a constant; None without one."""
    if conditions.mean is not None:
        return _integral.assemble(basis), float(conditions.mean.value)
    return (_integral.assemble(basis), 0.0) if problem.free_constant else None


def _solved(
    matrix: csc_array,
    right: np.ndarray,
    fixed: np.ndarray,
    known: np.ndarray,
    mean: tuple[np.ndarray, float] | None,
) -> np.ndarray:
    """Solve matrix · values = right for the unknowns that are not prescribed.

    Args:
        matrix: (N, N).
        right: (N,).
        fixed: the indices of the prescribed unknowns, (k,).
        known: their values, (k,).
        mean: weights (N,) and the value of the mean constraint, or None.

    Raises:
        InputError: if the solution is unique only up to a constant and there is no mean, or if
            it is unique and there is one.
    """
    values = np.zeros(len(right))
    values[fixed] = known
    # A constant added to u leaves the residual unchanged if matrix · 1 vanishes.
    change = np.abs(matrix @ np.ones(len(right))).max()
    open_constant = not len(fixed) and bool(change < 1e-9 * np.abs(matrix).max())
    if open_constant == (mean is None):
        raise InputError(
            "the conditions leave a constant open: fix it by an Integral over the domain, or name "
            "the field in free_constant"
            if open_constant
            else "the equation and its conditions leave no constant open that a mean could fix"
        )
    if open_constant:
        fixed = np.array([0])
    free = np.setdiff1d(np.arange(len(right)), fixed)
    values[free] = _solve(csc_array(matrix[free][:, free]), right[free] - (matrix @ values)[free])
    if mean is not None:
        weights, value = mean
        values += (value - weights @ values) / weights.sum()
    return values


def _solve(K: csc_array, f: np.ndarray) -> np.ndarray:
    """Return K⁻¹ f by a sparse LU factorisation.

    The factorisation without pivoting is tried first, as it is faster and accurate for most
    equations. The one with pivoting is used if the residual of the first exceeds rounding.
    """
    found = splu(
        K, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    ).solve(f)
    terms = (abs(K) @ np.abs(found)).max() * len(f) ** 0.5
    if np.linalg.norm(f - K @ found) <= 1e-11 * terms:
        return found
    return splu(K).solve(f)
