"""Finite element solutions of a linear equation of second order in the plane, by scikit-fem.

a : ∇²u + b · ∇u + c u = f is multiplied by -v and integrated by parts,

    ∫ (a ∇u) · ∇v + (div a - b) · ∇u v - c u v - ∮ (a ∇u · n) v = -∫ f v.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
import skfem
import torch
from matplotlib.tri import Triangulation
from scipy.sparse import coo_array, csc_array
from scipy.sparse.linalg import splu
from scipy.spatial import Delaunay, cKDTree
from torch import Tensor

from kanpinn._support.errors import InputError, NumericalError, of_class
from kanpinn.accuracy.coefficients import Coefficients, Unsuitable, flux_factor, read_coefficients
from kanpinn.accuracy.references.reference import Reference
from kanpinn.geometry import Boundary, Curve, Domain, Piece, Planar, Points, Segment
from kanpinn.geometry.planar import loops_of
from kanpinn.geometry.rules import gauss_legendre
from kanpinn.jets import Channels, Jet, ResidualFunction
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.conditions import Constraint, Integral, OnBoundary
from kanpinn.pde.problem import Problem

SIDES = np.array([(0, 1), (1, 2), (2, 0)])  # the corners of a triangle's sides, as in scikit-fem


@dataclass(frozen=True, eq=False)
class PlanarMesh:
    """A triangular mesh of a planar domain.

    Args:
        curves: the curves that bound the domain.
        triangles: scikit-fem's mesh.
        owners: the index of the curve of each boundary edge, in the order of
            `triangles.boundary_facets()`, (b,).
    """

    curves: tuple[Curve, ...]
    triangles: skfem.MeshTri1
    owners: np.ndarray

    @property
    def edges(self) -> np.ndarray:
        """The vertices of each boundary edge, (2, b)."""
        return self.triangles.facets[:, self.triangles.boundary_facets()]

    def sides(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The triangles of the edges on a curve, and the numbers of their corners there, (e,) each.

        The corners are in the order 0, 1, 2, 0 around the triangle.
        """
        facets = self.triangles.boundary_facets()[self.owners == number]
        cells = self.triangles.f2t[0, facets]
        first, second = SIDES[(self.triangles.t2f[:, cells] == facets).argmax(axis=0)].T
        return cells, first, second

    def refined(self, marked: np.ndarray | None = None) -> "PlanarMesh":
        """Return a refined mesh, whose new boundary vertices lie on the curves.

        Args:
            marked: the indices of the triangles to refine; their neighbours are divided where
                conformity requires it. None divides every triangle into four.
        """
        fine = self.triangles.refined(1 if marked is None else marked)
        start, stop = self.triangles.p[:, self.edges].swapaxes(0, 1)
        # A new edge is an edge of this mesh, or half of one.
        places = [start + share * (stop - start) for share in (0.25, 0.5, 0.75)]
        edges = fine.facets[:, fine.boundary_facets()]
        tree, middles = cKDTree(np.concatenate(places, axis=1).T), fine.p[:, edges].mean(axis=1)
        _, nearest = tree.query(middles.T)
        owners, vertices = self.owners[nearest % len(self.owners)], fine.p.copy()
        for number, curve in enumerate(self.curves):
            new = np.unique(edges[:, owners == number])
            new = new[new >= self.triangles.nvertices]
            vertices[:, new] = projected(curve, vertices[:, new])
        return PlanarMesh(self.curves, replace(fine, doflocs=vertices), owners)


def projected(curve: Curve, points: np.ndarray) -> np.ndarray:
    """Return the nearest points on a curve, of any shape (2, *)."""
    flat = torch.from_numpy(np.ascontiguousarray(points.reshape(2, -1).T))
    return curve.nearest(flat).numpy().T.reshape(points.shape)


