"""Random bodies and conductors, and finite elements that know their solutions."""

import argparse
import json
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import shapely
import skfem
import torch
from common.elements import bent, elasticity, relative
from common.script import Verdict
from hostile import judging
from scipy.sparse import block_array, coo_array
from scipy.sparse.linalg import spsolve
from skfem.helpers import dot, grad
from torch import Tensor

import kanpinn as kp
from kanpinn.geometry import Boundary, Domain
from kanpinn.jets import Jet

Array = np.ndarray
Pair = tuple[float, float]
logging.getLogger("skfem").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Side:
    """A piece of a boundary: distances and normals are functions of coordinates (d, n)."""

    distances: Callable[[Array], Array]
    normals: Callable[[Array], Array]

    @classmethod
    def line(cls, start: Pair, stop: Pair) -> "Side":
        line, length = shapely.LineString([start, stop]), math.dist(start, stop)
        normal = np.array([[stop[1] - start[1]], [start[0] - stop[0]]]) / length
        return cls(lambda x: shapely.distance(line, shapely.points(x.T)), lambda x: normal + 0 * x)

    @classmethod
    def circle(cls, centre: Pair, radius: float) -> "Side":
        off: Callable[[Array], Array] = lambda x: x - np.array(centre)[:, None]  # noqa: E731
        return cls(
            lambda x: abs(np.linalg.norm(off(x), axis=0) - radius),
            lambda x: -off(x) / np.linalg.norm(off(x), axis=0),
        )

    @classmethod
    def plane(cls, axis: int, at: float, sign: int) -> "Side":
        normal = sign * np.eye(3)[:, axis, None]
        return cls(lambda x: abs(x[axis] - at), lambda x: normal + 0 * x)


@dataclass(frozen=True)
class Shape:
    """A domain, with what finite elements need to know of it.

    Args:
        sides: the pieces of the boundary by their names.
        lines: the straight lines of the boundary and of interfaces, as lists of points.
        circles: centres and radii of round holes and interfaces.
        coefficient: its values at coordinates (n, 2), (n, 1).
        interfaces: for `kp.Interface`.
    """

    words: str
    domain: Domain
    sides: dict[str, Side]
    lines: Sequence[Sequence[Pair]] = ()
    circles: Sequence[tuple[Pair, float]] = ()
    coefficient: Callable[[Tensor], Tensor] = lambda coords: torch.ones_like(coords[:, :1])
    interfaces: Sequence[Boundary] = ()

    def mesh(self, refinements: int, levels: int) -> Any:
        """Return triangles that become smaller towards all corners and ends of interfaces.

        Args:
            refinements: how often all triangles are divided in four.
            levels: how often those at corners are divided then.
        """
        rims, straight = [], shapely.MultiLineString(list(self.lines))
        for c, r in self.circles:
            # Without a ring around a circle, curved sides would cut some of the thin triangles.
            ring = (r + shapely.distance(straight, shapely.Point(c))) / 2
            rims += [shapely.Point(c).buffer(x, quad_segs=6).exterior.coords for x in (r, ring)]
        lines, corners = shapely.MultiLineString([*self.lines, *rims]), []
        for face in shapely.polygonize([shapely.node(lines)]).geoms:
            middle = np.array(face.representative_point().coords)
            if not bool(self.domain.contains(torch.from_numpy(middle))[0]):
                continue
            disks = [c for c, r in self.circles if math.dist(c, middle[0]) < r]
            for centre in disks:  # no chords inside
                corners += [[centre, *ends] for ends in pairwise(face.exterior.coords)]
            pieces = () if disks else shapely.constrained_delaunay_triangles(face).geoms
            corners += [list(one.exterior.coords)[:3] for one in pieces]
        nodes, cells = np.unique(np.concatenate(corners).round(12), axis=0, return_inverse=True)
        mesh = skfem.MeshTri(nodes.T, cells.reshape(-1, 3).T)
        for _ in range(refinements):
            mesh = self.rounded(mesh, mesh.refined())
        ends = np.unique(np.concatenate([np.array(line) for line in self.lines]), axis=0)
        for _ in range(levels):
            near = np.array([np.linalg.norm(mesh.p.T - one, axis=1).argmin() for one in ends])
            touched = np.flatnonzero(np.isin(mesh.t, near).any(axis=0))
            mesh = self.rounded(mesh, mesh.refined(touched))
        return mesh

    def curved(self, mesh: Any) -> Any:
        """Return triangles whose edges follow the circles."""
        return self.rounded(mesh, skfem.MeshTri2.from_mesh(mesh)) if self.circles else mesh

    def rounded(self, before: Any, after: Any) -> Any:
        """Move the middles of edges that join points of a circle onto the circle."""
        edges = before.p[:, before.facets]
        for at, radius in self.circles:
            centre = np.array(at)[:, None]
            gaps = np.linalg.norm(edges - centre[..., None], axis=0) - radius

            def onto(x: Array, centre: Array = centre, radius: float = radius) -> Array:
                return centre + radius * (x - centre) / np.linalg.norm(x - centre, axis=0)

            after = bent(before, after, (abs(gaps) < 1e-9).all(axis=0), onto)
        return after


