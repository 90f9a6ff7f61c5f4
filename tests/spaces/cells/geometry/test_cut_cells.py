"""Cells cut by the boundary of a domain in the plane: their parts, and solutions in them."""

import math

import pytest
import torch
from cases import Manufactured, check_estimate, error_of, solved_in_cells

import kanpinn as kp
from kanpinn.geometry.division import DivisionEdge
from kanpinn.geometry.planar import slab_rule
from kanpinn.spaces.cells.geometry.cell_geometry import physical
from kanpinn.spaces.cells.geometry.plane import CellCutter, Outline
from kanpinn.spaces.cells.quadrature import slabs_in_cells
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


def harmonic(domain, exact="exp(x) * cos(y) + x**2 - y**2", walls=None):
    """Δu = 0 with the values of a harmonic function."""
    return Manufactured(domain, lambda p, u: kp.laplacian(u), exact, walls, source=False)


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
    corners = physical(geometry.domain, faces.corners)
    length = (corners[:, 1] - corners[:, 0]).sum(dim=1)
    normals = torch.nn.functional.one_hot(faces.axis, 2) * length[:, None]
    total.index_add_(0, faces.lower, normals)
    total.index_add_(0, faces.upper, -normals)
    along = arcs.ends[:, 1] - arcs.ends[:, 0]
    total.index_add_(0, arcs.cell, torch.stack([along[:, 1], -along[:, 0]], dim=1))
    assert float(total.abs().max()) < 2e-6 * float(geometry.half.max())


@pytest.mark.parametrize("above", [5e-13, -5e-13])
def test_the_parts_of_cells_fill_a_slit_domain_whose_tip_is_beside_a_grid_line(above):
    tip, levels = (0.5 + 0.3 * 2.0**-31, 0.5 + above), 31
    domain = kp.Polygon([(0, 0), (1, 0), (1, 0.48), tip, (1, 0.501), (1, 1), (0, 1)])
    edges = [DivisionEdge(curve, curve) for curve in domain.curves]
    cutter, at = CellCutter(Outline(domain), domain, 0, edges), 2 * torch.tensor(tip, dtype=F) - 1
    found = cutter.cut(Tree.uniform([1, 1]))
    for _ in range(levels):
        low, high = found.tree.boxes.unbind(dim=1)
        near = ((low <= at) & (at <= high)).all(dim=1)
        found = cutter.cut(found.tree.split(found.tree.everywhere(near))[0])
    _, weights = slab_rule(slabs_in_cells(found, [domain]), 4)
    whole = found.tree.boxes[~found.is_cut].diff(dim=1).prod(dim=2).sum() / 4
    assert float(weights.sum() + whole) == pytest.approx(domain.measure, rel=1e-14)


@pytest.mark.parametrize("above", [1e-7, -1e-7, 1e-9])
@pytest.mark.parametrize("angle", [0.3, 1.2, 1.45])
def test_the_parts_of_cells_fill_a_domain_whose_boundary_passes_beside_a_corner(above, angle):
    across = (0.21 * math.cos(angle), 0.21 * math.sin(angle))
    for side in (-1, 1):
        domain = SQUARE - kp.Disk((0.5 + side * across[0], 0.5 + above - across[1]), 0.21)
        edges = [DivisionEdge(curve, curve) for curve in domain.curves]
        found = CellCutter(Outline(domain), domain, 0, edges).cut(Tree.uniform([4, 4]))
        _, weights = slab_rule(slabs_in_cells(found, [domain]), 20)
        whole = found.tree.boxes[~found.is_cut].diff(dim=1).prod(dim=2).sum() / 4
        assert float(weights.sum() + whole) == pytest.approx(domain.measure, rel=1e-12)


@pytest.mark.parametrize("name", DOMAINS)
def test_a_smooth_solution_is_found_on_any_domain(name):
    assert error_of(solved_in_cells(harmonic(DOMAINS[name]), 4, 4)) < 1e-3