def mesh_of(domain: Planar, size: float) -> PlanarMesh:
    """Return a mesh with edges not much longer than `size`, shorter where the boundary needs it.

    Centres of circles around long or thin triangles become vertices. Boundary edges are divided if
    a vertex or such a centre is in the circle around them.

    Args:
        domain: the domain, which is planar.
        size: a length, in the units of the coordinates.

    Raises:
        NumericalError: if refinement takes more than 400 rounds, or 50,000 vertices.

    Reference: Ruppert, A Delaunay refinement algorithm for quality 2-dimensional mesh generation
    (1995).
    """
    divisions, inner = [_division(curve, size) for curve in domain.curves], np.zeros((0, 2))
    for _ in range(400):
        outline = Outline.of(domain.curves, divisions)
        vertices = np.concatenate([outline.points, inner])
        crowded = outline.encroached(vertices)
        if not crowded.any():
            cells = outline.triangles(vertices)
            centers, radii, shortest = _circles(vertices[cells])
            sides = np.sort(cells[:, SIDES], axis=2) @ [len(vertices), 1]
            edges = np.sort(outline.edges, axis=1) @ [len(vertices), 1]
            in_corner = np.isin(sides, edges).sum(axis=1) >= 2  # whose angle bounds the quality
            bad = (radii > 1.3 * shortest) & ~in_corner  # an angle below 23°
            bad |= radii > 0.62 * size  # an equilateral triangle has 0.58 times its edge
            new = _apart(centers[bad], radii[bad])
            crowded = outline.encroached(new) if len(new) else crowded
            if not crowded.any():
                new = new[outline.encloses(new)]
                inner = np.concatenate([inner, new])
                if not len(new):
                    return outline.meshed(domain, vertices, cells)
        divisions = outline.divided(divisions, crowded, size)
        if len(vertices) > 50_000:
            break
    why = "its boundary comes too close to itself, or size is too small"
    raise NumericalError(f"{domain!r} takes more than {len(vertices)} vertices to mesh: {why}")