def drawn_shape(draw: Random, jumps: bool) -> Shape:
    """Return a random domain in the plane, whose coefficient jumps or not."""
    kind = draw.choice(
        ["disk", "polygon", "halves", "chequered"]
        if jumps
        else ["box", "L", "star", "slit", "round hole", "square hole"]
    )
    wide, ratio = draw.uniform(1, 4) if kind == "box" else draw.uniform(1, 2), draw.uniform(-2, 2)
    at = draw.uniform(0.4, 0.6) * wide, draw.uniform(0.4, 0.6)
    rim: list[Pair] = [(0, 0), (wide, 0), (wide, 1), (0, 1)]
    box, names = kp.Box(x=(0, wide), y=(0, 1)), ["y_min", "x_max", "y_max", "x_min"]
    domain: Domain = box
    if kind in ("L", "star", "slit"):
        rim = outline(draw, kind, wide, at)
        domain, names = kp.Polygon(rim), [f"edge_{i}" for i in range(len(rim))]
    around = [*pairwise([*rim, rim[0]])]
    sides = {name: Side.line(*ends) for name, ends in zip(names, around, strict=True)}
    radius, turn = draw.uniform(0.1, 0.35), draw.uniform(0, 6)
    turns = [turn + math.pi * i / 2 + draw.uniform(-0.5, 0.5) for i in range(4)]
    inner = [(at[0] + radius * math.cos(t), at[1] + radius * math.sin(t)) for t in turns]
    ring = [*inner, inner[0]]
    if kind == "round hole":
        hole = {"hole": Side.circle(at, radius)}
        domain = box - kp.Disk(at, radius, name="hole")
        return Shape(kind, domain, sides | hole, around, [(at, radius)])
    if kind == "square hole":
        # The normals of a hole point into it.
        hole = {f"edge_{i}": Side.line(b, a) for i, (a, b) in enumerate(pairwise(ring))}
        return Shape(kind, box - kp.Polygon(inner), sides | hole, [*around, ring])
    if not jumps:
        return Shape(kind, domain, sides, around)
    across = [(at[0], 0), at, (at[0], 1)], kp.Box(x=(0, at[0]), y=(0, 1)).boundary["x_max"]
    along = [(0, at[1]), at, (wide, at[1])], kp.Box(x=(0, wide), y=(0, at[1])).boundary["y_max"]
    parts: dict[str, list[tuple[list[Pair], Boundary]]] = {
        "disk": [([], kp.Disk(at, radius).boundary)],
        "polygon": [(ring, kp.Polygon(inner).boundary)],
        "halves": [across],
        "chequered": [across, along],
    }

    def coefficient(coords: Tensor) -> Tensor:
        x, y = (coords - coords.new_tensor(at)).T
        if kind == "polygon":
            inside = kp.Polygon(inner).contains(coords.detach())
        else:
            inside = {"disk": x**2 + y**2 < radius**2, "halves": x < 0}.get(kind, x * y > 0)
        return torch.where(inside, 10**ratio, 1.0).to(coords)[:, None]

    lines, interfaces = zip(*parts[kind], strict=True)
    circles = [(at, radius)] if kind == "disk" else []
    words, every = f"{kind} {10**ratio:.2g}", [*around, *filter(None, lines)]
    return Shape(words, domain, sides, every, circles, coefficient, interfaces)


