"""Least-squares problems in cells: the same factors give a correction, which removes rounding."""

import gc
import weakref

import numpy as np
import pytest
import torch
from cases import Layered, Manufactured, error_of, part, solved_in_cells
from library import class_of
from numpy.testing import assert_allclose

import kanpinn as kp
from kanpinn._support.errors import NumericalError
from kanpinn.linalg.elimination_tree import EliminationTree
from kanpinn.linalg.two_level import TwoLevel
from kanpinn.spaces.cells.system import elimination
from kanpinn.spaces.cells.system.cell_system import CellSolutions, CellSystem
from kanpinn.spaces.cells.system.elimination import FaceSolver

SQUARE = kp.Box(x=(0, 1), y=(0, 1))
CORNER = kp.Polygon([(0, 0), (1, 0), (1, 0.5), (0.5, 0.5), (0.5, 1), (0, 1)])
WAVE = "sin(3*x + 1) * exp(y)"


ENCLOSED = Manufactured(  # u is determined up to a constant
    SQUARE,
    lambda p, u: -kp.laplacian(u),
    "cos(pi * x) * cos(pi * y)",
    "neumann",
    also=[kp.Integral(SQUARE, 0.0)],
    free_constant=("u",),
)


PROBLEMS = {
    "square": kp.Poisson(SQUARE, exact=WAVE),
    "functions of a corner": kp.Poisson(CORNER, exact=WAVE),
    "hole": kp.Poisson(SQUARE - kp.Disk((0.4, 0.6), 0.17), exact=WAVE),
    "constant": ENCLOSED,
    "interface": Layered(SQUARE, "sin(3 * x + 1)", part(kp.Disk((0.5, 0.4), 0.22), 7.0)),
}


@pytest.fixture
def corrections(monkeypatch):
    """The relative sizes of all corrections; every least-squares problem is solved twice."""
    sizes, add = [], CellSolutions.corrected

    def counted(self, change):
        whole = [float(one.coefficients.abs().max()) for one in (change, self)]
        sizes.append(whole[0] / whole[1])
        return add(self, change)

    monkeypatch.setattr(CellSystem, "by_one_solve", 1.0)
    monkeypatch.setattr(CellSolutions, "corrected", counted)
    return sizes


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS.keys())
def test_the_residuals_of_a_solution_are_those_of_all_rows(problem, corrections):
    """If a row were missing or wrong, the correction would be as large as the solution.

    Polynomials nearly represent some functions of corners: rounding changes their coefficients by
    more than the solution, by 2e-8 here.
    """
    solution = solved_in_cells(problem, 4, 2, tolerance=1e-3, steps=9)
    assert solution.status == "converged"
    assert 0 < len(corrections)
    assert max(corrections) < 1e-6


def test_conjugate_gradients_are_corrected_too(corrections, monkeypatch):
    monkeypatch.setattr(EliminationTree, "operations", property(lambda self: 1e30))
    monkeypatch.delattr(FaceSolver, "_dissected")  # there is no elimination
    problem = kp.Poisson(kp.Box(x=(0, 1), y=(0, 1), z=(0, 1)), exact="sin(x + 2*y) * z")
    solution = kp.solve(
        problem, kp.Cells([3, 1], 5, 3), kp.AdaptiveLeastSquares(1e-4), verified=False
    )
    assert solution.status == "converged"
    assert max(corrections) < 1e-9


class Decay(kp.Problem):
    """-Δu + k u = 0 with u = exp(x) on the boundary, and data inside that say k = 1."""

    domain = SQUARE

    def __init__(self):
        self.unknowns = {"k": kp.Unknown(2.0)}

    def residual(self, p, u, k):
        return -kp.laplacian(u) + k.value * u.value

    def conditions(self):
        at = torch.tensor([[0.3, 0.4], [0.6, 0.7]], dtype=torch.float64)
        data = kp.Observed(self.domain, at, at[:, :1].exp())
        return [kp.Dirichlet(self.domain.boundary, lambda p: p.x.exp()), data]


def test_solutions_with_derivatives_by_numbers_are_corrected_for_small_tolerances(monkeypatch):
    shapes, add = [], CellSolutions.corrected

    def counted(self, change):
        shapes.append(change.coefficients.shape[3])
        assert change.coefficients.abs().max() < 1e-9 * self.coefficients.abs().max()
        return add(self, change)

    monkeypatch.setattr(CellSolutions, "corrected", counted)
    solution = kp.solve(
        Decay(), kp.Cells([2, 1], 10, 2), kp.AdaptiveLeastSquares(1e-11), verified=False
    )
    assert solution.estimated["k"].value == pytest.approx(1.0, abs=1e-9)
    assert shapes.count(2) > 1  # the solution, and its derivative by k


def test_the_correction_removes_the_rounding_of_waves_near_a_resonance(monkeypatch):
    def error():
        problem = class_of("helmholtz40", "WavePacket")()
        return error_of(solved_in_cells(problem, 20, 8, tolerance=1e-12, steps=20))

    corrected = error()
    monkeypatch.setattr(CellSystem, "by_one_solve", 0.0)
    assert corrected < 2e-13
    assert error() > 5 * corrected


# --- Least squares in many cells: conjugate gradients against an elimination


def waves(number):
    """-Δu - k² u = f in a cube, with a product of three sines as the solution."""
    cube = kp.Box(x=(0, 1), y=(0, 1), z=(0, 1))
    exact = "sin(2 * x + 0.3) * sin(2 * y + 0.3) * sin(2 * z + 0.3)"
    return Manufactured(cube, lambda p, u: kp.laplacian(u) + number**2 * u.value, exact)


