"""Certificates: bounds of errors for -div(A∇u) + c u = f in polygons, with the data to check them.

A continuous function v near the exact solution u, and a flux q with a continuous normal component,
are piecewise polynomials on triangles. Prager and Synge's theorem bounds the energy norm of u - v
by norms of q - A∇v and f - c v + div q. On the boundary u = g, or A∂u/∂n + α u = g. The square of
the energy norm is |||w|||² = ∫ A∇w·∇w + c w² + ∫ α w², with the last integral over the boundary.

Shapes have V vertices, E edges and T triangles; n is the number of polynomials of a basis.
"""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import shapely
import torch
from numpy.polynomial import chebyshev
from scipy import sparse
from scipy.sparse.linalg import eigsh, splu
from torch import Tensor

from kanpinn.accuracy.bounds import read_sides
from kanpinn.accuracy.errors import Bound
from kanpinn.geometry import Boundary, Domain, Points, Segment
from kanpinn.geometry.division import curve_of
from kanpinn.geometry.rules import gauss_legendre, simplex_rule
from kanpinn.jets import Channels, Jet, JetFunction, ResidualFunction, grad, stack_equations
from kanpinn.pde.boundary_value_problem import BoundaryValueProblem, stated
from kanpinn.pde.coefficients import Unsuitable, read_coefficients
from kanpinn.pde.conditions import Interface, values_of
from kanpinn.pde.problem import Problem
from kanpinn.spaces.cells.geometry.regions import divided
from kanpinn.tasks.adapt import dorfler_marking

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Triangulation:
    """A conforming mesh of triangles.

    Args:
        vertices: the coordinates of the vertices, (V, 2).
        triangles: the numbers of each triangle's vertices, counter-clockwise, (T, 3). Edge j of a
            triangle goes from its vertex j to the next one. A triangle is bisected at its edge 0.
        marks: a mapping from the edges on the domain's boundary, each given by the numbers of its
            two vertices in ascending order, to the numbers of the boundary pieces.
        parent: for each triangle the number of the triangle that contains it in the mesh from which
            this mesh was refined, (T,); None if this mesh was not refined from another one.
    """

    vertices: Array
    triangles: Array
    marks: dict[tuple[int, int], int]
    parent: Array | None = None

    @cached_property
    def corners(self) -> Array:
        """The coordinates of the corners of the triangles, (T, 3, 2)."""
        return self.vertices[self.triangles]

    @cached_property
    def _edges(self) -> tuple[Array, Array]:
        pairs = np.stack([self.triangles, np.roll(self.triangles, -1, axis=1)], axis=2)
        ends, number = np.unique(np.sort(pairs, axis=2).reshape(-1, 2), axis=0, return_inverse=True)
        return ends, number.reshape(-1, 3)

    @property
    def ends(self) -> Array:
        """The numbers of the two vertices of each edge, in ascending order, (E, 2)."""
        return self._edges[0]

    @property
    def edges(self) -> Array:
        """The numbers of the three edges of each triangle, (T, 3)."""
        return self._edges[1]

    @cached_property
    def reverse(self) -> Array:
        """Whether an edge of a triangle runs from the larger vertex to the smaller, (T, 3)."""
        return self.triangles > np.roll(self.triangles, -1, axis=1)

    @cached_property
    def piece(self) -> Array:
        """The number of the boundary piece that contains each edge, (E,); -1 for inner edges."""
        return np.array([self.marks.get((int(a), int(b)), -1) for a, b in self.ends])

    @cached_property
    def normals(self) -> Array:
        """Outward normals at the edges of each triangle, (T, 3, 2), each as long as its edge."""
        along = np.roll(self.corners, -1, axis=1) - self.corners
        return np.stack([along[..., 1], -along[..., 0]], axis=2)

    @cached_property
    def lengths(self) -> Array:
        """The lengths of the three edges of each triangle, (T, 3)."""
        return np.linalg.norm(self.normals, axis=2)

    @cached_property
    def areas(self) -> Array:
        """The areas of the triangles, (T,)."""
        (a, b), (c, d) = np.moveaxis(self.corners[:, 1:] - self.corners[:, :1], 0, -1)
        return (a * d - b * c) / 2

    def frames(self, fields: int) -> Array:
        """Return orthonormal vectors at each edge, in the rows of (E, m, m), for m fields.

        For two fields they are a normal and the direction of the edge from the vertex with the
        smaller number to the other vertex; for one field the only entry is 1.
        """
        if fields == 1:
            return np.ones((len(self.ends), 1, 1))
        along = np.diff(self.vertices[self.ends], axis=1)[:, 0]
        x, y = (along / np.linalg.norm(along, axis=1, keepdims=True)).T
        return np.stack([y, -x, x, y], axis=1).reshape(-1, 2, 2)

    def points_on(self, edges: Array, t: Array, names: tuple[str, ...]) -> Points:
        """Return k points on each of e edges of the boundary, with outward normals, (e k, 2).

        Args:
            edges: the numbers of the edges, (e,).
            t: the parameters of the points, (k,), from 0 at the vertex with the smaller number to 1
                at the other vertex.
            names: the names of the coordinates.
        """
        normals = np.zeros((len(self.ends), 2))
        normals[self.edges] = self.normals / self.lengths[..., None]
        coords = np.einsum("qk,ekd->eqd", _line(t), self.vertices[self.ends[edges]])
        outward = np.repeat(normals[edges], len(t), axis=0)
        return Points(torch.from_numpy(coords.reshape(-1, 2)), names, torch.from_numpy(outward))

    def split(self) -> "Triangulation":
        """Return the mesh in which the centre of each triangle divides it into three triangles."""
        (a, b, c), count = self.triangles.T, len(self.vertices)
        centre = count + np.arange(len(a))
        parts = [np.stack([start, end, centre], axis=1) for start, end in ((a, b), (b, c), (c, a))]
        vertices = np.concatenate([self.vertices, self.corners.mean(axis=1)])
        parent = np.tile(np.arange(len(a)), 3)
        return Triangulation(vertices, np.concatenate(parts), self.marks, parent)

    @cached_property
    def slopes(self) -> Array:
        """The gradients of the three barycentric coordinates in each triangle, (T, 3, 2)."""
        return -np.roll(self.normals, -1, axis=1) / (2 * self.areas[:, None, None])

    def refined(self, marked: Array) -> "Triangulation":
        """Return a finer mesh, in which all edges of marked triangles are halved.

        Triangles are bisected. Further triangles are bisected to keep the mesh conforming.

        Args:
            marked: a mask of the marked triangles, (T,).

        Reference: Mitchell, A comparison of adaptive refinement techniques (1989).
        """
        edges, halved = self.edges, np.zeros(len(self.ends), bool)
        halved[edges[marked]] = True
        while True:  # the edge at which a triangle is bisected is halved first
            more = halved[edges].any(axis=1) & ~halved[edges[:, 0]]
            if not more.any():
                break
            halved[edges[more, 0]] = True
        middle = np.full(len(halved), -1)
        middle[halved] = len(self.vertices) + np.arange(halved.sum())
        new, marks = self.vertices[self.ends[halved]].mean(axis=1), dict(self.marks)
        for (a, b), between in zip(
            self.ends[halved].tolist(), middle[halved].tolist(), strict=True
        ):
            if (piece := marks.pop((a, b), None)) is not None:
                marks[a, between] = marks[b, between] = piece
        (a, b, c), (m, n, o) = self.triangles.T, middle[edges].T
        whole, number = m < 0, np.arange(len(m))
        parts = [(self.triangles[whole], number[whole])]
        for own, start, end in ((n, b, c), (o, c, a)):
            # The half with the edge from `start` to `end` has the vertices start, end, m.
            once, twice = ~whole & (own < 0), ~whole & (own >= 0)
            parts.append((np.stack([start, end, m], axis=1)[once], number[once]))
            both = [(m, start, own), (end, m, own)]
            parts += [(np.stack(one, axis=1)[twice], number[twice]) for one in both]
        vertices = np.concatenate([self.vertices, new])
        triangles, parent = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Triangulation(vertices, triangles, marks, parent)

    def graded(self, tips: Array) -> "Triangulation":
        """Return a finer mesh, in which triangles at given vertices are cut near these vertices.

        From each triangle at such a vertex a similar triangle with a fifth of its size is cut off
        at the vertex, and the rest is divided in two. Meshes for singular solutions become smaller
        towards the singularity in this way with fewer triangles than by bisection.

        Args:
            tips: the numbers of the vertices, of which no two are in one triangle, (k,).

        Reference: Schwab, p- and hp-Finite Element Methods (1998), section 4.5.
        """
        at = np.isin(self.ends, tips)
        cut, ends = (
            np.flatnonzero(at.any(axis=1)),
            np.where(at[:, :1], self.ends, self.ends[:, ::-1]),
        )
        new = np.full(len(at), -1)
        new[cut] = len(self.vertices) + np.arange(len(cut))
        points = (
            self.vertices[ends[cut, 0]]
            + (self.vertices[ends[cut, 1]] - self.vertices[ends[cut, 0]]) / 5
        )
        marks = dict(self.marks)
        for (tip, far), between in zip(ends[cut].tolist(), new[cut].tolist(), strict=True):
            if (piece := marks.pop((min(tip, far), max(tip, far)), None)) is not None:
                marks[tip, between] = marks[far, between] = piece
        touching = np.isin(self.triangles, tips)
        whole = ~touching.any(axis=1)
        number = np.flatnonzero(~whole)
        turn = (touching[number].argmax(axis=1)[:, None] + np.arange(3)) % 3
        tip, a, b = np.take_along_axis(self.triangles[number], turn, axis=1).T
        near_a, _, near_b = new[np.take_along_axis(self.edges[number], turn, axis=1)].T
        parts = [(tip, near_a, near_b), (near_a, a, b), (near_a, b, near_b)]
        triangles = np.concatenate([np.stack(part, axis=1) for part in parts])
        vertices = np.concatenate([self.vertices, points])
        corners = vertices[triangles]
        longest = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2).argmax(axis=1)
        triangles = np.take_along_axis(triangles, (longest[:, None] + np.arange(3)) % 3, axis=1)
        triangles = np.concatenate([self.triangles[whole], triangles])
        parent = np.concatenate([np.flatnonzero(whole), np.tile(number, 3)])
        return Triangulation(vertices, triangles, marks, parent)


def triangulated(problem: BoundaryValueProblem, part: Domain | None = None) -> Triangulation:
    """Return a coarse mesh of the domain of a problem, whose edges cover the interfaces.

    Args:
        problem: the problem, in the plane.
        part: a part of the domain, whose boundary is covered by edges, too; None for no part.

    Raises:
        Unsuitable: for curved sides or interfaces.
    """
    domain = problem.domain
    kinks = [piece for condition in problem.conditions() for piece in condition.kinks]
    inside = -1e-9 * float((domain.bounds[1] - domain.bounds[0]).max())
    for piece in () if part is None else part.boundary.pieces:
        if bool(domain.contains(piece.gauss(3).coords, inside).any()):
            kinks.append(piece)
    division = divided(domain, kinks)
    pieces, vertices = list(domain.boundary.pieces), dict[tuple[float, float], int]()
    marks, triangles = dict[tuple[int, int], int](), []

    def number(point: Sequence[float]) -> int:
        found = (float(point[0]), float(point[1]))
        for known, index in vertices.items():
            if math.dist(known, found) < 1e-11 * size:
                return index
        return vertices.setdefault(found, len(vertices))

    size = float((domain.bounds[1] - domain.bounds[0]).max())
    for region, edges in zip(division.domains, division.edges, strict=True):
        if not all(isinstance(edge.curve, Segment) for edge in edges):
            raise Unsuitable("bounds with a flux on triangles need straight sides and interfaces")
        ends = [(number(edge.curve.start), number(edge.curve.stop)) for edge in edges]
        for edge, (a, b) in zip(edges, ends, strict=True):
            if edge.interface < 0:
                marks[min(a, b), max(a, b)] = pieces.index(edge.piece)
        points = [*vertices]  # neighbours meet exactly in these
        lines = [shapely.LineString([points[a], points[b]]) for a, b in ends]
        whole = min(shapely.polygonize(lines).geoms, key=lambda one: abs(one.area - region.measure))
        for one in shapely.constrained_delaunay_triangles(whole).geoms:
            corners = shapely.get_coordinates(one.normalize())[:3]
            at = [number(corner) for corner in corners[::-1]]
            sides = [math.dist(corners[::-1][j], corners[::-1][j - 2]) for j in range(3)]
            first = sides.index(max(sides))
            triangles.append(at[first:] + at[:first])
    mesh = Triangulation(np.array([*vertices]), np.array(triangles), marks)
    if mesh.areas.min() <= 0:
        raise Unsuitable("the triangles of the domain degenerate")
    return mesh