def outline(draw: Random, kind: str, wide: float, at: Pair) -> list[Pair]:
    """Return the corners of an L, of a box with a thin slit, or of a polygon like a star."""
    if kind == "L":
        return [(0, 0), (wide, 0), (wide, at[1]), at, (at[0], 1), (0, 1)]
    if kind == "slit":
        low, high = (at[1] + sign * 10 ** draw.uniform(-3, -1) for sign in (-1, 1))
        return [(0, 0), (wide, 0), (wide, low), at, (wide, high), (wide, 1), (0, 1)]
    count = draw.randint(5, 8)
    turns = [(i + draw.uniform(-0.3, 0.3)) * 2 * math.pi / count for i in range(count)]
    radii = [draw.uniform(0.4, 1.0) for _ in turns]
    return [(r * math.cos(t), r * math.sin(t)) for t, r in zip(turns, radii, strict=True)]


@dataclass(frozen=True)
class Block(Shape):
    """A box in space, whose hexahedra become thinner towards all faces."""

    def mesh(self, refinements: int, levels: int) -> Any:
        lows, highs = (one.tolist() for one in self.domain.bounds)
        ts = np.linspace(-1, 1, 2 * (refinements + levels) + 1)
        grid = 0.5 + 0.5 * np.sign(ts) * (1 - (1 - abs(ts)) ** 2.5)
        axes = [a + (b - a) * grid for a, b in zip(lows, highs, strict=True)]
        return skfem.MeshHex.init_tensor(*axes)


class Conductor(kp.Problem):
    """-∇·(a ∇u) + c u = f, with values, fluxes or heat transfer on each side."""

    def __init__(self, draw: Random) -> None:
        self.shape = drawn_shape(draw, draw.random() < 0.5)
        self.domain, names = self.shape.domain, [*self.shape.sides]
        self.kinds = {name: draw.choice(["value", "flux", "transfer"]) for name in names}
        self.kinds[draw.choice(names)] = draw.choice(["value", "transfer"])
        self.given = {name: draw.uniform(-2, 2) for name in names}
        self.transfer = 10 ** draw.uniform(-1, 1)
        self.reaction = draw.choice([0.0, 0.0, 10 ** draw.uniform(-1, 2)])
        self.wave = [draw.uniform(-2, 2) for _ in range(4)]
        self.words = f"conductor, {self.shape.words}, {', '.join(self.kinds.values())}"

    def value(self, x: Any, y: Any) -> Any:
        a, b, c, d = self.wave
        return a + b * x + c * y + d * x * y

    def source(self, x: Any, y: Any) -> Any:
        a, b, c, d = self.wave
        return a * b + 3 * c * x - d * y

    def a(self, p: kp.Points) -> Tensor:
        return self.shape.coefficient(p.coords)

    def residual(self, p: kp.Points, u: Jet) -> Tensor:
        return self.a(p) * kp.laplacian(u) - self.reaction * u.value + self.source(p.x, p.y)

    def conditions(self) -> list[Any]:
        found: list[Any] = [kp.Interface(self.domain, i, self.a) for i in self.shape.interfaces]
        for name, kind in self.kinds.items():
            piece, given = self.domain.boundary[name], self.given[name]
            if kind == "value":
                found.append(kp.Dirichlet(piece, lambda p: self.value(p.x, p.y)))
            elif kind == "flux":
                found.append(kp.Robin(piece, 0.0, self.a, given))
            else:
                found.append(kp.Robin(piece, self.transfer, self.a, given))
        return found

    def stiffness(self, basis: Any) -> Any:
        inner = torch.from_numpy(np.asarray(basis.global_coordinates()).reshape(2, -1).T.copy())
        a = self.shape.coefficient(inner).numpy().reshape(basis.dx.shape)
        form = lambda u, v, w: w.a * dot(grad(u), grad(v)) + self.reaction * u * v  # noqa: E731
        return skfem.BilinearForm(form).assemble(basis, a=a)

    def load(self, v: Any, w: Any) -> Any:
        return self.source(*w.x) * v

    def on_side(self, name: str, rim: Any) -> tuple[Any, Any]:
        """Return what a side adds to the matrix and to the right-hand side; None for none."""
        if self.kinds[name] == "value":
            return None, None
        load = skfem.LinearForm(lambda v, _: self.given[name] * v).assemble(rim)
        mass = skfem.BilinearForm(lambda u, v, _: self.transfer * u * v)
        return mass.assemble(rim) if self.kinds[name] == "transfer" else None, load


