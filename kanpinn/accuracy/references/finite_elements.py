"""Finite element solutions of a linear equation of second order in the plane, by scikit-fem."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    ElementTriP1,
    ElementTriP2,
    ElementTriP3,
    ElementTriP4,
    LinearForm,
)
from skfem.mapping import Mapping
from torch import Tensor

from kanpinn._support.errors import InputError, of_class
from kanpinn.accuracy.references.meshing import CurvedMesh, at, velocity
from kanpinn.accuracy.references.reference import Reference
from kanpinn.geometry import Boundary, Curve, Domain, Piece, Planar, Points, Segment
from kanpinn.geometry.points import Batch
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.jets import Channels, Jet
from kanpinn.pde.conditions import Condition, Constraint, Integral
from kanpinn.pde.conditions.condition import OnBoundary
from kanpinn.pde.evaluate import ResidualFunction, find_channels
from kanpinn.pde.problem import Problem

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


Numbers = tuple[float | int, ...]


@dataclass(frozen=True)
class Coefficients:
    """The coefficients of second : ∇²u + first · ∇u + zeroth u = right at n points in the plane.

    second: symmetric, (n, 2, 2). divergence: the divergence of the columns of `second`, (n, 2).
    first: (n, 2). zeroth, right: (n,).
    """

    second: Tensor
    divergence: Tensor
    first: Tensor
    zeroth: Tensor
    right: Tensor


def coefficients_of(equation: ResidualFunction, p: Points, what: str) -> Coefficients:
    """Return the coefficients of an equation, found from its residuals for quadratic polynomials.

    Args:
        equation: the residual (n, 1) for points and the jet of u.
        p: n points in the plane.
        what: the name of the equation in error messages.

    Raises:
        InputError: if it is not linear, of higher than second order, or more than one equation.
    """
    coords = p.coords.detach().clone().requires_grad_()
    p = Points(coords, p.names, p.normals)
    channels = _channels(equation, p, what)

    def residual(
        value: float = 0.0, gradient: Numbers = (0, 0), hessian: Numbers = (0, 0, 0)
    ) -> Tensor:
        found = equation(p, _jet(channels, len(p), value, gradient, hessian))
        if found.shape[1] != 1:
            raise InputError(f"{what}: finite elements are for one equation, got {found.shape[1]}")
        return found[:, 0]

    with torch.enable_grad():
        base = residual()
        xx, yy, xy = (residual(hessian=h) - base for h in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
        second = torch.stack([xx, xy / 2, xy / 2, yy], dim=1).unflatten(1, (2, 2))
        divergence = _divergence(second, coords)
    first = torch.stack([residual(gradient=g) - base for g in ((1, 0), (0, 1))], dim=1)
    zeroth = residual(value=1.0) - base
    found = Coefficients(*(t.detach() for t in (second, divergence, first, zeroth, -base)))
    value, gradient, hessian = 0.7, (-1.3, 0.4), (0.9, -0.6, 1.7)  # a test of linearity
    terms = [
        (found.second * _matrix(hessian)).sum(dim=(1, 2)),
        found.first @ torch.tensor(gradient, dtype=torch.float64),
        value * found.zeroth,
        -found.right,
    ]
    scale = torch.stack([t.abs() for t in terms]).amax()
    gap = (torch.stack(terms).sum(dim=0) - residual(value, gradient, hessian).detach()).abs().amax()
    if not gap <= 1e-9 * scale:
        raise InputError(f"{what} is not linear: finite elements are for linear equations")
    return found


def _channels(equation: ResidualFunction, p: Points, what: str) -> Channels:
    """Return the derivatives that the equation uses, found by evaluating it at a few points."""
    few, zero = p[:5], (0.0, (0, 0), (0, 0, 0))
    channels, _ = find_channels(lambda c: equation(few, _jet(c, len(few), *zero)), p.names)
    if channels.derivative_order > 2:
        raise InputError(
            f"{what}: finite elements are for equations of second order, got one of order "
            f"{channels.derivative_order}"
        )
    return channels


def _jet(channels: Channels, n: int, value: float, gradient: Numbers, hessian: Numbers) -> Jet:
    """Return the jet (n points) of a function with this value, gradient and Hessian (xx, yy, xy).

    The derivatives are the same at all points.
    """
    slope, full = torch.tensor(gradient, dtype=torch.float64), _matrix(hessian)
    second = {
        "none": None,
        "laplacian": full.trace()[None],
        "diagonal": full.diagonal(),
        "hessian": full.flatten(),
    }[channels.second]
    steps = torch.tensor(channels.directions, dtype=torch.float64).reshape(-1, 2)
    along = torch.stack([steps @ slope, ((steps @ full) * steps).sum(dim=1)], dim=1)
    more = torch.zeros(len(steps), 2, dtype=torch.float64)  # third and fourth derivatives vanish
    lines = torch.cat([along, more], dim=1)[:, : channels.order] if channels.directions else None
    parts = (slope if channels.gradient else None, second, lines)
    rows = (None if t is None else t[None, ..., None].expand(n, *t.shape, 1) for t in parts)
    return Jet(channels, torch.full((n, 1), float(value), dtype=torch.float64), *rows)


def _matrix(hessian: Numbers) -> Tensor:
    xx, yy, xy = hessian
    return torch.tensor([[xx, xy], [xy, yy]], dtype=torch.float64)


def _divergence(second: Tensor, coords: Tensor) -> Tensor:
    """Return Σ_i ∂_i a_ij, (n, 2); it is 0 where a does not depend on the points."""
    columns = []
    for j in range(2):
        total = torch.zeros(len(coords), dtype=torch.float64)
        for i in range(2):
            if second.requires_grad:
                (slopes,) = torch.autograd.grad(
                    second[:, i, j].sum(), coords, retain_graph=True, allow_unused=True
                )
                total = total if slopes is None else total + slopes[:, i]
        columns.append(total)
    return torch.stack(columns, dim=1)


@dataclass(frozen=True)
class BoundaryConditions:
    """The conditions of a problem on the boundary of a planar domain.

    which: for each curve, the index of its condition in `problem.conditions()`. essential: for each
    curve, True if this condition prescribes values, False if it prescribes the flux. mean: the
    condition that fixes a constant, or None.
    """

    problem: Problem
    domain: Planar
    which: tuple[int, ...]
    essential: tuple[bool, ...]
    mean: Integral | None

    def coefficients(self, number: int, t: np.ndarray) -> Coefficients:
        """Return the coefficients of the condition on a curve at the parameters t, (n,)."""
        index = self.which[number]
        points = on_curve(self.domain.curves[number], t)
        condition, what = self.problem.conditions()[index], f"conditions()[{index}]"
        equation = partial(condition.stacked_residual, self.problem.fields, what)
        return coefficients_of(equation, points, what)

    def values(self, number: int, t: np.ndarray) -> np.ndarray:
        """Return the values (n,) that an essential condition prescribes at the parameters t."""
        found = self.coefficients(number, t)
        return (found.right / found.zeroth).numpy()

    def flux(self, number: int, t: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return α and g, (n,) each, of the condition a ∇u · n + α u = g.

        Args:
            number: the index of the curve.
            t: parameters on the curve, (n,).
            second: the coefficient a of the equation there, (n, 2, 2).

        Raises:
            InputError: if the condition has another derivative than the conormal a ∇u · n.
        """
        found = self.coefficients(number, t)
        normals = on_curve(self.domain.curves[number], t).normals
        assert normals is not None
        conormal = torch.einsum("nij,nj->ni", torch.from_numpy(second), normals)
        factor = (found.first * conormal).sum(dim=1) / conormal.square().sum(dim=1)
        gap = (found.first - factor[:, None] * conormal).norm(dim=1)
        if not bool((gap <= 1e-9 * found.first.norm(dim=1)).all()):
            raise InputError(
                f"conditions()[{self.which[number]}]: finite elements need the flux through the "
                "boundary, which belongs to the equation, got another derivative"
            )
        return (found.zeroth / factor).numpy(), (found.right / factor).numpy()


