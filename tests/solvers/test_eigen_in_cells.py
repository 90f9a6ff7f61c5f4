"""Eigenvalues in cells: errors and their estimates, modes, refinement, and what is refused."""

import math

import pytest
import torch
from eigen_cases import (
    DISK,
    UNIT,
    Free,
    Interval,
    Membrane,
    Pair,
    Turning,
    Weighed,
    Wells,
    Wind,
    solved_in_cells,
)

import kanpinn as kp


class Drum(Membrane):
    """-Δu = λu on the disk."""

    domain = DISK

    def exact_eigenvalues(self, count):
        return sorted(z.real for z in Turning.exact_eigenvalues(self, 3 * count))[:count]


class Around(Membrane):
    """-Δu = λu on a cylinder."""

    domain = kp.Box(x=(0, 2 * math.pi), y=(0, 1))

    def conditions(self):
        walls = self.domain.boundary["y_min", "y_max"]
        return [kp.Periodic(self.domain, "x"), kp.Dirichlet(walls, 0.0)]

    def exact_eigenvalues(self, count):
        turns = (k * k + (math.pi * j) ** 2 for k in range(-20, 21) for j in range(1, 9))
        return sorted(turns)[:count]


PROBLEMS = [Membrane, Free, Interval, Weighed, Wells, Pair, Wind, Turning, Drum, Around]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_eigenvalues_have_the_tolerance(problem):
    solution = solved_in_cells(problem(), 6)
    assert solution.status == "converged" and solution.success
    assert solution.errors.max() < 1e-9


@pytest.mark.parametrize("problem", [Membrane, Interval, Wells, Drum, Around, Wind])
@pytest.mark.parametrize("degree", [5, 8])
def test_estimates_are_the_errors_up_to_a_factor_of_three(problem, degree):
    solution = solved_in_cells(problem(), 6, degree, tolerance=1e-5)
    errors = (solution.values - solution.exact).abs()
    large = errors > 1e-10 * solution.values.abs()
    ratios = errors[large] / solution.estimates[large]
    assert bool(large.any()) and ratios.max() < 3
    if solution.self_adjoint:  # for others the functional is a bound of the error only
        assert ratios.min() > 1 / 3


def test_the_error_is_quadratic_in_that_of_the_mode():
    values, residuals = [], []
    for degree in (5, 7, 9):
        settings = kp.AdaptiveLeastSquares(tolerance=1e-14, steps=1)
        found = kp.eigen(Membrane(), kp.Cells([2, 1], degree, 2), 1, optimizers=settings)
        values.append(float(found.errors[0]))
        residuals.append(float(found.residual_norms[0]))
    for i in (1, 2):
        assert math.log(values[i] / values[i - 1]) / math.log(
            residuals[i] / residuals[i - 1]
        ) == pytest.approx(2, abs=0.4)


def test_modes_are_orthonormal_and_satisfy_equation_and_conditions():
    solution = solved_in_cells(Membrane(), 6)
    assert solution.self_adjoint and solution.multiplicities == [1, 2, 2, 1, 2, 2]
    points, weights = UNIT.quadrature(30)
    modes = solution(points)
    gram = modes.T @ (weights[:, None] * modes)
    assert torch.allclose(gram, torch.eye(6, dtype=gram.dtype), atol=1e-9)
    size = solution.values.abs().max()
    assert solution.residual(points).abs().max() < 1e-3 * size
    assert solution(UNIT.boundary.quadrature(9)[0]).abs().max() < 1e-6


def test_complex_modes_satisfy_the_equation():
    solution = solved_in_cells(Turning(), 4)  # of the last one, the conjugate is left out
    assert solution.values.is_complex() and not solution.self_adjoint
    rest = solution.residual(DISK.quadrature(20)[0])
    assert rest.abs().max() < 1e-4 * solution.values.abs().max()


def test_nothing_has_to_be_chosen():
    solution = kp.eigen(Membrane(), count=3, tolerance=1e-6)
    assert solution.status == "converged" and solution.errors.max() < 1e-6
    assert solution.network.solved_by == "AdaptiveLeastSquares"
    rough = kp.eigen(
        Membrane(), kp.KAN(hidden=[6], degree=9, grid=[4, 8], seed=0), 3, tolerance=1e-12
    )
    assert rough.network.width == (2, 6, 3) and rough.status.startswith("stopped: eigenvalue")


def test_eigenvalues_near_a_number():
    solution = solved_in_cells(Membrane(), 3, near=250.0)
    assert solution.success and solution.errors.max() < 1e-9
    squares = torch.tensor([25, 25, 26], dtype=torch.float64)  # 3² + 4² twice, 1 + 5² once of two
    assert torch.allclose(solution.values.sort().values, math.pi**2 * squares)


def test_settings_that_do_not_fit_are_refused():
    def refused(network, message, **arguments):
        with pytest.raises(kp.InputError, match=message):
            kp.eigen(Membrane(), network, **arguments)

    cells = kp.Cells([2, 1], 6, 2)
    refused(cells, "optimizers must be AdaptiveLeastSquares", optimizers=kp.LeastSquares())
    refused(cells, "weight of boundary must be left out", loss=kp.Loss(boundary=2.0))
    refused(kp.KAN([2, 8, 1]), "optimizers must be None", optimizers=kp.AdaptiveLeastSquares())
    few = kp.AdaptiveLeastSquares(tolerance=1e-12, cells=4)
    found = kp.eigen(Membrane(), kp.Cells([2, 1], 4, 2), 2, optimizers=few)
    assert found.status.startswith("stopped: the next") and "cells = 4" in found.status


def test_cells_and_comparisons_that_do_not_fit_into_memory_are_refused(monkeypatch):
    def found(memory):
        monkeypatch.setattr("kanpinn.spaces.cells.system.memory.machine_memory", lambda: memory)
        network, settings = kp.Cells([2, 1], 6, 2), kp.AdaptiveLeastSquares(tolerance=1e-1)
        return kp.eigen(Membrane(), network, 2, optimizers=settings)

    with pytest.raises(kp.InputError, match=r"4 cells of degree 6 would need .* of memory"):
        found(1e4)
    status = found(5e5).status
    assert status.startswith("stopped: the comparison with a solution of degree 8 would need")
    assert found(1e8).status == "converged"
