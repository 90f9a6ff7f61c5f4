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
from collections.abc import Sequence
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

from kanpinn.accuracy.bounds import flux_factor, read_operator, read_scalar, read_sides
from kanpinn.accuracy.errors import Bound
from kanpinn.geometry import Domain, Points, Segment
from kanpinn.geometry.rules import gauss_legendre, simplex_rule
from kanpinn.jets import Channels, JetFunction, ResidualFunction, grad
from kanpinn.pde.boundary_value_problem import stated
from kanpinn.pde.coefficients import Unsuitable
from kanpinn.pde.conditions import Condition, Interface, values_of
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


def triangulated(problem: Problem, part: Domain | None = None) -> Triangulation:
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


class Rules:
    """Quadrature rules in a triangle and on an edge, with Bernstein polynomials at their points.

    The rules have Q points in a triangle and k points on an edge, and are exact for polynomials up
    to the degree 2 m + 9. There are bases of n Bernstein polynomials with these names: "q" of
    degree m + 1 for the components of the flux q; "s" and "t" of degree m for the multipliers s in
    triangles and λ on edges; "v" of degree m + 1 for the function v; and "d" of degree m + 3 for
    the data A, c, f, g and α.

    Args:
        m: the degree of the Raviart–Thomas space of the flux.

    Attributes:
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
    """

    def __init__(self, m: int) -> None:
        self.m, nodes = m, m + 5
        self.degrees = {"q": m + 1, "s": m, "t": m, "v": m + 1, "d": m + EXTRA}
        shares, weights = simplex_rule(nodes, 2)
        self.shares, self.weights = shares.numpy(), weights.numpy()
        t, along = (one.numpy() for one in gauss_legendre(nodes))
        self.line, self.along = np.stack([1 - t, t], axis=1), along
        degrees, line = self.degrees, self.line
        self.of = {name: bernstein(degrees[name], self.shares) for name in "qsvd"}
        self.slopes = {name: bernstein_slopes(degrees[name], self.shares) for name in "qv"}
        self.edge = {name: bernstein(degrees[name], line) for name in "td"}
        self.edge_slopes = bernstein_slopes(degrees["d"], line) @ [-1.0, 1.0]
        at = [on_edge(line, j) for j in range(3)]
        self.sides = {name: np.stack([bernstein(degrees[name], x) for x in at]) for name in "qv"}
        steep = [bernstein_slopes(degrees["v"], x) for x in at]
        self.side_slopes = [x[..., (j + 1) % 3] - x[..., j] for j, x in enumerate(steep)]
        root = np.sqrt(self.weights)
        # The coefficients of data from their values: what they miss has no mean.
        self.fit = np.linalg.pinv(root[:, None] * self.of["d"]) * root