@dataclass(frozen=True, eq=False)
class Outline:
    """The closed polygons between points of the boundary.

    Args:
        points: the points, (b, 2).
        edges: the numbers of the points of each edge, in the direction of its curve, (b, 2).
        owners, parts: the curve of each edge, and the number of its part of the curve, (b,).
    """

    points: np.ndarray
    edges: np.ndarray
    owners: np.ndarray
    parts: np.ndarray

    @classmethod
    def of(cls, curves: Sequence[Curve], divisions: Sequence[np.ndarray]) -> "Outline":
        """Join curves at their points, whose parameters from 0 to 1 are `divisions`."""
        numbers = {id(curve): number for number, curve in enumerate(curves)}
        points, edges, places = list[np.ndarray](), list[np.ndarray](), list[tuple[int, int]]()
        for loop in loops_of(curves):
            order = [numbers[id(curve)] for curve in loop]
            chains = [curves[i].at(torch.from_numpy(divisions[i][:-1])).numpy() for i in order]
            ring = len(places) + np.arange(sum(map(len, chains)))
            points += chains
            edges.append(np.stack([ring, np.roll(ring, -1)], axis=1))
            places += [(i, k) for i in order for k in range(len(divisions[i]) - 1)]
        owners, parts = np.array(places).T
        return cls(np.concatenate(points), np.concatenate(edges), owners, parts)

    @property
    def middles(self) -> np.ndarray:
        """The middle of each edge, (b, 2)."""
        return self.points[self.edges].mean(axis=1)

    def encroached(self, points: np.ndarray) -> np.ndarray:
        """Return which edges have any of the points (n, 2) in the circle around them, (b,)."""
        distance, _ = cKDTree(points).query(self.middles)
        return distance < self._lengths / 2 * (1 - 1e-9)

    def encloses(self, points: np.ndarray) -> np.ndarray:
        """Return which points (n, 2) lie inside, (n,)."""
        polygon = shapely.build_area(shapely.multilinestrings(self.points[self.edges]))
        shapely.prepare(polygon)
        return shapely.contains_xy(polygon, *points.T)

    def triangles(self, vertices: np.ndarray) -> np.ndarray:
        """Return the Delaunay triangles of vertices (n, 2) that lie inside, (t, 3)."""
        cells = Delaunay(vertices).simplices
        corners = vertices[cells]
        sides = corners[:, 1:] - corners[:, :1]
        flat = np.abs(np.linalg.det(sides)) <= 1e-10 * np.square(sides).sum(axis=(1, 2))
        return cells[~flat & self.encloses(corners.mean(axis=1))]

    def divided(
        self, divisions: Sequence[np.ndarray], chosen: np.ndarray, size: float
    ) -> list[np.ndarray]:
        """Divide the parts of curves that belong to some edges, a mask (b,), in two.

        A part with exactly one end at a joint is divided at a distance of about size · 2^k from it,
        so that edges that meet at a sharp corner become equally long and do not encroach upon each
        other. Other parts are halved.
        """
        lengths = self._lengths
        share = np.clip(size * 2.0 ** np.round(np.log2(lengths / 2 / size)) / lengths, 0, 1)
        finer = []
        for number, t in enumerate(divisions):
            here = chosen & (self.owners == number)
            k = self.parts[here]
            first, last = k == 0, k == len(t) - 2
            at_start, at_stop = first & ~last, last & ~first
            along = np.select([at_start, at_stop], [share[here], 1 - share[here]], 0.5)
            finer.append(np.sort(np.concatenate([t, t[k] + along * (t[k + 1] - t[k])])))
        return finer

    @property
    def _lengths(self) -> np.ndarray:
        return np.linalg.norm(np.diff(self.points[self.edges], axis=1)[:, 0], axis=1)

    def meshed(self, domain: Planar, vertices: np.ndarray, cells: np.ndarray) -> PlanarMesh:
        """Return the mesh of some triangles.

        Raises:
            NumericalError: if its boundary edges differ from those of the outline.
        """
        used, numbers = np.unique(cells, return_inverse=True)
        triangles = skfem.MeshTri1(vertices[used].T, numbers.reshape(cells.shape).T)
        edges = triangles.facets[:, triangles.boundary_facets()]
        distance, which = cKDTree(self.middles).query(triangles.p[:, edges].mean(axis=1).T)
        if len(which) != len(self.owners) or distance.max() > 1e-12 * domain.scale:
            raise NumericalError(f"the mesh of {domain!r} does not fit its boundary")
        return PlanarMesh(domain.curves, triangles, self.owners[which])


def _division(curve: Curve, size: float, samples: int = 2048) -> np.ndarray:
    """Return parameters that divide a curve into parts ≤ `size` that turn by ≤ 30°, (k,)."""
    t = curve.even(torch.linspace(0, 1, samples + 1, dtype=torch.float64))
    along = curve.velocity(t).numpy()
    angles = np.unwrap(np.arctan2(along[:, 1], along[:, 0]))
    cost = np.maximum(curve.measure / samples / size, np.abs(np.diff(angles)) / (math.pi / 6))
    closed = math.dist(curve.start, curve.stop) < 1e-9 * curve.measure
    count = max(1 + 2 * closed, math.ceil(cost.sum() - 1e-9))
    reached = np.concatenate([[0], np.cumsum(cost)])
    return np.interp(np.linspace(0, reached[-1], count + 1), reached, t.numpy())