class Body(kp.Problem):
    """div σ + f = 0 with Young's modulus 1; sides are clamped, rolled, loaded or free."""

    def __init__(self, draw: Random, solid: bool) -> None:
        self.shape = _block(draw) if solid else drawn_shape(draw, False)
        self.domain, names = self.shape.domain, [*self.shape.sides]
        dim = self.domain.dim
        self.fields = ("u", "v", "w")[:dim]
        self.kinds = {name: draw.choice(["clamped", "rolled", "loaded", "free"]) for name in names}
        self.kinds[draw.choice(names)] = "clamped"
        self.loads = {name: [draw.uniform(-1, 1) for _ in range(dim)] for name in names}
        self.force = [draw.uniform(-1, 1) for _ in range(dim)]
        nu, plane = draw.uniform(0, 0.49), draw.choice(["stress", "strain"])
        self.mu = 1 / (2 * (1 + nu))
        self.lame = 2 * self.mu * nu / (1 - 2 * nu if solid or plane == "strain" else 1 - nu)
        how = f"{nu:.2f}" if solid else f"plane {plane} {nu:.2f}"
        self.words = f"body, {self.shape.words}, {how}, {', '.join(self.kinds.values())}"

    def residual(self, p: kp.Points, *u: Jet) -> Tensor:
        def slope(i: int) -> Tensor:
            both = zip(u, p.names, strict=True)
            parts = [kp.partial(one, *sorted((name, p.names[i]))) for one, name in both]
            return torch.cat(parts, dim=1).sum(dim=1, keepdim=True)

        rows = [self.mu * kp.laplacian(one) for one in u]
        around = range(len(u))
        rows = [rows[i] + (self.mu + self.lame) * slope(i) + self.force[i] for i in around]
        return torch.cat(rows, dim=1)

    def traction(self, p: kp.Points, *u: Jet) -> Tensor:
        slopes = torch.stack([kp.grad(one) for one in u], dim=1)
        volume = slopes.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None]
        stress = self.lame * volume * torch.eye(len(u)) + self.mu * (slopes + slopes.mT)
        return (stress @ p.outward[:, :, None])[:, :, 0]

    def conditions(self) -> list[Any]:
        return [one for name in self.kinds for one in self._on(name)]

    def _on(self, name: str) -> Iterator[Any]:
        piece, kind = self.domain.boundary[name], self.kinds[name]
        if kind == "clamped":
            yield from (kp.Dirichlet(piece, 0.0, field=one) for one in self.fields)
        elif kind == "rolled":
            yield kp.NormalDirichlet(piece, 0.0, self.fields)
            yield kp.Constraint(piece, self.friction)
        else:
            load = torch.tensor(self.loads[name] if kind == "loaded" else [0.0]).double()
            yield kp.Constraint(piece, lambda p, *u: self.traction(p, *u) - load)

    def friction(self, p: kp.Points, *u: Jet) -> Tensor:
        normal, traction = p.outward, self.traction(p, *u)
        if len(u) == 2:
            return traction[:, 1:] * normal[:, :1] - traction[:, :1] * normal[:, 1:]
        return torch.linalg.cross(normal, traction)

    def stiffness(self, basis: Any) -> Any:
        return elasticity(self.mu, self.lame).assemble(basis)

    def load(self, v: Any, _: Any) -> Any:
        return sum(one * v[i] for i, one in enumerate(self.force))

    def on_side(self, name: str, rim: Any) -> tuple[Any, Any]:
        loads = self.loads[name] if self.kinds[name] == "loaded" else []
        form = lambda v, w: 0 * w.x[0] + sum(f * v[i] for i, f in enumerate(loads))  # noqa: E731
        return None, skfem.LinearForm(form).assemble(rim)


def _block(draw: Random) -> Block:
    ends = dict.fromkeys("xyz", (0.0, 1.0)) | {"x": (0.0, draw.uniform(1, 3))}
    sides = {
        f"{name}_{end}": Side.plane(axis, ends[name][which], 2 * which - 1)
        for axis, name in enumerate("xyz")
        for which, end in enumerate(("min", "max"))
    }
    return Block("block", kp.Box(**ends), sides)