@dataclass(frozen=True, eq=False)
class MeshData:
    """The data A, c, f, g and α of a problem as polynomials of degree m + 3 on a mesh.

    The polynomials are given by Bernstein coefficients. On edges these are in the order from the
    vertex with the smaller number to the other vertex. On an edge of the boundary either u = g, or
    A∂u/∂n + α u = g.

    Args:
        diffusion: the coefficients of A in each triangle, (T, n, 2, 2).
        reaction: the coefficients of c, (T, n).
        source: the coefficients of f, (T, n).
        fixed: a mask of the edges on which u is prescribed, (E,).
        given: the coefficients of g on each edge, (E, n).
        robin: the coefficients of α on each edge, (E, n).
        lost: estimates of the errors of the polynomials in each triangle, (4, T): the L2 norm of
            the error of f, the largest errors of c and of A, and the largest |b|, where b is the
            convection that remains besides -div(A∇u) with the polynomial A. Each is twice the value
            at sampled points.
        lost_given: estimates of the errors of the polynomials on each edge, (E, 2): the L2 norm of
            the error of g; and the L2 norm of its derivative along the edge where u is prescribed,
            elsewhere the largest error of α.
        names: the names of the coordinates.
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

    @cached_property
    def least(self) -> Array:
        """A lower bound of the least eigenvalue of A in each triangle, (T,)."""
        return np.linalg.eigvalsh(self.diffusion)[..., 0].min(axis=1)

    @cached_property
    def most(self) -> Array:
        """An upper bound of the largest eigenvalue of A in each triangle, (T,)."""
        return np.linalg.eigvalsh(self.diffusion)[..., 1].max(axis=1)


def chebyshev_points(degree: int) -> Array:
    """Return degree + 1 Chebyshev points in [0, 1], which include 0 and 1."""
    found: Array = (1 - np.cos(np.pi * np.arange(degree + 1) / degree)) / 2
    return found


def _line(t: Array) -> Array:
    return np.stack([1 - t, t], axis=1)


@dataclass(frozen=True)
class Number:
    """A number J(u): the integral of a density j u + r over a part of the domain.

    Args:
        density: a function density(p, u), (n, 1), affine in u and without derivatives.
        over: the part; None for the whole domain.
    """

    density: ResidualFunction
    over: Domain | None = None

    def read(self, points: Points) -> tuple[Tensor, Tensor]:
        """Return j and r of a density j u + r at points, (n,) each; both are 0 outside the part."""
        found = read_scalar(self.density, points, "the density")
        if bool(found.second.any()) or bool(found.first.any()):
            raise Unsuitable("the density of the number has derivatives")
        inside = torch.ones(len(points), dtype=torch.bool)
        if self.over is not None:
            inside = self.over.contains(points.coords)
        return inside * found.zeroth, inside * found.rest


class Reader:
    """Approximates the data of a problem by polynomials on a mesh; calling it returns `MeshData`.

    Args:
        problem: the problem.
        rules: the bases of polynomials, and quadrature rules.
        number: a number that is bounded besides the error. The edges of `coarse` then cover the
            boundary of its part of the domain, too.

    Attributes:
        coarse: a coarse mesh of the domain.
        conditions: the condition on each boundary piece.
        interfaces: the conditions on interfaces.

    Raises:
        Unsuitable: as for `read_sides`, for curved sides or interfaces, an interface with a jump of
            the flux, or a side without a condition.
    """

    def __init__(self, problem: Problem, rules: Rules, number: "Number | None" = None) -> None:
        self.problem, self.rules, self.names = stated(problem), rules, problem.domain.names
        sides = read_sides(self.problem)
        self.coarse = triangulated(problem, None if number is None else number.over)
        conditions, self.conditions = self.problem.conditions(), list[Condition]()
        self.interfaces = [c for c in conditions if isinstance(c, Interface)]
        if any(c.kinks and (c not in self.interfaces or c.flux != 0) for c in conditions):
            raise Unsuitable("at an interface the flux is not continuous")
        for piece, held in sides:
            if held is None:
                raise Unsuitable(f"there is no condition on {piece.name}")
            self.conditions.append(conditions[held])

    def __call__(self, mesh: Triangulation) -> MeshData:
        """Return the data of the problem as polynomials on a mesh."""
        rules, area = self.rules, mesh.areas
        values = self._inside(mesh, rules.shares)
        coefficients = [np.einsum("nq,tq...->tn...", rules.fit, one) for one in values[:3]]
        other = simplex_rule(rules.m, 2)
        shares, weights = other[0].numpy(), other[1].numpy()
        basis, found = bernstein(rules.degrees["d"], shares), self._inside(mesh, shares)
        gaps = [
            np.einsum("qn,tn...->tq...", basis, a) - b
            for a, b in zip(coefficients, found, strict=False)
        ]
        lost_a = np.linalg.norm(gaps[0], axis=(2, 3)).max(axis=1)
        lost_c = abs(gaps[1]).max(axis=1)
        lost_f = np.sqrt(area * (gaps[2] ** 2 @ weights))
        slopes = np.einsum(
            "qnk,tkb->tqnb", bernstein_slopes(rules.degrees["d"], shares), mesh.slopes
        )
        divergence = np.einsum("tqna,tnab->tqb", slopes, coefficients[0])
        drift = np.linalg.norm(found[3] + divergence, axis=2).max(axis=1)
        lost = 2 * np.stack([lost_f, lost_c, lost_a, drift])
        size = abs(coefficients[0]).max(axis=(1, 2, 3))
        lost[2:] *= lost[2:] > 1e-11 * np.stack([size, size / np.sqrt(area)])
        fixed, given, robin, lost_given = self._edges(mesh)
        a, c, f = coefficients
        return MeshData(a, c, f, fixed, given, robin, lost, lost_given, self.names)

    def _inside(self, mesh: Triangulation, shares: Array) -> list[Array]:
        """Return A, c, f and b - div A at points in all triangles, (T, Q, …) each.

        Args:
            mesh: the mesh.
            shares: the barycentric coordinates of Q points in a triangle, (Q, 3).
        """
        coords = np.einsum("qk,tkd->tqd", shares, mesh.corners)
        flat, parts = torch.from_numpy(coords.reshape(-1, 2)), []
        for chunk in flat.split(2**15):
            parts.append(read_operator(self.problem, Points(chunk, self.names)))
        second, first, zeroth, rest = (
            torch.cat([getattr(one, name) for one in parts])
            .numpy()
            .reshape(*coords.shape[:2], *shape)
            for name, shape in (("second", (2, 2)), ("first", (2,)), ("zeroth", ()), ("rest", ()))
        )
        for one in self.interfaces:
            given = values_of(one.coefficient, Points(flat, self.names), 1, "a").numpy()
            a = given.reshape(*coords.shape[:2], 1, 1) * np.eye(2)
            if not np.allclose(a, -second, 1e-9, 1e-12):
                raise Unsuitable("the coefficient at an interface is not that of the equation")
        return [-second, zeroth, -rest, first]

    def _at_sides(self, mesh: Triangulation, number: int, t: Array) -> tuple[Array, Array | None]:
        """Return g and α at points of the edges of a boundary piece, (edges, k) each.

        Where u is prescribed, there is no α, and None is returned in its place.

        Args:
            mesh: the mesh.
            number: the number of the boundary piece.
            t: the parameters of k points on each edge, (k,), from 0 at the vertex with the smaller
                number to 1 at the other vertex.
        """
        edges = np.flatnonzero(mesh.piece == number)
        name = f"the condition on {self.problem.domain.boundary.pieces[number].name}"
        normals = np.zeros((len(mesh.ends), 2))
        normals[mesh.edges] = mesh.normals / mesh.lengths[..., None]
        coords = np.einsum("qk,ekd->eqd", _line(t), mesh.vertices[mesh.ends[edges]])
        outward = torch.from_numpy(np.repeat(normals[edges], len(t), axis=0))
        p = Points(torch.from_numpy(coords.reshape(-1, 2)), self.names, outward)
        terms = read_scalar(self.conditions[number].stacked_residual, p, name)

        def table(values: Tensor) -> Array:
            found: Array = values.numpy().reshape(len(edges), -1)
            return found

        if not bool(terms.first.any()) and bool((terms.zeroth != 0).all()):
            return table(-terms.rest / terms.zeroth), None
        kappa = flux_factor(terms, read_operator(self.problem, p), p, name)
        alpha = table(terms.zeroth / kappa)
        if alpha.min() < -1e-12 * abs(alpha).max():
            raise Unsuitable(f"{name} is not coercive: α is {alpha.min():.3g}")
        return table(-terms.rest / kappa), alpha

    def _edges(self, mesh: Triangulation) -> tuple[Array, Array, Array, Array]:
        """Return `fixed`, `given`, `robin` and `lost_given` of `MeshData`."""
        degree, count = self.rules.degrees["d"], len(mesh.ends)
        fixed, lost = np.zeros(count, bool), np.zeros((count, 2))
        given, robin = np.zeros((count, degree + 1)), np.zeros((count, degree + 1))
        lengths = np.linalg.norm(np.diff(mesh.vertices[mesh.ends], axis=1)[:, 0], axis=1)
        for number in np.unique(mesh.piece[mesh.piece >= 0]).tolist():
            edges = np.flatnonzero(mesh.piece == number)
            values, alpha = self._at_sides(mesh, number, self.rules.line[:, 1])
            if alpha is None:  # interpolation, so that both sides of a vertex agree
                t, fine = chebyshev_points(degree), chebyshev_points(2 * degree)
                fixed[edges] = True
                nodal = self._at_sides(mesh, number, t)[0]
                given[edges] = nodal @ np.linalg.inv(bernstein(degree, _line(t))).T
                given[edges, 0], given[edges, -1] = nodal[:, 0], nodal[:, -1]
                gap = self._at_sides(mesh, number, fine)[0]
                gap -= given[edges] @ bernstein(degree, _line(fine)).T
                wave = chebyshev.chebvander(2 * fine - 1, len(fine) - 1)
                slopes = chebyshev.chebder(np.linalg.solve(wave, gap.T))
                steep = 2 * chebyshev.chebval(2 * fine - 1, slopes)
                lost[edges, 1] = 2 * abs(steep).max(axis=1) / np.sqrt(lengths[edges])
            else:
                root = np.sqrt(self.rules.along)
                fit = (np.linalg.pinv(root[:, None] * self.rules.edge["d"]) * root).T
                given[edges], robin[edges] = values @ fit, alpha @ fit
                t = chebyshev_points(degree + 2)[1:-1]
                gap, missed = self._at_sides(mesh, number, t)
                assert missed is not None
                gap -= given[edges] @ bernstein(degree, _line(t)).T
                missed -= robin[edges] @ bernstein(degree, _line(t)).T
                lost[edges, 1] = 2 * abs(missed).max(axis=1)
            lost[edges, 0] = 2 * abs(gap).max(axis=1) * np.sqrt(lengths[edges])
        return fixed, given, robin, lost


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
        v: the coefficients of v in each triangle, (T, n).
        q: the coefficients of both components of q in each triangle, (T, n, 2).
        s: the coefficients of s in each triangle, (T, n).
        trace: the coefficients of λ on each edge, (E, n), in the order from the vertex with the
            smaller number to the other vertex.
    """

    v: Array
    q: Array
    s: Array
    trace: Array


