"""Cells cut by the boundary of a domain in the plane: their parts, and solutions in them."""

import math

import numpy as np
import pytest
import torch
from cases import OnWalls, cells_of, error_of, solved_in_cells

import kanpinn as kp
from kanpinn.jets import Channels
from kanpinn.loss.terms import ResidualTerm
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry
from kanpinn.spaces.cells.geometry.plane import CellCutter, Outline
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.problem import ProblemInPlane
from kanpinn.spaces.cells.system.elimination import FaceSolver
from kanpinn.spaces.cells.system.functions import CellField
from kanpinn.spaces.cells.tree import Tree

F = torch.float64
SQUARE = kp.Box(x=(0, 1), y=(0, 1))

DOMAINS = {
    "a disk": kp.Disk((0.3, -0.2), 1.0),
    "a round hole": SQUARE - kp.Disk((0.41, 0.57), 0.15),
    "a hole that touches lines of cells": SQUARE - kp.Disk((0.5, 0.5), 0.25),
    "a hole that touches a wall": SQUARE - kp.Disk((0.1, 0.5), 0.1),
    "circles that touch": kp.Disk((0, 0), 1) - kp.Disk((0.5, 0), 0.5),
    "an annulus": kp.Disk((0, 0), 1.0) - kp.Disk((0.4, 0.1), 0.2),
    "an arc that turns in its middle": kp.Sector((0, 0), 1, -math.pi / 2, math.pi / 2)
    | kp.Box(x=(-1, 0), y=(-1, 1.6)),
    "an L on lines of cells": kp.Box(x=(-1, 1), y=(-1, 1)) - kp.Box(x=(0, 1), y=(0, 1)),
    "an L beside lines of cells": SQUARE - kp.Box(x=(0.5 + 1e-9, 1), y=(0.5 - 3e-8, 1)),
    "an L with thin parts of cells": SQUARE - kp.Box(x=(0.5 - 1e-5, 1), y=(0.5 + 3e-4, 1)),
    "a triangle": kp.Polygon([(0, 0), (1, 0.1), (0.3, 0.9)]),
    "an ellipse": kp.Ellipse((0, 0), (1, 0.2)),
    "a thin wall": SQUARE - kp.Box(x=(0.5, 0.53), y=(0.3, 1)),
    "two parts": SQUARE | kp.Box(x=(2, 3), y=(0, 0.7)),
}


class Harmonic(OnWalls):
    """Δu = 0 with the values of a harmonic function."""

    def __init__(self, domain):
        self.domain = domain

    def exact(self, p):
        return torch.exp(p.x) * torch.cos(p.y) + p.x**2 - p.y**2

    def residual(self, p, u):
        return kp.laplacian(u)


@pytest.fixture(params=DOMAINS, scope="module")
def geometry(request):
    """The cells of a start on one of the domains."""
    domain = DOMAINS[request.param]
    cutter, tree = CellCutter(Outline(domain), domain), Tree.uniform([4, 4])
    tree, _ = tree.split(tree.everywhere(torch.arange(16) % 3 == 0))
    return cutter.cut(tree)


def test_the_faces_and_arcs_of_each_cell_bound_its_part(geometry):
    # The integral of the normal over a closed curve is zero.
    total = torch.zeros(len(geometry.tree), 2, dtype=F)
    faces, arcs = geometry.faces, geometry.arcs
    corners = geometry.physical(faces.corners)
    length = (corners[:, 1] - corners[:, 0]).sum(dim=1)
    normals = torch.nn.functional.one_hot(faces.axis, 2) * length[:, None]
    total.index_add_(0, faces.lower, normals)
    total.index_add_(0, faces.upper, -normals)
    along = arcs.ends[:, 1] - arcs.ends[:, 0]
    total.index_add_(0, arcs.cell, torch.stack([along[:, 1], -along[:, 0]], dim=1))
    assert float(total.abs().max()) < 2e-6 * float(geometry.half.max())


def test_frames_are_the_bounding_boxes_of_the_parts(geometry):
    x = geometry.domain.gauss(20_000).coords
    scaled = (x - geometry.physical(-torch.ones(2, dtype=F))) / geometry.half - 1
    cells = geometry.tree.locate(scaled, torch.zeros(len(scaled), dtype=torch.long))
    low, high = geometry.frames[cells].unbind(1)
    outside = torch.maximum(low - scaled, scaled - high).amax(dim=1)
    assert float(outside.max()) < 1e-6  # a sliver that was left out
    for cell in geometry.is_cut.nonzero()[:, 0].tolist():
        own = scaled[cells == cell]
        if len(own) > 500:
            (low, high), slack = geometry.frames[cell], 0.1
            reach = slack * (high - low)
            assert bool((own.amin(dim=0) < low + reach).all())
            assert bool((own.amax(dim=0) > high - reach).all())


@pytest.mark.parametrize("name", DOMAINS)
def test_a_smooth_solution_is_found_on_any_domain(name):
    assert error_of(solved_in_cells(Harmonic(DOMAINS[name]), 7, 4)) < 1e-6