def bernstein_exponents(degree: int, parts: int) -> Array:
    """Return exponents (n, parts) of Bernstein polynomials in `parts` barycentric coordinates."""
    if parts == 1:
        return np.array([[degree]])
    rest = [(a, bernstein_exponents(degree - a, parts - 1)) for a in range(degree, -1, -1)]
    return np.concatenate([np.insert(one, 0, a, axis=1) for a, one in rest])


def bernstein(degree: int, shares: Array) -> Array:
    """Return the values (k, n) of the n Bernstein polynomials of a degree at k points.

    Args:
        degree: the degree.
        shares: the barycentric coordinates of the points, (k, 3), or (k, 2) on an edge.
    """
    powers = bernstein_exponents(degree, shares.shape[1])
    factors = [math.factorial(degree) / math.prod(map(math.factorial, row)) for row in powers]
    table = np.ones((degree + 1, *shares.shape))
    for k in range(degree):
        table[k + 1] = table[k] * shares
    found = np.array(factors) * np.ones((len(shares), 1))
    for part in range(shares.shape[1]):
        found *= table[:, :, part].T[:, powers[:, part]]
    return found


def bernstein_slopes(degree: int, shares: Array) -> Array:
    """Return derivatives (k, n, parts) of `bernstein` polynomials by barycentric coordinates.

    Args:
        degree: the degree of the n polynomials.
        shares: the barycentric coordinates of k points, (k, parts).
    """
    powers, parts = bernstein_exponents(degree, shares.shape[1]), shares.shape[1]
    lower, found = bernstein(degree - 1, shares), np.zeros((len(shares), len(powers), parts))
    place = {tuple(row): i for i, row in enumerate(bernstein_exponents(degree - 1, parts).tolist())}
    for i, row in enumerate(powers):
        for part in np.flatnonzero(row):
            found[:, i, part] = (
                degree * lower[:, place[tuple((row - np.eye(parts, dtype=int)[part]).tolist())]]
            )
    return found


def on_edge(shares: Array, edge: int) -> Array:
    """Return the barycentric coordinates, (k, 3), of points (k, 2) on an edge of a triangle."""
    found = np.zeros((len(shares), 3))
    found[:, [edge, (edge + 1) % 3]] = shares
    return found


EXTRA = 3  # the degree of data above that of the flux
# ‖u - Iu‖ ≤ 0.1893 h ‖∇(u - Iu)‖ on triangles, for Crouzeix and Raviart's interpolant Iu and the
# longest edge h.
INTERPOLATION = 0.1893


TENSORS = {
    1: np.eye(2)[:, None],
    2: np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]], [[0, 0.5**0.5], [0.5**0.5, 0]]]),
}  # for one field and for two


class Rules:
    """Quadrature rules in a triangle and on an edge, with Bernstein polynomials at their points.

    The rules have Q points in a triangle and k points on an edge, and are exact for polynomials up
    to the degree 2 m + 9. There are bases of n Bernstein polynomials with these names: "q" of
    degree m + 1 for the components of the flux q; "s" of degree m for the multiplier s in
    triangles; "t" for the multiplier λ on edges, of degree m for one field and m + 1 for two; "v"
    of degree m + 1 for the function v; and "d" of degree m + 3 for the data A, c, f, g and α.

    Args:
        m: the degree of the divergence of the flux.
        fields: the number of fields, 1 or 2.

    Attributes:
        tensors: the basis K of the fluxes at a point, (components, fields, 2), orthonormal: all
            vectors for one field, all symmetric matrices for two.
        degrees: the degree of each basis, by name; the tables below are by name, too.
        shares: the barycentric coordinates of the points in a triangle, (Q, 3).
        weights: their weights, (Q,), with the sum 1.
        line: the barycentric coordinates of the points on an edge, (k, 2).
        along: their weights, (k,), with the sum 1.
        of: the values in a triangle, (Q, n).
        slopes: the derivatives in a triangle by the barycentric coordinates, (Q, n, 3).
        edge: the values on an edge of the polynomials in one variable, (k, n).
        edge_slopes: their derivatives by the parameter of the edge, from 0 to 1, (k, n).
        sides: the values of a triangle's polynomials on its three edges, (3, k, n).
        fit: the matrix that maps values in a triangle to coefficients of "d" by least squares,
            (n, Q).
        edge_fit: the matrices that map values on an edge to coefficients by least squares, (n, k).
        others: the barycentric coordinates (Q', 3) and weights (Q',) of a second rule in a
            triangle, at whose points data are compared with the polynomials fitted to them.
        others_along: the barycentric coordinates (k', 2) and weights (k',) of a second rule on an
            edge.
    """

    def __init__(self, m: int, fields: int = 1) -> None:
        self.m, self.fields, self.tensors, nodes = m, fields, TENSORS[fields], m + 5
        self.degrees = {"q": m + 1, "s": m, "t": m + fields - 1, "v": m + 1, "d": m + EXTRA}
        shares, weights = simplex_rule(nodes, 2)
        self.shares, self.weights = shares.numpy(), weights.numpy()
        t, along = (one.numpy() for one in gauss_legendre(nodes))
        self.line, self.along = _line(t), along
        shares, weights = simplex_rule(m + 2, 2)
        self.others = shares.numpy(), weights.numpy()
        t, along = (one.numpy() for one in gauss_legendre(m + 2))
        self.others_along = _line(t), along
        degrees, line = self.degrees, self.line
        self.of = {name: bernstein(degrees[name], self.shares) for name in "qsvd"}
        self.slopes = {name: bernstein_slopes(degrees[name], self.shares) for name in "qv"}
        self.edge = {name: bernstein(degrees[name], line) for name in "td"}
        self.edge_slopes = bernstein_slopes(degrees["d"], line) @ [-1.0, 1.0]
        at = [on_edge(line, j) for j in range(3)]
        self.sides = {name: np.stack([bernstein(degrees[name], x) for x in at]) for name in "qv"}
        steep = [bernstein_slopes(degrees["v"], x) for x in at]
        self.side_slopes = [x[..., (j + 1) % 3] - x[..., j] for j, x in enumerate(steep)]
        # The coefficients of data from their values: what they miss has no mean.
        self.fit = _fit(self.of["d"], self.weights)
        self.edge_fit = {name: _fit(at, self.along) for name, at in self.edge.items()}


@dataclass(frozen=True, eq=False)
class MeshData:
    """The data A, c, f, g and α of a problem as polynomials of degree m + 3 on a mesh.

    The polynomials are given by Bernstein coefficients. On edges these are in the order from the
    vertex with the smaller number to the other vertex. On an edge of the boundary either u = g, or
    A∂u/∂n + α u = g. For two fields A maps symmetric matrices to symmetric matrices, and on an
    edge either condition holds for each component of `Triangulation.frames`.

    Args:
        diffusion: the coefficients of A in the basis `Rules.tensors`, in each triangle,
            (T, n, components, components).
        reaction: the coefficients of c, (T, n).
        source: the coefficients of f, (T, n, m).
        fixed: a mask of the components of u that are prescribed on each edge, (E, m).
        given: the coefficients of g on each edge, (E, n, m).
        robin: the coefficients of α on each edge, (E, n).
        lost: estimates of the errors of the polynomials in each triangle, (5, T): the L2 norm of
            the error of f, the largest errors of c and of A, the largest |b|, where b is the
            convection that remains besides -div(A∇u) with the polynomial A, and the L2 norm of the
            projection of the error of f on `rigid_motions`. Each is twice the value at sampled
            points.
        lost_given: estimates of the errors of the polynomials on each edge, (E, 4): the L2 norm of
            the error of the prescribed values g; the L2 norm of its derivative along the edge where
            u is prescribed, elsewhere the largest error of α; the L2 norm of the error of the given
            flux g; and the root mean square of its projection on linear functions.
        names: the names of the coordinates.
        gap: the error of f at the points of `Rules.others`, (T, Q', m).
        gap_given: the error of g at the points of `Rules.others_along`, where a flux is given,
            (E, k', m), in the direction from the vertex with the smaller number.
    """

    diffusion: Array
    reaction: Array
    source: Array
    fixed: Array
    given: Array
    robin: Array
    lost: Array
    lost_given: Array
    names: tuple[str, ...]
    gap: Array
    gap_given: Array

    @cached_property
    def least(self) -> Array:
        """A lower bound of the least eigenvalue of A in each triangle, (T,)."""
        return np.linalg.eigvalsh(self.diffusion)[..., 0].min(axis=1)

    @cached_property
    def most(self) -> Array:
        """An upper bound of the largest eigenvalue of A in each triangle, (T,)."""
        return np.linalg.eigvalsh(self.diffusion)[..., -1].max(axis=1)


def chebyshev_points(degree: int) -> Array:
    """Return degree + 1 Chebyshev points in [0, 1], which include 0 and 1."""
    found: Array = (1 - np.cos(np.pi * np.arange(degree + 1) / degree)) / 2
    return found


def _fit(values: Array, weights: Array) -> Array:
    """Return the matrix (n, k) that maps data at k points to coefficients by least squares.

    Args:
        values: the values of n functions at the points, (k, n).
        weights: the weights of the squared differences at the points, (k,).
    """
    root = np.sqrt(weights)
    return np.linalg.pinv(root[:, None] * values) * root


def _line(t: Array) -> Array:
    return np.stack([1 - t, t], axis=1)


@dataclass(frozen=True)
class Number:
    """A number J(u): the integral of a density j·u + r over a part of the domain or its boundary.

    Args:
        density: a function density(p, u), or density(p, u, v) of two fields, (n, 1), affine in the
            fields and without derivatives.
        over: a part of the domain, or some of its sides; None for the whole domain.
        known: the number for the approximate solution whose error is bounded.
    """

    density: Callable[..., Tensor]
    over: Domain | Boundary | None = None
    known: float = math.nan

    def read(self, points: Points, fields: int) -> tuple[Array, Array]:
        """Return j, (n, m), and r, (n,), at points; both are 0 outside a part of the domain.

        Args:
            points: the points.
            fields: the number of fields m.
        """

        def stacked(p: Points, u: Jet) -> Tensor:
            """The density, from the jet of all fields."""
            return stack_equations(self.density(p, *u.components()), len(p), "density")

        found = read_coefficients(stacked, points, "the density", fields)
        if bool(found.second.any()) or bool(found.first.any()):
            raise Unsuitable("the density of the number has derivatives")
        if found.rest.shape[1] != 1:
            raise Unsuitable(f"the density has {found.rest.shape[1]} columns: give it one")
        inside = torch.ones(len(points), dtype=torch.bool)
        if isinstance(self.over, Domain):
            inside = self.over.contains(points.coords)
        j, r = inside[:, None] * found.zeroth[:, 0], inside * found.rest[:, 0]
        return j.numpy(), r.numpy()


@dataclass(frozen=True, eq=False)
class SideData:
    """The conditions at k points of each of e edges on one piece of the boundary.

    Args:
        fixed: a mask of the components of u, in `Triangulation.frames`, that are prescribed, (m,).
        given: g for each component, (e, k, m).
        robin: the factor α of the components that are not prescribed, (e, k).
    """

    fixed: Array
    given: Array
    robin: Array