class Discrete:
    """The finite-element problems for a continuous function v and a flux q on a mesh.

    v is the Galerkin solution of degree m + 1. q belongs to the Raviart–Thomas space of degree m.
    q and the multiplier s solve the mixed problem: in each triangle -div q + c s - f is orthogonal
    to all polynomials of degree m. The multiplier λ on edges makes the normal component of q
    continuous (hybridisation).

    Args:
        mesh: the mesh.
        data: the data on the mesh.
        rules: the bases of polynomials, and quadrature rules.

    Attributes:
        diffusion: A at the points of the rule in each triangle, (T, Q, 2, 2).
        inverse: A⁻¹ at these points, (T, Q, 2, 2).
        reaction, source: c and f at these points, (T, Q) each.

    Reference: Brezzi and Fortin, Mixed and Hybrid Finite Element Methods (1991), chapter V.
    """

    def __init__(self, mesh: Triangulation, data: MeshData, rules: Rules) -> None:
        self.mesh, self.data, self.rules = mesh, data, rules
        self.names = data.names
        at = rules.of["d"]
        self.diffusion = np.einsum("qn,tnab->tqab", at, data.diffusion)
        self.reaction, self.source = data.reaction @ at.T, data.source @ at.T
        self.inverse = np.linalg.inv(self.diffusion)

    def flipped(self, coefficients: Array) -> Array:
        """Return coefficients on edges (E, n) for the three edges of each triangle, (T, 3, n).

        The result is in the order in which the edge runs in the triangle, see `Triangulation`.
        """
        at = coefficients[self.mesh.edges]
        return np.where(self.mesh.reverse[..., None], at[..., ::-1], at)

    def solve(self) -> Fields:
        """Return the continuous function v and the flux q with its multipliers."""
        q, s, trace = (one[..., 0] for one in self.flux(self.source[..., None]))
        return Fields(self._conforming(), q, s, trace)

    def _on_sides(self) -> tuple[Array, Array, Array]:
        """Return the boundary data on the three edges of each triangle.

        Returns:
            A mask of the edges with a prescribed flux, (T, 3); g and α at the k points of the rule
            on an edge, in the direction in which the edge runs in the triangle, (T, 3, k) each.
        """
        natural = (self.mesh.piece >= 0) & ~self.data.fixed
        basis = self.rules.edge["d"].T
        return (
            natural[self.mesh.edges],
            self.flipped(self.data.given) @ basis,
            self.flipped(self.data.robin) @ basis,
        )

    def flux(self, sources: Array) -> tuple[Array, Array, Array]:
        """Solve the mixed problem for r sources.

        Args:
            sources: the sources f at the Q points of the rule in each triangle, (T, Q, r).

        Returns:
            The coefficients of q, (T, n, 2, r), of s, (T, n, r), and of λ on edges, (E, n, r).
        """
        mesh, rules = self.mesh, self.rules
        size = np.sqrt(2 * mesh.areas)  # q is scaled by it, so that all entries are near 1
        q, s, trace = rules.of["q"], rules.of["s"], rules.edge["t"]
        n, k, edge = q.shape[1], s.shape[1], trace.shape[1]
        natural, g, alpha = self._on_sides()
        own = mesh.lengths[..., None] * natural[..., None] * rules.along
        span = self._raviart_thomas()
        mass, divergence = np.zeros((len(size), 2 * n, 2 * n)), np.zeros((len(size), k, 2 * n))
        sides = np.zeros((len(size), 3 * edge, 2 * n))
        table = np.einsum("q,qa,qnk->kan", rules.weights, s, rules.slopes["q"])
        moments = np.einsum("q,qa,jqn->jan", rules.along, trace, rules.sides["q"])
        for a in range(2):
            at = slice(a * n, (a + 1) * n)
            for b in range(2):
                mass[:, at, b * n : (b + 1) * n] = self._mass(self.inverse[..., a, b] / 2, q)
            steep = mesh.slopes[:, :, a] * (mesh.areas / size)[:, None]
            divergence[:, :, at] = (steep @ table.reshape(3, -1)).reshape(-1, k, n)
            scaled = (mesh.normals[:, :, a] / size[:, None])[..., None, None] * moments
            sides[:, :, at] = scaled.reshape(-1, 3 * edge, n)
        mass = span.transpose(0, 2, 1) @ mass @ span
        divergence, sides = divergence @ span, sides @ span
        count, both = 3 * edge, 3 * edge + span.shape[2]
        matrix = np.zeros((len(size), both + k, both + k))
        right = np.zeros((len(size), both + k, sources.shape[2]))
        for j in range(3):
            place = slice(j * edge, (j + 1) * edge)
            factors = own[:, j] * alpha[:, j]
            matrix[:, place, place] = -(trace.T @ (factors[..., None] * trace))
            right[:, place] = (-(own[:, j] * g[:, j]) @ trace)[..., None]
        matrix[:, :count, count:both], matrix[:, both:, count:both] = -sides, divergence
        matrix[:, count:both, :count] = -sides.transpose(0, 2, 1)
        matrix[:, count:both, both:] = divergence.transpose(0, 2, 1)
        matrix[:, count:both, count:both] = mass
        matrix[:, both:, both:] = -self._mass(mesh.areas[:, None] * self.reaction, s)
        weighted = (mesh.areas[:, None] * rules.weights)[..., None] * sources
        right[:, both:] = -(s.T @ weighted)
        along = np.arange(edge)
        number = mesh.edges[..., None] * edge
        number = number + np.where(mesh.reverse[..., None], along[::-1], along)
        number = number.reshape(len(matrix), -1)
        known, root = np.repeat(self.data.fixed, edge), np.sqrt(rules.along)
        fit = np.linalg.pinv(root[:, None] * trace) * root
        values = (self.data.given @ rules.edge["d"].T @ fit.T).reshape(-1, 1)
        values = np.repeat(values, right.shape[2], axis=1)
        found = _condensed(matrix, right, number, len(known), known, values)
        traces = np.zeros((len(known), right.shape[2]))
        traces[number] = found[:, :count]
        flux = (span @ found[:, count:both]).reshape(len(size), 2, n, -1).swapaxes(1, 2)
        traces = traces.reshape(-1, edge, right.shape[2])
        return flux / size[:, None, None, None], found[:, both:], traces

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

    def _mass(self, factors: Array, basis: Array) -> Array:
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
        """Return each triangle's matrix of ∫ A∇v·∇w + c v w + ∫ α v w for the basis "v", (T, n, n).

        The last integral is over the triangle's sides on the domain's boundary.
        """
        mesh, rules, values = self.mesh, self.rules, self.rules.of["v"]
        slopes = np.einsum("qnk,tkd->tqnd", rules.slopes["v"], mesh.slopes)
        weighted = np.einsum(
            "q,tqab,tqnb->tqna", rules.weights, self.diffusion, slopes, optimize=True
        )
        count = values.shape[1]

        def flat(x: Array) -> Array:
            return x.transpose(0, 2, 1, 3).reshape(len(x), count, -1)

        matrix = flat(slopes) @ flat(weighted).transpose(0, 2, 1) + self._mass(
            self.reaction, values
        )
        matrix *= mesh.areas[:, None, None]
        natural, _, alpha = self._on_sides()
        own = mesh.lengths[..., None] * natural[..., None] * rules.along
        for j in range(3):
            side = rules.sides["v"][j]
            some = natural[:, j] & (abs(alpha[:, j]).max(axis=1) > 0)
            factors = (own[:, j] * alpha[:, j])[some]
            matrix[some] += side.T @ (factors[..., None] * side)
        return matrix

    def _conforming(self) -> Array:
        mesh, rules, p = self.mesh, self.rules, self.rules.degrees["v"]
        matrix, values = self.stiffness(), rules.of["v"]
        right = mesh.areas[:, None] * ((rules.weights * self.source) @ values)
        natural, g, _ = self._on_sides()
        own = mesh.lengths[..., None] * natural[..., None] * rules.along
        for j in range(3):
            right += (own[:, j] * g[:, j]) @ rules.sides["v"][j]
        outer, number, total = numbering(mesh, p)
        inner = np.setdiff1d(np.arange(values.shape[1]), outer)
        order = np.concatenate([outer, inner])
        known, given = np.zeros(total, bool), np.zeros((total, 1))
        t = chebyshev_points(p)
        nodal = self.data.given[self.data.fixed] @ bernstein(rules.degrees["d"], _line(t)).T
        at_edge = nodal @ np.linalg.inv(bernstein(p, _line(t))).T
        at_edge[:, [0, -1]] = self.data.given[self.data.fixed][:, [0, -1]]
        on = edge_numbers(mesh, p)[self.data.fixed]
        known[on], given[on, 0] = True, at_edge
        found = _condensed(
            matrix[:, order][:, :, order], right[:, order, None], number, total, known, given
        )
        result: Array = found[:, np.argsort(order), 0]
        return result


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
        lower: the L2 norm of √c (s - v), together with that of √α (λ - v) on sides, (T,).
        missed: a bound of what the errors of c and the convection b contribute, divided by the L2
            norm of a function whose energy norm is 1, (T,).
        extension: a bound of the energy norm of a function that is equal to u - v on sides with
            prescribed values, (T,).
        rounding: a bound of what rounding errors of the flux's equilibrium contribute, and the
            errors of α, one number for all triangles.
        stretch: the error of α relative to the energy norm: a bound of ∫ |α - α_h| w² on sides, for
            a function w whose energy norm is 1 and the polynomials α_h in place of α.
        square: the squared energy norm of v, (T,).
    """

    misfit: Array
    lower: Array
    missed: Array
    extension: Array
    rounding: float
    stretch: float
    square: Array

    @property
    def indicator(self) -> Array:
        """The square of each triangle's contribution to the bound, (T,)."""
        return self.misfit**2 + self.lower**2 + self.missed**2 + self.extension**2

    @property
    def total(self) -> float:
        """The bound of the energy norm of u - v."""
        inner = math.sqrt(float((self.misfit**2 + self.lower**2).sum()))
        inner += float(np.linalg.norm(self.missed)) + self.rounding
        return math.hypot(inner, math.sqrt(float((self.extension**2).sum())))


