"""Cells in solids: what they represent exactly, singular vertices, and what they refuse."""

import math

import pytest
import torch
import trimesh

import kanpinn as kp
from kanpinn.geometry import Points
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.problem import ProblemInSpace
from kanpinn.spaces.cells.tree import Tree

CUBE = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))
OCTANT = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1))
BITTEN = kp.Ball((0, 0, 0), 1) - kp.Ball((1.0, 0.2, 0), 0.6, name="bite")


class Solved(kp.Problem):
    """Δu = f for a given exact solution, with its flux given on some pieces of the boundary."""

    def __init__(self, domain, exact, fluxes=()):
        self.domain, self.function, self.fluxes = domain, exact, fluxes

    def residual(self, p, u):
        return kp.laplacian(u) - self.source(p)

    def exact(self, p):
        return self.function(p)

    def conditions(self):
        boundary = self.domain.boundary
        others = tuple(name for name in boundary.names if name not in self.fluxes)
        found = [kp.Dirichlet(boundary[others], self.exact)]
        return found + [kp.Neumann(boundary[name], self._flux) for name in self.fluxes]

    def _flux(self, p):
        coords = p.coords.clone().requires_grad_()
        with torch.enable_grad():
            value = self.function(Points(coords, p.names)).sum()
            (slope,) = torch.autograd.grad(value, coords)
        return (slope * p.normals).sum(dim=1, keepdim=True).detach()


def _cubic(p):
    return p.x**2 * p.y - 2 * p.z**2 * p.x + p.y**3 + 0.3 * p.z


def _wave(p):
    return torch.sin(1.3 * p.x + 0.3) * torch.exp(0.7 * p.y) * torch.cos(1.8 * p.z)


def _prism():
    """A prism with a cross-section like an L, as triangles."""
    section = [(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)]
    triangles = [(0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 5)]
    vertices = [(x, y, z) for z in (0, 0.9) for x, y in section]
    faces = [(a, c, b) for a, b, c in triangles] + [(a + 6, b + 6, c + 6) for a, b, c in triangles]
    for i, j in zip(range(6), (1, 2, 3, 4, 5, 0), strict=True):
        faces += [(i, j, j + 6), (i, j + 6, i + 6)]
    return kp.Surface(vertices, faces)


def _solved(problem, degree, cells, **options):
    return kp.solve(
        problem, kp.Cells([3, 1], degree, cells), kp.AdaptiveLeastSquares(**options), seed=0
    )


@pytest.mark.parametrize(
    ("domain", "fluxes", "cells"),
    [
        (BITTEN, ("bite",), 3),
        (_prism(), (), 2),
        (CUBE - OCTANT, (), 3),
        (CUBE - kp.Ball((0, 0, 1), 0.6), (), 3),
    ],
    ids=["bitten ball", "prism", "without an octant", "cube without a ball"],
)
def test_polynomials_are_found_exactly(domain, fluxes, cells):
    solution = _solved(Solved(domain, _cubic, fluxes), 3, cells, steps=1)
    assert solution.errors.l2_relative < 1e-13


def test_errors_fall_fast_with_the_degree():
    errors = [
        _solved(Solved(BITTEN, _wave), degree, 3, steps=1).errors.l2_relative for degree in (3, 4)
    ]
    assert errors[0] < 0.01
    assert errors[1] < errors[0] / 4


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


def test_small_cells_at_a_vertex_that_points_inwards():
    problem = Solved(CUBE - OCTANT, lambda p: (p.x**2 + p.y**2 + p.z**2) ** 0.25)
    network = kp.Cells([3, 1], 3, 2)
    kp.solve(
        problem, network, kp.AdaptiveLeastSquares(tolerance=0.01, steps=2), seed=0, errors=False
    )
    tree = network.tree
    at_vertex = ((tree.boxes[:, 0] <= 0) & (tree.boxes[:, 1] >= 0)).all(dim=1)
    assert (tree.level[at_vertex] == tree.level.max()).all()
    assert tree.level.max() >= 4


def test_edges_that_point_inwards_and_their_vertices():
    edges = (CUBE - OCTANT).reentrant_edges
    assert edges.angles.tolist() == pytest.approx([1.5 * math.pi] * 3)
    assert edges.vertices.tolist() == [[0, 0, 0]]
    prism = _prism().reentrant_edges
    assert prism.angles.tolist() == pytest.approx([1.5 * math.pi])
    assert not len(prism.vertices)
    assert not len(BITTEN.reentrant_edges.segments)
    both = (kp.Ball((0, 0, 0), 1) | kp.Ball((1, 0, 0), 1)).reentrant_edges
    assert both.angles.tolist() == pytest.approx([4 / 3 * math.pi] * len(both.angles), abs=0.02)
    lengths = (both.segments[:, 1] - both.segments[:, 0]).norm(dim=1)
    assert lengths.sum() == pytest.approx(2 * math.pi * 0.75**0.5, rel=1e-3)


def test_a_sphere_of_triangles_is_one_sheet_and_a_box_has_six():
    for mesh, count in ((trimesh.creation.icosphere(2), 1), (trimesh.creation.box((1, 2, 3)), 6)):
        (piece,) = kp.Surface(mesh.vertices, mesh.faces).boundary.pieces
        assert len(piece.sheets) == count


class AlongEdge(kp.Problem):
    """-Δu = f in an L-shaped prism; u = r^(2/3) sin(2θ/3) cos z at its edge."""

    domain = kp.Box(x=(-1, 1), y=(-1, 1), z=(0, 1)) - kp.Box(x=(0, 1), y=(-1, 0), z=(0, 1))

    def residual(self, p, u):
        return -kp.laplacian(u) - self.exact(p)

    def conditions(self):
        return [kp.Dirichlet(self.domain.boundary, self.exact)]

    def exact(self, p):
        angle = torch.atan2(p.y, p.x)
        angle = torch.where(angle < -1e-12, angle + 2 * math.pi, angle)
        radius = torch.sqrt(p.x**2 + p.y**2)
        return radius ** (2 / 3) * torch.sin(2 / 3 * angle) * torch.cos(p.z)


def test_cells_at_an_edge_that_points_inwards_are_thin_and_long():
    network = kp.Cells([3, 1], 5, [4, 4, 1])
    solution = kp.solve(
        AlongEdge(), network, kp.AdaptiveLeastSquares(1e-3, steps=2), seed=0, verified=False
    )
    tree = solution.network.tree
    at_edge = ((tree.boxes[:, 0] <= 0) & (tree.boxes[:, 1] >= 0))[:, :2].all(dim=1)
    assert tree.level[at_edge, :2].min() >= 5 and tree.level[at_edge, 2].max() == 0
    assert solution.errors.l2_relative < 2e-3