def solve_weakly(problem: Any, mesh: Any, element: Any) -> tuple[Any, Array, float]:
    """Return a basis of finite elements, the coefficients of the solution, and its energy.

    Values and clamps hold at nodes; so do rollers, by Lagrange multipliers.
    """
    dim, vector = mesh.dim(), len(problem.fields) > 1
    element = skfem.ElementVector(element) if vector else element
    curved = problem.shape.curved(mesh)
    basis = skfem.CellBasis(curved, element, intorder=9 if dim == 2 else 4)
    matrix, right = problem.stiffness(basis), skfem.LinearForm(problem.load).assemble(basis)
    rim = mesh.boundary_facets()
    middles = mesh.p[:, mesh.facets[:, rim]].mean(axis=1)
    nearest = np.argmin([side.distances(middles) for side in problem.shape.sides.values()], axis=0)
    parts = basis.split_indices() if vector else [np.arange(basis.N)]
    fixed, rolled = [np.zeros(0, int)], []
    for number, (name, side) in enumerate(problem.shape.sides.items()):
        facets = rim[nearest == number]
        # Tiny triangles at corners are straight, and inverse maps would not converge there.
        bent = curved if name == "hole" else mesh
        line = skfem.FacetBasis(bent, element, facets=facets, intorder=9)
        added = problem.on_side(name, line)
        matrix = matrix if added[0] is None else matrix + added[0]
        right = right if added[1] is None else right + added[1]
        own = basis.get_dofs(facets=facets).flatten()
        if problem.kinds[name] in ("value", "clamped"):
            fixed.append(own)
        elif problem.kinds[name] == "rolled":
            at = np.isin(parts[0], own).nonzero()[0]
            rolled.append((np.array(parts)[:, at], side.normals(basis.doflocs[:, parts[0][at]])))
    held = np.unique(np.concatenate(fixed))
    free, given = np.setdiff1d(np.arange(basis.N), held), np.zeros(basis.N)
    if not vector:
        given[held] = problem.value(*basis.doflocs[:, held])
    rows = [(d[:, i], n[:, i]) for d, n in rolled for i in range(d.shape[1])]
    rows = [(dofs, normal) for dofs, normal in rows if not np.isin(dofs, held).any()]
    index = np.repeat(np.arange(len(rows)), dim), np.array([d for d, _ in rows], int).flatten()
    ties = coo_array((np.array([n for _, n in rows], float).flatten(), index), (len(rows), basis.N))
    ties, matrix = ties.tocsr()[:, free], matrix.tocsr()
    whole = matrix[free][:, free]
    whole = block_array([[whole, ties.T], [ties, None]]) if rows else whole
    rest = np.concatenate([(right - matrix @ given)[free], np.zeros(len(rows))])
    given[free] = spsolve(whole.tocsc(), rest)[: len(free)]
    return basis, given, float(given @ (matrix @ given / 2 - right))


def left_at_corners(problem: Any, element: Any, levels: Sequence[int]) -> float:
    """Return the part of the error that one more division of triangles at corners leaves.

    For solutions like r^λ it is 4^-λ, which is 0.87 for λ = 0.1. It follows from the energies on
    three meshes; errors of energies are positive. It is 0 if the energies are the same.

    Args:
        levels: three numbers of divisions with equal differences.
    """
    meshes = [problem.shape.mesh(1, level) for level in levels]
    first, second, third = (solve_weakly(problem, mesh, element)[2] for mesh in meshes)
    if second - third <= 1e-9 * abs(third):
        return 0.0
    return min(0.99, ((second - third) / (first - second)) ** (1 / (levels[1] - levels[0])))


def _in_parents(coarse: Any, found: Array, whole: Any, fine: Any) -> Array:
    """Return a solution on triangles at the points of triangles that are quarters of them, (m, n).

    whole: the quarters, before their corners are moved onto circles.
    """
    parents = np.tile(np.arange(coarse.mesh.nelements), 4)
    straight = skfem.MeshTri(coarse.mesh.p[:, : coarse.mesh.t.max() + 1], coarse.mesh.t)
    ends = skfem.MappingAffine(straight).invF(whole.p[:, whole.t].swapaxes(1, 2), tind=parents)
    ends = (2 * ends).round() / 2  # the corners of each quarter in coordinates of its parent
    x, y = fine.X
    local = ends[..., :1] * (1 - x - y) + ends[..., 1:2] * x + ends[..., 2:] * y
    found_at: Any = 0
    for i in range(coarse.Nbfun):
        (one,) = coarse.elem.gbasis(coarse.mapping, local, i, tind=parents)
        found_at = found_at + found[coarse.element_dofs[i, parents]][:, None] * np.asarray(one)
    return found_at