def parts_of_bound(found: Discrete, fields: Fields, friedrichs: float) -> PartsOfBound:
    """Bound the energy norm of u - v by a flux q, for the exact solution u and a function v.

    Args:
        found: the mesh with the data and the bases of polynomials.
        fields: v, q and the multipliers.
        friedrichs: C in ‖w‖ ≤ C |||w||| for all w that vanish where u is prescribed.

    Reference: Prager and Synge, Approximations in elasticity based on the concept of function space
    (1947); Payne and Weinberger, An optimal Poincaré inequality for convex domains (1960).
    """
    mesh, data, rules, areas = found.mesh, found.data, found.rules, found.mesh.areas
    root, reach = np.sqrt(data.least), mesh.lengths.max(axis=1)

    def norm(values: Array) -> Array:
        found: Array = np.sqrt(areas * (values @ rules.weights))
        return found

    values = {name: getattr(fields, name) @ rules.of[name].T for name in ("v", "s")}
    gradient = _gradient(mesh, rules, "v", fields.v)
    flux = np.einsum("qn,tnd->tqd", rules.of["q"], fields.q)
    conormal = np.einsum("tqab,tqb->tqa", found.diffusion, gradient)
    gap = flux - conormal
    misfit = norm(np.einsum("tqa,tqab,tqb->tq", gap, found.inverse, gap, optimize=True))
    divergence = np.einsum("tqdd->tq", _gradient(mesh, rules, "q", fields.q))
    rest = found.source - found.reaction * values["s"] + divergence
    misfit += reach / math.pi / root * norm(rest**2)
    lost_f, lost_c, lost_a, drift = data.lost
    steep = norm((gradient**2).sum(axis=2))
    misfit += (reach / math.pi * lost_f + lost_a * steep) / root
    missed = friedrichs * (drift * steep + lost_c * norm(values["v"] ** 2))
    lower = areas * ((found.reaction * (values["s"] - values["v"]) ** 2) @ rules.weights)
    square = (conormal * gradient).sum(axis=2) + found.reaction * values["v"] ** 2
    square = areas * (square @ rules.weights)
    spoilt = friedrichs * math.sqrt(float((areas * (rest @ rules.weights) ** 2).sum()))
    # Traces on an edge E of a triangle T: ‖w‖² ≤ |E|/|T| (‖w‖² + h ‖w‖ ‖∇w‖).
    edge = rules.edge["d"].T
    natural, g, alpha = found._on_sides()
    trace = found.flipped(fields.trace) @ rules.edge["t"].T
    jumps_of_flux = np.zeros((len(mesh.ends), len(rules.along)))
    robin, trace_factor = np.zeros(len(mesh.ends)), 0.0
    extension, lost = np.zeros(len(areas)), data.lost_given[mesh.edges]
    fixed, given = data.fixed[mesh.edges], found.flipped(data.given)
    for j in range(3):
        length = mesh.lengths[:, j]
        side = rules.sides["q"][j]
        normal = np.einsum("qn,tnd,td->tq", side, fields.q, mesh.normals[:, j] / length[:, None])
        on_v = fields.v @ rules.sides["v"][j].T
        some = natural[:, j]
        ratio = length / areas
        constant = reach * np.sqrt(ratio * (1 / math.pi**2 + 1 / math.pi)) / root
        left = g[:, j] - alpha[:, j] * trace[:, j] - normal
        size = np.sqrt(length * (left**2 @ rules.along)) + lost[:, j, 0]
        misfit += some * constant * size
        missed_robin = some * lost[:, j, 1]
        np.add.at(robin, mesh.edges[:, j], missed_robin**2 * (on_v**2 @ rules.along))
        trace_factor = max(trace_factor, float((missed_robin * ratio).max()))
        own = length * (alpha[:, j] * (trace[:, j] - on_v) ** 2 @ rules.along)
        lower += some * own
        signed = np.where(some[:, None], (left @ rules.along)[:, None], normal)
        turned = np.where(mesh.reverse[:, [j]], signed[:, ::-1], signed)
        np.add.at(jumps_of_flux, mesh.edges[~fixed[:, j], j], turned[~fixed[:, j]])
        # u - v on the edge is continued to the opposite corner, like a power k of the distance.
        high, at = 2 / ratio, fixed[:, j]
        slope_v = fields.v @ rules.side_slopes[j].T
        gaps = given[:, j] @ edge - on_v, given[:, j] @ rules.edge_slopes.T - slope_v
        value = np.sqrt(length * (gaps[0] ** 2 @ rules.along)) + lost[:, j, 0]
        along = np.sqrt(gaps[1] ** 2 @ rules.along / length) + at * lost[:, j, 1]
        steep, flat = along**2 * (1 + 2 * (reach / high) ** 2), 2 * (value / high) ** 2 + 1e-300
        power = np.maximum(np.sqrt(steep / flat), 1)
        spread = high / 2 * (steep / power + flat * power)
        most = found.reaction.max(axis=1)
        extension += at * np.sqrt(data.most * spread + most * high / 4 * value**2)
    # what is left of the flux through edges is the same on both sides but for rounding
    free, ratio = ~data.fixed, np.zeros(len(mesh.ends))
    ratio[mesh.edges] = mesh.lengths**2 / areas[:, None]
    squares = ratio[free] * (jumps_of_flux[free] ** 2 @ rules.along)
    factor = 3 * (friedrichs**2 + reach.max() * friedrichs / root.min())
    spoilt += math.sqrt(factor * float(squares.sum()))
    spoilt += math.sqrt(factor * float((ratio * robin).sum()))
    spoilt += 1e-13 * math.sqrt(float(square.sum()))
    stretch = factor * trace_factor
    return PartsOfBound(misfit, np.sqrt(lower), missed, extension, spoilt, stretch, square)


