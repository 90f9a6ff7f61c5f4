"""Edges of interfaces in space: the exponents there, and the cells at them."""

import math

import pytest
import torch
from cases import cells_of
from scipy.optimize import brentq

import kanpinn as kp
from kanpinn.spaces.cells.geometry.singularities import FluxSizes, edges_of_boxes
from kanpinn.spaces.cells.tree import Tree

CUBE = kp.Box(x=(-1, 1), y=(-1, 1), z=(-1, 1))
CORNER = kp.Box(x=(-1, 0.1), y=(-1, 0), z=(-1, 0.2))


class Block(kp.Problem):
    """∇·(a ∇u) = 0 in a cube, with another coefficient in a block."""

    domain = CUBE

    def __init__(self, ratio, block, *names):
        self.ratio, self.block, self.faces = ratio, block, block.boundary[names]

    def coefficient(self, p):
        inside = self.block.contains(p.coords)[:, None]
        return torch.where(inside, p.x.new_tensor(self.ratio), 1.0)

    def residual(self, p, u):
        return self.coefficient(p) * kp.laplacian(u)

    def conditions(self):
        flux = kp.Interface(self.domain, self.faces, self.coefficient)
        return [kp.Dirichlet(self.domain.boundary, "x"), flux]


def _in_cells(*arguments):
    return cells_of(Block(*arguments), kp.Cells([3, 1], 4, 2))


@pytest.mark.parametrize("ratio", [20.0, 1.5, 0.05])
def test_exponents_are_those_of_even_and_odd_solutions_around_an_edge(ratio):
    problem = _in_cells(ratio, CORNER, "x_max", "y_max", "z_max")
    fluxes = FluxSizes(problem.interfaces, CUBE.bounds, 1)
    segments, exponents, vertices = edges_of_boxes(problem.division, fluxes)
    assert len(segments) == 3 and vertices.tolist() == [[0.1, 0.0, 0.2]]
    inner, outer = math.pi / 4, 3 * math.pi / 4

    def even(e):
        return ratio * math.tan(e * inner) + math.tan(e * outer)

    def odd(e):
        return math.tan(e * inner) + ratio * math.tan(e * outer)

    least = brentq(even if ratio > 1 else odd, 2 / 3 + 1e-9, 1 - 1e-9)
    assert exponents.tolist() == pytest.approx([least] * 3, abs=1e-4)


def test_an_edge_on_the_boundary_or_without_a_jump_is_not_singular():
    for problem in (
        _in_cells(20.0, kp.Box(x=(-1, 0.1), y=(-1, 1), z=(-1, 1)), "x_max"),
        _in_cells(1.0, CORNER, "x_max", "y_max", "z_max"),
    ):
        fluxes = FluxSizes(problem.interfaces, CUBE.bounds, 1)
        assert not len(edges_of_boxes(problem.division, fluxes)[0])


def test_cells_at_an_edge_become_thin_and_stay_long():
    problem = _in_cells(20.0, kp.Box(x=(-1, 0), y=(-1, 0), z=(-1, 1)), "x_max", "y_max")
    coarse = problem.start(Tree.uniform((2, 2, 2)).divided(2))
    chosen = torch.tensor([[True, True, False]]).expand(len(coarse.tree), -1)
    fine = problem.refined(coarse, chosen, 0.01)
    at_edge = fine.tree.level[problem.singularities._touched(fine)[:, 0]]
    assert bool((at_edge[:, :2] >= 4).all()) and not bool(at_edge[:, 2].any())