def fem_conditions(problem: Problem, domain: Planar) -> BoundaryConditions:
    """Return the conditions of a problem, assigned to the curves that bound its domain.

    Raises:
        InputError: if the finite element method does not support a condition, or if a curve does
            not have exactly one.
    """
    which: list[int | None] = [None] * len(domain.curves)
    mean = None
    for index, condition in enumerate(problem.conditions()):
        pieces = _pieces(condition)
        if isinstance(condition, Integral) and pieces == ():
            mean = condition
        if pieces is None:
            raise InputError(
                f"conditions()[{index}]: finite elements do not take {of_class(condition)}"
            )
        for piece in pieces:
            for number in _numbers(piece, domain):
                if which[number] is not None:
                    raise InputError(f"two conditions hold on {piece.name!r}, which has one")
                which[number] = index
    numbers = [index for index in which if index is not None]
    if len(numbers) < len(which):
        free = domain.curves[which.index(None)].name
        raise InputError(f"no condition holds on {free!r}: finite elements need one on each piece")
    found = BoundaryConditions(problem, domain, tuple(numbers), (), mean)
    kinds = tuple(_is_essential(found, number) for number in range(len(numbers)))
    return replace(found, essential=kinds)


def on_curve(curve: Curve, t: np.ndarray) -> Points:
    """Return the points of a curve at the parameters t, (n,), with unit outward normals."""
    at = torch.from_numpy(np.ascontiguousarray(t))
    along = curve.velocity(at)
    across = torch.stack([along[:, 1], -along[:, 0]], dim=1)
    return Points(curve.at(at), curve.names, across / along.norm(dim=1, keepdim=True))


def _pieces(condition: Condition) -> tuple[Piece, ...] | None:
    """Return the pieces of the boundary on which a condition holds; None if it is unsupported.

    A mean over the domain holds on no piece, so the result is empty.
    """
    match condition:
        case OnBoundary():
            return condition.boundary.pieces
        case Constraint(on=Boundary() as boundary):
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


def _is_essential(found: BoundaryConditions, number: int) -> bool:
    """Return True if the condition on a curve prescribes values, tested at 16 of its points."""
    here = found.coefficients(number, (np.arange(16) + 0.5) / 16)
    flux = here.first.norm(dim=1) > 0
    if bool(flux.all()):
        return False
    if bool(flux.any()) or bool((here.zeroth == 0).any()) or bool((here.second != 0).any()):
        raise InputError(
            f"conditions()[{found.which[number]}]: finite elements need either the values or the "
            "flux on the whole of a piece"
        )
    return True


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