class Reader:
    """Approximates the data of a problem by polynomials on a mesh; calling it returns `MeshData`.

    Args:
        problem: the problem.
        rules: the bases of polynomials, and quadrature rules.
        number: a number that is bounded besides the error. The edges of `coarse` then cover the
            boundary of its part of the domain, too.

    Attributes:
        coarse: a coarse mesh of the domain.
        equation: the residual whose coefficients are read, by default that of the problem.
        conditions: for each boundary piece the residual of all its conditions.
        interfaces: the conditions on interfaces.

    Raises:
        Unsuitable: as for `read_sides`, for unknowns, for curved sides or interfaces, an interface
            with a jump of the flux or in a system, or a side without a condition.
    """

    def __init__(
        self, problem: BoundaryValueProblem, rules: Rules, number: "Number | None" = None
    ) -> None:
        self.problem, self.rules, self.names = stated(problem), rules, problem.domain.names
        self.equation: ResidualFunction = self.problem.equation
        if problem.unknowns:
            raise Unsuitable("the problem has unknowns")
        sides = read_sides(self.problem)
        over = None if number is None else number.over
        self.coarse = triangulated(problem, over if isinstance(over, Domain) else None)
        conditions, self.conditions = self.problem.conditions(), list[ResidualFunction]()
        self.interfaces = [c for c in conditions if isinstance(c, Interface)]
        if any(c.kinks and (c not in self.interfaces or c.flux != 0) for c in conditions):
            raise Unsuitable("at an interface the flux is not continuous")
        if self.interfaces and rules.fields > 1:
            raise Unsuitable("elastic bodies of two materials have no bounds")
        for piece, held in sides:
            if not held:
                raise Unsuitable(f"there is no condition on {piece.name}")

            def every(p: Points, u: Jet, held: Sequence[int] = held) -> Tensor:
                """The residuals of all conditions of the piece."""
                return torch.cat([conditions[i].stacked_residual(p, u) for i in held], dim=1)

            self.conditions.append(every)

    def __call__(self, mesh: Triangulation) -> MeshData:
        """Return the data of the problem as polynomials on a mesh."""
        rules, area = self.rules, mesh.areas
        values = self._inside(mesh, rules.shares)
        coefficients = [np.einsum("nq,tq...->tn...", rules.fit, one) for one in values[:3]]
        shares, _ = rules.others
        basis, found = bernstein(rules.degrees["d"], shares), self._inside(mesh, shares)
        gaps = [
            np.einsum("qn,tn...->tq...", basis, a) - b
            for a, b in zip(coefficients, found, strict=False)
        ]
        lost_a = np.linalg.norm(gaps[0], axis=(2, 3)).max(axis=1)
        lost_c = abs(gaps[1]).max(axis=1)
        first = found[3]
        if rules.fields == 1:
            slopes = np.einsum(
                "qnk,tkb->tqnb", bernstein_slopes(rules.degrees["d"], shares), mesh.slopes
            )
            first = first + np.einsum("tqna,tnab->tqb", slopes, coefficients[0])[:, :, None, None]
        drift = np.sqrt((first**2).sum(axis=(2, 3, 4))).max(axis=1)
        lost_f, rigid = source_errors(mesh, rules, gaps[2])
        lost = np.stack([lost_f, 2 * lost_c, 2 * lost_a, 2 * drift, rigid])
        size = abs(coefficients[0]).max(axis=(1, 2, 3))
        lost[2:4] *= lost[2:4] > 1e-11 * np.stack([size, size / np.sqrt(area)])
        if rules.fields > 1 and lost[2:4].any():
            raise Unsuitable("the coefficients of the system are not constant")
        self._check_jumps(mesh, lost[2] + 1e-9 * size)
        fixed, given, robin, lost_given, missed = self._edges(mesh)
        a, c, f = coefficients
        gap = -gaps[2]
        return MeshData(a, c, f, fixed, given, robin, lost, lost_given, self.names, gap, missed)

    def _check_jumps(self, mesh: Triangulation, allowed: Array) -> None:
        """Refuse A that jumps at an edge between triangles that is not on an interface.

        There the residual does not say whether the flux or the normal derivative is continuous.

        Args:
            mesh: the mesh.
            allowed: for each triangle the largest change of A that counts as none, (T,).
        """
        beside = np.stack([on_edge(np.full((1, 2), 0.5), j)[0] for j in range(3)])
        beside += 1e-10 * (1 / 3 - beside)
        a = self._inside(mesh, beside)[0]
        low, high = np.full((2, len(mesh.ends), *a.shape[2:]), [[[[np.inf]]], [[[-np.inf]]]])
        np.minimum.at(low, mesh.edges, a)
        np.maximum.at(high, mesh.edges, a)
        most = np.zeros(len(mesh.ends))
        np.maximum.at(most, mesh.edges, allowed[:, None])
        for edge in np.flatnonzero((high - low).max(axis=(1, 2)) > most).tolist():
            x, y = mesh.vertices[mesh.ends[edge]].mean(axis=0).tolist()
            curves = (curve_of(piece) for one in self.interfaces for piece in one.kinks)
            near = 1e-9 * float(np.ptp(mesh.vertices, axis=0).max())
            if not any(
                curve is not None and curve.locate((x, y), near) is not None for curve in curves
            ):
                raise Unsuitable(f"A jumps at ({x:.3g}, {y:.3g}), where no Interface says so")

    def _operator(self, points: Points) -> tuple[Array, Array, Array, Array]:
        """Read -div(A∇u) + c u - f from a residual ±(-div(A∇u) + c u - f) at n points.

        For two fields the minor symmetries of A are assumed: the stress A ε(u) is symmetric.

        Returns:
            A in the basis `Rules.tensors`, (n, components, components), c, (n,), f, (n, m), and the
            coefficients of the first derivatives, (n, m, m, 2).

        Raises:
            Unsuitable: as for `read_coefficients`, and for other equations.
        """
        m, basis = self.rules.fields, self.rules.tensors
        read = read_coefficients(self.equation, points, "the residual", m)
        if read.rest.shape[1] != m:
            raise Unsuitable("there are not as many equations as fields")
        sign = 1.0 if float(torch.einsum("niiaa->", read.second)) < 0 else -1.0
        second, first, zeroth, rest = (sign * part.numpy() for part in read.parts)
        if m == 1:
            tensor = -second[:, 0, 0]
        else:  # σ_12 = μ (∂_2 u_1 + ∂_1 u_2), and other parts
            s, root = -second, 2**0.5
            mu, a, b = s[:, 0, 0, 1, 1], root * s[:, 0, 0, 0, 1], root * s[:, 1, 1, 0, 1]
            rows = [s[:, 0, 0, 0, 0], 2 * s[:, 0, 1, 0, 1] - mu, a]
            rows += [rows[1], s[:, 1, 1, 1, 1], b, a, b, 2 * mu]
            tensor = np.stack(rows, axis=1).reshape(-1, 3, 3)
            whole = np.einsum("nkl,kia,ljb->nijab", tensor, basis, basis, optimize=True)
            whole = (whole + whole.swapaxes(3, 4)) / 2
            if abs(whole + second).max() > 1e-9 * abs(second).max():
                raise Unsuitable("the system is not div σ = -f with a symmetric stress σ")
        c = zeroth[:, 0, 0]
        if abs(zeroth - c[:, None, None] * np.eye(m)).max() > 1e-12 * abs(zeroth).max():
            raise Unsuitable("the fields are coupled without derivatives")
        return tensor, c, -rest, first

    def _inside(self, mesh: Triangulation, shares: Array) -> list[Array]:
        """Return what `_operator` returns, at points in all triangles, (T, Q, …) each.

        Args:
            mesh: the mesh.
            shares: the barycentric coordinates of Q points in a triangle, (Q, 3).
        """
        coords = np.einsum("qk,tkd->tqd", shares, mesh.corners)
        flat = torch.from_numpy(coords.reshape(-1, 2))
        parts = [self._operator(Points(chunk, self.names)) for chunk in flat.split(2**15)]
        found = [np.concatenate(part) for part in zip(*parts, strict=True)]
        found = [part.reshape(*coords.shape[:2], *part.shape[1:]) for part in found]
        for one in self.interfaces:
            if one.coefficient is None:
                raise Unsuitable("an interface has a law in place of a coefficient")
            given = values_of(one.coefficient, Points(flat, self.names), 1, "a").numpy()
            a = given.reshape(*coords.shape[:2], 1, 1) * np.eye(2)
            if not np.allclose(a, found[0], 1e-9, 1e-12 * abs(a).max()):
                raise Unsuitable("the coefficient at an interface is not that of the equation")
        return found

    def _at_sides(self, mesh: Triangulation, number: int, t: Array) -> SideData:
        """Return the conditions at points of the edges of a boundary piece.

        Args:
            mesh: the mesh.
            number: the number of the boundary piece.
            t: the parameters of k points on each edge, (k,), from 0 at the vertex with the smaller
                number to 1 at the other vertex.
        """
        edges, m = np.flatnonzero(mesh.piece == number), self.rules.fields
        name = f"the condition on {self.problem.domain.boundary.pieces[number].name}"
        p = mesh.points_on(edges, t, self.names)
        assert p.normals is not None
        frame = np.repeat(mesh.frames(m)[edges], len(t), axis=0)
        terms = read_coefficients(self.conditions[number], p, name, m)
        if terms.rest.shape[1] != m or bool(terms.second.any()):
            raise Unsuitable(f"{name} prescribes neither a value nor a flux of each field")
        slopes, rest = terms.first.numpy(), terms.rest.numpy()
        values = np.einsum("nej,nij->nei", terms.zeroth.numpy(), frame)
        on_values = ~slopes.any(axis=(0, 2, 3))  # the conditions on values
        fixed = abs(values[:, on_values]).max(axis=(0, 1), initial=0) > 1e-12 * abs(values).max()
        given, alpha = np.zeros((len(p), m)), np.zeros(len(p))

        def solved(matrices: Array, right: Array) -> Array:
            """Solve for the components, if there are as many as conditions."""
            if matrices.shape[1] != matrices.shape[2] or (
                matrices.size and np.linalg.cond(matrices).max() > 1e9
            ):
                raise Unsuitable(f"{name} is not for one component of values or fluxes")
            return np.linalg.solve(matrices, right)

        given[:, fixed] = solved(values[:, on_values][..., fixed], -rest[:, on_values, None])[
            ..., 0
        ]
        if not fixed.all():
            basis, normal = self.rules.tensors, p.normals.numpy()
            flux = np.einsum("nij,kja,na->nik", frame, basis, normal, optimize=True)
            tensor = self._operator(p)[0]
            flux = np.einsum("nik,nkl,ljb->nijb", flux, tensor, basis, optimize=True)
            flux = flux.reshape(len(p), m, -1)
            own = slopes[:, ~on_values].reshape(len(p), -1, 2 * m)
            kappa = own @ np.linalg.pinv(flux)
            gap = np.linalg.norm(own - kappa @ flux, axis=2)
            if (gap > 1e-9 * np.linalg.norm(own, axis=2)).any() or (
                abs(kappa[..., fixed]).max(initial=0) > 1e-9 * abs(kappa).max()
            ):
                raise Unsuitable(f"{name} prescribes neither a value nor a flux")
            right = np.concatenate([-rest[:, ~on_values, None], values[:, ~on_values]], axis=2)
            right = solved(kappa[..., ~fixed], right)
            given[:, ~fixed], robin = right[..., 0], right[..., 1:]
            alpha = robin[:, 0, 0] if m == 1 else alpha
            if m > 1 and robin.any():
                raise Unsuitable(f"{name} has both values and fluxes")
            if alpha.min() < -1e-12 * abs(alpha).max():
                raise Unsuitable(f"{name} is not coercive: α is {alpha.min():.3g}")
        shape = len(edges), len(t)
        return SideData(fixed, given.reshape(*shape, m), alpha.reshape(shape))

    def _edges(self, mesh: Triangulation) -> tuple[Array, Array, Array, Array, Array]:
        """Return `fixed`, `given`, `robin`, `lost_given` and `gap_given` of `MeshData`."""
        degree, count, m = self.rules.degrees["d"], len(mesh.ends), self.rules.fields
        fixed, lost = np.zeros((count, m), bool), np.zeros((count, 4))
        given, robin = np.zeros((count, degree + 1, m)), np.zeros((count, degree + 1))
        lengths = np.linalg.norm(np.diff(mesh.vertices[mesh.ends], axis=1)[:, 0], axis=1)
        fit = self.rules.edge_fit["d"]
        t, fine = chebyshev_points(degree), chebyshev_points(2 * degree)
        nodal, at_fine = np.linalg.inv(bernstein(degree, _line(t))), bernstein(degree, _line(fine))
        wave = chebyshev.chebvander(2 * fine - 1, len(fine) - 1)
        others, _ = self.rules.others_along
        at_others, missed = bernstein(degree, others), np.zeros((count, len(others), m))
        for number in np.unique(mesh.piece[mesh.piece >= 0]).tolist():
            edges = np.flatnonzero(mesh.piece == number)
            values, size = (
                self._at_sides(mesh, number, self.rules.line[:, 1]),
                np.sqrt(lengths[edges]),
            )
            fixed[edges], held = values.fixed, values.fixed
            if held.any():  # interpolation, so that both sides of a vertex agree
                nodes = self._at_sides(mesh, number, t)
                own = np.einsum("nk,ekm->enm", nodal, nodes.given)
                own[:, [0, -1]] = nodes.given[:, [0, -1]]
                gap = self._at_sides(mesh, number, fine).given - at_fine @ own
                slopes = np.linalg.solve(wave, gap.swapaxes(0, 1).reshape(len(fine), -1))
                steep = 2 * chebyshev.chebval(2 * fine - 1, chebyshev.chebder(slopes))
                steep = abs(steep.reshape(len(edges), m, -1)[:, held])
                lost[edges, 1] = 2 * np.linalg.norm(steep.max(axis=2), axis=1) / size
                lost[edges, 0] = 2 * np.linalg.norm(abs(gap[..., held]).max(axis=1), axis=1) * size
                given[edges] = own * held
            if not held.all():
                between = self._at_sides(mesh, number, others[:, 1])
                given[edges] += np.einsum("nk,ekm->enm", fit, values.given) * ~held
                robin[edges] = values.robin @ fit.T
                missed[edges] = (between.given - at_others @ given[edges]) * ~held
                if m == 1:
                    gap = between.robin - robin[edges] @ at_others.T
                    lost[edges, 1] = 2 * abs(gap).max(axis=1)
        lost[:, 2:] = load_errors(self.rules, missed, lengths)
        return fixed, given, robin, lost, missed