def test_cells_are_not_halved_where_the_first_ones_are_small_enough():
    turns = [2 * math.pi * i / 16 for i in range(16)]
    polygon = kp.Polygon([(math.cos(turn), math.sin(turn)) for turn in turns])
    solution = solved_in_cells(Harmonic(polygon), 6, 4, tolerance=1e-5, steps=9)
    assert solution.status == "converged" and solution.history.rows[-1]["step"] == 1
    estimated = solution.history.column("estimated_error")[-1]
    assert 0.3 * estimated < error_of(solution) < 3 * estimated


class Hole(Harmonic):
    """A small hole in a square, with the flux on it and values around."""

    center, radius = (0.43, 0.61), 0.04

    def __init__(self):
        super().__init__(SQUARE - kp.Disk(self.center, self.radius))

    def _from_hole(self, p):
        return p.x - self.center[0], p.y - self.center[1]

    def exact(self, p):
        x, y = self._from_hole(p)
        return torch.log(x**2 + y**2) + 0.1 * x / (x**2 + y**2)

    def flux(self, p):  # the normal points into the hole
        x, _ = self._from_hole(p)
        return -2 / self.radius + 0.1 * x / self.radius**3

    def conditions(self):
        walls = self.domain.boundary
        outer = tuple(name for name in walls.names if name != "circle")
        return [kp.Dirichlet(walls[outer], self.exact), kp.Neumann(walls["circle"], self.flux)]


def test_cells_around_a_hole_become_as_small_as_it_needs():
    solution = solved_in_cells(Hole(), 8, 4, tolerance=1e-5, steps=10)
    estimated = solution.history.column("estimated_error")[-1]
    assert solution.status == "converged" and estimated <= 1e-5
    assert 0.1 * estimated < error_of(solution) < 4 * estimated
    tree = solution.network.tree
    center = 2 * torch.tensor(Hole.center, dtype=F) - 1
    near = (tree.low + tree.widths / 2 - center).norm(dim=1)
    assert float(near[tree.level.amax(dim=1) == tree.level.max()].max()) < 0.3
    assert int(tree.level.min()) <= 1


class Holes(OnWalls):
    """Laplace's equation with a source and a dipole in each of some holes drawn at random."""

    holes = (((0.29, 0.71), 0.006, 1.0), ((0.62, 0.37), 0.034, -0.7), ((0.66, 0.41), 0.011, 0.4))

    def __init__(self):
        self.domain = SQUARE
        for center, radius, _ in self.holes:
            self.domain = self.domain - kp.Disk(center, radius)

    def residual(self, p, u):
        return kp.laplacian(u)

    def exact(self, p):
        u = torch.exp(p.x) * torch.sin(p.y)
        for (x, y), radius, strength in self.holes:
            square = (p.x - x) ** 2 + (p.y - y) ** 2
            u = u + strength * (torch.log(square) / 2 + radius * (p.x - x) / square)
        return u


def test_first_cells_resolve_what_is_singular_inside_of_holes():
    found = [error_of(solved_in_cells(Holes(), degree, 4, steps=1)) for degree in (6, 12)]
    assert found[1] < 1e-6 and found[1] < 6.0**-5 * found[0]


def test_a_network_is_the_same_function_after_saving():
    solution = solved_in_cells(Harmonic(DOMAINS["an annulus"]), 6, 4)
    other = kp.Cells([2, 1], 6, 4)
    other.load_state_dict(solution.network.state_dict())
    x = 0.5 * torch.rand(100, 2, dtype=F)
    assert torch.equal(other(x), solution.network(x))


def norms_on(geometry, polynomials):
    """The norms of polynomials in cells."""
    channels = Channels(("x", "y"), gradient=True, second="laplacian")
    points = geometry.domain.gauss(1)
    term = ResidualTerm("interior", points, 1.0, channels, lambda p, u: kp.laplacian(u))
    zeros = torch.zeros(len(geometry.tree), polynomials.size, 1, dtype=F)
    problem = ProblemInPlane(geometry.domain, term, [])
    return problem.on(geometry, polynomials, zeros).norms


def test_norms_count_the_part_of_a_cell_in_the_domain(geometry):
    polynomials = LocalPolynomials(4, 2)
    ones = torch.zeros(len(geometry.tree), polynomials.size, 1, dtype=F)
    ones[:, 0] = 2.0  # times 1/2, the first orthonormal polynomial
    area = float(
        norms_on(geometry, polynomials).of_cells(CellField(polynomials, ones)).square().sum()
    )
    assert area == pytest.approx(geometry.domain.measure, rel=0.03)


def test_nearest_polynomials_leave_what_is_orthogonal_to_them(geometry):
    richer, lower = LocalPolynomials(5, 2), LocalPolynomials(3, 2)
    norms, generator = norms_on(geometry, richer), torch.Generator().manual_seed(0)
    some = torch.randn(len(geometry.tree), richer.size, 1, dtype=F, generator=generator)
    nearest = richer.padded(norms.nearest(CellField(richer, some), lower))
    whole, near, left = (
        norms.of_cells(CellField(richer, one)) for one in (some, nearest, some - nearest)
    )
    torch.testing.assert_close(near.square() + left.square(), whole.square())
    torch.testing.assert_close(
        norms.nearest(CellField(richer, nearest), lower), nearest[:, : lower.size]
    )


