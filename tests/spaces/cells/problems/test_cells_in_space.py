"""Cells in solids: what they represent exactly, singular vertices, and what they refuse."""

import math

import pytest
import torch
import trimesh
from cases import Manufactured, Stated, cells_of, error_of

import kanpinn as kp
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.problem import ProblemInSpace
from kanpinn.spaces.cells.tree import Tree

CUBE = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))
OCTANT = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1))
BITTEN = kp.Ball((0, 0, 0), 1) - kp.Ball((1.0, 0.2, 0), 0.6, name="bite")


# Which cells are halved is asked, and not how well they resolve the solution.
quadratic = pytest.mark.filterwarnings("ignore:network.degree = 2 equals the order of residual")
CUBIC = "x**2 * y - 2 * z**2 * x + y**3 + 0.3 * z"


def solved(domain, exact, degree, cells, walls=None, **settings):
    """Δu = f for a given exact solution; `settings` are those of the method."""
    problem = Manufactured(domain, lambda p, u: kp.laplacian(u), exact, walls)
    method = kp.AdaptiveLeastSquares(**{"steps": 1, "tolerance": 1e-30} | settings)
    network = kp.Cells([3, 1], degree, cells)
    return kp.solve(problem, network, method, verified=False, errors=False)


def _prism():
    """A prism with a cross-section like an L, as triangles."""
    section = [(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)]
    triangles = [(0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 5)]
    vertices = [(x, y, z) for z in (0, 0.9) for x, y in section]
    faces = [(a, c, b) for a, b, c in triangles] + [(a + 6, b + 6, c + 6) for a, b, c in triangles]
    for i, j in zip(range(6), (1, 2, 3, 4, 5, 0), strict=True):
        faces += [(i, j, j + 6), (i, j + 6, i + 6)]
    return kp.Surface(vertices, faces)


@pytest.mark.parametrize(
    ("domain", "walls", "cells"),
    [
        (BITTEN, {"bite": "neumann"}, 2),
        (_prism(), None, 2),
        (CUBE - OCTANT, None, 3),
        (CUBE - kp.Ball((0, 0, 1), 0.6), None, 2),
    ],
    ids=["bitten ball", "prism", "without an octant", "cube without a ball"],
)
def test_polynomials_are_found_exactly(domain, walls, cells):
    solution = solved(domain, CUBIC, 3, cells, walls)
    assert error_of(solution) < 1e-13


@pytest.mark.parametrize("domain", [BITTEN, _prism(), CUBE - OCTANT], ids=["ball", "prism", "cube"])
def test_points_represent_volumes_and_areas(domain):
    problem = ProblemInSpace(domain, None, [])
    geometry, polynomials = problem.start(Tree.uniform((3, 3, 3))), LocalPolynomials(6, 3)
    inside = problem.inside(geometry, polynomials)
    volume = sum(float(at.weights.sum()) for at in inside)
    assert volume == pytest.approx(domain.measure, rel=0.01)
    for piece in domain.boundary.pieces:
        area = sum(float(at.weights.sum()) for at in geometry.on_boundary([piece], polynomials))
        assert area == pytest.approx(piece.measure, rel=0.02)


@quadratic
def test_small_cells_at_a_vertex_that_points_inwards():
    exact = "(x**2 + y**2 + z**2)**0.25"
    tree = solved(CUBE - OCTANT, exact, 2, 2, tolerance=0.05, steps=2).network.tree
    at_vertex = ((tree.boxes[:, 0] <= 0) & (tree.boxes[:, 1] >= 0)).all(dim=1)
    assert (tree.level[at_vertex] == tree.level.max()).all()
    assert tree.level.max() >= 4


def test_edges_that_point_inwards_and_their_vertices():
    edges = (CUBE - OCTANT).edges.reentrant
    assert edges.angles.tolist() == pytest.approx([1.5 * math.pi] * 3)
    assert edges.vertices(CUBE - OCTANT).tolist() == [[0, 0, 0]]
    prism = _prism().edges.reentrant
    assert prism.angles.tolist() == pytest.approx([1.5 * math.pi])
    assert not len(prism.vertices(_prism()))
    assert not len(BITTEN.edges.reentrant.segments)
    both = (kp.Ball((0, 0, 0), 1) | kp.Ball((1, 0, 0), 1)).edges.reentrant
    assert both.angles.tolist() == pytest.approx([4 / 3 * math.pi] * len(both.angles), abs=0.02)
    lengths = (both.segments[:, 1] - both.segments[:, 0]).norm(dim=1)
    assert lengths.sum() == pytest.approx(2 * math.pi * 0.75**0.5, rel=1e-3)