def test_cells_are_not_halved_where_the_first_ones_are_small_enough():
    turns = [2 * math.pi * i / 8 for i in range(8)]
    polygon = kp.Polygon([(math.cos(turn), math.sin(turn)) for turn in turns])
    solution = solved_in_cells(harmonic(polygon), 5, 4, tolerance=1e-4, steps=9)
    check_estimate(solution, 1e-4, 0.3)
    assert solution.history.rows[-1]["step"] == 1


CENTER, RADIUS = (0.43, 0.61), 0.04


def test_cells_around_a_hole_become_as_small_as_it_needs():
    """The flux is given on the hole, and values around."""
    x, square = f"(x - {CENTER[0]})", f"((x - {CENTER[0]})**2 + (y - {CENTER[1]})**2)"
    exact = f"log({square}) + 0.1 * {x} / {square}"
    problem = harmonic(SQUARE - kp.Disk(CENTER, RADIUS), exact, {"circle": "neumann"})
    solution = solved_in_cells(problem, 8, 4, tolerance=1e-4, steps=10)
    check_estimate(solution, 1e-4, 0.1)
    tree = solution.network.tree
    center = 2 * torch.tensor(CENTER, dtype=F) - 1
    near = (tree.low + tree.widths / 2 - center).norm(dim=1)
    assert float(near[tree.level.amax(dim=1) == tree.level.max()].max()) < 0.3
    assert int(tree.level.min()) <= 1


HOLES = (((0.29, 0.71), 0.006, 1.0), ((0.62, 0.37), 0.034, -0.7), ((0.66, 0.41), 0.011, 0.4))


def with_holes():
    """Laplace's equation with a source and a dipole in each of some holes drawn at random."""
    domain, exact = SQUARE, "exp(x) * sin(y)"
    for (x, y), radius, strength in HOLES:
        domain = domain - kp.Disk((x, y), radius)
        square = f"((x - {x})**2 + (y - {y})**2)"
        exact += f" + {strength} * (log({square}) / 2 + {radius} * (x - {x}) / {square})"
    return harmonic(domain, exact)


def test_first_cells_resolve_what_is_singular_inside_of_holes():
    found = [error_of(solved_in_cells(with_holes(), degree, 4)) for degree in (4, 6)]
    assert found[1] < 3e-3 and found[1] < 4.5**-2 * found[0]


def test_what_cut_cells_cannot_do_is_said_in_words():
    ball = kp.Ball((0.5, 0.5, 0.5, 0.5), 0.2, names=("x", "y", "z", "w"))
    with pytest.raises(kp.InputError, match="domains of two and three coordinates"):
        kp.solve(harmonic(ball), kp.Cells([4, 1], 3, 2), kp.AdaptiveLeastSquares())


CUBE = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))
PLATE = kp.Box(x=(-1, 1), y=(-1, 1))


@pytest.mark.parametrize("domain", [PLATE, CUBE])
def test_polynomials_are_solutions_on_cells_that_are_halved_in_any_coordinate(domain, generator):
    dim = domain.dim
    network = kp.Cells([dim, 1], 5, cells=[2, 2, 1][:dim])
    tree = network.tree
    for _ in range(4 - dim):
        tree, _ = tree.split(torch.rand(len(tree), dim, generator=generator) < 0.35)
    assert len(tree.level.unique(dim=0)) > 3
    zeros = torch.zeros(len(tree), network.polynomials.size, 1, dtype=torch.float64)
    network.layer.reset(tree, tree.boxes, zeros)
    exact = "x**4 * y + y**3" + " + z" * (dim > 2)
    problem = Manufactured(domain, lambda p, u: kp.laplacian(u), exact)
    options = {"verified": False, "errors": False}
    solution = kp.solve(problem, network, kp.AdaptiveLeastSquares(steps=1), **options)
    assert solution.network.count == len(tree) and error_of(solution) < 1e-10
