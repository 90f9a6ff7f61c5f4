"""Unknown coefficient fields in cells: exact and noisy data, files, and what is refused."""

import math

import library
import pytest
import torch

import kanpinn as kp

SQUARE = kp.Box(x=(0, 1), y=(0, 1))


def spots(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, generator=generator, dtype=torch.float64)


def cells(degree=8, **changes):
    coefficient = kp.KAN([2, 1], degree=3, grid=1)
    return kp.Cells(
        **{"width": [2, 2], "degree": degree, "cells": 2, "coefficient": coefficient} | changes
    )


class Ground(kp.Problem):
    """-div(a ∇u) = f with the flux a ∂u/∂n on the right, u = sin(2x + y), a = 1 + x²/2 + y/3."""

    domain = SQUARE
    fields = ("u", "a")

    def __init__(self, positive=False):
        self.unknowns = {"a": kp.Unknown(1.0, positive=positive)}
        self.positive = positive

    def exact(self, p):
        shape = p.x**2 / 2 + p.y / 3
        return torch.sin(2 * p.x + p.y), torch.exp(shape) if self.positive else 1 + shape

    def residual(self, p, u, a):
        slopes = (kp.grad(a) * kp.grad(u)).sum(dim=1, keepdim=True)
        return -a.value * kp.laplacian(u) - slopes - self.given(p)

    def given(self, p):
        u, a = self.exact(p)
        slope = torch.cos(2 * p.x + p.y)
        factor = a if self.positive else 1.0
        return 5 * a * u - factor * (2 * p.x + 1 / 3) * slope

    def conditions(self):
        walls, at = self.domain.boundary, spots(60)

        def flux(p, u, a):
            slope = 2 * torch.cos(2 * p.x + p.y)
            return a.value * kp.normal_derivative(u, p) - self.exact(p)[1] * slope

        return [
            kp.Constraint(walls["x_max"], flux),
            kp.Dirichlet(walls["x_min", "y_min", "y_max"], lambda p: self.exact(p)[0], field="u"),
            kp.Observed(SQUARE, at, self.exact(kp.Points(at, ("x", "y")))[0], field="u"),
        ]


@pytest.mark.parametrize("positive", [False, True])
def test_exact_data_give_the_coefficient(positive):
    problem = Ground(positive)
    solution = kp.solve(problem, cells(), kp.AdaptiveLeastSquares(1e-8))
    assert solution.status == "converged"
    p = kp.Points(spots(200, seed=1), ("x", "y"))
    found, exact = solution.covariance.field(p, 1), problem.exact(p)[1][:, 0]
    assert (found.value - exact).abs().max() < 1e-6
    assert ((found.low <= exact) & (exact <= found.high)).double().mean() > 0.9
    estimate = kp.estimate_error(solution)
    assert estimate.errors is None
    assert "not the network of the coefficient a" in estimate.reason


def test_intervals_from_noisy_data_hold_the_coefficient():
    held = []
    for seed in range(3):
        problem = library.class_of("inverse_diffusion", "InverseDiffusion")(seed=seed)
        network = cells(10, coefficient=kp.KAN([2, 1], degree=5, grid=2))
        solution = kp.solve(problem, network, kp.AdaptiveLeastSquares(1e-4), verified=False)
        p = kp.Points(spots(400, seed=5), ("x", "y"))
        found, exact = solution.covariance.field(p, 1), problem.exact(p)[1][:, 0]
        assert (found.value - exact).norm() < 0.03 * exact.norm()
        held.append(((found.low <= exact) & (exact <= found.high)).double().mean())
    assert 0.88 < sum(held) / 3 <= 1


def test_the_status_says_that_the_network_of_the_coefficient_is_too_coarse():
    """The misfit of nearly exact data by one cubic each is smooth, and beside noise not seen."""
    for noise, visible in ((1e-5, True), (1e-2, False)):
        problem = library.class_of("inverse_diffusion", "InverseDiffusion")(noise=noise)
        solution = kp.solve(problem, cells(), kp.AdaptiveLeastSquares(1e-4), verified=False)
        words = "intervals leave out the error of the coefficient's network, which is visible"
        assert solution.success and (words in solution.status) == visible


def test_an_unknown_field_needs_measurements():
    class Unmeasured(Ground):
        def conditions(self):
            return super().conditions()[:-1]

    with pytest.raises(kp.InputError, match="no measurements from which the unknown field a"):
        kp.solve(Unmeasured(), cells(), kp.AdaptiveLeastSquares(1e-6))


def test_a_network_is_saved_with_its_coefficient():
    solution = kp.solve(Ground(), cells(), kp.AdaptiveLeastSquares(1e-6), verified=False)
    other = cells()
    other.load_state_dict(solution.network.state_dict())
    x = 2 * spots(20) - 1
    assert torch.equal(other(x), solution.network(x))


def test_a_condition_on_the_boundary_does_not_prescribe_the_coefficient():
    class Known(Ground):
        def conditions(self):
            return [*super().conditions(), kp.Dirichlet(SQUARE.boundary["x_min"], 1.0, field="a")]

    with pytest.raises(kp.InputError, match="is about the unknown coefficient a"):
        kp.solve(Known(), cells(), kp.AdaptiveLeastSquares(1e-6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coefficient": kp.KAN([1, 1])}, "coefficient must have 2 inputs"),
        ({"coefficient": kp.KAN([2, 2])}, "fewer than the 2 outputs"),
        ({"coefficient": kp.Cells([2, 1])}, "must be a network such as KAN.*, got Cells$"),
    ],
)
def test_networks_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(kp.InputError, match=message):
        cells(**changes)


def test_a_coefficient_needs_a_network_of_its_own():
    with pytest.raises(kp.InputError, match="have a network of their own"):
        kp.solve(Ground(), cells(coefficient=None), kp.AdaptiveLeastSquares(1e-6))
    beside = kp.Beside([kp.Cells([2, 1]), kp.KAN([2, 1])])
    with pytest.raises(kp.InputError, match="expected Cells"):
        kp.solve(Ground(), beside, kp.AdaptiveLeastSquares(1e-6))


def test_fields_that_are_known_have_no_network_of_their_own():
    class Both(kp.Problem):
        domain, fields = SQUARE, ("u", "v")

        def residual(self, p, u, v):
            return kp.laplacian(u) + math.pi, kp.laplacian(v)

        def conditions(self):
            return [kp.Dirichlet(SQUARE.boundary)]

    with pytest.raises(kp.InputError, match="the coefficient fields of Both are none"):
        kp.solve(Both(), cells(), kp.AdaptiveLeastSquares(1e-6))
