"""Finite element solutions of a linear equation of second order in the plane, by scikit-fem.

a : ∇²u + b · ∇u + c u = f is multiplied by -v and integrated by parts,

    ∫ (a ∇u) · ∇v + (div a - b) · ∇u v - c u v - ∮ (a ∇u · n) v = -∫ f v.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.tri import Triangulation
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree
from skfem import (
    BilinearForm,
    CellBasis,
    Element,
    ElementTriP1,
    ElementTriP2,
    ElementTriP3,
    ElementTriP4,
    LinearForm,
    MappingIsoparametric,
    MeshTri2,
)
from torch import Tensor

from kanpinn._support.errors import InputError, of_class
from kanpinn.accuracy.coefficients import Coefficients, Unsuitable, flux_factor, read_coefficients
from kanpinn.accuracy.references.meshing import PlanarMesh
from kanpinn.accuracy.references.reference import Reference
from kanpinn.geometry import Boundary, Curve, Domain, Piece, Planar, Points, Segment
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.jets import Channels, Jet, ResidualFunction
from kanpinn.pde.conditions import Condition, Constraint, Integral, OnBoundary
from kanpinn.pde.problem import Problem

ELEMENTS = {1: ElementTriP1, 2: ElementTriP2, 3: ElementTriP3, 4: ElementTriP4}
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # of the reference triangle


@dataclass(repr=False)
class CurvedTriangles(MeshTri2):
    """Triangles that are polynomials of degree 4, whose nodes scikit-fem calls `doflocs`."""

    elem: type[Element] = ElementTriP4


def curved(mesh: PlanarMesh) -> CurvedTriangles:
    """Return the mesh with curved edges on the curves.

    With the barycentric coordinates λ, a node in the triangle of a curved edge from a to b is moved
    by λ_a λ_b d(s) / (s (1 - s)), s = (1 + λ_b - λ_a) / 2, where d(s) leads from the chord to the
    curve.

    Reference: Szabó & Babuška, Finite element analysis (1991), section 6.3.
    """
    made = CurvedTriangles.from_mesh(mesh.straight)
    shares = _shares(ElementTriP4())
    for number, curve in enumerate(mesh.curves):
        if isinstance(curve, Segment):
            continue
        edges = mesh.owners == number
        cells, a, b = mesh.places[edges].T
        one, other = shares[a], shares[b]
        s = np.clip((1 + other - one) / 2, 1e-7, 1 - 1e-7)
        start, stop = mesh.vertices[mesh.edges[edges]].swapaxes(0, 1)[:, :, None]
        chord = start + s[..., None] * (stop - start)
        first, last = _parameters(curve, start[:, 0], stop[:, 0])
        t = torch.from_numpy((first + s * (last - first)).ravel())
        gap = curve.at(t).numpy().reshape(chord.shape) - chord
        moves = (one * other / (s * (1 - s)))[..., None] * gap
        nodes = made.dofs.element_dofs[:, cells].T
        for axis in range(2):
            np.add.at(made.doflocs[axis], nodes, moves[..., axis])
    return made


def _parameters(curve: Curve, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return the curve's parameters at both ends of edges from start to stop, (2, e, 1)."""
    tolerance = 1e-9 * curve.measure
    found = np.array([[curve.locate(tuple(p), tolerance) for p in end] for end in (start, stop)])
    first, last = found.astype(float)
    first[first >= 1] = 0.0  # a closed curve begins where it ends
    last[last <= first] = 1.0
    return np.stack([first, last])[..., None]


def mapping_of(triangles: CurvedTriangles) -> MappingIsoparametric:
    """Return the map from the reference triangle to the curved ones."""
    return MappingIsoparametric(triangles, ElementTriP4())


def _shares(element: Element) -> np.ndarray:
    """Return the barycentric coordinates of an element's nodes, (3, nodes)."""
    nodes = element.doflocs
    return np.stack([1 - nodes.sum(axis=1), *nodes.T])


@dataclass(frozen=True, eq=False)
class EdgeRule:
    """Points on the boundary edges of one curve.

    Args:
        cells: the triangle of each edge, (e,).
        places: the points in the reference triangle, (2, e, q).
        points: the points with outward normals, e q of them.
        speeds: the length of an edge's tangent there, (e, q).
    """

    cells: np.ndarray
    places: np.ndarray
    points: Points
    speeds: np.ndarray

    @staticmethod
    def on(mesh: PlanarMesh, basis: CellBasis, number: int, s: np.ndarray) -> "EdgeRule":
        """Return the points at shares s (q,) of each edge on a curve."""
        cells, a, b = mesh.places[mesh.owners == number].T
        places = CORNERS[a, None] * (1 - s)[:, None] + CORNERS[b, None] * s[:, None]
        places = np.moveaxis(places, 2, 0)
        x = basis.mapping.F(places, cells)
        along = np.einsum("ijeq,ej->ieq", basis.mapping.DF(places, cells), CORNERS[b] - CORNERS[a])
        speeds = np.linalg.norm(along, axis=0)
        normals = np.stack([along[1], -along[0]]) / speeds
        coords, outward = (torch.from_numpy(o.reshape(2, -1).T.copy()) for o in (x, normals))
        return EdgeRule(cells, places, Points(coords, mesh.curves[number].names, outward), speeds)