def source_errors(mesh: Triangulation, rules: Rules, gap: Array) -> Array:
    """Return the first and the last row of `MeshData.lost`, (2, T), from the error of f.

    Args:
        mesh: the mesh.
        rules: the rules.
        gap: the error of f at the points of `Rules.others`, (T, Q', m).
    """
    shares, weights = rules.others
    squares = (gap**2).sum(axis=2) @ weights
    rigid = np.einsum("q,tqi,tqri->tr", weights, gap, rigid_motions(mesh, shares, gap))
    return 2 * np.sqrt(mesh.areas * np.stack([squares, (rigid**2).sum(axis=1)]))


def load_errors(rules: Rules, gap: Array, lengths: Array) -> Array:
    """Return the last two columns of `MeshData.lost_given`, (E, 2), from the error of a given flux.

    Args:
        rules: the rules.
        gap: the error at the points of `Rules.others_along`, (E, k', m).
        lengths: the lengths of the edges, (E,).
    """
    line, weights = rules.others_along
    straight = np.einsum("q,qr,eqm->erm", weights, linear(line), gap)
    largest = np.sqrt(lengths) * np.linalg.norm(abs(gap).max(axis=1), axis=1)
    return 2 * np.stack([largest, np.linalg.norm(straight, axis=(1, 2))], axis=1)


def linear(line: Array) -> Array:
    """Return two orthonormal polynomials of degree 1 at k points (k, 2) on an edge, (k, 2)."""
    return np.stack([np.ones(len(line)), math.sqrt(3) * (line[:, 1] - line[:, 0])], axis=1)


def _condensed(
    matrices: Array, right: Array, outer: Array, count: int, known: Array, values: Array
) -> Array:
    """Solve a linear system that is the sum of systems of single triangles.

    The N unknowns of a triangle are k outer unknowns, which it shares with other triangles, and
    inner unknowns of its own, which are eliminated first (static condensation).

    Args:
        matrices: the matrix of each triangle, with the outer unknowns first, (T, N, N).
        right: r right-hand sides of each triangle, (T, N, r).
        outer: the numbers of the outer unknowns of each triangle, (T, k).
        count: the number of all outer unknowns.
        known: a mask of the outer unknowns whose values are known, (count,).
        values: the values of the known unknowns; other entries are ignored, (count, r).

    Returns:
        The values of the unknowns of each triangle, (T, N, r).
    """
    k, r = outer.shape[1], right.shape[2]
    columns = np.concatenate([matrices[:, k:, :k], right[:, k:]], axis=2)
    inner = np.linalg.solve(matrices[:, k:, k:], columns)
    reduced = matrices[:, :k, :k] - matrices[:, :k, k:] @ inner[..., :k]
    load = right[:, :k] - matrices[:, :k, k:] @ inner[..., k:]
    rows = np.broadcast_to(outer[:, :, None], reduced.shape).ravel()
    places = np.broadcast_to(outer[:, None, :], reduced.shape).ravel()
    matrix = sparse.csc_array((reduced.ravel(), (rows, places)), shape=(count, count))
    total = np.zeros((count, r))
    np.add.at(total, outer, load)
    free, found = np.flatnonzero(~known), np.where(known[:, None], values, 0.0)
    if len(free):
        total -= matrix @ found
        factors = splu(matrix[free][:, free])
        found[free] = factors.solve(total[free])
        found[free] += factors.solve((total - matrix[:, free] @ found[free])[free])
    at = found[outer]
    return np.concatenate([at, inner[..., k:] - inner[..., :k] @ at], axis=1)


@dataclass(frozen=True, eq=False)
class Fields:
    """A continuous function v and a flux q near A∇v, with multipliers s and λ near v.

    The functions are given by coefficients for the Bernstein polynomials of `Rules`.

    Args:
        v: the coefficients of v in each triangle, (T, n, m).
        q: the coefficients of the components of q in the basis `Rules.tensors` in each triangle,
            (T, n, components).
        s: the coefficients of s in each triangle, (T, n, m).
        trace: the coefficients of λ on each edge, (E, n, m), in the order from the vertex with the
            smaller number to the other vertex; the components are those of `Triangulation.frames`.
    """

    v: Array
    q: Array
    s: Array
    trace: Array


class Discrete:
    """The finite-element problems for a continuous function v and a flux q on a mesh.

    v is the Galerkin solution of degree m + 1. For one field q belongs to the Raviart–Thomas space
    of degree m. For two fields q is a symmetric matrix of polynomials of degree m + 1 in each
    triangle; the mesh must come from `Triangulation.split`, so that this element is stable. q and
    the multiplier s solve the mixed problem: in each triangle -div q + c s - f is orthogonal to all
    polynomials of degree m. The multiplier λ on edges makes the normal component of q continuous
    (hybridisation).

    Args:
        mesh: the mesh.
        data: the data on the mesh.
        rules: the bases of polynomials, and quadrature rules.

    Attributes:
        diffusion: A at the points of the rule in each triangle, (T, Q, components, components).
        inverse: A⁻¹ at these points, in the shape of A.
        reaction, source: c, (T, Q), and f, (T, Q, m), at these points.
        fluxes: the map from the components of q to its normal component at each edge of a triangle,
            times the length of the edge, (T, 3, m, components).

    Reference: Brezzi and Fortin, Mixed and Hybrid Finite Element Methods (1991), chapter V; Arnold,
    Douglas and Gupta, A family of higher order mixed finite element methods for plane elasticity
    (1984).
    """

    def __init__(self, mesh: Triangulation, data: MeshData, rules: Rules) -> None:
        self.mesh, self.data, self.rules = mesh, data, rules
        self.names = data.names
        at = rules.of["d"]
        self.diffusion = np.einsum("qn,tnab->tqab", at, data.diffusion)
        self.reaction = data.reaction @ at.T
        self.source = np.einsum("qn,tnm->tqm", at, data.source)
        self.inverse = np.linalg.inv(self.diffusion)
        self.frames = mesh.frames(rules.fields)
        normals = np.einsum("kjb,tsb->tsjk", rules.tensors, mesh.normals)
        self.fluxes = np.einsum("tsij,tsjk->tsik", self.frames[mesh.edges], normals)

    def flipped(self, coefficients: Array) -> Array:
        """Return coefficients on edges (E, n, …) for the edges of each triangle, (T, 3, n, …).

        The result is in the order in which the edge runs in the triangle, see `Triangulation`.
        """
        at = coefficients[self.mesh.edges]
        turned = self.mesh.reverse.reshape(*self.mesh.reverse.shape, *(1,) * (at.ndim - 2))
        found: Array = np.where(turned, at[:, :, ::-1], at)
        return found

    def solve(self) -> Fields:
        """Return the continuous function v and the flux q with its multipliers."""
        q, s, trace = (one[..., 0] for one in self.flux(self.source[..., None]))
        return Fields(self._conforming(), q, s, trace)

    def on_sides(self) -> tuple[Array, Array, Array]:
        """Return the boundary data on the three edges of each triangle.

        Returns:
            A mask of the prescribed components of the flux, (T, 3, m); g, (T, 3, k, m), and α,
            (T, 3, k), at the k points of the rule on an edge, in the direction in which the edge
            runs in the triangle.
        """
        natural = (self.mesh.piece >= 0)[:, None] & ~self.data.fixed
        basis = self.rules.edge["d"]
        return (
            natural[self.mesh.edges],
            np.einsum("kn,tjnm->tjkm", basis, self.flipped(self.data.given)),
            self.flipped(self.data.robin) @ basis.T,
        )

    def flux(self, sources: Array) -> tuple[Array, Array, Array]:
        """Solve the mixed problem for r sources.

        Args:
            sources: the sources f at the Q points of the rule in each triangle, (T, Q, m, r).

        Returns:
            The coefficients of q, s and λ as in `Fields`, each with a last axis of length r.
        """
        mesh, rules, m = self.mesh, self.rules, self.rules.fields
        size = np.sqrt(2 * mesh.areas)  # q is scaled by it, so that all entries are near 1
        q, s, trace = rules.of["q"], rules.of["s"], rules.edge["t"]
        n, k, edge = q.shape[1], s.shape[1], trace.shape[1]
        natural, g, alpha = self.on_sides()
        own = mesh.lengths[..., None, None] * natural[:, :, None] * rules.along[:, None]
        cells, parts = len(size), len(rules.tensors)
        mass = np.zeros((cells, parts * n, parts * n))
        table = np.einsum("q,qs,qnk->ksn", rules.weights, s, rules.slopes["q"])
        moments = np.einsum("q,qa,jqn->jan", rules.along, trace, rules.sides["q"])
        for a in range(parts):
            for b in range(parts):
                at = slice(a * n, (a + 1) * n), slice(b * n, (b + 1) * n)
                mass[:, *at] = self.mass(self.inverse[..., a, b] / 2, q)
        steep = np.einsum("tkb,aib->tkia", mesh.slopes, rules.tensors)
        steep *= (mesh.areas / size)[:, None, None, None]
        divergence = np.einsum("tkia,ksn->tsian", steep, table, optimize=True)
        divergence = divergence.reshape(cells, k * m, -1)
        scaled = self.fluxes / size[:, None, None, None]
        sides = np.einsum("tjia,jcn->tjcian", scaled, moments, optimize=True)
        sides = sides.reshape(cells, 3 * edge * m, -1)
        span = self._raviart_thomas() if m == 1 else None
        if span is not None:
            mass = span.transpose(0, 2, 1) @ mass @ span
            divergence, sides = divergence @ span, sides @ span
        count, both = 3 * edge * m, 3 * edge * m + mass.shape[1]
        matrix = np.zeros((cells, both + k * m, both + k * m))
        r = sources.shape[3]
        right = np.zeros((cells, both + k * m, r))
        right[:, :count] = -np.einsum("tjcm,ce->tjem", own * g, trace).reshape(cells, -1, 1)
        if m == 1:
            for j in range(3):
                place = slice(j * edge, (j + 1) * edge)
                factors = own[:, j, :, 0] * alpha[:, j]
                matrix[:, place, place] = -(trace.T @ (factors[..., None] * trace))
        matrix[:, :count, count:both], matrix[:, both:, count:both] = -sides, divergence
        matrix[:, count:both, :count] = -sides.transpose(0, 2, 1)
        matrix[:, count:both, both:] = divergence.transpose(0, 2, 1)
        matrix[:, count:both, count:both] = mass
        reaction = self.mass(mesh.areas[:, None] * self.reaction, s)
        for i in range(m):
            matrix[:, both + i :: m, both + i :: m] = -reaction
        weighted = mesh.areas[:, None, None, None] * rules.weights[:, None, None] * sources
        right[:, both:] = -np.einsum("tqmr,qk->tkmr", weighted, s).reshape(cells, -1, r)
        along = np.arange(edge)
        number = mesh.edges[..., None] * edge
        number = number + np.where(mesh.reverse[..., None], along[::-1], along)
        number = (number[..., None] * m + np.arange(m)).reshape(cells, -1)
        known, fit = np.repeat(self.data.fixed, edge, axis=0).ravel(), rules.edge_fit["t"]
        fit = fit @ rules.edge["d"]
        values = np.einsum("en,inm->iem", fit, self.data.given).reshape(-1, 1)
        values = np.repeat(values, r, axis=1)
        found = _condensed(matrix, right, number, len(known), known, values)
        traces = np.zeros((len(known), r))
        traces[number] = found[:, :count]
        flux = found[:, count:both]
        flux = flux if span is None else span @ flux
        flux = flux.reshape(cells, parts, n, r).swapaxes(1, 2) / size[:, None, None, None]
        return flux, found[:, both:].reshape(cells, k, m, r), traces.reshape(-1, edge, m, r)

    def _raviart_thomas(self) -> Array:
        """Return a basis of the Raviart–Thomas space of degree m in each triangle.

        With the position x relative to the third corner, the basis consists of vectors with one
        component, a polynomial of degree m, and of x times homogeneous polynomials of degree m.

        Returns:
            The Bernstein coefficients of degree m + 1 of the basis functions, (T, 2 n, functions);
            the n coefficients of the first component are first.
        """
        m, powers = self.rules.m, bernstein_exponents(self.rules.m, 3)
        place = {tuple(row): i for i, row in enumerate(bernstein_exponents(m + 1, 3).tolist())}
        lift = np.zeros((len(place), len(powers)))
        for column, row in enumerate(powers):
            for part, raised in enumerate(row + np.eye(3, dtype=int)):
                lift[place[tuple(raised.tolist())], column] = (row[part] + 1) / (m + 1)
        n, k = lift.shape
        span = np.zeros((len(self.mesh.areas), 2 * n, 2 * k + m + 1))
        away = self.mesh.corners[:, :2] - self.mesh.corners[:, 2:]
        away = away / np.sqrt(2 * self.mesh.areas)[:, None, None]
        for a in range(2):
            span[:, a * n : (a + 1) * n, a * k : (a + 1) * k] = lift
            for i in range(m + 1):
                column = 2 * k + i
                span[:, a * n + place[i + 1, m - i, 0], column] += away[:, 0, a] * (i + 1) / (m + 1)
                last = away[:, 1, a] * (m + 1 - i) / (m + 1)
                span[:, a * n + place[i, m + 1 - i, 0], column] += last
        return span

    def mass(self, factors: Array, basis: Array) -> Array:
        """Return for each triangle the mass matrix Σ w · factor · basis ⊗ basis, (T, n, n).

        The sum is over the Q points of the rule in a triangle, with the weights w.

        Args:
            factors: a factor at each point of each triangle, (T, Q).
            basis: the values of n basis functions at the points, (Q, n).
        """
        products = np.einsum("q,qa,qb->qab", self.rules.weights, basis, basis)
        if np.ptp(factors, axis=1).max() <= 1e-13 * abs(factors).max():
            return factors[:, :1, None] * products.sum(axis=0)
        found: Array = (factors @ products.reshape(len(basis), -1)).reshape(-1, *products.shape[1:])
        return found

    def stiffness(self) -> Array:
        """Return each triangle's matrix of ∫ A∇v·∇w + c v·w + ∫ α v·w for the basis "v".

        The last integral is over the triangle's sides on the domain's boundary.

        Returns:
            The matrices, (T, n m, n m), with the m components of each polynomial in turn.
        """
        mesh, rules, values = self.mesh, self.rules, self.rules.of["v"]
        cells, m, size = len(mesh.triangles), rules.fields, values.shape[1] * rules.fields
        slopes = rules.slopes["v"]
        shape = np.einsum("tkb,aib->tkia", mesh.slopes, rules.tensors)  # strains by slopes
        if np.ptp(self.diffusion, axis=1).max() <= 1e-13 * abs(self.diffusion).max():
            path = "tkia,tab,tljb->tijkl"
            local = np.einsum(path, shape, self.diffusion[:, 0], shape, optimize=True)
            products = np.einsum("q,qnk,qml->klnm", rules.weights, slopes, slopes, optimize=True)
            matrix = local.reshape(cells * m * m, 9) @ products.reshape(9, -1)
            matrix = matrix.reshape(cells, m, m, *products.shape[2:]).transpose(0, 3, 1, 4, 2)
            matrix = matrix.reshape(cells, size, size)
        else:
            strains = np.einsum("qnk,tkia->tqani", slopes, shape)
            strains = strains.reshape(cells, len(slopes), -1, size)
            stresses = rules.weights[:, None, None] * (self.diffusion @ strains)
            flat = [x.reshape(cells, -1, size) for x in (strains, stresses)]
            matrix = flat[0].transpose(0, 2, 1) @ flat[1]
        reaction = self.mass(self.reaction, values)
        for i in range(m):
            matrix[:, i::m, i::m] += reaction
        matrix *= mesh.areas[:, None, None]
        natural, _, alpha = self.on_sides()
        own = mesh.lengths[..., None] * natural[..., :1] * rules.along
        for j in range(3):
            side = rules.sides["v"][j]
            some = natural[:, j, 0] & (abs(alpha[:, j]).max(axis=1) > 0)
            factors = (own[:, j] * alpha[:, j])[some]
            for i in range(m):
                matrix[some, i::m, i::m] += side.T @ (factors[..., None] * side)
        return matrix

    def _conforming(self) -> Array:
        """Return the coefficients of v, see `Fields`."""
        mesh, rules, p, m = self.mesh, self.rules, self.rules.degrees["v"], self.rules.fields
        matrix, values = self.stiffness(), rules.of["v"]
        count, cells = values.shape[1], len(mesh.triangles)
        right = np.einsum("q,tqm,qn->tnm", rules.weights, self.source, values, optimize=True)
        right *= mesh.areas[:, None, None]
        natural, g, _ = self.on_sides()
        own = mesh.lengths[..., None, None] * natural[:, :, None] * rules.along[:, None]
        for j in range(3):
            force = np.einsum("tki,tij->tkj", own[:, j] * g[:, j], self.frames[mesh.edges[:, j]])
            right += np.einsum("tkj,kn->tnj", force, rules.sides["v"][j])
        outer, number, total = numbering(mesh, p)
        turns, known, given = self._known(total)
        order = np.concatenate([outer, np.setdiff1d(np.arange(count), outer)])
        matrix = matrix.reshape(cells, count, m, count, m)[:, order][:, :, :, order]
        right = right[:, order]
        turned = np.broadcast_to(np.eye(m), (cells, count, m, m)).copy()
        turned[:, : len(outer)] = turns[number]
        some = (turned != np.eye(m)).any(axis=(1, 2, 3))
        if some.any():
            own, path = turned[some], "tkij,tkjlb,tlab->tkila"
            matrix[some] = np.einsum(path, own, matrix[some], own, optimize=True)
            right[some] = np.einsum("tkij,tkj->tki", own, right[some])
        number = (number[..., None] * m + np.arange(m)).reshape(cells, -1)
        found = _condensed(
            matrix.reshape(cells, count * m, -1),
            right.reshape(cells, -1, 1),
            number,
            total * m,
            known.ravel(),
            given.reshape(-1, 1),
        )
        found = np.einsum("tkij,tki->tkj", turned, found.reshape(cells, count, m))
        result: Array = found[:, np.argsort(order)]
        return result

    def _known(self, total: int) -> tuple[Array, Array, Array]:
        """Return the prescribed components of the coefficients of v on edges, see `edge_numbers`.

        Args:
            total: the number of the coefficients.

        Returns:
            Orthonormal vectors for each coefficient, in the rows of (total, m, m); a mask of its
            components along these vectors that are prescribed, (total, m); their values,
            (total, m).

        Raises:
            Unsuitable: if the values that two sides prescribe at a common vertex differ.
        """
        mesh, data, p, m = self.mesh, self.data, self.rules.degrees["v"], self.rules.fields
        turns = np.broadcast_to(np.eye(m), (total, m, m)).copy()
        known, given = np.zeros((total, m), bool), np.zeros((total, m))
        edges = np.flatnonzero(data.fixed.any(axis=1))
        t = chebyshev_points(p)
        fit = np.linalg.inv(bernstein(p, _line(t))) @ bernstein(self.rules.degrees["d"], _line(t))
        inner = edge_numbers(mesh, p)[edges, 1:-1]
        turns[inner], known[inner] = self.frames[edges, None], data.fixed[edges, None]
        given[inner] = np.einsum("kn,enm->ekm", fit, data.given[edges])[:, 1:-1]
        at: dict[int, list[tuple[Array, float]]] = {}
        for edge in edges.tolist():
            for end, place in zip(mesh.ends[edge].tolist(), (0, -1), strict=True):
                for i in np.flatnonzero(data.fixed[edge]).tolist():
                    row = self.frames[edge, i], data.given[edge, place, i]
                    at.setdefault(end, []).append(row)
        for vertex, rows in at.items():
            matrix, values = (np.array(part) for part in zip(*rows, strict=True))
            _, sizes, vectors = np.linalg.svd(matrix)
            rank = int((sizes > 1e-9).sum())
            solution = np.linalg.lstsq(matrix, values, rcond=1e-9)[0]
            if abs(matrix @ solution - values).max() > 1e-10 * abs(data.given).max():
                raise Unsuitable("the values that are prescribed at a corner differ")
            turns[vertex] = vectors if rank < m else np.eye(m)
            known[vertex, :rank] = True
            given[vertex] = turns[vertex] @ solution
        return turns, known, given