def test_what_cut_cells_cannot_do_is_said_in_words():
    ball = kp.Ball((0.5, 0.5, 0.5, 0.5), 0.2, names=("x", "y", "z", "w"))
    with pytest.raises(kp.InputError, match="domains of two and three coordinates"):
        kp.solve(Harmonic(ball), kp.Cells([4, 1], 3, 2), kp.AdaptiveLeastSquares())


# --- Traces on faces: smaller cells at one side of a larger one share a trace


def _graded(dim):
    """A tree of two boxes along each coordinate, of which one at the lowest corner is halved."""
    tree = Tree.uniform([2] * dim)
    return tree.split(tree.everywhere((tree.place == 0).all(dim=1)))[0]


@pytest.mark.parametrize("dim", [2, 3])
def test_smaller_cells_at_a_side_share_one_trace_on_all_of_it(dim):
    geometry = CellGeometry.whole(_graded(dim), kp.Box(**{name: (-1, 1) for name in "xyz"[:dim]}))
    traces, parts = geometry.traces, 2 ** (dim - 1)
    assert len(traces.shared) == dim
    assert len(traces) == len(geometry.faces) - dim * (parts - 1)
    for number, (larger, axis, upper, _) in enumerate(traces.shared, traces.single):
        assert not upper
        at = [[one for one in own if one.trace == number] for own in geometry.sides]
        (whole,) = at[larger]
        small = [one for cell, own in enumerate(at) if cell != larger for one in own]
        assert len(small) == parts
        assert whole.area == pytest.approx(sum(one.area for one in small))
        assert {one.side.axis for one in small} == {axis}
        low, high = (torch.tensor([one.within[end] for one in small]) for end in (0, 1))
        assert torch.allclose((high - low).prod(dim=1), torch.ones(parts))
        assert len(low.unique(dim=0)) == parts


class _Polynomial(kp.Problem):
    """-Δu = f with a polynomial u of degree 5."""

    def __init__(self, domain):
        self.domain = domain

    def residual(self, p, u):
        source = -(12 * p.x**2 * p.y + 6 * p.y)
        return -kp.laplacian(u) - source

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        return p.x**4 * p.y + p.y**3 + p.coords[:, -1:]


@pytest.mark.parametrize(
    "domain",
    [
        kp.Box(x=(-1, 1), y=(-1, 1)),
        kp.Box(x=(-1, 1), y=(-1, 1)) - kp.Disk((0.4, 0.5), 0.3),
        kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1)),
    ],
)
def test_polynomials_are_solutions_on_cells_of_several_sizes(domain):
    network = kp.Cells([domain.dim, 1], degree=5, cells=2)
    settings = kp.AdaptiveLeastSquares(tolerance=1e-30, steps=2, marking=0.1)
    solution = kp.solve(_Polynomial(domain), network, [settings], seed=0, verified=False)
    assert len(solution.surrogate.network.tree.level.unique()) > 1
    assert solution.errors.l2_relative < 1e-10


@pytest.mark.parametrize("dim", [2, 3])
def test_polynomials_are_solutions_on_cells_that_are_halved_in_any_coordinate(dim, generator):
    network = kp.Cells([dim, 1], 5, cells=[2, 2, 1][:dim])
    tree = network.tree
    for _ in range(5 - dim):
        tree, _ = tree.split(torch.rand(len(tree), dim, generator=generator) < 0.35)
    assert len(tree.level.unique(dim=0)) > 6
    zeros = torch.zeros(len(tree), network.polynomials.size, 1, dtype=torch.float64)
    network.layer.reset(tree, tree.boxes, zeros)
    problem = _Polynomial(kp.Box(**{name: (-1, 1) for name in "xyz"[:dim]}))
    solution = kp.solve(problem, network, kp.AdaptiveLeastSquares(steps=1), seed=0, verified=False)
    assert solution.network.count == len(tree) and solution.errors.l2_relative < 1e-10


@pytest.mark.parametrize("dim", [2, 3])
def test_the_traces_of_a_solution_are_those_of_its_functions(dim, monkeypatch, generator):
    problem = _Polynomial(kp.Box(**{name: (-1, 1) for name in "xyz"[:dim]}))
    own, tree = cells_of(problem, kp.Cells([dim, 1], 5, 2)), _graded(dim)
    tree, _ = tree.split(torch.rand(len(tree), dim, generator=generator) < 0.35)
    geometry, polynomials = own.cells(tree), LocalPolynomials(5, dim)
    zero = torch.zeros(len(geometry.tree), polynomials.size, 1, dtype=torch.float64)
    system, solve, found = own.on(geometry, polynomials, zero), FaceSolver.solve, []
    kept = lambda *given: found.append(solve(*given)) or found[-1]  # noqa: E731
    monkeypatch.setattr(FaceSolver, "solve", kept)
    solution = system.solve()
    traces = system.traces_of(solution.first)
    np.testing.assert_allclose(traces, found[0], rtol=0, atol=1e-8)