@dataclass(frozen=True)
class CurveCondition:
    """The condition on one curve of the boundary.

    Args:
        equation: its residual.
        what: its name in messages.
        essential: whether it prescribes values; else it prescribes the flux.
    """

    equation: ResidualFunction
    what: str
    essential: bool

    def values(self, p: Points) -> np.ndarray:
        """Return the values (n,) that an essential condition prescribes at n points."""
        found = _read(self.equation, p, self.what)
        return (-found.rest / found.zeroth).numpy()

    def flux(self, p: Points, second: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return α and g, (n,) each, of the condition a ∇u · n + α u = g; second: a, (n, 2, 2).

        Raises:
            InputError: if the condition has another derivative than the conormal a ∇u · n.
        """
        found = _read(self.equation, p, self.what)
        factor = flux_factor(found, second, p)
        if factor is None:
            raise InputError(
                f"{self.what}: finite elements need the flux through the boundary, which belongs "
                "to the equation, got another derivative"
            )
        return (found.zeroth / factor).numpy(), (-found.rest / factor).numpy()


@dataclass(frozen=True)
class FEMConditions:
    """The conditions of a problem: one on each curve, and the mean that fixes a constant."""

    on: tuple[CurveCondition, ...]
    mean: Integral | None


def _read(equation: ResidualFunction, p: Points, what: str) -> Coefficients:
    try:
        return read_coefficients(equation, p, what)
    except Unsuitable as error:
        raise InputError(f"finite elements are for one linear equation: {error}") from None


def fem_conditions(problem: Problem, domain: Planar) -> FEMConditions:
    """Return the conditions of a problem, assigned to the curves that bound its domain.

    Raises:
        InputError: if the finite element method does not support a condition, or if a curve does
            not have exactly one.
    """
    on: list[CurveCondition | None] = [None] * len(domain.curves)
    mean = None
    for index, condition in enumerate(problem.conditions()):
        pieces, what = _pieces(condition), f"conditions()[{index}]"
        if isinstance(condition, Integral) and pieces == ():
            mean = condition
        if pieces is None:
            raise InputError(f"{what}: finite elements do not take {of_class(condition)}")
        for piece in pieces:
            for number in _numbers(piece, domain):
                if on[number] is not None:
                    raise InputError(f"two conditions hold on {piece.name!r}, which has one")
                equation = partial(condition.stacked_residual, problem.fields, what)
                essential = _is_essential(equation, domain.curves[number], what)
                on[number] = CurveCondition(equation, what, essential)
    if None in on:
        free = domain.curves[on.index(None)].name
        raise InputError(f"no condition holds on {free!r}: finite elements need one on each piece")
    return FEMConditions(tuple(one for one in on if one is not None), mean)


def _pieces(condition: Condition) -> tuple[Piece, ...] | None:
    """Return the pieces of the boundary on which a condition holds; None if it is unsupported.

    A mean over the domain holds on no piece, so the result is empty.
    """
    match condition:
        case OnBoundary() | Constraint(on=Boundary()):
            boundary = condition.boundary if isinstance(condition, OnBoundary) else condition.on
            assert isinstance(boundary, Boundary)
            return boundary.pieces
        case Constraint(on=Piece() as piece):
            return (piece,)
        case Integral(over=Domain(), density=None):
            return ()
        case _:
            return None


def _numbers(piece: Piece, domain: Planar) -> list[int]:
    """Return the indices of the curves that equal a piece or, for a box's face, have its name."""
    same = [i for i, curve in enumerate(domain.curves) if curve == piece]
    if not same and not isinstance(piece, Curve):
        same = [i for i, curve in enumerate(domain.curves) if curve.name == piece.name]
    if not same:
        raise InputError(f"a condition holds on {piece.name!r}, which is no piece of the boundary")
    return same


def _is_essential(equation: ResidualFunction, curve: Curve, what: str) -> bool:
    """Return True if the condition on a curve prescribes values, tested at 16 of its points."""
    t = (torch.arange(16, dtype=torch.float64) + 0.5) / 16
    along = curve.velocity(t)
    normals = torch.stack([along[:, 1], -along[:, 0]], dim=1) / along.norm(dim=1, keepdim=True)
    here = _read(equation, Points(curve.at(t), curve.names, normals), what)
    flux = here.first.norm(dim=1) > 0
    if bool(flux.all()):
        return False
    if bool(flux.any()) or bool((here.zeroth == 0).any()) or bool((here.second != 0).any()):
        raise InputError(
            f"{what}: finite elements need either the values or the flux on the whole of a piece"
        )
    return True


class FiniteElements(Reference):
    """A finite element solution u = Σ values_i φ_i.

    Args:
        mesh: the triangles.
        basis: scikit-fem's basis functions φ_i on these triangles with curved edges.
        values: the coefficients of the basis functions, (unknowns,).

    Attributes:
        error: the estimated relative L2 error; None before it has been estimated.
        gradient_error: the estimated relative H1 error; None before it has been estimated.
    """

    error: float | None = None
    gradient_error: float | None = None

    def __init__(self, mesh: PlanarMesh, basis: CellBasis, values: np.ndarray) -> None:
        self.basis, self.values = basis, values
        degree = basis.elem.maxdeg
        self.source = f"finite elements of degree {degree} with {len(values)} unknowns"
        self._finder = Triangulation(
            mesh.vertices[:, 0], mesh.vertices[:, 1], mesh.cells
        ).get_trifinder()
        shares = np.linspace(0, 1, 9)[:, None, None]
        first, last = mesh.vertices[mesh.edges].swapaxes(0, 1)
        self._rim = cKDTree(((1 - shares) * first + shares * last).reshape(-1, 2))
        self._rim_cells = np.tile(mesh.places[:, 0], len(shares))

    def jet(self, points: Points, channels: Channels) -> Jet:
        coords = points.coords.detach().cpu().double().numpy()
        chunk = 2**13  # points evaluated at once, to bound the memory
        parts = [self._evaluate(coords[i : i + chunk]) for i in range(0, len(coords), chunk)]
        value, slope = (torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True))
        gradient = slope[..., None] if channels.gradient else None
        return Jet(channels, value[:, None], gradient).map(lambda t: t.to(points.coords))

    def _evaluate(self, coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values (n,) and gradients (n, 2) at points (n, 2)."""
        triangles, cells = self.basis.mesh, self._cells(coords)
        nodes = triangles.doflocs[:, triangles.dofs.element_dofs[:, cells]]
        X = np.full((2, len(coords)), 1 / 3)
        for _ in range(30):  # Newton's method
            phi, slopes = _local(ElementTriP4(), X)
            frame = np.einsum("ikn,kjn->nij", nodes, slopes)
            gap = coords - np.einsum("ikn,kn->ni", nodes, phi)
            step = np.linalg.solve(frame, gap[..., None])[..., 0].T
            X = X + step
            if np.abs(step).max(initial=0) < 1e-14:
                break
        phi, slopes = _local(self.basis.elem, X)
        factors = self.values[self.basis.element_dofs[:, cells]]
        slope = np.einsum("kn,kjn->nj", factors, slopes)
        frame = np.einsum("ikn,kjn->nji", nodes, _local(ElementTriP4(), X)[1])
        return (factors * phi).sum(axis=0), np.linalg.solve(frame, slope[..., None])[..., 0]

    def _cells(self, coords: np.ndarray) -> np.ndarray:
        """Return the triangle of each point, (n,).

        A point between a curved boundary edge and its chord belongs to the triangle of that chord.
        """
        cells = np.asarray(self._finder(*coords.T), dtype=int)
        outside = cells < 0
        if outside.any():
            cells[outside] = self._rim_cells[self._rim.query(coords[outside])[1]]
        return cells


def _local(element: Element, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values (k, n) and slopes (k, 2, n) of an element's functions at points (2, n)."""
    both = [element.lbasis(X, i) for i in range(len(element.doflocs))]
    return np.array([value for value, _ in both]), np.array([slope for _, slope in both])


def finite_element_solution(
    problem: Problem, conditions: FEMConditions, mesh: PlanarMesh, degree: int
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
    triangles = curved(mesh)
    order, mapping = 2 * degree + 1, mapping_of(triangles)
    basis = CellBasis(triangles, ELEMENTS[degree](), mapping=mapping, intorder=order)
    matrix, right = _inside(problem, basis)
    known: dict[int, float] = {}
    for number, condition in enumerate(conditions.on):
        if condition.essential:
            known |= _prescribed(condition, mesh, basis, number)
        else:
            more, flux = _natural(problem, condition, mesh, basis, number)
            matrix, right = matrix + more, right + flux
    mean = None
    if conditions.mean is not None or problem.free_constant:
        value = conditions.mean.value if conditions.mean is not None else 0.0
        mean = _integral.assemble(basis), float(value)
    fixed = np.array(list(known), dtype=int)
    values = np.array(list(known.values()), dtype=float)
    return FiniteElements(mesh, basis, _solved(matrix, right, fixed, values, mean))


@BilinearForm
def _form(u: Any, v: Any, w: Any) -> Any:
    x, y = u.grad
    flux = (w.xx * x + w.xy * y) * v.grad[0] + (w.xy * x + w.yy * y) * v.grad[1]
    return flux + (w.x * x + w.y * y - w.c * u) * v


@LinearForm
def _load(v: Any, w: Any) -> Any:
    return w.rest * v


@LinearForm
def _integral(v: Any, w: Any) -> Any:
    return 1.0 * v


def _inside(problem: Problem, basis: CellBasis) -> tuple[csc_array, np.ndarray]:
    """Return the matrix (N, N) and the right-hand side (N,) of the integrals over the domain."""
    x = np.asarray(basis.global_coordinates())
    coords = torch.from_numpy(x.reshape(2, -1).T.copy()).requires_grad_()
    with torch.enable_grad():
        found = _read(problem.equation, Points(coords, problem.domain.names), "residual")
        divergence = sum(_slope(found.second[:, i], coords, i) for i in range(2))
    second, first = found.second, divergence - found.first
    named = {"xx": second[:, 0, 0], "xy": second[:, 0, 1], "yy": second[:, 1, 1]}
    named |= {"x": first[:, 0], "y": first[:, 1], "c": found.zeroth, "rest": found.rest}
    w = {name: values.detach().numpy().reshape(x.shape[1:]) for name, values in named.items()}
    return csc_array(_form.assemble(basis, **w)), _load.assemble(basis, **w)


def _slope(columns: Tensor, coords: Tensor, axis: int) -> Tensor:
    """Return the derivatives of columns (n, 2) along an axis; 0 where they are constant."""
    found = torch.zeros_like(coords)
    if columns.requires_grad:
        for j in range(2):
            options: dict[str, Any] = {"retain_graph": True, "allow_unused": True}
            (slopes,) = torch.autograd.grad(columns[:, j].sum(), coords, **options)
            found[:, j] = 0.0 if slopes is None else slopes[:, axis]
    return found


def _natural(
    problem: Problem, condition: CurveCondition, mesh: PlanarMesh, basis: CellBasis, number: int
) -> tuple[csc_array, np.ndarray]:
    """Return ∮ α u v (N, N) and ∮ g v (N,) over one curve, where a ∇u · n = g - α u."""
    s, weights = (part.numpy() for part in gauss_legendre(basis.elem.maxdeg + 1))
    rule = EdgeRule.on(mesh, basis, number, s)
    second = _read(problem.equation, rule.points, "residual").second
    alpha, g = (part.reshape(rule.speeds.shape) for part in condition.flux(rule.points, second))
    phi, _ = _local(basis.elem, rule.places)
    ds, dofs = weights * rule.speeds, basis.element_dofs[:, rule.cells]
    local = np.einsum("ieq,jeq,eq->ije", phi, phi, alpha * ds)
    rows, columns = np.broadcast_arrays(dofs[:, None], dofs[None])
    matrix = coo_array((local.ravel(), (rows.ravel(), columns.ravel())), shape=(basis.N,) * 2)
    right = np.bincount(dofs.ravel(), np.einsum("ieq,eq->ie", phi, g * ds).ravel(), basis.N)
    return csc_array(matrix), right


def _prescribed(
    condition: CurveCondition, mesh: PlanarMesh, basis: CellBasis, number: int
) -> dict[int, float]:
    """Return the values of the unknowns on a curve with an essential condition."""
    known: dict[int, float] = {}
    cells, a, b = mesh.places[mesh.owners == number].T
    shares = _shares(basis.elem)
    rule = EdgeRule.on(mesh, basis, number, np.linspace(0, 1, basis.elem.maxdeg + 1))
    values = condition.values(rule.points).reshape(rule.speeds.shape)
    for at, s in enumerate(np.linspace(0, 1, basis.elem.maxdeg + 1)):
        on = np.isclose(shares[a], 1 - s) & np.isclose(shares[b], s)
        dofs = basis.element_dofs[on.argmax(axis=1), cells]
        known |= dict(zip(dofs.tolist(), values[:, at], strict=True))
    return known


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