def solved(problem, count, degree=3):
    network, optimizer = kp.Cells([3, 1], degree, count), kp.AdaptiveLeastSquares(1e-9, steps=1)
    solution = kp.solve(problem, network, optimizer, verified=False, errors=False)
    return solution.network.layer.coefficients.detach(), error_of(solution)


@pytest.fixture
def iterations(monkeypatch):
    """The numbers of iterations of all solves, counted by applications of the preconditioner."""
    found, apply, solve = [], TwoLevel._preconditioned, TwoLevel.solve

    def counted(self, slope):
        found[-1] += 1
        return apply(self, slope)

    def started(self, *arguments):
        found.append(-1)  # the first application precedes the iteration
        return solve(self, *arguments)

    monkeypatch.setattr(TwoLevel, "_preconditioned", counted)
    monkeypatch.setattr(TwoLevel, "solve", started)
    return found


@pytest.fixture
def choose(monkeypatch):
    """Lets all faces be solved for by an elimination, or by conjugate gradients."""
    start = FaceSolver.__init__

    def chosen(by_elimination):
        def started(self, *arguments, **options):
            start(self, *arguments, **options)
            self._by_elimination = by_elimination

        monkeypatch.setattr(FaceSolver, "__init__", started)

    return chosen


def test_both_methods_have_the_same_solution(iterations, choose):
    choose(by_elimination=False)
    by_gradients, error = solved(waves(5.0), 5, 4)
    assert iterations and error < 1e-3
    choose(by_elimination=True)
    directly, _ = solved(waves(5.0), 5, 4)
    torch.testing.assert_close(by_gradients, directly, rtol=0, atol=1e-9)


def test_the_number_of_iterations_does_not_grow_with_that_of_cells(iterations, choose):
    few, many = 4, 6
    choose(by_elimination=False)
    solved(waves(0.0), few)
    small = max(iterations)
    iterations.clear()
    solved(waves(0.0), many)
    assert max(iterations) < 1.2 * small < 80


def test_cells_are_eliminated_where_most_traces_are_coarse(iterations, monkeypatch):
    some = CellSystem._coarse.func
    monkeypatch.setattr(CellSystem, "_coarse", property(lambda self: np.ones_like(some(self))))
    _, error = solved(waves(0.0), 4)
    assert error < 5e-3 and not iterations


def test_cells_are_eliminated_where_conjugate_gradients_are_slow(choose, monkeypatch):
    choose(by_elimination=False)
    monkeypatch.setattr(TwoLevel, "solve", lambda self, *arguments: None)
    _, error = solved(waves(5.0), 4)
    assert error < 5e-2
    monkeypatch.setattr(elimination, "machine_memory", lambda: 1e6)
    with pytest.raises(NumericalError, match=r"is not solved by .* its elimination would need"):
        solved(waves(5.0), 4)


def test_a_single_cell_is_eliminated_however_many_unknowns_it_has(iterations, monkeypatch):
    few, error = solved(waves(1), 1)
    monkeypatch.setattr(EliminationTree, "operations", property(lambda _: 1e11))
    many, same = solved(waves(1), 1)
    assert not iterations
    assert error == same and torch.equal(few, many)


# --- Cells of one shape and different sizes need one elimination, if their rows are similar


def solved_similar_cells(c):
    """-Δu + c u = f in a square, with a narrow peak as the solution."""
    peak = "exp(-100 * ((x - 0.3)**2 + (y - 0.3)**2))"
    problem = Manufactured(SQUARE, lambda p, u: c * u.value - kp.laplacian(u), peak)
    solution = solved_in_cells(problem, 4, 2, tolerance=1e-2, steps=9)
    assert error_of(solution) < 1e-2
    return solution.network.layer.coefficients.detach().numpy()


@pytest.mark.parametrize("c", [0.0, 1.0])
def test_solutions_are_the_same_if_similar_cells_do_not_share_an_elimination(c, monkeypatch):
    """Where the equation has terms of two orders, cells of two sizes are not similar."""
    shared = solved_similar_cells(c)

    def apart(self, equal):
        return [[(cells, 1.0)] for cells in equal.values()]

    monkeypatch.setattr(CellSystem, "_similar", apart)
    assert_allclose(solved_similar_cells(c), shared, atol=1e-9 * np.abs(shared).max())


# --- Factors of least-squares problems in cells, which take most of the memory, are freed in time


PULSE = "exp(-100 * ((x - 0.4)**2 + (y - 0.3)**2))"


@pytest.mark.parametrize(
    ("problem", "network", "optimizer"),
    [
        (kp.Poisson(SQUARE, exact=PULSE), kp.Cells([2, 1], 6, 4), kp.AdaptiveLeastSquares(1e-5)),
        (
            kp.Heat(SQUARE.over(t=(0, 0.2)), exact=f"exp(-t) * {PULSE}"),
            kp.CellWindows([3, 1], 4, 4),
            kp.March(0.1, windows=3, stages=3, regrade=False),
        ),
    ],
    ids=["a solve on several trees", "a march"],
)
def test_few_factors_are_in_memory_at_once(problem, network, optimizer, monkeypatch):
    made, left, solver = weakref.WeakSet(), [], CellSystem._solver
    count_made = []

    def counted(self, times):
        count_made.extend([] if self in made else [1])
        made.add(self)
        return solver(self, times)

    monkeypatch.setattr(CellSystem, "_solver", counted)
    gc.collect()
    gc.disable()  # factors in a cycle of references would stay until Python searches for it
    try:
        options = {
            "errors": False,
            "verified": False,
            "observers": [lambda _: left.append(len(made))],
        }
        solution = kp.solve(problem, network, optimizer, **options)
        assert solution.status == "converged"
        assert max(left) <= 2 < len(count_made)
    finally:
        gc.enable()