def _gradient(mesh: Triangulation, rules: Rules, name: str, coefficients: Array) -> Array:
    """Return gradients of polynomials at the points of the rule in each triangle, (T, Q, …, 2).

    Args:
        mesh: the mesh.
        rules: the bases of polynomials, and quadrature rules.
        name: the name of the basis in `rules`.
        coefficients: the coefficients of the polynomials, (T, n, …).
    """
    local = np.einsum("qnk,tn...->tqk...", rules.slopes[name], coefficients)
    return np.einsum("tqk...,tkd->tq...d", local, mesh.slopes)


def friedrichs_constant(mesh: Triangulation, fixed: Array, least: float, reaction: float) -> float:
    """Return C in ‖w‖ ≤ C |||w||| for functions w that vanish on some edges of the boundary.

    The square of |||w||| is ∫ A∇w·∇w + c w². C is (a μ + max(γ, 0))^(-1/2) with lower bounds a of
    the eigenvalues of A, γ of c, and μ of the least eigenvalue of -Δ. If w vanishes on no edge, μ
    is 0. Otherwise μ is λ / (1 + (0.1893 h)² λ), where λ is the least eigenvalue of -Δ with
    Crouzeix–Raviart elements, and h is the length of the longest edge.

    Args:
        mesh: the mesh for the elements.
        fixed: a mask of the edges on which w vanishes, (E,).
        least: the number a.
        reaction: the number γ.

    Raises:
        Unsuitable: if a μ + γ is not positive.

    Reference: Liu, A framework of verified eigenvalue bounds for self-adjoint differential
    operators (2015).
    """
    bound = 0.0
    if fixed.any():
        slopes = -2 * np.roll(mesh.slopes, -2, axis=1)  # of the function of each edge
        local = np.einsum("tad,tbd,t->tab", slopes, slopes, mesh.areas)
        rows = np.broadcast_to(mesh.edges[:, :, None], local.shape).ravel()
        columns = np.broadcast_to(mesh.edges[:, None, :], local.shape).ravel()
        matrix = sparse.csc_array((local.ravel(), (rows, columns)), shape=(len(fixed),) * 2)
        mass = np.zeros(len(fixed))
        np.add.at(mass, mesh.edges, np.repeat(mesh.areas[:, None] / 3, 3, axis=1))
        free = np.flatnonzero(~fixed)
        scale = sparse.diags_array(1 / np.sqrt(mass[free]))
        reduced = (scale @ matrix[free][:, free] @ scale).tocsc()
        start = np.ones(len(free))
        found = float(eigsh(reduced, 1, sigma=0.0, v0=start, return_eigenvectors=False)[0])
        found *= 1 - 1e-8  # rounding
        bound = least * found / (1 + (0.1893 * float(mesh.lengths.max())) ** 2 * found)
    if bound + reaction <= 0:
        raise Unsuitable("the problem is not coercive: neither a value nor c fixes a constant")
    return 1 / math.sqrt(bound + max(reaction, 0.0))


