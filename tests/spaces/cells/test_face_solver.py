"""Least squares in many cells: conjugate gradients against an elimination."""

import numpy as np
import pytest
import torch
from cases import OnWalls

import kanpinn as kp
from kanpinn._support.errors import NumericalError
from kanpinn.linalg.elimination_tree import EliminationTree
from kanpinn.linalg.two_level import TwoLevel, TwoLevelInverse
from kanpinn.spaces.cells.system import elimination
from kanpinn.spaces.cells.system.cell_system import CellSystem
from kanpinn.spaces.cells.system.elimination import FaceSolver


class Waves(OnWalls):
    """-Δu - k² u = f in a cube, with a product of three sines as the solution."""

    domain = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1))

    def __init__(self, number: float):
        self.number = number

    def exact(self, p):
        return torch.sin(2 * p.coords + 0.3).prod(dim=1, keepdim=True)

    def residual(self, p, u):
        return -kp.laplacian(u) - self.number**2 * u.value - (12 - self.number**2) * self.exact(p)


def solved(problem, count):
    network, optimizer = kp.Cells([3, 1], 4, count), kp.AdaptiveLeastSquares(1e-9, steps=1)
    solution = kp.solve(problem, network, optimizer, verified=False)
    return solution.network.layer.coefficients.detach(), solution.errors.l2_relative


@pytest.fixture
def iterations(monkeypatch):
    """The numbers of iterations of all solves, counted by applications of the preconditioner."""
    found, apply, solve = [], TwoLevelInverse.__call__, TwoLevel.solve

    def counted(self, slope):
        found[-1] += 1
        return apply(self, slope)

    def started(self, *arguments):
        found.append(-1)  # the first application precedes the iteration
        return solve(self, *arguments)

    monkeypatch.setattr(TwoLevelInverse, "__call__", counted)
    monkeypatch.setattr(TwoLevel, "solve", started)
    return found


def by_elimination(self, *arguments, **options):
    START(self, *arguments, **options)
    self._by_elimination = True


START = FaceSolver.__init__


def test_both_methods_have_the_same_solution(iterations, monkeypatch):
    by_gradients, error = solved(Waves(5.0), 6)
    assert iterations and error < 2e-4
    monkeypatch.setattr(FaceSolver, "__init__", by_elimination)
    directly, _ = solved(Waves(5.0), 6)
    torch.testing.assert_close(by_gradients, directly, rtol=0, atol=1e-9)


def test_the_number_of_iterations_does_not_grow_with_that_of_cells(iterations):
    few, many = 6, 9
    solved(Waves(0.0), few)
    small = max(iterations)
    iterations.clear()
    solved(Waves(0.0), many)
    assert max(iterations) < 1.2 * small < 80


def test_cells_are_eliminated_where_most_traces_are_coarse(iterations, monkeypatch):
    every = property(lambda self: np.ones(int(self._block_sizes.sum()), dtype=bool))
    monkeypatch.setattr(CellSystem, "_coarse", every)
    _, error = solved(Waves(0.0), 5)
    assert error < 1e-3 and not iterations


def test_cells_are_eliminated_where_conjugate_gradients_are_slow(iterations, monkeypatch):
    monkeypatch.setattr(TwoLevel, "solve", lambda self, *arguments: None)
    _, error = solved(Waves(5.0), 5)
    assert error < 1e-3
    monkeypatch.setattr(elimination, "machine_memory", lambda: 1e6)
    with pytest.raises(NumericalError, match=r"is not solved by .* its elimination would need"):
        solved(Waves(5.0), 5)


def test_a_single_cell_is_eliminated_however_many_unknowns_it_has(iterations, monkeypatch):
    few, error = solved(Waves(1), 1)
    monkeypatch.setattr(EliminationTree, "operations", property(lambda _: 1e11))
    many, same = solved(Waves(1), 1)
    assert not iterations
    assert error == same and torch.equal(few, many)