def cantilever(poisson):
    """An elastic block, clamped at x = 0, with a shear load at x = 1; Young's modulus is 1."""
    lame, shear = poisson / (1 + poisson) / (1 - 2 * poisson), 1 / (2 + 2 * poisson)
    axes = ("x", "y", "z")

    def residual(p, *fields):
        def slope(axis):
            both = zip(fields, axes, strict=True)
            return sum(kp.partial(u, *sorted((axis, own))) for u, own in both)

        both = zip(fields, axes, strict=True)
        return tuple(shear * kp.laplacian(u) + (lame + shear) * slope(axis) for u, axis in both)

    def traction(p, *fields):
        slopes = [[kp.partial(u, axis) for axis in axes] for u in fields]
        volume, found = slopes[0][0] + slopes[1][1] + slopes[2][2], []
        normal = p.normals.split(1, dim=1)
        for i in range(3):
            sums = [shear * (slopes[i][j] + slopes[j][i]) * normal[j] for j in range(3)]
            found.append(lame * volume * normal[i] + sum(sums))
        return tuple(found)

    def load(p, *fields):
        first, other, last = traction(p, *fields)
        return first, other, last - 1e-3

    box = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1))
    walls = box.boundary
    conditions = [kp.Dirichlet(walls["x_min"], 0.0, field=name) for name in "uvw"]
    conditions += [kp.Constraint(walls["x_max"], load)]
    conditions += [kp.Constraint(walls["y_min", "y_max", "z_min", "z_max"], traction)]
    return Stated(box, residual, conditions, fields=("u", "v", "w"))


def test_exponents_at_edges_follow_from_the_operator_and_the_conditions():
    """At a clamped and a free face λ solves sin²(λ π/2) = (4 (1 - ν)² - λ²) / (3 - 4 ν).

    Reference: Williams, Stress singularities resulting from various boundary conditions in angular
    corners of plates in extension (1952).
    """
    poisson = 0.3
    problem = cells_of(cantilever(poisson), kp.Cells([3, 3], 3, 2))
    assert isinstance(problem, ProblemInSpace)
    clamped = [one for one in problem.own_edges if one.exponent < 0.99]
    kinked = [one for one in problem.own_edges if one.exponent >= 0.99]
    for edge in clamped:
        wanted = (4 * (1 - poisson) ** 2 - edge.exponent**2) / (3 - 4 * poisson)
        assert math.sin(edge.exponent * math.pi / 2) ** 2 == pytest.approx(wanted, abs=1e-6)
        assert edge.multiplicity == 2 and float(edge.segment[:, 0].abs().max()) == 0.0
    # The load along z ends at the free faces z = 0 and z = 1: solutions are like r ln r.
    assert len(clamped) == 4 and len(kinked) == 2
    assert all(float(one.segment[:, 0].min()) == 1.0 for one in kinked)
    assert len(problem.corner_patches([2, 2, 2])) == 6


def test_a_sphere_of_triangles_is_one_sheet_and_a_box_has_six():
    for mesh, count in ((trimesh.creation.icosphere(2), 1), (trimesh.creation.box((1, 2, 3)), 6)):
        (piece,) = kp.Surface(mesh.vertices, mesh.faces).boundary.pieces
        assert len(piece.sheets) == count


@quadratic
def test_cells_at_an_edge_that_points_inwards_are_thin_and_long():
    """u = r^(2/3) sin(2θ/3) cos z at the edge of an L-shaped prism."""
    block = kp.Box(x=(0, 1), y=(-1, 0), z=(0, 1))
    prism, theta = kp.Box(x=(-1, 1), y=(-1, 1), z=(0, 1)) - block, "(pi + atan2(-y, -x))"
    exact = f"(x**2 + y**2)**(1 / 3) * sin(2 / 3 * {theta}) * cos(z)"
    solution = solved(prism, exact, 2, [2, 2, 1], tolerance=1e-3, steps=2)
    tree = solution.network.tree
    at_edge = ((tree.boxes[:, 0] <= 0) & (tree.boxes[:, 1] >= 0))[:, :2].all(dim=1)
    assert tree.level[at_edge, :2].min() >= 5 and tree.level[at_edge, 2].max() == 0
    assert error_of(solution) < 2e-2


def test_cells_of_a_solid_do_not_depend_on_trees_that_were_cut_before():
    problem = ProblemInSpace(kp.Ball((0, 0, 0), 1), None, [])
    whole = [problem.start(Tree.uniform((n, n, n))) for n in (4, 2)]  # 2^3 boxes are halved
    frames = [one.frames.flatten(1).round(decimals=6).unique(dim=0) for one in whole]
    torch.testing.assert_close(*frames)