@dataclass(frozen=True, eq=False)
class Given:
    """A function at the n points of a quadrature rule.

    Args:
        points: the points, (n, 2).
        weights: the weights of the rule, (n,).
        values: the values of the function, (n,).
        slopes: the gradients of the function, (n, 2).
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
            [u.value[:, 0] for u in jets],
            [grad(u) for u in jets],
        )
        return cls(*(torch.cat(part).detach().double().numpy() for part in parts))

    def number(self, number: Number, names: tuple[str, ...]) -> float:
        """Return the number J(u) for this function u, integrated by the rule.

        Args:
            number: the number.
            names: the names of the coordinates.
        """
        j, r = number.read(Points(torch.from_numpy(self.points), names))
        return float(self.weights @ (j.numpy() * self.values + r.numpy()))

    def distance(
        self, meshes: Sequence[Triangulation], found: Discrete, v: Array
    ) -> tuple[float, float]:
        """Return the energy norm and the L2 norm of v minus this function, integrated by the rule.

        The integral over the boundary is left out of the energy norm.

        Args:
            meshes: the meshes from the coarsest one on, each refined from the one before.
            found: the last mesh with the data, which define the energy norm.
            v: the coefficients in the basis "v" of a function v on the last mesh, (T, n).
        """
        mesh, degrees = meshes[-1], found.rules.degrees
        number, shares = located(meshes, self.points)
        squares = np.zeros(2)
        for at in np.array_split(np.arange(len(number)), 1 + len(number) // 2**15):
            own, here = number[at], shares[at]
            local = np.einsum("pnk,pn->pk", bernstein_slopes(degrees["v"], here), v[own])
            steep = np.einsum("pk,pkd->pd", local, mesh.slopes[own]) - self.slopes[at]
            gap = (bernstein(degrees["v"], here) * v[own]).sum(axis=1) - self.values[at]
            data = bernstein(degrees["d"], here)
            diffusion = np.einsum("pn,pnab->pab", data, found.data.diffusion[own])
            energy = np.einsum("pa,pab,pb->p", steep, diffusion, steep)
            energy += (data * found.data.reaction[own]).sum(axis=1) * gap**2
            squares += np.stack([energy, gap**2]) @ self.weights[at]
        return math.sqrt(float(squares[0])), math.sqrt(float(squares[1]))


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
        friedrichs: the constant C of `friedrichs_constant`.
        distance: the energy norm and the L2 norm of v minus the approximate solution.
        coarse: the mesh on which C was computed, and a mask of its edges on which u is prescribed.
        interval: a lower and an upper bound of a number J(u); NaN if no number was asked for.
        ended: `Bound.ended`.
    """

    found: Discrete
    fields: Fields
    parts: PartsOfBound
    friedrichs: float
    distance: tuple[float, float]
    coarse: tuple[Triangulation, Array]
    interval: tuple[float, float] = (math.nan, math.nan)
    ended: str = ""

    def arrays(self) -> dict[str, Array]:
        """Return the data that `scripts/check_certificate.py` needs, with their digest, by name."""
        mesh, data, coarse = self.found.mesh, self.found.data, self.coarse[0]
        names = ("diffusion", "reaction", "source", "fixed", "given", "robin", "lost", "lost_given")
        found = {name: getattr(data, name) for name in names}
        found |= {name: getattr(self.fields, name) for name in ("v", "q", "s", "trace")}
        found |= {"vertices": mesh.vertices, "triangles": mesh.triangles}
        found |= {"coarse_vertices": coarse.vertices, "coarse_triangles": coarse.triangles}
        found |= {"coarse_fixed": self.coarse[1], "degree": np.array(self.found.rules.m)}
        # Sums in another order, and A⁻¹ at other points, change the bound a little.
        claimed = 1.001 * self.total + 1e-13 * math.sqrt(float(self.parts.square.sum()))
        found |= {"bound": np.array(claimed), "distance": np.array(self.distance)}
        return found | {"digest": np.array(digest(found))}

    @property
    def stretch(self) -> float:
        """The factor by which the errors of A, b, c and α in `MeshData` raise bounds."""
        data = self.found.data
        lost = self.friedrichs * data.lost[3] / np.sqrt(data.least) + data.lost[2] / data.least
        lost = (lost + self.friedrichs**2 * data.lost[1]).max() + self.parts.stretch
        return 1 / (1 - float(lost)) if lost < 1 else math.inf

    @property
    def total(self) -> float:
        """The bound of the energy norm of u - v."""
        return self.stretch * self.parts.total

    def bound(self) -> Bound:
        """Return bounds of the errors of the given solution."""
        area, data = float(self.found.mesh.areas.sum()), self.found.data
        least, (far, near) = float(data.least.min()), self.distance
        extended = math.sqrt(float((self.parts.extension**2).sum()))
        energy, l2 = self.total + far, self.friedrichs * (self.total + extended) + near
        if extended:
            l2 += extended * float(self.found.mesh.lengths.max()) / math.sqrt(least)
        values = self.fields.v @ self.found.rules.of["v"].T
        squares = self.found.mesh.areas * (values**2 @ self.found.rules.weights)
        sizes = {
            "l2": math.sqrt(float(squares.sum())),
            "energy": math.sqrt(float(self.parts.square.sum())),
        }
        slopes = _gradient(self.found.mesh, self.found.rules, "v", self.fields.v)
        steep = self.found.mesh.areas * ((slopes**2).sum(axis=2) @ self.found.rules.weights)
        sizes["h1"] = math.sqrt(float((squares + steep).sum()))
        norms: dict[str, Any] = {}
        for name, whole in {
            "l2": l2,
            "h1": math.hypot(l2, energy / math.sqrt(least)),
            "energy": energy,
        }.items():
            norms[name] = whole / math.sqrt(area)
            left = sizes[name] - whole
            norms[f"{name}_relative"] = whole / left if left > 0 else math.inf
        theorem = "equilibrated flux on triangles (Prager and Synge 1947), "
        theorem += "Payne and Weinberger's constants"
        known = {
            "friedrichs": self.friedrichs,
            "diffusion": least,
            "triangles": float(len(squares)),
        }
        found = Bound(**norms, theorem=theorem, constants=known)
        return replace(found, interval=self.interval, ended=self.ended)