@dataclass(frozen=True)
class Reference:
    """The solution of finite elements at the points of a rule, and its relative L2 error.

    Args:
        coords, weights, values: (n, d), (n,) and (n, m).
    """

    coords: Array
    weights: Array
    values: Array
    error: float

    @classmethod
    def of(cls, problem: Any, smoke: bool = False) -> "Reference":
        """Solve on a mesh and on a finer one; in a smoke run on coarse ones."""
        shape, plane = problem.shape, problem.domain.dim == 2
        element = skfem.ElementHex2()
        if plane:
            element = skfem.ElementTriP2() if smoke else skfem.ElementTriP4()
        levels = (4 if smoke else 36) if plane else 0
        mesh = shape.mesh(1 if smoke else 2 if shape.circles else 3, levels)
        coarse, first, _ = solve_weakly(problem, mesh, element)
        whole = mesh.refined() if plane else shape.mesh(2 if smoke else 5, 0)
        basis, found, _ = solve_weakly(problem, shape.rounded(mesh, whole), element)
        points = np.asarray(basis.global_coordinates())
        values = np.reshape(basis.interpolate(found), (-1, *basis.dx.shape))
        if plane:
            other = _in_parents(coarse, first, whole, basis)
        else:
            other = coarse.probes(points.reshape(3, -1)) @ first
        flat = values.reshape(len(values), -1).T
        reference = cls(points.reshape(len(points), -1).T.copy(), basis.dx.flatten(), flat, 0.0)
        # Finer meshes divide the errors by five and more, unless λ is small at a corner.
        distance, left = reference.relative(other.reshape(len(values), -1).T), 0.2
        if plane:
            left = max(
                left, left_at_corners(problem, element, [levels // 3 * i for i in (1, 2, 3)])
            )
        return replace(reference, error=distance * left / (1 - left))

    def relative(self, values: Array) -> float:
        """Return the relative L2 distance of values (n, m)."""
        return relative(values - self.values, self.values, self.weights)


def drawn(kind: str, seed: int) -> Any:
    """Return a random problem: a "body", a "conductor" or a "solid"."""
    draw = Random(f"{kind} {seed}")
    return Conductor(draw) if kind == "conductor" else Body(draw, kind == "solid")


def solved(kind: str, seed: int, budget: float, smoke: bool) -> judging.Row:
    """Solve a problem, and return its row."""
    problem = drawn(kind, seed)
    reference = Reference.of(problem, smoke)
    least, most = (2, 3) if kind == "solid" else (3, 6)
    tolerance = 10 ** -Random(seed).uniform(least, most)
    clocks = time.process_time(), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = kp.solve(problem, tolerance=tolerance, budget=budget)
        spent = time.process_time() - clocks[0], time.perf_counter() - clocks[1]
        values = solution(torch.from_numpy(reference.coords)).numpy()
        mean = solution.integral()
    true, estimate = reference.relative(values), solution.estimated_error
    integral = reference.weights @ reference.values
    # In space the error of a number takes a further solve.
    known = estimate is not None and problem.domain.dim == 2
    error = float(mean.error.max()) if known else None
    return {
        "name": f"{seed}: {problem.words}",
        "status": solution.status,
        "tolerance": tolerance,
        "known_to": reference.error,
        "true": true,
        "estimate": estimate,
        "ratio": judging.ratio(true, reference.error, estimate),
        "of_mean": judging.ratio(float(abs(mean.value.numpy() - integral).max()), 0.0, error),
        "seconds": min(spent),
    }


def figures(options: argparse.Namespace, failures: list[str]) -> dict[str, Verdict]:
    """Solve random problems, and compare with finite elements."""
    first, budget = 1000 * options.seed, float(options.drawn_budget)
    counts = {"conductor": options.drawn, "body": options.drawn, "solid": -(-options.drawn // 8)}
    chosen = [(kind, first + i) for kind, n in counts.items() for i in range(n)]
    if options.smoke:  # an L with rollers; a solve with a round hole or in space takes longer
        chosen = [("conductor", 0), ("body", 6)]
        for kind in ("body", "solid"):
            Reference.of(drawn(kind, 0), smoke=True)
    solves = {f"{k} {n}": partial(solved, k, n, budget, options.smoke) for k, n in chosen}
    rows = judging.judged(solves, budget, failures)
    (options.output / "drawn.json").write_text(json.dumps(rows, indent=1), "utf-8")
    means = [row["of_mean"] for row in rows if row.get("of_mean") is not None]
    more = {"drawn: true over estimated means": judging.spread(means)}
    return judging.summary("drawn", rows) | more