def edge_numbers(mesh: Triangulation, degree: int) -> Array:
    """Number the coefficients of a continuous piecewise polynomial on edges, (E, degree + 1).

    A coefficient at a vertex has the same number on all edges. On an edge the coefficients are in
    the order from the vertex with the smaller number to the other vertex.
    """
    inner = len(mesh.vertices) + np.arange(len(mesh.ends) * (degree - 1)).reshape(-1, degree - 1)
    return np.concatenate([mesh.ends[:, :1], inner, mesh.ends[:, 1:]], axis=1)


def numbering(mesh: Triangulation, degree: int) -> tuple[Array, Array, int]:
    """Number the coefficients of a continuous piecewise polynomial on the edges of all triangles.

    Returns:
        The k indices, among the coefficients of a triangle, of the coefficients on its edges, (k,);
        the numbers of these coefficients, see `edge_numbers`, (T, k); the count of all numbers.
    """
    powers, on = bernstein_exponents(degree, 3), edge_numbers(mesh, degree)
    places = np.flatnonzero((powers == 0).any(axis=1))
    numbers = np.zeros((len(mesh.triangles), len(powers)), int)
    for j in range(3):
        row = np.flatnonzero(powers[:, (j + 2) % 3] == 0)
        along = powers[row, (j + 1) % 3]
        along = np.where(mesh.reverse[:, [j]], degree - along, along)
        numbers[:, row] = np.take_along_axis(on[mesh.edges[:, j]], along, axis=1)
    total = len(mesh.vertices) + len(mesh.ends) * (degree - 1)
    return places, numbers[:, places], total


@dataclass(frozen=True, eq=False)
class PartsOfBound:
    """The parts of a bound of the energy norm of u - v, for each triangle.

    u is the exact solution. v, q, s and λ are those of `Fields`.

    Args:
        misfit: ‖A^(-1/2) (q - A∇v)‖, plus bounds of what -div q + c s - f, the fluxes on sides and
            the errors of the data contribute, (T,).
        lower: the L2 norm of √c (s - v), plus that of (-div q + c s - f) / √c where c is so large
            that it is not in `misfit`, together with that of √α (λ - v) on sides, (T,).
        missed: Friedrichs' constant times the L2 norm of the largest error that c and the remaining
            convection b in `MeshData.lost` cause in the equation for v, (T,).
        extension: a bound of the energy norm of a function that is equal to u - v on sides with
            prescribed values, (T,).
        on_sides: a bound of what the errors of α and of given fluxes contribute, (T,).
        rounding: a bound of the contribution of rounding errors in the equilibrium of the flux, one
            number for all triangles.
        stretch: the error of α relative to the energy norm: a bound of ∫ |α - α_h| w² on sides, for
            a function w whose energy norm is 1 and the polynomials α_h in place of α.
        square: the squared energy norm of v, (T,).
    """

    misfit: Array
    lower: Array
    missed: Array
    extension: Array
    on_sides: Array
    rounding: float
    stretch: float
    square: Array

    @property
    def indicator(self) -> Array:
        """The square of each triangle's contribution to the bound, (T,)."""
        parts = self.misfit, self.lower, self.missed, self.extension, self.on_sides
        found: Array = np.square(parts).sum(axis=0)
        return found

    @property
    def total(self) -> float:
        """The bound of the energy norm of u - v."""
        inner = math.sqrt(float((self.misfit**2 + self.lower**2).sum()))
        inner += sum(float(np.linalg.norm(one)) for one in (self.missed, self.on_sides))
        inner += self.rounding
        return math.hypot(inner, math.sqrt(float((self.extension**2).sum())))


@dataclass(frozen=True)
class Constants:
    """Constants of inequalities for functions w that vanish where u is prescribed.

    Args:
        friedrichs: C in ‖w‖ ≤ C |||w|||.
        korn: K in ‖∇w‖ ≤ K ‖ε(w)‖, with the symmetric gradient ε(w); 1 for one field.
    """

    friedrichs: float
    korn: float = 1.0

    def of_traces(self, reach: float) -> float:
        """Return F in Σ_T Σ_E |T| / |E| ‖w‖_E² ≤ F |||w|||², with the energy norm |||w|||.

        The sum is over the three edges E of each triangle T. With the longest edge h of T,
        ‖w‖_E² ≤ |E| / |T| (‖w‖_T² + h ‖w‖_T ‖∇w‖_T).

        Args:
            reach: the largest h / √a of all triangles, with the least eigenvalue a of A.
        """
        return 3 * self.friedrichs * (self.friedrichs + reach * self.korn)

    def scaled(self, least: float, reaction: float) -> "Constants":
        """Return the constants for A ≥ `least` and c ≥ `reaction`, from those for A = 1, c = 0."""
        known = least / self.friedrichs**2 + max(reaction, 0.0)
        if known <= 0:
            raise Unsuitable("the problem is not coercive: neither a value nor c fixes a constant")
        return Constants(1 / math.sqrt(known), self.korn)


