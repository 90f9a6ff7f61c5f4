"""A linear equation of second order in its weak form, by scikit-fem.

a : ∇²u + b · ∇u + c u = f is multiplied by -v and integrated by parts,

    ∫ (a ∇u) · ∇v + (div a - b) · ∇u v - c u v - ∮ (a ∇u · n) v = -∫ f v.
"""

from dataclasses import dataclass
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
from kanpinn.accuracy.references.coefficients import coefficients_of
from kanpinn.accuracy.references.mesh import Mesh, velocity
from kanpinn.accuracy.references.rim import Rim, on_curve
from kanpinn.geometry import Points
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.pde.problem import Problem

ELEMENTS = {1: ElementTriP1, 2: ElementTriP2, 3: ElementTriP3, 4: ElementTriP4}
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # of the reference triangle
CONSTANT = 1e-9  # relative: constants leave the equation alone
SOLVED = 1e-11  # a residual, relative to the terms


@dataclass(frozen=True, eq=False)
class Discrete:
    """Finite elements on a mesh: u = Σ values_i φ_i."""

    mesh: Mesh
    basis: CellBasis
    values: np.ndarray


def discretised(problem: Problem, rim: Rim, mesh: Mesh, degree: int) -> Discrete:
    """The finite element solution.

    Raises:
        InputError: where the problem is not linear, or leaves a constant open.
    """
    basis = CellBasis(
        mesh.straight, ELEMENTS[degree](), mapping=Blending(mesh), intorder=2 * degree + 1
    )
    matrix, right = _inside(problem, basis)
    for number, essential in enumerate(rim.essential):
        if not essential:
            more, flux = _natural(problem, rim, number, mesh, basis)
            matrix, right = matrix + more, right + flux
    fixed, values = _prescribed(rim, mesh, basis)
    return Discrete(mesh, basis, _solved(matrix, right, fixed, values, _mean(problem, rim, basis)))


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
    x = np.asarray(basis.global_coordinates())
    points = Points(torch.from_numpy(x.reshape(2, -1).T.copy()), problem.domain.names)
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
    w = {name: basis_field.reshape(shape) for name, basis_field in named.items()}
    return csc_array(_form.assemble(basis, **w)), _load.assemble(basis, **w)


def _natural(
    problem: Problem, rim: Rim, number: int, mesh: Mesh, basis: CellBasis
) -> tuple[csc_array, np.ndarray]:
    """∮ α u v and ∮ g v over one curve, where a ∇u · n = g - α u."""
    edges = np.flatnonzero(mesh.owners == number)
    cells, a, b = mesh.places[edges].T
    s, weights = (part.numpy() for part in gauss_legendre(basis.elem.maxdeg + 1))
    first, last = mesh.spans[edges].T
    t = first[:, None] + s * (last - first)[:, None]
    curve = mesh.curves[number]
    speed = np.linalg.norm(velocity(curve, t), axis=2) * np.abs(last - first)[:, None]
    points = on_curve(curve, t.ravel())
    second = coefficients_of(problem.equation, points, "residual").second.numpy()
    alpha, g = (part.reshape(t.shape) for part in rim.flux(number, t.ravel(), second))
    X = np.moveaxis(CORNERS[a, None] * (1 - s)[:, None] + CORNERS[b, None] * s[:, None], 2, 0)
    phi = np.array([basis.elem.lbasis(X, i)[0] for i in range(basis.Nbfun)])
    ds, dofs = weights * speed, basis.element_dofs[:, cells]
    local = np.einsum("ieq,jeq,eq->ije", phi, phi, alpha * ds)
    rows, columns = np.broadcast_arrays(dofs[:, None], dofs[None])
    matrix = coo_array((local.ravel(), (rows.ravel(), columns.ravel())), shape=(basis.N,) * 2)
    right = np.bincount(dofs.ravel(), np.einsum("ieq,eq->ie", phi, g * ds).ravel(), basis.N)
    return csc_array(matrix), right


def _prescribed(rim: Rim, mesh: Mesh, basis: CellBasis) -> tuple[np.ndarray, np.ndarray]:
    """The unknowns on curves with an essential condition, and their values."""
    known: dict[int, float] = {}
    for number, essential in enumerate(rim.essential):
        if essential:
            dofs, t = _on_curve(mesh, basis, number)
            known |= dict(zip(dofs.tolist(), rim.values(number, t).tolist(), strict=True))
    return np.array(list(known), dtype=int), np.array(list(known.values()), dtype=float)


def _on_curve(mesh: Mesh, basis: CellBasis, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The unknowns on a curve and where they are, as parameters."""
    edges = np.flatnonzero(mesh.owners == number)
    cells, a, b = mesh.places[edges].T
    nodes = basis.elem.doflocs
    shares = np.stack([1 - nodes.sum(axis=1), *nodes.T])  # barycentric, (3, nodes)
    on, of = np.nonzero(np.isclose(shares[a] + shares[b], 1))
    first, last = mesh.spans[edges[on]].T
    return basis.element_dofs[of, cells[on]], first + shares[b[on], of] * (last - first)


def _mean(problem: Problem, rim: Rim, basis: CellBasis) -> tuple[np.ndarray, float] | None:
    """(w, m) with w · values = m, which fixes a constant; None where nothing is to be fixed."""
    if rim.mean is not None:
        return _integral.assemble(basis), float(rim.mean.value)
    return (_integral.assemble(basis), 0.0) if problem.free_constant else None


def _solved(
    matrix: csc_array,
    right: np.ndarray,
    fixed: np.ndarray,
    known: np.ndarray,
    mean: tuple[np.ndarray, float] | None,
) -> np.ndarray:
    values = np.zeros(len(right))
    values[fixed] = known
    open_constant = not len(fixed) and _annuls(matrix, np.ones(len(right)))
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


def _annuls(matrix: csc_array, vector: np.ndarray) -> bool:
    return bool(np.abs(matrix @ vector).max() < CONSTANT * np.abs(matrix).max())


def _solve(K: csc_array, f: np.ndarray) -> np.ndarray:
    """K⁻¹ f without pivoting, which is fast and good for most equations; else with it."""
    found = splu(
        K, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    ).solve(f)
    if np.linalg.norm(f - K @ found) <= SOLVED * (abs(K) @ np.abs(found)).max() * len(f) ** 0.5:
        return found
    return splu(K).solve(f)
