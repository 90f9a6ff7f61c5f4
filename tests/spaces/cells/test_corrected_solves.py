"""Least-squares problems in cells: the same factors give a correction, which removes rounding."""

import pytest
import torch
from cases import error_of
from layered import Layered, part
from library import class_of

import kanpinn as kp
from kanpinn.linalg.elimination_tree import EliminationTree
from kanpinn.spaces.cells.system.cell_system import CellSolutions, CellSystem
from kanpinn.spaces.cells.system.elimination import FaceSolver

SQUARE = kp.Box(x=(0, 1), y=(0, 1))
CORNER = kp.Polygon([(0, 0), (1, 0), (1, 0.5), (0.5, 0.5), (0.5, 1), (0, 1)])
WAVE = "sin(3*x + 1) * exp(y)"


class Enclosed(kp.Problem):
    """-Δu = 2π² cos(πx) cos(πy) with zero flux: u is determined up to a constant."""

    domain = SQUARE
    free_constant = ("u",)

    def residual(self, p, u):
        return -kp.laplacian(u) - 2 * torch.pi**2 * self.exact(p)

    def conditions(self):
        return [kp.Neumann(self.domain.boundary, 0.0), kp.Integral(self.domain, 0.0)]

    def exact(self, p):
        return torch.cos(torch.pi * p.x) * torch.cos(torch.pi * p.y)


class Ring(Layered):
    """Two coefficients, inside a circle and around it."""

    factor = 9.0

    def exact(self, p):
        return torch.sin(3 * p.x + 1)

    def gradient(self, p):
        slope = 3 * torch.cos(3 * p.x + 1)
        return torch.cat([slope, torch.zeros_like(slope)], dim=1)


PROBLEMS = {
    "square": kp.Poisson(SQUARE, exact=WAVE),
    "functions of a corner": kp.Poisson(CORNER, exact=WAVE),
    "hole": kp.Poisson(SQUARE - kp.Disk((0.4, 0.6), 0.17), exact=WAVE),
    "constant": Enclosed(),
    "interface": Ring(SQUARE, part(kp.Disk((0.5, 0.4), 0.22), 7.0)),
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
    solution = kp.solve(
        problem, kp.Cells([2, 1], 5, 3), kp.AdaptiveLeastSquares(1e-4), verified=False
    )
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
        method = kp.AdaptiveLeastSquares(1e-12)
        return error_of(kp.solve(problem, kp.Cells([2, 1], 20, 8), method, verified=False))

    corrected = error()
    monkeypatch.setattr(CellSystem, "by_one_solve", 0.0)
    assert corrected < 2e-13
    assert error() > 5 * corrected