def korn_constants(mesh: Triangulation, fields: int) -> Array:
    """Return K in ‖∇(w - r)‖ ≤ K ‖ε(w)‖ on each triangle, for a rotation r by a small angle, (T,).

    K is √2 / sin(φ/4), with the smallest angle φ of the triangle. For one field, r is 0 and K is 1.

    References: Horgan and Payne, On inequalities of Korn, Friedrichs and Babuška–Aziz (1983);
    Costabel and Dauge, On the inequalities of Babuška–Aziz, Friedrichs and Horgan–Payne (2015).
    """
    if fields == 1:
        return np.ones(len(mesh.areas))
    longest = np.sort(mesh.lengths, axis=1)
    sine = 2 * mesh.areas / (longest[:, 1] * longest[:, 2])
    found: Array = math.sqrt(2) / np.sin(np.arcsin(sine.clip(0, 1)) / 4)
    return found


def parts_of_bound(found: Discrete, fields: Fields, constants: Constants) -> PartsOfBound:
    """Bound the energy norm of u - v by a flux q, for the exact solution u and a function v.

    Args:
        found: the mesh with the data and the bases of polynomials.
        fields: v, q and the multipliers.
        constants: the constants of the domain.

    Reference: Prager and Synge, Approximations in elasticity based on the concept of function space
    (1947); Payne and Weinberger, An optimal Poincaré inequality for convex domains (1960).
    """
    mesh, data, rules, areas = found.mesh, found.data, found.rules, found.mesh.areas
    root, reach = np.sqrt(data.least), mesh.lengths.max(axis=1)
    korn, friedrichs = korn_constants(mesh, rules.fields), constants.friedrichs

    def norm(values: Array) -> Array:
        """Return the L2 norm in each triangle, (T,), of values (T, Q, m)."""
        found: Array = np.sqrt(areas * ((values**2).sum(axis=2) @ rules.weights))
        return found

    values = {name: rules.of[name] @ getattr(fields, name) for name in ("v", "s")}
    gradient = strain_of(mesh, rules, fields.v)
    flux = rules.of["q"] @ fields.q
    conormal = np.einsum("tqab,tqb->tqa", found.diffusion, gradient)
    gap = flux - conormal
    products = np.einsum("tqa,tqab,tqb->tq", gap, found.inverse, gap, optimize=True)
    misfit = np.sqrt(areas * (products.clip(0) @ rules.weights))
    steep_q = gradient_of(mesh, rules, "q", fields.q)
    divergence = np.einsum("tqab,aib->tqi", steep_q, rules.tensors)
    reaction = found.reaction[..., None]
    rest = found.source - reaction * values["s"] + divergence
    lost_f, lost_c, lost_a, drift, lost_rigid = data.lost
    steep = norm(gradient)
    # What the equation misses is tested with w minus a rigid motion or, where c is large, with w.
    rough, by_slopes = (norm(rest) + lost_f) / root, korn * reach / math.pi
    by_values = root / np.sqrt(data.reaction.min(axis=1).clip(1e-300))
    misfit += np.where(by_slopes < by_values, by_slopes, 0) * rough + lost_a * steep / root
    missed = friedrichs * (drift * steep + lost_c * norm(values["v"]) + lost_rigid)
    lower = norm(np.sqrt(reaction.clip(0)) * (values["s"] - values["v"]))
    lower = (lower + np.where(by_slopes < by_values, 0, by_values) * rough) ** 2
    square = (conormal * gradient).sum(axis=2) + found.reaction * (values["v"] ** 2).sum(axis=2)
    square = areas * (square @ rules.weights)
    rigid = np.einsum(
        "q,tqi,tqri->tr", rules.weights, rest, rigid_motions(mesh, rules.shares, rest)
    )
    spoilt = friedrichs * math.sqrt(float(areas @ (rigid**2).sum(axis=1)))
    edge, along = rules.edge["d"], rules.along
    natural, g, alpha = found.on_sides()
    trace = rules.edge["t"] @ found.flipped(fields.trace)
    jumps_of_flux = np.zeros((len(mesh.ends), len(along), rules.fields))
    on_sides, trace_factor = np.zeros(len(areas)), 0.0
    extension, lost = np.zeros(len(areas)), data.lost_given[mesh.edges]
    fixed, given = data.fixed[mesh.edges], found.flipped(data.given)
    straight = linear(rules.line)
    on_linear = straight @ (straight.T * along)  # the projection on polynomials of degree 1
    for j in range(3):
        length = mesh.lengths[:, j]
        normal = np.einsum("kn,tna,tia->tki", rules.sides["q"][j], fields.q, found.fluxes[:, j])
        normal /= length[:, None, None]
        frame = found.frames[mesh.edges[:, j]]
        on_v = np.einsum("kn,tna,tia->tki", rules.sides["v"][j], fields.v, frame)
        some = natural[:, j, None]
        ratio = length / areas
        constant = korn * reach * np.sqrt(ratio * (1 / math.pi**2 + 1 / math.pi)) / root
        left = some * (g[:, j] - alpha[:, j, :, None] * trace[:, j] - normal)
        outer = some.any(axis=(1, 2))
        size = np.sqrt(length * ((left**2).sum(axis=2) @ along)) + lost[:, j, 2]
        misfit += outer * constant * size
        missed_robin = (outer & (rules.fields == 1)) * lost[:, j, 1]
        missed_flux = missed_robin * np.sqrt((on_v**2).sum(axis=2) @ along) + lost[:, j, 3]
        on_sides += length * ratio * missed_flux**2
        trace_factor = max(trace_factor, float((missed_robin * ratio).max()))
        own = length * (alpha[:, j].clip(0) * ((trace[:, j] - on_v) ** 2).sum(axis=2) @ along)
        lower += outer * own
        signed = np.where(some, on_linear @ left, normal) * ~fixed[:, j, None]
        turned = np.where(mesh.reverse[:, [j], None], signed[:, ::-1], signed)
        np.add.at(jumps_of_flux, mesh.edges[:, j], turned)
        # u - v on the edge is continued to the opposite corner, like a power k of the distance.
        high, at = 2 / ratio, fixed[:, j, None]
        slope_v = np.einsum("kn,tna,tia->tki", rules.side_slopes[j], fields.v, frame)
        gaps = at * (edge @ given[:, j] - on_v)
        slopes = at * (np.einsum("kn,tni->tki", rules.edge_slopes, given[:, j]) - slope_v)
        value = np.sqrt(length * ((gaps**2).sum(axis=2) @ along)) + lost[:, j, 0]
        tangential = np.sqrt((slopes**2).sum(axis=2) @ along / length) + lost[:, j, 1]
        steep, flat = (
            tangential**2 * (1 + 2 * (reach / high) ** 2),
            2 * (value / high) ** 2 + 1e-300,
        )
        power = np.maximum(np.sqrt(steep / flat), 1)
        spread = high / 2 * (steep / power + flat * power)
        most = found.reaction.max(axis=1)
        some_fixed = fixed[:, j].any(axis=1)
        extension += some_fixed * np.sqrt(data.most * spread + most * high / 4 * value**2)
    # what is left of the flux through edges is the same on both sides but for rounding
    factor = constants.of_traces(float(reach.max() / root.min()))
    spoilt += math.sqrt(factor * float(squared_jumps(mesh, jumps_of_flux, along).sum()))
    spoilt += 1e-13 * math.sqrt(float(square.sum()))
    lower, on_sides, stretch = np.sqrt(lower), np.sqrt(factor * on_sides), factor * trace_factor
    return PartsOfBound(misfit, lower, missed, extension, on_sides, spoilt, stretch, square)


def squared_jumps(mesh: Triangulation, jumps: Array, along: Array) -> Array:
    """Return Σ |E| / |T| ∫ j² over all edges E, for each component j of a flux's jumps, (m,).

    T is one of the triangles at the edge E, and the integral is over E.

    Args:
        mesh: the mesh.
        jumps: the jumps at the k points of a rule on each edge, (E, k, m).
        along: the weights of the rule, (k,), with the sum 1.
    """
    ratio = np.zeros(len(mesh.ends))
    ratio[mesh.edges] = mesh.lengths**2 / mesh.areas[:, None]
    return ratio @ (along @ jumps**2)


def rigid_motions(mesh: Triangulation, shares: Array, like: Array) -> Array:
    """Return rigid motions at points in each triangle, whose squares have the mean 1.

    For one field there is the constant 1 only. For two fields there are two translations and a
    rotation about the centre, which are orthogonal to each other.

    Args:
        mesh: the mesh.
        shares: the barycentric coordinates of Q points in a triangle, (Q, 3).
        like: an array (T, Q, m), for the number of fields.

    Returns:
        The motions, (T, Q, r, m), with r = 1 for one field and r = 3 for two.
    """
    m = like.shape[2]
    found = np.broadcast_to(np.eye(m), (*like.shape[:2], m, m))
    if m == 1:
        return found
    away = mesh.corners - mesh.corners.mean(axis=1, keepdims=True)
    away = away / gyration(mesh)[:, None, None]
    x, y = np.moveaxis(np.einsum("qk,tkd->tqd", shares, away), 2, 0)
    return np.concatenate([found, np.stack([-y, x], axis=2)[:, :, None]], axis=2)


def gyration(mesh: Triangulation) -> Array:
    """Return the triangles' radii of gyration about their centres, (T,)."""
    away = mesh.corners - mesh.corners.mean(axis=1, keepdims=True)
    return np.sqrt((away**2).sum(axis=(1, 2)) / 12)


def strain_of(mesh: Triangulation, rules: Rules, v: Array) -> Array:
    """Return gradients in the basis `Rules.tensors` at the points of the rule, (T, Q, components).

    Args:
        mesh: the mesh.
        rules: the bases of polynomials, and quadrature rules.
        v: the coefficients of functions in the basis "v", (T, n, m).
    """
    return np.einsum("tqib,aib->tqa", gradient_of(mesh, rules, "v", v), rules.tensors)


def gradient_of(mesh: Triangulation, rules: Rules, name: str, coefficients: Array) -> Array:
    """Return gradients of polynomials at the points of the rule in each triangle, (T, Q, …, 2).

    Args:
        mesh: the mesh.
        rules: the bases of polynomials, and quadrature rules.
        name: the name of the basis in `rules`.
        coefficients: the coefficients of the polynomials, (T, n, …).
    """
    local = np.einsum("qnk,tn...->tqk...", rules.slopes[name], coefficients)
    return np.einsum("tqk...,tkd->tq...d", local, mesh.slopes)


def crouzeix_raviart(mesh: Triangulation, diffusion: Array) -> sparse.csc_array:
    """Return the matrix of ∫ A∇u·∇v for elements of Crouzeix and Raviart, (E, E).

    Args:
        mesh: the mesh.
        diffusion: the constant matrix A in each triangle, (T, 2, 2).
    """
    slopes = -2 * np.roll(mesh.slopes, -2, axis=1)  # of the function of each edge
    local = np.einsum("tia,tab,tjb,t->tij", slopes, diffusion, slopes, mesh.areas, optimize=True)
    rows = np.broadcast_to(mesh.edges[:, :, None], local.shape).ravel()
    columns = np.broadcast_to(mesh.edges[:, None, :], local.shape).ravel()
    return sparse.csc_array((local.ravel(), (rows, columns)), shape=(len(mesh.ends),) * 2)


def domain_constants(mesh: Triangulation, fixed: Array) -> Constants:
    """Return `Constants` for A = 1 and c = 0 in a domain; C is infinite if u is nowhere prescribed.

    For one field, 1/C² is λ / (1 + (0.1893 h)² λ), where λ is the least eigenvalue of -Δ with
    Crouzeix–Raviart elements, and h is the length of the longest edge. For two fields see
    `rigid_constants`.

    Args:
        mesh: a mesh of the domain.
        fixed: a mask of the components in `Triangulation.frames` that are 0 on each edge, (E, m).

    Reference: Liu, A framework of verified eigenvalue bounds for self-adjoint differential
    operators (2015).
    """
    if not fixed.any():
        return Constants(math.inf)
    if fixed.shape[1] == 2:
        return rigid_constants(mesh, fixed)
    matrix = crouzeix_raviart(mesh, np.broadcast_to(np.eye(2), (len(mesh.areas), 2, 2)))
    mass = np.zeros(len(fixed))
    np.add.at(mass, mesh.edges, np.repeat(mesh.areas[:, None] / 3, 3, axis=1))
    free = np.flatnonzero(~fixed[:, 0])
    scale = sparse.diags_array(1 / np.sqrt(mass[free]))
    reduced = (scale @ matrix[free][:, free] @ scale).tocsc()
    start = np.ones(len(free))
    found = float(eigsh(reduced, 1, sigma=0.0, v0=start, return_eigenvectors=False)[0])
    found *= 1 - 1e-8  # rounding
    return Constants(math.sqrt(1 / found + (INTERPOLATION * float(mesh.lengths.max())) ** 2))