DEGREE = 6  # the degree of the flux
MOST = 800  # triangles


def _interval(
    found: Discrete,
    fields: Fields,
    parts: PartsOfBound,
    number: Number,
    stretch: float,
    friedrichs: float,
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
        stretch: the factor `Certificate.stretch`.
        friedrichs: the constant C of `friedrichs_constant`.

    Returns:
        The lower and the upper bound of J(u), and the square of each triangle's contribution to the
        bound of z - z_h, (T,).

    Reference: Prager and Synge (1947); Pierce and Giles, Adjoint recovery of superconvergent
    functionals from PDE approximations (2000).
    """
    mesh, data, rules = found.mesh, found.data, found.rules
    coords = np.einsum("qk,tkd->tqd", rules.shares, mesh.corners)
    read = number.read(Points(torch.from_numpy(coords.reshape(-1, 2)), found.names))
    j, r = (one.numpy().reshape(coords.shape[:2]) for one in read)
    density = j @ rules.fit.T
    lost = data.lost.copy()
    gap = j - density @ rules.of["d"].T
    lost[0] = 2 * np.sqrt(mesh.areas * (gap**2 @ rules.weights))
    none = np.zeros_like(data.given)
    lost_given = data.lost_given * [[0, 1]] * ~data.fixed[:, None]
    adjoint = replace(data, source=density, given=none, lost=lost, lost_given=lost_given)
    dual = Discrete(mesh, adjoint, rules)
    z = dual.solve()
    dual_parts = parts_of_bound(dual, z, friedrichs)
    gradients = [_gradient(mesh, rules, "v", one.v) for one in (fields, z)]
    on_v, on_z = (one.v @ rules.of["v"].T for one in (fields, z))
    inner = j * on_v + r + (found.source - found.reaction * on_v) * on_z
    inner -= np.einsum("tqa,tqab,tqb->tq", gradients[0], found.diffusion, gradients[1])
    middle = float(mesh.areas @ (inner @ rules.weights))
    natural, g, alpha = found._on_sides()
    half = 0.0
    for side in range(3):
        basis = rules.sides["v"][side].T
        values = (g[:, side] - alpha[:, side] * (fields.v @ basis)) * (z.v @ basis)
        own = natural[:, side] * mesh.lengths[:, side]
        middle += float(own @ (values @ rules.along))
        traces = [np.sqrt((one.v @ basis) ** 2 @ rules.along) for one in (fields, z)]
        half += float((own * data.lost_given[mesh.edges[:, side], 1]) @ (traces[0] * traces[1]))
    extension = parts.extension
    spread = extension @ np.sqrt(dual_parts.square)
    size = np.sqrt(mesh.areas * (j**2 @ rules.weights))
    spread += (extension * mesh.lengths.max(axis=1) / np.sqrt(data.least)) @ size
    primal = parts.total + math.sqrt(float((extension**2).sum()))
    half += float(stretch**2 * primal * dual_parts.total + spread)
    half += 1e-13 * float(mesh.areas @ (abs(inner) @ rules.weights))
    steep = [np.sqrt(mesh.areas * ((one**2).sum(axis=2) @ rules.weights)) for one in gradients]
    sizes = [np.sqrt(mesh.areas * (one**2 @ rules.weights)) for one in (on_v, on_z)]
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
    rules = Rules(DEGREE)
    reader = Reader(problem, rules, number)
    meshes = [reader.coarse]
    while len(meshes) < 3 or len(meshes[-1].triangles) < 256:
        meshes.append(meshes[-1].refined(np.ones(len(meshes[-1].triangles), bool)))
    coarse, meshes = meshes[-1], meshes[:3]
    far, ended = (math.inf, math.inf), ""
    while True:
        mesh, begun = meshes[-1], time.perf_counter()
        data = reader(mesh)
        fixed = np.isin(coarse.piece, mesh.piece[data.fixed])
        if bool((bad := data.least <= 1e-9 * data.most).any()):
            if len(mesh.triangles) > most:
                raise Unsuitable("the equation is not elliptic")
            meshes.append(mesh.refined(bad))
            continue
        reach = mesh.lengths.max(axis=1)
        if bool(
            ((data.lost[2] < 1e-6 * data.least) & (data.lost[3] * reach > 1e-3 * data.least)).any()
        ):
            raise Unsuitable("the equation has convection")
        found = Discrete(mesh, data, rules)
        if found.reaction.min() < -1e-10 * abs(found.reaction).max():
            raise Unsuitable("c is negative somewhere, or jumps where no Interface says so")
        least = float(found.reaction.min())
        friedrichs = friedrichs_constant(coarse, fixed, float(data.least.min()), least)
        fields = found.solve()
        parts = parts_of_bound(found, fields, friedrichs)
        if parts.total <= far[0] / 2:
            far = given[0].distance(meshes, found, fields.v)
        made = Certificate(found, fields, parts, friedrichs, far, (coarse, fixed))
        enough = made.total <= far[0] / 4 or parts.rounding > parts.total / 3
        indicator = parts.indicator / parts.indicator.sum()
        if number is not None and not math.isinf(made.stretch):
            interval, dual = _interval(found, fields, parts, number, made.stretch, friedrichs)
            made = replace(made, interval=interval)
            indicator = indicator + dual / dual.sum()
            low, high = interval
            enough = parts.rounding > parts.total / 3 or (
                enough
                and high - low <= abs(given[0].number(number, found.names) - (low + high) / 2)
            )
        finer = mesh.refined(dorfler_marking(torch.from_numpy(indicator).sqrt(), 0.8).numpy())
        now, growth = time.perf_counter(), len(finer.triangles) / len(mesh.triangles)
        if not enough and len(mesh.triangles) > most:
            ended = f"more than {most} triangles"
        elif not enough and now + growth * (now - begun) > deadline:
            ended = "a larger budget"
        if enough or ended:
            break
        meshes.append(finer)
    if math.isinf(made.stretch):
        raise Unsuitable("the coefficients are not smooth")
    (a, c), (b, d) = (one.distance(meshes, found, fields.v) for one in given)
    return replace(made, distance=(a + abs(a - b), c + abs(c - d)), ended=ended)