def _circles(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return circumcentres (t, 2), circumradii and shortest edges (t,) of triangles (t, 3, 2)."""
    a, (b, c) = corners[:, 0], (corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice = 2 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    bb, cc = np.square(b).sum(axis=1), np.square(c).sum(axis=1)
    offset = np.stack([c[:, 1] * bb - b[:, 1] * cc, b[:, 0] * cc - c[:, 0] * bb], 1)
    offset /= twice[:, None]
    shortest = np.sqrt(np.minimum(np.minimum(bb, cc), np.square(b - c).sum(axis=1)))
    return a + offset, np.linalg.norm(offset, axis=1), shortest


def _apart(centers: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return centres chosen from the largest circle down, such that no circle contains another's.

    centers: (n, 2). radii: (n,).
    """
    order = np.argsort(-radii)
    centers, radii = centers[order], radii[order]
    left, chosen = np.ones(len(centers), dtype=bool), []
    tree = cKDTree(centers)
    for i in range(len(centers)):
        if left[i]:
            chosen.append(i)
            left[tree.query_ball_point(centers[i], radii[i])] = False
    return centers[chosen]


ELEMENTS = (skfem.ElementTriP1, skfem.ElementTriP2, skfem.ElementTriP3, skfem.ElementTriP4)
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # of the reference triangle


@dataclass(repr=False)
class CurvedTriangles(skfem.MeshTri2):
    """Triangles that are polynomials of degree 4, whose nodes scikit-fem calls `doflocs`."""

    elem: type[skfem.Element] = skfem.ElementTriP4


def curved(mesh: PlanarMesh) -> CurvedTriangles:
    """Return the mesh with curved edges on the curves.

    With the barycentric coordinates λ, a node in the triangle of a curved edge from a to b is moved
    by λ_a λ_b d(s) / (s (1 - s)), s = (1 + λ_b - λ_a) / 2, where d(s) leads from the chord to the
    curve.

    Reference: Szabó & Babuška, Finite element analysis (1991), section 6.3.
    """
    triangles, nodes = CurvedTriangles.from_mesh(mesh.triangles), skfem.ElementTriP4().doflocs
    shares = np.stack([1 - nodes.sum(axis=1), *nodes.T])  # barycentric coordinates, (3, nodes)
    for number, curve in enumerate(mesh.curves):
        if isinstance(curve, Segment):
            continue
        cells, a, b = mesh.sides(number)
        at_a, at_b = shares[a], shares[b]
        s = np.clip((1 + at_b - at_a) / 2, 1e-7, 1 - 1e-7)
        start, stop = (mesh.triangles.p[:, mesh.triangles.t[i, cells], None] for i in (a, b))
        chord = start + s * (stop - start)
        moves = at_a * at_b / (s * (1 - s)) * (projected(curve, chord) - chord)
        for axis in range(2):
            np.add.at(triangles.doflocs[axis], triangles.dofs.element_dofs[:, cells].T, moves[axis])
    return triangles


def edge_points(
    mesh: PlanarMesh, basis: skfem.CellBasis, number: int, s: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Points, np.ndarray]:
    """Return the points at shares s (q,) of each boundary edge on a curve.

    Returns:
        The triangle of each edge, (e,); the points in the reference triangle, (2, e, q); the points
        with outward normals, e q of them; the length of the edge's tangent there, (e, q).
    """
    cells, a, b = mesh.sides(number)
    places = CORNERS[a, None] * (1 - s)[:, None] + CORNERS[b, None] * s[:, None]
    places = np.moveaxis(places, 2, 0)
    x, frame = basis.mapping.F(places, cells), basis.mapping.DF(places, cells)
    along = np.einsum("ijeq,ej->ieq", frame, CORNERS[b] - CORNERS[a])
    speeds = np.linalg.norm(along, axis=0)
    outward = np.sign(np.linalg.det(np.moveaxis(frame, (0, 1), (2, 3)))) / speeds
    both = (x, outward * np.stack([along[1], -along[0]]))
    coords, normals = (torch.from_numpy(part.reshape(2, -1).T.copy()) for part in both)
    return cells, places, Points(coords, mesh.curves[number].names, normals), speeds


@dataclass(frozen=True)
class CurveCondition:
    """The condition on one curve of the boundary.

    Args:
        equation: the residual of the condition.
        what: the name of the condition in messages.
        essential: whether the condition prescribes values; otherwise it prescribes the flux.
    """

    equation: ResidualFunction
    what: str
    essential: bool


# The conditions of a problem: one on each curve, and the mean that fixes a constant.
FEMConditions = tuple[list[CurveCondition], Integral | None]


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
    for condition in stated(problem).conditions():
        name, pieces = condition.title, tuple[Piece, ...]()
        match condition:
            case (
                OnBoundary(boundary=Boundary() as boundary) | Constraint(on=Boundary() as boundary)
            ):
                pieces = boundary.pieces
            case Constraint(on=Piece() as piece):
                pieces = (piece,)
            case Integral(over=Domain(), density=None):
                mean = condition
            case _:
                raise InputError(f"{name}: finite elements do not take {of_class(condition)}")
        for piece in pieces:
            # A box's face is no curve, but has the name of one.
            same = [i for i, curve in enumerate(domain.curves) if curve == piece]
            if not same and not isinstance(piece, Curve):
                same = [i for i, curve in enumerate(domain.curves) if curve.name == piece.name]
            if not same:
                raise InputError(f"{piece.name!r} of a condition is no piece of the boundary")
            for number in same:
                if on[number] is not None:
                    raise InputError(f"two conditions hold on {piece.name!r}, which has one")
                equation = condition.stacked_residual
                t = (torch.arange(16, dtype=torch.float64) + 0.5) / 16
                here = _read(equation, domain.curves[number].points_at(t), name)
                flux, essential = here.first.norm(dim=1) > 0, bool((here.zeroth != 0).all())
                if not bool(flux.all()):
                    if bool(flux.any()) or bool((here.second != 0).any()) or not essential:
                        needed = "either the values or the flux on the whole of a piece"
                        raise InputError(f"{name}: finite elements need {needed}")
                on[number] = CurveCondition(equation, name, essential=not bool(flux.any()))
    if None in on:
        free = domain.curves[on.index(None)].name
        raise InputError(f"no condition holds on {free!r}: finite elements need one on each piece")
    return [held for held in on if held is not None], mean


class FiniteElements(Reference):
    """A finite element solution u = Σ values_i φ_i.

    Args:
        mesh: the triangles.
        basis: scikit-fem's basis functions φ_i on these triangles with curved edges.
        values: the coefficients of the basis functions, (unknowns,).

    Attributes:
        error: the estimated relative L2 error; None before it has been estimated.
    """

    error: float | None = None

    def __init__(self, mesh: PlanarMesh, basis: skfem.CellBasis, values: np.ndarray) -> None:
        self.basis, self.values = basis, values
        degree = basis.elem.maxdeg
        self.source = f"finite elements of degree {degree} with {len(values)} unknowns"
        straight = mesh.triangles
        self._finder = Triangulation(straight.p[0], straight.p[1], straight.t.T).get_trifinder()
        shares, facets = np.linspace(0, 1, 9), straight.boundary_facets()
        first, last = straight.p[:, straight.facets[:, facets], None].swapaxes(0, 1)
        self._rim = cKDTree(((1 - shares) * first + shares * last).reshape(2, -1).T)
        self._rim_cells = straight.f2t[0, facets].repeat(len(shares))

    def jet(self, points: Points, channels: Channels) -> Jet:
        coords = points.coords.detach().cpu().double().numpy()
        chunk = 2**13  # points evaluated at once, to bound the memory
        parts = [self._evaluate(coords[i : i + chunk]) for i in range(0, len(coords), chunk)]
        value, slope = (torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True))
        gradient = slope[..., None] if channels.gradient else None
        return Jet(channels, value[:, None], gradient).map(lambda t: t.to(points.coords))

    def _evaluate(self, coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return values (n,) and gradients (n, 2) at points (n, 2)."""
        mapping, cells, x = self.basis.mapping, self._cells(coords), coords.T[..., None]
        X = np.full(x.shape, 1 / 3)
        for _ in range(30):  # Newton's method
            step = np.einsum("ijnq,jnq->inq", mapping.invDF(X, cells), x - mapping.F(X, cells))
            X = X + step
            if np.abs(step).max(initial=0) < 1e-14:
                break
        phi, slopes = _local(self.basis.elem, X[..., 0])
        factors = self.values[self.basis.element_dofs[:, cells]]
        slope = np.einsum("kn,kjn,jin->ni", factors, slopes, mapping.invDF(X, cells)[..., 0])
        return (factors * phi).sum(axis=0), slope

    def _cells(self, coords: np.ndarray) -> np.ndarray:
        """Return the triangle of each point, (n,).

        A point between a curved boundary edge and its chord belongs to the triangle of that chord.
        """
        cells = np.asarray(self._finder(*coords.T), dtype=int)
        outside = cells < 0
        if outside.any():
            cells[outside] = self._rim_cells[self._rim.query(coords[outside])[1]]
        return cells


def _local(element: skfem.Element, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
        degree: the degree of the polynomials, 1 to 4.

    Raises:
        InputError: if the problem is not linear, if the solution is unique only up to a constant
            that nothing fixes, or if a mean is given although the solution is unique without it.
    """
    triangles = curved(mesh)
    mapping = skfem.MappingIsoparametric(triangles, skfem.ElementTriP4())
    element, options = ELEMENTS[degree - 1](), {"mapping": mapping, "intorder": 2 * degree + 1}
    basis = skfem.CellBasis(triangles, element, **options)
    matrix, right = _inside(problem, basis)
    known: dict[int, float] = {}
    on, integral = conditions
    for number, condition in enumerate(on):
        if condition.essential:
            facets = mesh.triangles.boundary_facets()[mesh.owners == number]
            dofs = basis.get_dofs(facets).flatten()
            nodes = torch.from_numpy(basis.doflocs[:, dofs].T.copy())
            given = _read(condition.equation, Points(nodes, problem.domain.names), condition.what)
            known |= dict(zip(dofs.tolist(), (-given.rest / given.zeroth).tolist(), strict=True))
        else:
            more, flux = _natural(problem, condition, mesh, basis, number)
            matrix, right = matrix + more, right + flux
    mean = None
    if integral is not None or problem.free_constant:
        value = 0.0 if integral is None else float(integral.value)
        mean = _load.assemble(basis, rest=1.0), value
    return FiniteElements(mesh, basis, _solved(matrix, right, known, mean))


@skfem.BilinearForm
def _form(u: Any, v: Any, w: Any) -> Any:
    x, y = u.grad
    flux = (w.xx * x + w.xy * y) * v.grad[0] + (w.xy * x + w.yy * y) * v.grad[1]
    return flux + (w.x * x + w.y * y - w.c * u) * v


@skfem.LinearForm
def _load(v: Any, w: Any) -> Any:
    return w.rest * v


def _inside(problem: Problem, basis: skfem.CellBasis) -> tuple[csc_array, np.ndarray]:
    """Return the matrix (N, N) and the right-hand side (N,) of the integrals over the domain."""
    x = np.asarray(basis.global_coordinates())
    coords = torch.from_numpy(x.reshape(2, -1).T.copy()).requires_grad_()
    with torch.enable_grad():
        terms = _read(problem.equation, Points(coords, problem.domain.names), "residual")
        divergence = sum(_slope(terms.second[:, i], coords, i) for i in range(2))
    second, first = terms.second, divergence - terms.first
    named = {"xx": second[:, 0, 0], "xy": second[:, 0, 1], "yy": second[:, 1, 1]}
    named |= {"x": first[:, 0], "y": first[:, 1], "c": terms.zeroth, "rest": terms.rest}
    w = {name: values.detach().numpy().reshape(x.shape[1:]) for name, values in named.items()}
    return csc_array(_form.assemble(basis, **w)), _load.assemble(basis, **w)


def _slope(columns: Tensor, coords: Tensor, axis: int) -> Tensor:
    """Return the derivatives of columns (n, 2) along an axis; 0 where they are constant."""
    derivatives = torch.zeros_like(coords)
    if columns.requires_grad:
        for j in range(2):
            options: dict[str, Any] = {"retain_graph": True, "allow_unused": True}
            (slopes,) = torch.autograd.grad(columns[:, j].sum(), coords, **options)
            derivatives[:, j] = 0.0 if slopes is None else slopes[:, axis]
    return derivatives


def _natural(
    problem: Problem,
    condition: CurveCondition,
    mesh: PlanarMesh,
    basis: skfem.CellBasis,
    number: int,
) -> tuple[csc_array, np.ndarray]:
    """Return ∮ α u v (N, N) and ∮ g v (N,) over one curve, where a ∇u · n = g - α u.

    Raises:
        InputError: if the condition has another derivative than the conormal a ∇u · n.
    """
    s, weights = (part.numpy() for part in gauss_legendre(basis.elem.maxdeg + 1))
    cells, places, p, speeds = edge_points(mesh, basis, number, s)
    terms = _read(condition.equation, p, condition.what)
    factor = flux_factor(terms, _read(problem.equation, p, "residual").second, p)
    if factor is None:
        needed = "the equation's own flux through the boundary, got another derivative"
        raise InputError(f"{condition.what}: finite elements need {needed}")
    sizes = (terms.zeroth / factor, -terms.rest / factor)
    alpha, g = (part.numpy().reshape(speeds.shape) for part in sizes)
    phi, _ = _local(basis.elem, places)
    ds, dofs = weights * speeds, basis.element_dofs[:, cells]
    local = np.einsum("ieq,jeq,eq->ije", phi, phi, alpha * ds)
    rows, columns = np.broadcast_arrays(dofs[:, None], dofs[None])
    matrix = coo_array((local.ravel(), (rows.ravel(), columns.ravel())), shape=(basis.N,) * 2)
    right = np.bincount(dofs.ravel(), np.einsum("ieq,eq->ie", phi, g * ds).ravel(), basis.N)
    return csc_array(matrix), right


def _solved(
    matrix: csc_array,
    right: np.ndarray,
    known: dict[int, float],
    mean: tuple[np.ndarray, float] | None,
) -> np.ndarray:
    """Solve matrix · values = right for the unknowns that are not prescribed.

    Args:
        matrix: (N, N).
        right: (N,).
        known: the prescribed values, by the indices of the unknowns.
        mean: weights (N,) and the value of the mean constraint, or None.

    Raises:
        InputError: if the solution is unique only up to a constant and there is no mean, or if
            it is unique and there is one.
    """
    values, fixed = np.zeros(len(right)), np.array(list(known), dtype=int)
    values[fixed] = list(known.values())
    # A constant added to u leaves the residual unchanged if matrix · 1 vanishes.
    change = np.abs(matrix @ np.ones(len(right))).max()
    open_constant = not len(fixed) and bool(change < 1e-9 * np.abs(matrix).max())
    if open_constant == (mean is None):
        remedy = "a constant open: fix it by an Integral, or name the field in free_constant"
        left = remedy if open_constant else "no constant open that a mean could fix"
        raise InputError(f"the equation and its conditions leave {left}")
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
    symmetric = {"permc_spec": "MMD_AT_PLUS_A", "options": {"SymmetricMode": True}}
    found = splu(K, diag_pivot_thresh=0.0, **symmetric).solve(f)
    terms = (abs(K) @ np.abs(found)).max() * len(f) ** 0.5
    if np.linalg.norm(f - K @ found) <= 1e-11 * terms:
        return found
    return splu(K).solve(f)