def rigid_constants(mesh: Triangulation, fixed: Array) -> Constants:
    """Return `Constants` for two fields, by stresses that balance rigid motions of triangles.

    On each triangle there is a rigid motion r with ‖∇(w - r)‖ ≤ K ‖ε(w)‖, see `korn_constants`, and
    ‖w - r‖ ≤ N ‖ε(w)‖ with N = h K / π and the longest edge h. For each f that is a rigid motion in
    each triangle, a stress σ with div σ = -f is computed, and κ is the largest ‖σ‖ / ‖f‖. If f is
    the projection of w, then ‖f‖² = ∫ σ : ε(w), so that ‖f‖ ≤ κ ‖ε(w)‖ and C² = κ² + N². The
    gradients of the motions r follow from their norms and the triangles' radii of gyration.

    Args:
        mesh: a coarse mesh of the domain, which is refined for C.
        fixed: as for `domain_constants`.

    Reference: Liu and Oishi, Verified eigenvalue evaluation for the Laplacian over polygonal
    domains of arbitrary shape (2013).
    """
    by_piece = np.zeros((mesh.piece.max() + 2, 2), bool)
    by_piece[mesh.piece] = fixed

    def away(one: Triangulation) -> Array:
        """Return N on each triangle of a mesh, (T,)."""
        return korn_constants(one, 2) * one.lengths.max(axis=1) / math.pi

    own = mesh
    while len(own.triangles) < 32:
        own = own.refined(away(own) > away(own).max() / 2)
    fine, rules, count = own.split(), Rules(1, 2), len(own.areas)
    shape, sides = (3 * count, rules.of["d"].shape[1]), (len(fine.ends), rules.edge["d"].shape[1])
    data = MeshData(
        diffusion=np.broadcast_to(np.eye(3), (*shape, 3, 3)),
        reaction=np.zeros(shape),
        source=np.zeros((*shape, 2)),
        fixed=by_piece[fine.piece],
        given=np.zeros((*sides, 2)),
        robin=np.zeros(sides),
        lost=np.zeros((5, 3 * count)),
        lost_given=np.zeros((sides[0], 3)),
        names=("x", "y"),
        gap=np.zeros((3 * count, 1, 2)),
        gap_given=np.zeros((sides[0], 1, 2)),
    )
    sources = np.zeros((3 * count, len(rules.shares), 2, count, 3))
    for j in range(3):  # the order of `split`
        shares = rules.shares @ np.stack([*np.eye(3)[[j, (j + 1) % 3]], np.full(3, 1 / 3)])
        rigid = rigid_motions(own, shares, sources[:count, ..., 0, 0]).swapaxes(2, 3)
        rigid = rigid / np.sqrt(own.areas)[:, None, None, None]
        sources[j * count + np.arange(count), :, :, np.arange(count)] = rigid
    loads = sources.reshape(*sources.shape[:3], -1)
    stress, multiplier, _ = Discrete(fine, data, rules).flux(loads)
    mass = rules.of["q"].T @ (rules.weights[:, None] * rules.of["q"])
    scaled = np.einsum("t,kn,tnar->tkar", fine.areas, mass, stress, optimize=True)
    weighted = rules.weights[:, None] * rules.of["s"]
    moments = np.einsum("t,qn,tqir->tnir", fine.areas, weighted, loads, optimize=True)
    squares, works = (
        left.reshape(-1, 3 * count).T @ right.reshape(-1, 3 * count)
        for left, right in ((stress, scaled), (multiplier, moments))
    )
    if not abs(squares - works).max() < 1e-6 * squares.max():  # if stresses are in equilibrium
        raise Unsuitable("the problem is not coercive: a rigid motion is free")
    largest = 1.0001 * float(np.linalg.eigvalsh(squares)[-1])
    friedrichs = math.sqrt(largest + float(away(own).max()) ** 2)
    motions = friedrichs + float(away(mesh).max())  # a bound of the motions r on the given mesh
    slopes = math.sqrt(2) / float(gyration(mesh).min()) * motions
    return Constants(friedrichs, float(korn_constants(mesh, 2).max()) + slopes)


