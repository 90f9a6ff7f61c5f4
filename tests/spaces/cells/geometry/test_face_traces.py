"""Traces on faces: smaller cells at one side of a larger one share a trace."""

import numpy as np
import pytest
import torch
from cases import cells_of

import kanpinn as kp
from kanpinn.spaces.cells.geometry.cell_geometry import CellGeometry
from kanpinn.spaces.cells.polynomials import LocalPolynomials
from kanpinn.spaces.cells.system.elimination import FaceSolver
from kanpinn.spaces.cells.tree import Tree


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