@dataclass(frozen=True, eq=False)
class Given:
    """A function at the n points of a quadrature rule.

    Args:
        points: the points, (n, 2).
        weights: the weights of the rule, (n,).
        values: the values of the function, (n, m).
        slopes: the gradients of the function, (n, m, 2).
    """

    points: Array
    weights: Array
    values: Array
    slopes: Array

    @classmethod
    def of(cls, rule: Sequence[tuple[Points, Tensor]], jet: JetFunction) -> "Given":
        """Evaluate a function and its gradient at the points of a quadrature rule.

        Args:
            rule: groups of points with their weights.
            jet: returns the jet of the function.
        """
        jets = [jet(p, Channels(p.names, True)) for p, _ in rule]
        parts = (
            [p.coords for p, _ in rule],
            [weights for _, weights in rule],
            [u.value for u in jets],
            [grad(u).reshape(len(u.value), 2, -1).swapaxes(1, 2) for u in jets],
        )
        return cls(*(torch.cat(part).detach().double().numpy() for part in parts))

    def distance(
        self, meshes: Sequence[Triangulation], found: Discrete, v: Array
    ) -> tuple[float, float, float]:
        """Return norms of v minus this function, integrated by the rule.

        The norms are the energy norm, without its integral over the boundary, the L2 norm, and the
        L2 norm of the gradient.

        Args:
            meshes: the meshes from the coarsest one on, each refined from the one before.
            found: the last mesh with the data, which define the energy norm.
            v: the coefficients in the basis "v" of a function v on the last mesh, (T, n, m).
        """
        mesh, degrees = meshes[-1], found.rules.degrees
        number, shares = located(meshes, self.points)
        squares = np.zeros(3)
        for at in np.array_split(np.arange(len(number)), 1 + len(number) // 2**15):
            own, here = number[at], shares[at]
            local = np.einsum("pnk,pni->pik", bernstein_slopes(degrees["v"], here), v[own])
            steep = np.einsum("pik,pkd->pid", local, mesh.slopes[own]) - self.slopes[at]
            slopes = (steep**2).sum(axis=(1, 2))
            steep = np.einsum("pid,aid->pa", steep, found.rules.tensors)
            gap = np.einsum("pn,pni->pi", bernstein(degrees["v"], here), v[own]) - self.values[at]
            size = (gap**2).sum(axis=1)
            data = bernstein(degrees["d"], here)
            diffusion = np.einsum("pn,pnab->pab", data, found.data.diffusion[own])
            energy = np.einsum("pa,pab,pb->p", steep, diffusion, steep)
            energy += (data * found.data.reaction[own]).sum(axis=1) * size
            squares += np.stack([energy, size, slopes]) @ self.weights[at]
        energy, size, slopes = np.sqrt(squares).tolist()
        return energy, size, slopes


def located(meshes: Sequence[Triangulation], points: Array) -> tuple[Array, Array]:
    """Find for each of n points a triangle of the last mesh that contains the point.

    Args:
        meshes: the meshes from the coarsest one on, each refined from the one before.
        points: the points, (n, 2).

    Returns:
        The numbers of the triangles, (n,), and the barycentric coordinates of the points in these
        triangles, (n, 3).
    """

    def shares(mesh: Triangulation, own: Array) -> Array:
        """Return each point's barycentric coordinates in k triangles (n, k), as (n, k, 3)."""
        away = points[:, None] - mesh.corners[own].mean(axis=2)
        found: Array = 1 / 3 + np.einsum("nkd,nkjd->nkj", away, mesh.slopes[own])
        return found

    number = np.zeros(len(points), int)
    for mesh in meshes:
        if mesh.parent is None:
            children = np.arange(len(mesh.triangles))[None]
        else:
            order = np.argsort(mesh.parent, kind="stable")
            starts = np.searchsorted(mesh.parent[order], np.arange(mesh.parent.max() + 2))
            count = np.diff(starts)[:, None]
            children = order[starts[:-1, None] + np.minimum(np.arange(count.max()), count - 1)]
        several = children[number]
        best = shares(mesh, several).min(axis=2).argmax(axis=1)
        number = several[np.arange(len(points)), best]
    return number, shares(meshes[-1], number[:, None])[:, 0]


def digest(arrays: dict[str, Array]) -> str:
    """Return the SHA-256 digest of arrays with their names; the entry "digest" is left out."""
    found = hashlib.sha256()
    for name in sorted(set(arrays) - {"digest"}):
        found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()


@dataclass(frozen=True, eq=False)
class Certificate:
    """A bound of the energy norm of u - v, with all data that are needed to check it.

    u is the exact solution. v is a continuous piecewise polynomial near the approximate solution
    whose error is to be bounded. This error is at most the sum of the bound of u - v and of the
    approximate solution's distance from v.

    Args:
        found: the mesh with the data and the bases of polynomials.
        fields: v, q and the multipliers.
        parts: the parts of the bound.
        constants: the constants of the domain, which enter the bound.
        distance: norms of v minus the approximate solution, see `Given.distance`.
        interval: a lower and an upper bound of a number J(u); NaN if no number was asked for.
        ended: `Bound.ended`.
    """

    found: Discrete
    fields: Fields
    parts: PartsOfBound
    constants: Constants
    distance: tuple[float, float, float]
    interval: tuple[float, float] = (math.nan, math.nan)
    ended: str = ""

    def arrays(self) -> dict[str, Array]:
        """Return the data that `scripts/check_certificate.py` needs, with their digest, by name."""
        mesh, data = self.found.mesh, self.found.data
        names = ("diffusion", "reaction", "source", "fixed", "given", "robin", "lost", "lost_given")
        found = {name: getattr(data, name) for name in names}
        found |= {name: getattr(self.fields, name) for name in ("v", "q", "s", "trace")}
        found |= {"vertices": mesh.vertices, "triangles": mesh.triangles}
        found |= {"degree": np.array(self.found.rules.m)}
        found |= {"constants": np.array([self.constants.friedrichs, self.constants.korn])}
        # Sums in another order, and A⁻¹ at other points, change the bound a little.
        claimed = 1.001 * self.total + 1e-13 * math.sqrt(float(self.parts.square.sum()))
        found |= {"bound": np.array(claimed), "distance": np.array(self.distance)}
        return found | {"digest": np.array(digest(found))}

    @property
    def stretch(self) -> float:
        """The factor by which the errors of A, b, c and α in `MeshData` raise bounds."""
        data = self.found.data
        friedrichs = self.constants.friedrichs
        lost = friedrichs * data.lost[3] / np.sqrt(data.least) + data.lost[2] / data.least
        lost = (lost + friedrichs**2 * data.lost[1]).max() + self.parts.stretch
        return 1 / (1 - float(lost)) if lost < 1 else math.inf

    @property
    def total(self) -> float:
        """The bound of the energy norm of u - v."""
        return self.stretch * self.parts.total

    def bound(self) -> Bound:
        """Return bounds of the errors of the given solution."""
        area, data = float(self.found.mesh.areas.sum()), self.found.data
        least, (far, near, slopes) = float(data.least.min()), self.distance
        extended = math.sqrt(float((self.parts.extension**2).sum()))
        l2 = self.constants.friedrichs * (self.total + extended) + near
        if extended:
            l2 += extended * float(self.found.mesh.lengths.max()) / math.sqrt(least)
        gap = self.total
        if self.found.rules.fields > 1:
            gap = self.constants.korn * (self.total + extended) + extended
        h1 = math.hypot(l2, gap / math.sqrt(least) + slopes)
        values = self.found.rules.of["v"] @ self.fields.v
        squares = self.found.mesh.areas * ((values**2).sum(axis=2) @ self.found.rules.weights)
        sizes = {
            "l2": math.sqrt(float(squares.sum())),
            "energy": math.sqrt(float(self.parts.square.sum())),
        }
        gradients = gradient_of(self.found.mesh, self.found.rules, "v", self.fields.v)
        steep = self.found.mesh.areas * ((gradients**2).sum(axis=(2, 3)) @ self.found.rules.weights)
        sizes["h1"] = math.sqrt(float((squares + steep).sum()))
        norms: dict[str, Any] = {}
        # The energy norm is that of the data, not of their polynomials.
        energy = (self.total + far) * math.sqrt(2 - 1 / self.stretch)
        for name, whole in {"l2": l2, "h1": h1, "energy": energy}.items():
            norms[name] = whole / math.sqrt(area)
            left = sizes[name] - whole
            norms[f"{name}_relative"] = whole / left if left > 0 else math.inf
        theorem = "equilibrated flux on triangles (Prager and Synge 1947), "
        theorem += "Payne and Weinberger's constants"
        known = {
            "friedrichs": self.constants.friedrichs,
            "diffusion": least,
            "triangles": float(len(squares)),
        }
        if self.found.rules.fields > 1:
            theorem += ", Horgan and Payne's constants"
            known["korn"] = self.constants.korn
        found = Bound(**norms, theorem=theorem, constants=known)
        return replace(found, interval=self.interval, ended=self.ended)


DEGREES = {1: 6, 2: 5}  # of the divergence of the flux, for one field and two
MOST = 800  # triangles


def _interval(
    found: Discrete,
    fields: Fields,
    parts: PartsOfBound,
    number: Number,
    sides: Sequence[int],
    stretch: float,
    constants: Constants,
) -> tuple[tuple[float, float], Array]:
    """Bound a number J(u) from both sides by the adjoint problem -div(A∇z) + c z = j.

    j is the factor of u in the density of J, and z_h is a finite-element solution of the adjoint
    problem. J(u) = J(v) + R(z_h) + a(u - v, z - z_h) if v and z_h have all prescribed values. Here
    a is the weak form, and R is the residual of v. The last term is at most the product of the
    energy norms of u - v and z - z_h, for which there are bounds.

    Args:
        found: the mesh with the data and the bases of polynomials.
        fields: v, q and the multipliers.
        parts: the bound of the energy norm of u - v.
        number: the number J.
        sides: the numbers of the boundary pieces over which the density is integrated; empty for an
            integral over a part of the domain.
        stretch: the factor `Certificate.stretch`.
        constants: the constants of the domain.

    Returns:
        The lower and the upper bound of J(u), and the square of each triangle's contribution to the
        bound of z - z_h, (T,).

    Reference: Prager and Synge (1947); Pierce and Giles, Adjoint recovery of superconvergent
    functionals from PDE approximations (2000).
    """
    mesh, data, rules = found.mesh, found.data, found.rules
    edges, degrees = np.flatnonzero(np.isin(mesh.piece, sides)), rules.degrees

    def inside(shares: Array) -> tuple[Array, Array]:
        """Return j, (T, Q, m), and r, (T, Q), at points in all triangles."""
        coords = np.einsum("qk,tkd->tqd", shares, mesh.corners)
        j, r = np.zeros((*coords.shape[:2], rules.fields)), np.zeros(coords.shape[:2])
        if not sides:
            points = Points(torch.from_numpy(coords.reshape(-1, 2)), found.names)
            read = number.read(points, rules.fields)
            j, r = (one.reshape(both.shape) for one, both in zip(read, (j, r), strict=True))
        return j, r

    def at_edges(t: Array) -> tuple[Array, Array]:
        """Return j in `Triangulation.frames`, (E, k, m), and r, (E, k), at points of all edges."""
        loads, rest = (
            np.zeros((len(mesh.ends), len(t), rules.fields)),
            np.zeros((len(mesh.ends), len(t))),
        )
        if len(edges):
            own, other = number.read(mesh.points_on(edges, t, found.names), rules.fields)
            own = own.reshape(len(edges), len(t), -1)
            loads[edges] = np.einsum("eij,ekj->eki", found.frames[edges], own)
            rest[edges] = other.reshape(len(edges), -1)
        return loads, rest

    (others, others_weights), (others_line, others_along) = rules.others, rules.others_along
    (j, r), (other_j, other_r) = inside(rules.shares), inside(others)
    density = np.einsum("nq,tqi->tni", rules.fit, j)
    gap = other_j - bernstein(degrees["d"], others) @ density
    (loads, rest), (other_loads, other_rest) = (
        at_edges(line[:, 1]) for line in (rules.line, others_line)
    )
    edge = bernstein(degrees["d"], others_line)
    traction = np.einsum("nk,eki->eni", rules.edge_fit["d"], loads) * ~data.fixed[:, None]
    gap_given = other_loads * ~data.fixed[:, None] - edge @ traction
    lengths = np.linalg.norm(np.diff(mesh.vertices[mesh.ends], axis=1)[:, 0], axis=1)
    lost, lost_given = data.lost.copy(), data.lost_given * ~data.fixed.any(axis=1, keepdims=True)
    lost[[0, 4]] = source_errors(mesh, rules, gap)
    lost_given[:, 2:] = load_errors(rules, gap_given, lengths)
    dual = Discrete(
        mesh,
        replace(data, source=density, given=traction, lost=lost, lost_given=lost_given),
        rules,
    )
    z = dual.solve()
    dual_parts = parts_of_bound(dual, z, constants)
    strains = [strain_of(mesh, rules, one.v) for one in (fields, z)]
    on_v, on_z = (rules.of["v"] @ one.v for one in (fields, z))
    inner = (j * on_v + (found.source - found.reaction[..., None] * on_v) * on_z).sum(axis=2) + r
    inner -= np.einsum("tqa,tqab,tqb->tq", strains[0], found.diffusion, strains[1])
    middle = float(mesh.areas @ (inner @ rules.weights))
    # What quadrature misses of ∫ j v + r and of ∫ f z_h is twice the change by the second rule.
    other_v, other_z = (bernstein(degrees["v"], others) @ one.v for one in (fields, z))
    change = ((other_j * other_v).sum(axis=2) + other_r) @ others_weights
    change -= ((j * on_v).sum(axis=2) + r) @ rules.weights
    missed_f = (data.gap * other_z).sum(axis=2) @ others_weights
    half = 2 * float(mesh.areas @ (abs(change) + abs(missed_f)))
    natural, g, alpha = found.on_sides()
    loads, rest, other_loads, other_rest, missed_g, other_g = map(
        found.flipped, (loads, rest, other_loads, other_rest, data.gap_given, edge @ data.given)
    )
    for side in range(3):
        frame = found.frames[mesh.edges[:, side]]
        both = [
            np.einsum("kn,tna,tia->tki", rules.sides["v"][side], one.v, frame)
            for one in (fields, z)
        ]
        products = (g[:, side] - alpha[:, side, :, None] * both[0]) * both[1]
        own = natural[:, side] * mesh.lengths[:, side, None]
        middle += float((own * np.einsum("tki,k->ti", products, rules.along)).sum())
        on_side = np.where(natural[:, side, None], both[0], g[:, side])
        on_side = ((loads[:, side] * on_side).sum(axis=2) + rest[:, side]) @ rules.along
        middle += float(mesh.lengths[:, side] @ on_side)
        table = bernstein(degrees["v"], on_edge(others_line, side))
        others_v, others_z = (
            np.einsum("kn,tna,tia->tki", table, one.v, frame) for one in (fields, z)
        )
        change = np.where(natural[:, side, None], others_v, other_g[:, side])
        change = (other_loads[:, side] * change).sum(axis=2) + other_rest[:, side]
        change = abs(change @ others_along - on_side)
        change += abs((missed_g[:, side] * others_z).sum(axis=2) @ others_along)
        half += 2 * float(mesh.lengths[:, side] @ change)
        size = np.sqrt(mesh.lengths[:, side] * ((loads[:, side] ** 2).sum(axis=2) @ rules.along))
        half += float(size @ data.lost_given[mesh.edges[:, side], 0])  # of prescribed values
        traces = [np.sqrt((one**2).sum(axis=2) @ rules.along) for one in both]
        missed = data.lost_given[mesh.edges[:, side], 1] * (rules.fields == 1)  # the errors of α
        half += float((own[:, 0] * missed) @ (traces[0] * traces[1]))
    extension = parts.extension
    spread = extension @ np.sqrt(dual_parts.square)
    size = np.sqrt(mesh.areas * ((j**2).sum(axis=2) @ rules.weights))
    spread += (extension * mesh.lengths.max(axis=1) / np.sqrt(data.least)) @ size
    steep, sizes = (
        [np.sqrt(mesh.areas * ((one**2).sum(axis=2) @ rules.weights)) for one in both]
        for both in (strains, (on_v, on_z))
    )
    primal = parts.total + math.sqrt(float((extension**2).sum()))
    # In the adjoint problem the convection b stands in div(b z).
    adjoint = dual_parts.total + float(
        np.linalg.norm(data.lost[3] * sizes[1] / np.sqrt(data.least))
    )
    form = 2 - 1 / stretch  # |a(u, w)| ≤ form |||u||| |||w||| with what the data miss
    half += float(form * stretch**2 * primal * adjoint + spread)
    half += 1e-13 * float(mesh.areas @ (abs(inner) @ rules.weights))
    half += float(data.lost[2] * steep[0] @ steep[1])  # a(v, z_h) with what the data miss
    half += float((data.lost[3] * steep[0] + data.lost[1] * sizes[0]) @ sizes[1])
    return (middle - half, middle + half), dual_parts.indicator


def certificate(
    problem: Problem,
    given: tuple[Given, Given],
    most: int = MOST,
    number: Number | None = None,
    deadline: float = math.inf,
) -> Certificate:
    """Return a bound of the error of a given approximate solution, computed on an adaptive mesh.

    u is the exact solution, and v is a finite-element solution. The mesh is refined until the bound
    of u - v is at most a quarter of the distance of v from the given solution. With a number J, the
    interval for J(u) must also be at most as long as the distance of its middle from the number of
    the given solution. Refinement ends before that if rounding dominates the bound, if there are
    too many triangles, or if the time that the next mesh needs is not left.

    Args:
        problem: the problem.
        given: the given solution at the points of a rule, and at the points of a coarser rule.
        most: the number of triangles above which the mesh is not refined further.
        number: a number J that is bounded from both sides, too; None for no number.
        deadline: the time by `time.perf_counter` at which the best bound so far is returned.

    Raises:
        Unsuitable: if there is no bound for the problem.
    """
    count = len(problem.fields)
    if count > 2:
        raise Unsuitable("the problem has more than two fields")
    rules = Rules(DEGREES[count], count)
    reader, sides = Reader(problem, rules, number), list[int]()
    if number is not None and isinstance(number.over, Boundary):
        sides = [problem.domain.boundary.pieces.index(one) for one in number.over.pieces]
    meshes = [reader.coarse]
    for _ in range(3 - count):
        meshes.append(meshes[-1].refined(np.ones(len(meshes[-1].triangles), bool)))
    far, ended = (math.inf,) * 3, ""
    if count > 1:
        unit = domain_constants(reader.coarse, reader(reader.coarse).fixed)
    while True:
        mesh, begun = meshes[-1], time.perf_counter()
        fine = mesh if count == 1 else mesh.split()
        data, chain = reader(fine), meshes if count == 1 else [*meshes, fine]
        if bool((bad := data.least <= 1e-9 * data.most).any()):
            if len(mesh.triangles) > most or count > 1:
                raise Unsuitable("the equation is not elliptic")
            meshes.append(mesh.refined(bad))
            continue
        height = 2 * fine.areas / fine.lengths.max(axis=1)
        if bool(
            ((data.lost[2] < 1e-6 * data.least) & (data.lost[3] * height > 1e-3 * data.least)).any()
        ):
            raise Unsuitable("the equation has convection")
        found = Discrete(fine, data, rules)
        if found.reaction.min() < -1e-10 * abs(found.reaction).max():
            raise Unsuitable("c is negative somewhere, or jumps where no Interface says so")
        if count == 1:
            unit = domain_constants(mesh, data.fixed)
        constants = unit.scaled(float(data.least.min()), float(found.reaction.min()))
        fields = found.solve()
        parts = parts_of_bound(found, fields, constants)
        if parts.total <= far[0] / 2:
            far = given[0].distance(chain, found, fields.v)
        made = Certificate(found, fields, parts, constants, far)
        enough = made.total <= far[0] / 4 or parts.rounding > parts.total / 3
        indicator = parts.indicator / parts.indicator.sum()
        if number is not None and not math.isinf(made.stretch):
            interval, dual = _interval(found, fields, parts, number, sides, made.stretch, constants)
            made = replace(made, interval=interval)
            indicator = indicator + dual / dual.sum()
            low, high = interval
            enough = parts.rounding > parts.total / 3 or (
                enough and high - low <= abs(number.known - (low + high) / 2)
            )
        if count > 1:
            indicator = indicator.reshape(3, -1).sum(axis=0)  # the order of `split`
        marked = dorfler_marking(torch.from_numpy(indicator).sqrt(), 0.8).numpy()
        finer = [mesh.refined(marked)]
        sharp = mesh.triangles[marked & (indicator > 10 * np.median(indicator))]
        tips = np.unique(sharp[sharp < len(reader.coarse.vertices)])
        touching = np.isin(finer[0].triangles, tips)
        near = finer[0].triangles[touching & (touching.sum(axis=1) > 1)[:, None]]
        tips = np.setdiff1d(tips, near)
        for _ in range(2 * (len(tips) > 0)):
            finer.append(finer[-1].graded(tips))
        now, growth = time.perf_counter(), len(finer[-1].triangles) / len(mesh.triangles)
        if not enough and len(fine.triangles) > most:
            ended = f"more than {most} triangles"
        elif not enough and now + growth * (now - begun) > deadline:
            ended = "a larger budget"
        if enough or ended:
            break
        meshes += finer
    if math.isinf(made.stretch):
        raise Unsuitable("the coefficients are not smooth")
    pairs = zip(*(one.distance(chain, found, fields.v) for one in given), strict=True)
    energy, size, slopes = (a + abs(a - b) for a, b in pairs)
    return replace(made, distance=(energy, size, slopes), ended=ended)
